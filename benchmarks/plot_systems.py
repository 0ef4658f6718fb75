"""Draw the figures of `systems.py --json FILE`: seconds of each system beside snnlearn's, a panel for each case.

python benchmarks/plot_systems.py FILE PICTURE
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from snnlearn.plot import style

PANELS = {  # (case, with learning): title
    ("evidence, batch 1", True): "evidence accumulation: 100 neurons, 2250 steps",
    ("evidence, batch 64", True): "evidence accumulation: a batch of 64 trials",
    ("dense", True): "dense: 1000 neurons, 2 million synapses, 500 steps",
    ("sparse", True): "sparse: 50 000 neurons, 5.5 million synapses, 200 steps",
    ("sparse", False): "sparse: its simulation alone, without learning",
}
LOOKS = {  # (system, what): name, colour, marker
    ("snnlearn", "learning"): ("snnlearn", style.BLUE, "o"),
    ("jax", "learning"): ("JAX scans", style.VERMILLION, "s"),
    ("nest", "learning"): ("NEST", style.GREEN, "D"),
    ("torch", "BPTT"): ("PyTorch, BPTT", style.PURPLE, "^"),
    ("snnlearn", "forward"): ("snnlearn", style.BLUE, "o"),
    ("brian2", "forward"): ("Brian2", style.BLACK, "v"),
}


def draw(saved: dict[str, Any]) -> Figure:
    """A panel for each case, a line for each system from snnlearn's time to its own."""
    panels = [(title, _lines(saved["rows"], *key)) for key, title in PANELS.items()]
    panels = [(title, lines) for title, lines in panels if len(lines) > 1]
    times = [row["seconds"] for _, lines in panels for row, _ in lines]
    heights = [len(lines) + 0.6 for _, lines in panels]
    figure = Figure(figsize=(9, 0.6 + 0.3 * sum(heights) + 0.25 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for ax, (title, lines) in zip(axes, panels, strict=True):
        base = lines[0][0]["seconds"]
        ax.axvline(base, color=style.LIGHT, linewidth=1, zorder=0)
        for y, (row, (_, color, marker)) in enumerate(lines):
            seconds = row["seconds"]
            ax.plot([base, seconds], [y, y], color=color, linewidth=2, alpha=0.45, zorder=2)
            ax.plot(seconds, y, color=color, marker=marker, markersize=8)
            ax.annotate(_label(seconds, base), (max(seconds, base), y), (9, 0), textcoords="offset points", va="center")
        ax.set_yticks(range(len(lines)), [look[0] for _, look in lines])
        ax.set_ylim(len(lines) - 0.5, -0.6)
        ax.set_title(title, loc="left", fontsize=11)
        ax.tick_params(left=False)
        ax.spines[["left", "right", "top"]].set_visible(False)
    axes[0].set_xscale("log")
    axes[0].set_xlim(min(times) / 1.5, max(times) * 8)
    axes[0].xaxis.set_major_formatter(lambda x, _: f"{x * 1000:g} ms" if x < 1 else f"{x:g} s")
    axes[0].xaxis.set_minor_locator(NullLocator())
    threads = "one thread" if saved["threads"] == 1 else f"{saved['threads']} threads"
    axes[-1].set_xlabel(f"time for one update, {threads}, logarithmic; and how many times snnlearn's")
    return figure


def measured(rows: list[dict[str, Any]]) -> str:
    """What is drawn, a line for each time, as `systems.py` prints it; `tests/test_docs.py` compares it with the page's table."""
    found = [row for key in PANELS for row, _ in _lines(rows, *key)]
    return "\n".join(f"{row['case']}; {row['system']}; {row['what']}; {row['seconds']:.4f}" for row in found)


def _lines(rows: list[dict[str, Any]], case: str, learns: bool) -> list[tuple[dict[str, Any], tuple[str, str, str]]]:
    """Rows of a panel and their looks, snnlearn first; none where snnlearn is missing."""
    looks = {key: look for key, look in LOOKS.items() if (key[1] != "forward") == learns}
    found = [
        (row, look) for key, look in looks.items() for row in rows if (row["case"], row["system"], row["what"]) == (case, *key)
    ]
    return found if found and found[0][0]["system"] == "snnlearn" else []


def _label(seconds: float, base: float) -> str:
    """The time, and how many times the base it is."""
    time = f"{_short(seconds * 1000)} ms" if seconds < 0.0995 else f"{_short(seconds)} s"
    return time if seconds == base else f"{time}   {_short(seconds / base)} x"


def _short(value: float) -> str:
    """About two digits."""
    return f"{value:.2f}" if value < 0.995 else f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", metavar="FILE", help="what systems.py --json saved")
    parser.add_argument("picture", metavar="PICTURE")
    options = parser.parse_args()
    import matplotlib

    saved = json.loads(Path(options.file).read_text("utf-8"))
    about = {"Description": measured(saved["rows"])} if options.picture.endswith(".png") else None
    with matplotlib.rc_context(style.STYLE):
        draw(saved).savefig(options.picture, dpi=150, metadata=about)


if __name__ == "__main__":
    main()
