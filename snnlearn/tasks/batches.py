"""Batches of a task's trials, checked before anything learns from them.

A task is any object with `trial(index, split)` and `n_trials(split)`. Its trials may differ in length: the arrays of a batch are
padded to the longest one, and `TrialBatch.steps` tells the simulator where each trial ends.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from .. import _check
from ..events import Events
from .base import no_split

ENDLESS = 128  # trials of an endless split that an evaluation takes


class TrialBatch(NamedTuple):
    """Trials of a task as `Simulator.run` takes them."""

    x: Any  # [trials, T, n_inputs], or a list of Events
    target: np.ndarray  # [trials], [trials, T] or [trials, T, n_out]
    mask: np.ndarray | None  # [T], [trials, T] or [trials, T, n_out]
    steps: np.ndarray | None  # [trials] lengths; None: all are T steps long

    @property
    def n_trials(self) -> int:
        return len(self.target)


def draw(task: Any, first: int, stop: int, split: str = "train") -> TrialBatch:
    """Trials first .. stop - 1 of a split. Raises ValueError or TypeError that names the task and the trial."""
    name = type(task).__name__
    if split == "train":  # which a task of a user's own need not be told
        return collate([checked(task.trial(i), f"{name}.trial({i})") for i in range(first, stop)])
    return collate([checked(task.trial(i, split), f"{name}.trial({i}, {split!r})") for i in range(first, stop)])


def checked(trial: Any, where: str) -> tuple[Any, Any, Any]:
    """x, target and mask of what a task's `trial` has returned; ValueError or TypeError where they do not fit together."""
    if not isinstance(trial, tuple) or len(trial) not in (2, 3):
        got = f"a {type(trial).__name__} of {len(trial)}" if isinstance(trial, (tuple, list)) else trial
        raise _check.fail(where, "return a tuple (x, target) or (x, target, mask)", got, error=TypeError)
    x, target, mask = (*trial, None)[:3]
    n_steps = _length(x, where)
    for name, value in (("target", target), ("mask", mask)):
        if value is not None and np.ndim(value) and len(value) != n_steps:
            raise _check.fail(where, f"return a {name} of as many steps as x, {n_steps}", len(value))
    if target is None:
        raise _check.fail(where, "return a target", None)
    return x, target, mask


def collate(trials: list[Any]) -> TrialBatch:
    """A batch of single trials (x, target, mask); masks that are one object stay one [T]."""
    xs, targets, masks = zip(*trials, strict=True)
    lengths = np.array([_length(x, "a task's trial") for x in xs])
    longest = int(lengths.max())
    if any(isinstance(x, Events) or sparse.issparse(x) for x in xs):
        batch: Any = [_longer(x, longest) for x in xs]
    else:
        batch = _stack(xs, longest, "x")
    if np.ndim(targets[0]):
        target = _stack(targets, longest, "target")
    else:
        target = np.stack([_check.numbers("a task's trial", t, "return a label, or an array of targets") for t in targets])
    if (lengths == longest).all():
        one = np.ndim(masks[0]) < 2 and all(m is masks[0] for m in masks)
        mask = masks[0] if one else _masks(masks, lengths, longest)
        return TrialBatch(batch, target, mask, None)
    return TrialBatch(batch, target, None if all(m is None for m in masks) else _masks(masks, lengths, longest), lengths)


def evaluation_split(task: Any) -> str:
    """The split on which a training is evaluated: what decides when to stop should not be what is reported in the end."""
    return "validation" if "validation" in getattr(task, "splits", ()) else "test"


def check_number(where: str, task: Any, split: str, trials: int | None, start: int = 0) -> int:
    """How many trials there are to take: as many as asked for; ValueError where there are fewer.

    trials : None: all that there are, or 128 of an endless split
    """
    found = task.n_trials(split) if split in getattr(task, "splits", (split,)) else 0
    if found is not None and not found:
        got, hint = f"{type(task).__name__} without one", no_split(task, split)
        raise _check.fail(where, f"be of a task with trials for split {split!r}", got, hint)
    if found is not None and start + (trials or 1) > found:
        again = "; another epoch is another call" if split == "train" else ""
        hint = f"{type(task).__name__}.n_trials({split!r}) is {found}{again}"
        raise _check.fail(where, f"be at most {max(0, found - start)} from start={start}", trials, hint)
    return trials or found or ENDLESS


def _length(x: Any, where: str) -> int:
    if isinstance(x, Events):
        return x.n_steps
    if not (np.ndim(x) == 2 or getattr(x, "ndim", 0) == 2):
        raise _check.fail(where, "return x as Events or an array [T, n_inputs]", x, error=TypeError)
    return len(x) if isinstance(x, (list, tuple)) else int(x.shape[0])


def _longer(x: Any, longest: int) -> Any:
    """A single trial with nothing after its own end."""
    if isinstance(x, Events):
        return x if x.n_steps == longest else Events(x.step, x.channel, longest)
    if sparse.issparse(x):
        rows = _check.csr("a task's trial", x)
        indptr = np.append(rows.indptr, np.full(longest - rows.shape[0], rows.indptr[-1]))
        return sparse.csr_array((rows.data, rows.indices, indptr), shape=(longest, rows.shape[1]))
    return _stack([x], longest, "x")[0]


def _stack(arrays: Any, longest: int, name: str) -> np.ndarray:
    """Arrays [T, ...] as one, zero after the end of each."""
    first, *others = [_check.numbers("a task's trial", a, f"return {name} as an array of numbers") for a in arrays]
    for other in others:
        if other.shape[1:] != first.shape[1:]:
            got = f"{first.shape} and {other.shape}"
            raise _check.fail("a task's trial", f"return {name} of the same kind in all trials", got)
    padded = np.zeros((1 + len(others), longest, *first.shape[1:]), np.result_type(first, *others))
    for row, array in zip(padded, (first, *others), strict=True):
        row[: len(array)] = array
    return padded


def _masks(masks: Any, lengths: np.ndarray, longest: int) -> np.ndarray:
    """Weights of the steps of each trial; None is one at every step."""
    filled = [
        np.ones(n) if m is None else _check.numbers("a task's trial", m, "return a mask of numbers")
        for m, n in zip(masks, lengths, strict=True)
    ]
    widest = max(filled, key=lambda m: m.ndim)
    same = [m if m.ndim == widest.ndim else np.repeat(m[:, None], widest.shape[1], axis=1) for m in filled]
    return _stack(same, longest, "mask")
