"""Where arrays begin: on cache lines of their own, so that vectors do not cross them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LINES = 128  # bytes: two cache lines, which processors fetch together


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
