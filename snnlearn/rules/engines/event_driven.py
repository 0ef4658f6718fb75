"""Strictly online e-prop that touches a synapse only when its source spikes.

Weights that change at every step need not be written at every step: a weight is read only when a spike arrives, so
it is brought up to date then. With a detached reset, one alpha and plain SGD, the gradient that a
synapse has earned meanwhile is a closed form of per-neuron running sums over a window that starts at step t0.

The hidden derivatives of a synapse i -> j between two arrivals are a_i, the trace of its source as it would be at t0, and,
for ALIF, what is left of its q (`traces.py`): with c constant, q[t] = c P_j[t] + a_i Q_j[t], where

    P_j[t+1] = (rho_j - psi_j[t] beta_j) P_j[t],  P_j[t0] = 1                                           (1)
    e1_j[t]  = psi_j[t] (zeta_j alpha^(t-t0) - beta_j Q_j[t]);   Q_j[t+1] = rho_j Q_j[t] + e1_j[t]      (2)
    e2_j[t]  = -psi_j[t] beta_j P_j[t]                                                                  (3)

so that e_ij[t] = a_i e1_j[t] + c e2_j[t]; LIF neurons have e1 alone. For both, x = 1, 2:

    A_j[t]  = sum_u L_j[u] kappa^(u-t0)             Hx_j[t] = kappa Hx_j[t-1] + ex_j[t]
    Bx_j[t] = sum_u L_j[u] Hx_j[u]                  Rx_j[t] = sum_u reg_j[u] ex_j[u]                    (4)

With s the last step that a row of synapses was brought to, c = (q[s] - a_i Q[s]) / P[s], Dx = x[t] - x[s] and

    base = ebar - scale (a_i H1[s] + c H2[s])                                                           (5)

the steps s+1 .. t earn and leave

    dE   = base kappa^(t0-s) DA + scale (a_i DB1 + c DB2) + a_i DR1 + c DR2                             (6)
    ebar <- kappa^(t-s) base + scale (a_i H1[t] + c H2[t]);   q <- c P[t] + a_i Q[t]                    (7)

and an arrival at t adds alpha^(t0-t) to a_i. The sums are float64. A window is so short that the powers, and 1/P, stay below
e^8; at its end every row is brought up to date, so weights are true whenever the block loop returns.
The same as traces in place, to rounding.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...compiler.dispatch import family, generic, inlined
from ...compiler.memory import zeros
from ...network.projections import n_pre, row_start, row_stop, target
from ...neurons.alif import ALIFParams

SHORTEST = 20  # steps of a window below which traces in place are cheaper
DECAYS = 8.0  # time constants of a window: what the powers in (6) cost in precision


class NoLazy(NamedTuple):
    """Stands for `Lazy` where a row must be touched at every step."""

    unused: int


class Lazy(NamedTuple):
    """Running sums of LIF neurons and where each row stands; scratch between calls of the block loop."""

    window: int  # steps
    sums: np.ndarray  # float64 [4, window + 1, n] A, H1, B1, R1; entry 0 is the step before the window
    decay: np.ndarray  # float64 [3, window + 2] powers of kappa, of alpha, and of 1/kappa from kappa on
    at: np.ndarray  # int64 [1] entry of the last step done
    in_: RowStates
    rec: RowStates


class LazyAdaptive(NamedTuple):
    """The same for ALIF neurons."""

    window: int
    sums: np.ndarray  # float64 [9, window + 1, n] A, H1, B1, R1, H2, B2, R2, P, Q
    decay: np.ndarray
    at: np.ndarray
    in_: RowStates
    rec: RowStates
    keeps: np.ndarray  # float64 [n] rho; 1 where beta is 0, so that P stays 1: q has no effect there
    adapts: np.ndarray  # float64 [n] 0 where beta is 0, else 1

    @property
    def splittable(self) -> bool:
        """Whether threads may share its neurons: not where windows end by the state of all of them."""
        return False


class RowStates(NamedTuple):
    """Where the rows of a projection stand."""

    since: np.ndarray  # int32 [pre] entry of the step that each row was brought to
    alive: np.ndarray  # uint8 [pre] whether something can have changed since: a trace of the row is not zero


class WeightRows(NamedTuple):
    """One weight matrix with all that belongs to its rows."""

    w: np.ndarray  # [synapses]
    proj: Any
    absent: np.ndarray  # positions of absent synapses
    traces: Any
    rows: RowStates


def make_lazy(net: Any, params: Any) -> Lazy | LazyAdaptive | NoLazy:
    """Room for the sums, or NoLazy where windows would be too short; `shortest_by_adaptation` has been asked before."""
    kappa, alpha, adaptive = float(net.kappa), float(params.alpha[0]), family(type(params)) is ALIFParams
    window = 0 if kappa <= 0.0 or alpha <= 0.0 else int(min(DECAYS / max(-np.log(min(kappa, alpha)), 1e-300), 1000))
    if window < SHORTEST:
        return NoLazy(0)
    steps = np.arange(window + 2)
    decay = np.stack([kappa**steps, alpha**steps, kappa ** (1.0 - steps)])
    in_, rec = (RowStates(zeros(n_pre(p), np.int32), zeros(n_pre(p), np.uint8)) for p in (net.proj_in, net.proj_rec))
    sums = zeros((9 if adaptive else 4, window + 1, net.n))
    if not adaptive:
        return Lazy(window, sums, decay, zeros(1, np.int64), in_, rec)
    adapts = params.beta != 0
    keeps = np.where(adapts, params.rho, 1.0)
    return LazyAdaptive(window, sums, decay, zeros(1, np.int64), in_, rec, keeps, adapts.astype(np.float64))


def shortest_by_adaptation(params: ALIFParams) -> float:
    """Steps until P of equation (1) has left e^-8 .. e^8, where psi is at its largest all the time."""
    adapts = params.beta != 0
    least = np.minimum(params.rho, params.rho - params.surrogate.height * params.beta)[adapts].astype(np.float64)
    most = np.maximum(params.rho, params.rho - params.surrogate.height * params.beta)[adapts].astype(np.float64)
    if least.size == 0:
        return np.inf
    if least.min() <= 0:
        return 0.0
    return float(DECAYS / max(-np.log(least.min()), np.log(most.max()), 1e-300))


@generic(1, inline=True)
def is_lazy(lazy):
    """Whether rows are brought up to date when they are read."""


@is_lazy.register(NoLazy)
def no_lazy_is_lazy(lazy):
    return False


@is_lazy.register(Lazy)
def lazy_is_lazy(lazy):
    return True


@is_lazy.register(LazyAdaptive)
def lazy_adaptive_is_lazy(lazy):
    return True


@generic(1, inline=True)
def catch_up(lazy, rule, model, inputs, tape, span, t):
    """Before step t: bring the rows that are about to be read to step t - 1, and count what arrives. In place."""


@catch_up.register(NoLazy)
def no_lazy_catch_up(lazy, rule, model, inputs, tape, span, t):
    return None


@catch_up.register(Lazy)
def lazy_catch_up(lazy, rule, model, inputs, tape, span, t):
    _catch_up(lazy, rule, model, inputs, tape, span, t)


@catch_up.register(LazyAdaptive)
def lazy_adaptive_catch_up(lazy, rule, model, inputs, tape, span, t):
    _catch_up(lazy, rule, model, inputs, tape, span, t)


@inlined
def _catch_up(lazy, rule, model, inputs, tape, span, t):
    if t == span.start or lazy.at[0] == lazy.window:
        _open(lazy, rule, model.net)
    row, one = t - span.origin, rule.carry.w_in.eps.dtype.type(1)
    net, weights, traces = model.net, model.weights, rule.carry
    if rule.learn_in:
        w_in = WeightRows(weights.w_in, net.proj_in, net.absent_in, traces.w_in, lazy.in_)
        for event in range(inputs.indptr[0, t], inputs.indptr[0, t + 1]):
            _arrive(lazy, rule, model.net.scale, w_in, inputs.channel[event], inputs.value[event])
    if rule.learn_rec:
        w_rec = WeightRows(weights.w_rec, net.proj_rec, net.absent_rec, traces.w_rec, lazy.rec)
        for event in range(tape.spike_ptr[0, row], tape.spike_ptr[0, row + 1]):
            _arrive(lazy, rule, model.net.scale, w_rec, tape.spike_index[0, event], one)


@inlined
def _arrive(lazy, rule, scale, matrix, i, value):
    _bring_up_to_date(lazy, rule, scale, matrix, i)
    matrix.rows.alive[i] = 1
    matrix.traces.eps[0, i] += value / lazy.decay[1, lazy.at[0]]  # times alpha^(t0-t)


@generic(1, inline=True)
def sum_up(lazy, rule, model, psi, signal, reg, last):
    """After a step: equations (1)-(4); at the end of the window, or where `last`, bring every row up to date. In place."""


@sum_up.register(NoLazy)
def no_lazy_sum_up(lazy, rule, model, psi, signal, reg, last):
    return None


@sum_up.register(Lazy)
def lazy_sum_up(lazy, rule, model, psi, signal, reg, last):
    at, zeta = lazy.at[0], rule.params.zeta
    A, H, B, R = lazy.sums[0], lazy.sums[1], lazy.sums[2], lazy.sums[3]
    kappa, k, a = lazy.decay[0, 1], lazy.decay[0, at], lazy.decay[1, at]
    for j in range(psi.shape[0]):
        e = a * zeta[j] * psi[j]  # (2)
        A[at + 1, j] = A[at, j] + k * signal[j]
        H[at + 1, j] = kappa * H[at, j] + e
        B[at + 1, j] = B[at, j] + signal[j] * H[at + 1, j]
        R[at + 1, j] = R[at, j] + reg[j] * e
    lazy.at[0] = at + 1
    if last or at + 1 == lazy.window:
        _close(lazy, rule, model)


@sum_up.register(LazyAdaptive)
def lazy_adaptive_sum_up(lazy, rule, model, psi, signal, reg, last):
    at, zeta, beta, s = lazy.at[0], rule.params.zeta, rule.params.beta, lazy.sums
    kappa, k, a = lazy.decay[0, 1], lazy.decay[0, at], lazy.decay[1, at]
    least, most = 1.0, 1.0
    for j in range(psi.shape[0]):
        P, Q = s[7, at, j], s[8, at, j]
        e1, e2 = psi[j] * (a * zeta[j] - beta[j] * Q), -(psi[j] * beta[j]) * P  # (2) (3)
        s[0, at + 1, j] = s[0, at, j] + k * signal[j]
        h1, h2 = kappa * s[1, at, j] + e1, kappa * s[4, at, j] + e2  # (4)
        s[1, at + 1, j] = h1
        s[2, at + 1, j] = s[2, at, j] + signal[j] * h1
        s[3, at + 1, j] = s[3, at, j] + reg[j] * e1
        s[4, at + 1, j] = h2
        s[5, at + 1, j] = s[5, at, j] + signal[j] * h2
        s[6, at + 1, j] = s[6, at, j] + reg[j] * e2
        P = lazy.keeps[j] * P + e2  # (1)
        s[7, at + 1, j] = P
        s[8, at + 1, j] = lazy.keeps[j] * Q + lazy.adapts[j] * e1
        least, most = min(least, P), max(most, P)
    lazy.at[0] = at + 1
    if last or at + 1 == lazy.window or least < np.exp(-DECAYS) or most > np.exp(DECAYS):
        _close(lazy, rule, model)
        if not last:
            _open(lazy, rule, model.net)


@inlined
def _open(lazy, rule, net):
    """A window starts: traces stand at its first step."""
    lazy.at[0] = 0
    _wake(lazy.in_, rule.carry.w_in, net.proj_in)
    _wake(lazy.rec, rule.carry.w_rec, net.proj_rec)
    for x in range(lazy.sums.shape[0]):
        for j in range(lazy.sums.shape[2]):
            lazy.sums[x, 0, j] = x == 7  # P


@inlined
def _wake(rows, traces, proj):
    """RowStates whose traces are not all zero; a trace that is left ends such a row's search at once."""
    for i in range(rows.since.shape[0]):
        alive = traces.eps[0, i] != 0
        for m in range(row_start(proj, i), row_stop(proj, i) if traces.ebar.shape[1] > 0 else 0):
            if alive:
                break
            alive = traces.ebar[0, m] != 0 or (traces.q.shape[1] > 0 and traces.q[0, m] != 0)
        rows.since[i], rows.alive[i] = 0, alive


@inlined
def _close(lazy, rule, model):
    """Every row to the last step of the window; traces of sources as the next step finds them."""
    net, weights, traces = model.net, model.weights, rule.carry
    if rule.learn_in:
        _close_rows(lazy, rule, net.scale, WeightRows(weights.w_in, net.proj_in, net.absent_in, traces.w_in, lazy.in_))
    if rule.learn_rec:
        _close_rows(lazy, rule, net.scale, WeightRows(weights.w_rec, net.proj_rec, net.absent_rec, traces.w_rec, lazy.rec))


@inlined
def _close_rows(lazy, rule, scale, matrix):
    for i in range(matrix.rows.since.shape[0]):
        _bring_up_to_date(lazy, rule, scale, matrix, i)
        matrix.traces.eps[0, i] *= lazy.decay[1, lazy.at[0]]


@inlined
def _bring_up_to_date(lazy, rule, scale, matrix, i):
    """Row i to the entry of the last step done. In place."""
    rows, proj, absent = matrix.rows, matrix.proj, matrix.absent
    if rows.alive[i] != 0 and rows.since[i] != lazy.at[0]:
        start, stop = row_start(proj, i), row_stop(proj, i)
        receive_gradient(lazy, rule, scale, matrix, i)
        m = _first_from(absent, start)
        while m < absent.shape[0] and absent[m] < stop:
            matrix.w[absent[m]] = 0
            m += 1
    rows.since[i] = lazy.at[0]


@generic(1, inline=True)
def receive_gradient(lazy, rule, scale, matrix, i):
    """Equations (5)-(7) for the weights of source i, from where the row stands to the last step done. In place."""


@receive_gradient.register(Lazy)
def lazy_receive_gradient(lazy, rule, scale, matrix, i):
    proj, traces, s, at = matrix.proj, matrix.traces, matrix.rows.since[i], lazy.at[0]
    start, stop, a, factor = row_start(proj, i), row_stop(proj, i), np.float64(traces.eps[0, i]), rule.factor
    row, ebar, through = matrix.w[start:stop], traces.ebar[0, start:stop], scale * a
    A, H, B, R = lazy.sums[0, at], lazy.sums[1, at], lazy.sums[2, at], lazy.sums[3, at]
    A0, H0, B0, R0 = lazy.sums[0, s], lazy.sums[1, s], lazy.sums[2, s], lazy.sums[3, s]
    k, fade = lazy.decay[2, s], lazy.decay[0, at - s]
    for m in range(row.shape[0]):
        j = target(proj, start, m)
        base = ebar[m] - through * H0[j]  # (5)
        earned = base * k * (A[j] - A0[j]) + through * (B[j] - B0[j]) + a * (R[j] - R0[j])  # (6)
        row[m] += factor * earned
        ebar[m] = fade * base + through * H[j]  # (7)


@receive_gradient.register(LazyAdaptive)
def lazy_adaptive_receive_gradient(lazy, rule, scale, matrix, i):
    proj, traces, s, at = matrix.proj, matrix.traces, matrix.rows.since[i], lazy.at[0]
    start, stop, a, factor = row_start(proj, i), row_stop(proj, i), np.float64(traces.eps[0, i]), rule.factor
    row, ebar, q, scale = matrix.w[start:stop], traces.ebar[0, start:stop], traces.q[0, start:stop], np.float64(scale)
    now, then = lazy.sums[:, at], lazy.sums[:, s]
    k, fade = lazy.decay[2, s], lazy.decay[0, at - s]
    for m in range(row.shape[0]):
        j = target(proj, start, m)
        c = (q[m] - a * then[8, j]) / then[7, j]
        base = ebar[m] - scale * (a * then[1, j] + c * then[4, j])  # (5)
        earned = base * k * (now[0, j] - then[0, j])
        earned += scale * (a * (now[2, j] - then[2, j]) + c * (now[5, j] - then[5, j]))
        earned += a * (now[3, j] - then[3, j]) + c * (now[6, j] - then[6, j])  # (6)
        row[m] += factor * earned
        ebar[m] = fade * base + scale * (a * now[1, j] + c * now[4, j])
        q[m] = c * now[7, j] + a * now[8, j]  # (7)


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
