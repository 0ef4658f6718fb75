"""`RecordingWriter`: a recorder that writes HDF5, to a file or in memory. The layout is documented in `schema`."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Unpack

import h5py
import numpy as np

from .._check import fail
from .._interrupts import shielded
from ..storage.integrity import put_text, set_attributes
from ..storage.journal import JournaledFile
from ..storage.store import Store, Stream, now
from ..storage.values import to_json
from .options import RecorderOptions
from .protocol import RunRecorder, Signals
from .reducers import STREAM, Ended
from .reductions import Reductions
from .schema import FINAL_STATUS, FORMAT, SIGNALS, VERSION, entry, versions
from .streams import EventLog, Inputs, RawData, Rewiring, Snapshots, SynapseTable, Tables, schedule

PER_TRIAL = ("trials", "updates", "alignment", "gradient_norms")  # tables that `tables=False` leaves out


class RecordingWriter(RunRecorder):
    """Writes what a simulator hands over into an HDF5 file, which the subclasses make.

    options : `RecorderOptions`; name : of the file, in errors
    """

    def __init__(self, options: RecorderOptions, name: str):
        super().__init__(options)
        self._name, self._status = name, "not open"
        self._store: Store | None = None
        self._network: dict[str, Any] = {}
        self._configuration = ""

    @abstractmethod
    def _new_file(self) -> tuple[h5py.File, JournaledFile | None]:
        """The file, and the journal that it is written through. Raises OSError where it cannot be made."""

    def _took(self, store: Store) -> None:
        """Called with the store of the file as soon as there is one."""

    @property
    def is_open(self) -> bool:
        """Whether it records, since `open`."""
        return self._status == "running"

    @property
    def rewires(self) -> bool:
        """Whether sparse matrices of the run are rewired, so that each snapshot has a structure of its own."""
        return json.loads(self._configuration or "{}").get("rewiring") is not None

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait in memory for the next flush, but for full chunks that are being compressed (8 MB at most)."""
        return self._store.buffered if self._store is not None else 0

    @shielded
    def open(
        self,
        config: Mapping[str, Any],
        *,
        n_neurons: int,
        n_outputs: int,
        dt: float,
        variables: tuple[str, ...],
        weights: Any,
        **network: Any,
    ) -> None:
        """Create the file; while it is open already, check that the same network continues in it. See `RunRecorder.open`.

        The "seed" of the configuration is stored as an attribute too. Where the configuration differs while the file is open,
        the new one is stored as an event of kind "configuration".
        Raises as `Recorder` and `selection` do, ValueError after `close` or for another network, OSError.
        """
        self.go_on()
        layout = {name: tuple(np.shape(w)) for name, w in weights._asdict().items()}
        found = {"n_neurons": int(n_neurons), "n_outputs": int(n_outputs), "dt": float(dt), **layout}
        text = to_json(config, "Recorder.open.config")
        model = network.get("model", "the network")
        if self.is_open:
            if found != self._network:
                hint = f"the recording is of {self._network}"
                raise fail("Recorder.open", "continue with the same network", found, hint)
            self.selection(n_neurons, variables, model)
            if text != self._configuration:
                self.event("configuration", text)
                self._configuration = text
            return
        if self._status != "not open":
            raise fail("Recorder.open", "come before close()", self._status, "make a new Recorder")
        self.adaptive = np.asarray(network.get("adaptive", ()), np.int64)
        selection = self.selection(n_neurons, variables, model)
        self.pairs = self.check_synapses(weights, dt, network.get("hidden", ("v",)))
        file, journal = self._new_file()
        set_attributes(
            file,
            format=FORMAT,
            version=VERSION,
            status="running",
            created=now(),
            versions=json.dumps(versions()),
            dt=float(dt),
            dt_units="ms",
            n_neurons=int(n_neurons),
            n_outputs=int(n_outputs),
            every=self.options.every,
            every_steps=self.options.every_steps,
            weights_every=self.options.weights_every or 0,
        )
        if isinstance(config.get("seed"), (int, np.integer)):
            set_attributes(file, seed=config["seed"])
        put_text(file, "configuration", text)  # an attribute holds 64 KiB at most
        self._network, self._configuration = found, text
        self._begin(file, journal, selection, weights)
        self._opened("open").flush()

    def _begin(self, file: h5py.File, journal: JournaledFile | None, selection: Mapping[str, np.ndarray], weights: Any) -> None:
        """Take a file, new or cut back to a checkpoint, as the one that is written."""
        options = self.options
        store = self._store = Store(file, journal, options.compression, self._name, entry)
        self._took(store)
        signals = tuple(name for name in SIGNALS if getattr(options, name))
        n, n_outputs, dt = (self._network[name] for name in ("n_neurons", "n_outputs", "dt"))
        plan = schedule(options.windows, options.every_steps, dt)
        n_inputs = int(self._network["w_in"][0]) if options.inputs and options.raw else 0
        spikes = options.raw and options.spikes
        self._raw = RawData(store, selection, self.pairs, (n, n_outputs), spikes, signals, plan, n_inputs)
        chosen = options.synapses
        self._synapses = SynapseTable(store, chosen, weights, options.synapses_every) if chosen else None
        n_rules = len(json.loads(self._configuration).get("passive") or ())
        self._reductions = Reductions(store, options.reduce, dt, n, weights, n_rules) if options.reduce else None
        if self._reductions is not None:
            store.before_closing = self._reductions.finish
        self._tables = Tables(store)
        self._snapshots: Snapshots | None = None
        self._rewiring: Rewiring | None = None
        self._events = EventLog(store)
        store.notes = self._events.append
        self._status = "running"

    @shielded
    def block(
        self,
        trial: int,
        start: int,
        spike_step: Any,
        spike_neuron: Any,
        traces: Mapping[str, Any] | None = None,
        **signals: Unpack[Signals],
    ) -> None:
        """Record a contiguous piece of one trial; see `RunRecorder.block`. The arrays are copied.

        Raw data of a trial that `wants` refuses are not written. Raises ValueError or TypeError for arrays that do not fit.
        """
        store = self._opened("block")
        given, spikes = traces or {}, (spike_step, spike_neuron)
        n_steps, stream, inputs = signals.get("n_steps"), signals.get("stream"), signals.get("inputs")
        readout = signals.get("readout")
        if self.wants(trial):
            shown = {"readout": readout, "target": signals.get("target")}
            self._raw.append(trial, start, spikes, given, shown, n_steps, stream, None if inputs is None else Inputs(*inputs))
        if self._reductions is not None:
            length = next((len(x) for x in (readout, *given.values()) if x is not None), n_steps)
            first = start + (stream or 0)
            steps = np.asarray(spike_step) + (stream or 0)
            number = trial if stream is None else STREAM
            self._reductions.block(number, range(first, first + int(length or 0)), (steps, spike_neuron), given)
        store.flush_if_due()

    @shielded
    def ended(self, trial: int, update: int, what: Ended, streaming: bool = False) -> None:
        """Count a batch or piece for reducers, once its blocks are recorded. See `RunRecorder.ended`."""
        store = self._opened("ended")
        if self._synapses is not None and self._synapses.due(update):
            self._synapses.append(update, what.weights)
        if self._reductions is not None:
            self._reductions.ended(trial, update, what, streaming)
        store.flush_if_due()

    def stream_begins(self) -> None:
        """The stream begins anew from the initial state: traces of synapses and intervals do not go on."""
        super().stream_begins()
        if self._store is not None and self._reductions is not None:
            self._reductions.stream_begins()

    @shielded
    def row(self, table: str, /, **columns: Any) -> None:
        """Append a row (numbers) or rows (arrays [k]; a number among them repeats) to a table.

        Columns are made on first use, int64 for whole numbers and float64 for others; rows that came before a
        column have NaN (-1) in it. Does nothing for the tables that `tables=False` leaves out.

        Raises ValueError for a missing column, TypeError for a fraction in an int column.
        """
        store = self._opened("row")
        if self.options.tables or table not in PER_TRIAL:
            self._tables.append(table, columns)
            store.flush_if_due()

    @shielded
    def snapshot(self, update: int, weights: Any, final: bool = False) -> None:
        """Record the weights after `update` updates where the schedule asks for it.

        weights : NamedTuple (w_in, w_rec, w_out, b_out), arrays [pre, post] or csr_array
        final : record these whatever the schedule, unless they are recorded already
        """
        store = self._opened("snapshot")
        if self.options.weights_every is None or not (final or update % self.options.weights_every == 0):
            return
        if self._snapshots is None:
            self._snapshots = Snapshots(store, weights._asdict(), self.rewires)
        if update != self._snapshots.last_update:
            self._snapshots.append(update, weights._asdict())
            store.flush_if_due()

    @shielded
    def rewired(self, **columns: Any) -> None:
        """Record births and deaths of synapses; see `RunRecorder.rewired`."""
        store = self._opened("rewired")
        if self._rewiring is None:
            self._rewiring = Rewiring(store)
        self._rewiring.extend(len(columns["update"]), columns)
        store.flush_if_due()

    @shielded
    def event(self, kind: str, message: str) -> None:
        """Record what happened, such as a warning, with the time."""
        store = self._opened("event")
        self._events.append(kind, message)
        store.flush_if_due()

    @shielded
    def flush(self) -> None:
        """Write everything that is pending, so that a reader sees it. Raises OSError naming the file."""
        self._opened("flush").flush()

    def _streams(self) -> Iterator[tuple[str, Stream]]:
        yield "segments", self._raw.segments
        yield "spikes", self._raw.spikes
        yield "rows", self._raw.rows
        if self._raw.inputs.columns:
            yield "inputs", self._raw.inputs
        yield "events", self._events
        if self._snapshots is not None:
            yield "weights", self._snapshots.stream
        if self._rewiring is not None:
            yield "rewiring", self._rewiring
        if self._synapses is not None:
            yield "synapses", self._synapses.stream
        for name, reducer in self._reductions.reducers.items() if self._reductions is not None else ():
            yield f"reduced/{name}", reducer.stream
        for name, stream in self._tables.streams.items():
            yield f"tables/{name}", stream

    def _opened(self, method: str) -> Store:
        self.go_on()
        if self._store is None or not self.is_open:
            raise fail(f"Recorder.{method}", "be called between open() and close()", self._status)
        return self._store


def check_status(status: str) -> None:
    """Raise ValueError unless a run can end with this status."""
    if status not in FINAL_STATUS[:2] and not str(status).startswith("failed: "):
        raise fail("Recorder.close.status", "be " + ", ".join(repr(s) for s in FINAL_STATUS), status)
