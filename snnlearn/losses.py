"""Losses, errors and regularisers.

    E_task = sum_t mask[t] l[t]          no averaging over time or outputs; trials of a batch are averaged

    MeanSquaredError   l = 1/2 sum_k (y_k - y*_k)^2           err_k = mask (y_k - y*_k)               (1)
                       (mask[t, k], a weight of each output, stands inside the sum)
    CrossEntropy       l = log sum_k exp y_k - y_{y*}         err_k = mask (softmax(y)_k - [k = y*])   (2)

With `CrossEntropy(of="mean")` a trial has one loss, that of its mean readout,

    E_task = M l(m),   m = sum_t mask[t] y[t] / M,   M = sum_t mask[t];   err_k[t] = mask[t] (softmax(m)_k - [k = y*])   (3)

`RateRegularizer` adds reg_j[t] = dE_reg/dz_j[t] to the learning signal of every neuron.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from . import _check
from .compiler.dispatch import SOURCE, device, distinct, kernel
from .compiler.exponential import exponential

NONE, SQUARED, ENTROPY, ERROR, SIGNAL = range(5)  # what the target arrays hold
NO_MEAN = np.zeros((0, 0))
OF = ("steps", "mean")


class TargetArrays(NamedTuple):
    """Targets of a batch as kernels see them; arrays that `kind` does not use have one entry."""

    kind: int  # NONE, SQUARED, ENTROPY, ERROR (the user's error), SIGNAL (the user's learning signal)
    value: np.ndarray  # [trials, T, n_out] targets or errors, or [trials, T, n] learning signals
    label: np.ndarray  # int32 [trials, T]
    mask: np.ndarray  # [trials, T]; where outputs have weights of their own, the largest of them
    weight: np.ndarray  # [trials, T, n_out] weights of single outputs, or size 0
    mean: np.ndarray = NO_MEAN  # float64 [trials, n_out + 1] softmax(m) - [k = y*] of (3), and 1 once it is known; else size 0


@dataclass(frozen=True)
class MeanSquaredError:
    """Half the squared error, summed over outputs and steps; targets [T, n_out] floats, mask [T] or [T, n_out]. Equation (1)."""

    kind: ClassVar[int] = SQUARED


@dataclass(frozen=True)
class CrossEntropy:
    """Softmax cross-entropy; targets [T] or scalar int labels, mask [T].

    of : "steps": the sum of the losses of all steps, equation (2); "mean": the loss of the mean readout of the trial, equation
        (3), with one label a trial. Steps need not be right by themselves then. The error is known only at the end of the trial,
        so "mean" comes with update_every="trial" and not in streams; rules that go forward in time simulate a trial twice

    Raises ValueError for another `of`.
    """

    of: str = "steps"

    kind: ClassVar[int] = ENTROPY

    def __post_init__(self) -> None:
        _check.choice("CrossEntropy.of", self.of, OF)


Loss = MeanSquaredError | CrossEntropy


@dataclass(frozen=True)
class RateRegularizer:
    """Pulls the firing rate of every neuron to a target (Bellec et al. 2020, firing-rate regularisation).

    target : Hz
    strength : c_reg; with f = spikes per ms
        per trial (tau=None)   E_reg = strength/2 sum_j (f_j - target/1000)^2,  f_j = mean rate over the trial
        online (tau in ms)     r <- l r + (1-l) z,  reg_j[t] = strength (r_j/dt - target/1000) dt/tau
    tau : time constant of the running rate, ms, or None

    Raises ValueError or TypeError that names the parameter.
    """

    target: float
    strength: float
    tau: float | None = None

    def __post_init__(self) -> None:
        name = "RateRegularizer"
        set_ = object.__setattr__
        set_(self, "target", _check.number(f"{name}.target", self.target, "be a rate in Hz, not negative", low=0.0))
        set_(self, "strength", _check.number(f"{name}.strength", self.strength, "be a number, not negative", low=0.0))
        if self.tau is not None:
            need = "be a positive time in ms, or None for a rate per trial"
            set_(self, "tau", _check.number(f"{name}.tau", self.tau, need, low=0.0, strict=True))


class RateArrays(NamedTuple):
    """The regulariser as kernels see it. strength = 0 switches it off."""

    strength: float
    target: float  # spikes per ms
    dt: float
    decay: float  # l of the running rate; online form only
    per_step: float  # dt/tau; 0: the rate per trial


def rate_arrays(regularizer: RateRegularizer | None, dt: float, dtype: Any) -> RateArrays:
    """Per-step factors of the regulariser."""
    as_dtype = np.dtype(dtype).type
    for name in ("strength", "target") if regularizer is not None else ():
        _check.fits(f"RateRegularizer.{name}", getattr(regularizer, name), dtype)
    if regularizer is None:
        return RateArrays(as_dtype(0), as_dtype(0), as_dtype(dt), as_dtype(0), as_dtype(0))
    tau = regularizer.tau
    decay, per_step = (0.0, 0.0) if tau is None else (np.exp(-dt / tau), dt / tau)
    return RateArrays(
        as_dtype(regularizer.strength), as_dtype(regularizer.target / 1000.0), as_dtype(dt), as_dtype(decay), as_dtype(per_step)
    )


@device
def error_step(kind, mask, y, value, err):
    """Error and loss of one step, but for ENTROPY: fills err (n_out,), returns mask * l. Equation (1)."""
    n_out, loss = y.shape[0], 0.0
    if mask == 0:  # most steps of many tasks
        for k in range(n_out):
            err[k] = 0
    elif kind == SQUARED:
        for k in range(n_out):
            err[k] = mask * (y[k] - value[k])
            loss += 0.5 * err[k] * (y[k] - value[k])
    elif kind == ERROR:
        for k in range(n_out):
            err[k] = mask * value[k]
            loss += 0.5 * err[k] * value[k]
    else:
        for k in range(n_out):
            err[k] = 0
    return loss


@distinct
def entropy_steps(mask, label, y, err):
    """Errors and loss of several steps: fills err (steps, n_out) from the readouts y (steps, n_out). Equation (2).

    mask, label : (steps,). Returns the sum of mask * l, and of mask where the largest readout is that of the label. Exponentials
    of steps side by side are computed together.
    """
    steps, n_out = y.shape
    flat, start, loss, correct = err.reshape(steps * n_out), 0, 0.0, 0.0
    while start < steps:
        if mask[start] == 0:  # most steps of many tasks
            for k in range(n_out):
                err[start, k] = 0
            start += 1
            continue
        stop = start
        while stop < steps and mask[stop] != 0:
            top, best = y[stop, 0], 0
            for k in range(1, n_out):
                if y[stop, k] > top:
                    top, best = y[stop, k], k
            for k in range(n_out):
                err[stop, k] = y[stop, k] - top
            if best == label[stop]:
                correct += mask[stop]
            loss -= mask[stop] * err[stop, label[stop]]
            stop += 1
        exponents = flat[start * n_out : stop * n_out]
        for i in range(exponents.shape[0]):  # from 0: no index may be negative, which Numba would test for in each round
            exponents[i] = exponential(exponents[i])
        for t in range(start, stop):
            total = y.dtype.type(0)
            for k in range(n_out):
                total += err[t, k]
            loss += mask[t] * np.log(total)
            scale = mask[t] / total
            for k in range(n_out):
                err[t, k] *= scale
            err[t, label[t]] -= mask[t]
        start = stop
    return loss, correct


@device
def weighted_error_step(kind, weight, y, value, err):
    """`error_step` of SQUARED or ERROR with a weight (n_out,) for each output: fills err, returns the loss. Equation (1)."""
    loss = 0.0
    for k in range(y.shape[0]):
        difference = y.dtype.type(0)
        if weight[k] != 0:  # what it is compared with may be anything elsewhere
            difference = value[k] if kind == ERROR else y[k] - value[k]
        err[k] = weight[k] * difference
        loss += 0.5 * err[k] * difference
    return loss


@device
def error_of_mean(summed, weight, label, error, fill):
    """Loss of the mean readout `summed` / weight; with `fill`, error (n_out,) of every step as well. Equation (3)."""
    n_out = summed.shape[0]
    if weight == 0:
        return 0.0
    top, total = summed[0] / weight, 0.0
    for k in range(1, n_out):
        top = max(top, summed[k] / weight)
    for k in range(n_out):
        total += exponential(summed[k] / weight - top)
    if fill:
        for k in range(n_out):
            error[k] = exponential(summed[k] / weight - top) / total
        error[label] -= 1
    return weight * (np.log(total) + top - summed[label] / weight)


@device
def rate_step(rates, z, running, reg, cost):
    """Online form: update the running rates (n,) with z, fill reg (n,) and add this step's E_reg of each neuron to cost (n,)."""
    for j in range(z.shape[0]):
        running[j] = rates.decay * running[j] + (1 - rates.decay) * z[j]
        excess = running[j] / rates.dt - rates.target
        reg[j] = rates.strength * excess * rates.per_step
        cost[j] += 0.5 * rates.strength * excess * excess * rates.per_step


@device
def sum_and_clear(cost):
    """The sum of cost (n,), in order, which is zero afterwards."""
    total = 0.0
    for j in range(cost.shape[0]):
        total += cost[j]
        cost[j] = 0
    return total


@kernel
def rate_loss(rates, counts, n_steps, reg, source=SOURCE):
    """`rate_trial`, called from Python."""
    return rate_trial(rates, counts, n_steps, reg)


@device
def rate_trial(rates, counts, n_steps, reg):
    """Per-trial form: fill reg (n,) from the spike counts (n,) of the whole trial; returns E_reg."""
    total = 0.0
    duration = n_steps * rates.dt
    for j in range(counts.shape[0]):
        excess = counts[j] / duration - rates.target
        reg[j] = rates.strength * excess / duration
        total += 0.5 * rates.strength * excess * excess
    return total


def encode_targets(
    loss: Any, targets: Any, mask: Any, steps: np.ndarray, n_steps: int, n_out: int, dtype: Any, batch: bool
) -> TargetArrays:
    """Targets and mask in the form of kernels; checks shapes, label ranges and finite values where the mask is not zero.

    steps : [trials] lengths
    """
    where, weights, trials = "targets", encode_mask(mask, steps, n_steps, n_out, dtype, batch), steps.size
    value, label = np.zeros((1, 1, n_out), dtype), np.zeros((1, 1), np.int32)
    if targets is None:
        return TargetArrays(NONE, value, label, *weights)
    if loss.kind == SQUARED:
        hint = "MeanSquaredError takes one value per step and output"
        value = encode_values(where, targets, (trials, n_steps, n_out), dtype, batch, weights, hint=hint)
        return TargetArrays(SQUARED, value, label, *weights)
    if weights[1].size:
        got = np.shape(mask) if not isinstance(mask, (list, tuple)) else weights[1].shape
        raise _check.fail("mask", "be [T], one weight a step, for CrossEntropy", got)
    label = encode_labels(where, targets, weights[0], n_out, batch)
    if loss.of == "steps":
        return TargetArrays(ENTROPY, value, label, *weights)
    if np.ndim(targets) != batch:
        raise _check.fail(where, 'be one label a trial for CrossEntropy(of="mean")', np.shape(targets))
    return TargetArrays(ENTROPY, value, label, *weights, np.zeros((trials, n_out + 1)))


def encode_values(
    where: str,
    given: Any,
    shape: tuple[int, int, int],
    dtype: Any,
    batch: bool,
    weights: tuple[np.ndarray, np.ndarray],
    unknown: float = np.nan,
    hint: str = "",
) -> np.ndarray:
    """Targets, errors or learning signals [trials, T, k]; `unknown` stands for what is not finite where the mask is zero.

    weights : as `encode_mask` returns them
    """
    asked = shape if batch else shape[1:]
    raw = _check.numbers(where, given, f"be an array of numbers of shape {asked}", hint)
    if raw.shape != asked:
        raise _check.fail(where, f"have shape {asked}", raw.shape, hint)
    counts = (weights[1] if weights[1].size else weights[0][:, :, None]) != 0
    if counts.all():
        value = _check.finite(where, raw, dtype)
    else:
        counts = np.broadcast_to(counts, shape).reshape(asked)
        value = _check.finite(where, np.where(counts, raw, 0), dtype)
        with np.errstate(over="ignore"):
            others = raw[~counts].astype(dtype)
        value[~counts] = np.where(np.isfinite(others), others, unknown)
    return np.array(value.reshape(shape), order="C")


def encode_mask(mask: Any, steps: np.ndarray, n_steps: int, n_out: int, dtype: Any, batch: bool) -> tuple[np.ndarray, np.ndarray]:
    """`mask` and `weight` of `TargetArrays`; None is one at every step, also in a list with a mask for each trial.

    steps : [trials] lengths of the trials; behind them both are zero
    """
    found = _encode_mask(mask, steps.size, n_steps, n_out, dtype, batch)
    if steps.min(initial=n_steps) < n_steps:
        late = np.arange(n_steps) >= steps[:, None]
        for weights in found:
            if weights.size:
                weights[late] = 0
    return found


def _encode_mask(mask: Any, trials: int, n_steps: int, n_out: int, dtype: Any, batch: bool) -> tuple[np.ndarray, np.ndarray]:
    none = np.zeros((0, 0, 0), dtype)
    if mask is None:
        return np.ones((trials, n_steps), dtype), none
    if batch and isinstance(mask, (list, tuple)) and not all(isinstance(m, (int, float, np.generic)) for m in mask):
        mask = _masks(mask, n_steps, n_out)
    raw = _check.numbers("mask", mask, "be an array of time weights")
    shapes: dict[int, list[tuple[int, ...]]] = {1: [(n_steps,)], 2: [(trials, n_steps)], 3: [(trials, n_steps, n_out)]}
    if not batch:
        shapes = {1: [(n_steps,)], 2: [(n_steps, n_out), (1, n_steps)]}
    allowed = shapes.get(raw.ndim) or shapes[1] + shapes[2] + shapes.get(3, [])
    if raw.shape not in allowed:
        raise _check.fail("mask", "have shape " + " or ".join(map(str, allowed)), raw.shape)
    given = _check.finite("mask", raw, dtype)
    if (given < 0).any():
        raise _check.fail("mask", "hold time weights, not negative", float(given.min()))
    if raw.ndim == 3 or (not batch and raw.shape == (n_steps, n_out)):
        weight = np.array(given.reshape(trials, n_steps, n_out), order="C")
        return weight.max(axis=2), none if n_out == 1 else weight
    # a read-only array is another type to Numba
    return np.array(np.broadcast_to(given, (trials, n_steps)), order="C"), none


def _masks(masks: Any, n_steps: int, n_out: int) -> np.ndarray:
    """A list with a mask, or None, for each trial, as [trials, T] or, where one of them is [T, n_out], [trials, T, n_out]."""
    rows = []
    for k, mask in enumerate(masks):
        row = np.ones(n_steps) if mask is None else _check.numbers(f"mask[{k}]", mask, "be an array of time weights")
        if row.shape not in ((n_steps,), (n_steps, n_out)):
            raise _check.fail(f"mask[{k}]", f"have shape {(n_steps,)} or {(n_steps, n_out)}", row.shape)
        rows.append(row)
    if any(row.ndim == 2 for row in rows):
        rows = [np.broadcast_to(row if row.ndim == 2 else row[:, None], (n_steps, n_out)) for row in rows]
    return np.stack(rows)


def encode_labels(where: str, targets: Any, mask: np.ndarray, n_out: int, batch: bool) -> np.ndarray:
    """int32 [trials, T]; -1 for what is no label where the mask is zero."""
    trials, n_steps = mask.shape
    raw = _check.numbers(where, targets, "be whole class labels for CrossEntropy")
    allowed = [(trials,), (trials, n_steps)] if batch else [(), (n_steps,)]
    if raw.shape not in allowed:
        names = " or ".join(str(s) if s else "a single label" for s in allowed)
        raise _check.fail(where, f"have shape {names} for CrossEntropy", raw.shape)
    flat, counts = raw.reshape(trials, -1), mask != 0
    if flat.shape[1] != n_steps:
        counts = counts.any(axis=1, keepdims=True)
    whole = np.isfinite(flat) & (flat == np.rint(flat)) if raw.dtype.kind == "f" else np.ones(flat.shape, bool)
    known = whole & (flat >= 0) & (flat < n_out)
    if (counts & ~whole).any():
        bad = flat[counts & ~whole][0]
        raise _check.fail(where, "be whole class labels for CrossEntropy", bad, error=TypeError)
    if (counts & ~known).any():
        bad = flat[counts & ~known][0]
        raise _check.fail(where, f"be labels in 0 .. {n_out - 1}, one for each readout", int(bad))
    label = np.full(flat.shape, -1, np.int32)
    label[known] = flat[known]
    return np.array(np.broadcast_to(label, (trials, n_steps)), order="C")
