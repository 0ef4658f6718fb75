"""What a run costs in operations, memory and writes, with the names of NeuroBench (Yik et al. 2025, Nat. Commun. 16:1545).

With z_j the spikes of neuron j, late_j those of the last D steps (D: the recurrent delay), x_i the entries of input channel i
that are not zero, and fan the number of synapses of a source whose weight is not zero, per trial:

    Effective_ACs   = sum_j (z_j - late_j) fan_rec_j + sum_j z_j fan_out_j + sum_i x_i fan_in_i           (1)
    Effective_MACs  = sum_i x_i fan_in_i, which then is no part of (1), where inputs are real numbers     (2)
    Dense           = T (n_in n + n n + n n_out): a machine that computes every synapse at every step     (3)
    activation_sparsity = 1 - sum_j z_j / (T n)                                                           (4)
    connection_sparsity = 1 - weights that are not zero / entries of w_in, w_rec and w_out                (5)
    membrane_updates    = T n                                                                             (6)
    footprint       = bytes of weights, of the indices of sparse ones, and of parameters and state of the neurons  (7)

What learning costs, for an update (no tool but this one counts it). With s the weights that learn, A the operations of the rule
a step (`sl.taxonomy`, leading term, at most), S the steps that were learnt and U the updates:

    operations    = S A / U + s a,   a: 1 for SGD, 2 with momentum, 8 for Adam                            (8)
    bytes         = itemsize (2 S A / U + s (2 + 2 moments + 1)): accumulators are read and written       (9)
    weight_writes = s                                                                                    (10)

A spike is an accumulate (AC) for each synapse that it arrives at; a real number is a multiply-accumulate (MAC).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from .. import _check
from ..engine.activity import Activity, InputCounts, Learnt
from ..events import Events
from ..network.network import Network
from ..network.weights import WEIGHT_NAMES, Weights
from ..optimizers.optimizers import Adam
from ..recording import Recording
from ..recording.readable import Readable
from ..rules.taxonomy import KINDS, size_of, taxonomy
from ..simulator.results import Run


def metrics(run: Any, net: Network | None = None, weights: Weights | None = None) -> dict[str, Any]:
    """Operations, sparsity and memory of a run, averaged over its trials; numbers, see the equations of this module.

    run : `Run`, or a recording with spikes and inputs, whose raw trials are counted
    net, weights : of a `Run`, those that it ran with; of a recording, None: its own, after its last snapshot

    Returns a dict with footprint (bytes), connection_sparsity, activation_sparsity, membrane_updates, synaptic_operations (a dict
    of Effective_ACs, Effective_MACs and Dense), rate (Hz), trials, steps (of a trial) and, of a `Run` that has learnt, learning
    (a dict of operations, bytes, weight_writes and updates; operations and bytes are nan for a rule from outside the package).

    Raises TypeError for something else than a run, ValueError for a network or weights that it cannot have had, or where a
    recording lacks what is counted.
    """
    if isinstance(run, Readable):
        net = run.network() if net is None and isinstance(run, Recording) else net
        weights = run.weights() if weights is None else weights
    elif isinstance(run, Run):
        if run.activity is None:
            raise _check.fail("metrics.run", "have run something", "a stream without a piece")
    else:
        raise _check.fail("metrics.run", "be what Simulator.run returns, or a recording", run, error=TypeError)
    for name, value, kind in (("net", net, Network), ("weights", weights, tuple)):
        if not isinstance(value, kind):
            got = value if value is not None else "none"
            raise _check.fail(f"metrics.{name}", "be given: that of the run", got, error=TypeError)
    assert net is not None
    activity = _recorded(run, net) if isinstance(run, Readable) else run.activity
    if activity.spikes.shape[1] != net.n or activity.inputs.counts.size != net.n_inputs:
        got = f"{net.n} neurons and {net.n_inputs} inputs"
        need = f"have the run's {activity.spikes.shape[1]} neurons and {activity.inputs.counts.size} inputs"
        raise _check.fail("metrics.net", need, got)
    weights = net.check_weights(weights)
    trials, steps, spikes = activity.trials, activity.steps, int(activity.spikes.sum())
    operations, stored = activity.operations(weights), sum(_not_zero(w) for w in weights[:3])
    found = {
        "footprint": footprint(net, weights, activity.itemsize),
        "connection_sparsity": 1.0 - stored / sum(int(np.prod(w.shape)) for w in weights[:3]),
        "activation_sparsity": 1.0 - spikes / (steps * net.n),
        "membrane_updates": steps * net.n / trials,
        "synaptic_operations": {
            "Effective_ACs": operations.acs / trials,
            "Effective_MACs": operations.macs / trials,
            "Dense": operations.dense / trials,
        },
        "rate": spikes / net.n / (steps * net.dt * 1e-3),
        "trials": trials,
        "steps": steps / trials,
    }
    if activity.learnt is not None and activity.learnt.updates:
        found["learning"] = learning(net, weights, activity.learnt, steps, trials, activity.itemsize)
    return found


def footprint(net: Network, weights: Weights, itemsize: int) -> int:
    """Bytes of the weights, of the indices of sparse ones (4 each), and of the neurons' parameters and state. Equation (7)."""
    total = itemsize * sum(map(_stored, weights))
    for w in weights:
        total += 4 * (_stored(w) + w.shape[0] + 1) if sparse.issparse(w) else 0
    arrays = net.arrays(weights, np.float32 if itemsize == 4 else np.float64)
    state = net.n * (len(net.variables) + 2) + net.n_outputs  # variables, spike, refractory steps; readout
    return int(total + sum(x.nbytes for x in _arrays(arrays.params)) + state * itemsize)


def learning(net: Network, weights: Weights, learnt: Learnt, steps: int, trials: int, itemsize: int) -> dict[str, Any]:
    """What an update costs. Equations (8) to (10)."""
    rule, optimizer = learnt.rule, learnt.optimizer
    count = sum(_stored(w) for name, w in zip(WEIGHT_NAMES, weights, strict=True) if name not in net.frozen)
    moments = 2 if isinstance(optimizer, Adam) else int(getattr(optimizer, "momentum", 0.0) != 0)
    work = np.nan
    for name, kind in KINDS.items():
        if type(rule) is kind.make:
            number = getattr(rule, kind.number) if kind.number else None
            text = name if number in (None, 1) and (kind.optional or not kind.number) else f"{name}:{number}"
            text = f"{name}:all" if kind.all and number is None else text
            direction = rule.direction(learnt.interval, learnt.streaming, False)
            member = taxonomy().find(text, "adjoint" if direction == "interval" else direction)
            size = member.at(size_of(net, weights, max(1, steps // trials), number or 1))
            work = steps * member.operations(size) / learnt.updates
    return {
        "operations": work + count * {0: 1, 1: 2, 2: 8}[moments],
        "bytes": itemsize * (2 * work + count * (3 + 2 * moments)),
        "weight_writes": count,
        "updates": learnt.updates,
    }


def _arrays(value: Any) -> list[np.ndarray]:
    """The arrays of nested tuples."""
    if isinstance(value, tuple):
        return [array for part in value for array in _arrays(part)]
    return [value] if isinstance(value, np.ndarray) else []


def _stored(w: Any) -> int:
    """Weights that there are."""
    return int(w.nnz if sparse.issparse(w) else w.size)


def _not_zero(w: Any) -> int:
    return int(np.count_nonzero(w.data if sparse.issparse(w) else w))


def _recorded(recording: Readable, net: Network) -> Activity:
    """What a recording's raw trials hold: spikes and inputs."""
    for name, held in (("spikes", recording.has_spikes), ("inputs", recording.has_inputs)):
        if not held:
            raise _check.fail(
                "metrics.run", "hold spikes and inputs, as Recorder(inputs=True) records them", f"a file without {name}"
            )
    trials, delay = recording.trials, net.delay_steps
    stream = recording.is_stream
    spikes, late = np.zeros((2, 1 if stream else len(trials), net.n), np.int64)
    steps, counts, analog = 0, np.zeros(net.n_inputs, np.int64), False
    for k, trial in enumerate(trials):
        found, row = recording.spikes(trial), 0 if stream else k
        segments = recording.segments
        mine = segments.trial == trial
        begin, stop = int(segments.begin[mine].min()), int(segments.stop[mine].max())
        spikes[row] += np.bincount(found.neuron, minlength=net.n)
        late[row] = np.bincount(found.neuron[found.step >= stop - delay], minlength=net.n)
        steps += stop - begin
        x = recording.inputs(trial)
        if isinstance(x, Events):
            counts += np.bincount(x.channel, minlength=net.n_inputs)
        else:
            counts += np.count_nonzero(x, axis=0)
            analog |= not np.isin(x, (-1, 0, 1)).all()
    itemsize = np.dtype(recording.config.get("dtype", "float32")).itemsize
    return Activity(steps, spikes, late, net.n_inputs, itemsize, counted=InputCounts(counts, analog))
