"""Binned events on disk: one HDF5 file for a data set and a way of binning.

    step       u4 [events]        in the order of samples and of time
    channel    u4 [events]
    indptr     i8 [samples + 1]   events of sample i are indptr[i] .. indptr[i + 1]
    longest    attribute, steps of the longest sample

The name follows from the data's path and the way of binning, the digest of the data's content stands inside. A writer fills a
file of its own, which then replaces whatever has the name: readers see a whole file or none.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import time
import uuid
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from .. import _check
from ..storage.integrity import CheckedFile
from .base import Dataset

KIND, VERSION = "snnlearn-binned", 1
CHUNK = 1 << 14  # events
BUFFER = 1 << 20  # events that are held before they are written
ABANDONED = 86400.0  # s after which a part that nobody finished is removed

Binning = Iterator[tuple[np.ndarray, np.ndarray]]


class Cache:
    """The cache of a data set in a folder. `options` : the way of binning, as JSON values."""

    def __init__(self, folder: str | os.PathLike[str], data: Dataset, options: dict[str, Any]):
        self.folder = pathlib.Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise _check.fail("Binned.cache", "be a folder", str(folder), error=NotADirectoryError)
        self.data, self.options = data, json.dumps({**options, "sensor": list(data.sensor)}, sort_keys=True)
        self.digest = data.digest()
        if self.digest is None:
            need = "be None where the data do not lie in files"
            raise _check.fail("Binned.cache", need, str(folder), "Wrapped(key=...) names a content that it cannot look into")
        key = hashlib.blake2b(f"{data.name} {self.options}".encode(), digest_size=8).hexdigest()
        self.path = self.folder / f"{data.format or 'data'}-{key}.h5"
        self._open: tuple[int, h5py.File, np.ndarray] | None = None

    def sample(self, index: int, events: Binning) -> tuple[np.ndarray, np.ndarray]:
        """Steps and channels of a sample. events : all samples, binned, where the file is yet to be written."""
        file, indptr = self._file(events)
        part = slice(int(indptr[index]), int(indptr[index + 1]))
        try:
            return file["step"][part].astype(np.int64), file["channel"][part].astype(np.int64)
        except OSError as error:
            raise _check.fail(f"cache {str(self.path)!r}", "be readable", f"{error}", "remove it", OSError) from None

    def longest(self, events: Binning) -> int:
        """Steps of the longest sample."""
        return int(self._file(events)[0].attrs["longest"])

    def _file(self, events: Binning) -> tuple[h5py.File, np.ndarray]:
        """The open file of this process and its index; written first where it is not there, or not for these data."""
        if self._open is None or self._open[0] != os.getpid():
            found = self._valid()
            if found is None:
                self._write(events)
                found = self._valid()
                if found is None:
                    raise _check.fail(f"cache {str(self.path)!r}", "be readable once written", "another content", error=OSError)
            self._open = os.getpid(), *found
        return self._open[1], self._open[2]

    def _valid(self) -> tuple[h5py.File, np.ndarray] | None:
        """The file and its index, where it is whole and holds these data in this way; else None."""
        file = None
        try:
            file = h5py.File(CheckedFile(self.path), "r")
            about = {name: file.attrs[name] for name in ("kind", "version", "digest", "options")}
            wanted = {"kind": KIND, "version": VERSION, "digest": self.digest, "options": self.options}
            indptr = file["indptr"][:]
            n = int(indptr[-1])
            if about == wanted and indptr.size == len(self.data) + 1 and file["step"].shape == file["channel"].shape == (n,):
                return file, indptr
        except (OSError, KeyError, RuntimeError, IndexError):
            pass
        if file is not None:
            file.close()
        return None

    def _write(self, events: Binning) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(f"{self.path.stem}.*.part"):
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink(missing_ok=True)
        part = self.folder / f"{self.path.stem}.{os.getpid()}-{uuid.uuid4().hex[:8]}.part"
        try:
            with h5py.File(part, "w") as file:
                self._fill(file, events)
            try:
                os.replace(part, self.path)
            except PermissionError:  # Windows: another process reads what it has just written; ours holds the same
                found = self._valid()
                if found is None:
                    raise
                found[0].close()
        finally:
            part.unlink(missing_ok=True)

    def _fill(self, file: h5py.File, events: Binning) -> None:
        columns = [file.create_dataset(name, (0,), "u4", maxshape=(None,), chunks=(CHUNK,)) for name in ("step", "channel")]
        counts, longest, waiting = [0], 0, 0
        held: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])

        def flush() -> None:
            for column, parts in zip(columns, held, strict=True):
                values = np.concatenate(parts) if parts else np.empty(0, np.uint32)
                column.resize((column.shape[0] + values.size,))
                column[column.shape[0] - values.size :] = values
                parts.clear()

        for step, channel in events:
            counts.append(step.size)
            held[0].append(step.astype(np.uint32))
            held[1].append(channel.astype(np.uint32))
            longest = max(longest, int(step[-1]) + 1 if step.size else 1)
            waiting += step.size
            if waiting >= BUFFER:
                flush()
                waiting = 0
        flush()
        file["indptr"] = np.cumsum(counts)
        file.attrs.update(kind=KIND, version=VERSION, digest=self.digest, options=self.options, longest=longest)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": None}
