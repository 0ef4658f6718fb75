"""The points of a sweep: every combination of the values that a [sweep] table gives to dotted keys.

[sweep]
seeds = 3                                # or a list; seed, task.seed and rule.seed together
rule = ["eprop", "eprop:2", "bptt"]      # names of `parse_rule`, or tables
optimizer.lr = [1e-3, 3e-3]
training.batch = [16, 32]
zip = [["optimizer.lr", "training.batch"]]      # these vary together, all else in a grid
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from .. import _check

ZIP = "zip"


def points(sweep: Mapping[str, Any], where: str = "sweep") -> list[dict[str, Any]]:
    """Values by dotted key of each point; the last key varies fastest. One point without values where nothing varies.

    Raises ValueError or TypeError that names the key.
    """
    axes = dict(_axes({name: x for name, x in sweep.items() if name != ZIP}, where))
    if isinstance(axes.get("seeds"), int):
        axes["seeds"] = list(range(_check.integer(f"{where}.seeds", axes["seeds"], "be a number of seeds, or a list", low=1)))
    for name, values in axes.items():
        if not isinstance(values, (list, tuple)) or not values:
            raise _check.fail(f"{where}.{name}", "be a list of values", values, error=TypeError)
    groups: dict[str, tuple[str, ...]] = {name: (name,) for name in axes}
    for together in _zipped(sweep.get(ZIP, ()), where):
        for name in together:
            if groups.get(name) != (name,):
                known = ", ".join(axes)
                raise _check.fail(f"{where}.{ZIP}", f"name keys of the sweep ({known}), each once", name)
        lengths = {name: len(axes[name]) for name in together}
        if len(set(lengths.values())) > 1:
            raise _check.fail(f"{where}.{ZIP}", "name keys with lists of one length", lengths)
        groups.update(dict.fromkeys(together, tuple(together)))
    columns = []
    for names in dict.fromkeys(groups.values()):
        rows = zip(*(axes[name] for name in names), strict=True)
        columns.append([dict(zip(names, row, strict=True)) for row in rows])
    return [{name: value for part in parts for name, value in part.items()} for parts in itertools.product(*columns)]


def _axes(values: Mapping[str, Any], where: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys, which TOML gives as tables within tables unless they are in quotes."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _axes(value, where, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _zipped(value: Any, where: str) -> list[list[str]]:
    listed = isinstance(value, (list, tuple))
    lists = [value] if listed and value and all(isinstance(x, str) for x in value) else value
    if not listed or not all(isinstance(x, (list, tuple)) for x in lists):
        raise _check.fail(f"{where}.{ZIP}", "be a list of lists of keys", value, error=TypeError)
    return [list(x) for x in lists]


def label(point: Mapping[str, Any]) -> str:
    """A short text for a point, as "rule=eprop, optimizer.lr=0.01"."""
    return ", ".join(f"{name}={short(value)}" for name, value in point.items())


def short(value: Any) -> str:
    if isinstance(value, Mapping):
        rest = [f"{k}={short(x)}" for k, x in value.items() if k not in ("type", "name") and x is not None]
        return f"{value.get('type', value.get('name', ''))}({', '.join(rest)})"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(short, value)) + "]"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
