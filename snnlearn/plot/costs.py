"""`costs`: the synaptic operations of runs beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _check
from .style import BLUE, GREEN, GREY, VERMILLION, axes_or_new, legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BARS = (("Effective_ACs", "accumulates", BLUE), ("Effective_MACs", "multiply-accumulates", VERMILLION), ("Dense", "dense", GREY))


def costs(runs: Mapping[str, Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Synaptic operations of a trial, and operations of learning an update, as bars on a logarithmic axis.

    runs : name -> what `sl.metrics` returned; ax : matplotlib Axes to draw into (None: a new figure)

    What there are no operations of has no bar. Raises ValueError where there is no run, ImportError without matplotlib.
    """
    if not runs:
        raise _check.fail("plot.costs.runs", "hold at least one run, by its name", runs)
    ax = axes_or_new(ax)
    kinds = [(label, color, [m["synaptic_operations"][key] for m in runs.values()]) for key, label, color in BARS]
    kinds.append(("learning, an update", GREEN, [m.get("learning", {}).get("operations", 0.0) for m in runs.values()]))
    kinds = [kind for kind in kinds if np.nanmax(kind[2]) > 0]
    width, place = 0.8 / len(kinds), np.arange(len(runs))
    for k, (label, color, values) in enumerate(kinds):
        shown = [value if value > 0 else np.nan for value in values]
        ax.bar(place - 0.4 + (k + 0.5) * width, shown, width, color=color, label=label)
    ax.set_yscale("log")
    ax.set_xticks(place, list(runs))
    ax.set_ylabel("operations")
    legend_above(ax)
    return ax
