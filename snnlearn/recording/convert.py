"""A recording, or a part of it, as objects of xarray, pandas or neo. They hold what they show, so their size is limited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._check import fail, need
from ..storage.open_file import choose
from .pieces import extents
from .readable import Readable
from .signal import Signal

MAX_BYTES = 2**30
SPIKE_BYTES = 24


def to_xarray(
    recording: Readable,
    names: Any = None,
    *,
    trials: Any = None,
    time: tuple[float | None, float | None] | None = None,
    max_bytes: int = MAX_BYTES,
) -> Any:
    """An xarray.Dataset of signals [trial, time, neuron or output], of spikes, and of snapshots of the weights.

    names : of signals, "spikes", or weights as "w_rec"; None: every signal and the spikes
    trials : a number of a trial or piece, a list of numbers or a slice of numbers; None: all
    time : (start, stop) in ms of the trial or stream
    max_bytes : raise MemoryError for more

    The coordinate time is in ms of the trial. A stream, or what is chosen of it, is one row, with the number of its first
    piece as the coordinate trial. Steps that a trial does not have hold NaN (-1 for labels). A variable whose
    neurons are not those of the others has a dimension of its own, as "neuron_v". Spikes are the variables spike_trial,
    spike_time (ms) and spike_neuron along the dimension spike.

    Raises ImportError without xarray, KeyError for unknown names, IndexError for unknown trials.
    """
    xarray = need("xarray", "to_xarray")
    matrices = _matrices(recording)
    known = (*recording.names, *(("spikes",) if recording.has_spikes else ()), *matrices)
    wanted = [n for n in known if n not in matrices] if names is None else [names] if isinstance(names, str) else list(names)
    _check_names(recording, wanted, known)
    index, low, high = recording._within(recording._segments_of(trials), time)
    extent = extents(recording, trials).lines()
    start, stop = np.clip(extent.start, low, high), np.clip(extent.stop, low, high)
    first, last = (int(start.min()), int(stop.max())) if extent.trial.size else (0, 0)
    place = np.argsort(extent.line)
    signals = [recording[name] for name in wanted if name in recording.names]
    shapes = {x.name: (extent.trial.size, last - first, *x.shape[1:]) for x in signals}
    n_bytes = sum(int(np.prod(shapes[x.name])) * x.dtype.itemsize for x in signals)
    _check_size(n_bytes + _spike_bytes(recording, index, wanted), max_bytes, "to_xarray")
    data: dict[str, Any] = {}
    coords: dict[str, Any] = {"trial": extent.trial, "time": ("time", np.arange(first, last) * recording.dt, {"units": "ms"})}
    selections = [x.neurons for x in signals if x.neurons is not None]
    alike = all(np.array_equal(x, selections[0]) for x in selections)
    for signal in signals:
        values = np.full(shapes[signal.name], np.nan if signal.dtype.kind == "f" else -1, signal.dtype)
        for part in signal.read_rows(index, low, high):
            values[place[np.searchsorted(extent.line, part.line, sorter=place)], part.step - first] = part.values
        dims: tuple[str, ...] = ("trial", "time")
        if signal.neurons is not None:
            dims += ("neuron" if alike else f"neuron_{signal.name}",)
            coords[dims[-1]] = signal.neurons
        elif signal.pairs is not None:
            dims += (f"synapse_{signal.name}",)
        elif len(signal.shape) > 1:
            dims += ("output",)
        data[signal.name] = (dims, values, {"units": signal.units, "description": signal.description})
    if "spikes" in wanted:
        spikes = recording._spikes(index, low, high)
        data["spike_trial"], data["spike_neuron"] = ("spike", spikes.trial), ("spike", spikes.neuron)
        data["spike_time"] = ("spike", spikes.step * recording.dt, {"units": "ms"})
    if set(wanted) & set(matrices):
        coords["update"] = recording.weight_updates
        snapshots = [recording.weights(update) for update in recording.weight_updates.tolist()]
        for name in set(wanted) & set(matrices):
            arrays = [getattr(w, name) for w in snapshots]
            stack = np.stack([x.toarray() if hasattr(x, "indptr") else x for x in arrays])
            data[name] = (("update", f"{name}_pre", f"{name}_post")[: stack.ndim], stack)
    attrs = {"dt": recording.dt, "dt_units": "ms", "status": recording.status, "path": str(recording.path)}
    return xarray.Dataset(data, coords, attrs)


def to_pandas(
    recording: Readable,
    name: str | None = None,
    *,
    trials: Any = None,
    time: tuple[float | None, float | None] | None = None,
    neurons: Any = None,
    max_bytes: int = MAX_BYTES,
) -> Any:
    """A pandas.DataFrame of a table, of "spikes" (trial, time in ms, neuron), of "inputs", "events", a reduction or a signal.

    name : "reduced/rates" is what the reducer "rates" left, a histogram's bins as columns "intervals[0]", ...; None gives a dict
        of all tables and reductions, "events" and, where they were recorded, "spikes" and "inputs"
    trials, time, neurons : of spikes and signals, as in `Recording.spikes`
    max_bytes : raise MemoryError for more

    A signal has the index (trial, time) and a column for each neuron or output. Raises ImportError without pandas, KeyError
    that lists the names.
    """
    pandas = need("pandas", "to_pandas")
    own = [name for name in ("spikes", "inputs") if getattr(recording, f"has_{name}")]
    own += ["events", *(f"reduced/{name}" for name in recording.reduced)]
    if name is None:
        rest = {"trials": trials, "time": time, "neurons": neurons, "max_bytes": max_bytes}
        del rest["neurons"]
        chosen = {"spikes": rest | {"neurons": neurons}, "inputs": rest}
        return {x: to_pandas(recording, x, **chosen.get(x, {})) for x in (*recording.tables, *own)}
    _check_names(recording, [name], (*recording.tables, *recording.names, *own))
    if name in recording.tables:
        return pandas.DataFrame(recording.table(name)._asdict())
    if name.startswith("reduced/"):
        return pandas.DataFrame(_flat(recording.reduction(name.removeprefix("reduced/"))))
    if name == "events":
        frame = pandas.DataFrame(list(recording.events), columns=["time", "kind", "message"])
        return frame.assign(time=pandas.to_datetime(frame.time, utc=True, format="ISO8601"))
    index, low, high = recording._within(recording._segments_of(trials), time)
    if name == "spikes":
        _check_size(_spike_bytes(recording, index, ["spikes"]), max_bytes, "to_pandas")
        spikes = recording._spikes(index, low, high, neurons)
        return pandas.DataFrame({"trial": spikes.trial, "time": spikes.step * recording.dt, "neuron": spikes.neuron})
    if name == "inputs":
        _check_size(SPIKE_BYTES * int(recording.segments.n_inputs[index].sum()), max_bytes, "to_pandas")
        trial, step, channel, value = recording._inputs(index, low, high)
        return pandas.DataFrame({"trial": trial, "time": step * recording.dt, "channel": channel, "value": value})
    signal = recording[name]
    n_steps = _n_steps(recording, index, low, high)
    _check_size(int(n_steps * (np.prod(signal.shape[1:], dtype=int) * signal.dtype.itemsize + 16)), max_bytes, "to_pandas")
    parts = list(signal.read_rows(index, low, high, neurons))
    trial, step, values = (np.concatenate([getattr(part, x) for part in parts]) for x in ("trial", "step", "values"))
    columns = [name] if len(signal.shape) == 1 else _columns(signal, neurons)
    rows = pandas.MultiIndex.from_arrays([trial, step * recording.dt], names=["trial", "time"])
    return pandas.DataFrame(values, rows, columns)


def _flat(reduction: Any) -> dict[str, np.ndarray]:
    """The columns of a reduction, each [bins]."""
    columns: dict[str, np.ndarray] = {}
    for name, x in reduction._asdict().items():
        if "edges" not in name:
            columns |= {name: x} if x.ndim == 1 else {f"{name}[{k}]": x[:, k] for k in range(x.shape[1])}
    return columns


def to_neo(
    recording: Readable,
    *,
    trials: Any = None,
    time: tuple[float | None, float | None] | None = None,
    neurons: Any = None,
    names: Any = None,
    max_bytes: int = MAX_BYTES,
) -> Any:
    """A neo.Block: one Segment a trial (or stream) with a SpikeTrain for each neuron, and an AnalogSignal for each signal.

    trials, time, neurons : as in `Recording.spikes`; signals have all their columns
    names : of the signals; None: all of them
    max_bytes : raise MemoryError for more

    A signal whose steps have a gap gives one AnalogSignal on each side of it. SpikeTrains are made when they are looked at; their
    annotation "neuron" is the neuron. Raises ImportError without neo.
    """
    neo, quantities = need("neo", "to_neo"), need("quantities", "to_neo", "neo")
    chosen = [names] if isinstance(names, str) else list(recording.names if names is None else names)
    _check_names(recording, chosen, recording.names)
    index, low, high = recording._within(recording._segments_of(trials), time)
    extent, dt, ms = extents(recording, trials).lines(), recording.dt, quantities.ms
    n_steps = _n_steps(recording, index, low, high)
    widths = [int(np.prod(recording[name].shape[1:], dtype=int)) * recording[name].dtype.itemsize for name in chosen]
    _check_size(int(n_steps * sum(widths)) + _spike_bytes(recording, index, ["spikes"]), max_bytes, "to_neo")
    block = neo.Block(name=recording.path.name, description=str(recording.config.get("task", "")))
    block.annotate(status=recording.status, created=str(recording.attrs["created"]))
    begin = np.maximum(extent.start, low)
    end = np.maximum(np.minimum(extent.stop, high), begin)
    what = "stream" if recording.is_stream else "trial"
    segments = {
        line: neo.Segment(name=f"{what} {trial}", index=trial)
        for line, trial in zip(extent.line.tolist(), extent.trial.tolist(), strict=True)
    }
    if recording.has_spikes:
        every = np.arange(recording.n_neurons)
        every = every if neurons is None else np.unique(choose("neurons", neurons, every))
        spikes = recording._spikes(index, low, high, neurons)
        line = recording.segments.line[np.searchsorted(recording.segments.trial, spikes.trial)]
        order = np.lexsort((spikes.step, spikes.neuron, line))
        line, times, neuron = line[order], spikes.step[order] * dt, spikes.neuron[order]
        for key, start, stop in zip(segments, (begin * dt).tolist(), (end * dt).tolist(), strict=True):
            own = slice(*np.searchsorted(line, [key, key + 1]))
            segments[key].spiketrains = neo.spiketrainlist.SpikeTrainList.from_spike_time_array(
                times[own], neuron[own], every, units=ms, t_start=start * ms, t_stop=stop * ms, neuron=every
            )
    for name in chosen:
        signal = recording[name]
        columns = {} if signal.neurons is None else {"neuron": signal.neurons}
        for key, steps, values in runs(signal, index, low, high):
            part = neo.AnalogSignal(
                values.reshape(values.shape[0], -1),
                units="dimensionless",
                sampling_period=dt * signal.every * ms,
                t_start=steps[0] * dt * ms,
                name=name,
                array_annotations=columns,
            )
            segments[key].analogsignals.append(part)
    block.segments.extend(segments.values())
    return block


def runs(signal: Signal, index: np.ndarray, low: int, high: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The rows of a signal without a gap, of one line each: (line, steps [rows], values [rows, columns])."""
    parts = list(signal.read_rows(index, low, high))
    line, step, values = (np.concatenate([getattr(part, x) for part in parts]) for x in ("line", "step", "values"))
    order = np.argsort(line, kind="stable")
    line, step, values = line[order], step[order], values[order]
    cuts = np.flatnonzero((np.diff(line) != 0) | (np.diff(step) != signal.every)) + 1
    ends = [*cuts.tolist(), line.size]
    for a, b in zip([0, *cuts.tolist()], ends, strict=True) if line.size else ():
        yield int(line[a]), step[a:b], values[a:b]


def _matrices(recording: Readable) -> tuple[str, ...]:
    return recording.weights()._fields if recording.weight_updates.size else ()


def _columns(signal: Any, neurons: Any) -> list[int]:
    if signal.neurons is None:
        return list(range(signal.shape[1]))
    position = signal._columns(neurons)
    columns = signal.neurons[position[0]]
    return (columns if position[1] is None else columns[position[1]]).tolist()


def _n_steps(recording: Readable, index: np.ndarray, low: int, high: int) -> int:
    """Steps of these segments between two steps."""
    s = recording.segments
    return int(np.maximum(np.minimum(s.stop[index], high) - np.maximum(s.begin[index], low), 0).sum())


def _spike_bytes(recording: Readable, index: np.ndarray, wanted: list[str]) -> int:
    if "spikes" not in wanted or not recording.has_spikes:
        return 0
    return SPIKE_BYTES * int(recording.segments.n_spikes[index].sum())


def _check_names(recording: Readable, names: list[str], known: tuple[str, ...]) -> None:
    for name in names:
        if name not in known:
            raise KeyError(f"{recording.path} has no {name!r}; it has {', '.join(map(repr, known))}")


def _check_size(n_bytes: int, limit: int, what: str) -> None:
    if n_bytes > limit:
        got, hint = f"{n_bytes / 1e9:.3g} GB", "choose trials, a time or names, or raise max_bytes"
        raise fail(f"Recording.{what}", f"give at most max_bytes = {limit / 1e9:.3g} GB", got, hint, MemoryError)
