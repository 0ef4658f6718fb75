"""How a job is cut up: directions of its rules, blocks, tapes, segments, trials at a time.

All of it is a pure function of the configuration and the job's shape, so that results never depend on a timing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .. import _check
from ..losses import SIGNAL
from ..network.network import NetArrays
from ..rules.base import NO_WINDOW, Rule
from ..rules.engines.interval import SPAN
from ..rules.tape import WINDOW_STEPS, tape_bytes
from .batch import Job
from .partition import STEPS

ACCUMULATORS = 8  # at most; a constant, because it decides the order of sums
TAPE_LIMIT = 256 * 2**20  # bytes of tape of one lane; beyond, it runs fewer trials at a time
LONGEST_TAPE = 2**30  # bytes of the tape of an interval; longer ones are digested in parts
BLOCK_WORK = 1_000_000  # neurons x steps of one compiled call: under a second, so that Ctrl-C answers
CACHED = 2 * 2**20  # bytes of tape that stay in the caches of a core until the rule goes back over them
SHARING = 16  # trials that share a pass over the weights, going back; more gain nothing


class Plan(NamedTuple):
    """How a job runs: a pure function of the configuration."""

    directions: tuple[str, ...] | None  # of each rule; None where nothing learns
    whole: bool  # the tape of a trial is needed at its end
    window: int  # blocks are multiples of so many steps
    rate_first: bool  # what the end of a trial tells is needed before: rates of the per-trial regulariser, the mean readout
    full: frozenset[str]  # names of the tape's arrays that hold every step
    columns: tuple[int, ...] = ()  # neurons whose hidden state the tape holds; (): all
    asked: frozenset[str] = frozenset()  # of `full`, those that a recorder wants
    members: int = 1  # threads that share the neurons of the one trial


class Cutting(NamedTuple):
    """How a job is cut up."""

    plan: Plan
    shares: tuple[int, ...]  # trials of accumulator g: shares[g] .. shares[g + 1] - 1
    slots: int  # trials that a lane runs at a time
    rows: int  # steps on its tape
    segment: int  # steps of a segment where a trial is recomputed from checkpoints, else 0


class Cutter(NamedTuple):
    """What of an engine decides how its jobs are cut up."""

    rules: tuple[Rule, ...]
    interval: int | None  # K in steps, or None for one update a trial
    rate_form: str | None  # of the regulariser: "online", "trial" or None
    arrays: NetArrays
    variables: tuple[str, ...]  # names of the hidden state
    itemsize: int
    state_bytes: int  # of one trial
    members: int  # threads that may share the neurons of a trial

    def layout(self, job: Job, streaming: bool) -> Cutting:
        """How a job of this shape is run: as trials, in lockstep where weights change within them, or as a stream's piece."""
        interval = self.interval if streaming or job.learn else None
        plan, n = self.plan(job, streaming, interval), job.n_trials
        if streaming or interval is not None:
            return Cutting(plan, (0, n), n, self.block(job.n_steps, plan), 0)
        shares = np.linspace(0, n, min(ACCUMULATORS, n) + 1).astype(int)
        rows = job.n_steps if plan.whole else self.block(job.n_steps, plan)
        segment = self.segment(job, plan, rows)
        rows = segment or rows
        bytes_ = self.tape_bytes(rows, plan)
        at_a_time = max(1, min(self.block_steps() // rows, CACHED // bytes_))
        if plan.whole and any(r.follows_recurrent for r in self.rules):
            at_a_time = max(SHARING, self.block_steps() // rows)
        most = 1 if plan.members > 1 else min(TAPE_LIMIT // bytes_, int(np.diff(shares).max()), at_a_time)
        return Cutting(plan, tuple(map(int, shares)), 1 if segment else int(max(1, most)), rows, segment)

    def plan(self, job: Job, streaming: bool, interval: int | None) -> Plan:
        names = set(job.variables or ()) | ({"psi", "local"} if job.chosen is not None else set())
        asked = self.full_rows(names, learns=False)
        ends: dict[str, Any] = {"columns": self.columns(job), "asked": asked, "members": self.members_of(job, interval)}
        if not job.learn or not self.rules:
            return Plan(None, False, 1, False, asked, **ends)
        signal = job.targets.kind == SIGNAL
        directions = tuple(rule.direction(interval, streaming, signal) for rule in self.rules)
        if self.rate_form == "trial" and interval is not None:
            need = "have tau (the online form) where weights change within a trial"
            raise _check.fail("RateRegularizer", need, f"tau=None, update_every={interval}")
        windows = [rule.truncation for rule, d in zip(self.rules, directions, strict=True) if d == "adjoint"]
        early = any(d != "adjoint" for d in directions) or any(w != NO_WINDOW for w in windows)
        return Plan(
            directions,
            whole=NO_WINDOW in windows,
            window=math.lcm(*(w for w in windows if w != NO_WINDOW)),
            rate_first=(self.rate_form == "trial" or job.targets.mean.size > 0) and early,
            full=self.full_rows(names, learns=True),
            **ends,
        )

    def members_of(self, job: Job, interval: int | None) -> int:
        """Threads that share the neurons of a trial: where there are more of them than trials to deal out."""
        few = job.n_trials == 1 or (interval is None and job.n_trials < self.members)
        ours = job.error is None and job.targets.kind != SIGNAL and job.n_steps >= STEPS
        return self.members if few and ours else 1

    def columns(self, job: Job) -> tuple[int, ...]:
        """Neurons of which the hidden state is asked for; () where it is all of them, or nothing is asked for."""
        asked = [neurons for name, neurons in (job.variables or {}).items() if name in self.variables]
        if not asked or any(neurons is None for neurons in asked):
            return ()
        return tuple(np.unique(np.concatenate(asked)).tolist())

    def full_rows(self, names: Iterable[str], learns: bool) -> frozenset[str]:
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
        return int(np.clip(BLOCK_WORK // self.arrays.n, 16, 20_000))

    def block(self, n_steps: int, plan: Plan) -> int:
        """Steps of one compiled call."""
        window, steps = plan.window, self.block_steps()
        if window > 1:
            steps = min(WINDOW_STEPS, steps)
        if "interval" in (plan.directions or ()):  # whole intervals: each part of one takes passes over all synapses
            steps = max(steps, min(self.interval or SPAN, SPAN, LONGEST_TAPE // self.tape_bytes(1, plan)))
        return min(n_steps, max(1, steps // window) * window)

    def tape_bytes(self, rows: int, plan: Plan) -> int:
        return tape_bytes(self.arrays, self.arrays.n, rows, self.itemsize, plan.full, plan.columns)

    def segment(self, job: Job, plan: Plan, rows: int) -> int:
        """Steps of a segment where the tape of a trial is larger than the rule's limit, else 0."""
        limit = min((r.max_bytes or TAPE_LIMIT for r in self.rules), default=TAPE_LIMIT)
        if not plan.whole or self.tape_bytes(rows, plan) <= limit:
            return 0
        if plan.window > 1 or set(plan.directions or ()) != {"adjoint"}:
            need = f"have max_bytes of {self.tape_bytes(rows, plan)} for the tape of a trial, beside rules of another direction"
            raise _check.fail(type(self.rules[0]).__name__, need, limit, error=MemoryError)
        row = self.tape_bytes(2, plan) - self.tape_bytes(1, plan)
        return int(np.clip(math.isqrt(job.n_steps * self.state_bytes // row), 16, min(job.n_steps, self.block_steps())))
