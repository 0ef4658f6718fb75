"""What a task is, and how its spikes are drawn.

A task is a frozen description from which any trial can be drawn at any time: `task.trial(index, split)` is a pure function
of the task's parameters, the split and the index. A million trials therefore cost no memory, and a run that is resumed
draws the trials that it would have drawn.

    rng(trial) = default_rng([seed, split, index])                                                           (1)

Spikes are independent Bernoulli variables, one for each step and channel of a block. They are drawn by their distances,

    cell_0 = gap_0 - 1,  cell_k = cell_{k-1} + gap_k,   gap ~ Geometric(p),  P(gap = g) = (1-p)^(g-1) p      (2)

which has exactly the distribution of a test of every cell, and costs what the spikes cost.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import _check
from ..events import Events

SPLITS = ("train", "test")
STREAMS = (*SPLITS, "shared", "validation")  # the second number of (1); "shared" draws what trials have in common
SPARSE_BELOW = 0.25  # above this probability a test of every cell is faster than (2)
SHARES = {"test": "holdout", "validation": "validation"}  # parameters of tasks that divide what they are given

_REGISTRY: dict[str, type[Task]] = {}


class Trial(NamedTuple):
    """One trial of T steps, task.n_steps or fewer. The arrays are read-only.

    x : Events or array [T, n_inputs]
    target : [T, n_outputs] floats (regression), one int label, or [T] int labels (0 where the mask is 0)
    mask : [T] time weights of the loss that sum to 1, or None for 1 at every step
    """

    x: np.ndarray | Events
    target: Any
    mask: np.ndarray | None

    def __repr__(self) -> str:
        return _check.brief(self)


class Task(ABC):
    """Base of tasks. A task is a frozen keyword-only dataclass with the fields `dt` (ms) and `seed` (0 .. 2**32 - 1).

    A new task gives `name`, `kind`, the three sizes and `_draw`, and checks its parameters in `__post_init__` with the
    methods below, which raise one sentence that names the parameter. Defining the class makes its name known to `make`.
    """

    name: ClassVar[str]
    kind: ClassVar[str]  # "regression" or "classification"
    splits: ClassVar[tuple[str, ...]] = SPLITS  # with "validation", which trainings then look at, where the task has one
    pools: ClassVar[bool] = False  # whether the error of a regression is normalised over all trials of an evaluation together
    dt: float
    seed: int

    def __init_subclass__(cls, listed: bool = True, **kwargs: Any) -> None:
        """listed : whether `make` can make it, from values that a file can hold"""
        super().__init_subclass__(**kwargs)
        if "name" in cls.__dict__ and listed:
            _REGISTRY[cls.name] = cls

    @property
    @abstractmethod
    def n_inputs(self) -> int:
        """Number of input channels."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Number of readouts: target values (regression) or classes."""

    @property
    @abstractmethod
    def n_steps(self) -> int:
        """Length T of a trial in steps; where they differ, of the longest."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the classes; None for regression."""
        return None

    @abstractmethod
    def _draw(self, rng: np.random.Generator, split: str, index: int) -> Trial:
        """The trial, from a generator of its own (1)."""

    def n_trials(self, split: str = "train") -> int | None:
        """Number of trials of a split; None: endless. ValueError for an unknown split."""
        self._split(split)
        return None

    def trial(self, index: int, split: str = "train") -> Trial:
        """Trial `index` (0 ..) of one of `splits`; the same at every call. Raises for one that does not exist."""
        return self._draw_trial(self._index("trial index", index, split), split)

    def trials(self, n: int | None = None, split: str = "train", start: int = 0) -> Iterator[Trial]:
        """Trials start .. start + n - 1 (n=None: all that there are), each drawn when it is asked for."""
        n_trials = self.n_trials(split)
        start = self._index("trials start", start, split, past_end=True)
        if n is not None:
            n = _check.integer(f"{type(self).__name__}.trials n", n, "be None or a whole number >= 0", low=0)
            if n_trials is not None and start + n > n_trials:
                raise _check.fail(f"{type(self).__name__}.trials n", f"be at most {n_trials - start} from start={start}", n)
        end = n_trials if n is None else start + n
        indices = count(start) if end is None else range(start, end)
        return (self._draw_trial(i, split) for i in indices)

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters as JSON values; `Task.from_dict` gives the task back."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        return {"name": self.name} | {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Task:
        """The task that `to_dict` described. ValueError for an unknown name or parameter."""
        if not isinstance(values, dict) or "name" not in values:
            raise _check.fail("Task.from_dict values", "be a dict with a 'name'", values, error=TypeError)
        cls = _REGISTRY.get(values["name"])
        return make(**(values if cls is None else cls.unwritten(values)))

    @classmethod
    def unwritten(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """A description of such a task with what an entry that is left out stands for where the class has another default."""
        return dict(values)

    def matches(self, values: dict[str, Any]) -> bool:
        """Whether this task stands in for the one that `to_dict` described, whose data lie in files that may have moved."""
        return False

    def _draw_trial(self, index: int, split: str) -> Trial:
        return self._draw(self._rng(split, index), split, index)

    def _in_epochs(self, index: int, n: int) -> int:
        """Which of n samples trial `index` shows, where all are shown in an order that is drawn anew for each epoch."""
        epoch, position = divmod(index, n)
        kept = self.__dict__.get("_last_order")
        if kept is None or kept[:2] != (epoch, n):
            kept = epoch, n, frozen(self._rng("shared", epoch).permutation(n))
            self.__dict__["_last_order"] = kept
        return int(kept[2][position])

    def _rng(self, stream: str, index: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, STREAMS.index(stream), index])  # (1)

    def _split(self, split: str) -> str:
        if not isinstance(split, str) or split not in self.splits:
            names = ", ".join(map(repr, self.splits))
            raise _check.fail(f"{type(self).__name__} split", f"be one of {names}", split, no_split(self, split))
        return split

    def _index(self, what: str, index: int, split: str, past_end: bool = False) -> int:
        where = f"{type(self).__name__}.{what}"
        n_trials = self.n_trials(split)
        index = _check.integer(where, index, "be a whole number >= 0", low=0)
        if n_trials is not None and index >= n_trials + past_end:
            need = f"be at most {n_trials}" if past_end else f"be below {n_trials}"
            raise _check.fail(where, f"{need} for split {split!r}", index)
        return index

    # Checks of parameters: each replaces the fields by their normalised values

    def _check_common(self) -> None:
        self._check_number("be a positive time in ms", "dt", low=0.0, strict=True)
        self._check_integer("be a whole number in 0 .. 2**32 - 1", "seed", low=0, high=2**32 - 1)

    def _check_integer(self, need: str, *fields: str, low: int, high: int | None = None) -> None:
        for field in fields:
            self._set(field, _check.integer(self._where(field), getattr(self, field), need, low, high))

    def _check_number(self, need: str, *fields: str, low: float, high: float = np.inf, strict: bool = False) -> None:
        for field in fields:
            self._set(field, _check.number(self._where(field), getattr(self, field), need, low, high, strict))

    def _check_count(self, *fields: str) -> None:
        self._check_integer("be a whole number >= 1", *fields, low=1)

    def _check_probability(self, *fields: str) -> None:
        self._check_number("be a probability in 0 .. 1", *fields, low=0.0, high=1.0)

    def _check_rate(self, *fields: str) -> None:
        """Rates in Hz of at most one spike per step."""
        need = f"be a rate in Hz in 0 .. {1000 / self.dt:g}, at most one spike per step of {self.dt:g} ms"
        self._check_number(need, *fields, low=0.0, high=1000 / self.dt * (1 + _check.TOLERANCE))

    def _check_duration(self, *fields: str, zero: bool = False) -> None:
        """Times in ms that are a whole number of steps."""
        need = f"be a time in ms, {'not negative' if zero else 'positive'} and a multiple of dt={self.dt:g}"
        self._check_number(need, *fields, low=0.0, strict=not zero)
        for field in fields:
            steps = _check.whole_steps(getattr(self, field), self.dt)
            if steps is None or steps > _check.MOST:
                raise _check.fail(self._where(field), need, getattr(self, field))

    def _steps(self, field: str) -> int:
        return round(getattr(self, field) / self.dt)

    def _probability(self, rate: float) -> float:
        return min(rate * self.dt / 1000, 1.0)

    def _where(self, field: str) -> str:
        return f"{type(self).__name__}.{field}"

    def _set(self, field: str, value: Any) -> None:
        object.__setattr__(self, field, value)


def names() -> tuple[str, ...]:
    """The names that `make` knows."""
    return tuple(sorted(_REGISTRY))


def make(name: str, **params: Any) -> Task:
    """The task of this name: ``make("evidence-accumulation", n_cues=5)``.

    params : of the task's class. Raises ValueError for an unknown name or parameter.
    """
    cls = _REGISTRY[_check.choice("task name", name, names())]
    known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for param in params:
        _check.choice(f"parameter of task {name!r}", param, known)
    return cls(**params)


def bernoulli(rng: np.random.Generator, n_cells: int, p: float) -> np.ndarray:
    """The successes among n_cells independent trials of probability p: sorted int64 indices. Equation (2)."""
    if p <= 0 or n_cells == 0:
        return np.empty(0, np.int64)
    if p > SPARSE_BELOW:
        return np.flatnonzero(rng.random(n_cells) < p)
    mean, scale = n_cells * p, -1 / np.log1p(-p)
    n_draws, last, parts = int(mean + 4 * mean**0.5) + 8, -1.0, []
    while last < n_cells:
        gap = rng.standard_exponential(n_draws)
        gap *= scale
        np.floor(gap, out=gap)
        gap += 1  # P(gap > g) = P(exponential >= g/scale) = (1-p)^g; floats count exactly up to 2**53
        gap[0] += last
        parts.append(gap.cumsum())
        last = parts[-1][-1]
    cell = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return cell[: cell.searchsorted(n_cells)].astype(np.int64)


def bursts(
    rng: np.random.Generator, n_inputs: int, start: Any, channel: Any, n_steps: int, n_channels: int, p: float | np.ndarray
) -> np.ndarray:
    """Spikes in blocks of n_steps x n_channels cells, as int64 indices of the flat raster [T * n_inputs], in no fixed order.

    start, channel : int arrays [n_blocks], the first step and the first channel of each block
    p : probability of a cell, or [n_blocks] of a cell of each block
    """
    start = np.asarray(start)
    cell = bernoulli(rng, start.size * n_steps * n_channels, p if isinstance(p, float) else p.max(initial=0.0))
    row = cell // n_channels  # counts the steps of all blocks
    block = row // n_steps
    if not isinstance(p, float):  # independent spikes of probability p.max(), kept with p/p.max(), are independent again
        kept = rng.random(cell.size) * p.max(initial=0.0) < p[block]
        cell, row, block = cell[kept], row[kept], block[kept]
    origin = (start - np.arange(start.size) * n_steps) * n_inputs + channel
    return origin[block] + row * (n_inputs - n_channels) + cell


def to_events(n_steps: int, n_inputs: int, *cells: np.ndarray) -> Events:
    """Events of one trial from flat indices [T * n_inputs], in the order of steps, then channels."""
    cell = np.concatenate(cells)
    cell.sort()
    step = cell // n_inputs
    return Events(step, cell - step * n_inputs, n_steps)


def window_mask(n_steps: int, window: int) -> np.ndarray:
    """[n_steps] weights 1/window in the last `window` steps, else 0."""
    mask = np.zeros(n_steps)
    mask[n_steps - window :] = 1 / window
    return frozen(mask)


def frozen(array: np.ndarray) -> np.ndarray:
    """The array, made read-only."""
    array.flags.writeable = False
    return array


def no_split(task: Any, split: Any) -> str:
    """As a hint, why a task has no trials of this split; "" where nothing is known."""
    share = SHARES.get(split) if isinstance(split, str) else None
    return f"{share} above 0 keeps some apart for it" if share is not None and hasattr(task, share) else ""
