"""Tasks: redrawable bit for bit, statistically what they claim, and labelled by what their spikes say.

Statistical bounds are five standard deviations of the exact distribution, at fixed seeds.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import pickle
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from snnlearn import tasks
from snnlearn.events import Events
from snnlearn.tasks import base

TASKS = [
    tasks.PatternGeneration(n_outputs=3, seed=5),
    tasks.EvidenceAccumulation(seed=5),
    tasks.DelayedRecall(seed=5),
    tasks.Copy(seed=5),
    tasks.Digits(seed=5),
    tasks.Digits(coding="poisson", seed=5),
]


@pytest.fixture(params=TASKS, ids=lambda t: f"{t.name}-{getattr(t, 'coding', '')}".strip("-"))
def task(request):
    return request.param


def assert_same_trial(a: tasks.Trial, b: tasks.Trial) -> None:
    assert a.x.n_steps == b.x.n_steps
    assert_array_equal(a.x.step, b.x.step)
    assert_array_equal(a.x.channel, b.x.channel)
    assert_array_equal(a.target, b.target)
    assert (a.mask is None) == (b.mask is None)
    if a.mask is not None:
        assert_array_equal(a.mask, b.mask)


def assert_binomial(successes: float, n: int, p: float) -> None:
    assert abs(successes - n * p) <= 5 * np.sqrt(n * p * (1 - p)), (successes, n * p)


# ---- what holds for every task


def test_trial_has_the_announced_shape(task):
    for split in tasks.SPLITS:
        x, target, mask = task.trial(3, split)
        assert isinstance(x, Events) and x.n_steps == task.n_steps and len(x) > 50
        assert x.channel.max() < task.n_inputs
        assert np.unique(x.step.astype(np.int64) * task.n_inputs + x.channel).size == len(x), "one spike per cell at most"
        if task.kind == "regression":
            assert task.labels is None and target.shape == (task.n_steps, task.n_outputs)
        else:
            assert len(task.labels) == task.n_outputs and np.shape(target) in [(), (task.n_steps,)]
            assert np.min(target) >= 0 and np.max(target) < task.n_outputs
            assert mask.shape == (task.n_steps,) and mask.min() >= 0
            assert_allclose(mask.sum(), 1, rtol=1e-12)


def test_trial_is_a_pure_function_of_seed_split_and_index(task):
    twin = task.from_dict(task.to_dict())
    ahead = [twin.trial(i) for i in (7, 2, 10**12)]  # another object, another order, far ahead
    for i, trial in zip((7, 2, 10**12), ahead, strict=True):
        assert_same_trial(task.trial(i), trial)
    assert_same_trial(task.trial(np.int64(7)), ahead[0])
    assert_same_trial(pickle.loads(pickle.dumps(task)).trial(7), ahead[0])


def test_seeds_splits_and_indices_draw_different_spikes(task):
    other = dataclasses.replace(task, seed=6)
    trials = [task.trial(3), other.trial(3)]
    if not isinstance(task, tasks.PatternGeneration):
        trials += [task.trial(4), task.trial(3, "test")]
    spikes = [(t.x.step.tobytes(), t.x.channel.tobytes()) for t in trials]
    assert len(set(spikes)) == len(trials)


def test_trials_are_lazy_and_resume_anywhere(task, monkeypatch):
    drawn, draw = [], type(task)._draw
    monkeypatch.setattr(type(task), "_draw", lambda self, rng, split, index: drawn.append(index) or draw(self, rng, split, index))
    endless = task.trials(start=10**6)
    assert drawn == []
    assert_same_trial(list(itertools.islice(endless, 3))[2], draw(task, task._rng("train", 10**6 + 2), "train", 10**6 + 2))
    assert drawn == [10**6, 10**6 + 1, 10**6 + 2]
    assert len(list(task.trials(4, split="test", start=2))) == 4
    assert drawn[-4:] == [2, 3, 4, 5]
    assert list(task.trials(0)) == []


def test_memory_does_not_grow_with_the_trials(task):
    def peak(n: int) -> int:
        tracemalloc.start()
        for _ in task.trials(n):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(3)  # fills what is cached
    assert peak(300) < 2 * peak(20) + 10_000


def test_arrays_cannot_be_changed_by_accident(task):
    for array in (a for a in (*task.trial(0)[1:], task.trial(0).x.step) if isinstance(a, np.ndarray)):
        with pytest.raises(ValueError):
            array[...] = 0


def test_description_round_trip(task):
    values = json.loads(json.dumps(task.to_dict()))
    assert values == task.to_dict()
    assert tasks.Task.from_dict(values) == task
    assert tasks.make(**values) == task and hash(tasks.make(**values)) == hash(task)
    assert task.name in tasks.names() and type(task)() == tasks.make(task.name)


def test_a_step_of_half_a_millisecond_changes_no_rate():
    for cls in (tasks.EvidenceAccumulation, tasks.DelayedRecall, tasks.Copy):
        coarse, fine = cls(), cls(dt=0.5)
        assert fine.n_steps == 2 * coarse.n_steps
        count = [np.mean([len(t.x) for t in task.trials(40)]) for task in (coarse, fine)]
        assert_allclose(*count, rtol=0.06)


# ---- the drawing of spikes


class CountingRng:
    """A generator that counts the numbers it gives."""

    def __init__(self, seed: int = 0):
        self.rng, self.numbers = np.random.default_rng(seed), 0

    def random(self, n: int) -> np.ndarray:
        self.numbers += n
        return self.rng.random(n)

    def standard_exponential(self, n: int) -> np.ndarray:
        self.numbers += n
        return self.rng.standard_exponential(n)


@pytest.mark.parametrize("p", [1e-4, 0.01, 0.2])
def test_drawing_costs_what_the_spikes_cost(p):
    rng = CountingRng()
    assert_binomial(base.bernoulli(rng, 100_000, p).size, 100_000, p)
    assert rng.numbers <= 100_000 * p + 4 * np.sqrt(100_000 * p) + 8


@pytest.mark.parametrize("p", [0.01, 0.2, 0.3, 0.9])
def test_bernoulli_is_independent_and_uniform(p):
    rng, n, repeats = np.random.default_rng(1), 60, 4000
    raster = np.zeros((repeats, n))
    for row in raster:
        cells = base.bernoulli(rng, n, p)
        assert np.all(np.diff(cells) > 0)
        row[cells] = 1
    assert_allclose(raster.mean(axis=0), p, atol=5 * np.sqrt(p * (1 - p) / repeats))  # every cell, the first and last too
    for lag in (1, 2, 7):
        assert_binomial((raster[:, lag:] * raster[:, :-lag]).sum(), repeats * (n - lag), p * p)
    counts = raster.sum(axis=1)
    assert_allclose(counts.var(), n * p * (1 - p), rtol=5 * np.sqrt(3 / repeats))


def test_bernoulli_at_its_edges():
    rng = np.random.default_rng(0)
    assert base.bernoulli(rng, 0, 0.5).size == 0 and base.bernoulli(rng, 100, 0.0).size == 0
    assert base.bernoulli(rng, 10**15, 1e-300).size == 0
    assert_array_equal(base.bernoulli(rng, 100, 1.0), np.arange(100))
    assert_binomial(sum(base.bernoulli(rng, 1, 0.1).size for _ in range(4000)), 4000, 0.1)


def test_bernoulli_continues_where_the_first_draw_is_too_short():
    class Short(CountingRng):
        def standard_exponential(self, n):
            return super().standard_exponential(max(n // 5, 1))

    cells = base.bernoulli(Short(), 100_000, 0.01)
    assert_binomial(cells.size, 100_000, 0.01)
    assert np.all(np.diff(cells) > 0) and cells[-1] > 99_000


def test_bursts_fill_their_blocks_and_nothing_else():
    rng = np.random.default_rng(0)
    cells = base.bursts(rng, 5, [2, 7], np.array([0, 3]), 3, 2, 1.0)
    raster = base.to_events(10, 5, cells).toarray(5)
    expected = np.zeros((10, 5))
    expected[2:5, 0:2] = expected[7:10, 3:5] = 1
    assert_array_equal(raster, expected)
    p = np.array([0.02, 0.2, 0.1])
    cells = base.bursts(rng, 3, np.zeros(3, int), np.arange(3), 20_000, 1, p)
    for count, q in zip(np.bincount(cells % 3), p, strict=True):
        assert_binomial(count, 20_000, q)


# ---- pattern generation


def test_pattern_is_the_published_sum_of_sines():
    task = tasks.PatternGeneration(n_outputs=2, seed=3)
    rng = np.random.default_rng([3, base.STREAMS.index("shared"), 0])
    amplitudes, phases = rng.uniform(0.5, 2, (2, 4)), rng.uniform(0, 2 * np.pi, (2, 4))
    for k in range(2):
        y = sum(
            a * np.sin(np.linspace(phi, phi + 2 * np.pi * (1000 // period), 1000))
            for a, phi, period in zip(amplitudes[k], phases[k], (1000, 500, 333, 200), strict=True)
        )
        y = y - y[0]
        assert_allclose(task.trial(0).target[:, k], y / np.abs(y).max(), rtol=0, atol=1e-12)


def test_pattern_is_frozen_and_has_its_rate():
    task = tasks.PatternGeneration(rate=50.0)
    assert_same_trial(task.trial(0), task.trial(99, "test"))
    assert_binomial(len(task.trial(0).x), 1000 * 100, 0.05)
    assert_array_equal(task.trial(0).target, tasks.PatternGeneration(n_inputs=7).trial(0).target)


# ---- evidence accumulation


def test_evidence_defaults_are_the_published_sizes():
    task = tasks.EvidenceAccumulation()
    assert (task.n_inputs, task.n_outputs, task.n_steps) == (40, 2, 2250)
    assert_allclose(task.trial(0).mask, np.repeat([0, 1 / 150], [2100, 150]), rtol=1e-15)


def test_evidence_labels_say_what_the_spikes_say():
    task = tasks.EvidenceAccumulation(seed=2)
    for i in range(40):
        x, label, _ = task.trial(i)
        raster = x.toarray(40)
        left, right = (raster[:1050, k : k + 10].reshape(7, 150, 10) for k in (0, 10))
        assert not left[:, :50].any() and not right[:, :50].any(), "silence before each cue"
        shown = np.stack([left.sum((1, 2)), right.sum((1, 2))])
        assert_array_equal((shown > 0).sum(axis=0), 1, "one side at a time")
        sides = shown.argmax(axis=0)
        assert_array_equal(sides, task.cue_sides(i))
        assert label == int(sides.sum() >= 4)
        assert not raster[1050:, :20].any() and not raster[:2100, 20:30].any()


def test_evidence_rates_and_odds():
    task, n = tasks.EvidenceAccumulation(seed=1), 400
    total, ones = np.zeros((2250, 40)), 0
    right_cues = []
    for i, trial in enumerate(task.trials(n)):
        total += trial.x.toarray(40)
        ones += trial.target
        right_cues.append(task.cue_sides(i).sum())
    assert_binomial(total[:1050, :20].sum(), n * 7 * 100 * 10, 0.04)
    assert_binomial(total[2100:, 20:30].sum(), n * 150 * 10, 0.04)
    assert_binomial(total[:, 30:].sum(), n * 2250 * 10, 0.01)
    assert_binomial(ones, n, 0.5)
    # a cue is on the trial's side with 0.7: the mean square of (right cues - 3.5) is 7 0.21 + (7 0.2)^2
    assert_allclose(np.mean((np.array(right_cues) - 3.5) ** 2), 7 * 0.21 + 1.4**2, rtol=0.2)
    assert all(np.ptp(t) == 0 for t in (tasks.EvidenceAccumulation(p_cue=1.0).cue_sides(i) for i in range(20)))


# ---- delayed recall


def symbols_of(task: tasks.DelayedRecall, x: Events) -> np.ndarray:
    """Which groups fire in each symbol, bool [length, 4]."""
    return x.toarray(task.n_inputs).reshape(task.length, -1, 4, task.n_per_group).any(axis=(1, 3))


def test_recall_targets_are_the_last_stored_bit():
    task = tasks.DelayedRecall(seed=1, p_store=0.4, p_recall=0.4)
    recalls = 0
    for trial in task.trials(60):
        stored, waiting = None, "store"
        target, mask = (a.reshape(task.length, -1) for a in trial[1:])
        assert (np.ptp(target, axis=1) == 0).all() and (np.ptp(mask, axis=1) == 0).all()
        for k, (zero, one, store, recall) in enumerate(symbols_of(task, trial.x)):
            if recall:
                assert waiting == "recall" and not (zero or one or store)
                assert target[k, 0] == stored and mask[k, 0] > 0
                waiting, recalls = "store", recalls + 1
            else:
                assert zero != one and mask[k, 0] == 0 and target[k, 0] == 0
            if store:
                assert waiting == "store"
                stored, waiting = int(one), "recall"
    assert recalls > 60


def test_recall_waits_are_those_of_rejection_sampling():
    task, n, rng = tasks.DelayedRecall(length=6, p_store=0.3, p_recall=0.2, symbol_duration=20.0), 3000, np.random.default_rng(0)
    ours = np.array([np.flatnonzero(symbols_of(task, t.x)[:, 3])[0] for t in task.trials(n)])
    s, r = rng.geometric(0.3, 10**6) - 1, rng.geometric(0.2, 10**6)
    theirs = (s + r)[s + r < 6]
    for k in range(1, 6):
        assert_binomial((ours == k).sum(), n, (theirs == k).mean())


def test_recall_rates():
    task = tasks.DelayedRecall(rate=50.0)
    for trial in task.trials(10):
        active = symbols_of(task, trial.x).sum()
        assert_binomial(len(trial.x), active * 200 * 25, 0.05)
    with_certainty = tasks.DelayedRecall(length=4, p_store=1.0, p_recall=1.0)
    assert_array_equal(np.flatnonzero(symbols_of(with_certainty, with_certainty.trial(0).x)[:, 3]), [1, 3])


# ---- copy


def test_copy_targets_are_the_symbols_shown():
    task, seen = tasks.Copy(length=3, n_symbols=5, symbol_duration=30.0, delay=40.0), np.zeros(5, int)
    assert task.n_steps == 220 and task.n_inputs == 30
    for trial in task.trials(100):
        raster = trial.x.toarray(30)
        groups = raster[:90].reshape(3, 30, 6, 5).sum(axis=(1, 3))
        assert_array_equal((groups > 0).sum(axis=1), 1)
        shown = groups.argmax(axis=1)
        assert_array_equal(trial.target[130:], np.repeat(shown, 30))
        assert not raster[90:130].any() and not raster[130:, :25].any() and raster[130:, 25:].any()
        assert_array_equal(np.flatnonzero(trial.mask), np.arange(130, 220))
        seen += np.bincount(shown, minlength=5)
    for count in seen:
        assert_binomial(count, 300, 0.2)


# ---- messages


@pytest.mark.parametrize(
    "cls, params, message",
    [
        ("EvidenceAccumulation", {"n_cues": 4}, "EvidenceAccumulation.n_cues must be an odd number >= 1 (got 4)"),
        ("EvidenceAccumulation", {"n_cues": 0}, "EvidenceAccumulation.n_cues must be an odd number >= 1 (got 0)"),
        ("EvidenceAccumulation", {"n_per_group": 1.5}, "EvidenceAccumulation.n_per_group must be a whole number >= 1 (got 1.5)"),
        ("EvidenceAccumulation", {"p_cue": 1.2}, "EvidenceAccumulation.p_cue must be a probability in 0 .. 1 (got 1.2)"),
        (
            "EvidenceAccumulation",
            {"window": 0},
            "EvidenceAccumulation.window must be a time in ms, positive and a multiple of dt=1 (got 0)",
        ),
        (
            "EvidenceAccumulation",
            {"delay": -1},
            "EvidenceAccumulation.delay must be a time in ms, not negative and a multiple of",
        ),
        (
            "EvidenceAccumulation",
            {"cue_duration": 10.5},
            "EvidenceAccumulation.cue_duration must be a time in ms, positive and a",
        ),
        (
            "EvidenceAccumulation",
            {"noise_rate": 1001},
            "EvidenceAccumulation.noise_rate must be a rate in Hz in 0 .. 1000, at most",
        ),
        ("EvidenceAccumulation", {"dt": 0}, "EvidenceAccumulation.dt must be a positive time in ms (got 0)"),
        ("EvidenceAccumulation", {"seed": -1}, "EvidenceAccumulation.seed must be a whole number in 0 .. 2**32 - 1 (got -1)"),
        ("PatternGeneration", {"n_inputs": True}, "PatternGeneration.n_inputs must be a whole number >= 1 (got True)"),
        ("PatternGeneration", {"n_outputs": 0}, "PatternGeneration.n_outputs must be a whole number >= 1 (got 0)"),
        ("PatternGeneration", {"n_steps": 1}, "PatternGeneration.n_steps must be a whole number of steps >= 2 (got 1)"),
        (
            "PatternGeneration",
            {"n_steps": 500},
            "PatternGeneration.periods must be times in ms, positive and not longer than the trial",
        ),
        ("PatternGeneration", {"periods": ()}, "PatternGeneration.periods must be times in ms"),
        ("PatternGeneration", {"periods": 5.0}, "PatternGeneration.periods must be times in ms"),
        ("PatternGeneration", {"rate": float("nan")}, "PatternGeneration.rate must be a rate in Hz"),
        ("DelayedRecall", {"length": 1}, "DelayedRecall.length must be a whole number of symbols >= 2 (got 1)"),
        ("DelayedRecall", {"p_store": 0}, "DelayedRecall.p_store must be a probability above 0, at most 1 (got 0)"),
        (
            "DelayedRecall",
            {"rate": "fast"},
            "DelayedRecall.rate must be a rate in Hz in 0 .. 1000, at most one spike per step of 1 ms",
        ),
        ("Copy", {"n_symbols": 1}, "Copy.n_symbols must be a whole number >= 2 (got 1)"),
    ],
)
def test_bad_parameters_are_named(cls, params, message):
    with pytest.raises((ValueError, TypeError)) as error:
        getattr(tasks, cls)(**params)
    assert str(error.value).startswith(message)


def test_unknown_names_list_the_valid_ones():
    expected = (
        "task name must be one of 'classification', 'copy', 'delayed-recall', 'digits', 'evidence-accumulation', "
        "'pattern-generation', 'suite' (got 'xor')"
    )
    with pytest.raises(ValueError) as error:
        tasks.make("xor")
    assert str(error.value) == expected
