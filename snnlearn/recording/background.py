"""What a recording does while the run goes on: work that neither Python nor HDF5 is needed for, in one thread, in order.

Chunks are encoded (`encoding`) and bytes are written to the file (`journal`): both release Python's lock, so that they take place
beside compiled code. The thread never calls HDF5, which has one lock for all its calls: whoever holds that lock, as a callback
that collects garbage may, can wait for the thread.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

LIMIT_BYTES = 1 << 23  # that wait for the thread; the run stands still until fewer do


class Background:
    """One thread, which begins with the first task; its owner must `close` it."""

    def __init__(self) -> None:
        self.waited = 0.0  # s that its owner stood still, because the thread could not keep up
        self._executor: ThreadPoolExecutor | None = None
        self._queue: deque[tuple[int, Future[Any]]] = deque()  # bytes and result of what may not be done yet

    @property
    def waiting(self) -> int:
        """Bytes of tasks that are not done."""
        while self._queue and self._queue[0][1].done():
            self._queue.popleft()
        return sum(nbytes for nbytes, _ in self._queue)

    def submit(self, nbytes: int, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have the thread call a function, once fewer bytes than the limit wait; nbytes : that it holds meanwhile."""
        while self.waiting > LIMIT_BYTES - nbytes and self._queue:
            self._await(self._queue[0][1])
        try:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, "snnlearn-recorder")
            future = self._executor.submit(function, *arguments)
        except RuntimeError:  # at the end of the program no thread begins
            future = Future()
            try:
                future.set_result(function(*arguments))
            except BaseException as error:
                future.set_exception(error)
            return future
        self._queue.append((nbytes, future))
        return future

    def _await(self, future: Future[Any]) -> None:
        began = time.monotonic()
        future.exception()  # which is for the one who asked for it
        self.waited += time.monotonic() - began

    def close(self) -> None:
        """End the thread, once everything is done."""
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None
