"""Panels of one trial: spikes, membrane potentials, readout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..recording import Recording
from .about import Shown, Span, label_names, neuron_groups, panel, shown, task_kind
from .style import BLACK, COLORS, DASHED, GREY, LIGHT, TICKS, axes_or_new, legend_above, margin_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

N_MEMBRANES = 3
N_CURVES = len(COLORS)


@panel
def raster(recording: Recording, trial: int | None = None, ax: Axes | None = None, time: Span = None) -> Axes:
    """Spikes of one trial, time against neuron, the groups of neurons in colours.

    recording : an open recording or its path; ax : Axes to draw into, None: new ones
    trial : its number, or that of a piece of a stream; None: the last one, or the last 1000 steps of a stream
    time : (start, stop) in ms of the trial or stream; only this much is read

    Raises IndexError for a trial without raw data, KeyError for signals that the recording does not have.
    """
    part = shown(recording, trial, time)
    spikes = recording._spikes_across_gaps(part.trial, part.time)
    ax = axes_or_new(ax)
    room = ax.get_position().width * ax.get_position().height * np.prod(ax.figure.get_size_inches()) * 72**2
    size = float(np.clip(0.5 * np.sqrt(room / max(spikes.step.size, 1)), 3.0, 8.0))  # points: few spikes are large
    marks = {"marker": "|", "linestyle": "none", "markersize": size, "markeredgewidth": max(0.25 * size, 1.0)}
    for group in neuron_groups(recording):
        use = (spikes.neuron >= group.start) & (spikes.neuron < group.stop)
        ax.plot(spikes.step[use] * recording.dt, spikes.neuron[use], color=group.color, label=group.name, **marks)
        if group.start:
            ax.axhline(group.start - 0.5, color=LIGHT, linewidth=0.8)
        margin_label(ax, (group.start + group.stop - 1) / 2, f"{group.name}\n{group.stop - group.start}", group.color)
    ax.set(ylabel="neuron", ylim=(-0.5, recording.n_neurons - 0.5))
    ax.yaxis.get_major_locator().set_params(integer=True)
    _time_axis(ax, recording, part)
    rate = 1000 * spikes.step.size / (max(_duration(recording, part), recording.dt) * recording.n_neurons)
    ax.set_title(f"Spikes of {part.name}: {rate:.3g} Hz per neuron", loc="left")
    return ax


@panel
def membrane(
    recording: Recording, trial: int | None = None, neurons: Any = None, ax: Axes | None = None, time: Span = None
) -> Axes:
    """Membrane potentials of a few neurons, one above the other, with their thresholds and spikes.

    recording : an open recording or its path; ax : Axes to draw into, None: new ones
    trial, time : as of `raster`
    neurons : list of neurons whose v was recorded; None: up to three that spike, the most active of each group in turn

    Each neuron is drawn to its own scale; the ticks are v = 0 and its threshold at the beginning. The threshold is the
    recorded one, and where there is none the threshold at rest.

    Raises IndexError for a trial without raw data, KeyError for signals that the recording does not have.
    """
    part = shown(recording, trial, time)
    signal = recording["v"]
    chosen = _most_active(recording, part, np.asarray(signal.neurons)) if neurons is None else np.atleast_1d(neurons)
    v = signal.read(part.trial, part.time, chosen)
    at = np.asarray(signal.steps(part.trial, part.time)) * recording.dt
    ax = axes_or_new(ax)
    ticks: dict[float, str] = {}
    limits: list[bool] = []  # of each threshold that is drawn: is it that of each step
    for row, neuron in enumerate(chosen.tolist()):
        group = next(g for g in neuron_groups(recording) if g.start <= neuron < g.stop)
        limit = None if group.threshold is None else np.full(at.size, group.threshold[neuron - group.start])
        recorded = "threshold" in recording and neuron in np.asarray(recording["threshold"].neurons)
        if recorded:
            limit = recording["threshold"].read(part.trial, part.time, neuron)[:, 0]
        limits += [] if limit is None else [recorded or not group.adapts]
        drawn = np.concatenate([v[:, row], [0.0], [] if limit is None else limit])
        low, high = float(np.nanmin(drawn)), float(np.nanmax(drawn))
        base = 1.3 * (len(chosen) - 1 - row)  # the first neuron on top

        def level(x: Any, base: float = base, low: float = low, span: float = high - low or 1.0) -> Any:
            return base + (x - low) / span

        ax.plot(at, level(v[:, row]), color=group.color, linewidth=1.1)
        ticks[level(0.0)] = "0"
        if limit is not None:
            ax.plot(at, level(limit), **DASHED)
            if level(limit[0]) - level(0.0) > 0.2:
                ticks[level(limit[0])] = f"{limit[0]:.2g}"
        if recording.has_spikes:
            fired = recording._spikes_across_gaps(part.trial, part.time, neuron).step * recording.dt
            ax.plot(fired, np.full(fired.size, base + 1.1), **TICKS)
        margin_label(ax, base + 0.5, f"{group.name}\n#{neuron}", group.color)
    ax.set_yticks(list(ticks), list(ticks.values()))
    ax.set(ylabel="v", ylim=(-0.1, 1.3 * len(chosen) - 0.05))
    _time_axis(ax, recording, part)
    ax.set_title("Membrane potentials", loc="left")
    entries: list[tuple[str, dict[str, Any]]] = [("v", {"color": GREY})]
    if limits:
        entries.append(("threshold" if all(limits) else "threshold at rest", DASHED))
    if recording.has_spikes:
        entries.append(("spike", TICKS))
    legend_above(ax, entries)
    return ax


@panel
def readout(recording: Recording, trial: int | None = None, ax: Axes | None = None, time: Span = None) -> Axes:
    """Readout of one trial: the outputs against their targets, or the softmax of the classes with the label in the title.

    recording : an open recording or its path; ax : Axes to draw into, None: new ones
    trial, time : as of `raster`

    Raises IndexError for a trial without raw data, KeyError for signals that the recording does not have.
    """
    part = shown(recording, trial, time)
    signal = recording["readout"]
    y = np.asarray(signal.read(part.trial, part.time), np.float64)
    at = np.asarray(signal.steps(part.trial, part.time)) * recording.dt
    target = recording["target"].read(part.trial, part.time) if "target" in recording else None
    ax = axes_or_new(ax)
    _time_axis(ax, recording, part)
    if task_kind(recording) == "classification":
        _class_curves(ax, recording, at, y, target)
        return ax
    n = min(y.shape[1], N_CURVES)
    known = target is not None and target.ndim == 2 and np.isfinite(target).any()
    for k in range(n):
        ax.plot(at, y[:, k], color=COLORS[k], linewidth=1.4, label="readout" if n == 1 else f"readout {k}")
    for k, values in enumerate(target.T[:n] if target is not None and known else ()):
        ax.plot(at, values, **DASHED, label=None if k else "target")
    ax.set_ylabel("readout")
    title = "Readout against target" if known else "Readout"
    ax.set_title(title + (f", first {n} of {y.shape[1]} outputs" if n < y.shape[1] else ""), loc="left")
    legend_above(ax)
    return ax


def _class_curves(ax: Axes, recording: Recording, time: np.ndarray, y: np.ndarray, target: np.ndarray | None) -> None:
    """Softmax of the classes: the label and the three strongest others in colours; the steps with a label are shaded."""
    p = np.exp(y - y.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    names = label_names(recording, y.shape[1])
    given = np.zeros(time.size, bool) if target is None or target.ndim == 2 else target >= 0
    labels = np.unique(target[given]).tolist() if target is not None and given.any() else []
    others = [k for k in np.argsort(-p.max(axis=0), kind="stable").tolist() if k not in labels]
    colored = dict(zip([*labels[:N_CURVES], *others[:3]], COLORS, strict=False))
    for k in [*others[::-1], *labels]:
        width = 2.4 if k in labels and len(labels) == 1 else 1.3
        ax.plot(time, p[:, k], color=colored.get(k, LIGHT), linewidth=width if k in colored else 0.9)
    if given.any() and not given.all():
        ax.fill_between(time, 0, 1, where=given, color=BLACK, alpha=0.06, linewidth=0, step="mid")
    ax.set(ylabel="softmax of readout", ylim=(-0.02, 1.02))
    title = f"label {names[labels[0]]}" if len(labels) == 1 else f"{len(labels)} labels in turn" if labels else "no label"
    ax.set_title(f"Readout: {title}", loc="left")
    entries = [(names[k], {"color": c, "linewidth": 2.4 if k in labels else 1.3}) for k, c in colored.items()]
    legend_above(ax, entries + ([("other classes", {"color": LIGHT})] if len(colored) < y.shape[1] else []))


def _bounds(recording: Recording, part: Shown) -> tuple[np.ndarray, np.ndarray]:
    """First steps, and the steps behind the last ones, of what is shown, for each segment."""
    index, low, high = recording._within(recording._segments_of(part.trial), part.time)
    s = recording.segments
    return np.maximum(s.begin[index], low), np.minimum(s.stop[index], high)


def _duration(recording: Recording, part: Shown) -> float:
    """Recorded time that is shown, ms."""
    start, stop = _bounds(recording, part)
    return float((stop - start).sum() * recording.dt)


def _time_axis(ax: Axes, recording: Recording, part: Shown) -> None:
    start, stop = _bounds(recording, part)
    ax.set(xlabel="time (ms)", xlim=(start.min() * recording.dt, stop.max() * recording.dt))


def _most_active(recording: Recording, part: Shown, there: np.ndarray) -> np.ndarray:
    """Up to N_MEMBRANES of these neurons in order: the most active of each group, then the second of each; silent ones last."""
    n_spikes = np.zeros(recording.n_neurons, np.int64)
    if recording.has_spikes:
        n_spikes += np.bincount(recording._spikes_across_gaps(part.trial, part.time).neuron, minlength=recording.n_neurons)
    ranked = []
    for group in neuron_groups(recording):
        own = np.sort(there[(there >= group.start) & (there < group.stop)])
        own = own[np.argsort(-n_spikes[own], kind="stable")]
        ranked += [(n_spikes[neuron] == 0, rank, int(neuron)) for rank, neuron in enumerate(own)]
    return np.sort([neuron for _, _, neuron in sorted(ranked)[:N_MEMBRANES]])
