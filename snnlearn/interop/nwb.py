"""Neurodata Without Borders: units with their spikes, signals as time series, the table of trials. Needs pynwb; neo reads it.

pynwb writes the file with room for the data; spikes and signals are filled in afterwards, piece by piece.
"""

from __future__ import annotations

import json
import math
import pathlib
from datetime import datetime
from typing import Any

import numpy as np

from .._check import need
from ..recording import Recording
from .common import Axis, axis, fill, new_file, spike_batches

DESCRIPTIONS = {
    "loss": "task loss, summed over steps",
    "score": "score of the task",
    "rate": "mean firing rate, Hz",
    "label": "class label",
    "prediction": "class that the readout chose",
}


def export_nwb(recording: Recording, out: pathlib.Path, trials: Any, overwrite: bool) -> list[pathlib.Path]:
    """Write the file `out`; see `export`."""
    pynwb = need("pynwb", 'export(format="nwb")', "pynwb")
    hdmf = need("hdmf.backends.hdf5", 'export(format="nwb")', "pynwb")
    new_file(out, overwrite)
    line = axis(recording, trials)
    nwb = pynwb.NWBFile(
        session_description=f"Simulation of a spiking network with snnlearn {recording.versions.get('snnlearn', '')}",
        identifier=f"{recording.path.name} {recording.attrs['created']}",
        session_start_time=datetime.fromisoformat(str(recording.attrs["created"]).replace("Z", "+00:00")),
        source_script=json.dumps(recording.config),
        source_script_file_name=recording.path.name,
        notes=f"{recording.ending}; trials follow each other without a pause, times count simulated seconds",
    )
    _trials(recording, line, nwb)
    rooms = {}
    if recording.has_spikes:
        counts = _counts(recording, line)
        rooms["spikes"] = _units(recording, nwb, hdmf, counts, line.n_steps * recording.dt / 1000)
    for name in recording.names:
        signal = recording[name]
        width = int(np.prod(signal.shape[1:], dtype=int))
        rooms[name] = hdmf.H5DataIO(shape=(line.n_steps, width), dtype=np.dtype("f4"), fillvalue=math.nan)
        comments = "columns are outputs" if signal.neurons is None else f"columns are the neurons {signal.neurons.tolist()}"
        if signal.pairs is not None:
            comments = f"columns are the synapses (pre, post) {signal.pairs.tolist()}"
        nwb.add_acquisition(
            pynwb.TimeSeries(
                name=name,
                data=rooms[name],
                unit="n.a." if signal.units == "1" else signal.units,
                description=signal.description,
                comments=comments,
                starting_time=0.0,
                rate=1000.0 / recording.dt,
            )
        )
    with pynwb.NWBHDF5IO(str(out), "w") as io:
        io.write(nwb)
        if recording.has_spikes:
            _fill_spikes(recording, line, rooms["spikes"].dataset, counts)
        for name in recording.names:
            fill(rooms[name].dataset, recording, name, line)
    return [out]


def _trials(recording: Recording, line: Axis, nwb: Any) -> None:
    """The table of trials, column by column: row by row takes minutes for many."""
    common = need("hdmf.common", 'export(format="nwb")', "pynwb")
    epoch = need("pynwb.epoch", 'export(format="nwb")', "pynwb")
    seconds, what = recording.dt / 1000, "piece of the stream" if recording.is_stream else "trial"
    values: dict[str, tuple[str, Any]] = {
        "start_time": ("begin of the trial, s", line.offset * seconds),
        "stop_time": ("end of the trial, s", (line.offset + line.stop - line.start) * seconds),
        "number": (f"number of the {what} in the recording", line.trial),
    }
    table = recording.table("trials") if "trials" in recording.tables else None
    if table is not None and np.isin(line.trial, table.trial).all():
        order = np.argsort(table.trial, kind="stable")
        rows = order[np.searchsorted(table.trial, line.trial, sorter=order)]
        values |= {name: (text, getattr(table, name)[rows]) for name, text in DESCRIPTIONS.items() if name in table._fields}
    columns = [common.VectorData(name=name, description=text, data=x) for name, (text, x) in values.items()]
    nwb.trials = epoch.TimeIntervals(name="trials", description="trials of the recording", columns=columns, colnames=list(values))


def _counts(recording: Recording, line: Axis) -> np.ndarray:
    """Spikes of each neuron."""
    counts = np.zeros(recording.n_neurons, np.int64)
    for spikes in spike_batches(recording, line.trial):
        counts += np.bincount(spikes.neuron, minlength=recording.n_neurons)
    return counts


def _units(recording: Recording, nwb: Any, hdmf: Any, counts: np.ndarray, seconds: float) -> Any:
    """The table of units with room for the spikes; returns the room. seconds : for which each neuron was observed."""
    common = need("hdmf.common", 'export(format="nwb")', "pynwb")
    misc = need("pynwb.misc", 'export(format="nwb")', "pynwb")
    groups = (recording.config.get("network") or {}).get("neurons") or []
    names = [str(group.get("type", "neuron")) for group in groups for _ in range(int(group.get("n", 0)))]
    if len(names) != recording.n_neurons:
        names = ["neuron"] * recording.n_neurons
    room = hdmf.H5DataIO(shape=(int(counts.sum()),), dtype=np.dtype("f8"))
    times = common.VectorData(name="spike_times", description="times of the spikes, s", data=room)
    index = common.VectorIndex(name="spike_times_index", target=times, data=np.cumsum(counts).astype(np.uint64))
    seen = np.tile([0.0, seconds], (counts.size, 1))  # without them neo reads no spikes
    observed = common.VectorData(name="obs_intervals", description="times in which the neuron was observed, s", data=seen)
    intervals = common.VectorIndex(
        name="obs_intervals_index", target=observed, data=np.arange(1, counts.size + 1, dtype=np.uint64)
    )
    model = common.VectorData(name="model", description="neuron model", data=names)
    nwb.units = misc.Units(
        name="units",
        description="the recurrent neurons",
        id=list(range(recording.n_neurons)),
        columns=[times, index, observed, intervals, model],
        colnames=["spike_times", "obs_intervals", "model"],
    )
    return room


def _fill_spikes(recording: Recording, line: Axis, dataset: Any, counts: np.ndarray) -> None:
    """Each neuron's spikes in order of time, behind those of the neuron before."""
    at = np.concatenate(([0], np.cumsum(counts)[:-1]))
    for spikes in spike_batches(recording, line.trial):
        order = np.argsort(spikes.neuron, kind="stable")
        times = line.place(spikes.trial, spikes.step)[order] * (recording.dt / 1000)
        neurons, first, n = np.unique(spikes.neuron[order], return_index=True, return_counts=True)
        for neuron, a, k in zip(neurons, first, n, strict=True):
            dataset[at[neuron] : at[neuron] + k] = times[a : a + k]
            at[neuron] += k
