"""The gradient by inputs: identities with that by input weights, and which rules have it."""

import numpy as np
import pytest
from scipy import sparse
from test_eprop import CASES
from twin import draw, library

import snnlearn as sl

RULES = {
    "bptt": sl.BPTT(),
    "truncated": sl.TruncatedBPTT(7),
    "eprop": sl.EProp(),
    "eprop-random": sl.EProp(feedback="random"),
    "order-3": sl.EProp(order=3),
    "order-none": sl.EProp(order=None),
    "rflo": sl.RFLO(),
}


def both(case, rule, **options):
    """The network, its weights, the trial and the gradient by weights and inputs."""
    net, weights, trial = library(case, **options)
    return net, weights, trial, sl.gradient(net, weights, rule=rule, by_inputs=True, **trial)


def weighed(x, g):
    """sum_t x_i[t] dE/dx_i[t] of a batch or a trial, [n_inputs]."""
    x = np.asarray(x, float)
    return (x * g.inputs).reshape(-1, x.shape[-1]).sum(axis=0)


def earned(weights, g, channels=slice(None)):
    """sum_j w_in_ij dE/dw_in_ij, [n_inputs]."""
    w, g_in = (m.toarray() if sparse.issparse(m) else m for m in (weights.w_in, g.w_in))
    return (w * g_in).sum(axis=1)[channels]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["lif-analog", "alif-delay", "mixed-heterogeneous"])
def test_inputs_and_their_weights_agree(name, rule):
    """x_i w_ij is all that the network sees of both, so x_i dE/dx_i is w_ij dE/dw_ij, summed."""
    case = draw(**CASES[name], n_trials=3)
    _, weights, trial, g = both(case, RULES[rule])
    assert g.inputs.shape == np.shape(trial["inputs"]) and not g.inputs.flags.writeable
    want = earned(weights, g)
    assert np.abs(want).max() > 1e-3
    np.testing.assert_allclose(weighed(trial["inputs"], g), want, rtol=1e-9, atol=1e-12)
    without = sl.gradient(*library(case)[:2], rule=RULES[rule], **trial)
    assert without.inputs is None and all(np.array_equal(a, b) for a, b in zip(without[:6], g[:6], strict=True))


@pytest.mark.parametrize("first", [1, 13, 29])
def test_each_step_is_in_its_place(first):
    """Channels whose later steps come in by channels of their own: the gradient of those weights is that of the later steps."""
    case = draw(**CASES["lif-analog"])
    net, weights, trial, g = both(case, sl.BPTT())
    x, n = np.asarray(case.x, float), net.n_inputs
    later = (np.arange(len(x)) >= first)[:, None]
    twice = sl.Network(2 * n, net.neurons, net.readout, dt=net.dt, delay=net.delay, recurrent=net.recurrent)
    two = weights._replace(w_in=np.concatenate([weights.w_in, weights.w_in]))
    split = sl.gradient(twice, two, rule=sl.BPTT(), **trial | {"inputs": np.concatenate([x * ~later, x * later], axis=1)})
    want = earned(two, split, slice(n, None))
    assert np.abs(want).max() > 1e-3
    np.testing.assert_allclose((x * later * g.inputs).sum(axis=0), want, rtol=1e-9, atol=1e-12)


def test_sparse_weights_long_trials_and_threads_give_the_same(monkeypatch):
    case = draw(kind="alif", density=0.6, density_in=0.7, n_trials=5, analog=True)
    _, weights, trial, g = both(case, sl.BPTT())
    for options in ({"sparse_in": True}, {"sparse_in": True, "sparse_rec": True}):
        np.testing.assert_allclose(both(case, sl.BPTT(), **options)[3].inputs, g.inputs, rtol=1e-11, atol=1e-14)
    in_segments = both(case, sl.BPTT(max_bytes=2000))[3]
    assert np.array_equal(in_segments.inputs, g.inputs)
    net, weights, trial = library(case)
    alone = sl.gradient(net, weights, rule=sl.BPTT(), by_inputs=True, threads=1, **trial)
    assert np.array_equal(alone.inputs, g.inputs)
    monkeypatch.setattr(sl.engine.schedule.Scheduler, "block_steps", lambda self: 16)
    assert np.array_equal(both(case, sl.BPTT())[3].inputs, g.inputs)


def test_trials_of_a_padded_batch_end():
    case = draw(kind="lif", analog=True, n_trials=3)
    net, weights, trial = library(case)
    trial["mask"] = None
    steps = [len(case.x[0]), 11, 1]
    g = sl.gradient(net, weights, rule=sl.BPTT(), by_inputs=True, steps=steps, **trial)
    assert not g.inputs[1, 11:].any() and g.inputs[1, :10].any()
    own = {"inputs": case.x[1][:11], "targets": case.target[1][:11]}
    one = sl.gradient(net, weights, rule=sl.BPTT(), by_inputs=True, **trial | own)
    np.testing.assert_allclose(3 * g.inputs[1, :11], one.inputs, rtol=1e-11, atol=1e-15)


def test_neurons_that_threads_share():
    net = sl.Network(20, sl.LIF(2000, threshold=0.4), 2)
    weights, x = net.init_weights(seed=1, gain=2.0), np.random.default_rng(0).normal(size=(60, 20))
    options = {"rule": sl.EProp(), "by_inputs": True, "dtype": "float32"}
    one, two = (sl.gradient(net, weights, x, np.zeros((60, 2)), threads=threads, **options) for threads in (1, 2))
    assert one.inputs.any() and np.array_equal(one.inputs, two.inputs)


@pytest.mark.parametrize("rule", [sl.EProp(method="forward"), sl.RTRL(), sl.UORO(), sl.SnAp(2)], ids=lambda r: type(r).__name__)
def test_rules_that_carry_forward_are_refused(rule):
    net = sl.Network(3, sl.LIF(4), 2)
    with pytest.raises(ValueError, match=r"gradient\.rule must look back over the trial") as told:
        sl.gradient(net, net.init_weights(), np.ones((5, 3)), np.zeros((5, 2)), rule, by_inputs=True)
    assert type(rule).__name__ in str(told.value)
