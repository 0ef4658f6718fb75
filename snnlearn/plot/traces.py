"""`eligibility`: what a synapse remembers and what it is told, one row above the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._check import integer
from ..analysis.synapse_traces import Eligibility
from .style import BLACK, BLUE, DASHED, GREEN, GREY, LIGHT, ORANGE, PURPLE, SKY, VERMILLION, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS: tuple[tuple[str, str, str], ...] = (  # what `Eligibility` names, how it is labelled, its colour
    ("pre", "presynaptic\n$\\mathrm{pre}_i$", GREY),
    ("v", "membrane $v_j$,\nthreshold $A_j$", BLACK),
    ("psi", "pseudo-derivative\n$\\psi_j$", PURPLE),
    ("eps_v", "membrane trace\n$\\epsilon^v_{ij}$", BLUE),
    ("eps_a", "slow trace\n$\\epsilon^a_{ij}$", SKY),
    ("e", "eligibility\n$e_{ij}$", ORANGE),
    ("ebar", "filtered\n$\\bar e_{ij}$", GREEN),
    ("signal", "learning signal\n$L_j$", VERMILLION),
)


def eligibility(traces: Eligibility, synapse: int = 0, ax: Axes | None = None) -> Axes:
    """The traces of one synapse over a trial, each to its own scale, which the row's range tells.

    traces : of `sl.synapse_traces`
    synapse : which of its columns
    ax : Axes to draw into; None: new ones

    Raises ValueError for a synapse that is not there.
    """
    need = f"be a number below {len(traces.synapses)}"
    k = integer("plot.eligibility.synapse", synapse, need, low=0, high=len(traces.synapses) - 1)
    ax = axes_or_new(ax)
    time = np.arange(traces.pre.shape[0]) * traces.dt
    rows = [row for row in ROWS if row[0] != "eps_a" or traces.eps_a[:, k].any()]
    ticks: dict[float, str] = {}
    for row, (name, label, color) in enumerate(rows):
        values, base = getattr(traces, name)[:, k], 1.25 * (len(rows) - 1 - row)
        shown = [values, traces.threshold[:, k]] if name == "v" else [values, np.zeros(1)]
        low, high = min(map(np.min, shown)), max(map(np.max, shown))

        def level(x: Any, base: float = base, low: float = low, span: float = high - low or 1.0) -> Any:
            return base + (x - low) / span

        at = time[values != 0]
        if name == "pre":
            ax.vlines(at, base, level(values[values != 0]), color=color, linewidth=1.0)
        else:
            ax.axhline(level(0.0), color=LIGHT, linewidth=0.8, zorder=0)
            ax.plot(time, level(values), color=color, linewidth=1.2)
        if name == "v":
            ax.plot(time, level(traces.threshold[:, k]), **DASHED)
            fired = time[traces.spikes[:, k]]
            ax.vlines(fired, base + 1.02, base + 1.17, color=BLACK, linewidth=1.1)
        ticks[base + 0.5] = label
        ax.text(1.008, base + 0.5, _range(low, high), transform=ax.get_yaxis_transform(), va="center", color=GREY, fontsize=9)
    ax.set_yticks(list(ticks), list(ticks.values()))
    for text, (_, _, color) in zip(ax.get_yticklabels(), rows, strict=True):
        text.set_color(color)
    ax.tick_params(axis="y", length=0)
    ax.spines[["left", "top", "right"]].set_visible(False)
    ax.set(xlabel="time (ms)", xlim=(0, time[-1] + traces.dt), ylim=(-0.1, 1.25 * len(rows)))
    pre, post = traces.synapses[k]
    kind = "input" if traces.source == "inputs" else "neuron"
    ax.set_title(f"From {kind} {pre} to neuron {post}: gradient {traces.gradient[k]:.3g}", loc="left")
    return ax


def _range(low: float, high: float) -> str:
    return f"{high:.2g}\n\n{low:.2g}" if low else f"{high:.2g}\n\n0"
