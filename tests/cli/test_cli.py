"""Every command in a subprocess, as a user types it."""

import os
import shlex
import signal
import subprocess
import sys
import time
import types

import pytest

import snnlearn as sl
from snnlearn.experiments.recipes import RECIPES, SUITE
from snnlearn.rules.taxonomy import rule_names

TASKS = ", ".join(repr(name) for name in (*RECIPES, *SUITE))
SMALL = ["--neurons", "20", "--iterations", "4", "--batch", "4", "--quiet"]


def command(*arguments, **kwargs):
    return subprocess.run([sys.executable, "-m", "snnlearn", *map(str, arguments)], capture_output=True, text=True, **kwargs)


def test_train_info_plot(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "run.h5"
    done = command("train", "digits", "--out", path, "--seed", 3, *SMALL)
    assert done.returncode == 0, done.stderr
    assert "test accuracy" in done.stdout
    with sl.open_recording(path) as rec:
        assert rec.status == "complete"
        assert rec.config["seed"] == 3
        assert rec.table("updates").loss.size == 4
    told = command("info", path)
    assert told.returncode == 0
    assert "complete" in told.stdout
    assert "digits" in told.stdout
    drawn = command("plot", path, "--out", tmp_path / "run.png")
    assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("task", ["evidence-accumulation", "pattern-generation"])
def test_other_tasks(task):
    done = command("train", task, "--neurons", "10", "--iterations", "1", "--batch", "1", "--threads", "1", "--quiet")
    assert done.returncode == 0, done.stderr
    assert "complete after 1 updates" in done.stdout


@pytest.mark.parametrize(("rule", "name"), [("snap:1", "SnAp"), ("eprop:2", "EProp"), ("tbptt:20", "TruncatedBPTT")])
def test_train_takes_every_rule(rule, name):
    done = command("train", "pattern-generation", "--rule", rule, "--neurons", "10", "--iterations", "1", "--quiet")
    assert done.returncode == 0, done.stderr
    assert f"1 trials in batches of 1, {name} ({rule}), random feedback" in done.stdout


def test_train_online_with_a_causal_rule():
    small = ["--neurons", "10", "--iterations", "1", "--quiet", "--update-every", "50"]
    done = command("train", "pattern-generation", "--rule", "snap:1", *small)
    assert done.returncode == 0, done.stderr
    assert "complete after 1 updates" in done.stdout  # of the table of updates: one a trial


def test_compare(tmp_path):
    pytest.importorskip("matplotlib")
    png = tmp_path / "rules.png"
    done = command("compare", "pattern-generation", "--neurons", "10", "--rules", "eprop,eprop:2", "rtrl", "--plot", png)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "pattern-generation: 10 neurons, 100 inputs, 1000 steps, seed 0"
    first = [line.split()[0] for line in lines if " w_in " in line]
    assert first == ["EProp()", "EProp(order=2)", "RTRL()"]
    exact = next(line for line in lines if line.startswith("RTRL()"))
    assert exact.split()[2] == "1.0000"
    assert png.read_bytes().startswith(b"\x89PNG")


def test_plan():
    done = command("plan", "digits", "--neurons", "20", "--batch", "4", "--seconds", "0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("64 inputs, 10 LIF + 10 ALIF, 10 outputs, 1680 synapses, float32")
    assert "adjoints on the tape of a trial" in done.stdout and "bytes a synapse" in done.stdout


def test_a_length_is_a_number_of_trials_or_of_updates(tmp_path):
    found = [command("init", "digits", "--batch", "4", *words).stdout for words in (["--trials", "24"], ["--iterations", "6"])]
    assert found[0] == found[1] and "trials = 24 " in found[0]
    odd = command("init", "digits", "--batch", "4", "--trials", "25").stdout
    assert "trials = 25 " in odd and "every = 7}" in odd  # updates until the learning rate has fallen


def test_every_task_that_draws_its_trials_has_a_recipe():
    assert set(RECIPES) == set(sl.tasks.names()) - {"classification", "suite"}  # which take data of their own
    told = [command(name, "--help").stdout.split() for name in ("train", "init", "plan", "compare")]
    assert all(name in "".join(words) for name in (*RECIPES, *SUITE) for words in told)  # lines may end at a hyphen


def test_minutes_for_one_update_are_announced(capsys, monkeypatch):
    from snnlearn.cli import training

    for rule, announced in (("rtrl", True), ("eprop", False)):
        config = RECIPES["digits"](rule=rule, trials=640, batch=32, neurons=200)
        monkeypatch.setattr("snnlearn.experiments.plan.plan", lambda *_, **__: types.SimpleNamespace(seconds_per_step=1.0))
        training.warn_of_cost(config, threads=1)
        said = capsys.readouterr().out
        assert ("RTRL an update takes about" in said and "h" in said) if announced else not said


def test_plan_of_a_configuration(tmp_path):
    path = tmp_path / "run.toml"
    made = command("init", "digits", "--neurons", "20", "--iterations", "6", "--batch", "4", "--out", path)
    assert made.returncode == 0, made.stderr
    done = command("plan", path, "--set", "optimizer.lr=0.1", "--seconds", "0.01")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("64 inputs, 10 LIF + 10 ALIF, 10 outputs, 1680 synapses, float32")
    assert "training 24 trials take about" in done.stdout
    assert "its recording holds raw data of 24 trials: about" in done.stdout


def test_errors_are_one_sentence_where_there_is_a_recording(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "run.h5"
    assert command("train", "digits", "--out", path, *SMALL).returncode == 0
    for arguments, sentence in (
        (["plot", path, "--trial", "999"], "--trial must be among the trials with raw data, 0, 1, "),
        (
            ["export", path, "--format", "csv", "--trials", "50:60"],
            "--trials must reach trials with raw data, 0, 1, 2, 3, ..., 15 (got '50:60')",
        ),
        (["train", "digits", "--out", path], "the file exists; --overwrite replaces it"),
    ):
        done = command(*arguments)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert sentence in done.stderr
    narrow = command("watch", path, "--once", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert narrow.returncode == 0 and "loss" in narrow.stdout, narrow.stderr


def test_taxonomy():
    done = command("taxonomy")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(sl.taxonomy())
    told = command("train", "--help").stdout
    assert all(name.split(":")[0] in told for name in rule_names())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "digit"], f"train TASK must be one of {TASKS} (got 'digit')"),
        (["plan", "digit"], f"plan TASK must be one of {TASKS} (got 'digit')"),
        (["train", "digits", "--rule", "magic"], "rule must be one of bptt, tbptt:m, rtrl, eprop, eprop:m, "),
        (["train", "digits", "--rule", "snap"], "rule must have a number, as snap:2 (got 'snap')"),
        (
            ["train", "digits", "--rule", "bptt", "--update-every", "5"],
            "BPTT must run on whole trials with update_every='trial' (got 'update_every=5')",
        ),
        (["train", "digits", "--rule", "rtrl", "--update-every", "10"], "RTRL needs"),
        (["compare", "digit"], f"compare TASK must be one of {TASKS}"),
        (["compare", "digits", "--rules", "eprop", "magic"], "--rules must be one of bptt, "),
        (["compare", "digits", "--dtype", "int"], "--dtype must be 'float32' or 'float64' (got 'int')"),
        (["compare", "digits", "--neurons", "1"], "--neurons must be a number >= 2 (got 1)"),
        (["plan", "digits", "--neurons", "1000000"], "synapses need 12 TB and"),
        (["train", "digits", "--neurons", "1000000"], "Network.init_weights: weights of 1000064000000 synapses need 8 TB and"),
        (["plan", "digits", "--batch", "1000000000"], "are there; what fits: batch="),
        (["plan", "digits", "--neurons", "9" * 5000], "argument --neurons: invalid int value"),
        (["train", "digits", "--neurons", "9" * 30], "--neurons must be at most 2147483647 (got 9999"),
        (["train", "digits", "--neurons", "1"], "--neurons must be a number >= 2 (got 1)"),
        (["plan", "digits", "--seconds", "0", "--neurons", "100000000"], "synapses need 1.2e+05 TB and"),
        (["train", "digits", "--threads", "99999999999"], "--threads must be at most 4096 (got 99999999999)"),
        (["train", "digits", "--trials", "9", "--iterations", "3"], "--iterations must come without --trials"),
        (["plan", "digits", "--lr", "inf"], "--lr must be a positive number (got inf)"),
        (["train", "digits", "--iterations", "0"], "--iterations must be a positive number (got 0)"),
        (["train", "digits", "--update-every", "x"], "--update-every must be 'trial' or a positive number of steps (got 'x')"),
        (["train", "digits", "--out", "missing/run.h5"], "--out must be in a folder that exists (got 'missing/run.h5')"),
        (["info", "missing.h5"], "missing.h5"),
        (["train", "digits", "--lr", "-1"], "--lr must be a positive number (got -1.0)"),
        (["train", "digits", "--stop", "nan"], "--stop must be a score (got nan)"),
        (["init", "digits", "--out", "."], "--out must be a file, not a folder (got '.')"),
        (["compare", "digits", "--plot", "missing/x.png"], "--plot must be in a folder that exists"),
        (["plan"], "plan must get one of TASK, a configuration FILE.toml and --data FORMAT PATH (got None)"),
        (["plan", "missing.toml"], "the configuration missing.toml does not exist"),
        (["plan", "digits", "--set", "seed=1"], "--set must come with a configuration FILE.toml"),
        (["export", "run.h5", "--format", "csv", "--trials", "5:2"], "--trials must be a range A:B with A below B (got '5:2')"),
        (["plot", "run.h5", "--out", "missing/run.png"], "--out must be in a folder that exists"),
    ],
)
def test_errors_are_one_sentence(arguments, sentence, tmp_path):
    done = command(*arguments, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == (2 if "invalid int" in sentence else 1)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="another shell")
def test_a_reader_that_has_read_enough_is_no_error():
    line = f"{shlex.quote(sys.executable)} -m snnlearn taxonomy | head -1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True)
    assert done.stderr == "" and done.stdout.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a subprocess")
def test_ctrl_c_keeps_what_was_recorded(tmp_path):
    path = tmp_path / "run.h5"
    arguments = [sys.executable, "-m", "snnlearn", "train", "digits", "--out", str(path), "--neurons", "20", "--quiet"]
    process = subprocess.Popen([*arguments, "--iterations", "1000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        time.sleep(0.1)
        if path.exists() and path.stat().st_size > 20_000:
            break
    time.sleep(2.5)  # the recorder flushes within two seconds
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    with sl.open_recording(path) as rec:
        assert rec.status == "interrupted"
        assert rec.table("trials").trial.size > 0
