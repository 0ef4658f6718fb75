"""Recordings in other formats, written piece by piece so that memory stays bounded whatever the size.

common.py    one time axis for all trials, pieces of signals, files that must not exist yet
sonata.py    spikes and reports that libsonata reads
nwb.py       Neurodata Without Borders (needs pynwb)
table.py     comma-separated values
"""

from __future__ import annotations

import os
import pathlib
from typing import Any

from .._check import choice, fail
from ..recording import Recording, open_recording
from .nwb import export_nwb
from .sonata import export_sonata
from .table import export_csv

FORMATS = {"sonata": export_sonata, "nwb": export_nwb, "csv": export_csv}

__all__ = ["FORMATS", "export"]


def export(
    recording: Recording | str | os.PathLike[str],
    format: str,
    out: str | os.PathLike[str],
    *,
    trials: Any = None,
    overwrite: bool = False,
) -> list[pathlib.Path]:
    """Write a recording in another format; returns the files.

    format : "sonata" or "csv" (out is a folder, made if need be), or "nwb" (out is a file)
    trials : a trial's number, a list of numbers or a slice of numbers; None: all
    overwrite : replace files that exist

    SONATA and NWB have one axis of time: trials follow each other on it, in the order of their numbers, without a pause
    (SONATA: the file trials.csv tells when each begins; NWB: the table of trials).

    Raises ValueError for an unknown format, FileExistsError, ImportError without the package that a format needs, IndexError
    for unknown trials, and as `open_recording`.
    """
    function = FORMATS[choice("export.format", format, FORMATS)]
    if not isinstance(recording, Recording):
        with open_recording(recording) as opened:
            return export(opened, format, out, trials=trials, overwrite=overwrite)
    if not recording.n_trials:
        raise fail("export.recording", "have trials with raw data", str(recording.path))
    return function(recording, pathlib.Path(out), trials, overwrite)
