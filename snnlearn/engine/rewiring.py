"""Rewires the sparse matrices of an engine after updates, with all that is kept for their synapses (`optimizers/rewiring.py`).

What has a number a synapse is moved in place: weights, signs, moments, sums for alignments, traces that rules carry from
interval to interval. Accumulators of the gradient are zero after an update. What else comes from the structure is brought up to
date: rows of threads that share neurons, the public view; workspaces of rules whose arrays cannot follow are made anew, which
only happens between trials (`check_rewiring`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from .. import _check
from .._interrupts import shielded
from ..network.arrays import NetArrays
from ..network.connectivity import Sparse
from ..network.network import Network
from ..network.projections import SparseProjection
from ..network.rewire import Move, free_places, move_synapses, places
from ..network.shards import split_again
from ..network.weights import FlatWeights, Weights
from ..optimizers.optimizers import Optimizer, OptimizerArrays
from ..optimizers.random_numbers import distinct, key_of
from ..optimizers.rewiring import DeepR, Walk, coins, dying, fits, spread_of, walk
from ..rules import Rule
from ..rules.engines.passive import synapse_traces
from .schedule import STREAM, TRIALS
from .workspace import Workspaces

MATRICES = (("w_in", "inputs"), ("w_rec", "recurrent"))


class Holder(Protocol):
    """Who holds what is moved: an engine."""

    net: Network
    arrays: NetArrays
    weights: FlatWeights
    like: Weights
    optimizer: Optimizer | None
    opt: OptimizerArrays
    rules: tuple[Rule, ...]
    total: FlatWeights
    passive_grads: list[FlatWeights]
    workspaces: Workspaces
    dtype: np.dtype


class Changes(NamedTuple):
    """What one rewiring has changed in one matrix."""

    update: int  # updates so far
    matrix: int  # 0: w_in, 1: w_rec
    died: np.ndarray  # int64 [k, 2] (pre, post)
    born: np.ndarray  # int64 [k, 2]
    signs: np.ndarray  # int8 [k] of those that are born

    def columns(self) -> dict[str, np.ndarray]:
        """Deaths and births as columns [2 k] of a recording."""
        k = len(self.born)
        pairs = np.concatenate([self.died, self.born])
        return {
            "update": np.full(2 * k, self.update),
            "matrix": np.full(2 * k, self.matrix),
            "pre": pairs[:, 0],
            "post": pairs[:, 1],
            "born": np.repeat([0, 1], k),
            "sign": np.append(np.zeros(k, np.int8), self.signs),
        }


class Rewired(NamedTuple):
    """A matrix that is rewired."""

    name: str
    number: int
    proj: SparseProjection
    n_post: int
    skip_self: bool
    weights: np.ndarray  # [synapses]
    signs: np.ndarray  # int8 [synapses]
    low: float
    high: float


def check_rewiring(
    where: str, rewiring: Any, net: Network, rules: Sequence[Rule], optimizer: Optimizer | None, interval: int | None
) -> None:
    """TypeError or ValueError unless this rewires such a network and works with these rules and this interval."""
    if rewiring is None:
        return
    if not isinstance(rewiring, DeepR):
        raise _check.fail(f"{where}.rewiring", "be of class DeepR", rewiring, error=TypeError)
    if not rules or optimizer is None:
        raise _check.fail(f"{where}.rewiring", "come with a rule and an optimizer", None)
    kinds = {name: getattr(net, spec) for name, spec in MATRICES}
    if not any(isinstance(kind, Sparse) and name not in net.frozen for name, kind in kinds.items()):
        got = ", ".join(f"{name} {type(kind).__name__}{' frozen' * (name in net.frozen)}" for name, kind in kinds.items())
        raise _check.fail(f"{where}.rewiring", "have a sparse matrix that learns", got, "Network(recurrent=sl.Sparse(...))")
    if interval is not None:
        check_rules(f"{where}.rewiring", rules, interval, streaming=False)


def check_rules(where: str, rules: Sequence[Rule], interval: int | None, streaming: bool) -> None:
    """ValueError where a rule carries something through a trial or stream that cannot move with its synapse."""
    for rule in rules:
        if not rule.rewires(rule.direction(interval, streaming, False)):
            got = f"{type(rule).__name__} in a stream" if streaming else f"{type(rule).__name__}, update_every={interval}"
            need = "come with a rule that carries no influence of synapses on other neurons through rewirings"
            raise _check.fail(where, need, got, "EProp, RFLO and UORO do; with update_every='trial' all rules on trials")


def can_stream(rules: Sequence[Rule], interval: int | None) -> bool:
    """Whether these rules learn in a stream whose synapses move."""
    try:
        check_rules("", rules, interval, streaming=True)
    except ValueError:
        return False
    return True


class Rewirer:
    """Rewires an engine's matrices.

    seed : of noise, new places and signs
    Raises ValueError where all places of its matrices are taken.
    """

    def __init__(self, spec: DeepR, seed: int, engine: Holder):
        self.spec, self.seed, self.engine = spec, seed, engine
        self.changes: list[Changes] = []  # of the run or piece at hand
        fits(spec, engine.dtype)
        self.matrices: list[Rewired] = []
        for m, (name, kind) in enumerate(MATRICES):
            proj = (engine.arrays.proj_in, engine.arrays.proj_rec)[m]
            if not isinstance(proj, SparseProjection) or not engine.opt.learns[m] or not proj.indices.size:
                continue
            skip_self = m == 1 and not getattr(engine.net, kind).self_connections
            values, bounds = engine.weights[m], (float(engine.opt.low[m]), float(engine.opt.high[m]))
            signs = np.sign(values).astype(np.int8)
            found = Rewired(name, m, proj, engine.net.n, skip_self, values, signs, *bounds)
            self._sign(found, np.flatnonzero(signs == 0), 0)
            self.matrices.append(found)
        free = {x.name: int(free_places(x.proj, x.n_post, x.skip_self).sum()) for x in self.matrices}
        if not any(free.values()):
            raise _check.fail("Simulator.rewiring", "have places for synapses that are free", f"{free} free places")

    def due(self, before: int) -> bool:
        """Whether the update that is done since `before` updates were calls for a rewiring."""
        done = int(self.engine.opt.done[0])
        return done != before and done % self.spec.every == 0

    def to_go(self) -> int:
        """Updates until the next rewiring."""
        return self.spec.every - int(self.engine.opt.done[0]) % self.spec.every

    @shielded
    def rewire(self) -> None:
        """Equations (1) to (3) for each matrix."""
        engine, spec = self.engine, self.spec
        done = int(engine.opt.done[0])
        assert engine.optimizer is not None
        eta = float(engine.optimizer.rates(max(0, done - spec.every), min(done, spec.every)).sum())
        moved = False
        for matrix in self.matrices:
            key = key_of(self.seed, matrix.number, done)
            step = Walk(key, matrix.n_post, eta * spec.l1, spread_of(eta, spec.temperature), matrix.low, matrix.high)
            with np.errstate(over="ignore"):  # words wrap around
                count = walk(matrix.weights, matrix.signs, matrix.proj.indptr, matrix.proj.indices, step)
            if count:
                moved |= self._exchange(matrix, count, done)
        if moved:
            for way in [way for way in engine.workspaces if way != STREAM and not self._follows(way)]:
                del engine.workspaces[way]

    def can_adopt(self, name: str, other: Any) -> bool:
        """Whether a matrix is rewired and has as many synapses as another one, a csr_array."""
        return any(x.name == name and x.proj.indices.size == other.indices.size for x in self.matrices)

    @shielded
    def adopt(self, name: str, other: Any) -> None:
        """Take over the structure and signs of a csr_array; what is kept for synapses stays with those that are in both."""
        matrix = next(x for x in self.matrices if x.name == name)
        old, new = (_flat(w.indptr, w.indices, matrix.n_post) for w in (matrix.proj, other))
        born = new[~np.isin(new, old)]
        if born.size:
            self._put(matrix, np.flatnonzero(~np.isin(old, new)), *np.divmod(born, matrix.n_post))
        known = np.sign(other.data).astype(np.int8)
        matrix.signs[known != 0] = known[known != 0]
        self._sign(matrix, np.flatnonzero(matrix.signs == 0), int(self.engine.opt.done[0]))

    def arrays(self) -> dict[str, np.ndarray]:
        """What changes besides what the engine has anyway, by name."""
        result: dict[str, np.ndarray] = {}
        for x in self.matrices:
            parts = {"indptr": x.proj.indptr, "indices": x.proj.indices, "signs": x.signs}
            result |= {f"{x.name}.{part}": array for part, array in parts.items()}
        return result

    def _exchange(self, matrix: Rewired, count: int, done: int) -> bool:
        """Equation (3), where so many synapses are to die; whether any did."""
        free = free_places(matrix.proj, matrix.n_post, matrix.skip_self)
        dead = np.empty(min(count, int(free.sum())), np.int64)
        dying(matrix.weights, matrix.signs, dead)
        if not dead.size:
            return False
        ranks = self._ranks(matrix, int(free.sum()), dead.size, done)
        pre, post = places(matrix.proj, free, matrix.skip_self, ranks)
        died = np.searchsorted(matrix.proj.indptr, dead, side="right") - 1, matrix.proj.indices[dead]
        born = self._put(matrix, dead, pre, post)
        self._sign(matrix, born, done)
        gone, new = (np.stack(pair, axis=1).astype(np.int64) for pair in (died, (pre, post)))
        self.changes.append(Changes(done, matrix.number, gone, new, matrix.signs[born]))
        return True

    def _ranks(self, matrix: Rewired, free: int, n: int, done: int) -> np.ndarray:
        """Ranks of the new synapses among the free places, sorted."""
        return distinct(key_of(self.seed, 2 + matrix.number, done), free, n)

    def _put(self, matrix: Rewired, dead: np.ndarray, pre: np.ndarray, post: np.ndarray) -> np.ndarray:
        """Move synapses, with all that is kept for them; where the new ones are."""
        move: Move = move_synapses(matrix.proj, dead, pre, post)
        for array in self._of_synapses(matrix):
            move.apply(array)
        engine = self.engine
        public: Any = engine.like[matrix.number]
        for own, shown in ((matrix.proj.indptr, public.indptr), (matrix.proj.indices, public.indices)):
            if not np.shares_memory(own, shown):  # of another type
                shown.flags.writeable = True
                shown[:] = own
                shown.flags.writeable = False
        for nets in engine.workspaces.nets.values():
            split_again(matrix.proj, [(net.net.proj_in, net.net.proj_rec)[matrix.number] for net in nets], engine.net.n)
        return move.born

    def _of_synapses(self, matrix: Rewired) -> Iterator[np.ndarray]:
        """All arrays with a number a synapse, each once."""
        engine, name, seen = self.engine, matrix.name, set()
        yield matrix.weights
        yield matrix.signs
        for flat in (engine.opt.first, engine.opt.second, engine.total, *engine.passive_grads):
            yield getattr(flat, name)
        for way, space in engine.workspaces.items():
            if way != STREAM and way[0] == TRIALS:
                continue  # at rest between trials
            for array in synapse_traces(space.rule, name):
                if id(array) not in seen:
                    seen.add(id(array))
                    yield array

    def _follows(self, way: Any) -> bool:
        """Whether the rules' arrays in a workspace are right for every structure."""
        directions = self.engine.workspaces[way].plan.directions
        return directions is None or all(r.rewires(d) for r, d in zip(self.engine.rules, directions, strict=True))

    def _sign(self, matrix: Rewired, at: np.ndarray, done: int) -> None:
        """Draw the signs of synapses."""
        pre = np.searchsorted(matrix.proj.indptr, at, side="right") - 1
        place = pre * matrix.n_post + matrix.proj.indices[at]
        matrix.signs[at] = coins(key_of(self.seed, 4 + matrix.number, done), place, matrix.low, matrix.high)


def _flat(indptr: np.ndarray, indices: np.ndarray, n_post: int) -> np.ndarray:
    """Places of the synapses of a CSR matrix, sorted, int64."""
    return np.repeat(np.arange(indptr.size - 1), np.diff(indptr)) * n_post + indices
