"""`MemoryRecorder`: a recording without a file, for notebooks."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, Unpack

import h5py

from .._check import fail
from .._interrupts import shielded
from ..storage.journal import WRITTEN
from ..storage.open_file import OpenFile
from ..storage.store import Store
from .options import FIELDS, OF_FILES, RecorderKeywords, options_of, takes_options
from .recording import Recording
from .signal import Signal
from .writing import RecordingWriter, check_status

T = TypeVar("T")
NAME = "the recording in memory"
NUMBERS = itertools.count()
GROWS = 1 << 20  # bytes by which the file grows


class InMemory(OpenFile):
    """The file of a recorder in the place of one on the disk, as far as it was committed."""

    def __init__(self, store: Store):
        super().__init__(pathlib.Path(NAME))
        self.store = store

    @property
    def h5(self) -> h5py.File:
        """The HDF5 file."""
        return self.store.file

    def read(self, function: Callable[[h5py.File], T]) -> T:
        """What `function` reads from the file, which nobody writes at the same time."""
        return function(self.store.file)

    def unchanged(self) -> bool:
        """Whether nothing was written since; the recording asks for the lengths of the streams itself."""
        return True

    def close(self) -> None:
        """Nothing: the recorder owns the file."""


class MemoryRecording(Recording):
    """What a `MemoryRecorder` had recorded when this was made, to be read like a `Recording`."""

    def __init__(self, store: Store):
        self._store = store
        super().__init__(NAME)

    def _opened(self) -> OpenFile:
        return InMemory(self._store)

    def _version(self) -> Any:
        return self._store.commits, self._store.file.attrs["status"]

    @property
    def is_old(self) -> bool:
        """Whether more was recorded since."""
        return self._stamp != self._version()

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return int(self._store.file.id.get_filesize())

    @property
    def is_running(self) -> bool:
        """Whether the recorder is open."""
        return self.status == "running"

    def __reduce__(self) -> tuple[Any, ...]:
        raise fail("a recording in memory", "stay in its process", "a copy or pickle", "sl.Recorder writes a file", TypeError)


@takes_options(OF_FILES)
class MemoryRecorder(RecordingWriter):
    """Records a run in memory and gives it back as `sl.open_recording` gives a file; for notebooks and short runs.

    Parameters
    ----------
    {options}

    It has the methods and attributes of `sl.Recording`, at any time and also after it was closed::

        recorder = sl.MemoryRecorder(v=[0, 1, 2])
        sim.train(task, trials=1000, recorder=recorder)
        recorder["v"][10], recorder.spikes(10), recorder.table("trials").loss
        sl.plot.story(recorder.recording)

    What needs a file is refused: checkpoints, with which a run goes on after a crash, and states that `sl.replay` begins from;
    `sl.Recorder` has them. Raises ValueError or TypeError that names the option.

    >>> import numpy as np
    >>> import snnlearn as sl
    >>> recorder = sl.MemoryRecorder(v=True)
    >>> net = sl.Network(3, sl.LIF(4, threshold=0.5), 2)
    >>> run = sl.Simulator(net).run(np.ones((10, 3)), recorder=recorder)
    >>> recorder["v"][0].shape, recorder.trials.tolist()
    ((10, 4), [0])
    """

    def __init__(self, **options: Unpack[RecorderKeywords]):
        for name, value in options.items():
            if name in OF_FILES:
                raise fail(f"MemoryRecorder.{name}", "be left out: it needs a file", value, "sl.Recorder writes one")
        known = [name for name in FIELDS if name not in OF_FILES]
        super().__init__(dataclasses.replace(options_of("MemoryRecorder", options, known), compression=None), NAME)
        self._recording: MemoryRecording | None = None

    def __repr__(self) -> str:
        held = "0 trials" if self._store is None else f"{self.recording.n_trials} trials or pieces"
        return f"MemoryRecorder({held}, {self._status})"

    def _new_file(self) -> tuple[h5py.File, None]:
        name = f"{NAME} {next(NUMBERS)}"  # HDF5 knows open files by their names
        return h5py.File(name, "w", libver=WRITTEN, driver="core", backing_store=False, block_size=GROWS), None

    @property
    def recording(self) -> Recording:
        """All that was recorded so far, as `Recording`. ValueError before anything was."""
        if self._store is None:
            raise fail("MemoryRecorder", "have recorded a run", "nothing so far", "sim.run(..., recorder=recorder)")
        if self.is_open and (self._store.buffered or self._store.written):
            self._store.flush()
        if self._recording is None or self._recording.is_old:
            self._recording = MemoryRecording(self._store)
        return self._recording

    def __getattr__(self, name: str) -> Any:
        """As of `Recording`."""
        if name.startswith("_") or (not hasattr(Recording, name) and name not in READ):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.recording, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for name in dir(Recording) if not name.startswith("_")), *READ})

    def __getitem__(self, name: str) -> Signal:
        """The signal of this name, unread. Raises KeyError that lists the names."""
        return self.recording[name]

    def __contains__(self, name: object) -> bool:
        return name in self.recording

    def __iter__(self) -> Iterator[str]:
        return iter(self.recording)

    @shielded
    def close(self, status: str = "complete") -> None:
        """Take no more, with a status: "complete", "interrupted" or "failed: ..."; what was recorded can be read."""
        check_status(status)
        if self._store is not None and self.is_open:
            self._store.end(status[:1000])
            self._status = status


READ = ("attrs", "config", "dt", "status", "versions", "n_neurons", "n_outputs")  # what a recording has read when it is opened
