"""Where the runs of a sweep are executed: processes of this machine, or any `concurrent.futures` executor.

A process that is killed takes its pool with it. So each local worker is a pool of one, and what it dies of concerns its own run.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from typing import Any

from .. import _check

ASKED_EVERY = 0.1  # s
TIMEOUT = 10.0  # s until a scheduler must answer


class Local:
    """So many processes of this machine, started anew (spawn) so that nothing of this one is shared."""

    def __init__(self, workers: int):
        self.capacity = workers
        self._pools: list[ProcessPoolExecutor | None] = [None] * workers
        self._busy: dict[Future[Any], int] = {}

    def start(self, function: Callable[..., Any]) -> None:
        """Start all workers, each with a call of the function, as one that imports what they need."""
        for slot in range(self.capacity):
            pool = self._pools[slot] = _one()
            pool.submit(function)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have an idle worker call the function; there must be one."""
        slot = next(k for k in range(self.capacity) if k not in self._busy.values())
        for _ in range(2):
            pool = self._pools[slot] = self._pools[slot] or _one()
            try:
                future = pool.submit(function, *arguments)
                break
            except BrokenExecutor:  # it was killed while idle
                self._pools[slot] = None
        else:
            raise RuntimeError("a worker of the sweep could not be started")
        self._busy[future] = slot
        return future

    def done(self, future: Future[Any]) -> None:
        """Take note that a call has ended; a worker that died is started again when it is needed."""
        slot = self._busy.pop(future)
        pool = self._pools[slot]
        if pool is not None and is_death(failure(future)):
            self._pools[slot] = None
            pool.shutdown(wait=False)

    def close(self, interrupt: bool = False) -> None:
        """End the workers. interrupt : have busy ones stop, which take a checkpoint first; else wait for them"""
        for slot, pool in enumerate(self._pools):
            if pool is not None and interrupt and slot in self._busy.values():
                for number in list(pool._processes or ()):
                    os.kill(number, signal.SIGINT if hasattr(os, "setpgid") else signal.SIGTERM)
        with ThreadPoolExecutor(len(self._pools)) as threads:  # the end of a process takes a while, so all end at once
            for pool in self._pools:
                if pool is not None:
                    threads.submit(pool.shutdown, wait=True, cancel_futures=True)


class Given:
    """An executor of the user's, as of mpi4py.futures, submitit or dask.distributed; it is not closed."""

    capacity = 2**62

    def __init__(self, executor: Any, close: Callable[[], None] = lambda: None):
        self._executor, self._close, self._open = executor, close, set[Any]()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        future = self._executor.submit(function, *arguments)
        self._open.add(future)
        return future

    def done(self, future: Any) -> None:
        self._open.discard(future)

    def close(self, interrupt: bool = False) -> None:
        for future in self._open if interrupt else ():
            future.cancel()
        self._close()


def dask(address: str) -> Given:
    """The workers of a Dask scheduler. ImportError without dask.distributed, OSError where no scheduler answers."""
    distributed = _check.need("distributed", "sweep on a Dask scheduler")
    try:
        client = distributed.Client(address, timeout=TIMEOUT, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise OSError(f"the Dask scheduler {address} does not answer: {error}") from error
    if not client.scheduler_info().get("workers"):
        client.close()
        raise _check.fail("sweep.scheduler", "have workers", address, f"dask worker {address} --nthreads 1 starts one")
    return Given(client.get_executor(pure=False), client.close)


def wait_for_any(futures: Iterable[Any], timeout: float) -> set[Any]:
    """Those that are done, as soon as there is one, or after so many seconds.

    Jobs that are no `concurrent.futures.Future`, as submitit's, are asked now and then.
    """
    if all(isinstance(future, Future) for future in futures):
        return wait(futures, timeout, FIRST_COMPLETED).done
    end = time.monotonic() + timeout
    while True:
        done = {future for future in futures if future.done()}
        if done or time.monotonic() > end:
            return done
        time.sleep(ASKED_EVERY)


def failure(future: Any) -> BaseException | None:
    """The exception of a call that is done, or None."""
    if getattr(future, "cancelled", bool)():
        return CancelledError("cancelled")
    return future.exception()


def is_death(error: BaseException | None) -> bool:
    """Whether a worker died of something other than an exception of its run."""
    return isinstance(error, (BrokenExecutor, CancelledError)) or type(error).__name__ in ("KilledWorker", "FutureCancelledError")


def _one() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_detach)


def _detach() -> None:
    """A worker is no member of the terminal's group: Ctrl-C comes to the sweep, which hands it on once."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
