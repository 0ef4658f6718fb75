"""What a recording tells about itself: trials, groups of neurons, tables, kind of task."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._check import fail
from ..recording import Recording
from .style import BLUE, COLORS

SCORES = {"classification": "accuracy", "regression": "normalised MSE"}


class Group(NamedTuple):
    """Neurons start .. stop - 1 of one group, and its resting thresholds [stop - start] (None: unknown)."""

    name: str
    start: int
    stop: int
    threshold: np.ndarray | None
    color: str


def shown_trial(recording: Recording, trial: int | None) -> int:
    trials = recording.trials
    if not trials.size:
        raise fail("plot.recording", "have a trial with raw data", str(recording.path))
    if trial is not None and trial not in trials:
        raise fail("plot.trial", f"be a trial with raw data ({trials[0]} .. {trials[-1]})", trial, error=IndexError)
    return int(trials[-1] if trial is None else trial)


def neuron_groups(recording: Recording) -> list[Group]:
    """The groups of neurons that the configuration tells; one group where it does not fit the recording."""
    entries = (recording.config.get("network") or {}).get("neurons") or []
    sizes = [int(entry.get("n", 0)) for entry in entries]
    if sum(sizes) != recording.n_neurons:
        return [Group("neurons", 0, recording.n_neurons, None, BLUE)]
    groups, start = [], 0
    for k, (entry, n) in enumerate(zip(entries, sizes, strict=True)):
        rest = None if entry.get("threshold") is None else np.broadcast_to(np.asarray(entry["threshold"], float), (n,))
        groups.append(Group(str(entry.get("type", "neurons")), start, start + n, rest, COLORS[k % len(COLORS)]))
        start += n
    return groups


def n_rows(recording: Recording, table: str) -> int:
    return recording.table(table)[0].size if table in recording.tables else 0


def finite_rows(table: Any, column: str) -> tuple[np.ndarray, np.ndarray]:
    """(updates, values) of the rows that have a finite value."""
    y = np.asarray(getattr(table, column, np.full(table[0].size, np.nan)), np.float64)
    use = np.isfinite(y)
    return np.asarray(table.update)[use], y[use]


def task_kind(recording: Recording) -> str | None:
    """ "classification" or "regression", as the task says, or else the targets; None: unknown."""
    kind = (recording.config.get("task") or {}).get("kind")
    if kind is None and n_rows(recording, "predictions"):
        return "classification"
    if kind is None and "target" in recording:
        return "classification" if len(recording["target"].shape) == 1 else "regression"
    return kind


def label_names(recording: Recording, n: int) -> list[str]:
    names = [str(name) for name in (recording.config.get("task") or {}).get("labels") or []]
    return names if len(names) >= n else [*names, *map(str, range(len(names), max(n, recording.n_outputs)))]
