"""`resume`: go on from a file exactly where its last checkpoint was taken.

A training::

    with sl.Recorder("run.h5", checkpoint_minutes=5) as recorder:
        sim.train(task, trials=100_000, batch=32, recorder=recorder)     # killed after an hour

    sl.resume("run.h5").train()                                         # in another process, on to the planned end

A stream, which its user feeds and therefore positions::

    sim = sl.resume("run.h5")
    with sim.recorder as recorder:
        sim.run(pieces(start=sim.trials_done), recorder=recorder)       # or by steps, sim.stream_steps

The recording is cut back to the checkpoint, so that what is in the file in the end is what an uninterrupted run writes.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from .. import _check
from ..network.weights import Weights
from ..recording import Recording, open_recording
from ..recording.reopen import load_checkpoints, reopen
from ..simulator.simulator import Simulator
from ..simulator.state import MOMENTS, MOVING, TRACES, check_values, initial_weights, restore, restore_training
from ..simulator.training import Training
from ..spec import decode, foreign
from ..storage.checkpoint_slots import Checkpoint
from ..tasks.base import Task, names

PARTS = ("net", "rule", "optimizer", "loss", "regularizer", "passive")


def resume(
    path: str | os.PathLike[str],
    *,
    task: Any = None,
    lr: Any = None,
    net: Any = None,
    rule: Any = None,
    stop: Any = None,
    threads: int | None = None,
) -> Simulator:
    """The simulator of a file, in the state of its last checkpoint; `.train()` goes on with a training, `.run` with a stream.

    path : a recording with checkpoints, or a file of `Simulator.save`
    task, lr, net, rule, stop : what the file cannot hold, as it was: a user's own task, a learning rate that is a function,
        a network with a user's own neuron model, a user's own rule, a function that stops. Only where the file lacks them;
        a task also where it is the file's on data that have moved
    threads : None: all cores; results do not depend on it

    A recording goes on in the same file, `simulator.recorder`, which is open after this unless the training has ended. A file
    that is complete stays as it is, to the last byte, until something is recorded; any other is cut back at once.
    Raises FileNotFoundError, IsADirectoryError, ValueError (no recording, no checkpoint, unknown classes, something given that
    the file holds or lacks), OSError (truncated, damaged, locked by another process, read-only).
    """
    checkpoint = load_checkpoints(path, "resume.path")[0]
    given = {"task": task, "lr": lr, "net": net, "rule": rule, "stop": stop}
    simulator = rebuild(checkpoint, str(path), given, {}, threads)
    values = checkpoint.values
    ended = simulator.training is not None and simulator.training.history.status != "running"
    if values["recorder"] is not None and not (ended and _status(path) != "running"):
        recorder = reopen(path, values["recorder"], simulator.weights, checkpoint.arrays, later=_status(path) == "complete")
        if ended:  # killed after the last checkpoint, before it could be closed
            recorder.close()
            return simulator
        simulator.goes_on(recorder=recorder)
    return simulator


def _status(path: str | os.PathLike[str]) -> str:
    with open_recording(path) as recording:
        return recording.status


def rebuild(checkpoint: Checkpoint, path: str, given: dict[str, Any], changes: dict[str, Any], threads: int | None) -> Simulator:
    """A simulator in the state of a checkpoint; a new one of its configuration where its values say what it "begins" with:
    weights, or "seed" to draw them."""
    values, arrays, constants = checkpoint.values, checkpoint.arrays, checkpoint.constants
    where = f"resume({path!r})"
    check_values(values, where)
    encoded: dict[str, Any] = {name: values.get(name) for name in (*PARTS, "rewiring") if name not in changes}
    given = {name: value for name, value in given.items() if value is not None}
    for name in ("net", "rule"):
        if name in given:
            _lacks(encoded.get(name), name, where)
            encoded.pop(name, None)
    if "lr" in given:
        _lacks(encoded.get("optimizer"), "lr", where)
        encoded["optimizer"] = {**encoded["optimizer"], "lr": given["lr"]}
    for value in encoded.values():
        for part in foreign(value):
            argument = "lr" if part["at"] == "optimizer.lr" else part["at"].partition(".")[0]
            hint = f"pass {argument}=..." if argument in ("lr", "net", "rule") else "only classes of the package come back"
            raise _check.fail(where, f"get {argument}, which a file cannot hold", part["foreign"], hint)
    parts = {name: decode(value, constants, where) for name, value in encoded.items()}
    parts |= {name: given[name] for name in ("net", "rule") if name in given}
    options = {name: values[name] for name in ("passive_every", "update_every", "seed")}
    options |= parts | changes
    net = options.pop("net")
    begins = values.get("begins")
    weights = initial_weights(values, arrays, constants, net) if begins is None else None if begins == "seed" else begins
    simulator = Simulator(net, weights, dtype=values["dtype"], threads=threads, **options)
    fresh: tuple[str, ...] = ("weights.feedback",) if "rule" in changes else ()
    if {"rule", "passive", "update_every", "regularizer"} & set(changes):
        fresh += TRACES
    if "optimizer" in changes and type(changes["optimizer"]).__name__ != values["optimizer"]["type"]:
        fresh += MOMENTS
    if values.get("rewiring") is None:
        fresh += (MOVING,)  # a fork is the first to rewire
    if begins is None:
        restore(simulator, values, arrays, fresh)
    if values["training"] is not None:
        simulator.goes_on(training=_training(values, arrays, constants, given, where, simulator))
    elif {"task", "stop"} & set(given):
        raise _check.fail(where, "get a task or stop for a training only", "a file without one")
    return simulator


def beginning(recording: Recording, newest: Checkpoint) -> Checkpoint | None:
    """The state before the first update of a recorded run, without arrays, for `rebuild`; None where the file does not tell.

    newest : a later state of the run
    """
    begins = recording.config.get("begins")
    if begins not in ("seed", "given"):
        return None  # the recording began in the middle of a run
    weights: Weights | str = begins
    if recording.weight_updates.size and recording.weight_updates[0] == 0:
        weights = Weights(*recording.weights(0))
    elif begins == "given":
        return None
    return newest._replace(values=newest.values | {"begins": weights}, arrays={})


def _training(values: Any, arrays: Any, constants: Any, given: dict[str, Any], where: str, simulator: Simulator) -> Training:
    kept = values["training"]
    history = restore_training(values, arrays, simulator.engine.like)
    if "stop" in given:
        _lacks(kept["stop"], "stop", where)
    stop = given["stop"] if "stop" in given else kept["stop"]
    if isinstance(stop, dict):
        if history.status == "running":
            raise _check.fail(where, "get stop, which a file cannot hold", stop["foreign"], "pass stop=...")
        stop = None
    numbers = {f.name: kept[f.name] for f in dataclasses.fields(Training) if f.name in Training.NUMBERS}
    return Training(task=training_task(kept["task"], given, where, history.status), stop=stop, history=history, **numbers)


def training_task(kept: dict[str, Any], given: dict[str, Any], where: str, status: str = "running") -> Any:
    """The task of a training. kept : as the file has it; given : with "task" where the file cannot hold it."""
    known = "foreign" not in kept and kept["name"] in names()
    if "task" in given:
        if known and not (isinstance(given["task"], Task) and given["task"].matches(kept)):
            raise _check.fail(where, "get no task, because the file holds it", given["task"], f"{kept['name']}")
        if isinstance(given["task"], Task) and kept.get("name") == given["task"].name and not given["task"].matches(kept):
            need = f"get the task that the run has learnt from, {kept['name']!r} with the same parameters on the same data"
            raise _check.fail(where, need, given["task"], f"digest {kept['digest']}" if "digest" in kept else "")
        return given["task"]
    if known:
        try:
            return Task.from_dict(kept)
        except (FileNotFoundError, ValueError):
            if status == "running":
                raise
            return None  # data that have moved or changed do not matter to a training that has ended
    if status != "running":
        return None
    raise _check.fail(where, "get the task, which a file cannot hold", kept.get("foreign", kept.get("name")), "pass task=...")


def _lacks(value: Any, name: str, where: str) -> None:
    """Raise ValueError where the file holds what is given."""
    if not any(True for _ in foreign(value)):
        raise _check.fail(where, f"get no {name}, because the file holds it", "one", "sl.fork changes it")
