"""Classify recorded events: any data set of `snnlearn.datasets` as a task.

A trial is a sample in steps of dt, from its beginning to its last event; the loss is the mean over its steps.
Training shows all samples in an order that is shuffled anew for each epoch.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from .. import _check
from ..datasets import Binned, Dataset, from_dict, split
from ..datasets.binned import check_downsample
from .base import Task, Trial, frozen

DATA = ("train", "test")
MOVABLE = ("cache",)  # parameters that do not change what is learnt


@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """Which class? ``Classification(sl.datasets.SHD("shd_train.h5"), test=sl.datasets.SHD("shd_test.h5"), dt=10.0)``.

    train : Dataset
    test : Dataset of the test split; None: `holdout` of `train`, the same share of every class, is kept apart from training
    holdout : fraction of every class that is kept apart where there is no `test`
    n_steps : most steps of a trial; later events are left out. None: those of the longest sample of both splits, for which all
        are read once
    padded : whether all trials last n_steps, with silence after the sample. What neurons fire in it then counts in rates and for
        a `RateRegularizer`. Files and configurations that do not say so are of padded trials
    downsample, polarity, binary, cache : as of `snnlearn.datasets.Binned`
    dt : ms
    seed : of the order of training and of what is held out

    target: int label; mask 1/steps of the sample to its last event, 0 in padding. Training is endless; the test trials are the
    samples of the test split in their order. In a recording stand path and digest of the data, so that a run is resumed with the
    same content or not at all. Raises ValueError or TypeError that names the parameter or the file,
    OSError where a file cannot be read.
    """

    name: ClassVar[str] = "classification"
    kind: ClassVar[str] = "classification"

    train: Any = field(kw_only=False)
    test: Any = None
    holdout: float = 0.2
    n_steps: int = None  # type: ignore[assignment]  # None becomes a number in __post_init__
    downsample: Any = 1
    polarity: bool = True
    binary: bool = False
    cache: str | None = None
    padded: bool = False
    dt: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_common()
        for key in DATA:
            value = getattr(self, key)
            if isinstance(value, dict):
                self._set(key, from_dict(value))
            elif not isinstance(value, Dataset) and not (key == "test" and value is None):
                raise _check.fail(self._where(key), "be a data set such as sl.datasets.SHD(path)", value, error=TypeError)
        if not isinstance(self.padded, (bool, np.bool_)):
            raise _check.fail(self._where("padded"), "be True or False", self.padded, error=TypeError)
        self._check_number("be a fraction above 0 and below 1", "holdout", low=0.0, high=1.0, strict=True)
        self._set("downsample", check_downsample(self._where("downsample"), self.downsample))
        if self.cache is not None:
            self._set("cache", os.path.realpath(self.cache))
        if self.test is not None:
            self._check_alike()
        if self.n_steps is None:
            self._set("n_steps", max(binned.n_steps for binned in self._splits.values()))
        self._check_count("n_steps")

    def _check_alike(self) -> None:
        if self.test.sensor != self.train.sensor:
            need = f"have the sensor {self.train.sensor} of {self.train.name}"
            raise _check.fail(f"{self._where('test')}, {self.test.name}", need, self.test.sensor)
        known = self.train.classes[: len(self.test.classes)]  # classes that are numbers end with the largest label
        if self.test.classes != known:
            need = f"have the classes of {self.train.name}"
            got = next((name for name in self.test.classes if name not in self.train.classes), self.test.classes)
            raise _check.fail(f"{self._where('test')}, {self.test.name}", need, got)

    @cached_property
    def _splits(self) -> dict[str, Binned]:
        """The binned data of each split."""
        parts = (self.train, self.test) if self.test is not None else split(self.train, self.holdout, self.seed)
        options = {"downsample": self.downsample, "polarity": self.polarity, "binary": self.binary, "cache": self.cache}
        return {name: Binned(data, self.dt, self.n_steps, **options) for name, data in zip(("train", "test"), parts, strict=True)}

    @property
    def n_inputs(self) -> int:
        return self._splits["train"].n_channels

    @property
    def n_outputs(self) -> int:
        return len(self.train.classes)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.train.classes

    def n_trials(self, split: str = "train") -> int | None:
        """Samples of the test split; None (endless) for "train", where an epoch is `n_samples("train")` trials."""
        return None if self._split(split) == "train" else self.n_samples(split)

    def n_samples(self, split: str = "train") -> int:
        """Number of samples of a split."""
        return len(self._splits[self._split(split)])

    def sample_index(self, index: int, split: str = "train") -> int:
        """Which sample of its split trial `index` shows."""
        return self._sample(self._index("sample_index index", index, split), split)

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters as JSON values, data sets by format, path and digest."""
        values = super().to_dict()
        for key in DATA:
            data = getattr(self, key)
            values[key] = None if data is None else data.to_dict()
            if data is not None and "foreign" in values[key]:
                values |= values[key]
        return values

    def matches(self, values: dict[str, Any]) -> bool:
        """Whether `values`, of `to_dict`, describe the same trials, wherever the data lie now."""
        return content(self.to_dict()) == content(self.unwritten(values))

    @classmethod
    def unwritten(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """See `Task.unwritten`."""
        return {"padded": True, **values}

    def _sample(self, index: int, split: str) -> int:
        if split == "test":
            return index
        return self._in_epochs(index, self.n_samples("train"))

    def _draw(self, rng: np.random.Generator, split: str, index: int) -> Trial:
        data, number = self._splits[split], self._sample(index, split)
        if self.padded:
            return Trial(*data.padded(number, self.n_steps))
        x, label = data[number]
        return Trial(x, label, frozen(np.full(x.n_steps, 1 / x.n_steps)))


def moved(values: dict[str, Any], **paths: Any) -> dict[str, Any]:
    """The description of a task with the data at other paths: ``moved(values, train="...", test=None)``; None: where it was.

    Raises ValueError where the task has no such data.
    """
    result = dict(values)
    for key, path in paths.items():
        if path is None:
            continue
        _check.choice("moved", key, DATA)
        if "path" not in _whole(values.get(key)):
            raise _check.fail(f"task {values.get('name')!r}", f"have {key} data in files to take them from", str(path))
        result[key] = _placed(values[key], os.path.realpath(path))
    return result


def anchored(values: dict[str, Any], folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The description of a task with its relative paths, of data and cache, taken from a folder."""
    result = dict(values)
    for key in DATA:
        path = _whole(values.get(key)).get("path")
        if path is not None:
            result[key] = _placed(values[key], str(pathlib.Path(folder) / str(path)))
    if values.get("cache") is not None:
        result["cache"] = str(pathlib.Path(folder) / str(values["cache"]))
    return result


def format_of(task: Task) -> str | None:
    """The format of a task's training data; None where they do not lie in files."""
    return _whole(task.to_dict().get("train")).get("format")


def _whole(data: Any) -> dict[str, Any]:
    """The description of the whole data set of which data may be a part; {} for what is no description."""
    while isinstance(data, dict) and "of" in data:
        data = data["of"]
    return data if isinstance(data, dict) else {}


def _placed(data: dict[str, Any], path: str) -> dict[str, Any]:
    return data | ({"of": _placed(data["of"], path)} if "of" in data else {"path": path})


def content(values: dict[str, Any]) -> dict[str, Any]:
    """The description of a `Classification` without what does not change its trials: where its data lie, and the cache."""
    kept = {key: value for key, value in values.items() if key not in MOVABLE}
    for key in DATA:
        if isinstance(kept.get(key), dict):
            kept[key] = _anywhere(kept[key])
    return kept


def _anywhere(data: dict[str, Any]) -> dict[str, Any]:
    return {key: _anywhere(value) if isinstance(value, dict) else value for key, value in data.items() if key != "path"}
