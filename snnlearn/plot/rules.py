"""`comparison`: rules side by side, how close they come and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..analysis.compare import Comparison
from .style import BLACK, BLUE, GREEN, GREY, LIGHT, PURPLE, STYLE, VERMILLION, need_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS = {"w_in": (BLUE, "o"), "w_rec": (VERMILLION, "s"), "w_out": (GREEN, "D"), "b_out": (PURPLE, "^")}
NAMES = {"w_in": "input", "w_rec": "recurrent", "w_out": "readout", "b_out": "bias"}
EXACT = 1e-4  # relative errors below are drawn here: rounding of float32
SPREAD = 0.44  # of a rule's row, over its matrices


def comparison(table: Comparison, title: str | None = None) -> Figure:
    """A row per rule: cosine with the reference, relative error, time and memory.

    table : of `sl.compare`
    title : of the figure; default: what the rules are compared with

    Rules without figures keep their row, with a word. Raises ImportError without matplotlib.
    """
    matplotlib = need_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    n = len(table.rules)
    with matplotlib.rc_context(STYLE):
        fig = Figure(figsize=(15, 2.1 + 0.5 * n), dpi=100, layout="constrained")
        fig.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
        axes = fig.subplots(1, 4, sharey=True, width_ratios=[1.25, 1.25, 0.8, 0.8])
        cosine, error, seconds, memory = axes
        _closeness(cosine, table, table.cosine)
        low = float(np.nanmin(table.cosine, initial=0.9))
        cosine.set(xlim=(np.floor(10 * low - 0.3) / 10, 1.02 + 0.02 * (1 - low)), xlabel="cosine with the reference's gradient")
        cosine.axvline(1.0, color=LIGHT, linewidth=0.8, zorder=0)
        _closeness(error, table, np.maximum(table.relative_error, EXACT))
        _error_axis(error, table)
        _cost(seconds, 1e3 * table.seconds, "of one gradient (ms)")
        _cost(memory, 1e-6 * table.peak_bytes, "at its peak (MB)")
        for ax, name in zip(axes, ("Cosine", "Relative error", "Time", "Memory"), strict=True):
            ax.set_title(name, loc="left")
            ax.spines["right"].set_visible(False)
            ax.tick_params(axis="y", length=0)
            for row in range(n - 1):
                ax.axhline(row + 0.5, color="#E4E4E4", linewidth=0.8, zorder=0)
        cosine.set_yticks(range(n), [name.removesuffix("()") for name in table.rules])
        cosine.set_ylim(n - 0.5, -0.5)
        for row in range(n):
            if table.note(row):
                words = {"ha": "left", "va": "center", "color": GREY, "style": "italic", "fontsize": 10}
                cosine.text(0.02, row, _first_words(table.note(row)), transform=cosine.get_yaxis_transform(), **words)
        looks = [{"color": LOOKS[m][0], "marker": LOOKS[m][1], "label": NAMES[m]} for m in table.matrices]
        handles = [Line2D([], [], linestyle="none", markersize=7, **look) for look in looks]
        fig.legend(handles=handles, loc="upper right", ncols=len(handles), frameon=False, handletextpad=0.2)
        title = title or f"Gradients of learning rules against {table.reference.removesuffix('()')}"
        fig.suptitle(title, fontsize=14, fontweight="bold", x=0.01, ha="left")
    return fig


def _closeness(ax: Axes, table: Comparison, values: np.ndarray) -> None:
    """Markers of the matrices, one below the other in each rule's row."""
    rows, n = np.arange(len(table.rules)), len(table.matrices)
    for k, matrix in enumerate(table.matrices):
        color, marker = LOOKS[matrix]
        y = rows + SPREAD * ((k + 0.5) / n - 0.5) * (n > 1) * 1.6
        ax.plot(values[:, k], y, color=color, marker=marker, markersize=7, linestyle="none", label=matrix, clip_on=False)


def _error_axis(ax: Axes, table: Comparison) -> None:
    """A logarithmic axis whose left end holds the exact rules."""
    from matplotlib import ticker

    finite = table.relative_error[np.isfinite(table.relative_error)]
    high = 10.0 ** np.ceil(np.log10(max(float(finite.max(initial=1.0)), 1.0)) + 0.2)
    ax.set(xscale="log", xlim=(EXACT / 1.6, high), xlabel="|gradient - reference| / |reference|")
    ticks = 10.0 ** np.arange(np.log10(EXACT), np.log10(high) + 0.5)
    step = -(-ticks.size // (7 if max(map(len, table.rules)) <= 20 else 4))  # long names leave a narrow axis
    shown = ticks[::step]
    ax.set_xticks(shown, [f"≤ {t:g}" if k == 0 else _short(t) for k, t in enumerate(shown)])
    ax.xaxis.set_minor_locator(ticker.NullLocator())
    ax.axvline(1.0, color=LIGHT, linewidth=0.8, zorder=0)


def _cost(ax: Axes, values: np.ndarray, label: str) -> None:
    """A point per rule with its number on a logarithmic axis."""
    from matplotlib import ticker

    known = values[np.isfinite(values) & (values > 0)]
    low, high = (known.min(), known.max()) if known.size else (1.0, 1.0)
    middle, decades = np.sqrt(low * high), max(np.log10(high / low), 0.5)
    left, right = middle / 10 ** (0.6 * decades), middle * 10 ** (0.95 * decades)  # room for the numbers
    rows = np.arange(values.size)
    ax.hlines(rows, left, np.where(np.isfinite(values), values, left), color=LIGHT, linewidth=2)
    ax.plot(values, rows, color=BLACK, marker="o", markersize=7, linestyle="none")
    for row, value in zip(rows, values, strict=True):
        if np.isfinite(value):
            place = {"xytext": (8, 0), "textcoords": "offset points", "va": "center", "fontsize": 10}
            ax.annotate(_short(value), (value, row), color=BLACK, **place)
    ax.set(xscale="log", xlim=(left, right), xlabel=label)
    wide = np.log10(right / left)
    steps = [1.0] if wide > 2.5 else [1.0, 3.0] if wide > 1.2 else [1.0, 2.0, 5.0]
    exponents = np.arange(np.floor(np.log10(left)), np.log10(right), -(-wide // 4))
    ticks = np.outer(10.0**exponents, steps).ravel()
    ticks = ticks[(ticks >= left) & (ticks <= right)]
    ax.set_xticks(ticks, [_short(tick) for tick in ticks])
    ax.xaxis.set_minor_formatter(ticker.NullFormatter())


def _short(value: float) -> str:
    """Three digits, in full up to 9999."""
    return f"{value:.0f}" if 1000 <= value < 1e4 else f"{value:.3g}".replace("e+0", "e").replace("e-0", "e-")


def _first_words(note: str) -> str:
    """The beginning of a note, up to what it needs."""
    return note.split(" for ")[0].split("(")[0].split(";")[0].strip()[:60]
