"""The command line of snnlearn: `_parser` lists its commands."""

from __future__ import annotations

import argparse
import pathlib
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._version import __version__

RULES = "bptt, tbptt:STEPS, rtrl, eprop, eprop:ORDER, eprop:all, snap:N, rflo or uoro"  # of `family.parse_rule`


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 1 after an error, 130 after Ctrl-C or SIGTERM."""
    options = _parser().parse_args(arguments)
    warnings.showwarning = lambda message, *_: print(f"snnlearn: {message}", file=sys.stderr)
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        if options.run in (_train, _resume, _sweep):
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        return options.run(options)
    except (ValueError, TypeError, OSError, FloatingPointError, ImportError, KeyError, MemoryError) as error:
        print(f"snnlearn: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("snnlearn: interrupted", file=sys.stderr)
        return 130
    finally:
        if options.run in (_train, _resume, _sweep):
            signal.signal(signal.SIGTERM, terminate)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="snnlearn", description="Recurrent spiking networks that learn online.")
    parser.add_argument("--version", action="version", version=f"snnlearn {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    text = "Learn a task (digits, evidence-accumulation or pattern-generation), recorded events (--data), or run a configuration."
    train = commands.add_parser("train", help="learn a task", description=text, formatter_class=_Help)
    _add_recipe(train, "; or a configuration FILE.toml, as init writes it")
    train.add_argument("--like", type=pathlib.Path, metavar="FILE", help="instead of TASK: repeat the run of this recording")
    text = "change the configuration, as optimizer.lr=1e-3; can be repeated"
    train.add_argument("--set", action="append", metavar="KEY=VALUE", help=text)
    train.add_argument("--out", type=pathlib.Path, metavar="FILE", help="record the run to this HDF5 file")
    train.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    train.add_argument("--stop", type=float, metavar="SCORE", help="stop once an evaluation reaches this score")
    text = "updates (batches) between two checkpoints in FILE, from which resume goes on; default: every minute"
    train.add_argument("--checkpoint-every", type=int, metavar="N", help=text)
    train.add_argument("--quiet", action="store_true", help="no progress bar")
    train.set_defaults(run=_train)

    text = "Write the configuration of a task, with comments, as TOML: to a file, or to the terminal."
    init = commands.add_parser("init", help="write a configuration", description=text, formatter_class=_Help)
    init.add_argument("task", metavar="TASK", help="digits, evidence-accumulation or pattern-generation")
    init.add_argument("--out", type=pathlib.Path, metavar="FILE", help="the file, as config.toml")
    init.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    init.set_defaults(run=_init)

    text = (
        "Go on with a training from the last checkpoint in its recording to the planned end. The result is that of a run that "
        "was not interrupted."
    )
    resume = commands.add_parser("resume", help="go on with a training", description=text)
    resume.add_argument("file", type=pathlib.Path, metavar="FILE")
    text = "where the training data lie now, if they have moved"
    resume.add_argument("--data", type=pathlib.Path, metavar="PATH", help=text)
    resume.add_argument("--test", type=pathlib.Path, metavar="PATH", help="where the test data lie now, if they have moved")
    resume.add_argument("--threads", type=int, metavar="N", help="default: all cores; results do not depend on it")
    resume.add_argument("--quiet", action="store_true", help="no progress bar")
    resume.set_defaults(run=_resume)

    text = "Simulate trials of a recorded training again, from the nearest state in its recording, and record more of them."
    replay = commands.add_parser("replay", help="trials of a training again", description=text)
    replay.add_argument("file", type=pathlib.Path, metavar="FILE")
    replay.add_argument("start", type=int, metavar="START", help="number of the first trial")
    replay.add_argument("stop", type=int, metavar="STOP", help="the number behind the last one")
    replay.add_argument("--out", type=pathlib.Path, required=True, metavar="FILE", help="the recording to write")
    replay.add_argument("--record", nargs="+", default=["v"], metavar="NAME", help="variables of all neurons; default: v")
    replay.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    replay.set_defaults(run=_replay)

    text = (
        "Run every combination of the values in the [sweep] table of a configuration, as seeds = 3, rule = ['eprop', 'bptt'], "
        "optimizer.lr = [1e-3, 1e-2], each in a file of its own, and gather the results in a table. Started again, it does what "
        "is left. snnlearn init writes a configuration."
    )
    sweep = commands.add_parser("sweep", help="rules x seeds x parameters", description=text, formatter_class=_Help)
    sweep.add_argument("config", type=pathlib.Path, metavar="FILE.toml")
    sweep.add_argument("--out", type=pathlib.Path, metavar="FOLDER", help="of the recordings; default: the file's name")
    sweep.add_argument("--workers", type=int, metavar="N", help="processes of this machine; default: one a core")
    sweep.add_argument("--threads", type=int, metavar="N", help="of each run; default: the cores shared among the workers")
    sweep.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler that runs them, as tcp://host:8786")
    sweep.add_argument("--retries", type=int, default=2, metavar="N", help="attempts more for a run whose worker died")
    sweep.add_argument("--set", action="append", metavar="KEY=VALUE", help="change the configuration; can be repeated")
    sweep.add_argument("--quiet", action="store_true", help="no progress bar")
    sweep.set_defaults(run=_sweep)

    info = commands.add_parser("info", help="tell what a recording holds", description="Tell what a recording holds.")
    info.add_argument("file", type=pathlib.Path, metavar="FILE")
    info.set_defaults(run=_info)

    text = "Show how a run goes on, refreshed in place until it has ended; of a finished recording, how it went."
    watch = commands.add_parser("watch", help="follow a run", description=text, formatter_class=_Help)
    watch.add_argument("file", type=pathlib.Path, metavar="FILE")
    watch.add_argument("--interval", type=float, default=1.0, metavar="S", help="seconds between two looks")
    watch.add_argument("--once", action="store_true", help="look once")
    watch.set_defaults(run=_watch)

    text = "Write a recording in another format: sonata or csv (a folder), nwb (a file), or its network as nir (a file)."
    export = commands.add_parser("export", help="a recording in another format", description=text, formatter_class=_Help)
    export.add_argument("file", type=pathlib.Path, metavar="FILE")
    export.add_argument("--format", required=True, help="sonata, nwb, csv or nir")
    export.add_argument("--out", type=pathlib.Path, metavar="PATH", help="the folder or the file; default: FILE.FORMAT")
    export.add_argument("--trials", metavar="A:B", help="a number, or a range of numbers A:B without B; default: all")
    export.add_argument("--overwrite", action="store_true", help="replace files that exist")
    export.set_defaults(run=_export)

    plot = commands.add_parser(
        "plot", help="draw a recording", description="Draw a recording as one PNG that tells the story.", formatter_class=_Help
    )
    plot.add_argument("file", type=pathlib.Path, metavar="FILE")
    plot.add_argument("--out", type=pathlib.Path, metavar="PNG", help="default: the recording's name with .png")
    plot.add_argument("--trial", type=int, metavar="N", help="the trial to show; default: the last one recorded")
    plot.set_defaults(run=_plot)

    text = (
        "Compare the gradients of learning rules with BPTT's, on the first trial of a task and a network at its initial weights."
    )
    compare = commands.add_parser("compare", help="rules side by side", description=text, formatter_class=_Help)
    compare.add_argument("task", metavar="TASK", help="digits, evidence-accumulation or pattern-generation")
    compare.add_argument("--rules", nargs="+", metavar="RULE", help=f"{RULES}; default: the rules that the network's size allows")
    compare.add_argument("--neurons", type=int, metavar="N", help="recurrent neurons; default: the task's")
    compare.add_argument("--dtype", default="float64", help="float32 or float64")
    compare.add_argument("--seed", type=int, default=0, help="of weights and trial")
    compare.add_argument("--plot", type=pathlib.Path, metavar="PNG", help="draw the table to this file")
    compare.set_defaults(run=_compare)

    text = (
        "Tell what a training needs and takes before it runs: memory, time (measured for about a second), size of its "
        "recording, and by which kernels."
    )
    plan = commands.add_parser("plan", help="memory and time of a training", description=text, formatter_class=_Help)
    _add_recipe(plan)
    plan.add_argument("--seconds", type=float, default=1.0, help="of calibration; 0: none")
    plan.set_defaults(run=_plan)

    text = (
        "Measure this machine: memory bandwidth, the time from a cold and a warm start to the first update of a network, and a "
        "step of e-prop per synapse, in ratio to the forward simulation."
    )
    bench = commands.add_parser("bench", help="measure this machine", description=text, formatter_class=_Help)
    bench.add_argument("--cold", action="store_true", help="also the start with no kernel on disk (compiles: 10 to 60 s)")
    bench.set_defaults(run=_bench)

    text = "Print the table of learning rules: what each follows, can do and costs."
    commands.add_parser("taxonomy", help="the table of learning rules", description=text).set_defaults(run=_taxonomy)

    text = (
        "Check on this machine that learning rules agree where they must, that gradients are those of independent reference "
        "cases, and that a seeded training has its published losses. Takes seconds, and minutes the first time, while kernels "
        "compile. Exit status 1 where a check fails."
    )
    verify = commands.add_parser("verify", help="check gradients against references", description=text)
    verify.set_defaults(run=_verify)
    return parser


def _add_recipe(command: argparse.ArgumentParser, more: str = "") -> None:
    """The options that `_recipe` reads. more : of the task's help"""
    text = "digits, evidence-accumulation or pattern-generation" + more
    command.add_argument("task", nargs="?", metavar="TASK", help=text)
    text = "instead of a task, classify recorded events: shd or ssc and the HDF5 file, or nmnist and its folder"
    command.add_argument("--data", nargs=2, metavar=("FORMAT", "PATH"), help=text)
    command.add_argument("--test", type=pathlib.Path, metavar="PATH", help="data to test on; default: a fifth of --data")
    command.add_argument("--dt", type=float, metavar="MS", help="--data only: length of a step; default: the format's")
    text = "--data only: neighbouring channels (pixels along each side) that become one; default: the format's"
    command.add_argument("--downsample", type=int, metavar="N", help=text)
    command.add_argument("--cache", metavar="DIR", help="--data only: keep the binned events in this folder")
    command.add_argument("--rule", default="eprop", help=RULES)
    command.add_argument("--feedback", default="random", help="symmetric, random or adaptive")
    command.add_argument("--coding", help="digits only: poisson (all pixels at once) or rows (row by row)")
    command.add_argument("--neurons", type=int, metavar="N", help="recurrent neurons; default: the task's")
    command.add_argument("--iterations", type=int, metavar="N", help="updates (batches); default: the task's")
    command.add_argument("--batch", type=int, metavar="N", help="trials of a batch; default: the task's")
    command.add_argument("--lr", type=float, help="learning rate; default: the task's")
    command.add_argument("--update-every", default="trial", metavar="K", help="trial, or a number of steps (1: strictly online)")
    command.add_argument("--dtype", default="float32", help="float32 or float64")
    command.add_argument("--seed", type=int, default=0, help="of weights, feedback and trials")
    command.add_argument("--threads", type=int, metavar="N", help="default: all cores; results do not depend on it")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Defaults in the help, but not the ones that are None or False."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False) else super()._get_help_string(action)


def _recipe(options: argparse.Namespace) -> Any:
    """The recipe of a task with the options of `_add_recipe`."""
    from . import _check
    from .recipes import choose

    make = choose(options.task, options.data, options.test, options.run.__name__[1:])
    if options.data is None:
        for name in ("dt", "downsample", "cache"):
            if getattr(options, name) is not None:
                raise _check.fail(f"--{name}", "come with --data", getattr(options, name))
    if options.coding is not None and options.task != "digits":
        raise _check.fail("--coding", "be used with the task digits", options.task)
    names = ("neurons", "iterations", "batch", "lr", "coding", "dt", "downsample", "cache")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    for name in ("neurons", "iterations", "batch"):
        if name in given:
            _check.integer(f"--{name}", given[name], "be a positive number", low=2 if name == "neurons" else 1)
    update_every = options.update_every
    if update_every != "trial":
        if not update_every.isdigit():
            raise _check.fail("--update-every", "be 'trial' or a positive number of steps", update_every)
        update_every = int(update_every)
    kept = {name: getattr(options, name) for name in ("rule", "feedback", "seed", "threads", "dtype")}
    return make(**given, **kept, update_every=update_every)


def _train(options: argparse.Namespace) -> int:
    from . import _check, commands
    from .recording import Recorder

    if commands.is_configuration(options):
        return commands.train(options, _Progress, _summary)
    recipe = _recipe(options)
    net, n_updates = recipe.simulator.net, -(-recipe.trials // recipe.batch)
    recorder = None
    if options.checkpoint_every is not None and options.out is None:
        raise _check.fail("--checkpoint-every", "come with --out", options.checkpoint_every)
    if options.out is not None:
        every = max(1, recipe.trials // 20)  # raw data of some twenty trials; tables hold all of them
        show = np.unique(np.linspace(0, net.n - 1, 4).astype(int)).tolist()
        recorder = Recorder(
            options.out,
            v=show,
            threshold=show,
            every=every,
            weights_every=max(1, n_updates // 10),
            overwrite=options.overwrite,
            checkpoint_every=options.checkpoint_every,
            checkpoint_minutes=1.0 if options.checkpoint_every is None else None,
        )
    groups = " + ".join(f"{g.n} {type(g).__name__}" for g in net.neurons)
    print(f"{recipe.task.name}: {net.n_inputs} inputs, {groups}, {net.n_outputs} outputs, {recipe.task.n_steps} steps a trial")
    rule = type(recipe.simulator.rule).__name__
    print(f"{recipe.trials} trials in batches of {recipe.batch}, {rule} ({options.rule}), {options.feedback} feedback")
    progress = _Progress(recipe.task, recipe.batch, n_updates, options.quiet)
    status = "failed: not finished"
    commands.sign(recipe, options)
    recipe.simulator.context["command"] = _command(options)
    try:
        history = recipe.simulator.train(
            recipe.task, recipe.trials, recipe.batch, recorder, callbacks=[progress], stop=options.stop, **recipe.options
        )
        status = "interrupted" if history.status == "interrupted" else "complete"
    except Exception as error:
        status = f"failed: {error}"
        raise
    finally:
        progress.close()
        if recorder is not None:
            recorder.close(status)
    _summary(recipe.task, history, options.out)
    return 130 if history.status == "interrupted" else 0


def _init(options: argparse.Namespace) -> int:
    from .commands import init

    return init(options)


def _sweep(options: argparse.Namespace) -> int:
    from .commands import sweep

    return sweep(options)


def _resume(options: argparse.Namespace) -> int:
    from . import _check
    from .recording.going_on import load_checkpoints
    from .resume import resume
    from .tasks import Task

    planned = load_checkpoints(options.file, "resume FILE")[0].values.get("training")
    if planned is None:
        hint = "the program that fed it goes on with sl.resume"
        raise _check.fail("resume FILE", "hold a training", str(options.file), hint)
    if planned["history"]["status"] != "running":
        raise _check.fail("resume FILE", "hold a training that waits to go on", f"it is {planned['history']['status']}")
    task = None
    if options.data is not None or options.test is not None:
        from .tasks.classification import moved

        task = Task.from_dict(moved(planned["task"], train=options.data, test=options.test))
    simulator = resume(options.file, task=task, threads=options.threads)
    training = simulator._training
    assert training is not None
    n_updates, done = -(-training.trials // training.batch), len(training.history.loss)
    print(f"{training.task.name}: from update {done} of {n_updates}, {training.trials} trials in batches of {training.batch}")
    progress = _Progress(training.task, training.batch, n_updates, options.quiet, done)
    try:
        history = simulator.train(callbacks=[progress])
    finally:
        progress.close()
    _summary(training.task, history, options.file)
    return 130 if history.status == "interrupted" else 0


def _replay(options: argparse.Namespace) -> int:
    from .replay import replay_to_file

    found = replay_to_file(options.file, options.start, options.stop, options.out, options.record, options.overwrite)
    print(f"trials {found.start} to {found.stop - 1}, simulated from {found.origin}")
    print(f"as recorded: spikes of {found.compared_spikes} trials, losses of {found.compared_losses}")
    print(f"written {options.out}; look at it with: snnlearn plot {options.out}")
    return 0


def _command(options: argparse.Namespace) -> str:
    """The command that repeats this training on any machine: without the names of files, and with the defaults that matter."""
    words = ["snnlearn", "train", *([options.task] if options.data is None else ["--data", options.data[0], "PATH"])]
    words += [] if options.test is None else ["--test", "PATH"]
    left_out = ("task", "data", "test", "cache", "out", "overwrite", "quiet", "threads", "run", "set", "like")
    for name, value in vars(options).items():
        if name not in left_out and value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return " ".join(words)


class _Progress:
    """A progress bar with loss, score, firing rate, speed and time left."""

    def __init__(self, task: Any, batch: int, updates: int, quiet: bool, done: int = 0):
        from tqdm import tqdm

        self.score = "accuracy" if task.kind == "classification" else "nmse"
        self.steps, self.spoken = batch * task.n_steps, 0.0
        self.bar = tqdm(total=updates, initial=done, unit="update", disable=quiet, dynamic_ncols=True, file=sys.stderr)

    def __call__(self, simulator: Any, history: Any) -> None:
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


def _summary(task: Any, history: Any, out: pathlib.Path | None) -> None:
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


def _info(options: argparse.Namespace) -> int:
    from .recording import describe

    print(describe(options.file))
    return 0


def _watch(options: argparse.Namespace) -> int:
    from .watch import watch

    watch(options.file, options.interval, timeout=0.0 if options.once else None)
    return 0


def _export(options: argparse.Namespace) -> int:
    from . import _check
    from .interop import export

    trials: Any = None
    if options.trials is not None:
        parts = options.trials.split(":")
        if len(parts) > 2 or not all(part.isdigit() or (part == "" and len(parts) == 2) for part in parts):
            raise _check.fail("--trials", "be a number or a range A:B", options.trials)
        trials = int(parts[0]) if len(parts) == 1 else slice(*(int(part) if part else None for part in parts))
    out = options.out or options.file.with_suffix(f".{options.format}")
    for path in export(options.file, options.format, out, trials=trials, overwrite=options.overwrite):
        print(f"written {path}")
    return 0


def _plot(options: argparse.Namespace) -> int:
    from . import plot

    out = options.out or options.file.with_suffix(".png")
    figure = plot.story(options.file, trial=options.trial)
    figure.savefig(out, dpi=120)
    print(f"drawn to {out}")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from . import _check
    from .compare import compare
    from .family import affordable, parse_rule
    from .functional import check_dtype
    from .recipes import RECIPES

    make = RECIPES[_check.choice("compare TASK", options.task, RECIPES)]
    if options.neurons is not None:
        _check.integer("--neurons", options.neurons, "be a number >= 2", low=2)
    dtype = check_dtype("--dtype", options.dtype)
    names = None if options.rules is None else [name for given in options.rules for name in given.split(",") if name]
    rules = None if names is None else [parse_rule(name, "--rules") for name in names]
    recipe = make(neurons=options.neurons, seed=options.seed)
    simulator, trial = recipe.simulator, recipe.task.trial(0)
    net, weights = simulator.net, simulator.net.init_weights(options.seed)
    print(f"{recipe.task.name}: {net.n} neurons, {net.n_inputs} inputs, {recipe.task.n_steps} steps, seed {options.seed}")
    if rules is None:
        names, unfit = affordable(net, weights, recipe.task.n_steps, dtype.itemsize)
        rules = [parse_rule(name) for name in names]
        for name, why in unfit.items():
            print(f"left out: {name} {why}; fewer --neurons, or name it in --rules")
    table = compare(net, weights, tuple(trial), rules, simulator.loss, simulator.regularizer, dtype=dtype)
    print(table)
    if options.plot is not None:
        from . import plot

        title = f"Gradients against BPTT: {recipe.task.name}, {net.n} neurons, {recipe.task.n_steps} steps, initial weights"
        plot.comparison(table, title).savefig(options.plot, dpi=120)
        print(f"drawn to {options.plot}")
    return 0


def _plan(options: argparse.Namespace) -> int:
    from .planning import plan

    recipe = _recipe(options)
    s, task = recipe.simulator, recipe.task
    kept = {name: getattr(s, name) for name in ("loss", "regularizer", "update_every", "dtype", "seed", "passive")}
    shape = {"n_steps": task.n_steps, "batch": recipe.batch, "seconds": options.seconds, "threads": options.threads}
    x = task.trial(0)[0]
    found = plan(s.net, s.rule, s.optimizer, weights=s.weights, inputs=x, record={}, **shape, **kept)
    print(found)
    if options.seconds > 0:
        print(f"         the training ({recipe.trials} trials) takes about {found.duration(recipe.trials, task.n_steps)}")
    return 0


def _bench(options: argparse.Namespace) -> int:
    from .bench import bench

    bench(options.cold)
    return 0


def _taxonomy(options: argparse.Namespace) -> int:
    from .family import taxonomy

    print(taxonomy())
    return 0


def _verify(options: argparse.Namespace) -> int:
    from .verification import Check, verify

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
