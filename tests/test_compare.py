"""Rules side by side."""

import numpy as np
import pytest
from twin import draw, library

import snnlearn as sl
from snnlearn.compare import VacuousComparisonWarning

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


def test_bad_input():
    net = sl.Network(3, sl.LIF(5), 2)
    with pytest.raises(ValueError, match=r"compare.rules must name at least one rule"):
        sl.compare(net, net.init_weights(), (np.zeros((20, 3)), np.ones((20, 2))), [])
    with pytest.raises(TypeError, match=r"compare.trial must be \(x, target\)"):
        sl.compare(net, net.init_weights(), np.zeros((20, 3)), [sl.EProp()])
