"""`MemoryRecorder` holds what a file holds."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from stream_case import fed, simulator

import snnlearn as sl
from snnlearn.recording.protocol import Records

OPTIONS = {"v": [2, 0], "threshold": True, "psi": True, "weights_every": 2, "every_steps": 2}


def trained(recorder, **options):
    task = sl.tasks.Copy(length=2, n_symbols=2, symbol_duration=5.0, delay=5.0, n_per_group=4, rate=400.0, seed=3)
    net = sl.Network(task.n_inputs, sl.ALIF(8, threshold=0.4), sl.Readout(task.n_outputs, tau=5.0))
    sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.Adam(5e-3), loss=sl.CrossEntropy(), seed=5)
    sim.train(task, 8, batch=2, recorder=recorder, **options)
    return sim


@pytest.mark.parametrize("windows", [None, [(2.0, 6.0), (9.0, None)]])
def test_a_training_is_that_of_a_file(path, windows):
    rec = sl.MemoryRecorder(**OPTIONS, windows=windows, gradient_norms=True)
    trained(rec, evaluate_every=2, evaluate_trials=2)
    with sl.Recorder(path, **OPTIONS, windows=windows, gradient_norms=True) as recorder:
        trained(recorder, evaluate_every=2, evaluate_trials=2)
    with sl.open_recording(path) as want:
        assert_array_equal(rec.trials, want.trials)
        assert want.n_spikes > 20 and set(rec.names) == set(want.names)
        for a, b in zip(rec.spikes(), want.spikes(), strict=True):
            assert_array_equal(a, b)
        assert_array_equal(rec.spikes(3).step, want.spikes(3).step)
        for name in want.names:
            for trial in want.trials.tolist():
                parts = [want[name].read(trial, time) for time in windows or [None]]
                assert_array_equal(rec[name][trial], np.concatenate(parts), f"{name}, trial {trial}")
        assert_array_equal(rec["v"].neurons, want["v"].neurons)
        assert set(rec.tables) == set(want.tables)
        for table in want.tables:
            for column in set(want.table(table)._fields) - {"wall_time"}:
                assert_array_equal(getattr(rec.table(table), column), getattr(want.table(table), column), f"{table}.{column}")
        assert_array_equal(rec.weight_updates, want.weight_updates)
        assert_array_equal(rec.weights(2).w_rec, want.weights(2).w_rec)
        assert [event.kind for event in rec.events] == [event.kind for event in want.events]


def test_a_stream_counts_from_its_beginning(path):
    rec = sl.MemoryRecorder(v=True)
    simulator().run(iter(fed()), recorder=rec)
    with sl.Recorder(path, v=True) as recorder:
        simulator().run(iter(fed()), recorder=recorder)
    with sl.open_recording(path) as want:
        for a, b in zip(rec.spikes(), want.spikes(), strict=True):
            assert_array_equal(a, b)
        assert_array_equal(np.concatenate(list(rec["v"])), want["v"].read())


def test_traces_of_synapses(path):
    options = {"eligibility": {"w_rec": [(0, 1), (2, 3)]}}
    rec = sl.MemoryRecorder(**options)
    trained(rec)
    with sl.Recorder(path, **options) as recorder:
        trained(recorder)
    with sl.open_recording(path) as want:
        names = [name for name in want.names if "eligibility" in name]
        assert names and all(np.abs(rec[name][0]).max() > 0 for name in names)
        for name in names:
            assert_array_equal(rec[name][1], want[name].read(1))


def test_what_needs_a_file_is_refused():
    with pytest.raises(ValueError, match=r"MemoryRecorder.keep_every must be left out: it needs a file"):
        sl.MemoryRecorder(keep_every=3)
    with pytest.raises(TypeError, match=r"MemoryRecorder must get options among v, a, .* \(got 'vv'\)"):
        sl.MemoryRecorder(vv=True)
    rec = sl.MemoryRecorder()
    assert isinstance(rec, Records) and "0 trials" in repr(rec)
    with pytest.raises(KeyError, match="there is no 'v'; there is no signal"):
        rec["v"]
    with pytest.raises(KeyError, match="there are no weights"):
        rec.weights()
    simulator().run(iter(fed()), recorder=rec)
    with pytest.raises(ValueError, match="continue with the same network"):
        sl.Simulator(sl.Network(3, sl.LIF(4), 2)).run(np.ones((5, 3)), recorder=rec)
    with pytest.raises(IndexError, match=r"Recording.trials"):
        rec.spikes(77)
