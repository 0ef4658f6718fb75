"""Learning-rate schedules and the limits of optimizers; their steps are compared with the twin in test_simulator.py."""

import numpy as np
import pytest

import snnlearn as sl
from snnlearn.optimizers.optimizers import WEIGHT_NAMES


def test_exponential_decay():
    schedule = sl.ExponentialDecay(0.1, 0.5, every=4)
    assert [schedule(k) for k in (0, 4, 8)] == pytest.approx([0.1, 0.05, 0.025])
    assert schedule(2) == pytest.approx(0.1 * np.sqrt(0.5))


def test_step_decay():
    schedule = sl.StepDecay(0.1, 0.5, every=3)
    assert [schedule(k) for k in range(7)] == pytest.approx([0.1] * 3 + [0.05] * 3 + [0.025])


def test_cosine_decay():
    schedule = sl.CosineDecay(0.1, updates=10, final=0.02)
    assert [schedule(k) for k in (0, 5, 10, 99)] == pytest.approx([0.1, 0.06, 0.02, 0.02])


def test_rates_count_from_the_updates_done():
    optimizer = sl.SGD(lambda k: 10.0 - k)
    assert optimizer.rates(3, 4).tolist() == [7.0, 6.0, 5.0, 4.0]
    assert sl.Adam(0.5).rates(3, 2).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_a_schedule_must_give_rates(bad):
    with pytest.raises(ValueError, match=r"SGD.lr\(6\) must give a finite learning rate"):
        sl.SGD(lambda k: bad if k == 6 else 0.1).rates(5, 3)


def test_bounds_hold_for_weights_and_by_name():
    low, high = sl.SGD(0.1, bounds=(-1, 2))._bounds()
    assert low.tolist() == [-1, -1, -1, -np.inf] and high.tolist() == [2, 2, 2, np.inf]
    low, high = sl.SGD(0.1, bounds={"w_rec": (0, 3)})._bounds()
    assert dict(zip(WEIGHT_NAMES, high.tolist(), strict=True)) == dict(w_in=np.inf, w_rec=3, w_out=np.inf, b_out=np.inf)
    assert low.tolist() == [-np.inf, 0, -np.inf, -np.inf]
