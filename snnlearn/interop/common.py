"""What exporters share: one time axis for all trials, signals piece by piece, files that must not exist yet."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .._check import fail
from ..recording import Recording
from ..recording.convert import runs
from ..recording.pieces import extents, iter_batches

ENTRIES = 1 << 20  # values that are held at a time


class Axis(NamedTuple):
    """Trials one behind the other; int64 arrays [trials], in steps."""

    trial: np.ndarray
    start: np.ndarray  # first step of the trial, counted within it
    stop: np.ndarray
    offset: np.ndarray  # where that first step is on the axis

    @property
    def n_steps(self) -> int:
        """Length of the axis."""
        return int(self.offset[-1] + self.stop[-1] - self.start[-1]) if self.trial.size else 0

    def place(self, trial: Any, step: Any) -> np.ndarray:
        """Positions on the axis of steps within trials."""
        at = np.searchsorted(self.trial, trial)
        return self.offset[at] + step - self.start[at]


def axis(recording: Recording, trials: Any) -> Axis:
    """The axis of these trials, in the order of their numbers."""
    extent = extents(recording, trials)
    order = np.unique(extent.trial, return_index=True)[1]
    trial, start, stop = (x[order] for x in extent)
    return Axis(trial, start, stop, np.concatenate(([0], np.cumsum(stop - start)[:-1])))


def spike_batches(recording: Recording, trials: np.ndarray) -> Iterator[Any]:
    """All spikes in order of trial and time."""
    for batch in iter_batches(recording, ENTRIES, trials=trials):
        yield recording.spikes(batch.trials, batch.time(recording.dt))


def signal_pieces(recording: Recording, name: str, trials: np.ndarray) -> Iterator[tuple[int, range, np.ndarray]]:
    """(trial, range of steps, values [steps, columns]) of a signal in order of trial and time, without gaps."""
    width = int(np.prod(recording[name].shape[1:], dtype=int))
    for batch in iter_batches(recording, ENTRIES, width, trials):
        within = (0, 2**62) if batch.steps is None else (batch.steps.start, batch.steps.stop)
        for trial in batch.trials.tolist():
            for steps, values in runs(recording, name, trial, within):
                yield trial, steps, values.reshape(len(steps), -1)


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
