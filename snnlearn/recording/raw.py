"""The raw data of a recording: the file, its index, spikes and inputs."""

from __future__ import annotations

import json
import math
import os
import pathlib
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, Self, TypeVar

import h5py
import numpy as np

from .._check import brief, fail
from ..events import Events
from ..storage import seqlock
from ..storage.integrity import attributes, get_text, members, text
from ..storage.open_file import OpenFile, choose, entries, frozen, in_order, neighbours, stamp, window
from .index import Segments, before_streams, load
from .schema import SIGNALS, check_format

EVENTS = ("spikes", "inputs")  # raw data that are no signals
RUNNING = "running (still being written)"  # how such a run ended
REQUIRED = ("status", "created", "versions", "dt", "n_neurons", "n_outputs")
DAMAGE = (KeyError, OSError, RuntimeError, AttributeError, TypeError, ValueError)  # what h5py raises for one that is odd
T = TypeVar("T")


class Spikes(NamedTuple):
    """Spikes sorted by trial, step and neuron; read-only arrays [spikes]."""

    trial: np.ndarray  # int64, the trial, or the piece of a stream
    step: np.ndarray  # int64, counted within the trial, or from the beginning of the stream; the time is step * dt
    neuron: np.ndarray  # int64

    def __repr__(self) -> str:
        return brief(self)


class Raw:
    """An open recording file: attributes, the index of its raw data, spikes and inputs. See `Recording`."""

    def __init__(self, path: str | os.PathLike[str], stream: bool | None = None):
        if stream is not None and not isinstance(stream, bool):
            raise fail("open_recording.stream", "be None, True or False", stream, error=TypeError)
        self.path, self._stream = pathlib.Path(path), stream
        self._access, self._closed = self._opened(), False
        self._checked: h5py.File | None = None
        try:
            self._access.read(lambda h5: None)
            self._load()
        except BaseException:
            self.close()
            raise

    def _opened(self) -> OpenFile:
        """What reads the file."""
        return OpenFile(self.path)

    def _version(self) -> Any:
        """What tells the file from what it was before."""
        return stamp(self.path)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size

    def _load(self) -> None:
        self._stamp = self._version()
        try:
            attrs = self._access.read(attributes)
        except DAMAGE as error:
            raise self._damaged(error) from error
        check_format(self.path, attrs)
        try:
            self.attrs, self.config, self._committed, self._present = self._access.read(self._state)
            self.dt, self.status = float(self.attrs["dt"]), str(self.attrs["status"])
            self.n_neurons, self.n_outputs = int(self.attrs["n_neurons"]), int(self.attrs["n_outputs"])
            self.versions: dict[str, str] = json.loads(self.attrs["versions"])
        except DAMAGE as error:
            raise self._damaged(error) from error

    def _state(self, h5: h5py.File) -> tuple[dict[str, Any], dict[str, Any], dict[str, int], tuple[str, ...]]:
        """Attributes, configuration, committed lengths, names of what there is."""
        attrs = attributes(h5)
        missing = [name for name in REQUIRED if name not in attrs]
        if missing:
            raise KeyError(f"it has no attribute {missing[0]!r}")
        there = set(h5)
        single = ("segments", "events", "weights", "synapses", "rewiring")
        committed = {name: int(h5[name].attrs["committed"]) for name in single if name in there}
        for parent in ("tables", "reduced"):
            committed |= {f"{parent}/{name}": int(group.attrs["committed"]) for name, group in members(h5, parent).items()}
        present = (*members(h5, "traces"), *(name for name in (*SIGNALS, *EVENTS) if name in there))
        return attrs, json.loads(get_text(h5, "configuration")), committed, present

    def refresh(self) -> bool:
        """Take note of what was written since the file was opened; whether there is anything new.

        Until then a recording stands still: what it holds is what had been committed when it was opened.
        """
        self._need_open()
        if self._access.unchanged() and self._stamp == self._version():
            return False
        self._access.close()
        self._load()
        for name in ("segments", "trials", "weight_updates", "events", "_input_columns"):
            self.__dict__.pop(name, None)
        return True

    def goes_on(self) -> bool:
        """Whether the run goes on, as `is_running`; where it does not, the recording has taken note of how it ended."""
        running = self.is_running
        if self.status == "running" and not running:
            self.refresh()  # it may have ended since the file was looked at
        return running

    @property
    def is_running(self) -> bool:
        """Whether the run goes on: the file is not closed, and a process holds it (where the system tells)."""
        return self.status == "running" and seqlock.is_held(self.path) is not False

    @property
    def ending(self) -> str:
        """How the run ended, in words."""
        if self.status != "running":
            return self.status
        if self.is_running:
            return RUNNING
        return "ended without closing the file (killed, or the machine stopped); what was committed is there"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path.absolute(), self._stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._access.close()

    # Raw data

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the signals that `recording[name]` gives."""
        self._need_open()
        return tuple(name for name in self._present if name not in EVENTS)

    @cached_property
    def segments(self) -> Segments:
        """The index of the raw data: where the steps and spikes of each piece of a trial or stream are."""
        return self._read(lambda h5: load(h5, self._committed, self.config, self._stream))

    @property
    def is_stream(self) -> bool:
        """Whether the raw data are those of one stream, whose time goes on from piece to piece."""
        s = self.segments
        return s.streams and bool((s.line == s.line[0]).all())

    @cached_property
    def trials(self) -> np.ndarray:
        """Numbers of the trials, or pieces of a stream, with raw data, int64, ascending."""
        return frozen(np.unique(self.segments.trial))

    @property
    def n_trials(self) -> int:
        """Number of trials or pieces with raw data."""
        return self.trials.size

    @property
    def n_steps(self) -> int:
        """Recorded steps of all trials."""
        return int(self.segments.n_steps.sum())

    @property
    def n_spikes(self) -> int | None:
        """Recorded spikes of all trials, or None where spikes were not recorded."""
        return int(self.segments.n_spikes.sum()) if self.has_spikes else None

    @property
    def has_spikes(self) -> bool:
        """Whether spikes were recorded."""
        return "spikes" in self._present

    @property
    def mean_rate(self) -> float:
        """Spikes per neuron and second, Hz; NaN without data."""
        seconds = self.n_steps * self.n_neurons * self.dt / 1000
        return self.n_spikes / seconds if seconds and self.n_spikes is not None else math.nan

    def spikes(self, trials: Any = None, time: tuple[float | None, float | None] | None = None, neurons: Any = None) -> Spikes:
        """Spikes of some trials, times and neurons.

        trials : a number of a trial or piece, a list of numbers, or a slice of numbers; None: all
        time : (start, stop) in ms of the trial, or of the stream, start <= step * dt < stop; None for an open end
        neurons : an index, a list or a slice; None: all

        Without a time they are all that were recorded, on both sides of a gap. Raises KeyError where spikes were not recorded,
        IndexError for trials, times and neurons that are not there, ValueError where the time has a gap.
        """
        self._need_open()
        index, low, high = self._within(self._segments_of(trials), time)
        if time is not None:
            need_no_gap(self, index, "spikes")
        return self._spikes(index, low, high, neurons)

    def _spikes_across_gaps(self, trials: Any = None, time: Any = None, neurons: Any = None) -> Spikes:
        """As `spikes`, for what shows or counts those that there are."""
        self._need_open()
        return self._spikes(*self._within(self._segments_of(trials), time), neurons)

    def _spikes(self, index: np.ndarray, low: int, high: int, neurons: Any = None) -> Spikes:
        """Spikes of these segments from step `low` to step `high` - 1."""
        if not self.has_spikes:
            raise KeyError(f"{self.path} has no spikes; it has {', '.join(map(repr, self.names))}")
        s = self.segments
        index = index[s.n_spikes[index] > 0]
        wanted = None
        if neurons is not None:
            wanted = np.zeros(self.n_neurons, bool)
            wanted[choose("neurons", neurons, np.arange(self.n_neurons))] = True
        index = index[np.argsort(s.spike[index], kind="stable")]
        result = []
        for piece in neighbours(index, s.spike, s.n_spikes):
            part = slice(s.spike[piece[0]], s.spike[piece[-1]] + s.n_spikes[piece[-1]])
            step, neuron = (self.read_entries(f"spikes/{name}", part).astype(np.int64) for name in ("step", "neuron"))
            trial, origin = (np.repeat(x[piece], s.n_spikes[piece]) for x in (s.trial, s.origin))
            step += origin
            keep = (step >= low) & (step < high)
            keep &= True if wanted is None else wanted[neuron]
            result.append((trial[keep], step[keep], neuron[keep]))
        if not result:
            return Spikes(*(frozen(np.empty(0, np.int64)) for _ in range(3)))
        return Spikes(*map(frozen, in_order(*(np.concatenate(x) for x in zip(*result, strict=True)))))

    @property
    def has_inputs(self) -> bool:
        """Whether inputs were recorded."""
        return "inputs" in self._present

    def inputs(self, trial: Any = None, time: tuple[float | None, float | None] | None = None) -> Events | np.ndarray:
        """What reached the network in one trial or stream, as `Simulator.run` takes it: its first step is the first one there is.

        trial, time : as of `Signal.read`

        Returns `Events`, or an array [steps, n_inputs] where any value that was recorded is not 1.
        Raises KeyError where inputs were not recorded, IndexError for a trial or time without data, ValueError for a gap.
        """
        self._need_open()
        index, low, high = self._within(one_line(self, trial, "Recording.inputs.trial"), time)
        need_no_gap(self, index, "inputs")
        s = self.segments
        start, stop = (max(int(s.begin[index[0]]), low), min(int(s.stop[index[-1]]), high)) if index.size else (0, 0)
        if stop <= start:
            raise fail("Recording.inputs.time", "hold at least one step", time, error=IndexError)
        _, step, channel, value = self._inputs(index, start, stop)
        if "value" not in self._input_columns:
            return Events(step - start, channel, stop - start)
        dense = np.zeros((stop - start, self._input_columns["channels"]), value.dtype)
        np.add.at(dense, (step - start, channel), value)
        return frozen(dense)

    @cached_property
    def _input_columns(self) -> dict[str, Any]:
        """Types of the columns of inputs, and the number of channels. Raises KeyError where inputs were not recorded."""
        if not self.has_inputs:
            raise KeyError(f"{self.path} has no inputs; Recorder(inputs=True) records them")

        def read(h5: h5py.File) -> dict[str, Any]:
            return {name: x.dtype for name, x in members(h5, "inputs").items()} | {
                "channels": int(h5["inputs"].attrs["channels"])
            }

        return self._read(read)

    def _inputs(self, index: np.ndarray, low: int, high: int) -> tuple[np.ndarray, ...]:
        """Trial, step, channel and value of the inputs of these segments from step `low` to step `high` - 1."""
        s, columns = self.segments, self._input_columns
        kind = columns.get("value", np.dtype(np.float32))
        parts = [(*(np.empty(0, np.int64) for _ in range(3)), np.empty(0, kind))]
        for piece in neighbours(index[s.n_inputs[index] > 0], s.input, s.n_inputs):
            part = slice(s.input[piece[0]], s.input[piece[-1]] + s.n_inputs[piece[-1]])
            step, channel = (self.read_entries(f"inputs/{name}", part).astype(np.int64) for name in ("step", "channel"))
            trial, origin = (np.repeat(x[piece], s.n_inputs[piece]) for x in (s.trial, s.origin))
            value = self.read_entries("inputs/value", part) if "value" in columns else np.ones(step.size, kind)
            value[np.isnan(value)] = 1  # of a time when all values were 1
            step += origin
            keep = (step >= low) & (step < high)
            parts.append((trial[keep], step[keep], channel[keep], value[keep]))
        return tuple(np.concatenate(x) for x in zip(*parts, strict=True))

    def _within(self, index: np.ndarray, time: Any) -> tuple[np.ndarray, int, int]:
        """Those of the segments that overlap with a time, and its steps. Raises IndexError where there are none."""
        s, (low, high) = self.segments, window(self.dt, time)
        inside = index[(s.begin[index] < high) & (s.stop[index] > low)]
        if time is None or inside.size or not (index.size or not s.trial.size):
            return inside, low, high
        begin, end = 0.0 if time[0] is None else float(time[0]), math.inf if time[1] is None else float(time[1])
        if begin < end and not ((s.begin[index] * self.dt < end) & (s.stop[index] * self.dt > begin)).any():
            unsure = not s.streams and before_streams(self.attrs) and not self.config.get("training")
            hint = "where trials are the pieces of a stream, open_recording(path, stream=True) says so" if unsure else ""
            raise fail("Recording.time", f"overlap with what was recorded, {self._spans(index)}", time, hint, IndexError)
        return inside, low, high

    def _spans(self, index: np.ndarray) -> str:
        """The times of these segments in a few characters."""
        s = self.segments
        if not index.size:
            return "which is nothing"
        order = index[np.argsort(s.begin[index], kind="stable")]
        start, stop = s.begin[order], np.maximum.accumulate(s.stop[order])
        cuts = np.flatnonzero(start[1:] > stop[:-1]) + 1
        spans = list(zip(start[np.r_[0, cuts]] * self.dt, stop[np.r_[cuts - 1, -1]] * self.dt, strict=True))
        shown = [f"{low:g} to {high:g} ms" for low, high in (spans if len(spans) <= 4 else [*spans[:2], spans[-1]])]
        return ", ".join(shown if len(spans) <= 4 else [*shown[:2], "...", shown[-1]])

    def _segments_of(self, trials: Any) -> np.ndarray:
        """Indices of the segments of these trials; of one trial at once, however many there are."""
        known = self.segments.trial
        if trials is None:
            return np.arange(known.size)
        if isinstance(trials, (int, np.integer)) and not isinstance(trials, bool):
            low, high = np.searchsorted(known, [int(trials), int(trials) + 1])
            if low < high:
                return np.arange(low, high)
        return np.flatnonzero(np.isin(known, choose("trials", trials, self.trials)))

    # Access to the file

    @property
    def file(self) -> h5py.File:
        """The HDF5 file; raises ValueError when closed.

        What is read from it directly is right only while no other process writes; the methods of a recording see to that.
        """
        self._need_open()
        return self._access.h5 or self._access.read(lambda h5: h5)

    def read_entries(self, name: str, part: slice, columns: Any = slice(None)) -> np.ndarray:
        """Committed entries of a data set."""
        return self._read(lambda h5: entries(h5, name, part, columns))

    def _read(self, function: Callable[[h5py.File], T]) -> T:
        """What `function` reads from the file. Raises OSError where it is damaged, or was replaced by another recording."""
        self._need_open()

        def checked(h5: h5py.File) -> T:
            if h5 is not self._checked and text(h5.attrs["created"]) != self.attrs["created"]:
                raise OSError("another recording took its place; open it again")
            self._checked = h5
            return function(h5)

        try:
            return self._access.read(checked)
        except DAMAGE as error:
            raise self._damaged(error) from error

    def _need_open(self) -> None:
        if self._closed:
            raise fail("Recording", "be open", "closed", "open_recording opens it again")

    def _damaged(self, error: Exception) -> OSError:
        text = str(error.args[0] if len(error.args) == 1 else error)
        return OSError(text if text.startswith("the recording ") else f"the recording {self.path} is damaged: {text}")


def need_no_gap(recording: Raw, index: np.ndarray, name: str, piece: Any = None) -> None:
    """Raise ValueError where one of these segments does not begin where the one before it, of the same time, ends.

    piece : that they must fill
    """
    s = recording.segments
    index = index[np.argsort(s.line[index], kind="stable")]
    begin, stop, line = s.begin[index], s.stop[index], s.line[index]
    begin, stop, same = begin[1:], stop[:-1], line[1:] == line[:-1]
    trial = s.trial[index[1:]]
    if piece is not None:
        begin, stop = np.append(s.begin[index], piece.steps.stop), np.append(piece.steps.start, s.stop[index])
        same, trial = begin > stop, np.full(begin.size, piece.trial)
    gap = np.flatnonzero(same & (begin != stop))
    if gap.size:
        first = int(gap[0])
        of = s.line[np.searchsorted(s.trial, trial[first])]
        what = "the stream" if recording.is_stream or (s.trial[s.line == of] != of).any() else f"trial {of}"
        span = f"from step {stop[first]} to {begin[first]}"
        raise ValueError(f"{what} has no {name} {span}; choose a time on one side of it")


def one_line(recording: Raw, trial: Any, where: str) -> np.ndarray:
    """The segments of a trial, of pieces of a stream, or (None) of all there is. Raises ValueError where that is more."""
    line, index = recording.segments.line, recording._segments_of(trial)
    if index.size and (line[index] != line[index[0]]).any():
        hint = "signal[trial][a:b] gives steps of a trial, to_xarray and to_pandas many trials"
        got = f"{np.unique(line[index]).size} trials" if trial is None else trial
        raise fail(where, "be one trial, or pieces of one stream", got, hint)
    return index
