"""The live view of a run, and the commands that look at files."""

import io
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections import namedtuple

import numpy as np
import pytest
from recording_twin import TRIALS, T, dense_weights, record, start

import snnlearn
from snnlearn.recording import Recorder, describe
from snnlearn.recording import watch as watching
from snnlearn.recording.watch import Curve, View, looks, spark, watch

CONFIG = {
    "seed": 3,
    "network": {"n_inputs": 4, "neurons": [{"type": "LIF", "n": 5}, {"type": "ALIF", "n": 7}]},
    "rule": {"type": "EProp"},
    "optimizer": {"type": "Adam", "lr": 0.1, "bounds": None},
    "task": {"name": "twin", "kind": "classification"},
    "training": {"trials": 12, "batch": 3},
    "passive": [{"type": "BPTT", "name": "BPTT()"}],
    "command": "snnlearn train twin --seed 3",
}


def write(recorder, twin, update):
    for trial in range(TRIALS):
        number = TRIALS * (update - 1) + trial
        record(recorder, twin, trial, 0, T, number)
        recorder.row("trials", trial=number, n_steps=T, loss=1.0)
    recorder.row("updates", update=update, loss=1 / update, score=update / 10, rate=10.0 * update, wall_time=5.0 + 0.5 * update)
    recorder.row("alignment", update=[update], rule=[0], cosine_w_rec=[0.1 * update], norm_ratio_w_rec=[1.0])


def python(code, *arguments):
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(snnlearn.__file__).parents[1]), "COLUMNS": "100"}
    command = [sys.executable, *(["-m", "snnlearn"] if code is None else ["-c", code]), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_run_that_ends_while_it_is_looked_at(path, twin, monkeypatch):
    """The file is closed between the look at its contents and that at who holds it."""
    recorder = start(Recorder(path), CONFIG)
    write(recorder, twin, 1)
    recorder.flush()
    is_held = watching.Recording.is_running.fget

    def closing(rec):
        if recorder.is_open:
            write(recorder, twin, 2)
            recorder.close()
        return is_held(rec)

    monkeypatch.setattr(watching.Recording, "is_running", property(closing))
    p = View(path).progress
    assert (p.running, p.ending, p.updates) == (False, "complete", 2)


def test_a_run_that_goes_on(path, twin):
    recorder = start(Recorder(path), CONFIG)
    for update in (1, 2):
        write(recorder, twin, update)
    recorder.flush()
    view = View(path)
    p = view.progress
    assert p.running and (p.trials, p.planned, p.updates, p.steps) == (6, 12, 2, 6 * T)
    assert p.loss == 0.75 and p.rate == 15.0 and p.alignment == {"BPTT()": {"w_rec": pytest.approx(0.2)}}
    assert p.trials_per_second == 6.0 and p.steps_per_second == 6.0 * T and p.left == 1.0
    text = view.text()
    for part in (
        "running (still being written)",
        "50%  6 trials of 12, 2 updates, about 1 s left",
        "alignment  BPTT(): cosine w_rec",
    ):
        assert part in text, text
    assert "twin, 4 in → 5 LIF + 7 ALIF → 2 out, EProp with Adam" in text and "accuracy   0.15" in text
    assert max(map(len, view.text(40).splitlines())) <= 40
    for update in (3, 4):
        write(recorder, twin, update)
    recorder.row("evaluations", update=4, loss=0.1, score=0.9)
    recorder.event("note", "something\nhappened")
    recorder.close("interrupted")
    p = view.look()
    assert not p.running and p.ending == "interrupted" and p.trials == 12 and p.evaluation == 0.9 and p.left is None
    assert view.curves["loss"].values.tolist() == [1.0, 1 / 2, 1 / 3, 1 / 4]
    assert "event      note: something happened" in view.text() and "evaluation 0.9" in view.text()
    view.close()


def test_watch_of_a_finished_run_shows_it_once(path, twin):
    with start(Recorder(path), CONFIG) as recorder:
        write(recorder, twin, 1)
    out = io.StringIO()
    assert watch(path, file=out).ending == "complete"
    assert out.getvalue().count("run.h5") == 1 and "\x1b" not in out.getvalue()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_is_refreshed_in_place(path, twin, monkeypatch):
    recorder = start(Recorder(path), CONFIG)
    write(recorder, twin, 1)
    recorder.flush()
    monkeypatch.setattr(watching.time, "sleep", lambda _: recorder.close())
    out = Terminal()
    assert watch(path, file=out).ending == "complete"
    first, _, second = out.getvalue().partition("\x1b[")
    assert second.startswith(f"{first.count(chr(10))}F\x1b[J")


def test_bare_recordings(path, twin):
    with start(Recorder(path)) as recorder:
        record(recorder, twin, 0, 0, T)
    view = View(path)
    assert view.progress.trials == 1 and view.progress.steps == T and view.progress.loss is None
    assert "progress   1 trials" in view.text()
    view.close()
    with pytest.raises(ValueError, match=r"watch.interval must be a positive time in s \(got 0\)"):
        next(looks(path, 0))
    with pytest.raises(FileNotFoundError):
        watch(path.with_name("none.h5"))


def test_a_run_that_takes_the_place_of_another(path, twin):
    with start(Recorder(path), CONFIG) as recorder:
        write(recorder, twin, 1)
    view = View(path)
    time.sleep(0.002)
    with start(Recorder(path, overwrite=True), CONFIG):
        pass
    assert view.look().trials == 0
    view.close()


def test_the_command_follows_a_writer_until_it_is_killed(path):
    code = (
        "import sys, time, numpy as np; from collections import namedtuple; from snnlearn.recording import Recorder\n"
        "r = Recorder(sys.argv[1]); w = namedtuple('W', 'w')(np.zeros(1))\n"
        "r.open({'training': {'trials': 10**6}}, n_neurons=3, n_outputs=1, dt=1.0, variables=(), weights=w)\n"
        "for k in range(10**6):\n"
        "    r.row('updates', update=k, loss=1 / (1 + k)); r.row('trials', trial=k, n_steps=10); r.flush(); time.sleep(0.005)\n"
    )
    writer = python(code, path)
    for _ in range(600):
        time.sleep(0.05)
        if path.exists() and path.stat().st_size > 8000:
            break
    follower = python(None, "watch", path, "--interval", "0.2")
    once, errors = python(None, "watch", path, "--once").communicate(timeout=60)
    assert "still being written" in once and "of 1000000" in once, errors
    time.sleep(1.0)
    writer.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
    writer.communicate()
    told, errors = follower.communicate(timeout=60)
    assert follower.returncode == 0, errors
    assert told.count("speed") > 2
    assert (
        "ended without closing the file" in told.splitlines()[[k for k, x in enumerate(told.splitlines()) if "run.h5" in x][-1]]
    )


def test_the_command_exports(path, twin, tmp_path):
    with start(Recorder(path, v=[0]), CONFIG) as recorder:
        for update in (1, 2):
            write(recorder, twin, update)
    told, errors = python(None, "export", path, "--format", "csv", "--out", tmp_path / "csv", "--trials", "2:4").communicate()
    assert "written" in told and not errors
    assert set(np.loadtxt(tmp_path / "csv/spikes.csv", delimiter=",", skiprows=1)[:, 0]) == {2, 3}
    for arguments, sentence in (
        (["--format", "mat", "--out", "x"], "--format must be one of 'sonata', 'nwb', 'csv', 'nir' (got 'mat')"),
        (["--format", "csv", "--out", "x", "--trials", "a"], "--trials must be a number or a range A:B (got 'a')"),
        (["--format", "csv", "--out", tmp_path / "csv"], "it exists; --overwrite replaces it"),
    ):
        _, errors = python(None, "export", path, *arguments).communicate()
        assert sentence in errors and "Traceback" not in errors


def test_curves_stay_small(monkeypatch):
    monkeypatch.setattr(watching, "KEPT", 8)
    curve, values = Curve(), np.arange(100.0)
    for part in np.split(np.insert(values, 50, np.nan), [3, 4, 40, 77]):
        curve.extend(part)
    assert curve.width == 16 and curve.values.size == 6
    np.testing.assert_allclose(curve.values, np.arange(6) * 16 + 7.5)
    assert spark(np.array([0.0, 7.0]), 10) == "▁█" and spark(np.ones(3), 10) == "▄▄▄" and spark(np.ones(1), 10) == ""
    assert len(spark(np.arange(1000.0), 20)) == 20


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.25 s"), (59, "59 s"), (60, "1 min"), (3725, "1 h 2 min"), (90000, "1 d 1 h"), (119.6, "2 min"), (7, "7 s")],
)
def test_durations(seconds, text):
    assert watching.duration(seconds) == text


# What `snnlearn info` tells


def test_a_description_tells_what_was_run_and_how_it_ended(path, twin):
    with start(Recorder(path, weights_every=1), CONFIG) as recorder:
        for update in (1, 2, 3):
            write(recorder, twin, update)
        recorder.snapshot(1, dense_weights(np.random.default_rng(0)))
    text = describe(path)
    for part in (
        "command    snnlearn train twin --seed 3",
        "Run of twin, 4 in → 5 LIF + 7 ALIF → 2 out, EProp with Adam",
        "optimizer   Adam(lr=0.1)",
        "training    12 trials in batches of 3",
        "Alignment: cosine of a passive rule's gradient to the updating rule's",
        "BPTT()  w_rec  first 0.100, last 0.300, mean 0.200 of 3",
        "closed",
    ):
        assert part in text, text
    assert "Also in the file" not in text
    import h5py

    with h5py.File(path, "r+") as file:
        file.attrs["status"] = "running"
        del file.attrs["closed"]
        file.create_group("checkpoint")
    text = describe(path)
    assert "status     running, but no process has the file open: it ended without closing the file" in text
    assert "last written" in text and "Also in the file: /checkpoint" in text


def test_watch_outside_of_a_notebook_writes_to_the_terminal(path, twin, capsys):
    pytest.importorskip("matplotlib")
    with start(Recorder(path), CONFIG) as recorder:
        write(recorder, twin, 1)
    assert snnlearn.plot.watch(path).trials == TRIALS
    assert "progress" in capsys.readouterr().out


def test_watch_in_a_notebook_updates_one_output(path, twin, monkeypatch):
    figure, ipython = pytest.importorskip("matplotlib.figure"), pytest.importorskip("IPython")
    figure.Figure()  # matplotlib asks for the notebook once
    shown = []

    def display(x, display_id):
        shown.append(x)
        return namedtuple("Handle", "update")(shown.append)

    monkeypatch.setattr(ipython, "get_ipython", lambda: object())
    monkeypatch.setattr(ipython.display, "display", display)
    recorder = start(Recorder(path), CONFIG)
    write(recorder, twin, 1)
    recorder.flush()
    monkeypatch.setattr(watching.time, "sleep", lambda _: recorder.close())
    assert snnlearn.plot.watch(path).ending == "complete"
    assert len(shown) == 2 and "complete" in repr(shown[1])
    bundle = shown[1]._repr_mimebundle_()
    assert "<pre>" in bundle["text/html"] and "image/png" in bundle["text/html"] and bundle["text/plain"] == shown[1].text
