"""Encoders whose result is analog.

    Current           y_i[t] = gain x_i[t] + offset                                                      (1)
    Window            y_{k n + i}[t] = x_i[t - k],  k = 0 .. size - 1;  0 before the beginning            (2)
    GaussianFields    y_{i m + l}[t] = exp(-(x_i[t] - c_l)^2 / (2 s^2)),  l = 0 .. m - 1                 (3)
                      c_l = low + l d,  d = (high - low)/(m - 1),  s = width d

A value between low and high thus excites a few neighbouring units of (3), as in population codes (Bohte, Kok & La Poutre 2002).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .base import Encoder


@dataclass(frozen=True)
class Current(Encoder):
    """The values as currents: ``Current(gain=2.0, steps=5)``.

    gain, offset : what a value is multiplied by, and what is added to it
    steps : how many steps each row lasts
    Raises ValueError or TypeError that names the parameter.
    """

    gain: float = 1.0
    offset: float = 0.0
    steps: int = 1

    def __post_init__(self) -> None:
        self._set_number("be a finite number", "gain", "offset")
        self._set_count("steps")

    def encode(self, x: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Scale, shift and hold a checked series."""
        return np.repeat(self.gain * x + self.offset, self.steps, axis=0)  # (1)


@dataclass(frozen=True)
class Window(Encoder):
    """The last `size` rows beside each other, the newest first: ``Window(8)``.

    size : rows
    steps : how many steps each row lasts
    Raises ValueError or TypeError that names the parameter.
    """

    size: int
    steps: int = 1

    def __post_init__(self) -> None:
        self._set_count("size", "steps")

    def n_channels(self, n: int) -> int:
        """Number of channels that n channels become."""
        return n * self.size

    def encode(self, x: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Put past rows of a checked series beside each other."""
        padded = np.concatenate([np.zeros((self.size - 1, x.shape[1])), x])
        rows = [padded[self.size - 1 - k : self.size - 1 - k + len(x)] for k in range(self.size)]
        return np.repeat(np.concatenate(rows, axis=1), self.steps, axis=0)  # (2)


@dataclass(frozen=True)
class GaussianFields(Encoder):
    """Units with overlapping Gaussian receptive fields for each channel: ``GaussianFields(8, low=-2.0, high=2.0)``.

    units : for each channel, at least 2
    low, high : the centres of the first and the last unit
    width : standard deviation of a field in units of the distance of two centres
    steps : how many steps each row lasts
    Raises ValueError or TypeError that names the parameter.
    """

    units: int
    low: float = -2.0
    high: float = 2.0
    width: float = 0.7
    steps: int = 1

    def __post_init__(self) -> None:
        self._set_count("units", low=2)
        self._set_range()
        self._set_number("be a positive number", "width", low=0.0, strict=True)
        self._set_count("steps")

    @property
    def centres(self) -> np.ndarray:
        """The values that excite each unit most, [units]."""
        return np.linspace(self.low, self.high, self.units)

    def n_channels(self, n: int) -> int:
        """Number of channels that n channels become."""
        return n * self.units

    def encode(self, x: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Excite the units by a checked series."""
        distance = (self.high - self.low) / (self.units - 1)
        active = np.exp(-0.5 * ((x[:, :, None] - self.centres) / (self.width * distance)) ** 2)  # (3)
        return np.repeat(active.reshape(len(x), -1), self.steps, axis=0)


__all__ = ["Current", "GaussianFields", "Window"]
