"""Prepared calls: the same bits as the ordinary call, and the ordinary call where Numba passes arguments in another way."""

from typing import NamedTuple

import numba
import numpy as np
import pytest

from snnlearn.compiler import bound_call, entry, fallback
from snnlearn.compiler.bound_call import Frame

UNPREPARED = numba.config.DISABLE_JIT or numba.config.BOUNDSCHECK
compiled = pytest.mark.skipif(bool(UNPREPARED), reason="nothing is prepared without the JIT, or where bounds are checked")


class Arrays(NamedTuple):
    matrix: np.ndarray
    index: np.ndarray
    scale: np.float32
    on: bool


class Where(NamedTuple):
    first: int
    stop: int


@numba.njit
def kernel(arrays, nested, factor, out, where, version=7):
    for k in range(where.first, where.stop):
        out[k] = factor * arrays.scale * arrays.matrix[1, arrays.index[k]] + nested[0][0] + nested[1] + arrays.on + version


def frame(out):
    arrays = Arrays(np.arange(12, dtype=np.float32).reshape(2, 6), np.array([5, 0, -1, 2], np.int32), np.float32(0.25), True)
    return Frame(kernel, (arrays, (np.array([2.0**-10]), -3), 1.5, out, Where(0, 2)))


REST = 2.0**-10 - 3 + 1 + 7  # nested, on, version


def expect_calls(one, out):
    one.call()
    assert out.tolist() == [0.375 * 11 + REST, 0.375 * 6 + REST, 0, 0]
    one.change("first", 3), one.change("stop", 4)
    one.call()
    assert out.tolist() == [0.375 * 11 + REST, 0.375 * 6 + REST, 0, 0.375 * 8 + REST]


@compiled
def test_a_frame_is_prepared_with_this_numba():
    out = np.zeros(4)
    one = frame(out)
    assert one.prepared
    expect_calls(one, out)


@compiled
@pytest.mark.parametrize(
    "module, name, value",
    [
        (entry, "ARRAY", ("meminfo", "parent", "itemsize", "nitems", "data", "shape", "strides")),
        (entry, "ARRAY", entry.ARRAY[1:]),
        (entry, "cgutils", None),
        (bound_call, "_fields", lambda value, known=bound_call._fields: [("i64", bits) for _, bits in known(value)]),
    ],
    ids=["order", "number", "inside", "types"],
)
def test_another_layout_is_called_as_usual(monkeypatch, module, name, value):
    monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(entry, "ENTRIES", {})
    monkeypatch.setattr(fallback, "LOST", {})
    out = np.zeros(4)
    with pytest.warns(RuntimeWarning, match="does without calls with prepared arguments"):
        one = frame(out)
    assert not one.prepared
    expect_calls(one, out)


@compiled
def test_bounds_are_checked(monkeypatch):
    monkeypatch.setattr(numba.config, "BOUNDSCHECK", 1)
    checked = numba.njit(boundscheck=True)(kernel.py_func)
    arrays = Arrays(np.ones((2, 6), np.float32), np.array([5, 6], np.int32), np.float32(1), False)
    one = Frame(checked, (arrays, (np.zeros(1), 0), 1.0, np.zeros(2), Where(0, 2)))
    with pytest.raises(IndexError):
        one.call()
