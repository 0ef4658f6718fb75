"""Inputs in a recording: they come back as they were given, whatever their form."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import snnlearn as sl

T, N_IN = 30, 5


def simulator(**options):
    net = sl.Network(N_IN, sl.LIF(6, threshold=0.3), sl.Readout(2, tau=5.0))
    return sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-4), seed=1, **options)


def spikes(rng, trials=4):
    return (rng.random((trials, T, N_IN)) < 0.3).astype(float)


@pytest.mark.parametrize("update_every", ["trial", 4])
def test_spikes_come_back_as_events(path, rng, update_every):
    x, y = spikes(rng), rng.standard_normal((4, T, 2))
    with sl.Recorder(path, inputs=True) as recorder:
        first = simulator(update_every=update_every).run(x, y, recorder=recorder)
    with sl.open_recording(path) as rec:
        again = [rec.inputs(trial) for trial in rec.trials]
        assert all(isinstance(events, sl.Events) and events.n_steps == T for events in again)
        assert_array_equal(np.stack([events.toarray(N_IN) for events in again]), x)
        assert_array_equal(rec.inputs(2, (5.0, 12.0)).toarray(N_IN), x[2, 5:12])
        assert "inputs" in sl.recording.describe(path) and "spikes of 5 channels" in sl.recording.describe(path)
        assert "inputs" not in rec.names
        assert simulator(update_every=update_every).run(again, y).loss == first.loss


def test_analog_inputs_come_back_as_arrays(path, rng):
    """Also of the trials before the first one that is no spike train."""
    sim, x = simulator(), rng.standard_normal((T, N_IN)).astype(np.float32)
    z = spikes(rng)[0]
    with sl.Recorder(path, inputs=True) as recorder:
        sim.run(z, np.zeros((T, 2)), recorder=recorder)
        recorder.flush()
        with sl.open_recording(path) as rec:
            assert_array_equal(rec.inputs(0).toarray(N_IN), z)
        sim.run(x, np.zeros((T, 2)), recorder=recorder)
        sim.run(sl.Events([3, 3, 7], [1, 1, 4], T), np.zeros((T, 2)), recorder=recorder)
    with sl.open_recording(path) as rec:
        assert_array_equal(rec.inputs(0), z)
        assert_array_equal(rec.inputs(1), x)
        assert rec.inputs(1).dtype == np.float32 and not rec.inputs(1).flags.writeable
        assert rec.inputs(2)[3, 1] == 2 and rec.inputs(2).sum() == 3


def test_schedules_hold_for_inputs(path, rng):
    x = spikes(rng)
    with sl.Recorder(path, inputs=True, every=2, windows=[(4.0, 9.0), (20.0, None)], every_steps=3) as recorder:
        simulator().run(x, np.zeros((4, T, 2)), recorder=recorder)
    with sl.open_recording(path) as rec:
        assert rec.trials.tolist() == [0, 2]
        assert_array_equal(rec.inputs(2, (None, 10.0)).toarray(N_IN), x[2, 4:9])
        assert_array_equal(rec.inputs(0, (21.0, None)).toarray(N_IN), x[0, 21:])
        with pytest.raises(ValueError, match="trial 0 has no inputs from step 9 to 20"):
            rec.inputs(0)
        with pytest.raises(IndexError, match="overlap with what was recorded, 4 to 9 ms, 20 to 30 ms"):
            rec.inputs(0, (10.0, 12.0))
        with pytest.raises(ValueError, match=r"Recording.inputs.trial must be one trial, or pieces of one stream"):
            rec.inputs()


def test_inputs_of_a_stream_go_across_pieces_and_a_resume(path, rng):
    x = spikes(rng).reshape(-1, N_IN)
    pieces = [(x[a:b], np.zeros((b - a, 2))) for a, b in ((0, 17), (17, 40), (40, 41), (41, 100))]
    with sl.Recorder(path, inputs=True, checkpoint_every=1) as recorder:
        simulator(update_every=5).run(iter(pieces[:2]), recorder=recorder)
        recorder.close("interrupted")
    sim = sl.resume(path)
    with sim.recorder as recorder:
        sim.run(iter(pieces[2:]), recorder=recorder)
    with sl.open_recording(path) as rec:
        assert_array_equal(rec.inputs().toarray(N_IN), x[:100])
        assert_array_equal(rec.inputs(time=(10.0, 60.0)).toarray(N_IN), x[10:60])
        assert_array_equal(rec.inputs([1, 2]).toarray(N_IN), x[17:41])


def test_inputs_in_other_formats(path, rng, tmp_path):
    x = 2 * spikes(rng, 2)
    with sl.Recorder(path, inputs=True) as recorder:
        simulator().run(x, np.zeros((2, T, 2)), recorder=recorder)
    trial, step, channel = np.nonzero(x)
    sl.export(path, "csv", tmp_path / "csv")
    table = np.loadtxt(tmp_path / "csv" / "inputs.csv", delimiter=",", skiprows=1)
    assert_array_equal(table, np.column_stack([trial, step, channel, np.full(step.size, 2.0)]))
    with sl.open_recording(path) as rec:
        frame = rec.to_pandas("inputs", trials=1, time=(10.0, 20.0))
        assert len(frame) == np.count_nonzero(x[1, 10:20]) and set(frame["value"]) == {2.0}
        assert "inputs" in rec.to_pandas()


def test_without_inputs_there_are_none(path, rng):
    with sl.Recorder(path) as recorder:
        simulator().run(spikes(rng), np.zeros((4, T, 2)), recorder=recorder)
    with sl.open_recording(path) as rec:
        with pytest.raises(KeyError, match=r"has no inputs; Recorder\(inputs=True\) records them"):
            rec.inputs(0)
    with pytest.raises(TypeError, match=r"Recorder.inputs must be True or False"):
        sl.Recorder("other.h5", inputs="all")
