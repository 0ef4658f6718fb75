"""What a caller gives to a simulator: checked, and a job in the form of kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _check
from ..engine.batch import Trials
from ..engine.checks import check_steps, refuse_pair
from ..events import encode, is_batch, take
from ..losses import (
    ERROR,
    SIGNAL,
    CrossEntropy,
    TargetArrays,
    encode_labels,
    encode_mask,
    encode_targets,
    encode_values,
)
from .core import Core


def make_job(
    core: Core,
    inputs: Any,
    targets: Any,
    mask: Any,
    learn: bool | None,
    error: Any,
    signal: Any,
    steps: Any = None,
    single: bool = False,
) -> Trials:
    """The job of `Simulator.run` with these arguments, everything checked. single : a piece of a stream, which is no batch."""
    net, dtype = core.net, core._engine.dtype
    given = {"targets": targets, "error": error, "learning_signal": signal}
    if all(value is None for value in given.values()):
        refuse_pair(net, inputs)
    learns = check_learning(core, "Simulator.run", given, learn)
    inputs = take(inputs, net.n_inputs)
    batch = is_batch(inputs)
    if single and batch:
        raise _check.fail("Simulator.run", "get single pieces [T, n_inputs] from an iterator", np.shape(inputs))
    encoded = encode(inputs, net.n_inputs, dtype)
    trials, n_steps = encoded.indptr.shape[0], encoded.indptr.shape[1] - 1
    if steps is not None:
        encoded = encoded._replace(steps=check_steps("Simulator.run.steps", steps, trials, n_steps))
    function = error if callable(error) else None
    if targets is None and not (error is None and signal is None):
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
        arrays = encode_targets(core.loss, targets, mask, encoded.steps, n_steps, net.n_outputs, dtype, batch)
    classifies = isinstance(core.loss, CrossEntropy)
    per_step = targets is not None and np.ndim(targets) == (2 if batch else 1)
    return Trials(encoded, arrays, learn=learns, error=function, labels_per_step=per_step, classifies=classifies)


def check_learning(core: Core, where: str, given: dict[str, Any], learn: bool | None) -> bool:
    """Whether a call learns. ValueError or TypeError where it is to learn and cannot, or gets more than one thing to learn.

    where : the method; given : its argument for targets, and the others from which it can learn, by name
    """
    able = core.rule is not None and core.optimizer is not None
    n = sum(value is not None for value in given.values())
    targets, *others = given
    if learn is not None:
        _check.flag(f"{where}.learn", learn)
    if n > 1:
        raise _check.fail(where, f"get one of {targets}, {' and '.join(others)}", f"{n} of them")
    if learn and not able:
        raise _check.fail("Simulator", "have a rule and an optimizer to learn", "learn=True without them")
    if learn and not n:
        hint = f"so may {' or '.join(others)}; without any, nothing can be learnt"
        raise _check.fail(f"{where}.{targets}", "be given where learn=True", None, hint)
    if learn is None and able and not n:
        hint = "pass learn=False to run without learning"
        raise _check.fail(f"{where}.{targets}", "be given where there is a rule and an optimizer", None, hint)
    return able and learn is not False and n > 0


def step_job(core: Core, x: Any, target: Any, mask: Any, learn: bool | None, error: Any, signal: Any) -> Trials:
    """The job of `Simulator.step` with these arguments, everything checked."""
    where, net, dtype = "Simulator.step", core.net, core._engine.dtype
    x = _check.array(f"{where}.x", x, (net.n_inputs,), dtype)
    check_learning(core, where, {"target": target, "error": error, "learning_signal": signal}, learn)
    classifies = target is not None and isinstance(core.loss, CrossEntropy)
    single = "CrossEntropy" if classifies else "a learning signal" if signal is not None else ""
    weight = None if mask is None else _step_mask(f"{where}.mask", mask, net.n_outputs, dtype, single)
    counts = np.array(True) if weight is None else weight != 0
    if classifies:
        encode_labels(f"{where}.target", target, counts.reshape(1, 1), net.n_outputs, False)
    elif target is not None:
        target = _step_values(f"{where}.target", target, net.n_outputs, dtype, counts)
    if callable(error):
        error = lambda step, y, function=error: function(y)  # noqa: E731
    elif error is not None:
        error = _step_values(f"{where}.error", error, net.n_outputs, dtype, counts)
    if signal is not None:
        signal = _step_values(f"{where}.learning_signal", signal, net.n, dtype, counts)
    return make_job(core, x[None], target, None if weight is None else weight[None], learn, error, signal)


def _step_mask(where: str, mask: Any, n_out: int, dtype: Any, single: str) -> np.ndarray:
    """The weight of a step, or of each output. single : what takes one weight only, if anything"""
    raw = _check.numbers(where, mask, f"be a number or an array of shape ({n_out},)")
    if raw.shape not in ((), (1,), (n_out,)):
        raise _check.fail(where, f"be a number or have shape ({n_out},)", raw.shape)
    if single and raw.size > 1:
        raise _check.fail(where, f"be a number for {single}", raw.shape)
    given = _check.finite(where, raw, dtype)
    if (given < 0).any():
        raise _check.fail(where, "be a weight, not negative", float(given.min()))
    return given


def _step_values(where: str, values: Any, n: int, dtype: Any, counts: np.ndarray) -> np.ndarray:
    """Numbers [1, n] of a step, finite where they count."""
    raw = _check.numbers(where, values, f"be an array of numbers of shape ({n},)")
    if raw.shape != (n,):
        raise _check.fail(where, f"have shape ({n},)", raw.shape)
    _check.finite(where, np.where(counts, raw, 0), dtype)
    return raw[None]
