"""Workspaces: the arrays on which some trials run at a time in one thread, kept from run to run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..network.arrays import NetArrays
from ..network.weights import FlatWeights
from ..optimizers.optimizers import SGD, Optimizer
from ..rules.base import NoRule, Rule
from ..rules.engines.interval import widen
from ..rules.engines.passive import carried, several
from ..rules.engines.traces import in_place
from ..rules.tape import Model, State, Tape, TapeSize, apart, make_state, make_tape
from .partition import NetShard, Shard, make_shards, members, shard_network
from .schedule import STREAM, Plan


class Workspace(NamedTuple):
    """The arrays of one thread, for `slots` trials."""

    state: State
    tape: Tape
    rule: Any
    slots: int
    steps: int  # rows of the tape
    plan: Plan
    traces: list[np.ndarray]  # what the rule carries, where it learns
    shards: list[Shard] | None = None  # of threads that share the neurons of the one trial


class Workspaces(dict[Any, Workspace]):
    """The workspaces of an engine, by what they are for: (way, worker, whether it learns), or STREAM.

    arrays, weights : of the network; hidden : its initial state; interval : K in steps, or None
    learns : which of the four matrices learn; in_place : whether hidden weights take each step's gradient at once
    beside : what the updating rule and its passive ones share, as `several` takes it
    rewires : whether synapses move, so that rows may become longer
    """

    def __init__(
        self,
        model: Model,
        hidden: np.ndarray,
        rules: Sequence[Rule],
        interval: int | None,
        learns: np.ndarray,
        in_place: bool,
        beside: tuple[Any, ...],
        rewires: bool = False,
    ):
        super().__init__()
        self.model, self.hidden, self.rules, self.interval = model, hidden, rules, interval
        self.arrays: NetArrays = model.net
        self.weights: FlatWeights = model.weights
        self.learns, self.in_place, self.beside = learns, in_place, beside
        self.longest = self.arrays.n if rewires else 0  # synapses of a row that there must be room for
        self.nets: dict[int, list[NetShard]] = {}  # the network for so many threads

    def fit(self, key: Any, slots: int, steps: int, plan: Plan, keep: Workspace | None = None) -> Workspace:
        """The workspace under this key, made anew where it does not fit; with `keep`, its state and traces live on."""
        found = self.get(key)
        if found is not None and (found.slots, found.plan) == (slots, plan) and found.steps >= steps:
            return found
        state = apart(make_state(self.arrays, self.hidden, slots)) if keep is None else keep.state
        if keep is not None and plan.directions in (None, keep.plan.directions):
            rule, plan = keep.rule, plan._replace(directions=keep.plan.directions)
        else:
            rule = self.rule_arrays(plan.directions, slots, streaming=key == STREAM)
        shards = None
        if plan.members > 1:
            tape = self._tape(slots, TapeSize(steps, plan.asked, plan.columns))
            shards = self._split(Workspace(state, tape, rule, slots, steps, plan, []), streaming=key == STREAM)
        if shards is None:
            tape = self._tape(slots, TapeSize(steps, plan.full, plan.columns))
        traces = [array for array in carried(rule) if array.size] if plan.directions is not None else []
        self[key] = Workspace(state, tape, rule, slots, steps, plan, traces, shards)
        return self[key]

    def _tape(self, slots: int, size: TapeSize) -> Tape:
        return apart(make_tape(self.arrays, self.hidden, slots, size))

    def _split(self, space: Workspace, streaming: bool) -> list[Shard] | None:
        """Shards of a workspace for threads that run its trial together; None where the rule cannot be split."""
        plan = space.plan

        def make_rule(net: NetArrays) -> Any:
            direction = (plan.directions or self._usual_directions(streaming))[0]
            arrays = apart(widen(self.rules[0].arrays(net, self.weights, direction, 1, self.learns), self.longest))
            return in_place(arrays, net) if self.in_place else arrays

        if plan.members not in self.nets:
            self.nets[plan.members] = shard_network(self.arrays, plan.members)
        size = TapeSize(space.steps, plan.full, plan.columns)
        return make_shards(self.nets[plan.members], self.model, space, make_rule if self.rules else None, size)

    def rule_arrays(self, directions: tuple[str, ...] | None, slots: int, streaming: bool) -> Any:
        """The rules' arrays; where nothing learns, any arrays of the types that the compiled kernel knows."""
        if not self.rules:
            return NoRule(0)
        if directions is None:
            directions, slots = self._usual_directions(streaming), 0
            for space in self.values():
                if space.plan.directions == directions:
                    return space.rule
        arrays = [
            apart(widen(rule.arrays(self.arrays, self.weights, d, slots, self.learns), self.longest))
            for rule, d in zip(self.rules, directions, strict=True)
        ]
        if self.in_place:
            arrays[0] = in_place(arrays[0], self.arrays)
        return several(arrays, *self.beside)

    def rest(self, space: Workspace, trials: int) -> None:
        """State and traces at the initial state."""
        space.state.hidden[:trials] = self.hidden
        for array in space.state[1:]:
            array[:trials].fill(0)
        for array in space.traces:
            array.fill(0)

    def largest_trace(self) -> float:
        """Largest magnitude of what the stream's rules carry from step to step; 0.0 where nothing learns."""
        space = self.get(STREAM)
        arrays = [array for array in space.traces if array.dtype.kind == "f"] if space is not None else []
        extremes = [abs(float(x)) for a in arrays for x in (a.min(), a.max())]  # without a copy of the magnitudes
        return max(extremes, default=0.0) if np.isfinite(extremes).all() else math.inf

    def streams(self) -> bool:
        """Whether the rules can learn in a stream."""
        try:
            return bool(self._directions(streaming=True))
        except ValueError:
            return False

    def _usual_directions(self, streaming: bool) -> tuple[str, ...]:
        """How the rules run where they learn."""
        streaming &= self.streams()  # rules that cannot learn in a stream may still be evaluated there
        return self._directions(streaming)

    def _directions(self, streaming: bool) -> tuple[str, ...]:
        return tuple(rule.direction(self.interval, streaming, False) for rule in self.rules)


def why_not_in_place(rule: Rule | None, optimizer: Optimizer | None, interval: int | None, passive: Sequence[Rule]) -> str:
    """Why hidden weights do not take each step's gradient at once, in place; "" where they do."""
    if interval != 1:
        return "weights do not change at every step"
    if rule is None or not rule.local:
        return f"{type(rule).__name__} carries more than one trace per synapse"
    if type(optimizer) is not SGD:
        return f"{type(optimizer).__name__} changes every weight at every step"
    if passive:
        return "passive rules are compared with the gradient"
    if optimizer.momentum != 0 or optimizer.weight_decay != 0 or optimizer.clip_norm is not None:
        return "SGD has momentum, weight_decay or clip_norm"
    if callable(optimizer.lr) or optimizer.bounds is not None:
        return "SGD has a schedule or bounds"
    return ""


def sharing(threads: int, net: NetArrays, rules: Sequence[Rule]) -> int:
    """Number of threads that may split one trial, of so many; 1 with NUMBA_DISABLE_JIT, where barriers would deadlock."""
    return members(threads, net) if len(rules) < 2 and all(rule.local for rule in rules) else 1
