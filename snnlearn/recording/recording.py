"""`open_recording`: what a file holds, read by names and slices and never as a whole. The layout is documented in `schema`."""

from __future__ import annotations

import os
from typing import Any

from .._check import fail
from ..network.network import Network
from ..spec import decode
from ..storage.checkpoint_slots import read_checkpoints
from ..storage.open_file import size_text
from . import convert
from .readable import Readable


def open_recording(path: str | os.PathLike[str], stream: bool | None = None) -> Recording:
    """Open a recording for reading, also one that is still being written (as far as it was committed by now).

    path : of the HDF5 file
    stream : whether its trials are the pieces of one stream; None: as the file tells, which only one that snnlearn 0.1 wrote
        without a checkpoint does not

    Raises FileNotFoundError, IsADirectoryError, ValueError (no recording, or of a newer version) or OSError (truncated).
    """
    return Recording(path, stream)


class Recording(Readable):
    """A recording, open for reading; a context manager. Copies and pickles open the file again.

    A trial counts its steps, and time in ms, from its beginning. A stream counts them from its own: its pieces are chosen by
    their numbers, as trials are, but a time or a slice of steps goes across them.

    path, stream : as of `open_recording`; raises as it does
    attrs : attributes of the file; status, versions, dt (ms), n_neurons, n_outputs are among them
    config : the configuration of the run
    names : names of the recorded signals; `recording["v"]` is a `Signal`
    tables : names of the tables; `recording.table("trials").loss`
    """

    def __repr__(self) -> str:
        state = ", closed" if self._closed else ""
        n = self.n_spikes
        lines = [
            f"Recording({str(self.path)!r}{state}), {self.ending}",
            f"  {self.n_neurons} neurons, {self.n_outputs} outputs, dt {self.dt:g} ms",
            f"  {self._held()}, {self.n_steps} steps, {self.n_steps * self.dt / 1000:g} s",
        ]
        if n is not None:
            lines.append(f"  {n} spikes, mean rate {self.mean_rate:.3g} Hz")
        if not self._closed:
            lines[0] += f", {size_text(self.size)}"
            lines += [f"  {signal!r}" for signal in map(self.__getitem__, self.names)]
            lines += [f"  table {name}: {self._committed[f'tables/{name}']} rows" for name in self.tables]
            if self.reduced:
                lines.append(f"  reduced: {', '.join(self.reduced)}")
            lines.append(f"  {self._committed.get('weights', 0)} snapshots of the weights, {len(self.events)} events")
            kinds = list(dict.fromkeys(event.kind for event in self.events[:100]))
            lines[-1] += f": {', '.join(kinds[:8])}" if kinds else ""
        return "\n".join(lines)

    def _held(self) -> str:
        if self.is_stream:
            return f"a stream in {self.n_trials} pieces"
        return f"{self.n_trials} trials{' and pieces of streams' if self.segments.streams else ''} with raw data"

    def network(self) -> Network:
        """The network of the run, from its checkpoint or its configuration.

        Raises ValueError where the file does not hold all of it: a user's own neuron model, or a mask without a checkpoint.
        """
        kept = self._read(lambda h5: read_checkpoints(h5)[:1])
        where = f"{self.path}"
        if kept:
            return decode(kept[0].values["net"], kept[0].constants, where)
        values = self.config.get("network")
        if not values:
            raise fail("Recording.network", "be that of a simulation", "a recording without a network")
        for name in ("inputs", "recurrent"):
            if (values.get(name) or {}).get("type") == "Masked":
                hint = "a checkpoint holds it, and Simulator.save"
                raise fail("Recording.network", "be in the file", f"{name} by a mask, which is not", hint)
        return decode({"type": "Network", **values}, {}, where)

    # In other packages' terms; each raises ImportError that says what to install where the package is missing

    def to_xarray(self, names: Any = None, **selection: Any) -> Any:
        """An xarray.Dataset of the signals `names` (None: all); selection : trials, time, neurons; see `convert.to_xarray`."""
        return convert.to_xarray(self, names, **selection)

    def to_pandas(self, name: str | None = None, **selection: Any) -> Any:
        """A pandas.DataFrame; see `convert.to_pandas`.

        name : a table, "spikes", "inputs", "events", a signal, or "reduced/rates"; None: a dict of all but signals
        selection : trials, time, neurons
        """
        return convert.to_pandas(self, name, **selection)

    def to_neo(self, **selection: Any) -> Any:
        """A neo.Block with one segment a trial; see `convert.to_neo`."""
        return convert.to_neo(self, **selection)
