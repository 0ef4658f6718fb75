"""Handwritten digits as spikes: 1797 real images of 8 x 8 pixels (Alpaydin & Kaynak 1998), in data/digits.h5.

A pixel of intensity x in 0 .. 1 drives `levels` units in turn, unit l over its part of the range, at the rate

    f_l(x) = max_rate clip(levels x - l, 0, 1)          l = 0 .. levels - 1                                    (1)

so that one unit is the plain rate code, and several tell intensities apart that few spikes of one unit cannot.

    coding="rows"      row by row from the top, steps_per_row steps each, on 8 levels channels; then silence.
                       The last row alone does not tell the digit, nor does the sum over rows: it takes memory.
    coding="poisson"   all 64 levels channels throughout the trial
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import ClassVar, NamedTuple

import h5py
import numpy as np

from .. import _check
from .base import SPLITS, Task, Trial, bursts, frozen, to_events, window_mask

SIDE = 8  # pixels
BRIGHTEST = 16
CODINGS = ("rows", "poisson")


class DigitImages(NamedTuple):
    """The data; arrays are read-only."""

    images: np.ndarray  # uint8 [1797, 8, 8], ink 0 .. 16, row 0 on top
    labels: np.ndarray  # uint8 [1797]
    train: np.ndarray  # int [1437], indices of the training images, stratified by class
    test: np.ndarray  # int [360]

    def __repr__(self) -> str:
        return _check.brief(self)


@dataclass(frozen=True, kw_only=True)
class Digits(Task):
    """Which digit? ``Digits(coding="rows", steps_per_row=15, levels=4)``, ``Digits(coding="poisson", n_steps=100)``.

    coding : "rows" or "poisson", see above
    max_rate : Hz of a unit at full intensity
    levels : units per pixel or column; None: 4 for rows, 1 for poisson
    steps_per_row : steps that each of the 8 rows lasts; poisson ignores it
    n_steps : length of the trial, for rows at least 8 steps_per_row; None: 10 steps_per_row for rows, 100 for poisson
    window : ms at the end of the trial over which the loss is averaged; None: the silence after the last row (the last row
        where there is none), for poisson the whole trial
    dt : ms

    target: int label; mask [n_steps] 1/steps in the window, else 0. Training is endless: the 1437 images in an order that is
    shuffled anew for each epoch, with fresh spikes at each presentation. The 360 test trials are fixed; trial i shows test
    image i. Raises ValueError or TypeError that names the parameter, FileNotFoundError without data/digits.h5.
    """

    name: ClassVar[str] = "digits"
    kind: ClassVar[str] = "classification"

    coding: str = "rows"
    max_rate: float = 200.0
    levels: int = None  # type: ignore[assignment]  # the three None become numbers in __post_init__
    steps_per_row: int = 15
    n_steps: int = None  # type: ignore[assignment]
    window: float = None  # type: ignore[assignment]
    dt: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_common()
        _check.choice(self._where("coding"), self.coding, CODINGS)
        self._check_rate("max_rate")
        self._check_count("steps_per_row")
        rows = self.coding == "rows"
        presented = SIDE * self.steps_per_row if rows else 1
        if self.levels is None:
            self._set("levels", 4 if rows else 1)
        self._check_count("levels")
        if self.n_steps is None:
            self._set("n_steps", 10 * self.steps_per_row if rows else 100)
        shortest = f"{SIDE} steps_per_row = {presented}" if rows else "1"
        self._check_integer(f"be a whole number of steps >= {shortest}", "n_steps", low=presented)
        if self.window is None:
            steps = (self.n_steps - presented or self.steps_per_row) if rows else self.n_steps
            self._set("window", steps * self.dt)
        self._check_duration("window")
        if self._steps("window") > self.n_steps:
            raise _check.fail(self._where("window"), f"be at most the trial's {self.n_steps * self.dt:g} ms", self.window)

    @property
    def n_inputs(self) -> int:
        return (SIDE if self.coding == "rows" else SIDE * SIDE) * self.levels

    @property
    def n_outputs(self) -> int:
        return 10

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(str(k) for k in range(10))

    def n_trials(self, split: str = "train") -> int | None:
        """360 for "test", None (endless) for "train"; an epoch of training is `n_images("train")` trials."""
        return None if self._split(split) == "train" else self.n_images(split)

    def n_images(self, split: str = "train") -> int:
        """Number of images of a split: 1437 or 360."""
        return _indices(self._split(split)).size

    def image_index(self, index: int, split: str = "train") -> int:
        """Which image of `digit_images()` trial `index` shows."""
        return self._image(self._index("image_index index", index, split), split)

    @cached_property
    def _mask(self) -> np.ndarray:
        return window_mask(self.n_steps, self._steps("window"))

    @cached_property
    def _unit_p(self) -> np.ndarray:
        """Probability of a spike per step [BRIGHTEST + 1, levels] for each intensity. Equation (1)."""
        x = np.arange(BRIGHTEST + 1)[:, None] / BRIGHTEST
        return self._probability(self.max_rate) * np.clip(self.levels * x - np.arange(self.levels), 0, 1)

    def _image(self, index: int, split: str) -> int:
        images = _indices(split)
        if split == "test":
            return int(images[index])
        epoch, position = divmod(index, images.size)
        return int(_epoch_order(self, epoch)[position])

    def _draw(self, rng: np.random.Generator, split: str, index: int) -> Trial:
        data, k = digit_images(), self._image(index, split)
        unit_p = self._unit_p[data.images[k]].ravel()  # of pixel (row, column) and level, in this order
        active = unit_p.nonzero()[0]
        if self.coding == "rows":
            row = active // self.n_inputs
            start, channel, duration = row * self.steps_per_row, active - row * self.n_inputs, self.steps_per_row
        else:
            start, channel, duration = np.zeros_like(active), active, self.n_steps
        spikes = bursts(rng, self.n_inputs, start, channel, duration, 1, unit_p[active])
        return Trial(to_events(self.n_steps, self.n_inputs, spikes), int(data.labels[k]), self._mask)


@lru_cache(maxsize=1)
def digit_images() -> DigitImages:
    """The images, their labels and the fixed split, read once. FileNotFoundError where data/digits.h5 is missing."""
    with ExitStack() as stack:
        file = stack.enter_context(h5py.File(data_file("digits.h5", stack), "r"))
        images, labels, split = (file[name][:] for name in ("images", "labels", "split"))
    train, test = (np.flatnonzero(split == k) for k in range(len(SPLITS)))
    return DigitImages(*(frozen(a) for a in (images, labels, train, test)))


def data_file(name: str, stack: ExitStack) -> Path:
    """A file of the package's data, readable until `stack` closes: from snnlearn.data (installed) or ../data (checkout)."""
    try:
        installed = resources.files("snnlearn.data").joinpath(name)
        if installed.is_file():
            return stack.enter_context(resources.as_file(installed))
    except ModuleNotFoundError:
        pass
    checkout = Path(__file__).resolve().parents[2] / "data" / name
    if checkout.is_file():
        return checkout
    need = "be in the installed package snnlearn.data or in the folder data of a checkout"
    raise _check.fail(f"data file {name}", need, "neither", "data/README.md tells how to make it", FileNotFoundError)


def _indices(split: str) -> np.ndarray:
    data = digit_images()
    return data.train if split == "train" else data.test


@lru_cache(maxsize=4)
def _epoch_order(task: Digits, epoch: int) -> np.ndarray:
    """The training images in the order of one epoch."""
    return frozen(task._rng("shared", epoch).permutation(digit_images().train))
