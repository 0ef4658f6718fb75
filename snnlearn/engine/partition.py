"""One trial on several threads: the arrays of each member of a team, made from those of a workspace (`compiler/barrier.py`).

What a member has for itself is what the block loop has per neuron: state, tape, scratch of the rule, parameters. Weights,
gradients and traces of synapses stay where they are; a member sees, in every row, the synapses onto its neurons
(`DenseShard`, `SparseShard`). Before a call the state is dealt out, after it collected, together with what a recorder asked
for; of what belongs to sources, such as traces of arrivals, each member keeps a copy that it advances by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, wait
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..compiler.barrier import PAD, Team, make_team
from ..compiler.dispatch import is_ours
from ..compiler.intrinsics import can_meet
from ..losses import rate_loss
from ..network.arrays import NetArrays
from ..network.shards import shards_of
from ..network.weights import FlatWeights
from ..optimizers.optimizers import for_member
from ..rules.tape import (
    ELSEWHERE,
    HERE,
    Drive,
    Learning,
    Model,
    Outcome,
    Span,
    State,
    Tape,
    TapeSize,
    Work,
    make_outcome,
    make_tape,
)

NEURONS = 500  # of a member at least: with fewer, meeting costs more than it gains
SYNAPSES = 500_000  # from so many on, members share the step of the optimizer
STEPS = 8  # of a call at least, for the same reason
ALIGNED = 16  # members begin at multiples of so many neurons


AGAIN = 32  # calls, of which one goes the slower way, whose time may have changed
PATIENCE = 2.0  # seconds of work until one thread alone is tried, whose kernel may have to be compiled
RECENT = 0.25  # weight of the last call in the mean time of a way that is taken again and again


class SharingPace:
    """Whether threads that share the neurons of a trial are faster than one: on a busy machine they wait for each other.

    Each way is timed, the faster one taken. Results are the same bits.
    """

    def __init__(self) -> None:
        self.seconds: dict[bool, float | None] = {True: None, False: None}  # a step, by whether threads share; a moving mean
        self.seen: set[bool] = set()
        self.calls, self.spent, self.last = 0, 0.0, True

    def shares(self) -> bool:
        """Whether threads share the next call."""
        together, alone = self.seconds[True], self.seconds[False]
        if together is None or alone is None:
            return together is None or self.spent < PATIENCE
        return (together <= alone) != (self.calls % AGAIN == 0)

    def took(self, shared: bool, seconds: float, steps: int) -> None:
        """Take note of a call. The first one of a way compiles and is not counted."""
        if shared not in self.seen:
            self.seen.add(shared)
            return
        before, self.calls, self.spent = self.seconds[shared], self.calls + 1, self.spent + seconds
        weight = RECENT if shared is self.last else 1.0
        self.seconds[shared] = seconds / steps if before is None else before + weight * (seconds / steps - before)
        self.last = shared


class Shard(NamedTuple):
    """What one member runs on."""

    team: Team
    stop: int  # the neuron after its last one
    net: NetArrays
    weights: FlatWeights
    state: State
    tape: Tape
    rule: Any
    outcome: Outcome
    private: list[tuple[np.ndarray, np.ndarray]]  # (of the workspace, of this member): copies to bring up to date before a call


class NetShard(NamedTuple):
    """A network for one member: its neurons first .. stop - 1 and the synapses onto them."""

    first: int
    stop: int
    net: NetArrays


class Whole(Protocol):
    """What is split: a workspace."""

    @property
    def state(self) -> State:
        """Of all neurons."""

    @property
    def tape(self) -> Tape:
        """Of all neurons."""

    @property
    def rule(self) -> Any:
        """The rule's arrays for all neurons."""


MakeRule = Callable[[NetArrays], Any]
Call = tuple[Model, Drive, Work, Learning, Span]


def members(threads: int, net: NetArrays) -> int:
    """Of so many threads, those that may share the neurons."""
    wanted = min(threads, net.n // NEURONS)
    return wanted if wanted > 1 and is_ours(net.params) and can_meet() else 1


def shard_network(net: NetArrays, size: int) -> list[NetShard]:
    """A network for each of so many members."""
    borders = np.append(np.arange(size) * net.n // size // ALIGNED * ALIGNED, net.n)
    rows_in, rows_rec = shards_of(net.proj_in, borders), shards_of(net.proj_rec, borders)
    found = []
    for m in range(size):
        lo, hi = int(borders[m]), int(borders[m + 1])
        mine = net._replace(
            params=_stretch(net.params, lo, hi),
            proj_in=rows_in[m],
            proj_rec=rows_rec[m],
            noise=net.noise[lo:hi].copy(),
            absent_in=_onto(net.absent_in, net.n, lo, hi),
            absent_rec=_onto(net.absent_rec, net.n, lo, hi),
            n=hi - lo,
        )
        found.append(NetShard(lo, hi, mine))
    return found


def make_shards(
    nets: list[NetShard], model: Model, whole: Whole, make_rule: MakeRule | None, size: TapeSize
) -> list[Shard] | None:
    """Shards for each member, or None where the rule's arrays are of another kind for some of the neurons.

    model : of all neurons; make_rule : the rule's arrays for a member's neurons, None where there is no rule; size : of the
    members' tapes
    """
    shards, weights, n_out, (state, tape, rule) = [], model.weights, model.net.n_out, (whole.state, whole.tape, whole.rule)
    team = make_team(np.array([net.first for net in nets] + [model.net.n]))
    for m, mine in enumerate(nets):
        private: list[tuple[np.ndarray, np.ndarray]] = []
        own = rule
        if make_rule is not None:
            own = make_rule(mine.net)
            if not _same_kind(rule, own) or not getattr(getattr(own, "lazy", None), "splittable", True):
                return None
            if hasattr(rule, "carry"):
                own = own._replace(carry=rule.carry if m == 0 else _carry(rule.carry, own.carry, private))
        here, out = slice(mine.first, mine.stop), slice(mine.first * n_out, mine.stop * n_out)
        alone = m == 0  # the first member has what exists once, with all neurons
        shards.append(
            Shard(
                team[m],
                mine.stop,
                mine.net,
                weights if alone else weights._replace(w_out=weights.w_out[out], feedback=weights.feedback[out]),
                State(
                    hidden=np.ascontiguousarray(state.hidden[:, :, here]),
                    z=state.z[:, here].copy(),
                    refractory=state.refractory[:, here].copy(),
                    history=state.history if alone else state.history.copy(),
                    readout=state.readout,
                    running=state.running[:, here].copy(),
                    counts=state.counts[:, here].copy(),
                ),
                _tape(tape, mine, state.hidden.dtype, size, alone),
                own,
                make_outcome(1, n_out, 1),
                private,
            )
        )
    return shards


def _stretch(params: Any, lo: int, hi: int) -> Any:
    """Parameters of some neurons; all arrays have one entry a neuron."""
    return type(params)(*(_stretch(p, lo, hi) if isinstance(p, tuple) else p[lo:hi].copy() for p in params))


def _onto(absent: np.ndarray, n: int, lo: int, hi: int) -> np.ndarray:
    """Of flat positions of a dense matrix [pre, n], those onto some neurons."""
    post = absent % n
    return absent[(post >= lo) & (post < hi)]


def _same_kind(whole: Any, part: Any) -> bool:
    """Whether a rule's arrays for some of the neurons are of the same kinds as those for all."""
    if isinstance(whole, tuple):
        return type(whole) is type(part) and all(map(_same_kind, whole, part))
    if isinstance(whole, np.ndarray):
        return whole.dtype == part.dtype and whole.ndim == part.ndim
    return bool(whole == part)


def _carry(whole: Any, part: Any, private: list[tuple[np.ndarray, np.ndarray]]) -> Any:
    """A member's carried arrays: those of synapses are the whole's own, of those that the class calls `copied` it has a copy."""
    values = []
    for name, a, b in zip(type(whole)._fields, whole, part, strict=True):
        if isinstance(a, tuple):
            values.append(_carry(a, b, private))
        elif name in whole.copied():
            values.append(a.copy())
            private.append((a, values[-1]))
        else:
            values.append(a)
    return type(whole)(*values)


def _tape(tape: Tape, mine: NetShard, dtype: Any, size: TapeSize, first: bool) -> Tape:
    """A member's tape, with the readout and errors of the whole; the spikes are those of all neurons."""
    lo, hi, net = mine
    columns = tuple(c - lo for c in size.columns if lo <= c < hi) or ((0,) if size.columns else ())
    hidden = np.zeros((net.n_hidden, net.n), dtype)
    own = make_tape(net._replace(n=1), hidden, 1, size._replace(columns=columns))
    return own._replace(
        spike_ptr=tape.spike_ptr if first else np.zeros_like(tape.spike_ptr),
        spike_index=tape.spike_index if first else np.empty_like(tape.spike_index),
        readout=tape.readout,
        error=tape.error,
        cost=tape.cost,
    )


def run(shards: list[Shard], kernel: Callable, pool: Executor, call: Call, asked: frozenset[str]) -> None:
    """`run_block` by all members. call : its arguments for all neurons; asked : what to collect of the tape, for a recorder"""
    model, drive, (state, tape, outcome), learning, span = call
    rates, noise, calls = model.rates, drive.noise, []
    for shard in shards:
        lo, leader = shard.team.first, shard.team.rank == 0
        _deal(state, shard, lo)
        own = shard.rule
        if learning.in_place:
            own = own._replace(factor=learning.rule.factor, on_read=learning.rule.on_read)
        mine = outcome if leader else shard.outcome
        mine.trouble[0] = 0
        numbers = np.ascontiguousarray(noise[:, :, lo : shard.stop]) if noise.size else noise
        calls.append(
            (
                Model(shard.net, shard.weights, rates),
                drive._replace(noise=numbers),
                Work(shard.state, shard.tape, mine),
                learning._replace(rule=own, opt=learning.opt if leader else for_member(learning.opt)),
                span._replace(team=shard.team),
            )
        )
    together(kernel, pool, calls, shards[0].team)
    found = [(shard, shard.outcome if shard.team.rank else outcome) for shard in shards]
    for shard, mine in found:
        if mine.trouble[0] == HERE:
            outcome.trouble[:] = HERE, *mine.trouble[1:3], mine.trouble[3] + shard.team.first
            break
    if outcome.trouble[0] == ELSEWHERE:
        raise RuntimeError("a thread of the simulation did not start")
    if rates.strength > 0 and rates.per_step == 0 and span.stop == span.n_steps:
        counts = np.concatenate([shard.state.counts[0] for shard in shards])
        outcome.regularization[0] = rate_loss(rates, counts, span.n_steps, np.empty(counts.size, state.hidden.dtype))
    for shard in shards:
        _collect(state, tape, shard, shard.team.first, span, asked)


def together(kernel: Callable, pool: Executor, calls: Sequence[tuple[Any, ...]], team: Team) -> None:
    """Call the kernel with each of these arguments, all at the same time; the first call is this thread's."""
    team.gate[:] = 0
    futures = []
    try:
        for call in calls[1:]:
            futures.append(pool.submit(kernel, *call))
        kernel(*calls[0])
    except BaseException:
        team.gate[PAD] = 1  # who waits for this thread goes on, without having changed anything
        raise
    finally:
        wait(futures)
    for future in futures:
        future.result()


def updaters(threads: int, weights: FlatWeights) -> int:
    """Of so many threads, those that are worth it for a step of the optimizer; 1 where threads cannot meet."""
    size = min(threads, (weights.w_in.size + weights.w_rec.size) // SYNAPSES)
    return size if size > 1 and can_meet() else 1


def apply_together(kernel: Callable, pool: Executor, size: int, arguments: tuple[Any, ...], lr: float) -> None:
    """`apply_gradient` on these arguments, which are those of one thread, by so many threads."""
    opt, net, weights, *rest, _ = arguments
    absent = zip(*(np.array_split(a, size) for a in (net.absent_in, net.absent_rec)), strict=True)
    calls = []
    for team, (absent_in, absent_rec) in zip(make_team(np.arange(size + 1)), absent, strict=True):
        counted = opt if team.rank == 0 else for_member(opt)
        calls.append((counted, net._replace(absent_in=absent_in, absent_rec=absent_rec), weights, *rest, team, lr))
    together(kernel, pool, calls, calls[0][-2])


def _deal(state: State, shard: Shard, lo: int) -> None:
    own = shard.state
    own.hidden[...] = state.hidden[:, :, lo : shard.stop]
    for name in ("z", "refractory", "running", "counts"):
        getattr(own, name)[...] = getattr(state, name)[:, lo : shard.stop]
    own.history[...] = state.history
    for whole, copy in shard.private:
        copy[...] = whole


def _collect(state: State, tape: Tape, shard: Shard, lo: int, span: Span, asked: frozenset[str]) -> None:
    own, here, rows = shard.state, slice(lo, shard.stop), slice(span.start - span.origin, span.stop - span.origin)
    state.hidden[:, :, here] = own.hidden
    for name in ("z", "refractory", "running", "counts"):
        getattr(state, name)[:, here] = getattr(own, name)
    for name in asked - {"hidden"}:
        getattr(tape, name)[:, rows, ..., here] = getattr(shard.tape, name)[:, rows]
    if "hidden" in asked:
        if tape.columns.size:
            here = slice(*np.searchsorted(tape.columns, (lo, shard.stop)))
            if here.start == here.stop:
                return
        tape.hidden[:, rows, :, here] = shard.tape.hidden[:, rows]
