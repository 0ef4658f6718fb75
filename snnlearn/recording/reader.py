"""`open_recording`: what a file holds, read by names and slices and never as a whole. The layout is documented in `schema`."""

from __future__ import annotations

import json
import math
import os
import pathlib
from collections import namedtuple
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import h5py
import numpy as np

from .._check import fail
from .access import choose, frozen, listed, neighbours, open_file, plain, window
from .schema import SIGNALS, check_format
from .signal import Signal


class Spikes(NamedTuple):
    """Spikes sorted by trial, step and neuron; read-only arrays [spikes]."""

    trial: np.ndarray  # int64
    step: np.ndarray  # int64, counted within the trial; the time is step * dt
    neuron: np.ndarray  # int64


class Event(NamedTuple):
    """Something that happened during the run."""

    time: str  # ISO 8601, UTC
    kind: str
    message: str


class Segments(NamedTuple):
    """Contiguous pieces of trials, sorted by trial and start; int64 arrays [segments]."""

    trial: np.ndarray
    start: np.ndarray
    n_steps: np.ndarray
    row: np.ndarray
    spike: np.ndarray
    n_spikes: np.ndarray


def open_recording(path: str | os.PathLike[str]) -> Recording:
    """Open a recording for reading, also one that is still being written (as far as it was committed by now).

    Raises FileNotFoundError, IsADirectoryError, ValueError (no recording, or of a newer version) or OSError (truncated).
    """
    return Recording(path)


class Recording:
    """A recording, open for reading; a context manager.

    attrs : attributes of the file; status, versions, dt (ms), n_neurons, n_outputs are among them
    config : the configuration of the run
    names : names of the recorded signals; `recording["v"]` is a `Signal`
    tables : names of the tables; `recording.table("trials").loss`
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = pathlib.Path(path)
        self._h5 = open_file(self.path)
        try:
            self.attrs = {name: plain(value) for name, value in self._h5.attrs.items()}
            check_format(self.path, self.attrs)
            self.dt, self.status = float(self.attrs["dt"]), str(self.attrs["status"])
            self.n_neurons, self.n_outputs = int(self.attrs["n_neurons"]), int(self.attrs["n_outputs"])
            self.versions: dict[str, str] = json.loads(self.attrs["versions"])
            self.config: dict[str, Any] = json.loads(self._h5["configuration"][()])
            self._committed = {name: int(g.attrs["committed"]) for name, g in self._growing()}
            self._has_spikes = "spikes" in self._h5
            self.segments = self._read_segments()
        except (KeyError, OSError, RuntimeError) as error:
            self._h5.close()
            raise self._damaged(error) from error
        except BaseException:
            self._h5.close()
            raise

    def _growing(self) -> Iterator[tuple[str, h5py.Group]]:
        for name in ("segments", "events", "weights"):
            if name in self._h5:
                yield name, self._h5[name]
        for name, group in self._h5.get("tables", {}).items():
            yield f"tables/{name}", group

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._h5.close()

    def __repr__(self) -> str:
        state = "" if self._h5 else ", closed"
        n = self.n_spikes
        lines = [
            f"Recording({str(self.path)!r}{state}), {self.status}",
            f"  {self.n_neurons} neurons, {self.n_outputs} outputs, dt {self.dt:g} ms",
            f"  {self.n_trials} trials with raw data, {self.n_steps} steps, {self.n_steps * self.dt / 1000:g} s",
        ]
        if n is not None:
            lines.append(f"  {n} spikes, mean rate {self.mean_rate:.3g} Hz")
        if self._h5:
            lines += [f"  {signal!r}" for signal in map(self.__getitem__, self.names)]
            lines += [f"  table {name}: {self._committed[f'tables/{name}']} rows" for name in self.tables]
            lines.append(f"  {len(self.weight_updates)} snapshots of the weights, {self._committed['events']} events")
        return "\n".join(lines)

    # Raw data

    @cached_property
    def trials(self) -> np.ndarray:
        """Numbers of the trials with raw data, int64, ascending."""
        return frozen(np.unique(self.segments.trial))

    @property
    def n_trials(self) -> int:
        """Number of trials with raw data."""
        return self.trials.size

    @property
    def n_steps(self) -> int:
        """Recorded steps of all trials."""
        return int(self.segments.n_steps.sum())

    @property
    def n_spikes(self) -> int | None:
        """Recorded spikes of all trials, or None where spikes were not recorded."""
        return int(self.segments.n_spikes.sum()) if self._has_spikes else None

    @property
    def mean_rate(self) -> float:
        """Spikes per neuron and second, Hz; NaN without data."""
        seconds = self.n_steps * self.n_neurons * self.dt / 1000
        return self.n_spikes / seconds if seconds and self.n_spikes is not None else math.nan

    def spikes(self, trials: Any = None, time: tuple[float | None, float | None] | None = None, neurons: Any = None) -> Spikes:
        """Spikes of some trials, times and neurons.

        trials : a trial's number, a list of numbers, or a slice of numbers; None: all
        time : (start, stop) in ms within the trial, start <= step * dt < stop; None for an open end
        neurons : an index, a list or a slice; None: all

        Raises KeyError where spikes were not recorded, IndexError for trials and neurons that are not there.
        """
        if "spikes" not in self.file:
            raise KeyError(f"{self.path} has no spikes; it has {', '.join(map(repr, self.names))}")
        s, (low, high) = self.segments, window(self.dt, time)
        use = (s.start < high) & (s.start + s.n_steps > low) & (s.n_spikes > 0)
        if trials is not None:
            use &= np.isin(s.trial, choose("trials", trials, self.trials))
        wanted = None
        if neurons is not None:
            wanted = np.zeros(self.n_neurons, bool)
            wanted[choose("neurons", neurons, np.arange(self.n_neurons))] = True
        index = np.flatnonzero(use)
        index = index[np.argsort(s.spike[index])]
        result = []
        for piece in neighbours(index, s.spike, s.n_spikes):
            part = slice(s.spike[piece[0]], s.spike[piece[-1]] + s.n_spikes[piece[-1]])
            step, neuron = (self.read_entries(f"spikes/{name}", part).astype(np.int64) for name in ("step", "neuron"))
            trial = np.repeat(s.trial[piece], s.n_spikes[piece])
            keep = (step >= low) & (step < high)
            keep &= True if wanted is None else wanted[neuron]
            result.append((trial[keep], step[keep], neuron[keep]))
        if not result:
            return Spikes(*(frozen(np.empty(0, np.int64)) for _ in range(3)))
        return Spikes(*map(frozen, _sorted(*(np.concatenate(x) for x in zip(*result, strict=True)))))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the signals that `recording[name]` gives."""
        return (*self.file.get("traces", {}), *(name for name in SIGNALS if name in self.file))

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> Signal:
        """The signal of this name, unread. Raises KeyError that lists the names in the file."""
        if name not in self.names:
            raise KeyError(f"{self.path} has no {name!r}; it has {', '.join(map(repr, self.names)) or 'no signals'}")
        return Signal(self, name)

    # Tables, weights, events

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables."""
        return tuple(self.file.get("tables", {}))

    def table(self, name: str) -> Any:
        """A NamedTuple of the table's columns, read-only arrays [rows]. Raises KeyError that lists the tables."""
        if name not in self.tables:
            raise KeyError(f"{self.path} has no table {name!r}; it has {', '.join(map(repr, self.tables)) or 'no tables'}")
        group = f"tables/{name}"
        columns = sorted(self.file[group], key=lambda column: self.file[group][column].attrs["position"])
        values = [frozen(self.read_entries(f"{group}/{column}", slice(0, self._committed[group]))) for column in columns]
        return namedtuple(name.capitalize(), columns)(*values)  # type: ignore[misc]

    @cached_property
    def weight_updates(self) -> np.ndarray:
        """The number of updates before each snapshot of the weights, int64."""
        if "weights" not in self.file:
            return frozen(np.empty(0, np.int64))
        return frozen(self.read_entries("weights/update", slice(0, self._committed["weights"])))

    def weights(self, update: int | None = None) -> Any:
        """The weights after `update` updates; None or -1: the last snapshot.

        Returns a NamedTuple (w_in, w_rec, w_out, b_out) of read-only arrays [pre, post] or csr_array.
        Raises KeyError where there are no weights, IndexError that lists the updates with a snapshot.
        """
        updates = self.weight_updates
        if not updates.size:
            raise KeyError(f"{self.path} has no weights; Recorder(weights_every=...) records them")
        update = int(updates[-1]) if update is None or update == -1 else update
        where = np.flatnonzero(updates == update)
        if where.size != 1:
            raise fail("Recording.weights.update", f"be one of {listed(updates)}", update, error=IndexError)
        group = self.file["weights"]
        names = [name for name in group if name != "update" and "shape" in group[name].attrs]
        names.sort(key=lambda name: group[name].attrs["position"])
        values = []
        for name in names:
            value = frozen(self.read_entries(f"weights/{name}", slice(int(where[0]), int(where[0]) + 1))[0])
            if f"{name}_indptr" in group:
                from scipy.sparse import csr_array

                indices, indptr = (group[f"{name}_{part}"][...] for part in ("indices", "indptr"))
                value = csr_array((value, indices, indptr), shape=tuple(group[name].attrs["shape"]))
            values.append(value)
        return namedtuple("Weights", names)(*values)  # type: ignore[misc]

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """What happened during the run, in order."""
        part = slice(0, self._committed["events"])
        columns = [[text.decode() for text in self.read_entries(f"events/{name}", part)] for name in Event._fields]
        return tuple(Event(*values) for values in zip(*columns, strict=True))

    # Access to the file

    @property
    def file(self) -> h5py.File:
        """The HDF5 file; raises ValueError when closed."""
        if not self._h5:
            raise fail("Recording", "be open", "closed", "open_recording opens it again")
        return self._h5

    def read_entries(self, name: str, part: Any, shape: Any = slice(None)) -> np.ndarray:
        """Committed entries of a data set."""
        try:
            dataset = self.file[name]
            if dataset.shape[0] < part.stop:
                raise KeyError(f"{name} has {dataset.shape[0]} of {part.stop} entries")
            return dataset[part] if dataset.ndim == 1 else dataset[part, shape]
        except (KeyError, OSError, RuntimeError) as error:
            raise self._damaged(error) from error

    def _read_segments(self) -> Segments:
        part = slice(0, self._committed["segments"])
        columns = [self.read_entries(f"segments/{name}", part) for name in Segments._fields]
        order = np.lexsort((columns[1], columns[0]))
        return Segments(*(frozen(column[order]) for column in columns))

    def _damaged(self, error: Exception) -> OSError:
        return OSError(f"the recording {self.path} is damaged: {error.args[0] if error.args else error}")


def _sorted(trial: np.ndarray, step: np.ndarray, neuron: np.ndarray) -> tuple[np.ndarray, ...]:
    """The spikes in order of trial, step, neuron."""
    by_trial, by_step, by_neuron = np.diff(trial), np.diff(step), np.diff(neuron)
    late = (by_trial < 0) | ((by_trial == 0) & ((by_step < 0) | ((by_step == 0) & (by_neuron < 0))))
    if late.any():
        order = np.lexsort((neuron, step, trial))
        return trial[order], step[order], neuron[order]
    return trial, step, neuron
