"""Parts of a configuration that are no specs of their own: where weights come from, and how long to train."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, TypeVar

from .. import _check
from ..network.network import Network
from ..network.weights import WEIGHT_NAMES, Weights
from ..recording.options import NEURONS

T = TypeVar("T")
SCALARS = ("seed", "dtype", "update_every", "threads", "passive_every")  # keys outside of sections
SPECS = ("rule", "optimizer", "loss", "regularizer", "rewiring")
SECTIONS = (*SCALARS, "task", "network", "weights", *SPECS, "passive", "training", "recorder", "sweep")
VARIABLES = (*NEURONS, "variables")  # of a recorder, by neuron


def setting(text: str, default: Any = dataclasses.MISSING) -> Any:
    """A field of a table of a configuration. text : what it is, for the docstring and the comment in TOML"""
    return dataclasses.field(default=default, metadata={"text": text})


def described(cls: type[T]) -> type[T]:
    """A decorator of a dataclass: {fields} in its docstring becomes what its fields are."""
    lines = (f"{f.name} : {f.metadata['text']}" for f in dataclasses.fields(cls))  # type: ignore[arg-type]
    cls.__doc__ = (cls.__doc__ or "").replace("{fields}", "\n    ".join(lines))
    return cls


@described
@dataclasses.dataclass(frozen=True)
class InitialWeights:
    """Where the weights of a run come from: drawn, or read.

    {fields}

    Raises ValueError for a file with a seed or gain, an update without a file, and for other matrices' gains.
    """

    seed: int | None = setting("of `Network.init_weights`; None: the run's seed", None)
    gain: float | Mapping[str, float] = setting("factor of the drawn weights, or one for each of w_in, w_rec, w_out", 1.0)
    file: str | None = setting("a recording whose weights are taken instead", None)
    update: int | None = setting("of which snapshot in it; None: the last one", None)

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


@described
@dataclasses.dataclass(frozen=True)
class TrainingPlan:
    """The arguments of `Simulator.train`.

    {fields}

    Raises TypeError unless restore_best is True or False; `Config` checks the numbers, with the task at hand.
    """

    trials: int = setting("training trials in all")
    batch: int = setting("trials of an update", 1)
    start: int = setting("number of the first training trial", 0)
    evaluate_every: int | None = setting(
        "evaluate on the task's test split, or its validation split where it has one, after so many batches, and at the end", None
    )
    evaluate_trials: int | None = setting("how many trials of that split; None: all, or 128 of an endless one", None)
    stop: float | None = setting("a score of an evaluation at which to stop: accuracy at least, error at most", None)
    restore_best: bool = setting(
        "at the end, put back the weights of the best evaluation (they are in `best_weights` anyway)", False
    )

    def __post_init__(self) -> None:
        _check.flag("TrainingPlan.restore_best", self.restore_best)

    def options(self) -> dict[str, Any]:
        """As keyword arguments, besides trials and batch."""
        values = dataclasses.asdict(self)
        return {name: values[name] for name in values if name not in ("trials", "batch")}
