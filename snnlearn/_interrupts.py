"""Defers Ctrl-C and SIGTERM to the end of a batch, so that a checkpoint can be written, and to the end of a write to a file."""

from __future__ import annotations

import functools
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM") if hasattr(signal, name))
DEFAULTS = (signal.default_int_handler, signal.SIG_DFL)  # handlers that may be replaced


def _is_command() -> bool:
    """Whether this process has been started as `snnlearn` or `python -m snnlearn`, and is no worker of one."""
    program = sys.argv[0] if sys.argv else ""
    return program in sys.orig_argv and (program == "-m" or pathlib.Path(program).stem == "snnlearn")


def _end(number: int, frame: Any) -> None:
    os._exit(128 + number)  # nothing has begun that would have to be cleaned up


def end_quietly() -> None:
    """Have Ctrl-C end the process from here on, where it is the command."""
    if _is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_again() -> None:
    """Ctrl-C is KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Interrupts:
    """A context manager. While `held`, the first Ctrl-C or SIGTERM waits for its end; a second one does not.

    wanted : False leaves the handlers of signals alone: `between` is then still told, but nothing waits

    Both signals raise KeyboardInterrupt. Handlers that the user has set are left alone, and so are all outside the main thread.
    """

    def __init__(self, wanted: bool = True):
        self.wanted = wanted and threading.current_thread() is threading.main_thread()
        self.between = True  # whether the state is that between two batches or pieces
        self._asked = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in SIGNALS if self.wanted else ():
            if signal.getsignal(number) in DEFAULTS:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Signals wait for the end of this block, which then raises KeyboardInterrupt; after an exception `between` is False.

        So does its beginning where Python lost the KeyboardInterrupt of an earlier signal, as in the callback of a weakref.
        """
        if self._asked:
            self._asked = False
            raise KeyboardInterrupt
        self.between = False
        yield
        self.between = True
        if self._asked:
            self._asked = False
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        raises, self._asked = self.between or self._asked, True
        if raises:
            raise KeyboardInterrupt
        from .compiler.compilations import compiling

        first = "kernels are compiling, and this batch" if compiling() else "this batch"
        try:  # on a line of its own: terminals show ^C, and there may be a bar
            print(f"\nsnnlearn: interrupted; {first} is finished first (again to stop at once)", file=sys.stderr, flush=True)
        except (RuntimeError, OSError, ValueError, AttributeError):
            pass  # the signal has come in the middle of another print, or there is nowhere to print


_shields = 0  # of the main thread


def shielded(function: Callable[P, R]) -> Callable[P, R]:
    """The function, in which no handler of Ctrl-C or SIGTERM runs; it runs at its end instead.

    HDF5 calls back into Python to write a file. An exception from a handler would come to it as a write that failed.
    """

    @functools.wraps(function)
    def call(*arguments: P.args, **options: P.kwargs) -> R:
        global _shields
        if _shields or threading.current_thread() is not threading.main_thread():
            return function(*arguments, **options)
        waiting: list[int] = []
        previous: dict[int, Any] = {}
        try:
            _shields = 1
            for number in SIGNALS:
                handler = signal.getsignal(number)
                if callable(handler):
                    previous[number] = handler
                    signal.signal(number, lambda got, frame: waiting.append(got))
            return function(*arguments, **options)
        finally:
            for one, handler in previous.items():
                signal.signal(one, handler)
            _shields = 0
            for one in waiting:
                previous[one](one, None)

    return call


end_quietly()  # importing the package takes a second or two: until `raise_again`, Ctrl-C ends the command without a traceback
