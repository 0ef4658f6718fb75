"""Learning-rate schedules: callables of the number of updates done, which can be written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _check


@dataclass(frozen=True)
class ExponentialDecay:
    """lr * rate ** (update / every): a learning-rate schedule, called with the number of updates done.

    Raises ValueError or TypeError that names the parameter.
    """

    lr: float
    rate: float
    every: float = 1.0

    def __post_init__(self) -> None:
        _check_schedule(self, rate=0.0, every=None)

    def __call__(self, update: int) -> float:
        return self.lr * self.rate ** (update / self.every)


@dataclass(frozen=True)
class StepDecay:
    """lr * rate ** (update // every): a learning-rate schedule, called with the number of updates done.

    Raises ValueError or TypeError that names the parameter.
    """

    lr: float
    rate: float
    every: int

    def __post_init__(self) -> None:
        _check_schedule(self, rate=0.0, every=None)

    def __call__(self, update: int) -> float:
        return self.lr * self.rate ** (update // self.every)


@dataclass(frozen=True)
class CosineDecay:
    """From lr to `final` along half a cosine over `updates` updates, then constant.

    Raises ValueError or TypeError that names the parameter.
    """

    lr: float
    updates: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _check_schedule(self, updates=None, final=0.0)

    def __call__(self, update: int) -> float:
        phase = min(1.0, update / self.updates)
        return self.final + 0.5 * (self.lr - self.final) * (1.0 + np.cos(np.pi * phase))


def _check_schedule(schedule: Any, **lowest: float | None) -> None:
    """Raise ValueError or TypeError unless lr and the other numbers are what a schedule needs; lowest : None: above 0"""
    name = type(schedule).__name__
    plain = [_check.number(f"{name}.lr", schedule.lr, "be a learning rate, not negative", low=0.0)]
    for key, low in lowest.items():
        need = "be a positive number" if low is None else "be a number, not negative"
        plain.append(_check.number(f"{name}.{key}", getattr(schedule, key), need, low=0.0, strict=low is None))
    for key, value in zip(("lr", *lowest), plain, strict=True):
        if not isinstance(getattr(schedule, key), (int, float)):  # as of another library's scalar
            object.__setattr__(schedule, key, value)
