"""Address events of 5 bytes, as in N-MNIST and N-Caltech101 (Orchard, Jayawant, Cohen & Thakor 2015, Front. Neurosci. 9:437).

    byte 0      x
    byte 1      y; 240: no event, the clock has wrapped, all later times are 2^13 us later
    byte 2      bit 7 polarity, bits 6 .. 0 the highest of time
    bytes 3, 4  the lower of time, us, 23 bits in all, the highest byte first

One file a sample, in one folder a class:  Train/0/00002.bin ... Train/9/...
"""

from __future__ import annotations

import os
import pathlib
from functools import cached_property
from typing import ClassVar

import numpy as np

from .. import _check
from .base import FileDataset, Sample, check_events
from .formats import HEAD, recognised

BYTES = 5
WRAPPED, WRAP = 240, 1 << 13  # y of a wrap of the clock; us


def read_aer(path: str | os.PathLike[str], sensor: tuple[int, int, int] = (34, 34, 2), label: int = 0) -> Sample:
    """The events of the file at `path`, 5 bytes an event.

    sensor : (width, height, 2)
    label : what the sample gets as its label
    An empty file is a sample without events. Raises FileNotFoundError, ValueError (another format, which it names where it knows
    it; no whole number of events, events outside the sensor).
    """
    where = f"AER file {os.fspath(path)!r}"
    try:
        raw = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise _check.fail(where, "be a file of 5 bytes an event", "nothing at this path", error=FileNotFoundError) from None
    known = recognised(raw[:HEAD].tobytes())
    if known is not None:
        raise _check.fail(where, "be a file of 5 bytes an event", known.what, known.hint)
    if raw.size % BYTES:
        raise _check.fail(where, "be a whole number of events of 5 bytes", f"{raw.size} bytes", "truncated?")
    x, y, high, middle, low = raw.reshape(-1, BYTES).T.astype(np.int64)
    wrap = y == WRAPPED
    t = ((high & 127) << 16) + (middle << 8) + low + WRAP * np.cumsum(wrap)
    real = ~wrap
    return check_events(where, Sample(t[real] / 1000.0, x[real], y[real], high[real] >> 7, label), sensor)


def _hidden(path: pathlib.Path) -> bool:
    """What systems leave beside the data: .DS_Store, ._name and __MACOSX of macOS."""
    return path.name.startswith(".") or path.name == "__MACOSX"


class AER(FileDataset):
    """A folder with one folder a class and in it one file a sample, of 5 bytes an event.

    path : the folder of the classes, as Train of N-MNIST
    sensor : (width, height, 2)
    pattern : of the files' names

    Classes and samples are in the order of their names; hidden ones (.DS_Store, ._00002.bin, __MACOSX) are none. Raises
    FileNotFoundError, NotADirectoryError, ValueError (no folder with files); reading a sample raises as `read_aer`.
    """

    kind: ClassVar[str] = "a folder with one folder a class"

    def __init__(self, path: str | os.PathLike[str], sensor: tuple[int, int, int], pattern: str = "*.bin"):
        super().__init__(path)
        if not self.path.is_dir():
            raise _check.fail(self.name, f"be {self.kind}", "a file", error=NotADirectoryError)
        if len(sensor) != 3 or sensor[2] != 2:
            raise _check.fail(f"{type(self).__name__}.sensor", "be (width, height, 2)", sensor)
        self.sensor = tuple(_check.integer(f"{type(self).__name__}.sensor", n, "be whole numbers >= 1", low=1) for n in sensor)  # type: ignore[assignment]
        folders = self._folders()
        self._names = [sorted(file.name for file in folder.glob(pattern) if not _hidden(file)) for folder in folders]
        self.classes = tuple(folder.name for folder in folders)
        if not any(self._names):
            raise _check.fail(self.name, f"have a folder a class with files {pattern}", "none")
        self._first = np.concatenate(([0], np.cumsum([len(names) for names in self._names])))

    def _folders(self) -> list[pathlib.Path]:
        return sorted(folder for folder in self.path.iterdir() if folder.is_dir() and not _hidden(folder))

    @cached_property
    def targets(self) -> np.ndarray:
        """Labels of all samples, int64 [len]."""
        return np.repeat(np.arange(len(self.classes)), np.diff(self._first))

    def file(self, index: int) -> pathlib.Path:
        """The file of sample `index`."""
        label = int(self.targets[index])
        return self.path / self.classes[label] / self._names[label][index - self._first[label]]

    def _files(self) -> list[pathlib.Path]:
        return [self.path / label / name for label, names in zip(self.classes, self._names, strict=True) for name in names]

    def _read(self, index: int) -> Sample:
        return read_aer(self.file(index), self.sensor, int(self.targets[index]))

    def to_dict(self) -> dict[str, object]:
        """As of `Dataset`; only formats with a name come back, as `NMNIST`."""
        if self.format is None:
            return {"foreign": f"snnlearn.datasets.AER({str(self.path)!r})", "at": "task"}
        return super().to_dict()


class NMNIST(AER):
    """N-MNIST: handwritten digits before a moving event camera, 34 x 34 pixels of two polarities.

    path : the folder Train or Test, unpacked, with the folders 0 .. 9
    Raises as `AER`, and ValueError where one of the ten folders is missing.
    """

    format: ClassVar[str | None] = "nmnist"
    kind: ClassVar[str] = "a folder with the folders 0 .. 9"

    def __init__(self, path: str | os.PathLike[str]):
        super().__init__(path, (34, 34, 2))

    def _folders(self) -> list[pathlib.Path]:
        folders = [self.path / str(digit) for digit in range(10)]
        missing = [folder.name for folder in folders if not folder.is_dir()]
        if missing:
            hint = "choose its folder Train or Test" if (self.path / "Train").is_dir() else ""
            raise _check.fail(self.name, f"be {self.kind}", "none for " + ", ".join(missing), hint)
        return folders
