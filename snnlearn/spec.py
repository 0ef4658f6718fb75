"""Specs as plain values and back: what makes a configuration readable years later, and only what the package knows.

    LIF(50, tau_m=20.0)   <->   {"type": "LIF", "n": 50, "tau_m": 20.0, ...}

A class is found by its name among the package's public specs, never by importing what a file names. Arrays and long tuples go
into a mapping of arrays beside the values, as {"array": key}. What the package does not know (a user's own neuron model, a
schedule that is a function) becomes {"foreign": its name}: it can be told from everything else, but not be made again.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from . import _check
from .losses import CrossEntropy, MeanSquaredError, RateRegularizer
from .network.connectivity import Dense, Masked, Sparse
from .network.network import Network, Readout
from .neurons import ALIF, LIF, CubaLIF
from .neurons.surrogate import ArcTan, Exponential, FastSigmoid, PiecewiseLinear
from .optimizers.optimizers import SGD, Adam
from .optimizers.rewiring import DeepR
from .optimizers.schedules import CosineDecay, ExponentialDecay, StepDecay
from .rules import BPTT, RFLO, RTRL, UORO, EProp, SnAp, TruncatedBPTT

CLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        *(LIF, ALIF, CubaLIF, PiecewiseLinear, Exponential, FastSigmoid, ArcTan),
        *(Network, Readout, Dense, Masked, Sparse),
        *(MeanSquaredError, CrossEntropy, RateRegularizer),
        *(EProp, BPTT, TruncatedBPTT, RTRL, SnAp, RFLO, UORO),
        *(SGD, Adam, ExponentialDecay, StepDecay, CosineDecay, DeepR),
    )
}
LONG = 32  # numbers of a tuple that is stored as an array


def encode(value: Any, arrays: dict[str, np.ndarray], key: str = "") -> Any:
    """A spec, or values made of specs, numbers, texts, tuples, lists and mappings, as JSON values.

    arrays : takes the arrays; key : where the value stands, which names its arrays and foreign parts
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        arrays[key] = value
        return {"array": key}
    if isinstance(value, tuple) and len(value) > LONG and all(isinstance(x, float) for x in value):
        arrays[key] = np.array(value)
        return {"array": key, "tuple": True}
    if isinstance(value, (tuple, list)):
        items = [encode(x, arrays, _inside(key, i)) for i, x in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {"mapping": {name: encode(x, arrays, _inside(key, name)) for name, x in value.items()}}
    if CLASSES.get(type(value).__name__) is type(value):
        names = [name for name in _parameters(type(value)) if hasattr(value, name)]
        return {"type": type(value).__name__} | {n: encode(getattr(value, n), arrays, _inside(key, n)) for n in names}
    name = getattr(value, "__qualname__", None) or type(value).__qualname__
    return {"foreign": f"{getattr(value, '__module__', '?')}.{name}", "at": key}


def decode(value: Any, arrays: Mapping[str, Any], where: str = "spec") -> Any:
    """What `encode` was given. Raises ValueError for a class or parameter that the package does not know, and for foreign parts.

    where : what an error calls the source
    """
    if isinstance(value, list):
        return [decode(x, arrays, where) for x in value]
    if not isinstance(value, dict):
        return value
    if "foreign" in value:
        raise _check.fail(where, "hold only what the package can make again", value["foreign"], f"it stands at {value['at']}")
    if "array" in value:
        if value["array"] not in arrays:
            raise _check.fail(where, "hold its arrays", f"no {value['array']}")
        array = np.asarray(arrays[value["array"]])
        return tuple(array.tolist()) if value.get("tuple") else array
    if "tuple" in value:
        return tuple(decode(x, arrays, where) for x in value["tuple"])
    if "mapping" in value:
        return {name: decode(x, arrays, where) for name, x in value["mapping"].items()}
    name = value.get("type")
    if name not in CLASSES:
        raise _check.fail(where, "name a class of the package, " + ", ".join(CLASSES), name, "a newer snnlearn may know it")
    known = _parameters(CLASSES[name])
    for parameter in value:
        if parameter != "type" and parameter not in known:
            raise _check.fail(f"{where}, {name}", "have parameters among " + ", ".join(known), parameter, "of a newer snnlearn?")
    return CLASSES[name](**unwritten(name, {n: decode(x, arrays, where) for n, x in value.items() if n != "type"}))


def unwritten(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a written spec, with what an entry that is left out stands for where the class has another default.

    A network that says no delay has one of 1 ms, or of one step where 1 ms is no whole number of steps.
    """
    if name != "Network" or "delay" in parameters:
        return parameters
    try:
        steps = 1.0 / float(parameters.get("dt", 1.0))
        whole = steps > 0.5 and abs(steps - round(steps)) <= 1e-6
    except (TypeError, ValueError, ArithmeticError):  # which the class says of dt
        return parameters
    return parameters | {"delay": 1.0 if whole else None}


def foreign(value: Any) -> Iterator[dict[str, str]]:
    """The foreign parts in encoded values."""
    if isinstance(value, dict):
        if "foreign" in value:
            yield value
        else:
            for x in value.values():
                yield from foreign(x)
    elif isinstance(value, list):
        for x in value:
            yield from foreign(x)


def _inside(key: str, name: Any) -> str:
    return f"{key}.{name}" if key else str(name)


def _parameters(cls: type) -> list[str]:
    """Names that the constructor takes and the instance keeps."""
    names = [f.name for f in dataclasses.fields(cls)]
    return [name for name in inspect.signature(cls).parameters if name in names]
