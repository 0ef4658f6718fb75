"""What a recipe is, and what a user may choose of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..losses import Loss, RateRegularizer
from ..network.network import Network
from ..optimizers.optimizers import Optimizer
from ..rules import Rule
from ..rules.taxonomy import parse_rule
from ..simulator.simulator import Simulator
from ..tasks.base import Task


@dataclass
class Recipe:
    """A task, the simulator that learns it, and how to train it."""

    task: Task
    net: Network
    parts: dict[str, Any]  # what else `Simulator` gets, by name
    trials: int
    batch: int
    options: dict[str, Any] = field(default_factory=dict)  # of `Simulator.train`

    @cached_property
    def simulator(self) -> Simulator:
        """The simulator, before its first trial."""
        return Simulator(self.net, **self.parts)

    @property
    def shown(self) -> list[int]:
        """Neurons whose membranes are recorded: up to twenty of each group, evenly apart, so that some fire in any trial."""
        found, start = [], 0
        for group in self.net.neurons:
            found += np.unique(np.linspace(start, start + group.n - 1, 20).astype(int)).tolist()
            start += group.n
        return found


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user may choose; None: the recipe's own."""

    neurons: int | None = None
    rule: str = "eprop"  # a name that `family.parse_rule` knows
    feedback: Any = "random"
    trials: int | None = None  # in all
    iterations: int | None = None  # the same in updates, of a batch each
    batch: int | None = None
    lr: float | None = None
    seed: int = 0
    threads: int | None = None
    update_every: str | int = "trial"
    dtype: str = "float32"
    coding: str | None = None  # digits: "poisson" or "rows"
    dt: float | None = None  # ms, of recorded events
    downsample: int | None = None  # of recorded events
    cache: str | None = None  # folder for recorded events, binned

    def make_rule(self) -> Rule:
        """The rule of this name. ValueError for an unknown one."""
        return parse_rule(self.rule, feedback=self.feedback, seed=self.seed)

    def parts(self, optimizer: Optimizer, loss: Loss, regularizer: RateRegularizer, tau: float) -> dict[str, Any]:
        """Arguments of `Simulator`; the rate is regularised online, with `tau`, where weights change within a trial."""
        if self.update_every != "trial":
            regularizer = replace(regularizer, tau=tau)
        rest = {key: getattr(self, key) for key in ("update_every", "dtype", "seed", "threads")}
        return {"rule": self.make_rule(), "optimizer": optimizer, "loss": loss, "regularizer": regularizer, **rest}

    def length(self, batch: int, updates: int) -> tuple[int, int]:
        """Trials in all, and updates. batch : trials of an update; updates : the recipe's own number"""
        trials = self.trials or (self.iterations or updates) * batch
        return trials, -(-trials // batch)
