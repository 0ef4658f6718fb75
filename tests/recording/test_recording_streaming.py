"""How a recording grows: bounded memory, flushes, committed lengths, closing; and its layout."""

import os
import pathlib
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from recording_twin import (
    DT,
    N_OUT,
    TRIALS,
    N,
    T,
    dense_weights,
    record,
    sparse_weights,
    spikes_of,
    start,
)

import snnlearn
from snnlearn.recording import Recorder, Recording, describe, open_recording, schema
from snnlearn.storage import column, seqlock, store
from snnlearn.storage.journal import JournaledFile


def test_memory_stays_bounded_and_the_file_grows(path, twin):
    recorder = start(Recorder(path, v=True, psi=True, compression=None))
    block = T * (2 * N + 2 * N_OUT) * 4 + twin.z.sum() * 8 + 4000
    sizes, most = set(), 0
    for number in range(600):
        record(recorder, twin, number % TRIALS, 0, T, number)
        most = max(most, recorder.buffered_bytes)
        sizes.add(path.stat().st_size)
    assert column.BUFFER_BYTES / 2 < most < column.BUFFER_BYTES + block
    assert len(sizes) > 2
    recorder.close()
    assert recorder.buffered_bytes == 0
    with open_recording(path) as rec:
        assert rec.n_trials == 600 and rec.n_steps == 600 * T
        assert_array_equal(rec["psi"][599], twin.psi[599 % TRIALS])


def test_small_runs_are_written_after_a_while(path, twin, monkeypatch):
    monkeypatch.setattr(store, "PERIOD", 0.0)
    recorder = start(Recorder(path))
    record(recorder, twin, 0, 0, T)
    assert recorder.buffered_bytes == 0
    with open_recording(path) as rec:
        assert_array_equal(rec.trials, [0])
    recorder.close()


def contents(path):
    result = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and name != "events/time":
            result[name] = (item.dtype, item.chunks, item[...], sorted(item.attrs))
        elif isinstance(item, h5py.Group):
            result[name] = dict(item.attrs)

    with h5py.File(path) as file:
        file.visititems(visit)
    return result


def test_files_are_equal_whenever_they_are_flushed(tmp_path, twin, rng, monkeypatch):
    weights = sparse_weights(rng)
    files = tmp_path / "a.h5", tmp_path / "b.h5"
    for path, period in zip(files, (60.0, 0.0), strict=True):
        monkeypatch.setattr(store, "PERIOD", period)
        with start(Recorder(path, v=[1, 2], weights_every=1), weights=weights) as recorder:
            for low in range(0, T, 9):
                for trial in range(TRIALS):
                    changes = {"target": None} if low < 18 else {}
                    record(recorder, twin, trial, low, min(low + 9, T), **changes)
                recorder.row("updates", update=low, loss=0.5)
                recorder.snapshot(low, weights)
                recorder.event("note", str(low))
    a, b = map(contents, files)
    assert a.keys() == b.keys() and "traces/v" in a
    for name in a:
        for x, y in zip(*([c[name]] if isinstance(c[name], dict) else c[name] for c in (a, b)), strict=True):
            np.testing.assert_equal(x, y)


def test_arrays_may_be_overwritten_after_a_block(path, twin):
    buffer = twin.v[0].copy()
    with start(Recorder(path, v=True)) as recorder:
        record(recorder, twin, 0, 0, T, traces={"v": buffer})
        buffer[...] = 0
    with open_recording(path) as rec:
        assert_array_equal(rec["v"][0], twin.v[0])


def test_a_flush_that_failed_can_be_repeated(path, twin, monkeypatch):
    recorder = start(Recorder(path, v=True))
    record(recorder, twin, 0, 0, 20)
    write = store.Column.write

    def full(column, rows):
        if column.dataset.name == "/readout":
            raise OSError(28, "No space left on device")
        write(column, rows)

    monkeypatch.setattr(store.Column, "write", full)
    with pytest.raises(OSError, match=r"the recording .*run.h5 cannot be written: .*No space left"):
        recorder.flush()
    with open_recording(path) as rec:
        assert rec.trials.size == 0
    monkeypatch.undo()
    record(recorder, twin, 0, 20, T)
    recorder.close()
    with open_recording(path) as rec:
        assert_array_equal(rec["v"][0], twin.v[0])
        assert_array_equal(rec["readout"][0], twin.readout[0])
        assert_array_equal(rec.spikes()[1], spikes_of(twin, [0])[1])


def test_uncommitted_entries_are_not_looked_at(path, twin):
    """As a run leaves them that was killed between writing and committing."""
    with start(Recorder(path, v=True, weights_every=1)) as recorder:
        for trial in range(2):
            record(recorder, twin, trial, 0, T)
            recorder.row("trials", trial=trial, loss=0.0)
            recorder.snapshot(trial, dense_weights(np.random.default_rng(trial)))
            recorder.event("note", "")
    with h5py.File(path, "r+") as file:
        for group in ("segments", "tables/trials", "weights", "events"):
            assert file[group].attrs["committed"] == 2
            file[group].attrs["committed"] = 1
        file["segments/trial"].resize(7, axis=0)
        file["spikes/step"].resize(10_000, axis=0)
    with open_recording(path) as rec:
        assert_array_equal(rec.trials, [0])
        assert_array_equal(rec.spikes().step, spikes_of(twin, [0])[1])
        assert len(rec.table("trials").trial) == len(rec.weight_updates) == len(rec.events) == 1


def run_python(code, *arguments):
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(snnlearn.__file__).parents[1])}
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], env=environment, capture_output=True, text=True)


def test_reading_while_another_process_writes(path, twin):
    recorder = start(Recorder(path, v=True))
    record(recorder, twin, 0, 0, T)
    recorder.flush()
    record(recorder, twin, 1, 0, T)
    code = "import sys; from snnlearn.recording import open_recording; r = open_recording(sys.argv[1]); "
    code += "print(r.status, r.trials, r['v'][0].sum())"
    result = run_python(code, path)
    assert result.stdout.split() == ["running", "[0]", str(twin.v[0].sum())], result.stderr
    with open_recording(path) as rec:
        assert rec.status == "running"
    record(recorder, twin, 2, 0, T)
    recorder.close()
    with open_recording(path) as rec:
        assert rec.n_trials == 3


FORGOTTEN = """
import sys
import numpy as np
from collections import namedtuple
from snnlearn.recording import Recorder
recorder = Recorder(sys.argv[1])
weights = namedtuple("Weights", "w")(np.ones(2))
recorder.open({}, n_neurons=3, n_outputs=1, dt=1.0, variables=(), weights=weights)
recorder.block(0, 0, [1], [2], n_steps=5)
"""


@pytest.mark.parametrize("end", ["", "del recorder", "raise SystemExit(3)", "1 / 0"])
def test_a_recorder_that_nobody_closed(path, end):
    result = run_python(FORGOTTEN + end, path)
    assert "recording" not in result.stderr
    with open_recording(path) as rec:
        assert rec.status == "interrupted" and rec.n_spikes == 1


@pytest.mark.parametrize(
    ("error", "status"), [(None, "complete"), (KeyboardInterrupt(), "interrupted"), (ValueError("x"), "failed: ValueError: x")]
)
def test_the_context_manager_sets_the_status(path, error, status):
    try:
        with start(Recorder(path)):
            if error is not None:
                raise error
    except BaseException as raised:
        assert raised is error
    with open_recording(path) as rec:
        assert rec.status == status


def test_a_recorder_that_was_never_opened_leaves_no_file(path):
    with Recorder(path) as recorder:
        assert not recorder.is_open and recorder.buffered_bytes == 0
    recorder.close()
    assert not path.exists()


def test_overwriting(path, twin):
    with start(Recorder(path)) as recorder:
        record(recorder, twin, 0, 0, T)
    before = path.read_bytes()
    second = Recorder(path, overwrite=True)
    assert path.read_bytes() == before
    with start(second), pytest.raises(OSError, match=r"the recording .*run.h5 cannot be created"):
        start(Recorder(path, overwrite=True))
    with open_recording(path) as rec:
        assert rec.n_trials == 0 and rec.status == "complete"


def test_a_file_that_appears_before_open_is_kept(path):
    recorder = Recorder(path)
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        start(recorder)
    assert path.read_text() == "mine"


# The layout


def test_every_data_set_has_a_unit_and_the_layout_is_documented(path, twin, rng):
    with start(Recorder(path, v=[1], weights_every=1)) as recorder:
        record(recorder, twin, 0, 0, T)
        recorder.row("trials", trial=0, rate=3.0)
        recorder.snapshot(0, sparse_weights(rng))
    names = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in set(names) - {"configuration"}:
            assert file[name].attrs["units"] and file[name].attrs["description"], name
        assert file["tables/trials/rate"].attrs["units"] == b"Hz"
        assert file[file["traces/v"].attrs["neurons"]][...].tolist() == [1]
        assert file["traces/v"].compression == "gzip" and file["traces/v"].shuffle
    for name in names:
        assert name.split("/")[0] in schema.__doc__


def test_uncompressed(path, twin):
    with start(Recorder(path, compression=None)) as recorder:
        record(recorder, twin, 0, 0, T)
    with h5py.File(path) as file:
        assert file["spikes/step"].compression is None and not file["spikes/step"].shuffle


def test_repr_and_description(recorded, path, twin):
    rate = twin.z.sum() / (TRIALS * T * N * DT / 1000)
    text = repr(recorded)
    for part in ("complete", "12 neurons", "3 trials", "120 steps", "0.06 s", f"{rate:.3g} Hz", "v: float32 [120, 3]"):
        assert part in text
    with start(
        Recorder(path.with_name("b.h5"), v=[0, 3], weights_every=1), {"seed": 3, "neurons": [{"tau": [1.0] * 50}]}
    ) as recorder:
        record(recorder, twin, 0, 0, T)
        recorder.row("updates", update=1, loss=2.5)
        recorder.row("updates", update=2, loss=np.nan)
        recorder.snapshot(1, dense_weights(np.random.default_rng(1)))
        for number in range(25):
            recorder.event("note", f"number {number}")
    text = describe(path.with_name("b.h5"))
    for part in (
        "snnlearn-recording 1.3",
        "status     complete",
        "seed       3",
        "12 neurons, 2 outputs, dt = 0.5 ms",
        "1 trials (0), 40 steps, 0.02 s",
        "neurons 0, 3",
        "Table updates, 2 rows",
        "first 2.5, last 2.5",
        "w_rec",
        "Events, 25",
        "... 5 more",
        "tau: [1.0, 1.0, 1.0, 1.0, ... 1.0] (50 values)",
    ):
        assert part in text, part
    assert max(map(len, text.splitlines())) < 200


def test_spikes_are_read_in_pieces(recorded, twin, monkeypatch):
    """As in files with more spikes than fit into memory at once."""
    monkeypatch.setattr("snnlearn.storage.open_file.PIECE", 5)
    read, lengths = Recording.read_entries, []

    def count(self, name, part, *rest):
        lengths.append(part.stop - part.start)
        return read(self, name, part, *rest)

    monkeypatch.setattr(Recording, "read_entries", count)
    assert_array_equal(recorded.spikes(neurons=[4]).step, np.nonzero(twin.z[:, :, 4])[1])
    assert len(lengths) > 10 and max(lengths) < twin.z.sum() / 4


def test_a_long_recording_opens_quickly(path):
    """One neuron of a million steps: index and chunks, no data."""
    values = np.zeros((10_000, 1), np.float32)
    with start(Recorder(path, v=[0], spikes=False)) as recorder:
        for block in range(100):
            recorder.block(0, block * 10_000, None, None, {"v": values + block})
    begin = time.perf_counter()
    with open_recording(path) as rec:
        assert rec["v"].read(0, (DT * 499_999, DT * 500_001)).ravel().tolist() == [49, 50]
    assert time.perf_counter() - begin < 1.0


@pytest.mark.parametrize("compression", ["gzip", None])
def test_rows_are_the_same_however_they_are_cut_up(path, compression, monkeypatch):
    """Spilled, committed and appended in any order, over the borders of chunks, with gaps, and after the file was opened anew."""
    rng = np.random.default_rng(7)
    names = {"narrow": ((), "u4"), "wide": ((300,), "f4"), "huge": ((3000,), "f4"), "late": ((20,), "f8")}
    expected = {name: [] for name in names}
    journal = JournaledFile(path, "x")
    file = h5py.File(journal, "w", userblock_size=seqlock.SIZE)
    monkeypatch.setattr(store, "PERIOD", 1e9)
    for opening in range(3):
        if opening:
            journal = JournaledFile(path, "r+")
            file = h5py.File(journal, "r+")
        kept = store.Store(file, journal, compression, str(path), schema.entry)
        stream = store.Stream(kept, file.require_group("tables"))
        for name, (width, dtype) in names.items():
            stream.add(name, dtype, width, inner=256)
        for _ in range(40):
            k = int(rng.choice([0, 1, 3, 200, 700]))
            values = {name: (rng.random((k, *width)) * 100).astype(dtype) for name, (width, dtype) in names.items()}
            skips = rng.random() < 0.2
            for name in names:
                missing = np.full_like(values[name], np.nan) if name == "late" and skips else values[name]
                expected[name].append(missing)
            stream.extend(k, {name: x for name, x in values.items() if not (name == "late" and skips)})
            kept.flush_if_due()
            if rng.random() < 0.2:
                kept.flush()
        kept.close("complete")
    with h5py.File(path) as written:
        for name, parts in expected.items():
            assert_array_equal(written["tables"][name][...], np.concatenate(parts))
            assert written["tables"][name].compression == compression
