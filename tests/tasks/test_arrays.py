"""Own series as a task: what is taken for what, splits, standardisation, trials, trainings that go on with the same data."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import snnlearn as sl

COUNT, N_IN = 40, 3


@pytest.fixture
def xs(rng):
    return [rng.normal(4.0, 3.0, (int(n), N_IN)) for n in rng.integers(8, 30, COUNT)]


@pytest.fixture
def ys(xs):
    """A continuous target of two outputs, far from 0."""
    return [np.stack([x[:, 0] * 10 + 300, np.cumsum(x[:, 1])], axis=1) for x in xs]


NAMES = ["up", "down", "none", "down"] * (COUNT // 4)


def simulator(task, **options):
    loss = sl.CrossEntropy() if task.kind == "classification" else None
    net = sl.Network(task.n_inputs, sl.LIF(10, threshold=0.4), sl.Readout(task.n_outputs, tau=10.0, normalize_input=True))
    return sl.Simulator(net, rule=sl.EProp(), optimizer=sl.Adam(1e-2), loss=loss, **options)


@pytest.mark.parametrize(
    "labels, classes, first",
    [
        (NAMES, ("down", "none", "up"), 2),
        (np.array(NAMES), ("down", "none", "up"), 2),
        (np.array(NAMES, object), ("down", "none", "up"), 2),
        ([7, 3, 5, 3] * 10, ("3", "5", "7"), 2),
        ([10, 9, 100, 9] * 10, ("9", "10", "100"), 1),
        ([1.0, 0.0] * 20, ("0", "1"), 1),
        ([True, False] * 20, ("False", "True"), 1),
    ],
)
def test_labels_are_numbers_booleans_or_names(xs, labels, classes, first):
    task = sl.tasks.Arrays(xs, labels)
    assert (task.kind, task.labels, task.n_outputs) == ("classification", classes, len(classes))
    found = {int(k): task.trial(i, "test").target for i, k in enumerate(task.indices("test"))}
    for k, number in found.items():
        assert classes[number] == str(np.asarray(labels)[k]).removesuffix(".0")
    assert sl.tasks.Arrays(xs, labels, test=(xs[:1], labels[:1])).trial(0, "test").target == first


def test_classes_that_are_given_have_their_order(xs):
    by_name = sl.tasks.Arrays(xs, NAMES, classes=["up", "none", "down", "left"], test=(xs[:3], NAMES[:3]))
    assert by_name.n_outputs == 4
    assert [by_name.trial(k, "test").target for k in range(3)] == [0, 2, 1]
    by_number = sl.tasks.Arrays(xs, [2, 0, 1, 0] * 10, classes=["a", "b", "c"], test=(xs[:3], [2, 0, 1]))
    assert [by_number.trial(k, "test").target for k in range(3)] == [2, 0, 1]


def test_one_array_and_labels_or_values_per_step(rng):
    x = rng.normal(size=(20, 15, N_IN))
    steps = sl.tasks.Arrays(x, x[:, :, 0] > 0)
    assert (steps.kind, steps.classes, steps.n_steps, steps.trial(0).target.shape) == (
        "classification",
        ("False", "True"),
        15,
        (15,),
    )
    values = sl.tasks.Arrays(x, x[:, :, 0])
    assert (values.kind, values.n_outputs, values.trial(0).target.shape) == ("regression", 1, (15, 1))


def test_splits_are_disjoint_complete_and_drawn_by_the_seed(xs):
    task = sl.tasks.Arrays(xs, NAMES, seed=3)
    assert task.splits == ("train", "test", "validation")
    parts = [task.indices(split) for split in task.splits]
    assert_array_equal(np.sort(np.concatenate(parts)), np.arange(COUNT))
    labels = np.array(NAMES)
    for part, share in zip(parts, (0.64, 0.2, 0.16), strict=True):
        for name, count in (("up", 10), ("none", 10), ("down", 20)):
            assert abs((labels[part] == name).sum() - share * count) <= 1
    again, other = sl.tasks.Arrays(xs, NAMES, seed=3), sl.tasks.Arrays(xs, NAMES, seed=4)
    assert_array_equal(again.indices("test"), task.indices("test"))
    assert not np.array_equal(other.indices("test"), task.indices("test"))
    assert sl.tasks.Arrays(xs, NAMES, validation=0).splits == ("train", "test")
    assert task.n_trials() is None
    assert (task.n_trials("test"), task.n_samples()) == (parts[1].size, parts[0].size)


def test_groups_are_never_divided(xs):
    subjects = np.array([f"subject {k % 8}" for k in range(COUNT)])
    task = sl.tasks.Arrays(xs, NAMES, groups=subjects)
    found = [set(subjects[task.indices(split)]) for split in task.splits]
    assert all(found)
    assert set.union(*found) == set(subjects)
    assert sum(map(len, found)) == 8


def test_splits_that_are_given(xs):
    task = sl.tasks.Arrays(xs[:30], NAMES[:30], test=(xs[30:], NAMES[30:]), validation=(xs[:5], NAMES[:5]))
    assert [task.n_samples(split) for split in ("train", "validation", "test")] == [30, 5, 10]
    scale = np.concatenate(xs[:30])
    assert_allclose(task.trial(0, "test").x, (xs[30] - scale.mean(axis=0)) / scale.std(axis=0), rtol=1e-12)
    assert_allclose(task.scaled(xs[30]), task.trial(0, "test").x, rtol=1e-12)


def test_the_scale_is_that_of_the_training_series_alone(xs, ys):
    task = sl.tasks.Arrays(xs, ys)
    n = task.n_samples()
    x, y = (np.concatenate([getattr(task.trial(i), name) for i in range(n)]) for name in ("x", "target"))
    for values in (x, y):
        assert_allclose(values.mean(axis=0), 0.0, atol=1e-9)
        assert_allclose(values.std(axis=0), 1.0, rtol=1e-9)
    k = int(task.indices("test")[0])
    assert_allclose(task.unscaled(task.trial(0, "test").target), ys[k], rtol=1e-9)
    others = [x if k in task.indices("train") else x + 100 for k, x in enumerate(xs)]
    same = sl.tasks.Arrays(others, ys)
    assert_array_equal(same.trial(5).x, task.trial(5).x)


def test_numbers_of_spikes_stay_as_they_are(rng):
    counts = [rng.poisson(0.3, (10, N_IN)) for _ in range(COUNT)]
    assert_array_equal(
        sl.tasks.Arrays(counts, NAMES).trial(0, "test").x, counts[sl.tasks.Arrays(counts, NAMES).indices("test")[0]]
    )
    scaled = sl.tasks.Arrays(counts, NAMES, standardize=True)
    assert abs(scaled.trial(0).x).max() > 1.0
    assert scaled.trial(0).x.min() < 0
    constant = [np.concatenate([x, np.full((10, 1), 5.0)], axis=1) for x in counts]
    assert_allclose(sl.tasks.Arrays(constant, NAMES, standardize=True).trial(0).x[:, -1], 0.0, atol=1e-12)


def test_trials_keep_their_length_and_their_loss_is_a_mean(xs, ys):
    task = sl.tasks.Arrays(xs, ys, steps_per_sample=3, standardize=False)
    assert task.n_steps == 3 * max(map(len, xs))
    for i, k in enumerate(task.indices("test")):
        trial = task.trial(i, "test")
        assert_array_equal(trial.x, np.repeat(xs[k], 3, axis=0))
        assert_array_equal(trial.target, np.repeat(ys[k], 3, axis=0))
        assert_allclose(trial.mask, 1 / (3 * len(xs[k])))
        assert not trial.x.flags.writeable


def test_sparse_arrays_and_events(rng):
    dense = [(rng.random((int(n), 6)) < 0.2).astype(float) for n in rng.integers(8, 30, COUNT)]
    rows = sl.tasks.Arrays([sparse.coo_matrix(x) for x in dense], NAMES)
    events = sl.tasks.Arrays([sl.Events(*np.nonzero(x), len(x)) for x in dense], NAMES, n_inputs=6)
    plain = sl.tasks.Arrays(dense, NAMES)
    for task in (rows, events):
        assert_array_equal(task.trial(4).x.toarray(6), plain.trial(4).x)
    sims = [simulator(task) for task in (plain, rows, events)]
    losses = [sim.train(task, trials=24, batch=8).loss for sim, task in zip(sims, (plain, rows, events), strict=True)]
    assert losses[0] == losses[1] == losses[2]
    weighted = sl.tasks.Arrays([sparse.csr_array(2.5 * x) for x in dense], NAMES)
    assert_array_equal(weighted.trial(4).x, 2.5 * plain.trial(4).x)


def test_masks_leave_out_what_is_unknown(xs, ys):
    masks = [np.where(np.arange(len(x)) < 4, 0.0, 2.0) for x in xs]
    holes = [np.where(m[:, None] > 0, y, np.nan) for m, y in zip(masks, ys, strict=True)]
    task, full = sl.tasks.Arrays(xs, holes, masks=masks), sl.tasks.Arrays(xs, ys, masks=masks)
    assert_allclose(task.trial(0).target[4:], full.trial(0).target[4:], rtol=1e-12)
    assert task.trial(0).mask[:4].sum() == 0
    assert task.trial(0).mask.sum() == pytest.approx(1.0)
    losses = [simulator(t).train(t, trials=24, batch=8).loss for t in (task, full)]
    assert losses[0] == losses[1]
    labels = [np.where(m > 0, np.arange(m.size) % 2, -100) for m in masks]
    steps = sl.tasks.Arrays(xs, labels, masks=masks)
    assert steps.classes == ("0", "1")
    assert steps.trial(0).target.min() == 0
    with pytest.raises(
        ValueError, match=r"Arrays.ys\[0\] must be finite where its weights are not 0 \(got nan\); at index \(0, 0\)"
    ):
        sl.tasks.Arrays(xs, holes)


def test_weights_of_single_outputs(xs, ys):
    masks = [np.stack([np.ones(len(x)), np.arange(len(x)) % 2], axis=1) for x in xs]
    holes = [np.where(m > 0, y, np.nan) for m, y in zip(masks, ys, strict=True)]
    task, full = sl.tasks.Arrays(xs, holes, masks=masks), sl.tasks.Arrays(xs, ys, masks=masks)
    losses = [simulator(t).train(t, trials=24, batch=8).loss for t in (task, full)]
    assert losses[0] == losses[1]
    assert np.isfinite(simulator(task).evaluate(task).score)


def test_augmentation_is_a_function_of_seed_and_trial(xs):
    def shift(x, rng):
        return x[int(rng.integers(0, 4)) :] + rng.normal(size=N_IN)

    task, plain = sl.tasks.Arrays(xs, NAMES, augment=shift), sl.tasks.Arrays(xs, NAMES)
    assert_array_equal(task.trial(3).x, task.trial(3).x)
    n = task.n_samples()
    assert task.trial(3).x.shape != plain.trial(3).x.shape or not np.allclose(task.trial(3).x, plain.trial(3).x)
    assert not np.array_equal(task.trial(3).x, task.trial(3 + n).x)
    for split in ("validation", "test"):
        assert_array_equal(task.trial(0, split).x, plain.trial(0, split).x)
    with pytest.raises(ValueError, match=r"Arrays.augment of series \d+ must return 3 channels \(got 2\)"):
        sl.tasks.Arrays(xs, NAMES, augment=lambda x, rng: x[:, :2]).trial(0)
    values = [x[:, :1] for x in xs]
    with pytest.raises(ValueError, match=r"Arrays.augment of series \d+ must keep its \d+ steps"):
        sl.tasks.Arrays(xs, values, augment=lambda x, rng: x[1:]).trial(0)


def test_an_epoch_shows_every_series_once_in_an_order_of_its_own(xs):
    task = sl.tasks.Arrays([np.full((5, 1), k / 7) for k in range(COUNT)], NAMES, standardize=False)
    n = task.n_samples()
    shown = np.array([np.rint(task.trial(i).x[0, 0] * 7) for i in range(2 * n)]).reshape(2, n)
    for epoch in shown:
        assert_array_equal(np.sort(epoch), task.indices("train"))
    assert not np.array_equal(*shown)


def test_a_training_looks_at_the_validation_split(xs):
    task = sl.tasks.Arrays(xs, NAMES)
    sim = simulator(task)
    history = sim.train(task, trials=40, batch=8, evaluate_every=2, restore_best=True)
    assert history.labels.size == task.n_trials("validation")
    found = sim.evaluate(task, split="validation")
    assert found.score == history.best_score == max(history.evaluation_score)
    test = sim.evaluate(task)
    assert_array_equal(test.labels, [task.trial(i, "test").target for i in range(task.n_trials("test"))])
    assert test.score == np.mean(test.labels == test.predictions)
    assert repr(test).startswith(f"Evaluation(test: {task.n_trials('test')} trials, loss=")
    assert "\n" not in repr(test)
    before = [w.copy() for w in sim.weights]
    sim.evaluate(task, split="train", trials=10)
    for a, b in zip(before, sim.weights, strict=True):
        assert_array_equal(a, b)


def test_the_error_of_a_regression_is_normalised_over_all_trials(xs):
    """A target that does not change within a trial has no variance of its own."""
    ys = [np.full((len(x), 1), float(k % 5)) for k, x in enumerate(xs)]
    task = sl.tasks.Arrays(xs, ys)
    sim = simulator(task, dtype="float64")
    found, total, values, weights = sim.evaluate(task), 0.0, [], []
    for i in range(task.n_trials("test")):
        x, y, mask = task.trial(i, "test")
        readout = sl.simulate(sim.net, sim.weights, x, record="readout", dtype="float64").readout
        total += (mask[:, None] * (readout - y) ** 2).sum()
        values.append(y[:, 0])
        weights.append(mask)
    values, weights = np.concatenate(values), np.concatenate(weights)
    spread = (weights * (values - np.average(values, weights=weights)) ** 2).sum()
    assert found.score == pytest.approx(total / spread, rel=1e-9)
    assert np.isnan(found.scores).all()


def test_a_training_goes_on_with_the_same_data_only(xs, tmp_path):
    task = sl.tasks.Arrays(xs, NAMES)

    def stop(simulator, history):
        if len(history.loss) == 2:
            raise KeyboardInterrupt

    whole, parts = simulator(task), simulator(task)
    whole.train(task, trials=40, batch=8, evaluate_every=2)
    path = tmp_path / "run.h5"
    with sl.Recorder(path, checkpoint_every=1) as recorder:
        parts.train(task, trials=40, batch=8, evaluate_every=2, recorder=recorder, callbacks=[stop])
    with pytest.raises(ValueError, match="must get the task, which a file cannot hold"):
        sl.resume(path)
    changed = [x.copy() for x in xs]
    changed[7][0, 0] += 1e-9
    for other in (
        sl.tasks.Arrays(changed, NAMES),
        sl.tasks.Arrays(xs, NAMES, seed=1),
        sl.tasks.Arrays(xs, NAMES, dt=1.0, steps_per_sample=2),
    ):
        with pytest.raises(ValueError, match=r"must get the task that the run has learnt from, 'arrays' .* on the same data"):
            sl.resume(path, task=other)
    sim = sl.resume(path, task=sl.tasks.Arrays([x.copy() for x in xs], NAMES))
    sim.train()
    for a, b in zip(sim.weights, whole.weights, strict=True):
        assert_array_equal(a, b)
    with sl.open_recording(path) as rec:
        assert rec.config["task"]["digest"] == task.digest


@pytest.mark.parametrize(
    "change, sentence",
    [
        (dict(ys=NAMES[:-1]), "Arrays.ys must hold a target for each of 40 series"),
        (dict(xs=lambda xs: [x[:, 0] for x in xs]), r"Arrays.xs\[0\] must have shape \[T, n_inputs\] .*x\[:, None\] is a series"),
        (dict(xs=lambda xs: [*xs[:-1], xs[0][:, :2]]), "Arrays.xs must have the same number of channels"),
        (dict(xs=lambda xs: [*xs[:-1], xs[0] * np.inf]), r"Arrays.xs\[39\] must be finite"),
        (dict(xs="data.csv"), "Arrays.xs must be a list"),
        (dict(ys=[0.5] * COUNT), r"Arrays.ys\[0\] must be a whole number, a boolean or a name .*np.full"),
        (dict(ys=[1] * COUNT), "Arrays.ys must hold two different labels or more .*only '1'"),
        (dict(ys=[1, "a"] * 20), "Arrays.ys must hold names or numbers, not both"),
        (dict(ys=[None] * COUNT), r"Arrays.ys\[0\] must be a label"),
        (dict(ys=[np.zeros(3, int)] * COUNT), r"Arrays.ys\[0\] must have as many steps as its series"),
        (dict(classes=["up", "none"]), r"Arrays.ys\[1\] must be one of the classes 'up', 'none', or 0 .. 1 \(got 'down'\)"),
        (dict(classes="up"), "Arrays.classes must be names"),
        (dict(classes=2), "Arrays.classes must be a list of names"),
        (dict(classes=["up"]), "Arrays.classes must be two different names or more"),
        (dict(xs=lambda xs: [1j * x for x in xs]), r"Arrays.xs\[0\] must be .* \(got 'dtype complex128'\)"),
        (dict(xs=lambda xs: [x.astype(str) for x in xs]), r"Arrays.xs\[0\] must be an array"),
        (dict(xs=lambda xs: [x.astype(object) for x in xs]), r"Arrays.xs\[0\] must be .*dtype object"),
        (dict(xs=lambda xs: [np.ma.masked_greater(x, 0.0) for x in xs]), r"Arrays.xs\[0\] must hold values that all count"),
        (dict(masks=lambda xs: [np.ones((len(x), 2)) for x in xs]), r"Arrays.masks must be \[T_k\], a weight for each step"),
        (dict(masks=lambda xs: [1j * np.ones(len(x)) for x in xs]), r"Arrays.masks\[0\] must be an array of numbers"),
        (dict(test=([np.ones((3, 3))], ["unheard"])), "Arrays.test must hold labels that occur in ys.*'unheard'"),
        (dict(groups=[None] * COUNT), r"Arrays.groups\[0\] must be known"),
        (dict(groups=[0] * (COUNT - 1) + [np.nan]), r"Arrays.groups\[39\] must be known"),
        (dict(holdout=1.0), "Arrays.holdout must be a fraction"),
        (dict(validation="some"), "Arrays.validation must be a fraction"),
        (dict(test=0.2), r"Arrays.test must be \(xs, ys\)"),
        (dict(groups=[0] * COUNT), "Arrays.xs must hold enough groups to hold some out for test"),
        (dict(groups=[0] * 3), "Arrays.groups must hold a value for each of 40 series"),
        (dict(masks=[np.zeros(3)] * COUNT), r"Arrays.masks\[0\] must have shape"),
        (
            dict(masks=lambda xs: [np.zeros(len(x)) for x in xs]),
            r"Arrays.masks\[0\] must hold weights, not negative and not all 0",
        ),
        (dict(standardize="yes"), "Arrays.standardize must be True, False or None"),
        (dict(steps_per_sample=0), "Arrays.steps_per_sample"),
        (dict(augment=3), "Arrays.augment must be a function"),
        (dict(n_inputs=5), "Arrays.n_inputs must be 3"),
        (dict(seed=-1), "Arrays.seed"),
    ],
)
def test_what_does_not_fit_is_said(xs, change, sentence):
    options = {"xs": xs, "ys": NAMES} | {key: value(xs) if callable(value) else value for key, value in change.items()}
    with pytest.raises((ValueError, TypeError), match=sentence):
        sl.tasks.Arrays(**options)


def test_what_is_not_made_from_a_name():
    assert "arrays" not in sl.tasks.names()
