"""The task of real digits: its data, its codings and its messages. What holds for every task is in test_tasks.py."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from contextlib import ExitStack

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from paths import ROOT

import snnlearn
from snnlearn import tasks
from snnlearn.tasks.digits import data_file

DATA = ROOT / "data"


def assert_binomial(successes: float, n: int, p: float) -> None:
    assert abs(successes - n * p) <= 5 * np.sqrt(n * p * (1 - p)), (successes, n * p)


def test_digits_split_is_disjoint_and_stratified():
    data = tasks.digit_images()
    assert data.images.shape == (1797, 8, 8) and data.images.dtype == np.uint8 and data.images.max() == 16
    assert (data.train.size, data.test.size) == (1437, 360)
    assert_array_equal(np.sort(np.concatenate((data.train, data.test))), np.arange(1797))
    in_all, in_test = np.bincount(data.labels), np.bincount(data.labels[data.test])
    assert np.abs(in_test - in_all / 5).max() <= 1


def test_digits_epochs_are_permutations():
    task, n = tasks.Digits(seed=3), 1437
    epochs = [np.array([task.image_index(i) for i in range(e * n, (e + 1) * n)]) for e in range(2)]
    for order in epochs:
        assert_array_equal(np.sort(order), tasks.digit_images().train)
    assert (epochs[0] == epochs[1]).mean() < 0.01
    assert task.n_trials("train") is None and task.n_images("train") == n
    where = int(np.flatnonzero(epochs[1] == epochs[0][0])[0])
    again = task.trial(n + where)
    assert again.target == task.trial(0).target
    assert not np.array_equal(again.x.step, task.trial(0).x.step), "fresh spikes"


def test_digits_test_trials_are_the_test_images_once():
    task = tasks.Digits()
    assert task.n_trials("test") == 360
    data = tasks.digit_images()
    assert [t.target for t in task.trials(split="test")] == data.labels[data.test].tolist()


@pytest.mark.parametrize("coding, levels", [("rows", 4), ("rows", 1), ("poisson", 1), ("poisson", 3)])
def test_digits_spikes_follow_the_pixels(coding, levels):
    task = tasks.Digits(coding=coding, levels=levels, max_rate=400.0, seed=1)
    n = 300
    probability, spikes = [], []
    for i, trial in enumerate(task.trials(n)):
        ink = tasks.digit_images().images[task.image_index(i)] / 16
        assert trial.target == tasks.digit_images().labels[task.image_index(i)]
        p = 0.4 * np.clip(ink[:, :, None] * levels - np.arange(levels), 0, 1)
        raster = trial.x.toarray(task.n_inputs)
        if coding == "rows":
            assert not raster[120:].any()
            counts, steps = raster[:120].reshape(8, 15, 8, levels).sum(axis=1), 15
        else:
            counts, steps = raster.sum(axis=0).reshape(8, 8, levels), 100
        assert not counts[p == 0].any()
        probability.append(p)
        spikes.append(counts)
    probability, spikes = np.array(probability), np.array(spikes)
    for q in np.unique(probability)[1:]:
        cells = spikes[probability == q]
        assert_binomial(cells.sum(), cells.size * steps, q)


def test_digits_windows():
    def loss_steps(**params):
        task = tasks.Digits(**params)
        return task.n_steps, np.flatnonzero(task.trial(0).mask).tolist()

    assert loss_steps() == (150, list(range(120, 150)))
    assert loss_steps(n_steps=120) == (120, list(range(105, 120)))
    assert loss_steps(coding="poisson") == (100, list(range(100)))
    assert loss_steps(coding="poisson", n_steps=60, window=20.0) == (60, list(range(40, 60)))
    assert loss_steps(steps_per_row=5, window=12.5, dt=0.5) == (50, list(range(25, 50)))


def test_digits_are_the_data_of_scikit_learn(tmp_path):
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("make_digits", DATA / "make_digits.py")
    make_digits = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_digits)
    make_digits.write(tmp_path / "digits.h5")
    with h5py.File(tmp_path / "digits.h5") as made, h5py.File(DATA / "digits.h5") as kept:
        assert set(made) == set(kept) == {"images", "labels", "split"}
        for name in made:
            assert_array_equal(made[name][:], kept[name][:])
        assert dict(made.attrs) == dict(kept.attrs) and kept.attrs["licence"] == "CC BY 4.0"


def test_data_file_of_an_installed_package_of_a_checkout_or_of_neither(tmp_path, monkeypatch):
    with ExitStack() as stack:
        assert data_file("digits.h5", stack).is_file()
        with pytest.raises(
            FileNotFoundError, match=r"^data file nothing\.h5 must be in the installed package snnlearn\.data or in"
        ):
            data_file("nothing.h5", stack)
    package = tmp_path / "data"
    package.mkdir()
    shutil.copy(DATA / "digits.h5", package / "other.h5")
    monkeypatch.setattr(snnlearn, "__path__", [*snnlearn.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "snnlearn.data", raising=False)
    with ExitStack() as stack:
        assert data_file("other.h5", stack) == package / "other.h5"
    monkeypatch.delitem(sys.modules, "snnlearn.data", raising=False)


@pytest.mark.parametrize(
    "params, message",
    [
        ({"coding": "latency"}, "Digits.coding must be one of 'rows', 'poisson' (got 'latency')"),
        ({"levels": 0}, "Digits.levels must be a whole number >= 1 (got 0)"),
        ({"n_steps": 100}, "Digits.n_steps must be a whole number of steps >= 8 steps_per_row = 120 (got 100)"),
        ({"coding": "poisson", "n_steps": 0}, "Digits.n_steps must be a whole number of steps >= 1 (got 0)"),
        ({"window": 151.0}, "Digits.window must be at most the trial's 150 ms (got 151.0)"),
    ],
)
def test_bad_parameters_are_named(params, message):
    with pytest.raises((ValueError, TypeError)) as error:
        tasks.Digits(**params)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda t: t.trial(-1), "Digits.trial index must be a whole number >= 0 (got -1)"),
        (lambda t: t.trial(1.0), "Digits.trial index must be a whole number >= 0 (got 1.0)"),
        (lambda t: t.trial(360, "test"), "Digits.trial index must be below 360 for split 'test' (got 360)"),
        (lambda t: t.image_index(360, "test"), "Digits.image_index index must be below 360 for split 'test' (got 360)"),
        (lambda t: t.trial(0, "valid"), "Digits split must be one of 'train', 'test' (got 'valid')"),
        (lambda t: t.n_trials("all"), "Digits split must be one of 'train', 'test' (got 'all')"),
        (lambda t: t.trials(-1), "Digits.trials n must be None or a whole number >= 0 (got -1)"),
        (lambda t: t.trials(5, "test", start=356), "Digits.trials n must be at most 4 from start=356 (got 5)"),
        (lambda t: t.trials(0, "test", start=361), "Digits.trials start must be at most 360 for split 'test' (got 361)"),
        (lambda t: tasks.Task.from_dict({"coding": "rows"}), "Task.from_dict values must be a dict with a 'name'"),
        (lambda t: tasks.make("digits", colour=3), "parameter of task 'digits' must be one of 'coding', 'max_rate', 'levels',"),
    ],
)
def test_bad_calls_are_named(call, message):
    with pytest.raises((ValueError, TypeError)) as error:
        call(tasks.Digits())
    assert str(error.value).startswith(message)
