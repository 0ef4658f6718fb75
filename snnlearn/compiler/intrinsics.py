"""What a processor can be told and Numba has no word for: memory that is wanted soon, denormal numbers, threads that meet."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from .dispatch import compiled, overloads
from .fallback import lose, tried

PREFETCHING, FLUSHING, MEETING = "prefetching", "flushing denormal numbers", "threads that share the neurons of a trial"
BITS = "spikes found by bits"
POWERS = "powers of two made of their bits"

try:
    from . import instructions
except Exception as reason:
    for use in (PREFETCHING, FLUSHING, MEETING, BITS, POWERS):
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


@tried(BITS)
def _finds_bits() -> None:
    @numba.njit
    def root(array):
        return instructions.lowest_bit(instructions.set_bits(array, 0))  # type: ignore[call-arg]

    assert root(np.array([0, 0, 1] + 13 * [0], np.float32)) == 2


@tried(POWERS)
def _scales() -> None:
    @numba.njit
    def root(x, k):
        return instructions.scaled(x, k)  # type: ignore[call-arg]

    assert root(np.float32(3), np.int32(-2)) == 0.75


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


LANES = 16  # entries that `set_bits` looks at


def set_bits(array: Any, index: int) -> Any:
    """Whether array[index + k] (1-D, floats) differs from zero, as bit k of a uint64, for the k below `LANES`."""
    word = np.uint64(0)
    for k in range(LANES):
        word |= np.uint64(array[index + k] != 0) << np.uint64(k)
    return word


def lowest_bit(word: Any) -> int:
    """The number of the lowest set bit of a uint64 that is not 0."""
    k = 0
    while not word >> np.uint64(k) & np.uint64(1):
        k += 1
    return k


_set_bits, _lowest_bit = set_bits, lowest_bit


@overloads(set_bits)
def _(array, index):
    if _finds_bits():
        return lambda array, index: instructions.set_bits(array, index)  # type: ignore[call-arg]
    return _set_bits


@overloads(lowest_bit)
def _(word):
    if _finds_bits():
        return lambda word: instructions.lowest_bit(word)  # type: ignore[call-arg]
    return _lowest_bit


def scaled(x: Any, k: Any) -> Any:
    """x 2^k of a float32 and an int32 from -126 to 127."""
    return np.ldexp(x, k)


@overloads(scaled)
def _(x, k):
    if _scales():
        return lambda x, k: instructions.scaled(x, k)  # type: ignore[call-arg]
    return lambda x, k: np.float32(math.ldexp(x, k))


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
