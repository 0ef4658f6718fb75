"""`plan`: what a run will need and take, before it runs: memory, time, size of its recording, and by which kernels.

Memory is counted before anything is allocated and refused where it does not fit. Time is measured: the network runs for
about a second with the caller's inputs, so what is measured is this machine at this activity.
"""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile
import time
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import _check
from ..compiler.barrier import cores
from ..engine.workspace import sharing
from ..events import Events, dense, is_batch, take
from ..losses import CrossEntropy
from ..network.network import Network
from ..network.weights import Weights
from ..optimizers.optimizers import SGD
from ..recording import Recorder
from ..rules import Rule
from ..rules.base import describe
from ..rules.engines.event_driven import SHORTEST, is_lazy
from ..rules.engines.traces import obstacle
from ..simulator.guards import RunWarning
from ..simulator.inputs import make_job
from ..simulator.simulator import Simulator
from . import profiles
from .memory import bytes_needed, machine_bytes, nbytes, refuse, refuse_batch, refuse_run, size_text
from .profiles import ChipLimit, Profile

PATHS = {
    "adjoint": "adjoints on the tape of a trial",
    "interval": "adjoints within each interval, traces across its borders",
    "forward": "traces carried forward in place",
}


class RunPlan(NamedTuple):
    """What `plan` found; `str` gives it as text."""

    network: str
    rule: str
    path: str  # how the gradient is computed
    reason: str  # why so
    bytes: dict[str, int]  # of arrays, by what they hold
    synapses: int
    rate: float  # Hz, mean of all neurons in the calibration; nan without
    seconds_per_step: float  # of all trials of a batch together; nan without calibration
    dt: float  # ms
    batch: int
    recording_bytes_per_step: float  # nan where nothing is recorded
    profile: Profile | None = None  # a chip that it is held against, and
    limits: tuple[ChipLimit, ...] = ()  # its limits in turn

    def __repr__(self) -> str:
        return _check.brief(self)

    @property
    def total_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(self.bytes.values())

    @property
    def real_time_factor(self) -> float:
        """Seconds that a simulated second of one trial takes."""
        return self.seconds_per_step / self.batch * 1000.0 / self.dt

    @property
    def recording_bytes_per_hour(self) -> float:
        """Growth of the recording in an hour of running."""
        return self.recording_bytes_per_step * 3600.0 / self.seconds_per_step

    def duration(self, trials: int, n_steps: int) -> str:
        """How long so many trials take, as text."""
        return duration(self.seconds_per_step / self.batch * trials * n_steps)

    def recording_size(self, trials: int, n_steps: int) -> str:
        """How much the recording of so many trials of so many steps each holds, in words."""
        return size_text(self.recording_bytes_per_step / self.batch * trials * n_steps)

    def __str__(self) -> str:
        lines = [self.network, f"rule     {self.rule}", f"path     {self.path}", f"         {self.reason}"]
        parts = ", ".join(f"{name} {size_text(n)}" for name, n in self.bytes.items() if n)
        per_synapse = self.total_bytes / max(self.synapses, 1)
        lines.append(f"memory   {size_text(self.total_bytes)}: {parts}; {per_synapse:.1f} bytes a synapse")
        if self.seconds_per_step == self.seconds_per_step:
            speed = f"{1e6 * self.seconds_per_step:.3g} us a step of {self.batch} trial{'s' if self.batch > 1 else ''}"
            lines.append(f"time     {speed}; {self.real_time_factor:.3g} s a simulated second; at {self.rate:.1f} Hz")
            lines.append(f"         10^6 steps of a trial take {duration(1e6 * self.seconds_per_step / self.batch)}")
        if self.recording_bytes_per_step == self.recording_bytes_per_step:
            simulated = size_text(self.recording_bytes_per_step / self.batch * 3.6e6 / self.dt)
            hour = size_text(self.recording_bytes_per_hour)
            lines.append(f"disk     {hour} an hour of running, {simulated} a simulated hour")
        if self.profile is not None:
            lines.append(f"chip     {self.profile.name} ({self.profile.source})")
            lines += [f"         {limit}" for limit in self.limits]
        return "\n".join(lines)


def plan(
    net: Network,
    rule: Rule | None = None,
    optimizer: Any = None,
    *,
    weights: Weights | None = None,
    inputs: Any = None,
    n_steps: int = 1000,
    batch: int = 1,
    streaming: bool = False,
    record: Mapping[str, Any] | None = None,
    seconds: float = 1.0,
    max_bytes: int | None = None,
    profile: str | Profile | None = None,
    **options: Any,
) -> RunPlan:
    """Memory, time and kernel path of a run, without running it.

    net, rule, optimizer : as of `Simulator`; a rule without an optimizer learns by plain SGD
    weights : Weights; None: drawn as `Simulator` does
    inputs : [T, n_inputs] or Events, what the calibration feeds; None: spikes at 10 Hz
    n_steps : T of a trial, or of a stream's piece
    batch : trials
    streaming : pieces of one stream instead of trials
    record : arguments of a `Recorder` but its path, as {"v": [0, 1]}; the recording of the calibration is measured
    seconds : about so long the calibration runs, after kernels are compiled; 0: no calibration
    max_bytes : refuse what needs more; None: the machine's memory
    profile : a chip whose limits the run is held against, as "reckon"; a name of `sl.profiles.PROFILES`, or a `Profile`
    options : of `Simulator`: loss, regularizer, update_every, dtype, seed, threads, passive

    Raises MemoryError, with what fits instead, where the run needs more memory; else as `Simulator` does.
    """
    chip = None if profile is None else profiles.find(profile, "plan.profile")
    n_steps = _check.integer("plan.n_steps", n_steps, "be a positive number of steps", low=1)
    batch = _check.integer("plan.batch", batch, "be a positive number of trials", low=1)
    seconds = _check.number("plan.seconds", seconds, "be a time in seconds, not negative", low=0.0)
    streaming = _check.flag("plan.streaming", streaming)
    if streaming and batch != 1:
        raise _check.fail("plan.batch", "be 1 where streaming", batch)
    limit = machine_bytes() if max_bytes is None else _check.integer("plan.max_bytes", max_bytes, "be a number of bytes", low=1)
    itemsize = np.dtype(options.get("dtype", "float32")).itemsize
    refuse(net, rule, n_steps, itemsize, limit, bool(streaming or options.get("update_every", "trial") != "trial"))
    if optimizer is None and rule is not None:
        optimizer = SGD(0.0)
    still = optimizer  # the calibration learns at a rate of zero, so that the network stays as it is
    if optimizer is not None:
        still = dataclasses.replace(optimizer, lr=_zero if callable(optimizer.lr) else 0.0)
    simulator = Simulator(net, weights, rule, still, **options)
    engine, x = simulator.engine, _inputs(net, inputs, n_steps)
    learn = rule is not None and optimizer is not None
    one = make_job(simulator, *_feed(simulator, x, 1), None, learn, None, None)
    per_trial = nbytes((tuple(one.inputs), tuple(one.targets))) + (0 if _are_counts(x) else x.nbytes)
    refuse_batch(engine, one, per_trial, batch, streaming, limit)
    job = make_job(simulator, *_feed(simulator, x, batch), None, learn, None, None)
    refuse_run(engine, job, streaming, limit, lambda: Simulator(net, simulator.weights, rule, SGD(0.0), **options)._engine)
    path, reason = _path(simulator, job, streaming)
    measured: tuple[float, float, float] = (np.nan, np.nan, np.nan)
    if seconds > 0:
        measured = _calibrate(simulator, x, batch, streaming, record, seconds)
    if simulator.rewiring is not None:
        reason += f"; synapses are rewired after every {simulator.rewiring.every} updates"
    share = engine.schedule(job, streaming).plan.members
    if share > 1 and (seconds == 0 or any(space.shards for space in engine.workspaces.values())):
        path += f", by {share} threads that share the neurons"
    elif share > 1:
        reason += "; its traces cannot be split, so one thread runs it"
    elif batch == 1 and options.get("threads") is None and (most := sharing(cores(), engine.arrays, engine.rules)) > 1:
        reason += f"; threads={most} may share the neurons"
    groups = " + ".join(f"{g.n} {type(g).__name__}" for g in net.neurons)
    synapses = sum(int(w.nnz) if hasattr(w, "indptr") else int(np.asarray(w).size) for w in simulator.weights[:2])
    needed = bytes_needed(engine, job, streaming)
    limits = () if chip is None else profiles.check(chip, net, simulator.weights, rule, sum(needed.values()))
    return RunPlan(
        network=f"{net.n_inputs} inputs, {groups}, {net.n_outputs} outputs, {synapses} synapses, {np.dtype(engine.dtype).name}",
        rule="none" if rule is None else describe(rule),
        path=path,
        reason=reason,
        bytes=needed,
        synapses=synapses,
        rate=measured[0],
        seconds_per_step=measured[1],
        dt=net.dt,
        batch=batch,
        recording_bytes_per_step=measured[2],
        profile=chip,
        limits=limits,
    )


def _path(simulator: Simulator, job: Any, streaming: bool) -> tuple[str, str]:
    """How the gradient is computed, and why so."""
    engine, rule = simulator.engine, simulator.rule
    schedule = engine.schedule(job, streaming)
    if rule is None or schedule.plan.directions is None:
        return "forward simulation", "nothing learns"
    direction = schedule.plan.directions[0]
    path = PATHS[direction]
    if direction == "adjoint":
        reason = "weights change once a trial, so the chain rule can go back over it"
        if schedule.segment:
            reason += f"; its tape exceeds max_bytes: recomputed in segments of {schedule.segment} steps"
        elif rule.truncation < 2**61:
            path, reason = "adjoints on the tape of a window", f"the rule looks back {rule.truncation} steps"
        return path, reason
    if direction == "interval":
        return path, f"weights change every {simulator.update_every} steps" if engine.interval else "the stream does not end"
    if not rule.local:
        return "influence of every synapse, carried forward", "the rule is causal and follows crossings of recurrent synapses"
    if engine.why_not_in_place:
        return path, engine.why_not_in_place
    arrays = engine.workspaces.rule_arrays(schedule.plan.directions, 0, streaming)
    if is_lazy(arrays.lazy):
        if job.n_trials == 1 and job.n_steps >= SHORTEST:
            return "rows of synapses brought up to date when their source spikes", "plain SGD at every step"
        return path, f"a batch, or fewer than {SHORTEST} steps at a time: every synapse is touched at every step"
    why = obstacle(arrays) or "time constants are too short for a window of closed form"
    return path, f"{why}: every synapse is touched at every step"


def _calibrate(
    simulator: Simulator, x: np.ndarray, batch: int, streaming: bool, record: Mapping[str, Any] | None, seconds: float
) -> tuple[float, float, float]:
    """Rate in Hz, seconds a step, bytes recorded a step; nan where nothing is recorded."""

    def run(steps: int, recorder: Recorder | None = None) -> tuple[float, float]:
        fed = _feed(simulator, x[:steps], batch)
        began = time.perf_counter()
        result = simulator.run(iter([fed]), recorder=recorder) if streaming else simulator.run(*fed, recorder=recorder)
        return result.rate, time.perf_counter() - began

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", RunWarning)
        steps = min(x.shape[0], 100)
        run(steps)  # compiles
        while True:
            rate, took = run(steps)
            if took > 0.1 * seconds or steps == x.shape[0]:
                break
            steps = min(x.shape[0], 4 * steps)
        times, rates = [took], [rate]
        while sum(times) < 0.6 * seconds:
            rate, took = run(steps)
            times.append(took)
            rates.append(rate)
        grown = np.nan if record is None else _growth(run, steps, pathlib.Path(folder), record, seconds)
    return float(np.mean(rates)), float(np.median(times)) / steps, grown


def _growth(run: Any, steps: int, folder: pathlib.Path, record: Mapping[str, Any], seconds: float) -> float:
    """Bytes a step by which a recording grows, beyond what it holds after one run."""
    sizes: list[int] = []
    runs, began = (1, 10_000), time.perf_counter()
    for name, most in zip(("one.h5", "more.h5"), runs, strict=True):
        path, count = folder / name, 0
        with Recorder(path, **record) as recorder:
            while count < most and (count < 5 or time.perf_counter() - began < seconds or path.stat().st_size <= sizes[0]):
                run(steps, recorder)
                count += 1
        sizes.append(path.stat().st_size)
    return (sizes[1] - sizes[0]) / ((count - 1) * steps)


def _inputs(net: Network, inputs: Any, n_steps: int) -> np.ndarray:
    """[T, n_inputs] for the calibration."""
    if inputs is not None:
        x = take(inputs, net.n_inputs, "plan.inputs")
        if is_batch(x):
            raise _check.fail("plan.inputs", f"have shape [T, {net.n_inputs}]", np.shape(x))
        return np.resize(dense(x, net.n_inputs), (n_steps, net.n_inputs))
    return (np.random.default_rng(0).random((n_steps, net.n_inputs)) < 0.01 * net.dt).astype(float)


def _feed(simulator: Simulator, x: np.ndarray, batch: int) -> tuple[Any, Any]:
    """Inputs and targets of a batch of the same trial, without the leading axis where it is one."""
    target = np.zeros((() if isinstance(simulator.loss, CrossEntropy) else (x.shape[0], simulator.net.n_outputs)), np.int8)
    if batch == 1:
        return x, target
    if _are_counts(x):  # as a training has them: a batch of dense arrays may need more than all else
        step, channel = np.nonzero(x)
        count = x[step, channel].astype(np.int64)
        trials: Any = [Events(np.repeat(step, count), np.repeat(channel, count), x.shape[0])] * batch
    else:
        trials = np.broadcast_to(x, (batch, *x.shape))
    return trials, np.broadcast_to(target, (batch, *target.shape))


def _are_counts(x: np.ndarray) -> bool:
    """Whether inputs are numbers of spikes."""
    return bool((x >= 0).all() and (x < 1000).all() and (x == np.rint(x)).all())


def _zero(done: int) -> float:
    return 0.0


def duration(seconds: float) -> str:
    """So many seconds in words."""
    for unit, scale in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds:.3g} s"
