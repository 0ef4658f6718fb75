"""The forward engine: influence of every weight on every neuron that it reaches, carried along with the network.

For a synapse i -> j and a neuron l (one `pair` (l, j) holds all synapses of j), with g counting the crossings
of recurrent synapses since the synapse acted:

    PI^g_l  = sum_q w_rec[q, l] Pz^(g-1)_q[t-delay] + [g = 0][l = j] pre_i[t]                           (1)
    P^g, Pz^g = tangent(PI^g, P^g[t-1], Pz^g[t-1]; neuron l)                        neurons/*.py        (2)
    Py_k    = kappa Py_k[t-1] + scale sum_l B_lk sum_g Pz^g_l                                           (3)
    dE/dW_ij += sum_k err_k Py_k + sum_l reg_l sum_g Pz^g_l                                             (4)

RTRL keeps every pair that a path connects and does not grade (g-1 is g in (1)); SnAp-n keeps the pairs within
n - 1 crossings and does not grade; e-prop of order m grades, 0 .. m-1. Causal; the memory is that of the kept
pairs times the in-degree, which `make_influence` checks before it allocates.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from .._jit import device
from ..connectivity import DenseProjection
from ..network import FlatWeights, NetArrays
from ..neurons.base import tangent
from .base import digest, readout_step

MAX_BYTES = 2**30


class InfluenceArrays(NamedTuple):
    """Influence of weights on neurons, as kernels see it. S: synapses, by postsynaptic neuron; M: pairs."""

    params: Any
    through: bool  # crossings stay in the one grade
    reset: np.ndarray  # [n] thr where the reset is differentiated, else 0
    pair_l: np.ndarray  # int32 [M]
    pair_j: np.ndarray  # int32 [M]
    start: np.ndarray  # int64 [M + 1] where a pair's entries start
    cross_ptr: np.ndarray  # int64 [M + 1]
    cross_pair: np.ndarray  # int32, pair (q, j) that crosses to pair (l, j) ...
    cross_weight: np.ndarray  # int64, ... over this entry of w_rec
    source_ptr: np.ndarray  # int64 [n + 1] synapses of each postsynaptic neuron
    source: np.ndarray  # int32 [S] their source: an input, or n_in + neuron
    position: np.ndarray  # int64 [S] their place in w_in or w_rec
    n_in: int
    learn_in: bool
    learn_rec: bool
    clock: np.ndarray  # int64 [trials] steps so far
    hidden: np.ndarray  # [trials, grades, D, entries] P
    z: np.ndarray  # [trials, delay + 1, grades, entries] Pz, a ring over steps
    y: np.ndarray  # [trials, n_out, S] Py
    sum_z: np.ndarray  # [trials, S] scratch
    pre: np.ndarray  # [trials, n_in + n] scratch
    current: np.ndarray  # [trials, largest in-degree] scratch
    gradient: np.ndarray  # [trials, S] scratch
    readout_trace: np.ndarray  # [trials, n]
    bias_trace: np.ndarray  # [trials]


def make_influence(
    net: NetArrays,
    weights: FlatWeights,
    trials: int,
    learns: np.ndarray,
    *,
    name: str,
    attached: bool,
    hops: int | None,
    grades: int = 1,
    through: bool = True,
    max_bytes: int = MAX_BYTES,
) -> InfluenceArrays:
    """Influence at zero, for pairs within so many crossings (None: any number).

    Raises MemoryError with the bytes needed and the alternatives, before anything large is allocated.
    """
    n, dtype = net.params.alpha.size, weights.w_in.dtype
    in_pre, in_post, in_pos = _synapses(net.proj_in, net.absent_in, n)
    rec_pre, rec_post, rec_pos = _synapses(net.proj_rec, net.absent_rec, n)
    n_in = net.proj_in.n_pre if isinstance(net.proj_in, DenseProjection) else net.proj_in.indptr.size - 1
    post = np.concatenate([in_post, rec_post])
    source = np.concatenate([in_pre, rec_pre + n_in])
    order = np.lexsort((source, post))
    degree = np.bincount(post, minlength=n)
    reach = _reach(rec_pre, rec_post, n, hops)  # [j, l]
    pair_j, pair_l = np.repeat(np.arange(n), np.diff(reach.indptr)), reach.indices
    start = np.concatenate([[0], np.cumsum(degree[pair_j])])
    fan_out = np.bincount(rec_pre, minlength=n)
    per_entry = grades * (net.n_hidden + net.delay + 1) * dtype.itemsize
    needed = trials * (int(start[-1]) * per_entry + (net.n_out + 2) * post.size * dtype.itemsize) + 36 * int(
        fan_out[pair_l].sum()
    )
    if needed > max_bytes:
        sizes = f"n_rec={n}, n_in={n_in}, D={net.n_hidden}, trials={trials}"
        advice = "use SnAp(1), or EProp, or a larger max_bytes"
        raise MemoryError(
            f"{name} needs {needed / 1e9:.1f} GB for its influence of weights ({sizes}), limit {max_bytes / 1e9:.1f} GB; {advice}"
        )
    cross_ptr, cross_pair, cross_weight = _crossings(pair_j, pair_l, rec_pre, rec_post, rec_pos, n)
    synapses, entries = post.size, int(start[-1])
    return InfluenceArrays(
        params=net.params,
        through=through,
        reset=net.params.thr.copy() if attached else np.zeros(n, dtype),
        pair_l=pair_l.astype(np.int32),
        pair_j=pair_j.astype(np.int32),
        start=start.astype(np.int64),
        cross_ptr=cross_ptr,
        cross_pair=cross_pair,
        cross_weight=cross_weight,
        source_ptr=np.concatenate([[0], np.cumsum(degree)]).astype(np.int64),
        source=source[order].astype(np.int32),
        position=np.concatenate([in_pos, rec_pos])[order].astype(np.int64),
        n_in=int(n_in),
        learn_in=bool(learns[0]),
        learn_rec=bool(learns[1]),
        clock=np.zeros(trials, np.int64),
        hidden=np.zeros((trials, grades, net.n_hidden, entries), dtype),
        z=np.zeros((trials, net.delay + 1, grades, entries), dtype),
        y=np.zeros((trials, net.n_out, synapses), dtype),
        sum_z=np.zeros((trials, synapses), dtype),
        pre=np.zeros((trials, n_in + n), dtype),
        current=np.zeros((trials, int(degree.max(initial=1))), dtype),
        gradient=np.zeros((trials, synapses), dtype),
        readout_trace=np.zeros((trials, n), dtype),
        bias_trace=np.zeros(trials, dtype),
    )


def _synapses(proj: Any, absent: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source, target and flat position of the synapses that exist."""
    if isinstance(proj, DenseProjection):
        exists = np.ones(proj.n_pre * n, bool)
        exists[absent] = False
        position = np.flatnonzero(exists)
        return position // n, position % n, position
    position = np.arange(proj.indices.size)
    return np.repeat(np.arange(proj.indptr.size - 1), np.diff(proj.indptr)), proj.indices.astype(np.int64), position


def _reach(pre: np.ndarray, post: np.ndarray, n: int, hops: int | None) -> sparse.csr_array:
    """Bool [j, l]: l is reached from j over at most so many synapses; sorted indices."""
    step = sparse.csr_array((np.ones(pre.size, np.int8), (pre, post)), shape=(n, n))
    step = ((step + sparse.eye_array(n, dtype=np.int8, format="csr")) != 0).astype(np.int8)
    reach = sparse.eye_array(n, dtype=np.int8, format="csr")
    for _ in range(n if hops is None else hops):
        wider = ((reach.astype(np.int32) @ step.astype(np.int32)) != 0).astype(np.int8)
        if wider.nnz == reach.nnz:
            break
        reach = wider
    reach = sparse.csr_array(reach)
    reach.sort_indices()
    return reach


def _crossings(
    pair_j: np.ndarray, pair_l: np.ndarray, pre: np.ndarray, post: np.ndarray, position: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each pair (l, j): the pairs (q, j) with a synapse q -> l, and that synapse, in the order of q."""
    out_ptr = np.concatenate([[0], np.cumsum(np.bincount(pre, minlength=n))])  # synapses are sorted by source
    count = np.diff(out_ptr)[pair_l]
    origin = np.repeat(np.arange(pair_l.size), count)
    within = np.arange(origin.size) - np.repeat(np.cumsum(count) - count, count)
    synapse = out_ptr[pair_l[origin]] + within
    keys = pair_j.astype(np.int64) * n + pair_l
    wanted = pair_j[origin].astype(np.int64) * n + post[synapse]
    found = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    kept = keys[found] == wanted
    origin, synapse, found = origin[kept], synapse[kept], found[kept]
    order = np.argsort(found, kind="stable")
    ptr = np.concatenate([[0], np.cumsum(np.bincount(found, minlength=pair_l.size))]).astype(np.int64)
    return ptr, origin[order].astype(np.int32), position[synapse[order]].astype(np.int64)


@digest.register(InfluenceArrays)
def _(rule, net, weights, grad, tape, inputs, targets, b, slot, span, start, stop):
    w_feedback = weights.feedback if weights.feedback.shape[0] > 0 else weights.w_out
    g_in, g_rec = grad.w_in[span.group], grad.w_rec[span.group]
    y, sum_z, gradient, n_out = rule.y[b], rule.sum_z[b], rule.gradient[b], net.n_out
    for t in range(start, stop):
        row = t - span.origin
        psi, err = tape.psi[slot, row % tape.psi.shape[1]], tape.error[slot, row]
        reg = tape.rate_signal[slot, row % tape.rate_signal.shape[1]]
        _sources(rule, net, tape, inputs, b, slot, row, t)
        now = _propagate(rule, net, weights, b, psi)
        for k in range(n_out):
            for s in range(sum_z.shape[0]):
                sum_z[s] = 0
            _collect(rule, b, now, w_feedback, n_out, k, sum_z)
            for s in range(sum_z.shape[0]):
                y[k, s] = net.kappa * y[k, s] + net.scale * sum_z[s]  # (3)
                gradient[s] += err[k] * y[k, s]  # (4)
        _collect(rule, b, now, reg, 1, 0, gradient)  # (4)
        readout_step(rule.readout_trace[b], rule.bias_trace, net, tape, grad, b, slot, span, row, err)
    for s in range(gradient.shape[0]):
        if rule.source[s] < rule.n_in:
            if rule.learn_in:
                g_in[rule.position[s]] += gradient[s]
        elif rule.learn_rec:
            g_rec[rule.position[s]] += gradient[s]
        gradient[s] = 0


@device
def _sources(rule, net, tape, inputs, b, slot, row, t):
    """What arrives at step t: inputs, then the spikes of t - delay."""
    pre = rule.pre[b]
    for i in range(pre.shape[0]):
        pre[i] = 0
    for event in range(inputs.indptr[b, t], inputs.indptr[b, t + 1]):
        pre[inputs.channel[event]] += inputs.value[event]
    for event in range(tape.spike_ptr[slot, row], tape.spike_ptr[slot, row + 1]):
        pre[rule.n_in + tape.spike_index[slot, event]] += 1


@device
def _propagate(rule, net, weights, b, psi):
    """Equations (1) and (2) for every pair and grade; returns the row of the ring that holds the new Pz."""
    ring, grades = rule.z.shape[1], rule.z.shape[2]
    clock = rule.clock[b]
    now, before, delayed = clock % ring, (clock + ring - 1) % ring, (clock + ring - net.delay) % ring
    first_hop = 0 if rule.through else 1
    for m in range(rule.pair_l.shape[0]):
        l, j, start = rule.pair_l[m], rule.pair_j[m], rule.start[m]
        first, degree = rule.source_ptr[j], rule.start[m + 1] - start
        current = rule.current[b, :degree]
        for g in range(grades):
            for c in range(degree):
                current[c] = 0
            if g >= first_hop:
                for e in range(rule.cross_ptr[m], rule.cross_ptr[m + 1]):
                    w, other = weights.w_rec[rule.cross_weight[e]], rule.start[rule.cross_pair[e]]
                    earlier = rule.z[b, delayed, g - first_hop, other : other + degree]
                    for c in range(degree):
                        current[c] += w * earlier[c]  # (1)
            if g == 0 and l == j:
                for c in range(degree):
                    current[c] += rule.pre[b, rule.source[first + c]]  # (1)
            old = rule.z[b, before, g, start : start + degree]
            new = rule.z[b, now, g, start : start + degree]
            tangent(rule.params, l, psi[l], rule.reset[l], current, rule.hidden[b, g], start, old, new)  # (2)
    rule.clock[b] += 1
    return now


@device
def _collect(rule, b, now, factor, stride, offset, out):
    """out[s] += sum over pairs and grades of factor[l * stride + offset] Pz."""
    for m in range(rule.pair_l.shape[0]):
        f = factor[rule.pair_l[m] * stride + offset]
        start, first = rule.start[m], rule.source_ptr[rule.pair_j[m]]
        degree = rule.start[m + 1] - start
        total = out[first : first + degree]
        for g in range(rule.z.shape[2]):
            z = rule.z[b, now, g, start : start + degree]
            for c in range(degree):
                total[c] += f * z[c]
