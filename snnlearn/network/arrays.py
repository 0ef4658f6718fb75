"""A network as kernels see it, beside the values of its weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from .projections import SparseProjection
from .weights import FlatWeights, Weights, unflatten


class NetArrays(NamedTuple):
    """What does not change while a network runs."""

    params: Any  # LIFParams, ALIFParams, ...
    proj_in: Any
    proj_rec: Any
    kappa: float
    scale: float
    noise: np.ndarray  # [n] standard deviation, or [0] without noise
    absent_in: np.ndarray  # int64, flat positions of synapses that do not exist
    absent_rec: np.ndarray
    initial: np.ndarray  # [D, n] hidden state before the first step
    delay: int
    n: int
    n_out: int
    n_hidden: int  # D
    n_local: int
    one_alpha: bool  # all neurons of the network share the decay of the membrane potential
    one_zeta: bool  # and the weight of what arrives


def structure(flat: FlatWeights, weights: Weights, arrays: NetArrays) -> Weights:
    """Matrices of the shapes and structures of `weights` that hold no memory of their own: views of kernels' arrays."""
    like: list[Any] = list(weights)
    for m, proj in enumerate((arrays.proj_in, arrays.proj_rec)):
        if isinstance(proj, SparseProjection):
            fits = proj.indices.size <= np.iinfo(np.int32).max  # scipy takes both of one type, or copies
            indices = proj.indices.view() if fits else proj.indices.astype(np.int64)
            indptr = proj.indptr.astype(indices.dtype)
            indices.flags.writeable = indptr.flags.writeable = False
            like[m] = sparse.csr_array((flat[m], indices, indptr), shape=weights[m].shape)
    return unflatten(flat, Weights(*like), copy=False)
