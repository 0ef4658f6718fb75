"""The commands that look at a recording, or print a table."""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
from typing import Any

from .. import _check


def info(options: argparse.Namespace) -> int:
    from ..recording import describe

    print(describe(options.file))
    return 0


def repair(options: argparse.Namespace) -> int:
    from ..recording.reopen import repair

    if repair(options.file):
        print(f"{options.file}: ended the commit in which its process was killed; every HDF5 reader opens it now")
    else:
        print(f"{options.file} is whole; nothing to repair")
    return 0


def watch(options: argparse.Namespace) -> int:
    from ..recording.watch import watch

    watch(options.file, options.interval, timeout=0.0 if options.once else None)
    return 0


def export(options: argparse.Namespace) -> int:
    from ..interop import export

    trials: Any = None
    if options.trials is not None:
        parts = options.trials.split(":")
        if len(parts) > 2 or not all(part.isdigit() or (part == "" and len(parts) == 2) for part in parts):
            raise _check.fail("--trials", "be a number or a range A:B", options.trials)
        trials = int(parts[0]) if len(parts) == 1 else slice(*(int(part) if part else None for part in parts))
        if len(parts) == 2 and parts[1] and int(parts[1]) <= int(parts[0] or 0):
            raise _check.fail("--trials", "be a range A:B with A below B", options.trials)
    out = options.out or options.file.with_suffix(f".{options.format}")
    for path in export(options.file, options.format, out, trials=trials, overwrite=options.overwrite):
        print(f"written {path}")
    return 0


def plot(options: argparse.Namespace) -> int:
    from .. import plot

    out = options.out or options.file.with_suffix(".png")
    check_folder("--out", out)
    figure = plot.story(options.file, trial=options.trial)
    figure.savefig(out, dpi=120)
    print(f"drawn to {out}")
    return 0


def check_folder(option: str, path: pathlib.Path) -> None:
    """Raise before any work where a file cannot be written, because its folder is missing or it is one itself."""
    if not path.absolute().parent.is_dir():
        raise _check.fail(option, "be in a folder that exists", str(path), error=FileNotFoundError)
    if path.is_dir():
        raise _check.fail(option, "be a file, not a folder", str(path), error=IsADirectoryError)


def compare(options: argparse.Namespace) -> int:
    from ..analysis.compare import compare
    from ..engine.functional import check_dtype
    from ..experiments.recipes import RECIPES, SUITE
    from ..rules.taxonomy import affordable, parse_rule

    known = RECIPES | SUITE
    make = known[_check.choice("compare TASK", options.task, known)]
    if options.neurons is not None:
        _check.integer("--neurons", options.neurons, "be a number >= 2", low=2)
    if options.plot is not None:
        check_folder("--plot", options.plot)
    dtype = check_dtype("--dtype", options.dtype)
    names = None if options.rules is None else [name for given in options.rules for name in given.split(",") if name]
    rules = None if names is None else [parse_rule(name, "--rules") for name in names]
    config = make(neurons=options.neurons, seed=options.seed)
    net, task, trial = config.net, config.task, config.task.trial(0)
    weights = net.init_weights(options.seed)
    print(f"{task.name}: {net.n} neurons, {net.n_inputs} inputs, {task.n_steps} steps, seed {options.seed}")
    if rules is None:
        names, unfit = affordable(net, weights, task.n_steps, dtype.itemsize)
        rules = [parse_rule(name) for name in names]
        for name, why in unfit.items():
            print(f"left out: {name} {why}; fewer --neurons, or name it in --rules")
    table = compare(net, weights, tuple(trial), rules, config.loss, config.regularizer, dtype=dtype)
    print(table)
    if options.plot is not None:
        from .. import plot

        title = f"Gradients against BPTT: {task.name}, {net.n} neurons, {task.n_steps} steps, initial weights"
        plot.comparison(table, title).savefig(options.plot, dpi=120)
        print(f"drawn to {options.plot}")
    return 0


def replay(options: argparse.Namespace) -> int:
    from ..runs.replay import replay_to_file

    found = replay_to_file(options.file, options.start, options.stop, options.out, options.record, options.overwrite)
    print(f"trials {found.start} to {found.stop - 1}, simulated from {found.origin}")
    print(f"as recorded: spikes of {found.compared_spikes} trials, losses of {found.compared_losses}")
    print(f"written {options.out}; look at it with: snnlearn plot {options.out}")
    return 0


def bench(options: argparse.Namespace) -> int:
    from .bench import bench

    bench()
    return 0


def taxonomy(options: argparse.Namespace) -> int:
    from ..rules.taxonomy import taxonomy

    print(taxonomy())
    return 0


def verify(options: argparse.Namespace) -> int:
    from ..verification.verify import Check, verify

    began, shown = time.monotonic(), sys.stderr.isatty()  # a terminal shows what is running

    def progress(name: str, check: Check | None) -> None:
        if shown:
            print("\r\033[K" if check else f"\r\033[K      {name} ...", end="", file=sys.stderr, flush=True)
        if check is not None:
            print(check, flush=True)

    table = verify(progress)
    failed = sum(not check.ok for check in table.checks)
    verdict = f"{failed} of {len(table.checks)} checks FAILED" if failed else f"all {len(table.checks)} checks passed"
    print(f"{verdict} in {time.monotonic() - began:.1f} s")
    return int(failed > 0)
