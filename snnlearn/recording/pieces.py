"""Going through a recording piece by piece: trials, windows of time, and batches of a bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .._check import fail, number
from ..storage.open_file import choose
from .raw import Raw, Spikes, need_no_gap
from .signal import Signal


class Piece:
    """A part of one trial or stream, read on demand: `piece.spikes()`, `piece["v"]`.

    trial : number of the trial, or of the piece of the stream with which it begins
    steps : range of steps of the trial or stream
    time : (start, stop) in ms

    A window of time raises ValueError where some of its steps were not recorded; so do the signals of a trial. The spikes of a
    trial are all that were recorded.
    """

    def __init__(self, recording: Raw, trial: int, steps: range, index: np.ndarray, is_window: bool = False):
        self._recording, self.trial, self.steps, self._index = recording, trial, steps, index
        self._is_window = is_window
        self.time = (steps.start * recording.dt, steps.stop * recording.dt)

    def __repr__(self) -> str:
        return f"trial {self.trial}, {self.time[0]:g} to {self.time[1]:g} ms"

    @property
    def duration(self) -> float:
        """Length in ms."""
        return len(self.steps) * self._recording.dt

    def spikes(self, neurons: Any = None) -> Spikes:
        """Its spikes; see `Recording.spikes`."""
        self._need_whole("spikes")
        return self._recording._spikes(self._index, self.steps.start, self.steps.stop, neurons)

    def read(self, name: str, neurons: Any = None) -> np.ndarray:
        """A signal of this piece, [steps, columns]; see `Signal.read`."""
        self._need_whole(name)
        return Signal(self._recording, name).rows(self._index, self.steps.start, self.steps.stop, neurons)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.read(name)

    def _need_whole(self, name: str) -> None:
        if self._is_window:
            need_no_gap(self._recording, self._index, name, self)


class Extent(NamedTuple):
    """First step of each trial, and the step behind its last one; int64 arrays [trials]."""

    trial: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    line: np.ndarray  # of what shares an axis of time, see `index`

    def lines(self) -> Extent:
        """Of each line as far as its trials are here, in this order; `trial` is the first one, `start` the earliest step."""
        line, first, of = np.unique(self.line, return_index=True, return_inverse=True)
        start, stop = np.full(line.size, np.iinfo(np.int64).max), np.zeros(line.size, np.int64)
        trial = start.copy()
        np.minimum.at(start, of, self.start)
        np.maximum.at(stop, of, self.stop)
        np.minimum.at(trial, of, self.trial)
        order = np.argsort(first)
        return Extent(trial[order], start[order], stop[order], line[order])


def extents(recording: Raw, trials: Any = None) -> Extent:
    """Where trials begin and end (gaps included), in the order asked for; all in ascending order where trials is None.

    Steps of the pieces of a stream are those of the stream.
    """
    s = recording.segments
    first = np.searchsorted(s.trial, recording.trials)
    last = np.searchsorted(s.trial, recording.trials, side="right") - 1
    found = Extent(recording.trials, s.begin[first], s.stop[last], s.line[first])
    if trials is None:
        return found
    at = np.searchsorted(recording.trials, choose("trials", trials, recording.trials))
    return Extent(*(column[at] for column in found))


def iter_trials(recording: Raw, trials: Any = None) -> Iterator[Piece]:
    """Each trial, or piece of a stream, as a whole."""
    known, found = recording.segments.trial, extents(recording, trials)
    low, high = np.searchsorted(known, found.trial), np.searchsorted(known, found.trial, side="right")
    for trial, start, stop, a, b in zip(*(x.tolist() for x in (*found[:3], low, high)), strict=True):
        yield Piece(recording, trial, range(start, stop), np.arange(a, b))


def iter_windows(recording: Raw, length: float, trials: Any = None) -> Iterator[Piece]:
    """Windows of `length` ms that follow each other within each trial or stream; the last one may be shorter."""
    n = round(number("Recording.iter_windows.length", length, "be a positive time in ms", 0.0, strict=True) / recording.dt)
    if n < 1:
        raise fail("Recording.iter_windows.length", f"be at least a step of {recording.dt:g} ms", length)
    s, lines = recording.segments, extents(recording, trials).lines()
    chosen = np.arange(s.trial.size) if trials is None else np.flatnonzero(np.isin(s.trial, extents(recording, trials).trial))
    chosen = chosen[np.argsort(s.line[chosen], kind="stable")]
    low, high = (np.searchsorted(s.line[chosen], lines.line, side=side) for side in ("left", "right"))
    for first, last, a, b in zip(lines.start.tolist(), lines.stop.tolist(), low, high, strict=True):
        index = chosen[a:b]
        for start in range(first, last, n):
            stop = min(start + n, last)
            inside = index[np.searchsorted(s.stop[index], start, side="right") : np.searchsorted(s.begin[index], stop)]
            before = index[max(int(np.searchsorted(s.begin[index], start, side="right")) - 1, 0)]
            yield Piece(recording, int(s.trial[before]), range(start, stop), inside, is_window=True)


class Stretch(NamedTuple):
    """Trials that are read at once, or a part of one long trial."""

    trials: np.ndarray  # int64
    steps: range | None  # of the one trial; None: all of each trial

    def time(self, dt: float) -> tuple[float, float] | None:
        """(start, stop) in ms, as `Recording.spikes` takes it."""
        return None if self.steps is None else (self.steps.start * dt, self.steps.stop * dt)


def iter_batches(recording: Raw, entries: int, trials: Any = None) -> Iterator[Stretch]:
    """Everything in order of trial and time, at most about `entries` spikes or steps at a time."""
    s = recording.segments
    load = np.maximum(s.n_spikes, s.n_steps)
    total = np.concatenate(([0], np.cumsum(load)))
    extent = extents(recording, trials)
    first, last = np.searchsorted(s.trial, extent.trial), np.searchsorted(s.trial, extent.trial, side="right")
    size = total[last] - total[first]
    begin, held = 0, 0
    for i in range(extent.trial.size):
        if held and held + size[i] > entries:
            yield Stretch(extent.trial[begin:i], None)
            begin, held = i, 0
        if size[i] > entries:
            cut = first[i]
            for j in range(first[i], last[i]):
                if total[j + 1] - total[cut] > entries and j > cut:
                    yield Stretch(extent.trial[i : i + 1], range(int(s.begin[cut]), int(s.begin[j])))
                    cut = j
            yield Stretch(extent.trial[i : i + 1], range(int(s.begin[cut]), int(extent.stop[i])))
            begin = i + 1
        else:
            held += int(size[i])
    if held:
        yield Stretch(extent.trial[begin:], None)
