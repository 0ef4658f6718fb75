"""Data sets that grow: appended to in memory, written in chunks, then committed.

    Column      one data set, growing along axis 0
    Stream      columns of one length, as the spikes (step, neuron) or the rows of a table
    Store       the file and its streams

A flush writes the pending values of every stream, raises the committed lengths, and commits the file (`journal`): all of it
comes to the disk, or nothing, and readers are told while it does (`pulse`). Values are pending together with the row at
which they belong, so that a flush that was interrupted can simply be repeated.
"""

from __future__ import annotations

import atexit
import itertools
import math
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import h5py
import numpy as np

from ..interrupts import shielded
from .journal import JournaledFile
from .schema import entry
from .slots import Slots

BUFFER_BYTES = 1 << 20  # pending values are handed to HDF5 when they exceed this
LITTLE_BYTES = 1 << 16  # but those of a stream that has fewer wait for the next commit, because each write costs time
PERIOD = 2.0  # s; the first append so long after the last commit makes the next one
CHUNK_BYTES = 1 << 17
TABLE_CHUNK_BYTES = 1 << 15
TEXT_CHUNK_BYTES = 1 << 11  # of references; texts are stored elsewhere in the file
COLUMNS_PER_CHUNK = 256  # of a trace, so that reading one neuron of many does not read all
OVERHEAD_BYTES = 128  # of a pending array, besides its values
TEXT = h5py.string_dtype()


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def chunk_shape(width: tuple[int, ...], itemsize: int, nbytes: int = CHUNK_BYTES, inner: int | None = None) -> tuple[int, ...]:
    """The chunk (rows, *width) of at most `nbytes`, with at most `inner` entries along the last axis."""
    budget = max(1, nbytes // itemsize)
    chunk = []
    for size in reversed(width):
        chunk.append(max(1, min(size, inner or budget, budget)))
        budget = max(1, budget // chunk[-1])
    return (budget, *reversed(chunk))


def describe_dataset(dataset: h5py.Dataset, name: str) -> None:
    """Set the unit and the description of a data set."""
    dataset.attrs["units"], dataset.attrs["description"] = entry(name).units, entry(name).description


class Column:
    """A data set [rows, *width]; rows that are never written hold NaN (floats) or -1 (signed integers)."""

    def __init__(self, store: Store, group: h5py.Group, name: str, dtype: Any, width: tuple[int, ...], chunk: tuple[int, ...]):
        dtype = np.dtype(dtype)
        options: dict[str, Any] = {}
        if dtype.kind in "fi":
            options["fillvalue"] = np.nan if dtype.kind == "f" else -1
        if store.compression is not None and dtype != TEXT:
            options |= {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        maxshape = (None, *(size or None for size in width))
        self.store, self.dtype, self.width = store, dtype, width
        if name not in group:  # else of a recording that goes on
            describe_dataset(group.create_dataset(name, (0, *width), dtype, chunks=chunk, maxshape=maxshape, **options), name)
        self.dataset = _open_to_append(group, name)
        self.pending: list[tuple[int, np.ndarray]] = []
        self.pending_bytes = 0
        plain = self.dataset.compression is None and dtype.kind in "fiu" and chunk == self.dataset.chunks
        self._plain = np.zeros(chunk, dtype) if plain and len(width) else None  # a chunk as it stands in the file

    def put(self, row: int, values: Any) -> None:
        """Keep values [k, *width] for the rows from `row`: a copy, except of arrays that the next flush writes at once."""
        values = np.asarray(values)
        if values.nbytes < BUFFER_BYTES:
            array = np.array(values, self.dtype, order="C")
        else:
            array = np.ascontiguousarray(values, self.dtype)
        self.pending.append((row, array))
        self.pending_bytes += array.nbytes + OVERHEAD_BYTES
        self.store.buffered += array.nbytes + OVERHEAD_BYTES

    def write(self, rows: int) -> None:
        """Write what is pending, and bring the data set to this number of rows."""
        if self.dataset.shape[0] < rows:
            self.dataset.resize(rows, axis=0)
        for row, array in _runs(self.pending):
            if array.shape[0] and self._plain is not None and array.nbytes >= self._plain.nbytes:
                self._write_chunks(row, array)
            elif array.shape[0]:
                self.dataset[row : row + array.shape[0]] = array
        self.pending, self.pending_bytes = [], 0

    def _write_chunks(self, row: int, array: np.ndarray) -> None:
        """Write whole chunks past HDF5's cache of chunks, which costs as much as the writing itself; the rest through it."""
        assert self._plain is not None
        rows, *inner = self._plain.shape
        end = row + array.shape[0]
        first, last = -(-row // rows) * rows, end // rows * rows
        if first >= last:
            self.dataset[row:end] = array
            return
        for begin, stop in ((row, first), (last, end)):
            if begin < stop:
                self.dataset[begin:stop] = array[begin - row : stop - row]
        places = [range(0, size, step) for size, step in zip(self.width, inner, strict=True)]
        for at in itertools.product(range(first, last, rows), *places):
            part = array[(slice(at[0] - row, at[0] - row + rows), *(slice(a, a + n) for a, n in zip(at[1:], inner, strict=True)))]
            self._plain[tuple(slice(0, n) for n in part.shape)] = part
            self.dataset.id.write_direct_chunk(at, self._plain)


def _open_to_append(group: h5py.Group, name: str) -> h5py.Dataset:
    """A data set, with room in HDF5's cache for the chunks that are not full yet and no more: full ones need not be kept."""
    dataset = group[name]
    rows = math.prod(-(-size // step) for size, step in zip(dataset.shape[1:], dataset.chunks[1:], strict=True))
    room = 2 * rows * math.prod(dataset.chunks) * dataset.dtype.itemsize
    del dataset  # the cache of a data set is that of its first opening
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(521, room, 1.0)
    return h5py.Dataset(h5py.h5d.open(group.id, name.encode(), access))


def _runs(pending: list[tuple[int, np.ndarray]]) -> list[tuple[int, np.ndarray]]:
    """The same values with neighbouring pieces joined."""
    runs: list[tuple[int, list[np.ndarray]]] = []
    end = None
    for row, array in pending:
        if row == end:
            runs[-1][1].append(array)
        else:
            runs.append((row, [array]))
        end = row + array.shape[0]
    return [(row, pieces[0] if len(pieces) == 1 else np.concatenate(pieces)) for row, pieces in runs]


class Stream:
    """Columns of one length `n`. With a group, its attribute "committed" is that length after each flush."""

    def __init__(self, store: Store, group: h5py.Group | None = None):
        self.store, self.group = store, group
        self.columns: dict[str, Column] = {}
        self.n = self.committed = 0
        if group is not None and "committed" in group.attrs:  # of a recording that goes on
            self.n = self.committed = int(group.attrs["committed"])
        elif group is not None:
            group.attrs["committed"] = np.int64(0)
        store.streams.append(self)

    def add(
        self,
        name: str,
        dtype: Any,
        width: tuple[int, ...] = (),
        *,
        group: h5py.Group | None = None,
        nbytes: int = CHUNK_BYTES,
        inner: int | None = None,
    ) -> Column:
        """A new column, filled up to the present length; `group` where it is not the stream's own."""
        parent = self.group if group is None else group
        dtype = np.dtype(dtype)
        chunk = chunk_shape(width, dtype.itemsize, nbytes, inner)
        column = self.columns[name] = Column(self.store, parent, name, dtype, width, chunk)
        column.dataset.attrs["position"] = len(self.columns) - 1
        return column

    def extend(self, k: int, values: Mapping[str, Any]) -> None:
        """Append k entries; a column without values keeps its fill value there."""
        for name, array in values.items():
            self.columns[name].put(self.n, array)
        self.n += k

    @property
    def pending(self) -> int:
        """Bytes that are pending."""
        return sum(column.pending_bytes for column in self.columns.values())

    def write(self) -> None:
        for column in self.columns.values():
            column.write(self.n)

    def commit(self) -> None:
        if self.group is not None and self.committed != self.n:
            self.group.attrs.modify("committed", np.int64(self.n))
            self.committed = self.n


class Store:
    """An open file, its streams in the order of writing, and the bytes that are pending."""

    def __init__(self, file: h5py.File, journal: JournaledFile, compression: str | None, path: str):
        self.file, self.journal, self.compression, self.path = file, journal, compression, path
        self.streams: list[Stream] = []
        self.slots: Slots | None = None
        self.before_closing: Callable[[], None] | None = None  # appends what waits for the end
        self.buffered, self.written = 0, False  # bytes that are pending; whether some are written but not committed
        self.flushed_at = time.monotonic()
        self.process = os.getpid()
        atexit.register(self.close, "interrupted")  # registered after h5py's own, it runs before: h5py then still writes text

    def flush_if_due(self) -> None:
        """Write where much is pending; commit what was written where the last commit is long ago."""
        if (self.buffered or self.written) and time.monotonic() - self.flushed_at > PERIOD:
            self.flush()
        elif self.buffered >= BUFFER_BYTES:
            self._write(LITTLE_BYTES)

    def flush(self) -> None:
        """Write everything that is pending and commit it. Raises OSError naming the file."""
        self._write()
        try:
            for stream in self.streams:
                stream.commit()
            self.commit()
        except (OSError, RuntimeError) as error:
            raise self._failure("written", error) from error
        self.written, self.flushed_at = False, time.monotonic()

    def _write(self, least: int = 0) -> None:
        """Have HDF5 write what is pending of the streams that have so many bytes, not yet committed. Raises OSError naming the
        file."""
        try:
            waiting = 0
            for stream in self.streams:
                pending = stream.pending
                if pending >= least:
                    stream.write()
                else:
                    waiting += pending
            self.file.flush()
        except (OSError, RuntimeError) as error:
            raise self._failure("written", error) from error
        self.buffered, self.written = waiting, True

    def _failure(self, what: str, error: Exception) -> OSError:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        return OSError(f"the recording {self.path} cannot be {what}: {why}; what was written before is whole")

    def commit(self) -> None:
        """Make the file's present state the one that a kill leaves."""
        self.file.flush()
        self.journal.commit()

    def checkpoint(self, values: dict[str, Any], arrays: Mapping[str, Any], constants: Mapping[str, Any], headroom: int) -> None:
        """Begin to write a checkpoint; what was recorded so far comes to the disk before it. Raises OSError naming the file."""
        if self.slots is None:
            self.slots = Slots(self.file, self.journal.path, self.commit)
        self.flush()
        self.slots.write(values, arrays, constants, headroom)

    def keep(self, number: int, values: dict[str, Any], arrays: Mapping[str, Any], constants: Mapping[str, Any]) -> None:
        """Write a state that stays. Raises OSError naming the file."""
        if self.slots is None:
            self.slots = Slots(self.file, self.journal.path, self.commit)
        kept, counters = self.slots.keep(number, values, arrays, constants), values["counters"]
        kept.attrs["trials"], kept.attrs["steps"] = np.int64(counters["trials_done"]), np.int64(counters["stream_steps"])
        self.flush()

    @shielded
    def close(self, status: str) -> None:
        """Write everything, set the status and close; a second call does nothing."""
        if not self.file or self.process != os.getpid():
            return
        try:
            try:
                if self.before_closing is not None:
                    self.before_closing()
                self.flush()
                self.file.attrs["status"], self.file.attrs["closed"] = status, now()
            finally:
                if self.slots is not None:
                    self.slots.wait()
        finally:
            self.file.close()
            try:
                self.journal.commit()
            except OSError as error:
                raise self._failure("closed", error) from error
            finally:
                self.journal.close()
                atexit.unregister(self.close)
