"""Recordings in other formats, written piece by piece so that memory stays bounded whatever the size.

common.py    one time axis for all trials, pieces of signals, files that must not exist yet
sonata.py    spikes and reports that libsonata reads
nwb.py       Neurodata Without Borders (needs pynwb)
table.py     comma-separated values
nir.py       networks and weights, exchanged with other frameworks (needs nir); nir_graph.py, nir_build.py, nir_write.py
"""

from __future__ import annotations

import os
import pathlib
from typing import Any

from .._check import choice, fail, slice_text
from ..recording import Recording, open_recording
from ..storage.open_file import choose, listed
from .nir import Exported, Imported, export_nir, from_nir, to_nir
from .nwb import export_nwb
from .sonata import export_sonata
from .table import export_csv

FORMATS = {"sonata": export_sonata, "nwb": export_nwb, "csv": export_csv, "nir": export_nir}

__all__ = ["FORMATS", "Exported", "Imported", "export", "from_nir", "to_nir"]


def export(
    recording: Recording | str | os.PathLike[str],
    format: str,
    out: str | os.PathLike[str],
    *,
    trials: Any = None,
    overwrite: bool = False,
) -> list[pathlib.Path]:
    """Write a recording in another format; returns the files.

    format : "sonata" or "csv" (out is a folder, made if need be), "nwb" (out is a file), or "nir" (out is a file: the network
        with its last weights, and a warning that lists what NIR does not hold)
    trials : a trial's number, a list of numbers or a slice of numbers; None: all
    overwrite : replace files that exist

    SONATA and NWB have one axis of time: trials follow each other on it, in the order of their numbers, without a pause
    (SONATA: the file trials.csv tells when each begins; NWB: the table of trials).

    Raises ValueError for an unknown format, FileExistsError, ImportError without the package that a format needs, IndexError
    for unknown trials and for a slice without any, and as `open_recording`.
    """
    function = FORMATS[choice("export.format", format, FORMATS)]
    if not isinstance(recording, Recording):
        with open_recording(recording) as opened:
            return export(opened, format, out, trials=trials, overwrite=overwrite)
    if format != "nir" and not recording.n_trials:
        raise fail("export.recording", "have trials with raw data", str(recording.path))
    if isinstance(trials, slice) and not choose("trials", trials, recording.trials).size:
        need = f"reach trials with raw data, {listed(recording.trials)}"
        raise fail("export.trials", need, slice_text(trials), error=IndexError)
    return function(recording, pathlib.Path(out), trials, overwrite)
