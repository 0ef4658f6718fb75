"""Going through a recording, what other packages make of it, and reading while it is written."""

import os
import pathlib
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from recording_twin import DT, N_OUT, TRIALS, N, T, dense_weights, record, spikes_of, start

import snnlearn
from snnlearn.recording import Recorder, open_recording
from snnlearn.recording.pieces import iter_batches
from snnlearn.storage import open_file, seqlock

# Pieces


def test_trials_one_after_the_other(recorded, twin):
    pieces = list(recorded.iter_trials())
    assert [piece.trial for piece in pieces] == list(range(TRIALS))
    for piece in pieces:
        assert_array_equal(piece["psi"], twin.psi[piece.trial])
        assert_array_equal(piece.read("v", neurons=[9]), twin.v[piece.trial][:, [9]])
        assert_array_equal(piece.spikes().step, np.nonzero(twin.z[piece.trial])[0])
        assert piece.duration == T * DT and piece.time == (0.0, T * DT)
    assert [piece.trial for piece in recorded.iter_trials([2, 0])] == [2, 0]
    assert repr(pieces[1]) == "trial 1, 0 to 20 ms"


@pytest.mark.parametrize("length", [0.5, 3.0, 7.0, 500.0])
def test_windows_cover_each_trial(recorded, twin, length):
    pieces = list(recorded.iter_windows(length, slice(1, None)))
    assert max(piece.duration for piece in pieces) <= length
    for trial in (1, 2):
        mine = [piece for piece in pieces if piece.trial == trial]
        assert_array_equal(np.concatenate([piece["psi"] for piece in mine]), twin.psi[trial])
        assert sum(piece.spikes().step.size for piece in mine) == twin.z[trial].sum()


def test_windows_have_a_length(recorded):
    with pytest.raises(ValueError, match=r"Recording.iter_windows.length must be at least a step of 0.5 ms \(got 0.1\)"):
        next(recorded.iter_windows(0.1))
    with pytest.raises(ValueError, match=r"length must be a positive time in ms"):
        next(recorded.iter_windows(0))


@pytest.mark.parametrize("entries", [1, 20, 60, 100, 10**9])
def test_batches_cover_everything_once(recorded, twin, entries):
    parts = [recorded.spikes(batch.trials, batch.time(DT)) for batch in iter_batches(recorded, entries)]
    for i, expected in enumerate(spikes_of(twin)):
        assert_array_equal(np.concatenate([part[i] for part in parts]), expected)
    assert entries > 60 or len(parts) > TRIALS - 1


# Other packages


@pytest.fixture
def uneven(path, twin):
    """Trials of 40, 25 and 40 steps, the last with a gap; one neuron more in psi."""
    with start(Recorder(path, v=[5, 2], psi=[1, 2, 3], weights_every=1)) as recorder:
        record(recorder, twin, 0, 0, T)
        record(recorder, twin, 1, 5, 30, 4)
        record(recorder, twin, 2, 0, 10, 6)
        record(recorder, twin, 2, 20, T, 6)
        for update in range(3):
            recorder.snapshot(update, dense_weights(np.random.default_rng(update)))
            recorder.row("updates", update=update, loss=0.5 * update)
        recorder.event("note", "hello")
    with open_recording(path) as rec:
        yield rec


def test_xarray(uneven, twin):
    pytest.importorskip("xarray")
    data = uneven.to_xarray()
    assert dict(data.sizes) == {"trial": 3, "time": T, "neuron_psi": 3, "neuron_v": 2, "output": N_OUT, "spike": uneven.n_spikes}
    assert_array_equal(data.v.sel(trial=0), twin.v[0][:, [5, 2]])
    assert_array_equal(data.psi.sel(trial=4, time=slice(2.5, 14.5)), twin.psi[1][5:30, 1:4])
    assert np.isnan(data.psi.sel(trial=4, time=0.0)).all() and np.isnan(data.v.sel(trial=6, time=7.0)).all()
    assert_array_equal(data.v.sel(trial=6, time=slice(10.0, None)), twin.v[2][20:, [5, 2]])
    assert data.time.attrs["units"] == "ms" and data.v.attrs["description"] and data.attrs["dt"] == DT
    assert_array_equal(data.spike_time, uneven.spikes().step * DT)
    part = uneven.to_xarray(["psi", "w_rec"], trials=[6, 0], time=(10.0, 12.0))
    assert_array_equal(part.psi[0], twin.psi[2][20:24, 1:4])
    assert part.psi.dims == ("trial", "time", "neuron") and part.w_rec.sizes["update"] == 3
    assert_array_equal(part.w_rec.sel(update=2), dense_weights(np.random.default_rng(2)).w_rec)
    with pytest.raises(KeyError, match=r"has no 'a'; it has 'psi', 'v', 'readout', 'target', 'spikes', 'w_in'"):
        uneven.to_xarray("a")
    with pytest.raises(MemoryError, match=r"Recording.to_xarray must give at most max_bytes = 1e-06 GB \(got '.*GB'\); choose"):
        uneven.to_xarray(max_bytes=1000)


def test_pandas(uneven, twin):
    pytest.importorskip("pandas")
    frames = uneven.to_pandas()
    assert list(frames) == ["updates", "spikes", "events"]
    assert frames["updates"].loss.tolist() == [0.0, 0.5, 1.0]
    assert frames["events"].message.tolist() == ["hello"] and frames["events"].time.dt.tz is not None
    spikes = uneven.to_pandas("spikes", trials=4, neurons=[3, 4])
    assert set(spikes.trial) == {4} and set(spikes.neuron) <= {3, 4} and list(spikes) == ["trial", "time", "neuron"]
    psi = uneven.to_pandas("psi", time=(2.5, 5.0), neurons=[3, 1])
    assert psi.columns.tolist() == [3, 1]
    assert_array_equal(psi.loc[4], twin.psi[1][5:10, [3, 1]])
    assert uneven.to_pandas("readout").shape == (T + 25 + 30, N_OUT)
    assert uneven.to_pandas("v", trials=[]).empty
    with pytest.raises(KeyError, match=r"has no 'loss'; it has 'updates', 'psi'"):
        uneven.to_pandas("loss")
    with pytest.raises(MemoryError, match=r"Recording.to_pandas must give at most"):
        uneven.to_pandas("spikes", max_bytes=10)


def test_neo(uneven, twin):
    pytest.importorskip("neo")
    block = uneven.to_neo()
    assert len(block.segments) == 3 and len(block.segments[0].spiketrains) == N
    for neuron, train in enumerate(block.segments[0].spiketrains):
        assert_array_equal(train.magnitude, np.flatnonzero(twin.z[0][:, neuron]) * DT)
        assert train.t_stop.item() == T * DT
    assert [x.name for x in block.segments[2].analogsignals] == ["psi"] * 2 + ["v"] * 2 + ["readout"] * 2 + ["target"] * 2
    second = block.segments[2].analogsignals[3]
    assert float(second.t_start.rescale("ms")) == 10.0
    assert_array_equal(second.magnitude, twin.v[2][20:, [5, 2]])
    assert second.array_annotations["neuron"].tolist() == [5, 2]
    few = uneven.to_neo(trials=4, neurons=[3], names=())
    assert len(few.segments[0].spiketrains) == 1 and not few.segments[0].analogsignals


@pytest.mark.parametrize("package", ["xarray", "pandas", "neo"])
def test_a_package_that_is_missing_is_named_with_what_installs_it(recorded, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"to_{package} needs {package}: pip install {package}"):
        getattr(recorded, f"to_{package}")()


# While the file is written

WRITER = """
import sys, time
from collections import namedtuple
import numpy as np
from snnlearn.recording import Recorder
N, T = 50, 37
recorder = Recorder(sys.argv[1], v=True, psi=True, overwrite=True, weights_every=1)
weights = namedtuple("Weights", "w")(np.zeros((N, N), np.float32))
recorder.open({}, n_neurons=N, n_outputs=2, dt=1.0, variables=("v", "psi"), weights=weights)
end, k = time.time() + float(sys.argv[2]), 0
while time.time() < end:
    x = (1000 * k + np.arange(T * N).reshape(T, N) / 128).astype(np.float32)
    step = np.repeat(np.arange(T), 2)
    recorder.block(k, 0, step, (step * 7 + k) % N, {"v": x, "psi": -x}, readout=np.full((T, 2), k, np.float32))
    recorder.row("updates", update=k, loss=float(k))
    recorder.row(f"table{k // 100 % 30}", update=k)
    if k % 10 == 0:
        recorder.snapshot(k, weights._replace(w=weights.w + k))
    if k % 5 == 0:
        recorder.flush()
        time.sleep(0.02)
    k += 1
recorder.close()
"""


def check(rec, rng):
    for k in (rec.trials[-1], *rng.choice(rec.trials, 2)):
        k = int(k)
        x = (1000 * k + np.arange(37 * 50).reshape(37, 50) / 128).astype(np.float32)
        assert np.array_equal(rec["v"][k], x) and np.array_equal(rec["psi"][k], -x)
        spikes = rec.spikes(k)
        assert spikes.step.size == 74 and np.array_equal(spikes.neuron, (spikes.step * 7 + k) % 50)
    loss = rec.table("updates").loss
    assert np.array_equal(loss, np.arange(loss.size))
    assert (rec.weights().w == rec.weight_updates[-1]).all()


def begin(path, seconds):
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(snnlearn.__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(seconds)], env=environment)
    for _ in range(600):
        time.sleep(0.05)
        if path.exists() and path.stat().st_size > 100_000:
            return process
    process.kill()
    raise AssertionError("the writer does not write")


def test_every_look_at_a_file_that_grows_is_right(path, rng):
    """Without the counters a third of the looks fail here, and some see the values of another data set."""
    process = begin(path, 4.0)
    looks = Counter()
    held = open_recording(path)
    assert held.is_running and "still being written" in repr(held)
    n_trials = held.n_trials
    try:
        while process.poll() is None:
            with open_recording(path) as rec:
                check(rec, rng)
                looks["fresh"] += 1
            check(held, rng)  # with an index that is outdated by now
            looks["held"] += 1
    finally:
        process.kill()
    assert process.wait() == 0
    assert looks["fresh"] > 3 and looks["held"] > 3
    assert held.n_trials == n_trials
    assert held.refresh() and held.n_trials > n_trials and held.status == "complete" and not held.is_running
    assert not held.refresh()
    check(held, rng)
    held.close()


def test_a_killed_writer_leaves_a_file_that_opens(path):
    process = begin(path, 60.0)
    process.kill()
    process.wait()
    with open_recording(path) as rec:
        assert rec.status == "running" and not rec.is_running and rec.n_trials > 0
        assert rec.ending.startswith("ended without closing the file") and "ended without closing" in repr(rec)


def test_a_flush_that_a_dead_process_left_is_not_waited_for(path, twin):
    with start(Recorder(path)) as recorder:
        record(recorder, twin, 0, 0, T)
    with open(path, "r+b", buffering=0) as file:
        assert seqlock.read(file).begun == seqlock.read(file).finished > 0
        file.seek(8)
        file.write((77).to_bytes(8, "little"))
    began = time.monotonic()
    with open_recording(path) as rec:
        assert rec.spikes().step.size
    assert time.monotonic() - began < open_file.START


def test_a_reader_waits_for_the_end_of_a_flush_and_then_gives_up(path, twin, monkeypatch):
    monkeypatch.setattr(open_file, "PATIENCE", 0.3)
    recorder = start(Recorder(path))
    with recorder._store.journal.changing():
        with pytest.raises(OSError, match=r"run.h5 cannot be read: a flush has been under way for \d+ s; try again"):
            open_recording(path)
    open_recording(path).close()
    recorder.close()


def test_reading_does_not_keep_a_writer_out(path, twin):
    with start(Recorder(path)) as recorder:
        record(recorder, twin, 0, 0, T)
    import h5py

    with open_recording(path) as rec:
        code = "import h5py, sys; h5py.File(sys.argv[1], 'r+').close()"
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)
        with h5py.File(path, "r+") as file:  # also in this process
            file.attrs["note"] = 1
        assert rec.spikes().step.size and rec.refresh() and rec.attrs["note"] == 1


def test_a_recording_that_was_replaced(path, twin):
    with start(Recorder(path)) as recorder:
        record(recorder, twin, 0, 0, T)
    with open_recording(path) as rec:
        time.sleep(0.002)
        with start(Recorder(path, overwrite=True)) as recorder:
            record(recorder, twin, 0, 0, 10)
            record(recorder, twin, 1, 0, 10)
        with pytest.raises(OSError, match=r"run.h5 is damaged: another recording took its place; open it again"):
            rec.spikes()
        assert rec.refresh() and rec.n_trials == 2


def test_tables_in_part(path):
    with start(Recorder(path)) as recorder:
        for k in range(10):
            recorder.row("updates", update=k)
    with open_recording(path) as rec:
        assert rec.n_rows("updates") == 10 and rec.n_rows("none") == 0
        assert rec.table("updates", slice(-3, None)).update.tolist() == [7, 8, 9]
        assert rec.about("tables/updates/update") == ("1", "number of weight updates so far")


def test_a_file_without_counters(path, twin):
    """As other programs leave it that copy a recording."""
    import h5py

    with start(Recorder(path, v=True)) as recorder:
        record(recorder, twin, 0, 0, T)
    copy = path.with_name("copy.h5")
    with h5py.File(path) as source, h5py.File(copy, "w") as target:
        for name in source:
            source.copy(name, target)
        target.attrs.update(source.attrs)
    with open(copy, "rb", buffering=0) as file:
        assert seqlock.read(file) is None
    with open_recording(copy) as rec:
        assert_array_equal(rec["v"][0], twin.v[0])
        assert not rec.refresh()
        with h5py.File(copy, "r+") as file:
            file.attrs["status"] = "interrupted"
        assert rec.refresh() and rec.status == "interrupted"
