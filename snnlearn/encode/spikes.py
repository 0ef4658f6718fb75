"""Encoders whose result is spikes. With u = clip((x - low)/(high - low), 0, 1):

    Poisson    P(spike of i in a step) = u_i[t] max_rate dt/1000, in each of the `steps` steps of row t            (1)
    Latency    one spike at step floor((1 - u_i[t]) (steps - 1) + 1/2) of row t; none where u = 0                  (2)
    Delta      level r_i starts at x_i[0]; k = trunc((x_i[t] - r_i)/threshold) crossings move it by k threshold:   (3)
               |k| spikes of channel i (up, k > 0) or n + i (down) in the first step of row t

What Delta sends is enough to follow the series: x_i[0] + threshold (ups - downs) is never further from x_i[t] than threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .. import _check
from ..events import Events
from .base import Encoder


@dataclass(frozen=True)
class Poisson(Encoder):
    """Random spikes whose rate follows the value: ``Poisson(200.0, low=0.0, high=1.0, steps=10)``.

    max_rate : Hz, of values at or above high; at most one spike per step
    low, high : values of rate 0 and of max_rate
    steps : how many steps each row lasts
    dt : ms
    Raises ValueError or TypeError that names the parameter.
    """

    spikes: ClassVar[bool] = True
    random: ClassVar[bool] = True

    max_rate: float = 200.0
    low: float = 0.0
    high: float = 1.0
    steps: int = 1
    dt: float = 1.0

    def __post_init__(self) -> None:
        self._set_number("be a positive time in ms", "dt", low=0.0, strict=True)
        self._set_number("be a rate in Hz, not negative", "max_rate", low=0.0)
        if self.max_rate * self.dt / 1000 > 1 + _check.TOLERANCE:
            need = f"be at most {1000 / self.dt:g} Hz, one spike per step of {self.dt:g} ms"
            raise _check.fail("Poisson.max_rate", need, self.max_rate)
        self._set_range()
        self._set_count("steps")

    def encode(self, x: np.ndarray, rng: np.random.Generator | None) -> Events:
        """Draw spikes for a checked series."""
        assert rng is not None
        p = np.repeat(self._fraction(x) * (self.max_rate * self.dt / 1000), self.steps, axis=0)  # (1)
        step, channel = np.nonzero(rng.random(p.shape) < p)
        return Events(step, channel, len(p))


@dataclass(frozen=True)
class Latency(Encoder):
    """One spike for each value, the earlier the larger it is: ``Latency(steps=20, low=0.0, high=1.0)``.

    steps : how many steps each row lasts, at least 2
    low, high : values that send no spike, and one in the first step
    Raises ValueError or TypeError that names the parameter.
    """

    spikes: ClassVar[bool] = True

    steps: int = 20
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        self._set_count("steps", low=2)
        self._set_range()

    def encode(self, x: np.ndarray, rng: np.random.Generator | None) -> Events:
        """Place a spike for each value of a checked series."""
        u = self._fraction(x)
        row, channel = np.nonzero(u > 0)
        within = np.floor((1 - u[row, channel]) * (self.steps - 1) + 0.5).astype(np.int64)  # (2)
        return Events(row * self.steps + within, channel, len(x) * self.steps)


@dataclass(frozen=True)
class Delta(Encoder):
    """A spike up or down whenever a value has moved by a threshold (level crossing): ``Delta(0.2)``.

    threshold : distance of two levels, in units of the series
    steps : how many steps each row lasts
    n channels become n that tell ups and n that tell downs. Raises ValueError or TypeError that names the parameter.
    """

    spikes: ClassVar[bool] = True

    threshold: float
    steps: int = 1

    def __post_init__(self) -> None:
        self._set_number("be a positive number", "threshold", low=0.0, strict=True)
        self._set_count("steps")

    def n_channels(self, n: int) -> int:
        """Number of channels that n channels become."""
        return 2 * n

    def encode(self, x: np.ndarray, rng: np.random.Generator | None) -> Events:
        """Send the level crossings of a checked series."""
        n, crossed = x.shape[1], np.zeros(x.shape, np.int64)
        level = np.zeros(n, np.int64)
        for t, values in enumerate((x - x[0]) / self.threshold):
            crossed[t] = np.trunc(values - level).astype(np.int64)  # (3)
            level += crossed[t]
        counts = np.concatenate([np.maximum(crossed, 0), np.maximum(-crossed, 0)], axis=1)
        row, channel = np.nonzero(counts)
        times = counts[row, channel]
        return Events(np.repeat(row, times) * self.steps, np.repeat(channel, times), len(x) * self.steps)
