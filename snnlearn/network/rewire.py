"""Synapses of a CSR matrix that move: some entries go, as many come, and all stay sorted in arrays that stay where they are.

Because the number of synapses is the same, `indptr`, `indices` and every array with a number a synapse are changed in place:
whoever holds them, as prepared calls and views do, sees the new structure.

    free_ranks, places     free places of a matrix, counted in the order of rows, and where they are
    Move                   which entries go where; `apply` to an array whose last axis are the synapses
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiler.dispatch import kernel
from .projections import SparseProjection


class Move(NamedTuple):
    """Entries of a CSR matrix that go where, as segments between deaths and births."""

    segments: np.ndarray  # int64 [segments, 3] first entry, the one after the last, where the first one goes
    born: np.ndarray  # int64 [births] entries of new synapses, sorted

    def apply(self, array: np.ndarray) -> None:
        """Move an array [..., synapses] in place, zero for new synapses; any type of 1, 4 or 8 bytes."""
        if array.shape[-1]:
            flat = array.reshape(-1, array.shape[-1]).view(f"i{array.itemsize}")
            for row in flat:
                _move(row, row.copy(), self.segments, self.born)


def free_places(proj: SparseProjection, n_post: int, skip_self: bool) -> np.ndarray:
    """Free places of each row, int64 [pre]. skip_self : the diagonal is no place"""
    free = np.empty(proj.indptr.size - 1, np.int64)
    _count_free(proj.indptr, proj.indices, n_post, skip_self, free)
    return free


def places(proj: SparseProjection, free: np.ndarray, skip_self: bool, ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns, int64, of the free places with these ranks in the order of rows. free : of each row; ranks : sorted"""
    ends = np.cumsum(free)
    pre = np.searchsorted(ends, ranks, side="right")
    post = ranks - (ends - free)[pre]
    _to_columns(proj.indptr, proj.indices, skip_self, pre, post)
    return pre, post


def move_synapses(proj: SparseProjection, dead: np.ndarray, pre: np.ndarray, post: np.ndarray) -> Move:
    """Take entries out of a CSR matrix and put as many in, in place; how arrays of its synapses follow.

    dead : int64, entries that go, sorted; pre, post : int64, places of the new ones, in order
    """
    n, indptr, indices = proj.indices.size, proj.indptr, proj.indices
    into = np.empty(pre.size, np.int64)
    _find(indptr, indices, pre, post, into)
    segments, born = np.empty((dead.size + pre.size + 1, 3), np.int64), np.empty(pre.size, np.int64)
    _plan(dead, into, n, segments, born)
    move = Move(segments[segments[:, 0] != segments[:, 2]], born)
    gone = np.searchsorted(indptr, dead, side="right") - 1
    rows = indptr.size - 1
    change = np.bincount(pre, minlength=rows) - np.bincount(gone, minlength=rows)
    move.apply(indices)
    indices[born] = post
    indptr[1:] += np.cumsum(change)
    return move


@kernel
def _count_free(indptr, indices, n_post, skip_self, free):
    for i in range(free.shape[0]):
        free[i] = n_post - (indptr[i + 1] - indptr[i])
        if skip_self:
            low, high = indptr[i], indptr[i + 1]
            while low < high:
                middle = (low + high) // 2
                if indices[middle] < i:
                    low = middle + 1
                else:
                    high = middle
            if not (low < indptr[i + 1] and indices[low] == i):
                free[i] -= 1


@kernel
def _to_columns(indptr, indices, skip_self, pre, post):
    """From ranks among the free places of their rows to columns. In place."""
    for k in range(pre.shape[0]):
        i, column = pre[k], post[k]
        passed = not skip_self  # whether the diagonal has been counted
        for s in range(indptr[i], indptr[i + 1]):
            if not passed and i <= column and i < indices[s]:
                column += 1
                passed = True
            if indices[s] > column:
                break
            passed = passed or indices[s] == i
            column += 1
        if not passed and i <= column:
            column += 1
        post[k] = column


@kernel
def _find(indptr, indices, pre, post, into):
    """The entries before which places are put in."""
    for k in range(pre.shape[0]):
        low, high = indptr[pre[k]], indptr[pre[k] + 1]
        while low < high:
            middle = (low + high) // 2
            if indices[middle] < post[k]:
                low = middle + 1
            else:
                high = middle
        into[k] = low


@kernel
def _plan(dead, into, n, segments, born):
    """Segments of `Move`, and the entries of new synapses."""
    d, b, old, new = 0, 0, 0, 0
    for k in range(segments.shape[0]):
        goes = dead[d] if d < dead.shape[0] else n
        stop = min(goes, into[b]) if b < into.shape[0] else goes
        segments[k, 0], segments[k, 1], segments[k, 2] = old, stop, new
        new += stop - old
        old = stop
        if b < into.shape[0] and into[b] <= goes:
            born[b] = new
            new += 1
            b += 1
        elif d < dead.shape[0]:
            old += 1
            d += 1


@kernel
def _move(values, before, segments, born):
    for k in range(segments.shape[0]):
        shift = segments[k, 2] - segments[k, 0]
        for s in range(segments[k, 0], segments[k, 1]):
            values[s + shift] = before[s]
    for k in range(born.shape[0]):
        values[born[k]] = 0
