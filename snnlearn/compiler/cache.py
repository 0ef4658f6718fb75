"""Keeps compiled kernels on disk; their key is a hash of the sources that they are made of.

Numba keeps them beside the package, or in the user's cache folder where it may not write there, or in NUMBA_CACHE_DIR.
Where none of these can be written, as in containers and on some clusters, they go to a folder of the user's own in
the temporary directory, or else nowhere: each process then compiles them anew.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pathlib
import re
import stat
import tempfile
import warnings
from collections.abc import Callable, Container
from typing import Any

import numba

from .fallback import LOST, lose

INDEXED = "kernels on disk with an index for each state of the sources"

try:
    from numba.core.caching import FunctionCache, IndexDataCacheFile
except Exception as reason:
    lose(INDEXED, reason)
    FunctionCache = object  # type: ignore[assignment, misc]

TUPLES = ("tape.py", "events.py")  # Numba tells tuples apart by their class's name, not by the order of its fields


def kernel_sources() -> set[pathlib.Path]:
    """The files that kernels are made of: the modules that import `dispatch`, those of the tuples that kernels take
    (`TUPLES`), the compiler's own and, because constants are compiled in, all that they import in turn.

    `extend` and the package itself import `dispatch` to hand it on, and have no kernels of their own.
    """
    root = pathlib.Path(__file__).parents[1]
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*.py")}
    imports = {name: _imports(name, path.read_text("utf-8"), files) for name, path in files.items()}
    waiting = [name for name, names in imports.items() if _begins(name, names)]
    found = set[str]()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += imports[name]
    return {files[name] for name in found}


def _begins(name: str, imported: set[str]) -> bool:
    folder, _, file = name.rpartition("/")
    own = "compiler/dispatch.py" in imported and name not in ("__init__.py", "extend/__init__.py")
    return folder == "compiler" or file in TUPLES or own


def _imports(name: str, text: str, files: Container[str]) -> set[str]:
    """Those of `files` that a file imports from when it is imported itself, by relative imports. Paths are strings: fast."""
    found, folder = set(), name.split("/")[:-1]
    for dots, module, names in re.findall(r"^from (\.+)([\w.]*) import (\(.*?\)|[^\n]*)", text, re.M | re.S):
        base = "/".join(folder[: len(folder) + 1 - len(dots)] + [part for part in module.split(".") if part])
        for target in (base, *(f"{base}/{part}".lstrip("/") for part in re.findall(r"\w+", names))):
            found |= {file for file in (f"{target}.py", f"{target}/__init__.py".lstrip("/")) if file in files}
    return found - {"__init__.py"}


def _source_digest() -> int:
    """A hash of the sources that kernels are made of, part of the cache key of every kernel.

    Numba's cache looks only at the file of the root kernel; an edited helper in another file would
    otherwise go unnoticed and the old machine code would run.
    """
    root, digest = pathlib.Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(kernel_sources()):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    digest.update(repr(numba.config.BOUNDSCHECK).encode())  # type: ignore[attr-defined]  # which Numba's key leaves out
    return int.from_bytes(digest.digest()[:6], "big")


SOURCE = _source_digest()


class KernelCache(FunctionCache):
    """Has a file of its own for each state of the sources; a file that cannot be read or written is a kernel that compiles.

    Numba's index of a cache names classes of arguments by their modules: one that an earlier version of the package has left
    cannot be read where a class has moved.
    """

    def __init__(self, function: Any):
        super().__init__(function)
        name = f"{self._impl.filename_base}-{SOURCE:x}"
        self._cache_file = IndexDataCacheFile(self.cache_path, name, self._impl.locator.get_source_stamp())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever half a file may raise when it is unpickled
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as reason:
            _tell(f"cannot be kept in {self.cache_path} ({reason.strerror or reason})")


def cached(function: Callable, **options: Any) -> Any:
    """`numba.njit` of a function, with its code on disk where that can be."""
    try:
        return _kept(function, options)
    except RuntimeError:  # Numba knows no place
        folder = _temporary()
    if folder is not None:
        before = numba.config.CACHE_DIR  # type: ignore[attr-defined]
        numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
        try:
            kept = _kept(function, options)
            _tell(f"are kept in {folder}, because neither the package's folder nor the user's cache can be written")
            return kept
        except RuntimeError:
            pass
        finally:
            numba.config.CACHE_DIR = before  # type: ignore[attr-defined]
    _tell("are compiled anew by each process, because no folder for them can be written")
    return numba.njit(**options)(function)


def _kept(function: Callable, options: dict[str, Any]) -> Any:
    compiled: Any = numba.njit(cache=True, **options)(function)
    if INDEXED not in LOST:
        try:
            compiled._cache = KernelCache(function)
        except Exception as reason:
            lose(INDEXED, reason)
    return compiled


@functools.cache
def _temporary() -> pathlib.Path | None:
    """A folder in the temporary directory that nobody else can write, whose files are code; None where there is none."""
    user = os.getuid() if hasattr(os, "getuid") else "cache"  # on Windows, the directory is the user's own
    try:
        folder = pathlib.Path(tempfile.gettempdir()) / f"snnlearn-{user}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or (user != "cache" and (found.st_uid != user or found.st_mode & 0o077)):
            return None
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return None
    return folder


_told = set[str]()


def _tell(text: str) -> None:
    if text not in _told:
        _told.add(text)
        advice = "set NUMBA_CACHE_DIR to a folder where they may stay"
        warnings.warn(f"snnlearn: kernels {text}; {advice}", RuntimeWarning, stacklevel=2)
