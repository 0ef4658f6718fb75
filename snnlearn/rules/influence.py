"""The forward engine: influence of every weight on every neuron that it reaches, carried along with the network.

For a synapse i -> j and a neuron l, with g counting the crossings of recurrent synapses since the synapse
acted, one node (g, l, j) holds the influence of all synapses of j:

    PI^g_l  = sum_q w_rec[q, l] Pz^(g-1)_q[t-delay] + [g = 0][l = j] pre_i[t]                           (1)
    P^g, Pz^g = tangent(PI^g, P^g[t-1], Pz^g[t-1]; neuron l)                        neurons/*.py        (2)
    Py_k    = kappa Py_k[t-1] + scale sum_l B_lk sum_g Pz^g_l                                           (3)
    dE/dW_ij += sum_k err_k Py_k + sum_l reg_l sum_g Pz^g_l                                             (4)

RTRL keeps every (l, j) that a path connects and does not grade (g-1 is g in (1)); SnAp-n keeps those within
n - 1 crossings and does not grade; e-prop of order m grades, 0 .. m-1, and node (g, l, j) exists where a path
of exactly g crossings does. Causal. Memory is that of the nodes times the in-degree, which `make_influence`
checks before it allocates; time is a multiplication per crossing and synapse, save the crossings that start
at neurons with psi = 0, where Pz vanishes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from .._jit import device
from ..connectivity import DenseProjection
from ..network import FlatWeights, NetArrays
from ..neurons.base import prepare, tangent
from ..neurons.chain import chain
from .base import digest, readout_step

MAX_BYTES = 2**30


class Influence(NamedTuple):
    """What the engine carries forward. S: synapses, by postsynaptic neuron; entries: of all nodes."""

    clock: np.ndarray  # int64 [trials] steps so far
    hidden: np.ndarray  # [trials, D, entries] P
    z: np.ndarray  # [trials, delay + 1, entries] Pz, a ring over steps
    live: np.ndarray  # uint8 [trials, delay + 1, n] whether psi was not 0
    y: np.ndarray  # [trials, n_out, S] Py
    readout: np.ndarray  # [trials, n]
    bias: np.ndarray  # [trials]


class InfluenceArrays(NamedTuple):
    """Influence of weights on neurons, as kernels see it. M: nodes; scratch serves one trial at a time."""

    params: Any
    carry: Influence
    attached: float  # 1 where the reset is differentiated, else 0
    node_l: np.ndarray  # int32 [M]
    node_j: np.ndarray  # int32 [M]
    direct: np.ndarray  # uint8 [M] where the synapse itself acts: grade 0, l = j
    start: np.ndarray  # int64 [M + 1] where a node's entries start
    cross_ptr: np.ndarray  # int64 [M + 1]
    cross_node: np.ndarray  # int32, node that crosses to this one ...
    cross_weight: np.ndarray  # int64, ... over this entry of w_rec
    source_ptr: np.ndarray  # int64 [n + 1] synapses of each postsynaptic neuron
    source: np.ndarray  # int32 [S] their source: an input, or n_in + neuron
    position: np.ndarray  # int64 [S] their place in w_in or w_rec
    n_in: int
    learn_in: bool
    learn_rec: bool
    sum_z: np.ndarray  # [n_out, S] scratch
    pre: np.ndarray  # [n_in + n] scratch
    current: np.ndarray  # [largest in-degree] scratch
    term_weight: np.ndarray  # [most crossings of a node] scratch
    term_start: np.ndarray  # int64, the same
    gradient: np.ndarray  # [S] scratch


def make_influence(
    net: NetArrays,
    weights: FlatWeights,
    trials: int,
    learns: np.ndarray,
    *,
    name: str,
    attached: bool,
    hops: int | None,
    graded: bool = False,
    max_bytes: int = MAX_BYTES,
) -> InfluenceArrays:
    """Influence at zero, over at most so many crossings (None: any number).

    Raises MemoryError with the bytes needed and the alternatives, before anything large is allocated.
    """
    n, dtype = net.n, weights.w_in.dtype
    in_pre, in_post, in_pos = _synapses(net.proj_in, net.absent_in, n)
    rec_pre, rec_post, rec_pos = _synapses(net.proj_rec, net.absent_rec, n)
    n_in = net.proj_in.n_pre if isinstance(net.proj_in, DenseProjection) else net.proj_in.indptr.size - 1
    post = np.concatenate([in_post, rec_post])
    source = np.concatenate([in_pre, rec_pre + n_in])
    order = np.lexsort((source, post))
    degree = np.bincount(post, minlength=n)
    grades = _grades(rec_pre, rec_post, n, hops) if graded else [_reach(rec_pre, rec_post, n, hops)]
    node_j = np.concatenate([np.repeat(np.arange(n), np.diff(g.indptr)) for g in grades])
    node_l = np.concatenate([g.indices for g in grades])
    first = np.concatenate([[0], np.cumsum([g.nnz for g in grades])])  # node at which each grade starts
    start = np.concatenate([[0], np.cumsum(degree[node_j])])
    fan_out = np.bincount(rec_pre, minlength=n)
    entries, synapses = int(start[-1]), post.size
    crossings = int(fan_out[node_l[: first[-2]] if graded else node_l].sum())
    per_trial = entries * (net.n_hidden + net.delay + 1) + net.n_out * synapses
    needed = trials * per_trial * dtype.itemsize + 36 * crossings
    if needed > max_bytes:
        sizes = f"n_rec={n}, n_in={n_in}, D={net.n_hidden}, trials={trials}"
        advice = f"use SnAp(1), or EProp, or {name.partition('(')[0]}(max_bytes=...)"
        raise MemoryError(
            f"{name} needs {needed / 1e9:.1f} GB for its influence of weights ({sizes}), limit {max_bytes / 1e9:.1f} GB; {advice}"
        )
    cross_ptr, cross_node, cross_weight = _crossings(node_j, node_l, first, graded, (rec_pre, rec_post, rec_pos), n)
    direct = node_l == node_j
    direct[first[1] :] = False
    most = int(np.diff(cross_ptr).max(initial=1))
    return InfluenceArrays(
        params=chain(net.params, net.n_hidden, n, dtype),
        carry=Influence(
            clock=np.zeros(trials, np.int64),
            hidden=np.zeros((trials, net.n_hidden, entries), dtype),
            z=np.zeros((trials, net.delay + 1, entries), dtype),
            live=np.zeros((trials, net.delay + 1, n), np.uint8),
            y=np.zeros((trials, net.n_out, synapses), dtype),
            readout=np.zeros((trials, n), dtype),
            bias=np.zeros(trials, dtype),
        ),
        attached=dtype.type(attached),
        node_l=node_l.astype(np.int32),
        node_j=node_j.astype(np.int32),
        direct=direct.astype(np.uint8),
        start=start.astype(np.int64),
        cross_ptr=cross_ptr,
        cross_node=cross_node,
        cross_weight=cross_weight,
        source_ptr=np.concatenate([[0], np.cumsum(degree)]).astype(np.int64),
        source=source[order].astype(np.int32),
        position=np.concatenate([in_pos, rec_pos])[order].astype(np.int64),
        n_in=int(n_in),
        learn_in=bool(learns[0]),
        learn_rec=bool(learns[1]),
        sum_z=np.zeros((net.n_out, synapses), dtype),
        pre=np.zeros(n_in + n, dtype),
        current=np.zeros(int(degree.max(initial=1)), dtype),
        term_weight=np.zeros(most, dtype),
        term_start=np.zeros(most, np.int64),
        gradient=np.zeros(synapses, dtype),
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


def _step_matrix(pre: np.ndarray, post: np.ndarray, n: int) -> sparse.csr_array:
    return sparse.csr_array((np.ones(pre.size, np.int32), (pre, post)), shape=(n, n))


def _after(reach: sparse.csr_array, step: sparse.csr_array) -> sparse.csr_array:
    """Where `reach` leads over one more step: ones, sorted indices."""
    wider = sparse.csr_array(((reach @ step) != 0).astype(np.int32))
    wider.sort_indices()
    return wider


def _grades(pre: np.ndarray, post: np.ndarray, n: int, hops: int | None) -> list[sparse.csr_array]:
    """For g = 0 .. hops: [j, l], whether a path of exactly g synapses leads from j to l."""
    assert hops is not None
    step, grades = _step_matrix(pre, post, n), [sparse.eye_array(n, dtype=np.int32, format="csr")]
    for _ in range(hops):
        grades.append(_after(grades[-1], step))
    return grades


def _reach(pre: np.ndarray, post: np.ndarray, n: int, hops: int | None) -> sparse.csr_array:
    """[j, l], whether l is reached from j over at most so many synapses."""
    stay_or_step = _step_matrix(pre, post, n) + sparse.eye_array(n, dtype=np.int32, format="csr")
    reach = sparse.eye_array(n, dtype=np.int32, format="csr")
    for _ in range(n if hops is None else hops):
        wider = _after(reach, stay_or_step)
        if wider.nnz == reach.nnz:
            break
        reach = wider
    return reach


def _crossings(
    node_j: np.ndarray, node_l: np.ndarray, first: np.ndarray, graded: bool, synapses: Any, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each node (g, l, j): the nodes (g-1, q, j) with a synapse q -> l (ungraded: (q, j)), and that synapse."""
    pre, post, position = synapses  # sorted by pre
    out_ptr = np.concatenate([[0], np.cumsum(np.bincount(pre, minlength=n))])
    keys = node_j.astype(np.int64) * n + node_l
    into, node, weight = [], [], []
    for g in range(1, first.size - 1) if graded else [0]:
        origins = np.arange(first[g - 1], first[g]) if graded else np.arange(node_l.size)
        target = slice(first[g], first[g + 1])
        count = np.diff(out_ptr)[node_l[origins]]
        origin = np.repeat(origins, count)
        synapse = out_ptr[node_l[origin]] + np.arange(origin.size) - np.repeat(np.cumsum(count) - count, count)
        wanted = node_j[origin].astype(np.int64) * n + post[synapse]
        found = np.minimum(np.searchsorted(keys[target], wanted), keys[target].size - 1)
        kept = keys[target][found] == wanted if found.size else np.zeros(0, bool)
        into.append(found[kept] + first[g])
        node.append(origin[kept])
        weight.append(position[synapse[kept]])
    joined = [np.concatenate(x) if x else np.zeros(0, np.int64) for x in (into, node, weight)]
    order = np.argsort(joined[0], kind="stable")
    ptr = np.concatenate([[0], np.cumsum(np.bincount(joined[0], minlength=node_l.size))]).astype(np.int64)
    return ptr, joined[1][order].astype(np.int32), joined[2][order].astype(np.int64)


@digest.register(InfluenceArrays)
def _(rule, net, weights, grad, tape, inputs, targets, span, start, stop):
    for b in range(span.trials):
        _advance_influence(rule, net, weights, grad, tape, inputs, b, span, start, stop)


@device
def _advance_influence(rule, net, weights, grad, tape, inputs, b, span, start, stop):
    """Steps start .. stop-1 of trial b."""
    w_feedback = weights.feedback if weights.feedback.shape[0] > 0 else weights.w_out
    g_in, g_rec = grad.w_in[span.group], grad.w_rec[span.group]
    carry, gradient, n_out = rule.carry, rule.gradient, net.n_out
    for t in range(start, stop):
        row = t - span.origin
        psi, err = tape.psi[b, row % tape.psi.shape[1]], tape.error[b, row]
        reg = tape.rate_signal[b, row % tape.rate_signal.shape[1]]
        prepare(rule.params, psi, tape.local[b, row % tape.local.shape[1]])
        _sources(rule, tape, inputs, b, row, t)
        now = _propagate(rule, net, weights, b, psi)
        _collect(rule, b, now, psi, w_feedback, reg)
        for k in range(n_out):
            y, fresh = carry.y[b, k], rule.sum_z[k]
            for s in range(gradient.shape[0]):
                y[s] = net.kappa * y[s] + net.scale * fresh[s]  # (3)
                gradient[s] += err[k] * y[s]  # (4)
        readout_step(carry.readout[b], carry.bias, net, tape, grad, b, span, row, err)
    for s in range(gradient.shape[0]):
        if rule.source[s] < rule.n_in:
            if rule.learn_in:
                g_in[rule.position[s]] += gradient[s]
        elif rule.learn_rec:
            g_rec[rule.position[s]] += gradient[s]
        gradient[s] = 0


@device
def _sources(rule, tape, inputs, b, row, t):
    """What arrives at step t: inputs, then the spikes of t - delay."""
    pre = rule.pre
    for i in range(pre.shape[0]):
        pre[i] = 0
    for event in range(inputs.indptr[b, t], inputs.indptr[b, t + 1]):
        pre[inputs.channel[event]] += inputs.value[event]
    for event in range(tape.spike_ptr[b, row], tape.spike_ptr[b, row + 1]):
        pre[rule.n_in + tape.spike_index[b, event]] += 1


@device
def _propagate(rule, net, weights, b, psi):
    """Equations (1) and (2) for every node; returns the row of the ring that holds the new Pz."""
    carry = rule.carry
    ring, clock = carry.z.shape[1], carry.clock[b]
    now, before, delayed = clock % ring, (clock + ring - 1) % ring, (clock + ring - net.delay) % ring
    earlier, hidden = carry.z[b, delayed], carry.hidden[b]
    for m in range(rule.node_l.shape[0]):
        l, j, start = rule.node_l[m], rule.node_j[m], rule.start[m]
        first, degree = rule.source_ptr[j], rule.start[m + 1] - start
        current = rule.current[:degree]
        if rule.direct[m] != 0:
            for c in range(degree):
                current[c] = rule.pre[rule.source[first + c]]  # (1)
        else:
            for c in range(degree):
                current[c] = 0
        _crossing_sum(rule, weights, b, m, delayed, earlier, current)  # (1)
        old, new = carry.z[b, before, start : start + degree], carry.z[b, now, start : start + degree]
        tangent(rule.params, l, psi[l], rule.attached, current, hidden, start, old, new)  # (2)
    for l in range(psi.shape[0]):
        carry.live[b, now, l] = psi[l] != 0
    carry.clock[b] += 1
    return now


@device
def _crossing_sum(rule, weights, b, m, delayed, earlier, current):
    """Add what crosses to node m to current (degree,): a matrix product that skips rows of zeros."""
    live, weight, at, terms = rule.carry.live[b, delayed], rule.term_weight, rule.term_start, 0
    degree = current.shape[0]
    for e in range(rule.cross_ptr[m], rule.cross_ptr[m + 1]):
        other = rule.cross_node[e]
        if live[rule.node_l[other]] != 0:
            weight[terms], at[terms] = weights.w_rec[rule.cross_weight[e]], rule.start[other]
            terms += 1
    fours = terms - terms % 4
    for e in range(0, fours, 4):
        z0, z1 = earlier[at[e] : at[e] + degree], earlier[at[e + 1] : at[e + 1] + degree]
        z2, z3 = earlier[at[e + 2] : at[e + 2] + degree], earlier[at[e + 3] : at[e + 3] + degree]
        w0, w1, w2, w3 = weight[e], weight[e + 1], weight[e + 2], weight[e + 3]
        for c in range(degree):
            current[c] += w0 * z0[c] + w1 * z1[c] + w2 * z2[c] + w3 * z3[c]
    for e in range(fours, terms):
        z0, w0 = earlier[at[e] : at[e] + degree], weight[e]
        for c in range(degree):
            current[c] += w0 * z0[c]


@device
def _collect(rule, b, now, psi, w_feedback, reg):
    """sum_z[k] = the sum in (3); the gradient earns the regulariser's part of (4)."""
    n_out = rule.sum_z.shape[0]
    for k in range(n_out):
        for s in range(rule.sum_z.shape[1]):
            rule.sum_z[k, s] = 0
    for m in range(rule.node_l.shape[0]):
        l, start, first = rule.node_l[m], rule.start[m], rule.source_ptr[rule.node_j[m]]
        if psi[l] != 0:
            degree = rule.start[m + 1] - start
            z = rule.carry.z[b, now, start : start + degree]
            for k in range(n_out):
                f, total = w_feedback[l * n_out + k], rule.sum_z[k, first : first + degree]
                for c in range(degree):
                    total[c] += f * z[c]
            f, total = reg[l], rule.gradient[first : first + degree]
            for c in range(degree):
                total[c] += f * z[c]
