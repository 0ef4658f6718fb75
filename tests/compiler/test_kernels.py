"""A small subset that touches every kernel; CI runs it also without the JIT and with bounds checking.

Each row is one compiled specialisation: neuron, trace shape, connectivity, rule, optimizer. All of them
learn a tiny case and must end with the naive twin's weights, or give its gradient.
"""

import naive
import numpy as np
import pytest
from twin import assert_same, draw, library, simulator

import snnlearn as sl

pytestmark = pytest.mark.kernels
TINY = dict(n=4, n_in=3, T=14, delay=2, n_ref=1)


@pytest.mark.parametrize(
    ("kind", "reset_gradient", "sparse", "optimizer"),
    [("lif", False, False, "sgd"), ("alif", True, True, "adam"), ("alif", False, False, "momentum"), ("lif", True, True, "sgd")],
)
def test_online_learning(kind, reset_gradient, sparse, optimizer):
    case = draw(kind=kind, loss="ce", density=0.6 if sparse else 1.0, **TINY)
    ours, theirs = {
        "sgd": (sl.SGD(0.05, clip_norm=1.0), naive.SGD(0.05, clip_norm=1.0)),
        "momentum": (sl.SGD(0.05, momentum=0.9, weight_decay=0.1), naive.SGD(0.05, momentum=0.9, weight_decay=0.1)),
        "adam": (sl.Adam(0.01, bounds=(-1.0, 1.0)), naive.Adam(0.01, bounds=(-1.0, 1.0))),
    }[optimizer]
    sim, trial = simulator(case, sl.EProp(reset_gradient=reset_gradient), ours, sparse_all=sparse, update_every=3)
    before = naive.plain(sim.weights)
    sim.run(**trial)
    arguments = {**case.trial, "reg": None}
    twin = naive.train(case.net, case.w, **arguments, optimizer=theirs, update_every=3, reset_gradient=reset_gradient)
    naive.assert_live(twin.gradients[-1], twin.z)
    assert np.abs(naive.plain(sim.weights)["w_in"] - before["w_in"]).max() > 1e-6
    assert_same(sim.weights, twin.w, rtol=1e-11)


@pytest.mark.parametrize(("kind", "sparse"), [("lif", False), ("alif", True)])
@pytest.mark.parametrize("rule", ["eprop", "bptt", "rtrl"])
def test_gradient(kind, sparse, rule):
    case = draw(kind=kind, density=0.6 if sparse else 1.0, **TINY)
    net, weights, trial = library(case, sparse_rec=sparse, sparse_in=sparse)
    if rule == "eprop":
        got, want = sl.gradient(net, weights, rule=sl.EProp(), **trial), naive.eprop(case.net, case.w, **case.trial)
    else:
        exact = sl.BPTT() if rule == "bptt" else sl.RTRL()
        got, want = sl.gradient(net, weights, rule=exact, **trial), naive.bptt(case.net, case.w, **case.trial)
    naive.assert_live(want.gradient, want.forward.z)
    assert_same(got, want.gradient)


@pytest.mark.parametrize("surrogate", ["piecewise_linear", "exponential", "fast_sigmoid", "arctan", "mixed"])
def test_surrogates(surrogate):
    names = ["exponential", "exponential", "arctan", "arctan"] if surrogate == "mixed" else surrogate
    case = draw(kind="lif", surrogate=names, **TINY)
    net, weights, trial = library(case)
    record = sl.simulate(net, weights, trial["inputs"], dtype="float64")
    forward = naive.forward(case.net, case.w, case.x)
    assert forward.z.any()
    np.testing.assert_array_equal(record.spikes, forward.z != 0)
    np.testing.assert_allclose(record.psi, forward.psi, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(record.v, forward.v, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "update_every", "kappa"), [("alif", 7, 0.8), ("lif", 1, 0.9)], ids=["by intervals", "rows read lazily"]
)
def test_streams(kind, update_every, kappa):
    """e-prop in the forms that `EProp` picks for these settings, against the twin's traces."""
    case = draw(kind=kind, kappa=kappa, **{**TINY, "T": 28})
    sim, trial = simulator(case, sl.EProp(), sl.SGD(0.01), update_every=update_every)
    sim.run(**trial)
    arguments = {**case.trial, "reg": None}
    twin = naive.train(case.net, case.w, **arguments, optimizer=naive.SGD(0.01), update_every=update_every)
    assert np.abs(naive.plain(sim.weights)["w_rec"] - case.w["w_rec"]).max() > 1e-6
    assert_same(sim.weights, twin.w, rtol=1e-10)


@pytest.mark.filterwarnings("ignore:overflow encountered")  # without the JIT, 64-bit hashes wrap with a warning
def test_one_outer_product():
    case = draw(kind="lif", **TINY)
    net, weights, trial = library(case)
    got, exact = (sl.gradient(net, weights, rule=rule, **trial) for rule in (sl.UORO(1), sl.RTRL()))
    assert_same(got, exact, names=("w_out", "b_out"))
    assert np.isfinite(got.w_rec).all() and np.abs(got.w_rec).max() > 1e-6
