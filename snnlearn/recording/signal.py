"""`Signal`: one recorded variable, readout or target, read on demand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import h5py
import numpy as np

from .._check import fail, integer, slice_text
from ..storage.integrity import members, text
from ..storage.open_file import LAST_STEP, PIECE, choose, frozen, listed
from .raw import Raw, need_no_gap, one_line
from .schema import SIGNALS


class SignalRows(NamedTuple):
    """Some rows of a signal, in order of trial and step."""

    trial: np.ndarray  # int64 [rows]
    step: np.ndarray  # int64 [rows], of the trial or of the stream
    line: np.ndarray  # int64 [rows], of what shares an axis of time, see `index`
    values: Any  # [rows, columns]


class Signal:
    """A recorded signal, read on demand.

        signal[trial]           the whole trial, or piece of a stream, [steps, columns]
        signal[1000:2000]       steps of a stream, or of the only trial; also [-100:], [:], [::-1], and [1000:2000, 3]
        signal.read(trial, time=(100, 200), neurons=[3])
        np.asarray(signal)      the whole stream, or the only trial; so do NumPy's functions, as np.mean(signal, axis=0)

    name, units, description : as in the file
    neurons : int32 [columns], the neuron of each column; None for readout, target and traces of synapses
    pairs : int32 [columns, 2], the synapse (pre, post) of each column; None where columns are no synapses
    every : steps between two rows, counted within each trial or piece
    dtype; shape : type and size of all that is recorded, (rows, columns), or (rows,) for class labels
    """

    def __init__(self, recording: Raw, name: str):
        self._recording, self.name = recording, name
        self._path = name if name in SIGNALS else f"traces/{name}"
        recorded = name not in SIGNALS

        def read(h5: h5py.File) -> tuple[Any, ...]:
            dataset = h5[self._path]
            neurons = frozen(h5[f"neurons/{name}"][...]) if recorded and name in members(h5, "neurons") else None
            pairs = frozen(h5[f"pairs/{name}"][...]) if name in members(h5, "pairs") else None
            texts = (text(dataset.attrs["units"]), text(dataset.attrs["description"]))
            return (*texts, dataset.dtype, dataset.shape[1:], neurons, pairs)

        self.units, self.description, self.dtype, width, self.neurons, self.pairs = recording._read(read)
        self.every = int(recording.attrs.get("every_steps", 1))
        s = recording.segments
        self._before = self._row(s.start)  # rows of the piece before each segment
        self._rows = self._row(s.start + s.n_steps) - self._before  # of each segment
        self.shape: tuple[int, ...] = (int(self._rows.sum()), *width)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._recording, self.name)

    def _row(self, step: Any) -> Any:
        """Rows of a trial or piece before this step of it."""
        return -(-step // self.every)

    def __repr__(self) -> str:
        return f"{self.name}: {self.dtype} {list(self.shape)}"

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, tuple) and len(key) == 2 and len(self.shape) == 2:
            return frozen(self[key[0]][:, key[1]])
        if not isinstance(key, slice):
            return self.read(self._number(key))
        index = self._index(None)
        s = self._recording.segments
        first, last = (int(s.begin[index[0]]), int(s.stop[index[-1]])) if index.size else (0, 0)
        steps = self._steps(key, last)
        if not steps:
            if key.start is None or key.start >= last or not index.size:
                self._outside(key, first, last)
            return self.rows(index[:0])
        low, high = max(min(steps[0], steps[-1]), first), max(steps[0], steps[-1]) + 1
        if low >= high:
            self._outside(key, first, last)
        index = index[(s.begin[index] < high) & (s.stop[index] > low)]
        if not index.size:
            self._outside(key, first, last)
        need_no_gap(self._recording, index, self.name)
        width, parts = int(np.prod(self.shape[1:], dtype=int)), []
        for part in self.read_rows(index, low, high, entries=PIECE if abs(steps.step) == 1 else max(PIECE // 64, width)):
            use = (part.step - steps[0]) % abs(steps.step) == 0
            parts.append(part.values if use.all() else part.values[use])
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return frozen(values[::-1] if steps.step < 0 else values)

    def _number(self, key: Any) -> int:
        """The number of a trial or piece that a key is."""
        streams, where = self._recording.segments.streams, f"{self.name}[trial]"
        need = "be the number of a piece, or a slice of steps" if streams else "be the number of a trial"
        if isinstance(key, (list, tuple, np.ndarray)):
            several = "read([...]) takes several pieces" if streams else "to_xarray gives several trials"
            raise fail(where, need, key, several, TypeError)
        number = integer(where, key, need)
        if number < 0:
            last = f"{self.name}[-1:] is the last step" if self._recording.is_stream else "recording.trials has the numbers"
            raise fail(where, f"be among {listed(self._recording.trials)}", number, last, IndexError)
        return number

    def _steps(self, key: slice, stop: int) -> range:
        """The steps of a slice, of so many."""
        where, hint = f"{self.name}[a:b]", "read(time=(start, stop)) takes times in ms"
        for value in (key.start, key.stop, key.step):
            if value is not None and (isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer))):
                raise fail(where, "be a slice of steps, whole numbers", slice_text(key), hint, TypeError)
        if key.step == 0:
            raise fail(where, "be a slice of steps, not every 0th", slice_text(key))
        return range(*key.indices(stop))

    def _outside(self, key: slice, first: int, last: int) -> None:
        need = f"overlap with the steps that were recorded, {first}:{last}"
        raise fail(f"{self.name}[a:b]", need, slice_text(key), error=IndexError)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """For NumPy: what `read()` gives, the whole stream or the only trial. ValueError where there are several trials."""
        if copy is False:
            raise fail(f"np.asarray({self.name})", "be a copy, because a signal is read from the file", "copy=False")
        values = self.read()
        return values.astype(values.dtype if dtype is None else dtype)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[trial] for trial in self._recording.trials.tolist())

    def steps(self, trial: Any = None, time: tuple[float | None, float | None] | None = None) -> range | np.ndarray:
        """The step of each row of `read`, from the first to the last one; a range, or an int64 array where it is none."""
        index, low, high = self._recording._within(self._index(trial), time)
        steps = np.concatenate([part.step for part in self._places(index, low, high)])
        if not steps.size:
            return range(0)
        if ((steps - steps[0]) % self.every == 0).all():
            return range(int(steps[0]), int(min(self._recording.segments.stop[index[-1]], high)), self.every)
        return frozen(steps)

    def read(self, trial: Any = None, time: tuple[float | None, float | None] | None = None, neurons: Any = None) -> np.ndarray:
        """A part of one trial or stream, [rows, columns], read-only: a row a step, or every so many steps (`every`).

        trial : its number; of a stream also a list or a slice of its pieces; None: all of the stream, or the only trial
        time : (start, stop) in ms of the trial or stream, start <= step * dt < stop; None for an open end
        neurons : an index, a list or a slice of neuron indices; the columns come in this order

        Raises IndexError for a trial, time or neurons without data, ValueError where the steps have a gap.
        """
        return self.rows(*self._recording._within(self._index(trial), time), neurons)

    def rows(self, index: np.ndarray, low: int = 0, high: int = LAST_STEP, neurons: Any = None) -> np.ndarray:
        """The rows from step `low` to step `high` - 1 of these segments of one trial or stream. Raises ValueError for a gap."""
        s = self._recording.segments
        index = index[(s.begin[index] < high) & (s.stop[index] > low)]
        need_no_gap(self._recording, index, self.name)
        parts = [part.values for part in self.read_rows(index, low, high, neurons)]
        return frozen(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def read_rows(
        self, index: np.ndarray, low: int = 0, high: int = LAST_STEP, neurons: Any = None, entries: int = PIECE
    ) -> Iterator[SignalRows]:
        """The rows from step `low` to step `high` - 1 of these segments, of any trials, in their order; at least one part.

        entries : values that are read at a time, at most about so many
        """
        columns, pick = self._columns(neurons)
        width = max(1, int(np.prod(self.shape[1:], dtype=int)))
        for part in self._places(index, low, high, max(1, entries // width)):
            values = self._recording.read_entries(self._path, part.values, columns)
            yield part._replace(values=values if pick is None else values[:, pick])

    def _places(self, index: np.ndarray, low: int, high: int, limit: int = PIECE) -> Iterator[SignalRows]:
        """The same, with slices of rows in place of the values; at most `limit` rows at a time."""
        s = self._recording.segments
        begin, end = (
            np.clip(self._row(np.maximum(step - s.origin[index], 0)) - self._before[index], 0, self._rows[index])
            for step in (low, high)
        )
        kept = np.maximum(end - begin, 0)
        index, begin, kept = (x[kept > 0] for x in (index, begin, kept))
        if not index.size:
            empty = np.empty(0, np.int64)
            yield SignalRows(empty, empty, empty, slice(0, 0))
            return
        first, total = s.row[index] + begin, np.cumsum(kept)
        cuts = (first[1:] != first[:-1] + kept[:-1]) | (np.diff((total - kept) // limit) != 0)
        for part in np.split(np.arange(index.size), np.flatnonzero(cuts) + 1):
            at, count, row = index[part], kept[part], int(first[part[0]])
            place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count - self._before[at] - begin[part], count)
            trial, line, origin = (np.repeat(x[at], count) for x in (s.trial, s.line, s.origin))
            step = origin + self.every * place
            for a in range(0, trial.size, limit):
                use = slice(a, min(trial.size, a + limit))
                yield SignalRows(trial[use], step[use], line[use], slice(row + use.start, row + use.stop))

    def _index(self, trial: Any) -> np.ndarray:
        """The segments of a trial, of pieces of a stream, or of all there is where that is one trial or stream."""
        if isinstance(trial, (int, np.integer)) and not isinstance(trial, bool):
            low, high = np.searchsorted(self._recording.segments.trial, [int(trial), int(trial) + 1])
            if low == high:
                raise fail(f"{self.name}[trial]", f"be among {listed(self._recording.trials)}", int(trial), error=IndexError)
            return np.arange(low, high)
        return one_line(self._recording, trial, f"{self.name}.read.trial")

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
