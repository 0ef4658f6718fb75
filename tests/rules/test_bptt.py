"""Back-propagation through time against the naive twin."""

import naive
import numpy as np
import pytest
from test_eprop import CASES, RESETS
from twin import assert_same, distance, draw, library

import snnlearn as sl


@RESETS
@pytest.mark.parametrize("name", CASES)
def test_equals_the_twin(name, attached):
    case = draw(**CASES[name])
    net, weights, trial = library(case)
    want = naive.bptt(case.net, case.w, **case.trial, reset_gradient=attached)
    naive.assert_live(want.gradient, want.forward.z)
    got = sl.gradient(net, weights, rule=sl.BPTT(reset_gradient=attached), **trial)
    assert_same(got, want.gradient)
    assert got.loss == pytest.approx(want.loss, rel=1e-12)
    assert got.regularization == pytest.approx(want.regularization, rel=1e-12)


@pytest.mark.parametrize("name", ["alif", "alif-masked", "mixed-heterogeneous"])
def test_sparse_equals_the_twin(name):
    case = draw(**CASES[name])
    net, weights, trial = library(case, sparse_rec=True, sparse_in=True)
    want = naive.bptt(case.net, case.w, **case.trial)
    assert_same(sl.gradient(net, weights, rule=sl.BPTT(), **trial), want.gradient)


def test_the_reset_is_differentiated_unless_told_otherwise():
    case = draw()
    net, weights, trial = library(case)
    default, detached = (sl.gradient(net, weights, rule=r, **trial) for r in (sl.BPTT(), sl.BPTT(reset_gradient=False)))
    assert_same(default, naive.bptt(case.net, case.w, **case.trial, method="influence").gradient, rtol=1e-11)
    assert distance(detached, default) > 0.01


def test_feedback_replaces_w_out_and_no_hop():
    case = draw(kind="alif")
    net, weights, trial = library(case)
    want = naive.bptt(case.net, case.w, **case.trial, feedback=case.feedback)
    assert_same(sl.gradient(net, weights, rule=sl.BPTT(feedback=case.feedback), **trial), want.gradient)


def test_batch_is_the_mean_over_trials():
    case = draw(n_trials=9, T=20, delay=2, loss="ce")
    net, weights, trial = library(case)
    results = [naive.bptt(case.net, case.w, **case.one(b).trial) for b in range(9)]
    got = sl.gradient(net, weights, rule=sl.BPTT(), **trial)
    assert_same(got, naive.average([r.gradient for r in results]))
    assert got.loss == pytest.approx(np.mean([r.loss for r in results]), rel=1e-12)


@pytest.mark.parametrize("steps", [7, 16])
def test_a_long_trial_spans_several_calls(steps, monkeypatch):
    case = draw(kind="alif", delay=3)
    net, weights, trial = library(case)
    want = sl.gradient(net, weights, rule=sl.BPTT(), **trial)
    monkeypatch.setattr(sl.engine.schedule.Scheduler, "block_steps", lambda self: steps)
    assert_same(sl.gradient(net, weights, rule=sl.BPTT(), **trial), want, rtol=0)
