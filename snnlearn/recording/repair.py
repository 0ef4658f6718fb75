"""`repair`: end the commit in whose middle a process was killed, so that every HDF5 reader opens the file."""

from __future__ import annotations

import os
import pathlib

from .._check import fail
from ..storage.journal import JournaledFile, has_journal
from .recording import open_recording


def repair(path: str | os.PathLike[str]) -> bool:
    """Apply the journal that a killed process has left at the end of a recording; whether there was one.

    The package reads such a file as it is, and `resume` applies the journal too; other HDF5 readers need it applied.
    Raises as `open_recording`, ValueError where a process writes the file, OSError where it cannot be written.
    """
    path = pathlib.Path(path)
    with open_recording(path) as recording:
        if recording.is_running:
            raise fail("repair.path", "be a file that no process writes", str(path))
    if not has_journal(path):
        return False
    try:
        JournaledFile(path, "r+").close()
    except OSError as error:
        raise OSError(f"the recording {path} cannot be repaired: {error}") from error
    return True
