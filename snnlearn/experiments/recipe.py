"""What a user may choose of a recipe, and the configuration that a recipe makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..losses import Loss, RateRegularizer
from ..network.network import Network
from ..optimizers.optimizers import Optimizer
from ..rules import Rule
from ..rules.taxonomy import parse_rule
from ..tasks.base import Task
from .config import Config
from .settings import InitialWeights, TrainingPlan

DRAWN = InitialWeights()


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user may choose; None: the recipe's own."""

    neurons: int | None = None
    rule: str = "eprop"  # a name that `parse_rule` knows
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
    stop: float | None = None  # a score at which to stop
    checkpoint_every: int | None = None  # updates; None: a checkpoint every minute
    keep_every: int | None = None  # batches between two states that are kept for good

    def make_rule(self) -> Rule:
        """The rule of this name. ValueError for an unknown one."""
        return parse_rule(self.rule, feedback=self.feedback, seed=self.seed)

    def config(
        self,
        task: Task,
        net: Network,
        plan: TrainingPlan,
        optimizer: Optimizer,
        loss: Loss,
        regularizer: RateRegularizer,
        tau: float,
        weights: InitialWeights = DRAWN,
    ) -> Config:
        """The configuration; the rate is regularised online, with `tau`, where weights change within a trial."""
        if self.update_every != "trial":
            regularizer = replace(regularizer, tau=tau)
        return Config(
            task=task,
            net=net,
            rule=self.make_rule(),
            optimizer=optimizer,
            loss=loss,
            regularizer=regularizer,
            weights=weights,
            training=replace(plan, stop=self.stop),
            recorder=self.recorder(net, plan),
            **{key: getattr(self, key) for key in ("update_every", "dtype", "seed", "threads")},
        )

    def recorder(self, net: Network, plan: TrainingPlan) -> dict[str, Any]:
        """Options of the recorder: raw data of some twenty trials, and tables of all of them."""
        neurons = shown(net)
        return {
            "v": neurons,
            "threshold": neurons,
            "every": max(1, plan.trials // 20),
            "weights_every": max(1, -(-plan.trials // plan.batch) // 10),
            "checkpoint_every": self.checkpoint_every,
            "checkpoint_minutes": 1.0 if self.checkpoint_every is None else None,
            "keep_every": self.keep_every,
        }

    def length(self, batch: int, updates: int) -> tuple[int, int]:
        """Trials in all, and updates. batch : trials of an update; updates : the recipe's own number"""
        trials = self.trials or (self.iterations or updates) * batch
        return trials, -(-trials // batch)


def shown(net: Network) -> list[int]:
    """Neurons whose membranes are recorded: up to twenty of each group, evenly apart, so that some fire in any trial."""
    found, start = [], 0
    for group in net.neurons:
        found += np.unique(np.linspace(start, start + group.n - 1, 20).astype(int)).tolist()
        start += group.n
    return found
