"""Chunks are encoded beside the run: the same bytes as HDF5's filters read, in order, and nothing is lost where it goes wrong."""

import shutil
import threading
import time
import zlib

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from recording_twin import N, T, draw_twin, record, start

from snnlearn.recording import Recorder, open_recording
from snnlearn.storage import column, compression, store

TWIN = draw_twin()


def contents(rng):
    yield "noise", rng.standard_normal(32_768).astype("f4")
    yield "walk", np.cumsum(rng.standard_normal((1638, 20)), axis=0).astype("f4")
    yield "times", np.sort(rng.integers(0, 5000, 32_768)).astype("u4")
    yield "neurons", rng.integers(0, 1000, 65_536).astype("u2")
    yield "doubles", rng.standard_normal((16, 1024))
    yield "constant", np.full(32_768, np.nan, "f4")
    yield "one", np.array([3.5])
    yield "bytes", rng.integers(0, 256, 1 << 17).astype("u1")  # a stored plane of more than one block
    yield "odd", rng.integers(0, 256, 3 * compression.BLOCK).astype("u1")


@pytest.mark.parametrize(("name", "values"), [pytest.param(*item, id=item[0]) for item in contents(np.random.default_rng(3))])
def test_encoded_chunks_are_those_of_the_filters(tmp_path, name, values):
    data = compression.encoded(values)
    planes = np.ascontiguousarray(values.reshape(-1).view("u1").reshape(-1, values.itemsize).T)
    assert zlib.decompress(data) == planes.tobytes()
    with h5py.File(tmp_path / "x.h5", "w") as file:
        made = file.create_dataset("x", values.shape, values.dtype, chunks=values.shape, compression="gzip", shuffle=True)
        made.id.write_direct_chunk((0,) * values.ndim, data)
    with h5py.File(tmp_path / "x.h5") as file:
        assert_array_equal(file["x"][...], values)
    usual = zlib.compress(planes.tobytes(), 1)
    assert len(data) < 1.06 * len(usual) + 64, (len(data), len(usual))


@pytest.fixture
def gate(monkeypatch):
    """Chunks are encoded only while it is open."""
    opened = threading.Event()

    def gated(chunk):
        assert opened.wait(30)
        return compression.encoded(chunk)

    monkeypatch.setattr(column, "encoded", gated)
    yield opened
    opened.set()


def fill(recorder, blocks, first=0):
    """Blocks of noise, most of all chunks of v."""
    for number in range(first, first + blocks):
        recorder.block(number, 0, [], [], {"v": values(number)})


def values(number):
    return np.random.default_rng(number).standard_normal((500, N)).astype(np.float32)


def test_the_committed_length_covers_only_what_is_written(tmp_path, gate, monkeypatch):
    monkeypatch.setattr(store, "PERIOD", 1e9)
    path, killed = tmp_path / "run.h5", tmp_path / "killed.h5"
    recorder = start(Recorder(path, v=True))
    gate.set()
    fill(recorder, 3)
    recorder.flush()
    gate.clear()
    fill(recorder, 60, 3)  # more than is spilled at once
    assert recorder._store.encoder.waiting > 0
    flushing = threading.Thread(target=recorder.flush)
    flushing.start()
    time.sleep(0.1)
    assert flushing.is_alive()  # a commit awaits what is on its way
    shutil.copy(path, killed)  # as a kill leaves it
    gate.set()
    flushing.join()
    for file, n in ((killed, 3), (path, 63)):
        with open_recording(file) as rec:
            assert rec.n_trials == n
            for number in range(n):
                assert_array_equal(rec["v"][number], values(number))
    recorder.close()


def test_the_run_goes_on_until_too_much_waits_and_is_told(tmp_path, gate, monkeypatch):
    limit = 1 << 19
    monkeypatch.setattr(compression, "LIMIT_BYTES", limit)
    monkeypatch.setattr(store, "PERIOD", 0.3)
    path = tmp_path / "run.h5"
    recorder = start(Recorder(path, v=True))
    done, most = threading.Event(), []

    def run():
        with pytest.warns(UserWarning, match=r"the run waits .* % of its time until what it records in .*run.h5 is compressed"):
            fill(recorder, 120)
            time.sleep(0.4)
            fill(recorder, 1, 120)
        done.set()

    running = threading.Thread(target=run)
    running.start()
    for _ in range(10):
        time.sleep(0.05)
        most.append(recorder._store.encoder.waiting)
    assert limit - column.CHUNK_BYTES < max(most) <= limit and not done.is_set()
    gate.set()
    running.join()
    assert done.is_set()
    recorder.close()
    with open_recording(path) as rec:
        assert [event.kind for event in rec.events] == ["warning"]
        for number in (0, 60, 120):
            assert_array_equal(rec["v"][number], values(number))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError("no memory")])
def test_what_goes_wrong_in_the_thread_is_raised_and_nothing_committed_is_lost(tmp_path, monkeypatch, error):
    monkeypatch.setattr(store, "PERIOD", 1e9)
    path = tmp_path / "run.h5"
    recorder = start(Recorder(path, v=True))
    fill(recorder, 40)
    recorder.flush()

    def broken(chunk):
        raise error

    monkeypatch.setattr(column, "encoded", broken)
    with pytest.raises(OSError, match=r"the recording .*run.h5 cannot be written: .*; what was written before is whole"):
        fill(recorder, 200, 40)  # at the next call after it happened
    for end in (recorder.flush, recorder.close):
        with pytest.raises(OSError, match=r"the recording .*run.h5 cannot be written: .*; what was written before is whole"):
            end()
    with open_recording(path) as rec:
        assert rec.n_trials == 40
        for number in range(40):
            assert_array_equal(rec["v"][number], values(number))


def test_a_chunk_that_found_no_memory_is_encoded_again(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "PERIOD", 1e9)
    path, tries = tmp_path / "run.h5", []

    def fails_once(chunk):
        tries.append(1)
        if len(tries) == 1:
            raise MemoryError("no memory")
        return compression.encoded(chunk)

    monkeypatch.setattr(column, "encoded", fails_once)
    recorder = start(Recorder(path, v=True))
    fill(recorder, 20)
    with pytest.raises(OSError, match=r"the recording .*run.h5 cannot be written: no memory; what was written before is whole"):
        recorder.flush()
    fill(recorder, 20, 20)
    recorder.close()
    with open_recording(path) as rec:
        assert rec.status == "complete" and rec.n_trials == 40
        for number in range(40):
            assert_array_equal(rec["v"][number], values(number))


def test_a_recording_can_be_closed_by_its_own_thread(tmp_path, monkeypatch):
    """As garbage that is collected there closes it."""
    monkeypatch.setattr(store, "PERIOD", 1e9)
    path, entered = tmp_path / "run.h5", threading.Event()
    recorder = start(Recorder(path, v=True))

    def closing(chunk):
        if not entered.is_set():
            entered.set()
            recorder.close()
        return compression.encoded(chunk)

    monkeypatch.setattr(column, "encoded", closing)
    try:
        fill(recorder, 100)
    except ValueError as error:
        assert "be called between open() and close()" in str(error)
    for _ in range(200):
        if not recorder._store.file:
            break
        time.sleep(0.05)
    with open_recording(path) as rec:
        assert rec.status == "complete" and rec.n_trials > 20
        assert_array_equal(rec["v"][20], values(20))


def test_a_recording_without_compression_has_no_thread(tmp_path):
    before = threading.active_count()
    with start(Recorder(tmp_path / "run.h5", v=True, compression=None)) as recorder:
        for number in range(50):
            record(recorder, TWIN, number % 3, 0, T, number)
        assert threading.active_count() == before
    with start(Recorder(tmp_path / "two.h5", v=True)) as recorder:
        fill(recorder, 60)
    assert threading.active_count() == before  # it ends with the file
