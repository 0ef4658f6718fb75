"""Data sets that grow: appended to in memory, written in chunks, then committed.

    Column      one data set, growing along axis 0 (`column`)
    Stream      columns of one length, as the spikes (step, neuron) or the rows of a table
    Store       the file and its streams

A flush writes the pending values of every stream, awaits the chunks that are being compressed (`compression`), raises the
committed lengths, and commits the file (`journal`): all of it comes to the disk, or nothing, and readers are told while it
does (`seqlock`). README.md has the order of all bytes.

Values are pending together with the row at which they belong, so that a flush that was interrupted can simply be repeated.
"""

from __future__ import annotations

import atexit
import os
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import h5py
import numpy as np

from .._interrupts import shielded
from .checkpoint_slots import Slots
from .column import BUFFER_BYTES, CHUNK_BYTES, Column, Entry, chunk_shape
from .compression import ChunkEncoder
from .integrity import set_attributes
from .journal import JournaledFile

LITTLE_BYTES = 1 << 16  # but those of a stream that has fewer wait for the next commit, because each write costs time
PERIOD = 2.0  # s; the first append so long after the last commit makes the next one
SLOW = 0.2  # part of its time for which the run stands still, and is told so
TABLE_CHUNK_BYTES = 1 << 15
COLUMNS_PER_CHUNK = 256  # of a trace, so that reading one neuron of many does not read all


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
        """Bytes that were put since the last `write` or `spill`."""
        return sum(column.pending_bytes for column in self.columns.values())

    @property
    def held(self) -> int:
        """Bytes that `spill` has left in memory."""
        return sum(column.held_bytes for column in self.columns.values())

    def write(self) -> None:
        for column in self.columns.values():
            column.write(self.n)

    def spill(self) -> None:
        for column in self.columns.values():
            column.spill(self.n)

    def settle(self) -> None:
        for column in self.columns.values():
            column.settle()

    def commit(self) -> None:
        if self.group is not None and self.committed != self.n:
            self.group.attrs.modify("committed", np.int64(self.n))
            self.committed = self.n


class Store:
    """An open file, its streams in the order of writing, and the bytes that are pending."""

    def __init__(
        self, file: h5py.File, journal: JournaledFile | None, compression: str | None, path: str, entry: Callable[[str], Entry]
    ):
        self.file, self.journal, self.compression, self.path, self.entry = file, journal, compression, path, entry
        self.streams: list[Stream] = []
        self.encoder = ChunkEncoder()
        self.slots: Slots | None = None
        self.notes: Callable[[str, str], None] | None = None  # takes events, by kind and message
        self._waited, self._told = 0.0, False
        self.before_closing: Callable[[], None] | None = None  # appends what waits for the end
        self.commits = 0  # so far
        self.buffered, self.written = 0, False  # bytes that are pending; whether some are written but not committed
        self.flushed_at = time.monotonic()
        self.process = os.getpid()
        if journal is not None:
            atexit.register(self.close, "interrupted")  # registered after h5py's own, it runs before: h5py then still writes text

    def flush_if_due(self) -> None:
        """Write where much is pending; commit what was written where the last commit is long ago."""
        since = time.monotonic() - self.flushed_at
        if (self.buffered or self.written) and since > PERIOD:
            self.flush()
            self._tell_of_waiting(since)
        elif self.buffered >= BUFFER_BYTES:
            self._spill()

    def _tell_of_waiting(self, since: float) -> None:
        """Say, once, where the run stands still for much of its time because chunks cannot be compressed as fast as they come."""
        waited, self._waited = self.encoder.waited - self._waited, self.encoder.waited
        if waited < SLOW * since or self._told:
            return
        self._told = True
        hint = "compression=None, fewer neurons, every_steps, every or windows make it faster"
        much = f"{100 * waited / since:.0f} % of its time"
        message = f"the run waits {much} until what it records in {self.path} is compressed; {hint}"
        if self.notes is not None:
            self.notes("warning", message)
        warnings.warn(message, stacklevel=2)

    def flush(self) -> None:
        """Write everything that is pending and commit it. Raises OSError naming the file."""
        try:
            for stream in self.streams:
                stream.write()
            for stream in self.streams:
                stream.settle()
            self.buffered, self.written = 0, True
            for stream in self.streams:
                stream.commit()
            self.commit()
        except (OSError, RuntimeError, MemoryError) as error:
            raise self._failure("written", error) from error
        self.written, self.flushed_at = False, time.monotonic()
        self.commits += 1

    def _spill(self) -> None:
        """Hand what is pending to HDF5, of streams that have enough of it, not yet committed. Raises OSError naming the file."""
        waiting = 0
        try:
            for stream in self.streams:
                if stream.pending >= LITTLE_BYTES:
                    stream.spill()
                else:
                    waiting += stream.pending
            held = sum(stream.held for stream in self.streams)
            if held > BUFFER_BYTES // 2:  # many columns, each with a chunk that is not full
                for stream in self.streams:
                    stream.write()
                waiting = held = 0
        except (OSError, RuntimeError, MemoryError) as error:
            raise self._failure("written", error) from error
        self.buffered, self.written = waiting + held, True

    def _failure(self, what: str, error: Exception) -> OSError:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        return OSError(f"the recording {self.path} cannot be {what}: {why}; what was written before is whole")

    def commit(self) -> None:
        """Make the file's present state the one that a kill leaves."""
        self.file.flush()
        if self.journal is not None:
            self.journal.commit()

    def checkpoint(self, values: dict[str, Any], arrays: Mapping[str, Any], constants: Mapping[str, Any], headroom: int) -> None:
        """Begin to write a checkpoint; what was recorded so far comes to the disk before it. Raises OSError naming the file."""
        slots = self._slots()
        self.flush()
        slots.write(values, arrays, constants, headroom)

    def keep(self, number: int, values: dict[str, Any], arrays: Mapping[str, Any], constants: Mapping[str, Any]) -> None:
        """Write a state that stays. Raises OSError naming the file."""
        kept, counters = self._slots().keep(number, values, arrays, constants), values["counters"]
        kept.attrs["trials"], kept.attrs["steps"] = np.int64(counters["trials_done"]), np.int64(counters["stream_steps"])
        kept.attrs["updates"] = np.int64(arrays["done"][0] if "done" in arrays else 0)
        self.flush()

    def _slots(self) -> Slots:
        """Where checkpoints go; made by the first."""
        if self.slots is None:
            assert self.journal is not None, "checkpoints stand in a file"
            self.slots = Slots(self.file, self.journal.path, self.commit)
        return self.slots

    def end(self, status: str) -> None:
        """Write everything that is pending, and how the run ended."""
        if self.before_closing is not None:
            self.before_closing()
        self.flush()
        set_attributes(self.file, status=status, closed=now())

    @shielded
    def close(self, status: str) -> None:
        """Write everything, set the status and close; a second call does nothing."""
        if not self.file or self.process != os.getpid() or self.journal is None:
            return
        try:
            try:
                self.end(status)
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
                self.encoder.close()
                atexit.unregister(self.close)
