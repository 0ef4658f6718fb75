"""The commands train, resume and plan; how far a training has come."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import shlex
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _check

if TYPE_CHECKING:
    from ..experiments.config import Config
    from ..simulator.history import History
    from ..simulator.simulator import Simulator

SLOW, FEW = 2e11, 3  # multiply-adds of an update that may take minutes; steps on which that is measured


def train(options: argparse.Namespace) -> int:
    """Learn a task, or run a configuration."""
    from ..simulator.training import train_to_end
    from . import configure

    is_file = configure.is_configuration(options)
    if not is_file:
        check_task_options(options)
    config = configure.configuration(options)
    out, net, planned = options.out, config.net, config.training
    if is_file and out is None and config.path is not None and options.like is None:
        out = pathlib.Path(config.folder) / config.path
    context = {"command": command_of(options, is_file)}
    simulator, recorder = config.prepare(out, overwrite=options.overwrite, threads=options.threads, context=context)
    groups = " + ".join(f"{g.n} {type(g).__name__}" for g in net.neurons)
    print(f"{config.task.name}: {net.n_inputs} inputs, {groups}, {net.n_outputs} outputs, {config.task.n_steps} steps a trial")
    rule, of_task = type(config.rule).__name__, f" ({options.rule}), {options.feedback} feedback"
    what = f", configuration {config.digest[:8]}" if is_file else of_task
    print(f"{planned.trials} trials in batches of {planned.batch}, {rule}{what}")
    if not is_file:
        warn_of_cost(config, options.threads)
    progress = ProgressBar(config.task, planned.batch, -(-planned.trials // planned.batch), options.quiet)
    with contextlib.closing(progress):
        plan = (config.task, planned.trials, planned.batch)
        history = train_to_end(simulator, recorder, *plan, callbacks=[progress], **planned.options())
    summary(config.task, history, out)
    return 130 if history.status == "interrupted" else 0


def check_task_options(options: argparse.Namespace) -> None:
    """Raise ValueError or TypeError for options of `train TASK` that do not go together."""
    if options.stop is not None:
        _check.number("--stop", options.stop, "be a score")
    for name in ("checkpoint_every", "keep_every"):
        if getattr(options, name) is not None and options.out is None:
            raise _check.fail(f"--{name.replace('_', '-')}", "come with --out", getattr(options, name))


def warn_of_cost(config: Config, threads: int | None) -> None:
    """Say so, and how long, where one update takes minutes: it is measured on a few steps where the rule does that much."""
    from ..compiler.barrier import cores
    from ..experiments.memory import operations
    from ..experiments.plan import duration, plan

    net, task, batch = config.net, config.task, config.training.batch
    work = operations(net, config.rule, task.n_steps, config.update_every != "trial") * batch
    threads = min(threads or cores(), batch)
    if work / threads < SLOW:
        return
    few, x = {**config.parts(), "threads": 1}, task.trial(0)[0]
    per_step = plan(net, inputs=x, n_steps=FEW, seconds=1e-9, **few).seconds_per_step
    update, total = (per_step * task.n_steps * n / threads for n in (batch, config.training.trials))
    if update > 60.0:
        rule = type(config.rule).__name__
        print(f"with {rule} an update takes about {duration(update)}, the training about {duration(total)};", end=" ")
        print("snnlearn taxonomy lists rules that cost less", flush=True)


def resume(options: argparse.Namespace) -> int:
    from ..recording.reopen import load_checkpoints
    from ..runs.resume import resume as go_on

    planned = load_checkpoints(options.file, "resume FILE")[0].values.get("training")
    if planned is None:
        hint = "the program that fed it goes on with sl.resume"
        raise _check.fail("resume FILE", "hold a training", str(options.file), hint)
    if planned["history"]["status"] != "running":
        raise _check.fail("resume FILE", "hold a training that waits to go on", f"it is {planned['history']['status']}")
    simulator = go_on(options.file, task=moved_task(planned, options), threads=options.threads)
    training = simulator.training
    assert training is not None
    n_updates, done = -(-training.trials // training.batch), len(training.history.loss)
    print(f"{training.task.name}: from update {done} of {n_updates}, {training.trials} trials in batches of {training.batch}")
    progress = ProgressBar(training.task, training.batch, n_updates, options.quiet, done)
    try:
        history = simulator.train(callbacks=[progress])
    finally:
        progress.close()
    summary(training.task, history, options.file)
    return 130 if history.status == "interrupted" else 0


def moved_task(planned: dict[str, Any], options: argparse.Namespace) -> Any:
    """The task of a training in a file, on data that lie elsewhere now; None where they have not moved."""
    if options.data is None and options.test is None:
        return None
    from ..datasets.base import split_paths
    from ..tasks import Task
    from ..tasks.classification import moved

    train_data, test_data = (None, options.test) if options.data is None else split_paths(options.data, options.test)
    return Task.from_dict(moved(planned["task"], train=train_data, test=test_data))


def plan(options: argparse.Namespace) -> int:
    """Tell what a training needs and takes."""
    from ..experiments.memory import machine_bytes, refuse
    from ..experiments.plan import plan as find
    from . import configure

    config = configure.configuration(options)
    net, task, trials, batch = config.net, config.task, config.training.trials, config.training.batch
    itemsize, every = np.dtype(config.dtype).itemsize, config.recorder.get("every", 1)
    refuse(net, config.rule, task.n_steps, itemsize, machine_bytes(), config.update_every != "trial")
    weights = config.weights.make(net, config.seed, pathlib.Path(config.folder))
    shape = {"n_steps": task.n_steps, "batch": batch, "seconds": options.seconds, "profile": options.profile}
    parts = config.parts() | {"weights": weights, "threads": options.threads}
    found = find(net, inputs=task.trial(0)[0], record={}, **shape, **parts)
    print(found)
    if options.seconds > 0:
        print(f"training {trials} trials take about {found.duration(trials, task.n_steps)}")
        raw = -(-trials // every)
        size = found.recording_size(raw, task.n_steps)
        some = " (not of all, as above)" if raw < trials else ""
        print(f"         its recording holds raw data of {raw} trial{'s' if raw > 1 else ''}{some}: about {size}, and tables")
    return 0


def command_of(options: argparse.Namespace, is_file: bool) -> str:
    """The command that repeats this training on any machine: without the names of files, and with the defaults that matter.

    is_file : whether it is about a configuration, or a recording
    """
    words = ["snnlearn", "train"]
    if is_file:
        words += [options.task] if options.like is None else ["--like", str(options.like)]
    elif options.data is None:
        words.append(options.task)
    words += ["--data", options.data[0], "PATH"] if options.data else []
    words += ["--test", "PATH"] if options.test else []
    if is_file:
        return " ".join([*words, *(word for text in options.set or () for word in ("--set", shlex.quote(text)))])
    left_out = ("task", "data", "test", "cache", "out", "overwrite", "quiet", "threads", "run", "lasts", "set", "like")
    for name, value in vars(options).items():
        if name not in left_out and value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return " ".join(words)


class ProgressBar:
    """A progress bar with loss, score, firing rate, speed and time left."""

    def __init__(self, task: Any, batch: int, updates: int, quiet: bool, done: int = 0):
        from tqdm import tqdm

        self.score = "accuracy" if task.kind == "classification" else "nmse"
        self.steps, self.spoken = batch * task.n_steps, 0.0
        self.bar = tqdm(total=updates, initial=done, unit="update", disable=quiet, dynamic_ncols=True, file=sys.stderr)

    def __call__(self, simulator: Simulator, history: History) -> None:
        self.bar.update()
        now = time.monotonic()
        if now - self.spoken > 0.2 and not self.bar.disable:
            self.spoken = now
            recent = slice(max(0, len(history.loss) - 10), None)
            fields = {
                "loss": f"{np.mean(history.loss[recent]):.3g}",
                self.score: f"{np.mean(history.score[recent]):.3f}",
                "rate": f"{history.rate[-1]:.1f}Hz",
            }
            if self.bar.format_dict["rate"]:
                fields["speed"] = f"{self.bar.format_dict['rate'] * self.steps:.3g} steps/s"
            if history.evaluation_score:
                fields["test"] = f"{history.evaluation_score[-1]:.3f}"
            self.bar.set_postfix(fields, refresh=False)

    def close(self) -> None:
        self.bar.close()


def summary(task: Any, history: Any, out: pathlib.Path | None) -> None:
    seconds = history.wall_time[-1] if history.wall_time else 0.0
    print(f"{history.status} after {len(history.loss)} updates, {history.trials} trials, {seconds:.1f} s")
    if history.loss:
        print(f"loss {np.mean(history.loss[-10:]):.4g}, firing rate {history.rate[-1]:.1f} Hz")
    if history.evaluation_score:
        last, best = history.evaluation_score[-1], history.best_score
        if task.kind == "classification":
            print(f"test accuracy {100 * last:.1f} % (best {100 * best:.1f} %)")
        else:
            print(f"normalised mean-squared error {last:.4f} (best {best:.4f})")
    if out is not None:
        print(f"recorded to {out}; look at it with: snnlearn plot {out}")
        if history.status == "interrupted":
            print(f"go on with: snnlearn resume {out}")
