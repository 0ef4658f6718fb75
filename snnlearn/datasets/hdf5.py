"""Spiking Heidelberg Digits and Spiking Speech Commands (Cramer, Stradmann, Schemmel & Zenke 2022, IEEE TNNLS 33, 2744-2757).

    spikes/times    [samples] of variable length, float: seconds
    spikes/units    [samples] of variable length, int: channel of the cochlea, 0 .. 699
    labels          [samples] int
    extra/keys      names of the classes, by label

A file stays open for reading; each sample is read when it is asked for.
"""

from __future__ import annotations

import os
import pathlib
import threading
from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

import h5py
import numpy as np

from .. import _check
from ..storage.integrity import CheckedFile
from .base import FileDataset, Sample, check_events
from .formats import HEAD, recognised

CHANNELS = 700
NEEDED = ("spikes/times", "spikes/units", "labels")
ROWS = 256  # samples that a pass over all of them reads at a time


class SHD(FileDataset):
    """Spoken digits in English and German: 20 classes, 8156 samples in shd_train.h5 and 2264 in shd_test.h5.

    path : the HDF5 file, unpacked
    Raises FileNotFoundError, IsADirectoryError, OSError (not HDF5, truncated, damaged), ValueError (another layout, no samples,
    labels out of range); reading a sample raises ValueError where it is not sound. All name the file.
    """

    format: ClassVar[str | None] = "shd"
    n_classes: ClassVar[int] = 20
    sensor = (CHANNELS, 1, 1)

    def __init__(self, path: str | os.PathLike[str]):
        super().__init__(path)
        if self.path.is_dir():
            raise _check.fail(self.name, "be an HDF5 file", "a folder", error=IsADirectoryError)
        self._local: tuple[int, h5py.File] | None = None
        self._columns: tuple[h5py.File, h5py.Dataset, h5py.Dataset] | None = None
        self._lock = threading.Lock()
        file = self._file
        for key in NEEDED:
            if not isinstance(file.get(key), h5py.Dataset):
                raise _check.fail(self.name, "hold the data sets " + ", ".join(NEEDED), f"no {key}")
        times, units, labels = (file[key] for key in NEEDED)
        for key, rows in zip(NEEDED, (times, units), strict=False):
            if h5py.check_vlen_dtype(rows.dtype) is None:
                raise _check.fail(f"{self.name}, {key}", "hold one array of variable length a sample", f"dtype {rows.dtype}")
        if not times.shape == units.shape == labels.shape or len(times.shape) != 1:
            got = f"{times.shape}, {units.shape} and {labels.shape}"
            raise _check.fail(self.name, "have as many times and units as labels, one a sample", got)
        if not times.size:
            raise _check.fail(self.name, "have samples", "none")
        targets = self._whole("labels", lambda: labels[:])
        if targets.dtype.kind not in "iu":
            raise _check.fail(f"{self.name}, labels", "be whole numbers", f"dtype {targets.dtype}")
        self._targets = targets.astype(np.int64)
        self._targets.flags.writeable = False
        if self._targets.min() < 0 or self._targets.max() >= len(self.classes):
            bad = int(self._targets.min() if self._targets.min() < 0 else self._targets.max())
            raise _check.fail(f"{self.name}, labels", f"be in 0 .. {len(self.classes) - 1}", bad)

    @cached_property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the classes, from extra/keys, or their numbers where the file has none."""
        keys = self._file.get("extra/keys")
        if not isinstance(keys, h5py.Dataset):
            return tuple(str(k) for k in range(self.n_classes))
        names = self._whole("extra/keys", lambda: np.atleast_1d(keys[()]))
        return tuple(key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key) for key in names.tolist())

    @property
    def targets(self) -> np.ndarray:
        return self._targets

    def ends(self) -> Iterator[float]:
        times = self._file["spikes/times"]
        for first in range(0, len(self), ROWS):
            rows = self._whole("spikes/times", lambda first=first: times[first : first + ROWS])
            for row in rows:
                yield float(row.max()) * 1000.0 if row.size else 0.0

    def _files(self) -> list[pathlib.Path]:
        return [self.path]

    def _read(self, index: int) -> Sample:
        where = f"{self.name}, sample {index}"
        times, units = self._spikes()
        t, x = self._whole(f"sample {index}", lambda: (times[index], units[index]))
        if t.shape != x.shape:
            raise _check.fail(where, "have as many times as units", f"{t.size} and {x.size}")
        t = t.astype(np.float64) * 1000.0  # the files hold half precision, in which 70 s and more would be infinite
        nothing = np.broadcast_to(np.int64(0), t.shape)
        return check_events(where, Sample(t, x.astype(np.int64), nothing, nothing, int(self._targets[index])), self.sensor)

    def _spikes(self) -> tuple[h5py.Dataset, h5py.Dataset]:
        """spikes/times and spikes/units of this process's file, looked up once."""
        file = self._file
        kept = self._columns
        if kept is None or kept[0] is not file:
            self._columns = kept = file, file["spikes/times"], file["spikes/units"]
        return kept[1:]

    @property
    def _file(self) -> h5py.File:
        """The open file of this process: one that another has opened is not shared after a fork."""
        with self._lock:
            if self._local is None or self._local[0] != os.getpid():
                self._local = os.getpid(), self._open()
            return self._local[1]

    def _open(self) -> h5py.File:
        if self.path.stat().st_size == 0:
            raise _check.fail(self.name, "be an HDF5 file", "an empty file", error=OSError)
        try:
            return h5py.File(CheckedFile(self.path), "r")
        except OSError as error:
            got = "a truncated file" if "truncated" in str(error) else f"{error}"
            with open(self.path, "rb") as file:
                known = recognised(file.read(HEAD))
            if known is not None and "HDF5" not in known.what:
                raise _check.fail(self.name, "be an HDF5 file", known.what, known.hint, OSError) from None
            raise _check.fail(self.name, "be an HDF5 file that can be read", got, error=OSError) from None

    def _whole(self, part: str, read: Any) -> Any:
        """What a read returns; OSError that names the file where it is damaged."""
        try:
            return read()
        except (OSError, RuntimeError, ValueError) as error:
            raise _check.fail(f"{self.name}, {part}", "be readable", f"{error}", "damaged?", OSError) from None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_local", "_columns", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _local=None, _columns=None, _lock=threading.Lock())


class SSC(SHD):
    """Spoken commands: 35 classes; ssc_train.h5, ssc_valid.h5 and ssc_test.h5. The same layout and errors as `SHD`."""

    format: ClassVar[str | None] = "ssc"
    n_classes: ClassVar[int] = 35
