"""Colours, and what several panels share: new axes, legends, labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _check

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito's colours, which are told apart with any colour vision; those that are legible as text come first
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BLACK, GREY, LIGHT = "#222222", "#6E6E6E", "#C4C4C4"
SIZES = {"font.size": 11, "axes.titlesize": 12, "xtick.labelsize": 10, "ytick.labelsize": 10, "legend.fontsize": 10}
STYLE = {**SIZES, "axes.titleweight": "bold", "axes.edgecolor": GREY, "axes.spines.top": False}
DASHED: dict[str, Any] = {"color": BLACK, "linewidth": 1.2, "linestyle": (0, (4, 2))}
TICKS: dict[str, Any] = {"color": BLACK, "linestyle": "none", "marker": "|", "markersize": 7, "markeredgewidth": 1.1}


def need_matplotlib() -> Any:
    return _check.need("matplotlib", "plotting")


def axes_or_new(ax: Axes | None) -> Axes:
    """`ax`, or those of a new pyplot figure."""
    if ax is not None:
        return ax
    need_matplotlib()
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(9, 4.5), layout="constrained")[1]


def log_axis(ax: Axes, room_above: bool) -> None:
    """A logarithmic axis with room on one side, so that curves in proportion to each other do not coincide."""
    from matplotlib import ticker

    ax.set_yscale("log")
    low, high = ax.get_ylim()
    room = (high / low) ** 0.25
    ax.set_ylim(low if room_above else low / room, high * room if room_above else high)
    ax.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 1000 else (1.0,)))
    ax.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    ax.yaxis.set_minor_formatter(ticker.NullFormatter())


def legend_above(ax: Axes, entries: list[tuple[str, dict[str, Any]]] | None = None) -> None:
    """A legend in one line above the Axes, where it hides nothing. entries : (text, properties of its line)."""
    from matplotlib.lines import Line2D

    handles = None if entries is None else [Line2D([], [], label=name, **style) for name, style in entries]
    handles = ax.get_legend_handles_labels()[0] if handles is None else handles
    place = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.985), "ncols": max(len(handles), 1)}
    ax.legend(handles=handles, frameon=False, borderaxespad=0.2, handlelength=1.6, columnspacing=1.2, **place)


def margin_label(ax: Axes, y: float, text: str, color: str) -> None:
    ax.text(1.008, y, text, transform=ax.get_yaxis_transform(), ha="left", va="center", color=color)
