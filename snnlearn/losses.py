"""Losses, errors and regularisers.

    E_task = sum_t mask[t] l[t]          no averaging over time or outputs; trials of a batch are averaged

    MeanSquaredError   l = 1/2 sum_k (y_k - y*_k)^2           err_k = mask (y_k - y*_k)               (1)
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
from .compiler.dispatch import SOURCE, device, kernel

NONE, SQUARED, ENTROPY, ERROR, SIGNAL = range(5)  # what the target arrays hold
NO_MEAN = np.zeros((0, 0))
OF = ("steps", "mean")


class TargetArrays(NamedTuple):
    """Targets of a batch as kernels see them; arrays that `kind` does not use have one entry."""

    kind: int  # NONE, SQUARED, ENTROPY, ERROR (the user's error), SIGNAL (the user's learning signal)
    value: np.ndarray  # [trials, T, n_out] targets or errors, or [trials, T, n] learning signals
    label: np.ndarray  # int32 [trials, T]
    mask: np.ndarray  # [trials, T]
    mean: np.ndarray = NO_MEAN  # float64 [trials, n_out + 1] softmax(m) - [k = y*] of (3), and 1 once it is known; else size 0


@dataclass(frozen=True)
class MeanSquaredError:
    """Half the squared error, summed over outputs and steps; targets [T, n_out] floats. Equation (1)."""

    kind: ClassVar[int] = SQUARED


@dataclass(frozen=True)
class CrossEntropy:
    """Softmax cross-entropy; targets [T] or scalar int labels.

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
    if regularizer is None:
        return RateArrays(as_dtype(0), as_dtype(0), as_dtype(dt), as_dtype(0), as_dtype(0))
    tau = regularizer.tau
    decay, per_step = (0.0, 0.0) if tau is None else (np.exp(-dt / tau), dt / tau)
    return RateArrays(
        as_dtype(regularizer.strength), as_dtype(regularizer.target / 1000.0), as_dtype(dt), as_dtype(decay), as_dtype(per_step)
    )


@device
def error_step(kind, mask, y, value, label, err):
    """Error and loss of one step: fills err (n_out,), returns mask * l. Equations (1) and (2)."""
    n_out, loss = y.shape[0], 0.0
    if mask == 0:  # most steps of many tasks
        for k in range(n_out):
            err[k] = 0
    elif kind == SQUARED:
        for k in range(n_out):
            err[k] = mask * (y[k] - value[k])
            loss += 0.5 * err[k] * (y[k] - value[k])
    elif kind == ENTROPY:
        top = y[0]
        for k in range(1, n_out):
            top = max(top, y[k])
        total = y.dtype.type(0)
        for k in range(n_out):
            err[k] = np.exp(y[k] - top)
            total += err[k]
        for k in range(n_out):
            err[k] = mask * (err[k] / total)
        err[label] -= mask
        loss = mask * (np.log(total) + top - y[label])
    elif kind == ERROR:
        for k in range(n_out):
            err[k] = mask * value[k]
            loss += 0.5 * err[k] * value[k]
    else:
        for k in range(n_out):
            err[k] = 0
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
        total += np.exp(summed[k] / weight - top)
    if fill:
        for k in range(n_out):
            error[k] = np.exp(summed[k] / weight - top) / total
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
    loss: Any, targets: Any, mask: Any, trials: int, n_steps: int, n_out: int, dtype: Any, batch: bool
) -> TargetArrays:
    """Targets and mask in the form of kernels; checks shapes, label ranges and finite values."""
    where = "targets"
    value, label, mean = np.zeros((1, 1, n_out), dtype), np.zeros((1, 1), np.int32), NO_MEAN
    if targets is None:
        kind = NONE
    elif loss.kind == SQUARED:
        kind = SQUARED
        shape = (trials, n_steps, n_out) if batch else (n_steps, n_out)
        value = _check.array(where, targets, shape, dtype, "MeanSquaredError takes one value per step and output")
        value = value.reshape(trials, n_steps, n_out)
    else:
        kind = ENTROPY
        label = _labels(where, targets, trials, n_steps, n_out, batch)
        if loss.of == "mean":
            if np.ndim(targets) != (1 if batch else 0):
                raise _check.fail(where, 'be one label a trial for CrossEntropy(of="mean")', np.shape(targets))
            mean = np.zeros((trials, n_out + 1))
    return TargetArrays(kind, value, label, encode_mask(mask, trials, n_steps, dtype), mean)


def encode_mask(mask: Any, trials: int, n_steps: int, dtype: Any) -> np.ndarray:
    """Time weights [trials, T]; None is one at every step."""
    if mask is None:
        return np.ones((trials, n_steps), dtype)
    shape = (trials, n_steps) if np.ndim(mask) == 2 else (n_steps,)
    weights = _check.array("mask", mask, shape, dtype)
    if (weights < 0).any():
        raise _check.fail("mask", "hold time weights, not negative", float(weights.min()))
    return np.array(np.broadcast_to(weights, (trials, n_steps)), order="C")  # a read-only array is another type to Numba


def _labels(where: str, targets: Any, trials: int, n_steps: int, n_out: int, batch: bool) -> np.ndarray:
    raw = np.asarray(targets)
    whole = raw.dtype.kind in "iu" or (raw.dtype.kind == "f" and np.isfinite(raw).all() and (raw == np.rint(raw)).all())
    if not whole:
        raise _check.fail(where, "be whole class labels for CrossEntropy", targets, error=TypeError)
    allowed = [(trials,), (trials, n_steps)] if batch else [(), (n_steps,)]
    if raw.shape not in allowed:
        names = " or ".join(str(s) if s else "a single label" for s in allowed)
        raise _check.fail(where, f"have shape {names} for CrossEntropy", raw.shape)
    if raw.size and (raw.min() < 0 or raw.max() >= n_out):
        bad = int(raw.min()) if raw.min() < 0 else int(raw.max())
        raise _check.fail(where, f"be labels in 0 .. {n_out - 1}, one for each readout", bad)
    label = raw.astype(np.int32).reshape(trials, -1)
    return np.array(np.broadcast_to(label, (trials, n_steps)), order="C")
