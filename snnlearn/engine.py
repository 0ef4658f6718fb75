"""The block loop on the Python side: arrays for a run, calls of `run_block`, threads, noise, divergence.

A `Lane` holds what one thread needs to run some trials at a time. Three ways to run:

    trials     weights change after the batch: trials are independent and are dealt to threads
    lockstep   weights change every K steps: the trials of a batch advance together
    piece      a stream: one lane whose state lives on

The trials of a batch add to a fixed number of accumulators, whatever the number of threads, and the
accumulators are summed in order: results are bit-identical for any number of threads.
"""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import numpy as np

from . import _check
from .block import run_block
from .events import InputArrays
from .losses import ENTROPY, ERROR, NONE, SIGNAL, SQUARED, RateRegularizer, TargetArrays, rate_arrays
from .network import FlatWeights, Network, Weights, flatten, unflatten, zeros_like
from .optimizers import SGD, NoOptimizer, Optimizer, apply_gradient, sum_accumulators
from .rules.base import NoRule, Rule
from .rules.influence import InfluenceArrays
from .tape import Outcome, Span, State, Tape, make_outcome, make_state, make_tape, tape_bytes

ACCUMULATORS = 8  # at most; a constant, because it decides the order of sums
TAPE_LIMIT = 256 * 2**20  # bytes of tape of one lane; beyond, it runs fewer trials at a time
BLOCK_WORK = 4_000_000  # neurons x steps of one compiled call: under a second, so that Ctrl-C answers
STRUCTURE = {*InfluenceArrays._fields[:12], "reset"}  # arrays of rules that are not traces
NEVER = 2**62  # an update interval that does not end
IDLE = SGD(0.0)

ErrorFunction = Callable[[int, np.ndarray], Any]  # (step, y [n_out]) -> error [n_out]


class Divergence(FloatingPointError):
    """The state of a neuron is no longer finite. Attributes trial, step, neuron."""

    def __init__(self, trial: int, step: int, neuron: int):
        self.trial, self.step, self.neuron = trial, step, neuron
        super().__init__(
            f"Simulator: the membrane potential of neuron {neuron} is not finite at step {step} of trial {trial}; "
            "lower the learning rate, set clip_norm or bounds of the optimizer, or scale the weights down"
        )


class Noise(NamedTuple):
    """One generator a trial: draws do not depend on blocks, batches or threads."""

    generators: list[np.random.Generator]
    n: int

    def draw(self, steps: int, dtype: Any) -> np.ndarray:
        """The next standard normal numbers, [trials, steps, n]."""
        return np.stack([g.standard_normal((steps, self.n), dtype) for g in self.generators])


class Lane(NamedTuple):
    """The arrays of one thread, for `slots` trials."""

    state: State
    tape: Tape
    rule: Any
    slots: int
    steps: int  # rows of the tape
    full: frozenset[str]
    direction: str | None


class Block(NamedTuple):
    """One contiguous piece of one trial, for a recorder: copies from the tape."""

    trial: int
    start: int
    spike_step: np.ndarray  # int64, step within the trial
    spike_neuron: np.ndarray  # int32
    traces: dict[str, np.ndarray]  # name -> [steps, neurons asked for]
    readout: np.ndarray  # [steps, n_out]


class Job(NamedTuple):
    """What to run: a batch in the form of kernels."""

    inputs: InputArrays
    targets: TargetArrays
    learn: bool
    noise: Noise | None = None
    error: ErrorFunction | None = None
    variables: Mapping[str, Any] | None = None  # what blocks hold besides spikes and readout, name -> neurons (None: all)
    wanted: Callable[[int], bool] = lambda trial: True  # which trials' blocks are kept
    labels_per_step: bool = False  # for scores: one label a step instead of one a trial

    @property
    def n_trials(self) -> int:
        return self.inputs.indptr.shape[0]

    @property
    def n_steps(self) -> int:
        return self.inputs.indptr.shape[1] - 1

    @property
    def backward(self) -> bool:
        return self.learn or self.targets.kind in (SQUARED, ENTROPY, ERROR) or self.error is not None

    def part(self, lo: int, hi: int) -> Job:
        """The same for trials lo .. hi-1, as views."""
        t = self.targets
        value = t.value[lo:hi] if t.kind in (SQUARED, ERROR, SIGNAL) or self.error is not None else t.value
        label = t.label[lo:hi] if t.kind == ENTROPY else t.label
        wanted = self.wanted
        return self._replace(
            inputs=self.inputs._replace(indptr=self.inputs.indptr[lo:hi]),
            targets=TargetArrays(t.kind, value, label, t.mask[lo:hi]),
            noise=None if self.noise is None else self.noise._replace(generators=self.noise.generators[lo:hi]),
            wanted=lambda trial: wanted(trial + lo),
        )


class Result(NamedTuple):
    """What a job gives: sums over each trial and spike counts."""

    outcome: Outcome
    counts: np.ndarray  # int [trials, n]
    blocks: list[Block]


class Engine:
    """A network with its weights, rule and optimizer, ready to run.

    interval : K in steps, or None for one update a trial (or batch)
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
    ):
        self.net, self.like, self.dtype, self.rule, self.optimizer = net, weights, np.dtype(dtype), rule, optimizer
        self.interval, self.threads = interval, threads or _cores()
        self.arrays = net.arrays(weights, self.dtype)
        self.weights = flatten(weights, self.dtype, None if rule is None else rule.feedback_matrix(net))
        self.hidden = net.initial_hidden(self.dtype)
        self.rates = rate_arrays(regularizer, net.dt, self.dtype)
        active = regularizer is not None and regularizer.strength > 0
        self.rate_form = None if not active else "online" if self.rates.per_step > 0 else "trial"
        decay, adaptive = (rule.feedback_decay, rule.adaptive) if rule is not None else (0.0, False)
        self.opt = (optimizer or IDLE).arrays(net, self.weights, decay, adaptive)
        self.block_opt = self.opt if interval is not None else NoOptimizer(0)
        self.learns = np.ones(4, bool) if optimizer is None else self.opt.learns
        self.grad = zeros_like(self.weights, 1 if rule is not None else 0)
        self.stream_grad = zeros_like(self.weights, 1 if rule is not None else 0)  # its interval may stay open
        self._lanes: dict[Any, Lane] = {}
        self._pool: ThreadPoolExecutor | None = None

    # ---- ways to run --------------------------------------------------------------------------------

    def trials(self, job: Job) -> Result:
        """Independent trials from the initial state; with `job.learn` the gradient ends up in accumulator 0."""
        direction = self._direction(job, streaming=False, interval=None)
        n = job.n_trials
        shares = np.linspace(0, n, min(ACCUMULATORS, n) + 1).astype(int)
        tasks = [(g, int(lo), int(hi)) for g, (lo, hi) in enumerate(itertools.pairwise(shares))]
        if job.learn and self.grad.w_in.shape[0] < len(tasks):
            self.grad = zeros_like(self.weights, len(tasks))
        rows = job.n_steps if direction == "adjoint" else min(job.n_steps, self._block_steps())
        full = self._full_rows(direction, job.variables)
        bytes_ = tape_bytes(self.arrays, self.hidden.shape[1], rows, self.dtype.itemsize, full)
        slots = int(max(1, min(TAPE_LIMIT // bytes_, max(hi - lo for _, lo, hi in tasks), self._block_steps() // rows)))

        def work(worker: int, mine: list[tuple[int, int, int]]) -> list[tuple[int, Result]]:
            lane = self._lane(("trials", worker), slots, rows, direction, full)
            done = []
            for group, lo, hi in mine:
                for first in range(lo, hi, slots):
                    part = job.part(first, min(hi, first + slots))
                    done.append((first, self._trials_of(lane, part, group, first)))
            return done

        workers = 1 if job.error is not None else max(1, min(self.threads, len(tasks)))
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
            sum_accumulators(self.grad, len(tasks))
        outcome = Outcome(*(np.concatenate(parts) for parts in zip(*(r.outcome for r in results), strict=True)))
        counts = np.concatenate([r.counts for r in results])
        return Result(outcome, counts, [block for r in results for block in r.blocks])

    def lockstep(self, job: Job) -> Result:
        """A batch from the initial state whose trials advance together; weights change every `interval` steps."""
        direction = self._direction(job, streaming=False, interval=self.interval)
        block, full = min(job.n_steps, self._block_steps()), self._full_rows(direction, job.variables)
        lane = self._lane("lockstep", job.n_trials, block, direction, full)
        self._rest(lane, job.n_trials)
        outcome, blocks = make_outcome(job.n_trials, self.arrays.n_out), []
        for start in range(0, job.n_steps, block):
            stop = min(job.n_steps, start + block)
            self._advance(lane, job, outcome, start, stop, start, update=job.learn)
            blocks += self._blocks(lane, job, start, stop, start, 0)
        return Result(outcome, lane.state.counts.copy(), blocks)

    def piece(self, job: Job, offset: int) -> Result:
        """The next piece of the stream, whose step 0 is step `offset` of the stream; the state lives on."""
        direction = self._direction(job, streaming=True, interval=self.interval)
        closes = self.interval is None
        block, full = min(job.n_steps, self._block_steps()), self._full_rows(direction, job.variables)
        found = self._lanes.get("stream")
        kept = None if found is None else found.state
        lane = self._lane("stream", 1, block, direction, full, found)
        if kept is None:
            self._rest(lane, 1)
        if self.rate_form == "trial" and direction == "forward":
            self._rehearse(lane, job)
        outcome, blocks = make_outcome(1, self.arrays.n_out), []
        for start in range(0, job.n_steps, block):
            stop = min(job.n_steps, start + block)
            self._advance(lane, job, outcome, start, stop, start, update=job.learn, offset=offset, closes=closes)
            blocks += self._blocks(lane, job, start, stop, start, 0)
        if closes and job.learn and self.optimizer is not None:
            self.update(1, self.stream_grad)
        return Result(outcome, lane.state.counts.copy(), blocks)

    def update(self, trials: int, grad: FlatWeights | None = None) -> None:
        """Apply accumulator 0, the gradient summed over so many trials, and clear it."""
        assert self.optimizer is not None
        lr = self.optimizer.rates(int(self.opt.done[0]), 1)[0]
        apply_gradient(self.opt, self.arrays, self.weights, self.grad if grad is None else grad, trials, lr)

    def forget_stream(self) -> None:
        """The stream starts from the initial state; a gradient that waits for the end of its interval is dropped."""
        self._lanes.pop("stream", None)
        for g in self.stream_grad[:4]:
            g[:] = 0

    def forget_gradient(self) -> None:
        """Clear what a run that failed has left in the accumulators."""
        for g in self.grad[:4]:
            g[:] = 0

    def gradient(self, trials: int) -> Weights:
        """Accumulator 0 averaged over so many trials, absent synapses zero; cleared."""
        flat = []
        for g in self.grad[:4]:
            flat.append(g[0] / self.dtype.type(trials))
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

    def _direction(self, job: Job, streaming: bool, interval: int | None) -> str | None:
        if not job.learn or self.rule is None:
            return None
        signal = job.targets.kind == SIGNAL
        direction = self.rule.direction(interval, streaming, signal)
        if self.rate_form == "trial" and interval is not None:
            need = "have tau (the online form) where weights change within a trial"
            raise _check.fail("RateRegularizer", need, f"tau=None, update_every={interval}")
        return direction

    def _block_steps(self) -> int:
        return int(np.clip(BLOCK_WORK // self.hidden.shape[1], 16, 50_000))

    def _full_rows(self, direction: str | None, variables: Iterable[str] | None) -> frozenset[str]:
        """Names of the tape's arrays that hold every step."""
        names = set(variables or ())
        full = names & {"psi", "threshold"}
        if direction is not None:
            full.add("psi")
            if self.rate_form == "online":
                full.add("rate_signal")
        if "learning_signal" in names:
            full.add("signal")
        if names & set(self.net.variables):
            full.add("hidden")
        return frozenset(full)

    def _lane(
        self, key: Any, slots: int, steps: int, direction: str | None, full: frozenset[str], keep: Lane | None = None
    ) -> Lane:
        """The lane under this key, made anew where it does not fit; with `keep`, its state and traces live on."""
        found = self._lanes.get(key)
        if found is not None and (found.slots, found.full, found.direction) == (slots, full, direction) and found.steps >= steps:
            return found
        state = make_state(self.arrays, self.hidden, slots) if keep is None else keep.state
        if keep is not None and (keep.direction == direction or direction is None):
            rule, direction = keep.rule, keep.direction or direction
        else:
            rule = self._rule_arrays(direction, slots, streaming=key == "stream")
        tape = make_tape(self.arrays, self.hidden, slots, steps, full)
        self._lanes[key] = Lane(state, tape, rule, slots, steps, full, direction)
        return self._lanes[key]

    def _rule_arrays(self, direction: str | None, slots: int, streaming: bool) -> Any:
        """The rule's arrays; where nothing learns they are empty, but of the type that the compiled kernel knows."""
        if self.rule is None:
            return NoRule(0)
        if direction is None:
            slots, direction = 0, "forward" if self.rule.causal and (streaming or self.interval is not None) else "adjoint"
        return self.rule.arrays(self.arrays, self.weights, direction, slots, self.learns)

    def _rest(self, lane: Lane, trials: int) -> None:
        """State and traces at the initial state."""
        lane.state.hidden[:trials] = self.hidden
        for array in lane.state[1:]:
            array[:trials] = 0
        _clear(lane.rule)

    def _trials_of(self, lane: Lane, job: Job, group: int, base: int) -> Result:
        """Some trials in one lane, each from the initial state."""
        n, outcome, blocks = job.n_trials, make_outcome(job.n_trials, self.arrays.n_out), []
        self._rest(lane, n)
        if self.rate_form == "trial" and lane.direction == "forward":
            self._rehearse(lane, job)
        whole = lane.direction == "adjoint"
        block = self._block_steps()
        for start in range(0, job.n_steps, block):
            stop, origin = min(job.n_steps, start + block), 0 if whole else start
            self._advance(lane, job, outcome, start, stop, origin, group=group, base=base)
            blocks += self._blocks(lane, job, start, stop, origin, base)
        return Result(outcome, lane.state.counts[:n].copy(), blocks)

    def _rehearse(self, lane: Lane, job: Job) -> None:
        """Simulate once without learning: the per-trial regulariser needs the rate of the whole trial first."""
        saved = [array.copy() for array in lane.state]
        scratch = make_outcome(job.n_trials, self.arrays.n_out)
        quiet = job._replace(learn=False, error=None, targets=job.targets._replace(kind=NONE), noise=copy.deepcopy(job.noise))
        for start in range(0, job.n_steps, lane.steps):
            stop = min(job.n_steps, start + lane.steps)
            self._advance(lane, quiet, scratch, start, stop, start)
        for array, before in zip(lane.state, saved, strict=True):
            array[:] = before

    def _advance(
        self,
        lane: Lane,
        job: Job,
        outcome: Outcome,
        start: int,
        stop: int,
        origin: int,
        group: int = 0,
        base: int = 0,
        update: bool = False,
        offset: int = 0,
        closes: bool = True,
    ) -> None:
        """Run steps start .. stop-1 of all the job's trials, in one compiled call unless Python gives the error."""
        interval = self.interval if update and self.interval is not None else NEVER
        span = Span(
            first=0,
            last=job.n_trials,
            start=start,
            stop=stop,
            origin=origin,
            n_steps=job.n_steps if closes else 0,
            offset=offset,
            interval=interval,
            group=group,
            forward=True,
            backward=job.backward,
            learn=job.learn,
            update=update and self.optimizer is not None and self.interval is not None,
        )
        noise = np.zeros((0, 0, 0), self.dtype)
        if self.arrays.noise.size and job.noise is not None:
            noise = job.noise.draw(stop - start, self.dtype)
        call = (lane, job, outcome, noise, base)
        if job.error is None:
            self._call(span, *call)
            return
        chunk = stop - start if lane.direction == "adjoint" else 1
        for t in range(start, stop, chunk):
            here = span._replace(start=t, stop=min(stop, t + chunk))
            part = (lane, job, outcome, noise[:, t - start : t - start + chunk].copy() if noise.size else noise, base)
            self._call(here._replace(backward=False, learn=False, update=False), *part)
            self._ask_error(job, lane, here)
            self._call(here._replace(forward=False), *part)

    def _ask_error(self, job: Job, lane: Lane, span: Span) -> None:
        """Fill the targets with what the user's function returns for each trial and step."""
        assert job.error is not None
        for t in range(span.start, span.stop):
            for b in range(span.last):
                y = lane.tape.readout[b, t - span.origin].copy()
                job.targets.value[b, t] = _check.array("error(step, readout)", job.error(t, y), (y.size,), self.dtype)

    def _call(self, span: Span, lane: Lane, job: Job, outcome: Outcome, noise: np.ndarray, base: int) -> None:
        ends = 0
        if span.update:
            ends = (span.stop + span.offset) // span.interval - (span.start + span.offset) // span.interval
            ends += span.stop == span.n_steps and (span.stop + span.offset) % span.interval != 0
        lr = np.zeros(0) if not ends else self.optimizer.rates(int(self.opt.done[0]), ends)  # type: ignore[union-attr]
        arguments = (self.arrays, self.weights, lane.state, job.inputs, job.targets, noise, self.rates, lane.tape)
        grad = self.stream_grad if lane is self._lanes.get("stream") else self.grad
        run_block(*arguments, outcome, lane.rule, grad, self.block_opt, lr, span)
        if outcome.trouble[0]:
            trial, step, neuron = (int(x) for x in outcome.trouble[1:])
            raise Divergence(trial + base, step + span.offset, neuron)

    def _blocks(self, lane: Lane, job: Job, start: int, stop: int, origin: int, base: int) -> list[Block]:
        """Copies of what the tape holds for steps start .. stop-1, for each trial that is wanted."""
        if job.variables is None:
            return []
        tape, delay, blocks = lane.tape, self.arrays.delay, []
        rows = slice(start - origin, stop - origin)
        for b in range(job.n_trials):
            if not job.wanted(b):
                continue
            ptr = tape.spike_ptr[b, rows.start + delay : rows.stop + delay + 1]
            step = np.repeat(np.arange(start, stop), np.diff(ptr))
            traces = {}
            for name, neurons in job.variables.items():
                steps = self._trace(tape, name)[b, rows]
                traces[name] = steps.copy() if neurons is None else steps[:, neurons]
            neuron = tape.spike_index[b, ptr[0] : ptr[-1]].copy()
            blocks.append(Block(b + base, start, step, neuron, traces, tape.readout[b, rows].copy()))
        return blocks

    def _trace(self, tape: Tape, name: str) -> np.ndarray:
        """The tape's array of this name, [slots, steps, n]."""
        if name in self.net.variables:
            return tape.hidden[:, :, self.net.variables.index(name)]
        return {"psi": tape.psi, "threshold": tape.threshold, "learning_signal": tape.signal}[name]


def _clear(arrays: Any) -> None:
    """Zero every trace of a rule's arrays; the fields that are traces have the trial first, the others are constants."""
    for name, value in zip(getattr(arrays, "_fields", ()), arrays, strict=True):
        if isinstance(value, tuple) and name != "params":
            _clear(value)
        elif isinstance(value, np.ndarray) and name not in STRUCTURE:
            value[:] = 0


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
