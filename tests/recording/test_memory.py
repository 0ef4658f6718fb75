"""`MemoryRecorder`: what it gives back is what a file of the same run holds, without one."""

import copy
import gc
import weakref

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from recording_twin import TRIALS, T, record, start
from stream_case import fed
from stream_case import simulator as stream_simulator
from training_case import TASK, simulator

import snnlearn as sl
from snnlearn.recording import Recorder, Recording, RunRecorder, open_recording
from snnlearn.recording.options import OF_FILES

EVERYTHING = {
    **{"v": True, "psi": [3, 1], "learning_signal": slice(0, 2), "weights_every": 2, "inputs": True, "gradient_norms": True},
    **{"reduce": {"rates": 20.0, "losses": 20.0}, "eligibility": {"w_rec": [(1, 0)]}, "synapses": {"w_out": [(2, 0)]}},
}


def same(got, want):
    """Whether two NamedTuples of arrays are equal."""
    assert got._fields == want._fields
    for name, x in want._asdict().items():
        y = getattr(got, name)
        assert_array_equal(y.toarray() if hasattr(y, "toarray") else y, x.toarray() if hasattr(x, "toarray") else x, name)


def test_a_training_in_memory_is_that_of_a_file(path):
    memory = sl.MemoryRecorder(**EVERYTHING)
    assert isinstance(memory, RunRecorder)
    for recorder in (memory, Recorder(path, **EVERYTHING)):
        with recorder:
            simulator().train(TASK, trials=12, batch=4, recorder=recorder)
    assert memory.status == "complete" and not memory.recording.is_running
    with open_recording(path) as rec:
        assert memory.names == rec.names and set(rec.names) > {"v", "psi", "readout", "eligibility_w_rec"}
        assert memory.tables == rec.tables and memory.reduced == rec.reduced
        assert_array_equal(memory.trials, rec.trials)
        for name in rec:
            for trial in rec.trials:
                assert_array_equal(memory[name][trial], rec[name][trial])
            assert (memory[name].units, memory[name].description) == (rec[name].units, rec[name].description)
        same(memory.spikes(), rec.spikes())
        assert memory.n_spikes > 0
        for name in rec.tables:
            own, others = memory.table(name)._asdict(), rec.table(name)._asdict()
            own.pop("wall_time", None), others.pop("wall_time", None)
            assert own.keys() == others.keys()
            for column in own:
                assert_array_equal(own[column], others[column])
        for name in rec.reduced:
            same(memory.reduction(name), rec.reduction(name))
        assert memory.weight_updates.tolist() == rec.weight_updates.tolist() == [0, 2, 3]
        same(memory.weights(2), rec.weights(2))
        same(memory.synapses, rec.synapses)
        assert_array_equal(memory.inputs(3).step, rec.inputs(3).step)
        assert memory.network() == rec.network()
        assert memory.attrs["n_neurons"] == rec.n_neurons and memory.config.keys() == rec.config.keys()
        frame = memory.to_pandas("trials")
        assert frame.loss.tolist() == rec.to_pandas("trials").loss.tolist()


def test_it_is_read_while_it_records(twin):
    recorder = start(sl.MemoryRecorder(v=True))
    record(recorder, twin, 0, 0, T)
    first, held = recorder["v"], recorder.recording
    assert_array_equal(first[0], twin.v[0])
    assert held.is_running and held is recorder.recording and "running" in repr(held)
    for trial in range(1, TRIALS):
        record(recorder, twin, trial, 0, T)
    assert recorder.trials.tolist() == list(range(TRIALS)) and "v" in recorder and list(recorder)
    assert held.trials.tolist() == [0]
    assert_array_equal(first[0], twin.v[0])  # what was taken before stands still
    assert_array_equal(held["v"][0], twin.v[0])
    recorder.close()
    assert recorder.status == "complete" and repr(recorder) == f"MemoryRecorder({TRIALS} trials or pieces, complete)"
    assert_array_equal(recorder["v"][1], twin.v[1])
    with pytest.raises(ValueError, match=r"be called between open\(\) and close\(\)"):
        record(recorder, twin, 0, 0, T, number=5)
    with pytest.raises(TypeError, match="stay in its process"):
        copy.copy(held)


def test_what_needs_a_file_is_refused(tmp_path):
    for name in OF_FILES:
        with pytest.raises(ValueError, match=rf"MemoryRecorder\.{name} must be left out: it needs a file"):
            sl.MemoryRecorder(**{name: 2})
    recorder = sl.MemoryRecorder()
    with pytest.raises(ValueError, match="must have recorded a run"):
        recorder.trials  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'trails'"):
        recorder.trails  # noqa: B018
    assert not recorder.checkpoints and not recorder.checkpoint_due() and "spikes" in dir(recorder)
    with pytest.raises(ValueError, match=r"MemoryRecorder.checkpoint must have a file"):
        recorder.checkpoint({}, {}, {})


def test_its_memory_is_given_back(twin):
    recorder = start(sl.MemoryRecorder(v=True))
    record(recorder, twin, 0, 0, T)
    assert recorder.n_spikes is not None
    store = weakref.ref(recorder._store)
    del recorder
    gc.collect()
    assert store() is None


def test_a_replay_is_recorded_in_memory(path):
    with Recorder(path, checkpoint_every=1, keep_every=1, weights_every=1) as recorder:
        simulator().train(TASK, trials=8, batch=4, recorder=recorder)
    with sl.MemoryRecorder(v=True) as window:
        sl.replay(path, 4, 8, record=window)
    assert window.trials.tolist() == [4, 5, 6, 7]
    assert_array_equal(window["v"][5], sl.replay(path, 4, 8, record=("v",))["v"][1])
    assert isinstance(window.recording, Recording)


CHOSEN = {"v": [2, 0], "threshold": True, "psi": True, "weights_every": 2, "every_steps": 2}


def trained(recorder, **options):
    task = sl.tasks.Copy(length=2, n_symbols=2, symbol_duration=5.0, delay=5.0, n_per_group=4, rate=400.0, seed=3)
    net = sl.Network(task.n_inputs, sl.ALIF(8, threshold=0.4), sl.Readout(task.n_outputs, tau=5.0))
    sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.Adam(5e-3), loss=sl.CrossEntropy(), seed=5)
    sim.train(task, 8, batch=2, recorder=recorder, **options)
    return sim


@pytest.mark.parametrize("windows", [None, [(2.0, 6.0), (9.0, None)]])
def test_windows_and_steps_are_those_of_a_file(path, windows):
    rec = sl.MemoryRecorder(**CHOSEN, windows=windows, gradient_norms=True)
    trained(rec, evaluate_every=2, evaluate_trials=2)
    with sl.Recorder(path, **CHOSEN, windows=windows, gradient_norms=True) as recorder:
        trained(recorder, evaluate_every=2, evaluate_trials=2)
    with sl.open_recording(path) as want:
        assert_array_equal(rec.trials, want.trials)
        assert want.n_spikes > 20 and set(rec.names) == set(want.names)
        for a, b in zip(rec.spikes(), want.spikes(), strict=True):
            assert_array_equal(a, b)
        assert_array_equal(rec.spikes(3).step, want.spikes(3).step)
        for name in want.names:
            for trial in want.trials.tolist():
                for time in windows or [None]:
                    assert_array_equal(rec[name].read(trial, time), want[name].read(trial, time), f"{name}, trial {trial}")
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
    stream_simulator().run(iter(fed()), recorder=rec)
    with sl.Recorder(path, v=True) as recorder:
        stream_simulator().run(iter(fed()), recorder=recorder)
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


def test_what_needs_a_file_or_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"MemoryRecorder.keep_every must be left out: it needs a file"):
        sl.MemoryRecorder(keep_every=3)
    with pytest.raises(TypeError, match=r"MemoryRecorder must get options among spikes, v, a, .* \(got 'vv'\)"):
        sl.MemoryRecorder(vv=True)
    rec = sl.MemoryRecorder()
    assert isinstance(rec, RunRecorder) and "0 trials" in repr(rec)
    with pytest.raises(ValueError, match="must have recorded a run"):
        rec["v"]
    stream_simulator().run(iter(fed()), recorder=rec)
    with pytest.raises(ValueError, match="continue with the same network"):
        sl.Simulator(sl.Network(3, sl.LIF(4), 2)).run(np.ones((5, 3)), recorder=rec)
    with pytest.raises(IndexError, match=r"Recording.trials"):
        rec.spikes(77)
    with pytest.raises(KeyError, match="the recording in memory has no 'v'; it has 'readout'"):
        rec["v"]
    with pytest.raises(KeyError, match="has no weights"):
        rec.weights()
