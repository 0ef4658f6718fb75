"""Going through a recording piece by piece: trials, windows of time, and batches of a bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._check import fail, number
from .access import choose

if TYPE_CHECKING:
    from .reader import Recording, Spikes


class Piece:
    """A part of one trial, read on demand: `piece.spikes()`, `piece["v"]`.

    trial : its number
    steps : range of steps within the trial
    time : (start, stop) in ms within the trial
    """

    def __init__(self, recording: Recording, trial: int, steps: range):
        self._recording, self.trial, self.steps = recording, trial, steps
        self.time = (steps.start * recording.dt, steps.stop * recording.dt)

    def __repr__(self) -> str:
        return f"trial {self.trial}, {self.time[0]:g} to {self.time[1]:g} ms"

    @property
    def duration(self) -> float:
        """Length in ms."""
        return len(self.steps) * self._recording.dt

    def spikes(self, neurons: Any = None) -> Spikes:
        """Its spikes; see `Recording.spikes`."""
        return self._recording.spikes(self.trial, self.time, neurons)

    def read(self, name: str, neurons: Any = None) -> np.ndarray:
        """A signal of this piece, [steps, columns]; see `Signal.read`. ValueError where its steps have a gap."""
        return self._recording[name].read(self.trial, self.time, neurons)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.read(name)


class Extent(NamedTuple):
    """First step of each trial, and the step behind its last one; int64 arrays [trials]."""

    trial: np.ndarray
    start: np.ndarray
    stop: np.ndarray


def extents(recording: Recording, trials: Any = None) -> Extent:
    """Where trials begin and end (gaps included), in the order asked for; all in ascending order where trials is None."""
    s = recording.segments
    first = np.searchsorted(s.trial, recording.trials)
    last = np.searchsorted(s.trial, recording.trials, side="right") - 1
    start, stop = s.start[first], s.start[last] + s.n_steps[last]
    if trials is None:
        return Extent(recording.trials, start, stop)
    chosen = choose("trials", trials, recording.trials)
    at = np.searchsorted(recording.trials, chosen)
    return Extent(chosen, start[at], stop[at])


def iter_trials(recording: Recording, trials: Any = None) -> Iterator[Piece]:
    """Each trial as a whole."""
    for trial, start, stop in zip(*(x.tolist() for x in extents(recording, trials)), strict=True):
        yield Piece(recording, trial, range(start, stop))


def iter_windows(recording: Recording, length: float, trials: Any = None) -> Iterator[Piece]:
    """Windows of `length` ms that follow each other within each trial; the last one of a trial may be shorter."""
    n = round(number("Recording.iter_windows.length", length, "be a positive time in ms", 0.0, strict=True) / recording.dt)
    if n < 1:
        raise fail("Recording.iter_windows.length", f"be at least a step of {recording.dt:g} ms", length)
    for piece in iter_trials(recording, trials):
        for start in range(piece.steps.start, piece.steps.stop, n):
            yield Piece(recording, piece.trial, range(start, min(start + n, piece.steps.stop)))


class Batch(NamedTuple):
    """Trials that are read at once, or a part of one long trial."""

    trials: np.ndarray  # int64
    steps: range | None  # of the one trial; None: all of each trial

    def time(self, dt: float) -> tuple[float, float] | None:
        """(start, stop) in ms, as `Recording.spikes` takes it."""
        return None if self.steps is None else (self.steps.start * dt, self.steps.stop * dt)


def iter_batches(recording: Recording, entries: int, width: int = 1, trials: Any = None) -> Iterator[Batch]:
    """Everything in order of trial and time, at most about `entries` values of spikes or of [steps, width] at a time."""
    s = recording.segments
    load = np.maximum(s.n_spikes, s.n_steps * width)
    total = np.concatenate(([0], np.cumsum(load)))
    extent = extents(recording, trials)
    first, last = np.searchsorted(s.trial, extent.trial), np.searchsorted(s.trial, extent.trial, side="right")
    size = total[last] - total[first]
    begin, held = 0, 0
    for i in range(extent.trial.size):
        if held and held + size[i] > entries:
            yield Batch(extent.trial[begin:i], None)
            begin, held = i, 0
        if size[i] > entries:
            cut = first[i]
            for j in range(first[i], last[i]):
                if total[j + 1] - total[cut] > entries and j > cut:
                    yield Batch(extent.trial[i : i + 1], range(int(s.start[cut]), int(s.start[j])))
                    cut = j
            yield Batch(extent.trial[i : i + 1], range(int(s.start[cut]), int(extent.stop[i])))
            begin = i + 1
        else:
            held += int(size[i])
    if held:
        yield Batch(extent.trial[begin:], None)
