"""Sparse input: spikes as (step, channel) pairs, and the form in which kernels read any input.

Kernels see one form of input, whether it came as events, as a dense array of spikes or as analog values:
for every trial and step the list of channels that are active and their values (`InputArrays`). Delivery
therefore costs what the non-zero entries cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ._check import fail, finite, integer


class Events:
    """Sparse spike input of one trial.

    Parameters
    ----------
    step : int array (n_events,), 0 <= step < n_steps; any order
    channel : int array (n_events,), the input channel of each event
    n_steps : length of the trial in steps

    Several events on the same step and channel add up. Raises ValueError for negative or too large
    steps, negative channels and arrays of different length.
    """

    __slots__ = ("channel", "n_steps", "step")

    def __init__(self, step: Any, channel: Any, n_steps: int):
        self.n_steps = integer("Events.n_steps", n_steps, "be a positive number of steps", low=1)
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
        dense = np.zeros((self.n_steps, n_channels), dtype)
        np.add.at(dense, (self.step, self.channel), 1)
        return dense


class InputArrays(NamedTuple):
    """Input of a batch as kernels see it: events of trial b, step t are indptr[b, t] .. indptr[b, t+1]."""

    indptr: np.ndarray  # int64 [trials, T + 1]
    channel: np.ndarray  # int32 [n_events]
    value: np.ndarray  # dtype [n_events]
    steps: np.ndarray  # int64 [trials] length of each trial, at most T: what the arrays hold of later steps is not read


def is_batch(inputs: Any) -> bool:
    """Whether inputs are a batch of trials: an array of three dimensions or a list of Events."""
    if isinstance(inputs, Events):
        return False
    if isinstance(inputs, Sequence) and len(inputs) and isinstance(inputs[0], Events):
        return True
    return np.ndim(inputs) == 3


def encode(inputs: Any, n_channels: int, dtype: Any, where: str = "inputs") -> InputArrays:
    """Bring one trial [T, n], a batch [trials, T, n], Events or a list of Events to the form of kernels."""
    if isinstance(inputs, Events):
        return _encode_events([inputs], n_channels, dtype, where)
    if isinstance(inputs, Sequence) and len(inputs) and isinstance(inputs[0], Events):
        return _encode_events(inputs, n_channels, dtype, where)
    return _encode_dense(inputs, n_channels, dtype, where)


def _encode_events(trials: Sequence[Events], n_channels: int, dtype: Any, where: str) -> InputArrays:
    n_steps = trials[0].n_steps
    for trial in trials:
        if not isinstance(trial, Events) or trial.n_steps != n_steps:
            raise fail(where, f"be Events of equal length in a batch, n_steps={n_steps}", trial)
        if trial.channel.size and trial.channel.max() >= n_channels:
            raise fail(f"{where}.channel", f"be below n_inputs={n_channels}", int(trial.channel.max()))
    counts = np.empty((len(trials), n_steps), np.int64)
    for b, trial in enumerate(trials):
        counts[b] = np.bincount(trial.step, minlength=n_steps)
    channel = np.concatenate([trial.channel for trial in trials]).astype(np.int32, copy=False)
    return InputArrays(_pointers(counts), channel, np.ones(channel.size, dtype), np.full(len(trials), n_steps))


def _encode_dense(inputs: Any, n_channels: int, dtype: Any, where: str) -> InputArrays:
    try:
        x = np.asarray(inputs)
        x = x if x.dtype.kind in "fbui" else x.astype(np.float64)
    except (TypeError, ValueError):
        raise fail(
            where, f"be Events or an array [T, {n_channels}] or [trials, T, {n_channels}]", inputs, error=TypeError
        ) from None
    if x.ndim not in (2, 3) or x.shape[-1] != n_channels or 0 in x.shape[:-1]:
        raise fail(where, f"have shape (T, {n_channels}) or (trials, T, {n_channels})", x.shape, "set by Network(n_inputs=...)")
    given, x = x, np.ascontiguousarray(x if x.ndim == 3 else x[None])
    active = np.flatnonzero(x != 0)  # nan and inf are among them
    values = x.reshape(-1)[active]
    if x.dtype.kind == "f" and not np.isfinite(values).all():
        finite(where, given)  # raises
    step, channel = np.divmod(active, n_channels)
    counts = np.bincount(step, minlength=x.shape[0] * x.shape[1]).reshape(x.shape[:2])
    steps = np.full(x.shape[0], x.shape[1])
    return InputArrays(_pointers(counts), channel.astype(np.int32), values.astype(dtype, copy=False), steps)


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
    index = np.asarray(value)
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
    """Whether inputs are pieces of a stream: an iterator, or a list of tuples (x, target)."""
    if isinstance(inputs, (np.ndarray, Events)):
        return False
    if isinstance(inputs, (list, tuple)):
        return bool(inputs) and isinstance(inputs[0], tuple)
    return isinstance(inputs, Iterator) or (isinstance(inputs, Iterable) and not hasattr(inputs, "__array__"))


def split_piece(piece: Any) -> tuple[Any, Any, Any]:
    """x, target and mask of a piece of a stream; None where it has none. Raises ValueError for a tuple of another length."""
    if not isinstance(piece, tuple):
        return piece, None, None
    if len(piece) not in (2, 3):
        raise fail("Simulator.run.inputs", "yield x, (x, target) or (x, target, mask)", f"a tuple of {len(piece)}")
    return (*piece, None)[:3]  # type: ignore[return-value]
