"""Sparse input and the form in which kernels read any input."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import snnlearn as sl
from snnlearn.events import encode, is_batch


def read(arrays, n_channels):
    """Back to [trials, T, n_channels]."""
    trials, n_steps = arrays.indptr.shape[0], arrays.indptr.shape[1] - 1
    x = np.zeros((trials, n_steps, n_channels))
    for b in range(trials):
        for t in range(n_steps):
            for e in range(arrays.indptr[b, t], arrays.indptr[b, t + 1]):
                x[b, t, arrays.channel[e]] += arrays.value[e]
    return x


def test_dense_input_survives(rng):
    x = rng.normal(size=(3, 5, 4)) * (rng.random((3, 5, 4)) < 0.4)
    arrays = encode(x, 4, np.float64)
    assert_array_equal(read(arrays, 4), x)
    assert arrays.value.size == np.count_nonzero(x)
    assert_array_equal(read(encode(x[0], 4, np.float64), 4), x[:1])


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_any_number_type_is_taken(dtype, rng):
    x = (rng.random((5, 4)) < 0.5).astype(dtype)
    arrays = encode(x, 4, np.float32)
    assert arrays.value.dtype == np.float32
    assert_array_equal(read(arrays, 4)[0], x)


def test_events_survive_in_any_order(rng):
    step, channel = rng.integers(0, 9, 30), rng.integers(0, 4, 30)
    events = sl.Events(step, channel, 9)
    want = np.zeros((9, 4))
    np.add.at(want, (step, channel), 1)
    assert_array_equal(events.toarray(4), want)
    assert_array_equal(read(encode(events, 4, np.float64), 4)[0], want)
    assert len(events) == 30 and (np.diff(events.step) >= 0).all()


def test_a_batch_of_events(rng):
    trials = [sl.Events(rng.integers(0, 9, k), rng.integers(0, 4, k), 9) for k in (5, 0, 12)]
    assert is_batch(trials) and not is_batch(trials[0])
    assert_array_equal(read(encode(trials, 4, np.float64), 4), [t.toarray(4) for t in trials])


def test_no_events_at_all():
    assert read(encode(sl.Events([], [], 3), 2, np.float64), 2).sum() == 0


def test_events_are_copied_and_cannot_be_written():
    step = np.array([0, 1])
    events = sl.Events(step, [0, 0], 3)
    step[0] = 2
    assert events.step[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        events.channel[0] = 1
