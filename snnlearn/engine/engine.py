"""The block loop on the Python side: arrays for a run, calls of `run_block`, threads, long trials.

Three ways to run, each on lanes (`lanes.py`):

    trials     weights change after the batch: trials are independent and are dealt to threads; where there are fewer trials
               than threads, threads share the neurons of each (`parts.py`)
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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from .. import _check
from ..compiler.barrier import ALONE, cores
from ..compiler.bound_call import Frame
from ..losses import NONE, SIGNAL, RateRegularizer, rate_arrays
from ..network.network import FlatWeights, Network, Weights, flatten, norm, structure, unflatten, zeros_like
from ..optimizers.optimizers import LOOKED, SGD, NoOptimizer, Optimizer, apply_gradient, sum_accumulators
from ..rules.base import Rule
from ..rules.engines.event_driven import SHORTEST
from ..rules.engines.influence import MAX_BYTES
from ..rules.engines.passive import carried
from ..rules.tape import BlockCall, Drive, Learning, Model, Outcome, Span, Work, make_outcome, make_state
from .batch import Block, Divergence, Job, Result, cut_blocks
from .block_loop import runner
from .partition import apply_together
from .partition import run as run_together
from .schedule import ACCUMULATORS, Cutter, Plan
from .workspace import Lane, Lanes, sharing, why_not_in_place

NEVER = 2**62  # an update interval that does not end
IDLE = SGD(0.0)
NO_RATES = np.zeros(0)


class Engine:
    """A network with its weights, rules and optimizer, ready to run.

    rules : the one that updates, and others whose gradients are computed beside it, on the same trajectory
    interval : K in steps, or None for one update a trial (or batch)
    threads : None: all cores for trials of a batch, and one for the neurons of a trial, because threads that share them wait for
        each other at every step, which takes cores of their own
    """

    def __init__(
        self,
        net: Network,
        weights: Weights,
        dtype: Any,
        rules: Sequence[Rule] = (),
        optimizer: Optimizer | None = None,
        regularizer: RateRegularizer | None = None,
        interval: int | None = None,
        threads: int | None = None,
    ):
        rule, passive = (rules[0] if rules else None), rules[1:]
        self.net, self.dtype, self.rule, self.optimizer, self.rules = net, np.dtype(dtype), rule, optimizer, tuple(rules)
        self.interval, self.threads, self.sharing = interval, threads or cores(), threads or 1
        self.arrays = net.arrays(weights, self.dtype)
        self.weights = flatten(weights, self.dtype, None if rule is None else rule.feedback_matrix(net))
        self.like = structure(self.weights, weights, self.arrays)
        self.hidden = net.initial_hidden(self.dtype)
        self.rates = rate_arrays(regularizer, net.dt, self.dtype)
        active = regularizer is not None and regularizer.strength > 0
        self.rate_form = None if not active else "online" if self.rates.per_step > 0 else "trial"
        state = sum(array.nbytes for array in make_state(self.arrays, self.hidden, 1))
        setting = (self.rules, interval, self.rate_form, self.arrays, net.variables, self.dtype.itemsize, state)
        self.cutter = Cutter(*setting, sharing(self.sharing, self.arrays, self.rules))
        decay, adaptive = (rule.feedback_decay, rule.adaptive) if rule is not None else (0.0, False)
        self.opt = (optimizer or IDLE).arrays(net, self.weights, decay, adaptive)
        self.why_not_in_place = why_not_in_place(rule, optimizer, interval, passive)
        self.in_place = not self.why_not_in_place
        if interval is not None and not self.in_place:
            self.opt = self.opt._replace(look_every=-(-LOOKED // interval))
        self.block_opt = self.opt if interval is not None else NoOptimizer(0)
        if self.in_place:  # what is left for the optimizer
            self.block_opt = self.opt._replace(learns=self.opt.learns & [False, False, True, True])
        self.learns = np.ones(4, bool) if optimizer is None else self.opt.learns
        self.grad = zeros_like(self.weights, 1 if rule is not None else 0)
        self.stream_grad = zeros_like(self.weights, 1 if rule is not None else 0)  # its interval may stay open
        self.learnt = np.zeros(1, np.uint8)  # whether a step of that interval has learnt
        self.passive_grads = [zeros_like(self.weights, ACCUMULATORS if interval is None else 1) for _ in passive]
        self.passive_feedback = [flatten(weights, self.dtype, p.feedback_matrix(net)).feedback for p in passive]
        self.passive_on = np.ones(1, np.uint8)
        self.norms: np.ndarray | None = None  # [4] of the last update's gradient, where a recorder wants them
        self.weighs = True  # whether guards want the norm of the next update's whole gradient
        self.norm: float | None = None  # that norm, where the last update has taken it
        self.total = zeros_like(self.weights, 1 if passive else 0)  # what the active rule's updates were made of
        beside = (self.passive_feedback, self.passive_grads, self.total, self.passive_on)
        self.lanes = Lanes(self.arrays, self.hidden, self.weights, self.rules, interval, self.learns, self.in_place, beside)
        self.follows = optimizer is not None and self.lanes.streams()
        self._pool: tuple[int, ThreadPoolExecutor] | None = None  # of the process with this number
        self.run_block = runner(self.arrays.params, self.rules)
        self._absent = self.arrays._replace(params=0, proj_in=0, proj_rec=0)  # all that an update needs of the network

    # ---- ways to run --------------------------------------------------------------------------------

    def trials(self, job: Job) -> Result:
        """Independent trials from the initial state; with `job.learn` the gradient ends up in accumulator 0."""
        plan, shares, slots, rows, segment = self.cutter.layout(job, streaming=False)
        tasks = [(g, lo, hi) for g, (lo, hi) in enumerate(itertools.pairwise(shares))]
        if job.learn and self.grad.w_in.shape[0] < len(tasks):
            self.grad = zeros_like(self.weights, len(tasks))

        workers = 1 if job.error is not None or plan.members > 1 else max(1, min(self.threads, len(tasks)))
        first = self.lanes.fit(("trials", 0, job.learn), slots, rows, plan)
        if workers > 1 and set(plan.directions or ()) - {"adjoint"}:
            needed = sum(array.nbytes for array in carried(first.rule))
            workers = max(1, min(workers, max(r.max_bytes or MAX_BYTES for r in self.rules) // max(needed, 1)))
        # here: threads of the pool only use them
        lanes = [first, *(self.lanes.fit(("trials", w, job.learn), slots, rows, plan) for w in range(1, workers))]
        outcome = make_outcome(job.n_trials, self.arrays.n_out, self.net.n)
        if workers == 1:
            blocks = self._share(lanes[0], job, tasks, outcome, segment)
        else:
            futures = [
                self.pool.submit(self._share, lane, job, tasks[w::workers], outcome, segment) for w, lane in enumerate(lanes)
            ]
            wait(futures)  # also where one fails: no thread may still write when the next run begins
            blocks = sorted((block for future in futures for block in future.result()), key=lambda block: block.trial)
        if job.learn:
            for grad in (self.grad, *self.passive_grads):
                sum_accumulators(grad, len(tasks))
        return Result(outcome, outcome.counts, blocks)

    def lockstep(self, job: Job) -> Result:
        """A batch from the initial state whose trials advance together; weights change every `interval` steps."""
        plan = self.cutter.plan(job, streaming=False, interval=self.interval)
        block = self.cutter.block(job.n_steps, plan)
        lane = self.lanes.fit("lockstep", job.n_trials, block, plan)
        self.lanes.rest(lane, job.n_trials)
        outcome, blocks = make_outcome(job.n_trials, self.arrays.n_out, self.net.n), []
        for start in range(0, job.n_steps, block):
            steps = range(start, min(job.n_steps, start + block))
            self._advance(lane, job, outcome, self.span(job, steps, start, update=job.learn))
            blocks += self._blocks(lane, job, steps, start, 0)
        return Result(outcome, lane.state.counts.copy(), blocks)

    def piece(self, job: Job, offset: int) -> Result:
        """The next piece of the stream, whose step 0 is step `offset` of the stream; the state lives on."""
        job = self.going_on(job)
        plan = self.cutter.plan(job, streaming=True, interval=self.interval)
        closes = self.interval is None
        if plan.directions is not None and not job.quiet:
            if job.n_steps % plan.window:
                raise _check.fail("Simulator.run", f"get pieces of a multiple of {plan.window} steps for this rule", job.n_steps)
            if not closes and offset % plan.window:
                need = f"get pieces that begin at a multiple of {plan.window} steps of the stream for this rule"
                raise _check.fail("Simulator.run", need, f"one at step {offset}")
        block = self.cutter.block(job.n_steps, plan)
        lane = self.stream_lane(block, plan)
        if plan.rate_first and not job.quiet:
            self._rehearse(lane, job)
        outcome, blocks = make_outcome(1, self.arrays.n_out, self.net.n), []
        for start in range(0, job.n_steps, block):
            steps = range(start, min(job.n_steps, start + block))
            span = self.span(job, steps, start, update=job.learn, offset=offset, closes=closes)
            self._advance(lane, job, outcome, span)
            blocks += self._blocks(lane, job, steps, start, 0)
        if closes and job.learn and not job.quiet:
            self.end_piece()
        return Result(outcome, lane.state.counts.copy(), blocks)

    def going_on(self, job: Job) -> Job:
        """A job of the stream as it runs: what the rules carry goes on in steps that do not learn, too."""
        if job.learn or not self.follows:
            return job
        targets = job.targets if job.targets.kind != SIGNAL else job.targets._replace(kind=NONE)
        return job._replace(learn=True, quiet=True, targets=targets)

    def due(self, first: int, last: int, quiet: bool) -> tuple[int, bool]:
        """The updates that steps first .. last - 1 of the stream make, and whether the interval that they leave open has learnt.

        An interval of quiet steps alone ends without an update.
        """
        assert self.interval is not None
        ends, learnt = last // self.interval - first // self.interval, bool(self.learnt[0])
        updates = min(ends, learnt) if quiet else ends
        return updates, last % self.interval != 0 and (not quiet or (learnt and ends == 0))

    def stream_lane(self, steps: int, plan: Plan) -> Lane:
        """The lane of the stream, for so many steps at a time; at the initial state where the stream begins."""
        found = self.lanes.get("stream")
        lane = self.lanes.fit("stream", 1, steps, plan, found)
        if found is None:
            self.lanes.rest(lane, 1)
        return lane

    def end_piece(self, prepared: Frame | None = None) -> None:
        """The update at the end of a piece which is an interval of its own. prepared : the call of it."""
        if self.optimizer is not None:
            for total, g in zip(self.total[:4], self.stream_grad[:4], strict=True):
                if total.size:
                    total += g
            self.update(1, self.stream_grad, prepared)

    def rate(self) -> float:
        """Learning rate of the next update."""
        assert self.optimizer is not None
        lr, done = self.optimizer.lr, int(self.opt.done[0])
        return float(self.optimizer.rates(done, 1)[0] if callable(lr) else lr)

    def update(self, trials: int, grad: FlatWeights | None = None, prepared: Frame | None = None) -> None:
        """Apply accumulator 0, the gradient summed over so many trials, and clear it."""
        lr, grad = self.rate(), self.grad if grad is None else grad
        self.norm = None
        if self.norms is not None or self.weighs:
            norms = self._norms(grad, trials)
            self.norm, self.weighs = math.hypot(*norms), False
            if self.norms is not None:
                self.norms[:] = norms
        if prepared is None:
            apply_together(apply_gradient, self.pool, self.sharing, self.update_arguments(trials, grad), lr)
        else:
            prepared.give(lr)
            prepared.call()

    def update_arguments(self, trials: int, grad: FlatWeights) -> tuple[Any, ...]:
        """What `apply_gradient` takes, but for the learning rate."""
        return self.opt, self._absent, self.weights, grad, trials, ALONE

    def largest_norm(self) -> float | None:
        """Of the gradients of updates within runs that were measured since the last call; None where none was."""
        largest = float(self.opt.looks[2])
        self.opt.looks[2] = 0.0
        return None if largest == 0 else largest

    def _norms(self, grad: FlatWeights, trials: int) -> list[float]:
        """Norms of accumulator 0 averaged over so many trials, of the matrices that learn; absent synapses are cleared first."""
        for g, absent in ((grad.w_in, self.arrays.absent_in), (grad.w_rec, self.arrays.absent_rec)):
            g[0][absent] = 0
        learns = zip(self.learns, grad[:4], strict=True)
        return [norm(g[0]) / trials if learn else 0.0 for learn, g in learns]

    def forget_stream(self) -> None:
        """The stream starts from the initial state; a gradient that waits for the end of its interval is dropped."""
        lane, self.learnt[0] = self.lanes.get("stream"), False
        if lane is not None:
            self.lanes.rest(lane, 1)
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

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Threads beside this one; a forked process does not have its parent's."""
        if self._pool is None or self._pool[0] != os.getpid():
            self._pool = os.getpid(), ThreadPoolExecutor(self.threads, thread_name_prefix="snnlearn")
        return self._pool[1]

    def _share(self, lane: Lane, job: Job, tasks: list[tuple[int, int, int]], outcome: Outcome, segment: int) -> list[Block]:
        """Trials lo .. hi-1 of each of these tasks (group, lo, hi) in one lane, each from the initial state.

        They run in one call, one round after the other, where nothing is to be done between them; segment : see `Cutter.layout`
        """
        blocks: list[Block] = []
        block = self.cutter.block(job.n_steps, lane.plan)
        late = lane.plan.whole and "current_gradient" in lane.plan.full  # which is known when the rule has gone back
        plain = job.variables is None and job.noise is None and job.error is None and not lane.traces and lane.parts is None
        plain &= not lane.plan.rate_first and not segment and block >= job.n_steps
        for group, lo, hi in tasks:
            step = lane.slots
            if plain and hi - lo >= 2 * lane.slots:
                step = (hi - lo) // lane.slots * lane.slots
            for first in range(lo, hi, step):
                n = min(hi, first + step) - first
                part, own = job.part(first, first + n), outcome.part(first, first + n, np.zeros(4, np.int64))
                rounds = n // lane.slots if n > lane.slots else 1
                self.lanes.rest(lane, n // rounds)
                if segment:
                    blocks += self._in_segments(lane, part, own, group, first)
                    continue
                if lane.plan.rate_first:
                    self._rehearse(lane, part)
                for start in range(0, part.n_steps, block):
                    steps, origin = range(start, min(part.n_steps, start + block)), 0 if lane.plan.whole else start
                    span = self.span(part, steps, origin, group)._replace(trials=n // rounds, rounds=rounds)
                    self._advance(lane, part, own, span, first)
                    if not late:
                        blocks += self._blocks(lane, part, steps, origin, first)
                if late:
                    blocks += self._blocks(lane, part, range(part.n_steps), 0, first)
                if rounds == 1:
                    own.counts[:] = lane.state.counts[:n]
        return blocks

    def _in_segments(self, lane: Lane, job: Job, outcome: Outcome, group: int, base: int) -> list[Block]:
        """One trial whose tape does not fit: forward once for the states at segments' starts, then back through them."""
        scratch = make_outcome(1, self.arrays.n_out, self.net.n)
        marks: list[Any] = []
        for start in range(0, job.n_steps, lane.steps):
            steps = range(start, min(job.n_steps, start + lane.steps))
            marks.append((steps, [a.copy() for a in lane.state], job.noise.mark() if job.noise else None))
            forward = job._replace(learn=False)
            self._advance(lane, forward, outcome, self.span(forward, steps, start), base)
        outcome.counts[:] = lane.state.counts
        blocks: list[Block] = []
        again = job._replace(error=None)  # the targets hold the errors that the user's function has given
        for steps, state, noise in reversed(marks):
            for array, before in zip(lane.state, state, strict=True):
                array[:] = before
            if job.noise:
                job.noise.back_to(noise)
            span = self.span(again, steps, steps.start, group, segment=True)
            self._advance(lane, again, scratch, span, base)
            blocks = self._blocks(lane, job, steps, steps.start, base) + blocks
        return blocks

    def _rehearse(self, lane: Lane, job: Job) -> None:
        """Simulate once without learning, for what the end of a trial tells: its rates, its mean readout."""
        saved, mark = [array.copy() for array in lane.state], job.noise.mark() if job.noise else []
        scratch = make_outcome(job.n_trials, self.arrays.n_out, self.net.n)
        targets = job.targets if job.targets.mean.size else job.targets._replace(kind=NONE)
        quiet = job._replace(learn=False, error=None, targets=targets)
        for start in range(0, job.n_steps, lane.steps):
            steps = range(start, min(job.n_steps, start + lane.steps))
            self._advance(lane, quiet, scratch, self.span(quiet, steps, start))
        for array, before in zip(lane.state, saved, strict=True):
            array[:] = before
        if job.noise:
            job.noise.back_to(mark)

    def _advance(self, lane: Lane, job: Job, outcome: Outcome, span: Span, base: int = 0) -> None:
        """Run the span for all the job's trials, in one compiled call unless Python gives the error."""
        start, stop = span.start, span.stop
        noise = np.zeros((0, 0, 0), self.dtype)
        if self.arrays.noise.size and job.noise is not None:
            noise = job.noise.draw(stop - start, self.dtype)
        for here, asks in self._calls(job, lane, span):
            drawn = noise[:, here.start - start : here.stop - start].copy() if noise.size and asks else noise
            rates, learnt = self._rates(here)
            call = self.arguments(here, lane, job, outcome, drawn, rates)
            if lane.parts is None:
                self.run_block(*call)
            else:
                run_together(lane.parts, self.run_block, self.pool, call, lane.plan.asked)
            if outcome.trouble[0]:
                trial, step, neuron = (int(x) for x in outcome.trouble[1:])
                raise Divergence(trial + base, step + here.offset, neuron)
            if here.update and here.n_steps == 0:  # of the stream
                self.learnt[0] = learnt
            if asks and here.forward:
                self._ask_error(job, lane, here)

    def _calls(self, job: Job, lane: Lane, span: Span) -> Iterator[tuple[Span, bool]]:
        """The spans of single calls, and whether the user's function gives the error: it is asked after those that go forward."""
        if job.error is None:
            yield span, False
            return
        causal = set(lane.plan.directions or ("forward",)) - {"adjoint"}
        chunk = 1 if causal else lane.plan.window
        chunk = span.stop - span.start if lane.plan.whole else chunk
        for t in range(span.start, span.stop, chunk):
            here = span._replace(start=t, stop=min(span.stop, t + chunk))
            yield here._replace(backward=False, learn=False, update=False), True
            yield here._replace(forward=False), True

    def _rates(self, span: Span) -> tuple[np.ndarray, bool]:
        """Learning rates of the updates within a call, and whether the interval that it leaves open has learnt."""
        if not span.update:
            return NO_RATES, False
        updates, learnt = self.due(span.start + span.offset, span.stop + span.offset, span.quiet)
        updates += span.stop == span.n_steps and span.stop % span.interval != 0
        assert self.optimizer is not None
        return self.optimizer.rates(int(self.opt.done[0]), updates) if updates else NO_RATES, learnt

    def span(
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
        """What one call of the block loop runs of a job."""
        return Span(
            trials=job.n_trials,
            rounds=1,
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
            quiet=job.quiet,
            update=update and self.optimizer is not None and self.interval is not None,
            segment=segment,
            team=ALONE,
        )

    def _ask_error(self, job: Job, lane: Lane, span: Span) -> None:
        """Fill the targets with what the user's function returns for each trial and step."""
        assert job.error is not None
        for t in range(span.start, span.stop):
            for b in np.flatnonzero(job.inputs.steps > t):
                y = lane.tape.readout[b, t - span.origin].copy()
                job.targets.value[b, t] = _check.array("error(step, readout)", job.error(t, y), (y.size,), self.dtype)

    def arguments(self, span: Span, lane: Lane, job: Job, outcome: Outcome, noise: np.ndarray, lr: np.ndarray) -> BlockCall:
        """What the block loop takes. lr : learning rates of the updates within the call"""
        grad, rule = self.stream_grad if lane is self.lanes.get("stream") else self.grad, lane.rule
        if self.in_place and span.update:
            hidden = {"w_in": self.weights.w_in.reshape(1, -1), "w_rec": self.weights.w_rec.reshape(1, -1)}
            factor = self.dtype.type(-self.optimizer.lr / span.trials)  # type: ignore[operator, union-attr]
            on_read = span.trials == 1 and span.stop - span.start >= SHORTEST and span.forward and span.learn
            grad, rule = grad._replace(**hidden), rule._replace(factor=factor, on_read=on_read)
        return BlockCall(
            Model(self.arrays, self.weights, self.rates),
            Drive(job.inputs, job.targets, noise),
            Work(lane.state, lane.tape, outcome),
            Learning(rule, grad, self.block_opt, lr),
            span,
        )

    def _blocks(self, lane: Lane, job: Job, steps: range, origin: int, base: int) -> list[Block]:
        return cut_blocks(job, lane.tape, self.net.variables, self.arrays.delay, steps, origin, base)


def _zero(*gradients: FlatWeights) -> None:
    for grad in gradients:
        for g in grad[:4]:
            g.fill(0)
