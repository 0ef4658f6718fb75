"""The block loop on the Python side: arrays for a run, calls of `run_block`, threads.

Two ways to run, each in workspaces (`workspace.py`) and on spans of steps that a schedule yields (`schedule.py`):

    run      a batch from the initial state. Where weights change after it, its trials are independent and are dealt to threads;
             where there are fewer trials than threads, threads share the neurons of each (`partition.py`). Where weights change
             every K steps, the trials advance together
    stream   a piece of a stream: one workspace whose state lives on

The trials of a batch add to a fixed number of accumulators, whatever the number of threads, and the
accumulators are summed in order: results are bit-identical for any number of threads.

A rule that looks back over whole trials needs their tape. Where that is larger than the rule's `max_bytes`, the
trial runs once without a tape, keeping the state at the borders of segments, and is then run again segment by
segment from the last one, each digested before the one before it (gradient checkpointing). Same result to
the last bit, two forward simulations, memory of the order of sqrt(T).
"""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import numpy as np

from .. import _check
from ..compiler.barrier import ALONE, cores
from ..compiler.bound_call import Frame
from ..losses import NONE, SIGNAL, RateRegularizer, rate_arrays
from ..network.arrays import structure
from ..network.network import Network
from ..network.weights import FlatWeights, Weights, flatten, norm, unflatten, zeros_like
from ..optimizers.optimizers import LOOKED, SGD, NoOptimizer, Optimizer, apply_gradient, sum_accumulators
from ..optimizers.rewiring import DeepR
from ..rules.base import Rule
from ..rules.engines.event_driven import SHORTEST
from ..rules.engines.influence import MAX_BYTES
from ..rules.engines.passive import carried
from ..rules.tape import Drive, Learning, Model, Outcome, Span, Work, make_outcome, make_state
from .batch import Block, Divergence, Result, Trials, cut_blocks
from .block_loop import runner
from .partition import SharingPace, apply_together, updaters
from .partition import run as run_together
from .rewiring import Rewirer, can_stream, check_rules
from .schedule import ACCUMULATORS, STREAM, Plan, RunSchedule, Scheduler, halves
from .workspace import Workspace, Workspaces, sharing, why_not_in_place

IDLE = SGD(0.0)
NO_RATES = np.zeros(0)


class LastUpdate(NamedTuple):
    """The update after the last batch: the second one in a row from the same arrays is prepared, for all that follow."""

    trials: int
    grad: FlatWeights
    call: Frame | None


class Engine:
    """A network with its weights, rules and optimizer, ready to run.

    rules : the one that updates, and others whose gradients are computed beside it, on the same trajectory
    interval : K in steps, or None for one update a trial (or batch)
    threads : None: all cores for trials of a batch, and one for the neurons of a trial, because threads that share them wait for
        each other at every step, which takes cores of their own
    rewiring : of sparse matrices after updates, with random numbers of this seed
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
        rewiring: DeepR | None = None,
        seed: int = 0,
    ):
        rule, passive = (rules[0] if rules else None), rules[1:]
        self.net, self.dtype, self.rule, self.optimizer, self.rules = net, np.dtype(dtype), rule, optimizer, tuple(rules)
        self.interval, self._threads, self.sharing = interval, threads, threads or 1
        self.arrays = net.arrays(weights, self.dtype)
        self.weights = flatten(weights, self.dtype, None if rule is None else rule.feedback_matrix(net))
        self.like = structure(self.weights, weights, self.arrays)
        self.hidden = self.arrays.initial
        self.rates = rate_arrays(regularizer, net.dt, self.dtype)
        self.model = Model(self.arrays, self.weights, self.rates)
        active = regularizer is not None and regularizer.strength > 0
        rate_form = None if not active else "online" if self.rates.per_step > 0 else "trial"
        state = sum(array.nbytes for array in make_state(self.arrays, self.hidden, 1))
        shared = sharing(self.sharing, self.arrays, self.rules)
        setting = (self.rules, interval, rate_form, self.arrays, net.variables, self.dtype.itemsize, state, shared)
        self.scheduler = Scheduler(*setting, known={})
        decay, adaptive = (rule.feedback_decay, rule.adaptive) if rule is not None else (0.0, False)
        self.opt = (optimizer or IDLE).arrays(net, self.weights, decay, adaptive)
        self.why_not_in_place = why_not_in_place(rule, optimizer, interval, passive)
        self.in_place = not self.why_not_in_place  # whether hidden weights take each step's gradient at once
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
        known = (self.model, self.hidden, self.rules, interval, self.learns, self.in_place, beside)
        self.workspaces = Workspaces(*known, rewires=rewiring is not None)
        self.follows = optimizer is not None and self.workspaces.streams()
        self.rewirer: Rewirer | None = None
        if rewiring is not None:
            self.rewirer = Rewirer(rewiring, seed, self)
            self.follows &= can_stream(self.rules, interval)
        self.paces: dict[bool, SharingPace] = {}  # of runs that learn, and of others
        self.shared = True  # whether threads might share the neurons in the last run
        self._pool: tuple[int, ThreadPoolExecutor] | None = None  # of the process with this number
        self.run_block = runner(self.arrays.params, self.rules)
        self._absent = self.arrays._replace(params=0, proj_in=0, proj_rec=0)  # all that an update needs of the network
        self._no_noise = np.zeros((0, 0, 0), self.dtype)
        self._last_update: LastUpdate | None = None

    # ---- ways to run --------------------------------------------------------------------------------

    def run(self, batch: Trials) -> Result:
        """A batch from the initial state.

        Where it learns and weights do not change within it, the gradient ends up in accumulator 0.
        """
        if self.rewirer is not None:
            self.rewirer.changes.clear()
        schedule, began = self.schedule(batch), time.perf_counter()
        may_share = schedule.plan.members > 1 and set(schedule.plan.directions or ()) <= {"adjoint"}
        pace = self.paces.setdefault(batch.learn, SharingPace())
        self.shared = shared = not may_share or pace.shares()
        if not shared:
            schedule = self.scheduler.schedule(batch, together=False)
        plan, groups, way = schedule.plan, len(schedule.shares) - 1, schedule.way
        if batch.learn and self.grad.w_in.shape[0] < groups:
            self.grad = zeros_like(self.weights, groups)
        fit = (schedule.slots, schedule.rows, plan)
        space = self.workspaces.fit((way, 0, batch.learn, shared), *fit)
        workers = 1 if groups == 1 or batch.error is not None or plan.members > 1 else min(self.threads, groups)
        if workers > 1 and set(plan.directions or ()) - {"adjoint"}:
            needed = sum(array.nbytes for array in carried(space.rule))
            workers = max(1, min(workers, max(r.max_bytes or MAX_BYTES for r in self.rules) // max(needed, 1)))
        tasks = schedule.tasks(not space.traces and schedule.plain(batch))
        outcome = make_outcome(batch.n_trials, self.arrays.n_out, self.net.n)
        if workers == 1:
            blocks = self._walk(schedule, space, batch, tasks, outcome)
        else:
            # here: threads of the pool only use them
            spaces = [space, *(self.workspaces.fit((way, worker, batch.learn, shared), *fit) for worker in range(1, workers))]
            hands = [[task for task in tasks if task[0] % workers == worker] for worker in range(workers)]
            futures = [self.pool.submit(self._walk, schedule, s, batch, h, outcome) for s, h in zip(spaces, hands, strict=True)]
            wait(futures)  # also where one fails: no thread may still write when the next run begins
            found = dict(pair for f, hand in zip(futures, hands, strict=True) for pair in zip(hand, f.result(), strict=True))
            blocks = [found[task] for task in tasks]
        if batch.learn and groups > 1:
            for grad in (self.grad, *self.passive_grads):
                sum_accumulators(grad, groups)
        if may_share:
            pace.took(shared, time.perf_counter() - began, batch.all_steps)
        return Result(outcome, outcome.counts, [block for task in blocks for block in task])

    def stream(self, batch: Trials, offset: int) -> Result:
        """The next piece of the stream, whose step 0 is step `offset` of the stream; the state lives on."""
        batch = self.going_on(batch)
        schedule = self.schedule(batch, streaming=True)
        plan, closes = schedule.plan, self.interval is None
        if self.rewirer is not None:
            self.rewirer.changes.clear()
        if plan.directions is not None and not batch.quiet:
            if batch.n_steps % plan.window:
                raise _check.fail(
                    "Simulator.run", f"get pieces of a multiple of {plan.window} steps for this rule", batch.n_steps
                )
            if not closes and offset % plan.window:
                need = f"get pieces that begin at a multiple of {plan.window} steps of the stream for this rule"
                raise _check.fail("Simulator.run", need, f"one at step {offset}")
        outcome, space = make_outcome(1, self.arrays.n_out, self.net.n), self.stream_space(schedule.rows, plan)
        before = space.state.history.sum(axis=1, dtype=np.int32)  # spikes in flight, which arrive in this piece
        (blocks,) = self._walk(schedule, space, batch, [(0, 0, 1)], outcome, offset)
        outcome.late[:] -= before
        if closes and batch.learn and not batch.quiet:
            self.end_piece()
        return Result(outcome, outcome.counts, blocks)

    def schedule(self, batch: Trials, streaming: bool = False) -> RunSchedule:
        """How a batch is run, from the initial state or as a piece of the stream."""
        if streaming:
            self.check_stream(batch)
        return self.scheduler.schedule(batch, streaming)

    def check_stream(self, batch: Trials) -> None:
        """ValueError where the rules cannot learn from a piece of a stream whose synapses move."""
        if batch.learn and self.rewirer is not None:
            check_rules("Simulator.rewiring", self.rules, self.interval, streaming=True)

    def _walk(
        self,
        schedule: RunSchedule,
        space: Workspace,
        batch: Trials,
        tasks: Sequence[tuple[int, int, int]],
        outcome: Outcome,
        offset: int = 0,
    ) -> list[list[Block]]:
        """Run trials of a batch in a workspace, one task (accumulator, first trial, the trial after the last) after the other."""
        found, of_stream = [], schedule.way == STREAM
        grad = self.stream_grad if of_stream else self.grad
        for group, first, stop in tasks:
            mine, sums = batch, outcome
            if stop - first < batch.n_trials:
                mine, sums = batch.part(first, stop), outcome.part(first, stop, np.zeros(4, np.int64))
            if not of_stream:
                self.workspaces.rest(space, min(mine.n_trials, schedule.slots))
            work, counted = Work(space.state, space.tape, sums), False
            blocks: list[Block] = []
            for span in schedule.spans(mine, work, group, offset):
                for part in self._until_rewired(halves(span, schedule, mine, work)):
                    done = int(self.opt.done[0])
                    drive = Drive(mine.inputs, mine.targets, self._noise(mine, part))
                    learning = self.learning(space.rule, grad, part, self._rates(part))
                    if space.shards is None:
                        self.run_block(self.model, drive, work, learning, part)
                    else:
                        bundles = self.model, drive, work, learning, part
                        run_together(space.shards, self.run_block, self.pool, bundles, space.plan.asked)
                    if sums.trouble[0]:
                        trial, step, neuron = (int(x) for x in sums.trouble[1:])
                        raise Divergence(None if of_stream else trial + first, step + offset, neuron)
                    if part.update and of_stream:
                        self.learnt[0] = self._due(part)[1]
                    if part.update:
                        self.rewire(done)
                counted = span.rounds > 1
                if mine.variables is not None and span.learn == mine.learn:
                    blocks += cut_blocks(mine, space.tape, self.net.variables, self.arrays.delay, schedule.known(span), first)
            if not counted:
                sums.counts[:] = space.state.counts[: mine.n_trials]
            if schedule.segment:
                blocks.reverse()
            found.append(blocks)
        return found

    def _until_rewired(self, spans: Iterable[Span]) -> Iterator[Span]:
        """Spans in parts that end where synapses are rewired."""
        for span in spans:
            while self.rewirer is not None and span.update:
                first = ((span.start + span.offset) // span.interval + 1) * span.interval - span.offset
                stop = first + (self.rewirer.to_go() - 1) * span.interval
                if stop >= span.stop:
                    break
                yield span._replace(stop=stop)
                span = span._replace(start=stop)
            yield span

    def rewire(self, before: int) -> None:
        """Rewire where it is due after the last update. before : updates until then"""
        if self.rewirer is not None and self.rewirer.due(before):
            self.rewirer.rewire()

    def _noise(self, batch: Trials, span: Span) -> np.ndarray:
        """Normal numbers for the steps of a span, [trials, steps, n]; size 0 where none are needed."""
        if not (self.arrays.noise.size and span.forward) or batch.noise is None:
            return self._no_noise
        return batch.noise.draw(span.stop - span.start, self.dtype)

    def learning(self, rule: Any, grad: FlatWeights, span: Span, lr: np.ndarray) -> Learning:
        """What learns in a span. rule : its arrays; grad : accumulators; lr : learning rates of the updates within the span"""
        in_place = self.in_place and span.update
        if in_place:
            grad = grad._replace(w_in=self.weights.w_in.reshape(1, -1), w_rec=self.weights.w_rec.reshape(1, -1))
            factor = self.dtype.type(-self.optimizer.lr / span.trials)  # type: ignore[operator, union-attr]
            on_read = span.trials == 1 and span.stop - span.start >= SHORTEST and span.forward and span.learn
            rule = rule._replace(factor=factor, on_read=on_read)
        return Learning(rule, grad, self.block_opt, lr, in_place)

    def _rates(self, span: Span) -> np.ndarray:
        """Learning rates of the updates that a span makes."""
        if not span.update:
            return NO_RATES
        updates = self._due(span)[0] + (span.stop == span.n_steps and span.stop % span.interval != 0)
        return self.optimizer.rates(int(self.opt.done[0]), updates) if updates else NO_RATES  # type: ignore[union-attr]

    def _due(self, span: Span) -> tuple[int, bool]:
        """The updates at ends of intervals within a span, and whether the interval that it leaves open has learnt.

        An interval of quiet steps alone ends without an update.
        """
        first, last, learnt = span.start + span.offset, span.stop + span.offset, bool(self.learnt[0])
        ends = last // span.interval - first // span.interval
        updates = min(ends, learnt) if span.quiet else ends
        return updates, last % span.interval != 0 and (not span.quiet or (learnt and ends == 0))

    def going_on(self, batch: Trials) -> Trials:
        """A piece of the stream as it runs: what the rules carry goes on in steps that do not learn, too."""
        if batch.learn or not self.follows:
            return batch
        targets = batch.targets if batch.targets.kind != SIGNAL else batch.targets._replace(kind=NONE)
        return batch._replace(learn=True, quiet=True, targets=targets)

    def stream_space(self, steps: int, plan: Plan) -> Workspace:
        """The workspace of the stream, for so many steps at a time; at the initial state where the stream begins."""
        found = self.workspaces.get(STREAM)
        space = self.workspaces.fit(STREAM, 1, steps, plan, found)
        if found is None:
            self.workspaces.rest(space, 1)
        return space

    def end_piece(self) -> None:
        """The update at the end of a piece which is an interval of its own."""
        if self.optimizer is not None:
            for total, g in zip(self.total[:4], self.stream_grad[:4], strict=True):
                if total.size:
                    total += g
            self.update(1, self.stream_grad)

    def rate(self) -> float:
        """Learning rate of the next update."""
        assert self.optimizer is not None
        lr, done = self.optimizer.lr, int(self.opt.done[0])
        return float(self.optimizer.rates(done, 1)[0] if callable(lr) else lr)

    def update(self, trials: int, grad: FlatWeights | None = None) -> None:
        """Apply accumulator 0, the gradient summed over so many trials, and clear it; rewire where that is due."""
        done = int(self.opt.done[0])
        self._update(trials, self.grad if grad is None else grad)
        self.rewire(done)

    def _update(self, trials: int, grad: FlatWeights) -> None:
        lr = self.rate()
        self.norm = None
        if self.norms is not None or self.weighs:
            norms = self._norms(grad, trials)
            self.norm, self.weighs = math.hypot(*norms), False
            if self.norms is not None:
                self.norms[:] = norms
        arguments, size = self.update_arguments(trials, grad), updaters(self.sharing, self.weights) if self.shared else 1
        if size > 1:
            apply_together(apply_gradient, self.pool, size, arguments, lr)
            return
        last = self._last_update
        again = last is not None and last.trials == trials and last.grad is grad
        call = last.call if again and last is not None else None
        if call is None and again:
            call = Frame(apply_gradient, (*arguments, lr))
        self._last_update = LastUpdate(trials, grad, call)
        if call is None:
            apply_gradient(*arguments, lr)
        else:
            call.give(lr)
            call.call()

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
        space, self.learnt[0] = self.workspaces.get(STREAM), False
        if space is not None:
            self.workspaces.rest(space, 1)
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

    @functools.cached_property
    def threads(self) -> int:
        """To which trials of a batch are dealt."""
        return self._threads or cores()

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Threads beside this one; a forked process does not have its parent's."""
        if self._pool is None or self._pool[0] != os.getpid():
            self._pool = os.getpid(), ThreadPoolExecutor(self.threads, thread_name_prefix="snnlearn")
        return self._pool[1]


def _zero(*gradients: FlatWeights) -> None:
    for grad in gradients:
        for g in grad[:4]:
            g.fill(0)
