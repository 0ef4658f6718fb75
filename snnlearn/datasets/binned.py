"""Events as steps and channels: what a network gets of a data set.

    step     = floor(t / dt)                                                                                   (1)
    channel  = x' + W' (y' + H' p'),   x' = floor(x / fx), y' = floor(y / fy), p' = p, or 0 without polarity   (2)

with the W' x H' pixels that remain, W' = ceil(W / fx). Times that are a whole number of steps but for rounding count as that
number. Events that share a cell add up, or (binary) count once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .. import _check
from ..events import Events
from .base import Dataset
from .cache import Cache

ROUNDING = 1e-6  # of a step


class Batch(NamedTuple):
    """Samples padded to the longest: ``simulator.run(batch.x, batch.target, batch.mask, steps=batch.steps)``."""

    x: list[Events]  # of equal n_steps
    target: np.ndarray  # int64 [samples], labels
    mask: np.ndarray  # [samples, T], 1 / steps of the sample within it, 0 in the padding
    number: np.ndarray  # int64 [samples], which samples they are
    steps: np.ndarray  # int64 [samples], length of each; behind it is padding


class Binned:
    """A data set in time steps: ``len(binned)``, ``binned[i] -> (Events, label)``, `batches`.

    data : a Dataset
    dt : length of a step, ms
    n_steps : longest a sample can be, in steps; later events are left out. None: as long as the longest
    downsample : number of neighbouring places that become one channel, or (fx, fy)
    polarity : keep polarities apart; False: both on one channel
    binary : at most one event a step and channel
    cache : folder that keeps the binned events as HDF5, made if need be; None: bin whenever a sample is asked for

    `binned[i]` lasts until its last event, one step at least. The cache is one file, written at the first use, which takes
    its place once it is whole, so that several processes may do so at once; it is written anew where the content of the data
    or what is said above (but n_steps) has changed, or where it is damaged.
    Raises TypeError or ValueError that names the parameter; reading raises as the data set, and OSError for a full disk.
    """

    def __init__(
        self,
        data: Dataset,
        dt: float,
        n_steps: int | None = None,
        *,
        downsample: Any = 1,
        polarity: bool = True,
        binary: bool = False,
        cache: str | os.PathLike[str] | None = None,
    ):
        if not isinstance(data, Dataset):
            raise _check.fail("Binned.data", "be a data set such as sl.datasets.SHD(path)", data, error=TypeError)
        self.data = data
        self.dt = _check.number("Binned.dt", dt, "be a positive time in ms", low=0.0, strict=True)
        self._limit = None
        if n_steps is not None:
            self._limit = _check.integer("Binned.n_steps", n_steps, "be a positive number of steps, or None", low=1)
        self.downsample = check_downsample("Binned.downsample", downsample)
        for name, value in (("polarity", polarity), ("binary", binary)):
            _check.flag(f"Binned.{name}", value)
        self.polarity, self.binary = bool(polarity), bool(binary)
        self._cache = None
        if cache is not None:
            options = {"dt": self.dt, "downsample": list(self.downsample), "polarity": self.polarity, "binary": self.binary}
            self._cache = Cache(cache, data, options)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Width, height and polarities that remain."""
        (width, height, polarities), (fx, fy) = self.data.sensor, self.downsample
        return -(-width // fx), -(-height // fy), polarities if self.polarity else 1

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(np.prod(self.shape))

    @cached_property
    def n_steps(self) -> int:
        """Steps of the longest sample, or what was given; the first call may read all samples."""
        if self._limit is not None:
            return self._limit
        if self._cache is not None:
            return max(1, self._cache.longest(self._events()))
        return max(self._step(end) for end in self.data.ends()) + 1

    @property
    def targets(self) -> np.ndarray:
        """Labels of all samples, int64 [len]."""
        return self.data.targets

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Events, int]:
        n = len(self)
        number = _check.integer(f"Binned of {self.data.name}[index]", index)
        if not -n <= number < n:
            raise _check.fail(f"Binned of {self.data.name}[index]", f"be in 0 .. {n - 1}", number, error=IndexError)
        step, channel = self._sample(number % n)
        return Events(step, channel, _length(step)), int(self.targets[number])

    def __iter__(self) -> Iterator[tuple[Events, int]]:
        return (self[i] for i in range(len(self)))

    def padded(self, index: int, n_steps: int | None = None) -> tuple[Events, int, np.ndarray]:
        """Sample `index` as (Events, label, mask [n_steps]); None: n_steps of the data. The mask is that of a `Batch`."""
        n_steps = self.n_steps if n_steps is None else n_steps
        step, channel = self._sample(index)
        if step.size and step[-1] >= n_steps:
            kept = np.searchsorted(step, n_steps)
            step, channel = step[:kept], channel[:kept]
        mask, own = np.zeros(n_steps), _length(step)
        mask[:own] = 1 / own
        mask.flags.writeable = False
        return Events(step, channel, n_steps), int(self.targets[index]), mask

    def batches(
        self, size: int, *, seed: int = 0, epoch: int = 0, shuffle: bool = True, drop_last: bool = False
    ) -> Iterator[Batch]:
        """All samples once, `size` at a time, each batch as long as its longest sample.

        shuffle : in the order of `order(seed, epoch)`, else in that of their numbers
        drop_last : leave out a last batch that is smaller
        """
        size = _check.integer("Binned.batches size", size, "be a positive number of samples", low=1)
        numbers = self.order(seed, epoch) if shuffle else np.arange(len(self))
        stop = len(self) - len(self) % size if drop_last else len(self)
        for first in range(0, stop, size):
            index = numbers[first : first + size]
            single = [self[int(i)] for i in index]
            longest = max(x.n_steps for x, _ in single)
            mask = np.zeros((index.size, longest))
            for row, (x, _) in zip(mask, single, strict=True):
                row[: x.n_steps] = 1 / x.n_steps
            xs = [Events(x.step, x.channel, longest) for x, _ in single]
            steps = np.array([x.n_steps for x, _ in single])
            yield Batch(xs, np.array([label for _, label in single]), mask, index, steps)

    def order(self, seed: int = 0, epoch: int = 0) -> np.ndarray:
        """The numbers of all samples in an order that seed and epoch fix."""
        for name, value in (("seed", seed), ("epoch", epoch)):
            _check.integer(f"Binned.order {name}", value, "be a whole number, not negative", low=0)
        return np.random.default_rng([seed, epoch]).permutation(len(self))

    def _sample(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Steps and channels of a sample, in the order of time, none from n_steps on."""
        step, channel = self._bin(index) if self._cache is None else self._cache.sample(index, self._events())
        if self._limit is not None and step.size and step[-1] >= self._limit:
            kept = np.searchsorted(step, self._limit)
            step, channel = step[:kept], channel[:kept]
        return step, channel

    def _events(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All samples, binned, for the cache."""
        return (self._bin(i) for i in range(len(self)))

    def _bin(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        sample, (width, height, _), (fx, fy) = self.data[index], self.shape, self.downsample
        step = self._steps(sample.t)  # (1)
        channel = sample.x // fx + width * (sample.y // fy)  # (2)
        if self.polarity:
            channel += width * height * sample.p
        if self.binary and step.size:
            step, channel = np.divmod(np.unique(step * self.n_channels + channel), self.n_channels)
        return step, channel

    def _steps(self, t: Any) -> Any:
        step = np.floor(np.asarray(t) / _check.decimal(self.dt) + ROUNDING)
        if step.size and step.max() > np.iinfo(np.int32).max:
            got = float(np.max(t))
            raise _check.fail(f"Binned of {self.data.name}", f"have times that fit 2^31 steps of {self.dt:g} ms", got)
        return step.astype(np.int64)

    def _step(self, t: float) -> int:
        return int(self._steps(t))


def check_downsample(where: str, value: Any) -> tuple[int, int]:
    """(fx, fy) of a factor or a pair of them."""
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise _check.fail(where, "be a whole number >= 1 or a pair (fx, fy) of them", value)
    fx, fy = (_check.integer(where, factor, "be a whole number >= 1 or a pair (fx, fy) of them", low=1) for factor in pair)
    return fx, fy


def _length(step: np.ndarray) -> int:
    return int(step[-1]) + 1 if step.size else 1
