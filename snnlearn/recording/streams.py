"""The parts of an open recording: raw data in segments, tables, snapshots of weights. `Recorder` hands its calls on to them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from keyword import iskeyword
from typing import Any, ClassVar, NamedTuple

import h5py
import numpy as np

from .._check import fail
from ..storage.column import Column
from ..storage.integrity import put_array, set_attributes
from ..storage.open_file import window
from ..storage.store import COLUMNS_PER_CHUNK, TABLE_CHUNK_BYTES, Store, Stream, now
from .schema import entry

TRIALS_REMEMBERED = 1 << 16  # of which the end is known, so that a step recorded twice is noticed
MAX_STEP = 2**32  # steps of spikes are u4
SEGMENT_COLUMNS = ("trial", "start", "n_steps", "row", "spike", "n_spikes")
LATE_COLUMNS = ("stream",)  # of segments, made when the first of them has a value
INPUT_COLUMNS = ("input", "n_inputs")  # of segments, where inputs are recorded


class Inputs(NamedTuple):
    """What reaches a network in a block: arrays [entries], in order of steps."""

    step: np.ndarray  # counted as the block's start is
    channel: np.ndarray
    value: np.ndarray


class Schedule(NamedTuple):
    """Which steps of a trial are recorded."""

    windows: tuple[tuple[int, int], ...] | None  # steps [low, high), in order; None: all
    every_steps: int  # rows of the steps 0, k, 2k, ... of a trial; spikes of all of them

    def pieces(self, start: int, n_steps: int, offset: int) -> list[tuple[int, int]]:
        """What is recorded of a block, as steps [low, high) counted as `start` is. offset : of the windows' axis."""
        if self.windows is None:
            return [(start, start + n_steps)]
        cut = ((max(start, a - offset), min(start + n_steps, b - offset)) for a, b in self.windows)
        return [(low, high) for low, high in cut if low < high]


def schedule(windows: Any, every_steps: int, dt: float) -> Schedule:
    """The schedule of windows in ms; those that overlap are joined."""
    if windows is None:
        return Schedule(None, every_steps)
    joined: list[tuple[int, int]] = []
    for low, high in sorted(window(dt, pair) for pair in windows):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        elif low < high:
            joined.append((low, high))
    return Schedule(tuple(joined), every_steps)


class RawData:
    """Segments with their spikes and rows.

    selection : variable -> int32 [selected], the neurons of its columns
    pairs : trace -> int32 [selected, 2], the synapses (pre, post) of its columns
    sizes : neurons and outputs; signals : those of readout and target that are recorded
    """

    def __init__(
        self,
        store: Store,
        selection: Mapping[str, np.ndarray],
        pairs: Mapping[str, np.ndarray],
        sizes: tuple[int, int],
        spikes: bool,
        signals: tuple[str, ...],
        schedule: Schedule,
        n_inputs: int = 0,
    ):
        self.store, self.selection, self.pairs, self.signals, self.schedule = store, selection, pairs, signals, schedule
        (self.n, self.n_outputs), self.has_spikes = sizes, spikes
        n = self.n
        self.widths = {name: index.shape for name, index in selection.items()}
        self.widths |= {name: chosen.shape[:1] for name, chosen in pairs.items()}
        self.spikes, self.rows = Stream(store), Stream(store)
        if spikes:
            group = store.file.require_group("spikes")
            self.spikes.add("step", "u4", group=group)
            self.spikes.add("neuron", "u2" if n <= 1 << 16 else "u4", group=group)
        for name, index in selection.items():
            if name in store.file.require_group("neurons"):  # of a recording that goes on
                continue
            about = f"neuron of each column of /traces/{name}"
            put_array(store.file["neurons"], name, index, units="1", description=about)
        for name, chosen in pairs.items():
            if name not in store.file.require_group("pairs"):
                about = f"synapse (pre, post) of each column of /traces/{name}"
                put_array(store.file["pairs"], name, chosen, units="1", description=about)
        self.segments = Stream(store, store.file.require_group("segments"))
        group = store.file["segments"]
        self.inputs = Stream(store)
        if n_inputs:
            of_inputs = store.file.require_group("inputs")
            of_inputs.attrs["channels"] = np.int64(n_inputs)
            self.inputs.add("step", "u4", group=of_inputs)
            self.inputs.add("channel", "u2" if n_inputs <= 1 << 16 else "u4", group=of_inputs)
        own = INPUT_COLUMNS if n_inputs else ()
        for name in (*SEGMENT_COLUMNS, *own, *(name for name in LATE_COLUMNS if name in group)):
            self.segments.add(name, "i8", nbytes=TABLE_CHUNK_BYTES)
        self.ends: OrderedDict[int, int] = OrderedDict()

    def append(
        self,
        trial: int,
        start: int,
        spikes: tuple[Any, Any],
        traces: Mapping[str, Any],
        signals: Mapping[str, Any],
        n_steps: Any,
        stream: int | None = None,
        inputs: Inputs | None = None,
    ) -> None:
        """Add one segment, or what windows leave of it; see `Recorder.block`. stream : steps of a stream before step 0."""
        if set(traces) != set(self.widths):
            raise fail("Recorder.block.traces", f"hold the variables {sorted(self.widths)}", sorted(traces))
        given = {**traces, **{name: x for name, x in signals.items() if x is not None}}
        arrays = {name: np.asarray(x) for name, x in given.items()}
        lengths = {x.shape[0] if x.ndim else 0 for x in arrays.values()} | ({n_steps} if n_steps is not None else set())
        if len(lengths) != 1 or min(lengths) < 1:
            hint = "" if lengths else "no array gives the length; pass n_steps"
            raise fail("Recorder.block", "have arrays of one positive length in steps", sorted(lengths), hint)
        k = int(lengths.pop())
        end = self.ends.get(trial, 0)
        if trial < 0 or start < end:
            raise fail("Recorder.block.start", f"be at least {end}, where trial {trial} ended", start)
        events = self._check_spikes(*spikes, start, start + k) if self.has_spikes else {}
        wanted = {*self.widths, *self.signals}
        rows = {name: x for name, x in arrays.items() if name in wanted and self._check_rows(name, x, k)}
        for low, high in self.schedule.pieces(start, k, stream or 0):
            use = slice(None) if high - low == k else (events["step"] >= low) & (events["step"] < high) if events else slice(0)
            part = None
            if inputs is not None and self.inputs.columns:
                a, b = np.searchsorted(inputs.step, [low, high])
                part = Inputs(*(x[a:b] for x in inputs))
            self._extend(trial, start, (low, high), {name: x[use] for name, x in events.items()}, rows, stream, part)
        self.ends[trial] = start + k
        self.ends.move_to_end(trial)
        if len(self.ends) > TRIALS_REMEMBERED:
            self.ends.popitem(last=False)

    def _extend(
        self,
        trial: int,
        start: int,
        piece: tuple[int, int],
        events: dict[str, np.ndarray],
        rows: dict[str, np.ndarray],
        stream: int | None,
        inputs: Inputs | None,
    ) -> None:
        """Add the steps low .. high-1, with their spikes, of a block whose rows begin at step `start`."""
        (low, high), every = piece, self.schedule.every_steps
        n_spikes = len(events["step"]) if events else 0
        first = -(-low // every) * every
        n_rows = max(0, -(-(high - first) // every))
        segment = {"trial": trial, "start": low, "n_steps": high - low, "row": self.rows.n, "spike": self.spikes.n}
        segment["n_spikes"] = n_spikes
        if self.inputs.columns:
            segment |= {"input": self.inputs.n, "n_inputs": 0 if inputs is None else inputs.step.size}
        if inputs is not None:
            self._extend_inputs(inputs)
        if stream is not None:
            segment["stream"] = stream
            if "stream" not in self.segments.columns:
                self.segments.add("stream", "i8", nbytes=TABLE_CHUNK_BYTES)
        self.spikes.extend(n_spikes, events)
        self.rows.extend(n_rows, {name: x[first - start : high - start : every] for name, x in rows.items()})
        self.segments.extend(1, {name: [value] for name, value in segment.items()})

    def _extend_inputs(self, inputs: Inputs) -> None:
        """Add inputs; values have a column from the first one that is not 1."""
        columns = {"step": inputs.step, "channel": inputs.channel}
        if "value" in self.inputs.columns or (inputs.value != 1).any():
            if "value" not in self.inputs.columns:
                self.inputs.add("value", inputs.value.dtype, group=self.store.file["inputs"])
            columns["value"] = inputs.value
        self.inputs.extend(inputs.step.size, columns)

    def _check_spikes(self, step: Any, neuron: Any, start: int, stop: int) -> dict[str, np.ndarray]:
        step, neuron = np.asarray(step), np.asarray(neuron)
        if stop > MAX_STEP:
            raise fail("Recorder.block", f"end before step 2**32 = {MAX_STEP} of its trial", stop, "begin a new trial")
        if step.ndim != 1 or step.shape != neuron.shape:
            raise fail("Recorder.block.spike_neuron", f"have one entry per spike, shape {step.shape}", neuron.shape)
        for name, x, low, high in (("spike_step", step, start, stop), ("spike_neuron", neuron, 0, self.n)):
            if x.size and x.dtype.kind not in "iu":
                raise fail(f"Recorder.block.{name}", "be whole numbers", str(x.dtype), error=TypeError)
            if x.size and (x.min() < low or x.max() >= high):
                raise fail(f"Recorder.block.{name}", f"be from {low} to {high - 1}", int(x.min() if x.min() < low else x.max()))
        return {"step": step, "neuron": neuron}

    def _check_rows(self, name: str, array: np.ndarray, k: int) -> bool:
        """Whether the array fits the column `name`, which is created where this is the first; raises if not."""
        where = f"Recorder.block.{name}"
        labels = name == "target" and array.ndim == 1 and array.dtype.kind in "iu"
        width = () if labels else self.widths.get(name, (self.n_outputs,))
        if array.shape != (k, *width):
            raise fail(where, f"have shape {(k, *width)}", array.shape)
        if array.dtype.kind not in "fiub":
            raise fail(where, "be numbers", str(array.dtype), error=TypeError)
        column = self.rows.columns.get(name) or self._create(name, array.dtype, width)
        whole = array.dtype.kind in "biu"
        if column.width != width or not (np.can_cast(array.dtype, column.dtype) or (whole and column.dtype.kind == "f")):
            need = f"be {column.dtype} of shape {('steps', *column.width)}, as in the blocks before"
            raise fail(where, need, f"{array.dtype}, {array.shape}", error=TypeError)
        return True

    def _create(self, name: str, dtype: np.dtype, width: tuple[int, ...]) -> Column:
        group: h5py.Group = self.store.file
        if name in self.widths:
            group = group.require_group("traces")
        elif dtype.kind != "f":
            dtype = np.dtype("f8" if width else "i8")
        column = self.rows.add(name, dtype, width, group=group, inner=COLUMNS_PER_CHUNK)
        if name in self.selection:
            set_attributes(column.dataset, neurons=f"/neurons/{name}")
        elif name in self.pairs:
            set_attributes(column.dataset, pairs=f"/pairs/{name}")
        return column


class Tables:
    """Tables of numbers, one stream each."""

    def __init__(self, store: Store):
        self.store = store
        self.streams: dict[str, Stream] = {}

    def add(self, table: str) -> Stream:
        """The stream of a new table, or of one in the file that a recording goes on with."""
        group = self.store.file.require_group("tables").require_group(table)
        stream = self.streams[table] = Stream(self.store, group)
        return stream

    def append(self, table: str, columns: Mapping[str, Any]) -> None:
        """Add a row or rows; see `Recorder.row`."""
        where = f"Recorder.row({table!r})"
        stream = self.streams.get(table)
        missing = [name for name in stream.columns if name not in columns] if stream is not None else []
        if missing:
            hint = f"{', '.join(missing)} is missing; NaN (-1) stands for no value"
            raise fail(where, "have the columns of the rows before", list(columns), hint)
        values = {name: _check_column(f"{where}.{name}", name, value) for name, value in columns.items()}
        lengths = {x.size for x in values.values() if x.ndim}
        if not columns or len(lengths) > 1:
            raise fail(where, "have columns of one length", {name: x.shape for name, x in values.items()})
        if stream is None:
            if not isinstance(table, str) or not table.isidentifier():
                raise fail("Recorder.row.table", "be a name", table)
            stream = self.add(table)
        for name, x in values.items():
            if name not in stream.columns:
                stream.add(name, x.dtype, nbytes=TABLE_CHUNK_BYTES)
            elif x.size and x.dtype.kind == "f" and stream.columns[name].dtype.kind == "i":
                raise fail(f"{where}.{name}", "be a whole number, as in its first row", columns[name], error=TypeError)
        k = lengths.pop() if lengths else 1
        stream.extend(k, {name: x.reshape(1) if x.size == k == 1 else np.broadcast_to(x, k) for name, x in values.items()})


def _check_column(where: str, name: str, value: Any) -> np.ndarray:
    """A number or an array [k], as int64 or float64; the layout's own columns have a fixed type."""
    x = np.asarray(value)
    if x.ndim > 1 or x.dtype.kind not in "biuf":
        raise fail(where, "be a number or an array of numbers, one per row", value, error=TypeError)
    if name.startswith("_") or not name.isidentifier() or iskeyword(name):
        raise fail(where, "have a Python name that does not begin with an underscore", name)
    dtype = np.dtype(entry(name).dtype or ("f8" if x.dtype.kind == "f" else "i8"))
    if dtype.kind != "f" and x.dtype.kind == "f" and x.size:
        raise fail(where, "be a whole number", value, error=TypeError)
    return x.astype(dtype, copy=False)


class EventLog(Stream):
    """What happened, with the time. A text that is too long for its column goes on in the next rows."""

    WIDTHS: ClassVar[dict[str, int]] = {"time": 24, "kind": 64, "message": 512}  # bytes

    def __init__(self, store: Store):
        super().__init__(store, store.file.require_group("events"))
        for name, width in self.WIDTHS.items():
            self.add(name, f"S{width}", nbytes=TABLE_CHUNK_BYTES)
        self.whole = self.columns["message"].dtype.kind == "O"  # of a file of version 1.2, which holds texts of any length
        if not self.whole:
            self.add("continues", "i1", nbytes=TABLE_CHUNK_BYTES)

    def append(self, kind: str, message: str) -> None:
        """Add an event."""
        texts = {"time": now(), "kind": str(kind), "message": str(message)}
        if self.whole:
            self.extend(1, {name: np.array([text], object) for name, text in texts.items()})
            self.store.buffered += len(texts["message"])
            return
        data = {name: text.replace("\0", " ").encode() for name, text in texts.items()}
        rows = max(-(-len(data[name]) // width) for name, width in self.WIDTHS.items())
        cut = {n: [data[n][k * width : (k + 1) * width] for k in range(rows)] for n, width in self.WIDTHS.items()}
        columns = {n: np.array(parts, f"S{self.WIDTHS[n]}") for n, parts in cut.items()}
        self.extend(rows, columns | {"continues": np.arange(rows) > 0})


class Rewiring(Stream):
    """Births and deaths of synapses."""

    TYPES: ClassVar[dict[str, str]] = {"update": "i8", "matrix": "i1", "pre": "i4", "post": "i4", "born": "i1", "sign": "i1"}

    def __init__(self, store: Store):
        super().__init__(store, store.file.require_group("rewiring"))
        for name, kind in self.TYPES.items():
            self.add(name, kind, nbytes=TABLE_CHUNK_BYTES)


class Snapshots:
    """Snapshots of the weights, made with the shapes and the synapses of the first one.

    moves : whether synapses of sparse matrices move, so that each snapshot has their structure
    """

    def __init__(self, store: Store, weights: Mapping[str, Any], moves: bool = False):
        group = store.file.require_group("weights")
        self.stream = Stream(store, group)
        self.stream.add("update", "i8", nbytes=TABLE_CHUNK_BYTES)
        self.pattern = {name: (w.indptr.copy(), w.indices.copy()) for name, w in weights.items() if hasattr(w, "indptr")}
        self.moves = moves
        n = self.stream.n
        self.last_update = int(group["update"][n - 1]) if n else -1
        for name, w in weights.items():
            sparse = name in self.pattern
            column = self.stream.add(name, w.dtype, w.data.shape if sparse else w.shape)
            for part in ("indptr", "indices") if sparse and moves else ():
                x = getattr(w, part)
                self.stream.add(f"{name}_{part}", x.dtype, x.shape)
            if "shape" in column.dataset.attrs:  # of a recording that goes on
                continue
            column.dataset.attrs["shape"] = w.shape
            for part in ("indptr", "indices") if sparse and not moves else ():
                about = f"{entry(name).description}, {part} of its CSR matrix"
                put_array(group, f"{name}_{part}", getattr(w, part), units="1", description=about)

    def append(self, update: int, weights: Mapping[str, Any]) -> None:
        """Add a snapshot; see `Recorder.snapshot`."""
        if update < self.last_update:
            raise fail("Recorder.snapshot.update", f"be at least {self.last_update}, as in the snapshot before", update)
        values: dict[str, Any] = {"update": [update]}
        for name, w in weights.items():
            width = self.stream.columns[name].width
            if name in self.pattern:
                if self.moves:
                    values |= {f"{name}_{part}": getattr(w, part)[None] for part in ("indptr", "indices")}
                same = zip(self.pattern[name], (w.indptr, w.indices), strict=True)
                if not self.moves and not all(x is y or np.array_equal(x, y) for x, y in same):
                    raise fail(f"Recorder.snapshot.{name}", "have the synapses of the first snapshot", w)
                w = w.data
            if w.shape != width:
                raise fail(f"Recorder.snapshot.{name}", f"have shape {width}", w.shape)
            values[name] = w[None]
        self.stream.extend(1, values)
        self.last_update = update


class SynapseTable:
    """Weights of chosen synapses, a row each time they are due.

    pairs : matrix -> int32 [chosen, 2]; every : updates between two rows
    """

    def __init__(self, store: Store, pairs: Mapping[str, np.ndarray], weights: Any, every: int):
        group = store.file.require_group("synapses")
        self.stream, self.pairs, self.every = Stream(store, group), pairs, every
        self.stream.add("update", "i8", nbytes=TABLE_CHUNK_BYTES)
        n = self.stream.n
        self.last_update = int(group["update"][n - 1]) if n else 0
        for name, chosen in pairs.items():
            self.stream.add(name, getattr(weights, name).dtype, chosen.shape[:1])
            if f"{name}_pairs" not in group:
                about = f"synapse (pre, post) of each column of {name}"
                put_array(group, f"{name}_pairs", chosen, units="1", description=about)

    def due(self, update: int) -> bool:
        """Whether a row is due once `update` updates are done."""
        return update // self.every > self.last_update // self.every

    def append(self, update: int, weights: Any) -> None:
        """Add a row."""
        values: dict[str, Any] = {"update": [update]}
        for name, chosen in self.pairs.items():
            values[name] = chosen_weights(getattr(weights, name), chosen)[None]
        self.stream.extend(1, values)
        self.last_update = update


def chosen_weights(matrix: Any, pairs: np.ndarray) -> np.ndarray:
    """The weights [chosen] of synapses (pre, post) of a matrix, dense or CSR; nan of those that it does not have now."""
    if not hasattr(matrix, "indptr"):
        return matrix[pairs[:, 0], pairs[:, 1]]
    starts = matrix.indptr[pairs[:, 0]]
    rows = zip(starts, matrix.indptr[pairs[:, 0] + 1], pairs[:, 1], strict=True)
    values = np.full(len(pairs), np.nan, matrix.dtype)
    for k, (a, b, post) in enumerate(rows):
        at = a + int(np.searchsorted(matrix.indices[a:b], post))
        if at < b and matrix.indices[at] == post:
            values[k] = matrix.data[at]
    return values
