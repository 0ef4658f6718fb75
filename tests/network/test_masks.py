"""Masks: weights of steps, or of each output at each step; targets that are unknown where the mask is zero."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import snnlearn as sl

T, N_IN, N_OUT, TRIALS = 24, 3, 2, 3
NET = sl.Network(N_IN, sl.LIF(8, threshold=0.4), N_OUT)
WEIGHTS = NET.init_weights(2, 2.0)
RULES = [sl.EProp(), sl.BPTT(), sl.RTRL(), sl.EProp(method="forward")]


@pytest.fixture
def trial(rng):
    """x, target and a mask of each output of one trial, in which every weight of the mask matters."""
    x = (rng.random((T, N_IN)) < 0.5) * 1.0
    mask = rng.random((T, N_OUT)) * (rng.random((T, N_OUT)) < 0.7)
    return x, rng.normal(size=(T, N_OUT)), mask


@pytest.fixture
def batch(rng):
    x = (rng.random((TRIALS, T, N_IN)) < 0.5) * 1.0
    mask = rng.random((TRIALS, T, N_OUT)) * (rng.random((TRIALS, T, N_OUT)) < 0.7)
    return x, rng.normal(size=(TRIALS, T, N_OUT)), mask


def learner(update_every="trial", loss=None, rule=None, **options):
    return sl.Simulator(
        NET, WEIGHTS, rule or sl.EProp(), sl.SGD(1e-4), loss, update_every=update_every, dtype="float64", threads=1, **options
    )


def gradient(x, target, mask, rule=None, loss=None):
    return sl.gradient(NET, WEIGHTS, x, target, rule or sl.EProp(), loss, mask=mask, threads=1)


def same(one, other):
    for a, b in zip(one, other, strict=True):
        assert_array_equal(a, b)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_outputs_with_weights_of_their_own_add_up(trial, rule):
    """With the target of an output at its readout, that output has no error: the gradient of the other one alone."""
    x, target, mask = trial
    readout = sl.simulate(NET, WEIGHTS, x, dtype="float64").readout
    alone = []
    for k in range(N_OUT):
        only = readout.copy()
        only[:, k] = target[:, k]
        alone.append(gradient(x, only, mask[:, k], rule))
    both = gradient(x, target, mask, rule)
    assert all(g.loss > 0 and np.abs(g.w_in).max() > 0 for g in alone)
    for name in both._fields[:5]:
        assert_allclose(getattr(both, name), sum(getattr(g, name) for g in alone), rtol=1e-10, atol=1e-12)
    other = gradient(x, target, mask[:, ::-1], rule)  # the control
    assert np.abs(other.w_in - both.w_in).max() > 1e-3 * np.abs(both.w_in).max()


@pytest.mark.parametrize("rule", RULES[:2], ids=str)
def test_a_weight_of_the_step_for_each_output_is_the_weight_of_the_step(batch, rule):
    x, target, mask = batch
    steps = mask[:, :, 0]
    same(gradient(x, target, steps, rule), gradient(x, target, np.repeat(steps[:, :, None], N_OUT, axis=2), rule))
    one, two = learner(), learner()
    runs = one.run(x, target, steps), two.run(x, target, np.repeat(steps[:, :, None], N_OUT, axis=2))
    assert runs[0].loss == runs[1].loss and runs[0].nmse == runs[1].nmse
    assert_array_equal(runs[0].prediction, runs[1].prediction)
    same(one.weights, two.weights)


def test_trials_of_a_batch_have_their_own_masks(batch):
    x, target, mask = batch
    whole, single = gradient(x, target, mask), [gradient(*one) for one in zip(x, target, mask, strict=True)]
    for name in whole._fields[:5]:
        assert_allclose(getattr(whole, name), np.mean([getattr(g, name) for g in single], axis=0), rtol=1e-12, atol=1e-14)
    run = learner().run(x, target, mask)
    assert_allclose(run.losses, [g.loss for g in single], rtol=1e-12)


@pytest.mark.parametrize("k", [1, 5])
def test_streams_steps_and_pieces_agree(trial, k):
    x, target, mask = trial
    pieces, steps, whole = learner(k), learner(k), learner(k)
    pieces.run((x[a : a + 7], target[a : a + 7], mask[a : a + 7]) for a in range(0, T, 7))
    losses = [steps.step(x[t], target[t], mask=mask[t]).loss for t in range(T)]
    run = whole.run(iter([(x, target, mask)]))
    assert run.loss == pytest.approx(sum(losses))
    assert run.loss > 0 and np.abs(whole.weights.w_in - WEIGHTS.w_in).max() > 0
    for other in (pieces, steps):
        for a, b in zip(other.weights, whole.weights, strict=True):
            assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    lockstep = learner(k)
    lockstep.run(x[None], target[None], mask[None])
    if T % k == 0:
        assert_allclose(lockstep.weights.w_in, whole.weights.w_in, rtol=1e-12)


def test_steps_change_between_kinds_of_masks(trial):
    x, target, mask = trial
    one, two = learner(1), learner(1)
    for t in range(T):
        if t % 2:
            one.step(x[t], target[t], mask=mask[t])
            two.step(x[t], target[t], mask=list(mask[t]))
        else:
            one.step(x[t], target[t], mask=0.5)
            two.step(x[t], target[t], mask=np.full(N_OUT, 0.5))
    same(one.weights, two.weights)


def test_a_given_error_is_weighed_alike(trial):
    x, error, mask = trial
    weighed, scaled, called = learner(4), learner(4), learner(4)
    run = weighed.run(x, error=error, mask=mask)
    scaled.run(x, error=error * mask)
    called.run(x, mask=mask, error=lambda t, y: error[t])
    same(weighed.weights, scaled.weights)
    same(weighed.weights, called.weights)
    assert run.loss == pytest.approx(0.5 * (mask * error**2).sum())


def test_the_score_looks_at_what_counts(trial):
    x, target, mask = trial
    run = learner().run(x, target, mask)
    y = sl.simulate(NET, WEIGHTS, x, dtype="float64").readout
    mean = (mask * target).sum(axis=0) / mask.sum(axis=0)
    assert run.nmse == pytest.approx((mask * (y - target) ** 2).sum() / (mask * (target - mean) ** 2).sum())
    assert_allclose(run.prediction[0], (mask * y).sum(axis=0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -100.0, 1e300])
@pytest.mark.parametrize("each", [False, True], ids=["steps", "outputs"])
def test_a_target_is_not_looked_at_where_the_mask_is_zero(trial, value, each):
    x, target, mask = trial
    mask = mask if each else mask[:, 0]
    unknown = np.where((mask if each else mask[:, None]) == 0, value, target)
    assert (unknown != target).any()
    same(gradient(x, target, mask), gradient(x, unknown, mask))
    for dtype in ("float32", "float64"):
        sims = [sl.Simulator(NET, WEIGHTS, sl.EProp(), sl.SGD(1e-2), dtype=dtype, update_every=3) for _ in range(2)]
        runs = sims[0].run(x, target, mask), sims[1].run(x, unknown, mask)
        assert runs[0].loss == runs[1].loss and runs[0].nmse == runs[1].nmse
        same(sims[0].weights, sims[1].weights)
        runs = sims[0].run(x, error=target, mask=mask), sims[1].run(x, error=unknown, mask=mask)
        assert runs[0].loss == runs[1].loss
        same(sims[0].weights, sims[1].weights)
    known = np.argwhere(mask > 0)[0]
    unknown[tuple(known)] = np.nan
    with pytest.raises(ValueError, match=r"targets must be finite \(got nan\)"):
        gradient(x, unknown, mask)


@pytest.mark.parametrize("value", [-100, np.nan, 7])
def test_a_label_is_not_looked_at_where_the_mask_is_zero(trial, value):
    x, _, mask = trial
    mask, labels = mask[:, 0], np.arange(T) % N_OUT
    unknown = np.where(mask == 0, value, labels)
    same(gradient(x, labels, mask, loss=sl.CrossEntropy()), gradient(x, unknown, mask, loss=sl.CrossEntropy()))
    runs = [learner(loss=sl.CrossEntropy()).run(x, y, mask) for y in (labels, unknown)]
    assert runs[0].accuracy == runs[1].accuracy and runs[0].loss == runs[1].loss
    with pytest.raises((TypeError, ValueError), match=r"targets must be (whole class )?labels"):
        gradient(x, unknown, None, loss=sl.CrossEntropy())


def test_a_trial_of_which_nothing_is_known_has_no_score(batch):
    x, _, mask = batch
    mask = mask[:, :, 0].copy()
    mask[1] = 0
    run = learner(loss=sl.CrossEntropy()).run(x, [0, -100, 1], mask)
    assert np.isnan(run.scores).tolist() == [False, True, False]
    assert run.accuracy == run.scores[[0, 2]].mean() and run.losses[1] == 0
    stream = learner(loss=sl.CrossEntropy()).run(iter([(x[0], 0, mask[0]), (x[1], -100, mask[1])]))
    assert stream.accuracy in (0.0, 1.0)


def test_no_mask_in_a_list_counts_as_ones(batch):
    x, target, mask = batch
    ones, steps = np.ones(T), mask[:, :, 0]
    same(gradient(x, target, [None, steps[1], None]), gradient(x, target, np.stack([ones, steps[1], ones])))
    same(gradient(x, target, [None] * TRIALS), gradient(x, target, None))
    each = np.stack([np.ones((T, N_OUT)), mask[1], np.repeat(steps[2][:, None], N_OUT, axis=1)])
    same(gradient(x, target, [None, mask[1], steps[2]]), gradient(x, target, each))
    sim = learner(1)
    sim.step(x[0, 0], target[0, 0], mask=None)
    other = learner(1)
    other.step(x[0, 0], target[0, 0])
    same(sim.weights, other.weights)


class Own:
    """A task whose trials have a mask, or none."""

    name, kind, dt, labels, n_inputs, n_outputs = "own", "regression", 1.0, None, N_IN, N_OUT

    def __init__(self, batch):
        self.batch = batch

    def n_trials(self, split="train"):
        return None

    def trial(self, index, split="train"):
        x, target, mask = (array[index % TRIALS] for array in self.batch)
        return x, target, (None, mask[:, 0], mask)[index % 3]


def test_a_task_may_leave_a_mask_out_of_some_trials(batch):
    one, two = learner(), learner()
    history = one.train(Own(batch), trials=6, batch=3, evaluate_every=1, evaluate_trials=3)
    x, target, mask = batch
    for _ in range(2):
        two.run(x, target, [None, mask[1, :, 0], mask[2]])
    assert len(history.loss) == 2
    same(one.weights, two.weights)


def test_recorded_and_simulated_again(trial, path):
    """What is unknown is recorded as such, and a window of the run can be simulated again."""
    x, target, mask = trial
    target = np.where(mask == 0, np.nan, target)
    with sl.Recorder(path, v=[0], weights_every=1, keep_every=1) as recorder:
        sim = learner()
        for _ in range(3):
            sim.run(x, target, mask, recorder=recorder)
    with sl.open_recording(path) as recording:
        assert_array_equal(recording["target"].read(1), target)
    again = sl.replay(path, 1, 2, inputs=lambda simulator: iter([(x, target, mask)] * 3), record={"psi": True})
    assert again.losses.size == 1


def test_what_a_mask_must_be(trial, batch):
    x, target, mask = trial
    xs, targets, masks = batch
    entropy = sl.CrossEntropy()
    for call, sentence in (
        (lambda: gradient(x, target, mask[:, :1]), r"mask must have shape \(24, 2\) or \(1, 24\) \(got \(24, 1\)\)"),
        (lambda: gradient(x, target, 1.0), r"mask must have shape \(24,\) or \(24, 2\)"),
        (lambda: gradient(xs, targets, mask), r"mask must have shape \(3, 24\) \(got \(24, 2\)\)"),
        (lambda: gradient(xs, targets, masks[:2]), r"mask must have shape \(3, 24, 2\)"),
        (lambda: gradient(xs, targets, [None, masks[0, :5], None]), r"mask\[1\] must have shape \(24,\) or \(24, 2\)"),
        (lambda: gradient(xs, targets, [None, masks[0]]), r"mask must have shape \(3, 24, 2\) \(got \(2, 24, 2\)\)"),
        (lambda: gradient(x, 1, mask, loss=entropy), r"mask must be \[T\], one weight a step, for CrossEntropy"),
        (lambda: gradient(x, target, -mask), "mask must hold time weights, not negative"),
        (lambda: gradient(x, target, np.where(mask == 0, np.nan, 1)), "mask must be finite"),
        (
            lambda: learner().run(x, learning_signal=np.zeros((T, 8)), mask=mask),
            "mask must be .* for a learning signal",
        ),
        (
            lambda: learner().step(x[0], target[0], mask=[1.0, 1.0, 1.0]),
            r"Simulator.step.mask must be a number or have shape \(2,\) \(got \(3,\)\)",
        ),
        (lambda: learner().step(x[0], target[0], mask=-1.0), "Simulator.step.mask must be a weight, not negative"),
    ):
        with pytest.raises(ValueError, match=sentence):
            call()


def test_a_trial_of_a_task_hides_nothing(batch):
    x, target, mask = batch
    hidden = np.ma.array(target, mask=mask == 0)
    with pytest.raises(ValueError, match=r"a task's trial must hold values that all count \(got 'a masked array that hides"):
        learner().train(Own((x, hidden, mask)), trials=3, batch=3)
