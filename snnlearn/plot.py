"""Plots of a recording: one panel each, and `story`, which puts them on a page. They need matplotlib.

    fig = story("run.h5")
    fig.savefig("run.png")

The panels take `ax`, matplotlib Axes to draw into (None: a new pyplot figure), and return it. Nothing is shown by itself.
Raises ImportError without matplotlib, KeyError for what the file does not have, IndexError for a trial that it does not have.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._check import fail
from .recording import Recording, open_recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito's colours, which are told apart with any colour vision; those that are legible as text come first
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BLACK, GREY, LIGHT = "#222222", "#6E6E6E", "#C4C4C4"
SIZES = {"font.size": 11, "axes.titlesize": 12, "xtick.labelsize": 10, "ytick.labelsize": 10, "legend.fontsize": 10}
STYLE = {**SIZES, "axes.titleweight": "bold", "axes.edgecolor": GREY, "axes.spines.top": False}
DASHED: dict[str, Any] = {"color": BLACK, "linewidth": 1.2, "linestyle": (0, (4, 2))}
TICKS: dict[str, Any] = {"color": BLACK, "linestyle": "none", "marker": "|", "markersize": 7, "markeredgewidth": 1.1}
N_MEMBRANES = 3
N_CURVES = len(COLORS)
MAX_WRITTEN_CLASSES = 20
SCORES = {"classification": "accuracy", "regression": "normalised MSE"}


class Group(NamedTuple):
    """Neurons start .. stop - 1 of one group, and its resting thresholds [stop - start] (None: unknown)."""

    name: str
    start: int
    stop: int
    threshold: np.ndarray | None
    color: str


def raster(recording: Recording, trial: int | None = None, ax: Axes | None = None) -> Axes:
    """Spikes of one trial (None: the last one), time against neuron, the groups of neurons in colours."""
    trial = _trial(recording, trial)
    spikes = recording.spikes(trial)
    ax = _axes(ax)
    height = ax.get_position().height * ax.figure.get_figheight() * 72  # points
    size = float(np.clip(0.9 * height / recording.n_neurons, 3.0, 8.0))
    marks = {"marker": "|", "linestyle": "none", "markersize": size, "markeredgewidth": 1.3}
    for group in _groups(recording):
        use = (spikes.neuron >= group.start) & (spikes.neuron < group.stop)
        ax.plot(spikes.step[use] * recording.dt, spikes.neuron[use], color=group.color, label=group.name, **marks)
        if group.start:
            ax.axhline(group.start - 0.5, color=LIGHT, linewidth=0.8)
        _margin_label(ax, (group.start + group.stop - 1) / 2, f"{group.name}\n{group.stop - group.start}", group.color)
    ax.set(ylabel="neuron", ylim=(-0.5, recording.n_neurons - 0.5))
    ax.yaxis.get_major_locator().set_params(integer=True)
    _time_axis(ax, recording, trial)
    n_steps = recording.segments.n_steps[recording.segments.trial == trial].sum()
    rate = 1000 * spikes.step.size / (n_steps * recording.dt * recording.n_neurons)
    ax.set_title(f"Spikes of trial {trial}: {rate:.3g} Hz per neuron", loc="left")
    return ax


def membrane(recording: Recording, trial: int | None = None, neurons: Any = None, ax: Axes | None = None) -> Axes:
    """Membrane potentials of a few neurons, one above the other, with their thresholds and spikes.

    neurons : list of neurons whose v was recorded; None: up to three that spike most, of each group in turn

    Each neuron is drawn to its own scale; the ticks are v = 0 and its threshold at the beginning. The threshold is the
    recorded one, and where there is none the threshold at rest.
    """
    trial = _trial(recording, trial)
    signal = recording["v"]
    chosen = _most_active(recording, trial, np.asarray(signal.neurons)) if neurons is None else np.atleast_1d(neurons)
    v = signal.read(trial, neurons=chosen)
    time = np.asarray(signal.steps(trial)) * recording.dt
    ax = _axes(ax)
    ticks: dict[float, str] = {}
    limits: list[bool] = []  # of each threshold that is drawn: was it recorded
    for row, neuron in enumerate(chosen.tolist()):
        group = next(g for g in _groups(recording) if g.start <= neuron < g.stop)
        limit = None if group.threshold is None else np.full(time.size, group.threshold[neuron - group.start])
        recorded = "threshold" in recording and neuron in np.asarray(recording["threshold"].neurons)
        if recorded:
            limit = recording["threshold"].read(trial, neurons=neuron)[:, 0]
        limits += [] if limit is None else [recorded]
        shown = np.concatenate([v[:, row], [0.0], [] if limit is None else limit])
        low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
        base = 1.3 * (len(chosen) - 1 - row)  # the first neuron on top

        def level(x: Any, base: float = base, low: float = low, span: float = high - low or 1.0) -> Any:
            return base + (x - low) / span

        ax.plot(time, level(v[:, row]), color=group.color, linewidth=1.1)
        ticks[level(0.0)] = "0"
        if limit is not None:
            ax.plot(time, level(limit), **DASHED)
            if level(limit[0]) - level(0.0) > 0.2:
                ticks[level(limit[0])] = f"{limit[0]:.2g}"
        if "spikes" in recording.file:
            fired = recording.spikes(trial, neurons=neuron).step * recording.dt
            ax.plot(fired, np.full(fired.size, base + 1.1), **TICKS)
        _margin_label(ax, base + 0.5, f"{group.name}\n#{neuron}", group.color)
    ax.set_yticks(list(ticks), list(ticks.values()))
    ax.set(ylabel="v", ylim=(-0.1, 1.3 * len(chosen) - 0.05))
    _time_axis(ax, recording, trial)
    ax.set_title("Membrane potentials", loc="left")
    entries: list[tuple[str, dict[str, Any]]] = [("v", {"color": GREY})]
    if limits:
        entries.append(("threshold" if all(limits) else "threshold at rest", DASHED))
    if "spikes" in recording.file:
        entries.append(("spike", TICKS))
    _legend(ax, entries)
    return ax


def readout(recording: Recording, trial: int | None = None, ax: Axes | None = None) -> Axes:
    """Readout of one trial: the outputs against their targets, or the softmax of the classes with the label in the title."""
    trial = _trial(recording, trial)
    signal = recording["readout"]
    y = np.asarray(signal[trial], np.float64)
    time = np.asarray(signal.steps(trial)) * recording.dt
    target = recording["target"][trial] if "target" in recording else None
    ax = _axes(ax)
    _time_axis(ax, recording, trial)
    if _kind(recording) == "classification":
        _class_curves(ax, recording, time, y, target)
        return ax
    n = min(y.shape[1], N_CURVES)
    known = target is not None and target.ndim == 2 and np.isfinite(target).any()
    for k in range(n):
        ax.plot(time, y[:, k], color=COLORS[k], linewidth=1.4, label="readout" if n == 1 else f"readout {k}")
    for k, values in enumerate(target.T[:n] if target is not None and known else ()):
        ax.plot(time, values, **DASHED, label=None if k else "target")
    ax.set_ylabel("readout")
    title = "Readout against target" if known else "Readout"
    ax.set_title(title + (f", first {n} of {y.shape[1]} outputs" if n < y.shape[1] else ""), loc="left")
    _legend(ax)
    return ax


def learning_curve(recording: Recording, ax: Axes | None = None) -> Axes:
    """Loss (left) and score (right, on the Axes `ax.score_axes`) per update: training as lines, evaluations as points.

    Training is drawn faintly, and averaged over about a fiftieth of the updates.
    """
    tables = {name: recording.table(name) for name in ("updates", "evaluations") if _rows(recording, name)}
    if not tables:
        raise KeyError(f"{recording.path} has no updates and no evaluations")
    ax = _axes(ax)
    kind = _kind(recording)
    ax.score_axes = None  # type: ignore[attr-defined]
    for column, color, axes in (("loss", GREY, ax), ("score", BLUE, None)):
        found = {name: _finite(table, column) for name, table in tables.items()}
        if not any(x.size for x, _ in found.values()):
            continue
        if axes is None:
            axes = ax.score_axes = ax.twinx()  # type: ignore[attr-defined]
            axes.spines["right"].set_visible(True)
        if "updates" in found:
            _curve(axes, *found["updates"], color, column)
        if "evaluations" in found:
            marker = {"marker": "s" if column == "loss" else "o", "markersize": 6, "markeredgecolor": "white"}
            axes.plot(*found["evaluations"], linestyle="none", color=color, zorder=5, **marker)
        axes.set_ylabel("loss" if column == "loss" else SCORES.get(kind or "", "score"), color=color)
        axes.tick_params(axis="y", colors=color, which="both")
        if kind == "regression" and all((y > 0).all() for _, y in found.values()):
            _log_axis(axes, room_above=column == "loss")
        elif kind == "classification":
            axes.set_ylim(0.0, 1.02 if column == "score" else None)
    ax.set_xlabel("updates")
    ax.set_title("Learning", loc="left")
    points = {"color": GREY, "marker": "o", "linestyle": "none"}
    entries = {"updates": ("training", {"color": GREY}), "evaluations": ("evaluation", points)}
    _legend(ax, [entries[name] for name in tables])
    return ax


def confusion_matrix(recording: Recording, ax: Axes | None = None) -> Axes:
    """Labels against predictions of the last evaluation: counts, and colours by the share of the label."""
    table = recording.table("predictions")
    if not table.label.size:
        raise KeyError(f"{recording.path} has no predictions")
    last = table.evaluation == table.evaluation.max()
    label, prediction = table.label[last], table.prediction[last]
    names = _label_names(recording, int(max(label.max(), prediction.max())) + 1)
    n = len(names)
    counts = np.zeros((n, n), np.int64)
    np.add.at(counts, (label, prediction), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax = _axes(ax)
    ax.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0, aspect="equal")
    style = {"ha": "center", "va": "center", "fontsize": float(np.clip(110 / n, 6, 13))}
    for i, j in np.argwhere(counts) if n <= MAX_WRITTEN_CLASSES else ():
        ax.text(j, i, str(counts[i, j]), color="white" if share[i, j] > 0.55 else BLACK, **style)
    shown = np.arange(0, n, -(-n // MAX_WRITTEN_CLASSES))
    long = max(map(len, names)) > max(2, 40 // n)
    ax.set_xticks(shown, [names[k] for k in shown], rotation=90 if long else 0)
    ax.set_yticks(shown, [names[k] for k in shown])
    ax.tick_params(length=0)
    for k in range(1, n):
        ax.axhline(k - 0.5, color="#E4E4E4", linewidth=0.6)
        ax.axvline(k - 0.5, color="#E4E4E4", linewidth=0.6)
    ax.set(xlabel="prediction", ylabel="label")
    ax.set_title(f"Last evaluation: accuracy {np.mean(label == prediction):.1%} of {label.size}", loc="left")
    return ax


def weights_histogram(recording: Recording, ax: Axes | None = None, matrix: str = "w_rec") -> Axes:
    """A matrix of weights in the first and the last snapshot; entries that are zero in both are left out."""
    updates = np.unique(recording.weight_updates[[0, -1]]).tolist() if recording.weight_updates.size else [None]
    values = [getattr(recording.weights(u), matrix) for u in updates]
    arrays = np.stack([np.ravel(w.data if hasattr(w, "indptr") else w) for w in values]).astype(np.float64)
    arrays = arrays[:, (arrays != 0).any(axis=0) & np.isfinite(arrays).all(axis=0)]
    ax = _axes(ax)
    bins = np.histogram_bin_edges(arrays, bins=60)
    for w, update in zip(arrays, updates, strict=True):
        last = {"histtype": "step", "color": BLUE, "linewidth": 1.6}
        style = last if update == updates[-1] else {"histtype": "stepfilled", "color": LIGHT}
        ax.hist(w, bins=bins, label=f"update {update}", **style)
    ax.set(xlabel=f"{matrix}, in units of v", ylabel="weights")
    names = {"w_in": "Input weights", "w_rec": "Recurrent weights", "w_out": "Readout weights"}
    ax.set_title(names.get(matrix, matrix), loc="left")
    _legend(ax)
    return ax


def story(recording: Recording | str | os.PathLike[str], trial: int | None = None) -> Figure:
    """What happened in a run, on one page: a trial on the left, learning on the right.

    trial : the trial that is shown; None: the last one with raw data

    Panels for which the recording has no data are left out; ValueError where none is left.
    """
    matplotlib = _matplotlib()
    if not isinstance(recording, Recording):
        with open_recording(recording) as opened:
            return story(opened, trial)
    from matplotlib.figure import Figure

    left, right = _panels(recording, trial)
    if not left and not right:
        raise fail("story.recording", "hold something to plot", str(recording.path), "it has no trials, updates or weights")
    with matplotlib.rc_context(STYLE):
        fig = Figure(figsize=(16, 10), dpi=100, layout="constrained")
        fig.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
        columns = [column for column in (left, right) if column]
        grid = fig.add_gridspec(1, len(columns), width_ratios=[1.75, 1.0][: len(columns)], wspace=0.04)
        for k, panels in enumerate(columns):
            cells = grid[k].subgridspec(len(panels), 1, height_ratios=[ratio for _, ratio, _ in panels])
            for i, (draw, _, arguments) in enumerate(panels):
                ax = draw(recording, ax=fig.add_subplot(cells[i, 0]), **arguments)
                if panels is left and i < len(panels) - 1:
                    ax.set_xlabel("")
                    ax.tick_params(labelbottom=False)
        fig.suptitle(_headline(recording), fontsize=14, fontweight="bold", x=0.01, ha="left")
    return fig


def _panels(recording: Recording, trial: int | None) -> tuple[list[Any], list[Any]]:
    """(function, height, arguments) of the panels of a trial and of the run that have data."""
    left: list[Any] = []
    if trial is not None or recording.n_trials:
        chosen = {"trial": _trial(recording, trial)}
        s = recording.segments
        start, n_steps = (x[s.trial == chosen["trial"]] for x in (s.start, s.n_steps))
        whole = bool((start[1:] == (start + n_steps)[:-1]).all())  # signals are drawn only without a gap
        if "spikes" in recording.file:
            left.append((raster, 1.5, chosen))
        left += [(draw, 1.0, chosen) for name, draw in (("v", membrane), ("readout", readout)) if whole and name in recording]
    right: list[Any] = []
    if _rows(recording, "updates") or _rows(recording, "evaluations"):
        right.append((learning_curve, 1.0, {}))
    if _rows(recording, "predictions"):
        right.append((confusion_matrix, 1.6, {}))
    elif recording.weight_updates.size:
        right.append((weights_histogram, 1.0, {}))
    elif _rows(recording, "updates") and "rate" in recording.table("updates")._fields:
        right.append((_rates, 1.0, {}))
    return left, right


def _rates(recording: Recording, ax: Axes) -> Axes:
    x, y = _finite(recording.table("updates"), "rate")
    _curve(ax, x, y, GREEN, "rate")
    ax.set(xlabel="updates", ylabel="mean rate (Hz)", ylim=(0.0, None))
    ax.set_title("Firing rate", loc="left")
    return ax


def _class_curves(ax: Axes, recording: Recording, time: np.ndarray, y: np.ndarray, target: np.ndarray | None) -> None:
    """Softmax of the classes: the label and the three strongest others in colours; the steps with a label are shaded."""
    p = np.exp(y - y.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    names = _label_names(recording, y.shape[1])
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
    _legend(ax, entries + ([("other classes", {"color": LIGHT})] if len(colored) < y.shape[1] else []))


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError('plotting needs matplotlib; pip install "snnlearn[plot]"') from error
    return matplotlib


def _axes(ax: Axes | None) -> Axes:
    """`ax`, or those of a new pyplot figure."""
    if ax is not None:
        return ax
    _matplotlib()
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(9, 4.5), layout="constrained")[1]


def _log_axis(ax: Axes, room_above: bool) -> None:
    """A logarithmic axis with room on one side, so that curves in proportion to each other do not coincide."""
    from matplotlib import ticker

    ax.set_yscale("log")
    low, high = ax.get_ylim()
    room = (high / low) ** 0.25
    ax.set_ylim(low if room_above else low / room, high * room if room_above else high)
    ax.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 1000 else (1.0,)))
    ax.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    ax.yaxis.set_minor_formatter(ticker.NullFormatter())


def _legend(ax: Axes, entries: list[tuple[str, dict[str, Any]]] | None = None) -> None:
    """A legend in one line above the Axes, where it hides nothing. entries : (text, properties of its line)."""
    from matplotlib.lines import Line2D

    handles = None if entries is None else [Line2D([], [], label=name, **style) for name, style in entries]
    handles = ax.get_legend_handles_labels()[0] if handles is None else handles
    place = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.985), "ncols": max(len(handles), 1)}
    ax.legend(handles=handles, frameon=False, borderaxespad=0.2, handlelength=1.6, columnspacing=1.2, **place)


def _margin_label(ax: Axes, y: float, text: str, color: str) -> None:
    ax.text(1.008, y, text, transform=ax.get_yaxis_transform(), ha="left", va="center", color=color)


def _time_axis(ax: Axes, recording: Recording, trial: int) -> None:
    s, use = recording.segments, recording.segments.trial == trial
    ax.set(xlabel="time (ms)", xlim=(s.start[use].min() * recording.dt, (s.start + s.n_steps)[use].max() * recording.dt))


def _trial(recording: Recording, trial: int | None) -> int:
    trials = recording.trials
    if not trials.size:
        raise fail("plot.recording", "have a trial with raw data", str(recording.path))
    if trial is not None and trial not in trials:
        raise fail("plot.trial", f"be a trial with raw data ({trials[0]} .. {trials[-1]})", trial, error=IndexError)
    return int(trials[-1] if trial is None else trial)


def _groups(recording: Recording) -> list[Group]:
    """The groups of neurons that the configuration tells; one group where it does not fit the recording."""
    entries = (recording.config.get("network") or {}).get("neurons") or []
    sizes = [int(entry.get("n", 0)) for entry in entries]
    if sum(sizes) != recording.n_neurons:
        return [Group("neurons", 0, recording.n_neurons, None, BLUE)]
    groups, start = [], 0
    for k, (entry, n) in enumerate(zip(entries, sizes, strict=True)):
        rest = None if entry.get("threshold") is None else np.broadcast_to(np.asarray(entry["threshold"], float), (n,))
        groups.append(Group(str(entry.get("type", "neurons")), start, start + n, rest, COLORS[k % len(COLORS)]))
        start += n
    return groups


def _most_active(recording: Recording, trial: int, there: np.ndarray) -> np.ndarray:
    """Up to N_MEMBRANES of these neurons in order: the most active of each group, then the second of each, and so on."""
    n_spikes = np.zeros(recording.n_neurons, np.int64)
    if "spikes" in recording.file:
        n_spikes += np.bincount(recording.spikes(trial).neuron, minlength=recording.n_neurons)
    ranked = []
    for group in _groups(recording):
        own = np.sort(there[(there >= group.start) & (there < group.stop)])
        own = own[np.argsort(-n_spikes[own], kind="stable")]
        ranked += [(rank, int(neuron)) for rank, neuron in enumerate(own)]
    return np.sort([neuron for _, neuron in sorted(ranked)[:N_MEMBRANES]])


def _rows(recording: Recording, table: str) -> int:
    return recording.table(table)[0].size if table in recording.tables else 0


def _finite(table: Any, column: str) -> tuple[np.ndarray, np.ndarray]:
    """(updates, values) of the rows that have a finite value."""
    y = np.asarray(getattr(table, column, np.full(table[0].size, np.nan)), np.float64)
    use = np.isfinite(y)
    return np.asarray(table.update)[use], y[use]


def _curve(ax: Axes, x: np.ndarray, y: np.ndarray, color: str, label: str) -> None:
    """A noisy curve, drawn faintly, and its running mean."""
    marker = "o" if x.size == 1 else None
    ax.plot(x, y, color=color, linewidth=0.8, alpha=0.25, marker=marker)
    ax.plot(x, _smooth(y), color=color, linewidth=1.8, marker=marker, label=label)


def _smooth(y: np.ndarray) -> np.ndarray:
    """Running mean over about a fiftieth of the values, over fewer at the ends."""
    at, half, total = np.arange(y.size), y.size // 100, np.concatenate(([0.0], np.cumsum(y)))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, y.size)
    return (total[high] - total[low]) / (high - low)


def _kind(recording: Recording) -> str | None:
    """ "classification" or "regression", as the task says, or else the targets; None: unknown."""
    kind = (recording.config.get("task") or {}).get("kind")
    if kind is None and _rows(recording, "predictions"):
        return "classification"
    if kind is None and "target" in recording:
        return "classification" if len(recording["target"].shape) == 1 else "regression"
    return kind


def _label_names(recording: Recording, n: int) -> list[str]:
    names = [str(name) for name in (recording.config.get("task") or {}).get("labels") or []]
    return names if len(names) >= n else [*names, *map(str, range(len(names), max(n, recording.n_outputs)))]


def _headline(recording: Recording) -> str:
    """Task, rule, sizes and final score in a line."""
    config = recording.config
    network, task, rule, optimizer = (config.get(name) or {} for name in ("network", "task", "rule", "optimizer"))
    parts = [str(task.get("name") or recording.path.name)]
    if rule.get("type"):
        lr = f", lr {optimizer['lr']:g}" if isinstance(optimizer.get("lr"), (int, float)) else ""
        parts.append(str(rule["type"]) + (f" with {optimizer['type']}{lr}" if optimizer.get("type") else ""))
    sizes = [f"{g.stop - g.start} {g.name}" for g in _groups(recording)]
    chain = [f"{network['n_inputs']} in"] if "n_inputs" in network else []
    parts.append(" → ".join([*chain, " + ".join(sizes), f"{recording.n_outputs} out"]))
    for name, source in (("evaluations", "evaluation"), ("updates", "training")):
        values = _finite(recording.table(name), "score")[1] if _rows(recording, name) else np.empty(0)
        if values.size:
            value = values[-1] if name == "evaluations" else _smooth(values)[-1]
            parts.append(f"{SCORES.get(_kind(recording) or '', 'score')} {value:.3g} ({source})")
            break
    return "   ·   ".join(parts)
