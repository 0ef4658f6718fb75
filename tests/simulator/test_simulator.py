"""Running and learning: against the naive twin, against itself in another order, and what must stay untouched."""

import dataclasses
import threading
import warnings

import naive
import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from twin import assert_same, draw, library, simulator

import snnlearn as sl

LEARN = dict(kind="alif", n_ref=2)  # shared by most tests, so that they share compiled kernels
EPROP = sl.EProp(method="forward")
OVERFLOW = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # only without compilation
SHORT = pytest.mark.filterwarnings("ignore::snnlearn.SilentNetworkWarning")  # pieces of few steps may be silent
OPTIMIZERS = {
    "sgd": (sl.SGD(0.002), naive.SGD(0.002)),
    "momentum": (sl.SGD(0.001, momentum=0.8), naive.SGD(0.001, momentum=0.8)),
    "clip": (sl.SGD(0.01, clip_norm=0.5), naive.SGD(0.01, clip_norm=0.5)),
    "bounds": (sl.SGD(0.002, bounds={"w_rec": (-0.2, 0.1)}), naive.SGD(0.002, bounds={"w_rec": (-0.2, 0.1)})),
    "all-bounds": (sl.SGD(0.002, bounds=(-0.4, 0.3)), naive.SGD(0.002, bounds=(-0.4, 0.3))),
    "decay": (sl.SGD(0.002, weight_decay=0.5), naive.SGD(0.002, weight_decay=0.5)),
    "schedule": (sl.SGD(sl.ExponentialDecay(0.004, 0.5, 3)), naive.SGD(lambda k: 0.004 * 0.5 ** (k / 3))),
    "adam": (sl.Adam(0.003), naive.Adam(0.003)),
    "adam-tf": (
        sl.Adam(0.003, epsilon=1e-3, epsilon_form="tensorflow", weight_decay=0.1, clip_norm=1.0),
        naive.Adam(0.003, epsilon=1e-3, epsilon_form="tensorflow", weight_decay=0.1, clip_norm=1.0),
    ),
}


def optimizers(name):
    """A pair of optimizers; the naive one has state, so it is a fresh copy."""
    ours, theirs = OPTIMIZERS[name]
    twin = type(theirs).__new__(type(theirs))
    twin.__dict__.update({key: dict(v) if isinstance(v, dict) and key in "umv" else v for key, v in theirs.__dict__.items()})
    return ours, twin


def compare_training(case, name, update_every, trials=3, reg=None, rule=EPROP, twin=None, **kwargs):
    """Several runs of the same trial: loss and weights against the twin; returns the simulator."""
    ours, theirs = optimizers(name)
    sim, data = simulator(case, rule, ours, reg=reg, update_every=update_every or "trial", **kwargs)
    w, twin = case.w, dict(twin or {})
    args = {k: v for k, v in case.trial.items() if k != "reg"}
    for trial in range(trials):
        run = sim.run(**data)
        want = naive.train(case.net, w, **args, reg=reg, optimizer=theirs, update_every=update_every, **twin)
        w = want.w
        if twin.get("adaptive"):
            twin["feedback"] = want.feedback
            assert_allclose(sim.feedback, want.feedback, rtol=1e-10, atol=1e-13)
        if trial == 0:
            naive.assert_live(naive.average(want.gradients), want.z)
        assert run.loss == pytest.approx(want.loss, rel=1e-10)
        assert_allclose(run.losses, want.losses, rtol=1e-10)
    assert_same(sim.weights, w, rtol=1e-11)
    for key in ("w_in", "w_rec", "w_out"):
        assert np.abs(naive.plain(sim.weights)[key] - case.w[key]).max() > 1e-8
    return sim


# ------------------------------------------------------------------------------------------------ against the twin
@pytest.mark.parametrize("update_every", [1, 3, 7, 40, None])
def test_learning_equals_the_twin(update_every):
    sim = compare_training(draw(**LEARN), "sgd", update_every)
    assert sim.updates_done == 3 * (1 if update_every is None else -(-40 // update_every))


@pytest.mark.parametrize("update_every", [7, None])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_equal_the_twin(name, update_every):
    compare_training(draw(**LEARN), name, update_every)


@pytest.mark.parametrize("update_every", [5, None])
@pytest.mark.parametrize("name", ["sgd", "momentum"])
def test_adaptive_feedback_equals_the_twin(name, update_every):
    case = draw(**LEARN)
    rule = sl.EProp(feedback="adaptive", seed=4, feedback_decay=0.02, method="forward")
    start = rule.feedback_matrix(library(case)[0])
    twin = dict(feedback=start, adaptive=True, feedback_decay=0.02)
    compare_training(case, name, update_every, rule=rule, twin=twin)


def test_fixed_feedback_stays():
    case = draw(**LEARN)
    rule = sl.EProp(feedback=case.feedback, method="forward")
    sim = compare_training(case, "sgd", 5, rule=rule, twin=dict(feedback=case.feedback))
    assert_array_equal(sim.feedback, case.feedback)


@pytest.mark.parametrize("update_every", [1, 5, None])
def test_online_rate_equals_the_twin(update_every):
    compare_training(draw(**LEARN), "sgd", update_every, reg=naive.Rate(3.0, 10.0, 1.0, tau=20.0))


def test_rate_of_the_trial_equals_the_twin():
    case = draw(**LEARN)
    compare_training(case, "sgd", None, reg=case.reg)


@pytest.mark.parametrize("update_every", [5, None])
def test_batches_in_lockstep_equal_the_twin(update_every):
    compare_training(draw(**LEARN, n_trials=3, loss="ce"), "sgd", update_every)


def test_sparse_learning_equals_the_twin():
    case = draw(kind="alif", n_ref=2, density=0.6, density_in=0.7)
    compare_training(case, "sgd", 5, sparse_all=True)
    compare_training(case, "sgd", 5)


def test_bptt_learns_as_plain_descent():
    case = draw(kind="alif", n_ref=3)
    sim, data = simulator(case, sl.BPTT(), sl.SGD(0.01), reg=case.reg)
    gradient = naive.bptt(case.net, case.w, **case.trial).gradient
    sim.run(**data)
    assert_same(sim.weights, {k: case.w[k] - 0.01 * gradient[k] for k in naive.NAMES}, rtol=1e-11)


# -------------------------------------------------------------------------------------------------------- simulation
@pytest.mark.parametrize("kind", ["lif", "alif", "mixed"])
def test_simulate_equals_the_twin(kind):
    case = draw(kind=kind, n_ref=2, delay=2, initial=True)
    net, weights, _ = library(case)
    want = naive.forward(case.net, case.w, case.x)
    names = ("spikes", "v", "a", "psi", "threshold", "readout")
    got = sl.simulate(net, weights, case.x, record=names, dtype="float64")
    assert_array_equal(got.spikes, want.z.astype(bool))
    adaptive = case.net.beta != 0
    for name, value in (("v", want.v), ("psi", want.psi), ("threshold", want.A), ("readout", want.y)):
        assert_allclose(getattr(got, name), value, rtol=1e-11, atol=1e-13, err_msg=name)
    assert_allclose(got.a[:, adaptive], want.a[:, adaptive], rtol=1e-11, atol=1e-13)
    assert got.spikes.sum() > 10


def test_simulate_a_batch():
    case = draw(**LEARN, n_trials=5, T=20)
    net, weights, _ = library(case)
    got = sl.simulate(net, weights, case.x, dtype="float64")
    assert got.v.shape == (5, 20, 6)
    for b in range(5):
        one = sl.simulate(net, weights, case.x[b], dtype="float64")
        for name in ("spikes", "v", "a", "psi", "readout"):
            assert_array_equal(getattr(got, name)[b], getattr(one, name))


def test_simulate_gives_what_was_asked_for():
    case = draw(**LEARN)
    net, weights, _ = library(case)
    got = sl.simulate(net, weights, case.x, record=("spikes",), dtype="float64")
    assert got.spikes.dtype == bool and got.v is None and got.readout is None
    assert not got.spikes.flags.writeable


# ------------------------------------------------------------------------------------------------------------ streams
def pieces(case, lengths):
    start = 0
    for length in lengths:
        part = slice(start, start + length)
        yield case.x[part], case.target[part], case.mask[part]
        start += length
    assert start == len(case.x)


def stream_case(**kwargs):
    return draw(**LEARN | kwargs)


@SHORT
@pytest.mark.parametrize("lengths", [(40,), (1,) * 40, (10, 20, 10), (13, 1, 26), (3, 37)])
@pytest.mark.parametrize("update_every", [1, 7])
def test_a_stream_does_not_depend_on_its_pieces(lengths, update_every):
    case = stream_case()
    _, theirs = optimizers("sgd")
    sim, _ = simulator(case, EPROP, sl.SGD(0.002), update_every=update_every)
    run = sim.run(pieces(case, lengths))
    args = {k: v for k, v in case.trial.items() if k != "reg"}
    want = naive.train(case.net, case.w, **args, optimizer=theirs, update_every=update_every, finish=False)
    assert_same(sim.weights, want.w, rtol=1e-11)
    assert run.losses.sum() == pytest.approx(want.loss, rel=1e-10)
    assert run.losses.shape == (len(lengths),) and run.n_steps == 40 == sim.stream_steps
    assert sim.updates_done == 40 // update_every


@pytest.mark.parametrize(
    ("update_every", "rule", "rtol"),
    [(1, sl.EProp(reset_gradient=True), 0), (1, EPROP, 1e-13), (7, EPROP, 0)],
    ids=["in place", "rows read lazily in runs", "intervals"],
)
def test_steps_equal_a_run(update_every, rule, rtol):
    case = stream_case(delay=3)
    by_run, _ = simulator(case, rule, sl.SGD(0.002), update_every=update_every)
    by_step, _ = simulator(case, rule, sl.SGD(0.002), update_every=update_every)
    by_run.run(pieces(case, (40,)))
    steps = [by_step.step(x, y, mask=m) for x, y, m in zip(case.x, case.target, case.mask, strict=True)]
    assert_same(by_step.weights, by_run.weights, rtol=rtol)
    assert sum(s.spikes.sum() for s in steps) > 10
    assert steps[0].spikes.dtype == bool and steps[0].readout.shape == (2,)


@SHORT
@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("optimizer", [sl.SGD(0.002), sl.Adam(sl.ExponentialDecay(0.01, 0.5, 3))], ids=["sgd", "adam"])
@pytest.mark.parametrize("update_every", [3, "trial"])
def test_steps_of_all_kinds_equal_pieces_of_one_step(update_every, optimizer, noise):
    """Bit for bit, where calls that are prepared follow each other, a piece comes in between, and the stream starts anew."""
    case = stream_case(delay=3)
    net, weights, _ = library(case)
    net = dataclasses.replace(net, neurons=[dataclasses.replace(group, noise=noise) for group in net.neurons])
    by_step, by_piece = (
        sl.Simulator(
            net,
            weights,
            EPROP,
            optimizer,
            update_every=update_every,
            dtype="float64",
            regularizer=sl.RateRegularizer(20.0, 1.0, 50.0),
        )
        for _ in range(2)
    )
    losses = []
    for t, (x, y) in enumerate(zip(case.x, case.target, strict=True)):
        x, mask, one = x.astype(np.float32) if t % 2 else x, 1.0 + t % 2, slice(t, t + 1)
        if t == 20:
            by_step.reset(), by_piece.reset()
        if t % 7 == 2:
            step = by_step.step(x, learn=False)
            run = by_piece.run(iter([case.x[one]]), learn=False)
        elif t % 7 == 4:
            step, run = (sim.run(iter([(case.x[one], case.target[one])])) for sim in (by_step, by_piece))
        elif t % 7 == 5:
            step = by_step.step(x, error=lambda y: y - 0.5)
            run = by_piece.run(iter([case.x[one]]), error=lambda t, y: y - 0.5)
        else:
            step = by_step.step(x, y if t % 7 else y.tolist(), mask=mask if t % 3 else int(mask))
            run = by_piece.run(iter([(case.x[one], case.target[one], np.array([mask]))]))
        losses.append(run.loss)
        assert step.loss == run.loss
        assert_same(by_step.weights, by_piece.weights, rtol=0)
    assert by_step.updates_done == by_piece.updates_done > 8 and np.ptp(losses) > 0
    if not (numba.config.DISABLE_JIT or numba.config.BOUNDSCHECK):
        assert all(call.frame.prepared for call in by_step._stepper.calls.values()) and len(by_step._stepper.calls) == 3
    assert np.abs(by_step.weights.w_rec - weights.w_rec).max() > 1e-6


@OVERFLOW
def test_a_step_that_diverges_says_where():
    case = stream_case()
    sim, _ = simulator(case, EPROP, sl.SGD(0.002), update_every=1)
    sim.step(case.x[0], case.target[0])
    w = sim.weights
    sim.set_weights(w._replace(w_in=1e10 * w.w_in))
    for _ in range(2):  # the first trouble does not hide the second
        with pytest.raises(sl.Divergence, match="at step 1 of the stream; lower") as caught:
            sim.step(np.full(case.x.shape[1], 1e308), case.target[1])
        assert caught.value.trial is None and caught.value.step == 1
    assert sim.stream_steps == 1
    only = sl.Simulator(sim.net, w._replace(w_in=1e10 * w.w_in), dtype="float64")
    with pytest.raises(sl.Divergence, match="at step 2 of the stream; lower"):
        only.run(iter([0 * case.x[:2], np.full((1, case.x.shape[1]), 1e308)]))


def test_steps_without_learning_equal_simulate():
    case = stream_case(delay=2)
    net, weights, _ = library(case)
    want = sl.simulate(net, weights, case.x, dtype="float64")
    sim = sl.Simulator(net, weights, dtype="float64")
    steps = [sim.step(x) for x in case.x]
    assert_array_equal([s.spikes for s in steps], want.spikes)
    assert_array_equal([s.readout for s in steps], want.readout)


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_in_a_stream_a_piece_can_be_the_interval(name):
    case = stream_case()
    ours, theirs = optimizers(name)
    sim, _ = simulator(case, EPROP, ours)
    sim.run(pieces(case, (10,) * 4))
    args = {k: v for k, v in case.trial.items() if k != "reg"}
    want = naive.train(case.net, case.w, **args, optimizer=theirs, update_every=10)
    assert_same(sim.weights, want.w, rtol=1e-11)


def test_a_stream_continues_and_reset_starts_anew():
    case = stream_case()
    sim, _ = simulator(case, EPROP, sl.SGD(0.002), update_every=7)
    whole, _ = simulator(case, EPROP, sl.SGD(0.002), update_every=7)
    for piece in pieces(case, (13, 27)):
        sim.run(iter([piece]))
    whole.run(pieces(case, (40,)))
    assert_same(sim.weights, whole.weights, rtol=0)
    sim.set_weights(sl.Weights(**case.w))
    sim.reset()
    assert sim.stream_steps == 0
    sim.run(pieces(case, (40,)))
    assert_same(sim.weights, whole.weights, rtol=0)


@pytest.mark.parametrize("lr", [0.0, 0.002])
def test_a_trial_leaves_the_stream_alone(lr):
    case = stream_case()
    sim, data = simulator(case, EPROP, sl.SGD(lr), update_every=7)
    other, _ = simulator(case, EPROP, sl.SGD(lr), update_every=7)
    first, second = pieces(case, (20, 20))
    for each in (sim, other):
        each.run(iter([first]))
    before = naive.plain(sim.weights)
    sim.run(**data)
    alone, _ = simulator(case._replace(w=before), EPROP, sl.SGD(lr), update_every=7)
    alone.run(**data)
    assert_same(sim.weights, alone.weights, rtol=0)
    sim.set_weights(sl.Weights(**before))
    assert sim.run(iter([second])).loss == other.run(iter([second])).loss
    assert_same(sim.weights, other.weights, rtol=0)


# --------------------------------------------------------------------------------------- errors instead of targets
@pytest.mark.parametrize("update_every", [4, "trial"])
@pytest.mark.parametrize("rule", [EPROP, sl.EProp()], ids=["forward", "auto"])
def test_an_error_function_equals_targets(rule, update_every):
    case = draw(**LEARN)
    results = []
    for error in (None, lambda t, y: y - case.target[t]):
        sim, data = simulator(case, rule, sl.SGD(0.002), update_every=update_every)
        if error is not None:
            data = {"inputs": data["inputs"], "mask": data["mask"], "error": error}
        run = sim.run(**data)
        results.append((sim.weights, run.loss))
    assert_same(results[1][0], results[0][0], rtol=1e-13)
    assert results[1][1] == pytest.approx(results[0][1], rel=1e-12)


def test_an_error_function_sees_batches():
    case = draw(**LEARN, n_trials=3)
    target = np.broadcast_to(case.target[:1], case.target.shape)
    sims = [simulator(case, EPROP, sl.SGD(0.002), update_every=4) for _ in range(2)]
    sims[0][0].run(case.x, target)
    sims[1][0].run(case.x, error=lambda t, y: y - target[0, t])
    assert_same(sims[1][0].weights, sims[0][0].weights, rtol=1e-13)


@pytest.mark.parametrize("update_every", [4, "trial"])
def test_an_error_array_equals_targets(update_every):
    case = draw(**LEARN)
    err = naive.forward(case.net, case.w, case.x).y - case.target
    sims = [simulator(case, EPROP, sl.SGD(0.002), update_every=update_every)[0] for _ in range(2)]
    if update_every == 4:  # weights change on the way, so errors are those of zero learning
        sims = [simulator(case, EPROP, sl.SGD(0.0), update_every=4)[0] for _ in range(2)]
    sims[0].run(case.x, case.target, case.mask)
    sims[1].run(case.x, mask=case.mask, error=err)
    assert_same(sims[1].weights, sims[0].weights, rtol=1e-12)


@pytest.mark.parametrize("update_every", [1, 4])
def test_step_with_an_error_equals_targets(update_every):
    case = draw(**LEARN)
    sims = [simulator(case, EPROP, sl.SGD(0.002), update_every=update_every)[0] for _ in range(3)]
    for x, target in zip(case.x, case.target, strict=True):
        readout = sims[0].step(x, target).readout
        sims[1].step(x, error=lambda y, target=target: y - target)
        sims[2].step(x, error=readout - target)
    assert_same(sims[1].weights, sims[0].weights, rtol=1e-13)
    assert_same(sims[2].weights, sims[0].weights, rtol=1e-12)


@pytest.mark.parametrize("update_every", [1, "trial"])
def test_a_learning_signal_equals_the_one_of_the_readout(update_every):
    case = draw(**LEARN)
    f = naive.forward(case.net, case.w, case.x)
    err = naive.errors(f.y, case.target, case.mask)[0]
    signal = err @ case.feedback.T
    gradient = naive.eprop(case.net, case.w, case.x, case.target, case.mask, feedback=case.feedback).gradient
    lr = 1e-3 if update_every == "trial" else 0.0
    sim, _ = simulator(case, EPROP, sl.SGD(lr), update_every=update_every)
    sim.run(case.x, learning_signal=signal)
    assert_same(sim.weights, {k: case.w[k] - lr * gradient[k] * (k in ("w_in", "w_rec")) for k in naive.NAMES}, rtol=1e-12)


def test_step_with_a_learning_signal():
    case = draw(**LEARN)
    signal = np.random.default_rng(0).normal(size=(40, 6))
    sims = [simulator(case, EPROP, sl.SGD(0.002), update_every=40)[0] for _ in range(2)]
    sims[0].run(case.x, learning_signal=signal)
    for x, value in zip(case.x, signal, strict=True):
        sims[1].step(x, learning_signal=value)
    assert_same(sims[1].weights, sims[0].weights, rtol=0)
    assert np.abs(sims[0].weights.w_rec - case.w["w_rec"]).max() > 1e-6


# ------------------------------------------------------------------------------------------ what must not make a difference
@pytest.mark.parametrize("threads", [2, 4])
@pytest.mark.parametrize("rule", [EPROP, sl.EProp()], ids=["forward", "adjoint"])
def test_threads_give_the_same_bits(rule, threads):
    case = draw(**LEARN, n_trials=13, T=20)
    weights = []
    for n in (1, threads):
        sim, data = simulator(case, rule, sl.SGD(0.002), reg=case.reg, threads=n)
        for _ in range(2):
            sim.run(**data)
        weights.append(sim.weights)
    assert_same(weights[1], weights[0], rtol=0)
    assert np.abs(weights[0].w_rec - case.w["w_rec"]).max() > 1e-6


def test_threads_find_their_workspaces_made(monkeypatch):
    """Threads of the pool only read what the engine keeps."""
    made, put = [], dict.__setitem__
    monkeypatch.setattr(
        sl.engine.workspace.Workspaces,
        "__setitem__",
        lambda self, key, space: made.append((key, threading.get_ident())) or put(self, key, space),
    )
    case = draw(**LEARN, n_trials=13, T=20)
    sim, data = simulator(case, EPROP, sl.SGD(0.002), threads=3)
    sim.run(**data, learn=False)
    sim.run(**data)
    assert {key for key, _ in made} == {("trials", worker, learns, True) for worker in range(3) for learns in (False, True)}
    assert {thread for _, thread in made} == {threading.get_ident()}


@pytest.mark.parametrize("update_every", [7, "trial"])
@pytest.mark.parametrize("steps", [1, 7, 16, 39])
def test_block_boundaries_make_no_difference(steps, update_every, monkeypatch):
    case = draw(**LEARN | {"delay": 3})
    results = []
    for small in (False, True):
        if small:
            monkeypatch.setattr(sl.engine.schedule.Scheduler, "block_steps", lambda self: steps)
        sim, data = simulator(case, EPROP, sl.SGD(0.002), update_every=update_every)
        runs = [sim.run(**data) for _ in range(2)]
        sim.run(pieces(case, (40,)))
        results.append((naive.plain(sim.weights), [run.loss for run in runs], [run.rate for run in runs]))
        net, weights, _ = library(case)
        results[-1] += (sl.simulate(net, weights, case.x, dtype="float64"),)
    assert_same(results[1][0], results[0][0], rtol=0)
    assert results[1][1] == pytest.approx(results[0][1], rel=1e-14)
    assert results[1][2] == results[0][2]
    for one, other in zip(results[0][3], results[1][3], strict=True):
        assert_array_equal(one, other)


def test_a_small_work_limit_makes_no_difference(monkeypatch):
    case = draw(**LEARN)
    results = []
    for work in (sl.engine.schedule.BLOCK_WORK, 1):
        monkeypatch.setattr(sl.engine.schedule, "BLOCK_WORK", work)
        sim, data = simulator(case, sl.EProp(), sl.SGD(0.002), reg=case.reg)
        sim.run(**data)
        results.append(sim.weights)
    assert_same(results[1], results[0], rtol=0)


def test_a_small_tape_makes_no_difference(monkeypatch):
    """Beyond the order of sums: trials that share the tape add to the gradient step by step, not one after the other."""
    case = draw(**LEARN, n_trials=13, T=20)
    results = []
    for limit in (sl.engine.schedule.TAPE_LIMIT, 1):
        monkeypatch.setattr(sl.engine.schedule, "TAPE_LIMIT", limit)
        sim, data = simulator(case, sl.EProp(), sl.SGD(0.002))
        run = sim.run(**data)
        results.append((sim.weights, run))
    assert_same(results[1][0], results[0][0], rtol=1e-15)
    assert_array_equal(results[1][1].losses, results[0][1].losses)


def noisy(case):
    net, weights, _ = library(case)
    group = net.neurons[0]
    groups = [type(group)(**{**vars(group), "noise": 0.1})]
    return sl.Network(net.n_inputs, groups, net.readout, recurrent=net.recurrent), weights


@pytest.mark.parametrize("update_every", [5, "trial"])
def test_seeds_reproduce_bit_for_bit(update_every):
    case = draw(**LEARN, n_trials=3, T=30)
    net, weights = noisy(case)

    def learn(seed, threads=1):
        sim = sl.Simulator(
            net, weights, EPROP, sl.SGD(0.002), dtype="float64", seed=seed, update_every=update_every, threads=threads
        )
        losses = [sim.run(case.x, case.target).loss for _ in range(2)]
        return sim.weights, losses

    (first, losses), (again, same), (other, _) = learn(1), learn(1, threads=2), learn(2)
    assert_same(again, first, rtol=0)
    assert losses == same
    assert np.abs(other.w_in - first.w_in).max() > 1e-9


def test_noise_equals_the_twin_on_the_drawn_numbers():
    case = draw(**LEARN)
    net, weights = noisy(case)
    got = sl.simulate(net, weights, case.x, dtype="float64", seed=5)
    noise = 0.1 * np.random.default_rng([5, 0, 0]).standard_normal((40, 6))
    assert_allclose(got.v, naive.forward(case.net, case.w, case.x, noise).v, rtol=1e-11, atol=1e-13)
    quiet = naive.forward(case.net, case.w, case.x).v
    assert np.abs(got.v - quiet).max() > 0.01


def test_a_trial_of_one_step():
    case = draw(**LEARN | {"initial": True})
    net, weights, _ = library(case)
    want = naive.forward(case.net, case.w, case.x[:1])
    got = sl.simulate(net, weights, case.x[:1], dtype="float64")
    assert_allclose(got.v, want.v, rtol=1e-12)
    assert_allclose(got.psi, want.psi, rtol=1e-12)


def test_noise_of_a_trial_does_not_depend_on_blocks(monkeypatch):
    case = draw(**LEARN)
    net, weights = noisy(case)
    whole = sl.simulate(net, weights, case.x, dtype="float64")
    monkeypatch.setattr(sl.engine.schedule.Scheduler, "block_steps", lambda self: 7)
    assert_array_equal(sl.simulate(net, weights, case.x, dtype="float64").v, whole.v)


# ----------------------------------------------------------------------------------------------- what must stay as it is
@pytest.mark.parametrize("update_every", [5, "trial"])
def test_without_learning_nothing_changes(update_every):
    case = draw(**LEARN)
    sim, data = simulator(case, EPROP, sl.SGD(0.002), update_every=update_every)
    before = naive.plain(sim.weights)
    run = sim.run(**data, learn=False)
    sim.run(case.x, learn=False)
    assert_same(sim.weights, before, rtol=0)
    assert (sim.updates_done, sim.trials_done, sim.stream_steps) == (0, 0, 0)
    assert run.loss == pytest.approx(naive.errors(naive.forward(case.net, case.w, case.x).y, case.target, case.mask)[1])
    fresh, _ = simulator(case, EPROP, sl.SGD(0.002), update_every=update_every)
    sim.run(**data)
    fresh.run(**data)
    assert_same(sim.weights, fresh.weights, rtol=0)


@pytest.mark.parametrize("update_every", [5, "trial"])
@pytest.mark.parametrize("frozen", [("w_in",), ("w_rec",), ("w_out", "b_out"), ("w_in", "w_rec")], ids="+".join)
def test_frozen_matrices_stay_and_others_learn(frozen, update_every):
    case = draw(**LEARN)
    sim, data = simulator(case, EPROP, sl.SGD(0.002), update_every=update_every, frozen=frozen)
    sim.run(**data)
    for name in naive.NAMES:
        moved = np.abs(getattr(sim.weights, name) - case.w[name]).max()
        assert moved == 0 if name in frozen else moved > 1e-8, name


def test_absent_synapses_stay_zero():
    case = draw(kind="alif", n_ref=2, density=0.6, density_in=0.7)
    sim, data = simulator(case, EPROP, sl.SGD(0.01, bounds=(0.01, 1.0)), update_every=5)
    sim.run(**data)
    assert not sim.weights.w_rec[~case.net.conn_rec].any() and not sim.weights.w_in[~case.net.conn_in].any()
    assert sim.weights.w_rec[case.net.conn_rec].min() >= 0.01


def test_weights_are_an_up_to_date_view_that_cannot_be_written():
    case = draw(**LEARN)
    sim, data = simulator(case, EPROP, sl.SGD(0.002))
    view = sim.weights
    sim.run(**data)
    assert_same(view, sim.weights, rtol=0)
    assert np.abs(view.w_in - case.w["w_in"]).max() > 1e-8
    with pytest.raises(ValueError, match="read-only"):
        view.w_in[0, 0] = 1.0


# ------------------------------------------------------------------------------------------------------------ reports
def test_labels_score_the_prediction():
    case = draw(**LEARN, n_trials=4, loss="ce")
    sim, _ = simulator(case)
    y = np.array([naive.forward(case.net, case.w, x).y for x in case.x])
    summed = np.einsum("bt,btk->bk", case.mask, y)
    label = np.array([0, 1, 1, 0])
    run = sim.run(case.x, label, case.mask)
    assert_allclose(run.prediction, summed, rtol=1e-10)
    assert_array_equal(run.scores, summed.argmax(1) == label)
    assert run.accuracy == run.scores.mean() and np.isnan(run.nmse)
    right = y.argmax(2) == case.target
    per_step = sim.run(case.x, case.target, case.mask)
    assert_allclose(per_step.scores, (case.mask * right).sum(1) / case.mask.sum(1), rtol=1e-12)


def test_a_batch_of_one_scores_as_its_trial():
    case = draw(**LEARN, loss="ce")
    sim, _ = simulator(case)
    for label in (0, 1):
        assert sim.run(case.x[None], [label]).accuracy == sim.run(case.x, label).accuracy in (0.0, 1.0)


def test_nmse_is_one_for_the_mean():
    case = draw(**LEARN)
    net, weights, _ = library(case)
    constant = case.target.mean(0)
    silent = weights._replace(w_out=0.0 * weights.w_out, b_out=constant * (1 - case.net.kappa))
    run = sl.Simulator(net, silent, dtype="float64").run(case.x, case.target)
    y = naive.forward(case.net, case.w | {"w_out": silent.w_out, "b_out": silent.b_out}, case.x).y
    want = ((y - case.target) ** 2).sum() / ((case.target - constant) ** 2).sum()
    assert run.nmse == pytest.approx(want, rel=1e-10)


def test_the_rate_is_in_hertz():
    case = draw(**LEARN | {"dt": 0.5})
    sim, data = simulator(case)
    assert sim.run(**data).rate == pytest.approx(naive.forward(case.net, case.w, case.x).z.mean() * 2000.0)


# -------------------------------------------------------------------------------------------------- divergence, silence
@OVERFLOW
def test_divergence_names_step_and_neuron():
    case = draw(**LEARN)
    net, weights, _ = library(case)
    w_in = weights.w_in.copy()
    w_in[:, 3] = 1e308
    x = np.zeros_like(case.x)
    x[11] = 1.0
    with pytest.raises(sl.Divergence, match="neuron 3 is not finite at step 11 of trial 2") as caught:
        sl.Simulator(net, weights._replace(w_in=w_in), dtype="float64").run(np.stack([0 * x, 0 * x, x]))
    assert (caught.value.trial, caught.value.step, caught.value.neuron) == (2, 11, 3)
    with pytest.raises(sl.Divergence):
        sl.simulate(net, weights._replace(w_in=w_in), x, dtype="float64")


@OVERFLOW
def test_a_huge_learning_rate_diverges():
    case = draw(**LEARN)
    sim, data = simulator(case, EPROP, sl.SGD(1e200), update_every=1)
    with pytest.raises(sl.Divergence, match="lower the learning rate"):
        for _ in range(5):
            sim.run(**data)


@OVERFLOW
@pytest.mark.parametrize("update_every", [50, "trial"])
def test_after_divergence_new_weights_start_afresh(update_every):
    case = draw(**LEARN)
    sim, data = simulator(case, EPROP, sl.SGD(0.002), update_every=update_every)
    good = naive.plain(sim.weights)
    sim.set_weights(sl.Weights(**good | {"w_rec": np.full_like(good["w_rec"], 1e308)}))
    with pytest.raises(sl.Divergence):
        sim.run(**data)
    sim.set_weights(sl.Weights(**good))
    sim.run(**data)
    fresh, _ = simulator(case, EPROP, sl.SGD(0.002), update_every=update_every)
    fresh.run(**data)
    assert_same(sim.weights, fresh.weights, rtol=0)


@pytest.mark.parametrize("update_every", [50, "trial"])
def test_after_a_failed_error_function_the_next_run_is_clean(update_every):
    case = draw(**LEARN)
    sim, data = simulator(case, EPROP, sl.SGD(0.002), update_every=update_every)

    def broken(t, y):
        if t == 20:
            raise RuntimeError("the user's own")
        return y

    with pytest.raises(RuntimeError, match="the user's own"):
        sim.run(case.x, error=broken)
    sim.run(**data)
    fresh, _ = simulator(case, EPROP, sl.SGD(0.002), update_every=update_every)
    fresh.run(**data)
    assert_same(sim.weights, fresh.weights, rtol=0)


def test_a_silent_network_warns_once():
    case = draw(**LEARN)
    sim, data = simulator(case)
    with pytest.warns(sl.SilentNetworkWarning, match="no neuron spiked"):
        sim.run(np.zeros_like(case.x))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sim.run(np.zeros_like(case.x))
        sim.run(**data)


# ------------------------------------------------------------------------------------------------------ learning works
@pytest.mark.parametrize("update_every", [1, 10, "trial"])
def test_the_loss_falls(update_every):
    case = draw(**LEARN)
    target = 0.5 * np.sin(np.arange(40) / 6.0)[:, None] * np.ones(2)
    sim, _ = simulator(case, sl.EProp(), sl.SGD(0.001), update_every=update_every)
    losses = [sim.run(case.x, target).loss for _ in range(150)]
    assert np.mean(losses[-10:]) < 0.5 * losses[0]
