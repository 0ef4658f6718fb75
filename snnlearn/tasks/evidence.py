"""Evidence accumulation (Bellec et al. 2020, Fig. 3; after the cues in virtual reality of Morcos & Harvey 2016).

A trial shows a row of cues, each on the left or on the right; after a delay a recall signal asks on which side there were more.

    | spacing cue | spacing cue | ... | delay | window |          cue k covers [k slot + spacing, (k+1) slot),
    <--- slot ---><--- slot --->              <-recall->          slot = cue_spacing + cue_duration              (1)

Groups of n_per_group channels each: left cue, right cue, recall signal, background noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from .. import _check
from .base import Task, Trial, bursts, to_events, window_mask


@dataclass(frozen=True, kw_only=True)
class EvidenceAccumulation(Task):
    """On which side were more cues? ``EvidenceAccumulation(n_cues=7, delay=1050.0)``; the defaults are the published task.

    n_cues : odd, so that there is a majority
    cue_duration, cue_spacing : ms; a cue fills the last cue_duration of its slot
    delay : ms between the last cue and the decision window
    window : ms; the recall group fires in it and the loss is its mean cross-entropy
    n_per_group : channels of each of the four groups left, right, recall, noise
    cue_rate, recall_rate, noise_rate : Hz; a group is silent outside its time, noise fires throughout
    p_cue : probability that a cue is on the side drawn for the trial (each side 1/2)
    dt : ms

    target: int label, 0 left, 1 right, the majority of the cues shown; mask [n_steps] 1/steps in the window, else 0.
    Raises ValueError or TypeError that names the parameter.
    """

    name: ClassVar[str] = "evidence-accumulation"
    kind: ClassVar[str] = "classification"

    n_cues: int = 7
    cue_duration: float = 100.0
    cue_spacing: float = 50.0
    delay: float = 1050.0
    window: float = 150.0
    n_per_group: int = 10
    cue_rate: float = 40.0
    recall_rate: float = 40.0
    noise_rate: float = 10.0
    p_cue: float = 0.7
    dt: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_common()
        self._check_integer("be an odd number >= 1", "n_cues", low=1)
        if self.n_cues % 2 == 0:
            raise _check.fail(self._where("n_cues"), "be an odd number >= 1", self.n_cues)
        self._check_count("n_per_group")
        self._check_duration("cue_duration", "window")
        self._check_duration("cue_spacing", "delay", zero=True)
        self._check_rate("cue_rate", "recall_rate", "noise_rate")
        self._check_probability("p_cue")

    @property
    def n_inputs(self) -> int:
        return 4 * self.n_per_group

    @property
    def n_outputs(self) -> int:
        return 2

    @property
    def n_steps(self) -> int:
        return self.n_cues * self._slot + self._steps("delay") + self._steps("window")

    @property
    def labels(self) -> tuple[str, ...]:
        return ("left", "right")

    @property
    def _slot(self) -> int:
        return self._steps("cue_spacing") + self._steps("cue_duration")

    @cached_property
    def _mask(self) -> np.ndarray:
        return window_mask(self.n_steps, self._steps("window"))

    def cue_sides(self, index: int, split: str = "train") -> np.ndarray:
        """The cues that `trial(index, split)` shows: int [n_cues], 0 left, 1 right."""
        return self._cues(self._rng(split, self._index("cue_sides index", index, split)))

    def _cues(self, rng: np.random.Generator) -> np.ndarray:
        u = rng.random(self.n_cues + 1)
        side = int(u[0] < 0.5)
        return np.where(u[1:] < self.p_cue, side, 1 - side)

    def _draw(self, rng: np.random.Generator, split: str, index: int) -> Trial:
        n, n_inputs, n_steps, window = self.n_per_group, self.n_inputs, self.n_steps, self._steps("window")
        side = self._cues(rng)
        start = np.arange(self.n_cues) * self._slot + self._steps("cue_spacing")  # (1)
        cues = bursts(rng, n_inputs, start, side * n, self._steps("cue_duration"), n, self._probability(self.cue_rate))
        recall = bursts(rng, n_inputs, [n_steps - window], [2 * n], window, n, self._probability(self.recall_rate))
        noise = bursts(rng, n_inputs, [0], [3 * n], n_steps, n, self._probability(self.noise_rate))
        label = int(2 * side.sum() > self.n_cues)
        return Trial(to_events(n_steps, n_inputs, cues, recall, noise), label, self._mask)
