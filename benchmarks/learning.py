"""Where higher orders pay: iterations to criterion of e-prop of order 1, 2, 3 and of BPTT on two tasks.

    python benchmarks/learning.py --task copy [--seeds 0,1,2] [--rules eprop,eprop:2,eprop:3,bptt,eprop:random]
    python benchmarks/learning.py --task evidence --out benchmarks/results

All rules have the same network, initial weights, trials, Adam, loss and regulariser, and symmetric feedback
("eprop:random" is order 1 with random feedback). The learning rate is chosen for each rule from the same grid on a
seed that is not reported: the one with the fewest iterations to criterion, or where none meets it, with the
highest accuracy over the last 50 iterations. Trials are drawn afresh for every batch, so that the accuracy
of a batch before its update is a held-out accuracy; the criterion is a mean over a window of batches.

BPTT is a passive rule beside the others: every `--passive-every` updates, the cosine of the two gradients (task and
regulariser) on the trajectory that this very rule produced. Each run goes on for all iterations. The time of an
iteration is CPU time, taken afterwards without passive rules from the initial weights: the fastest of several, the rules in turn.

Writes learning_<task>.json (settings, curves, alignments) and learning_<task>.csv (a row per rule and seed). Runs of
an earlier call with the same settings stay in the files and are not repeated, so that rules and seeds can be added. What
was measured stands in docs/performance.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import snnlearn as sl
from snnlearn.rules.taxonomy import parse_rule
from snnlearn.tasks.base import Task
from snnlearn.tasks.batches import collate

LAST = 50  # iterations at the end over which the final accuracy is a mean


class Setting(NamedTuple):
    """A task and what all rules share on it."""

    task: dict[str, Any]  # of `sl.tasks.base.make`
    lif: dict[str, Any]
    alif: dict[str, Any]
    readout: dict[str, Any]
    rate: dict[str, float]  # of the regulariser
    batch: int
    iterations: int
    criterion: float  # accuracy, as a mean over `window` batches
    window: int
    lrs: tuple[float, ...]


# the readout forgets within half a symbol, or its accuracy would be bound by the borders between symbols
COPY = Setting(
    task={"name": "copy", "length": 3, "n_symbols": 2, "symbol_duration": 20.0, "delay": 40.0, "n_per_group": 10},
    lif={"n": 20, "tau_m": 20.0, "threshold": 0.6, "refractory": 2.0},
    alif={"n": 80, "tau_m": 20.0, "tau_a": 200.0, "beta": 0.3, "threshold": 0.6, "refractory": 2.0},
    readout={"tau": 10.0, "bias": True},
    rate={"target": 20.0, "strength": 0.1},
    batch=32,
    iterations=800,
    criterion=0.9,
    window=10,
    lrs=(0.0025, 0.005, 0.01, 0.02),
)

# task, network and criterion (an error below 7 %) are those of Bellec et al. 2020 (Fig. 3), as in `snnlearn.experiments.recipes`
EVIDENCE = Setting(
    task={"name": "evidence-accumulation"},
    lif={"n": 50, "tau_m": 20.0, "threshold": 0.6, "refractory": 4.0},
    alif={"n": 50, "tau_m": 20.0, "tau_a": 2000.0, "beta": 0.0174, "threshold": 0.6, "refractory": 4.0},
    readout={"tau": 20.0},
    rate={"target": 10.0, "strength": 2.0},
    batch=64,
    iterations=150,
    criterion=0.93,
    window=10,
    lrs=(0.0025, 0.005, 0.01),
)

SETTINGS = {"copy": COPY, "evidence": EVIDENCE}
RULES = ("eprop", "eprop:2", "eprop:3", "bptt", "eprop:random")
FIELDS = ("rule", "seed", "lr", "iterations_to_criterion", "final_error", "best_error", "rate", "ms_per_iteration")


def rule_of(name: str) -> sl.EProp | sl.BPTT | Any:
    """The rule of a name; ":random" at its end is random feedback."""
    base = name.removesuffix(":random")
    return parse_rule(base, feedback="symmetric" if base == name else "random")


def simulator(setting: Setting, task: Task, rule: str, lr: float, seed: int, passive_every: int | None) -> sl.Simulator:
    """The network of the setting, about to learn; its weights depend on the seed alone."""
    groups = [sl.LIF(**setting.lif), sl.ALIF(**setting.alif)]
    net = sl.Network(task.n_inputs, groups, sl.Readout(task.n_outputs, **setting.readout), dt=task.dt)
    passive = [sl.BPTT()] if passive_every and rule != "bptt" else []
    return sl.Simulator(
        net,
        rule=rule_of(rule),
        optimizer=sl.Adam(lr),
        loss=sl.CrossEntropy(),
        regularizer=sl.RateRegularizer(**setting.rate),
        seed=seed,
        threads=1,
        passive=passive,
        passive_every=passive_every or 1,
    )


def windowed(score: Any, window: int) -> np.ndarray:
    """Mean over the last `window` batches, from the first full window on."""
    total = np.concatenate(([0.0], np.cumsum(score)))
    return (total[window:] - total[:-window]) / window


def iterations_to(score: Any, criterion: float, window: int) -> int | None:
    """Iterations done when the criterion is first met; None: not within the run."""
    met = windowed(score, window) >= criterion - 1e-6  # scores are rounded
    return int(np.argmax(met)) + window if met.any() else None


def learn(setting: Setting, rule: str, lr: float, seed: int, passive_every: int | None, stop: bool = False) -> dict[str, Any]:
    """A run's figures and curves. stop : at the criterion."""
    task = sl.tasks.make(**setting.task, seed=seed)
    sim = simulator(setting, task, rule, lr, seed, passive_every)

    def met(history: sl.History) -> bool:
        return bool(np.mean(history.score[-setting.window :]) >= setting.criterion) and len(history.score) >= setting.window

    history = sim.train(task, setting.batch * setting.iterations, setting.batch, stop=met if stop else None)
    score = np.array(history.score)
    aligned = history.alignment
    return {
        "rule": rule,
        "seed": seed,
        "lr": lr,
        "iterations_to_criterion": iterations_to(score, setting.criterion, setting.window),
        "final_error": float(1 - score[-LAST:].mean()),
        "best_error": float(1 - windowed(score, setting.window).max()),
        "rate": history.rate[-1],
        "score": score.round(6).tolist(),
        "alignment": {
            "update": [a.updates for a in aligned],
            **{f"cosine_{m}": [round(float(a.cosine[0, k]), 5) for a in aligned] for k, m in enumerate(("w_in", "w_rec"))},
            **{f"norm_{m}": [round(float(1 / a.norm_ratio[0, k]), 5) for a in aligned] for k, m in enumerate(("w_in", "w_rec"))},
        },
    }


def choose_lr(setting: Setting, rule: str, seed: int) -> dict[str, Any]:
    """The learning rate of a rule, and what each of the grid reached on the tuning seed."""
    tried = []
    for lr in setting.lrs:
        run = learn(setting, rule, lr, seed, None, stop=True)
        tried.append({key: run[key] for key in ("lr", "iterations_to_criterion", "final_error")})
        print(f"  {rule}: lr {lr:g}: {_iterations(run, setting)} iterations, final error {run['final_error']:.3f}", flush=True)
    best = min(tried, key=lambda t: (t["iterations_to_criterion"] or np.inf, t["final_error"]))
    return {"rule": rule, "lr": best["lr"], "tuning_seed": seed, "tried": tried}


def milliseconds(setting: Setting, rules: list[str], repeats: int = 12) -> dict[str, float]:
    """CPU time of an iteration (gradient and update of a drawn batch, one thread) of each rule: the fastest of the repeats."""
    task = sl.tasks.make(**setting.task, seed=0)
    batch = collate([task.trial(k) for k in range(setting.batch)])
    simulators = {rule: simulator(setting, task, rule, setting.lrs[0], 0, None) for rule in rules}
    fastest = dict.fromkeys(rules, np.inf)
    for _ in range(repeats):
        for rule, sim in simulators.items():
            began = time.process_time()  # does not count what other programs take
            sim.run(*batch)
            fastest[rule] = min(fastest[rule], 1e3 * (time.process_time() - began))
    return {rule: round(ms, 2) for rule, ms in fastest.items()}


def table(results: dict[str, Any], stricter: float) -> str:
    """Iterations to the criterion and to a stricter one, errors, time and mean alignment, a line per rule."""
    setting, rules = results["settings"], list(dict.fromkeys(run["rule"] for run in results["runs"]))
    head = f"{'rule':14}{'lr':>8}  {'iterations to criterion':30}{f'to {stricter:g}':30}"
    lines = [head + f"{'error':>8}{'best':>8}{'ms/iter':>9}   cosine w_in, w_rec"]
    for rule in rules:
        runs = sorted((r for r in results["runs"] if r["rule"] == rule), key=lambda r: r["seed"])
        met = [[iterations_to(r["score"], c, setting["window"]) for r in runs] for c in (setting["criterion"], stricter)]
        counts = "".join(f"{', '.join(str(k or '-') for k in row):30}" for row in met)
        means = [float(np.mean([r[key] for r in runs])) for key in ("final_error", "best_error")]
        means.append(results["ms_per_iteration"].get(rule, np.nan))
        cosines = [np.concatenate([r["alignment"][f"cosine_{m}"] for r in runs]) for m in ("w_in", "w_rec")]
        shown = "   ".join(f"{c.mean():.3f}" for c in cosines) if cosines[0].size else "1       1"
        lines.append(f"{rule:14}{runs[0]['lr']:8g}  {counts}{means[0]:8.3f}{means[1]:8.3f}{means[2]:9.0f}   {shown}")
    return "\n".join(lines)


def write(results: dict[str, Any], folder: Path, name: str) -> None:
    """Both files of a task; floats of the curves on one line a curve."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = [json.dumps(run) for run in results["runs"]]
    head = json.dumps({key: value for key, value in results.items() if key != "runs"}, indent=1)
    (folder / f"learning_{name}.json").write_text(head[:-2] + ',\n "runs": [\n' + ",\n".join(runs) + "\n ]\n}\n")
    with open(folder / f"learning_{name}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for run in results["runs"]:
            row = {**run, "ms_per_iteration": results["ms_per_iteration"].get(run["rule"])}
            writer.writerow({key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()})


def earlier(folder: Path, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Results of an earlier call with the same settings, or empty ones."""
    path = folder / f"learning_{name}.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    if found.get("settings") == settings:
        return found
    about = {"machine": platform.processor() or platform.machine(), "threads": 1, "snnlearn": sl.__version__}
    return {"task": name, "settings": settings, "about": about, "ms_per_iteration": {}, "learning_rates": [], "runs": []}


def bench(name: str, setting: Setting, options: argparse.Namespace) -> dict[str, Any]:
    """All rules and seeds on a task that the files do not have; they are written after every run."""
    settings = json.loads(json.dumps({**setting._asdict(), "passive_every": options.passive_every}))
    results = earlier(options.out, name, settings)
    done = {(run["rule"], run["seed"]) for run in results["runs"]}
    for rule in options.rules.split(","):
        chosen = [entry for entry in results["learning_rates"] if entry["rule"] == rule]
        if not chosen:
            chosen = [choose_lr(setting, rule, options.tuning_seed)]
            results["learning_rates"] += chosen
        for seed in map(int, options.seeds.split(",")):
            if (rule, seed) in done:
                continue
            run = learn(setting, rule, chosen[0]["lr"], seed, options.passive_every)
            print(f"{name} {rule} seed {seed}: {_iterations(run, setting)} iterations", flush=True)
            results["runs"].append(run)
            write(results, options.out, name)
    results["ms_per_iteration"] |= milliseconds(setting, options.rules.split(","))
    write(results, options.out, name)
    return results


def _iterations(run: dict[str, Any], setting: Setting) -> str:
    return str(run["iterations_to_criterion"] or f">{setting.iterations}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--report", action="store_true", help="print the table of the files, run nothing")
    parser.add_argument("--task", default="copy,evidence", help="copy, evidence, or both with a comma")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--rules", default=",".join(RULES), help='as in parse_rule; ":random" at the end: random feedback')
    parser.add_argument("--iterations", type=int, help="updates of a run")
    parser.add_argument("--criterion", type=float, help="accuracy over a window of batches")
    parser.add_argument("--stricter", type=float, default=0.95, help="a second criterion that the table tells about")
    parser.add_argument("--lrs", help="the grid of learning rates")
    parser.add_argument("--tuning-seed", type=int, default=100)
    parser.add_argument("--passive-every", type=int, default=10, help="updates between two alignments with BPTT")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    for name in options.task.split(","):
        setting = SETTINGS[name]
        changes = {key: getattr(options, key) for key in ("iterations", "criterion") if getattr(options, key) is not None}
        if options.lrs:
            changes["lrs"] = tuple(map(float, options.lrs.split(",")))
        setting = setting._replace(**changes)
        found = options.out / f"learning_{name}.json"
        results = json.loads(found.read_text()) if options.report else bench(name, setting, options)
        criterion, window, batch = (results["settings"][key] for key in ("criterion", "window", "batch"))
        print(f"\n{name}: accuracy of {criterion:g} over {window} batches of {batch} trials; -: not within the run")
        print(table(results, options.stricter))


if __name__ == "__main__":
    main()
