"""Training on tasks: evaluation, early stopping, the best weights, callbacks, recordings of a training."""

import numpy as np
import pytest

import snnlearn as sl
from snnlearn.experiments.recipes import RECIPES
from snnlearn.tasks.batches import collate

TASK = sl.tasks.Copy(length=2, n_symbols=2, symbol_duration=5.0, delay=5.0, n_per_group=4, rate=400.0, seed=3)


def simulator(**kwargs):
    net = sl.Network(TASK.n_inputs, [sl.LIF(12, threshold=0.5)], sl.Readout(TASK.n_outputs, tau=5.0), recurrent=sl.Dense())
    return sl.Simulator(net, rule=sl.EProp(), optimizer=sl.Adam(5e-3), loss=sl.CrossEntropy(), seed=5, **kwargs)


def test_history_and_recording_agree(tmp_path):
    sim, path = simulator(), tmp_path / "run.h5"
    with sl.Recorder(path, v=[0, 3], every=4, weights_every=2) as recorder:
        history = sim.train(TASK, trials=24, batch=4, recorder=recorder, evaluate_every=3, evaluate_trials=8)
    assert history.status == "complete"
    assert history.trials == 24
    assert len(history.loss) == sim.updates_done == 6
    assert history.evaluated_at == [3, 6]
    with sl.open_recording(path) as rec:
        assert rec.status == "complete"
        np.testing.assert_array_equal(rec.table("updates").loss, history.loss)
        np.testing.assert_array_equal(rec.table("evaluations").score, history.evaluation_score)
        assert list(rec.trials) == [0, 4, 8, 12, 16, 20]
        np.testing.assert_array_equal(rec.table("trials").trial, np.arange(24))
        np.testing.assert_array_equal(rec.weights(-1).w_rec, sim.weights.w_rec)
        assert rec.config["task"]["name"] == "copy"
        assert rec.config["network"]["neurons"][0]["n"] == 12


def test_evaluation_leaves_the_run_untouched():
    quiet, asked = simulator(), simulator()
    quiet.train(TASK, trials=24, batch=4)
    asked.train(TASK, trials=24, batch=4, evaluate_every=1, evaluate_trials=4)
    for a, b in zip(quiet.weights, asked.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_in_parts_equals_training_at_once():
    whole, parts = simulator(), simulator()
    whole.train(TASK, trials=24, batch=4)
    parts.train(TASK, trials=12, batch=4)
    parts.train(TASK, trials=12, batch=4, start=12)
    np.testing.assert_array_equal(whole.weights.w_rec, parts.weights.w_rec)


def test_stop_best_weights_and_callbacks():
    sim, seen = simulator(), []
    history = sim.train(
        TASK, trials=400, batch=4, stop=lambda h: len(h.loss) == 5, callbacks=[lambda s, h: seen.append(h.loss[-1])]
    )
    assert history.status == "stopped"
    assert seen == history.loss
    sim = simulator()
    history = sim.train(TASK, trials=40, batch=4, evaluate_every=2, evaluate_trials=8, restore_best=True)
    assert history.best_score == max(history.evaluation_score)
    assert sim.evaluate(TASK, 8).score == pytest.approx(history.best_score)
    history = simulator().train(TASK, trials=400, batch=4, evaluate_every=1, evaluate_trials=4, stop=0.0)
    assert len(history.loss) == 1


def test_interrupt_ends_cleanly_and_keeps_the_recording(tmp_path):
    def interrupt(simulator, history):
        if len(history.loss) == 3:
            raise KeyboardInterrupt

    path = tmp_path / "run.h5"
    recorder = sl.Recorder(path)
    history = simulator().train(TASK, trials=400, batch=4, recorder=recorder, callbacks=[interrupt])
    recorder.close(history.status)
    assert history.status == "interrupted"
    with sl.open_recording(path) as rec:
        assert rec.status == "interrupted"
        assert rec.n_trials == 12


def test_bad_options_are_refused_before_anything_runs(tmp_path):
    sim = simulator()
    other = sl.tasks.EvidenceAccumulation()
    for task, options, sentence in (
        (other, {"trials": 4}, "Simulator.train.task.n_inputs must be"),
        (TASK, {"trials": 0}, "Simulator.train.trials must be a positive number"),
        (TASK, {"trials": 4, "stop": 0.9}, "evaluate_every must be given"),
        ("digits", {"trials": 4}, "Simulator.train.task must be a task"),
    ):
        with pytest.raises((ValueError, TypeError), match=sentence):
            sim.train(task, **options)
    assert sim.updates_done == 0


def test_a_recording_equals_simulate(tmp_path):
    """Raw data of a learning run with K = 1 are those of the same trial simulated, step by step, where nothing changes."""
    x, target, mask, _ = collate([TASK.trial(0)])
    sim = sl.Simulator(simulator().net, rule=sl.EProp(), optimizer=sl.SGD(0.0), loss=sl.CrossEntropy(), update_every=1, seed=5)
    with sl.Recorder(tmp_path / "a.h5", v=True, psi=True, threshold=True, learning_signal=[1], compression=None) as recorder:
        sim.run(x[0], target[0], mask, recorder)
    record = sl.simulate(sim.net, sim.weights, x[0], record=("spikes", "v", "psi", "threshold", "readout"))
    assert record.spikes.any()
    with sl.open_recording(tmp_path / "a.h5") as rec:
        for name in ("v", "psi", "threshold", "readout"):
            np.testing.assert_array_equal(rec[name][0], getattr(record, name))
        spikes = rec.spikes()
        np.testing.assert_array_equal(np.argwhere(record.spikes), np.stack([spikes.step, spikes.neuron], axis=1))
        assert np.abs(rec["learning_signal"][0]).max() > 0


@pytest.mark.parametrize("method", ["forward", "adjoint"])
def test_learning_signals_are_recorded_by_both_methods(tmp_path, method):
    trial = TASK.trial(0)
    sim = sl.Simulator(
        simulator().net, rule=sl.EProp(method=method), optimizer=sl.SGD(0.0), loss=sl.CrossEntropy(), dtype="float64"
    )
    with sl.Recorder(tmp_path / "a.h5", learning_signal=True) as recorder:
        sim.run(*trial, recorder)
    y = sl.simulate(sim.net, sim.weights, trial.x, record="readout", dtype="float64").readout
    p = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    error = trial.mask[:, None] * (p - np.eye(TASK.n_outputs)[trial.target])
    with sl.open_recording(tmp_path / "a.h5") as rec:
        np.testing.assert_allclose(rec["learning_signal"][0], error @ sim.weights.w_out.T, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "options", "reached"),
    [
        ("digits", {"iterations": 300}, lambda h: h.evaluation_score[-1] >= 0.93),
        ("pattern-generation", {"iterations": 500}, lambda h: h.evaluation_score[-1] < 0.05),
        ("evidence-accumulation", {"iterations": 300, "seed": 3}, lambda h: min(_errors(h)) < 0.07),
    ],
)
def test_recipes_learn(task, options, reached):
    config = RECIPES[task](**options)
    stop = (lambda h: len(h.score) >= 10 and _errors(h)[-1] < 0.07) if task == "evidence-accumulation" else None
    plan = config.training
    history = config.simulator().train(config.task, plan.trials, plan.batch, **plan.options() | {"stop": stop})
    assert reached(history), (history.evaluation_score, history.score[-10:])


def _errors(history):
    """Mean training error over 10 consecutive updates."""
    return 1.0 - np.convolve(history.score, np.full(10, 0.1), "valid")
