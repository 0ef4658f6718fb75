"""Store and recall of a bit after a delay (Bellec et al. 2018; defaults from the code published with it).

A trial is a row of `length` symbols of equal duration. Every symbol shows a random bit, except where it is recalled:

    symbol    0      1      1+STORE   0      1      RECALL   0      0+STORE   RECALL                           (1)
    target    -      -      -         -      -      1        -      -         0

STORE and RECALL take turns. While none is stored each symbol carries STORE with probability p_store, afterwards RECALL
with probability p_recall, given that the trial has at least one RECALL: with s, r the symbols of the first two commands,

    P(s, r) ~ (1-p_store)^s p_store (1-p_recall)^(r-s-1) p_recall,   0 <= s < r < length                       (2)

Groups of n_per_group channels each: bit 0, bit 1, STORE, RECALL.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from .base import Task, Trial, bursts, frozen, to_events

NO_COMMAND, STORE, RECALL = 0, 2, 3  # the groups of the commands


@dataclass(frozen=True, kw_only=True)
class DelayedRecall(Task):
    """Tell the last stored bit at each recall: ``DelayedRecall(length=12, symbol_duration=200.0)``.

    length : symbols of a trial, at least 2
    symbol_duration : ms
    p_store, p_recall : probability of the command at a symbol where it may come; 1/p is the expected wait in symbols
    n_per_group : channels of each of the four groups
    rate : Hz of a group while it is active, else it is silent
    dt : ms

    target: [n_steps] int labels, from each recall's beginning to its end the bit last stored, elsewhere 0; mask [n_steps]
    constant in the recalls, where it sums to 1, else 0. Raises ValueError or TypeError that names the parameter.
    """

    name: ClassVar[str] = "delayed-recall"
    kind: ClassVar[str] = "classification"

    length: int = 12
    symbol_duration: float = 200.0
    p_store: float = 1 / 7
    p_recall: float = 1 / 7
    n_per_group: int = 25
    rate: float = 50.0
    dt: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_common()
        self._check_integer("be a whole number of symbols >= 2", "length", low=2)
        self._check_duration("symbol_duration")
        self._check_number("be a probability above 0, at most 1", "p_store", "p_recall", low=0.0, high=1.0, strict=True)
        self._check_count("n_per_group")
        self._check_rate("rate")

    @property
    def n_inputs(self) -> int:
        return 4 * self.n_per_group

    @property
    def n_outputs(self) -> int:
        return 2

    @property
    def n_steps(self) -> int:
        return self.length * self._steps("symbol_duration")

    @property
    def labels(self) -> tuple[str, ...]:
        return ("0", "1")

    @cached_property
    def _first_pair(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pairs s, r and the cumulative distribution (2), each [length (length-1)/2]."""
        s, r = np.triu_indices(self.length, k=1)
        weight = (1 - self.p_store) ** s * (1 - self.p_recall) ** (r - s - 1)
        return s, r, np.cumsum(weight) / weight.sum()

    def _commands(self, rng: np.random.Generator) -> np.ndarray:
        """[length] NO_COMMAND, STORE or RECALL."""
        u = rng.random(self.length)
        s, r, cumulative = self._first_pair
        pair = min(int(np.searchsorted(cumulative, u[0], side="right")), s.size - 1)
        command = np.full(self.length, NO_COMMAND)
        command[s[pair]], command[r[pair]] = STORE, RECALL
        next_command = STORE
        for k in range(int(r[pair]) + 1, self.length):
            if u[k] < (self.p_store if next_command == STORE else self.p_recall):
                command[k] = next_command
                next_command = RECALL if next_command == STORE else STORE
        return command

    def _draw(self, rng: np.random.Generator, split: str, index: int) -> Trial:
        n, duration, p = self.n_per_group, self._steps("symbol_duration"), self._probability(self.rate)
        bit, command = rng.integers(0, 2, self.length), self._commands(rng)
        recalled, commanded = command == RECALL, np.flatnonzero(command)
        shown = np.flatnonzero(~recalled)
        symbol = np.concatenate((shown, commanded))
        group = np.concatenate((bit[shown], command[commanded]))
        spikes = bursts(rng, self.n_inputs, symbol * duration, group * n, duration, n, p)
        stored = np.maximum.accumulate(np.where(command == STORE, np.arange(self.length), 0))  # symbol of the last STORE
        target = np.repeat(np.where(recalled, bit[stored], 0), duration)
        mask = np.repeat(recalled / (recalled.sum() * duration), duration)
        return Trial(to_events(self.n_steps, self.n_inputs, spikes), frozen(target), frozen(mask))
