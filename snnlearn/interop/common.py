"""What exporters share: one time axis for all trials, signals piece by piece, files that must not exist yet."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .._check import fail
from ..recording import Recording
from ..recording.pieces import Extent, extents, iter_batches

ENTRIES = 1 << 20  # values that are held at a time
FAR = 1 << 10  # steps without a row that are left out rather than written


class Axis(NamedTuple):
    """Trials one behind the other; pieces of a stream where they are in it. int64 arrays [trials], in steps."""

    trial: np.ndarray
    start: np.ndarray  # first step of the trial, counted within it or within the stream
    stop: np.ndarray
    offset: np.ndarray  # where that first step is on the axis

    @property
    def n_steps(self) -> int:
        """Length of the axis."""
        return int((self.offset + self.stop - self.start).max()) if self.trial.size else 0

    def place(self, trial: Any, step: Any) -> np.ndarray:
        """Positions on the axis of steps within trials."""
        at = np.searchsorted(self.trial, trial)
        return self.offset[at] + step - self.start[at]


def axis(recording: Recording, trials: Any) -> Axis:
    """The axis of these trials, in the order of their numbers."""
    extent = extents(recording, trials)
    extent = Extent(*(x[np.unique(extent.trial, return_index=True)[1]] for x in extent))
    lines = extent.lines()
    begins = np.cumsum(lines.stop - lines.start) - (lines.stop - lines.start)
    order = np.argsort(lines.line)
    of = order[np.searchsorted(lines.line, extent.line, sorter=order)]
    return Axis(extent.trial, extent.start, extent.stop, begins[of] + extent.start - lines.start[of])


def spike_batches(recording: Recording, trials: np.ndarray) -> Iterator[Any]:
    """All spikes in order of trial and time."""
    for batch in iter_batches(recording, ENTRIES, trials):
        yield recording._spikes_across_gaps(batch.trials, batch.time(recording.dt))


def index_batches(recording: Recording, trials: np.ndarray) -> Iterator[np.ndarray]:
    """The segments of these trials in order of trial and time, so many at a time as have about ENTRIES inputs."""
    index = recording._segments_of(trials)
    total = np.cumsum(recording.segments.n_inputs[index])
    yield from np.split(index, np.flatnonzero(np.diff(total // ENTRIES)) + 1)


def signal_parts(recording: Recording, name: str, trials: np.ndarray) -> Iterator[Any]:
    """The rows of a signal in order of trial and time, as `Rows` with values [rows, columns]."""
    index = recording._segments_of(trials)
    for part in recording[name].read_rows(index, entries=ENTRIES):
        yield part._replace(values=part.values.reshape(part.step.size, -1))


def fill(dataset: Any, recording: Recording, name: str, line: Axis, columns: Any = slice(None)) -> None:
    """Write a signal into a data set [steps of the axis, columns]; steps without a row keep its fill value."""
    for part in signal_parts(recording, name, line.trial):
        if not part.step.size:
            continue
        at, values = line.place(part.trial, part.step), part.values[:, columns]
        far = np.flatnonzero(np.diff(at) > FAR) + 1  # across which nothing is written
        for rows in np.split(np.arange(at.size), far):
            first, last = int(at[rows[0]]), int(at[rows[-1]])
            room = np.full((last + 1 - first, values.shape[1]), np.nan, dataset.dtype)
            room[at[rows] - first] = values[rows]
            dataset[first : last + 1] = room


def new_file(path: pathlib.Path, overwrite: bool) -> pathlib.Path:
    """The path, once its folder is there and the file is not."""
    if path.is_dir():
        raise fail("export.out", "be a file, not a folder", str(path), error=IsADirectoryError)
    if path.exists() and not overwrite:
        raise fail("export.out", "name new files", str(path), "it exists; overwrite=True replaces it", FileExistsError)
    if path.parent.exists() and not path.parent.is_dir():
        raise fail("export.out", "be in a folder", str(path), error=NotADirectoryError)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
