"""Exponentials of many numbers at once, and arrays that begin on cache lines."""

import math

import numba
import numpy as np
import pytest

from snnlearn.compiler.dispatch import OPTIONS, compiled
from snnlearn.compiler.exponential import exponential
from snnlearn.compiler.memory import LINES, zeros


def all_of(x):
    for i in range(x.shape[0]):
        x[i] = exponential(x[i])


def in_place(x):
    """As kernels compute it."""
    function = numba.njit(**OPTIONS)(all_of) if compiled() else all_of
    function(x)
    return x


@pytest.mark.kernels
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-7), (np.float64, 3e-16)])
def test_the_exponential(dtype, tolerance):
    rng = np.random.default_rng(0)
    x = -np.concatenate([rng.uniform(0, 86, 4000), rng.exponential(1.0, 4000), [0.0, 1e-30, math.log(2), 86.9]]).astype(dtype)
    wanted = np.exp(x.astype(np.longdouble))
    found = in_place(x.copy())
    assert found.dtype == dtype and found[-4] == 1.0
    assert np.abs(found / wanted - 1).max() < tolerance
    for part in (x[:7], x[:16], x[:33]):  # vectors, and what is left over
        assert np.array_equal(in_place(part.copy()), found[: part.size])


@pytest.mark.kernels
def test_exponentials_of_very_negative_numbers():
    assert (in_place(np.array([-88.0, -1e6, -np.inf], np.float32)) < 1e-37).all()
    assert exponential(np.float32(-1)).dtype == np.float32


@pytest.mark.parametrize("shape", [0, 7, (3, 5), (2, 1000, 100)])
def test_zeros_begin_on_cache_lines(shape):
    for dtype in (np.float32, np.float64, np.int32, np.uint8):
        array = zeros(shape, dtype)
        assert array.shape == np.zeros(shape).shape and array.dtype == dtype
        assert array.ctypes.data % LINES == 0 or not array.size
        assert array.flags.c_contiguous and array.flags.writeable and not array.any()
        assert array.base is None or array.base.dtype == dtype  # else scipy.sparse copies it
