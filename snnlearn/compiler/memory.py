"""Makes arrays begin on cache lines of their own, so that loads of vectors do not cross lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

LINES = 128  # bytes: two cache lines, which processors fetch together


def zeros(shape: int | tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    """`numpy.zeros`, whose array begins on a cache line. NumPy's own begin 16 bytes behind one where they are large."""
    count, itemsize = math.prod(shape) if isinstance(shape, tuple) else shape, np.dtype(dtype).itemsize
    memory = np.zeros(count + LINES // itemsize, dtype)  # entries, not bytes: scipy.sparse copies small parts of large arrays
    start = -memory.ctypes.data % LINES // itemsize
    return memory[start : start + count].reshape(shape)


def aligned(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Contiguous copies in one piece of memory, each of which begins on a cache line that it shares with no other array.

    A vector of 64 bytes that crosses two lines costs two accesses, and threads that write to one line wait for each other.
    """
    memory = np.zeros(sum(array.nbytes + LINES for array in arrays) + LINES, np.uint8)
    found, start = [], -memory.ctypes.data % LINES
    for array in arrays:
        copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        copy[...] = array
        found.append(copy)
        start += -(-array.nbytes // LINES) * LINES
    return found
