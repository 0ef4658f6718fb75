"""Panels of a run: learning curves, confusion matrix, weights, firing rate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._check import fail
from ..recording import Recording
from ..simulator.history import History
from ..simulator.results import Run
from .about import SCORES, curves, finite_rows, label_names, n_rows, opened, panel, task_kind
from .style import BLACK, BLUE, COLORS, GREEN, GREY, LIGHT, axes_or_new, legend_above, log_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_WRITTEN_CLASSES = 20
MATRIX_LINES = {"w_in": "solid", "w_rec": (0, (4, 2)), "w_out": (0, (1, 1.5))}


@panel
def learning_curve(recording: Recording, ax: Axes | None = None) -> Axes:
    """Loss (left) and score (right, on the Axes `ax.score_axes`) per update: training as lines, evaluations as points.

    recording : an open recording or its path, a `History`, or a `Run`; ax : Axes to draw into, None: new ones
    Of a run without updates and evaluations it is the loss of each trial, of a stream that of each piece against the stream's
    time. Training is drawn faintly, and averaged over about a fiftieth of the updates. Raises KeyError where there are no losses.
    """
    tables, label = curves(recording)
    if not tables:
        raise KeyError(f"{recording.path} has no updates, no evaluations and no losses of trials")
    ax = axes_or_new(ax)
    kind = task_kind(recording)
    ax.score_axes = None  # type: ignore[attr-defined]
    for column, color, axes in (("loss", GREY, ax), ("score", BLUE, None)):
        found = {name: finite_rows(table, column, at) for name, (table, at) in tables.items()}
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
            log_axis(axes, room_above=column == "loss")
        elif kind == "classification":
            axes.set_ylim(0.0, 1.02 if column == "score" else None)
    ax.set_xlabel(label)
    ax.set_title("Learning", loc="left")
    points = {"color": GREY, "marker": "o", "linestyle": "none"}
    entries = {"updates": ("training", {"color": GREY}), "evaluations": ("evaluation", points)}
    legend_above(ax, [entries[name] for name in tables])
    return ax


def alignment(source: Any, ax: Axes | None = None, matrices: Iterable[str] = ("w_in", "w_rec")) -> Axes:
    """Cosine of the updating rule's gradient with those of passive rules over learning: a colour per rule, a line per matrix.

    source : an open recording or its path (its table "alignment", or else means over bins, of the reducer of this name), or a
        `History` or `Run`, of a run with passive rules
    ax : Axes to draw into; None: new ones
    matrices : names among w_in, w_rec, w_out

    Cosines are drawn faintly, and averaged over about a fiftieth of them. Raises KeyError for a run without alignments.
    """
    updates, rule, names, cosines = _alignments(source)
    chosen = (matrices,) if isinstance(matrices, str) else tuple(matrices)
    for matrix in chosen:
        if matrix not in cosines:
            raise fail("plot.alignment.matrices", f"be among {', '.join(cosines)}", matrix)
    ax = axes_or_new(ax)
    styles = {matrix: MATRIX_LINES[matrix] if len(chosen) > 1 else "solid" for matrix in chosen}
    colors = [COLORS[k % len(COLORS)] for k in range(len(names))]
    for k, color in enumerate(colors):
        for matrix, style in styles.items():
            use = (rule == k) & np.isfinite(cosines[matrix])
            x, y = updates[use], cosines[matrix][use]
            ax.plot(x, y, color=color, linewidth=0.8, alpha=0.25)
            ax.plot(x, running_mean(y), color=color, linewidth=1.8, linestyle=style, marker="o" if y.size == 1 else None)
    shown = np.concatenate([cosines[matrix] for matrix in chosen])
    ax.axhline(1.0, color=LIGHT, linewidth=0.8, zorder=0)
    ax.set(xlabel="updates", ylabel="cosine of gradients", ylim=(min(0.0, np.nanmin(shown, initial=0.0)), 1.05))
    ax.set_title("Alignment of passive rules", loc="left")
    entries: list[tuple[str, dict[str, Any]]] = []
    entries += [(name.removesuffix("()"), {"color": color}) for name, color in zip(names, colors, strict=True)]
    entries += [(matrix, {"color": GREY, "linestyle": style}) for matrix, style in styles.items() if len(chosen) > 1]
    legend_above(ax, entries)
    return ax


def _alignments(source: Any) -> tuple[np.ndarray, np.ndarray, list[str], dict[str, np.ndarray]]:
    """(updates, rule of each row, names of rules, cosines of each matrix) of a run."""
    if isinstance(source, (History, Run)):
        alone = [] if source.alignment is None else [source.alignment]
        return _of_reports(source.alignment if isinstance(source, History) else alone)
    with opened(source, "alignment") as recording:
        return _of_recording(recording)


def _of_recording(source: Recording) -> tuple[np.ndarray, np.ndarray, list[str], dict[str, np.ndarray]]:
    if n_rows(source, "alignment"):
        table = source.table("alignment")
        update, rule = np.asarray(table.update), np.asarray(table.rule)
        cosines = {f.removeprefix("cosine_"): getattr(table, f) for f in table._fields if f.startswith("cosine_")}
    elif "alignment" in source.reduced and source.reduction("alignment").cosine.size:
        found = source.reduction("alignment")  # cosine [bins, rules, matrices]
        bins, rules, _ = found.cosine.shape
        update, rule = np.repeat(found.update, rules), np.tile(np.arange(rules), bins)
        cosines = {matrix: found.cosine[:, :, m].ravel() for m, matrix in enumerate(MATRIX_LINES)}
    else:
        raise KeyError(f"{source.path} has no alignments with passive rules")
    names = [str(entry.get("name", k)) for k, entry in enumerate(source.config.get("passive") or [])]
    return update, rule, names + [f"rule {k}" for k in range(len(names), int(rule.max()) + 1)], cosines


def _of_reports(alignments: list[Any]) -> tuple[np.ndarray, np.ndarray, list[str], dict[str, np.ndarray]]:
    if not alignments:
        raise KeyError("the run has no alignments with passive rules")
    first, n = alignments[0], len(alignments)
    columns = np.array([a.cosine for a in alignments])  # [alignments, rules, matrices]
    cosines = {matrix: columns[:, :, m].ravel() for m, matrix in enumerate(first.matrices)}
    updates = np.repeat([a.updates for a in alignments], len(first.rules))
    return updates, np.tile(np.arange(len(first.rules)), n), list(first.rules), cosines


@panel
def confusion_matrix(recording: Recording, ax: Axes | None = None) -> Axes:
    """Labels against predictions of the last evaluation: counts, and colours by the share of the label.

    recording : an open recording or its path, or a `History`; ax : Axes to draw into, None: new ones
    Raises KeyError without predictions.
    """
    table = recording.table("predictions")
    if not table.label.size:
        raise KeyError(f"{recording.path} has no predictions")
    last = table.evaluation == table.evaluation.max()
    label, prediction = table.label[last], table.prediction[last]
    names = label_names(recording, int(max(label.max(), prediction.max())) + 1)
    n = len(names)
    counts = np.zeros((n, n), np.int64)
    np.add.at(counts, (label, prediction), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax = axes_or_new(ax)
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


@panel
def weights_histogram(recording: Recording, ax: Axes | None = None, matrix: str = "w_rec") -> Axes:
    """A matrix of weights in the first and the last snapshot; entries that are zero in both are left out.

    recording : an open recording or its path; ax : Axes to draw into, None: new ones
    matrix : w_in, w_rec, w_out or b_out

    Raises KeyError for a recording without weights.
    """
    updates = np.unique(recording.weight_updates[[0, -1]]).tolist() if recording.weight_updates.size else [None]
    values = [getattr(recording.weights(u), matrix) for u in updates]
    arrays = np.stack([np.ravel(w.data if hasattr(w, "indptr") else w) for w in values]).astype(np.float64)
    arrays = arrays[:, (arrays != 0).any(axis=0) & np.isfinite(arrays).all(axis=0)]
    ax = axes_or_new(ax)
    bins = np.histogram_bin_edges(arrays, bins=60)
    for w, update in zip(arrays, updates, strict=True):
        last = {"histtype": "step", "color": BLUE, "linewidth": 1.6}
        style = last if update == updates[-1] else {"histtype": "stepfilled", "color": LIGHT}
        ax.hist(w, bins=bins, label=f"update {update}", **style)
    ax.set(xlabel=f"{matrix}, in units of v", ylabel="weights")
    names = {"w_in": "Input weights", "w_rec": "Recurrent weights", "w_out": "Readout weights"}
    ax.set_title(names.get(matrix, matrix), loc="left")
    legend_above(ax)
    return ax


def firing_rate(recording: Recording, ax: Axes) -> Axes:
    tables, label = curves(recording)
    table, at = tables["updates"]
    _curve(ax, *finite_rows(table, "rate", at), GREEN, "rate")
    ax.set(xlabel=label, ylabel="mean rate (Hz)", ylim=(0.0, None))
    ax.set_title("Firing rate", loc="left")
    return ax


def _curve(ax: Axes, x: np.ndarray, y: np.ndarray, color: str, label: str) -> None:
    """A noisy curve, drawn faintly, and its running mean."""
    marker = "o" if x.size == 1 else None
    ax.plot(x, y, color=color, linewidth=0.8, alpha=0.25, marker=marker)
    ax.plot(x, running_mean(y), color=color, linewidth=1.8, marker=marker, label=label)


def running_mean(y: np.ndarray) -> np.ndarray:
    """Running mean over about a fiftieth of the values, over fewer at the ends."""
    at, half, total = np.arange(y.size), y.size // 100, np.concatenate(([0.0], np.cumsum(y)))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, y.size)
    return (total[high] - total[low]) / (high - low)
