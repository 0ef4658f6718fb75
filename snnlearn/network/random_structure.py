"""Random structures of sparse connectivity, drawn in memory of the order of their synapses."""

from __future__ import annotations

import numpy as np
from scipy import sparse

CHUNK = 2**20  # entries that are worked on at a time where a copy of all would cost memory


def draw_sparse(
    rng: np.random.Generator, n_pre: int, n_post: int, indegree: int | None, density: float | None, skip_self: bool
) -> sparse.csr_array:
    """Structure, by in-degree or density, and weights ~ N(0, 1)/sqrt(in-degree), [pre, post]; O(synapses) memory.

    skip_self : no neuron is its own source
    """
    sources = n_pre - skip_self
    if indegree is not None and 2 * indegree <= sources:
        pre = _fixed_indegree(rng, sources, n_post, indegree)
        if skip_self:  # sources are numbered without the neuron itself
            pre += pre >= np.arange(n_post, dtype=np.int32)[:, None]
        columns = np.arange(n_post + 1) * indegree
        if pre.size <= np.iinfo(np.int32).max:  # as the indices: else those are copied into 64 bits
            columns = columns.astype(np.int32)
        by_post = sparse.csc_array((np.ones(pre.size, np.int8), pre.reshape(-1), columns), shape=(n_pre, n_post))
    else:
        if indegree is not None:
            pre, post = _of_most(rng, sources, n_post, indegree)
        else:
            pre, post = _bernoulli(rng, sources, n_post, float(density or 0.0))
        if skip_self:
            pre += pre >= post
        by_post = sparse.csc_array((np.ones(pre.size, np.int8), (pre, post)), shape=(n_pre, n_post))
        del post
    scale = np.sqrt(np.diff(by_post.indptr))
    matrix = by_post.tocsr()  # rows sorted
    del pre, by_post
    matrix.data = rng.standard_normal(matrix.nnz)
    for first in range(0, matrix.nnz, CHUNK):
        matrix.data[first : first + CHUNK] /= scale[matrix.indices[first : first + CHUNK]]
    return matrix


def _of_most(rng: np.random.Generator, sources: int, n_post: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Most of the sources for every neuron: all but those that are drawn."""
    kept = np.ones((n_post, sources), bool)
    if k < sources:
        np.put_along_axis(kept, _fixed_indegree(rng, sources, n_post, sources - k), False, axis=1)
    post, pre = np.nonzero(kept)
    return pre.astype(np.int32), post.astype(np.int32)


def _fixed_indegree(rng: np.random.Generator, sources: int, n_post: int, k: int) -> np.ndarray:
    """k distinct sources for every neuron, [n_post, k] in order, by redrawing what repeats; for k up to half the sources."""
    pre = rng.integers(0, sources, (n_post, k), dtype=np.int32)
    pre.sort(axis=1)
    waiting = np.arange(n_post)
    while True:
        found = [rows[_repeats(pre[rows]).any(axis=1)] for rows in np.array_split(waiting, 1 + waiting.size * k // CHUNK)]
        waiting = np.concatenate(found)
        if not waiting.size:
            return pre
        drawn = pre[waiting]
        again = _repeats(drawn)
        drawn[again] = rng.integers(0, sources, int(again.sum()), dtype=np.int32)
        drawn.sort(axis=1)
        pre[waiting] = drawn


def _repeats(drawn: np.ndarray) -> np.ndarray:
    """Entries of sorted rows that equal the one before."""
    repeats = np.zeros(drawn.shape, bool)
    repeats[:, 1:] = drawn[:, 1:] == drawn[:, :-1]
    return repeats


def _bernoulli(rng: np.random.Generator, sources: int, n_post: int, p: float) -> tuple[np.ndarray, np.ndarray]:
    """Every pair with probability p, by geometric gaps over the pairs in row order."""
    cells, position, found = sources * n_post, -1, []
    while position < cells:
        expected = (cells - position) * p
        gaps = rng.geometric(p, int(expected + 6 * np.sqrt(expected) + 16))
        found.append(position + np.cumsum(gaps))
        position = int(found[-1][-1])
    cell = np.concatenate(found)
    cell = cell[cell < cells]
    return (cell // n_post).astype(np.int32), (cell % n_post).astype(np.int32)
