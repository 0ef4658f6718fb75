"""Steps of a stream that do not learn: against steps of mask zero, bit by bit, and against the naive twin."""

import copy
import dataclasses
import itertools

import naive
import numba
import numpy as np
import pytest
from twin import assert_same, draw, library, simulator

import snnlearn as sl
from snnlearn.compiler.dispatch import compiled
from snnlearn.simulator import closed_loop

CASES = {"lif": dict(kind="lif"), "alif": dict(kind="alif", n_ref=2, delay=2)}
RULES = {
    "eprop": sl.EProp(),
    "forward": sl.EProp(method="forward"),
    "attached": sl.EProp(method="forward", reset_gradient=True),
    "adaptive": sl.EProp(method="forward", feedback="adaptive", feedback_decay=0.0),
    "order 2": sl.EProp(order=2, method="forward"),
    "rflo": sl.RFLO(),
    "rtrl": sl.RTRL(),
    "snap": sl.SnAp(1),
    "uoro": sl.UORO(seed=3),
}
FEW = {("lif", "eprop"), *(("alif", rule) for rule in ("eprop", "forward", "order 2", "uoro"))}
CHOSEN = [
    pytest.param(*pair, marks=[pytest.mark.slow] * (compiled() and pair not in FEW)) for pair in itertools.product(CASES, RULES)
]
SHORT = pytest.mark.filterwarnings("ignore::snnlearn.RunWarning")  # pieces of few steps
OVERFLOW = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # UORO's numbers, only without compilation
T, QUIET = 60, slice(20, 43)


def flat(sim):
    return np.concatenate([np.ravel(w) for w in naive.plain(sim.weights).values()])


def stream(sim, case, how, learns=None, pieces=False):
    """Feed the case to the sim; what does not learn is left out by `how`. One step after the other, or in pieces."""
    learns = np.ones(len(case.x), bool) if learns is None else learns
    borders = np.flatnonzero(np.diff(learns)) + 1
    for part in np.split(np.arange(len(case.x)), borders) if pieces else np.arange(len(case.x)):
        x, y, learn = case.x[part], case.target[part], bool(np.all(learns[part]))
        if how == "mask":
            mask = np.full(x.shape[:-1], float(learn))
            _ = sim.run(iter([(x, y, mask)])) if pieces else sim.step(x, y, mask=float(mask))
        elif learn:
            _ = sim.run(iter([(x, y)])) if pieces else sim.step(x, y)
        else:
            _ = sim.run(iter([x]), learn=False) if pieces else sim.step(x, learn=False)
    return sim


def quiet_in(n, *slices):
    learns = np.ones(n, bool)
    for part in slices:
        learns[part] = False
    return learns


@SHORT
@OVERFLOW
@pytest.mark.parametrize("pieces", [False, True], ids=["steps", "pieces"])
@pytest.mark.parametrize("update_every", [1, 5, 30, "trial"])
@pytest.mark.parametrize(("name", "rule"), CHOSEN)
def test_a_quiet_step_is_a_step_of_mask_zero(name, rule, update_every, pieces):
    """Bit for bit: membranes and traces go on, nothing is added to the gradient."""
    case, ends = draw(T=T, **CASES[name]), []
    for how in ("learn", "mask", "all"):
        sim, _ = simulator(case, RULES[rule], sl.SGD(2e-3), update_every=update_every)
        stream(sim, case, how, None if how == "all" else quiet_in(T, QUIET), pieces)
        ends.append(flat(sim))
    np.testing.assert_array_equal(ends[0], ends[1])
    start = np.concatenate([np.ravel(w) for w in naive.plain(case.w).values()])
    assert np.abs(ends[0] - start).max() > 1e-5 and np.abs(ends[0] - ends[2]).max() > 1e-5


# ---- against the twin ------------------------------------------------------------------------------------------------
OPTIMIZERS = {
    "sgd": (sl.SGD(2e-3), naive.SGD(2e-3)),
    "momentum": (sl.SGD(1e-3, momentum=0.8, weight_decay=2.0), naive.SGD(1e-3, momentum=0.8, weight_decay=2.0)),
    "adam": (sl.Adam(sl.StepDecay(3e-3, 0.5, 3)), naive.Adam(lambda k: 3e-3 * 0.5 ** (k // 3))),
}
# whole intervals that are quiet, intervals that are so at their ends, and quiet steps at the end of the run
LEARNS = quiet_in(T, slice(3, 9), slice(20, 43), slice(44, 45), slice(57, 60))


@SHORT
@pytest.mark.parametrize("update_every", [1, 7])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("regularized", [False, True], ids=["", "regularizer"])
def test_quiet_steps_against_the_twin(optimizer, regularized, update_every):
    """No gradient from quiet steps, nor from the regulariser in them; quiet intervals leave moments and weights alone."""
    case = draw(T=T, **CASES["alif"])
    ours, theirs = OPTIMIZERS[optimizer]
    reg = case.reg._replace(tau=20.0) if regularized else None
    args = {key: value for key, value in case.trial.items() if key not in ("reg", "mask")}
    args |= {"reg": reg, "update_every": update_every, "finish": False}
    want, without = (
        naive.train(case.net, case.w, **args, optimizer=copy.deepcopy(theirs), learns=learns) for learns in (LEARNS, None)
    )
    for rule in (sl.EProp(), sl.EProp(method="forward")):
        for pieces in (False, True):
            sim, _ = simulator(case, rule, ours, update_every=update_every, reg=reg)
            stream(sim, case, "learn", LEARNS, pieces)
            assert_same(sim.weights, want.w, rtol=1e-10)
            assert sim.updates_done == len(want.gradients) < len(without.gradients)
    naive.assert_live(naive.average(want.gradients), want.z)
    assert max(np.abs(want.w[k] - without.w[k]).max() for k in naive.NAMES) > 1e-4


# ---- what quiet steps are given, and what they tell --------------------------------------------------------------------
@SHORT
@pytest.mark.parametrize("given", ["target", "error", "function", "signal"])
@pytest.mark.parametrize("update_every", [1, 7])
def test_nothing_is_learnt_from_what_a_quiet_step_is_given(given, update_every):
    """The loss is told all the same."""
    case = draw(T=T, **CASES["alif"])
    plain, told = (simulator(case, RULES["forward"], sl.SGD(2e-3), update_every=update_every)[0] for _ in range(2))
    losses = []
    for x, y, learn in zip(case.x, case.target, LEARNS, strict=True):
        if learn:
            plain.step(x, y), told.step(x, y)
            continue
        plain.step(x, learn=False)
        value = {"target": y, "error": y, "function": lambda readout: readout - 1.0, "signal": np.ones(plain.net.n)}[given]
        name = {"function": "error", "signal": "learning_signal"}.get(given, given)
        losses.append(told.step(x, **{name: value}, learn=False).loss)
    np.testing.assert_array_equal(flat(told), flat(plain))
    assert (min(losses) > 0) == (given != "signal")


@SHORT
def test_a_quiet_piece_reports_its_loss_and_learns_nothing():
    case = draw(T=T, **CASES["alif"])
    sims = [simulator(case, sl.EProp(), sl.SGD(2e-3), update_every=7)[0] for _ in range(3)]
    parts = [slice(0, 25), slice(25, 45), slice(45, 60)]
    x, y = case.x, case.target
    sims[0].run(iter([(x[p], y[p]) if k != 1 else (x[p], None) for k, p in enumerate(parts)]))
    runs = [sims[1].run(iter([(x[p], y[p])]), learn=k != 1) for k, p in enumerate(parts)]
    for k, p in enumerate(parts):
        sims[2].run(iter([x[p]]), error=lambda t, r: r, learn=k != 1)
    np.testing.assert_array_equal(flat(sims[0]), flat(sims[1]))
    assert runs[1].loss > 0 and sims[0].updates_done == sims[1].updates_done == 6  # of eight intervals two are all quiet
    assert sims[2].updates_done == 6 and np.abs(flat(sims[2]) - flat(sims[1])).max() > 1e-5
    with pytest.raises(ValueError, match="targets must be given"):
        sims[0].run(iter([x]))


@SHORT
def test_a_regularizer_of_whole_pieces_is_left_out_of_quiet_ones():
    case, ends = draw(T=T, **CASES["alif"]), []
    for how in ("learn", "mask"):
        for reg in (None, sl.RateRegularizer(30.0, 1.0)):
            sim, _ = simulator(case, sl.EProp(), sl.SGD(2e-3), regularizer=reg)
            stream(sim, case, how, quiet_in(T, QUIET), pieces=True)
            ends.append(flat(sim))
    np.testing.assert_array_equal(ends[0], ends[2])
    assert np.abs(ends[1] - ends[0]).max() > 1e-6 and np.abs(ends[3] - ends[1]).max() > 1e-6
    x, y = case.x, case.target
    sims = [simulator(case, sl.EProp(), sl.SGD(2e-3), regularizer=sl.RateRegularizer(30.0, 1.0))[0] for _ in range(2)]
    for sim, learns in zip(sims, ((None,), (None, False)), strict=True):
        for k, learn in enumerate(learns):
            sim.run(iter([(x[30 * k : 30 * k + 30], y[30 * k : 30 * k + 30])]), learn=learn)
    np.testing.assert_array_equal(flat(sims[0]), flat(sims[1]))
    assert sims[0].updates_done == sims[1].updates_done == 1


@SHORT
def test_truncated_windows_of_a_quiet_piece():
    """K of three windows, of which the middle one is quiet; evaluation alone takes pieces of any length, and steps."""
    case, ends = draw(T=T, **CASES["alif"]), []
    for how in ("learn", "mask", "all"):
        sim, _ = simulator(case, sl.TruncatedBPTT(5), sl.SGD(2e-3), update_every=15)
        stream(sim, case, how, None if how == "all" else quiet_in(T, slice(20, 25), slice(40, 50)), pieces=True)
        ends.append(flat(sim))
    np.testing.assert_array_equal(ends[0], ends[1])
    assert np.abs(ends[0] - ends[2]).max() > 1e-5
    sim.reset()
    sim.step(case.x[0], learn=False)
    sim.run(iter([case.x[1:3]]), learn=False)
    with pytest.raises(ValueError, match="begin at a multiple of 5 steps of the stream for this rule"):
        sim.run(iter([(case.x[:5], case.target[:5])]))


@SHORT
def test_a_rule_that_cannot_learn_in_a_stream_may_be_evaluated_there():
    case = draw(T=T, **CASES["alif"])
    sim, _ = simulator(case, sl.BPTT(), sl.SGD(2e-3))
    alone, _ = simulator(case)
    run = sim.run(iter([(case.x, case.target)]), learn=False)
    assert run.loss == alone.run(iter([(case.x, case.target)])).loss
    assert (sim.step(case.x[0], learn=False).readout == alone.step(case.x[0]).readout).all()


@SHORT
@pytest.mark.parametrize("update_every", [1, 7])
def test_passive_rules_are_quiet_too(update_every):
    case, tables = draw(T=T, **CASES["alif"]), []
    for how in ("learn", "mask"):
        passive = {"passive": [sl.RFLO(), sl.SnAp(1)], "passive_every": 1}
        sim, _ = simulator(case, RULES["forward"], sl.SGD(2e-3), update_every=update_every, **passive)
        sim._aligned = 0
        stream(sim, case, how, quiet_in(T, slice(20, 41)))
        tables.append([sim.run(iter([(case.x, case.target)])).alignment, flat(sim)])
    for a, b in zip(tables[0][0][3:], tables[1][0][3:], strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(tables[0][1], tables[1][1])


# ---- files -------------------------------------------------------------------------------------------------------------
@SHORT
@pytest.mark.parametrize("last", [4, 12, 16], ids=["quiet interval", "interval that learnt", "after its border"])
@pytest.mark.parametrize("optimizer", [sl.SGD(2e-3), sl.Adam(1e-3)], ids=["sgd", "adam"])
def test_a_run_goes_on_exactly_from_within_a_quiet_stretch(optimizer, last, tmp_path):
    case, learns = draw(T=40, **CASES["alif"]), quiet_in(40, slice(0, 5), slice(10, 20))

    def feed(sim, steps):
        for t in steps:
            sim.step(case.x[t], *([case.target[t]] if learns[t] else []), learn=bool(learns[t]))

    sim, _ = simulator(case, RULES["forward"], optimizer, update_every=7)
    feed(sim, range(last))
    sim.save(tmp_path / "state.h5")
    again = sl.resume(tmp_path / "state.h5")
    for one in (sim, again):
        feed(one, range(last, 40))
    np.testing.assert_array_equal(flat(again), flat(sim))
    assert again.updates_done == sim.updates_done == 5  # of steps 0 .. 34; no interval is quiet as a whole
    sim.reset()
    sim.save(tmp_path / "reset.h5")
    again = sl.resume(tmp_path / "reset.h5")
    for one in (sim, again):
        feed(one, range(40))
    np.testing.assert_array_equal(flat(again), flat(sim))


@SHORT
def test_quiet_pieces_are_recorded_and_replayed(tmp_path):
    """A learning signal of zero in quiet pieces, whatever the piece before has left; a replay is told which they were."""
    case, path = draw(T=T, **CASES["alif"]), tmp_path / "run.h5"
    net, weights, _ = library(case)
    sim = sl.Simulator(net, weights, sl.EProp(), sl.Adam(1e-3), update_every=7, seed=1)
    parts = [slice(10 * k, 10 * k + 10) for k in range(6)]
    with sl.Recorder(path, v=True, learning_signal=True, keep_every=1) as recorder:
        for k, p in enumerate(parts):
            sim.run(iter([(case.x[p], case.target[p])]), learn=k not in (2, 3), recorder=recorder)
    with sl.open_recording(path) as rec:
        signals = [rec["learning_signal"][k] for k in range(6)]
    assert [bool(np.any(s)) for s in signals] == [True, True, False, False, True, True]

    def feed(sim):
        return [(case.x[p], case.target[p]) for p in parts[sim.trials_done :]]

    found = sl.replay(path, 12, 58, ("v", "learning_signal"), inputs=feed, learn=lambda piece: piece not in (2, 3))
    np.testing.assert_array_equal(found["learning_signal"], np.concatenate(signals)[12:58])


# ---- what switching and starting anew cost -----------------------------------------------------------------------------
@OVERFLOW
@pytest.mark.parametrize("rule", ["forward", "uoro"])
def test_calls_stay_prepared_where_steps_learn_or_do_not_and_streams_begin(rule, monkeypatch):
    """No call is prepared a second time, and each beginning gives the bits of a new simulator."""
    case = draw(T=T, **CASES["alif"])
    sim, _ = simulator(case, RULES[rule], sl.SGD(0.0), update_every=7, seed=1)
    prepared = []
    frame = closed_loop.Frame
    monkeypatch.setattr(closed_loop, "Frame", lambda *arguments: prepared.append(arguments) or frame(*arguments))
    found = []
    for _ in range(3):
        sim.reset()
        for t, (x, y) in enumerate(zip(case.x, case.target, strict=True)):
            step = sim.step(x, learn=False) if t % 3 == 1 else sim.step(x, y)
        found.append((step.readout, sim._engine.stream_grad.w_rec.copy(), sim.updates_done))
        if len(found) == 1:  # longer pieces need more room, and the calls of steps stand
            sim.run(iter([(case.x, case.target)]))
            sim.run(iter([case.x]), learn=False)
            sim.run(case.x, case.target)
    assert len(prepared) == 2
    assert all(call.frame.prepared for call in sim._stepper.calls.values()) or not compiled() or numba.config.BOUNDSCHECK
    assert found[0][2] == 8
    for readout, grad, _ in found[1:]:
        np.testing.assert_array_equal(readout, found[0][0])
        np.testing.assert_array_equal(grad, found[0][1])
    assert np.abs(found[0][1]).max() > 0


@pytest.mark.parametrize("update_every", [7, "trial"])
def test_reset_draws_the_noise_of_a_new_stream(update_every):
    case = draw(T=T, **CASES["alif"])
    net, weights, _ = library(case)
    net = dataclasses.replace(net, neurons=[dataclasses.replace(group, noise=0.3) for group in net.neurons])
    sim = sl.Simulator(net, weights, RULES["forward"], sl.SGD(0.0), update_every=update_every)
    found = []
    for _ in range(2):
        found.append(np.stack([sim.step(x, y).readout for x, y in zip(case.x, case.target, strict=True)]))
        sim.reset()
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("update_every", [1, 10, "trial"])
def test_a_step_whose_error_function_fails_is_quiet(update_every):
    """The network has advanced when the function is asked: the stream stays whole, and an update is not late."""
    rng = np.random.default_rng(0)
    x, target = (rng.random((60, 3)) < 0.3) * 1.0, 0.1 * rng.standard_normal((60, 2))
    net = sl.Network(3, sl.LIF(10, threshold=0.4), sl.Readout(2, tau=20.0))
    failing = {15: lambda y: [1.0], 19: lambda y: 1 / 0, 30: lambda y: y * np.nan, 39: lambda y: None, 40: lambda y: "no"}
    for optimizer in (sl.SGD(1e-3), sl.Adam(1e-3)):
        options = {"rule": sl.EProp(), "optimizer": optimizer, "update_every": update_every, "seed": 1}
        failed, quiet = sl.Simulator(net, **options), sl.Simulator(net, **options)
        for t in range(60):
            if t in failing:
                with pytest.raises((ValueError, TypeError, ZeroDivisionError)):
                    failed.step(x[t], error=failing[t])
                quiet.step(x[t], learn=False)
            else:
                steps = [sim.step(x[t], error=lambda y, t=t: y - target[t]) for sim in (failed, quiet)]
                np.testing.assert_array_equal(steps[0].readout, steps[1].readout)
        assert failed.stream_steps == 60 and failed.updates_done == quiet.updates_done > 0
        for a, b in zip(failed.weights, quiet.weights, strict=True):
            np.testing.assert_array_equal(a, b)
        assert np.abs(failed.weights.w_in - net.init_weights(1).w_in).max() > 1e-6


def test_a_piece_left_within_is_not_gone_on_with():
    net = sl.Network(3, sl.LIF(10, threshold=0.4), 2)
    sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-3), update_every=5)
    with pytest.raises(ZeroDivisionError):
        sim.run(iter([np.ones((20, 3))]), error=lambda t, y: 0 * y if t < 7 else 1 / 0)
    for go_on in (lambda: sim.step(np.ones(3), np.zeros(2)), lambda: sim.run(iter([(np.ones((5, 3)), np.zeros((5, 2)))]))):
        with pytest.raises(ValueError, match=r"Simulator must be between two pieces of its stream .*reset\(\) begins a new one"):
            go_on()
    sim.reset()
    assert sim.step(np.ones(3), np.zeros(2)).loss >= 0 and sim.stream_steps == 1
