"""What an encoder is; several in a row; encoders as plain values and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from .. import _check
from ..events import Events

_REGISTRY: dict[str, type[Encoder]] = {}


class Encoder(ABC):
    """Base of encoders. An encoder is a frozen dataclass; a new one gives `encode` and, where channels multiply, `n_channels`.

    steps : how many steps a row of the series lasts
    """

    steps: int
    spikes: ClassVar[bool] = False  # whether it returns Events
    random: ClassVar[bool] = False  # whether it needs a generator

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _REGISTRY[cls.__name__] = cls

    @abstractmethod
    def encode(self, x: np.ndarray, rng: np.random.Generator | None) -> np.ndarray | Events:
        """Encode a checked series [T, n] of floats as an array or Events of T `steps` steps."""

    def n_channels(self, n: int) -> int:
        """Number of channels that n channels become."""
        return n

    def __call__(self, x: Any, rng: np.random.Generator | int | None = None) -> np.ndarray | Events:
        """Encode a series [T, n] as an array or Events of T `steps` steps and `n_channels(n)` channels.

        rng : generator of random spikes, or its seed
        Raises ValueError or TypeError for what is no finite array [T, n], and where random spikes have no generator.
        """
        where = type(self).__name__
        series = _check.numbers(f"{where} x", x, "be an array [T, n] of numbers").astype(np.float64)
        if series.ndim != 2 or 0 in series.shape:
            raise _check.fail(f"{where} x", "have shape [T, n]", series.shape)
        _check.finite(f"{where} x", series)
        if self.random and rng is None:
            raise _check.fail(f"{where} rng", "be a generator or a seed, because its spikes are random", None)
        if rng is not None and not isinstance(rng, np.random.Generator):
            rng = np.random.default_rng(_check.integer(f"{where} rng", rng, "be a generator or a seed", low=0))
        return self.encode(series, rng)

    def to_dict(self) -> dict[str, Any]:
        """Describe the encoder as JSON values, from which `make` makes it again."""
        return {"name": type(self).__name__} | {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    def _set_number(self, need: str, *names: str, low: float = -np.inf, strict: bool = False) -> None:
        for name in names:
            value = _check.number(f"{type(self).__name__}.{name}", getattr(self, name), need, low, strict=strict)
            object.__setattr__(self, name, value)

    def _set_count(self, *names: str, low: int = 1) -> None:
        for name in names:
            need = f"be a whole number >= {low}"
            value = _check.integer(f"{type(self).__name__}.{name}", getattr(self, name), need, low=low)
            object.__setattr__(self, name, value)

    def _set_range(self) -> None:
        """low and high: finite, in this order."""
        self._set_number("be a finite number", "low", "high")
        if not self.low < self.high:  # type: ignore[attr-defined]
            raise _check.fail(f"{type(self).__name__}.high", f"be above low={self.low:g}", self.high)  # type: ignore[attr-defined]

    def _fraction(self, x: np.ndarray) -> np.ndarray:
        """Values between low and high as 0 .. 1, others as the nearer end."""
        return np.clip((x - self.low) / (self.high - self.low), 0.0, 1.0)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Chain(Encoder):
    """Encoders one after another: ``Chain([GaussianFields(6), Poisson(200.0)])``.

    encoders : of which only the last one returns spikes
    Raises ValueError or TypeError for an empty list, and for an encoder behind one that returns spikes.
    """

    encoders: Any

    def __post_init__(self) -> None:
        items = _check.items("Chain.encoders", self.encoders, "be encoders")
        if not items:
            raise _check.fail("Chain.encoders", "hold an encoder or more", items)
        found = tuple(make(item) for item in items)
        for before, after in pairwise(found):
            if before.spikes:
                need = f"hold {type(before).__name__}, which returns spikes, at the end only"
                raise _check.fail("Chain.encoders", need, f"{type(after).__name__} behind it")
        object.__setattr__(self, "encoders", found)

    @property
    def steps(self) -> int:  # type: ignore[override]
        """Steps that a row of the series lasts."""
        return int(np.prod([encoder.steps for encoder in self.encoders]))

    @property
    def spikes(self) -> bool:  # type: ignore[override]
        """Whether the last encoder returns Events."""
        return bool(self.encoders[-1].spikes)

    @property
    def random(self) -> bool:  # type: ignore[override]
        """Whether an encoder needs a generator."""
        return any(encoder.random for encoder in self.encoders)

    def n_channels(self, n: int) -> int:
        """Number of channels that n channels become."""
        for encoder in self.encoders:
            n = encoder.n_channels(n)
        return n

    def encode(self, x: np.ndarray, rng: np.random.Generator | None) -> np.ndarray | Events:
        """Encode a checked series by one encoder after another."""
        found: Any = x
        for encoder in self.encoders:
            found = encoder.encode(found, rng)
        return found  # type: ignore[no-any-return]

    def to_dict(self) -> dict[str, Any]:
        """Describe the encoders as JSON values."""
        return {"name": "Chain", "encoders": [encoder.to_dict() for encoder in self.encoders]}


def make(value: Any) -> Encoder:
    """Make the encoder that `to_dict` described; a list is a `Chain`, an encoder stays.

    value : an encoder, a mapping with its name and parameters, or a list of them
    Raises ValueError for an unknown name or parameter, TypeError for anything else.
    """
    if isinstance(value, Encoder):
        return value
    if isinstance(value, (list, tuple)):
        return Chain(value)
    if not isinstance(value, Mapping) or "name" not in value:
        need = "be an encoder such as sl.encode.Poisson(200.0), a list of them, or a mapping with a 'name'"
        raise _check.fail("encoder", need, value, error=TypeError)
    cls = _REGISTRY[_check.choice("encoder name", value["name"], sorted(_REGISTRY))]
    params = {name: entry for name, entry in value.items() if name != "name"}
    for name in params:
        _check.choice(f"parameter of {cls.__name__}", name, [f.name for f in fields(cls)])  # type: ignore[arg-type]
    return cls(**params)
