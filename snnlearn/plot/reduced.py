"""Panels of what reducers left of a run: rates, interspike intervals, losses, histograms over time, gradient norms.

They take an open recording or its path.

`learning.alignment` draws the reducer "alignment" too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._check import fail
from ..recording import Recording
from .about import SCORES, panel, task_kind, time_unit
from .style import BLUE, COLORS, GREEN, GREY, axes_or_new, legend_above, log_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MATRICES = ("w_in", "w_rec", "w_out", "b_out")


@panel
def rates(recording: Recording, ax: Axes | None = None) -> Axes:
    """Mean firing rate over the whole run, from the reducer "rates" of `recording`. ax : None: a new figure."""
    found, ax = recording.reduction("rates"), axes_or_new(ax)
    ax.step(*_steps(found, found.rate), where="post", color=GREEN, linewidth=1.2)
    ax.set(xlabel=_label(found), ylabel="mean rate (Hz)", xlim=_edges(found)[[0, -1]], ylim=(0.0, None))
    ax.set_title("Firing rate", loc="left")
    return ax


@panel
def neuron_rates(recording: Recording, ax: Axes | None = None) -> Axes:
    """Firing rate of each neuron over the whole run, as colours, from the reducer "neuron_rates" of `recording`.

    ax : None: a new figure
    """
    found, ax = recording.reduction("neuron_rates"), axes_or_new(ax)
    image = ax.pcolormesh(_edges(found), np.arange(recording.n_neurons + 1), found.rate.T, cmap="viridis", vmin=0.0)
    _figure(ax).colorbar(image, ax=ax, label="rate (Hz)")
    ax.set(xlabel=_label(found), ylabel="neuron")
    ax.set_title("Firing rates", loc="left")
    return ax


@panel
def intervals(recording: Recording, ax: Axes | None = None) -> Axes:
    """Interspike intervals at the beginning and at the end of the run, from the reducer "intervals" of `recording`.

    Shares of the first and of the last tenth of its bins, with the median of the neurons' CV. ax : None: a new figure
    """
    found, ax = recording.reduction("intervals"), axes_or_new(ax)
    n = max(1, found.time.size // 10)
    for part, color, name in ((slice(0, n), GREY, "first"), (slice(-n, None), BLUE, "last")):
        counts, cv = found.intervals[part].sum(axis=0), found.cv[part].sum(axis=0)
        if not counts.sum():
            continue
        middle = int(np.searchsorted(np.cumsum(cv), cv.sum() / 2))
        text = f", CV {(found.cv_edges[middle] + found.cv_edges[middle + 1]) / 2:.2f}" if cv.sum() else ""
        ax.stairs(counts / counts.sum(), found.edges, color=color, linewidth=1.6, label=f"{name} {_span(found, part)}{text}")
    used = np.flatnonzero(found.intervals.sum(axis=0))
    limits = (found.edges[used[0]] / 2, found.edges[used[-1] + 1] * 2) if used.size else None
    ax.set(xscale="log", xlabel="interspike interval (ms)", ylabel="share", xlim=limits, ylim=(0.0, None))
    ax.set_title("Interspike intervals", loc="left")
    legend_above(ax)
    return ax


@panel
def losses(recording: Recording, ax: Axes | None = None) -> Axes:
    """Mean loss (left) and score (right, on the Axes `ax.score_axes`) of each bin over the whole run, from the reducer "losses".

    recording : with that reducer; ax : None: a new figure. A bin without a trial is a gap.
    Raises KeyError without the reducer.
    """
    found, ax = recording.reduction("losses"), axes_or_new(ax)
    kind = task_kind(recording)
    ax.score_axes = None  # type: ignore[attr-defined]
    for column, color, axes in (("loss", GREY, ax), ("score", BLUE, None)):
        y = getattr(found, column)
        if not np.isfinite(y).any():
            continue
        if axes is None:
            axes = ax.score_axes = ax.twinx()  # type: ignore[attr-defined]
            axes.spines["right"].set_visible(True)
        axes.step(*_steps(found, y), where="post", color=color, linewidth=1.4)
        axes.set_ylabel("mean loss" if column == "loss" else SCORES.get(kind or "", "score"), color=color)
        axes.tick_params(axis="y", colors=color, which="both")
        if kind == "classification":
            axes.set_ylim(0.0, 1.02 if column == "score" else None)
        elif (y[np.isfinite(y)] > 0).all():
            log_axis(axes, room_above=column == "loss")
    ax.set(xlabel=_label(found), xlim=_edges(found)[[0, -1]])
    ax.set_title("Losses", loc="left")
    return ax


@panel
def histogram(recording: Recording, name: str = "w_rec", ax: Axes | None = None) -> Axes:
    """How the values of a matrix (reducer "weights") or of a variable (reducer "variables") are distributed over the run.

    recording : with that reducer; name : of the matrix or variable; ax : None: a new figure
    Colours are shares of all values of the bin. Raises KeyError that lists the names.
    """
    sources = {"weights": MATRICES[:3]} if "weights" in recording.reduced else {}
    if "variables" in recording.reduced:
        fields = recording.reduction("variables")._fields
        sources["variables"] = tuple(x.removeprefix("edges_") for x in fields if x.startswith("edges_"))
    source = next((reducer for reducer, names in sources.items() if name in names), None)
    if source is None:
        known = [repr(x) for names in sources.values() for x in names]
        raise KeyError(f"{recording.path} has no histograms of {name!r}; it has {', '.join(known) or 'none'}")
    found = recording.reduction(source)
    counts, edges = getattr(found, name).astype(float), getattr(found, f"edges_{name}")
    share = counts[:, 1:-1] / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    used = np.flatnonzero(share.max(axis=0) > 0)
    ax = axes_or_new(ax)
    image = ax.pcolormesh(_edges(found), edges, np.sqrt(share.T), cmap="Blues", vmin=0.0)
    bar = _figure(ax).colorbar(image, ax=ax, label="share of values")
    ticks = np.linspace(0.0, float(np.sqrt(share.max(initial=1e-12))), 4)
    bar.set_ticks(ticks, labels=[f"{tick**2:.2g}" for tick in ticks])
    if used.size:
        ax.set_ylim(edges[used[0]], edges[used[-1] + 1])
    ax.set(xlabel=_label(found), ylabel=f"{name}, in units of v" if source == "weights" else name)
    ax.set_title(f"Histogram of {name}", loc="left")
    return ax


@panel
def gradient_norms(recording: Recording, ax: Axes | None = None) -> Axes:
    """Norms of gradients: of each update (table "gradient_norms"), or their means over bins (the reducer of this name).

    recording : with either; ax : None: a new figure
    Raises KeyError where it has neither.
    """
    table = "gradient_norms" in recording.tables and recording.n_rows("gradient_norms") > 0
    if not table and "gradient_norms" not in recording.reduced:
        raise KeyError(f"{recording.path} has no norms of gradients; Recorder(gradient_norms=True) records them")
    found = recording.table("gradient_norms") if table else recording.reduction("gradient_norms")
    columns = [getattr(found, f"norm_{name}") for name in MATRICES] if table else found.norm.T
    ax = axes_or_new(ax)
    for name, y, color in zip(MATRICES, columns, COLORS, strict=False):
        if np.nanmax(y, initial=0.0) > 0:
            ax.plot(found.update, y, color=color, linewidth=1.3, label=name, marker="o" if len(y) == 1 else None)
    if not ax.lines:
        raise fail("plot.gradient_norms", "have a gradient that is not zero", "zeros only")
    ax.set(xlabel="updates", ylabel="norm")
    log_axis(ax, room_above=True)
    ax.set_title("Gradient norms", loc="left")
    legend_above(ax)
    return ax


def _figure(ax: Axes) -> Any:
    return ax.get_figure(root=True)


def _unit(found: Any) -> tuple[float, str]:
    """Milliseconds of the unit in which a run of this length is read, and its name."""
    return time_unit(float(found.time[-1]) if found.time.size else 0.0)


def _label(found: Any) -> str:
    return f"simulated time ({_unit(found)[1]})"


def _edges(found: Any) -> np.ndarray:
    """Edges of the bins, in the unit of `_label`."""
    return np.concatenate(([0.0], found.time)) / _unit(found)[0]


def _steps(found: Any, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _edges(found), np.concatenate((y, y[-1:]))


def _span(found: Any, part: slice) -> str:
    ms, unit = _unit(found)
    return f"{found.duration[part].sum() / ms:.3g} {unit}"
