"""The naive twins of order m, SnAp, truncated BPTT and RFLO: numbers worked by hand, and one way against another."""

import naive
import naive_rules
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from test_naive import CASES, assert_same, distance, one_neuron  # noqa: F401  (a fixture)

RESETS = pytest.mark.parametrize("reset_gradient", [False, True], ids=["detached", "attached"])


@pytest.fixture(params=["alif", "delayed", "heterogeneous"])
def case(request):
    return naive.random_case(np.random.default_rng(5), T=30, n=5, **{**CASES[request.param], "surrogate": "piecewise_linear"})


# ------------------------------------------------------------------------------------------------- numbers by hand
@pytest.mark.parametrize("method", ["influence", "adjoint"])
def test_orders_by_hand(one_neuron, method):  # noqa: F811
    """Pz of grade 0: 0.4, 0.008, 0.20008; grade 1: 0, 0.224, 0.00448; grade 2: 0, 0, 0.06272; err = 0.1, 0.15, 0.675."""
    net, w, trial = one_neuron

    def w_in(order):
        return naive_rules.order_m(net, w, **trial, order=order, method=method).gradient["w_in"]

    assert_allclose(w_in(2), [[0.777356]])  # Py = 0.8, 0.864, 0.84112
    assert_allclose(w_in(3), [[0.862028]])  # 2 0.675 0.06272 more: all paths of three steps
    assert_allclose(w_in(9), [[0.862028]])


@pytest.mark.parametrize("method", ["influence", "adjoint"])
def test_truncation_by_hand(one_neuron, method):  # noqa: F811
    """In windows of one step only psi_j[t] pre_c[t] is left, and z_j[t] for the readout."""
    net, w, trial = one_neuron
    got = naive_rules.truncated(net, w, **trial, window=1, method=method).gradient
    assert_allclose(got["w_in"], [[0.35]])  # 2 (0.1 0.4 1 + 0.675 0.2 1)
    assert_allclose(got["w_rec"], [[0.12]])  # 2 0.15 0.4 1
    assert_allclose(got["w_out"], [[0.775]])
    assert_allclose(got["b_out"], [0.925])


def test_rflo_and_snap_by_hand(one_neuron):  # noqa: F811
    net, w, trial = one_neuron
    assert_allclose(naive_rules.rflo(net, w, **trial).gradient["w_in"], [[0.8075]])  # ebar = 0.4, 0.4, 0.45
    assert_allclose(naive_rules.snap(net, w, **trial, n=1).gradient["w_in"], [[0.862028]])  # its own neuron is all there is


def test_reached_by_hand():
    chain = np.eye(4, k=1, dtype=bool)  # 0 -> 1 -> 2 -> 3
    assert_array_equal(naive_rules.reached(chain, 0), np.eye(4))
    assert_array_equal(naive_rules.reached(chain, 1), np.eye(4) + np.eye(4, k=-1))  # [l, j]: from j to l
    assert_array_equal(naive_rules.reached(chain, 9), np.tril(np.ones((4, 4))))


# --------------------------------------------------------------------------------------------- one way against another
@RESETS
@pytest.mark.parametrize("order", [1, 2, 4])
def test_graded_influence_equals_graded_adjoints(case, order, reset_gradient):
    options = dict(order=order, reset_gradient=reset_gradient, feedback=case.feedback)
    forward = naive_rules.order_m(case.net, case.w, **case.trial, **options)
    naive.assert_live(forward.gradient, forward.forward.z)
    assert_same(naive_rules.order_m(case.net, case.w, **case.trial, **options, method="adjoint").gradient, forward.gradient)
    next_one = naive_rules.order_m(case.net, case.w, **case.trial, **options | {"order": order + 1})
    assert distance(next_one.gradient, forward.gradient) > 1e-6


@RESETS
def test_first_and_last_order(case, reset_gradient):
    first, last = (
        naive_rules.order_m(case.net, case.w, **case.trial, order=m, reset_gradient=reset_gradient).gradient for m in (1, 30)
    )
    assert_same(first, naive.eprop(case.net, case.w, **case.trial, reset_gradient=reset_gradient).gradient)
    assert_same(last, naive.bptt(case.net, case.w, **case.trial, reset_gradient=reset_gradient).gradient)


@RESETS
def test_saturated_snap_is_bptt(case, reset_gradient):
    want = naive.bptt(case.net, case.w, **case.trial, reset_gradient=reset_gradient).gradient
    for n in (None, case.net.n):
        assert_same(naive_rules.snap(case.net, case.w, **case.trial, n=n, reset_gradient=reset_gradient).gradient, want)


def test_snap_1_is_eprop_and_the_self_connection(case):
    snap = naive_rules.snap(case.net, case.w, **case.trial, n=1).gradient
    eprop = naive.eprop(case.net, case.w, **case.trial, reset_gradient=True).gradient
    if case.net.conn_rec.diagonal().any():
        assert distance(snap, eprop) > 1e-6
    own = case.w | {"w_rec": case.w["w_rec"] * ~np.eye(case.net.n, dtype=bool)}
    without = naive.Net(**vars(case.net) | {"conn_rec": case.net.conn_rec & ~np.eye(case.net.n, dtype=bool)})
    assert_same(
        naive_rules.snap(without, own, **case.trial, n=1).gradient,
        naive.eprop(without, own, **case.trial, reset_gradient=True).gradient,
    )


@RESETS
@pytest.mark.parametrize("window", [1, 4, 30])
def test_forgetting_equals_stopped_adjoints(case, window, reset_gradient):
    options = dict(window=window, reset_gradient=reset_gradient)
    forward = naive_rules.truncated(case.net, case.w, **case.trial, **options).gradient
    assert_same(naive_rules.truncated(case.net, case.w, **case.trial, **options, method="adjoint").gradient, forward)
    exact = naive.bptt(case.net, case.w, **case.trial, reset_gradient=reset_gradient).gradient
    if window == 30:
        assert_same(forward, exact)
    else:
        assert distance(forward, exact) > 1e-3


def test_rflo_is_eprop_for_lif_alone(case):
    lif = naive.Net(**vars(case.net) | {"beta": 0.0})
    assert_same(naive_rules.rflo(lif, case.w, **case.trial).gradient, naive.eprop(lif, case.w, **case.trial).gradient)
    if case.net.beta.any():
        assert (
            distance(
                naive_rules.rflo(case.net, case.w, **case.trial).gradient, naive.eprop(case.net, case.w, **case.trial).gradient
            )
            > 1e-6
        )
