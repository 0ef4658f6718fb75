"""Opening a file, and choosing trials, neurons and times in it."""

from __future__ import annotations

import contextlib
import io
import math
import pathlib
import re
import time
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import h5py
import numpy as np

from .._check import brief, fail, items, number, numbers, regular_file, whole_steps
from . import seqlock
from .integrity import CheckedFile
from .journal import JournaledFile, has_journal

LAST_STEP = 2**52
PIECE = 1 << 22  # entries that are read at once before neurons and times are chosen
PATIENCE = 30.0  # s that a reader waits for a moment without a flush
START = 2.0  # s that a process takes at most to create its file
T = TypeVar("T")


class Busy(OSError):
    """A writer left no moment in which to read."""


class OpenFile:
    """An HDF5 file, open for reading without a lock, also while a process writes it; see `seqlock`.

    HDF5 reads through a Python file: so every opening has an index of its own, where HDF5 would share an outdated one with
    whatever else this process has opened, and the file can be opened for writing at any time. Raises as `open_recording`.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        self._raw: io.FileIO | None = None
        self._h5: h5py.File | None = None
        self._journaled: JournaledFile | None = None
        self._seen: seqlock.Counters | None = None

    @property
    def h5(self) -> h5py.File | None:
        """The HDF5 file, or None when closed."""
        return self._h5

    def read(self, function: Callable[[h5py.File], T]) -> T:
        """What `function` reads from the file, repeated until no flush of a writer came in between."""
        began, pause = time.monotonic(), 0.001
        while True:
            try:
                result = function(self._h5 or self._open())
            except Busy:
                raise
            except (KeyError, OSError, RuntimeError, AttributeError, ValueError, TypeError):
                new = (
                    self._seen is None and time.monotonic() - began < START and self.path.is_file() and seqlock.is_held(self.path)
                )
                if self._raw is None or (self._undisturbed() and not new):
                    raise
            else:
                if self._undisturbed():
                    return result
            self.close()
            if time.monotonic() - began > PATIENCE:
                raise Busy(f"the recording {self.path} cannot be read: it is written without a pause; try again")
            time.sleep(pause)
            pause = min(2 * pause, 0.05)

    def unchanged(self) -> bool:
        """Whether nothing was written since the file was opened; True where the file has no counters."""
        return self._raw is not None and self._undisturbed()

    def close(self) -> None:
        """Close the file; `read` opens it again."""
        if self._h5 is not None:
            self._h5.close()
        for source in (self._journaled, self._raw):
            if source is not None:
                source.close()
        self._h5 = self._raw = self._journaled = None

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # at the end of the program the modules may be gone
            self.close()

    def _undisturbed(self) -> bool:
        return self._seen is None or (self._raw is not None and seqlock.read(self._raw) == self._seen)

    def _open(self) -> h5py.File:
        where, name = "open_recording.path", str(self.path)
        regular_file(where, self.path)
        self._raw = CheckedFile(self.path)
        self._seen = self._settled()
        try:
            if has_journal(self.path):  # a process was killed while it wrote
                self._journaled = JournaledFile(self.path, "r")
            self._h5 = h5py.File(self._journaled or self._raw, "r")
        except OSError as error:
            text = str(error)
            if "signature" in text:
                raise fail(where, "be an HDF5 file", name, "it is empty" if self.path.stat().st_size == 0 else "") from error
            whole = re.search(r"truncated file: .*stored_eof = (\d+)", text)
            if whole:
                hint = f"it is truncated, {self.path.stat().st_size} of {whole[1]} bytes"
                raise fail(where, "be a whole file", name, hint, OSError) from error
            raise OSError(f"the recording {self.path} cannot be opened: {error}") from error
        return self._h5

    def _settled(self) -> seqlock.Counters | None:
        """The counters once no flush is under way; one that a dead process left unfinished is not waited for."""
        assert self._raw is not None
        began, last = time.monotonic(), None
        while True:
            seen = seqlock.read(self._raw)
            if seen is None or seen.begun == seen.finished:
                return seen
            if seen != last:
                last, since = seen, time.monotonic()
            waited = time.monotonic() - since
            held = seqlock.is_held(self.path) if waited > START / 4 else True
            if held is False or (held is None and waited > 2 * START):
                return seen
            if time.monotonic() - began > PATIENCE:
                raise Busy(f"the recording {self.path} cannot be read: a flush has been under way for {waited:.0f} s; try again")
            time.sleep(0.001)


@contextlib.contextmanager
def open_file(path: pathlib.Path) -> Iterator[h5py.File]:
    """An HDF5 file that no process writes now, open for reading; errors as `open_recording`."""
    opened = OpenFile(path)
    try:
        yield opened.read(lambda file: file)
    finally:
        opened.close()


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


def record(name: str, columns: Mapping[str, Any]) -> Any:
    """A NamedTuple of this name with these columns, which copies and pickles as others do."""
    own = {"__slots__": (), "__repr__": brief, "__reduce__": lambda self: (record, (name, self._asdict()))}
    return type(name, (namedtuple(name, columns),), own)(**columns)


def listed(numbers: np.ndarray) -> str:
    """Numbers in a few characters."""
    shown = numbers.tolist() if numbers.size <= 8 else [*numbers[:4].tolist(), "...", int(numbers[-1])]
    return ", ".join(map(str, shown)) or "none"


def size_text(size: int) -> str:
    """A number of bytes in a few characters."""
    power = min(4, int(math.log(max(size, 1), 1000)))
    return f"{size / 1000**power:.3g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def window(dt: float, span: Any) -> tuple[int, int]:
    """Steps [low, high) of the span (start, stop) in ms, start <= step * dt < stop; None: without an end."""
    where, need, bounds = "Recording.time", "be (start, stop) in ms", [0.0, math.inf]
    given = bounds if span is None else items(where, span, need)
    if len(given) != 2:
        raise fail(where, need, span, error=TypeError)
    endless = (-math.inf, math.inf)
    bounds = [
        end if x is None else x if isinstance(x, float) and x in endless else number(where, x, need)
        for x, end in zip(given, bounds, strict=True)
    ]
    if not bounds[0] <= bounds[1]:
        raise fail("Recording.time", "be (start, stop) in ms with start <= stop", span)
    low, high = (min(max(x, 0.0), LAST_STEP * dt) for x in bounds)
    return _first(low, dt), _first(high, dt)


def _first(time: float, dt: float) -> int:
    """The first step that is not before a time in ms: 0.3 / 0.1 is step 3, although it is above 3 by rounding."""
    steps = whole_steps(time, dt)
    return math.ceil(time / dt) if steps is None else steps


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
    need = "be a number, a list of numbers or a slice"
    asked = np.atleast_1d(numbers(where, value, need))
    if asked.ndim != 1 or (asked.size and asked.dtype.kind not in "iu"):
        raise fail(where, need, value, error=TypeError)
    unknown = asked[~np.isin(asked, there)]
    if unknown.size:
        raise fail(where, f"be among {listed(there)}", int(unknown[0]), error=IndexError)
    return asked.astype(np.int64)


def stamp(path: pathlib.Path) -> tuple[int, int, int]:
    """What tells a file at this path from another one, or from an earlier state of it."""
    now = path.stat()
    return now.st_ino, now.st_size, now.st_mtime_ns


def entries(h5: h5py.File, name: str, part: slice, columns: Any = slice(None)) -> np.ndarray:
    """Entries of a data set; raises KeyError where it has fewer, OSError where they are damaged."""
    dataset = h5[name]
    if dataset.shape[0] < part.stop:
        raise KeyError(f"{name} has {dataset.shape[0]} of {part.stop} entries")
    try:
        return dataset[part] if dataset.ndim == 1 else dataset[part, columns]
    except (OSError, RuntimeError) as error:
        raise OSError(f"{name} cannot be read: {error}") from error


def in_order(trial: np.ndarray, step: np.ndarray, neuron: np.ndarray) -> tuple[np.ndarray, ...]:
    """The spikes in order of trial, step, neuron."""
    by_trial, by_step, by_neuron = np.diff(trial), np.diff(step), np.diff(neuron)
    late = (by_trial < 0) | ((by_trial == 0) & ((by_step < 0) | ((by_step == 0) & (by_neuron < 0))))
    if late.any():
        order = np.lexsort((neuron, step, trial))
        return trial[order], step[order], neuron[order]
    return trial, step, neuron
