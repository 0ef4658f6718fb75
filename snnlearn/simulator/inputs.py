"""What a caller gives to a simulator: checked, and a job in the form of kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _check
from ..engine.batch import Job
from ..engine.checks import check_steps, refuse_pair
from ..events import encode, is_batch, take
from ..losses import (
    ERROR,
    SIGNAL,
    CrossEntropy,
    TargetArrays,
    encode_mask,
    encode_targets,
    encode_values,
)


def make_job(
    simulator: Any,
    inputs: Any,
    targets: Any,
    mask: Any,
    learn: bool | None,
    error: Any,
    signal: Any,
    steps: Any = None,
    single: bool = False,
) -> Job:
    """The job of `Simulator.run` with these arguments, everything checked. single : a piece of a stream, which is no batch."""
    net, dtype = simulator.net, simulator._engine.dtype
    able = simulator.rule is not None and simulator.optimizer is not None
    given = sum(value is not None for value in (targets, error, signal))
    if learn is not None:
        _check.flag("Simulator.run.learn", learn)
    if given > 1:
        raise _check.fail("Simulator.run", "get one of targets, error and learning_signal", f"{given} of them")
    if learn and not able:
        raise _check.fail("Simulator", "have a rule and an optimizer to learn", "learn=True without them")
    if not given:
        refuse_pair(net, inputs)
    if learn is None and able and not given:
        hint = "pass learn=False to run without learning"
        raise _check.fail("Simulator.run.targets", "be given where there is a rule and an optimizer", None, hint)
    learns = able and learn is not False and bool(given)
    inputs = take(inputs, net.n_inputs)
    batch = is_batch(inputs)
    if single and batch:
        raise _check.fail("Simulator.run", "get single pieces [T, n_inputs] from an iterator", np.shape(inputs))
    encoded = encode(inputs, net.n_inputs, dtype)
    trials, n_steps = encoded.indptr.shape[0], encoded.indptr.shape[1] - 1
    if steps is not None:
        encoded = encoded._replace(steps=check_steps("Simulator.run.steps", steps, trials, n_steps))
    function = error if callable(error) else None
    if given and targets is None:
        weights = encode_mask(mask, encoded.steps, n_steps, net.n_outputs, dtype, batch)
        if signal is not None and weights[1].size:
            raise _check.fail("mask", "be [T], one weight a step, for a learning signal", weights[1].shape)
        shape = (trials, n_steps, net.n if signal is not None else net.n_outputs)
        where, values = ("error", error) if signal is None else ("learning_signal", signal)
        value = np.zeros(shape, dtype)
        if function is None:
            value = encode_values(where, values, shape, dtype, batch, weights, unknown=0.0)
        kind = ERROR if signal is None else SIGNAL
        arrays = TargetArrays(kind, value, np.zeros((1, 1), np.int32), *weights)
    else:
        arrays = encode_targets(simulator.loss, targets, mask, encoded.steps, n_steps, net.n_outputs, dtype, batch)
    classifies = isinstance(simulator.loss, CrossEntropy)
    per_step = targets is not None and np.ndim(targets) == (2 if batch else 1)
    return Job(encoded, arrays, learn=learns, error=function, labels_per_step=per_step, classifies=classifies)


def step_job(simulator: Any, x: Any, target: Any, mask: Any, learn: bool | None, error: Any, signal: Any) -> Job:
    """The job of `Simulator.step` with these arguments, everything checked."""
    x = _check.array("Simulator.step.x", x, (simulator.net.n_inputs,))
    if target is not None and not isinstance(simulator.loss, CrossEntropy):
        target = _check.numbers("Simulator.step.target", target)[None]
    if error is not None:
        error = (lambda step, y, f=error: f(y)) if callable(error) else _check.numbers("Simulator.step.error", error)[None]
    signal = None if signal is None else _check.numbers("Simulator.step.learning_signal", signal)[None]
    mask = None if mask is None else _check.numbers("Simulator.step.mask", mask)[None]
    return make_job(simulator, x[None], target, mask, learn, error, signal)
