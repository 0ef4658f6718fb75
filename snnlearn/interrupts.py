"""Ctrl-C and SIGTERM that wait until a batch or piece is done, so that a checkpoint can be taken between two of them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
DEFAULTS = (signal.default_int_handler, signal.SIG_DFL)  # handlers that may be replaced


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
        """Signals wait for the end of this block, which then raises KeyboardInterrupt; after an exception `between` is False."""
        self.between = False
        yield
        self.between = True
        if self._asked:
            self._asked = False
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.between or self._asked:
            raise KeyboardInterrupt
        self._asked = True
