"""Rules side by side."""

import tracemalloc

import numpy as np
import pytest
from twin import draw, library

import snnlearn as sl
from snnlearn.analysis.compare import VacuousComparisonWarning

RULES = [sl.EProp(reset_gradient=True), sl.EProp(order=2), sl.RTRL(), sl.SnAp(1)]


def test_table():
    case = draw(kind="alif", T=30, n=5, n_in=3)
    net, weights, trial = library(case)
    table = sl.compare(
        net, weights, (trial["inputs"], trial["targets"], trial["mask"]), RULES, trial["loss"], trial["regularizer"]
    )
    assert table.matrices == ("w_in", "w_rec", "w_out", "b_out")
    assert table.rules == ("EProp(reset_gradient=True)", "EProp(order=2)", "RTRL()", "SnAp(n=1)")
    np.testing.assert_allclose(table.cosine[2], 1.0, rtol=1e-12)
    assert table.relative_error[2].max() < 1e-12
    exact = sl.gradient(net, weights, rule=sl.BPTT(), **trial).w_rec.ravel()
    g = sl.gradient(net, weights, rule=RULES[0], **trial).w_rec.ravel()
    assert table.cosine[0, 1] == pytest.approx(g @ exact / np.linalg.norm(g) / np.linalg.norm(exact))
    assert table.norm_ratio[0, 1] == pytest.approx(np.linalg.norm(g) / np.linalg.norm(exact))
    assert table.sign_agreement[0, 1] == pytest.approx(np.mean((g * exact)[exact != 0] > 0))
    assert (table.seconds > 0).all()
    assert (table.peak_bytes > 0).all()
    assert table.to_array().shape == (16,)
    assert "EProp(order=2)" in str(table)


def test_a_vacuous_comparison_is_reported():
    net = sl.Network(3, sl.LIF(5), 2)
    with pytest.warns(VacuousComparisonWarning, match=r"w_in.*is zero"):
        table = sl.compare(net, net.init_weights(), (np.zeros((20, 3)), np.ones((20, 2))), [sl.EProp()])
    assert np.isnan(table.cosine[0, 0])


def warned(net, weights, trial, *rules, **options):
    with pytest.warns(VacuousComparisonWarning) as found:
        table = sl.compare(net, weights, trial, rules or [sl.EProp(reset_gradient=True)], **options)
    return table, [str(w.message) for w in found]


def test_a_silent_network_is_reported_even_where_gradients_are_not_zero():
    """Close below threshold the pseudo-derivative is positive, so that w_in has a gradient without a spike."""
    net = sl.Network(3, sl.LIF(5), 2)
    weights = net.init_weights()._replace(w_in=np.full((3, 5), 0.1))
    table, (message,) = warned(net, weights, (np.ones((20, 3)) * (np.arange(20) < 2)[:, None], np.ones((20, 2))))
    assert message == "compare: the reference gradient of w_rec, w_out is zero: no neuron spikes where there is an error"
    assert np.isfinite(table.cosine[0, 0]) and np.isnan(table.cosine[0, 1:]).all()


def test_a_zero_loss_is_reported():
    case = draw(kind="lif", T=30, n=5, n_in=3)
    net, weights, trial = library(case)
    _, (message,) = warned(net, weights, (trial["inputs"], trial["targets"], np.zeros(30)), loss=trial["loss"])
    assert message.endswith("is zero: the loss is zero (is the mask?)")


def test_one_neuron():
    net = sl.Network(3, sl.LIF(1, threshold=0.3), 2)
    weights = net.init_weights()._replace(w_in=np.full((3, 1), 0.05))
    table, (message,) = warned(net, weights, (np.ones((40, 3)), np.ones((40, 2))))
    assert message.startswith("compare: the network has no recurrent synapses (one neuron without a self-connection)")
    assert table.matrices == ("w_in", "w_out")
    np.testing.assert_allclose(table.cosine, 1.0, rtol=1e-12)


def test_zero_recurrent_weights_are_reported():
    case = draw(kind="lif", T=30, n=5, n_in=3)
    net, weights, trial = library(case)
    weights = weights._replace(w_rec=np.zeros_like(weights.w_rec))
    table, (message,) = warned(net, weights, (trial["inputs"], trial["targets"]), loss=trial["loss"])
    assert message.startswith("compare: w_rec is zero: no crossing")
    np.testing.assert_allclose(table.cosine, 1.0, rtol=1e-12)


def test_rules_beyond_their_memory_are_noted():
    case = draw(kind="alif", T=30, n=5, n_in=3)
    net, weights, trial = library(case)
    rules = [sl.RTRL(max_bytes=100), sl.RTRL()]
    table = sl.compare(net, weights, (trial["inputs"], trial["targets"]), rules, trial["loss"])
    assert table.notes[0].startswith("RTRL needs") and table.notes[1] == ""
    assert np.isnan(table.cosine[0]).all() and np.isnan([table.seconds[0], table.peak_bytes[0]]).all()
    np.testing.assert_allclose(table.cosine[1], 1.0, rtol=1e-12)
    assert "RTRL(max_bytes=100)  RTRL needs" in str(table)
    assert table.to_array()["seconds"].shape == (8,)


def test_memory_is_that_of_one_gradient():
    """It holds the influence of RTRL, doubles with the tape, and does not depend on a trace that is running."""
    case = draw(kind="alif", T=30, n=12, n_in=3)
    net, weights, _ = library(case)

    def peak(T, rule):
        trial = (sl.Events(np.arange(0), np.arange(0), T), np.ones((T, net.n_outputs)))
        return warned(net, weights, trial, rule)[0].peak_bytes[0]

    exact = sl.BPTT()
    assert peak(20_000, exact) / peak(10_000, exact) == pytest.approx(2.0, rel=0.05)
    small = peak(30, sl.EProp(reset_gradient=True))
    assert peak(30, sl.RTRL()) - small > 8 * 2 * 12 * 180  # D n s floats for n=12, s=180, less e-prop's
    tracemalloc.start()
    ballast = np.zeros(1_000_000)
    del ballast
    try:
        assert peak(30, sl.EProp(reset_gradient=True)) == pytest.approx(small, rel=0.2)
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


def test_another_reference():
    case = draw(kind="alif", T=30, n=5, n_in=3)
    net, weights, trial = library(case)
    first = sl.EProp(reset_gradient=True)
    table = sl.compare(net, weights, (trial["inputs"], trial["targets"]), [first], trial["loss"], reference=first)
    assert table.reference == "EProp(reset_gradient=True)"
    assert str(table).startswith("against EProp(reset_gradient=True)")
    assert table.relative_error.max() == 0


def test_bad_input():
    net = sl.Network(3, sl.LIF(5), 2)
    with pytest.raises(ValueError, match=r"compare.rules must name at least one rule"):
        sl.compare(net, net.init_weights(), (np.zeros((20, 3)), np.ones((20, 2))), [])
    with pytest.raises(TypeError, match=r"compare.trial must be \(x, target\)"):
        sl.compare(net, net.init_weights(), np.zeros((20, 3)), [sl.EProp()])
