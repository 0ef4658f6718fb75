"""`fork`: a new run from the exact state that another had at some point.

    sl.fork("run.h5", optimizer=sl.Adam(1e-3))       # from the last checkpoint
    sl.fork("run.h5", at=2000, rule=sl.RFLO())         # from 2000 updates: two rules with an identical past

A file has the last two checkpoints, the beginning, and with `Recorder(keep_every=...)` states of the whole run. A training is
simulated from the nearest of these before `at` to exactly there, as it was; a stream, whose inputs no file holds, begins at the
states themselves.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import _check
from ..recording import open_recording
from ..recording.reopen import load_checkpoints
from ..simulator.history import History
from ..simulator.simulator import Simulator
from ..simulator.state import CURVES, capture
from ..simulator.training import go_on
from ..storage.checkpoint_slots import Checkpoint, kept_updates, read_kept
from ..storage.open_file import open_file
from ..storage.values import to_json
from .resume import beginning, rebuild

CHANGES = ("rule", "optimizer", "loss", "regularizer", "passive", "passive_every", "update_every", "seed", "rewiring")
OF_PARENT = ("run", "digest", "command")  # of a simulator's context: how to repeat the parent, which makes no fork
WHERE = "fork"


class KeptState(NamedTuple):
    """A state in the file."""

    updates: int  # before it
    load: Callable[[], Checkpoint]


class Reached(Exception):
    """A training has come to where it is forked."""


def fork(path: str | os.PathLike[str], at: int | None = None, *, threads: int | None = None, **changes: Any) -> Simulator:
    """A new run from the exact state that another had, with other choices; the file is only read.

    path : as for `resume`; threads : None: all cores
    at : so many updates of the weights into the run; None: the last checkpoint. A training is simulated again from the last
        state before: a checkpoint, a kept one (`Recorder(keep_every=...)`), or the beginning, so `at` may be any number of
        updates that it has after a batch; of other runs it must be that of a state in the file
    changes : rule, optimizer, loss, regularizer, passive, passive_every, update_every, seed, rewiring of `Simulator`; and
        task, lr, net, stop for what the file cannot hold, as in `resume`

    Weights, the stream's membranes and spikes in flight, counters and the training's cursor and history are taken over; traces
    where rules, regularizer and update_every stay, feedback where the rule stays, the optimizer's moments where its class does.
    From a kept state, a history lacks best weights that a later evaluation has replaced: the next evaluation is then the best.
    `.train()` goes on to the planned end; what it records goes to `.train(recorder=...)`. Raises as `resume`, and ValueError
    that names the nearest states where `at` cannot be reached.
    """
    found = load_checkpoints(path, f"{WHERE}.path")
    given = {name: changes.pop(name, None) for name in ("task", "lr", "net", "stop")}
    for name in changes:
        _check.choice(f"{WHERE} change", name, CHANGES)
    checkpoint = found[0] if at is None else _at(path, at, found, given, changes, threads)
    simulator = rebuild(checkpoint, str(path), given, changes, threads)
    origin = {"of": pathlib.Path(path).name, "updates": simulator.updates_done, "changes": sorted(changes)}
    kept = {name: value for name, value in found[0].values["context"].items() if name not in OF_PARENT}
    simulator.context = kept | {"fork": origin}
    return simulator


def _at(
    path: Any, at: Any, found: list[Checkpoint], given: dict[str, Any], changes: dict[str, Any], threads: int | None
) -> Checkpoint:
    """The state after so many updates, before the changes. found : the file's checkpoints"""
    at = _check.integer(f"{WHERE}.at", at, "be a number of updates, not negative", low=0)
    states = _states(path, found)
    before = [state for state in states if state.updates <= at]
    nearest = max(before, key=lambda state: state.updates) if before else None
    trains = found[0].values["training"] is not None
    if nearest is None or (nearest.updates < at and not trains):
        raise _unreachable(at, states, trains)
    checkpoint = _with_history(nearest.load(), found[0])
    begins = "begins" in checkpoint.values
    if nearest.updates < at:
        rebuild(found[0], str(path), given, changes, threads)  # what does not fit is told before anything runs
    if nearest.updates < at or begins:
        simulator = rebuild(checkpoint, str(path), given, {}, threads)
        if nearest.updates < at:
            _simulate(simulator, at, states)
        checkpoint = _captured(simulator)
    return checkpoint


def _states(path: str | os.PathLike[str], checkpoints: list[Checkpoint]) -> list[KeptState]:
    """Checkpoints before kept states, because they hold more."""
    result = [KeptState(_updates(c), lambda c=c: c) for c in checkpoints]  # type: ignore[misc]
    path = pathlib.Path(path)

    def load(name: str) -> Checkpoint:
        with open_file(path) as file:
            return read_kept(file, name)

    with open_file(path) as file:
        kept = kept_updates(file)
    result += [KeptState(updates, lambda name=name: load(name)) for name, updates in kept.items()]  # type: ignore[misc]
    newest = checkpoints[0]
    if newest.values["training"] is not None and newest.values["recorder"] is not None:
        with open_recording(path) as recording:
            first = beginning(recording, newest)
        if first is not None:
            result.append(KeptState(0, lambda: _first(first)))
    return result


def _first(state: Checkpoint) -> Checkpoint:
    """The state at the beginning of a training, which has no history."""
    training, counters = state.values["training"], dict.fromkeys(state.values["counters"], 0)
    training = training | {"next": training["start"], "history": {"status": "running"}}
    return state._replace(values=state.values | {"training": training, "counters": counters})


def _updates(checkpoint: Checkpoint) -> int:
    return int(checkpoint.arrays["done"][0]) if "done" in checkpoint.arrays else 0


def _unreachable(at: int, states: list[KeptState], trains: bool) -> Exception:
    """The error that names the nearest states."""
    known = sorted({state.updates for state in states})
    near = sorted(known[i] for i in np.argsort([abs(updates - at) for updates in known], kind="stable")[:4])
    if trains:
        return _check.fail(f"{WHERE}.at", f"be at least {known[0]}, the updates of the first state in the file", at)
    hint = "Recorder(keep_every=...) keeps more"
    return _check.fail(f"{WHERE}.at", f"be the updates of a state in the file, of which {near} are nearest", at, hint)


def _with_history(state: Checkpoint, newest: Checkpoint) -> Checkpoint:
    """A state with the history that its training had; that of a kept one is the beginning of the newest one's."""
    training, whole = state.values["training"], newest.values["training"]
    if training is None or "trials" in training["history"]:
        return state
    trials = training["next"] - training["start"]
    runs, given = -(-trials // training["batch"]), newest.arrays
    evaluated = int(np.searchsorted(given["history.evaluated_at"], runs, side="right"))
    aligned = sum(updates <= state.values["counters"]["_aligned"] for updates in whole["history"]["aligned"])
    lengths = {name: evaluated if name.startswith("evaluat") else runs for name in CURVES}
    lengths |= {"cosine": aligned, "norm_ratio": aligned}
    arrays = {f"history.{name}": given[f"history.{name}"][:n] for name, n in lengths.items() if f"history.{name}" in given}
    history = whole["history"] | {"trials": trials, "status": "running", "aligned": whole["history"]["aligned"][:aligned]}
    history["best"] = whole["history"]["best"] and history["best_score"] in arrays["history.evaluation_score"]
    kept = ["history.best."] if history["best"] else []
    if not history["best"]:
        history["best_score"] = float("nan")
    if evaluated == given["history.evaluated_at"].size:
        kept += ["history.labels", "history.predictions"]
    arrays |= {name: array for name, array in given.items() if name.startswith(tuple(kept))}
    values = state.values | {"training": training | {"history": history}}
    return state._replace(values=values, arrays=state.arrays | arrays)


def _simulate(simulator: Simulator, at: int, states: list[KeptState]) -> None:
    """Have a training go on until it has so many updates."""
    training, passed = simulator.training, []
    assert training is not None

    def watch(simulator: Simulator, history: History) -> None:
        passed.append(simulator.updates_done)
        if passed[-1] >= at:
            raise Reached

    try:
        if training.history.status == "running":
            go_on(simulator, training, callbacks=[watch])
    except Reached:
        training.can_continue = True  # a callback comes between two batches
    last = simulator.updates_done
    if last < at:
        raise _check.fail(f"{WHERE}.at", f"be at most {last}, the updates of the whole training", at)
    if last > at:
        borders = [*(state.updates for state in states), *passed]
        near = [max(u for u in borders if u < at), last]
        raise _check.fail(f"{WHERE}.at", f"be the updates after a batch, of which {near} are nearest", at)


def _captured(simulator: Simulator) -> Checkpoint:
    """The present state."""
    values, arrays, constants, _ = capture(simulator)
    values = json.loads(to_json(values | {"recorder": None}, "fork"))
    return Checkpoint(0, values, arrays, constants)
