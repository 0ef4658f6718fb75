"""How a batch is run: directions of its rules, blocks, tapes, segments, trials at a time; and the spans of the compiled calls.

All of it is a pure function of the configuration and of the batch's shape, so that results never depend on a timing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import _check
from ..compiler.barrier import ALONE
from ..losses import SIGNAL
from ..network.arrays import NetArrays
from ..rules.base import NO_WINDOW, Rule
from ..rules.engines.interval import SPAN
from ..rules.tape import WINDOW_STEPS, Span, Work, tape_bytes
from .batch import Trials
from .partition import STEPS

ACCUMULATORS = 8  # at most; a constant, because it decides the order of sums
NEVER = 2**62  # an update interval that does not end
TAPE_LIMIT = 256 * 2**20  # bytes of tape of one workspace; beyond, it runs fewer trials at a time
LONGEST_TAPE = 2**30  # bytes of the tape of an interval; longer ones are digested in parts
BLOCK_WORK = 1_000_000  # neurons x steps of one compiled call: under a second, so that Ctrl-C answers
CACHED = 2 * 2**20  # bytes of tape that stay in the caches of a core until the rule goes back over them
SHARING = 16  # trials that share a pass over the weights, going back; more gain nothing
KEPT = 64  # schedules that are kept for batches of the same shape
TRIALS, LOCKSTEP, STREAM = "trials", "lockstep", "stream"  # ways to run a batch


class Plan(NamedTuple):
    """What a run needs of its tape and its rules; it stands in checkpoints of streams."""

    directions: tuple[str, ...] | None  # of each rule; None where nothing learns
    whole: bool  # the tape of a trial is needed at its end
    window: int  # blocks are multiples of so many steps
    rate_first: bool  # what the end of a trial tells is needed before: rates of the per-trial regulariser, the mean readout
    full: frozenset[str]  # names of the tape's arrays that hold every step
    columns: tuple[int, ...] = ()  # neurons whose hidden state the tape holds; (): all
    asked: frozenset[str] = frozenset()  # of `full`, those that a recorder wants
    members: int = 1  # threads that share the neurons of the one trial


class Shape(NamedTuple):
    """All of a batch that its schedule depends on."""

    trials: int
    n_steps: int  # of the longest trial
    learn: bool
    signal: bool  # whether the caller gives the learning signal
    mean: bool  # whether the loss is that of the mean readout
    asks: bool  # whether a function gives the errors
    names: tuple[str, ...]  # arrays of the tape that a recorder wants
    columns: tuple[int, ...]  # neurons whose hidden state it wants; (): all


class RunSchedule(NamedTuple):
    """How a batch is run. `spans` yields the steps of each compiled call."""

    way: str  # TRIALS, LOCKSTEP or STREAM
    plan: Plan
    shares: tuple[int, ...]  # trials of accumulator g: shares[g] .. shares[g + 1] - 1
    slots: int  # trials that a workspace runs at a time
    rows: int  # steps on its tape
    block: int  # steps of a compiled call
    segment: int  # steps of a segment where a trial is recomputed from checkpoints, else 0
    interval: int  # K where weights change within the batch, else NEVER
    closes: bool  # whether the batch ends with an interval

    def known(self, span: Span) -> Span:
        """The steps of which all is known after a span: none, before a rule that tells of currents goes back."""
        if not self.plan.whole or self.segment or "current_gradient" not in self.plan.full:
            return span
        return span._replace(start=0 if span.stop == span.n_steps else span.stop)

    def tasks(self, rounds: bool) -> list[tuple[int, int, int]]:
        """(accumulator, first trial, the trial after the last one) of what runs at a time.

        rounds : whether one call may run several rounds of trials, one after the other
        """
        found = []
        for g, (lo, hi) in enumerate(zip(self.shares, self.shares[1:], strict=False)):
            step = max(1, (hi - lo) // self.slots) * self.slots if rounds else self.slots
            found += [(g, first, min(hi, first + step)) for first in range(lo, hi, step)]
        return found

    def plain(self, batch: Trials) -> bool:
        """Whether nothing is to be done between the trials of a batch, but for their traces."""
        given = batch.variables is None and batch.noise is None and batch.error is None
        alone = self.way == TRIALS and self.plan.members == 1 and not self.segment and not self.plan.rate_first
        return given and alone and self.block >= batch.n_steps

    def spans(self, batch: Trials, work: Work, group: int = 0, offset: int = 0) -> Iterator[Span]:
        """The spans of a batch, in the order in which they run.

        work : what they run on; state, sums and noise are put back where steps run a second time
        group : accumulator of the gradient; offset : steps of the stream before this batch
        """
        n_steps, rounds = batch.n_steps, max(1, batch.n_trials // self.slots)
        whole = Span(
            trials=batch.n_trials // rounds,
            rounds=rounds,
            start=0,
            stop=n_steps,
            origin=0,
            n_steps=n_steps if self.closes else 0,
            offset=offset,
            interval=self.interval,
            group=group,
            number=batch.number,
            forward=True,
            backward=batch.backward,
            learn=batch.learn,
            quiet=batch.quiet,
            update=batch.learn and self.interval != NEVER,
            segment=False,
            team=ALONE,
        )
        if self.segment:
            yield from in_segments(whole, self.segment, batch, work)
            return
        if self.plan.rate_first and not batch.quiet:
            yield from dry_run(whole, self.block, batch, work)
        if n_steps <= self.block:
            yield whole
            return
        yield from in_blocks(whole, self.block, self.plan.whole)


def in_blocks(span: Span, steps: int, whole: bool = False) -> Iterator[Span]:
    """A span in blocks of so many steps. whole : whether they follow each other on one tape"""
    for start in range(span.start, span.stop, steps):
        yield span._replace(start=start, stop=min(span.stop, start + steps), origin=span.origin if whole else start)


def dry_run(span: Span, steps: int, batch: Trials, work: Work) -> Iterator[Span]:
    """Simulate once without learning, for what the end of a trial tells: its rates, its mean readout. Then all is put back."""
    saved, noise = [array.copy() for array in work.state], batch.noise.mark() if batch.noise else []
    yield from in_blocks(span._replace(learn=False, update=False, backward=batch.targets.mean.size > 0), steps)
    _put_back(batch, work, saved, noise)
    for sums in work.outcome:
        sums.fill(0)


def in_segments(span: Span, steps: int, batch: Trials, work: Work) -> Iterator[Span]:
    """One trial whose tape does not fit: forward once for the states at segments' starts, then back through the segments."""
    marks = []
    for segment in in_blocks(span, steps):
        marks.append((segment, [array.copy() for array in work.state], batch.noise.mark() if batch.noise else []))
        yield segment._replace(learn=False)
    counts, sums = work.state.counts.copy(), [array.copy() for array in work.outcome]
    for segment, state, noise in reversed(marks):
        _put_back(batch, work, state, noise)
        yield segment._replace(segment=True)
    work.state.counts[:] = counts
    for array, value in zip(work.outcome, sums, strict=True):
        array[:] = value


def halves(span: Span, schedule: RunSchedule, batch: Trials, work: Work) -> Iterator[Span]:
    """A span, or where a function gives the errors, its halves: first the network, then that function, then what is learnt.

    Rules that go forward need the errors of a step before the next one. Errors of segments have been asked for before.
    """
    if batch.error is None or not span.backward or span.segment:
        yield span
        return
    plan, steps = schedule.plan, span.stop - span.start
    if not plan.whole:
        steps = plan.window if set(plan.directions or ("forward",)) == {"adjoint"} else 1
    for start in range(span.start, span.stop, steps):
        part = span._replace(start=start, stop=min(span.stop, start + steps))
        yield part._replace(backward=False, learn=False, update=False)
        for t in range(part.start, part.stop):
            for b in np.flatnonzero(batch.inputs.steps > t):
                y, value = work.tape.readout[b, t - part.origin].copy(), batch.targets.value
                value[b, t] = _check.array("error(step, readout)", batch.error(t, y), (y.size,), value.dtype)
        yield part._replace(forward=False)


def _put_back(batch: Trials, work: Work, state: list[np.ndarray], noise: list[Any]) -> None:
    for array, value in zip(work.state, state, strict=True):
        array[:] = value
    if batch.noise:
        batch.noise.back_to(noise)


class Scheduler(NamedTuple):
    """Settings of an Engine that decide how a batch is split into blocks, tapes and threads."""

    rules: tuple[Rule, ...]
    interval: int | None  # K in steps, or None for one update a trial
    rate_form: str | None  # of the regulariser: "online", "trial" or None
    arrays: NetArrays
    variables: tuple[str, ...]  # names of the hidden state
    itemsize: int
    state_bytes: int  # of one trial
    members: int  # threads that may share the neurons of a trial
    known: dict[tuple[Shape, bool, bool], RunSchedule]  # schedules of late, by the arguments of `_new`

    def schedule(self, batch: Trials, streaming: bool = False, together: bool = True) -> RunSchedule:
        """How a batch is run: as trials, in lockstep where weights change within them, or as a stream's piece.

        together : whether threads may share the neurons of a trial
        """
        key = self.shape(batch), streaming, together
        found = self.known.get(key)
        if found is None:
            if len(self.known) >= KEPT:
                self.known.clear()
            found = self.known[key] = self._new(*key)
        return found

    def shape(self, batch: Trials) -> Shape:
        """All of a batch that its schedule depends on."""
        targets, names = batch.targets, tuple(batch.variables or ())
        columns = self._columns(batch) if names else ()
        if batch.chosen is not None:
            names = (*names, "psi", "local")
        signal, mean, asks = targets.kind == SIGNAL, targets.mean.size > 0, batch.error is not None
        return Shape(batch.n_trials, batch.n_steps, batch.learn, signal, mean, asks, names, columns)

    def _columns(self, batch: Trials) -> tuple[int, ...]:
        """Neurons of which the hidden state is asked for; () where it is all of them, or nothing is asked for."""
        asked = [neurons for name, neurons in (batch.variables or {}).items() if name in self.variables]
        if not asked or any(neurons is None for neurons in asked):
            return ()
        return tuple(np.unique(np.concatenate(asked)).tolist())

    def _new(self, shape: Shape, streaming: bool, together: bool) -> RunSchedule:
        way = STREAM if streaming else LOCKSTEP if shape.learn and self.interval is not None else TRIALS
        interval, n = None if way == TRIALS else self.interval, shape.trials
        plan = self._plan(shape, streaming, interval, together)
        block = self._block(shape.n_steps, plan)
        ends = (NEVER if interval is None or not shape.learn else interval), not streaming or interval is None
        if streaming or interval is not None:
            return RunSchedule(way, plan, (0, n), n, block, block, 0, *ends)
        groups = min(ACCUMULATORS, n)
        shares = tuple(g * n // groups for g in range(groups + 1))
        rows = shape.n_steps if plan.whole else block
        segment = self._segment(shape, plan, rows)
        rows = segment or rows
        bytes_ = self.tape_bytes(rows, plan)
        at_a_time = max(1, min(self.block_steps() // rows, CACHED // bytes_))
        if plan.whole and any(r.follows_recurrent for r in self.rules):
            at_a_time = max(SHARING, self.block_steps() // rows)
        most = 1 if plan.members > 1 else min(TAPE_LIMIT // bytes_, -(-n // groups), at_a_time)
        slots = 1 if segment else int(max(1, most))
        return RunSchedule(way, plan, shares, slots, rows, block, segment, *ends)

    def _plan(self, shape: Shape, streaming: bool, interval: int | None, together: bool) -> Plan:
        asked = self._full_rows(shape.names, learns=False)
        ends: dict[str, Any] = {
            "columns": shape.columns,
            "asked": asked,
            "members": self._members_of(shape, interval) if together else 1,
        }
        if not shape.learn or not self.rules:
            return Plan(None, False, 1, False, asked, **ends)
        directions = tuple(rule.direction(interval, streaming, shape.signal) for rule in self.rules)
        if self.rate_form == "trial" and interval is not None:
            need = "have tau (the online form) where weights change within a trial"
            raise _check.fail("RateRegularizer", need, f"tau=None, update_every={interval}")
        windows = [rule.truncation for rule, d in zip(self.rules, directions, strict=True) if d == "adjoint"]
        early = any(d != "adjoint" for d in directions) or any(w != NO_WINDOW for w in windows)
        return Plan(
            directions,
            whole=NO_WINDOW in windows,
            window=math.lcm(*(w for w in windows if w != NO_WINDOW)),
            rate_first=(self.rate_form == "trial" or shape.mean) and early,
            full=self._full_rows(shape.names, learns=True),
            **ends,
        )

    def _members_of(self, shape: Shape, interval: int | None) -> int:
        """Threads that share the neurons of a trial: where there are more of them than trials to deal out."""
        few = shape.trials == 1 or (interval is None and shape.trials < self.members)
        return self.members if few and not shape.asks and not shape.signal and shape.n_steps >= STEPS else 1

    def _full_rows(self, names: Iterable[str], learns: bool) -> frozenset[str]:
        """Names of the tape's arrays that hold every step, where a recorder wants these variables."""
        names = set(names)
        full = names & {"psi", "threshold", "local", "current_gradient"}
        if learns:
            full |= {"psi", "local"}
            if self.rate_form == "online":
                full.add("rate_signal")
        if "learning_signal" in names:
            full.add("signal")
        if names & set(self.variables):
            full.add("hidden")
        return frozenset(full)

    def block_steps(self) -> int:
        return min(max(BLOCK_WORK // self.arrays.n, 16), 20_000)

    def _block(self, n_steps: int, plan: Plan) -> int:
        """Steps of one compiled call."""
        window, steps = plan.window, self.block_steps()
        if window > 1:
            steps = min(WINDOW_STEPS, steps)
        if "interval" in (plan.directions or ()):  # whole intervals: each part of one takes passes over all synapses
            steps = max(steps, min(self.interval or SPAN, SPAN, LONGEST_TAPE // self.tape_bytes(1, plan)))
        return min(n_steps, max(1, steps // window) * window)

    def tape_bytes(self, rows: int, plan: Plan) -> int:
        """Bytes of the tape of a trial with so many steps."""
        return tape_bytes(self.arrays, self.arrays.n, rows, self.itemsize, plan.full, plan.columns)

    def _segment(self, shape: Shape, plan: Plan, rows: int) -> int:
        """Steps of a segment where the tape of a trial is larger than the rule's limit, else 0."""
        limit = min((r.max_bytes or TAPE_LIMIT for r in self.rules), default=TAPE_LIMIT)
        if not plan.whole or self.tape_bytes(rows, plan) <= limit:
            return 0
        if plan.window > 1 or set(plan.directions or ()) != {"adjoint"}:
            need = f"have max_bytes of {self.tape_bytes(rows, plan)} for the tape of a trial, beside rules of another direction"
            raise _check.fail(type(self.rules[0]).__name__, need, limit, error=MemoryError)
        row = self.tape_bytes(2, plan) - self.tape_bytes(1, plan)
        return int(np.clip(math.isqrt(shape.n_steps * self.state_bytes // row), 16, min(shape.n_steps, self.block_steps())))
