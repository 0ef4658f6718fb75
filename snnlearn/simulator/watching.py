"""Asks the guards after each run, warns of what they find, and keeps it for a recorder."""

from __future__ import annotations

import warnings

import numpy as np

from ..engine.batch import Result, Trials
from ..engine.engine import Engine
from . import guards
from .core import Core
from .results import Run


def watch_parts(core: Core, stacklevel: int) -> None:
    """Warn where a new simulator has a rule and nothing that learns by it; stacklevel : of the caller of the constructor"""
    if core.rule is not None and core.optimizer is None:
        text = "it has a rule and no optimizer, so it runs and nothing is learnt"
        _tell(core, guards.new(core._guards, [("no optimizer", text)]), stacklevel + 1)


def watch(core: Core, job: Trials, result: Result, run: Run, stacklevel: int, streaming: bool = False) -> None:
    """Warn of what is new after a run of a simulator, and keep it for a recorder; stacklevel : of the caller of the run"""
    engine, optimizer, learns = core._engine, core.optimizer, np.zeros(4, bool)
    if job.learn and optimizer is not None and optimizer.rates(max(0, core.updates_done - 1), 1)[0] > 0:
        learns = engine.learns
    weights = _weigh(engine, learns, core.updates_done, job.learn and guards.is_due(core._guards["runs"] + 1))
    found = guards.look(core._guards, job, result, run, weights, _refractory(core))
    if job.learn and core._guards["runs"] == 1 and not streaming:  # a piece of a stream may be too short to vary
        found += guards.new(core._guards, [guards.far_readout(job, run)])
    _tell(core, found, stacklevel + 1)
    engine.weighs = guards.is_due(core._guards["runs"] + 1)


def _weigh(engine: Engine, learns: np.ndarray, updates: int, due: bool) -> guards.Weighing:
    norm = engine.largest_norm() if engine.interval is not None else engine.norm if due else None
    return guards.Weighing(
        engine.weights, learns, updates, norm, engine.interval, engine.workspaces.largest_trace() if due else 0.0
    )


def watch_silence(core: Core, steps: int, spikes: bool, least: int, stacklevel: int) -> None:
    """Warn once, where no neuron has spiked for so many steps at least, of which `steps` are new."""
    state = core._guards
    state["silent"] = 0 if spikes else state["silent"] + steps
    if state["silent"] >= least:
        text = f"no neuron spiked in the last {state['silent']} steps"
        _tell(core, guards.new(state, [("silent network", text)]), stacklevel + 1)


def count(core: Core, spikes: int, loss: float) -> None:
    """Count the spikes of a step of a closed loop, and look now and then."""
    state = core._guards
    state["spikes"] += spikes
    if loss > 0:
        state["loss"] += loss
        state["taught"] += 1
    state["steps"] += 1
    if state["steps"] >= guards.STEPS:
        watch_steps(core, stacklevel=4)


def watch_steps(core: Core, stacklevel: int) -> None:
    """Look at the last `guards.STEPS` steps of a closed loop, whose spikes have been counted."""
    state, engine, done = core._guards, core._engine, core.updates_done
    steps, spikes, learnt = state["steps"], state["spikes"], done > state["updates"]
    loss, taught = state["loss"], state["taught"]
    state |= {"steps": 0, "spikes": 0, "updates": done, "loss": 0.0, "taught": 0}
    watch_silence(core, steps, spikes > 0, guards.SILENT_STEPS, stacklevel + 1)
    n_ref = _refractory(core)
    share = spikes / float(np.broadcast_to(steps / (1.0 + n_ref), core.net.n).sum())
    found = [guards.saturation(state, steps, share >= guards.SATURATED, "nearly all neurons", n_ref)]
    if learnt:
        state["runs"] += 1
        weights = _weigh(engine, engine.learns, done, guards.is_due(state["runs"]))
        loss *= guards.share_taught(weights.interval, steps, taught)
        found += [guards.explosion(state, weights.gradient, loss, 0.0, core.net.n), guards.exploding_traces(state, weights)]
        found += guards.look_at_weights(state, weights, live=False)
    _tell(core, guards.new(state, found), stacklevel + 1)


def _tell(core: Core, findings: list[guards.Finding], stacklevel: int) -> None:
    for finding in findings:
        core._guards["waiting"].append(list(finding))
        kind = guards.SilentNetworkWarning if finding.kind == "silent network" else guards.RunWarning
        warnings.warn(finding.message, kind, stacklevel=stacklevel)


def _refractory(core: Core) -> np.ndarray:
    """Steps that are blocked after a spike, [n] or a number."""
    return np.asarray(getattr(core._engine.arrays.params, "n_ref", 0))
