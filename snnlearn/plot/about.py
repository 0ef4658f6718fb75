"""What panels draw from: a recording, its path, or the report of a run; and what a recording tells about itself."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import numpy as np

from .._check import fail
from ..recording import Recording, open_recording
from ..simulator.history import History
from ..simulator.results import Run
from ..spec import CLASSES
from ..storage.open_file import listed, record
from .style import BLUE, COLORS

P = ParamSpec("P")
T = TypeVar("T")
Span = tuple[float | None, float | None] | None
SHOWN_STEPS = 1000  # of a stream, its last ones, where neither pieces nor a time are chosen
SCORES = {"classification": "accuracy", "regression": "normalised MSE"}


class Group(NamedTuple):
    """Neurons start .. stop - 1 of one group, and its resting thresholds [stop - start] (None: unknown)."""

    name: str
    start: int
    stop: int
    threshold: np.ndarray | None
    color: str
    adapts: bool = True  # whether the threshold may change in time


class Reported:
    """A `Run` or a `History` in the place of a recording: it has tables only, and says so where more is asked for."""

    def __init__(self, source: Run | History, panel: str):
        self._name, self._panel, self.path = type(source).__name__, panel, f"the {type(source).__name__}"
        self._tables: dict[str, Any] = {}
        self.reduced: tuple[str, ...] = ()
        self.config: dict[str, Any] = {}
        self.is_stream, self.n_outputs = False, 0
        if isinstance(source, History):
            columns = {name: getattr(source, name) for name in ("loss", "score", "rate") if getattr(source, name)}
            n = max(map(len, columns.values()), default=0)
            self._add("updates", {"update": np.arange(1, n + 1)} | columns)
            evaluated = {"loss": source.evaluation_loss, "score": source.evaluation_score}
            self._add("evaluations", {"update": source.evaluated_at} | evaluated)
            if source.labels is not None and source.predictions is not None:
                label, prediction = np.asarray(source.labels), np.asarray(source.predictions)
                self._add("predictions", {"evaluation": np.zeros(label.size), "label": label, "prediction": prediction})
        else:
            columns = {"trial": np.arange(source.losses.size), "loss": source.losses, "score": source.scores}
            self._add("trials", columns)
            scored = np.isfinite(source.scores).any()
            known = "classification" if np.isfinite(source.accuracy) else "regression" if scored else None
            self.config = {"task": {"kind": known}}

    def _add(self, name: str, columns: dict[str, Any]) -> None:
        if len(next(iter(columns.values()))):
            self._tables[name] = record(name.capitalize(), {key: np.asarray(x) for key, x in columns.items()})

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(self._tables)

    def table(self, name: str) -> Any:
        if name not in self._tables:
            raise KeyError(f"{self.path} has no {name}")
        return self._tables[name]

    def __contains__(self, name: object) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        got = f"a {self._name}, which holds no raw data and no weights"
        raise fail(f"plot.{self._panel}", "get a recording or its path", got, error=TypeError)


@contextlib.contextmanager
def opened(source: Any, panel: str) -> Iterator[Recording]:
    """The recording of a source: itself, or at its path; a `Run` or a `History` stands in for one. Raises TypeError for more."""
    if isinstance(source, (Recording, Reported)):
        yield source  # type: ignore[misc]
    elif isinstance(source, (Run, History)):
        yield Reported(source, panel)  # type: ignore[misc]
    elif isinstance(source, (str, os.PathLike)):
        with open_recording(source) as recording:
            yield recording
    else:
        raise fail(f"plot.{panel}", "get a recording, its path, a Run or a History", source, error=TypeError)


def panel(draw: Callable[Concatenate[Recording, P], T]) -> Callable[Concatenate[Any, P], T]:
    """A panel of a recording that also takes its path, or a `Run` or a `History` where their tables are enough."""

    @functools.wraps(draw)
    def drawn(recording: Any, *arguments: P.args, **options: P.kwargs) -> T:
        with opened(recording, draw.__name__) as found:
            return draw(found, *arguments, **options)

    return drawn


class Shown(NamedTuple):
    """A part of a recording that is drawn: a trial, or a time of a stream."""

    trial: int | None  # None: all of a stream
    time: Span
    name: str


def shown(recording: Recording, trial: int | None, time: Span) -> Shown:
    """The trial that is asked for, else the last one; of a stream its last steps. Raises IndexError for one without raw data."""
    trials = recording.trials
    if not trials.size:
        raise fail("plot.recording", "have a trial with raw data", str(recording.path))
    if trial is not None and trial not in trials:
        raise fail("plot.trial", f"be among the trials with raw data, {listed(trials)}", trial, error=IndexError)
    if recording.is_stream and trial is None:
        s = recording.segments
        last = max(int(s.begin[0]), int(s.stop[-1]) - SHOWN_STEPS)
        return Shown(None, (last * recording.dt, None) if time is None else time, "the stream")
    trial = int(trials[-1] if trial is None else trial)
    piece = recording.segments.streams and recording.segments.line[np.searchsorted(recording.segments.trial, trial)] != trial
    return Shown(trial, time, f"piece {trial}" if recording.is_stream or piece else f"trial {trial}")


def neuron_groups(recording: Recording) -> list[Group]:
    """The groups of neurons that the configuration tells; one group where it does not fit the recording."""
    entries = (recording.config.get("network") or {}).get("neurons") or []
    sizes = [int(entry.get("n", 0)) for entry in entries]
    if sum(sizes) != recording.n_neurons:
        return [Group("neurons", 0, recording.n_neurons, None, BLUE)]
    groups, start = [], 0
    for k, (entry, n) in enumerate(zip(entries, sizes, strict=True)):
        rest = None if entry.get("threshold") is None else np.broadcast_to(np.asarray(entry["threshold"], float), (n,))
        name = str(entry.get("type", "neurons"))
        groups.append(Group(name, start, start + n, rest, COLORS[k % len(COLORS)], getattr(CLASSES.get(name), "adapts", True)))
        start += n
    return groups


def n_rows(recording: Recording, table: str) -> int:
    return recording.table(table)[0].size if table in recording.tables else 0


def finite_rows(table: Any, column: str, at: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(updates, values) of the rows that have a finite value. at : of each row, where it is not the update."""
    y = np.asarray(getattr(table, column, np.full(table[0].size, np.nan)), np.float64)
    use = np.isfinite(y)
    return np.asarray(table.update if at is None else at)[use], y[use]


class Curves(NamedTuple):
    """What a learning curve is made of: tables with the place of their rows on the axis."""

    tables: dict[str, tuple[Any, np.ndarray]]
    label: str  # of the axis


def curves(recording: Recording) -> Curves:
    """Tables of updates and evaluations; of a run without them its trials, of a stream its pieces, against simulated time."""
    found = {name: recording.table(name) for name in ("updates", "evaluations") if n_rows(recording, name)}
    if found or not n_rows(recording, "trials"):
        return Curves({name: (table, np.asarray(table.update)) for name, table in found.items()}, "updates")
    table = recording.table("trials")
    if not (hasattr(table, "loss") and np.isfinite(table.loss).any()):
        return Curves({}, "updates")
    if not recording.is_stream:
        label = "trials or pieces" if isinstance(recording, Reported) else "trials"
        return Curves({"updates": (table, np.asarray(table.trial))}, label)
    s, ends = recording.segments, np.cumsum(table.n_steps)
    ends += int(s.origin[0]) - int(ends[table.trial < s.trial[0]][-1] if (table.trial < s.trial[0]).any() else 0)
    ms, unit = time_unit(float(ends[-1] * recording.dt))
    return Curves({"updates": (table, ends * recording.dt / ms)}, f"stream time ({unit})")


def time_unit(length: float) -> tuple[float, str]:
    """Milliseconds of the unit in which so many ms are read, and its name."""
    for name, ms in (("days", 86_400_000.0), ("h", 3_600_000.0), ("min", 60_000.0), ("s", 1000.0)):
        if length >= 3 * ms:
            return ms, name
    return 1.0, "ms"


def task_kind(recording: Recording) -> str | None:
    """ "classification" or "regression", as the task says, or else the targets; None: unknown."""
    kind = (recording.config.get("task") or {}).get("kind")
    if kind is None and n_rows(recording, "predictions"):
        return "classification"
    if kind is None and n_rows(recording, "trials") and "prediction" in recording.table("trials")._fields:
        return "classification"
    if kind is None and "target" in recording:
        return "classification" if len(recording["target"].shape) == 1 else "regression"
    return kind


def label_names(recording: Recording, n: int) -> list[str]:
    names = [str(name) for name in (recording.config.get("task") or {}).get("labels") or []]
    return names if len(names) >= n else [*names, *map(str, range(len(names), max(n, recording.n_outputs)))]
