"""Weights as users have them, matrices [pre, post], and as kernels see them, flat."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy import sparse

from .. import _check
from ..compiler.dispatch import SOURCE, kernel, summing
from ..compiler.memory import zeros

WEIGHT_NAMES = ("w_in", "w_rec", "w_out", "b_out")


class TakesWeights(Protocol):
    """A network, as far as its weights go."""

    @property
    def n_inputs(self) -> int:
        """Input channels."""

    @property
    def n(self) -> int:
        """Neurons."""

    @property
    def n_outputs(self) -> int:
        """Readouts."""

    def check_weights(self, weights: Any) -> Weights:
        """The weights, checked. Raises ValueError or TypeError."""


class Weights(NamedTuple):
    """Weights, a gradient, or an optimizer's moments. Dense arrays, or csr_array where connectivity is sparse."""

    w_in: Any  # [n_inputs, n]
    w_rec: Any  # [n, n]
    w_out: np.ndarray  # [n, n_out]
    b_out: np.ndarray  # [n_out]

    def __repr__(self) -> str:
        return _check.brief(self)

    @classmethod
    def load(cls, path: Any, update: int | None = None, net: TakesWeights | None = None) -> Weights:
        """The weights of a recording, for `Simulator(net, weights=...)` or `Simulator.set_weights`.

        path : a recording with snapshots (`Recorder(weights_every=...)`), or an open `Recording`
        update : after so many updates; None: the last snapshot
        net : check that the weights fit this network

        Raises as `open_recording` does, KeyError where there are no weights, IndexError that lists the updates with a
        snapshot, and ValueError that names both shapes where they do not fit `net`.
        """
        recording = import_module("snnlearn.recording")  # the one call that reaches up: a convenience that reads a file
        if not isinstance(path, recording.Recording):
            with recording.open_recording(path) as opened:
                return cls.load(opened, update, net)
        weights = cls(**path.weights(update)._asdict())
        if net is not None:
            shapes = ((net.n_inputs, net.n), (net.n, net.n), (net.n, net.n_outputs), (net.n_outputs,))
            for name, w, shape in zip(cls._fields, weights, shapes, strict=True):
                if w.shape != shape:
                    hint = f"{path.path} is of a network with {path.n_neurons} neurons and {path.n_outputs} outputs"
                    raise _check.fail(f"Weights.load.{name}", f"have shape {shape} for this network", w.shape, hint)
            return net.check_weights(weights)
        return weights


class FlatWeights(NamedTuple):
    """The same as kernels see them: one flat array a matrix, rows by presynaptic neuron."""

    w_in: np.ndarray  # [synapses]
    w_rec: np.ndarray  # [synapses]
    w_out: np.ndarray  # [n * n_out]
    b_out: np.ndarray  # [n_out]
    feedback: np.ndarray  # [n * n_out], the B of the learning signal; unused entries: size 0


def flatten(weights: Weights, dtype: Any, feedback: np.ndarray | None = None) -> FlatWeights:
    """A copy of the weights in the form of kernels; ValueError where they are too large for this dtype."""
    values = [w.data if sparse.issparse(w) else w for w in weights]
    values.append(np.empty(0) if feedback is None else feedback)
    for name, v in zip((*WEIGHT_NAMES, "feedback"), values, strict=True):
        _check.fits(f"weights.{name}" if name != "feedback" else name, v, dtype)
    return FlatWeights(*(_copy(v, dtype) for v in values))


def _copy(values: Any, dtype: Any) -> np.ndarray:
    flat = zeros(values.size, dtype)
    flat[:] = values.reshape(-1)
    return flat


def unflatten(flat: Any, like: Weights, copy: bool = True) -> Weights:
    """Public arrays [pre, post] (or csr_array) of a FlatWeights; read-only."""
    result = []
    for values, shape_of in zip(flat[:4], like, strict=True):
        values = values.copy() if copy else values.view()
        values.flags.writeable = False
        if sparse.issparse(shape_of):
            result.append(sparse.csr_array((values, shape_of.indices, shape_of.indptr), shape=shape_of.shape))
        else:
            result.append(values.reshape(shape_of.shape))
    return Weights(*result)


def norm(flat: np.ndarray) -> float:
    """Euclidean norm of a contiguous array, summed in float64."""
    return math.sqrt(_sum_of_squares(flat))


@kernel
def _sum_of_squares(flat, source=SOURCE):
    return square_sum(flat)


@summing
def square_sum(flat):
    """Sum of the squares of a flat array, in float64."""
    total = 0.0
    for s in range(flat.shape[0]):
        total += np.float64(flat[s]) * np.float64(flat[s])
    return total


def zeros_like(flat: FlatWeights, groups: int) -> FlatWeights:
    """Accumulators of the same sizes with a leading axis; the feedback's is not kept."""
    return FlatWeights(*(zeros((groups, 0 if w is flat.feedback else w.size), w.dtype) for w in flat))
