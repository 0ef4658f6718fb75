"""Rules in streams and batches, their limits, and how fast orders converge; identities are in test_identities.py."""

import naive
import numpy as np
import pytest
from numba import config
from twin import assert_same, distance, draw, library, simulator

import snnlearn as sl
from snnlearn.compiler.dispatch import uncached
from snnlearn.engine.block_loop import run_block, runner
from snnlearn.verification.published import superimposed_sines


@pytest.mark.parametrize(
    "rule", [sl.RTRL(), sl.SnAp(2), sl.EProp(order=2), sl.RFLO(method="forward"), sl.EProp(reset_gradient=True)], ids=repr
)
def test_streams_do_not_depend_on_pieces(rule):
    """One update earns the gradient of the trial, also where the trial comes in pieces."""
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
    sines = superimposed_sines()
    rules = [sl.EProp(m, reset_gradient=True) for m in (1, 2, 3, 4, 5, 8)]
    table = sl.compare(sines.net, sines.weights, (sines.x, sines.target), rules, regularizer=sines.regularizer)
    np.testing.assert_allclose(table.cosine[:, 1], [0.8095, 0.9353, 0.9787, 0.9932, 0.9977, 0.9999], atol=5e-5)


def test_a_large_network_is_refused_before_anything_is_built():
    """50 000 neurons: which neurons reach which is not worked out where it cannot fit anyway."""
    net = sl.Network(10, sl.LIF(50_000), 2, recurrent=sl.Sparse(indegree=100), inputs=sl.Sparse(indegree=1))
    weights, x = net.init_weights(), np.zeros((1, 10))
    for rule in (sl.RTRL(), sl.SnAp(3), sl.EProp(4, method="forward")):
        with pytest.raises(MemoryError, match=r"needs [\d.]+ GB for its influence of weights \(n_rec=50000"):
            sl.gradient(net, weights, x, np.zeros((1, 2)), rule)


def test_kernels_of_a_rule_from_outside_are_not_cached_on_disk():
    """No cache notices when a user edits a rule; with a stale one the old equations would run."""

    class Mine(sl.RFLO):
        pass

    net = sl.Network(2, sl.LIF(2), 1)
    params = net.arrays(net.init_weights(), np.float64).params
    assert runner(params, (sl.EProp(), sl.BPTT())) is run_block
    for rules in ((Mine(),), (sl.EProp(), Mine())):
        assert runner(params, rules) is uncached(run_block)
    assert (uncached(run_block) is run_block) == bool(config.DISABLE_JIT)
