"""What does not fit into a recording, or is not in it, is refused with one sentence."""

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from recording_twin import N_OUT, VARIABLES, N, T, record, sparse_weights, start
from scipy.sparse import csr_array

from snnlearn.recording import Recorder, describe, open_recording


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"every": 0}, ValueError, r"Recorder.every must be a positive number of trials \(got 0\)"),
        ({"every": 1.5}, TypeError, "Recorder.every must be"),
        ({"weights_every": 0}, ValueError, "Recorder.weights_every must be None or a positive number of updates"),
        ({"spikes": 1}, TypeError, r"Recorder.spikes must be True or False \(got 1\)"),
        ({"compression": "lzf"}, ValueError, r"Recorder.compression must be 'gzip' or None \(got 'lzf'\)"),
        ({"v": 3}, TypeError, r"Recorder.v must be None, True, a list of neuron indices or a slice \(got 3\)"),
        ({"v": [0.5]}, TypeError, "Recorder.v must be None, True"),
        ({"v": [1, [2]]}, TypeError, "Recorder.v must be None, True"),
        ({"a": np.array([True, False])}, TypeError, "Recorder.a must .*np.flatnonzero gives the indices of a mask"),
        ({"psi": []}, ValueError, "Recorder.psi must hold at least one index, none negative and none twice"),
        ({"psi": [1, 1]}, ValueError, "Recorder.psi must hold at least one index"),
        ({"psi": [-1]}, ValueError, "Recorder.psi must hold at least one index"),
        ({"variables": ["i"]}, TypeError, "Recorder.variables must be names with neurons"),
        ({"variables": {"readout": True}}, ValueError, "Recorder.variables must have names of neuron variables"),
        ({"variables": {"v": [1]}, "v": [2]}, ValueError, r"Recorder.variables must not repeat Recorder.v \(got 'v'\)"),
    ],
)
def test_a_recorder_refuses(path, options, error, sentence):
    with pytest.raises(error, match=sentence):
        Recorder(path, **options)


def test_a_recorder_refuses_paths(tmp_path):
    (tmp_path / "old.h5").write_text("")
    with pytest.raises(
        FileExistsError, match=r"Recorder.path must name a new file .*; the file exists; overwrite=True replaces it"
    ):
        Recorder(tmp_path / "old.h5")
    with pytest.raises(FileNotFoundError, match=r"Recorder.path must be in a folder that exists"):
        Recorder(tmp_path / "none" / "new.h5")
    with pytest.raises(IsADirectoryError, match=r"Recorder.path must be a file, not a folder"):
        Recorder(tmp_path, overwrite=True)
    with pytest.raises(TypeError, match=r"Recorder.path must be the name of a file \(got 3\)"):
        Recorder(3)


def test_selection(path):
    selection = Recorder(path, v=True, a=slice(1, None, 5), psi=np.array([7, 3]), threshold=False).selection(N, VARIABLES)
    assert {name: index.tolist() for name, index in selection.items()} == {"v": list(range(N)), "a": [1, 6, 11], "psi": [7, 3]}
    assert all(index.dtype == np.int32 for index in selection.values())
    with pytest.raises(ValueError, match=r"^LIF has no variable 'a'; it has 'v', 'psi'$"):
        Recorder(path, a=[0]).selection(N, ("v", "psi"), "LIF")
    with pytest.raises(ValueError, match=r"Recorder.v must select neurons from 0 to 11 \(got 12\)"):
        Recorder(path, v=[0, 12]).selection(N, VARIABLES)
    with pytest.raises(ValueError, match=r"Recorder.v must select neurons from 0 to 11 \(got slice\(20, None, None\)\)"):
        Recorder(path, v=slice(20, None)).selection(N, VARIABLES)
    with pytest.raises(ValueError, match=r"the network has no variable 'a'"):
        start(Recorder(path, a=True), variables=("v",))
    assert not path.exists()


EMPTY = np.empty(0, int)
ROWS = np.zeros((5, 3))


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"traces": {}}, ValueError, r"Recorder.block.traces must hold the variables \['v'\] \(got \[\]\)"),
        ({"traces": {"v": ROWS, "a": ROWS}}, ValueError, "Recorder.block.traces must hold the variables"),
        ({"traces": {"v": np.zeros((5, 2))}}, ValueError, r"Recorder.block.v must have shape \(5, 3\) \(got \(5, 2\)\)"),
        ({"traces": {"v": np.zeros((5, 3), complex)}}, TypeError, "Recorder.block.v must be numbers"),
        ({"readout": np.zeros((4, N_OUT))}, ValueError, r"Recorder.block must have arrays of one positive length .*got \[4, 5\]"),
        ({"readout": np.zeros((5, 1))}, ValueError, "Recorder.block.readout must have shape"),
        ({"target": 3}, ValueError, "Recorder.block must have arrays of one positive length"),
        ({"target": np.zeros(5)}, ValueError, r"Recorder.block.target must have shape \(5, 2\)"),
        ({"n_steps": 6}, ValueError, "Recorder.block must have arrays of one positive length"),
        ({"start": 9}, ValueError, r"Recorder.block.start must be at least 10, where trial 0 ended \(got 9\)"),
        ({"trial": -1}, ValueError, "Recorder.block.start must"),
        ({"spike_step": [15]}, ValueError, "Recorder.block.spike_neuron must have one entry per spike"),
        ({"spike_step": [15], "spike_neuron": [0]}, ValueError, r"Recorder.block.spike_step must be from 10 to 14 \(got 15\)"),
        ({"spike_step": [0], "spike_neuron": [0]}, ValueError, r"Recorder.block.spike_step must be from 10 to 14 \(got 0\)"),
        ({"spike_step": [10], "spike_neuron": [N]}, ValueError, "Recorder.block.spike_neuron must be from 0 to 11"),
        ({"spike_step": [10.0], "spike_neuron": [1]}, TypeError, "Recorder.block.spike_step must be whole numbers"),
        ({"start": 2**32}, ValueError, r"Recorder.block must end before step 2\*\*32"),
    ],
)
def test_a_block_that_does_not_fit_changes_nothing(path, changes, error, sentence):
    good = {"trial": 0, "start": 10, "spike_step": EMPTY, "spike_neuron": EMPTY, "traces": {"v": ROWS}}
    with start(Recorder(path, v=[0, 1, 2])) as recorder:
        recorder.block(**(good | {"start": 5}))
        with pytest.raises(error, match=sentence):
            recorder.block(**(good | changes))
        recorder.block(**(good | {"traces": {"v": ROWS + 1}}))
    with open_recording(path) as rec:
        assert_array_equal(rec["v"][0], np.repeat([[0.0], [1.0]], 5, axis=0) * np.ones(3))
        assert rec["v"].steps(0) == range(5, 15)


def test_blocks_of_another_type(path):
    with start(Recorder(path, spikes=False)) as recorder:
        with pytest.raises(ValueError, match=r"no array gives the length; pass n_steps"):
            recorder.block(0, 0, None, None)
        recorder.block(0, 0, None, None, readout=np.zeros((5, 2), np.float32), target=np.zeros((5, 2), int))
        with pytest.raises(
            TypeError, match=r"Recorder.block.readout must be float32 of shape \('steps', 2\), as in the blocks before"
        ):
            recorder.block(1, 0, None, None, readout=np.zeros((5, 2)))
        with pytest.raises(TypeError, match=r"Recorder.block.target must be float64"):
            recorder.block(1, 0, None, None, target=np.zeros(5, int))
    with open_recording(path) as rec:
        assert rec["target"].dtype == np.float64 and rec.n_trials == 1


@pytest.mark.parametrize(
    ("row", "error", "sentence"),
    [
        (
            {"update": 1},
            ValueError,
            r"Recorder.row\('updates'\) must have the columns of the rows before .*loss, n is missing; NaN",
        ),
        ({"update": [1, 2], "loss": [1.0], "n": 1}, ValueError, "must have columns of one length"),
        ({"update": 0.5, "loss": 1.0, "n": 1}, TypeError, r"Recorder.row\('updates'\).update must be a whole number \(got 0.5\)"),
        (
            {"update": 1, "loss": 1.0, "n": 0.5},
            TypeError,
            r"Recorder.row\('updates'\).n must be a whole number, as in its first row",
        ),
        ({"update": 1, "loss": "low", "n": 1}, TypeError, "loss must be a number or an array of numbers, one per row"),
        ({"update": 1, "loss": 1.0, "n": 1, "class": 3}, ValueError, "class must have a Python name"),
    ],
)
def test_a_row_that_does_not_fit_changes_nothing(path, row, error, sentence):
    with start(Recorder(path)) as recorder:
        recorder.row("updates", update=0, loss=1.0, n=3)
        with pytest.raises(error, match=sentence):
            recorder.row("updates", **row)
        with pytest.raises(ValueError, match=r"Recorder.row.table must be a name"):
            recorder.row("my table", x=1)
        with pytest.raises(ValueError, match=r"must have columns"):
            recorder.row("empty")
    with open_recording(path) as rec:
        assert rec.tables == ("updates",)
        assert_array_equal(rec.table("updates").n, [3])


def test_snapshots_that_do_not_fit(path, rng):
    weights = sparse_weights(rng)
    with start(Recorder(path, weights_every=1), weights=weights) as recorder:
        recorder.snapshot(5, weights)
        with pytest.raises(ValueError, match=r"Recorder.snapshot.update must be at least 5"):
            recorder.snapshot(4, weights)
        with pytest.raises(ValueError, match=r"Recorder.snapshot.w_rec must have the synapses of the first snapshot"):
            recorder.snapshot(6, weights._replace(w_rec=csr_array(weights.w_rec.T)))
        with pytest.raises(ValueError, match=r"Recorder.snapshot.b_out must have shape \(2,\) \(got \(3,\)\)"):
            recorder.snapshot(6, weights._replace(b_out=np.zeros(3)))
    with open_recording(path) as rec:
        assert_array_equal(rec.weight_updates, [5])


def test_calls_at_the_wrong_time(path):
    recorder = Recorder(path)
    with pytest.raises(ValueError, match=r"Recorder.block must be called between open\(\) and close\(\) \(got 'not open'\)"):
        recorder.block(0, 0, EMPTY, EMPTY, n_steps=1)
    with pytest.raises(TypeError, match=r"Recorder.open.config must hold JSON values and arrays only"):
        start(recorder, {"rule": object()})
    start(recorder)
    with pytest.raises(ValueError, match=r"Recorder.close.status must be 'complete', 'interrupted', 'failed: ...'"):
        recorder.close("done")
    recorder.close()
    for call in (
        recorder.flush,
        lambda: recorder.event("", ""),
        lambda: recorder.row("x", y=1),
        lambda: recorder.snapshot(0, None),
    ):
        with pytest.raises(ValueError, match=r"must be called between"):
            call()


def test_a_reader_refuses_files(tmp_path):
    def refuses(name, error, sentence):
        for reader in (open_recording, describe):
            with pytest.raises(error, match=sentence):
                reader(tmp_path / name)

    with start(Recorder(tmp_path / "good.h5")):
        pass
    whole = (tmp_path / "good.h5").read_bytes()
    (tmp_path / "empty.h5").write_bytes(b"")
    (tmp_path / "text.h5").write_text("spikes")
    (tmp_path / "short.h5").write_bytes(whole[: len(whole) // 2])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    for name, version in (("newer.h5", "2.0"), ("minor.h5", "1.7"), ("odd.h5", "x")):
        (tmp_path / name).write_bytes(whole)
        with h5py.File(tmp_path / name, "r+") as file:
            file.attrs["version"] = version
    refuses("none.h5", FileNotFoundError, "open_recording.path must be a file that exists")
    refuses(".", IsADirectoryError, "open_recording.path must be a file, not a folder")
    refuses("empty.h5", ValueError, "open_recording.path must be an HDF5 file .*it is empty")
    refuses("text.h5", ValueError, r"open_recording.path must be an HDF5 file \(got '.*text.h5'\)$")
    refuses(
        "short.h5", OSError, rf"open_recording.path must be a whole file .*truncated, {len(whole) // 2} of {len(whole)} bytes"
    )
    refuses("other.h5", ValueError, "open_recording.path must be a recording written by snnlearn .*its format is None")
    refuses("newer.h5", ValueError, "must be a recording of version 1.3 or older .*its version is 2.0; a newer snnlearn reads it")
    refuses("odd.h5", ValueError, "open_recording.path must be a recording with a version")
    assert open_recording(tmp_path / "minor.h5").status == "complete"


def test_damaged_files(path, twin):
    with start(Recorder(path)) as recorder:
        record(recorder, twin, 0, 0, T)
    with h5py.File(path, "r+") as file:
        file["readout"].resize(T - 1, axis=0)
    with open_recording(path) as rec, pytest.raises(OSError, match=r"is damaged: readout has 39 of 40 entries"):
        rec["readout"][0]
    with h5py.File(path, "r+") as file:
        del file["configuration"]
    with pytest.raises(OSError, match=r"run.h5 is damaged: .*configuration"):
        open_recording(path)


def test_a_reader_refuses_requests(recorded):
    with pytest.raises(KeyError, match=r"has no 'a'; it has 'psi', 'v', 'readout', 'target'"):
        recorded["a"]
    with pytest.raises(KeyError, match=r"has no table 'trials'; it has no tables"):
        recorded.table("trials")
    with pytest.raises(IndexError, match=r"Recording.neurons must be among 5, 2, 9 \(got 3\)"):
        recorded["v"].read(0, neurons=[2, 3])
    with pytest.raises(IndexError, match=r"Recording.neurons must be among 0, 1, 2, 3, ..., 11"):
        recorded.spikes(neurons=12)
    with pytest.raises(TypeError, match=r"Recording.neurons must be a number, a list of numbers or a slice"):
        recorded.spikes(neurons=0.5)
    with pytest.raises(IndexError, match=r"Recording.trials must be a slice of numbers, none negative"):
        recorded.spikes(slice(-1, None))
    with pytest.raises(ValueError, match=r"readout.read.neurons must be None, as there are outputs only"):
        recorded["readout"].read(0, neurons=[1])
    with pytest.raises(TypeError, match=r"v\[trial\] must be the number of a trial \(got 'a'\)"):
        recorded["v"]["a"]
    for key in ([5, 3], np.array([5, 3]), (5, 3, 1)):
        with pytest.raises(TypeError, match=r"v\[trial\] must be the number of a trial \(got .5, 3.*\); to_xarray gives several"):
            recorded["v"][key]
    with pytest.raises(IndexError, match=r"v\[trial\] must be among 0, 1, 2 \(got -1\); recording.trials has the numbers"):
        recorded["v"][-1]
    with pytest.raises(ValueError, match=r"v.read.trial must be one trial, or pieces of one stream \(got '3 trials'\)"):
        np.mean(recorded["v"])
    for time_, error in (((3.0, 1.0), ValueError), ((np.nan, 1.0), ValueError), (5.0, TypeError), ((1, 2, 3), TypeError)):
        with pytest.raises(error, match=r"Recording.time must be \(start, stop\) in ms"):
            recorded.spikes(time=time_)
    recorded.close()
    assert "closed" in repr(recorded)
    with pytest.raises(ValueError, match=r"Recording must be open \(got 'closed'\); open_recording opens it again"):
        recorded.names  # noqa: B018
