"""Strictly online e-prop that touches a synapse only when its source spikes.

Weights that change at every step need not be written at every step: a weight is read only when a spike arrives, so
it is brought up to date then. For LIF neurons with a detached reset and plain SGD the gradient that a synapse has
earned meanwhile is a closed form of per-neuron running sums over a window that starts at step t0:

    A_j[t] = sum_u L_j[u] kappa^(u-t0)            H_j[t] = kappa H_j[t-1] + psi_j[t] alpha^(t-t0)
    B_j[t] = sum_u L_j[u] H_j[u]                  R_j[t] = sum_u reg_j[u] psi_j[u] alpha^(u-t0)                 (1)

With s the last step that a row of synapses was brought to, a_i the trace of its source as it would be at t0, and
k = kappa^(t0-s), the steps s+1 .. t earn and leave

    dA = A[t] - A[s];  dE = ebar k dA + scale zeta a_i (B[t] - B[s] - k H[s] dA) + zeta a_i (R[t] - R[s])       (2)
    ebar <- kappa^(t-s) ebar + scale zeta a_i (H[t] - kappa^(t-s) H[s])                                         (3)

and an arrival at t adds alpha^(t0-t) to a_i. The sums are float64; the window is so short that the powers stay
below e^8, and at its end every row is brought up to date, so weights are true whenever the block loop returns.
The same as traces in place, to rounding.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._jit import generic, inlined
from ..connectivity import n_pre, row_start, target

SHORTEST = 20  # steps of a window below which traces in place are cheaper
DECAYS = 8.0  # time constants of a window: what the powers in (2) cost in precision


class NoLazy(NamedTuple):
    """Stands for `Lazy` where a row must be touched at every step."""

    unused: int


class Lazy(NamedTuple):
    """Running sums and where each row stands; scratch between calls of the block loop."""

    window: int  # steps
    sums: np.ndarray  # float64 [4, window + 1, n] A, B, H, R; entry 0 is the step before the window
    decay: np.ndarray  # float64 [3, window + 2] powers of kappa, of alpha, and of 1/kappa from kappa on
    at: np.ndarray  # int64 [1] entry of the last step done
    since_in: np.ndarray  # int32 [n_inputs] entry of the step that each row was brought to
    since_rec: np.ndarray  # int32 [n]


def make_lazy(net: Any, alpha: float) -> Lazy | NoLazy:
    """Room for the sums, or NoLazy where the window would be too short."""
    kappa = float(net.kappa)
    window = 0 if kappa <= 0.0 or alpha <= 0.0 else int(min(DECAYS / -np.log(max(min(kappa, alpha), 1e-300)), 1000))
    if window < SHORTEST:
        return NoLazy(0)
    steps = np.arange(window + 2)
    decay = np.stack([kappa**steps, alpha**steps, kappa ** (1.0 - steps)])
    counts = (np.zeros(n_pre(p), np.int32) for p in (net.proj_in, net.proj_rec))
    return Lazy(window, np.zeros((4, window + 1, net.n)), decay, np.zeros(1, np.int64), *counts)


@generic(1, inline=True)
def is_lazy(lazy):
    """Whether rows are brought up to date when they are read."""


@is_lazy.register(NoLazy)
def _(lazy):
    return False


@is_lazy.register(Lazy)
def _(lazy):
    return True


@generic(1, inline=True)
def catch_up(lazy, rule, net, weights, tape, inputs, span, t):
    """Before step t: bring the rows that are about to be read to step t - 1, and count what arrives. In place."""


@catch_up.register(NoLazy)
def _(lazy, rule, net, weights, tape, inputs, span, t):
    return None


@catch_up.register(Lazy)
def _(lazy, rule, net, weights, tape, inputs, span, t):
    if t == span.start or lazy.at[0] == lazy.window:
        _open(lazy)
    row, at, zeta = t - span.origin, lazy.at[0], rule.params.zeta[0]
    up = 1.0 / lazy.decay[1, at]  # alpha^(t0-t)
    if rule.learn_in:
        traces, absent = rule.carry.w_in, net.absent_in
        for event in range(inputs.indptr[0, t], inputs.indptr[0, t + 1]):
            i = inputs.channel[event]
            _sync(lazy, lazy.since_in, traces, net.proj_in, absent, i, at, net.scale, zeta, rule.factor, weights.w_in)
            traces.eps[0, i] += inputs.value[event] * up
    if rule.learn_rec:
        traces, absent = rule.carry.w_rec, net.absent_rec
        for event in range(tape.spike_ptr[0, row], tape.spike_ptr[0, row + 1]):
            i = tape.spike_index[0, event]
            _sync(lazy, lazy.since_rec, traces, net.proj_rec, absent, i, at, net.scale, zeta, rule.factor, weights.w_rec)
            traces.eps[0, i] += up


@generic(1, inline=True)
def sum_up(lazy, rule, net, weights, psi, signal, reg, last):
    """After a step: equation (1); at the end of the window, or where `last`, bring every row up to date. In place."""


@sum_up.register(NoLazy)
def _(lazy, rule, net, weights, psi, signal, reg, last):
    return None


@sum_up.register(Lazy)
def _(lazy, rule, net, weights, psi, signal, reg, last):
    at = lazy.at[0]
    A, B, H, R = lazy.sums[0], lazy.sums[1], lazy.sums[2], lazy.sums[3]
    kappa, k, a = lazy.decay[0, 1], lazy.decay[0, at], lazy.decay[1, at]
    for j in range(psi.shape[0]):
        A[at + 1, j] = A[at, j] + k * signal[j]
        H[at + 1, j] = kappa * H[at, j] + a * psi[j]
        B[at + 1, j] = B[at, j] + signal[j] * H[at + 1, j]
        R[at + 1, j] = R[at, j] + a * reg[j] * psi[j]
    lazy.at[0] = at + 1
    if last or at + 1 == lazy.window:
        if rule.learn_in:
            _close(lazy, rule, net, lazy.since_in, rule.carry.w_in, net.proj_in, net.absent_in, weights.w_in)
        if rule.learn_rec:
            _close(lazy, rule, net, lazy.since_rec, rule.carry.w_rec, net.proj_rec, net.absent_rec, weights.w_rec)


@inlined
def _open(lazy):
    """A window starts: traces stand at its first step."""
    lazy.at[0] = 0
    lazy.since_in.fill(0)
    lazy.since_rec.fill(0)
    for x in range(4):
        for j in range(lazy.sums.shape[2]):
            lazy.sums[x, 0, j] = 0


@inlined
def _close(lazy, rule, net, since, traces, proj, absent, w):
    """Every row to the last step of the window; traces of sources as the next step finds them."""
    at, zeta = lazy.at[0], rule.params.zeta[0]
    for i in range(traces.eps.shape[1]):
        if traces.eps[0, i] != 0:
            _sync(lazy, since, traces, proj, absent, i, at, net.scale, zeta, rule.factor, w)
            traces.eps[0, i] *= lazy.decay[1, at]


@inlined
def _sync(lazy, since, traces, proj, absent, i, at, scale, zeta, factor, w):
    """Equations (2) and (3) for row i, from entry since[i] to entry `at` of the sums. In place."""
    s, a, sums, decay = since[i], np.float64(traces.eps[0, i]), lazy.sums, lazy.decay
    if s != at and a != 0:
        start, stop = row_start(proj, i), row_start(proj, i + 1)
        row, ebar = w[start:stop], traces.ebar[0, start:stop]
        A, B, H, R = sums[0, at], sums[1, at], sums[2, at], sums[3, at]
        A0, B0, H0, R0 = sums[0, s], sums[1, s], sums[2, s], sums[3, s]
        k, fade, through, beside = decay[2, s], decay[0, at - s], scale * zeta * a, zeta * a
        for m in range(row.shape[0]):
            j = target(proj, start, m)
            da = k * (A[j] - A0[j])
            earned = ebar[m] * da + through * (B[j] - B0[j] - H0[j] * da) + beside * (R[j] - R0[j])
            row[m] += factor * earned
            ebar[m] = fade * ebar[m] + through * (H[j] - fade * H0[j])
        m = _first_from(absent, start)
        while m < absent.shape[0] and absent[m] < stop:
            w[absent[m]] = 0
            m += 1
    since[i] = at


@inlined
def _first_from(positions, start):
    """The index of the first of sorted positions that is not below start."""
    low, high = 0, positions.shape[0]
    while low < high:
        middle = (low + high) // 2
        if positions[middle] < start:
            low = middle + 1
        else:
            high = middle
    return low
