"""`MemoryRecorder`: what it gives back is what a file of the same run holds, without one."""

import copy
import gc
import inspect
import weakref

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from recording_twin import TRIALS, T, record, start
from training_case import TASK, simulator

import snnlearn as sl
from snnlearn.recording import Recorder, Recording, RunRecorder, open_recording
from snnlearn.recording.options import FIELDS, NEURONS, OF_FILES, OPTIONS, RecorderKeywords, RecorderOptions

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
    assert recorder.status == "complete" and repr(recorder) == "MemoryRecorder(complete)"
    assert_array_equal(recorder["v"][1], twin.v[1])
    with pytest.raises(ValueError, match=r"be called between open\(\) and close\(\)"):
        record(recorder, twin, 5, 0, T)
    with pytest.raises(TypeError, match="stay in its process"):
        copy.copy(held)


def test_what_needs_a_file_is_refused(tmp_path):
    for name in OF_FILES:
        with pytest.raises(TypeError, match=f"MemoryRecorder has no {name}, because it has no file; sl.Recorder has one"):
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


# ---- the list of options ------------------------------------------------------------------------------------------------


def test_options_are_one_list():
    assert tuple(RecorderKeywords.__annotations__) == tuple(FIELDS)
    assert {*OPTIONS, *NEURONS, "variables", "overwrite"} == set(FIELDS)
    for cls, left_out in ((Recorder, ()), (sl.MemoryRecorder, OF_FILES)):
        parameters = inspect.signature(cls).parameters
        assert [name for name in parameters if name != "path"] == [name for name in FIELDS if name not in left_out]
        for name, field in FIELDS.items():
            if name not in left_out:
                assert parameters[name].default == field.default and parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
                assert f"    {name} : {field.metadata['text'][:20]}" in cls.__doc__
        assert "{options}" not in cls.__doc__
    assert "thresholds" not in FIELDS


def test_options_are_checked_when_they_are_made_and_never_change():
    options = RecorderOptions(v=[1, 2], windows=[(0, 5)], reduce="rates")
    assert options.windows == [[0.0, 5.0]] and options.reduce.keys() == {"rates"} and options.wanted.keys() == {"v"}
    assert options.kept().keys() == set(OPTIONS)
    with pytest.raises(AttributeError):
        options.every = 2
    with pytest.raises(ValueError, match=r"Recorder\.every must be a positive number of trials"):
        RecorderOptions(every=0)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'evry'; did you mean every\?"):
        Recorder("unused.h5", evry=2)
    assert np.array_equal(options.v, [1, 2])
