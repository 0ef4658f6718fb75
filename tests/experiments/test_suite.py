"""The suite: its recipes, baselines beside what can be said of them, the table, the command in its short form."""

import json
import re
import tomllib

import numpy as np
import pytest

import snnlearn as sl
from snnlearn.cli import main
from snnlearn.experiments import baselines, suite_runs
from snnlearn.experiments.recipes import SUITE
from snnlearn.experiments.suite import SETTINGS, recipe


def made(task, batch=8, updates=30):
    """What a baseline looks at, of any task: the task and how it is trained."""
    return task, sl.TrainingPlan(batch * updates, batch, evaluate_every=updates)


@pytest.fixture(scope="module")
def turns():
    """Which way a point goes round: not linear in the last row."""
    rng = np.random.default_rng(0)
    phase, way = rng.uniform(0, 6, 240), rng.integers(0, 2, 240)
    rows = np.arange(12)[None] * (2 * way[:, None] - 1) * 0.5 + phase[:, None]
    xs = [np.stack([np.cos(r), np.sin(r)], 1)[: 9 + k % 4] for k, r in enumerate(rows)]
    return sl.tasks.Arrays(xs, way, validation=0.2)


@pytest.fixture(scope="module")
def waves():
    """The next values of sines of several frequencies."""
    xs = [np.sin(np.arange(61) * f + f * 50)[:, None] for f in np.linspace(0.2, 0.5, 30)]
    return sl.tasks.Arrays([x[:-1] for x in xs], [x[1:] for x in xs], validation=0.2)


def test_every_data_set_has_a_setting():
    assert {s.data for s in SETTINGS.values()} == set(sl.datasets.SERIES) and set(SUITE) == set(SETTINGS)
    assert set(suite_runs.PACKAGES) <= set(sl.datasets.SERIES)


@pytest.mark.parametrize("name", ["mnist-1d-window", "yin-yang", "mackey-glass"])
def test_a_recipe_comes_back_from_its_configuration(name):
    config = SUITE[name](neurons=10, iterations=3)
    assert sl.Config.from_dict(tomllib.loads(config.to_toml())) == config


def test_recipes_learn_as_told():
    made = recipe("mnist-1d-window", share=0.5, neurons=10, rule="bptt", seed=3)
    assert made.training.trials == round(0.5 * SETTINGS["mnist-1d-window"].epochs * 3400 / 32) * 32
    assert (made.task.n_steps, recipe("mnist-1d-window", held=False).task.n_steps) == (160, 40)
    assert recipe("yin-yang", held=False).task.n_steps == recipe("yin-yang").task.n_steps == 20
    assert made.net.n == 10 and isinstance(made.rule, sl.BPTT) and made.task.seed == 3
    taus = np.concatenate([np.atleast_1d(group.tau_m) for group in made.net.neurons])
    assert (taus.min(), taus.max()) == SETTINGS["mnist-1d-window"].tau_m


def test_logistic_regression_and_its_likes(turns, waves):
    pytest.importorskip("sklearn")
    found = baselines.logistic(*made(turns), 0, 1)
    assert 0.3 < found.test < 0.8  # the way is no linear function of a series
    assert baselines.logistic(*made(waves), 0, 1).test < 0.05  # a sine is nearly one of its last values


def test_an_echo_state_network(turns, waves):
    assert baselines.esn(*made(turns), 1, 1).test > 0.95
    assert baselines.esn(*made(waves), 1, 1).test < 1e-2


def test_a_gru(turns):
    pytest.importorskip("torch", reason="torch is a package of its own")
    found = baselines.gru(*made(turns, 32, 60), 1, 1)
    assert found.test > 0.9 and found.validation > 0.9


def test_trials_are_padded_and_scored(turns, waves):
    part = baselines.trials_of(turns, "test")
    assert part.x.shape == (turns.n_samples("test"), 12, 2) and set(part.lengths) == {9, 10, 11, 12}
    assert not part.x[part.lengths == 9, 9:].any()
    assert baselines.score(turns, part, np.eye(2)[part.y]) == 1.0
    part = baselines.trials_of(waves, "test")
    assert baselines.score(waves, part, part.y) == 0.0
    mean = np.full_like(part.y, part.y.mean())
    assert baselines.score(waves, part, mean) == pytest.approx(1.0, rel=1e-5)


def run(method, seed, test, data="yin-yang", **more):
    return {"data": data, "method": method, "seed": seed, "variant": None, "share": 1.0, "test": test, "seconds": 2.0} | more


def test_the_table_tells_mean_and_worst():
    runs = [run("eprop", k, x, spikes=10.0, operations=2000) for k, x in enumerate((0.9, 0.8))]
    runs += [run("gru", 0, 0.95), run("bptt", 0, 0.02, "laser", spikes=1.0, operations=5)]
    runs += [run("eprop", 0, x, "smartwatch", variant=k, spikes=1.0, operations=5) for k, x in enumerate((0.6, 0.8))]
    rows = suite_runs.table(runs).splitlines()[2:]
    assert rows[0].startswith("| yin-yang | eprop | 2 | 85.0 % | 80.0 % | 10 | 2,000 | 2 |")
    assert rows[1].startswith("|  | gru | 1 | 95.0 % | 95.0 % |  |  |")
    assert rows[2].startswith("| smartwatch | eprop | 1 | 70.0 % | 70.0 % |")
    assert rows[3].startswith("| laser | bptt | 1 | 0.02 | 0.02 |")


def test_runs_in_a_file_are_not_repeated(tmp_path, monkeypatch):
    monkeypatch.setattr(suite_runs, "_measured", lambda *a: {"validation": 0.5, "test": 0.5, "seconds": 1.0})
    path, told = tmp_path / "results" / "suite.json", []
    suite_runs.measure(["yin-yang"], ["eprop"], range(2), path=path, told=told.append)
    found = suite_runs.measure(["yin-yang", "smartwatch"], ["eprop"], range(2), path=path, told=told.append)
    assert len(told) == 12 == len(found) and suite_runs.load(path) == told
    path.write_text(json.dumps({"other": 1}))
    with pytest.raises(ValueError, match=r"suite.json must hold runs of the suite"):
        suite_runs.load(path)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["suite", "mnist-2d"], "suite NAME must be one of"),
        (["suite", "yin-yang", "--methods", "svm"], "suite METHOD must be one of"),
        (["suite", "--seeds", "0"], "--seeds must be a positive number"),
    ],
)
def test_what_the_command_refuses(words, text, capsys):
    assert main(words) == 1
    assert text in capsys.readouterr().err


@pytest.mark.slow
def test_the_short_form(capsys):
    assert main(["suite", "--short"]) == 0
    out = capsys.readouterr().out
    reached = {(d, m): float(x) for d, m, x in re.findall(r"^(\S+) +(\S+) +seed 0: ([\d.]+)", out, re.MULTILINE)}
    assert reached.keys() == {(d, m) for d in suite_runs.SHORT for m in suite_runs.SHORT_METHODS}
    assert reached["mnist-1d-window", "eprop"] > 0.7 and reached["yin-yang", "eprop"] > 0.88
    assert reached["mnist-1d-window", "bptt"] > reached["mnist-1d-window", "eprop-random"]
