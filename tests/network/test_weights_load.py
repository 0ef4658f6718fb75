"""Weights of a recording in a new network."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from recording_twin import Weights as Twin
from recording_twin import start

import snnlearn as sl


def network(n=6, **changes):
    return sl.Network(**({"n_inputs": 3, "neurons": sl.LIF(n), "readout": 2} | changes))


def write(path, net):
    weights = [net.init_weights(1, gain) for gain in (1.0, 2.0)]
    recorder = sl.Recorder(path, weights_every=1)
    with start(recorder, weights=Twin(*weights[0]), n_neurons=net.n, n_outputs=net.n_outputs, variables=("v",)):
        for update, w in enumerate(weights):
            recorder.snapshot(10 * update, w)
    return weights


def equal(a, b):
    for x, y in zip(a, b, strict=True):
        assert_array_equal(*(w.toarray() if hasattr(w, "toarray") else w for w in (x, y)))


@pytest.mark.parametrize("recurrent", [sl.Dense(), sl.Sparse(indegree=2)])
def test_weights_go_into_a_new_simulator(path, recurrent):
    net = network(recurrent=recurrent)
    written = write(path, net)
    assert np.abs(written[0].w_in - written[1].w_in).max() > 0.1
    for update, expected in ((None, written[1]), (10, written[1]), (0, written[0])):
        loaded = sl.Weights.load(path, update=update)
        assert isinstance(loaded, sl.Weights)
        equal(loaded, expected)
    checked = sl.Weights.load(path, net=net)
    simulator = sl.Simulator(net, weights=checked, dtype="float64")
    equal(simulator.weights, written[1])
    simulator.set_weights(sl.Weights.load(path, 0))
    equal(simulator.weights, written[0])
    with sl.open_recording(path) as rec:
        equal(sl.Weights.load(rec, 0), written[0])


def test_shapes_that_do_not_fit_are_both_named(path):
    write(path, network())
    with pytest.raises(
        ValueError,
        match=r"Weights.load.w_in must have shape \(3, 8\) for this network \(got \(3, 6\)\); .*run.h5 is of a network with",
    ):
        sl.Weights.load(path, net=network(8))
    with pytest.raises(ValueError, match=r"weights.w_in must have shape \(3, 8\) \(got \(3, 6\)\)"):
        sl.Simulator(network(8), weights=sl.Weights.load(path))
    with pytest.raises(IndexError, match=r"must be one of 0, 10 \(got 5\)"):
        sl.Weights.load(path, update=5)


def test_a_recording_without_weights(path):
    with start(sl.Recorder(path)):
        pass
    with pytest.raises(KeyError, match="has no weights"):
        sl.Weights.load(path)
