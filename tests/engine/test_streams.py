"""e-prop in streams: by intervals, and by rows that are brought up to date when they are read; both are traces in place."""

import naive
import numpy as np
import pytest
from twin import assert_same, draw, simulator

import snnlearn as sl
from snnlearn.rules.engines.event_driven import SHORTEST, Lazy, LazyAdaptive

CASES = {
    "lif": dict(kind="lif"),
    "alif": dict(kind="alif", delay=2, n_ref=1, self_connections=False),
    "mixed": dict(kind="mixed", heterogeneous=True, delay=3, analog=True),
    "sparse": dict(kind="alif", density=0.5, density_in=0.6, delay=2),
}


def after(case, rule, optimizer, pieces=None, sparse=False, reg=None, **options):
    """The weights after a trial, or after its pieces in a stream."""
    sim, data = simulator(case, rule, optimizer, sparse_all=sparse, reg=reg, **options)
    if pieces is None:
        sim.run(**data)
    else:
        sim.run(iter([tuple(data[k][a:b] for k in ("inputs", "targets", "mask")) for a, b in pieces]))
    return naive.plain(sim.weights)


@pytest.mark.parametrize("attached", [False, True], ids=["detached", "attached"])
@pytest.mark.parametrize("name", CASES)
def test_intervals_are_traces_in_place(name, attached):
    """K = 7 of 40 steps, weights changing: the naive twin, traces in place and intervals agree."""
    case = draw(T=40, n=5, n_in=3, **CASES[name])
    twin = naive.train(
        case.net, case.w, **{**case.trial, "reg": None}, optimizer=naive.SGD(1e-2), update_every=7, reset_gradient=attached
    )
    assert np.abs(naive.plain(twin.w)["w_rec"] - case.w["w_rec"]).max() > 1e-3
    for method in ("auto", "forward"):
        rule = sl.EProp(method=method, reset_gradient=attached)
        assert (rule.direction(7, False, False) == "interval") == (method == "auto")
        assert_same(after(case, rule, sl.SGD(1e-2), sparse=name == "sparse", update_every=7), twin.w, rtol=1e-11)


@pytest.mark.parametrize("name", ["lif", "alif"])
def test_borders_of_pieces_and_spans_make_no_difference(name, monkeypatch):
    case = draw(T=40, n=5, n_in=3, **CASES[name])
    reg = case.reg._replace(tau=15.0)
    want = after(case, sl.EProp(), sl.SGD(1e-2), update_every=20, reg=reg)
    for pieces in ([(0, 40)], [(0, 3), (3, 4), (4, 25), (25, 40)]):
        assert_same(after(case, sl.EProp(), sl.SGD(1e-2), pieces, update_every=20, reg=reg), want, rtol=1e-11)


def test_rflo_by_intervals():
    case = draw(T=40, n=5, n_in=3, **CASES["alif"])
    found = [after(case, sl.RFLO(method=m), sl.SGD(1e-2), update_every=10) for m in ("auto", "forward")]
    assert_same(found[0], found[1], rtol=1e-11)


def test_the_users_learning_signal_by_intervals():
    case = draw(T=40, n=5, n_in=3, **CASES["alif"])
    signal = np.random.default_rng(0).standard_normal((40, 5))
    found = []
    for method in ("auto", "forward"):
        sim, data = simulator(case, sl.EProp(method=method), sl.SGD(1e-2), update_every=10)
        sim.run(data["inputs"], learning_signal=signal)
        found.append(naive.plain(sim.weights))
    assert_same(found[0], found[1], rtol=1e-11, names=("w_in", "w_rec"))


# ---- rows that are brought up to date when they are read ----------------------------------------

READ = {
    "dense": dict(kind="lif", kappa=0.9, n_ref=1, normalize_input=True, normalize_readout=True, analog=True),
    "masked": dict(kind="lif", density=0.6, delay=2, self_connections=False, kappa=0.9),
    "sparse": dict(kind="lif", density=0.6, density_in=0.7, delay=3, kappa=0.8),
    "alif": dict(kind="alif", n_ref=1, kappa=0.9, analog=True),
    "sparse alif": dict(kind="alif", density=0.6, density_in=0.7, delay=3, kappa=0.8),
    "mixed": dict(kind="mixed", delay=2, kappa=0.9),
}


def lazily(sim):
    space = next(iter(sim._engine.workspaces.values()))
    return isinstance(space.rule.lazy, (Lazy, LazyAdaptive))


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("regularized", [False, True])
def test_reading_brings_up_to_date(name, regularized):
    """Weights that change at every step, against the twin that changes them; several windows."""
    case = draw(T=200, n=5, n_in=3, **READ[name])
    reg = case.reg._replace(tau=20.0) if regularized else None
    sim, data = simulator(case, sl.EProp(), sl.SGD(2e-3), update_every=1, reg=reg, sparse_all=name.startswith("sparse"))
    sim.run(**data)
    assert lazily(sim)
    twin = naive.train(case.net, case.w, **{**case.trial, "reg": reg}, optimizer=naive.SGD(2e-3), update_every=1)
    assert np.abs(naive.plain(twin.w)["w_rec"] - case.w["w_rec"]).max() > 1e-3
    assert_same(sim.weights, twin.w, rtol=1e-10)


def test_pieces_of_any_length_and_single_steps():
    """Pieces too short for a window keep their traces in place; both forms go on from each other."""
    case = draw(T=200, n=5, n_in=3, **READ["masked"])
    want = after(case, sl.EProp(), sl.SGD(2e-3), update_every=1)
    pieces = [(0, 90), (90, 95), (95, 95 + SHORTEST), (95 + SHORTEST, 200)]
    assert_same(after(case, sl.EProp(), sl.SGD(2e-3), pieces, update_every=1), want, rtol=1e-10)


@pytest.mark.parametrize(
    "optimizer", [sl.SGD(2e-3, momentum=0.5), sl.SGD(2e-3, bounds=(-1, 1)), sl.SGD(2e-3, clip_norm=1.0), sl.Adam(1e-3)], ids=repr
)
def test_what_needs_the_gradient_of_every_step_gets_it(optimizer):
    case = draw(T=40, n=5, n_in=3, **READ["masked"])
    sim, _ = simulator(case, sl.EProp(), optimizer, update_every=1)
    assert not sim._engine.in_place


def test_batches_share_their_weights():
    """Trials of a batch advance together: their gradients go straight to the weights, averaged."""
    case = draw(T=40, n=5, n_in=3, n_trials=4, **CASES["alif"])
    found = [after(case, sl.EProp(), sl.SGD(1e-2, clip_norm=clip), update_every=1) for clip in (None, 1e9)]
    assert_same(found[0], found[1], rtol=1e-11)


@pytest.mark.parametrize("neuron", [sl.LIF(4, tau_m=2.0), sl.ALIF(4, tau_m=2.0, tau_a=2000.0, beta=0.1)], ids=["lif", "alif"])
def test_a_row_earns_for_as_long_as_a_trace_is_left(neuron):
    """float32: a source's own trace is zero after 87 tau_m, long before the readout's filter or adaptation forget it."""
    net = sl.Network(2, neuron, sl.Readout(1, tau=200.0))
    weights = net.init_weights(1, gain={"w_in": 8.0})
    x, target = np.zeros((1200, 2)), np.zeros((1200, 1))
    x[5:40:3, 0], x[5::25, 1], target[600:] = 1, 1, 1.0
    found = []
    for clip in (None, 1e12):  # the second one needs every step's gradient
        sim = sl.Simulator(net, weights, sl.EProp(), sl.SGD(1e-3, clip_norm=clip), update_every=1, dtype="float32")
        run = sim.run(iter([(x[:600], target[:600])]))
        before = sim.weights.w_in[0].copy()
        sim.run(iter([(x[600:], target[600:])]))
        assert run.rate > 1.0
        found.append(sim.weights.w_in[0] - before)
    assert np.abs(found[1]).max() > 1e-6
    np.testing.assert_allclose(found[0], found[1], rtol=2e-3)


def test_adaptation_that_no_window_holds_is_carried_in_place():
    for strong in (dict(tau_a=2.0, beta=0.1), dict(tau_a=200.0, beta=2.0)):
        net = sl.Network(2, sl.ALIF(4, **strong), sl.Readout(1))
        sim = sl.Simulator(net, net.init_weights(1), sl.EProp(), sl.SGD(1e-6), update_every=1)
        sim.run(np.ones((100, 2)), np.zeros((100, 1)))
        assert not lazily(sim)
        assert "adaptation" in sl.plan(net, sl.EProp(), sl.SGD(1e-6), update_every=1, seconds=0).reason


LONG = {
    "lif": sl.LIF(20, tau_m=20.0, threshold=0.6, refractory=2.0),
    "alif": sl.ALIF(20, tau_m=20.0, threshold=0.6, refractory=2.0, tau_a=500.0, beta=0.1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_a_long_run_stays_exact(name):
    """10^5 steps: 1e-9 in float64 against traces in place."""
    rng = np.random.default_rng(0)
    net = sl.Network(20, LONG[name], sl.Readout(2, tau=20.0))
    weights, found = net.init_weights(1, gain={"w_in": 1.5}), []
    x = sl.Events(np.sort(rng.integers(0, 100_000, 60_000)), rng.integers(0, 20, 60_000), 100_000)
    target = np.stack([np.sin(np.arange(100_000) / 50.0), np.cos(np.arange(100_000) / 80.0)], axis=1)
    for clip in (None, 1e12):  # the second one needs every step's gradient
        sim = sl.Simulator(net, weights, sl.EProp(), sl.SGD(1e-5, clip_norm=clip), update_every=1, dtype="float64")
        run = sim.run(x, target)
        found.append(sim.weights)
    assert run.rate > 5.0 and np.abs(found[0].w_rec - weights.w_rec).max() > 1e-3
    assert_same(found[0], found[1], rtol=1e-9)
