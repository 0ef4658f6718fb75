"""One error sentence for the whole package: where, need, got, hint.

LIF.tau_m must be a positive time in ms (got -20.0)
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import numpy as np


def fail(where: str, need: str, got: Any, hint: str = "", error: type[Exception] = ValueError) -> Exception:
    """The exception to raise: ``raise fail("LIF.tau_m", "be a positive time in ms", -20.0)``."""
    return error(f"{where} must {need} (got {show(got)})" + (f"; {hint}" if hint else ""))


def need(module: str, what: str, package: str | None = None) -> Any:
    """An optional module: ``need("pynwb.misc", "export", "pynwb")``. Raises ImportError that names the package to install."""
    try:
        return import_module(module)
    except ImportError as error:
        package = package or module.partition(".")[0]
        raise ImportError(f"{what} needs {package}: pip install {package}") from error


def show(value: Any) -> str:
    """A value in a few characters: arrays by shape and dtype, long texts cut."""
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"array of shape {value.shape} and dtype {value.dtype}"
    text = repr(value.tolist()) if isinstance(value, (np.ndarray, np.generic)) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def number(where: str, value: Any, need: str, low: float = -np.inf, high: float = np.inf, strict: bool = False) -> float:
    """A finite float in [low, high] (or, with `strict`, above low)."""
    try:
        x = float(value)
    except (TypeError, ValueError):
        raise fail(where, need, value, error=TypeError) from None
    if not np.isfinite(x) or x < low or x > high or (strict and x <= low) or isinstance(value, (bool, np.bool_)):
        raise fail(where, need, value)
    return x


def integer(where: str, value: Any, need: str = "be a whole number", low: int | None = None, high: int | None = None) -> int:
    """A whole number in [low, high]."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise fail(where, need, value, error=TypeError)
    if (low is not None and value < low) or (high is not None and value > high):
        raise fail(where, need, value)
    return int(value)


def per_neuron(
    where: str, value: Any, n: int, need: str, low: float = -np.inf, high: float = np.inf, strict: bool = False
) -> float | tuple[float, ...]:
    """A number, or one number per neuron; kept as a float or a tuple so that specs stay hashable."""
    if np.ndim(value) == 0:
        return number(where, value, need, low, high, strict)
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise fail(where, need, value, error=TypeError) from None
    if array.shape != (n,):
        raise fail(where, f"be a number or an array of shape ({n},)", value)
    bad = ~np.isfinite(array) | (array < low) | (array > high) | (strict & (array <= low))
    if bad.any():
        raise fail(where, need, array[bad][0], f"entry {int(np.argmax(bad))} of {n}")
    return tuple(array.tolist())


def choice(where: str, value: Any, names: Iterable[str]) -> str:
    """One of the given names."""
    names = tuple(names)
    if value not in names:
        raise fail(where, "be one of " + ", ".join(repr(n) for n in names), value)
    return value


def array(where: str, value: Any, shape: tuple[int | None, ...], dtype: Any = np.float64, hint: str = "") -> np.ndarray:
    """A C-contiguous finite array of this shape (None: any length); always a new or unshared view-safe array."""
    try:
        result = np.ascontiguousarray(value, dtype=dtype)
    except (TypeError, ValueError):
        raise fail(where, f"be an array of numbers of shape {_shape(shape)}", value, hint, TypeError) from None
    result = result.reshape(np.shape(value))  # ascontiguousarray makes a scalar one-dimensional
    if result.ndim != len(shape) or any(s is not None and s != r for s, r in zip(shape, result.shape, strict=True)):
        raise fail(where, f"have shape {_shape(shape)}", result.shape, hint)
    finite(where, result)
    return result if result.flags.writeable else result.copy()  # a read-only array is another type to Numba


def finite(where: str, value: np.ndarray) -> None:
    """Raise where an array holds NaN or infinity, naming the first such entry."""
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
        raise fail(where, "be finite", value[index], f"at index {index}")


def _shape(shape: tuple[int | None, ...]) -> str:
    names = ["any" if s is None else str(s) for s in shape]
    return "(" + ", ".join(names) + ("," if len(names) == 1 else "") + ")"
