"""Any object with `__len__` and `__getitem__` that returns (events, label), as the data sets of tonic do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .. import _check
from .base import Dataset, Sample, check_events

POLARITY = ("p", "on", "polarity")  # what libraries call the field


class Wrapped(Dataset):
    """A data set made of someone else's objects.

    data : len(data) samples; data[i] returns (events, label), events a structured array with the fields t and x, and y and p
        (or on, or polarity) where there are any, label a whole number (of any type), a boolean, or the name of a class
    sensor : (width, height, polarities); None: `data.sensor_size`
    classes : names of the classes, by number; None: `data.classes`, or numbers up to the largest label
    unit : ms in which one of t counts; 0.001 for microseconds
    key : a name for the content, under which a cache keeps it; another content needs another key. None: no cache

    Nothing of it stands in a recording but its class: `sl.resume` gets the task again. Labels are `data.targets` where
    there is one for each sample, else all samples are read once. Raises TypeError or ValueError that names the sample.
    """

    def __init__(
        self,
        data: Any,
        sensor: tuple[int, int, int] | None = None,
        classes: Sequence[str] | None = None,
        unit: float = 0.001,
        key: str | None = None,
    ):
        if not hasattr(data, "__len__") or not hasattr(data, "__getitem__"):
            raise _check.fail("Wrapped.data", "have __len__ and __getitem__", data, error=TypeError)
        if not len(data):
            raise _check.fail("Wrapped.data", "have samples", "none")
        self.data = data
        sensor = getattr(data, "sensor_size", None) if sensor is None else sensor
        if sensor is None or len(sensor) != 3:
            raise _check.fail("Wrapped.sensor", "be (width, height, polarities)", sensor, "data.sensor_size is not there")
        self.sensor = tuple(_check.integer("Wrapped.sensor", n, "be whole numbers >= 1", low=1) for n in sensor)  # type: ignore[assignment]
        self.unit = _check.number("Wrapped.unit", unit, "be a positive number of ms", low=0.0, strict=True)
        if key is not None and not isinstance(key, str):
            raise _check.fail("Wrapped.key", "be a text or None", key, error=TypeError)
        self.key = key
        names = getattr(data, "classes", None) if classes is None else classes
        self._names = None if names is None else tuple(str(name) for name in names)

    @property
    def name(self) -> str:
        return f"Wrapped({type(self.data).__name__})" if self.key is None else f"Wrapped({self.key!r})"

    @cached_property
    def targets(self) -> np.ndarray:
        """Labels of all samples, int64 [len]."""
        given = getattr(self.data, "targets", None)
        if given is None or len(given) != len(self.data):
            given = [self._pair(i)[1] for i in range(len(self.data))]
        return np.array([self._label(i, label) for i, label in enumerate(given)], np.int64)

    @cached_property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the classes, by label."""
        if self._names is not None:
            if self.targets.max() >= len(self._names):
                raise _check.fail(f"{self.name}, labels", f"be in 0 .. {len(self._names) - 1}", int(self.targets.max()))
            return self._names
        return tuple(str(k) for k in range(int(self.targets.max()) + 1))

    def to_dict(self) -> dict[str, Any]:
        return {"foreign": f"{type(self.data).__module__}.{type(self.data).__qualname__}", "at": "task"}

    def digest(self) -> str | None:
        return None if self.key is None else hashlib.blake2b(f"{self.key} {self.unit}".encode(), digest_size=20).hexdigest()

    def _read(self, index: int) -> Sample:
        where = f"{self.name}, sample {index}"
        events, label = self._pair(index)
        names = getattr(getattr(events, "dtype", None), "names", None) or ()
        if "t" not in names or "x" not in names:
            got = f"fields {names}" if names else type(events).__name__
            raise _check.fail(
                f"{where}, events", "be a structured array with the fields t, x and maybe y, p", got, error=TypeError
            )
        t = _check.numbers(f"{where}, t", events["t"]).astype(np.float64) * self.unit
        fields = ("x", "y", next((name for name in POLARITY if name in names), ""))
        x, y, p = (_whole(f"{where}, {k}", events[k]) if k in names else np.zeros(t.shape, np.int64) for k in fields)
        return check_events(where, Sample(t, x, y, p, self._label(index, label)), self.sensor)

    def _pair(self, index: int) -> tuple[Any, Any]:
        pair = self.data[index]
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise _check.fail(f"{self.name}, sample {index}", "be (events, label)", pair, error=TypeError)
        return pair[0], pair[1]

    def _label(self, index: int, label: Any) -> int:
        where, need = f"{self.name}, label of sample {index}", "be a whole number, not negative"
        if isinstance(label, bytes):
            label = label.decode("utf-8", "replace")
        if isinstance(label, str):
            if self._names is None:
                raise _check.fail(where, need, label, "classes=[...] says which name is which number", TypeError)
            return self._names.index(_check.choice(where, str(label), self._names))
        value = _check.numbers(where, label, need + ", or a name among classes")
        if value.size != 1 or not float(value.item()).is_integer() or not 0 <= value.item() <= _check.MOST:
            raise _check.fail(where, need, label, error=TypeError)
        return int(value.item())


def _whole(where: str, given: Any) -> np.ndarray:
    """int64; a fraction would be cut off."""
    values = _check.numbers(where, given)
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.rint(values))).all():
        raise _check.fail(where, "be whole numbers", float(values[values != np.rint(values)][0]))
    return values.astype(np.int64)
