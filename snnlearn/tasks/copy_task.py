"""Copy: show a sequence of symbols, and after a delay ask for it (Graves et al. 2014, section 4.1, as spikes).

    | symbol 0 | ... | symbol length-1 | delay | go: 0 | ... | go: length-1 |        each symbol symbol_duration   (1)

One group of n_per_group channels for each of the n_symbols symbols, then the group of the go cue, which fires throughout
the reproduction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from .base import Task, Trial, bursts, frozen, to_events, window_mask


@dataclass(frozen=True, kw_only=True)
class Copy(Task):
    """Reproduce a sequence of symbols: ``Copy(length=4, n_symbols=4, delay=200.0)``.

    length : symbols of the sequence
    n_symbols : the symbols to choose from, at least 2; each is equally likely at each place
    symbol_duration, delay : ms
    n_per_group : channels of each symbol and of the go cue
    rate : Hz of a group while it is active, else it is silent
    dt : ms

    target: [n_steps] int labels, the sequence in the last length * symbol_duration, before that 0; mask [n_steps] constant
    there, where it sums to 1, else 0. Raises ValueError or TypeError that names the parameter.
    """

    name: ClassVar[str] = "copy"
    kind: ClassVar[str] = "classification"

    length: int = 4
    n_symbols: int = 4
    symbol_duration: float = 50.0
    delay: float = 200.0
    n_per_group: int = 5
    rate: float = 100.0
    dt: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_common()
        self._check_count("length", "n_per_group")
        self._check_integer("be a whole number >= 2", "n_symbols", low=2)
        self._check_duration("symbol_duration")
        self._check_duration("delay", zero=True)
        self._check_rate("rate")

    @property
    def n_inputs(self) -> int:
        return (self.n_symbols + 1) * self.n_per_group

    @property
    def n_outputs(self) -> int:
        return self.n_symbols

    @property
    def n_steps(self) -> int:
        return 2 * self._phase + self._steps("delay")

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(str(k) for k in range(self.n_symbols))

    @property
    def _phase(self) -> int:
        return self.length * self._steps("symbol_duration")

    @cached_property
    def _mask(self) -> np.ndarray:
        return window_mask(self.n_steps, self._phase)

    def _draw(self, rng: np.random.Generator, split: str, index: int) -> Trial:
        n, duration, p = self.n_per_group, self._steps("symbol_duration"), self._probability(self.rate)
        n_steps, go = self.n_steps, self.n_steps - self._phase  # (1)
        sequence = rng.integers(0, self.n_symbols, self.length)
        symbols = bursts(rng, self.n_inputs, np.arange(self.length) * duration, sequence * n, duration, n, p)
        cue = bursts(rng, self.n_inputs, [go], [self.n_symbols * n], self._phase, n, p)
        target = np.zeros(n_steps, np.int64)
        target[go:] = np.repeat(sequence, duration)
        return Trial(to_events(n_steps, self.n_inputs, symbols, cue), frozen(target), self._mask)
