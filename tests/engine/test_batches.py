"""Tasks of a user's own: trials of different lengths, what `trial` may return, and what is said before anything learns."""

import re

import numpy as np
import pytest
from scipy import sparse

import snnlearn as sl
from snnlearn.tasks.batches import collate


class Own:
    """A task that inherits nothing. make : index -> what `trial` returns; count : of trials, None is endless"""

    n_inputs, n_outputs = 4, 2

    def __init__(self, make, count=None):
        self.make, self.count = make, count

    def n_trials(self, split="train"):
        return self.count

    def trial(self, i, split="train"):
        return self.make(i)


def simulator(**options):
    net = sl.Network(4, sl.LIF(6, threshold=0.4), 2)
    return sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-4), **options)


def ones(n):
    return np.ones((n, 4)), np.ones((n, 2)), None


@pytest.mark.parametrize("every", ["trial", 4])
def test_trials_of_different_lengths_train_and_evaluate(every):
    task = Own(lambda i: ones(20 + i % 7), 40)
    sim = simulator(update_every=every, dtype="float64")
    history = sim.train(task, trials=12, batch=3, evaluate_every=2, evaluate_trials=10)
    assert len(history.loss) == 4
    found = sim.evaluate(task, 10)
    assert found.loss == history.evaluation_loss[-1]
    single = [sim.run(*task.trial(i), learn=False) for i in range(10)]
    np.testing.assert_allclose(found.losses, [run.loss for run in single], rtol=1e-12)
    steps = [run.n_steps for run in single]
    assert found.rate == pytest.approx(np.average([run.rate for run in single], weights=steps))


def test_padding_learns_what_no_padding_learns():
    """Batches of unequal trials, and the same trials padded by the user with a mask and zeros, where nothing regularises."""

    def padded(i):
        x, target, mask = np.zeros((26, 4)), np.zeros((26, 2)), np.zeros(26)
        x[: 20 + i % 7], target[: 20 + i % 7], mask[: 20 + i % 7] = 1.0, 1.0, 1.0
        return x, target, mask

    sims = [simulator(dtype="float64"), simulator(dtype="float64")]
    histories = [
        sim.train(task, trials=21, batch=3)
        for sim, task in zip(sims, (Own(lambda i: ones(20 + i % 7)), Own(padded)), strict=True)
    ]
    np.testing.assert_allclose(histories[0].loss, histories[1].loss, rtol=1e-12)
    np.testing.assert_allclose(sims[0].weights.w_in, sims[1].weights.w_in, rtol=1e-12)


def test_masks_and_pairs_and_kinds_of_inputs_may_alternate():
    kinds = [
        ones(20),
        ones(20)[:2],
        (sparse.csr_array(np.ones((18, 4))), np.ones((18, 2)), np.ones(18)),
        (sl.Events(np.repeat(np.arange(15), 4), np.tile(np.arange(4), 15), 15), np.ones((15, 2)), np.ones((15, 2))),
    ]
    sim, plain = simulator(), simulator()
    lengths = [20, 20, 18, 15]
    got = sim.train(Own(lambda i: kinds[i % 4]), trials=8, batch=4).loss
    assert got == plain.train(Own(lambda i: ones(lengths[i % 4])), trials=8, batch=4).loss


@pytest.mark.parametrize(
    "trial, sentence",
    [
        (lambda i: [*ones(20)], r"Own.trial\(0\) must return a tuple \(x, target\) or \(x, target, mask\) \(got 'a list of 3'\)"),
        (lambda i: np.ones((20, 4)), r"Own.trial\(0\) must return a tuple"),
        (
            lambda i: (np.ones((20, 4)), np.ones((19, 2)), None),
            r"Own.trial\(0\) must return a target of as many steps as x, 20 \(got 19\)",
        ),
        (lambda i: (np.ones((20, 4)), np.ones((20, 2)), np.ones(21)), "must return a mask of as many steps as x, 20"),
        (lambda i: (np.ones((20, 4)), None, None), "must return a target"),
        (lambda i: (np.ones(20), np.ones((20, 2)), None), "must return x as Events or an array"),
        (lambda i: (np.ones((20, 3)), np.ones((20, 2)), None), r"inputs must have shape \(T, 4\)"),
        (lambda i: (np.ones((20, 4)), np.ones((20, 5)), None), "targets must have shape"),
    ],
)
def test_what_trial_returns_is_checked_before_anything_learns(trial, sentence):
    sim = simulator()
    with pytest.raises((ValueError, TypeError), match=sentence):
        sim.train(Own(trial), trials=8, batch=2)
    assert sim.updates_done == 0
    later = Own(lambda i: ones(20) if i < 100 else trial(i))
    if "inputs" not in sentence and "targets" not in sentence:
        with pytest.raises((ValueError, TypeError), match=sentence.replace("(0", "(100").replace(r"\(0", r"\(100")):
            sim.train(later, trials=8, batch=2, start=100)


def test_evaluation_trials_are_checked_before_anything_learns():
    class Split(Own):
        def trial(self, i, split="train"):
            return ones(20) if split == "train" else (np.ones((20, 4)), np.ones((19, 2)), None)

    sim = simulator()
    with pytest.raises(ValueError, match=r"Split.trial\(0, 'test'\) must return a target of as many steps as x"):
        sim.train(Split(ones), trials=8, batch=2, evaluate_every=2)
    assert sim.updates_done == 0


def test_more_trials_than_there_are():
    sim, task = simulator(), Own(lambda i: ones(20), 5)
    with pytest.raises(
        ValueError, match=r"Simulator.train.trials must be at most 5 from start=0 \(got 20\); .*another epoch is another call"
    ):
        sim.train(task, trials=20, batch=2)
    with pytest.raises(ValueError, match=r"Simulator.train.trials must be at most 2 from start=3"):
        sim.train(task, trials=3, start=3)
    with pytest.raises(ValueError, match=r"Simulator.train.evaluate_trials must be at most 5"):
        sim.train(task, trials=5, evaluate_every=1, evaluate_trials=6)
    with pytest.raises(ValueError, match=r"Simulator.evaluate.trials must be at most 5"):
        sim.evaluate(task, 6)
    with pytest.raises(ValueError, match="of a task with trials for split 'test'"):
        sim.evaluate(Own(lambda i: ones(20), 0))
    assert sim.updates_done == 0
    sim.train(task, trials=5, batch=2)
    assert sim.updates_done == 3


def test_trials_that_do_not_go_together_are_named():
    task = Own(lambda i: ones(20) if i < 2 else (np.ones((20, 4)), np.ones((20, 3)), None))
    with pytest.raises(ValueError, match="a task's trial must return target of the same kind in all trials"):
        simulator().train(task, trials=3, batch=3)


def test_equal_trials_are_a_batch_without_lengths():
    mask = np.ones(20)
    batch = collate([(np.ones((20, 4)), 1, mask), (np.zeros((20, 4)), 0, mask)])
    assert batch.mask is mask
    assert batch.steps is None
    assert batch.x.shape == (2, 20, 4)
    assert batch.n_trials == 2


def test_what_evaluate_refuses():
    sim = simulator()
    with pytest.raises(TypeError, match=r"Simulator.evaluate.task must be a task such as sl.tasks.Digits\(\)"):
        sim.evaluate("digits")
    with pytest.raises(ValueError, match=r"Simulator.evaluate.task.n_inputs must be 4"):
        sim.evaluate(sl.tasks.PatternGeneration(n_inputs=5, n_outputs=2))
    with pytest.raises(ValueError, match=r"Simulator.evaluate.split must be one of 'train', 'test'"):
        sim.evaluate(sl.tasks.PatternGeneration(n_inputs=4, n_outputs=2), split="validation")
    whole = sl.tasks.Arrays(np.ones((5, 20, 4)), np.ones((5, 20, 2)), holdout=0, validation=0)
    hint = "; holdout above 0 keeps some apart for it"
    for call, sentence in (
        (lambda: sim.evaluate(whole), "Simulator.evaluate.split must be one of 'train' (got 'test')"),
        (lambda: whole.trial(0, "test"), "Arrays split must be one of 'train' (got 'test')"),
        (
            lambda: sim.train(whole, 5, evaluate_every=1),
            "Simulator.train.evaluate_trials must be of a task with trials for split 'test' (got 'Arrays without one')",
        ),
    ):
        with pytest.raises(ValueError, match=re.escape(sentence + hint)):
            call()
