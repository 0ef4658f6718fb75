"""Draws docs/img/suite.png: accuracy on the validation split over a run, by rule, of the runs in results/suite.json."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from snnlearn.experiments import suite_runs

ROOT = Path(__file__).parent
NAMES = ("mnist-1d", "mnist-1d-window", "spoken-digits", "japanese-vowels", "smartwatch", "mnist-rows")


def main() -> None:
    runs = suite_runs.load(ROOT / "results" / "suite.json")
    figure, axes = plt.subplots(2, 3, figsize=(9, 5), layout="constrained")
    for ax, name in zip(axes.ravel(), NAMES, strict=True):
        for k, method in enumerate(suite_runs.RULES):
            curves = [run["curve"] for run in runs if run["data"] == name and run["method"] == method]
            if curves:
                shown = min(map(len, curves))
                mean = 100 * np.mean([curve[:shown] for curve in curves], axis=0)
                ax.plot(np.arange(1, shown + 1) / shown, mean, f"C{k}", label=method)
        ax.set(title=name, xlabel="part of the run", ylabel="validation accuracy, %")
    axes[0, 1].legend(frameon=False)
    figure.savefig(ROOT.parent / "docs" / "img" / "suite.png", dpi=110)


if __name__ == "__main__":
    main()
