"""Training on a task: held-out evaluation, early stopping, the best weights, callbacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .. import _check
from .._interrupts import Interrupts
from ..losses import CrossEntropy
from ..network.network import Weights
from ..recording.protocol import RunRecorder
from ..tasks.base import Task, no_split
from ..tasks.batches import TrialBatch, check_number, draw, evaluation_split
from .core import Core
from .history import History, Training
from .inputs import make_job
from .results import Evaluation, evaluation
from .setup import Parts

EVALUATION_BATCH = 64  # trials that an evaluation runs at a time


def plan_training(
    simulator: Core,
    task: Task,
    trials: int | None = None,
    batch: int = 1,
    *,
    start: int = 0,
    evaluate_every: int | None = None,
    evaluate_trials: int | None = None,
    stop: float | Callable[[History], bool] | None = None,
    callbacks: Iterable[Callable[[Any, History], Any]] = (),
    restore_best: bool = False,
) -> tuple[Training, tuple[Callable[[Any, History], Any], ...]]:
    """Check the options of `Simulator.train`, which learns `trials` trials of a task, `batch` at a time; the training, callbacks.

    trials : how many to learn; start : number of the first training trial
    evaluate_every : evaluate on the task's test split, or its validation split where it has one, after so many batches, and
        at the end; `stop` and `restore_best` look at that
    evaluate_trials : how many trials of that split; None: all, or 128 of an endless one
    stop : a score at which to stop (accuracy at least, error at most, of an evaluation), or a function of
        the history that is asked after every batch
    callbacks : called with (simulator, history) after every batch
    restore_best : at the end, put back the weights of the best evaluation (they are in `best_weights` anyway)

    The next batch is drawn while this one is learnt. Ctrl-C ends the training; the history says "interrupted". With a
    recorder, which takes checkpoints unless it was told not to, Ctrl-C and SIGTERM wait for the end of the batch and take a
    last one.
    Raises ValueError or TypeError for bad options, for trials that do not fit the network and for more trials than there are
    before anything runs, Divergence where a state is not finite.
    """
    check_options(simulator, task, trials, batch, start, evaluate_every, evaluate_trials, stop)
    assert trials is not None
    restore_best = _check.flag("Simulator.train.restore_best", restore_best)
    callbacks = _check.items("Simulator.train.callbacks", callbacks, "be functions of the simulator and the history")
    check_trials(simulator, task, trials, start, evaluate_every is not None, evaluate_trials)
    kind: dict[str, Any] = {"name": type(task).__name__}
    if isinstance(task, Task):
        kind = {**task.to_dict(), "kind": task.kind, "labels": None if task.labels is None else list(task.labels)}
    plan: dict[str, Any] = {"trials": trials, "batch": batch, "start": start, "restore_best": restore_best}
    plan |= {"evaluate_every": evaluate_every, "evaluate_trials": evaluate_trials, "stop": repr(stop) if callable(stop) else stop}
    simulator.context = {**simulator.context, "task": kind, "training": plan}
    options = (evaluate_every, evaluate_trials, stop, restore_best)
    return Training(task, int(trials), int(batch), int(start), *options, int(start)), tuple(callbacks)


def train_to_end(simulator: Core, recorder: Any, *arguments: Any, **options: Any) -> History:
    """`Simulator.train` with these arguments; then the recorder, where there is one, is closed with how it ended."""
    status = "failed: not finished"
    try:
        history = simulator.train(*arguments, recorder=recorder, **options)
        status = "interrupted" if history.status == "interrupted" else "complete"
    except Exception as error:
        status = f"failed: {error}"
        raise
    finally:
        if recorder is not None:
            recorder.close(status)
    return history


def go_on(
    simulator: Core,
    training: Training,
    recorder: RunRecorder | None = None,
    callbacks: Iterable[Callable[[Any, History], Any]] = (),
) -> History:
    """Learn from where a training has come to its end. See `train`."""
    task, batch, end, history = training.task, training.batch, training.start + training.trials, training.history
    callbacks = _check.items("Simulator.train.callbacks", callbacks, "be functions of the simulator and the history")
    accuracy = isinstance(simulator.loss, CrossEntropy)
    began = time.perf_counter() - (history.wall_time[-1] if history.wall_time else 0.0)
    simulator._training, history.status = training, "running"
    if recorder is not None:
        recorder.begin_training()
    safe = recorder is not None and recorder.checkpoints

    def fetch(first: int) -> TrialBatch:
        return draw(task, first, min(end, first + batch))

    with Interrupts(safe) as interrupts:
        try:
            if safe:
                with interrupts.held():
                    simulator._checkpoint(recorder)
            with ThreadPoolExecutor(1, thread_name_prefix="snnlearn-draw") as drawer:
                upcoming = None
                for first in range(training.next, end, batch):
                    if history.loss and _met(training.stop, history, accuracy):
                        history.status = "stopped"
                        break
                    x, target, mask, steps = fetch(first) if upcoming is None else upcoming.result()
                    if first + batch < end:
                        upcoming = drawer.submit(fetch, first + batch)
                    with interrupts.held():
                        run = simulator.run(x, target, mask, recorder=recorder, steps=steps)
                        history.trials += run.losses.size
                        _note(history, run, began)
                        if recorder is not None:
                            row = {"loss": run.loss, "score": history.score[-1], "rate": run.rate}
                            recorder.row("updates", update=simulator.updates_done, **row, wall_time=history.wall_time[-1])
                        every, last = training.evaluate_every, first + batch >= end
                        if every is not None and (last or len(history.loss) % every == 0):
                            _evaluate(simulator, task, training.evaluate_trials, history, recorder)
                        training.next = first + batch
                        for callback in callbacks:
                            callback(simulator, history)
                        if recorder is not None and recorder.checkpoint_due():
                            simulator._checkpoint(recorder)
            if history.status == "running":
                history.status = "stopped" if _met(training.stop, history, accuracy) else "complete"
        except KeyboardInterrupt:
            training.can_continue = interrupts.between
            if safe and interrupts.between:
                simulator._checkpoint(recorder, wait=True)
            history.status = "interrupted"
        except BaseException:
            training.can_continue = interrupts.between
            raise
        if training.restore_best and history.best_weights is not None:
            simulator.set_weights(history.best_weights)
            training.can_continue = False
        if recorder is not None and recorder.is_open:
            recorder.snapshot(simulator.updates_done, simulator.weights, final=True)
            recorder.flush()
            if safe and history.status != "interrupted":
                simulator._checkpoint(recorder, wait=True, ends=True)
    return history


def go_on_as_planned(
    simulator: Core, trials: Any = None, batch: int = 1, recorder: RunRecorder | None = None, **options: Any
) -> History:
    """Go on with the simulator's training, in its recording; see `Simulator.train`. The arguments must not change the plan."""
    training, where = simulator._training, "Simulator.train"
    if training is None:
        raise _check.fail(f"{where}.task", "be a task where no training waits to go on", None)
    own = simulator._recorder if simulator._recorder is not None and simulator._recorder.is_open else None
    if trials is not None or batch != 1 or (recorder is not None and own is not None) or set(options) - {"callbacks"}:
        given = {"trials": trials, "batch": None if batch == 1 else batch, "recorder": recorder, **options}
        got = [name for name, value in given.items() if value is not None]
        raise _check.fail(where, "go on as planned where no task is given", got, "sl.fork changes how")
    if training.history.status in ("complete", "stopped"):
        raise _check.fail(where, "have a training that waits to go on", f"it is {training.history.status}")
    if not training.can_continue:
        hint = "sl.resume goes on from the last checkpoint"
        raise _check.fail(where, "be between two batches to go on", "interrupted within one", hint)
    if own is None or not simulator._closes_recorder:
        return go_on(simulator, training, own or recorder, **options)
    simulator._closes_recorder = False
    with own:
        history = go_on(simulator, training, own, **options)
        if history.status == "interrupted":
            own.close("interrupted")
    return history


def evaluate(simulator: Core, task: Any, trials: int | None = None, split: str = "test") -> Evaluation:
    """Run trials of a split without learning.

    trials : how many; None: all, or 128 of an endless split
    Raises ValueError or TypeError where the task does not fit the network or has no such split or not so many trials.
    """
    where = "Simulator.evaluate"
    check_task(simulator, task, where)
    if hasattr(task, "splits"):
        names = ", ".join(map(repr, task.splits))
        if not isinstance(split, str) or split not in task.splits:
            raise _check.fail(f"{where}.split", f"be one of {names}", split, no_split(task, split))
    if trials is not None:
        _check.integer(f"{where}.trials", trials, "be a positive number or None", low=1)
    n, runs = check_number(f"{where}.trials", task, split, trials), []
    for first in range(0, n, EVALUATION_BATCH):
        batch = draw(task, first, min(n, first + EVALUATION_BATCH), split)
        x, target, mask, steps = batch
        runs.append((simulator.run(x, target, mask, learn=False, steps=steps, first_trial=first), batch))
    pools = isinstance(task, Task) and task.pools
    return evaluation(split, runs, isinstance(simulator.loss, CrossEntropy), pools)


def _note(history: History, run: Any, began: float) -> None:
    history.loss.append(run.loss)
    history.score.append(float(run.scores.mean()))
    history.rate.append(run.rate)
    if run.alignment is not None:
        history.alignment.append(run.alignment)
    history.wall_time.append(time.perf_counter() - began)


def _evaluate(simulator: Core, task: Task, trials: int | None, history: History, recorder: RunRecorder | None) -> None:
    loss, score, labels, predictions = evaluate(simulator, task, trials, evaluation_split(task))[:4]
    number = len(history.evaluated_at)
    history.evaluated_at.append(len(history.loss))
    history.evaluation_loss.append(loss)
    history.evaluation_score.append(score)
    history.labels, history.predictions = labels, predictions
    sign = 1.0 if isinstance(simulator.loss, CrossEntropy) else -1.0
    if history.best_weights is None or sign * score > sign * history.best_score:
        history.best_score = score
        history.best_weights = Weights(*(w.copy() for w in simulator.weights))
    if recorder is not None:
        recorder.row("evaluations", update=simulator.updates_done, loss=loss, score=score)
        if labels is not None:
            recorder.row("predictions", evaluation=np.full(labels.size, number), label=labels, prediction=predictions)


def _met(stop: Any, history: History, accuracy: bool) -> bool:
    if stop is None:
        return False
    if callable(stop):
        return bool(stop(history))
    if not history.evaluation_score or history.evaluated_at[-1] != len(history.loss):
        return False
    score = history.evaluation_score[-1]
    return score >= stop if accuracy else score <= stop


def check_options(parts: Parts, task: Any, trials: Any, batch: Any, start: Any, every: Any, n_test: Any, stop: Any) -> None:
    """Raise ValueError or TypeError for options of `train` that do not fit; parts : a simulator, or a `Config`"""
    where = "Simulator.train"
    check_task(parts, task, where)
    if trials is None:
        raise _check.fail(f"{where}.trials", "be given with a task: how many trials to learn", None, _epoch(task))
    _check.integer(f"{where}.trials", trials, "be a positive number", low=1)
    _check.integer(f"{where}.batch", batch, "be a positive number", low=1)
    _check.integer(f"{where}.start", start, "be a whole number, not negative", low=0)
    for name, value in (("evaluate_every", every), ("evaluate_trials", n_test)):
        if value is not None:
            _check.integer(f"{where}.{name}", value, "be a positive number or None", low=1)
    if parts.rule is None or parts.optimizer is None:
        raise _check.fail(where, "have a rule and an optimizer", None)
    if stop is not None and not callable(stop):
        _check.number(f"{where}.stop", stop, "be a score or a function of the history")
        if every is None:
            raise _check.fail(f"{where}.evaluate_every", "be given where stop is a score", None)


def _epoch(task: Any) -> str:
    """As a hint, how many trials there are."""
    n = task.n_samples("train") if hasattr(task, "n_samples") else task.n_trials("train")
    return "the task draws as many as are asked for" if n is None else f"trials={n} is each of the task's once"


def check_task(parts: Parts, task: Any, where: str) -> None:
    """Raise ValueError or TypeError for what is no task, or none of this network; parts : a simulator, or a `Config`"""
    for name in ("trial", "n_trials", "n_inputs", "n_outputs"):
        if not hasattr(task, name) or (name in ("trial", "n_trials") and not callable(getattr(task, name))):
            raise _check.fail(f"{where}.task", "be a task such as sl.tasks.Digits()", task, f"it has no {name}", TypeError)
    net = parts.net
    for name in ("n_inputs", "n_outputs"):
        if getattr(task, name) != getattr(net, name):
            raise _check.fail(f"{where}.task.{name}", f"be {getattr(net, name)}, as the network has", getattr(task, name))
    classifies = isinstance(parts.loss, CrossEntropy)
    if isinstance(task, Task) and classifies != (task.kind == "classification"):
        labelled = task.kind == "classification"
        wanted, targets = ("CrossEntropy", "class labels") if labelled else ("MeanSquaredError", "continuous")
        raise _check.fail(
            "Simulator.loss", f"be {wanted} for {task.name}, whose targets are {targets}", type(parts.loss).__name__
        )
    if isinstance(task, Task) and not _check.same_time(task.dt, net.dt):
        raise _check.fail(f"{where}.task.dt", f"be {net.dt} ms, as the network has", task.dt)


def check_trials(simulator: Core, task: Any, trials: int, start: int, evaluates: bool, n_test: int | None) -> None:
    """Raise ValueError or TypeError where there are not so many trials, or the first ones do not fit the network."""
    where, asked = "Simulator.train", [("train", int(start))]
    check_number(f"{where}.trials", task, "train", int(trials), int(start))
    if evaluates:
        split = evaluation_split(task)
        check_number(f"{where}.evaluate_trials", task, split, n_test)
        asked.append((split, 0))
    for split, first in asked:
        x, target, mask, _ = draw(task, first, first + 1, split)
        make_job(simulator, x, target, mask, None, None, None)
