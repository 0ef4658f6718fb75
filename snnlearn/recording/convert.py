"""A recording, or a part of it, as objects of xarray, pandas or neo. They hold what they show, so their size is limited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .._check import fail, need
from .access import window
from .pieces import extents

if TYPE_CHECKING:
    from .reader import Recording

MAX_BYTES = 2**30
SPIKE_BYTES = 24


def to_xarray(
    recording: Recording,
    names: Any = None,
    *,
    trials: Any = None,
    time: tuple[float | None, float | None] | None = None,
    max_bytes: int = MAX_BYTES,
) -> Any:
    """An xarray.Dataset of signals [trial, time, neuron or output], of spikes, and of snapshots of the weights.

    names : of signals, "spikes", or weights as "w_rec"; None: every signal and the spikes
    trials : a trial's number, a list of numbers or a slice of numbers; None: all
    time : (start, stop) in ms within the trial
    max_bytes : raise MemoryError for more

    The coordinate time is in ms within the trial. Steps that a trial does not have hold NaN (-1 for labels). A variable whose
    neurons are not those of the others has a dimension of its own, as "neuron_v". Spikes are the variables spike_trial,
    spike_time (ms) and spike_neuron along the dimension spike.

    Raises ImportError without xarray, KeyError for unknown names, IndexError for unknown trials.
    """
    xarray = need("xarray", "to_xarray")
    matrices = _matrices(recording)
    known = (*recording.names, *(("spikes",) if recording.has_spikes else ()), *matrices)
    wanted = [n for n in known if n not in matrices] if names is None else [names] if isinstance(names, str) else list(names)
    _check_names(recording, wanted, known)
    extent = extents(recording, trials)
    low, high = window(recording.dt, time)
    start, stop = np.clip(extent.start, low, high), np.clip(extent.stop, low, high)
    first, last = (int(start.min()), int(stop.max())) if extent.trial.size else (0, 0)
    signals = [recording[name] for name in wanted if name in recording.names]
    shapes = {x.name: (extent.trial.size, last - first, *x.shape[1:]) for x in signals}
    n_bytes = sum(int(np.prod(shapes[x.name])) * x.dtype.itemsize for x in signals)
    _check_size(n_bytes + _spike_bytes(recording, extent, wanted), max_bytes, "to_xarray")
    data: dict[str, Any] = {}
    coords: dict[str, Any] = {"trial": extent.trial, "time": ("time", np.arange(first, last) * recording.dt, {"units": "ms"})}
    selections = [x.neurons for x in signals if x.neurons is not None]
    alike = all(np.array_equal(x, selections[0]) for x in selections)
    for signal in signals:
        values = np.full(shapes[signal.name], np.nan if signal.dtype.kind == "f" else -1, signal.dtype)
        for row, trial in enumerate(extent.trial.tolist()):
            for steps, part in runs(recording, signal.name, trial, (low, high)):
                values[row, steps.start - first : steps.stop - first : steps.step] = part
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
        spikes = recording.spikes(extent.trial, time)
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
    recording: Recording,
    name: str | None = None,
    *,
    trials: Any = None,
    time: tuple[float | None, float | None] | None = None,
    neurons: Any = None,
    max_bytes: int = MAX_BYTES,
) -> Any:
    """A pandas.DataFrame of a table, of "spikes" (trial, time in ms, neuron), of "events", of a reduction, or of a signal.

    name : "reduced/rates" is what the reducer "rates" left, a histogram's bins as columns "intervals[0]", ...; None gives a dict
        of all tables and reductions, "events" and, where they were recorded, "spikes"
    trials, time, neurons : of spikes and signals, as in `Recording.spikes`
    max_bytes : raise MemoryError for more

    A signal has the index (trial, time) and a column for each neuron or output. Raises ImportError without pandas, KeyError
    that lists the names.
    """
    pandas = need("pandas", "to_pandas")
    own = (*(("spikes",) if recording.has_spikes else ()), "events", *(f"reduced/{name}" for name in recording.reduced))
    if name is None:
        rest = {"trials": trials, "time": time, "neurons": neurons, "max_bytes": max_bytes}
        return {x: to_pandas(recording, x, **(rest if x == "spikes" else {})) for x in (*recording.tables, *own)}
    _check_names(recording, [name], (*recording.tables, *recording.names, *own))
    if name in recording.tables:
        return pandas.DataFrame(recording.table(name)._asdict())
    if name.startswith("reduced/"):
        return pandas.DataFrame(_flat(recording.reduction(name.removeprefix("reduced/"))))
    if name == "events":
        frame = pandas.DataFrame(list(recording.events), columns=["time", "kind", "message"])
        return frame.assign(time=pandas.to_datetime(frame.time, utc=True, format="ISO8601"))
    extent = extents(recording, trials)
    if name == "spikes":
        _check_size(_spike_bytes(recording, extent, ["spikes"]), max_bytes, "to_pandas")
        spikes = recording.spikes(trials, time, neurons)
        return pandas.DataFrame({"trial": spikes.trial, "time": spikes.step * recording.dt, "neuron": spikes.neuron})
    signal = recording[name]
    low, high = window(recording.dt, time)
    n_steps = np.maximum(np.minimum(extent.stop, high) - np.maximum(extent.start, low), 0).sum()
    _check_size(int(n_steps * (np.prod(signal.shape[1:], dtype=int) * signal.dtype.itemsize + 16)), max_bytes, "to_pandas")
    rows, values = [], [np.empty((0, *signal.shape[1:]), signal.dtype)]
    for trial in extent.trial.tolist():
        for steps, part in runs(recording, name, trial, (low, high), neurons):
            rows.append((np.full(len(steps), trial), np.asarray(steps) * recording.dt))
            values.append(part)
    index = [np.concatenate(x) for x in zip(*rows, strict=True)] if rows else [np.empty(0, int), np.empty(0)]
    columns = [name] if len(signal.shape) == 1 else _columns(signal, neurons)
    joined = np.concatenate(values[1:] or values)
    return pandas.DataFrame(joined, pandas.MultiIndex.from_arrays(index, names=["trial", "time"]), columns)


def _flat(reduction: Any) -> dict[str, np.ndarray]:
    """The columns of a reduction, each [bins]."""
    columns: dict[str, np.ndarray] = {}
    for name, x in reduction._asdict().items():
        if "edges" not in name:
            columns |= {name: x} if x.ndim == 1 else {f"{name}[{k}]": x[:, k] for k in range(x.shape[1])}
    return columns


def to_neo(
    recording: Recording,
    *,
    trials: Any = None,
    time: tuple[float | None, float | None] | None = None,
    neurons: Any = None,
    names: Any = None,
    max_bytes: int = MAX_BYTES,
) -> Any:
    """A neo.Block: one Segment a trial with a SpikeTrain for each neuron, and an AnalogSignal for each signal.

    trials, time, neurons : as in `Recording.spikes`; signals have all their columns
    names : of the signals; None: all of them
    max_bytes : raise MemoryError for more

    A signal whose steps have a gap gives one AnalogSignal on each side of it. Raises ImportError without neo.
    """
    neo, quantities = need("neo", "to_neo"), need("quantities", "to_neo", "neo")
    chosen = [names] if isinstance(names, str) else list(recording.names if names is None else names)
    _check_names(recording, chosen, recording.names)
    extent, (low, high), dt = extents(recording, trials), window(recording.dt, time), recording.dt
    n_steps = np.maximum(np.minimum(extent.stop, high) - np.maximum(extent.start, low), 0).sum()
    widths = [int(np.prod(recording[name].shape[1:], dtype=int)) * recording[name].dtype.itemsize for name in chosen]
    _check_size(int(n_steps * sum(widths)) + _spike_bytes(recording, extent, ["spikes"]), max_bytes, "to_neo")
    period, ms = dt * quantities.ms, quantities.ms
    block = neo.Block(name=recording.path.name, description=str(recording.config.get("task", "")))
    block.annotate(status=recording.status, created=str(recording.attrs["created"]))
    for trial, start, stop in zip(*(x.tolist() for x in extent), strict=True):
        segment = neo.Segment(name=f"trial {trial}", index=trial)
        begin, end = max(start, low) * dt, max(min(stop, high), max(start, low)) * dt
        if recording.has_spikes:
            spikes = recording.spikes(trial, time, neurons)
            every = np.arange(recording.n_neurons) if neurons is None else np.unique(np.arange(recording.n_neurons)[neurons])
            order = np.argsort(spikes.neuron, kind="stable")
            cuts = np.searchsorted(spikes.neuron[order], every)
            ends = np.searchsorted(spikes.neuron[order], every, side="right")
            for neuron, a, b in zip(every.tolist(), cuts, ends, strict=True):
                times = spikes.step[order[a:b]] * dt
                segment.spiketrains.append(
                    neo.SpikeTrain(times, units=ms, t_start=begin * ms, t_stop=end * ms, name=f"neuron {neuron}", neuron=neuron)
                )
        for name in chosen:
            for steps, part in runs(recording, name, trial, (low, high)):
                signal = neo.AnalogSignal(
                    part.reshape(len(steps), -1),
                    units="dimensionless",
                    sampling_period=period * steps.step,
                    t_start=steps.start * period,
                    name=name,
                )
                if recording[name].neurons is not None:
                    signal.array_annotate(neuron=recording[name].neurons)
                segment.analogsignals.append(signal)
        block.segments.append(segment)
    return block


def runs(
    recording: Recording, name: str, trial: int, steps: tuple[int, int], neurons: Any = None
) -> Iterator[tuple[range, np.ndarray]]:
    """The pieces of a signal of one trial without a gap, between two steps: (range of steps, [rows, columns])."""
    s, signal, dt = recording.segments, recording[name], recording.dt
    index = np.arange(*np.searchsorted(s.trial, [trial, trial + 1]))
    start, stop = np.maximum(s.start[index], steps[0]), np.minimum(s.start[index] + s.n_steps[index], steps[1])
    keep = start < stop
    start, stop = start[keep], stop[keep]
    cuts = np.flatnonzero(start[1:] != stop[:-1]) + 1
    for a, b in zip(start[np.r_[0, cuts]] if start.size else (), stop[np.r_[cuts - 1, -1]] if start.size else (), strict=True):
        rows = range(int(signal._row(a)) * signal.every, int(b), signal.every)
        if len(rows):
            yield rows, signal.read(trial, (a * dt, b * dt), neurons if signal.neurons is not None else None)


def _matrices(recording: Recording) -> tuple[str, ...]:
    return recording.weights()._fields if recording.weight_updates.size else ()


def _columns(signal: Any, neurons: Any) -> list[int]:
    if signal.neurons is None:
        return list(range(signal.shape[1]))
    position = signal._columns(neurons)
    columns = signal.neurons[position[0]]
    return (columns if position[1] is None else columns[position[1]]).tolist()


def _spike_bytes(recording: Recording, extent: Any, wanted: list[str]) -> int:
    if "spikes" not in wanted or not recording.has_spikes:
        return 0
    s = recording.segments
    return SPIKE_BYTES * int(s.n_spikes[np.isin(s.trial, extent.trial)].sum())


def _check_names(recording: Recording, names: list[str], known: tuple[str, ...]) -> None:
    for name in names:
        if name not in known:
            raise KeyError(f"{recording.path} has no {name!r}; it has {', '.join(map(repr, known))}")


def _check_size(n_bytes: int, limit: int, what: str) -> None:
    if n_bytes > limit:
        got, hint = f"{n_bytes / 1e9:.3g} GB", "choose trials, a time or names, or raise max_bytes"
        raise fail(f"Recording.{what}", f"give at most max_bytes = {limit / 1e9:.3g} GB", got, hint, MemoryError)
