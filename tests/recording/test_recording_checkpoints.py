"""What a kill, a full disk or an accident leaves of a recording and of its checkpoints."""

import errno
import os
import pathlib
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from paths import TESTS
from recording_twin import TRIALS, T, dense_weights, record, spikes_of, start

import snnlearn
from snnlearn.recording import Recorder, open_recording
from snnlearn.recording.reopen import load_checkpoints, reopen, repair
from snnlearn.storage import checkpoint_slots, journal

resource = pytest.importorskip("resource", reason="limits the size of files")

ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(5, dtype=np.int8), "c": np.float32(7).reshape(())}


def checkpoint(recorder, number=0, **options):
    arrays = {name: array + array.dtype.type(number) for name, array in ARRAYS.items()}
    recorder.checkpoint({"number": number}, arrays, {"mask": np.eye(3, dtype=bool)}, wait=True, **options)


def newest(path):
    return load_checkpoints(path, "path")[0]


@pytest.mark.parametrize("able", [False, True])
def test_file_systems_that_cannot_reserve_are_written_instead(tmp_path, monkeypatch, able):
    path = tmp_path / "space"

    def unable(*_):
        raise OSError(errno.EOPNOTSUPP, "no")

    if able:
        monkeypatch.setattr(os, "posix_fallocate", unable, raising=False)
    else:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    monkeypatch.setattr(checkpoint_slots, "PIECE", 100)
    with open(path, "w+b") as file:
        file.write(b"head")
        file.flush()
        checkpoint_slots._reserve(file.fileno(), 4, 250)
    assert path.read_bytes() == b"head" + bytes(250)


# Commits


def test_every_moment_of_a_commit_leaves_a_whole_file(path, twin, tmp_path, monkeypatch):
    """Copies of the file in the middle of and after each write: each is the state before or after a commit."""
    recorder = start(Recorder(path, v=[1, 2], weights_every=1))
    write, copies, done = journal.write_at, [], [0]

    def torn(file, data, offset):
        for part, at in ((data[: len(data) // 2], offset), (data[len(data) // 2 :], offset + len(data) // 2)):
            write(file, part, at)
            copies.append((tmp_path / f"{len(copies)}.h5", done[0]))
            shutil.copy(path, copies[-1][0])

    monkeypatch.setattr(journal, "write_at", torn)
    for number in range(6):
        record(recorder, twin, number % TRIALS, 0, T, number)
        recorder.row("trials", trial=number, loss=0.5 * number)
        recorder.snapshot(number, dense_weights(np.random.default_rng(number)))
        recorder.event("note", "x" * 500)
        recorder.flush()
        done[0] += 1
    journals = 0
    for copy, commits in copies:
        journals += journal.has_journal(copy)
        with open_recording(copy) as rec:
            assert rec.n_trials in (commits, commits + 1)
            assert len(rec.events) == rec.n_trials == len(rec.weight_updates)
            assert ("trials" in rec.tables and len(rec.table("trials").trial)) == rec.n_trials
            for trial in rec.trials:
                assert_array_equal(rec["v"][int(trial)], twin.v[trial % TRIALS][:, [1, 2]])
                assert rec.spikes(int(trial)).step.size == twin.z[trial % TRIALS].sum()
    assert journals > 10 and len(copies) > 50
    recorder.close()


def test_a_writer_applies_the_journal_of_a_killed_one(path, twin, tmp_path, monkeypatch):
    recorder = start(Recorder(path))
    record(recorder, twin, 0, 0, T)
    checkpoint(recorder)
    killed = tmp_path / "killed.h5"

    def die(self):
        shutil.copy(path, killed)
        raise KeyboardInterrupt

    record(recorder, twin, 1, 0, T)
    with monkeypatch.context() as patch:
        patch.setattr(journal.JournaledFile, "_apply", die)
        with pytest.raises(KeyboardInterrupt):
            recorder.flush()
    assert journal.has_journal(killed)
    other = shutil.copy(killed, tmp_path / "other.h5")
    assert repair(other) and not repair(other)
    with h5py.File(other) as file, open_recording(other) as rec:
        assert file["segments"].attrs["committed"] == rec.n_trials == 2
        assert_array_equal(rec.spikes(1).step, spikes_of(twin, [1])[1])
    again = reopen(killed, newest(killed).values["recorder"], None)
    again.close()
    assert not journal.has_journal(killed)
    with h5py.File(killed) as file:
        assert file["segments"].attrs["committed"] == 1
    recorder.close()


def test_a_file_that_is_being_written_is_not_repaired(path, twin):
    with start(Recorder(path)) as recorder:
        record(recorder, twin, 0, 0, T)
        with pytest.raises(ValueError, match=r"repair.path must be a file that no process writes \(got '.*\)"):
            repair(path)
    before = path.read_bytes()
    assert not repair(path) and path.read_bytes() == before


def limited(code, limit, *arguments):
    """Run code where no file can become larger than so many bytes, as on a disk that is full then."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(pathlib.Path(snnlearn.__file__).parents[1]), str(TESTS), str(TESTS / "recording")])
    }
    set_limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # noqa: E731
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, preexec_fn=set_limit)


FULL = """
import sys
from recording_twin import *
twin, recorder = draw_twin(), start(Recorder(sys.argv[1], v=True, psi=True, compression=COMPRESSION))
for number in range(100_000):
    record(recorder, twin, number % TRIALS, 0, T, number)
    if number % 50 == 0:
        recorder.flush()
        print(number + 1, flush=True)
"""


@pytest.mark.parametrize("compression", ["gzip", None])
def test_a_full_disk_is_told_and_nothing_is_lost(path, twin, compression):
    result = limited(FULL.replace("COMPRESSION", repr(compression)), 5_000_000, path)
    assert "run.h5 cannot be written: File too large; what was written before is whole" in result.stderr
    committed = int(result.stdout.split()[-1])
    with open_recording(path) as rec:
        assert rec.n_trials >= committed > 100
        assert rec.status == "running"
        for trial in (0, committed - 1):
            assert_array_equal(rec["v"][trial], twin.v[trial % TRIALS])


def test_a_full_disk_for_checkpoints(path, twin):
    code = "import sys\nfrom recording_twin import *\nfrom test_recording_checkpoints import checkpoint\n"
    code += "r = start(Recorder(sys.argv[1]))\nrecord(r, draw_twin(), 0, 0, T)\ncheckpoint(r, headroom=10**8)\n"
    result = limited(code, 2_000_000, path)
    assert "the checkpoint in" in result.stderr and "run.h5 cannot be written" in result.stderr
    with open_recording(path) as rec:
        assert rec.n_trials == 1


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_file_that_vanished_is_told(tmp_path, twin, what):
    folder = tmp_path / "runs"
    folder.mkdir()
    recorder = start(Recorder(folder / "run.h5"))
    record(recorder, twin, 0, 0, T)
    shutil.rmtree(folder) if what == "folder" else (folder / "run.h5").unlink()
    for call in (recorder.flush, recorder.close):
        with pytest.raises(OSError, match=r"run.h5 cannot be \w+: the file or its folder was moved or deleted"):
            call()


# Checkpoints


def test_checkpoints_alternate_and_come_back(path):
    with start(Recorder(path, checkpoint_every=3)) as recorder:
        assert [recorder.checkpoint_due() for _ in range(3)] == [False, False, True]
        sizes = []
        for number in range(5):
            checkpoint(recorder, number)
            sizes.append(path.stat().st_size)
            assert not recorder.checkpoint_due()
    assert len(set(sizes)) == 1
    found = load_checkpoints(path, "path")
    assert [c.sequence for c in found] == [5, 4] and [c.values["number"] for c in found] == [4, 3]
    for name, array in ARRAYS.items():
        got = found[0].arrays[name]
        assert got.dtype == array.dtype and got.shape == array.shape
        assert_array_equal(got, array + array.dtype.type(4))
    assert_array_equal(found[0].constants["mask"], np.eye(3))
    with h5py.File(path) as file:
        assert len(file["checkpoint/arrays"]) == 1 and len(file["checkpoint"]) == 3


def test_slots_grow(path):
    with start(Recorder(path)) as recorder:
        checkpoint(recorder)
        recorder.checkpoint({"number": 1}, {"a": np.arange(100_000.0)}, {}, wait=True)
        assert newest(path).arrays["a"].size == 100_000
        checkpoint(recorder, 2)
        checkpoint(recorder, 3)
    assert [c.values["number"] for c in load_checkpoints(path, "path")][:2] == [3, 2]


def test_a_torn_slot_leaves_the_other(path):
    with start(Recorder(path)) as recorder:
        for number in range(3):
            checkpoint(recorder, number)
    with h5py.File(path, "r+") as file:
        heads = {
            checkpoint_slots._head(slot)[0]: name for name, slot in file["checkpoint"].items() if isinstance(slot, h5py.Dataset)
        }
        file["checkpoint"][heads[3]][5000] ^= 1
    assert [c.values["number"] for c in load_checkpoints(path, "path")] == [1]
    with h5py.File(path, "r+") as file:
        file["checkpoint"][heads[2]][10] ^= 1
    with pytest.raises(ValueError, match=r"path must be a file with a checkpoint \(got .*\); Recorder\(checkpoint_minutes"):
        newest(path)


def test_a_kill_while_a_slot_is_written(path, monkeypatch):
    """The payload is there, or half of it, but not the head."""
    recorder = start(Recorder(path))
    checkpoint(recorder, 0)
    checkpoint(recorder, 1)
    write = checkpoint_slots.write_at
    for most in range(4):
        written = []

        def die(file, data, offset, most=most, written=written):
            if len(written) >= most:
                raise OSError("killed")
            written.append(offset)
            write(file, data, offset)

        with monkeypatch.context() as patch:
            patch.setattr(checkpoint_slots, "write_at", die)
            with pytest.raises(
                OSError, match=r"the checkpoint in .*run.h5 cannot be written: killed; the one before it is still there"
            ):
                checkpoint(recorder, 2)
        assert newest(path).values["number"] == 1
        recorder._store.slots._next = 1 - recorder._store.slots._next  # into the same slot again
    recorder.close()


# Going on


def fill(recorder, twin, trials):
    for trial in trials:
        record(recorder, twin, trial % TRIALS, 0, T, trial)
        recorder.row("trials", trial=trial, loss=0.5)
        recorder.snapshot(trial, dense_weights(np.random.default_rng(trial)))


def test_a_recording_is_cut_back_to_its_checkpoint(tmp_path, path, twin):
    whole = tmp_path / "whole.h5"
    options = {"v": [3, 1], "weights_every": 1}
    with start(Recorder(whole, **options)) as recorder:
        fill(recorder, twin, range(7))
    recorder = start(Recorder(path, **options))
    fill(recorder, twin, range(4))
    checkpoint(recorder)
    fill(recorder, twin, range(4, 6))
    recorder.row("later", x=1)
    recorder.event("note", "later")
    recorder.close("interrupted")
    again = reopen(path, newest(path).values["recorder"], dense_weights(np.random.default_rng(0)))
    assert repr(again).endswith("running)")
    with pytest.raises(ValueError, match=r"Recorder.block.start must be at least 40, where trial 3 ended"):
        record(again, twin, 0, 0, T, 3)
    fill(again, twin, range(4, 7))
    again.close()
    with h5py.File(whole) as a, h5py.File(path) as b:
        names = []
        a.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        assert "traces/v" in names and "weights/w_rec" in names
        for name in set(names) - {"events/time"}:
            assert_array_equal(a[name][...], b[name][...])
        assert "later" not in b["tables"] and b["events"].attrs["committed"] == 0
        assert b.attrs["status"] == b"complete" and "resumed" in b.attrs


def test_files_that_cannot_go_on(path, tmp_path, twin):
    recorder = start(Recorder(path))
    checkpoint(recorder)
    state = newest(path).values["recorder"]
    with pytest.raises(OSError, match=r"run.h5 cannot go on: another process has it open"):
        reopen(path, state, None)
    recorder.close()
    before = path.read_bytes()
    with pytest.raises(OSError, match=r"cannot go on: .*"):
        reopen(path, state | {"streams": {**state["streams"], "tables/none": {"n": 3, "columns": ["x"]}}}, None)
    assert path.read_bytes() == before
    with pytest.raises(OSError, match="truncated"):
        (tmp_path / "short.h5").write_bytes(before[: len(before) - 5000])
        newest(tmp_path / "short.h5")
    with start(Recorder(tmp_path / "none.h5")):
        pass
    with pytest.raises(ValueError, match="must be a file with a checkpoint"):
        newest(tmp_path / "none.h5")


def test_damage_is_told(path, tmp_path, rng):
    """Bytes of slots and constants that change: a state comes back as it was, the other one does, or one error says so."""
    with start(Recorder(path)) as recorder:
        for number in range(2):
            checkpoint(recorder, number)
    whole, damaged, seen = path.read_bytes(), tmp_path / "damaged.h5", set()
    with h5py.File(path) as file:
        sets = [
            x for group in (file["checkpoint"], file["checkpoint/arrays"]) for x in group.values() if isinstance(x, h5py.Dataset)
        ]
        places = [(x.id.get_offset() + at) for x in sets for at in range(min(x.nbytes, 64))]
        places += [x.id.get_offset() + 4096 + at for x in sets[-1:] + sets[:2] for at in range(600) if x.nbytes > 5000]
    for _ in range(200):
        data = bytearray(whole)
        for place in rng.choice(places, 3):
            data[place] ^= int(rng.integers(1, 256))
        damaged.write_bytes(data)
        try:
            found = load_checkpoints(damaged, "path")
        except (OSError, ValueError) as error:
            assert "is damaged" in str(error) or "must be a file with a checkpoint" in str(error)
            seen.add("none")
            continue
        seen.add(len(found))
        for state in found:
            assert_array_equal(state.arrays["b"], ARRAYS["b"] + np.int8(state.values["number"]))
            assert_array_equal(state.constants["mask"], np.eye(3))
    assert seen == {"none", 1}


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"checkpoint_every": 0}, ValueError, "Recorder.checkpoint_every must be None or a positive number of batches or pieces"),
        ({"checkpoint_minutes": 0}, ValueError, "Recorder.checkpoint_minutes must be None or a positive time in minutes"),
    ],
)
def test_a_recorder_refuses(path, options, error, sentence):
    with pytest.raises(error, match=sentence):
        Recorder(path, **options)
