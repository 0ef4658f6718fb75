"""Comma-separated values: spikes.csv, inputs.csv, one file a signal, one file a table, events.csv; times in ms
within the trial, or of the stream.
"""

from __future__ import annotations

import csv
import pathlib
from typing import Any

import numpy as np

from ..recording import Recording
from ..storage.open_file import LAST_STEP
from .common import axis, index_batches, new_file, signal_parts, spike_batches

ROWS = 1 << 16  # of a table that are read at a time


def export_csv(recording: Recording, out: pathlib.Path, trials: Any, overwrite: bool) -> list[pathlib.Path]:
    """Write the folder `out`; see `export`. Tables are written whole, whatever the trials."""
    line, dt = axis(recording, trials), recording.dt
    names = [name for name in ("spikes", "inputs") if getattr(recording, f"has_{name}")]
    names += [*recording.names, *(f"table_{name}" for name in recording.tables), "events"]
    paths = {name: new_file(out / f"{name}.csv", overwrite) for name in names}
    if recording.has_spikes:
        with open(paths["spikes"], "w", encoding="utf-8") as file:
            file.write("trial,time_ms,neuron\n")
            for spikes in spike_batches(recording, line.trial):
                np.savetxt(file, np.column_stack([spikes.trial, spikes.step * dt, spikes.neuron]), ("%d", "%.10g", "%d"), ",")
    if recording.has_inputs:
        with open(paths["inputs"], "w", encoding="utf-8") as file:
            file.write("trial,time_ms,channel,value\n")
            for index in index_batches(recording, line.trial):
                trial, step, channel, value = recording._inputs(index, 0, LAST_STEP)
                np.savetxt(file, np.column_stack([trial, step * dt, channel, value]), ("%d", "%.10g", "%d", "%.9g"), ",")
    for name in recording.names:
        signal = recording[name]
        columns = [f"output_{k}" for k in range(int(np.prod(signal.shape[1:], dtype=int)))]
        if signal.neurons is not None:
            columns = [f"neuron_{k}" for k in signal.neurons]
        elif signal.pairs is not None:
            columns = [f"synapse_{pre}_{post}" for pre, post in signal.pairs.tolist()]
        digits = "%.9g" if signal.dtype.itemsize <= 4 else "%.17g"
        with open(paths[name], "w", encoding="utf-8") as file:
            file.write(",".join(["trial", "time_ms", *columns]) + "\n")
            for part in signal_parts(recording, name, line.trial):
                rows = np.column_stack([part.trial, part.step * dt, part.values.astype(np.float64)])
                np.savetxt(file, rows, ("%d", "%.10g", *[digits] * part.values.shape[1]), ",")
    for name in recording.tables:
        with open(paths[f"table_{name}"], "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(recording.table(name, slice(0))._fields)
            for first in range(0, recording.n_rows(name), ROWS):
                writer.writerows(zip(*(x.tolist() for x in recording.table(name, slice(first, first + ROWS))), strict=True))
    with open(paths["events"], "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("time", "kind", "message"))
        writer.writerows(recording.events)
    return list(paths.values())
