"""Times that differ by rounding are the same: steps that come from float32 files, or from differences of times."""

import numpy as np
import pytest

import snnlearn as sl
from snnlearn._check import decimal, same_time, whole_steps
from snnlearn.datasets import Binned, base
from snnlearn.storage.open_file import window

SINGLE = float(np.float32(0.1))  # 0.10000000149011612
LESS = float(np.float32(0.7))  # 0.699999988079071
DIFFERENCE = 0.3 - 0.2  # 0.09999999999999998
ALMOST = pytest.mark.parametrize("dt", [np.float32(0.1), SINGLE, DIFFERENCE], ids=["float32", "single", "difference"])


@ALMOST
def test_a_task_and_a_network_of_almost_the_same_step(dt):
    task = sl.tasks.Copy(length=1, n_symbols=2, symbol_duration=20.0, delay=20.0, n_per_group=2, dt=0.1)
    net = sl.Network(task.n_inputs, sl.LIF(5, threshold=0.4), task.n_outputs, dt=dt)
    assert net.delay_steps == 1
    sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-6), loss=sl.CrossEntropy())
    assert sim.train(task, trials=1).status == "complete"
    other = sl.Network(task.n_inputs, sl.LIF(5, threshold=0.4), task.n_outputs, dt=0.1001)
    with pytest.raises(ValueError, match=r"task.dt must be 0.1001 ms, as the network has \(got 0.1\)"):
        sl.Simulator(other, rule=sl.EProp(), optimizer=sl.SGD(1e-6), loss=sl.CrossEntropy()).train(task, trials=1)


@ALMOST
def test_durations_and_delays_in_almost_whole_steps(dt):
    want = sl.tasks.Copy(length=2, n_symbols=2, symbol_duration=200.0, delay=3000.0, n_per_group=2, dt=0.1)
    task = sl.tasks.Copy(length=2, n_symbols=2, symbol_duration=200.0, delay=3000.0, n_per_group=2, dt=dt)
    assert task.n_steps == want.n_steps == 38_000
    assert sl.Network(3, sl.LIF(5), 2, dt=dt, delay=1000.0).delay_steps == 10_000
    with pytest.raises(ValueError, match=r"Network.delay must be a whole number of steps"):
        sl.Network(3, sl.LIF(5), 2, dt=dt, delay=0.15)


@pytest.mark.parametrize(("dt", "exact"), [(LESS, 0.7), (SINGLE, 0.1)])
def test_limits_of_a_task_are_limits_up_to_rounding(dt, exact):
    options = {"n_steps": 1000, "periods": (1000 * exact, 250 * exact), "rate": 1000 / exact}
    targets = [sl.tasks.PatternGeneration(dt=step, **options).trial(0).target for step in (dt, exact)]
    np.testing.assert_array_equal(*targets)


@ALMOST
@pytest.mark.parametrize("steps", [1, 3, 3000, 500_000])
def test_windows_of_a_recording(dt, steps):
    assert window(float(dt), (steps * 0.1, (steps + 7) * 0.1)) == (steps, steps + 7)
    assert window(float(dt), ((steps + 0.5) * 0.1, None))[0] == steps + 1


class Ramp(base.Dataset):
    """One sample: an event at each multiple of 0.1 ms."""

    name, sensor, classes = "ramp", (1, 1, 1), ("one",)
    targets = np.zeros(1, np.int64)

    def __len__(self):
        return 1

    def _read(self, index):
        t = np.arange(5000) * 0.1
        zeros = np.zeros(t.size, np.int64)
        return base.Sample(t, zeros, zeros, zeros, 0)

    def to_dict(self):
        return {}

    def digest(self):
        return None


@ALMOST
def test_events_on_the_grid_fall_into_their_own_steps(dt):
    events, _ = Binned(Ramp(), dt)[0]
    np.testing.assert_array_equal(events.step, np.arange(5000))


def test_what_is_whole_and_what_is_the_same():
    assert whole_steps(3000.0, SINGLE) == 30_000 and whole_steps(0.3, 0.1) == 3
    assert whole_steps(0.15, 0.1) is None and whole_steps(1.0, 5e-324) is None
    assert whole_steps(1e6 + 0.5, 1.0) is None, "half a step is no rounding, however long the time"
    assert same_time(SINGLE, 0.1) and not same_time(0.1001, 0.1) and not same_time(0.1, 0.1 * (1 + 2e-6))
    assert decimal(SINGLE) == 0.1 and decimal(0.1) == 0.1 and decimal(1 / 3) == 1 / 3 and decimal(2.5) == 2.5
