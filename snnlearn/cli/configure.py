"""The commands `init` and `sweep`, and the configuration that `train` and `plan` are about; `parser` has their options."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from .. import _check
from ..datasets.base import split_paths
from ..experiments import Config, load_config, toml
from ..tasks.classification import DATA, format_of
from .inspect import check_folder
from .options import recipe_of

OF_TASKS = {"rule": "eprop", "feedback": "random", "update_every": "trial", "dtype": "float32", "seed": 0}  # and their defaults
OF_TASKS |= dict.fromkeys(("neurons", "trials", "iterations", "batch", "lr", "coding", "dt", "downsample", "cache"))
KEYS = {
    "neurons": "network.neurons.0.n",
    "trials": "training.trials",
    "iterations": "training.trials",
    "batch": "training.batch",
    "lr": "optimizer.lr",
    "coding": "task.coding",
    "feedback": "rule.feedback",
    "dt": "task.dt",
    "downsample": "task.downsample",
    "cache": "task.cache",
}


def init(options: argparse.Namespace) -> int:
    """Write the configuration of what `train` would run with the same options."""
    if options.out is not None:
        check_folder("--out", options.out)
    if options.out is not None and options.out.exists() and not options.overwrite:
        raise FileExistsError(f"{options.out} exists already; --overwrite replaces it")
    config = dataclasses.replace(recipe_of(options), threads=options.threads)
    if options.out is None:
        print(config.to_toml(), end="")
        return 0
    config.save(options.out, overwrite=options.overwrite)
    print(f"written {options.out}; run it with: snnlearn train {options.out} --out run.h5")
    return 0


def is_configuration(options: argparse.Namespace) -> bool:
    """Whether `train` or `plan` is about a file instead of a task."""
    command = options.run.__name__
    is_file = options.like is not None or (options.task is not None and options.task.endswith(".toml"))
    data = None if is_file else options.data and " ".join(options.data)  # with a file, --data says where they lie now
    given = [str(value) for value in (options.task, options.like, data) if value is not None]
    if len(given) != 1:
        like = ", --like RECORDING" if command == "train" else ""
        need = f"get one of TASK, a configuration FILE.toml{like} and --data FORMAT PATH"
        raise _check.fail(command, need, " and ".join(given) or None)
    if options.set and not is_file:
        raise _check.fail("--set", "come with a configuration FILE.toml or --like", options.set[0])
    return is_file


def configuration(options: argparse.Namespace) -> Config:
    """The configuration that `train` or `plan` is about: of a task's recipe, or of a file with the changes of the options."""
    return _of_file(options) if is_configuration(options) else recipe_of(options)


def _of_file(options: argparse.Namespace) -> Config:
    for name, default in OF_TASKS.items():
        if getattr(options, name) != default:
            hint = f"--set {KEYS.get(name, name)}=... changes a configuration"
            raise _check.fail(f"--{name.replace('_', '-')}", "come with a TASK", getattr(options, name), hint)
    paths = dict(zip(DATA, split_paths(options.data[1], options.test) if options.data else (None, options.test), strict=True))
    config = load_config(options.task, paths) if options.like is None else Config.of_recording(options.like, paths)
    if options.data and options.data[0] != format_of(config.task):
        raise _check.fail("--data", f"have the format {format_of(config.task)} of the configuration", options.data[0])
    changes = dict(parse_change(text) for text in options.set or ())
    if options.stop is not None:
        changes["training.stop"] = options.stop
    if options.checkpoint_every is not None:
        changes |= {"recorder.checkpoint_every": options.checkpoint_every, "recorder.checkpoint_minutes": "none"}
    if options.keep_every is not None:
        changes["recorder.keep_every"] = options.keep_every
    return config.updated(changes) if changes else config


def parse_change(text: str) -> tuple[str, Any]:
    """ "optimizer.lr=1e-3" as key and value; a value that is no TOML is a text."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise _check.fail("--set", "have the form KEY=VALUE, as optimizer.lr=1e-3", text)
    try:
        parsed = toml.parse(f"value = {value}")["value"]
    except ValueError:
        parsed = value.strip()
    return key.strip(), parsed


def sweep(options: argparse.Namespace) -> int:
    """Run a sweep; exit status 1 where a run failed."""
    from ..experiments.sweep import sweep as execute

    config = load_config(options.config)
    changes = dict(parse_change(text) for text in options.set or ())
    over = config.sweep
    if not over:
        hint = "snnlearn train runs a single configuration"
        raise _check.fail("sweep FILE", "have a table [sweep] that says what varies, as seeds = 3", str(options.config), hint)
    if changes:
        config = config.updated(changes)
    folder = options.out or options.config.with_suffix("")
    rest = {name: getattr(options, name) for name in ("workers", "threads", "scheduler", "retries", "quiet")}
    result = execute(config, folder, over, **rest)
    print(result)
    print(f"recordings and tables (sweep.csv, sweep.h5) in {folder}")
    failed = [row for row in result.rows if row["status"] != "complete"]
    return 1 if failed else 0
