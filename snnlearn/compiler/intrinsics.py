"""What a processor can be told and Numba has no word for: memory that is wanted soon, denormal numbers, threads that meet."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from .dispatch import compiled, overloads
from .fallback import lose, tried

PREFETCHING, FLUSHING, MEETING = "prefetching", "flushing denormal numbers", "threads that share the neurons of a trial"

try:
    from . import instructions
except Exception as reason:
    for use in (PREFETCHING, FLUSHING, MEETING):
        lose(use, reason)


@tried(PREFETCHING)
def _prefetches() -> None:
    @numba.njit
    def root(array):
        instructions.prefetch(array, 0)  # type: ignore[call-arg]

    root(np.zeros(1))


@tried(FLUSHING)
def _flushes() -> None:
    @numba.njit
    def root():
        instructions.control(2, instructions.control(1, 0))  # type: ignore[call-arg]

    root()


@tried(MEETING)
def _meets() -> None:
    @numba.njit
    def root(array):
        instructions.rest(False)  # type: ignore[call-arg]
        return instructions.add_and_get(array, 0) + instructions.peek(array, 0)

    assert root(np.zeros(1, np.int64)) == 2


def can_meet() -> bool:
    """Whether threads can wait for each other within kernels: not as plain Python, which runs one at a time."""
    return compiled() and _meets()


def prefetch(array: Any, index: int) -> None:
    """Have the processor load the cache line of array[index] (1-D), which is wanted soon; the index is not checked."""


@overloads(prefetch)
def _(array, index):
    if _prefetches():
        return lambda array, index: instructions.prefetch(array, index)  # type: ignore[call-arg]
    return lambda array, index: None


def flush_denormals() -> int:
    """Have this thread take denormal numbers for zero, and return what `restore` needs.

    What decays for long, such as the trace of a silent input, ends among the denormal numbers (float32: below 1.2e-38) and
    stays there by rounding; on many processors each of them costs a hundred times a multiplication.
    """
    return 0


def restore(register: int) -> None:
    """Undo `flush_denormals`."""


@overloads(flush_denormals)
def _():
    return (lambda: instructions.control(1, 0)) if _flushes() else (lambda: 0)  # type: ignore[call-arg]


@overloads(restore)
def _(register):
    if _flushes():
        return lambda register: instructions.control(2, register)  # type: ignore[call-arg]
    return lambda register: None


def add_and_get(array: Any, index: int) -> int:
    """Add 1 to array[index] (int64, 1-D) and return the sum; atomic, and all threads see what this one has written before."""
    array[index] += 1
    return int(array[index])


def peek(array: Any, index: int) -> int:
    """array[index] (int64, 1-D) as other threads have left it, with all that they had written before."""
    return int(array[index])


def rest(long: bool) -> None:
    """Wait for a few cycles; where `long`, sleep for `NAP` (but on Windows, whose naps are too long).

    On a machine whose cores are all busy, a thread that keeps its core while it waits has used up its turn when the one that
    it waits for gets its own; one that sleeps is woken at once. Offering the core by sched_yield gives it away for milliseconds.
    """


@overloads(add_and_get)
def _(array, index):
    return lambda array, index: instructions.add_and_get(array, index)  # type: ignore[call-arg]


@overloads(peek)
def _(array, index):
    return lambda array, index: instructions.peek(array, index)  # type: ignore[call-arg]


@overloads(rest)
def _(long):
    return lambda long: instructions.rest(long)  # type: ignore[call-arg]
