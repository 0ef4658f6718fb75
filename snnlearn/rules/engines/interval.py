"""e-prop in streams at the price of its spikes: adjoints within an interval, traces carried across its borders.

The eligibility trace of i -> j is a linear recurrence whose coefficients depend on j and t only, so within an interval
[s, e) one pass back over each neuron gives what a unit arrival at step t earns, as in `adjoint.py`:

    lb_j[t] = kappa lb_j[t+1] + L_j[t]                                                                  (1)
    c_j[t]  = adjoint(scale lb_j[t] + reg_j[t]; neuron's own state, with adjoint state l_j)             (2)
    dE/dW_ij += pre_i[t] c_j[t]                                                                         (3)

A synapse keeps what the past means for the future: numbers k_x, dual to the rows x of the adjoint state l, and
r = kappa ebar, dual to lb. At the start of the interval they earn

    dE/dW_ij += sum_x k_x l_x,j[s] + r lb_j[s]                                                          (4)

and they become what the same pass gives for L = reg = 0 from unit terminal values, l_y[e] = 1 or lb[e] = 1:

    k_y <- sum_x k_x l(y)_x,j[s] + sum_t pre_i[t] c(y)_j[t];     r <- the same, + kappa^(e-s) r         (5)

For LIF and ALIF with a detached reset and a common alpha, k_0 = alpha eps_v is one number per source. The result is
that of the traces carried in place (`traces.py`) to rounding; the cost is a few passes over the synapses per
interval and two to four row additions per presynaptic spike, instead of a pass per step.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...compiler.dispatch import family, generic, inlined
from ...compiler.memory import zeros
from ...network.arrays import NetArrays
from ...network.projections import AHEAD, add_to_row, n_pre, prefetch_row, row_start, row_stop, target
from ...network.weights import FlatWeights
from ...neurons.alif import ALIFParams
from ...neurons.base import adjoint, prepare
from ...neurons.chain_rule import ChainParams, chain
from ...neurons.lif import LIFParams
from ..base import Carry, digest, learning_signal, readout_step
from ..tape import kept

SPAN = 128  # steps of an interval that are digested at a time: bounds the scratch


class Carried(NamedTuple):
    """What the synapses of one projection carry; X: rows of the adjoint state that need a number per synapse."""

    source: np.ndarray  # [trials, pre] k_0 where it is one number per source, else [trials, 0]
    synapse: np.ndarray  # [trials, X, synapses] the other k_x
    r: np.ndarray  # [trials, synapses]

    def copied(self) -> tuple[str, ...]:
        """What each of several threads on one trial keeps a copy of."""
        return ("source",)


class Arrival(NamedTuple):
    """A spike, or an input, that arrives at the synapses of its source."""

    trial: int
    source: int
    value: float
    at: int  # step of the span
    length: int  # steps of the span


class IntervalArrays(NamedTuple):
    """e-prop by intervals, as kernels see it; scratch serves one trial at a time."""

    params: Any
    carry: Carry
    reset_gradient: float  # 1 where the reset is differentiated, else 0
    learn_in: bool
    learn_rec: bool
    lam: np.ndarray  # [X + 2, D + 1, n] adjoint states: of the gradient, of each k_x, of r
    c: np.ndarray  # [X + 2, SPAN, n]
    gz: np.ndarray  # [n]
    lb: np.ndarray  # [n]
    row: np.ndarray  # [X + 1, longest row] scratch of (5)
    shift: int  # row of the adjoint state that the first number per synapse is dual to


def make_interval(
    net: NetArrays, weights: FlatWeights, reset_gradient: bool, trials: int, learns: np.ndarray, params: Any = None
) -> IntervalArrays:
    """Traces at zero. params : of the neurons, where the rule sees others than the network's."""
    dtype, n = weights.w_in.dtype, net.n
    p = chain(net.params, net.n_hidden, n, dtype) if params is None else params
    written_out = family(type(p)) in (LIFParams, ALIFParams)
    rows = net.n_hidden if written_out else net.n_hidden + 1  # of lam, that the model uses
    shared = written_out and not reset_gradient and net.one_alpha and net.one_zeta
    numbers = rows - shared

    def carried(sources: int, synapses: int) -> Carried:
        return Carried(
            zeros((trials, sources if shared else 0), dtype),
            zeros((trials, numbers, synapses), dtype),
            zeros((trials, synapses), dtype),
        )

    longest = max(net.proj_in.longest(), net.proj_rec.longest())
    return IntervalArrays(
        params=p,
        carry=Carry(
            w_in=carried(n_pre(net.proj_in), weights.w_in.size if learns[0] else 0),
            w_rec=carried(n_pre(net.proj_rec), weights.w_rec.size if learns[1] else 0),
            readout=zeros((trials, n), dtype),
            bias=zeros(trials, dtype),
        ),
        reset_gradient=dtype.type(reset_gradient),
        learn_in=bool(learns[0]),
        learn_rec=bool(learns[1]),
        lam=zeros((numbers + 2, net.n_hidden + 1, n), dtype),
        c=zeros((numbers + 2, SPAN, n), dtype),
        gz=zeros(n, dtype),
        lb=zeros(n, dtype),
        row=zeros((numbers + 1, longest), dtype),
        shift=int(shared),
    )


def widen(arrays: Any, longest: int) -> Any:
    """A rule's arrays with room for rows of so many synapses, where rows may become longer."""
    if not isinstance(arrays, IntervalArrays) or longest <= arrays.row.shape[1]:
        return arrays
    return arrays._replace(row=np.zeros((arrays.row.shape[0], longest), arrays.row.dtype))


@digest.register(IntervalArrays)
def interval_digest(rule, model, drive, tape, grad, span, start, stop):
    net, inputs, targets = model.net, drive.inputs, drive.targets
    for b in range(span.trials):
        end = min(stop, drive.inputs.steps[b])
        for first in range(start, end, SPAN):
            last = min(end, first + SPAN)
            _back(rule, model, tape, targets, span, b, first, last)
            for t in range(first, last):
                row = t - span.origin
                readout_step(rule.carry, net, tape, grad, b, span, row)
            if rule.learn_in:
                g, traces = grad.w_in[span.group], rule.carry.w_in
                _cross_border(rule, traces, net.proj_in, net.kappa, b, last - first, g)
                for t in range(first, last):
                    for event in range(inputs.indptr[b, t], inputs.indptr[b, t + 1]):
                        i, value = inputs.channel[event], inputs.value[event]
                        _arrive(rule, traces, net.proj_in, Arrival(b, i, value, t - first, last - first), g)
            if rule.learn_rec:
                g, traces, one = grad.w_rec[span.group], rule.carry.w_rec, rule.gz.dtype.type(1)
                _cross_border(rule, traces, net.proj_rec, net.kappa, b, last - first, g)
                for t in range(first, last):
                    row = t - span.origin
                    behind = tape.spike_ptr[b, row + 1]
                    for event in range(tape.spike_ptr[b, row], behind):
                        i = tape.spike_index[b, event]
                        if event + AHEAD < behind:
                            prefetch_row(net.proj_rec, tape.spike_index[b, event + AHEAD], g)
                        _arrive(rule, traces, net.proj_rec, Arrival(b, i, one, t - first, last - first), g)


@inlined
def _back(rule, model, tape, targets, span, b, first, last):
    """Equations (1) and (2) for the gradient and for each unit terminal value; c and the state at `first` remain."""
    net, weights, lam, lb, gz = model.net, model.weights, rule.lam, rule.lb, rule.gz
    runs, n, as_dtype = lam.shape[0], gz.shape[0], gz.dtype.type
    lam.fill(0)
    lb.fill(0)
    for x in range(runs - 2):
        lam[1 + x, x + rule.shift].fill(1)
    decay = as_dtype(1)
    for t in range(last - 1, first - 1, -1):
        row, at = t - span.origin, t - first
        psi, err = tape.psi[b, kept(row, tape.psi.shape[1])], tape.error[b, row]
        signal = tape.signal[b, kept(row, tape.signal.shape[1])]
        reg = tape.rate_signal[b, kept(row, tape.rate_signal.shape[1])]
        prepare(rule.params, psi, tape.local[b, kept(row, tape.local.shape[1])])
        learning_signal(targets, b, t, err, weights, signal)
        decay *= net.kappa
        for j in range(n):
            lb[j] = net.kappa * lb[j] + signal[j]  # (1)
            gz[j] = net.scale * lb[j] + reg[j]
        adjoint(rule.params, psi, gz, rule.reset_gradient, lam[0], rule.c[0, at])  # (2)
        gz.fill(0)
        for x in range(runs - 2):
            adjoint(rule.params, psi, gz, rule.reset_gradient, lam[1 + x], rule.c[1 + x, at])
        gz.fill(net.scale * decay)
        adjoint(rule.params, psi, gz, rule.reset_gradient, lam[runs - 1], rule.c[runs - 1, at])


@inlined
def _cross_border(rule, traces, proj, kappa, b, length, grad):
    """Equations (4) and (5) but for the arrivals: one pass over the synapses of a projection. In place."""
    lam, lb, shift, numbers = rule.lam, rule.lb, rule.shift, traces.synapse.shape[1]
    fade = lb.dtype.type(1)
    for _ in range(length):
        fade *= kappa
    for i in range(n_pre(proj)):
        start, stop = row_start(proj, i), row_stop(proj, i)
        g, r, size = grad[start:stop], traces.r[b, start:stop], stop - start
        first = traces.source[b, i] if shift == 1 else lb.dtype.type(0)
        for y in range(numbers + 1):
            new = rule.row[y]
            for k in range(size):
                new[k] = first * lam[1 + y, 0, target(proj, start, k)]
        for k in range(size):
            j = target(proj, start, k)
            g[k] += first * lam[0, 0, j] + r[k] * lb[j]  # (4)
            rule.row[numbers, k] += fade * r[k]  # (5)
        for x in range(numbers):
            old = traces.synapse[b, x, start:stop]
            for k in range(size):
                g[k] += old[k] * lam[0, x + shift, target(proj, start, k)]  # (4)
            for y in range(numbers + 1):
                new = rule.row[y]
                for k in range(size):
                    new[k] += old[k] * lam[1 + y, x + shift, target(proj, start, k)]  # (5)
        for x in range(numbers):
            old, new = traces.synapse[b, x, start:stop], rule.row[x]
            for k in range(size):
                old[k] = new[k]
        for k in range(size):
            r[k] = rule.row[numbers, k]
        if shift == 1:
            traces.source[b, i] = decayed(rule.params, length) * first


@inlined
def _arrive(rule, traces, proj, arrival, grad):
    """Equation (3) and an arrival's part of (5). In place."""
    b, i, value, at, numbers = arrival.trial, arrival.source, arrival.value, arrival.at, traces.synapse.shape[1]
    add_to_row(proj, i, value, rule.c[0, at], grad)
    for x in range(numbers):
        add_to_row(proj, i, value, rule.c[1 + x, at], traces.synapse[b, x])
    add_to_row(proj, i, value, rule.c[numbers + 1, at], traces.r[b])
    if rule.shift == 1:
        traces.source[b, i] += value * arrived(rule.params) * decayed(rule.params, arrival.length - at)


@generic(1, default=True)
def decayed(p, steps):
    """alpha ** steps, for neurons that share it."""
    return _power(p.alpha[0], steps)


@decayed.register(ChainParams)
def chain_decayed(p, steps):
    return p.own_spike  # not called: numbers per source are kept for LIF and ALIF only


@generic(1, default=True)
def arrived(p):
    """zeta, for neurons that share it."""
    return p.zeta[0]


@arrived.register(ChainParams)
def chain_arrived(p):
    return p.own_spike  # as above


@inlined
def _power(base, exponent):
    """By multiplication: `**` need not give the same bits on every machine."""
    result = base
    for _ in range(exponent - 1):
        result *= base
    return result
