"""Bytes that were changed are never read as if they had been written, and files that are odd are refused in one sentence."""

import os
import shutil
import socket
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from event_files import sweeps
from paths import DATA
from recording_twin import TRIALS, N, T, record, sparse_weights, start

import snnlearn as sl
from snnlearn.recording import Recorder, describe, open_recording
from snnlearn.recording.reopen import load_checkpoints
from snnlearn.storage import integrity, journal

CONFIG = {"seed": 3, "threshold": 0.4, "text": "µ" * 9}


def write(path, twin, compression):
    weights = sparse_weights(np.random.default_rng(3))
    recorder = Recorder(path, v=[5, 2, 9], psi=True, weights_every=1, compression=compression, synapses={"w_in": [(0, 1)]})
    with start(recorder, CONFIG, weights):
        for trial in range(TRIALS):
            record(recorder, twin, trial, 0, T)
            recorder.row("trials", trial=trial, loss=1.0 / (trial + 3))
            recorder.snapshot(trial, weights)
            recorder.event("note", f"{trial} " * 400)
        recorder.checkpoint({"counters": {}}, {"state": np.arange(50.0)}, {"mask": np.arange(9)}, wait=True)


def content(path):
    """All that a recording gives."""
    with open_recording(path) as rec:
        found = [rec.attrs, rec.config, rec.names, rec.tables, rec.events, rec.spikes(), rec.weight_updates, rec.table("trials")]
        found += [rec[name].read(trial) for name in rec.names for trial in rec.trials.tolist()]
        found += [w.toarray() if hasattr(w, "toarray") else w for k in range(TRIALS) for w in rec.weights(k)]
        found += [rec["v"].neurons, rec["v"].units, rec["v"].description, *rec.synapses]
    kept = load_checkpoints(path, "path")[0]
    found += [kept.values["counters"], kept.arrays["state"], kept.constants["mask"]]
    return [x.tobytes() if isinstance(x, np.ndarray) else repr(x) for x in found]


@pytest.mark.parametrize("compression", ["gzip", None])
def test_no_changed_byte_is_read_as_the_truth(compression, path, twin, tmp_path, rng):
    write(path, twin, compression)
    truth, whole, changed = content(path), path.read_bytes(), tmp_path / "changed.h5"
    assert b"GCOL" not in whole  # nothing of variable size
    bytes_ = np.frombuffer(whole, np.uint8)
    places = rng.choice(np.flatnonzero(bytes_), 60).tolist() + rng.integers(0, len(whole), 30).tolist()
    places += [whole.index(b"0.4") + 2, whole.index(b"complete"), whole.index(b"created") + 60]
    seen = 0
    for k, place in enumerate(places):
        data = bytearray(whole)
        if k % 4 == 3:  # a lost sector
            data[place : place + 512] = bytes(len(data[place : place + 512]))
        else:
            data[place] ^= 1 << int(rng.integers(8))
        changed.write_bytes(data)
        try:
            assert content(changed) == truth, place
        except (OSError, ValueError) as error:
            seen += 1
            assert "changed.h5" in str(error)
    assert seen > 20


def test_the_text_of_the_configuration_has_a_digest(path, twin, tmp_path):
    write(path, twin, None)
    data = bytearray(path.read_bytes())
    at = data.index(b'"threshold": 0.4') + 15
    data[at : at + 1] = b"9"
    path.write_bytes(data)
    with pytest.raises(OSError, match=r"run.h5 is damaged: its configuration is not what was written"):
        open_recording(path)


def test_a_damaged_data_set_is_named(path, twin):
    write(path, twin, None)
    with h5py.File(path) as file:
        place = file["traces/v"].id.get_chunk_info(0).byte_offset
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with open_recording(path) as rec:
        assert rec["psi"][0].shape == (T, N)
        with pytest.raises(OSError, match=r"the recording .*run.h5 is damaged: traces/v cannot be read"):
            rec["v"].read(0)


def test_a_damaged_journal_is_not_left_out(path, twin, tmp_path, monkeypatch):
    recorder, killed = start(Recorder(path)), tmp_path / "killed.h5"
    record(recorder, twin, 0, 0, T)
    apply = journal.JournaledFile._apply

    def die(self):
        shutil.copy(path, killed)
        apply(self)

    with monkeypatch.context() as patch:
        patch.setattr(journal.JournaledFile, "_apply", die)
        recorder.flush()
    recorder.close()
    assert journal.has_journal(killed)
    whole = killed.read_bytes()
    for place in (-1, -30, -journal.FOOT.size - 9):  # of one of its two feet
        data = bytearray(whole)
        data[place] ^= 4
        killed.write_bytes(data)
        with open_recording(killed) as rec:
            assert rec.n_trials == 1
    data = bytearray(whole)
    data[-2 * journal.FOOT.size - 4000] ^= 4
    killed.write_bytes(data)
    for look in (open_recording, describe, sl.resume):
        with pytest.raises(OSError, match=r"killed.h5 cannot be opened: the journal at its end, .* is damaged"):
            look(killed)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 511, 512, 1000, 131072, 131075, 600_001])
def test_the_checksum_is_that_of_hdf5(n, rng):
    for data in (rng.integers(0, 256, n, dtype=np.uint8), np.full(n, 255, np.uint8), np.zeros(n, np.uint8)):
        if not n:
            assert integrity.summed(data) == bytes(4)
            continue
        with h5py.File.in_memory() as file:
            dataset = file.create_dataset("x", data=data, chunks=(n,), fletcher32=True)
            file.flush()
            assert dataset.id.read_direct_chunk((0,))[1] == integrity.summed(data)


def test_long_texts_come_back(path, twin):
    with start(Recorder(path), {"text": "x" * 100_000}) as recorder:
        for text in ("", "ä" * 513, "b" * 512, "c\0c"):
            recorder.event("kind" * 30, text)
    with open_recording(path) as rec:
        assert rec.config["text"] == "x" * 100_000
        assert [event.message for event in rec.events] == ["", "ä" * 513, "b" * 512, "c c"]
        assert {event.kind for event in rec.events} == {"kind" * 30} and "4 events: kindkind" in repr(rec)


def lose_heap(path):
    """Zeros in the first heap of a file."""
    data = bytearray(path.read_bytes())
    at = data.index(b"GCOL")
    data[at + 16 : at + 216] = bytes(200)
    path.write_bytes(data)


def test_a_lost_sector_in_a_heap_is_told(tmp_path):
    """HDF5 would look for its end without end."""
    with zipfile.ZipFile(DATA / "format-1.2.zip") as archive:
        path = Path(archive.extract("snap.h5", tmp_path))
    lose_heap(path)
    for look in (open_recording, sl.resume):
        with pytest.raises(OSError, match=r"snap.h5 .*a heap, which holds text or arrays of variable size, is damaged"):
            look(path)
    events = sweeps(tmp_path / "events.h5", 6, 0)
    assert len(sl.datasets.SHD(events)[5].t)
    lose_heap(events)
    with pytest.raises(OSError, match=r"events.h5.* must be readable .*a heap, .* is damaged"):
        list(sl.datasets.SHD(events))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with a name")
def test_what_is_no_file_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.h5")
    os.symlink("loop.h5", "loop.h5")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket.h5")
    listener.close()
    odd = r"must be a file \(got '(pipe|socket).h5'\); it is a pipe, a socket or a device"
    for name in ("pipe.h5", "socket.h5"):
        for look in (open_recording, sl.resume, describe, sl.Weights.load, sl.Config.of_recording):
            with pytest.raises(ValueError, match=odd):
                look(name)
        with pytest.raises(ValueError, match=f"Recorder.path {odd}"):
            Recorder(name, overwrite=True)
        with pytest.raises(ValueError, match=r"SHD.* must be a file .*it is a pipe"):
            sl.datasets.SHD(name)
    for look in (open_recording, sl.resume):
        with pytest.raises(OSError, match=r"must be a file that can be read \(got 'loop.h5'\); Too many levels"):
            look("loop.h5")


def test_links_within_a_file_that_lead_nowhere(path, twin):
    write(path, twin, "gzip")
    with h5py.File(path, "r+") as file:
        del file["traces/v"]
        file["traces/v"] = h5py.SoftLink("/traces/v")
        file["tables/other"] = h5py.ExternalLink("none.h5", "/x")
    with pytest.raises(OSError, match=r"the recording .*run.h5 is damaged"):
        open_recording(path)
