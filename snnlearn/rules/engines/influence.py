"""The forward engine: influence of every weight on every neuron that it reaches, carried along with the network.

For a synapse i -> j and a neuron l, with g counting the crossings of recurrent synapses since the synapse acted:

    PI^g_l  = sum_q w_rec[q, l] Pz^(g-1)_q[t-delay] + [g = 0][l = j] pre_i[t]                           (1)
    P^g, Pz^g = tangent(PI^g, P^g[t-1], Pz^g[t-1]; neuron l)                        neurons/*.py        (2)
    Py_k    = kappa Py_k[t-1] + scale sum_l B_lk sum_g Pz^g_l                                           (3)
    dE/dW_ij += sum_k err_k Py_k + sum_l reg_l sum_g Pz^g_l                                             (4)

RTRL keeps every (l, j) that a path connects and does not grade (g-1 is g in (1)); SnAp-n keeps those within
n - 1 crossings and does not grade; e-prop of order m grades, 0 .. m-1, and keeps (g, l, j) where a path of exactly
g crossings leads from j to l (`influence_layout.py` has the layout). Causal. Memory is that of what is kept, times the
in-degree, which `make_influence` checks before it allocates; time is a multiplication per crossing and synapse,
save the crossings that start at neurons with psi = 0, where Pz vanishes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...compiler.dispatch import inlined
from ...compiler.memory import zeros
from ...network.arrays import NetArrays
from ...network.weights import FlatWeights
from ...neurons.base import SpikeTangents, prepare, tangent
from ...neurons.chain_rule import chain
from ..base import digest, readout_step
from .influence_layout import Layout, Synapses, TooMany, all_synapses, crossings, layout, reached

MAX_BYTES = 2**30
CACHE = 256 * 1024  # bytes of the second-level cache that a stretch of all rows may fill
TOGETHER = 4  # rows that are multiplied together where all receive the same rows: each number read serves so many


class Influence(NamedTuple):
    """What the engine carries forward. S: synapses, by postsynaptic neuron; entries: of all nodes."""

    clock: np.ndarray  # int64 [trials] steps so far
    hidden: np.ndarray  # [trials, D, entries] P
    z: np.ndarray  # [trials, delay + 1, entries] Pz, a ring over steps
    live: np.ndarray  # uint8 [trials, delay + 1, n] whether psi was not 0; where it was, rows of z are neither written nor read
    y: np.ndarray  # [trials, n_out, S] Py
    readout: np.ndarray  # [trials, n]
    bias: np.ndarray  # [trials]


class Kept(NamedTuple):
    """Which influence is kept."""

    hops: int | None  # crossings of recurrent synapses at most; None: any number
    graded: bool = False  # by the number of crossings, each by itself


class Limit(NamedTuple):
    """How many bytes the influence may take, and of which rule an error tells."""

    name: str
    max_bytes: int


class Delayed(NamedTuple):
    """What crosses a synapse at this step: the state of `delay` steps ago."""

    z: np.ndarray  # [entries] influence on the spikes
    live: np.ndarray  # uint8 [n] neurons whose entries are not all zero


class Terms(NamedTuple):
    """The terms of a segment that are not zero."""

    weight: np.ndarray  # [most terms of a segment, rows multiplied together]
    start: np.ndarray  # int64, the same


class InfluenceArrays(NamedTuple):
    """Influence of weights on neurons, as kernels see it; scratch serves one trial at a time."""

    params: Any
    carry: Influence
    reset_gradient: float  # 1 where the reset is differentiated, else 0
    layout: Layout
    synapses: Synapses
    chunk: int  # entries of a row that are worked on at a time
    together: int  # rows that are multiplied together
    longest: int  # entries of the longest row
    learn_in: bool
    learn_rec: bool
    sum_z: np.ndarray  # [n_out, S] scratch
    pre: np.ndarray  # [n_in + n] scratch
    current: np.ndarray  # [rows multiplied together, chunk] scratch
    zeros: np.ndarray  # [chunk]
    unused: np.ndarray  # [chunk] takes what nobody reads
    terms: Terms  # scratch
    gradient: np.ndarray  # [S] scratch


def make_influence(
    net: NetArrays,
    weights: FlatWeights,
    trials: int,
    learns: np.ndarray,
    *,
    reset_gradient: bool,
    kept: Kept,
    limit: Limit,
) -> InfluenceArrays:
    """Influence at zero. Raises MemoryError with the bytes needed and the alternatives, before anything large is allocated."""
    n, dtype, synapses = net.n, weights.w_in.dtype, all_synapses(net)
    degree, count = np.diff(synapses.ptr), synapses.source.size
    per_entry = trials * (net.n_hidden + net.delay + 1) * dtype.itemsize
    try:
        grades = reached(net, kept.hops, kept.graded, most=10.0 * limit.max_bytes / max(per_entry * degree.mean(), 1.0))
        entries = int(sum(degree[g.indices].sum() for g in grades))
        needed = entries * per_entry + trials * net.n_out * count * dtype.itemsize + 40 * crossings(net, grades)
    except TooMany as error:
        needed = int(error.pairs * degree.mean() * per_entry)
    if needed > limit.max_bytes:
        sizes = f"n_rec={n}, n_in={synapses.n_in}, D={net.n_hidden}, trials={trials}"
        advice = f"use SnAp(1), or EProp, or {limit.name.partition('(')[0]}(max_bytes=...)"
        raise MemoryError(
            f"{limit.name} needs {needed / 1e9:.1f} GB for its influence of weights ({sizes}), "
            f"limit {limit.max_bytes / 1e9:.1f} GB; {advice}"
        )
    found = layout(net, grades, synapses)
    longest = int(np.diff(found.row).max(initial=1))
    # in dense networks the same stretch of all rows is multiplied while it stays in cache
    several = int(found.seg_length.sum()) > 256 * found.seg_length.size
    chunk = max(64, CACHE // (n * dtype.itemsize) // 32 * 32) if several else longest
    length, segments = np.diff(found.row), found.seg_length
    whole = segments.size == length.size == n and (segments == length).all() and (length == longest).all()
    together = TOGETHER if several and whole else 1
    most = n if together > 1 else int(np.diff(found.term_ptr).max(initial=1))
    return InfluenceArrays(
        params=chain(net.params, net.n_hidden, n, dtype),
        carry=Influence(
            clock=zeros(trials, np.int64),
            hidden=zeros((trials, net.n_hidden, entries), dtype),
            z=zeros((trials, net.delay + 1, entries), dtype),
            live=zeros((trials, net.delay + 1, n), np.uint8),
            y=zeros((trials, net.n_out, count), dtype),
            readout=zeros((trials, n), dtype),
            bias=zeros(trials, dtype),
        ),
        reset_gradient=dtype.type(reset_gradient),
        layout=found,
        synapses=synapses,
        chunk=chunk,
        together=together,
        longest=longest,
        learn_in=bool(learns[0]),
        learn_rec=bool(learns[1]),
        sum_z=zeros((net.n_out, count), dtype),
        pre=zeros(synapses.n_in + n, dtype),
        current=zeros((together, chunk), dtype),
        zeros=zeros(chunk, dtype),
        unused=zeros(chunk, dtype),
        terms=Terms(zeros((most, together), dtype), zeros(most, np.int64)),
        gradient=zeros(count, dtype),
    )


@digest.register(InfluenceArrays)
def influence_digest(rule, model, drive, tape, grad, span, start, stop):
    for b in range(span.trials):
        for t in range(start, min(stop, drive.inputs.steps[b])):
            _advance_influence(rule, model, drive.inputs, tape, b, span, t)
            readout_step(rule.carry, model.net, tape, grad, b, span, t - span.origin)
        _to_synapses(rule, grad, span)


@inlined
def _advance_influence(rule, model, inputs, tape, b, span, t):
    """Step t of trial b."""
    net, weights, carry, gradient, row = model.net, model.weights, rule.carry, rule.gradient, t - span.origin
    w_feedback = weights.feedback if weights.feedback.shape[0] > 0 else weights.w_out
    psi, err = tape.psi[b, row % tape.psi.shape[1]], tape.error[b, row]
    reg = tape.rate_signal[b, row % tape.rate_signal.shape[1]]
    prepare(rule.params, psi, tape.local[b, row % tape.local.shape[1]])
    _sources(rule, tape, inputs, b, row, t)
    rule.sum_z.fill(0)
    _propagate(rule, net, weights, w_feedback, b, psi, reg)  # (1) (2)
    for k in range(net.n_out):
        y, fresh = carry.y[b, k], rule.sum_z[k]
        for s in range(gradient.shape[0]):
            y[s] = net.kappa * y[s] + net.scale * fresh[s]  # (3)
            gradient[s] += err[k] * y[s]  # (4)


@inlined
def _to_synapses(rule, grad, span):
    """Add the sums of (4) to the gradient, and clear them."""
    g_in, g_rec, gradient, synapses = grad.w_in[span.group], grad.w_rec[span.group], rule.gradient, rule.synapses
    for s in range(gradient.shape[0]):
        if synapses.source[s] < synapses.n_in:
            if rule.learn_in:
                g_in[synapses.position[s]] += gradient[s]
        elif rule.learn_rec:
            g_rec[synapses.position[s]] += gradient[s]
        gradient[s] = 0


@inlined
def _sources(rule, tape, inputs, b, row, t):
    """What arrives at step t: inputs, then the spikes of t - delay."""
    pre = rule.pre
    for i in range(pre.shape[0]):
        pre[i] = 0
    for event in range(inputs.indptr[b, t], inputs.indptr[b, t + 1]):
        pre[inputs.channel[event]] += inputs.value[event]
    for event in range(tape.spike_ptr[b, row], tape.spike_ptr[b, row + 1]):
        pre[rule.synapses.n_in + tape.spike_index[b, event]] += 1


@inlined
def _propagate(rule, net, weights, w_feedback, b, psi, reg):
    """Equations (1) and (2) for every row, the sum in (3), and the regulariser's part of (4)."""
    carry, layout, n = rule.carry, rule.layout, psi.shape[0]
    ring, clock = carry.z.shape[1], carry.clock[b]
    now, before, then = clock % ring, (clock + ring - 1) % ring, (clock + ring - net.delay) % ring
    delayed, terms = Delayed(carry.z[b, then], carry.live[b, then]), rule.terms
    for low in range(0, rule.longest, rule.chunk):
        for r0 in range(0, layout.row.shape[0] - 1, rule.together):
            rows = min(rule.together, layout.row.shape[0] - 1 - r0)
            for r in range(r0, r0 + rows):
                first, last = layout.row[r] + low, min(layout.row[r] + low + rule.chunk, layout.row[r + 1])
                if first < last:
                    current = rule.current[r - r0, : last - first]
                    current.fill(0)
                    if r < n:
                        _direct(rule, r, first, last, current)  # (1)
                    if rule.together == 1:
                        _cross(layout, weights.w_rec, delayed, terms, r, first, last, current)  # (1)
            if rule.together > 1:
                length = min(rule.chunk, rule.longest - low)
                _cross_together(rule, weights.w_rec, delayed, r0, rows, low, length)  # (1)
            for r in range(r0, r0 + rows):
                first, last = layout.row[r] + low, min(layout.row[r] + low + rule.chunk, layout.row[r + 1])
                if first < last:
                    l, current = r % n, rule.current[r - r0, : last - first]
                    old, new = rule.zeros[: last - first], rule.unused[: last - first]
                    if carry.live[b, before, l] != 0:
                        old = carry.z[b, before, first:last]
                    if psi[l] != 0:
                        new = carry.z[b, now, first:last]
                    spikes = SpikeTangents(old, new)
                    tangent(rule.params, l, psi[l], rule.reset_gradient, current, carry.hidden[b], first, spikes)  # (2)
                    if psi[l] != 0:
                        _collect(rule, r, first, last, new, w_feedback[l * net.n_out : (l + 1) * net.n_out], reg[l])
    for l in range(n):
        carry.live[b, now, l] = psi[l] != 0
    carry.clock[b] += 1


@inlined
def _direct(rule, l, first, last, current):
    """What the neuron's own synapses receive, for entries first .. last-1."""
    start, synapses = rule.layout.direct[l], rule.synapses
    at = synapses.ptr[l] - start
    for e in range(max(first, start), min(last, start + synapses.ptr[l + 1] - synapses.ptr[l])):
        current[e - first] = rule.pre[synapses.source[e + at]]


@inlined
def _cross(layout, w_rec, delayed, terms, r, first, last, current):
    """Add what crosses to entries first .. last-1 of a row: a matrix product that skips rows of zeros."""
    weight, at, earlier, live = terms.weight, terms.start, delayed.z, delayed.live
    for seg in range(layout.seg_ptr[r], layout.seg_ptr[r + 1]):
        start = layout.seg_start[seg]
        low, high = max(first, start), min(last, start + layout.seg_length[seg])
        if low >= high:
            continue
        count, into, length = 0, current[low - first : high - first], high - low
        for e in range(layout.term_ptr[seg], layout.term_ptr[seg + 1]):
            weight[count, 0], at[count] = w_rec[layout.term_weight[e]], layout.term_start[e] + low - start
            count += live[layout.term_q[e]]  # no branch: which neurons are live is hard to predict
        fours = count - count % 4
        for e in range(0, fours, 4):
            z0, z1 = earlier[at[e] : at[e] + length], earlier[at[e + 1] : at[e + 1] + length]
            z2, z3 = earlier[at[e + 2] : at[e + 2] + length], earlier[at[e + 3] : at[e + 3] + length]
            w0, w1, w2, w3 = weight[e, 0], weight[e + 1, 0], weight[e + 2, 0], weight[e + 3, 0]
            for c in range(length):
                total = into[c] + w0 * z0[c]
                total += w1 * z1[c]
                total += w2 * z2[c]
                into[c] = total + w3 * z3[c]
        for e in range(fours, count):
            z0, w0 = earlier[at[e] : at[e] + length], weight[e, 0]
            for c in range(length):
                into[c] += w0 * z0[c]


@inlined
def _cross_together(rule, w_rec, delayed, r0, rows, low, length):
    """`_cross` for rows r0 .. r0 + rows - 1 of a dense network, entries low .. low + length - 1 of each."""
    layout, earlier, live, current = rule.layout, delayed.z, delayed.live, rule.current
    weight, at, count = rule.terms.weight, rule.terms.start, 0
    weight.fill(0)  # a neuron that has no synapse onto itself receives zero times its own row
    for r in range(r0, r0 + rows):
        for e in range(layout.term_ptr[r], layout.term_ptr[r + 1]):
            weight[layout.term_q[e], r - r0] = w_rec[layout.term_weight[e]]
    for q in range(live.shape[0]):
        for i in range(TOGETHER):
            weight[count, i] = weight[q, i]
        at[count] = layout.row[q] + low
        count += live[q]
    into0, into1, into2, into3 = current[0], current[1], current[2], current[3]
    fours = count - count % 4
    for e in range(0, fours, 4):
        z0, z1 = earlier[at[e] : at[e] + length], earlier[at[e + 1] : at[e + 1] + length]
        z2, z3 = earlier[at[e + 2] : at[e + 2] + length], earlier[at[e + 3] : at[e + 3] + length]
        a0, a1, a2, a3 = weight[e, 0], weight[e, 1], weight[e, 2], weight[e, 3]
        b0, b1, b2, b3 = weight[e + 1, 0], weight[e + 1, 1], weight[e + 1, 2], weight[e + 1, 3]
        c0, c1, c2, c3 = weight[e + 2, 0], weight[e + 2, 1], weight[e + 2, 2], weight[e + 2, 3]
        d0, d1, d2, d3 = weight[e + 3, 0], weight[e + 3, 1], weight[e + 3, 2], weight[e + 3, 3]
        for c in range(length):
            x0, x1, x2, x3 = z0[c], z1[c], z2[c], z3[c]
            t0, t1, t2, t3 = into0[c] + a0 * x0, into1[c] + a1 * x0, into2[c] + a2 * x0, into3[c] + a3 * x0
            t0, t1, t2, t3 = t0 + b0 * x1, t1 + b1 * x1, t2 + b2 * x1, t3 + b3 * x1
            t0, t1, t2, t3 = t0 + c0 * x2, t1 + c1 * x2, t2 + c2 * x2, t3 + c3 * x2
            into0[c], into1[c], into2[c], into3[c] = t0 + d0 * x3, t1 + d1 * x3, t2 + d2 * x3, t3 + d3 * x3
    for e in range(fours, count):
        z0 = earlier[at[e] : at[e] + length]
        a0, a1, a2, a3 = weight[e, 0], weight[e, 1], weight[e, 2], weight[e, 3]
        for c in range(length):
            x0 = z0[c]
            into0[c] += a0 * x0
            into1[c] += a1 * x0
            into2[c] += a2 * x0
            into3[c] += a3 * x0


@inlined
def _collect(rule, r, first, last, new, feedback, reg):
    """Add Pz of entries first .. last-1 of a row to the sums over neurons. feedback : (n_out,) of the row's neuron"""
    layout, sum_z, gradient = rule.layout, rule.sum_z, rule.gradient
    for run in range(layout.run_ptr[r], layout.run_ptr[r + 1]):
        start = layout.run_start[run]
        low, high = max(first, start), min(last, start + layout.run_length[run])
        if low < high:
            z, s = new[low - first : high - first], layout.run_synapse[run] + low - start
            for k in range(sum_z.shape[0]):
                f, total = feedback[k], sum_z[k, s : s + high - low]
                for c in range(z.shape[0]):
                    total[c] += f * z[c]
            if reg != 0:
                total = gradient[s : s + high - low]
                for c in range(z.shape[0]):
                    total[c] += reg * z[c]
