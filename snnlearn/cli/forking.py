"""The command `fork`; `parser` has its options."""

from __future__ import annotations

import argparse
import contextlib
import shlex
from typing import Any

from .. import _check
from .configure import parse_change
from .training import ProgressBar, moved_task, summary

NO_RECORDER: dict[str, Any] = {"options": {"checkpoint_minutes": 1.0}, "variables": {}}  # of a file of `Simulator.save`


def fork(options: argparse.Namespace) -> int:
    """Begin a run from the state of another and train it to the planned end, recorded as its parent was."""
    from ..experiments.config import change_parts
    from ..recording import Recorder
    from ..recording.reopen import load_checkpoints
    from ..runs.fork import CHANGES
    from ..runs.fork import fork as begin
    from ..simulator.training import train_to_end
    from ..spec import decode

    newest = load_checkpoints(options.file, "fork FILE")[0]
    values = newest.values
    planned = values["training"]
    if planned is None:
        hint = "the program that feeds a stream forks it with sl.fork"
        raise _check.fail("fork FILE", "hold a training", str(options.file), hint)
    kept = values["recorder"] or NO_RECORDER
    choices = dict(kept["options"])
    if options.checkpoint_every is not None:
        choices |= {"checkpoint_every": options.checkpoint_every, "checkpoint_minutes": None}
    recorder = Recorder(options.out, overwrite=options.overwrite, variables=kept["variables"], **choices)
    if options.out.exists() and options.out.samefile(options.file):
        raise _check.fail("--out", "be another file than the one that is forked", str(options.out))
    wanted = dict(parse_change(text) for text in options.set or ())
    touched = {key.partition(".")[0] for key in wanted} | {"rule"} if wanted else set()
    parts = {name: decode(values.get(name), newest.constants, str(options.file)) for name in CHANGES if name in touched}
    changes = change_parts({name: parts.get(name) for name in CHANGES}, wanted, "--set")
    task = moved_task(planned, options)
    simulator = begin(options.file, options.at, task=task, threads=options.threads, **changes)
    training = simulator.training
    assert training is not None
    n_updates, done = -(-training.trials // training.batch), len(training.history.loss)
    if training.history.status != "running":
        got = f"{training.history.status} after {simulator.updates_done} updates"
        raise _check.fail("fork", "begin before the training has ended", got, "--at UPDATE says where")
    words = [options.file.name, *(["--at", str(options.at)] if options.at is not None else [])]
    words += [word for text in options.set or () for word in ("--set", shlex.quote(text))]
    simulator.context["command"] = " ".join(["snnlearn", "fork", *words])
    print(f"{training.task.name}: from update {done} of {n_updates}, {training.trials} trials in batches of {training.batch}")
    print("changed: " + (", ".join(f"{name} = {value!r}" for name, value in changes.items()) or "nothing"))
    progress = ProgressBar(training.task, training.batch, n_updates, options.quiet, done)
    with contextlib.closing(progress):
        history = train_to_end(simulator, recorder, callbacks=[progress])
    summary(training.task, history, options.out)
    return 130 if history.status == "interrupted" else 0
