"""Pattern generation: a sum of sines from a frozen input (the regression task published with e-prop, Bellec et al. 2020).

    y*(t) = sum_i A_i sin(phi_i + 2 pi c_i t/(T-1)),   t = 0 .. T-1,   c_i = floor(T dt / P_i) cycles          (1)
    y*   <- (y* - y*(0)) / max_t |y* - y*(0)|                                                                 (2)

with A_i ~ U(0.5, 2) and phi_i ~ U(0, 2 pi). The input is one fixed pattern of Poisson spikes, in every trial the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from .. import _check
from .base import Task, Trial, bursts, frozen, to_events


@dataclass(frozen=True, kw_only=True)
class PatternGeneration(Task):
    """Reproduce n_outputs sums of sines from frozen spikes: ``PatternGeneration(n_outputs=3, seed=7)``.

    n_steps : length of the trial and of the pattern
    n_inputs, rate : channels of Poisson spikes and their rate in Hz
    n_outputs : patterns, each with amplitudes and phases of its own
    periods : of the sines, ms; not longer than the trial
    dt : ms

    target [n_steps, n_outputs] floats in -1 .. 1, beginning at 0; mask None. The target depends on the seed, n_outputs,
    periods, n_steps and dt only. Raises ValueError or TypeError that names the parameter.
    """

    name: ClassVar[str] = "pattern-generation"
    kind: ClassVar[str] = "regression"

    n_steps: int = 1000
    n_inputs: int = 100
    n_outputs: int = 1
    rate: float = 50.0
    periods: tuple[float, ...] = (1000.0, 500.0, 333.0, 200.0)
    dt: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_common()
        self._check_count("n_inputs", "n_outputs")
        self._check_integer("be a whole number of steps >= 2", "n_steps", low=2)
        self._check_rate("rate")
        duration = self.n_steps * self.dt
        need = f"be times in ms, positive and not longer than the trial of {duration:g} ms"
        periods = _check.numbers(self._where("periods"), self.periods, need)
        if periods.ndim != 1 or not periods.size:
            raise _check.fail(self._where("periods"), need, self.periods, error=TypeError)
        where, longest = self._where("periods"), duration * (1 + _check.TOLERANCE)
        self._set("periods", tuple(_check.number(where, p, need, 0.0, longest, strict=True) for p in self.periods))

    @cached_property
    def _pattern(self) -> Trial:
        rng = self._rng("shared", 0)
        shape = (1, self.n_outputs, len(self.periods))
        amplitude, phase = rng.uniform(0.5, 2, shape), rng.uniform(0, 2 * np.pi, shape)
        cycles = np.floor(self.n_steps * self.dt / np.asarray(self.periods) * (1 + _check.TOLERANCE))
        time = np.linspace(0, 2 * np.pi, self.n_steps)[:, None, None]
        target = (amplitude * np.sin(phase + cycles * time)).sum(axis=2)  # (1)
        target -= target[0].copy()
        target /= np.maximum(np.abs(target).max(axis=0), 1e-6)  # (2)
        spikes = bursts(rng, self.n_inputs, [0], [0], self.n_steps, self.n_inputs, self._probability(self.rate))
        return Trial(to_events(self.n_steps, self.n_inputs, spikes), frozen(target), None)

    def _draw(self, rng: np.random.Generator, split: str, index: int) -> Trial:
        return self._pattern
