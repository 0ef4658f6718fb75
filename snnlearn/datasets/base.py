"""What a data set of event recordings is: samples by number, each read when it is asked for.

    events of a sample      t [n] in ms, x, y, p [n] whole numbers, in the order of time
    sensor                  (width, height, polarities); a cochlea of 700 channels is (700, 1, 1)

A data set that lies in files is described by its format and path, and told from a changed one by the digest of its content:
`to_dict` and `from_dict`. Nothing but labels and an index is held in memory.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import _check

CHUNK = 1 << 20  # bytes that are hashed at a time
FORMATS: dict[str, type[Dataset]] = {}


class Sample(NamedTuple):
    """The events of one recording, in the order of time."""

    t: np.ndarray  # float64 [n], ms from the beginning
    x: np.ndarray  # int64 [n], 0 .. width - 1
    y: np.ndarray  # int64 [n], 0 .. height - 1
    p: np.ndarray  # int64 [n], 0 .. polarities - 1
    label: int

    def __repr__(self) -> str:
        return _check.brief(self)


class Dataset(ABC):
    """Base of data sets: ``len(data)``, ``data[i] -> Sample``, ``data.targets``.

    A new format gives `format` (its name in files and on the command line), `sensor`, `classes`, `targets` and `_read`, and,
    where it lies in files, is made from a path alone and lists them in `_files`.
    """

    format: ClassVar[str | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__dict__.get("format") is not None:
            FORMATS[cls.format] = cls  # type: ignore[index]

    sensor: tuple[int, int, int]
    classes: tuple[str, ...]  # names of the classes, by label

    @property
    @abstractmethod
    def targets(self) -> np.ndarray:
        """Labels of all samples, int64 [len]."""

    @abstractmethod
    def _read(self, index: int) -> Sample:
        """Sample `index`, checked."""

    def __len__(self) -> int:
        return self.targets.size

    def __getitem__(self, index: int) -> Sample:
        """Sample `index` (0 .., or from the end where negative). IndexError for one that does not exist."""
        n = len(self)
        number = _check.integer(f"{self.name}[index]", index)
        if not -n <= number < n:
            raise _check.fail(f"{self.name}[index]", f"be in 0 .. {n - 1}", number, error=IndexError)
        return self._read(number % n)

    def __iter__(self) -> Iterator[Sample]:
        return (self._read(i) for i in range(len(self)))

    @property
    def name(self) -> str:
        """What errors call the data set: its class and path."""
        return type(self).__name__

    def ends(self) -> Iterator[float]:
        """Time of the last event of each sample, ms; 0 for one without events."""
        for sample in self:
            yield float(sample.t[-1]) if sample.t.size else 0.0

    # What stands in a recording

    def to_dict(self) -> dict[str, Any]:
        """Format, path and digest of the content as JSON values; {"foreign": class} for one that does not lie in files."""
        return {"foreign": f"{type(self).__module__}.{type(self).__qualname__}", "at": "task"}

    def digest(self) -> str | None:
        """Hexadecimal digest of the content; None where it cannot be told without reading another's objects."""
        return None


class FileDataset(Dataset):
    """A data set in a file or folder, which `path` names. FileNotFoundError where there is none."""

    kind: ClassVar[str] = "a file"

    def __init__(self, path: str | os.PathLike[str]):
        self.path = pathlib.Path(path)
        if not self.path.exists():
            raise _check.fail(self.name, f"be {self.kind}", "nothing at this path", error=FileNotFoundError)
        if not self.path.is_dir():
            _check.regular_file(self.name, self.path)

    @property
    def name(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and os.path.realpath(self.path) == os.path.realpath(other.path)  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), os.path.realpath(self.path)))

    @abstractmethod
    def _files(self) -> list[pathlib.Path]:
        """The files that make up the data set, in a fixed order."""

    def to_dict(self) -> dict[str, Any]:
        return {"format": self.format, "path": os.path.realpath(self.path), "digest": self.digest()}

    def digest(self) -> str:
        """BLAKE2 of names and content of the files; read once in a process as long as sizes and times of change stay."""
        stamps = []
        for file in self._files():
            status = file.stat()
            stamps.append((str(file), status.st_size, status.st_mtime_ns))
        return _digest(str(self.path), tuple(stamps))


@lru_cache(maxsize=16)
def _digest(root: str, stamps: tuple[tuple[str, int, int], ...]) -> str:
    result = hashlib.blake2b(digest_size=20)
    for name, size, _ in stamps:
        result.update(f"{os.path.relpath(name, root)}\0{size}\0".replace(os.sep, "/").encode())
        with open(name, "rb") as file:
            while block := file.read(CHUNK):
                result.update(block)
    return result.hexdigest()


class Subset(Dataset):
    """Samples of another data set, by number; what `split` returns.

    data : the other one; indices : int [n] numbers in it; values : part, fraction and seed, of which `to_dict` tells
    """

    def __init__(self, data: Dataset, indices: np.ndarray, values: dict[str, Any]):
        self.data, self.indices, self._values = data, indices, values
        self.sensor, self.classes = data.sensor, data.classes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Subset) and self.data == other.data and self._values == other._values

    def __hash__(self) -> int:
        return hash((self.data, self._values["part"]))

    @property
    def name(self) -> str:
        return f"part {self._values['part']} of {self._values['fraction']:g}:{self._values['seed']} of {self.data.name}"

    @cached_property
    def targets(self) -> np.ndarray:
        """Labels of the samples, int64 [len]."""
        return self.data.targets[self.indices]

    def _read(self, index: int) -> Sample:
        return self.data._read(int(self.indices[index]))

    def to_dict(self) -> dict[str, Any]:
        whole = self.data.to_dict()
        return whole if "foreign" in whole else {"split": self._values, "of": whole}

    def digest(self) -> str | None:
        """Digest of the whole data set and of the numbers of the samples."""
        whole = self.data.digest()
        return None if whole is None else hashlib.blake2b(whole.encode() + self.indices.tobytes(), digest_size=20).hexdigest()


def split(data: Dataset, fraction: float = 0.2, seed: int = 0) -> tuple[Subset, Subset]:
    """Two disjoint parts of a data set (larger, held out), each with its share of every class; the same at every call.

    data : what to split; seed : of the choice
    fraction : of every class to hold out, above 0 and below 1; a class of one sample stays in the larger part
    Raises ValueError for a fraction out of range, or where nothing would be held out.
    """
    fraction = _check.number("split fraction", fraction, "be a fraction above 0 and below 1", 0.0, 1.0, strict=True)
    seed = _check.integer("split seed", seed, "be a whole number, not negative", low=0)
    if fraction == 1.0:
        raise _check.fail("split fraction", "be a fraction above 0 and below 1", fraction)
    rng, held = np.random.default_rng([seed, 0x5D1]), []
    for label in range(len(data.classes)):
        members = np.flatnonzero(data.targets == label)
        n = min(max(round(fraction * members.size), 1), members.size - 1) if members.size else 0
        held.append(rng.permutation(members)[:n])
    test = np.sort(np.concatenate(held))
    if not test.size:
        raise _check.fail("split data", "have two samples of a class at least", f"{len(data)} samples of {data.name}")
    train = np.setdiff1d(np.arange(len(data)), test)
    values = {"fraction": fraction, "seed": seed}
    return Subset(data, train, {**values, "part": 0}), Subset(data, test, {**values, "part": 1})


def check_events(where: str, sample: Sample, sensor: tuple[int, int, int]) -> Sample:
    """The sample with its events in the order of time. ValueError for times that are not, or places outside the sensor."""
    t = sample.t
    if t.size:
        if not np.isfinite(t).all() or t.min() < 0:
            raise _check.fail(f"{where}, times", "be finite and not negative", float(t[~(t >= 0) | ~np.isfinite(t)][0]))
        for name, value, size in zip("xyp", (sample.x, sample.y, sample.p), sensor, strict=True):
            if value.min() < 0 or value.max() >= size:
                bad = int(value.min() if value.min() < 0 else value.max())
                raise _check.fail(f"{where}, {name}", f"be in 0 .. {size - 1}", bad, f"the sensor is {sensor}")
        if (np.diff(t) < 0).any():
            order = np.argsort(t, kind="stable")
            return Sample(t[order], sample.x[order], sample.y[order], sample.p[order], sample.label)
    return sample


def make(format: str, path: str | os.PathLike[str]) -> Dataset:
    """The data set of a format at a path: ``make("shd", "shd_train.h5")``. Raises as the format's class."""
    return FORMATS[_check.choice("data format", format, FORMATS)](path)  # type: ignore[call-arg]


def make_splits(format: str, path: str | os.PathLike[str], test: str | os.PathLike[str] | None = None) -> tuple[Any, Any]:
    """The data sets (train, test or None) of a format at these paths; a folder with Train and Test stands for both."""
    train, test = split_paths(path, test)
    return make(format, train), None if test is None else make(format, test)


def split_paths(path: str | os.PathLike[str], test: str | os.PathLike[str] | None = None) -> tuple[Any, Any]:
    """Paths of training and test data, None where none is given: those of Train and Test in a folder that has both."""
    train = pathlib.Path(path)
    both = test is None and (train / "Train").is_dir() and (train / "Test").is_dir()
    return (train / "Train", train / "Test") if both else (train, test)


def from_dict(values: dict[str, Any]) -> Dataset:
    """The data set that `to_dict` described as `values`.

    Raises FileNotFoundError where it is gone, ValueError where its content is another, both with what to do.
    """
    if not isinstance(values, dict):
        raise _check.fail("data set", "be a Dataset, or a dict as its to_dict returns", values, error=TypeError)
    if "split" in values:
        chosen = values["split"]
        return split(from_dict(values["of"]), chosen["fraction"], chosen["seed"])[chosen["part"]]
    if "foreign" in values:
        raise _check.fail("data set", "be one that lies in files to be made from its description", values["foreign"])
    format, path = values.get("format"), pathlib.Path(str(values.get("path")))
    hint = (
        "where it has moved, say where it is: --data and --test of snnlearn train and resume; in Python load_config(..., "
        "moved={'train': PATH}), Config.of_recording likewise, and resume(..., task=...) with a task on the same data"
    )
    if not path.exists():
        raise _check.fail(f"data set {str(path)!r}", "be where it was", "nothing at this path", hint, FileNotFoundError)
    data = make(format, path)  # type: ignore[arg-type]
    found = data.digest()
    if values.get("digest") not in (None, found):
        got = f"content digest {found}, not {values['digest']}"
        raise _check.fail(f"data set {str(path)!r}", "be unchanged since the run began", got)
    return data
