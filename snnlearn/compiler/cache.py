"""What kernels on disk are known by: the sources that they are made of."""

from __future__ import annotations

import hashlib
import pathlib
import re

import numba

TUPLES = ("tape.py", "events.py")  # Numba tells tuples apart by their class's name, not by the order of its fields


def kernel_sources() -> set[pathlib.Path]:
    """The files that kernels are made of: the modules that import `dispatch`, those of the tuples that kernels take
    (`TUPLES`), the compiler's own and, because constants are compiled in, all that they import in turn.
    """
    here, root = pathlib.Path(__file__).parent, pathlib.Path(__file__).parents[1]
    imports = {path: _imports(path, root) for path in root.rglob("*.py")}
    makes = here / "dispatch.py"
    begins = [path for path, names in imports.items() if makes in names or path.name in TUPLES or path.parent == here]
    found, waiting = set[pathlib.Path](), begins
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += imports.get(path, ())
    return found


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


def _imports(path: pathlib.Path, root: pathlib.Path) -> set[pathlib.Path]:
    """Files of the package that a file imports from when it is imported itself, by relative imports."""
    found, text = set(), path.read_text("utf-8")
    for dots, module, names in re.findall(r"^from (\.+)([\w.]*) import (\(.*?\)|[^\n]*)", text, re.M | re.S):
        base = path.parents[len(dots) - 1].joinpath(*module.split(".")) if module else path.parents[len(dots) - 1]
        for target in (base, *(base / name for name in re.findall(r"\w+", names))):
            found |= {f for f in (target.with_suffix(".py"), target / "__init__.py") if f.is_file()}
    return found - {root / "__init__.py"}


SOURCE = _source_digest()
