"""`Recorder`: what to record of a run, and the open file that it streams to. The layout is documented in `schema`."""

from __future__ import annotations

import json
import os
import pathlib
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from .._check import fail, regular_file
from .._interrupts import shielded
from ..storage import seqlock
from ..storage.integrity import put_text, set_attributes
from ..storage.journal import JournaledFile, create_file
from ..storage.store import Store, Stream, now
from ..storage.values import to_json
from .options import OPTIONS
from .protocol import BaseRecorder
from .reducers import STREAM, Ended
from .reductions import Reductions
from .schema import FINAL_STATUS, FORMAT, SIGNALS, VERSION, entry, versions
from .state import FOLLOWED, REDUCED, without_history
from .streams import EventLog, Inputs, RawData, Snapshots, SynapseTable, Tables, schedule

PER_TRIAL = ("trials", "updates", "alignment", "gradient_norms")  # tables that `tables=False` leaves out


class Recorder(BaseRecorder):
    """Streams a run to an HDF5 file.

    Parameters
    ----------
    path : the file; made when a simulation opens it
    spikes : record the neurons' spikes
    v, a, psi, threshold, learning_signal : neurons whose variable is recorded: True (all), a list of indices or a slice. Where v
        is recorded, so is the threshold of those of its neurons whose threshold adapts, unless threshold=False
    readout, target : record them
    weights_every : record the weights every so many updates, and the last ones
    every : raw data (spikes, variables, readout, target) of the trials 0, every, 2 every, ... only
    compression : "gzip", by a thread beside the run, or None; a run that must wait for it warns
    overwrite : replace a file that exists, when the simulation opens it
    variables : neurons of any other variable of the neuron model, as {"i": [0, 1]}
    checkpoint_every, checkpoint_minutes : write the state of the simulation into the file, so that `sl.resume(path)` goes on
        from there exactly: after so many batches or pieces, or minutes, whichever comes first; also at the beginning and the
        end, and at Ctrl-C and SIGTERM. "auto": every minute of a training (`Simulator.train`), where `checkpoint_every` is None,
        and none of other runs; None, None: no checkpoints
    keep_every : keep a state for good at the beginning and after every so many batches or pieces, each in as many bytes as the
        weights, the moments and a stream's traces have, so that `sl.replay` begins close to any window; checkpoints come too
    every_steps : of variables, readout and target only the steps 0, k, 2 k, ... of a trial, or of a piece of a stream
    windows : raw data only of these times [(start, stop), ...] in ms within a trial, or of a stream; None for an open end
    eligibility : synapses whose traces are recorded, by matrix as {"w_rec": [(pre, post), ...], "w_in": ...}; they are those
        of e-prop of order 1 (`snnlearn.rules.eligibility`), whatever the rule
    eligibility_parts : which: "eligibility" (e), "filtered_eligibility" (e through the readout's filter),
        "eligibility_vector" (of each variable of the neuron model)
    synapses, synapses_every : weights of chosen synapses, as above ("w_out" too), with the first batch or piece that reaches
        the next multiple of so many updates
    gradient_norms : norms of the gradient of each update, before clipping, in the table "gradient_norms"; where
        update_every="trial"
    reduce : reducers by name, or with their bins in ms as {"rates": 1000.0}; they see all steps of all trials, whatever the
        schedule of raw data; see `snnlearn.recording.reducers`
    raw : False: no raw data; variables, which must then be asked for all the same, serve the reducers only
    tables : False: no row for each trial, update and alignment
    inputs : record what reaches the network, for `Recording.inputs`; `sl.replay` of a stream whose masks are ones then needs none

    Raises FileExistsError, FileNotFoundError (no such folder), IsADirectoryError, ValueError or TypeError.

    As a context manager it closes with status "complete", or "interrupted" or "failed: ..." after an exception::

        with Recorder("run.h5", v=[0, 1, 2], weights_every=100) as recorder:
            simulator.train(task, trials=1000, recorder=recorder)

    A recorder that is collected or left at the end of the program writes what it holds, with status "interrupted". A process that
    is forked from the one that records may not use it: ValueError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        spikes: bool = True,
        v: Any = None,
        a: Any = None,
        psi: Any = None,
        threshold: Any = None,
        learning_signal: Any = None,
        readout: bool = True,
        target: bool = True,
        weights_every: int | None = None,
        every: int = 1,
        compression: str | None = "gzip",
        overwrite: bool = False,
        variables: Mapping[str, Any] | None = None,
        checkpoint_every: int | None = None,
        checkpoint_minutes: float | str | None = "auto",
        keep_every: int | None = None,
        every_steps: int = 1,
        windows: Any = None,
        eligibility: Mapping[str, Any] | None = None,
        eligibility_parts: Any = ("eligibility", "filtered_eligibility"),
        synapses: Mapping[str, Any] | None = None,
        synapses_every: int = 1,
        gradient_norms: bool = False,
        reduce: Any = None,
        raw: bool = True,
        tables: bool = True,
        inputs: bool = False,
    ):
        given = locals()
        self._set_options({name: given[name] for name in OPTIONS} | {"overwrite": overwrite})
        self.path = check_new_file("Recorder.path", path, self.overwrite)
        self._choose({"v": v, "a": a, "psi": psi, "threshold": threshold, "learning_signal": learning_signal}, variables)
        self._store: Store | None = None
        self._network: dict[str, Any] = {}
        self._configuration = ""
        self._status = "not open"
        self._goes_on: Callable[[], None] | None = None  # opens the file of a recording that goes on
        self._anew = False  # whether its stream does not

    def __repr__(self) -> str:
        return f"Recorder({str(self.path)!r}, {self._status})"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> None:
        if kind is None:
            self.close("complete")
        elif issubclass(kind, Exception):
            self.close(f"failed: {kind.__name__}: {error}")
        else:
            self.close("interrupted")

    @property
    def is_open(self) -> bool:
        """Whether it records: the file is open for writing, or will be when something comes (`waits`)."""
        return self._status == "running" or self.waits

    @property
    def waits(self) -> bool:
        """Whether it goes on in a file that `sl.resume` has left closed, which is opened when something is recorded."""
        return self._goes_on is not None

    def go_on_with(self, begin: Callable[[], None]) -> None:
        """Call `begin`, which opens the file, when something is recorded."""
        self._goes_on, self._status = begin, "complete until something is recorded"

    def go_on(self) -> None:
        """Open the file of a recording that goes on, where it waits. ValueError in a process that was forked from the writer."""
        if self._store is not None and self._status == "running" and self._store.process != os.getpid():
            hint = "it may record to a file of its own, by another Recorder"
            raise fail("Recorder", "be used in the process that opened its file", "a process forked from it", hint)
        begin, self._goes_on = self._goes_on, None
        if begin is not None:
            try:
                begin()
            except BaseException:
                self._goes_on = begin
                raise
            if self._anew:
                self.stream_begins()

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait in memory for the next flush, but for full chunks that are being compressed (8 MB at most)."""
        return self._store.buffered if self._store is not None else 0

    @shielded
    def open(  # type: ignore[override]
        self,
        config: Mapping[str, Any],
        *,
        n_neurons: int,
        n_outputs: int,
        dt: float,
        variables: tuple[str, ...],
        weights: Any,
        model: str = "the network",
        hidden: tuple[str, ...] = ("v",),
        adaptive: Any = (),
    ) -> None:
        """Create the file; while it is open already, check that the same network continues in it.

        config : everything needed to repeat the run, as JSON values and arrays; its "seed" is stored as an attribute too.
            Where it differs while the file is open, the new one is stored as an event of kind "configuration"
        dt : ms
        weights : NamedTuple (w_in, w_rec, w_out, b_out), for the shapes; `snapshot` stores values
        hidden : those of the variables that are the neurons' state, with one eligibility vector each
        adaptive : neurons whose threshold adapts
        Raises as `Recorder` and `selection` do, ValueError after `close` or for another network, OSError.
        """
        self.go_on()
        layout = {name: tuple(np.shape(w)) for name, w in weights._asdict().items()}
        network = {"n_neurons": int(n_neurons), "n_outputs": int(n_outputs), "dt": float(dt), **layout}
        text = to_json(config, "Recorder.open.config")
        if self.is_open:
            if network != self._network:
                hint = f"the recording is of {self._network}"
                raise fail("Recorder.open", "continue with the same network", network, hint)
            self.selection(n_neurons, variables, model)
            if text != self._configuration:
                self.event("configuration", text)
                self._configuration = text
            return
        if self._status != "not open":
            raise fail("Recorder.open", "come before close()", self._status, "make a new Recorder")
        self.adaptive = np.asarray(adaptive, np.int64)
        selection = self.selection(n_neurons, variables, model)
        self._pairs = self.check_synapses(weights, dt, hidden)
        check_new_file("Recorder.path", self.path, self.overwrite)
        try:
            journal = JournaledFile(self.path, "w" if self.overwrite else "x")
        except OSError as error:
            why = "it is open for writing already" if isinstance(error, BlockingIOError) else error
            raise OSError(f"the recording {self.path} cannot be created: {why}") from error
        file = create_file(journal, seqlock.SIZE)
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
            every=self.every,
            every_steps=self.every_steps,
            weights_every=self.weights_every or 0,
        )
        if isinstance(config.get("seed"), (int, np.integer)):
            set_attributes(file, seed=config["seed"])
        put_text(file, "configuration", text)  # an attribute holds 64 KiB at most
        self._network, self._configuration = network, text
        self._begin(file, journal, selection, weights)
        self._opened("open").flush()

    def _begin(self, file: h5py.File, journal: JournaledFile, selection: Mapping[str, np.ndarray], weights: Any) -> None:
        """Take a file, new or cut back to a checkpoint, as the one that is written."""
        store = self._store = Store(file, journal, self.compression, str(self.path), entry)
        self._finalizer = weakref.finalize(self, store.close, "interrupted")
        self._finalizer.atexit = False  # the store sees to that
        signals = tuple(name for name in SIGNALS if getattr(self, name))
        n, n_outputs, dt = (self._network[name] for name in ("n_neurons", "n_outputs", "dt"))
        plan = schedule(self.windows, self.every_steps, dt)
        n_inputs = int(self._network["w_in"][0]) if self.inputs and self.raw else 0
        self._raw = RawData(store, selection, self._pairs, (n, n_outputs), self.raw and self.spikes, signals, plan, n_inputs)
        self._synapses = SynapseTable(store, self.synapses, weights, self.synapses_every) if self.synapses else None
        n_rules = len(json.loads(self._configuration).get("passive") or ())
        self._reductions = Reductions(store, self.reduce, dt, n, weights, n_rules) if self.reduce else None
        if self._reductions is not None:
            store.before_closing = self._reductions.finish
        self._tables = Tables(store)
        self._snapshots: Snapshots | None = None
        self._events = EventLog(store)
        store.notes = self._events.append
        self._status = "running"

    @shielded
    def block(  # type: ignore[override]
        self,
        trial: int,
        start: int,
        spike_step: Any,
        spike_neuron: Any,
        traces: Mapping[str, Any] | None = None,
        readout: Any = None,
        target: Any = None,
        n_steps: int | None = None,
        stream: int | None = None,
        inputs: Any = None,
    ) -> None:
        """Record a contiguous piece of one trial; pieces of different trials may alternate. The arrays are copied.

        start : first step; spike_step : int [spikes], counted within the trial as `start` is; spike_neuron : int [spikes]
        traces : an array [steps, selected] for each variable of `selection`, and for each of `pairs`
        readout : [steps, n_outputs]; target : numbers [steps, n_outputs] or labels [steps]; None: unknown in this piece
        n_steps : length; needed only where no array gives it
        stream : of a piece of a stream, the steps of the stream before the piece
        inputs : (step, channel, value), arrays [entries] in order of steps, counted as `start` is

        Raw data of a trial that `wants` refuses are not written. Raises ValueError or TypeError for arrays that do not fit.
        """
        store = self._opened("block")
        signals, given, spikes = {"readout": readout, "target": target}, traces or {}, (spike_step, spike_neuron)
        if self.wants(trial):
            self._raw.append(trial, start, spikes, given, signals, n_steps, stream, None if inputs is None else Inputs(*inputs))
        if self._reductions is not None:
            length = next((len(x) for x in (readout, *given.values()) if x is not None), n_steps)
            first = start + (stream or 0)
            steps = np.asarray(spike_step) + (stream or 0)
            number = trial if stream is None else STREAM
            self._reductions.block(number, range(first, first + int(length or 0)), (steps, spike_neuron), given)
        store.flush_if_due()

    @shielded
    def ended(self, trial: int, update: int, what: Ended, streaming: bool = False) -> None:
        """Count a batch or piece for reducers, once its blocks are recorded.

        trial, update : number of its last trial, and of updates so far; what : sums over it; streaming : whether it is a piece
        """
        store = self._opened("ended")
        if self._synapses is not None and self._synapses.due(update):
            self._synapses.append(update, what.weights)
        if self._reductions is not None:
            self._reductions.ended(trial, update, what, streaming)
        store.flush_if_due()

    def stream_begins(self) -> None:
        """The stream begins anew from the initial state: traces of synapses and intervals do not go on."""
        super().stream_begins()
        self._anew = True
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
        if self.tables or table not in PER_TRIAL:
            self._tables.append(table, columns)
            store.flush_if_due()

    @shielded
    def snapshot(self, update: int, weights: Any, final: bool = False) -> None:
        """Record the weights after `update` updates where the schedule asks for it.

        weights : NamedTuple (w_in, w_rec, w_out, b_out), arrays [pre, post] or csr_array
        final : record these whatever the schedule, unless they are recorded already
        """
        store = self._opened("snapshot")
        if self.weights_every is None or not (final or update % self.weights_every == 0):
            return
        if self._snapshots is None:
            self._snapshots = Snapshots(store, weights._asdict())
        if update != self._snapshots.last_update:
            self._snapshots.append(update, weights._asdict())
            store.flush_if_due()

    @shielded
    def event(self, kind: str, message: str) -> None:
        """Record what happened, such as a warning, with the time."""
        store = self._opened("event")
        self._events.append(kind, message)
        store.flush_if_due()

    @shielded
    def checkpoint(  # type: ignore[override]
        self,
        values: dict[str, Any],
        arrays: Mapping[str, np.ndarray],
        constants: Mapping[str, np.ndarray],
        headroom: int = 0,
        *,
        wait: bool = False,
        goes_on: bool = True,
    ) -> None:
        """Write a state into the file, from which the run and this recording can go on exactly.

        values : JSON values; arrays : the state, which must not change any more; constants : arrays that never change
        headroom : bytes by which a later state may be larger
        wait : until it is on the disk; else a thread writes it
        goes_on : whether the recording goes on too where the run does

        Raises OSError naming the file; what was written before is still there.
        """
        store = self._opened("checkpoint")
        if goes_on and self.keeping_due:
            store.keep(self._kept, *without_history(values, arrays), constants)
            self._kept, self._since_kept = self._kept + 1, 0
        state = self._described() if goes_on else None
        own = self._own_arrays() if goes_on else {}
        store.checkpoint(values | {"recorder": state}, {**arrays, **own}, constants, headroom)
        self._runs, self._checkpointed_at = 0, time.monotonic()
        if wait and store.slots is not None:
            store.slots.wait()

    @shielded
    def flush(self) -> None:
        """Write everything that is pending, so that a reader sees it. Raises OSError naming the file."""
        self._opened("flush").flush()

    @shielded
    def close(self, status: str = "complete") -> None:
        """Write everything and close the file with a status: "complete", "interrupted" or "failed: ...".

        Does nothing after the first call, or where no simulation opened the file.
        """
        if status not in FINAL_STATUS[:2] and not str(status).startswith("failed: "):
            raise fail("Recorder.close.status", "be " + ", ".join(repr(s) for s in FINAL_STATUS), status)
        if self.waits:
            self._goes_on, self._status = None, "closed"
        elif self._store is not None and self.is_open:
            self._status = status
            self._store.close(status[:1000])
            self._finalizer.detach()

    def _described(self) -> dict[str, Any]:
        """Options of an open recorder, and how long each of its streams is, as JSON values."""
        streams = {name: {"n": stream.n, "columns": list(stream.columns)} for name, stream in self._streams()}
        return {
            "options": {name: getattr(self, name) for name in OPTIONS},
            "variables": {name: index.tolist() for name, index in self._raw.selection.items()},
            "pairs": list(self._pairs),
            "kept": [self._kept, self._since_kept],
            "network": self._network,
            "configuration": self._configuration,
            "streams": streams,
        }

    def _own_arrays(self) -> dict[str, np.ndarray]:
        """What an open recorder carries from run to run: sums of reducers, traces of chosen synapses."""
        result = {}
        for prefix, part in ((REDUCED, self._reductions), (FOLLOWED, self.follower)):
            result.update({prefix + name: array for name, array in (part.state() if part is not None else {}).items()})
        return result

    def _streams(self) -> Iterator[tuple[str, Stream]]:
        yield "segments", self._raw.segments
        yield "spikes", self._raw.spikes
        yield "rows", self._raw.rows
        if self._raw.inputs.columns:
            yield "inputs", self._raw.inputs
        yield "events", self._events
        if self._snapshots is not None:
            yield "weights", self._snapshots.stream
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


def check_new_file(where: str, path: Any, overwrite: bool) -> pathlib.Path:
    """The path of a file to write; OSError, ValueError or TypeError where there can be none or, unless `overwrite`, is one."""
    if not isinstance(path, (str, os.PathLike)):
        raise fail(where, "be the name of a file", path, error=TypeError)
    path = pathlib.Path(path)
    if path.is_dir():
        raise fail(where, "be a file, not a folder", str(path), error=IsADirectoryError)
    if not path.parent.is_dir():
        raise fail(where, "be in a folder that exists", str(path), error=FileNotFoundError)
    if path.exists():
        regular_file(where, path)
    if path.exists() and not overwrite:
        raise fail(where, "name a new file", str(path), "the file exists; overwrite=True replaces it", FileExistsError)
    return path
