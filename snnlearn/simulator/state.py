"""All that a `Simulator` carries from run to run, as values and arrays, and back into one.

    values      JSON: the configuration (`spec`), counters, random states, how the stream's rules run, the training's cursor
    arrays      weights, feedback, moments, gradients of an open interval, the stream's state and traces, the history
    constants   arrays of the configuration: masks, the structure of sparse matrices, given feedback

A state is taken between two runs (batches, pieces, steps). Trials start from the initial state, so that between them only the
stream has membranes, traces and spikes in flight. Arrays that hold zeros only are left out.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from .. import _check
from ..engine.engine import Engine
from ..engine.schedule import STREAM, Plan
from ..network.network import Network
from ..network.weights import WEIGHT_NAMES, FlatWeights, Weights, flatten, unflatten
from ..recording import Recorder
from ..recording.recorder import check_new_file
from ..rules.engines.passive import carried
from ..spec import encode
from .core import Core
from .history import History, Training
from .record import open_recorder
from .results import Alignment

KIND, VERSION = "snnlearn-state", 1
PARTS = ("net", "rule", "optimizer", "loss", "regularizer", "passive")  # specs
OPTIONS = ("passive_every", "update_every", "seed")
COUNTERS = ("trials_done", "stream_steps", "_aligned", "_guards")
CURVES = ("loss", "score", "rate", "wall_time", "evaluated_at", "evaluation_loss", "evaluation_score")
MOMENTS, TRACES = ("first", "second"), ("gradient", "total", "traces", "passive")
ENDED = ("complete", "stopped")
HEADROOM = 1 << 16  # bytes
MOVING = "rewiring."  # structure and signs of matrices that are rewired


class Capture(NamedTuple):
    """A state, as `Recorder.checkpoint` takes it; the arrays are copies."""

    values: dict[str, Any]
    arrays: dict[str, np.ndarray]
    constants: dict[str, np.ndarray]
    headroom: int  # bytes by which a later state of the same run may be larger


def capture(core: Core) -> Capture:
    """The present state of a core."""
    engine: Engine = core._engine
    constants: dict[str, np.ndarray] = {}
    parts = {name: encode(getattr(core, name), constants, name) for name in PARTS}
    if core.rewiring is not None:
        parts["rewiring"] = encode(core.rewiring, constants, "rewiring")
    live, arrays = _live(engine), _arrays(engine)
    for name, matrix in zip(WEIGHT_NAMES, engine.like, strict=True):
        if sparse.issparse(matrix) and f"{MOVING}{name}.indptr" not in live:
            constants |= {f"{name}.indptr": matrix.indptr, f"{name}.indices": matrix.indices}
    options = {name: getattr(core, name) for name in OPTIONS}
    values = {"kind": KIND, "version": VERSION, **parts, **options, "dtype": engine.dtype.name, **_moving(core)}
    values["training"] = None
    headroom = HEADROOM + (sum(a.nbytes for a in live.values() if not a.any()) if values["stream"] is not None else 0)
    training = core._training
    if training is not None and (training.can_continue or training.history.status in ENDED):
        moving = [name for name in WEIGHT_NAMES if f"{MOVING}{name}.indptr" in live]
        values["training"], curves = _training(training, constants, engine.dtype, moving)
        arrays |= curves
        headroom += 8 * (len(CURVES) + 4) * -(-training.trials // training.batch)
        if training.evaluate_every is not None and training.history.best_weights is None:
            headroom += sum(w.nbytes for w in engine.weights) + sum(a.nbytes for n, a in live.items() if n.startswith(MOVING))
    return Capture(values, arrays, constants, headroom)


def state_of(core: Core) -> dict[str, Any]:
    """A state for `copy` and `pickle`, with its parts as they are: also those of a user's own classes.

    A training that can go on comes along; the recorder, whose file has one writer, does not.
    """
    names = ("net", "weights", *PARTS[1:], *OPTIONS, "dtype", "rewiring")
    arguments = {name: getattr(core, name) for name in names} | {"threads": core.setup.threads}
    training = core._training
    goes_on = training is not None and training.can_continue and training.history.status not in ENDED
    state = {"arguments": arguments, "values": _moving(core), "arrays": _arrays(core._engine)}
    return state | {"begins": core._begins, "training": training if goes_on else None}


def go_back(core: Core, state: dict[str, Any]) -> None:
    """Bring a new simulator with the state's arguments to it."""
    restore(core, state["values"], state["arrays"])
    core._begins, training = state["begins"], state["training"]
    if training is not None:
        core._training = replace(training, history=copy.deepcopy(training.history))


def save(core: Core, path: str | os.PathLike[str], overwrite: bool) -> None:
    """Write the state to a file of its own; see `Simulator.save`."""
    path = check_new_file("Simulator.save.path", path, _check.flag("Simulator.save.overwrite", overwrite))
    part, used = path.with_name(f"{path.name}.part"), core._recorder
    recorder = Recorder(part, spikes=False, readout=False, target=False, overwrite=True)
    try:
        open_recorder(core, recorder)
        recorder.checkpoint(*capture(core), wait=True, goes_on=False)
        recorder.close()
        os.replace(part, path)
    except BaseException:
        recorder.close("failed: not written")
        part.unlink(missing_ok=True)
        raise
    finally:
        core._recorder = used


def check_values(values: dict[str, Any], where: str) -> None:
    """Raise ValueError unless these are the values of a state that this version reads."""
    if values.get("kind") != KIND:
        raise _check.fail(where, "hold the state of a simulator", values.get("kind"))
    if int(values.get("version", 0)) > VERSION:
        raise _check.fail(where, f"hold a state of version {VERSION} or older", values["version"], "a newer snnlearn reads it")


def initial_weights(values: dict[str, Any], arrays: Mapping[str, Any], constants: Mapping[str, Any], net: Network) -> Weights:
    """The weights of a state, for a new simulator: its structure is that of the sparse matrices."""
    shapes = ((net.n_inputs, net.n), (net.n, net.n), (net.n, net.n_outputs), (net.n_outputs,))
    result: list[Any] = []
    for name, shape in zip(WEIGHT_NAMES, shapes, strict=True):
        flat = arrays.get(f"weights.{name}")
        pattern = _pattern(name, arrays, constants)
        if pattern is not None:
            indptr, indices = pattern
            data = np.zeros(indices.size, values["dtype"]) if flat is None else flat
            result.append(sparse.csr_array((data, indices, indptr), shape=shape))
        else:
            result.append(np.zeros(shape, values["dtype"]) if flat is None else flat.reshape(shape))
    return Weights(*result)


def _pattern(name: str, arrays: Mapping[str, Any], constants: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """indptr and indices of a matrix as it was at a state, None where it is dense."""
    if f"{MOVING}{name}.indptr" in arrays:
        indptr = np.array(arrays[f"{MOVING}{name}.indptr"])
        indices = arrays.get(f"{MOVING}{name}.indices")
        return indptr, np.zeros(indptr[-1], np.int32) if indices is None else np.array(indices)
    if f"{name}.indptr" not in constants:
        return None
    return np.array(constants[f"{name}.indptr"]), np.array(constants[f"{name}.indices"])


def restore(core: Core, values: dict[str, Any], arrays: Mapping[str, Any], fresh: tuple[str, ...] = ()) -> None:
    """Bring a simulator of the same configuration to this state.

    fresh : beginnings of the names of arrays that stay as a new simulator has them, where the configuration is another: of
        `MOMENTS` where the optimizer is, `TRACES` where the rules are, "weights.feedback" where it is not the same, `MOVING`
        where nothing was rewired before
    """
    engine = core._engine
    for name, value in values["counters"].items():
        if name == "_guards":  # with what an earlier version did not count
            value = core._guards | value
        if name in COUNTERS:
            setattr(core, name, copy.deepcopy(value))
    core.context, core._begins = copy.deepcopy(values["context"]), "state"
    core._stream_noise.back_to([values["noise"]])
    plan = values["stream"]
    if plan is not None:
        known = plan["directions"] is not None and "traces" not in fresh
        directions = tuple(plan["directions"]) if known else None
        sets = {"full": frozenset(plan["full"]), "columns": tuple(plan.get("columns", ()))}
        plan = Plan(**plan | sets | {"directions": directions})
        engine.workspaces.pop(STREAM, None)
        engine.workspaces.fit(STREAM, 1, plan.window, plan)
    for name, array in _live(engine).items():
        if name.startswith(fresh):
            continue
        value = arrays.get(name)
        if value is None:
            array[...] = 0
            continue
        if value.size != array.size or value.dtype != array.dtype:
            got = f"{value.dtype}, {value.shape}"
            raise _check.fail(f"checkpoint.{name}", f"be {array.dtype} of shape {array.shape}", got, "another version wrote it")
        array[...] = value.reshape(array.shape)
    if any(grad.any() for grad in engine.stream_grad[:4]):
        engine.learnt[0] = True  # earlier versions do not say


def restore_training(values: dict[str, Any], arrays: Mapping[str, Any], like: Weights) -> History:
    """The history of a training."""
    curves = {name: arrays[f"history.{name}"].tolist() for name in CURVES}
    kept = values["training"]["history"]
    history = History(**curves, best_score=kept["best_score"], trials=kept["trials"], status=kept["status"])
    for name in ("labels", "predictions"):
        setattr(history, name, arrays.get(f"history.{name}"))
    if kept["best"]:
        flat = [arrays[f"history.best.{name}"] for name in WEIGHT_NAMES]
        matrices: list[Any] = list(like)
        for m, name in enumerate(WEIGHT_NAMES):
            pattern = _pattern(f"history.best.{name}", {}, arrays)
            if pattern is not None:
                matrices[m] = sparse.csr_array((flat[m], *reversed(pattern)), shape=like[m].shape)
        history.best_weights = unflatten(flat, Weights(*matrices))
    for k, updates in enumerate(kept["aligned"]):
        tables = (arrays[f"history.{name}"][k] for name in ("cosine", "norm_ratio"))
        history.alignment.append(Alignment(updates, tuple(kept["rules"]), tuple(kept["matrices"]), *tables))
    return history


def _live(engine: Engine) -> dict[str, np.ndarray]:
    """The arrays that change as an engine runs, by name."""
    result: dict[str, np.ndarray] = {}

    def add(name: str, flat: FlatWeights) -> None:
        result.update({f"{name}.{part}": array for part, array in flat._asdict().items()})

    add("weights", engine.weights)
    add("first", engine.opt.first)
    add("second", engine.opt.second)
    result |= {"done": engine.opt.done, "looks": engine.opt.looks}
    for name, grad in (("gradient", engine.stream_grad), ("total", engine.total)):
        add(name, FlatWeights(*(array[:1] for array in grad)))
    result["gradient.learnt"] = engine.learnt
    for k, grad in enumerate(engine.passive_grads):
        add(f"passive{k}", FlatWeights(*(array[:1] for array in grad)))  # between runs the other accumulators are clear
    space = engine.workspaces.get(STREAM)
    if space is not None:
        result.update({f"state.{name}": array for name, array in space.state._asdict().items()})
        if space.plan.directions is not None:
            result.update({f"traces.{k}": array for k, array in enumerate(carried(space.rule))})
    if engine.rewirer is not None:
        result |= {MOVING + name: array for name, array in engine.rewirer.arrays().items()}
    return {name: array for name, array in result.items() if array.size}


def _arrays(engine: Engine) -> dict[str, np.ndarray]:
    """Copies of the arrays that change, but for those of zeros only."""
    return {name: array.copy() for name, array in _live(engine).items() if array.any()}


def _moving(core: Core) -> dict[str, Any]:
    """What changes as a simulator runs and is no array."""
    return {
        "counters": {name: copy.deepcopy(getattr(core, name)) for name in COUNTERS},
        "noise": core._stream_noise.mark()[0],
        "stream": _plan(core._engine),
        "context": copy.deepcopy(core.context),
    }


def _plan(engine: Engine) -> dict[str, Any] | None:
    space = engine.workspaces.get(STREAM)
    if space is None:
        return None
    plan = space.plan._asdict()
    del plan["asked"], plan["members"]  # of the recorder and of this machine: a stream goes on without
    directions = plan["directions"]
    return plan | {"directions": None if directions is None else list(directions), "full": sorted(plan["full"])}


def _training(
    training: Training, constants: dict[str, np.ndarray], dtype: Any, moving: list[str]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Plan, cursor and history of a training. moving : names of the matrices that are rewired"""
    history = training.history
    arrays = {f"history.{name}": np.array(getattr(history, name), "i8" if name == "evaluated_at" else "f8") for name in CURVES}
    for name in ("labels", "predictions"):
        if getattr(history, name) is not None:
            arrays[f"history.{name}"] = np.array(getattr(history, name))
    best = history.best_weights
    if best is not None:
        arrays |= {f"history.best.{n}": a for n, a in zip(WEIGHT_NAMES, flatten(best, dtype)[:4], strict=True)}
        for name in moving:
            matrix = getattr(best, name)
            arrays |= {f"history.best.{name}.{part}": getattr(matrix, part) for part in ("indptr", "indices")}
    first = history.alignment[0] if history.alignment else None
    for name in ("cosine", "norm_ratio") if first is not None else ():
        arrays[f"history.{name}"] = np.array([getattr(a, name) for a in history.alignment])
    values = {
        **{name: getattr(training, name) for name in Training.NUMBERS},
        "task": training.task_values(),
        "stop": encode(training.stop, constants, "stop"),
        "history": {
            "best_score": history.best_score,
            "best": best is not None,
            "trials": history.trials,
            "status": history.status if history.status in ENDED else "running",
            "aligned": [a.updates for a in history.alignment],
            "rules": [] if first is None else list(first.rules),
            "matrices": [] if first is None else list(first.matrices),
        },
    }
    return values, arrays
