"""The data sets of the suite as a task: `sl.datasets.load` by its name, with an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import _check
from ..datasets.suite import SERIES, load
from ..encode import Encoder
from ..encode import make as make_encoder
from .arrays import Arrays
from .base import Task, Trial

JITTER = 1e-12  # below which none is added


@dataclass(frozen=True, kw_only=True)
class Suite(Task):
    """A data set of the suite: ``Suite(data="mnist-1d", encoder=sl.encode.Window(8))``.

    data : one of `sl.datasets.SERIES`
    variant : as of `sl.datasets.load`; None: the data set's first
    encoder : of `sl.encode`, or a list of them; None: values are currents
    steps_per_sample : steps of dt that each row lasts, without an encoder
    validation : fraction of the training series that is held out for validation, stratified, or whole subjects; Yin-Yang, laser
        and Mackey-Glass have a validation split of their own
    standardize : inputs, per channel, by the training series
    jitter : deviation of Gaussian noise that is added to training series, in units of each channel's deviation
    digest : of the data; None: not asked for. A recording holds it, and refuses others
    dt : ms
    seed : of the order of training, the validation split, and random encoders

    target: int label, or the next values of laser and Mackey-Glass. Training is endless; test and validation trials are the
    series of the split in their order. Raises ValueError or TypeError that names the parameter, ImportError that names the
    package to install.
    """

    name: ClassVar[str] = "suite"
    pools: ClassVar[bool] = True

    data: str = "mnist-1d"
    variant: int | None = None
    encoder: Any = None
    steps_per_sample: int = 1
    validation: float = 0.15
    standardize: bool = True
    jitter: float = 0.0
    digest: str | None = None
    dt: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_common()
        _check.choice(self._where("data"), self.data, SERIES)
        self._check_number("be a number, not negative", "jitter", low=0.0)
        data = load(self.data, self.variant)
        found = data.digest
        if self.digest not in (None, found):
            raise _check.fail(self._where("digest"), f"be that of the data {self.data} that are installed, {found}", self.digest)
        self._set("digest", found)
        if self.encoder is not None:
            self._set("encoder", make_encoder(self.encoder))
        arrays = Arrays(
            data.xs,
            data.ys,
            test=data.test,
            validation=data.validation or self.validation,
            groups=data.groups,
            standardize=self.standardize,
            augment=self._jittered if self.jitter > JITTER else None,
            encoder=self.encoder,
            steps_per_sample=self.steps_per_sample,
            dt=self.dt,
            seed=self.seed,
        )
        self._set("_arrays", arrays)
        self._set("kind", arrays.kind)
        self._set("splits", arrays.splits)

    def _jittered(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        scale = self.arrays.scale
        return x + rng.normal(size=x.shape) * (self.jitter if scale is None else self.jitter * scale.std)

    @property
    def arrays(self) -> Arrays:
        """The series as a task of `sl.tasks.Arrays`, whose trials these are."""
        return self._arrays  # type: ignore[attr-defined,no-any-return]

    @property
    def n_inputs(self) -> int:
        return self.arrays.n_inputs

    @property
    def n_outputs(self) -> int:
        return self.arrays.n_outputs

    @property
    def n_steps(self) -> int:
        return self.arrays.n_steps

    @property
    def labels(self) -> tuple[str, ...] | None:
        return self.arrays.labels

    def n_trials(self, split: str = "train") -> int | None:
        """Series of a split; None (endless) for "train"."""
        return self.arrays.n_trials(split)

    def n_samples(self, split: str = "train") -> int:
        """Number of series of a split."""
        return self.arrays.n_samples(split)

    def to_dict(self) -> dict[str, Any]:
        """Name, parameters and digest of the data as JSON values."""
        encoder = self.encoder.to_dict() if isinstance(self.encoder, Encoder) else self.encoder
        return super().to_dict() | {"encoder": encoder}

    def _draw(self, rng: np.random.Generator, split: str, index: int) -> Trial:
        return self.arrays._draw(rng, split, index)
