"""e-prop, carried forward and as adjoints on the tape, against the naive twin."""

import naive
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from twin import assert_same, distance, draw, library

import snnlearn as sl

CASES = {
    "lif": {},
    "lif-delay": dict(loss="ce", delay=2, n_ref=2),
    "lif-no-memory": dict(kappa=0.0, delay=3, self_connections=False),
    "lif-masked": dict(density=0.6, density_in=0.7, n_ref=1, normalize_readout=True, bias=False),
    "lif-heterogeneous": dict(heterogeneous=True, n_ref=3, delay=2, normalize_input=True),
    "lif-analog": dict(analog=True, dt=0.5, n_ref=1),
    "alif": dict(kind="alif", n_ref=3),
    "alif-delay": dict(kind="alif", loss="ce", delay=3, kappa=0.0),
    "alif-masked": dict(kind="alif", density=0.6, density_in=0.7, delay=2, n_ref=2),
    "mixed": dict(kind="mixed", delay=2, n_ref=1, self_connections=False),
    "mixed-initial": dict(kind="mixed", initial=True, normalize_input=True, n_ref=2),
    "mixed-heterogeneous": dict(
        kind="mixed", heterogeneous=True, n_ref=3, delay=3, density=0.6, density_in=0.7, initial=True, analog=True, loss="ce"
    ),
}
METHODS = pytest.mark.parametrize("method", ["forward", "adjoint"])
RESETS = pytest.mark.parametrize("reset_gradient", [False, True], ids=["detached", "attached"])


def rule(method="adjoint", reset_gradient=False, **kwargs):
    return sl.EProp(method=method, reset_gradient=reset_gradient, **kwargs)


def check(case, method, reset_gradient, **storage):
    net, weights, trial = library(case, **storage)
    want = naive.eprop(case.net, case.w, **case.trial, reset_gradient=reset_gradient)
    naive.assert_live(want.gradient, want.forward.z)
    got = sl.gradient(net, weights, rule=rule(method, reset_gradient), **trial)
    assert_same(got, want.gradient)
    assert got.loss == pytest.approx(want.loss, rel=1e-12)
    assert got.regularization == pytest.approx(want.regularization, rel=1e-12)


@METHODS
@RESETS
@pytest.mark.parametrize("name", CASES)
def test_equals_the_twin(name, method, reset_gradient):
    check(draw(**CASES[name]), method, reset_gradient)


@METHODS
@RESETS
@pytest.mark.parametrize("name", ["alif", "alif-masked", "mixed-heterogeneous"])
def test_sparse_equals_the_twin(name, method, reset_gradient):
    check(draw(**CASES[name]), method, reset_gradient, sparse_rec=True, sparse_in=True)


def test_sparse_recurrent_with_dense_input_equals_the_twin():
    check(draw(density=0.5), "adjoint", False, sparse_rec=True)


@pytest.mark.parametrize(
    "surrogate",
    ["exponential", "fast_sigmoid", "arctan", ["piecewise_linear", "exponential"] + ["fast_sigmoid"] * 2 + ["arctan"] * 2],
    ids=["exponential", "fast_sigmoid", "arctan", "groups"],
)
def test_surrogates_equal_the_twin(surrogate):
    check(draw(surrogate=surrogate), "adjoint", False)


def test_gamma_differs_between_groups():
    case = naive.random_case(np.random.default_rng(3), heterogeneous=True)
    assert len(set(case.net.gamma)) > 1
    check(case, "adjoint", False)


@METHODS
@pytest.mark.parametrize("name", ["lif", "mixed-initial"])
def test_given_feedback_equals_the_twin(name, method):
    case = draw(**CASES[name])
    net, weights, trial = library(case)
    want = naive.eprop(case.net, case.w, **case.trial, feedback=case.feedback)
    got = sl.gradient(net, weights, rule=rule(method, feedback=case.feedback), **trial)
    assert_same(got, want.gradient)
    assert distance(got, naive.eprop(case.net, case.w, **case.trial).gradient) > 0.1


def test_random_feedback_is_drawn_from_its_seed():
    net, _, _ = library(draw())
    first, again, other = (sl.EProp(feedback="random", seed=s).feedback_matrix(net) for s in (1, 1, 2))
    assert_array_equal(first, again)
    assert (first != other).all()


@METHODS
@pytest.mark.parametrize("name", ["lif", "alif-delay"])
def test_batch_is_the_mean_over_trials(name, method):
    case = draw(n_trials=11, T=20, **CASES[name])
    net, weights, trial = library(case)
    results = [naive.eprop(case.net, case.w, **case.one(b).trial) for b in range(11)]
    got = sl.gradient(net, weights, rule=rule(method), **trial)
    assert_same(got, naive.average([r.gradient for r in results]))
    assert got.loss == pytest.approx(np.mean([r.loss for r in results]), rel=1e-12)
    assert got.regularization == pytest.approx(np.mean([r.regularization for r in results]), rel=1e-12)


@METHODS
def test_float32_is_close_to_float64(method):
    case = draw()
    net, weights, trial = library(case)
    exact = sl.gradient(net, weights, rule=rule(method), **trial)
    rough = sl.gradient(net, weights, rule=rule(method), dtype="float32", **trial)
    naive.assert_live(exact, naive.forward(case.net, case.w, case.x).z)
    assert rough.w_in.dtype == np.float32
    assert_same(rough, exact, rtol=1e-4)


@METHODS
def test_csr_equals_masked(method):
    case = draw(**CASES["alif-masked"])
    results = []
    for storage in (False, True):
        net, weights, trial = library(case, sparse_rec=storage, sparse_in=storage)
        results.append(sl.gradient(net, weights, rule=rule(method), **trial))
    assert sparse.issparse(results[1].w_rec) and not sparse.issparse(results[0].w_rec)
    assert_same(results[1], results[0], rtol=1e-14)


def test_csr_weights_are_accepted_for_masked():
    net, weights, trial = library(draw(**CASES["lif-masked"]))
    as_csr = weights._replace(w_rec=sparse.csr_array(weights.w_rec))
    assert_same(sl.gradient(net, as_csr, rule=rule(), **trial), sl.gradient(net, weights, rule=rule(), **trial), rtol=0)


@METHODS
def test_events_equal_dense_input(method, rng):
    case = draw()
    net, weights, trial = library(case)
    step, channel = np.nonzero(case.x)
    order = rng.permutation(step.size)
    events = sl.Events(step[order], channel[order], len(case.x))
    want = sl.gradient(net, weights, rule=rule(method), **trial)
    assert_same(sl.gradient(net, weights, rule=rule(method), **trial | {"inputs": events}), want, rtol=1e-13)


def test_repeated_events_add():
    case = draw()
    net, weights, trial = library(case)
    step, channel = np.nonzero(case.x)
    events = sl.Events(np.repeat(step, 2), np.repeat(channel, 2), len(case.x))
    want = sl.gradient(net, weights, rule=rule(), **trial | {"inputs": 2.0 * case.x})
    assert_same(sl.gradient(net, weights, rule=rule(), **trial | {"inputs": events}), want)


@RESETS
@pytest.mark.parametrize("name", ["lif", "alif", "mixed-initial"])
def test_without_recurrence_eprop_is_exact(name, reset_gradient):
    case = draw(**CASES[name])
    gain = 2.0 if case.net.zeta[0] == 1.0 else 1.5
    case = case._replace(w=case.w | {"w_rec": 0.0 * case.w["w_rec"], "w_in": gain * np.abs(case.w["w_in"])})
    net, weights, trial = library(case)
    exact = sl.gradient(net, weights, rule=sl.BPTT(reset_gradient=reset_gradient), **trial)
    naive.assert_live(exact, naive.forward(case.net, case.w, case.x).z)
    for method in ("forward", "adjoint"):
        assert_same(sl.gradient(net, weights, rule=rule(method, reset_gradient), **trial), exact)


@RESETS
@pytest.mark.parametrize("name", ["lif", "alif"])
def test_with_recurrence_eprop_is_not_exact(name, reset_gradient):
    net, weights, trial = library(draw(**CASES[name]))
    exact = sl.gradient(net, weights, rule=sl.BPTT(reset_gradient=reset_gradient), **trial)
    approximate = sl.gradient(net, weights, rule=rule("forward", reset_gradient), **trial)
    assert distance(approximate, exact, "w_rec") > 0.01
    assert_same(approximate, exact, names=("w_out", "b_out"))


def test_the_reset_matters():
    net, weights, trial = library(draw())
    detached, reset_gradient = (sl.gradient(net, weights, rule=rule("forward", a), **trial) for a in (False, True))
    assert distance(reset_gradient, detached) > 0.01


def test_absent_synapses_and_missing_bias_earn_nothing():
    case = draw(**CASES["lif-masked"])
    net, weights, trial = library(case)
    got = sl.gradient(net, weights, rule=rule(), **trial)
    assert not got.w_in[~case.net.conn_in].any() and not got.w_rec[~case.net.conn_rec].any()
    assert not got.b_out.any()


def test_the_gradient_leaves_its_arguments_alone():
    case = draw()
    net, weights, trial = library(case)
    before = naive.plain(weights)
    first = sl.gradient(net, weights, rule=rule("forward"), **trial)
    second = sl.gradient(net, weights, rule=rule("forward"), **trial)
    assert_same(weights, before, rtol=0)
    assert_same(second, first, rtol=0)
    with pytest.raises(ValueError, match="read-only"):
        first.w_in[0, 0] = 1.0


def test_without_a_regulariser_there_is_no_energy():
    case = draw()
    net, weights, trial = library(case)
    got = sl.gradient(net, weights, rule=rule(), **trial | {"regularizer": None})
    assert got.regularization == 0.0
    assert_same(got, naive.eprop(case.net, case.w, **case.trial | {"reg": None}).gradient)


@METHODS
def test_online_rate_equals_the_twin(method):
    case = draw(kind="alif")
    case = case._replace(reg=case.reg._replace(tau=15.0))
    net, weights, trial = library(case)
    want = naive.eprop(case.net, case.w, **case.trial)
    assert_same(sl.gradient(net, weights, rule=rule(method), **trial), want.gradient)
