"""How the synapses of a matrix are stored, and the kernels that walk along its rows.

Every per-synapse array of the package (weights, traces, gradients, optimizer moments) is flat, rows by
presynaptic neuron: row i holds the synapses from i to its targets. A projection tells where row i starts
and which neuron a position in it belongs to. For dense connectivity that is arithmetic; for sparse
connectivity it is CSR (rows = pre, columns sorted).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from ..compiler.dispatch import device, distinct, generic, inlined, summing
from ..compiler.intrinsics import prefetch

LINE = 16  # entries of four bytes in a cache line
FETCHED = 256  # entries of a row that are asked for ahead; the processor foresees the rest
AHEAD = 2  # rows between the one that is asked for and the one that is worked on


class DenseProjection(NamedTuple):
    """All-to-all: row i is the n_post entries from i * n_post."""

    n_pre: int
    n_post: int

    def longest(self) -> int:
        """Entries of the longest row."""
        return self.n_post


class SparseProjection(NamedTuple):
    """CSR: row i is the entries indptr[i] .. indptr[i+1], with targets indices[...]."""

    indptr: np.ndarray  # int64 [n_pre + 1]
    indices: np.ndarray  # int32 [n_synapses]

    def longest(self) -> int:
        """Entries of the longest row."""
        return int(np.diff(self.indptr).max(initial=1))


def projection(matrix: Any) -> DenseProjection | SparseProjection:
    """How the synapses of a matrix [pre, post] are stored: dense, or as CSR where it is a scipy.sparse matrix."""
    if sparse.issparse(matrix):
        return SparseProjection(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32))
    return DenseProjection(*(int(s) for s in matrix.shape))


@generic(1)
def row_start(proj, i):
    """Where row i starts in a flat array."""


@row_start.register(DenseProjection)
def dense_projection_row_start(proj, i):
    return i * proj.n_post


@row_start.register(SparseProjection)
def sparse_projection_row_start(proj, i):
    return proj.indptr[i]


@generic(1)
def row_stop(proj, i):
    """Where row i ends in a flat array."""


@row_stop.register(DenseProjection)
def dense_projection_row_stop(proj, i):
    return (i + 1) * proj.n_post


@row_stop.register(SparseProjection)
def sparse_projection_row_stop(proj, i):
    return proj.indptr[i + 1]


@generic(1)
def target(proj, start, k):
    """The postsynaptic neuron of entry k of the row that starts at `start`."""


@target.register(DenseProjection)
def dense_projection_target(proj, start, k):
    return k


@target.register(SparseProjection)
def sparse_projection_target(proj, start, k):
    return proj.indices[start + k]


@generic(1)
def n_pre(proj):
    """Number of rows."""


@n_pre.register(DenseProjection)
def dense_projection_n_pre(proj):
    return proj.n_pre


@n_pre.register(SparseProjection)
def sparse_projection_n_pre(proj):
    return proj.indptr.shape[0] - 1


@generic(1)
def add_row(proj, i, scale, row, out):
    """out[target] += scale * row entry, over row i of the flat array `row`: delivery of a spike. In place."""


@add_row.register(DenseProjection)
def dense_projection_add_row(proj, i, scale, row, out):
    start = i * proj.n_post
    add_scaled(out, scale, row[start : start + proj.n_post])


@distinct
def add_scaled(out, scale, values):
    for k in range(values.shape[0]):
        out[k] += scale * values[k]


@add_row.register(SparseProjection)
def sparse_projection_add_row(proj, i, scale, row, out):
    for s in range(proj.indptr[i], proj.indptr[i + 1]):
        out[proj.indices[s]] += scale * row[s]


@generic(1)
def prefetch_row(proj, i, row):
    """Ask for row i of the flat array `row` from memory, where the processor does not foresee that it is read next."""


@prefetch_row.register(DenseProjection)
def dense_projection_prefetch_row(proj, i, row):
    start = i * proj.n_post
    for s in range(start, start + min(proj.n_post, FETCHED), LINE):
        prefetch(row, s)


@prefetch_row.register(SparseProjection)
def sparse_projection_prefetch_row(proj, i, row):
    prefetch_entries(proj.indices, row, proj.indptr[i], proj.indptr[i + 1])


@inlined
def prefetch_entries(indices, row, start, stop):
    """Ask for the first entries from `start` on."""
    for s in range(start, min(stop, start + FETCHED), LINE):
        prefetch(indices, s)
        prefetch(row, s)


@generic(1)
def add_to_row(proj, i, scale, values, row):
    """row entry += scale * values[target], over row i of the flat array `row`: gradient of an arrival. In place."""


@add_to_row.register(DenseProjection)
def dense_projection_add_to_row(proj, i, scale, values, row):
    start = i * proj.n_post
    add_scaled(row[start : start + proj.n_post], scale, values)


@add_to_row.register(SparseProjection)
def sparse_projection_add_to_row(proj, i, scale, values, row):
    for s in range(proj.indptr[i], proj.indptr[i + 1]):
        row[s] += scale * values[proj.indices[s]]


SHARING = 4  # vectors at most that one pass of `back_over` takes back


@generic(1)
def back_over(proj, row, values, out, wanted):
    """out[m, i] += sum over row i of row entry * values[m, target], for i in `wanted`: adjoints m going back over the synapses.

    values : (m, n_post), 1 to SHARING of them, which share one pass over the flat array `row`; out : (m, n_pre), in place
    """


@back_over.register(DenseProjection)
def dense_projection_back_over(proj, row, values, out, wanted):
    m, n_post = values.shape
    if m == 1:
        _product(row, values[0], out[0], wanted)
        return
    pairs = wanted.shape[0] - wanted.shape[0] % 2
    a, b, c, d = values[0], values[1], values[min(2, m - 1)], values[m - 1]  # they stay in L1 while the rows stream by
    for e in range(0, pairs, 2):
        i, l = wanted[e], wanted[e + 1]
        sums = tile(row[i * n_post : (i + 1) * n_post], row[l * n_post : (l + 1) * n_post], a, b, c, d)
        out[0, i] += sums[0]
        out[1, i] += sums[1]
        out[0, l] += sums[4]
        out[1, l] += sums[5]
        if m > 2:
            out[2, i] += sums[2]
            out[2, l] += sums[6]
        if m > 3:
            out[3, i] += sums[3]
            out[3, l] += sums[7]
    if pairs < wanted.shape[0]:
        i = wanted[pairs]
        for k in range(m):
            out[k, i] += _dot(row[i * n_post : (i + 1) * n_post], values[k])


@back_over.register(SparseProjection)
def sparse_projection_back_over(proj, row, values, out, wanted):
    indices = proj.indices
    for e in range(wanted.shape[0]):
        i = wanted[e]
        start, stop = proj.indptr[i], proj.indptr[i + 1]
        for k in range(values.shape[0]):
            out[k, i] += _gather_dot(row[start:stop], indices[start:stop], values[k])


@summing
def tile(x, y, a, b, c, d):
    """Eight dot products: of x with a, b, c, d, then of y with them."""
    x0 = x1 = x2 = x3 = y0 = y1 = y2 = y3 = x.dtype.type(0)
    for k in range(x.shape[0]):
        x0 += x[k] * a[k]
        x1 += x[k] * b[k]
        x2 += x[k] * c[k]
        x3 += x[k] * d[k]
        y0 += y[k] * a[k]
        y1 += y[k] * b[k]
        y2 += y[k] * c[k]
        y3 += y[k] * d[k]
    return x0, x1, x2, x3, y0, y1, y2, y3


@summing
def dot4(shared, a, b, c, d):
    """Four dot products of vectors with one that they share."""
    s0 = s1 = s2 = s3 = shared.dtype.type(0)
    for k in range(shared.shape[0]):
        x = shared[k]
        s0 += x * a[k]
        s1 += x * b[k]
        s2 += x * c[k]
        s3 += x * d[k]
    return s0, s1, s2, s3


@summing
def _dot(a, b):
    total = a.dtype.type(0)
    for k in range(a.shape[0]):
        total += a[k] * b[k]
    return total


@summing
def _gather_dot(a, index, b):
    total = a.dtype.type(0)
    for k in range(a.shape[0]):
        total += a[k] * b[index[k]]
    return total


@device
def _product(row, values, out, wanted):
    """out += matrix @ values for these rows of the flat matrix `row`; four rows share the loads of values."""
    n_post = values.shape[0]
    whole = wanted.shape[0] - wanted.shape[0] % 4
    for e in range(0, whole, 4):
        i0, i1, i2, i3 = wanted[e], wanted[e + 1], wanted[e + 2], wanted[e + 3]
        r0, r1 = row[i0 * n_post : (i0 + 1) * n_post], row[i1 * n_post : (i1 + 1) * n_post]
        r2, r3 = row[i2 * n_post : (i2 + 1) * n_post], row[i3 * n_post : (i3 + 1) * n_post]
        s0, s1, s2, s3 = dot4(values, r0, r1, r2, r3)
        out[i0] += s0
        out[i1] += s1
        out[i2] += s2
        out[i3] += s3
    for e in range(whole, wanted.shape[0]):
        i = wanted[e]
        out[i] += _dot(row[i * n_post : (i + 1) * n_post], values)
