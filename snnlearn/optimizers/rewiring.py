"""DEEP R: sparse matrices that rewire while they learn (Bellec, Kappel, Maass & Legenstein 2018, arXiv 1711.05136).

After an update u that is a multiple of `every`, once the optimizer has changed the weights: with s = +1 or -1, the sign that a
synapse keeps, and eta, the sum of the learning rates of the last `every` updates,

    w   <- w - eta l1 s + sqrt(2 eta temperature) nu                                                    (1)
    s w < 0: the synapse dies; else w <- min(max(w, low), high), the optimizer's bounds                 (2)
    for each that has died one is born at a free place of the same matrix, all equally likely: w = 0, s a coin            (3)

Places that synapses have died at are free from the next time on. Where more would die than places are free, those that are
last in the order of rows stay, with w = 0. With `every=1` this is the paper's algorithm 1. A step of Adam replaces -eta g there:
l1 and noise stay apart from the moments, as weight decay does.

nu has mean 0 and variance 1: the sum of eight numbers of 16 bits, S, of which four are of a word (`random_numbers.py`),

    nu = (S - 4 (2^16 - 1)) / sqrt(8 (2^32 - 1) / 12)                                                   (4)

of the words 2 p and 2 p + 1 under the key (seed, matrix, u), with the place p = pre n_post + post and matrix 0 for w_in, 1 for
w_rec; new places are ranks among the free ones, distinct words under (seed, 2 + matrix, u) modulo their number; the coin of a
place is the highest bit of its word p under (seed, 4 + matrix, u). Nothing depends on threads, and no generator has a state.
The signs at the beginning are those of the weights; of those that are zero, coins with u = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import _check
from ..compiler.dispatch import kernel
from .random_numbers import GOLDEN, mix, words

SPREAD = 1.0 / math.sqrt(8 * (2.0**32 - 1) / 12)


@dataclass(frozen=True)
class DeepR:
    """Rewiring by DEEP R (Bellec et al. 2018): synapses that would change their sign die, as many are born elsewhere.

    l1 : how fast weights shrink towards zero, times the learning rate, per update
    temperature : of the random walk of the weights: its variance per update is 2 lr temperature
    every : updates between two rewirings; l1 and noise of all of them come at once. In between a weight may pass zero

    Concerns the recurrent and input matrices that are `Sparse` and learn, as `Simulator(rewiring=...)`: each keeps its number
    of synapses, and no neuron becomes its own source unless the connectivity has `self_connections`. A synapse keeps its sign for
    life. Moments, sums and traces move with their synapses, and are zero for new ones. Raises ValueError or TypeError that names
    the parameter.

    >>> import numpy as np
    >>> import snnlearn as sl
    >>> net = sl.Network(3, sl.LIF(20, threshold=0.5), 2, recurrent=sl.Sparse(indegree=4))
    >>> sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(1e-2), rewiring=sl.DeepR(l1=1e-2, temperature=0.1))
    >>> before = sim.weights.w_rec.indices.copy()
    >>> run = sim.run(np.ones((50, 3)), np.zeros((50, 2)))
    >>> before.size == sim.weights.w_rec.nnz and not np.array_equal(before, sim.weights.w_rec.indices)
    True
    """

    l1: float = 1e-4
    temperature: float = 0.0
    every: int = 1

    def __post_init__(self) -> None:
        for name in ("l1", "temperature"):
            value = _check.number(f"DeepR.{name}", getattr(self, name), "be a number, not negative", low=0.0)
            object.__setattr__(self, name, value)
        every = _check.integer("DeepR.every", self.every, "be a positive number of updates", low=1)
        object.__setattr__(self, "every", every)


class Walk(NamedTuple):
    """Equations (1) and (2) of one rewiring of one matrix."""

    key: np.uint64  # of the noise
    n_post: int
    shrink: float  # eta l1
    spread: float  # sqrt(2 eta temperature) times that of (4); 0: no noise
    low: float  # bounds
    high: float


@kernel
def walk(w, signs, indptr, indices, step):
    """One step of the weights, in place; returns how many synapses are to die, which are those whose s w is negative."""
    dying, g = 0, np.uint64(GOLDEN)
    half, one = np.uint64(0xFFFF), np.uint64(1)
    for i in range(indptr.shape[0] - 1):
        for k in range(indptr[i], indptr[i + 1]):
            s = np.float64(signs[k])
            x = np.float64(w[k]) - step.shrink * s  # (1)
            if step.spread > 0:
                first = np.uint64(i) * np.uint64(step.n_post) + np.uint64(indices[k])
                first = step.key + (first + first + one) * g
                a, b = mix(first), mix(first + g)
                total = (a & half) + ((a >> np.uint64(16)) & half) + ((a >> np.uint64(32)) & half) + (a >> np.uint64(48))
                total += (b & half) + ((b >> np.uint64(16)) & half) + ((b >> np.uint64(32)) & half) + (b >> np.uint64(48))
                x += step.spread * (np.float64(total) - 262140.0)  # (4)
            w[k] = x
            if w[k] * w.dtype.type(signs[k]) < 0:
                dying += 1
            else:
                w[k] = min(max(w[k], w.dtype.type(step.low)), w.dtype.type(step.high))  # (2)
    return dying


@kernel
def dying(w, signs, dead):
    """The first entries whose sign is not their synapse's, into dead (k,); those beyond are set to zero."""
    count = 0
    for k in range(w.shape[0]):
        if w[k] * w.dtype.type(signs[k]) < 0:
            if count < dead.shape[0]:
                dead[count] = k
            else:
                w[k] = 0
            count += 1


def coins(key: np.uint64, places: np.ndarray, low: float, high: float) -> np.ndarray:
    """Signs of new synapses, int8: coins, unless the bounds leave one sign alone."""
    if low >= 0 or high <= 0:
        return np.full(places.size, 1 if low >= 0 else -1, np.int8)
    return np.where(words(key, places) >> np.uint64(63) != 0, 1, -1).astype(np.int8)


def spread_of(eta: float, temperature: float) -> float:
    """The factor of the centred sum in (4)."""
    return math.sqrt(2.0 * eta * temperature) * SPREAD


def fits(spec: DeepR, dtype: Any) -> None:
    """ValueError where a number is too large for the weights."""
    for name in ("l1", "temperature"):
        _check.fits(f"DeepR.{name}", getattr(spec, name), dtype)
