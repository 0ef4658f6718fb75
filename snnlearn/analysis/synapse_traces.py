"""e-prop's traces of single synapses, step by step, to look at: what a synapse remembers, and what it is told.

    eps_v[t] = alpha eps_v[t-1] + zeta pre[t]  ( - thr e[t-1] with reset_gradient )                     (1)
    eps_a[t] = rho eps_a[t-1] + e[t-1]                                                                  (2)
    e[t]     = psi[t] ( eps_v[t] - beta eps_a[t] )                                                      (3)
    ebar[t]  = kappa ebar[t-1] + scale e[t]                                                             (4)
    L[t]     = sum_k B_k err_k[t]                                                                       (5)

Equations (1) to (5) of `rules/traces.py` (Bellec et al. 2020); `eligibility` computes (1) to (4). sum_t L ebar is the gradient of
`EProp`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _check
from ..engine.functional import check_network, simulate
from ..events import dense, is_batch, split_trial, take
from ..losses import ENTROPY, Loss, MeanSquaredError, encode_targets
from ..network.network import Network, Weights
from ..rules import EProp
from ..rules.eligibility import TraceChain


class Eligibility(NamedTuple):
    """Traces of some synapses over a trial; arrays [T, synapses], float64, read-only."""

    synapses: tuple[tuple[int, int], ...]  # (pre, post) of each column
    source: str  # "inputs" or "recurrent": what pre counts
    dt: float  # ms
    pre: np.ndarray  # what arrives
    spikes: np.ndarray  # of the postsynaptic neuron
    v: np.ndarray  # its membrane potential, before the reset
    threshold: np.ndarray  # its adapted threshold A
    psi: np.ndarray  # its pseudo-derivative
    eps_v: np.ndarray  # (1)
    eps_a: np.ndarray  # (2); zero for LIF
    e: np.ndarray  # (3)
    ebar: np.ndarray  # (4)
    signal: np.ndarray  # (5) of the postsynaptic neuron
    gradient: np.ndarray  # [synapses] sum of L ebar over the trial

    def __repr__(self) -> str:
        return _check.brief(self)


def synapse_traces(
    net: Network,
    weights: Weights,
    trial: Any,
    synapses: Sequence[tuple[int, int]],
    source: str = "inputs",
    rule: EProp | None = None,
    loss: Loss | None = None,
) -> Eligibility:
    """The eligibility traces and learning signals of a few synapses on one trial, without regulariser.

    net, weights : a network of LIF and ALIF neurons; neither is modified
    trial : (x, target) or (x, target, mask), as a task yields; x [T, n_inputs] or `Events`
    synapses : pairs (pre, post); also of synapses that do not exist
    source : "inputs" or "recurrent", what `pre` counts
    rule : an EProp of order 1, for its feedback and its treatment of the reset; None: EProp()
    loss : MeanSquaredError (default) or CrossEntropy

    Raises ValueError or TypeError that names the parameter.

    >>> import numpy as np
    >>> import snnlearn as sl
    >>> net = sl.Network(3, sl.ALIF(4), 2)
    >>> traces = sl.synapse_traces(net, net.init_weights(), (np.ones((10, 3)), np.zeros((10, 2))), [(0, 1), (2, 3)])
    >>> traces.ebar.shape, traces.gradient.shape
    ((10, 2), (2,))
    """
    check_network(net)
    rule = EProp() if rule is None else rule
    if not getattr(rule, "eligible", False) or rule.adaptive:
        raise _check.fail("synapse_traces.rule", "be an EProp of order 1 with symmetric, random or given feedback", rule)
    x, target, mask = split_trial("synapse_traces.trial", trial)
    _check.choice("synapse_traces.source", source, ("inputs", "recurrent"))
    pairs = _pairs(synapses, net.n_inputs if source == "inputs" else net.n, net.n)
    weights = net.check_weights(weights)
    if not all(group.scalar_traces for group in net.neurons):
        names = " and ".join(dict.fromkeys(type(group).__name__ for group in net.neurons))
        raise _check.fail("synapse_traces.net", "have LIF and ALIF neurons", names, error=TypeError)
    x = take(x, net.n_inputs, "synapse_traces.trial, x")
    if is_batch(x):
        raise _check.fail("synapse_traces.trial, x", "be one trial", "a batch")
    run = simulate(net, weights, x, record=("spikes", "v", "psi", "threshold", "readout"), dtype="float64")
    assert run.spikes is not None and run.v is not None and run.psi is not None
    assert run.threshold is not None and run.readout is not None
    n_steps = run.spikes.shape[0]
    i, j = pairs.T
    arrivals = dense(x, net.n_inputs)
    if source == "recurrent":
        arrivals = np.concatenate([np.zeros((net.delay_steps, net.n)), run.spikes])[:n_steps]
    pre, psi = arrivals[:, i], run.psi[:, j]
    chain = TraceChain(net, j, rule.attached)
    eps, e, ebar = chain.run(pre, psi, np.zeros((n_steps, 0, j.size)), chain.rest())  # (1) to (4)
    eps_v, eps_a = eps[:, 0], eps[:, 1] if eps.shape[1] > 1 else np.zeros_like(e)
    feedback = rule.feedback_matrix(net)
    feedback = weights.w_out if feedback is None else feedback
    signal = _error(run.readout, target, mask, loss) @ feedback[j].T  # (5)
    columns = (pre, run.spikes[:, j], run.v[:, j], run.threshold[:, j], psi, eps_v, eps_a, e, ebar, signal)
    gradient = (signal * ebar).sum(axis=0)
    for array in (*columns, gradient):
        array.flags.writeable = False
    found = tuple((int(a), int(b)) for a, b in pairs)
    return Eligibility(found, source, net.dt, *columns, gradient)


def _pairs(synapses: Any, n_pre: int, n_post: int) -> np.ndarray:
    """int [synapses, 2], checked."""
    where, need = "synapse_traces.synapses", f"be pairs (pre, post) with pre < {n_pre} and post < {n_post}"
    pairs = _check.numbers(where, synapses, need)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not pairs.shape[0] or pairs.dtype.kind not in "iu":
        raise _check.fail(where, need, synapses)
    outside = ((pairs < 0) | (pairs >= [n_pre, n_post])).any(axis=1)
    if outside.any():
        raise _check.fail(where, need, pairs[outside][0].tolist())
    return pairs


def _error(readout: np.ndarray, target: Any, mask: Any, loss: Loss | None) -> np.ndarray:
    """err [T, n_out]."""
    n_steps, n_out = readout.shape
    if target is None:
        raise _check.fail("synapse_traces.trial, target", "be given", None, error=TypeError)
    given = encode_targets(loss or MeanSquaredError(), target, mask, np.array([n_steps]), n_steps, n_out, readout.dtype, False)
    weight = given.weight[0] if given.weight.size else given.mask[0][:, None]
    if given.kind == ENTROPY:
        y = readout if not given.mean.size else (weight * readout).sum(axis=0, keepdims=True) / np.maximum(weight.sum(), 1e-300)
        p = np.exp(y - y.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return weight * (p - (np.arange(n_out) == given.label[0][:, None]))
    return weight * np.where(weight != 0, readout - given.value[0], 0.0)
