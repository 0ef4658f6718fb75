"""Reading what reducers left of a run, and the weights of chosen synapses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from ..storage.open_file import entries, frozen, record

if TYPE_CHECKING:
    from .summaries import Summaries


def read_reduction(recording: Summaries, name: str) -> Any:
    """A NamedTuple of what a reducer wrote; see `Recording.reduction`."""
    known = reduced_names(recording)
    if name not in known:
        hint = ", ".join(map(repr, known)) or "none; Recorder(reduce=...) records them"
        raise KeyError(f"{recording.path} has no reduction {name!r}; it has {hint}")
    group, n = f"reduced/{name}", recording._committed[f"reduced/{name}"]

    def read(h5: h5py.File) -> dict[str, np.ndarray]:
        found, fixed = h5[group], {}
        columns = sorted((c for c in found if "position" in found[c].attrs), key=lambda c: found[c].attrs["position"])
        values = {column: entries(h5, f"{group}/{column}", slice(0, n)) for column in columns}
        for column in found:
            if column not in columns:
                fixed[column] = found[column][...]
        return values | fixed

    values = recording._read(read)
    stop = values.pop("stop")
    time = stop * recording.dt
    duration = np.diff(time, prepend=0.0)
    head = {"time": time, "duration": duration, "trial": values.pop("trial"), "update": values.pop("update")}
    if name in ("rates", "neuron_rates"):
        neurons = recording.n_neurons if name == "rates" else 1
        seconds = duration.reshape(-1, *[1] * (values["spikes"].ndim - 1)) / 1000.0
        head["rate"] = values["spikes"] / (neurons * seconds)
    values = {column: frozen(np.asarray(x)) for column, x in (head | values).items()}
    return record(name.title().replace("_", ""), values)


def reduced_names(recording: Summaries) -> tuple[str, ...]:
    """Names of the reducers of a recording."""
    return tuple(name.removeprefix("reduced/") for name in recording._committed if name.startswith("reduced/"))


def read_synapses(recording: Summaries) -> Any:
    """A NamedTuple of the weights of chosen synapses; see `Recording.synapses`."""
    if "synapses" not in recording._committed:
        raise KeyError(f"{recording.path} has no weights of chosen synapses; Recorder(synapses=...) records them")
    n = recording._committed["synapses"]

    def read(h5: h5py.File) -> dict[str, np.ndarray]:
        found = h5["synapses"]
        columns = sorted((c for c in found if "position" in found[c].attrs), key=lambda c: found[c].attrs["position"])
        values = {column: entries(h5, f"synapses/{column}", slice(0, n)) for column in columns}
        return values | {f"{c}_pairs": found[f"{c}_pairs"][...] for c in columns if c != "update"}

    values = {name: frozen(x) for name, x in recording._read(read).items()}
    return record("Synapses", values)
