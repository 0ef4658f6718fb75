"""Checks of what a network is run with: rule, optimizer, loss, update interval, lengths of trials."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import _check
from ..events import Events, is_trial
from ..losses import CrossEntropy, Loss, MeanSquaredError, RateRegularizer
from ..optimizers.optimizers import Optimizer
from ..rules import Rule

LONGEST = 2**62 - 1  # steps of an interval: beyond, none ends


def check_parts(where: str, rule: Any, optimizer: Any, loss: Any, regularizer: Any) -> None:
    """TypeError or ValueError unless each is of its kind, or None, and there is a rule where there is an optimizer."""
    for name, value, kind in (
        ("rule", rule, Rule),
        ("optimizer", optimizer, Optimizer),
        ("loss", loss, (MeanSquaredError, CrossEntropy)),
        ("regularizer", regularizer, RateRegularizer),
    ):
        if value is not None and not isinstance(value, kind):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            raise _check.fail(f"{where}.{name}", "be of class " + " or ".join(k.__name__ for k in kinds), value, error=TypeError)
    if optimizer is not None and rule is None:
        raise _check.fail(f"{where}.rule", "be a learning rule where there is an optimizer", None)


def check_interval(
    update_every: Any, rules: Iterable[Rule], loss: Loss | None, regularizer: RateRegularizer | None
) -> int | None:
    """`update_every` in steps, None for "trial"; ValueError or TypeError unless rules, loss and regularizer can work with it."""
    if isinstance(update_every, str) and update_every == "trial":
        return None
    need = "be 'trial' or a positive number of steps"
    if isinstance(update_every, str):
        raise _check.fail("Simulator.update_every", need, update_every)
    interval = _check.integer("Simulator.update_every", update_every, need, 1, LONGEST)
    for rule in rules:
        rule.direction(interval, False, False)
    if isinstance(loss, CrossEntropy) and loss.of == "mean":
        need = "have of='steps' where weights change within a trial: the mean readout is known at its end"
        raise _check.fail("CrossEntropy", need, f"of='mean', update_every={interval}")
    if regularizer is not None and regularizer.tau is None and regularizer.strength > 0:
        need = "have tau (the online form) where weights change within a trial"
        raise _check.fail("RateRegularizer", need, f"tau=None, update_every={interval}")
    return interval


def refuse_pair(net: Any, inputs: Any) -> None:
    """ValueError where inputs without targets may be trials or (x, target[, mask]), which nothing in them tells apart."""
    pair = isinstance(inputs, (list, tuple)) and len(inputs) in (2, 3) and net.n_inputs == net.n_outputs
    if pair and all(is_trial(x) and not isinstance(x, Events) for x in inputs):
        need = "say which they are, where they are so many arrays without targets and n_inputs = n_outputs"
        hint = "trials are np.stack(...), one trial and its target are run(x, target)"
        raise _check.fail("inputs", need, f"{len(inputs)} arrays, trials or (x, target)", hint)


def check_steps(where: str, steps: Any, trials: int, n_steps: int) -> np.ndarray:
    """The lengths of the trials of a batch of n_steps, int64 [trials]; ValueError or TypeError where they do not fit."""
    found, need = np.asarray(steps), f"be {trials} whole numbers in 1 .. {n_steps}, a length for each trial"
    if found.dtype.kind not in "iu":
        raise _check.fail(where, need, steps, error=TypeError)
    if found.shape != (trials,) or found.min() < 1 or found.max() > n_steps:
        raise _check.fail(where, need, steps)
    return found.astype(np.int64)
