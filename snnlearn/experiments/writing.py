"""A `Config` as plain values and as TOML text; `config` has their form.

Values are `spec`'s encoding without what only JSON needs; comments are what fields say of themselves, and of specs and tasks
what their docstrings say.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .. import _check, spec
from ..recording import Recorder
from ..recording.options import OPTIONS, RecorderOptions
from ..rules.taxonomy import parse_rule
from ..simulator.setup import Setup
from ..tasks.classification import Classification
from . import toml
from .settings import SCALARS, SPECS, InitialWeights, TrainingPlan
from .toml import NONE

UPDATED = "Config.updated"
LONGEST = 90  # characters of a comment
NUMBERS = 20  # of a list that has a comment


def plain(config: Any) -> dict[str, Any]:
    """See `Config.to_dict`."""
    result: dict[str, Any] = {name: _or_none(getattr(config, name)) for name in SCALARS}
    result["task"] = {name: _or_none(x) for name, x in config.task.to_dict().items()}
    result["network"] = _plain(config.net, "network")
    result["network"].pop("type")
    result["network"]["readout"].pop("type")
    result["weights"] = _plain_table(config.weights)
    for name in SPECS:
        value = getattr(config, name)
        if value is not None or name != "rewiring":  # which configurations of earlier versions do not have, nor their digests
            result[name] = NONE if value is None else _plain(value, name)
    for name in ("regularizer", "rewiring"):
        if isinstance(result.get(name), dict):
            result[name].pop("type")
    result["passive"] = [_plain(rule, "passive") for rule in config.passive]
    result["training"] = _plain_table(config.training)
    given = {"path": config.path} if config.path is not None else {}
    result["recorder"] = {name: _plain(x, f"recorder.{name}") for name, x in (given | dict(config.recorder)).items()}
    result["sweep"] = _plain(dict(config.sweep), "sweep")
    return result


def _plain(value: Any, where: str) -> Any:
    """`spec`'s encoding of a value, without what only JSON needs."""
    arrays: dict[str, np.ndarray] = {}
    encoded = spec.encode(value, arrays, where)
    for part in spec.foreign(encoded):
        raise _check.fail(f"Config.{part['at']}", "be a part of the package, to be written down", part["foreign"])
    return _strip(encoded, arrays)


def _strip(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if value is None:
        return NONE
    if isinstance(value, list):
        return [_strip(x, arrays) for x in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]].tolist()
    if "tuple" in value:
        return [_strip(x, arrays) for x in value["tuple"]]
    return {name: _strip(x, arrays) for name, x in value.get("mapping", value).items()}


def _plain_table(value: Any) -> dict[str, Any]:
    return {f.name: _or_none(_plain(getattr(value, f.name), f.name)) for f in dataclasses.fields(value)}


def _or_none(value: Any) -> Any:
    return NONE if value is None else list(value) if isinstance(value, tuple) else value


def to_toml(config: Any, comments: bool) -> str:
    """See `Config.to_toml`."""
    values = plain(config)
    lines: list[str] = []
    if comments:
        steps = -(-config.training.trials // config.training.batch)
        groups = " + ".join(f"{g.n} {type(g).__name__}" for g in config.net.neurons)
        lines += [f"# {config.task.name}: {groups}, {type(config.rule).__name__}, {steps} updates.", "# snnlearn train THIS_FILE"]
        lines += ['# Times are in ms, rates in Hz. "none": no value. What is commented out has its default.', ""]
    about = _texts(Setup, comments)
    for name in SCALARS:
        lines += toml.line(name, values[name], about.get(name, ""), values[name] == NONE)
    doc = _about(type(config.task)) | (_CLASSIFICATION if isinstance(config.task, Classification) else {}) if comments else {}
    lines += _table("task", values["task"], doc, type(config.task))
    network = values["network"]
    lines += _table(
        "network",
        {k: x for k, x in network.items() if not _is_part(k)},
        {**_about(type(config.net), comments), **_NETWORK} if comments else {},
    )
    for group, item in zip(config.net.neurons, network["neurons"], strict=True):
        lines += _table("network.neurons", item, _about(type(group), comments), type(group), many=True)
    for name in ("readout", "recurrent", "inputs"):
        cls = type(getattr(config.net, name))
        lines += _table(f"network.{name}", network[name], _about(cls, comments), cls)
    lines += _table("weights", values["weights"], _texts(InitialWeights, comments), InitialWeights)
    for name in SPECS:
        if values.get(name, NONE) != NONE:
            cls = type(getattr(config, name))
            notes = {"rule": _RULE, "optimizer": _OPTIMIZER}.get(name, {}) if comments else {}
            lines += _table(name, values[name], _about(cls, comments) | notes, cls)
    for rule, item in zip(config.passive, values["passive"], strict=True):
        lines += _table("passive", item, _about(type(rule), comments), type(rule), many=True)
    lines += _table("training", values["training"], _texts(TrainingPlan, comments), TrainingPlan)
    recorder = values["recorder"]
    if comments:
        defaults = {name: _default(Recorder, name) for name in (*OPTIONS, "v")}
        recorder = {"path": NONE, **defaults, **recorder}
    about = {"path": "the recording; relative to this file"} | _texts(RecorderOptions, comments) if comments else {}
    lines += _table("recorder", recorder, about, Recorder)
    if values["sweep"]:
        lines += _table("sweep", values["sweep"], {})
    elif comments:
        lr = "optimizer.lr" if isinstance(values["optimizer"]["lr"], float) else "optimizer.lr.lr"
        lines += ["", "# [sweep]                     # of snnlearn sweep THIS_FILE: every combination of these values"]
        lines += ["# seeds = 3                   # seed, task.seed and rule.seed together; a number of seeds, or a list"]
        lines += ['# rule = ["eprop", "bptt"]', f"# {lr} = [1e-3, 1e-2]"]
    return "\n".join(lines) + "\n"


_CLASSIFICATION = {
    "train": "format and path of the data, relative to this file; with a digest, a run begins only on the same content",
    "test": "the same of the test split",
    "n_steps": "most steps of a trial; later events are left out. Left out: those of the longest sample",
    "padded": "whether all trials last n_steps, with silence at the end; left out: true",
    "downsample": "neighbouring channels, or pixels [along x, along y], that become one",
    "polarity": "keep polarities of events apart",
    "binary": "at most one event a step and channel",
    "cache": "folder that keeps the binned events, relative to this file",
}
_RULE = {"feedback": '"symmetric", "random", "adaptive", or an array [n, n_out]', "method": '"auto", "forward" or "adjoint"'}
_NETWORK = {"frozen": 'weight matrices that learning leaves alone, as ["w_in"]'}
_OPTIMIZER = {
    "lr": 'learning rate, or {type = "ExponentialDecay", lr = 0.005, rate = 0.1, every = 600}',
    "bounds": "[low, high] for w_in, w_rec and w_out, or {w_rec = [low, high], ...}",
}


def _is_part(name: str) -> bool:
    return name in ("neurons", "readout", "recurrent", "inputs")


def _table(name: str, values: Mapping[str, Any], about: Mapping[str, str], cls: Any = None, many: bool = False) -> list[str]:
    """A section. about : what its keys are; cls : whose defaults of None are commented out; many : one of a list of tables"""
    lines = ["", f"[[{name}]]" if many else f"[{name}]"]
    for key, x in values.items():
        off = x == NONE and (cls is None or _default(cls, key) in (None, NONE))
        comment = about.get(key, "") if not isinstance(x, list) or len(x) <= NUMBERS else ""
        lines += toml.line(key, x, comment, off)
    return lines


def _default(cls: Any, name: str) -> Any:
    """The default of a parameter as a plain value; "none" where there is none."""
    parameter = inspect.signature(cls).parameters.get(name)
    default = NONE if parameter is None or parameter.default is inspect.Parameter.empty else parameter.default
    return NONE if default is None or not isinstance(default, (bool, int, float, str, tuple)) else default


def _about(owner: Any, wanted: bool = True) -> dict[str, str]:
    """What docstrings say of each parameter, in a line: those of a class and of its bases, or of a function."""
    result: dict[str, str] = {}
    for cls in reversed(inspect.getmro(owner)) if inspect.isclass(owner) else (owner,):
        if wanted and (cls.__module__ or "").startswith("snnlearn."):
            for name, text in _parameters_in(cls.__doc__ or ""):
                if not text.startswith("see `"):
                    result[name] = _short(text)
    return result


def _texts(cls: Any, wanted: bool) -> dict[str, str]:
    """What the fields of a dataclass say of themselves, in a line each."""
    about = {f.name: f.metadata for f in dataclasses.fields(cls) if "text" in f.metadata} if wanted else {}
    return {name: given.get("toml") or _short(given["text"]) for name, given in about.items()}


def _short(text: str) -> str:
    """The beginning of a text that is too long for a line, with what TOML has instead of None."""
    parts = re.split(r"(?<=[;.] )", re.sub(r"\bNone\b", f'"{NONE}"', text))
    kept = parts[0]
    for part in parts[1:]:
        if len(kept) + len(part) > LONGEST:
            break
        kept += part
    kept = kept.rstrip(" ;.")
    return kept if len(kept) <= LONGEST + 30 else kept[:LONGEST].rpartition(" ")[0] + " ..."


def _parameters_in(doc: str) -> Iterator[tuple[str, str]]:
    """Lines "name, name : what it is" of a docstring, and lines that go on with a deeper indentation."""
    entry: tuple[str, str, int] | None = None
    for content in [*textwrap.dedent("    " + doc).splitlines(), ""]:
        indent = len(content) - len(content.lstrip())
        if entry is not None and content.strip() and indent > entry[2]:
            entry = (entry[0], f"{entry[1]} {content.strip()}", entry[2])
            continue
        if entry is not None:
            for name in entry[0].split(","):
                yield name.strip(), entry[1]
        found = re.match(r"\s*([a-z_]\w*(?:, [a-z_]\w*)*) : (.+)", content)
        entry = (found[1], found[2].strip(), indent) if found else None


def updated(config: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of `Config.updated`."""
    values = plain(config) | {"sweep": {}}
    for dotted, value in changes.items():
        if dotted == "seeds":
            values["seed"] = values["task"]["seed"] = value
            if "seed" in values["rule"]:
                values["rule"]["seed"] = value
            continue
        _set(values, dotted, _named_rule(config.rule, value, UPDATED) if dotted == "rule" else value, UPDATED)
    return values


def changed_parts(parts: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Plain values of those specs and numbers among `parts` that change, with other values at dotted keys as `updated` takes.

    where : what an error calls the source. Raises ValueError for a key that is not there.
    """
    result: dict[str, Any] = {}
    for dotted, value in changes.items():
        name = _check.choice(where, dotted.partition(".")[0], parts)
        if name not in result:
            whole = dotted != name and parts[name] is None  # a table that begins with this key
            result[name] = {} if whole else _or_none(_plain(parts[name], name))
        if dotted == "rule":
            value = _named_rule(parts["rule"], value, where)
        elif dotted == "passive":
            value = [_named_rule(parts["rule"], rule, where) for rule in ([value] if isinstance(value, (str, dict)) else value)]
        _set(result, dotted, value, where)
    return result


def _named_rule(rule: Any, value: Any, where: str) -> Any:
    """The rule of a name, with the feedback and seed of this one."""
    if not isinstance(value, str):
        return value
    kept = {name: getattr(rule, name) for name in ("feedback", "seed") if hasattr(rule, name)}
    return parse_rule(value, f"{where}, rule", **kept)


def _set(values: Any, dotted: str, value: Any, where: str) -> None:
    where = f"{where}, {dotted}"
    keys = dotted.split(".")
    for k, key in enumerate(keys):
        last = k == len(keys) - 1
        if isinstance(values, list) and key.isdecimal() and int(key) < len(values):
            index: Any = int(key)
        elif isinstance(values, dict) and (key in values or last):
            index = key
        else:
            raise _check.fail(where, "be the dotted key of a value in the configuration", dotted, f"there is no {key!r}")
        if last:
            values[index] = _plain(value, dotted)
        else:
            values = values[index]
