"""`learning_curves`: several runs of each kind, as a mean and a band."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._check import choice, fail
from ..recording import Recording
from ..simulator.history import History
from ..simulator.results import Run
from .about import curves, opened
from .style import COLORS, axes_or_new, legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("score", "loss", "rate")
SOURCES = (History, Run, Recording, str, os.PathLike)


def learning_curves(
    runs: Mapping[str, Any] | Iterable[Any], ax: Axes | None = None, column: str = "score", window: int | None = None
) -> Axes:
    """Learning curves over seeds: for each kind of run the mean as a line, and a band from the lowest to the highest.

    runs : {"e-prop": [run, run, ...], "BPTT": [...]}, or a list of runs of one kind; a run is a `History`, a `Run`, an open
        recording, its path, or an array [updates]; of a recording without updates, the trials or pieces of a stream
    ax : Axes to draw into; None: new ones
    column : score, loss or rate, of each update
    window : updates over which a run is averaged before; None: a fiftieth of them

    Runs of a kind are drawn as far as the shortest one. Raises ValueError for an unknown column or no runs, KeyError for a
    recording without updates.
    """
    choice("plot.learning_curves.column", column, COLUMNS)
    kinds = dict(runs) if isinstance(runs, Mapping) else {"": runs}
    ax, single = axes_or_new(ax), True
    for k, (name, members) in enumerate(kinds.items()):
        members = [members] if isinstance(members, (*SOURCES, np.ndarray)) else list(members)
        if not members:
            raise fail("plot.learning_curves.runs", "have a run of each kind", f"none of {name!r}")
        curves = [_values(run, column) for run in members]
        n = min(map(len, curves))
        width = max(1, n // 50) if window is None else min(max(1, window), n)
        stack = np.stack([_smooth(curve[:n], width) for curve in curves])
        at, color = np.arange(n - stack.shape[1] + 1, n + 1), COLORS[k % len(COLORS)]
        if len(curves) > 1:
            single = False
            ax.fill_between(at, stack.min(axis=0), stack.max(axis=0), color=color, alpha=0.18, linewidth=0)
        label = f"{name} ({len(curves)})" if name else f"{len(curves)} runs"
        ax.plot(at, stack.mean(axis=0), color=color, linewidth=1.8, label=label)
    ax.set(xlabel="updates", ylabel={"rate": "mean rate (Hz)"}.get(column, column))
    ax.set_title("Learning" if single else "Learning: mean and range of the runs", loc="left")
    legend_above(ax)
    return ax


def _values(run: Any, column: str) -> np.ndarray:
    if isinstance(run, SOURCES):
        with opened(run, "learning_curves") as recording:
            table = curves(recording).tables.get("updates")
            if table is None or not hasattr(table[0], column):
                raise KeyError(f"{recording.path} has no updates with a {column}")
            return np.asarray(getattr(table[0], column), np.float64)
    values = np.asarray(run, np.float64)
    if values.ndim != 1 or not values.size:
        raise fail("plot.learning_curves.runs", "be histories, recordings or arrays [updates]", run)
    return values


def _smooth(values: np.ndarray, width: int) -> np.ndarray:
    """Mean over the last `width` values, from the first full window on."""
    return np.lib.stride_tricks.sliding_window_view(values, width).mean(axis=-1)
