"""Traces of single synapses: their products with the learning signal sum up to the gradient of e-prop."""

import numpy as np
import pytest
from twin import draw, library

import snnlearn as sl


def case(**kwargs):
    net, weights, trial = library(draw(kind="alif", T=25, n_ref=2, **kwargs))
    return net, weights, (trial["inputs"], trial["targets"], trial.get("mask")), trial


@pytest.mark.parametrize("rule", [sl.EProp(), sl.EProp(reset_gradient=True), sl.EProp(feedback="random", seed=3)], ids=repr)
def test_sums_are_the_gradient(rule):
    net, weights, trial, arguments = case()
    want = sl.gradient(net, weights, rule=rule, **(arguments | {"regularizer": None}))
    for source, matrix in (("inputs", want.w_in), ("recurrent", want.w_rec)):
        pairs = [(i, j) for i in range(matrix.shape[0]) for j in range(net.n) if source == "inputs" or i != j]
        got = sl.synapse_traces(net, weights, trial, pairs, source, rule, arguments.get("loss"))
        values = np.array([matrix[pair] for pair in pairs])
        assert np.abs(values).max() > 1e-6
        np.testing.assert_allclose(got.gradient, values, rtol=1e-10, atol=1e-14)
        assert got.eps_a.any() and got.synapses == tuple(pairs)
        np.testing.assert_array_equal(got.gradient, (got.signal * got.ebar).sum(axis=0))
        assert not got.ebar.flags.writeable


def test_labels_and_events():
    rng = np.random.default_rng(0)
    net = sl.Network(3, sl.ALIF(5, threshold=0.4), sl.Readout(2, tau=5.0, normalize_input=True))
    weights = net.init_weights(1, gain=1.5)
    x = (rng.random((25, 3)) < 0.4).astype(float)
    events, mask = sl.Events(*np.nonzero(x), n_steps=25), np.linspace(0, 1, 25)
    want = sl.gradient(net, weights, x, 1, sl.EProp(), sl.CrossEntropy(), mask)
    got = sl.synapse_traces(net, weights, (events, 1, mask), [(0, 0), (2, 4)], loss=sl.CrossEntropy())
    np.testing.assert_allclose(got.gradient, [want.w_in[0, 0], want.w_in[2, 4]], rtol=1e-10)
    assert np.abs(got.gradient).max() > 1e-8


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"synapses": [(0, 99)]}, ValueError, r"synapse_traces\.synapses must be pairs \(pre, post\) with pre < .*got \[0, 99\]"),
        ({"synapses": []}, ValueError, r"synapse_traces\.synapses"),
        ({"synapses": [(0.5, 1)]}, ValueError, r"synapse_traces\.synapses"),
        ({"source": "outputs"}, ValueError, r"synapse_traces\.source must be one of 'inputs', 'recurrent'"),
        ({"rule": sl.BPTT()}, ValueError, r"synapse_traces\.rule must be an EProp of order 1"),
        ({"rule": sl.EProp(order=2)}, ValueError, r"synapse_traces\.rule"),
        ({"trial": [1, 2]}, TypeError, r"synapse_traces\.trial"),
        ({"loss": sl.CrossEntropy()}, ValueError, r"targets must have shape a single label or \(25,\) for CrossEntropy"),
    ],
)
def test_bad_input(change, error, match):
    net, weights, trial, _ = case()
    with pytest.raises(error, match=match):
        sl.synapse_traces(**({"net": net, "weights": weights, "trial": trial, "synapses": [(0, 0)]} | change))


def test_other_models_are_refused():
    net = sl.Network(2, sl.CubaLIF(2), 1)
    with pytest.raises(TypeError, match=r"synapse_traces\.net must have LIF and ALIF neurons \(got 'CubaLIF'\)"):
        sl.synapse_traces(net, net.init_weights(), (np.zeros((3, 2)), np.zeros((3, 1))), [(0, 0)])
