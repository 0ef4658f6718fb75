"""An exponential function that loops compute for many float32 numbers at once; a mathematical library's takes them one by one.

With k the whole number nearest to x / log 2 and r = x - k log 2, which lies within +-0.35,

    exp(x) = 2^k exp(r),   exp(r) = sum_i r^i / i!  for i = 0 .. 7                                       (1)

with a relative error below 2e-7. log 2 is a sum of two numbers, of which the first has so few bits that its product with k is
exact. float64 is for comparisons, which want the library's last bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .dispatch import overloads
from .intrinsics import scaled

real = np.float32
LEAST = real(-87.0)  # below it 2^k is a denormal number
PER_LOG2, HIGH, LOW = real(1 / math.log(2)), real(0.693359375), real(-2.12194440e-4)
ONE, C2, C3, C4, C5, C6, C7 = (real(1 / math.factorial(i)) for i in range(1, 8))


def exponential(x: Any) -> Any:
    """exp(x) of a number that is not positive, in its type; of float32 never below 1e-38."""
    return _single(x) if type(x) is real else np.exp(x)


def _single(x: Any) -> Any:
    x = max(x, LEAST)
    k = np.rint(x * PER_LOG2)
    r = x - k * HIGH - k * LOW
    return scaled(((((((C7 * r + C6) * r + C5) * r + C4) * r + C3) * r + C2) * r + ONE) * r + ONE, np.int32(k))  # (1)


@overloads(exponential)
def _(x):
    return _single if str(x) == "float32" else lambda x: np.exp(x)
