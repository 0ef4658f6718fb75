"""`Signal`: one recorded variable, readout or target, read on demand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from .._check import fail, integer
from .access import choose, frozen, listed, neighbours, window
from .integrity import members, text
from .schema import SIGNALS

if TYPE_CHECKING:
    from .reader import Recording


class Signal:
    """A recorded signal, read on demand: `signal[trial]` is the array [steps, columns] of a whole trial.

    name, units, description : as in the file
    neurons : int32 [columns], the neuron of each column; None for readout, target and traces of synapses
    pairs : int32 [columns, 2], the synapse (pre, post) of each column; None where columns are no synapses
    every : steps between two rows
    dtype; shape : type and size of all that is recorded, (rows, columns), or (rows,) for class labels
    """

    def __init__(self, recording: Recording, name: str):
        self._recording, self.name = recording, name
        self._path = name if name in SIGNALS else f"traces/{name}"
        recorded = name not in SIGNALS

        def read(h5: h5py.File) -> tuple[Any, ...]:
            dataset = h5[self._path]
            neurons = frozen(h5[f"neurons/{name}"][...]) if recorded and name in members(h5, "neurons") else None
            pairs = frozen(h5[f"pairs/{name}"][...]) if name in members(h5, "pairs") else None
            return (
                text(dataset.attrs["units"]),
                text(dataset.attrs["description"]),
                dataset.dtype,
                dataset.shape[1:],
                neurons,
                pairs,
            )

        self.units, self.description, self.dtype, width, self.neurons, self.pairs = recording._read(read)
        self.every = int(recording.attrs.get("every_steps", 1))
        s = recording.segments
        self._rows = self._row(s.start + s.n_steps) - self._row(s.start)  # of each segment
        self.shape: tuple[int, ...] = (int(self._rows.sum()), *width)

    def _row(self, step: Any) -> Any:
        """Rows of a trial before this step."""
        return -(-step // self.every)

    def __repr__(self) -> str:
        return f"{self.name}: {self.dtype} {list(self.shape)}"

    def __getitem__(self, trial: int) -> np.ndarray:
        return self.read(trial)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[trial] for trial in self._recording.trials)

    def steps(self, trial: int) -> range:
        """The steps of a trial from the first to the last recorded one; row 0 of `signal[trial]` is the first."""
        s, index = self._recording.segments, self._segments(trial)
        first, stop = int(s.start[index[0]]), int(s.start[index[-1]] + s.n_steps[index[-1]])
        return range(int(self._row(first)) * self.every, stop, self.every)

    def read(self, trial: int, time: tuple[float | None, float | None] | None = None, neurons: Any = None) -> np.ndarray:
        """A part of one trial, [rows, columns], read-only: a row a step, or every so many steps (`every`).

        time : (start, stop) in ms within the trial, start <= step * dt < stop; None for an open end
        neurons : an index, a list or a slice of neuron indices; the columns come in this order

        Raises IndexError for a trial or neurons without data, ValueError where the steps have a gap.
        """
        s, index, (low, high) = self._recording.segments, self._segments(trial), window(self._recording.dt, time)
        index = index[(s.start[index] < high) & (s.start[index] + s.n_steps[index] > low)]
        ends = s.start[index] + s.n_steps[index]
        gap = np.flatnonzero(s.start[index][1:] != ends[:-1])
        if gap.size:
            at = int(ends[gap[0]]), int(s.start[index][gap[0] + 1])
            raise ValueError(f"trial {trial} has no {self.name} from step {at[0]} to {at[1]}; choose a time on one side of it")
        columns, pick = self._columns(neurons)
        parts = []
        for piece in neighbours(index, s.row, self._rows):
            first, last = piece[0], piece[-1]
            begin = s.row[first] + max(0, self._row(low) - self._row(s.start[first]))
            end = s.row[last] + min(self._rows[last], self._row(high) - self._row(s.start[last]))
            parts.append(self._recording.read_entries(self._path, slice(int(begin), int(end)), columns))
        if not parts:
            parts = [self._recording.read_entries(self._path, slice(0, 0), columns)]
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return frozen(values if pick is None else values[:, pick])

    def _segments(self, trial: int) -> np.ndarray:
        integer(f"{self.name}[trial]", trial, "be the number of a trial")
        known = self._recording.segments.trial
        low, high = np.searchsorted(known, [trial, trial + 1])
        if low == high:
            raise fail(f"{self.name}[trial]", f"be among {listed(self._recording.trials)}", trial, error=IndexError)
        return np.arange(low, high)

    def _columns(self, neurons: Any) -> tuple[slice, np.ndarray | None]:
        """The columns to read, and those of them to keep."""
        if neurons is None:
            return slice(None), None
        if self.neurons is None:
            what = "outputs only" if self.pairs is None else "synapses only, those of `pairs`"
            raise fail(f"{self.name}.read.neurons", f"be None, as there are {what}", neurons)
        order = np.argsort(self.neurons)
        wanted = choose("neurons", neurons, self.neurons)
        position = order[np.searchsorted(self.neurons, wanted, sorter=order)]
        if not position.size:
            return slice(0, 0), None
        low = int(position.min())
        return slice(low, int(position.max()) + 1), position - low
