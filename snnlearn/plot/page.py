"""`story`: the panels of a recording on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._check import fail
from ..recording import Recording
from .about import SCORES, Reported, curves, finite_rows, n_rows, neuron_groups, opened, shown, task_kind
from .learning import alignment, confusion_matrix, firing_rate, learning_curve, running_mean, weights_histogram
from .reduced import gradient_norms, histogram, intervals, losses, rates
from .style import STYLE, need_matplotlib
from .trial import membrane, raster, readout

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def story(recording: Any, trial: int | None = None) -> Figure:
    """What happened in a run, on one page: a trial on the left, learning on the right; without raw data, what reducers left.

    recording : an open recording or its path; of a `History` or a `Run` there is only the learning
    trial : the trial or piece that is shown; None: the last one with raw data, or the last 1000 steps of a stream

    Panels for which the recording has no data are left out; ValueError where none is left.
    """
    matplotlib = need_matplotlib()
    if not isinstance(recording, (Recording, Reported)):
        with opened(recording, "story") as found:
            return story(found, trial)
    from matplotlib.figure import Figure

    left, right = _panels(recording, trial)
    if not left and not right:
        raise fail("story.recording", "hold something to plot", str(recording.path), "it has no trials, updates or weights")
    with matplotlib.rc_context(STYLE):
        fig = Figure(figsize=(16, 10), dpi=100, layout="constrained")
        fig.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
        columns = [column for column in (left, right) if column]
        widths = [1.75 if _is_of_trial(column) else 1.0 for column in columns]
        grid = fig.add_gridspec(1, len(columns), width_ratios=widths, wspace=0.04)
        for k, panels in enumerate(columns):
            cells = grid[k].subgridspec(len(panels), 1, height_ratios=[ratio for _, ratio, _ in panels])
            for i, (draw, _, arguments) in enumerate(panels):
                ax = draw(recording, ax=fig.add_subplot(cells[i, 0]), **arguments)
                if _is_of_trial(panels) and i < len(panels) - 1:  # they share their axis of time
                    ax.set_xlabel("")
                    ax.tick_params(labelbottom=False)
        fig.suptitle(_headline(recording), fontsize=14, fontweight="bold", x=0.01, ha="left")
    return fig


def _is_of_trial(panels: list[Any]) -> bool:
    return bool(panels) and "trial" in panels[0][2]


def _panels(recording: Any, trial: int | None) -> tuple[list[Any], list[Any]]:
    """(function, height, arguments) of the panels of a trial and of the run that have data."""
    left: list[Any] = []
    if not isinstance(recording, Reported) and (trial is not None or recording.n_trials):
        part = shown(recording, trial, None)
        chosen, s = {"trial": part.trial}, recording.segments
        index, _, _ = recording._within(recording._segments_of(part.trial), part.time)
        whole = bool((s.begin[index][1:] == s.stop[index][:-1]).all())  # signals are drawn only without a gap
        if recording.has_spikes:
            left.append((raster, 1.5, chosen))
        left += [(draw, 1.0, chosen) for name, draw in (("v", membrane), ("readout", readout)) if whole and name in recording]
    right: list[Any] = []
    learning = curves(recording).tables
    if learning:
        right.append((learning_curve, 1.0, {}))
    if n_rows(recording, "predictions"):
        right.append((confusion_matrix, 1.6, {}))
    elif not isinstance(recording, Reported) and recording.weight_updates.size:
        right.append((weights_histogram, 1.0, {}))
    elif "weights" in recording.reduced and recording.reduction("weights").time.size:
        right.append((histogram, 1.0, {"name": "w_rec"}))
    elif "updates" in learning and "rate" in learning["updates"][0]._fields:
        right.append((firing_rate, 1.0, {}))
    if left:
        return left, right
    every = right + _reduced(recording)
    half = -(-len(every) // 2)
    return every[:half], every[half:]


def _reduced(recording: Recording) -> list[Any]:
    """Panels of what reducers left, for a page without raw data."""
    there = {name: recording.reduction(name) for name in recording.reduced if recording.reduction(name).time.size}
    panels: list[Any] = [(draw, 1.0, {}) for name, draw in (("rates", rates), ("intervals", intervals)) if name in there]
    if "losses" in there and not curves(recording).tables:  # of which the learning curve tells more
        panels.append((losses, 1.0, {}))
    if "variables" in there:
        fields = there["variables"]._fields
        panels.append((histogram, 1.0, {"name": next(x for x in fields if x.startswith("edges_")).removeprefix("edges_")}))
    if n_rows(recording, "gradient_norms") or ("gradient_norms" in there and np.nanmax(there["gradient_norms"].norm) > 0):
        panels.append((gradient_norms, 1.0, {}))
    if n_rows(recording, "alignment") or ("alignment" in there and there["alignment"].cosine.size):
        panels.append((alignment, 1.0, {}))
    return panels


def _headline(recording: Any) -> str:
    """Task, rule, sizes and final score in a line."""
    if isinstance(recording, Reported):
        return recording.path[4:]
    config = recording.config
    network, task, rule, optimizer = (config.get(name) or {} for name in ("network", "task", "rule", "optimizer"))
    parts = [str(task.get("name") or recording.path.name)]
    if rule.get("type"):
        lr = f", lr {optimizer['lr']:g}" if isinstance(optimizer.get("lr"), (int, float)) else ""
        parts.append(str(rule["type"]) + (f" with {optimizer['type']}{lr}" if optimizer.get("type") else ""))
    sizes = [f"{g.stop - g.start} {g.name}" for g in neuron_groups(recording)]
    chain = [f"{network['n_inputs']} in"] if "n_inputs" in network else []
    parts.append(" → ".join([*chain, " + ".join(sizes), f"{recording.n_outputs} out"]))
    for name, source in (("evaluations", "evaluation"), ("updates", "training")):
        values = finite_rows(recording.table(name), "score")[1] if n_rows(recording, name) else np.empty(0)
        if values.size:
            value = values[-1] if name == "evaluations" else running_mean(values)[-1]
            parts.append(f"{SCORES.get(task_kind(recording) or '', 'score')} {value:.3g} ({source})")
            break
    return "   ·   ".join(parts)
