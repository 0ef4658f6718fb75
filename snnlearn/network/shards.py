"""Projections onto some of the neurons: the stretch of every row that ends at them.

Targets are numbered from the first of these neurons, so that arrays of theirs fit; flat arrays of synapses are those of the
whole projection.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..compiler.dispatch import kernel
from ..compiler.intrinsics import prefetch
from .projections import (
    FETCHED,
    LINE,
    SparseProjection,
    add_row,
    add_to_row,
    back_over,
    n_pre,
    prefetch_entries,
    prefetch_row,
    row_start,
    row_stop,
    target,
)


class DenseShard(NamedTuple):
    """The synapses onto neurons first .. first + n - 1 of a dense projection; targets are numbered from `first`."""

    n_pre: int
    n_post: int  # of the whole projection
    first: int
    n: int

    def longest(self) -> int:
        """Entries of the longest row."""
        return self.n


class SparseShard(NamedTuple):
    """The same of CSR: row i is the entries starts[i] .. stops[i]."""

    starts: np.ndarray  # int64 [n_pre]
    stops: np.ndarray  # int64 [n_pre]
    indices: np.ndarray  # int32 [n_synapses] of the whole projection
    first: int

    def longest(self) -> int:
        """Entries of the longest row."""
        return int((self.stops - self.starts).max(initial=1))


@row_start.register(DenseShard)
def dense_shard_row_start(proj, i):
    return i * proj.n_post + proj.first


@row_start.register(SparseShard)
def sparse_shard_row_start(proj, i):
    return proj.starts[i]


@row_stop.register(DenseShard)
def dense_shard_row_stop(proj, i):
    return i * proj.n_post + proj.first + proj.n


@row_stop.register(SparseShard)
def sparse_shard_row_stop(proj, i):
    return proj.stops[i]


@target.register(DenseShard)
def dense_shard_target(proj, start, k):
    return k


@target.register(SparseShard)
def sparse_shard_target(proj, start, k):
    return proj.indices[start + k] - proj.first


@n_pre.register(DenseShard)
def dense_shard_n_pre(proj):
    return proj.n_pre


@n_pre.register(SparseShard)
def sparse_shard_n_pre(proj):
    return proj.starts.shape[0]


@add_row.register(DenseShard)
def dense_shard_add_row(proj, i, scale, row, out):
    start = i * proj.n_post + proj.first
    entries = row[start : start + proj.n]
    for k in range(entries.shape[0]):
        out[k] += scale * entries[k]


@add_row.register(SparseShard)
def sparse_shard_add_row(proj, i, scale, row, out):
    for s in range(proj.starts[i], proj.stops[i]):
        out[proj.indices[s] - proj.first] += scale * row[s]


@add_to_row.register(DenseShard)
def dense_shard_add_to_row(proj, i, scale, values, row):
    start = i * proj.n_post + proj.first
    entries = row[start : start + proj.n]
    for k in range(entries.shape[0]):
        entries[k] += scale * values[k]


@add_to_row.register(SparseShard)
def sparse_shard_add_to_row(proj, i, scale, values, row):
    for s in range(proj.starts[i], proj.stops[i]):
        row[s] += scale * values[proj.indices[s] - proj.first]


@prefetch_row.register(DenseShard)
def dense_shard_prefetch_row(proj, i, row):
    start = i * proj.n_post + proj.first
    for s in range(start, start + min(proj.n, FETCHED), LINE):
        prefetch(row, s)


@prefetch_row.register(SparseShard)
def sparse_shard_prefetch_row(proj, i, row):
    prefetch_entries(proj.indices, row, proj.starts[i], proj.stops[i])


@back_over.register(DenseShard)
def dense_shard_back_over(proj, row, values, out, wanted):
    return None  # rules that go back over synapses need the adjoints of all neurons: they are not run by teams


@back_over.register(SparseShard)
def sparse_shard_back_over(proj, row, values, out, wanted):
    return None


@kernel
def _split_rows(indptr, indices, borders, out):
    """out[m, i] : the first entry of row i whose target is not below borders[m]; targets of a row are sorted."""
    for m in range(borders.shape[0]):
        for i in range(indptr.shape[0] - 1):
            low, high = indptr[i], indptr[i + 1]
            while low < high:
                middle = (low + high) // 2
                if indices[middle] < borders[m]:
                    low = middle + 1
                else:
                    high = middle
            out[m, i] = low


def split_again(proj: SparseProjection, shards: list[SparseShard], n_post: int) -> None:
    """Bring the shards of a CSR projection up to date, in place, after synapses have moved."""
    borders = np.array([shard.first for shard in shards] + [n_post])
    starts = np.empty((borders.size, proj.indptr.size - 1), np.int64)
    _split_rows(proj.indptr, proj.indices, borders, starts)
    for m, shard in enumerate(shards):
        shard.starts[:], shard.stops[:] = starts[m], starts[m + 1]


def shards_of(proj: Any, borders: np.ndarray) -> list[Any]:
    """A projection onto neurons borders[m] .. borders[m + 1] - 1, for each m."""
    lows = borders[:-1].tolist()
    if not isinstance(proj, SparseProjection):
        return [DenseShard(proj.n_pre, proj.n_post, lo, int(hi) - lo) for lo, hi in zip(lows, borders[1:], strict=True)]
    starts = np.empty((borders.size, proj.indptr.size - 1), np.int64)
    _split_rows(proj.indptr, proj.indices, borders, starts)
    return [SparseShard(starts[m], starts[m + 1], proj.indices, lo) for m, lo in enumerate(lows)]
