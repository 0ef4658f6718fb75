"""Which synapses exist: `Dense`, `Masked` and `Sparse`, for recurrent and input connections alike.

Masked connectivity is stored dense; its absent synapses are held at zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from .. import _check
from .random_structure import draw_sparse


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
