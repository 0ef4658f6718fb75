"""Plain values, as `tomllib` gives them, as the parts of a `Config`; `config` has their form.

Each table of a spec becomes an instance one level at a time, so that an error is one of the table in which it arises: its
sentence comes with the key and, where the values come from a file, with the line of the key.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import h5py
import numpy as np

from .. import _check, spec
from ..losses import CrossEntropy, MeanSquaredError, RateRegularizer
from ..network.connectivity import Dense, Masked, Sparse
from ..network.network import Network, Readout
from ..neurons.base import Neuron
from ..neurons.surrogate import Surrogate
from ..optimizers.optimizers import Optimizer
from ..optimizers.rewiring import DeepR
from ..optimizers.schedules import CosineDecay, ExponentialDecay, StepDecay
from ..recording import Recording, open_recording
from ..recording.options import OPTIONS as RECORDER_OPTIONS
from ..rules import Rule
from ..storage.integrity import CheckedFile
from ..tasks import base, classification
from . import toml
from .settings import SCALARS, SECTIONS, SPECS, VARIABLES, InitialWeights, TrainingPlan
from .toml import NONE, Path

T = TypeVar("T")
TABLES = {"weights": InitialWeights, "training": TrainingPlan}
KINDS: dict[str, Any] = {  # of what stands at a key
    **dict.fromkeys(("rule", "passive"), Rule),
    **dict.fromkeys(("inputs", "recurrent"), (Dense, Masked, Sparse)),
    "optimizer": Optimizer,
    "loss": (MeanSquaredError, CrossEntropy),
    "regularizer": RateRegularizer,
    "rewiring": DeepR,
    "network": Network,
    "readout": Readout,
    "neurons": Neuron,
    "surrogate": Surrogate,
    "lr": (ExponentialDecay, StepDecay, CosineDecay),
}
IMPLIED: dict[Path, str] = {
    ("network",): "Network",
    ("network", "readout"): "Readout",
    ("regularizer",): "RateRegularizer",
    ("rewiring",): "DeepR",
}
MAY_BE_NONE = ("regularizer", "rewiring")


class _Source:
    """Where values come from, for errors. text : of the TOML file, or None"""

    def __init__(self, where: str, folder: str | os.PathLike[str], text: str | None = None):
        self.where, self.folder, self.text = where, str(folder), text

    def at(self, path: Path) -> str:
        """ "run.toml, line 12, optimizer.lr" """
        number = None if self.text is None else toml.line_of(self.text, path)
        name = toml.name_of(path)
        return ", ".join(part for part in (self.where, f"line {number}" if number else "", name) if part)

    def fail(self, path: Path, sentence: str, error: type[Exception] = ValueError) -> NoReturn:
        raise error(f"{self.at(path)}: {sentence}")

    def fail_again(self, path: Path, error: Exception) -> NoReturn:
        """Raise an error of a part of the configuration with the place that it is about."""
        self.fail(path, str(error), type(error) if type(error) in (ValueError, TypeError) else ValueError)


def load(path: str | os.PathLike[str], make: Callable[..., T], moved: Mapping[str, Any] | None = None) -> T:
    """See `config.load_config`; make : `Config`"""
    path = pathlib.Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"the configuration {path} is a folder")
    if not path.exists():
        raise FileNotFoundError(f"the configuration {path} does not exist")
    if h5py.is_hdf5(path):
        return of_recording(path, make, moved)
    try:
        text = path.read_text(encoding="utf-8")
        values = toml.parse(text)
    except ValueError as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    return _build(_moved(values, moved), _Source(str(path), pathlib.Path(os.path.realpath(path)).parent, text), make)


def _moved(values: dict[str, Any], paths: Mapping[str, Any] | None) -> dict[str, Any]:
    """Values whose task finds its data at other paths, by split."""
    given = paths and isinstance(values.get("task"), Mapping)
    return values | {"task": classification.moved(values["task"], **paths)} if given else values  # type: ignore[arg-type]


def build(values: Mapping[str, Any], where: str, folder: str | os.PathLike[str], make: Callable[..., T]) -> T:
    """See `Config.from_dict`; make : `Config`"""
    if not isinstance(values, Mapping):
        raise _check.fail(where, "be a dict of sections", values, error=TypeError)
    return _build(values, _Source(where, folder), make)


def _build(values: Mapping[str, Any], source: _Source, make: Callable[..., T]) -> T:
    _known(values, SECTIONS, (), source)
    for name in ("task", "network", "rule", "optimizer", "training"):
        if name not in values:
            source.fail((), f"the section [{name}] is missing; a configuration has {', '.join(SECTIONS)}")
    for name in ("task", "network", "weights", *SPECS, "training", "recorder", "sweep"):
        if name in values and not isinstance(values[name], Mapping) and not (name in MAY_BE_NONE and values[name] == NONE):
            source.fail((name,), f"{name} must be a table [{name}] (got {_check.show(values[name])})", TypeError)
    parts: dict[str, Any] = {name: _none(values[name]) for name in SCALARS if name in values}
    task = parts["task"] = _task(values["task"], source)
    network = dict(values["network"])
    network.setdefault("n_inputs", task.n_inputs)
    network.setdefault("dt", task.dt)
    readout = network.setdefault("readout", {})
    if isinstance(readout, Mapping):
        network["readout"] = {"n": task.n_outputs, **readout}
    parts["net"] = _value(network, ("network",), source)
    for name in SPECS:
        if name in values:
            parts[name] = _value(values[name], (name,), source)
    if "passive" in values:
        if not isinstance(values["passive"], list):
            source.fail(("passive",), "passive must be a list of tables [[passive]]", TypeError)
        parts["passive"] = _value(values["passive"], ("passive",), source)
    for name, cls in TABLES.items():
        if name in values:
            parts[name] = _made(cls, {k: _value(x, (name, k), source) for k, x in values[name].items()}, (name,), source)
    recorder = dict(values.get("recorder", {}))
    _known(recorder, ("path", *RECORDER_OPTIONS, *VARIABLES), ("recorder",), source)
    parts["path"] = _none(recorder.pop("path", None))
    parts["recorder"] = _nones(recorder)
    parts["sweep"] = dict(values.get("sweep", {}))
    return _called(lambda: make(**parts, folder=source.folder), source, values)


def _task(values: Mapping[str, Any], source: _Source) -> Any:
    if values.get("name") not in base.names():
        at = ("task", "name") if "name" in values else ("task",)
        source.fail(at, f"the task's name must be one of {', '.join(map(repr, base.names()))} (got {values.get('name')!r})")
    known = [f.name for f in dataclasses.fields(base._REGISTRY[values["name"]])]  # type: ignore[arg-type]
    _known(values, ("name", *known), ("task",), source)
    parameters = {k: _value(x, ("task", k), source) for k, x in values.items()}
    if values["name"] == classification.Classification.name:
        parameters = classification.anchored(parameters, source.folder)
    parameters = base._REGISTRY[values["name"]].unwritten(parameters)
    try:
        return _caught(lambda: base.make(**parameters), ("task",), values, source)
    except FileNotFoundError as error:  # of its data
        source.fail(("task",), str(error), FileNotFoundError)


def _value(value: Any, path: Path, source: _Source) -> Any:
    """A plain value as specs take it; the source of errors is the deepest table."""
    if isinstance(value, str):
        return _none(value)
    if isinstance(value, list):
        return tuple(_value(x, (*path, i), source) for i, x in enumerate(value))
    if not isinstance(value, Mapping):
        return value
    if set(value) == {"file", "array"} and path[0] != "weights":
        return _array(value, path, source)
    name = value.get("type", IMPLIED.get(path))
    if name is None and _is_spec(path):
        source.fail(path, f"the table must have a type, the name of a class such as {_example(path)}")
    if name is None:
        return {k: _value(x, (*path, k), source) for k, x in value.items()}
    known = _types(path)
    if not isinstance(name, str) or name not in known:
        near = difflib.get_close_matches(str(name), known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        source.fail((*path, "type"), f"the type must be one of {', '.join(known)} (got {name!r}){hint}")
    parameters = {k: _value(x, (*path, k), source) for k, x in value.items() if k != "type"}
    return _made(spec.CLASSES[name], spec.unwritten(name, parameters), path, source)


def _types(path: Path) -> list[str]:
    """Names of the classes that may stand here."""
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    kind = KINDS.get(key, object)
    return [name for name, cls in spec.CLASSES.items() if issubclass(cls, kind)]


def _is_spec(path: Path) -> bool:
    """Whether a spec stands here, which must name its class."""
    inside = ("network", "neurons"), ("network", "recurrent"), ("network", "inputs")
    if path[-1] == "surrogate" or path == ("optimizer", "lr"):
        return True
    return path in ((name,) for name in SPECS) or path in inside or path[:-1] in (("passive",), inside[0])


def _example(path: Path) -> str:
    examples = {"rule": "EProp", "optimizer": "Adam", "loss": "CrossEntropy", "passive": "BPTT"}
    inside = {"neurons": "LIF", "surrogate": "PiecewiseLinear", "lr": "ExponentialDecay"}
    names = (name for name in reversed(path) if name in inside)
    return repr(inside.get(next(names, ""), examples.get(path[0], "Dense")))


def _made(cls: type, parameters: Mapping[str, Any], path: Path, source: _Source) -> Any:
    """An instance, with parameters that are made already."""
    known = inspect.signature(cls).parameters
    _known(parameters, known, path, source, cls.__name__)
    for name, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and name not in parameters:
            source.fail(path, f"{cls.__name__} must have {name!r}")
    return _caught(lambda: cls(**parameters), path, parameters, source)


def _caught(call: Callable[[], Any], path: Path, parameters: Mapping[str, Any], source: _Source) -> Any:
    """The result; an error comes with the place of the parameter that it is about."""
    try:
        return call()
    except (ValueError, TypeError) as error:
        name = next(iter(_words(_check.where_of(error).partition(".")[2])), "")
        source.fail_again((*path, name) if name in parameters else path, error)


def _called(call: Callable[[], Any], source: _Source, values: Mapping[str, Any]) -> Any:
    """The result; an error comes with the section that it is about."""
    try:
        return call()
    except (ValueError, TypeError) as error:
        where = _check.where_of(error)
        at = next((found for word in reversed(_words(where)) if (found := _find(word, values))), ())
        source.fail_again(("sweep", where.removeprefix("sweep.")) if where.startswith("sweep.") else at, error)


def _words(where: str) -> list[str]:
    """The names in what an error is about: "Recorder.synapses['w_rec']" has three."""
    return "".join(c if c.isidentifier() or c.isdecimal() else " " for c in where).split()


def _find(word: str, values: Mapping[str, Any]) -> Path:
    """The path of a key of this name in the sections that are checked together; () where there is none."""
    if word in values:
        return (word,)
    network = values.get("network")
    if isinstance(network, Mapping) and word in ("n_inputs", "dt") and word in network:
        return ("network", word)
    if isinstance(network, Mapping) and word == "n_outputs" and "n" in (network.get("readout") or {}):
        return ("network", "readout", "n")
    for section in ("training", "recorder", "sweep", "rule", "regularizer", "rewiring"):
        if isinstance(values.get(section), Mapping) and (word in values[section] or values[section].get("type") == word):
            return (section, word) if word in values[section] else (section,)
    return {"Recorder": ("recorder",), "RateRegularizer": ("regularizer",), "DeepR": ("rewiring",), "train": ("training",)}.get(
        word, ()
    )


def _known(values: Mapping[str, Any], allowed: Any, path: Path, source: _Source, owner: str = "") -> None:
    for name in values:
        if name not in allowed:
            near = difflib.get_close_matches(str(name), [str(x) for x in allowed], 1)
            what = "no such section or key" if not path else f"{owner or f'[{toml.name_of(path)}]'} has no {name!r}"
            hint = f"; did you mean {near[0]}?" if near else ""
            source.fail((*path, name), f"{what}; it has {', '.join(map(str, allowed))}{hint}")


def _array(value: Mapping[str, Any], path: Path, source: _Source) -> np.ndarray:
    """An array that stands in an npz, npy or HDF5 file."""
    file = pathlib.Path(source.folder) / str(value["file"])
    try:
        if file.suffix == ".npy":
            return np.load(file)
        if file.suffix == ".npz":
            with np.load(file) as arrays:
                return arrays[value["array"]]
        with CheckedFile(file) as raw, h5py.File(raw, "r") as h5:
            return h5[value["array"]][...]
    except (OSError, KeyError, ValueError) as error:
        source.fail(path, f"the array {value['array']!r} of {file} cannot be read: {error}")


def _nones(value: Any) -> Any:
    """A value with None for "none", however deep."""
    if isinstance(value, Mapping):
        return {name: _nones(x) for name, x in value.items()}
    return [_nones(x) for x in value] if isinstance(value, list) else _none(value)


def _none(value: Any) -> Any:
    return None if isinstance(value, str) and value == NONE else value


def parts(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Specs and numbers of plain values, by section or key."""
    source = _Source(where, "")
    return {name: _value(value, (name,), source) for name, value in values.items()}


def of_recording(path: str | os.PathLike[str], make: Callable[..., T], moved: Mapping[str, Any] | None = None) -> T:
    """See `Config.of_recording`; make : `Config`"""
    with open_recording(path) as recording:
        content = recording.config
        first = bool(recording.weight_updates.size) and int(recording.weight_updates[0]) == 0
        recorder = _recorded(recording)
    folder = pathlib.Path(os.path.realpath(path)).parent
    where = f"the configuration of {path}"
    if "fork" in content:
        fork = content["fork"]
        got = f"a fork of {fork['of']} after {fork['updates']} updates"
        raise _check.fail(str(path), "be the recording of a run from its beginning", got)
    if "run" in content:
        return build(_moved(content["run"], moved), where, folder, make)
    if not content.get("training") or "foreign" in (content.get("task") or {}):
        raise _check.fail(str(path), "be the recording of a training of one of the package's tasks", content.get("task"))
    known = {f.name for f in dataclasses.fields(TrainingPlan)}
    task = {k: x for k, x in content["task"].items() if k not in ("kind", "labels")}
    values = {name: content.get(name) for name in (*SPECS, "update_every", "dtype", "seed", "passive_every")}
    values |= {"task": task, "network": content["network"]}
    values["training"] = {k: x for k, x in content["training"].items() if k in known}
    values["passive"] = [{k: x for k, x in rule.items() if k != "name"} for rule in content.get("passive") or []]
    values["recorder"] = recorder
    if content.get("weights") == "given":
        if not first:
            hint = "Recorder(weights_every=...) takes the first ones too"
            raise _check.fail(str(path), "hold the weights that were given to the simulator", "no snapshot at 0 updates", hint)
        values["weights"] = {"file": os.path.realpath(path), "update": 0}
    return build(_moved(_no_nulls(values), moved), where, folder, make)


def _recorded(recording: Recording) -> dict[str, Any]:
    """The options of the recorder that wrote a file, as far as they can be seen in it."""
    options: dict[str, Any] = {"spikes": recording.has_spikes, "every": int(recording.attrs["every"])}
    if recording.attrs["weights_every"]:
        options["weights_every"] = int(recording.attrs["weights_every"])
    options |= {name: name in recording.names for name in ("readout", "target")}
    traces = {name: recording[name].neurons for name in recording.names}
    chosen = {name: neurons.tolist() for name, neurons in traces.items() if neurons is not None}
    options |= {name: neurons for name, neurons in chosen.items() if name in VARIABLES}
    others = {name: neurons for name, neurons in chosen.items() if name not in VARIABLES}
    return options | ({"variables": others} if others else {})


def _no_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _no_nulls(x) for k, x in value.items()}
    if isinstance(value, list):
        return [_no_nulls(x) for x in value]
    return NONE if value is None else value
