"""Which synapses exist: dense, masked and sparse, for recurrent and input connections alike.

Every per-synapse array of the package (weights, traces, gradients, optimizer moments) is flat, rows by
presynaptic neuron: row i holds the synapses from i to its targets. A projection tells where row i starts
and which neuron a position in it belongs to. For dense connectivity that is arithmetic; for sparse
connectivity it is CSR (rows = pre, columns sorted).

Masked connectivity is stored dense; its absent synapses are held at zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from .. import _check
from ..compiler.dispatch import device, distinct, generic, inlined, summing
from ..compiler.intrinsics import prefetch
from .random_structure import draw_sparse

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
    _add(out, scale, row[start : start + proj.n_post])


@distinct
def _add(out, scale, values):
    for k in range(values.shape[0]):
        out[k] += scale * values[k]


@add_row.register(SparseProjection)
def sparse_projection_add_row(proj, i, scale, row, out):
    for s in range(proj.indptr[i], proj.indptr[i + 1]):
        out[proj.indices[s]] += scale * row[s]


@generic(1)
def fetch_row(proj, i, row):
    """Ask for row i of the flat array `row` from memory, where the processor does not foresee that it is read next."""


@fetch_row.register(DenseProjection)
def dense_projection_fetch_row(proj, i, row):
    start = i * proj.n_post
    for s in range(start, start + min(proj.n_post, FETCHED), LINE):
        prefetch(row, s)


@fetch_row.register(SparseProjection)
def sparse_projection_fetch_row(proj, i, row):
    fetch_stretch(proj.indices, row, proj.indptr[i], proj.indptr[i + 1])


@inlined
def fetch_stretch(indices, row, start, stop):
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
    _add(row[start : start + proj.n_post], scale, values)


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


@dataclass(frozen=True)
class Dense:
    """All-to-all connectivity. `self_connections` concerns recurrent connections only. Raises TypeError unless it is a bool."""

    self_connections: bool = False

    def __post_init__(self) -> None:
        _check.flag("Dense.self_connections", self.self_connections)

    def validate(self, where: str, n_pre: int, n_post: int) -> None:
        """Nothing depends on the sizes."""

    def absent(self, n_pre: int, n_post: int, recurrent: bool) -> np.ndarray:
        """Flat positions of the synapses that do not exist, int64."""
        if recurrent and not self.self_connections:
            return np.arange(n_pre, dtype=np.int64) * (n_post + 1)
        return np.empty(0, np.int64)

    def draw(self, rng: np.random.Generator, n_pre: int, n_post: int, recurrent: bool) -> np.ndarray:
        """Weights [pre, post] ~ N(0, 1)/sqrt(in-degree), 0 where absent."""
        weights = rng.standard_normal((n_pre, n_post))
        absent = self.absent(n_pre, n_post, recurrent)
        weights.reshape(-1)[absent] = 0.0
        in_degree = n_pre - np.bincount(absent % n_post, minlength=n_post)
        return weights / np.sqrt(np.maximum(in_degree, 1))


@dataclass(frozen=True, eq=False)
class Masked:
    """Connectivity by an array; stored dense, weights may be given dense or as csr_array.

    mask : bool [pre, post], or a sparse one; True where a synapse exists

    Raises TypeError for anything else, and ValueError in `Network` where its shape does not fit.
    """

    mask: Any

    def __post_init__(self) -> None:
        where, need, mask = "Masked.mask", "be a bool array [pre, post]", self.mask
        mask = _check.csr(where, mask).toarray() if sparse.issparse(mask) else _check.numbers(where, mask, need)
        if mask.ndim != 2 or mask.dtype != np.bool_:
            raise _check.fail(where, need, mask, error=TypeError)
        mask = np.ascontiguousarray(mask).copy()
        mask.flags.writeable = False
        object.__setattr__(self, "mask", mask)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Masked) and np.array_equal(self.mask, other.mask)

    def __hash__(self) -> int:
        return hash(self.mask.tobytes())

    def __repr__(self) -> str:
        return f"Masked({self.mask.shape[0]}x{self.mask.shape[1]}, {int(self.mask.sum())} synapses)"

    def validate(self, where: str, n_pre: int, n_post: int) -> None:
        """Raises ValueError where the mask does not fit."""
        if self.mask.shape != (n_pre, n_post):
            raise _check.fail(f"{where}=Masked.mask", f"have shape ({n_pre}, {n_post}), [pre, post]", self.mask.shape)

    def absent(self, n_pre: int, n_post: int, recurrent: bool) -> np.ndarray:
        """Flat positions of the synapses that do not exist, int64."""
        return np.flatnonzero(~self.mask)

    def draw(self, rng: np.random.Generator, n_pre: int, n_post: int, recurrent: bool) -> np.ndarray:
        """Weights [pre, post] ~ N(0, 1)/sqrt(in-degree), 0 where absent."""
        weights = np.where(self.mask, rng.standard_normal((n_pre, n_post)), 0.0)
        return weights / np.sqrt(np.maximum(self.mask.sum(axis=0), 1))


@dataclass(frozen=True)
class Sparse:
    """Random connectivity, stored as CSR; exactly one of the two.

    indegree : synapses that each neuron receives, from distinct sources
    density : probability of a synapse
    self_connections : whether a recurrent neuron may be its own source

    The seed of `Network.init_weights` draws which synapses exist; weights given by the user may have any
    structure of the right shape. Raises ValueError or TypeError that names the parameter.
    """

    indegree: int | None = None
    density: float | None = None
    self_connections: bool = False

    def __post_init__(self) -> None:
        _check.flag("Sparse.self_connections", self.self_connections)
        if (self.indegree is None) == (self.density is None):
            raise _check.fail("Sparse", "have either indegree or density", f"indegree={self.indegree}, density={self.density}")
        if self.indegree is not None:
            need = "be a positive number of synapses a neuron"
            object.__setattr__(self, "indegree", _check.integer("Sparse.indegree", self.indegree, need, low=1))
        else:
            need = "be a probability above 0, at most 1"
            object.__setattr__(self, "density", _check.number("Sparse.density", self.density, need, 0.0, 1.0, strict=True))

    def validate(self, where: str, n_pre: int, n_post: int) -> None:
        """Raises ValueError where there are fewer sources than the in-degree."""
        sources = n_pre - (where == "Network.recurrent" and not self.self_connections)
        if self.indegree is not None and self.indegree > sources:
            raise _check.fail(f"{where}=Sparse.indegree", f"be at most {sources}, the number of sources", self.indegree)

    def absent(self, n_pre: int, n_post: int, recurrent: bool) -> np.ndarray:
        """Empty: CSR stores only what exists."""
        return np.empty(0, np.int64)

    def draw(self, rng: np.random.Generator, n_pre: int, n_post: int, recurrent: bool) -> sparse.csr_array:
        """Structure and weights ~ N(0, 1)/sqrt(in-degree) as csr_array [pre, post]; O(synapses) memory."""
        skip_self = recurrent and not self.self_connections
        return draw_sparse(rng, n_pre, n_post, self.indegree, self.density, skip_self)


def synapses_of(connectivity: Any, n_pre: int, n_post: int) -> int:
    """Number of synapses, expected where it is drawn."""
    if isinstance(connectivity, Sparse):
        if connectivity.indegree is not None:
            return connectivity.indegree * n_post
        return int(float(connectivity.density or 0.0) * n_pre * n_post)
    if isinstance(connectivity, Masked):
        return int(connectivity.mask.sum())
    return n_pre * n_post
