"""The commands and their options."""

from __future__ import annotations

import argparse
import pathlib

from .._version import __version__
from ..experiments.profiles import PROFILES
from ..experiments.recipes import RECIPES, SUITE
from ..experiments.suite_runs import METHODS, SHORT
from ..recording.options import FIELDS
from . import configure, forking, inspect, suite, training

TASKS = ", ".join((*RECIPES, *SUITE))
RULES = "bptt, tbptt:STEPS, rtrl, eprop, eprop:ORDER, eprop:all, snap:N, rflo or uoro"  # of `taxonomy.parse_rule`
FORK = """\
keys of --set, each with the keys of its table in a configuration (snnlearn init writes one):
  optimizer.lr=1e-3                      one value of the optimizer
  optimizer={type="SGD", lr=1e-3}        another optimizer
  rule=eprop:2                           another rule, with the feedback and seed of the old one
  rule.feedback=symmetric                its feedback
  regularizer=none                       likewise loss, rewiring
  regularizer.target=20                  one value of the regularizer
  passive=["bptt"] passive_every=10      rules whose gradients are only compared
  update_every=50                        steps between two updates, or trial
  seed=7                                 of what is still drawn

example: two rules with an identical past
  snnlearn fork run.h5 --at 2000 --out eprop.h5
  snnlearn fork run.h5 --at 2000 --out bptt.h5 --set rule=bptt
"""


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="snnlearn", description="Recurrent spiking networks that learn online.")
    parser.set_defaults(lasts=False)  # whether SIGTERM ends the command as Ctrl-C does, in order
    parser.add_argument("--version", action="version", version=f"snnlearn {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    text = f"Learn a task ({TASKS}), recorded events (--data), or run a configuration."
    train = commands.add_parser("train", help="learn a task", description=text, formatter_class=Help)
    add_recipe(train, "; or a configuration FILE.toml, as init writes it")
    text = "instead of TASK: repeat the run of this recording; of events that have moved, --data and --test say where they are"
    train.add_argument("--like", type=pathlib.Path, metavar="FILE", help=text)
    text = "change the configuration, as optimizer.lr=1e-3; can be repeated"
    train.add_argument("--set", action="append", metavar="KEY=VALUE", help=text)
    train.add_argument("--out", type=pathlib.Path, metavar="FILE", help="record the run to this HDF5 file")
    train.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    train.add_argument("--stop", type=float, metavar="SCORE", help="stop once an evaluation reaches this score")
    for name, field in FIELDS.items():
        if "cli" in field.metadata:
            train.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N", help=field.metadata["cli"])
    train.add_argument("--quiet", action="store_true", help="no progress bar")
    train.set_defaults(run=training.train, lasts=True)

    text = (
        "Write the configuration of what train would learn with the same options, a task or recorded events (--data), with "
        "comments, as TOML: to a file, or to the terminal."
    )
    init = commands.add_parser("init", help="write a configuration", description=text, formatter_class=Help)
    add_recipe(init)
    init.add_argument("--out", type=pathlib.Path, metavar="FILE", help="the file, as config.toml")
    init.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    init.set_defaults(run=configure.init)

    text = (
        "Go on with a training from the last checkpoint in its recording to the planned end. The result is that of a run that "
        "was not interrupted."
    )
    resume = commands.add_parser("resume", help="go on with a training", description=text)
    resume.add_argument("file", type=pathlib.Path, metavar="FILE", help="the recording")
    add_going_on(resume)
    resume.set_defaults(run=training.resume, lasts=True)

    text = (
        "Begin a new run from the exact state that a training had after so many updates, with other choices, and train it to "
        "the planned end: two runs with an identical past. FILE is only read; the new recording holds what is recorded from "
        "there on, as FILE's did. The training is simulated again to exactly there from the nearest state in FILE: its "
        "beginning, its last checkpoints, or a state that Recorder(keep_every=...) has kept."
    )
    fork = commands.add_parser("fork", help="a new run from another's state", description=text, epilog=FORK, formatter_class=Text)
    fork.add_argument("file", type=pathlib.Path, metavar="FILE", help="the recording of a training, with checkpoints")
    text = "updates of the weights before the fork; default: those of the last checkpoint"
    fork.add_argument("--at", type=int, metavar="UPDATE", help=text)
    fork.add_argument("--out", type=pathlib.Path, required=True, metavar="FILE", help="the recording to write")
    text = "what changes, from there on; can be repeated; default: nothing"
    fork.add_argument("--set", action="append", metavar="KEY=VALUE", help=text)
    fork.add_argument("--overwrite", action="store_true", help="replace the file of --out if it exists")
    text = "updates (batches) between two checkpoints in the new recording; default: as in FILE"
    fork.add_argument("--checkpoint-every", type=int, metavar="N", help=text)
    add_going_on(fork)
    fork.set_defaults(run=forking.fork, lasts=True)

    text = "Simulate trials of a recorded training again, from the nearest state in its recording, and record more of them."
    replay = commands.add_parser("replay", help="trials of a training again", description=text)
    replay.add_argument("file", type=pathlib.Path, metavar="FILE", help="the recording")
    replay.add_argument("start", type=int, metavar="START", help="number of the first trial")
    replay.add_argument("stop", type=int, metavar="STOP", help="the number behind the last one")
    replay.add_argument("--out", type=pathlib.Path, required=True, metavar="FILE", help="the recording to write")
    replay.add_argument("--record", nargs="+", default=["v"], metavar="NAME", help="variables of all neurons; default: v")
    replay.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    replay.set_defaults(run=inspect.replay)

    text = (
        "Run every combination of the values in the [sweep] table of a configuration, as seeds = 3, rule = ['eprop', 'bptt'], "
        "optimizer.lr = [1e-3, 1e-2], each in a file of its own, and gather the results in a table. Started again, it does what "
        "is left. snnlearn init writes a configuration."
    )
    sweep = commands.add_parser("sweep", help="rules x seeds x parameters", description=text, formatter_class=Help)
    sweep.add_argument("config", type=pathlib.Path, metavar="FILE.toml", help="the configuration")
    sweep.add_argument("--out", type=pathlib.Path, metavar="FOLDER", help="of the recordings; default: the file's name")
    sweep.add_argument("--workers", type=int, metavar="N", help="processes of this machine; default: one a core")
    sweep.add_argument("--threads", type=int, metavar="N", help="of each run; default: the cores shared among the workers")
    sweep.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler that runs them, as tcp://host:8786")
    sweep.add_argument("--retries", type=int, default=2, metavar="N", help="attempts more for a run whose worker died")
    sweep.add_argument("--set", action="append", metavar="KEY=VALUE", help="change the configuration; can be repeated")
    sweep.add_argument("--quiet", action="store_true", help="no progress bar")
    sweep.set_defaults(run=configure.sweep, lasts=True)

    info = commands.add_parser("info", help="tell what a recording holds", description="Tell what a recording holds.")
    info.add_argument("file", type=pathlib.Path, metavar="FILE", help="the recording")
    info.set_defaults(run=inspect.info)

    text = (
        "Have every HDF5 reader open a recording whose process was killed in the middle of a commit. The commands of snnlearn "
        "read and resume such a file as it is. Any other file stays as it is."
    )
    repair = commands.add_parser("repair", help="after a kill, for other HDF5 readers", description=text)
    repair.add_argument("file", type=pathlib.Path, metavar="FILE")
    repair.set_defaults(run=inspect.repair)

    text = "Show how a run goes on, refreshed in place until it has ended; of a finished recording, how it went."
    watch = commands.add_parser("watch", help="follow a run", description=text, formatter_class=Help)
    watch.add_argument("file", type=pathlib.Path, metavar="FILE", help="the recording")
    watch.add_argument("--interval", type=float, default=1.0, metavar="S", help="seconds between two looks")
    watch.add_argument("--once", action="store_true", help="look once")
    watch.set_defaults(run=inspect.watch)

    text = "Write a recording in another format: sonata or csv (a folder), nwb (a file), or its network as nir (a file)."
    export = commands.add_parser("export", help="a recording in another format", description=text, formatter_class=Help)
    export.add_argument("file", type=pathlib.Path, metavar="FILE", help="the recording")
    export.add_argument("--format", required=True, help="sonata, nwb, csv or nir")
    export.add_argument("--out", type=pathlib.Path, metavar="PATH", help="the folder or the file; default: FILE.FORMAT")
    export.add_argument("--trials", metavar="A:B", help="a number, or a range of numbers A:B without B; default: all")
    export.add_argument("--overwrite", action="store_true", help="replace files that exist")
    export.set_defaults(run=inspect.export)

    plot = commands.add_parser(
        "plot", help="draw a recording", description="Draw a recording as one PNG that tells the story.", formatter_class=Help
    )
    plot.add_argument("file", type=pathlib.Path, metavar="FILE", help="the recording")
    plot.add_argument(
        "--out", type=pathlib.Path, metavar="PNG", help="the figure, or .pdf or .svg; default: the recording's name with .png"
    )
    plot.add_argument("--trial", type=int, metavar="N", help="the trial to show; default: the last one recorded")
    plot.set_defaults(run=inspect.plot)

    text = (
        "Compare the gradients of learning rules with BPTT's, on the first trial of a task and a network at its initial weights."
    )
    compare = commands.add_parser("compare", help="rules side by side", description=text, formatter_class=Help)
    compare.add_argument("task", metavar="TASK", help=TASKS)
    compare.add_argument("--rules", nargs="+", metavar="RULE", help=f"{RULES}; default: the rules that the network's size allows")
    compare.add_argument("--neurons", type=int, metavar="N", help="recurrent neurons; default: the task's")
    compare.add_argument("--dtype", default="float64", help="float32 or float64")
    compare.add_argument("--seed", type=int, default=0, help="of weights and trial")
    compare.add_argument("--plot", type=pathlib.Path, metavar="PNG", help="draw the table to this file")
    compare.set_defaults(run=inspect.compare)

    text = (
        "Tell what a training needs and takes before it runs: memory, time (measured for about a second), size of its "
        "recording, and by which kernels."
    )
    plan = commands.add_parser("plan", help="memory and time of a training", description=text, formatter_class=Help)
    add_recipe(plan, "; or a configuration FILE.toml, as init writes it")
    text = "change the configuration, as optimizer.lr=1e-3; can be repeated"
    plan.add_argument("--set", action="append", metavar="KEY=VALUE", help=text)
    plan.add_argument("--seconds", type=float, default=1.0, help="of calibration; 0: none")
    plan.add_argument("--profile", metavar="CHIP", help=f"say which limits of a chip the network keeps: {', '.join(PROFILES)}")
    plan.set_defaults(run=training.plan, like=None, stop=None, checkpoint_every=None, keep_every=None)

    text = (
        "Train the data sets of the suite by several rules and seeds, beside other methods, and print a table: accuracy on the "
        "test (of a regression the normalised error), spikes and operations of a trial, time. "
        f"NAME: {', '.join(SUITE)}; default: those whose data are installed and that take minutes."
    )
    found = commands.add_parser("suite", help="data sets that others have measured", description=text, formatter_class=Help)
    found.add_argument("names", nargs="*", metavar="NAME", help="data sets")
    found.add_argument("--methods", nargs="+", metavar="METHOD", help=f"{', '.join(METHODS)}; default: those that are installed")
    found.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds 0 .. N - 1")
    found.add_argument(
        "--short", action="store_true", help=f"a check of a minute or two: {', '.join(SHORT)}, a fifth of the epochs, rules"
    )
    found.add_argument(
        "--out", type=pathlib.Path, metavar="FILE.json", help="keep the runs there; runs that it holds are not repeated"
    )
    found.add_argument("--threads", type=int, default=1, metavar="N", help="of each run")
    found.set_defaults(run=suite.suite, lasts=True)

    text = (
        "Measure this machine: memory bandwidth, the time from a cold start (no kernel on disk) and a warm one to the "
        "first update of a network, and a step of e-prop per synapse, in ratio to the forward simulation."
    )
    bench = commands.add_parser("bench", help="measure this machine", description=text, formatter_class=Help)
    bench.set_defaults(run=inspect.bench)

    text = "Print the table of learning rules: what each follows, can do and costs."
    commands.add_parser("taxonomy", help="the table of learning rules", description=text).set_defaults(run=inspect.taxonomy)

    text = (
        "Check on this machine that learning rules agree where they must, that gradients are those of independent reference "
        "cases, and that a seeded training has its published losses. Takes seconds, and minutes the first time, while kernels "
        "compile. Exit status 1 where a check fails."
    )
    verify = commands.add_parser("verify", help="check gradients against references", description=text)
    verify.set_defaults(run=inspect.verify)
    return parser


def add_going_on(command: argparse.ArgumentParser) -> None:
    """The options of commands that go on with a training in a file."""
    command.add_argument("--data", type=pathlib.Path, metavar="PATH", help="where the training data lie now, if they have moved")
    command.add_argument("--test", type=pathlib.Path, metavar="PATH", help="where the test data lie now, if they have moved")
    command.add_argument("--threads", type=int, metavar="N", help="default: all cores; results do not depend on it")
    command.add_argument("--quiet", action="store_true", help="no progress bar")


def add_recipe(command: argparse.ArgumentParser, more: str = "") -> None:
    """The options that `training.recipe` reads. more : of the task's help"""
    command.add_argument("task", nargs="?", metavar="TASK", help=TASKS + more)
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
    command.add_argument("--trials", type=int, metavar="N", help="trials in all; default: the task's")
    command.add_argument("--iterations", type=int, metavar="N", help="the same as a number of updates, of a batch each")
    command.add_argument("--batch", type=int, metavar="N", help="trials of a batch; default: the task's")
    command.add_argument("--lr", type=float, help="learning rate; default: the task's")
    command.add_argument("--update-every", default="trial", metavar="K", help="trial, or a number of steps (1: strictly online)")
    command.add_argument("--dtype", default="float32", help="float32 or float64")
    command.add_argument("--seed", type=int, default=0, help="of weights, feedback and trials")
    command.add_argument("--threads", type=int, metavar="N", help="default: all cores; results do not depend on it")


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Defaults in the help, but not the ones that are None or False."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False) else super()._get_help_string(action)


class Text(argparse.RawDescriptionHelpFormatter):
    """The description filled as everywhere else, the epilog as it stands."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = argparse.RawDescriptionHelpFormatter if "\n" in text else argparse.HelpFormatter
        return fill._fill_text(self, text, width, indent)
