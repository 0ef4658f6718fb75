"""Data sets that are drawn: beside what the published generators give, and beside another solver."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import snnlearn as sl
from snnlearn.datasets.generated import DOT, LYAPUNOV, RADIUS, mackey_glass, mnist1d, yin_yang

KEPT_LABELS = [2, 6, 4, 5, 6, 6, 6, 0, 3, 1, 6, 9, 4, 3, 4, 5, 1, 9, 0, 3]
KEPT_FIRST = [-0.33201, -0.47191, -0.7787, -1.00974, -0.88235, 0.10393, 1.64328, 1.65251]
KEPT_LAST = [-0.54001, -0.55877, -0.39591, -0.09865, 0.44723, 0.65988, 0.87773, 1.19315]


def test_mnist1d_is_the_published_set():
    """Labels and values that mnist1d 0.0.2 gives, which the generator equals to 8e-8 in all 200 000 values."""
    x, y = mnist1d()
    assert x.shape == (5000, 40) and not x.flags.writeable
    assert y[:20].tolist() == KEPT_LABELS and np.bincount(y).tolist() == [500] * 10
    assert_allclose(x[0, :8], KEPT_FIRST, atol=2e-5)
    assert_allclose(x[4999, -8:], KEPT_LAST, atol=2e-5)
    assert_allclose([x.mean(), x.std()], [0, 1], atol=1e-12)
    other = mnist1d(200, 1)
    assert not np.array_equal(other[0], mnist1d(200, 2)[0])
    assert_array_equal(np.bincount(other[1]), np.full(10, 20))


def test_yin_yang_parts():
    points, labels = yin_yang(3000, 7)
    assert_allclose(points[:, 2:], 1 - points[:, :2])
    right, left = (np.hypot(points[:, 0] - c * RADIUS, points[:, 1] - RADIUS) for c in (1.5, 0.5))
    dots = (right < DOT) | (left < DOT)
    assert_array_equal(labels == 2, dots)
    assert (np.hypot(points[:, 0] - RADIUS, points[:, 1] - RADIUS) <= RADIUS).all()
    top, bottom = points[:, 1] > RADIUS, points[:, 1] < RADIUS
    assert (labels[~dots & top & (right > RADIUS / 2)] == 0).all()
    assert (labels[~dots & bottom & (left > RADIUS / 2)] == 1).all()
    assert (labels[~dots & (left <= RADIUS / 2)] == 0).all() and (labels[~dots & (right <= RADIUS / 2)] == 1).all()
    assert np.abs(np.bincount(labels) - 1000).max() < 5 * np.sqrt(3000 * 2 / 9)


@pytest.mark.parametrize("tau", [17, 30])
def test_mackey_glass_beside_a_plain_solver(tau):
    lyapunov, start = LYAPUNOV[tau]
    h = 1 / 400
    back, n = tau * 400, 100 * 400
    x = np.full(back + n + 1, start)
    for i in range(back, back + n):
        x[i + 1] = x[i] + h * (0.2 * x[i - back] / (1 + x[i - back] ** 10) - 0.1 * x[i])
    shown = int(100 / (lyapunov / 75))
    times = np.arange(shown) * lyapunov / 75
    assert_allclose(mackey_glass(tau)[:shown], np.interp(times, np.arange(n + 1) * h, x[back:]), atol=2e-3)
    assert mackey_glass(tau).shape == (3750,) and 0.15 < mackey_glass(tau)[750:].std() < 0.4


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: mnist1d(15), "mnist1d n must be a positive multiple of 10"),
        (lambda: yin_yang(0), "yin_yang n must be a positive number"),
        (lambda: mackey_glass(16), "mackey_glass tau must be a whole number in 17 .. 30"),
        (lambda: sl.datasets.load("mnist-2d"), "data set must be one of"),
        (lambda: sl.datasets.load("mnist-1d", 3), "variant must be None for mnist-1d"),
        (lambda: sl.tasks.Suite(data="mnist"), "Suite.data must be one of"),
        (lambda: sl.tasks.Suite(data="mnist-1d", jitter=-1.0), "Suite.jitter must be a number, not negative"),
        (lambda: sl.tasks.Suite(data="mnist-1d", digest="0"), "Suite.digest must be that of the data mnist-1d"),
    ],
)
def test_what_is_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()


@pytest.mark.parametrize("name", ["mnist-1d", "mackey-glass"])
def test_a_task_of_the_suite(name):
    task = sl.tasks.Suite(data=name, jitter=0.1, encoder=[sl.encode.Window(4)], seed=3)
    assert task.n_inputs == 4
    data = sl.datasets.load(name)
    kept = {split: [task.trial(k, split) for k in range(min(3, task.n_samples(split)))] for split in task.splits}
    again = sl.tasks.Task.from_dict(task.to_dict())
    assert again == task and again.to_dict()["encoder"]["name"] == "Chain"
    for split, trials in kept.items():
        for k, trial in enumerate(trials):
            assert_array_equal(again.trial(k, split).x, trial.x)
    assert_allclose(kept["test"][0].x[:, 0], task.arrays.scaled(data.test[0][0])[:, 0])
    calm = sl.tasks.Suite(data=name, encoder=sl.encode.Window(4), seed=3)
    assert_allclose(kept["train"][0].x[0, 0], calm.trial(0).x[0, 0], atol=0.6)
    assert not np.array_equal(kept["train"][0].x, calm.trial(0).x)
    if name == "mnist-1d":
        assert [task.n_samples(split) for split in ("train", "validation", "test")] == [3400, 600, 1000]
    else:
        assert_allclose(kept["test"][0].x[1:, 0], task.arrays.scaled(data.test[1][0])[:-1, 0])
