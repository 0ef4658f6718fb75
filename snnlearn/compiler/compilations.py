"""Compilations of the package's functions as they happen: announced once, counted where that is asked for."""

from __future__ import annotations

import gc
import sys
import threading
from typing import Any

from .fallback import lose

try:
    from numba.core.event import Listener, register, unregister
except Exception as reason:
    lose("word of what compiles", reason)
    Listener = object  # type: ignore[assignment, misc]

    def register(kind: Any, listener: Any) -> Any:
        pass

    unregister = register

PACKAGE = __name__.partition(".")[0]
TOPIC = "numba:compile"


def belongs(thing: Any) -> bool:
    """Whether a class or function is defined in this package. One that was made by hand may have no module: then it is not."""
    return (getattr(thing, "__module__", None) or "").partition(".")[0] == PACKAGE


def _is_kernel(told: Any) -> bool:
    """Whether what Numba compiles is a function of the package; those of this folder come with others, or try what works."""
    function = getattr((getattr(told, "data", None) or {}).get("dispatcher"), "py_func", None)
    return belongs(function) and not function.__module__.startswith(f"{__package__}.")


class Announcer(Listener):
    """While kernels compile: tells so once, on standard error, and keeps the garbage collector from going through all that a
    compiler makes, again and again, which takes a tenth of the time.
    """

    def __init__(self) -> None:
        self.announced, self.depth, self.collects = False, 0, False
        self.lock = threading.Lock()

    def on_start(self, told: Any) -> None:
        if not _is_kernel(told):
            return
        with self.lock:
            first, self.announced = not self.announced, True
            if self.depth == 0:
                self.collects = gc.isenabled()
                gc.disable()
            self.depth += 1
        if first:
            print("snnlearn: compiling kernels for this kind of network (once; later runs find them on disk)", file=sys.stderr)

    def on_end(self, told: Any) -> None:
        if not _is_kernel(told):
            return
        with self.lock:
            self.depth -= 1
            if self.depth == 0 and self.collects:
                gc.enable()


class Counter(Listener):
    """A context manager that counts the functions of the package that are compiled within it."""

    def __init__(self) -> None:
        self.count = 0

    def on_start(self, told: Any) -> None:
        self.count += _is_kernel(told)

    def on_end(self, told: Any) -> None:
        pass

    def __enter__(self) -> Counter:
        register(TOPIC, self)
        return self

    def __exit__(self, *_: Any) -> None:
        unregister(TOPIC, self)


ANNOUNCER = Announcer()
register(TOPIC, ANNOUNCER)


def compiling() -> bool:
    """Whether a function of the package is being compiled."""
    return ANNOUNCER.depth > 0
