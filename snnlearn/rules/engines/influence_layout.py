"""What reaches what: the layout of the influence that `influence.py` carries forward.

A ROW (g, l) holds the influence of all synapses that reach neuron l over g crossings; within it a NODE (g, l, j) holds
that of the synapses of neuron j, in the order of j. What crosses from other rows arrives in SEGMENTS, stretches of a
row for which the same rows q are added, and adds to the synapses in RUNS, stretches that are contiguous in both. In a
dense network a row is one segment and one run.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from ...network.arrays import NetArrays
from ...network.projections import DenseProjection


class Synapses(NamedTuple):
    """All input and recurrent synapses, by postsynaptic neuron, then source."""

    ptr: np.ndarray  # int64 [n + 1] where those of each neuron start
    source: np.ndarray  # int32 [S] an input, or n_in + neuron
    position: np.ndarray  # int64 [S] place in w_in or w_rec
    n_in: int


class Layout(NamedTuple):
    """Where influence is kept and what crosses to where. R: rows; r = g n + l."""

    row: np.ndarray  # int64 [R + 1] entry at which each row starts
    direct: np.ndarray  # int64 [n] entry at which the neuron's own synapses start, in row l of grade 0
    seg_ptr: np.ndarray  # int64 [R + 1] segments of each row
    seg_start: np.ndarray  # int64 [segments] entry
    seg_length: np.ndarray  # int64 [segments]
    term_ptr: np.ndarray  # int64 [segments + 1] terms of each segment
    term_start: np.ndarray  # int64 [terms] entry that is added to the segment's first one ...
    term_weight: np.ndarray  # int64 [terms] ... times this entry of w_rec
    term_q: np.ndarray  # int32 [terms] the neuron that spikes across
    run_ptr: np.ndarray  # int64 [R + 1] runs of each row
    run_start: np.ndarray  # int64 [runs] entry
    run_synapse: np.ndarray  # int64 [runs] the synapse of that entry
    run_length: np.ndarray  # int64 [runs]


def recurrent_synapses(net: NetArrays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source, target and flat position of the recurrent synapses that exist, by source."""
    return _existing(net.proj_rec, net.absent_rec, net.n)


def all_synapses(net: NetArrays) -> Synapses:
    """Input and recurrent synapses that exist."""
    in_pre, in_post, in_pos = _existing(net.proj_in, net.absent_in, net.n)
    rec_pre, rec_post, rec_pos = recurrent_synapses(net)
    n_in = net.proj_in.n_pre if isinstance(net.proj_in, DenseProjection) else net.proj_in.indptr.size - 1
    post, source = np.concatenate([in_post, rec_post]), np.concatenate([in_pre, rec_pre + n_in])
    order = np.lexsort((source, post))
    position = np.concatenate([in_pos, rec_pos])
    ptr = _offsets(np.bincount(post, minlength=net.n))
    return Synapses(ptr, source[order].astype(np.int32), position[order].astype(np.int64), int(n_in))


class TooMany(Exception):
    """More pairs of neurons than asked for; `pairs` is an upper bound of how many."""

    def __init__(self, pairs: float):
        super().__init__(pairs)
        self.pairs = pairs


def reached(net: NetArrays, hops: int | None, graded: bool, most: float = np.inf) -> list[sparse.csr_array]:
    """[l, j] for each grade: whether a path of exactly g synapses leads from j to l; ungraded: of at most `hops`.

    Raises TooMany before a step that may lead to more than `most` pairs.
    """
    pre, post, _ = recurrent_synapses(net)
    step, stay = sparse.csr_array((np.ones(pre.size, np.int32), (post, pre)), shape=(net.n, net.n)), _ones(net.n)
    if graded:
        assert hops is not None
        grades = [stay]
        for _ in range(hops):
            grades.append(_after(grades[-1], step, most))
        return grades
    reach, stay_or_step = stay, step + stay
    for _ in range(net.n if hops is None else hops):
        wider = _after(reach, stay_or_step, most)
        if wider.nnz == reach.nnz:
            break
        reach = wider
    return [reach]


def crossings(net: NetArrays, grades: list[sparse.csr_array]) -> int:
    """How many terms `layout` has at most."""
    fan_out = np.bincount(recurrent_synapses(net)[0], minlength=net.n)
    froms = grades[:-1] if len(grades) > 1 else grades
    return int(sum((np.diff(g.indptr) * fan_out).sum() for g in froms))


def layout(net: NetArrays, grades: list[sparse.csr_array], synapses: Synapses) -> Layout:
    """Rows, segments and runs of these grades."""
    n, degree = net.n, np.diff(synapses.ptr)
    node_j = np.concatenate([g.indices for g in grades]).astype(np.int64)
    node_row = np.repeat(np.arange(len(grades) * n), np.concatenate([np.diff(g.indptr) for g in grades]))
    start = _offsets(degree[node_j])
    into, origin, weight = _terms(net, grades, node_j, node_row)
    count = np.bincount(into, minlength=node_j.size)
    q = node_row[origin] % n
    new_row = np.append(True, node_row[1:] != node_row[:-1])
    # a node joins the segment before it where each of its terms follows the term of the node before
    behind = np.arange(into.size) - count[into]
    follows = (behind >= 0) & (count[into] == count[into - 1]) & ~new_row[into]
    follows &= (origin == origin[behind] + 1) & (q == q[behind])
    broken = np.bincount(into, weights=~follows, minlength=node_j.size)
    heads = np.flatnonzero((count > 0) & (new_row | (broken > 0)))
    followers = np.flatnonzero((count > 0) & ~(new_row | (broken > 0)))
    seg_length = degree[node_j[heads]].astype(np.int64)
    np.add.at(seg_length, np.searchsorted(heads, followers, side="right") - 1, degree[node_j[followers]])
    kept = np.isin(into, heads)
    # a node joins the run before it where its synapses follow those of the node before
    runs = np.flatnonzero(new_row | np.append(True, synapses.ptr[node_j[1:]] != synapses.ptr[node_j[:-1] + 1]))
    run_length = np.add.reduceat(degree[node_j], runs) if runs.size else np.zeros(0, np.int64)
    n_rows = len(grades) * n
    own = np.flatnonzero((node_row < n) & (node_j == node_row))
    return Layout(
        row=_offsets(np.bincount(node_row, weights=degree[node_j], minlength=n_rows).astype(np.int64)),
        direct=start[own].astype(np.int64),
        seg_ptr=_offsets(np.bincount(node_row[heads], minlength=n_rows)),
        seg_start=start[heads].astype(np.int64),
        seg_length=seg_length,
        term_ptr=_offsets(count[heads]),
        term_start=start[origin[kept]].astype(np.int64),
        term_weight=weight[kept].astype(np.int64),
        term_q=q[kept].astype(np.int32),
        run_ptr=_offsets(np.bincount(node_row[runs], minlength=n_rows)),
        run_start=start[runs].astype(np.int64),
        run_synapse=synapses.ptr[node_j[runs]].astype(np.int64),
        run_length=run_length.astype(np.int64),
    )


def _terms(
    net: NetArrays, grades: list[sparse.csr_array], node_j: np.ndarray, node_row: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Node that receives, node that crosses to it, and the synapse's place in w_rec; by receiving node, then by neuron."""
    n = net.n
    pre, post, position = recurrent_synapses(net)
    out_ptr = _offsets(np.bincount(pre, minlength=n))
    first = _offsets(np.array([g.nnz for g in grades]))
    keys = (node_row % n) * n + node_j
    found_into, found_origin, found_weight = [], [], []
    graded = len(grades) > 1
    for g in range(1 if graded else 0, len(grades)):
        origins = np.arange(first[g - graded], first[g - graded + 1])
        count = np.diff(out_ptr)[node_row[origins] % n]
        origin = np.repeat(origins, count)
        synapse = out_ptr[node_row[origin] % n] + np.arange(origin.size) - np.repeat(_offsets(count)[:-1], count)
        wanted, here = post[synapse] * n + node_j[origin], keys[first[g] : first[g + 1]]
        found = np.minimum(np.searchsorted(here, wanted), max(here.size - 1, 0))
        kept = here[found] == wanted if here.size else np.zeros(wanted.size, bool)
        found_into.append(found[kept] + first[g])
        found_origin.append(origin[kept])
        found_weight.append(position[synapse[kept]])
    into, origin, weight = (np.concatenate(x) if x else np.zeros(0, np.int64) for x in (found_into, found_origin, found_weight))
    order = np.argsort(into, kind="stable")
    return into[order], origin[order], weight[order]


def _existing(proj: Any, absent: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source, target and flat position of the synapses of a projection that exist."""
    if isinstance(proj, DenseProjection):
        exists = np.ones(proj.n_pre * n, bool)
        exists[absent] = False
        position = np.flatnonzero(exists)
        return position // n, position % n, position
    position = np.arange(proj.indices.size)
    return np.repeat(np.arange(proj.indptr.size - 1), np.diff(proj.indptr)), proj.indices.astype(np.int64), position


def _ones(n: int) -> sparse.csr_array:
    return sparse.csr_array(sparse.eye_array(n, dtype=np.int32, format="csr"))


def _after(reach: sparse.csr_array, step: sparse.csr_array, most: float) -> sparse.csr_array:
    """Where `reach` leads over one more step: ones, sorted indices."""
    n = step.shape[0]
    bound = min(float(n) * n, reach.nnz * max(1.0, step.nnz / n))
    if bound > most:
        raise TooMany(bound)
    wider = sparse.csr_array(((step @ reach) != 0).astype(np.int32))
    wider.sort_indices()
    return wider


def _offsets(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
