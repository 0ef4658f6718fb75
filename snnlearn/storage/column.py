"""A data set that grows: what is appended waits in memory, and goes to the file in whole chunks.

HDF5 compresses a chunk each time that it leaves its cache, and the simulation waits for that. So large columns do not pass
through it: a chunk is encoded once, when it is full, by a thread beside the run (`compression`), and is handed over as
it stands in the file, in order, when the next ones are full or with the next commit. Rows that fill no chunk reach the file with
the next commit, and are kept until their chunk is full.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from typing import Any, NamedTuple, Protocol

import h5py
import numpy as np

from .compression import ChunkEncoder, EncodingTask, encoded
from .integrity import set_attributes, summed

BUFFER_BYTES = 1 << 20  # pending values are handed to HDF5 when they exceed this
CHUNK_BYTES = 1 << 17
LEAST_BYTES = 1 << 12  # of a chunk that is not full; fewer are not worth waiting with
OVERHEAD_BYTES = 128  # of a pending array, besides its values

Run = list[tuple[int, np.ndarray]]  # arrays that follow each other without a gap, each with its first row


def chunk_shape(width: tuple[int, ...], itemsize: int, nbytes: int = CHUNK_BYTES, inner: int | None = None) -> tuple[int, ...]:
    """The chunk (rows, *width) of at most `nbytes`, with at most `inner` entries along the last axis."""
    budget = max(1, nbytes // itemsize)
    chunk = []
    for size in reversed(width):
        chunk.append(max(1, min(size, inner or budget, budget)))
        budget = max(1, budget // chunk[-1])
    return (budget, *reversed(chunk))


class Entry(NamedTuple):
    """Unit and description of a data set, and its type where the values do not tell it."""

    units: str
    description: str
    dtype: str | None = None


class Owner(Protocol):
    """What a column needs of the store that it belongs to."""

    compression: str | None
    encoder: ChunkEncoder
    buffered: int  # bytes that are pending, of all columns

    def entry(self, name: str) -> Entry:
        """Unit and description of a data set of this name."""


class Column:
    """A data set [rows, *width]; rows that are never written hold NaN (floats) or -1 (signed integers)."""

    def __init__(self, store: Owner, group: h5py.Group, name: str, dtype: Any, width: tuple[int, ...], chunk: tuple[int, ...]):
        dtype = np.dtype(dtype)
        options: dict[str, Any] = {"fletcher32": True}
        if dtype.kind in "fi":
            options["fillvalue"] = np.nan if dtype.kind == "f" else -1
        if store.compression is not None:
            options |= {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        maxshape = (None, *(size or None for size in width))
        self.store, self.dtype, self.width = store, dtype, width
        if name not in group:  # else of a recording that goes on
            dataset = group.create_dataset(name, (0, *width), dtype, chunks=chunk, maxshape=maxshape, **options)
            units, description, _ = store.entry(name)
            set_attributes(dataset, units=units, description=description)
        self.dataset = _open_to_append(group, name)
        self.pending: Run = []  # in order of rows, with those of the last chunk while it is not full
        self.pending_bytes = 0  # of what was put since the last `write` or `spill`,
        self.held_bytes = 0  # and of what was put before and is not in the file
        self._filed = 0  # pending rows before this one are in the file too, or on their way
        self._chunk, self._buffer = self.dataset.chunks, np.empty(0, dtype)
        self._encoded: deque[tuple[tuple[int, ...], EncodingTask]] = deque()  # chunks on their way, with their first entries
        bytes_ = math.prod(self._chunk) * dtype.itemsize
        filters = self.dataset.compression, self.dataset.compression_opts, self.dataset.shuffle
        self._summed = self.dataset.fletcher32
        known = filters in ((None, None, False), ("gzip", 1, True))
        self._direct = known and dtype.kind in "fiu" and CHUNK_BYTES // 2 < bytes_ <= CHUNK_BYTES
        self._holds = self._direct and math.prod((self._chunk[0], *width)) * dtype.itemsize <= BUFFER_BYTES

    def put(self, row: int, values: Any) -> None:
        """Keep values [k, *width] for the rows from `row`: a copy, except of arrays that the next `spill` writes at once."""
        values = np.asarray(values)
        if values.nbytes < BUFFER_BYTES:
            array = np.array(values, self.dtype, order="C")
        else:
            array = np.ascontiguousarray(values, self.dtype)
        self.pending.append((row, array))
        self.pending_bytes += array.nbytes + OVERHEAD_BYTES
        self.store.buffered += array.nbytes + OVERHEAD_BYTES

    def write(self, rows: int) -> None:
        """Write what is pending, and bring the data set to this number of rows; `settle` ends it."""
        self._write(rows, everything=True)

    def spill(self, rows: int) -> None:
        """The same, except for the rows of a chunk that is not full yet, where that is small enough to wait in memory."""
        self._write(rows, everything=False)

    def settle(self, wait: bool = True) -> None:
        """Hand HDF5 the chunks that are encoded; wait : for all of them. Can be repeated where it has failed."""
        while self._encoded and (wait or self._encoded[0][1].done()):
            at, task = self._encoded[0]
            try:
                chunk = task.result()
            except BaseException:
                self._encoded[0] = (at, task.again())
                raise
            self.dataset.id.write_direct_chunk(at, chunk)
            self._encoded.popleft()

    def _write(self, rows: int, everything: bool) -> None:
        """Can be repeated where it has failed: nothing is forgotten before the end."""
        if self.dataset.shape[0] < rows:
            self.dataset.resize(rows, axis=0)
        runs, tail, filed = _runs(self.pending), [], rows
        for run in runs:
            begin, end = run[0][0], run[-1][0] + run[-1][1].shape[0]
            low, high = end, end
            if self._direct:
                low = min(end, -(-begin // self._chunk[0]) * self._chunk[0])
                high = max(low, end // self._chunk[0] * self._chunk[0])
            self._write_rows(run, begin, low)  # of a chunk whose beginning only the file has
            self._write_chunks(run, low, high)
            if not (self._holds and run is runs[-1] and high < end):
                self._write_rows(run, high, end)
                continue
            tail = [(max(row, high), array[max(0, high - row) :].copy()) for row, array in run if row + array.shape[0] > high]
            waits = not everything and sum(array.nbytes for _, array in tail) >= LEAST_BYTES
            if waits:
                filed = max(high, self._filed)
            elif self._filed < end:
                self._write_chunks(tail, high, end)
        self.pending, self._filed, self.pending_bytes = tail, filed, 0
        self.held_bytes = sum(array.nbytes for _, array in tail) if filed < rows else 0

    def _write_rows(self, run: Run, begin: int, end: int) -> None:
        """Write rows through HDF5's cache, those that are not in the file yet."""
        for row, array in run:
            low, high = max(row, begin, self._filed), min(row + array.shape[0], end)
            if low < high:
                self.settle()  # the cache begins with what the file has of the chunk
                self.dataset[low:high] = array[low - row : high - row]

    def _write_chunks(self, run: Run, begin: int, end: int) -> None:
        """Write chunks past HDF5's cache; what the last one lacks is filled."""
        rows, *inner = self._chunk
        places = [range(0, size, step) for size, step in zip(self.width, inner, strict=True)]
        compressed = self.dataset.compression is not None
        for first in range(begin, end, rows):
            parts = [(row, array) for row, array in run if row < first + rows and row + array.shape[0] > first]
            for at in itertools.product(*places):
                chunk = self._cut(parts, first, tuple(slice(a, a + n) for a, n in zip(at, inner, strict=True)))
                if compressed:
                    self._encoded.append(((first, *at), self.store.encoder.submit(self._encode, chunk)))
                    self.settle(wait=False)
                else:
                    self.dataset.id.write_direct_chunk((first, *at), summed(chunk) if self._summed else chunk)

    def _encode(self, chunk: np.ndarray) -> bytes:
        return summed(encoded(chunk)) if self._summed else encoded(chunk)

    def _cut(self, parts: Run, first: int, inner: tuple[slice, ...]) -> np.ndarray:
        """One chunk, contiguous; filled where nothing is known yet, or it reaches over the edge of the data set.

        One that is to be encoded is an array of its own, others may be part of what is pending, and hold until the next.
        """
        chunk = self._buffer
        if not chunk.size:
            chunk = np.empty(self._chunk, self.dtype)
            self._buffer = chunk if self.dataset.compression is None else self._buffer
        last_row, last = parts[-1]
        narrow = any(x.stop > size for x, size in zip(inner, self.width, strict=True))
        if narrow or last_row + last.shape[0] < first + self._chunk[0]:
            chunk[...] = self.dataset.fillvalue
        for row, array in parts:
            low, high = max(row, first), min(row + array.shape[0], first + self._chunk[0])
            part = array[(slice(low - row, high - row), *inner)]
            if part.shape == self._chunk and part.flags.c_contiguous and self.dataset.compression is None:
                return part
            chunk[(slice(low - first, high - first), *(slice(0, n) for n in part.shape[1:]))] = part
        return chunk


def _open_to_append(group: h5py.Group, name: str) -> h5py.Dataset:
    """A data set, with room in HDF5's cache for the chunks that are not full yet and no more: full ones need not be kept."""
    dataset = group[name]
    rows = math.prod(-(-size // step) for size, step in zip(dataset.shape[1:], dataset.chunks[1:], strict=True))
    room = 2 * rows * math.prod(dataset.chunks) * dataset.dtype.itemsize
    del dataset  # the cache of a data set is that of its first opening
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(521, room, 1.0)
    return h5py.Dataset(h5py.h5d.open(group.id, name.encode(), access))


def _runs(pending: Run) -> list[Run]:
    """What is pending without gaps; of neighbours, those that are small are joined."""
    runs: list[Run] = []
    end = None
    for row, array in pending:
        if row != end:
            runs.append([])
        runs[-1].append((row, array))
        end = row + array.shape[0]
    return [_joined(run) for run in runs]


def _joined(run: Run) -> Run:
    result: Run = []
    for large, group in itertools.groupby(run, key=lambda item: item[1].nbytes >= BUFFER_BYTES):
        items = list(group)
        small = not large and len(items) > 1
        result += [(items[0][0], np.concatenate([array for _, array in items]))] if small else items
    return result
