"""SONATA: spikes.h5 and one report a signal, in the layout that libsonata reads.

    spikes.h5             /spikes/neurons/node_ids u8 [spikes], timestamps f8 [spikes] in ms, sorted by time
    <signal>_report.h5    /report/neurons/data f4 [steps, elements], mapping/node_ids, element_ids, index_pointers, time
    trials.csv            trial, start and stop in ms on the axis

Readout and target are reports of the population "readout", whose nodes are the outputs; class labels have one node. Data are
neither compressed nor in a newer HDF5 layout, which libsonata does not read.
"""

from __future__ import annotations

import pathlib
from typing import Any

import h5py
import numpy as np

from ..recording import Recording
from ..recording.schema import SIGNALS
from .common import Axis, axis, fill, new_file, spike_batches

SORTING = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype="u1")
MAGIC, VERSION = 0x0A7A, (0, 1)


def export_sonata(recording: Recording, out: pathlib.Path, trials: Any, overwrite: bool) -> list[pathlib.Path]:
    """Write the folder `out`; see `export`."""
    line = axis(recording, trials)
    wanted = ["spikes.h5"] if recording.has_spikes else []
    wanted += [f"{name}_report.h5" for name in recording.names] + ["trials.csv"]
    paths = [new_file(out / name, overwrite) for name in wanted]
    if recording.has_spikes:
        _spikes(recording, line, paths[0])
    for name in recording.names:
        _report(recording, name, line, out / f"{name}_report.h5")
    with open(paths[-1], "w", encoding="utf-8") as file:
        file.write("trial,start_ms,stop_ms\n")
        for trial, offset, length in zip(line.trial.tolist(), line.offset, line.stop - line.start, strict=True):
            file.write(f"{trial},{offset * recording.dt:.10g},{(offset + length) * recording.dt:.10g}\n")
    return paths


def _create(path: pathlib.Path) -> h5py.File:
    file = h5py.File(path, "w")
    file.attrs["magic"], file.attrs["version"] = np.uint32(MAGIC), np.array(VERSION, np.uint32)
    return file


def _spikes(recording: Recording, line: Axis, path: pathlib.Path) -> None:
    s = recording.segments
    n = int(s.n_spikes[np.isin(s.trial, line.trial)].sum())
    with _create(path) as file:
        group = file.create_group("spikes/neurons")
        group.attrs.create("sorting", 2, dtype=SORTING)
        node_ids = group.create_dataset("node_ids", (n,), "u8")
        timestamps = group.create_dataset("timestamps", (n,), "f8")
        timestamps.attrs["units"] = "ms"
        at = 0
        for spikes in spike_batches(recording, line.trial):
            part = slice(at, at + spikes.step.size)
            node_ids[part] = spikes.neuron
            timestamps[part] = line.place(spikes.trial, spikes.step) * recording.dt
            at = part.stop


def _report(recording: Recording, name: str, line: Axis, path: pathlib.Path) -> None:
    signal = recording[name]
    nodes = np.arange(int(np.prod(signal.shape[1:], dtype=int))) if signal.neurons is None else signal.neurons
    order = np.argsort(nodes)  # libsonata looks nodes up in a sorted list
    with _create(path) as file:
        group = file.create_group(f"report/{'readout' if name in SIGNALS else 'neurons'}")
        data = group.create_dataset("data", (line.n_steps, nodes.size), "f4", fillvalue=np.nan)
        data.attrs["units"] = signal.units
        mapping = group.create_group("mapping")
        mapping["node_ids"] = nodes[order].astype("u8")
        mapping["node_ids"].attrs["sorted"] = np.uint8(1)
        mapping["index_pointers"] = np.arange(nodes.size + 1, dtype="u8")
        mapping["element_ids"] = np.zeros(nodes.size, "u4")
        mapping["time"] = np.array([0.0, line.n_steps * recording.dt, recording.dt])
        mapping["time"].attrs["units"] = "ms"
        fill(data, recording, name, line, order)
