"""Optimizers: one in-place update of the weights at the end of an update interval.

The order of an update, with g the gradient averaged over trials:

    g  <- g min(1, clip_norm/|g|)                  global norm over all matrices that learn           (1)
    SGD     u <- momentum u + g;  w <- w - lr u                                                       (2)
    Adam    m <- b1 m + (1-b1) g;  s <- b2 s + (1-b2) g^2;  k counts updates from 1 (Kingma & Ba 2015)
            standard     w <- w - lr m/(1-b1^k) / (sqrt(s/(1-b2^k)) + eps)                            (3)
            tensorflow   w <- w - lr sqrt(1-b2^k)/(1-b1^k) m / (sqrt(s) + eps)                        (4)
    w  <- w - lr weight_decay w(before)            weight matrices, not biases (Loshchilov & Hutter)  (5)
    w  <- min(max(w, low), high)                   bounds                                             (6)
    adaptive feedback: B takes the same steps; then w_out, B <- (1 - feedback_decay) (w_out, B)       (7)
    absent synapses stay zero
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import _check
from ..compiler.barrier import leads, meet, share
from ..compiler.dispatch import SOURCE, device, generic, inlined, kernel
from ..compiler.intrinsics import flush_denormals, restore
from ..compiler.memory import zeros
from ..network.network import Network
from ..network.weights import WEIGHT_NAMES, FlatWeights, square_sum

Schedule = Callable[[int], float]
CLEARED = 2048  # synapses of an update at a time

LOOKED = 4000  # steps between two updates within a run whose gradient is measured; fewer at first


class SGDArrays(NamedTuple):
    momentum: float


class AdamArrays(NamedTuple):
    beta1: float
    beta2: float
    epsilon: float
    tensorflow: bool


class OptimizerArrays(NamedTuple):
    """An optimizer as kernels see it. The moments are modified in place."""

    method: Any
    first: FlatWeights  # velocity, or Adam's m; size 0 where unused
    second: FlatWeights  # Adam's s; size 0 where unused
    learns: np.ndarray  # bool [4], False where frozen
    low: np.ndarray  # [4]
    high: np.ndarray  # [4]
    weight_decay: float
    clip_norm: float  # inf: off
    feedback_decay: float  # negative: the feedback is not adaptive
    done: np.ndarray  # int64 [1], updates so far
    look_every: int  # most updates between two whose gradient is measured for the guards; 0: none is
    looks: np.ndarray  # float64 [3] updates since the last that was measured, and until the next; largest norm since it was read


@dataclass(frozen=True)
class Optimizer:
    """What SGD and Adam share.

    lr : learning rate, or a schedule: a callable of the number of updates done, as ExponentialDecay
    bounds : (low, high) for w_in, w_rec and w_out, or {"w_rec": (low, high), ...}
    clip_norm : upper bound of the gradient's global L2 norm
    weight_decay : decoupled, times lr; weight matrices only

    Raises ValueError or TypeError that names the parameter.
    """

    lr: float | Schedule
    bounds: Any = None
    clip_norm: float | None = None
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        name, set_ = type(self).__name__, object.__setattr__
        if not callable(self.lr):
            set_(self, "lr", _check.number(f"{name}.lr", self.lr, "be a learning rate, not negative", low=0.0))
        if self.clip_norm is not None:
            need = "be a positive norm, or None"
            set_(self, "clip_norm", _check.number(f"{name}.clip_norm", self.clip_norm, need, low=0.0, strict=True))
        set_(self, "weight_decay", _check.number(f"{name}.weight_decay", self.weight_decay, "be not negative", low=0.0))
        self._bounds()

    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds of the four matrices."""
        where = f"{type(self).__name__}.bounds"
        low, high = np.full(4, -np.inf), np.full(4, np.inf)
        if self.bounds is None:
            return low, high
        bounds = self.bounds if isinstance(self.bounds, Mapping) else dict.fromkeys(WEIGHT_NAMES[:3], self.bounds)
        for name, pair in bounds.items():
            index = WEIGHT_NAMES.index(_check.choice(where, name, WEIGHT_NAMES))
            try:
                low[index], high[index] = (x if x in (-np.inf, np.inf) else _check.number(where, x, "be a number") for x in pair)
            except (TypeError, ValueError):
                raise _check.fail(where, "be (low, high) or a mapping of names to (low, high)", pair, error=TypeError) from None
            if not low[index] < high[index]:
                raise _check.fail(where, "have low < high", pair)
        return low, high

    def rates(self, count: int, updates: int) -> np.ndarray:
        """Learning rates of the next updates, [updates]; raises ValueError where a schedule gives no finite number."""
        if not callable(self.lr):
            return np.full(updates, self.lr)
        try:
            rates = np.array([self.lr(count + i) for i in range(updates)], np.float64)
        except OverflowError:
            need = "give a finite learning rate, not negative"
            raise _check.fail(f"{type(self).__name__}.lr({count})", need, "one that overflows") from None
        if not np.isfinite(rates).all() or (rates < 0).any():
            bad = int(np.argmax(~np.isfinite(rates) | (rates < 0)))
            where = f"{type(self).__name__}.lr({count + bad})"
            raise _check.fail(where, "give a finite learning rate, not negative", float(rates[bad]))
        return rates

    def arrays(self, net: Network, weights: FlatWeights, feedback_decay: float, adaptive: bool) -> OptimizerArrays:
        """Fresh state for these weights."""
        dtype, name = weights.w_in.dtype, type(self).__name__
        low, high = self._bounds()
        for key, values in (("lr", 0.0 if callable(self.lr) else self.lr), ("weight_decay", self.weight_decay)):
            _check.fits(f"{name}.{key}", values, dtype)
        for bound in (low, high):
            _check.fits(f"{name}.bounds", bound[np.isfinite(bound)], dtype)
        for key in ("momentum", "beta1", "beta2"):
            if dtype.type(getattr(self, key, 0.0)) == 1:
                raise _check.fail(f"{name}.{key}", f"be below 1 in {dtype}", getattr(self, key))
        if dtype.type(getattr(self, "epsilon", 1.0)) == 0:
            raise _check.fail(f"{name}.epsilon", f"be above 0 in {dtype}", self.epsilon)  # type: ignore[attr-defined]
        learns = np.array([name not in net.frozen for name in WEIGHT_NAMES])
        learns[3] &= net.readout.bias
        n_first, n_second = self._moments()
        b = weights.feedback.size if adaptive else 0

        def moments(wanted: bool) -> FlatWeights:
            sizes = [w.size * bool(use and wanted) for w, use in zip(weights[:4], learns, strict=True)]
            return FlatWeights(*(zeros(s, dtype) for s in [*sizes, b * bool(wanted and learns[2])]))

        return OptimizerArrays(
            method=self._method(dtype.type),
            first=moments(n_first),
            second=moments(n_second),
            learns=learns,
            low=low.astype(dtype),
            high=high.astype(dtype),
            weight_decay=dtype.type(self.weight_decay),
            clip_norm=dtype.type(np.inf if self.clip_norm is None else min(self.clip_norm, float(np.finfo(dtype).max))),
            feedback_decay=dtype.type(feedback_decay if adaptive else -1.0),
            done=zeros(1, np.int64),
            look_every=0,
            looks=zeros(3),
        )

    def _moments(self) -> tuple[bool, bool]:
        raise NotImplementedError

    def _method(self, as_dtype: Any) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent with optional momentum, equation (2).

    momentum : share of the last step that the next one keeps, in [0, 1)
    lr, bounds, clip_norm, weight_decay : see `Optimizer`
    """

    momentum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        value = _check.number("SGD.momentum", self.momentum, "be in [0, 1)", low=0.0, high=1.0 - 1e-12)
        object.__setattr__(self, "momentum", value)

    def _moments(self) -> tuple[bool, bool]:
        return self.momentum > 0, False

    def _method(self, as_dtype: Any) -> SGDArrays:
        return SGDArrays(as_dtype(self.momentum))


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), equations (3) and (4).

    beta1, beta2 : decay of the averages of g and g^2 per update, in [0, 1)
    epsilon : added to the denominator
    epsilon_form : "standard", or "tensorflow", the form of TensorFlow 1 and of NEST
    lr, bounds, clip_norm, weight_decay : see `Optimizer`
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    epsilon_form: str = "standard"

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("beta1", "beta2"):
            value = _check.number(f"Adam.{key}", getattr(self, key), "be in [0, 1)", low=0.0, high=1.0 - 1e-12)
            object.__setattr__(self, key, value)
        value = _check.number("Adam.epsilon", self.epsilon, "be a positive number", low=0.0, strict=True)
        object.__setattr__(self, "epsilon", value)
        _check.choice("Adam.epsilon_form", self.epsilon_form, ("standard", "tensorflow"))

    def _moments(self) -> tuple[bool, bool]:
        return True, True

    def _method(self, as_dtype: Any) -> AdamArrays:
        return AdamArrays(as_dtype(self.beta1), as_dtype(self.beta2), as_dtype(self.epsilon), self.epsilon_form == "tensorflow")


class Matrix(NamedTuple):
    """One flat weight matrix, or a part of it, with all that belongs to its entries."""

    w: np.ndarray
    g: np.ndarray  # gradient
    first: np.ndarray  # moments; size 0 where the method has none
    second: np.ndarray
    low: float  # bounds
    high: float


class Pace(NamedTuple):
    """What one update has for all weights alike."""

    factor: float  # of the gradient
    lr: float
    keep: float  # 1 - lr weight_decay
    done: int  # updates, with this one


@generic(1)
def step(method, matrix, pace):
    """Equations (2) to (6) for a `Matrix`. In place."""


@step.register(SGDArrays)
def sgd_step(method, matrix, pace):
    w, g, first, low, high = matrix.w, matrix.g, matrix.first, matrix.low, matrix.high
    factor, lr, keep = pace.factor, pace.lr, pace.keep
    if first.shape[0] > 0:
        for s in range(w.shape[0]):
            first[s] = method.momentum * first[s] + factor * g[s]
            w[s] = min(max(keep * w[s] - lr * first[s], low), high)
    else:
        rate = lr * factor
        for s in range(w.shape[0]):
            w[s] = min(max(keep * w[s] - rate * g[s], low), high)


@step.register(AdamArrays)
def adam_step(method, matrix, pace):
    w, g, first, second, low, high = matrix.w, matrix.g, matrix.first, matrix.second, matrix.low, matrix.high
    factor, lr, keep, count = pace.factor, pace.lr, pace.keep, pace.done
    as_dtype = w.dtype.type
    one = as_dtype(1)
    b1, b2 = method.beta1, method.beta2
    c1 = 1.0 - np.float64(b1) ** count
    c2 = 1.0 - np.float64(b2) ** count
    if method.tensorflow:
        rate, root, eps = as_dtype(np.float64(lr) * np.sqrt(c2) / c1), one, method.epsilon
    else:
        rate, root, eps = as_dtype(np.float64(lr) / c1), as_dtype(1.0 / c2), method.epsilon
    for s in range(w.shape[0]):
        gs = factor * g[s]
        first[s] = b1 * first[s] + (one - b1) * gs
        second[s] = b2 * second[s] + (one - b2) * gs * gs
        w[s] = min(max(keep * w[s] - rate * first[s] / (np.sqrt(second[s] * root) + eps), low), high)


def for_member(opt: Any) -> Any:
    """An optimizer's arrays for one of several threads that update together: each counts for itself."""
    return opt._replace(done=opt.done.copy(), looks=opt.looks.copy()) if isinstance(opt, OptimizerArrays) else opt


class NoOptimizer(NamedTuple):
    """Stands for the optimizer in a compiled block that does not update: its code need not be compiled."""

    unused: int


@generic(1)
def update(opt, net, weights, grad, group, trials, lr64, team):
    """One update from accumulator `group` of the gradient (summed over trials); clears it. Equations (1) to (7).

    Where w_in and w_rec do not learn here their gradients are left alone: they may be the weights themselves.
    Each member of a team takes a share of the synapses, and absent ones onto its own neurons.
    """


@update.register(NoOptimizer)
def no_optimizer_update(opt, net, weights, grad, group, trials, lr64, team):
    return None


@update.register(OptimizerArrays)
def optimizer_update(opt, net, weights, grad, group, trials, lr64, team):
    as_dtype = weights.w_in.dtype.type
    lr = as_dtype(lr64)
    one = as_dtype(1)
    g_in, g_rec, g_out, g_b = grad.w_in[group], grad.w_rec[group], grad.w_out[group], grad.b_out[group]
    if opt.learns[0]:
        for s in net.absent_in:
            g_in[s] = 0
    if opt.learns[1]:
        for s in net.absent_rec:
            g_rec[s] = 0
    if not meet(team):  # a thread is missing, and no weight may change
        return
    factor = one / as_dtype(trials)
    watched = opt.clip_norm < np.inf or opt.look_every > 0
    if opt.clip_norm < np.inf or _is_looked_at(opt, g_b):
        total = _square_sum(opt.learns[0], g_in) + _square_sum(opt.learns[1], g_rec)
        total += _square_sum(opt.learns[2], g_out) + _square_sum(opt.learns[3], g_b)
        norm = np.sqrt(total) * np.float64(factor)
        _keep_norm(opt, norm)
        if norm > opt.clip_norm:
            factor = as_dtype(np.float64(factor) * np.float64(opt.clip_norm) / norm)  # (1)
    if watched:
        meet(team)  # before any thread clears its share of the gradient
    opt.done[0] += 1
    pace = Pace(factor, lr, one - lr * opt.weight_decay, opt.done[0])
    m, s2, low, high = opt.first, opt.second, opt.low, opt.high
    if opt.learns[0]:
        _share_of(team, opt.method, Matrix(weights.w_in, g_in, m.w_in, s2.w_in, low[0], high[0]), pace)
    if opt.learns[1]:
        _share_of(team, opt.method, Matrix(weights.w_rec, g_rec, m.w_rec, s2.w_rec, low[1], high[1]), pace)
    if leads(team):
        _readout(opt, weights, g_out, g_b, pace)
    meet(team)
    if opt.learns[0]:
        for s in net.absent_in:
            weights.w_in[s] = 0
    if opt.learns[1]:
        for s in net.absent_rec:
            weights.w_rec[s] = 0


@inlined
def _share_of(team, method, matrix, pace):
    """This thread's share of one flat matrix."""
    w, g, first, second = matrix.w, matrix.g, matrix.first, matrix.second
    a, b = share(team, w.shape[0])
    for c in range(a, b, CLEARED):  # g is cleared while it is in the cache
        d = min(b, c + CLEARED)
        step(method, Matrix(w[c:d], g[c:d], first[c:d], second[c:d], matrix.low, matrix.high), pace)
        g[c:d].fill(0)


@inlined
def _readout(opt, weights, g_out, g_b, pace):
    """Readout and feedback."""
    one = weights.w_out.dtype.type(1)
    m, s2, low, high = opt.first, opt.second, opt.low, opt.high
    if opt.learns[2]:
        step(opt.method, Matrix(weights.w_out, g_out, m.w_out, s2.w_out, low[2], high[2]), pace)
        if opt.feedback_decay >= 0:  # (7)
            fade = one - opt.feedback_decay
            step(opt.method, Matrix(weights.feedback, g_out, m.feedback, s2.feedback, low[2], high[2]), pace)
            for s in range(weights.w_out.shape[0]):
                weights.w_out[s] *= fade
                weights.feedback[s] *= fade
    if opt.learns[3]:
        not_decayed = Pace(pace.factor, pace.lr, one, pace.done)
        step(opt.method, Matrix(weights.b_out, g_b, m.b_out, s2.b_out, low[3], high[3]), not_decayed)
    g_out.fill(0)
    g_b.fill(0)


@device
def _square_sum(learns, g):
    return square_sum(g) if learns else 0.0


@device
def _is_looked_at(opt, g_b):
    """Whether this update is measured: the first, then more and more seldom.

    Steps without an error say nothing: the next update that has one is taken instead.
    """
    if opt.look_every == 0:
        return False
    opt.looks[0] += 1
    taught = False
    for k in range(g_b.shape[0]):
        taught |= g_b[k] != 0
    return taught and opt.looks[0] >= opt.looks[1]


@device
def _keep_norm(opt, norm):
    opt.looks[0], opt.looks[1] = 0, min(np.float64(opt.look_every), max(1.0, 2 * opt.looks[1]))
    if not (norm <= opt.looks[2]):  # also where it is not a number
        opt.looks[2] = norm


@kernel
def apply_gradient(opt, net, weights, grad, trials, team, lr, source=SOURCE):
    """Update from accumulator 0, which is summed over so many trials; clears it."""
    register = flush_denormals()
    update(opt, net, weights, grad, 0, trials, lr, team)
    restore(register)


@kernel
def sum_accumulators(grad, groups, source=SOURCE):
    """Add accumulators 1 .. groups-1 to accumulator 0 in order and clear them: threads do not change the sum."""
    for g in range(1, groups):
        _add_and_clear(grad.w_in[0], grad.w_in[g])
        _add_and_clear(grad.w_rec[0], grad.w_rec[g])
        _add_and_clear(grad.w_out[0], grad.w_out[g])
        _add_and_clear(grad.b_out[0], grad.b_out[g])


@device
def _add_and_clear(total, part):
    for s in range(total.shape[0]):
        total[s] += part[s]
        part[s] = 0
