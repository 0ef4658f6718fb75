"""Parts of a configuration that are no specs of their own: where weights come from, and how long to train."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from .. import _check
from ..network.network import WEIGHT_NAMES, Network, Weights
from ..recording.options import NEURONS

SCALARS = ("seed", "dtype", "update_every", "threads", "passive_every")  # keys outside of sections
SPECS = ("rule", "optimizer", "loss", "regularizer")
SECTIONS = (*SCALARS, "task", "network", "weights", *SPECS, "passive", "training", "recorder", "sweep")
VARIABLES = (*NEURONS, "variables")  # of a recorder, by neuron


@dataclasses.dataclass(frozen=True)
class InitialWeights:
    """Where the weights of a run come from: drawn, or read.

    seed : of `Network.init_weights`; None: the run's seed
    gain : factor of the drawn weights, or one for each of w_in, w_rec, w_out
    file : a recording whose weights are taken instead
    update : of which snapshot in it; None: the last one

    Raises ValueError for a file with a seed or gain, an update without a file, and for other matrices' gains.
    """

    seed: int | None = None
    gain: Any = 1.0
    file: str | None = None
    update: int | None = None

    def __post_init__(self) -> None:
        if self.file is not None and (self.seed is not None or self.gain != 1.0):
            raise _check.fail("InitialWeights.file", "come without seed and gain", self.file)
        if self.file is None and self.update is not None:
            raise _check.fail("InitialWeights.update", "come with file", self.update)
        if self.seed is not None:
            _check.seed("InitialWeights.seed", self.seed)
        for name, value in (self.gain if isinstance(self.gain, Mapping) else {"w_in": self.gain}).items():
            _check.choice("InitialWeights.gain", name, WEIGHT_NAMES[:3])
            _check.number("InitialWeights.gain", value, "be a number, or one for each of w_in, w_rec, w_out")

    def make(self, net: Network, seed: int, folder: pathlib.Path) -> Weights | None:
        """The weights, or None where they are those that `Simulator` draws. folder : to which `file` is relative"""
        if self.file is not None:
            return Weights.load(folder / self.file, self.update, net)
        if self.seed is None and self.gain == 1.0:
            return None
        return net.init_weights(seed if self.seed is None else self.seed, self.gain)


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
    """The arguments of `Simulator.train`.

    trials, batch : number of trials in all, and of an update
    start : number of the first trial of the task
    evaluate_every, evaluate_trials : updates between two evaluations, and trials of one
    stop : end once an evaluation reaches this score
    restore_best : keep the weights of the best evaluation

    Raises TypeError unless restore_best is True or False; `Config` checks the numbers, with the task at hand.
    """

    trials: int
    batch: int = 1
    start: int = 0
    evaluate_every: int | None = None
    evaluate_trials: int | None = None
    stop: float | None = None
    restore_best: bool = False

    def __post_init__(self) -> None:
        _check.flag("TrainingPlan.restore_best", self.restore_best)

    def options(self) -> dict[str, Any]:
        """As keyword arguments, besides trials and batch."""
        values = dataclasses.asdict(self)
        return {name: values[name] for name in values if name not in ("trials", "batch")}
