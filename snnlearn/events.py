"""Sparse input: spikes as (step, channel) pairs, and the form in which kernels read any input.

Kernels see one form of input, whether it came as events, as a sparse matrix, as a dense array of spikes or as analog values:
for every trial and step the list of channels that are active and their values (`InputArrays`). Delivery
therefore costs what the non-zero entries cost.

`take` is the door for inputs: what it returns is an array, `Events` or csr_array of one trial, an array [trials, T, n], or a
list of `Events` and csr_arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from ._check import MOST, csr, fail, finite, integer, numbers


class Events:
    """Sparse spike input of one trial.

    Parameters
    ----------
    step : int array (n_events,), 0 <= step < n_steps; any order
    channel : int array (n_events,), the input channel of each event
    n_steps : length of the trial in steps, below 2^31

    Several events on the same step and channel add up. Raises ValueError for negative or too large
    steps, negative channels and arrays of different length, TypeError for what holds no whole numbers.
    """

    __slots__ = ("channel", "n_steps", "step")

    def __init__(self, step: Any, channel: Any, n_steps: int):
        self.n_steps = integer("Events.n_steps", n_steps, "be a positive number of steps", low=1, high=MOST)
        self.step, self.channel = _index_array("Events.step", step), _index_array("Events.channel", channel)
        if self.step.shape != self.channel.shape:
            raise fail("Events.channel", f"have one entry per event, shape {self.step.shape}", self.channel.shape)
        if self.step.size:
            if self.step.max() >= self.n_steps:
                raise fail("Events.step", f"be below n_steps={self.n_steps}", int(self.step.max()))
            if (np.diff(self.step) < 0).any():
                order = np.argsort(self.step, kind="stable")
                self.step, self.channel = self.step[order], self.channel[order]
        self.step.flags.writeable = self.channel.flags.writeable = False

    def __len__(self) -> int:
        return self.step.size

    def __repr__(self) -> str:
        return f"Events({self.step.size} events, n_steps={self.n_steps})"

    def toarray(self, n_channels: int, dtype: Any = np.float64) -> np.ndarray:
        """Dense counts [n_steps, n_channels] of this dtype."""
        n_channels = integer("Events.toarray.n_channels", n_channels, "be a positive number of channels", 1, MOST)
        if self.channel.size and self.channel.max() >= n_channels:
            raise fail("Events.toarray.n_channels", f"be above {self.channel.max()}, the largest channel", n_channels)
        dense = np.zeros((self.n_steps, n_channels), dtype)
        np.add.at(dense, (self.step, self.channel), 1)
        return dense


class InputArrays(NamedTuple):
    """Input of a batch as kernels see it: events of trial b, step t are indptr[b, t] .. indptr[b, t+1]."""

    indptr: np.ndarray  # int64 [trials, T + 1]
    channel: np.ndarray  # int32 [n_events]
    value: np.ndarray  # dtype [n_events]
    steps: np.ndarray  # int64 [trials] length of each trial, at most T: what the arrays hold of later steps is not read


def take(inputs: Any, n_channels: int, where: str = "inputs") -> Any:
    """Inputs of one trial or of a batch in one of the forms that the module's docstring lists; what is one already stays.

    Raises TypeError or ValueError, naming `where`, for everything that is not clearly one.
    """
    shapes = f"[T, {n_channels}] or [trials, T, {n_channels}]"
    if isinstance(inputs, Events):
        return inputs
    if sparse.issparse(inputs):
        if inputs.ndim != 2 or inputs.shape[1] != n_channels or inputs.shape[0] == 0:
            raise fail(where, f"have shape (T, {n_channels})", inputs.shape, "a batch is a list of sparse matrices")
        return csr(where, inputs)
    if isinstance(inputs, np.ndarray) and inputs.dtype == object and inputs.ndim == 1:
        inputs = list(inputs)
    if isinstance(inputs, (list, tuple)) and any(map(is_trial, inputs)):
        return _take_trials(inputs, n_channels, where)
    x = numbers(where, inputs, f"be Events or an array {shapes}")
    if x.ndim not in (2, 3) or x.shape[-1] != n_channels or 0 in x.shape[:-1]:
        raise fail(where, f"have shape (T, {n_channels}) or (trials, T, {n_channels})", x.shape, "set by Network(n_inputs=...)")
    return x


def _take_trials(trials: Sequence[Any], n_channels: int, where: str) -> Any:
    """A list of single trials of equal length."""
    for k, trial in enumerate(trials):
        if not is_trial(trial):
            need = f"be Events, an array [T, {n_channels}] or a sparse one, as inputs[0] of a list of trials"
            raise fail(f"{where}[{k}]", need, trial, error=TypeError)
    lengths = [trial.n_steps if isinstance(trial, Events) else int(trial.shape[0]) for trial in trials]
    if len(set(lengths)) > 1:
        k = next(k for k, n in enumerate(lengths) if n != lengths[0])
        got = f"lengths {lengths[0]} and {lengths[k]}"
        if all(isinstance(trial, Events) for trial in trials):
            raise fail(where, f"be Events of equal length in a batch, n_steps={lengths[0]}", got)
        raise fail(where, "be trials of equal length in a batch", got, "pad them and pass steps=, or run them one by one")
    dense = [not isinstance(trial, Events) and not sparse.issparse(trial) for trial in trials]
    if all(dense):
        shapes = list(dict.fromkeys(tuple(trial.shape) for trial in trials))
        if len(shapes) > 1 or len(shapes[0]) != 2:
            got = " and ".join(map(str, shapes[:2]))
            raise fail(
                where, f"be trials of shape (T, {n_channels}) in a list", got, "one trial and its target are run(x, target)"
            )
        return take(np.stack([numbers(f"{where}[{k}]", trial) for k, trial in enumerate(trials)]), n_channels, where)
    return [
        take(
            sparse.csr_array(finite(f"{where}[{k}]", numbers(f"{where}[{k}]", trial), np.float64)) if flat else trial,
            n_channels,
            f"{where}[{k}]",
        )
        for k, (trial, flat) in enumerate(zip(trials, dense, strict=True))
    ]


def is_trial(value: Any) -> bool:
    """Whether an object is itself the input of a trial, or more: Events, a sparse matrix, an array of two dimensions or more."""
    if isinstance(value, Events) or sparse.issparse(value):
        return True
    return hasattr(value, "__array__") and len(getattr(value, "shape", ())) >= 2


def is_batch(inputs: Any) -> bool:
    """Whether inputs, as `take` returns them, are a batch of trials."""
    return isinstance(inputs, list) or getattr(inputs, "ndim", 2) == 3


def dense(trial: Any, n_channels: int) -> np.ndarray:
    """Float64 [T, n_channels] of a single trial, as `take` returns it."""
    if isinstance(trial, Events):
        return trial.toarray(n_channels)
    return finite("inputs", trial.toarray() if sparse.issparse(trial) else trial, np.float64)


def encode(inputs: Any, n_channels: int, dtype: Any, where: str = "inputs") -> InputArrays:
    """Inputs, as `take` takes them, in the form of kernels."""
    inputs = take(inputs, n_channels, where)
    if isinstance(inputs, np.ndarray):
        return _encode_dense(inputs, n_channels, dtype, where)
    trials = inputs if isinstance(inputs, list) else [inputs]
    counts, channels, values = zip(*(_sparse_trial(trial, n_channels, dtype, where) for trial in trials), strict=True)
    steps = np.full(len(trials), counts[0].size)
    return InputArrays(_pointers(np.stack(counts)), np.concatenate(channels), np.concatenate(values), steps)


def _sparse_trial(trial: Any, n_channels: int, dtype: Any, where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Events a step, their channels and values."""
    if isinstance(trial, Events):
        if trial.channel.size and trial.channel.max() >= n_channels:
            raise fail(f"{where}.channel", f"be below n_inputs={n_channels}", int(trial.channel.max()))
        return np.bincount(trial.step, minlength=trial.n_steps), trial.channel, np.ones(trial.channel.size, dtype)
    active = trial.data != 0
    step = np.repeat(np.arange(trial.shape[0]), np.diff(trial.indptr))[active]
    values = finite(where, trial.data[active], dtype)
    return np.bincount(step, minlength=trial.shape[0]), trial.indices[active].astype(np.int32), values


def _encode_dense(x: np.ndarray, n_channels: int, dtype: Any, where: str) -> InputArrays:
    given, x = x, np.ascontiguousarray(x if x.ndim == 3 else x[None])
    active = np.flatnonzero(x != 0)  # nan and inf are among them
    values = x.reshape(-1)[active]
    with np.errstate(over="ignore"):
        cast = values.astype(dtype, copy=False)
    if not np.isfinite(cast).all():
        finite(where, given, dtype)  # raises
    step, channel = np.divmod(active, n_channels)
    counts = np.bincount(step, minlength=x.shape[0] * x.shape[1]).reshape(x.shape[:2])
    steps = np.full(x.shape[0], x.shape[1])
    return InputArrays(_pointers(counts), channel.astype(np.int32), cast, steps)


def _pointers(counts: np.ndarray) -> np.ndarray:
    """Event ranges [trials, T + 1] from the counts [trials, T]; trials follow each other in the event list."""
    trials, n_steps = counts.shape
    ends = np.cumsum(counts.ravel()).reshape(trials, n_steps)
    indptr = np.empty((trials, n_steps + 1), np.int64)
    indptr[:, 1:] = ends
    indptr[0, 0] = 0
    indptr[1:, 0] = ends[:-1, -1]
    return indptr


def _index_array(where: str, value: Any) -> np.ndarray:
    index = numbers(where, value, "be a one-dimensional array of whole numbers")
    if index.size == 0:
        index = index.astype(np.int32)
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise fail(where, "be a one-dimensional array of whole numbers", value, error=TypeError)
    if index.size and index.min() < 0:
        raise fail(where, "not be negative", int(index.min()))
    if index.size and index.max() > np.iinfo(np.int32).max:
        raise fail(where, "fit into 32 bits", int(index.max()))
    return np.array(index, np.int32)


def is_stream(inputs: Any) -> bool:
    """Whether inputs are pieces of a stream: an iterator, a loader, or a list of (x, target), as tuples or as lists."""
    if isinstance(inputs, Events) or sparse.issparse(inputs) or hasattr(inputs, "__array__"):
        return False  # a dok_array is a Mapping
    if isinstance(inputs, (Mapping, Set, str, bytes)):
        need = "be an array, Events, a list of those, or an iterator of (x, target)"
        raise fail("Simulator.run.inputs", need, _kind(inputs), error=TypeError)
    if isinstance(inputs, (list, tuple)):
        if inputs and isinstance(inputs[0], Mapping) and not sparse.issparse(inputs[0]):
            split_piece(inputs[0])  # raises
        return bool(inputs) and is_pair(inputs[0])
    return isinstance(inputs, Iterable)


def is_pair(value: Any) -> bool:
    """Whether this is (x, target) or (x, target, mask): a tuple, or a list of as many arrays, as torch's loaders yield."""
    if isinstance(value, tuple):
        return True
    return isinstance(value, list) and len(value) in (2, 3) and is_trial(value[0])


def split_trial(where: str, trial: Any) -> tuple[Any, Any, Any]:
    """x, target and mask of (x, target) or (x, target, mask), a tuple or a list; TypeError for anything else."""
    if not is_pair(trial) or len(trial) not in (2, 3):
        raise fail(where, "be (x, target) or (x, target, mask)", _kind(trial), error=TypeError)
    return (*trial, None)[:3]  # type: ignore[return-value]


def split_piece(piece: Any, where: str = "Simulator.run.inputs") -> tuple[Any, Any, Any]:
    """x, target and mask of a piece of a stream; None where it has none.

    Raises ValueError for a tuple of another length, TypeError for a dict.
    """
    need = "yield x, (x, target) or (x, target, mask)"
    if not is_pair(piece):
        if isinstance(piece, (Mapping, Set, str, bytes)) and not sparse.issparse(piece):
            raise fail(where, need, _kind(piece), error=TypeError)
        return piece, None, None
    if len(piece) not in (2, 3):
        raise fail(where, need, f"a tuple of {len(piece)}")
    return (*piece, None)[:3]  # type: ignore[return-value]


def _kind(value: Any) -> Any:
    """What a caller gave, in words: a dict by its keys, a tuple by its length."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"a {type(value).__name__} with {', '.join(map(repr, value))}" if isinstance(value, Mapping) else value
