"""`Recorder`: the recorder that streams a run to an HDF5 file, with checkpoints from which the run goes on."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Unpack

import h5py
import numpy as np

from .._check import fail, regular_file
from .._interrupts import shielded
from ..storage import seqlock
from ..storage.journal import JournaledFile, create_file
from ..storage.store import Store
from .options import FIELDS, RecorderKeywords, options_of, takes_options
from .state import FOLLOWED, REDUCED, without_history
from .writing import RecordingWriter, check_status

TRAINING_MINUTES = 1.0  # between two checkpoints of a training


@takes_options()
class Recorder(RecordingWriter):
    """Streams a run to an HDF5 file.

    Parameters
    ----------
    path : the file; made when a simulation opens it
    {options}

    Raises FileExistsError, FileNotFoundError (no such folder), IsADirectoryError, ValueError or TypeError.

    As a context manager it closes with status "complete", or "interrupted" or "failed: ..." after an exception::

        with Recorder("run.h5", v=[0, 1, 2], weights_every=100) as recorder:
            simulator.train(task, trials=1000, recorder=recorder)

    A recorder that is collected or left at the end of the program writes what it holds, with status "interrupted". A process that
    is forked from the one that records may not use it: ValueError.
    """

    def __init__(self, path: str | os.PathLike[str], **options: Unpack[RecorderKeywords]):
        checked = options_of("Recorder", options)
        self.path = check_new_file("Recorder.path", path, checked.overwrite)
        super().__init__(checked, str(self.path))
        self._goes_on: Callable[[], None] | None = None  # opens the file of a recording that goes on
        self._anew = False  # whether its stream does not
        self._runs, self._checkpointed_at = 0, time.monotonic()  # since the last checkpoint
        self._kept, self._since_kept = 0, 0  # states that are kept; runs since the last one

    def __getattr__(self, name: str) -> Any:
        """The option of this name."""
        if name not in FIELDS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.options, name)

    def __repr__(self) -> str:
        return f"Recorder({str(self.path)!r}, {self._status})"

    def _new_file(self) -> tuple[h5py.File, JournaledFile]:
        check_new_file("Recorder.path", self.path, self.options.overwrite)
        try:
            journal = JournaledFile(self.path, "w" if self.options.overwrite else "x")
        except OSError as error:
            why = "it is open for writing already" if isinstance(error, BlockingIOError) else error
            raise OSError(f"the recording {self.path} cannot be created: {why}") from error
        return create_file(journal, seqlock.SIZE), journal

    def _took(self, store: Store) -> None:
        self._finalizer = weakref.finalize(self, store.close, "interrupted")
        self._finalizer.atexit = False  # the store sees to that

    @property
    def is_open(self) -> bool:
        """Whether it records: the file is open for writing, or will be when something comes (`waits`)."""
        return self._status == "running" or self.waits

    @property
    def waits(self) -> bool:
        """Whether it goes on in a file that `sl.resume` has left closed, which is opened when something is recorded."""
        return self._goes_on is not None

    def go_on_with(self, begin: Callable[[], None]) -> None:
        """Call `begin`, which opens the file, when something is recorded."""
        self._goes_on, self._status = begin, "complete until something is recorded"

    def go_on(self) -> None:
        """Open the file of a recording that goes on, where it waits. ValueError in a process that was forked from the writer."""
        if self._store is not None and self._status == "running" and self._store.process != os.getpid():
            hint = "it may record to a file of its own, by another Recorder"
            raise fail("Recorder", "be used in the process that opened its file", "a process forked from it", hint)
        begin, self._goes_on = self._goes_on, None
        if begin is not None:
            try:
                begin()
            except BaseException:
                self._goes_on = begin
                raise
            if self._anew:
                self.stream_begins()

    def stream_begins(self) -> None:
        """The stream begins anew from the initial state: traces of synapses and intervals do not go on."""
        super().stream_begins()
        self._anew = True

    # ---- checkpoints --------------------------------------------------------------------------------

    @property
    def checkpoints(self) -> bool:
        """Whether the simulation writes checkpoints into the file."""
        asked = self.options
        return asked.checkpoint_every is not None or self._minutes is not None or asked.keep_every is not None

    @property
    def _minutes(self) -> float | None:
        """Minutes between two checkpoints; None: not by time."""
        minutes = self.options.checkpoint_minutes
        return None if isinstance(minutes, str) else minutes

    def begin_training(self) -> None:
        """From now on take the checkpoints of a training, where nothing else was said."""
        if self.options.checkpoint_minutes == "auto":
            minutes = TRAINING_MINUTES if self.options.checkpoint_every is None else None
            self.options = dataclasses.replace(self.options, checkpoint_minutes=minutes)

    @property
    def keeping_due(self) -> bool:
        """Whether the next checkpoint is also kept."""
        every = self.options.keep_every
        return every is not None and (not self._kept or self._since_kept >= every)

    def checkpoint_due(self) -> bool:
        """Whether it is time for a checkpoint, asked once after each batch or piece."""
        self._runs += 1
        self._since_kept += 1
        every, minutes = self.options.checkpoint_every, self._minutes
        late = minutes is not None and time.monotonic() - self._checkpointed_at >= 60.0 * minutes
        return late or (every is not None and self._runs >= every) or self.keeping_due

    @shielded
    def checkpoint(
        self,
        values: dict[str, Any],
        arrays: Mapping[str, np.ndarray],
        constants: Mapping[str, np.ndarray],
        headroom: int = 0,
        *,
        wait: bool = False,
        goes_on: bool = True,
    ) -> None:
        """Write a state into the file; see `RunRecorder.checkpoint`.

        Raises OSError naming the file; what was written before is still there.
        """
        store = self._opened("checkpoint")
        if goes_on and self.keeping_due:
            store.keep(self._kept, *without_history(values, arrays), constants)
            self._kept, self._since_kept = self._kept + 1, 0
        state = self._described() if goes_on else None
        own = self._own_arrays() if goes_on else {}
        store.checkpoint(values | {"recorder": state}, {**arrays, **own}, constants, headroom)
        self._runs, self._checkpointed_at = 0, time.monotonic()
        if wait and store.slots is not None:
            store.slots.wait()

    def _described(self) -> dict[str, Any]:
        """Options of an open recorder, and how long each of its streams is, as JSON values."""
        streams = {name: {"n": stream.n, "columns": list(stream.columns)} for name, stream in self._streams()}
        return {
            "options": self.options.kept(),
            "variables": {name: index.tolist() for name, index in self._raw.selection.items()},
            "pairs": list(self.pairs),
            "kept": [self._kept, self._since_kept],
            "network": self._network,
            "configuration": self._configuration,
            "streams": streams,
        }

    def _own_arrays(self) -> dict[str, np.ndarray]:
        """What an open recorder carries from run to run: sums of reducers, traces of chosen synapses."""
        result = {}
        for prefix, part in ((REDUCED, self._reductions), (FOLLOWED, self.follower)):
            result.update({prefix + name: array for name, array in (part.state() if part is not None else {}).items()})
        return result

    @shielded
    def close(self, status: str = "complete") -> None:
        """Write everything and close the file with a status: "complete", "interrupted" or "failed: ...".

        Does nothing after the first call, or where no simulation opened the file.
        """
        check_status(status)
        if self.waits:
            self._goes_on, self._status = None, "closed"
        elif self._store is not None and self.is_open:
            self._status = status
            self._store.close(status[:1000])
            self._finalizer.detach()


def check_new_file(where: str, path: Any, overwrite: bool) -> pathlib.Path:
    """The path of a file to write; OSError, ValueError or TypeError where there can be none or, unless `overwrite`, is one."""
    if not isinstance(path, (str, os.PathLike)):
        raise fail(where, "be the name of a file", path, error=TypeError)
    path = pathlib.Path(path)
    if path.is_dir():
        raise fail(where, "be a file, not a folder", str(path), error=IsADirectoryError)
    if not path.parent.is_dir():
        raise fail(where, "be in a folder that exists", str(path), error=FileNotFoundError)
    if path.exists():
        regular_file(where, path)
    if path.exists() and not overwrite:
        raise fail(where, "name a new file", str(path), "the file exists; overwrite=True replaces it", FileExistsError)
    return path
