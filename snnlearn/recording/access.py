"""Opening a file, and choosing trials, neurons and times in it."""

from __future__ import annotations

import math
import pathlib
import re
from typing import Any

import h5py
import numpy as np

from .._check import fail
from .journal import JournaledFile, has_journal

LAST_STEP = 2.0**52
PIECE = 1 << 22  # entries that are read at once before neurons and times are chosen


def open_file(path: pathlib.Path) -> h5py.File:
    """An HDF5 file, open for reading; errors as `open_recording`."""
    where, name = "open_recording.path", str(path)
    if path.is_dir():
        raise fail(where, "be a file, not a folder", name, error=IsADirectoryError)
    if not path.exists():
        raise fail(where, "be a file that exists", name, error=FileNotFoundError)
    if not h5py.is_hdf5(path):
        raise fail(where, "be an HDF5 file", name, "it is empty" if path.stat().st_size == 0 else "")
    try:
        if has_journal(path):  # a process was killed while it wrote
            return h5py.File(JournaledFile(path, "r"), "r")
        try:
            return h5py.File(path, "r")
        except OSError as error:
            if "lock" not in str(error):
                raise
            # another process is writing it
            return h5py.File(path, "r", locking=False)
    except OSError as error:
        sizes = re.search(r"truncated file: eof = (\d+).*stored_eof = (\d+)", str(error))
        if sizes:
            raise fail(where, "be a whole file", name, f"it is truncated, {sizes[1]} of {sizes[2]} bytes", OSError) from error
        raise OSError(f"the recording {path} cannot be opened: {error}") from error


def neighbours(index: np.ndarray, begin: np.ndarray, length: np.ndarray) -> list[np.ndarray]:
    """Split `index` into runs of segments whose entries lie one behind the other in the file, of limited size."""
    if index.size == 0:
        return []
    first, stop = begin[index], begin[index] + length[index]
    cuts = (first[1:] != stop[:-1]) | (np.diff(first // PIECE) != 0)
    return np.split(index, np.flatnonzero(cuts) + 1)


def frozen(array: np.ndarray) -> np.ndarray:
    """The array, made read-only."""
    array.flags.writeable = False
    return array


def plain(value: Any) -> Any:
    """A NumPy number as a Python number."""
    return value.item() if isinstance(value, np.generic) else value


def listed(numbers: np.ndarray) -> str:
    """Numbers in a few characters."""
    shown = numbers.tolist() if numbers.size <= 8 else [*numbers[:4].tolist(), "...", int(numbers[-1])]
    return ", ".join(map(str, shown)) or "none"


def window(dt: float, time: Any) -> tuple[int, int]:
    """Steps [low, high) of the time (start, stop) in ms, start <= step * dt < stop; None: without an end."""
    bounds = [0.0, math.inf]
    if time is None:
        time = bounds
    try:
        bounds = [end if x is None else float(x) for x, end in zip(time, bounds, strict=True)]
    except (TypeError, ValueError):
        raise fail("Recording.time", "be (start, stop) in ms", time, error=TypeError) from None
    if not bounds[0] <= bounds[1]:
        raise fail("Recording.time", "be (start, stop) in ms with start <= stop", time)
    low, high = (min(max(x / dt, 0.0), LAST_STEP) for x in bounds)
    return math.ceil(round(low, 6)), math.ceil(round(high, 6))  # 0.3 / 0.1 is step 3, although it is above 3 by rounding


def choose(what: str, value: Any, there: np.ndarray) -> np.ndarray:
    """Those of the numbers `there` that a number, a list or a slice of numbers asks for; raises IndexError for others."""
    where = f"Recording.{what}"
    if isinstance(value, slice):
        bounds = [x for x in (value.start, value.stop) if x is not None]
        step = 1 if value.step is None else value.step
        if any(isinstance(x, bool) or not isinstance(x, (int, np.integer)) or x < 0 for x in bounds) or step < 1:
            raise fail(where, "be a slice of numbers, none negative", value, f"as Recording.{what} has them", IndexError)
        start = value.start or 0
        use = (there >= start) & ((there - start) % step == 0)
        return there[use] if value.stop is None else there[use & (there < value.stop)]
    numbers = np.atleast_1d(np.asarray(value))
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise fail(where, "be a number, a list of numbers or a slice", value, error=TypeError)
    unknown = numbers[~np.isin(numbers, there)]
    if unknown.size:
        raise fail(where, f"be among {listed(there)}", int(unknown[0]), error=IndexError)
    return numbers.astype(np.int64)
