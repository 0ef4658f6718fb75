"""Unbiased online recurrent optimisation (Tallec & Ollivier 2017, arXiv 1702.05043), for spiking neurons.

RTRL's influence of all weights on all that the network carries, x = (hidden state, spikes in flight, readout), is
replaced by one outer product X (x) W whose mean over random signs nu is the influence. With F the derivative of
a step by x, and the direct action of the weights on the currents written as sum_j b_j (x) pre_i:

    X'       = F X;   D = sum_j nu_j b_j;   w_ij = nu_j pre_i                                           (1)
    r0       = sqrt(|W| / |X'|),  r1 = sqrt(|w| / |D|)                       smallest variance          (2)
    X       <- r0 X' + r1 D;   W_ij <- W_ij / r0 + w_ij / r1                                            (3)
    dE/dW_ij += ( sum_k err_k Xy_k[t] + sum_j reg_j Xz_j[t] ) W_ij                                      (4)

nu_j[t] is +1 or -1 with equal probability, independent over j and t, so cross terms vanish in the mean: E[X (x) W]
is RTRL's influence, hence the gradient is unbiased where the weights do not change. O(n + synapses) memory,
O(recurrent synapses + input synapses) time a step: as cheap as e-prop, exact in the mean, and noisy.
It has one engine, in this file, for trials and streams.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import _check
from ..compiler.dispatch import inlined, summing
from ..network.arrays import NetArrays
from ..network.projections import add_row, n_pre, row_start, row_stop, target
from ..network.weights import FlatWeights
from ..neurons.base import SpikeTangents, prepare, tangent
from ..neurons.chain_rule import chain
from ..optimizers.random_numbers import mix
from .base import Rule, digest, readout_step
from .tape import kept


class RankOne(NamedTuple):
    """What UORO carries forward."""

    clock: np.ndarray  # int64 [trials] steps so far
    hidden: np.ndarray  # [trials, D, n] X of the hidden state
    z: np.ndarray  # [trials, delay + 1, n] X of spikes, a ring over steps
    y: np.ndarray  # [trials, n_out] X of the readout
    w_in: np.ndarray  # [trials, synapses] W
    w_rec: np.ndarray  # [trials, synapses]
    square: np.ndarray  # float64 [trials] |W|^2
    readout: np.ndarray  # [trials, n]
    bias: np.ndarray  # [trials]


class UOROArrays(NamedTuple):
    """UORO as kernels see it; scratch serves one trial at a time."""

    params: Any
    carry: RankOne
    reset_gradient: float  # 1 where the reset is differentiated, else 0
    seed: np.uint64
    learn_in: bool
    learn_rec: bool
    current: np.ndarray  # [n] scratch
    kick: np.ndarray  # [D, n] scratch, D of (1) for the hidden state
    kick_z: np.ndarray  # [n] scratch, D for the spikes of this step
    rest: np.ndarray  # [n] zeros
    sign: np.ndarray  # [n] scratch, nu
    pre_in: np.ndarray  # [n_inputs] scratch
    pre_rec: np.ndarray  # [n] scratch


@dataclass(frozen=True, eq=False)
class UORO(Rule):
    """Unbiased online recurrent optimisation (Tallec & Ollivier 2017): RTRL in the mean, at the cost of e-prop.

    seed : of the random signs (which also depend on the trial and the step) and of random feedback
    reset_gradient : differentiate the reset
    feedback, feedback_decay : see `Rule`
    """

    reset_gradient: bool = True

    causal: ClassVar[bool] = True
    draws: ClassVar[bool] = True

    def __init__(self, seed: int = 0, feedback: Any = "symmetric", reset_gradient: bool = True, feedback_decay: float = 1e-3):
        values = {"seed": seed, "feedback": feedback, "reset_gradient": reset_gradient, "feedback_decay": feedback_decay}
        for key, value in values.items():
            object.__setattr__(self, key, value)
        super().__post_init__()
        _check.flag("UORO.reset_gradient", reset_gradient)
        _check.integer("UORO.seed", seed, "be a whole number of 64 bits, not negative", 0, 2**64 - 1)

    def rewires(self, direction: str) -> bool:
        """Always: of the two factors, W stands by synapse. Its norm in (2) is then that before they moved, for a step."""
        return True

    def direction(self, interval: int | None, streaming: bool, signal: bool) -> str:
        """See `Rule.direction`."""
        if signal:
            raise _check.fail("UORO", "get targets or an error", "a learning signal", "EProp takes one")
        return "forward"

    def arrays(self, net: NetArrays, weights: FlatWeights, direction: str, trials: int, learns: np.ndarray) -> UOROArrays:
        """Both factors at zero."""
        n, dtype = net.n, weights.w_in.dtype
        return UOROArrays(
            params=chain(net.params, net.n_hidden, n, dtype),
            carry=RankOne(
                clock=np.zeros(trials, np.int64),
                hidden=np.zeros((trials, net.n_hidden, n), dtype),
                z=np.zeros((trials, net.delay + 1, n), dtype),
                y=np.zeros((trials, net.n_out), dtype),
                w_in=np.zeros((trials, weights.w_in.size if learns[0] else 0), dtype),
                w_rec=np.zeros((trials, weights.w_rec.size if learns[1] else 0), dtype),
                square=np.zeros(trials),
                readout=np.zeros((trials, n), dtype),
                bias=np.zeros(trials, dtype),
            ),
            reset_gradient=dtype.type(self.follows_reset),
            seed=np.uint64(self.seed),
            learn_in=bool(learns[0]),
            learn_rec=bool(learns[1]),
            current=np.zeros(n, dtype),
            kick=np.zeros((net.n_hidden, n), dtype),
            kick_z=np.zeros(n, dtype),
            rest=np.zeros(n, dtype),
            sign=np.zeros(n, dtype),
            pre_in=np.zeros(n_pre(net.proj_in), dtype),
            pre_rec=np.zeros(n, dtype),
        )


@digest.register(UOROArrays)
def uoro_digest(rule, model, drive, tape, grad, span, start, stop):
    net, inputs = model.net, drive.inputs
    carry, g_in, g_rec = rule.carry, grad.w_in[span.group], grad.w_rec[span.group]
    for b in range(span.trials):
        for t in range(start, min(stop, inputs.steps[b])):
            row = t - span.origin
            psi = tape.psi[b, kept(row, tape.psi.shape[1])]
            prepare(rule.params, psi, tape.local[b, kept(row, tape.local.shape[1])])
            _signs(rule, span.number + b, carry.clock[b])
            energy = _sources(rule, net, tape, inputs, b, row, t)
            keep, add, earned = _state_step(rule, model, tape, b, row, energy)
            carry.square[b] = 0
            if rule.learn_in:
                carry.square[b] += _weight_step(net.proj_in, carry.w_in[b], rule.sign, rule.pre_in, keep, add, earned, g_in)
            if rule.learn_rec:
                carry.square[b] += _weight_step(net.proj_rec, carry.w_rec[b], rule.sign, rule.pre_rec, keep, add, earned, g_rec)
            readout_step(carry, net, tape, grad, b, span, row)
            carry.clock[b] += 1


@inlined
def _signs(rule, trial, step):
    """nu of a step: a pure function of seed, trial and step, so that a run that is resumed draws the same again."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    key = mix(mix(mix(rule.seed + golden) + np.uint64(trial) + golden) + np.uint64(step) + golden)
    for j in range(rule.sign.shape[0]):
        bit = mix(key + np.uint64(j + 1) * golden) >> np.uint64(63)
        rule.sign[j] = 1 if bit != 0 else -1


@inlined
def _sources(rule, net, tape, inputs, b, row, t):
    """What arrives at step t, by source; returns |w|^2 of (1)."""
    rule.pre_in.fill(0)
    rule.pre_rec.fill(0)
    for event in range(inputs.indptr[b, t], inputs.indptr[b, t + 1]):
        rule.pre_in[inputs.channel[event]] += inputs.value[event]
    for event in range(tape.spike_ptr[b, row], tape.spike_ptr[b, row + 1]):
        rule.pre_rec[tape.spike_index[b, event]] += 1
    energy = 0.0
    if rule.learn_in:
        energy += _energy(net.proj_in, rule.pre_in)
    if rule.learn_rec:
        energy += _energy(net.proj_rec, rule.pre_rec)
    return energy


@inlined
def _energy(proj, pre):
    """Sum over synapses of pre_i squared."""
    total = 0.0
    for i in range(pre.shape[0]):
        if pre[i] != 0:
            total += np.float64(pre[i]) * pre[i] * (row_stop(proj, i) - row_start(proj, i))
    return total


@inlined
def _state_step(rule, model, tape, b, row, energy):
    """Equations (1) to (3) for X; returns what W is to be multiplied by, 1/r1, and the factor of (4)."""
    net, weights, carry, kick, kick_z = model.net, model.weights, rule.carry, rule.kick, rule.kick_z
    w_feedback = weights.feedback if weights.feedback.shape[0] > 0 else weights.w_out
    psi, err = tape.psi[b, kept(row, tape.psi.shape[1])], tape.error[b, row]
    reg = tape.rate_signal[b, kept(row, tape.rate_signal.shape[1])]
    hidden, ring, n = carry.hidden[b], carry.z.shape[1], psi.shape[0]
    now, before, delayed = carry.clock[b] % ring, (carry.clock[b] + ring - 1) % ring, (carry.clock[b] + 1) % ring
    z, last, y = carry.z[b, now], carry.z[b, before], carry.y[b]
    rule.current.fill(0)
    for q in range(n):
        if carry.z[b, delayed, q] != 0:
            add_row(net.proj_rec, q, carry.z[b, delayed, q], weights.w_rec, rule.current)
    kick.fill(0)
    for l in range(n):
        one, sign = rule.current[l : l + 1], rule.sign[l : l + 1]
        tangent(rule.params, l, psi[l], rule.reset_gradient, one, hidden, l, SpikeTangents(last[l : l + 1], z[l : l + 1]))  # (1)
        spikes = SpikeTangents(rule.rest[l : l + 1], kick_z[l : l + 1])
        tangent(rule.params, l, psi[l], rule.reset_gradient, sign, kick, l, spikes)  # (1)
    moved, kicked = _square(hidden), _square(kick) + _square_of(kick_z)
    for d in range(ring):
        if d != delayed:  # what leaves the ring matters no more
            moved += _square_of(carry.z[b, d])
    r0, keep, r1, add = 0.0, 0.0, 0.0, 0.0
    for k in range(y.shape[0]):
        push, kick_y = 0.0, 0.0
        for j in range(n):
            push += w_feedback[j * net.n_out + k] * z[j]
            kick_y += w_feedback[j * net.n_out + k] * kick_z[j]
        y[k] = net.kappa * y[k] + net.scale * push
        moved += np.float64(y[k]) * y[k]
        kicked += (net.scale * kick_y) ** 2
    if moved > 0 and carry.square[b] > 0:  # else the product is zero
        r0 = (carry.square[b] / moved) ** 0.25  # (2)
        keep = 1.0 / r0
    if kicked > 0 and energy > 0:
        r1 = (energy / kicked) ** 0.25  # (2)
        add = 1.0 / r1
    earned = 0.0
    as_dtype = z.dtype.type
    s0, s1 = as_dtype(r0), as_dtype(r1)
    for d in range(hidden.shape[0]):
        for j in range(n):
            hidden[d, j] = s0 * hidden[d, j] + s1 * kick[d, j]  # (3)
    for d in range(ring):
        for j in range(n):
            carry.z[b, d, j] *= s0
    for j in range(n):
        z[j] += s1 * kick_z[j]  # (3)
        earned += reg[j] * z[j]
    for k in range(y.shape[0]):
        kick_y = 0.0
        for j in range(n):
            kick_y += w_feedback[j * net.n_out + k] * kick_z[j]
        y[k] = s0 * y[k] + s1 * as_dtype(net.scale * kick_y)  # (3)
        earned += err[k] * y[k]
    return as_dtype(keep), as_dtype(add), as_dtype(earned)


@summing
def _square_of(x):
    total = 0.0
    for j in range(x.shape[0]):
        total += np.float64(x[j]) * x[j]
    return total


@inlined
def _square(x):
    total = 0.0
    for d in range(x.shape[0]):
        total += _square_of(x[d])
    return total


@inlined
def _weight_step(proj, w, sign, pre, keep, add, earned, grad):
    """Equations (3) for W and (4), one pass over the synapses; returns the new |W|^2. In place."""
    total = 0.0
    for i in range(pre.shape[0]):
        start, stop = row_start(proj, i), row_stop(proj, i)
        row, g = w[start:stop], grad[start:stop]
        if pre[i] != 0:
            for k in range(row.shape[0]):
                row[k] = keep * row[k] + add * pre[i] * sign[target(proj, start, k)]
        else:
            for k in range(row.shape[0]):
                row[k] *= keep
        for k in range(row.shape[0]):
            g[k] += earned * row[k]
        total += _square_of(row)
    return total
