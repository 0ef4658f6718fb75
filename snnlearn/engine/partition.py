"""One trial on several threads: the arrays of each member of a team, made from those of a lane (`compiler/barrier.py`).

What a member has for itself is what the block loop has per neuron: state, tape, scratch of the rule, parameters. Weights,
gradients and traces of synapses stay where they are; a member sees, in every row, the synapses onto its neurons
(`DensePart`, `SparsePart`). Before a call the state is dealt out, after it collected, together with what a recorder asked
for; of what belongs to sources, such as traces of arrivals, each member keeps a copy that it advances by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, wait
from typing import Any, NamedTuple

import numpy as np

from ..compiler.barrier import PAD, Team, make_team
from ..compiler.dispatch import is_ours
from ..compiler.intrinsics import can_meet
from ..losses import rate_loss
from ..network.network import FlatWeights, NetArrays
from ..network.shards import stretches
from ..optimizers.optimizers import for_member
from ..rules.tape import ELSEWHERE, HERE, BlockCall, Model, Outcome, State, Tape, Work, make_outcome, make_tape

NEURONS = 500  # of a member at least: with fewer, meeting costs more than it gains
SYNAPSES = 500_000  # from so many on, members share the step of the optimizer
STEPS = 8  # of a call at least, for the same reason
ALIGNED = 16  # members begin at multiples of so many neurons


class ThreadPart(NamedTuple):
    """What one member runs on."""

    team: Team
    stop: int  # the neuron after its last one
    net: NetArrays
    weights: FlatWeights
    state: State
    tape: Tape
    rule: Any
    outcome: Outcome
    private: list[tuple[np.ndarray, np.ndarray]]  # (of the lane, of this member): copies to bring up to date before a call


class Cut(NamedTuple):
    """A network for one member: its neurons first .. stop - 1 and the synapses onto them."""

    first: int
    stop: int
    net: NetArrays


MakeRule = Callable[[NetArrays], Any]


def members(threads: int, net: NetArrays) -> int:
    """Of so many threads, those that may share the neurons."""
    wanted = min(threads, net.n // NEURONS)
    return wanted if wanted > 1 and is_ours(net.params) and can_meet() else 1


def cut(net: NetArrays, size: int) -> list[Cut]:
    """A network for so many members."""
    borders = np.append(np.arange(size) * net.n // size // ALIGNED * ALIGNED, net.n)
    rows_in, rows_rec = stretches(net.proj_in, borders), stretches(net.proj_rec, borders)
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
        found.append(Cut(lo, hi, mine))
    return found


class Kept(NamedTuple):
    """What a tape keeps, as `make_tape` takes it."""

    steps: int
    full: frozenset[str]
    columns: Sequence[int]


def split(
    cuts: list[Cut],
    net: NetArrays,
    weights: FlatWeights,
    state: State,
    tape: Tape,
    rule: Any,
    make_rule: MakeRule | None,
    kept: Kept,
) -> list[ThreadPart] | None:
    """Parts for each member, or None where the rule's arrays are of another kind for some of the neurons.

    state, tape, rule : of the lane; make_rule : the rule's arrays for a part's neurons, None where there is no rule;
    kept : of the members' tapes
    """
    parts = []
    team = make_team(np.array([c.first for c in cuts] + [net.n]))
    for m, (lo, hi, mine) in enumerate(cuts):
        private: list[tuple[np.ndarray, np.ndarray]] = []
        own = rule
        if make_rule is not None:
            own = make_rule(mine)
            if not _same_kind(rule, own) or not getattr(getattr(own, "lazy", None), "splittable", True):
                return None
            if hasattr(rule, "carry"):
                own = own._replace(carry=rule.carry if m == 0 else _carry(rule.carry, own.carry, private))
        here, out = slice(lo, hi), slice(lo * net.n_out, hi * net.n_out)
        alone = m == 0  # the first member has what exists once, with all neurons
        parts.append(
            ThreadPart(
                team[m],
                hi,
                mine,
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
                _tape(tape, mine, state.hidden.dtype, kept, lo, hi, alone),
                own,
                make_outcome(1, net.n_out, 1),
                private,
            )
        )
    return parts


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
    """A member's carried arrays: those of synapses are the lane's own, of those that the class calls `copied` it has a copy."""
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


def _tape(tape: Tape, net: NetArrays, dtype: Any, kept: Kept, lo: int, hi: int, first: bool) -> Tape:
    """A member's tape, with the readout and errors of the lane's; the spikes are those of all neurons."""
    mine = tuple(c - lo for c in kept.columns if lo <= c < hi) or ((0,) if kept.columns else ())
    own = make_tape(net._replace(n=1), np.zeros((net.n_hidden, net.n), dtype), 1, kept.steps, kept.full, mine)
    return own._replace(
        spike_ptr=tape.spike_ptr if first else np.zeros_like(tape.spike_ptr),
        spike_index=tape.spike_index if first else np.empty_like(tape.spike_index),
        readout=tape.readout,
        error=tape.error,
        cost=tape.cost,
    )


def run(parts: list[ThreadPart], kernel: Callable, pool: Executor, call: BlockCall, asked: frozenset[str]) -> None:
    """`run_block` on these arguments, which are a lane's, by all members. asked : what to collect of the tape, for a recorder."""
    (state, tape, outcome), rates, rule, opt, span = call.work, call.model.rates, call.learning.rule, call.learning.opt, call.span
    noise = call.drive.noise
    calls = []
    for part in parts:
        lo, leader = part.team.first, part.team.rank == 0
        _deal(state, part, lo)
        own = part.rule
        if hasattr(rule, "on_read"):
            own = own._replace(factor=rule.factor, on_read=rule.on_read)
        mine = outcome if leader else part.outcome
        mine.trouble[0] = 0
        counted = opt if leader else for_member(opt)
        numbers = np.ascontiguousarray(noise[:, :, lo : part.stop]) if noise.size else noise
        calls.append(
            BlockCall(
                Model(part.net, part.weights, rates),
                call.drive._replace(noise=numbers),
                Work(part.state, part.tape, mine),
                call.learning._replace(rule=own, opt=counted),
                span._replace(team=part.team),
            )
        )
    together(kernel, pool, calls, parts[0].team)
    found = [(part, part.outcome if part.team.rank else outcome) for part in parts]
    for part, mine in found:
        if mine.trouble[0] == HERE:
            outcome.trouble[:] = HERE, *mine.trouble[1:3], mine.trouble[3] + part.team.first
            break
    if outcome.trouble[0] == ELSEWHERE:
        raise RuntimeError("a thread of the simulation did not start")
    if rates.strength > 0 and rates.per_step == 0 and span.stop == span.n_steps:
        counts = np.concatenate([part.state.counts[0] for part in parts])
        outcome.regularization[0] = rate_loss(rates, counts, span.n_steps, np.empty(counts.size, state.hidden.dtype))
    for part in parts:
        _collect(state, tape, part, part.team.first, span, asked)


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


def apply_together(kernel: Callable, pool: Executor, threads: int, arguments: tuple[Any, ...], lr: float) -> None:
    """`apply_gradient` on these arguments, which are those of one thread, by as many threads as are worth it."""
    opt, net, weights, *rest, _ = arguments
    size = min(threads, (weights.w_in.size + weights.w_rec.size) // SYNAPSES)
    if size < 2 or not can_meet():
        kernel(*arguments, lr)
        return
    absent = zip(*(np.array_split(a, size) for a in (net.absent_in, net.absent_rec)), strict=True)
    calls = []
    for team, (absent_in, absent_rec) in zip(make_team(np.arange(size + 1)), absent, strict=True):
        counted = opt if team.rank == 0 else for_member(opt)
        calls.append((counted, net._replace(absent_in=absent_in, absent_rec=absent_rec), weights, *rest, team, lr))
    together(kernel, pool, calls, calls[0][-2])


def _deal(state: State, part: ThreadPart, lo: int) -> None:
    own = part.state
    own.hidden[...] = state.hidden[:, :, lo : part.stop]
    for name in ("z", "refractory", "running", "counts"):
        getattr(own, name)[...] = getattr(state, name)[:, lo : part.stop]
    own.history[...] = state.history
    for whole, copy in part.private:
        copy[...] = whole


def _collect(state: State, tape: Tape, part: ThreadPart, lo: int, span: Any, asked: frozenset[str]) -> None:
    own, here, rows = part.state, slice(lo, part.stop), slice(span.start - span.origin, span.stop - span.origin)
    state.hidden[:, :, here] = own.hidden
    for name in ("z", "refractory", "running", "counts"):
        getattr(state, name)[:, here] = getattr(own, name)
    for name in asked - {"hidden"}:
        getattr(tape, name)[:, rows, ..., here] = getattr(part.tape, name)[:, rows]
    if "hidden" in asked:
        if tape.columns.size:
            here = slice(*np.searchsorted(tape.columns, (lo, part.stop)))
            if here.start == here.stop:
                return
        tape.hidden[:, rows, :, here] = part.tape.hidden[:, rows]
