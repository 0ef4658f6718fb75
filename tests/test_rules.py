"""Identities between the rules, each where the mathematics guarantees it, with negative controls."""

import naive
import numpy as np
import pytest
from twin import assert_same, distance, draw, library, simulator

import snnlearn as sl

SHAPES = {
    "lif dense": dict(kind="lif"),
    "alif dense": dict(kind="alif", n_ref=1, delay=2),
    "mixed masked": dict(kind="mixed", density=0.5, self_connections=False, heterogeneous=True),
    "alif sparse": dict(kind="alif", density=0.4, delay=3, kappa=0.0, density_in=0.7),
}


@pytest.fixture(params=SHAPES, scope="module")
def problem(request):
    """A live case as (gradient of a rule, naive case)."""
    case = draw(T=30, n=5, n_in=3, seed=11, **SHAPES[request.param])
    sparse = "sparse" in request.param
    net, weights, trial = library(case, sparse_rec=sparse, sparse_in=sparse)
    exact = naive.bptt(case.net, case.w, **case.trial)
    naive.assert_live(exact.gradient, exact.forward.z)
    return lambda rule, **changes: sl.gradient(net, weights, rule=rule, **(trial | changes)), case


def test_rtrl_is_bptt(problem):
    gradient, case = problem
    for attached in (True, False):
        want = naive.bptt(case.net, case.w, **case.trial, reset_gradient=attached).gradient
        assert_same(gradient(sl.RTRL(reset_gradient=attached)), want)
        assert_same(gradient(sl.BPTT(reset_gradient=attached)), want)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_order_m_forward_is_adjoint(problem, order):
    gradient, case = problem
    for feedback in ("symmetric", case.feedback):
        rules = [sl.EProp(order, feedback, method=method, reset_gradient=True) for method in ("forward", "adjoint")]
        assert_same(gradient(rules[0]), gradient(rules[1]))


def test_orders_reach_bptt(problem):
    gradient, case = problem
    exact = gradient(sl.BPTT())
    enough = (case.x.shape[0] - 1) // case.net.delay + 1
    assert_same(gradient(sl.EProp(order=enough)), exact)
    assert_same(gradient(sl.EProp(order=None)), exact)
    assert_same(gradient(sl.EProp(order=None, method="forward")), exact)


def test_snap_reaches_rtrl_and_starts_at_eprop(problem):
    gradient, case = problem
    assert_same(gradient(sl.SnAp(case.net.n)), gradient(sl.RTRL()))
    first, eprop = gradient(sl.SnAp(1)), gradient(sl.EProp(reset_gradient=True))
    if not np.diag(case.net.conn_rec).any():
        assert_same(first, eprop)
    else:
        assert distance(first, eprop, "w_rec") > 1e-6


def test_truncation(problem):
    gradient, case = problem
    assert_same(gradient(sl.TruncatedBPTT(case.x.shape[0])), gradient(sl.BPTT()))
    assert distance(gradient(sl.TruncatedBPTT(4)), gradient(sl.BPTT()), "w_in") > 1e-6


def test_rflo(problem):
    gradient, case = problem
    forward = gradient(sl.RFLO(method="forward"))
    assert_same(forward, gradient(sl.RFLO(method="adjoint")))
    eprop = gradient(sl.EProp(reset_gradient=False))
    if not case.net.beta.any():
        assert_same(forward, eprop)
    else:
        assert distance(forward, eprop, "w_in") > 1e-6


def test_the_rules_differ(problem):
    gradient, _ = problem
    rules = [sl.EProp(reset_gradient=True), sl.EProp(order=2), sl.EProp(order=3), sl.BPTT(), sl.RFLO(), sl.TruncatedBPTT(3)]
    found = [gradient(rule) for rule in rules]
    for i, a in enumerate(found):
        for b in found[:i]:
            assert distance(a, b, "w_rec") > 1e-9


def test_snap_is_order_n_on_a_chain():
    rng = np.random.default_rng(2)
    n, chain = 5, np.eye(5, k=1, dtype=bool)
    net = sl.Network(3, sl.LIF(n, tau_m=10.0, threshold=0.5), sl.Readout(2, tau=10.0), recurrent=sl.Masked(chain))
    weights = net.init_weights(seed=1, gain={"w_in": 1.5, "w_rec": 0.5})
    x, target = (rng.random((40, 3)) < 0.4).astype(float), rng.standard_normal((40, 2))
    assert np.abs(sl.gradient(net, weights, x, target, sl.BPTT()).w_rec).max() > 1e-6
    for order in (1, 2, 3):
        snap = sl.gradient(net, weights, x, target, sl.SnAp(order))
        assert_same(snap, sl.gradient(net, weights, x, target, sl.EProp(order, reset_gradient=True)))


@pytest.mark.parametrize(
    "rule", [sl.RTRL(), sl.SnAp(2), sl.EProp(order=2), sl.RFLO(method="forward"), sl.EProp(reset_gradient=True)], ids=repr
)
def test_streams_do_not_depend_on_intervals_or_pieces(rule):
    """With frozen hidden weights and a small step of the readout, sums over intervals are the gradient of the whole."""
    case = draw(kind="alif", delay=2, T=36, n=5, n_in=3)
    sim, trial = simulator(case, rule, sl.SGD(1.0), update_every=36)
    whole = naive.plain(sim.weights)
    sim.run(**trial)
    change = {key: whole[key] - value for key, value in naive.plain(sim.weights).items()}
    net, weights, arguments = library(case)
    want = sl.gradient(net, weights, rule=rule, **(arguments | {"regularizer": None}))
    assert_same(change, want, rtol=1e-10)
    pieces, _ = simulator(case, rule, sl.SGD(1.0), update_every=36)
    cuts = [(0, 5), (5, 6), (6, 20), (20, 36)]
    pieces.run((trial["inputs"][a:b], trial["targets"][a:b], trial["mask"][a:b]) for a, b in cuts)
    assert_same(pieces.weights, sim.weights)


def test_batches_float32_and_threads():
    case = draw(kind="alif", T=30, n=5, n_in=3, n_trials=6)
    net, weights, trial = library(case)
    for rule in (sl.RTRL(), sl.EProp(order=2)):
        want = naive.average([naive.plain(sl.gradient(net, weights, rule=rule, **_one(trial, b))) for b in range(6)])
        assert_same(sl.gradient(net, weights, rule=rule, **trial), want, rtol=1e-11)
        one, two = (sl.gradient(net, weights, rule=rule, threads=k, **trial) for k in (1, 2))
        for a, b in zip(one[:4], two[:4], strict=True):
            np.testing.assert_array_equal(a, b)
        assert distance(sl.gradient(net, weights, rule=rule, dtype="float32", **trial), want) < 1e-4


def test_rtrl_refuses_what_does_not_fit():
    net = sl.Network(100, sl.LIF(400), 2)
    x = np.ones((3, 100))
    with pytest.raises(MemoryError, match=r"RTRL needs .* GB .*n_rec=400, n_in=100, D=1.*limit 1\.1 GB; use SnAp"):
        sl.gradient(net, net.init_weights(), x, np.zeros((3, 2)), sl.RTRL())


def test_orders_converge_to_bptt():
    """On a network in the published regression's regime every order comes closer to BPTT."""
    rng = np.random.default_rng(0)
    net = sl.Network(
        50, sl.LIF(50, tau_m=30.0, threshold=0.03, normalize_input=True), sl.Readout(1, tau=30.0, normalize_input=True)
    )
    weights = net.init_weights(seed=1)
    x, target = (rng.random((400, 50)) < 0.05).astype(float), np.sin(np.arange(400) / 20.0)[:, None]
    exact = sl.gradient(net, weights, x, target, sl.BPTT()).w_rec.ravel()
    found = []
    for order in (1, 2, 3, 4):
        g = sl.gradient(net, weights, x, target, sl.EProp(order, reset_gradient=True)).w_rec.ravel()
        found.append(g @ exact / np.linalg.norm(g) / np.linalg.norm(exact))
    assert np.all(np.diff(found) > 0)
    assert 0.5 < found[0] < 0.99 < found[3] + 0.05


def _one(trial, b):
    return trial | {key: trial[key][b] for key in ("inputs", "targets", "mask")}


def test_published_cosines():
    """The published 100-neuron regression, first trial, initial weights: cosine of order m to BPTT, w_rec."""
    draws, f32 = np.random.RandomState(1), np.float32
    w_in, w_rec, w_out = ((draws.randn(100, k) / 10.0).astype(f32).astype(float) for k in (100, 100, 1))
    np.fill_diagonal(w_rec, 0.0)
    draws.randn(100, 1)  # the random feedback of the publication, not used here
    x = (draws.rand(1000, 100) < 0.05).astype(float)
    x[0] = 0.0
    amplitude, phase = draws.uniform(0.5, 2.0, 4), draws.uniform(0.0, 2.0 * np.pi, 4)
    turns = 2.0 * np.pi * (1000 // np.array([1000, 500, 333, 200]))
    target = sum(a * np.sin(np.linspace(p, p + c, 1000)) for a, p, c in zip(amplitude, phase, turns, strict=True))
    target = target - target[0]
    target = (target / np.abs(target).max())[:, None]
    lif = sl.LIF(100, tau_m=30.0, threshold=0.03, normalize_input=True)
    net = sl.Network(100, lif, sl.Readout(1, tau=30.0, normalize_input=True))
    weights = sl.Weights(w_in, w_rec, w_out, np.zeros(1))
    rules = [sl.EProp(m, reset_gradient=True) for m in (1, 2, 3, 4, 5, 8)]
    table = sl.compare(net, weights, (x, target), rules, regularizer=sl.RateRegularizer(10.0, 300.0))
    np.testing.assert_allclose(table.cosine[:, 1], [0.8095, 0.9353, 0.9787, 0.9932, 0.9977, 0.9999], atol=5e-5)
