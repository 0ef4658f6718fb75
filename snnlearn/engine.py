"""The block loop on the Python side: arrays for a run, calls of `run_block`, threads, long trials.

A `Lane` holds what one thread needs to run some trials at a time. Three ways to run:

    trials     weights change after the batch: trials are independent and are dealt to threads
    lockstep   weights change every K steps: the trials of a batch advance together
    piece      a stream: one lane whose state lives on

The trials of a batch add to a fixed number of accumulators, whatever the number of threads, and the
accumulators are summed in order: results are bit-identical for any number of threads.

A rule that looks back over whole trials needs their tape. Where that is larger than the rule's `max_bytes`, the
trial runs once without a tape, keeping the state at the borders of segments, and is then run again segment by
segment from the last one, each digested before the one before it (gradient checkpointing). Same result to
the last bit, two forward simulations, memory of the order of sqrt(T).
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import numpy as np

from . import _check
from ._frame import Frame
from .block import runner
from .job import Block, Divergence, Job, Result, cut_blocks
from .layout import ACCUMULATORS, Cutter, Plan
from .losses import NONE, RateRegularizer, rate_arrays
from .network import FlatWeights, Network, Weights, flatten, norm, structure, unflatten, zeros_like
from .optimizers import LOOKED, SGD, NoOptimizer, Optimizer, apply_gradient, sum_accumulators
from .rules import RFLO, EProp
from .rules.base import NoRule, Rule
from .rules.eprop import EligibilityArrays, read_lazily
from .rules.influence import MAX_BYTES
from .rules.lazy import SHORTEST
from .rules.several import carried, several, silence
from .tape import Outcome, Span, State, Tape, apart, make_outcome, make_state, make_tape

NEVER = 2**62  # an update interval that does not end
IDLE = SGD(0.0)


class Lane(NamedTuple):
    """The arrays of one thread, for `slots` trials."""

    state: State
    tape: Tape
    rule: Any
    slots: int
    steps: int  # rows of the tape
    plan: Plan


class Call(NamedTuple):
    """A step of the stream, prepared."""

    frame: Frame
    lane: Lane
    span: Span  # but for its offset
    every: int  # K where weights change, else 0


class Engine:
    """A network with its weights, rules and optimizer, ready to run.

    interval : K in steps, or None for one update a trial (or batch)
    passive : rules whose gradients are computed beside the one that updates, on the same trajectory
    """

    def __init__(
        self,
        net: Network,
        weights: Weights,
        dtype: Any,
        rule: Rule | None = None,
        optimizer: Optimizer | None = None,
        regularizer: RateRegularizer | None = None,
        interval: int | None = None,
        threads: int | None = None,
        passive: Sequence[Rule] = (),
    ):
        self.net, self.dtype, self.rule, self.optimizer = net, np.dtype(dtype), rule, optimizer
        self.rules = () if rule is None else (rule, *passive)
        self.interval, self.threads = interval, threads or cores()
        self.arrays = net.arrays(weights, self.dtype)
        self.weights = flatten(weights, self.dtype, None if rule is None else rule.feedback_matrix(net))
        self.like = structure(self.weights, weights, self.arrays)
        self.hidden = net.initial_hidden(self.dtype)
        self.rates = rate_arrays(regularizer, net.dt, self.dtype)
        active = regularizer is not None and regularizer.strength > 0
        self.rate_form = None if not active else "online" if self.rates.per_step > 0 else "trial"
        state = sum(array.nbytes for array in make_state(self.arrays, self.hidden, 1))
        setting = (self.rules, interval, self.rate_form, self.arrays, net.variables, self.dtype.itemsize, state)
        self.cutter = Cutter(*setting)
        decay, adaptive = (rule.feedback_decay, rule.adaptive) if rule is not None else (0.0, False)
        self.opt = (optimizer or IDLE).arrays(net, self.weights, decay, adaptive)
        self.detour = self._detour(passive)
        self.straight = not self.detour
        if interval is not None and not self.straight:
            self.opt = self.opt._replace(look_every=-(-LOOKED // interval))
        self.block_opt = self.opt if interval is not None else NoOptimizer(0)
        if self.straight:  # what is left for the optimizer
            self.block_opt = self.opt._replace(learns=self.opt.learns & [False, False, True, True])
        self.learns = np.ones(4, bool) if optimizer is None else self.opt.learns
        self.grad = zeros_like(self.weights, 1 if rule is not None else 0)
        self.stream_grad = zeros_like(self.weights, 1 if rule is not None else 0)  # its interval may stay open
        self.passive_grads = [zeros_like(self.weights, ACCUMULATORS if interval is None else 1) for _ in passive]
        self.passive_feedback = [flatten(weights, self.dtype, p.feedback_matrix(net)).feedback for p in passive]
        self.passive_on = np.ones(1, np.uint8)
        self.norms: np.ndarray | None = None  # [4] of the last update's gradient, where a recorder wants them
        self.weighs = True  # whether guards want the norm of the next update's whole gradient
        self.norm: float | None = None  # that norm, where the last update has taken it
        self.total = zeros_like(self.weights, 1 if passive else 0)  # what the active rule's updates were made of
        self._lanes: dict[Any, Lane] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._run_block = runner(self.arrays.params, self.rules)
        self._absent = self.arrays._replace(params=0, proj_in=0, proj_rec=0)  # all that an update needs of the network

    # ---- ways to run --------------------------------------------------------------------------------

    def trials(self, job: Job) -> Result:
        """Independent trials from the initial state; with `job.learn` the gradient ends up in accumulator 0."""
        plan, shares, slots, rows, segment = self.cutter.layout(job, streaming=False)
        tasks = [(g, lo, hi) for g, (lo, hi) in enumerate(itertools.pairwise(shares))]
        if job.learn and self.grad.w_in.shape[0] < len(tasks):
            self.grad = zeros_like(self.weights, len(tasks))

        def work(worker: int, mine: list[tuple[int, int, int]]) -> list[tuple[int, Result]]:
            lane = self._lane(("trials", worker, job.learn), slots, rows, plan)
            run = self._in_segments if segment else self._trials_of
            done = []
            for group, lo, hi in mine:
                for first in range(lo, hi, slots):
                    done.append((first, run(lane, job.part(first, min(hi, first + slots)), group, first)))
            return done

        workers = 1 if job.error is not None else max(1, min(self.threads, len(tasks)))
        if workers > 1 and set(plan.directions or ()) - {"adjoint"}:
            needed = sum(array.nbytes for array in carried(self._lane(("trials", 0, job.learn), slots, rows, plan).rule))
            workers = max(1, min(workers, max(r.max_bytes or MAX_BYTES for r in self.rules) // max(needed, 1)))
        if workers == 1:
            done = work(0, tasks)
        else:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="snnlearn")
            futures = [self._pool.submit(work, w, tasks[w::workers]) for w in range(workers)]
            wait(futures)  # also where one fails: no thread may still write when the next run begins
            done = [item for future in futures for item in future.result()]
        results = [result for _, result in sorted(done, key=lambda item: item[0])]
        if job.learn:
            for grad in (self.grad, *self.passive_grads):
                sum_accumulators(grad, len(tasks))
        outcome = Outcome(*(np.concatenate(parts) for parts in zip(*(r.outcome for r in results), strict=True)))
        counts = np.concatenate([r.counts for r in results])
        return Result(outcome, counts, [block for r in results for block in r.blocks])

    def lockstep(self, job: Job) -> Result:
        """A batch from the initial state whose trials advance together; weights change every `interval` steps."""
        plan = self.cutter.plan(job, streaming=False, interval=self.interval)
        block = self.cutter.block(job.n_steps, plan.window)
        lane = self._lane("lockstep", job.n_trials, block, plan)
        self._rest(lane, job.n_trials)
        outcome, blocks = make_outcome(job.n_trials, self.arrays.n_out), []
        for start in range(0, job.n_steps, block):
            steps = range(start, min(job.n_steps, start + block))
            self._advance(lane, job, outcome, steps, start, update=job.learn)
            blocks += self._blocks(lane, job, steps, start, 0)
        return Result(outcome, lane.state.counts.copy(), blocks)

    def piece(self, job: Job, offset: int) -> Result:
        """The next piece of the stream, whose step 0 is step `offset` of the stream; the state lives on."""
        plan = self.cutter.plan(job, streaming=True, interval=self.interval)
        if plan.directions is not None and job.n_steps % plan.window:
            raise _check.fail("Simulator.run", f"get pieces of a multiple of {plan.window} steps for this rule", job.n_steps)
        closes = self.interval is None
        block = self.cutter.block(job.n_steps, plan.window)
        found = self._lanes.get("stream")
        lane = self._lane("stream", 1, block, plan, found)
        if found is None:
            self._rest(lane, 1)
        if plan.rate_first:
            self._rehearse(lane, job)
        outcome, blocks = make_outcome(1, self.arrays.n_out), []
        for start in range(0, job.n_steps, block):
            steps = range(start, min(job.n_steps, start + block))
            self._advance(lane, job, outcome, steps, start, update=job.learn, offset=offset, closes=closes)
            blocks += self._blocks(lane, job, steps, start, 0)
        if closes and job.learn and self.optimizer is not None:
            for total, g in zip(self.total[:4], self.stream_grad[:4], strict=True):
                if total.size:
                    total += g
            self.update(1, self.stream_grad)
        return Result(outcome, lane.state.counts.copy(), blocks)

    def prepare(self, job: Job, outcome: Outcome, noise: np.ndarray, lr: np.ndarray) -> Call | None:
        """A call that runs one step of the stream on the arrays of this job, as `piece` does; it may be called again and again.

        noise : [1, 1, n] or size 0; lr : [1], filled before each step that updates
        Returns None where a piece of one step is more than one call of the block loop.
        """
        plan = self.cutter.plan(job, streaming=True, interval=self.interval)
        if plan.rate_first or plan.window != 1 or plan.whole or (job.learn and self.interval is None):
            return None
        found = self._lanes.get("stream")
        lane = self._lane("stream", 1, 1, plan, found)
        if found is None:
            self._rest(lane, 1)
        span = self._span(job, range(1), 0, update=job.learn, closes=self.interval is None)
        frame = Frame(self._run_block, (*self._arguments(span, lane, job, outcome, noise), lr, span))
        return Call(frame, lane, span, span.interval if span.update else 0)

    def stands(self, call: Call) -> bool:
        """Whether a prepared call still runs on this engine's arrays."""
        lane = self._lanes.get("stream")
        if lane is None or lane.state is not call.lane.state or lane.rule is not call.lane.rule:
            return False
        weights, opt = call.frame.arguments[1], call.frame.arguments[11]
        return weights is self.weights and opt is self.block_opt

    def rate(self) -> float:
        """Learning rate of the next update."""
        assert self.optimizer is not None
        lr, done = self.optimizer.lr, int(self.opt.done[0])
        return self.optimizer.rates(done, 1)[0] if callable(lr) else lr

    def bytes_needed(self, job: Job, streaming: bool) -> dict[str, int]:
        """Bytes of the arrays that such a job needs, by what they hold."""
        layout = self.cutter.layout(job, streaming)
        lanes = 1 if streaming or self.interval is not None else min(self.threads, len(layout.shares) - 1)
        hidden = sum(array.nbytes for array in self.weights[:4])
        needed = {
            "weights": hidden + _nbytes(tuple(self.arrays)),
            "gradient": hidden * (len(layout.shares) - 1) * (1 + len(self.passive_grads)) if job.learn else 0,
            "optimizer": _nbytes(tuple(self.opt)) if job.learn else 0,
            "state": lanes * _nbytes(tuple(make_state(self.arrays, self.hidden, layout.slots))),
            "tape": lanes * layout.slots * self.cutter.tape_bytes(layout.rows, layout.plan),
            "rule": 0,
        }
        if layout.plan.directions is not None:
            needed["rule"] = lanes * _nbytes(self._rule_arrays(layout.plan.directions, layout.slots, streaming))
        return needed

    def update(self, trials: int, grad: FlatWeights | None = None) -> None:
        """Apply accumulator 0, the gradient summed over so many trials, and clear it."""
        assert self.optimizer is not None
        lr, grad = self.optimizer.rates(int(self.opt.done[0]), 1)[0], self.grad if grad is None else grad
        self.norm = None
        if self.norms is not None or self.weighs:
            norms = self._norms(grad, trials)
            self.norm, self.weighs = math.hypot(*norms), False
            if self.norms is not None:
                self.norms[:] = norms
        apply_gradient(self.opt, self._absent, self.weights, grad, trials, lr)

    def largest_norm(self) -> float | None:
        """Of the gradients of updates within runs that were measured since the last call; None where none was."""
        largest = float(self.opt.looks[2])
        self.opt.looks[2] = 0.0
        return None if largest == 0 else largest

    def largest_trace(self) -> float:
        """Largest magnitude of what the stream's rules carry from step to step; 0.0 where nothing learns."""
        lane = self._lanes.get("stream")
        if lane is None or lane.plan.directions is None:
            return 0.0
        arrays = [a for a in carried(lane.rule) if a.size and a.dtype.kind == "f"]
        extremes = [abs(float(x)) for a in arrays for x in (a.min(), a.max())]  # without a copy of the magnitudes
        return max(extremes, default=0.0) if np.isfinite(extremes).all() else math.inf

    def _norms(self, grad: FlatWeights, trials: int) -> list[float]:
        """Norms of accumulator 0 averaged over so many trials, of the matrices that learn; absent synapses are cleared first."""
        for g, absent in ((grad.w_in, self.arrays.absent_in), (grad.w_rec, self.arrays.absent_rec)):
            g[0][absent] = 0
        learns = zip(self.learns, grad[:4], strict=True)
        return [norm(g[0]) / trials if learn else 0.0 for learn, g in learns]

    def forget_stream(self) -> None:
        """The stream starts from the initial state; a gradient that waits for the end of its interval is dropped."""
        self._lanes.pop("stream", None)
        _zero(self.stream_grad, self.total, *self.passive_grads)

    def forget_gradient(self) -> None:
        """Clear what a run that failed has left in the accumulators."""
        _zero(self.grad, self.total, *self.passive_grads)

    def gradient(self, trials: int, grad: FlatWeights | None = None, clear: bool = True) -> Weights:
        """Accumulator 0 averaged over so many trials, absent synapses zero; cleared unless it is still needed."""
        flat = []
        for g in (self.grad if grad is None else grad)[:4]:
            flat.append(g[0] / self.dtype.type(trials))
            if clear:
                g[0] = 0
        flat[0][self.arrays.absent_in] = 0
        flat[1][self.arrays.absent_rec] = 0
        if not self.net.readout.bias:
            flat[3][:] = 0
        return unflatten((*flat,), self.like)

    def public_weights(self) -> Weights:
        """Read-only views of the weights, always up to date."""
        return unflatten(self.weights, self.like, copy=False)

    # ---- parts --------------------------------------------------------------------------------------

    def _detour(self, passive: Sequence[Rule]) -> str:
        """Why hidden weights do not take each step's gradient at once, in place; "" where they do."""
        rule, optimizer = self.rule, self.optimizer
        if self.interval != 1:
            return "weights do not change at every step"
        if not isinstance(rule, (EProp, RFLO)) or getattr(rule, "order", 1) != 1:
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

    def _lane(self, key: Any, slots: int, steps: int, plan: Plan, keep: Lane | None = None) -> Lane:
        """The lane under this key, made anew where it does not fit; with `keep`, its state and traces live on."""
        found = self._lanes.get(key)
        if found is not None and (found.slots, found.plan) == (slots, plan) and found.steps >= steps:
            return found
        state = make_state(self.arrays, self.hidden, slots) if keep is None else keep.state
        if keep is not None and plan.directions in (None, keep.plan.directions):
            rule, plan = keep.rule, plan._replace(directions=keep.plan.directions)
        else:
            rule = self._rule_arrays(plan.directions, slots, streaming=key == "stream")
        tape = make_tape(self.arrays, self.hidden, slots, steps, plan.full, plan.columns)
        self._lanes[key] = Lane(apart(state), apart(tape), rule, slots, steps, plan)
        return self._lanes[key]

    def _rule_arrays(self, directions: tuple[str, ...] | None, slots: int, streaming: bool) -> Any:
        """The rules' arrays; where nothing learns, any arrays of the types that the compiled kernel knows."""
        if self.rule is None:
            return NoRule(0)
        if directions is None:
            directions, slots = self._usual_directions(streaming), 0
            for lane in self._lanes.values():
                if lane.plan.directions == directions:
                    return lane.rule
        arrays = [
            apart(rule.arrays(self.arrays, self.weights, d, slots, self.learns))
            for rule, d in zip(self.rules, directions, strict=True)
        ]
        if self.straight and isinstance(arrays[0], EligibilityArrays):
            arrays[0] = read_lazily(arrays[0], self.arrays)
        return several(arrays, self.passive_feedback, self.passive_grads, self.total, self.passive_on)

    def _usual_directions(self, streaming: bool) -> tuple[str, ...]:
        """How the rules run where they learn."""
        try:
            return tuple(rule.direction(self.interval, streaming, False) for rule in self.rules)
        except ValueError:  # rules that cannot learn in a stream may still be evaluated there
            return tuple(rule.direction(None, False, False) for rule in self.rules)

    def _rest(self, lane: Lane, trials: int) -> None:
        """State and traces at the initial state."""
        lane.state.hidden[:trials] = self.hidden
        for array in lane.state[1:]:
            array[:trials] = 0
        if lane.plan.directions is not None:
            silence(lane.rule)

    def _trials_of(self, lane: Lane, job: Job, group: int, base: int) -> Result:
        """Some trials in one lane, each from the initial state."""
        n, outcome, blocks = job.n_trials, make_outcome(job.n_trials, self.arrays.n_out), []
        self._rest(lane, n)
        if lane.plan.rate_first:
            self._rehearse(lane, job)
        block = self.cutter.block(job.n_steps, lane.plan.window)
        for start in range(0, job.n_steps, block):
            steps, origin = range(start, min(job.n_steps, start + block)), 0 if lane.plan.whole else start
            self._advance(lane, job, outcome, steps, origin, group=group, base=base)
            blocks += self._blocks(lane, job, steps, origin, base)
        return Result(outcome, lane.state.counts[:n].copy(), blocks)

    def _in_segments(self, lane: Lane, job: Job, group: int, base: int) -> Result:
        """One trial whose tape does not fit: forward once for the states at segments' starts, then back through them."""
        outcome, scratch = (make_outcome(1, self.arrays.n_out) for _ in range(2))
        self._rest(lane, 1)
        marks: list[Any] = []
        for start in range(0, job.n_steps, lane.steps):
            steps = range(start, min(job.n_steps, start + lane.steps))
            marks.append((steps, [a.copy() for a in lane.state], job.noise.mark() if job.noise else None))
            self._advance(lane, job._replace(learn=False), outcome, steps, start, base=base)
        counts = lane.state.counts.copy()
        blocks: list[Block] = []
        again = job._replace(error=None)  # the targets hold the errors that the user's function has given
        for steps, state, noise in reversed(marks):
            for array, before in zip(lane.state, state, strict=True):
                array[:] = before
            if job.noise:
                job.noise.back_to(noise)
            self._advance(lane, again, scratch, steps, steps.start, group=group, base=base, segment=True)
            blocks = self._blocks(lane, job, steps, steps.start, base) + blocks
        return Result(outcome, counts, blocks)

    def _rehearse(self, lane: Lane, job: Job) -> None:
        """Simulate once without learning: the per-trial regulariser needs the rate of the whole trial first."""
        saved, mark = [array.copy() for array in lane.state], job.noise.mark() if job.noise else []
        scratch = make_outcome(job.n_trials, self.arrays.n_out)
        quiet = job._replace(learn=False, error=None, targets=job.targets._replace(kind=NONE))
        for start in range(0, job.n_steps, lane.steps):
            self._advance(lane, quiet, scratch, range(start, min(job.n_steps, start + lane.steps)), start)
        for array, before in zip(lane.state, saved, strict=True):
            array[:] = before
        if job.noise:
            job.noise.back_to(mark)

    def _advance(
        self,
        lane: Lane,
        job: Job,
        outcome: Outcome,
        steps: range,
        origin: int,
        group: int = 0,
        base: int = 0,
        update: bool = False,
        offset: int = 0,
        closes: bool = True,
        segment: bool = False,
    ) -> None:
        """Run these steps of all the job's trials, in one compiled call unless Python gives the error."""
        start, stop = steps.start, steps.stop
        span = self._span(job, steps, origin, group, update, offset, closes, segment)
        noise = np.zeros((0, 0, 0), self.dtype)
        if self.arrays.noise.size and job.noise is not None:
            noise = job.noise.draw(stop - start, self.dtype)
        call = (lane, job, outcome, noise, base)
        if job.error is None:
            self._call(span, *call)
            return
        causal = set(lane.plan.directions or ("forward",)) - {"adjoint"}
        chunk = 1 if causal else lane.plan.window
        chunk = stop - start if lane.plan.whole else chunk
        for t in range(start, stop, chunk):
            here = span._replace(start=t, stop=min(stop, t + chunk))
            part = (lane, job, outcome, noise[:, t - start : t - start + chunk].copy() if noise.size else noise, base)
            self._call(here._replace(backward=False, learn=False, update=False), *part)
            self._ask_error(job, lane, here)
            self._call(here._replace(forward=False), *part)

    def _span(
        self,
        job: Job,
        steps: range,
        origin: int,
        group: int = 0,
        update: bool = False,
        offset: int = 0,
        closes: bool = True,
        segment: bool = False,
    ) -> Span:
        return Span(
            trials=job.n_trials,
            start=steps.start,
            stop=steps.stop,
            origin=origin,
            n_steps=job.n_steps if closes else 0,
            offset=offset,
            interval=self.interval if update and self.interval is not None else NEVER,
            group=group,
            number=job.number,
            forward=True,
            backward=job.backward,
            learn=job.learn,
            update=update and self.optimizer is not None and self.interval is not None,
            segment=segment,
        )

    def _ask_error(self, job: Job, lane: Lane, span: Span) -> None:
        """Fill the targets with what the user's function returns for each trial and step."""
        assert job.error is not None
        for t in range(span.start, span.stop):
            for b in range(span.trials):
                y = lane.tape.readout[b, t - span.origin].copy()
                job.targets.value[b, t] = _check.array("error(step, readout)", job.error(t, y), (y.size,), self.dtype)

    def _call(self, span: Span, lane: Lane, job: Job, outcome: Outcome, noise: np.ndarray, base: int) -> None:
        ends = 0
        if span.update:
            ends = (span.stop + span.offset) // span.interval - (span.start + span.offset) // span.interval
            ends += span.stop == span.n_steps and (span.stop + span.offset) % span.interval != 0
        lr = np.zeros(0) if not ends else self.optimizer.rates(int(self.opt.done[0]), ends)  # type: ignore[union-attr]
        self._run_block(*self._arguments(span, lane, job, outcome, noise), lr, span)
        if outcome.trouble[0]:
            trial, step, neuron = (int(x) for x in outcome.trouble[1:])
            raise Divergence(trial + base, step + span.offset, neuron)

    def _arguments(self, span: Span, lane: Lane, job: Job, outcome: Outcome, noise: np.ndarray) -> tuple[Any, ...]:
        """What the block loop takes, but for the learning rates and the span."""
        grad, rule = self.stream_grad if lane is self._lanes.get("stream") else self.grad, lane.rule
        if self.straight and span.update:
            hidden = {"w_in": self.weights.w_in.reshape(1, -1), "w_rec": self.weights.w_rec.reshape(1, -1)}
            factor = self.dtype.type(-self.optimizer.lr / span.trials)  # type: ignore[operator, union-attr]
            on_read = span.trials == 1 and span.stop - span.start >= SHORTEST and span.forward and span.learn
            grad, rule = grad._replace(**hidden), rule._replace(factor=factor, on_read=on_read)
        arguments = (self.arrays, self.weights, lane.state, job.inputs, job.targets, noise, self.rates, lane.tape)
        return (*arguments, outcome, rule, grad, self.block_opt)

    def _blocks(self, lane: Lane, job: Job, steps: range, origin: int, base: int) -> list[Block]:
        return cut_blocks(job, lane.tape, self.net.variables, self.arrays.delay, steps, origin, base)


def _zero(*gradients: FlatWeights) -> None:
    for grad in gradients:
        for g in grad[:4]:
            g[:] = 0


def _nbytes(arrays: Any) -> int:
    """Bytes of nested tuples of arrays and sparse matrices."""
    if isinstance(arrays, tuple):
        return sum(map(_nbytes, arrays))
    if hasattr(arrays, "indptr"):
        return sum(a.nbytes for a in (arrays.data, arrays.indices, arrays.indptr))
    return arrays.nbytes if isinstance(arrays, np.ndarray) else 0


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
