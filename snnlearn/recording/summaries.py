"""What a recording holds besides raw data: tables, weights, sums of reducers, events. The part of `Recording` that reads them."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import h5py
import numpy as np

from .._check import fail, integer
from ..storage.integrity import text
from ..storage.open_file import entries, frozen, listed, record
from .raw import Raw

T = TypeVar("T")


class Event(NamedTuple):
    """Something that happened during the run."""

    time: str  # ISO 8601, UTC
    kind: str
    message: str


def _structure(h5: h5py.File, name: str, at: slice) -> np.ndarray:
    """A part of the structure of a snapshot, which it has for itself where synapses move."""
    return entries(h5, name, at)[0] if h5[name].ndim == 2 else h5[name][...]


class Summaries(Raw):
    """Tables, weights, reductions and events of an open recording."""

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables."""
        return tuple(name.removeprefix("tables/") for name in self._committed if name.startswith("tables/"))

    def n_rows(self, table: str) -> int:
        """Number of rows of a table; 0 where there is no such table."""
        return self._committed.get(f"tables/{table}", 0)

    def table(self, name: str, rows: slice = slice(None)) -> Any:
        """A NamedTuple of the table's columns, read-only arrays [rows]. Raises KeyError that lists the tables.

        name : one of `tables`; rows : those to read, as slice(-100, None) for the last hundred
        """
        if name not in self.tables:
            raise KeyError(f"{self.path} has no table {name!r}; it has {', '.join(map(repr, self.tables)) or 'no tables'}")
        group, part = f"tables/{name}", slice(*rows.indices(self.n_rows(name)))

        def read(h5: h5py.File) -> dict[str, np.ndarray]:
            columns = sorted(h5[group], key=lambda column: h5[group][column].attrs["position"])
            return {column: frozen(entries(h5, f"{group}/{column}", part)) for column in columns}

        values = self._read(read)
        return record(name.capitalize(), values)

    def about(self, name: str) -> tuple[str, str]:
        """Unit and description of a data set. name : as "tables/trials/loss"."""
        return self._read(lambda h5: (text(h5[name].attrs["units"]), text(h5[name].attrs["description"])))

    @cached_property
    def weight_updates(self) -> np.ndarray:
        """The number of updates before each snapshot of the weights, int64."""
        if "weights" not in self._committed:
            return frozen(np.empty(0, np.int64))
        return frozen(self.read_entries("weights/update", slice(0, self._committed["weights"])))

    def weights(self, update: int | None = None) -> Any:
        """The weights after `update` updates; None or -1: the last snapshot.

        Returns a NamedTuple (w_in, w_rec, w_out, b_out) of read-only arrays [pre, post] or csr_array.
        Raises KeyError where there are no weights, IndexError that lists the updates with a snapshot.
        """
        updates = self.weight_updates
        if not updates.size:
            raise KeyError(f"{self.path} has no weights; Recorder(weights_every=...) records them")
        update = integer("Recording.weights.update", -1 if update is None else update, f"be one of {listed(updates)}")
        update = int(updates[-1]) if update == -1 else update
        where = np.flatnonzero(updates == update)
        if where.size != 1:
            raise fail("Recording.weights.update", f"be one of {listed(updates)}", update, error=IndexError)
        at = slice(int(where[0]), int(where[0]) + 1)

        def read(h5: h5py.File) -> dict[str, Any]:
            group = h5["weights"]
            names = [name for name in group if name != "update" and "shape" in group[name].attrs]
            values = {}
            for name in sorted(names, key=lambda name: group[name].attrs["position"]):
                values[name] = frozen(entries(h5, f"weights/{name}", at)[0])
                if f"{name}_indptr" in group:
                    from scipy.sparse import csr_array

                    indices, indptr = (_structure(h5, f"weights/{name}_{part}", at) for part in ("indices", "indptr"))
                    values[name] = csr_array((values[name], indices, indptr), shape=tuple(group[name].attrs["shape"]))
            return values

        values = self._read(read)
        return record("Weights", values)

    @property
    def rewiring(self) -> Any:
        """Births and deaths of synapses: a NamedTuple of arrays [changes], update (updates so far), matrix (0: w_in, 1: w_rec),
        pre, post, born (1, or 0 of a death) and sign (of one that is born, else 0). Raises KeyError where nothing was rewired."""
        if "rewiring" not in self._committed:
            raise KeyError(f"{self.path} has no rewired synapses; Simulator(rewiring=...) rewires them")
        n = self._committed["rewiring"]

        def read(h5: h5py.File) -> dict[str, np.ndarray]:
            columns = sorted(h5["rewiring"], key=lambda column: h5["rewiring"][column].attrs["position"])
            return {column: frozen(entries(h5, f"rewiring/{column}", slice(0, n))) for column in columns}

        return record("Rewiring", self._read(read))

    @property
    def synapses(self) -> Any:
        """Weights of chosen synapses: a NamedTuple of update [rows], and of w_rec [rows, chosen] and w_rec_pairs [chosen, 2],
        (pre, post), for each matrix. Raises KeyError where there are none."""
        if "synapses" not in self._committed:
            raise KeyError(f"{self.path} has no weights of chosen synapses; Recorder(synapses=...) records them")
        n = self._committed["synapses"]

        def read(h5: h5py.File) -> dict[str, np.ndarray]:
            found = h5["synapses"]
            columns = sorted((c for c in found if "position" in found[c].attrs), key=lambda c: found[c].attrs["position"])
            values = {column: entries(h5, f"synapses/{column}", slice(0, n)) for column in columns}
            return values | {f"{c}_pairs": found[f"{c}_pairs"][...] for c in columns if c != "update"}

        values = {name: frozen(x) for name, x in self._read(read).items()}
        return record("Synapses", values)

    @property
    def reduced(self) -> tuple[str, ...]:
        """Names of the reducers that summed up the run, for `reduction`."""
        return tuple(name.removeprefix("reduced/") for name in self._committed if name.startswith("reduced/"))

    def reduction(self, name: str) -> Any:
        """What the reducer of this `name` left: a NamedTuple of columns [bins], see `snnlearn.recording.reducers`.

        time (ms of simulated time, at the bin's end), duration (ms), trial, update, the reducer's own columns, edges of its
        histograms, and rate (Hz) for "rates" [bins] and "neuron_rates" [bins, n]. Raises KeyError that lists the names.
        """
        known = self.reduced
        if name not in known:
            hint = ", ".join(map(repr, known)) or "none; Recorder(reduce=...) records them"
            raise KeyError(f"{self.path} has no reduction {name!r}; it has {hint}")
        group, n = f"reduced/{name}", self._committed[f"reduced/{name}"]

        def read(h5: h5py.File) -> dict[str, np.ndarray]:
            found, fixed = h5[group], {}
            columns = sorted((c for c in found if "position" in found[c].attrs), key=lambda c: found[c].attrs["position"])
            values = {column: entries(h5, f"{group}/{column}", slice(0, n)) for column in columns}
            for column in found:
                if column not in columns:
                    fixed[column] = found[column][...]
            return values | fixed

        values = self._read(read)
        stop = values.pop("stop")
        time = stop * self.dt
        duration = np.diff(time, prepend=0.0)
        head = {"time": time, "duration": duration, "trial": values.pop("trial"), "update": values.pop("update")}
        if name in ("rates", "neuron_rates"):
            neurons = self.n_neurons if name == "rates" else 1
            seconds = duration.reshape(-1, *[1] * (values["spikes"].ndim - 1)) / 1000.0
            head["rate"] = values["spikes"] / (neurons * seconds)
        values = {column: frozen(np.asarray(x)) for column, x in (head | values).items()}
        return record(name.title().replace("_", ""), values)

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """What happened during the run, in order."""
        part = slice(0, self._committed["events"])
        columns = [self.read_entries(f"events/{name}", part).tolist() for name in Event._fields]
        begins = np.arange(part.stop)
        if "continues" in self._read(lambda h5: set(h5["events"])):  # texts of fixed width, in one row or more
            begins = np.flatnonzero(self.read_entries("events/continues", part) == 0)
        bounds = itertools.pairwise([*begins.tolist(), part.stop])
        joined = ([b"".join(column[a:b]) for column in columns] for a, b in bounds)
        return tuple(Event(*(data.decode() for data in event)) for event in joined)
