"""Eligibility traces of e-prop, carried forward in place (Bellec et al. 2020, eqs 2-4, 13, 21-25).

    eps_v_ij[t] = alpha_j eps_v_ij[t-1] + zeta_j pre_i[t]  ( - thr_j e_ij[t-1] with reset_gradient )     (1)
    eps_a_ij[t] = rho_j eps_a_ij[t-1] + e_ij[t-1]                                          (ALIF)       (2)
    e_ij[t]     = psi_j[t] ( eps_v_ij[t] - beta_j eps_a_ij[t] )                                         (3)
    ebar_ij[t]  = kappa ebar_ij[t-1] + scale e_ij[t]                                                    (4)
    L_j[t]      = sum_k B_jk err_k[t]                                                                   (5)
    dE/dW_ij   += L_j[t] ebar_ij[t] + reg_j[t] e_ij[t]                                                  (6)
    s_j[t]      = kappa s_j[t-1] + scale z_j[t];   dE/dW_out_jk += err_k[t] s_j[t]                      (7)

pre_i[t] is x_i[t] or z_i[t-delay]. Causal and local; it drops every crossing of a recurrent synapse, so it
equals BPTT where w_rec = 0 (and the reset is treated alike).

Where alpha is common to all neurons and the reset is detached, eps_v_ij = zeta_j eps_i factorises and one
number per source suffices (`SourceTraces`); otherwise it is kept per synapse (`SynapseTraces`). Traces are
stored as the next step finds them: eps after its decay, q = rho eps_a + e. With plain SGD at every step the
weights themselves take the place of the gradient, with L and reg times minus the learning rate: one pass over
the synapses a step, or none where a row can be brought up to date when it is read (`event_driven.py`). Models
without kernels of their own carry the derivative of their whole hidden state per synapse (`StateTraces`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...compiler.dispatch import distinct, family, generic, inlined
from ...compiler.memory import zeros
from ...network.arrays import NetArrays
from ...network.projections import n_pre, row_start, row_stop, target
from ...network.weights import FlatWeights
from ...neurons.alif import ALIFParams
from ...neurons.base import prepare
from ...neurons.chain_rule import ChainParams, general
from ...neurons.lif import LIFParams
from ..base import Carry, any_set, before, digest, learning_signal, readout_step
from ..tape import kept
from .event_driven import SHORTEST, NoLazy, catch_up, is_lazy, make_lazy, shortest_by_adaptation, sum_up


class SourceTraces(NamedTuple):
    """Traces of one projection where eps_v factorises."""

    eps: np.ndarray  # [trials, pre]
    q: np.ndarray  # [trials, synapses], or [trials, 0] for LIF
    ebar: np.ndarray  # [trials, synapses]

    def copied(self) -> tuple[str, ...]:
        """What each of several threads on one trial keeps a copy of."""
        return ("eps",)


class SynapseTraces(NamedTuple):
    """Traces of one projection in the general case."""

    eps: np.ndarray  # [trials, synapses]
    q: np.ndarray  # [trials, synapses], or [trials, 0] for LIF
    ebar: np.ndarray  # [trials, synapses]

    def copied(self) -> tuple[str, ...]:
        """What each of several threads on one trial keeps a copy of."""
        return ()


class StateTraces(NamedTuple):
    """Traces of one projection for any model: the derivative of the hidden state by each weight."""

    pre: np.ndarray  # [trials, pre] what arrives in this step
    eps: np.ndarray  # [trials, D, synapses]
    e: np.ndarray  # [trials, synapses]
    ebar: np.ndarray  # [trials, synapses]

    def copied(self) -> tuple[str, ...]:
        """What each of several threads on one trial keeps a copy of."""
        return ("pre",)


class TraceStep(NamedTuple):
    """What a step has for all synapses alike."""

    psi: np.ndarray  # [n]
    scaled: np.ndarray  # [4, n] factor times L and reg, psi zeta, psi beta
    regular: bool  # whether reg has an entry that is not zero
    reset_gradient: float  # 1 where the reset is differentiated, else 0
    kappa: float
    scale: float


class EligibilityArrays(NamedTuple):
    """e-prop carried forward, as kernels see it."""

    params: Any  # of the neurons, as the rule sees them
    carry: Carry
    reset_gradient: float  # 1 where the reset is differentiated, else 0
    factor: float  # of (6): 1, or minus the learning rate where `grad` is the weights themselves
    scaled: np.ndarray  # [4, n] scratch of a step: factor times L and reg, psi zeta, psi beta
    lazy: Any  # `Lazy` where rows can be brought up to date when they are read, else NoLazy
    on_read: bool  # whether they are, in this call
    learn_in: bool
    learn_rec: bool


def make_eligibility(
    net: NetArrays, weights: FlatWeights, reset_gradient: bool, trials: int, learns: np.ndarray, params: Any = None
) -> EligibilityArrays:
    """Traces at zero, in the smallest shape that the configuration allows."""
    dtype, n = weights.w_in.dtype, net.n
    p = net.params if params is None else params
    scalar = family(type(p)) in (LIFParams, ALIFParams)  # there are equations (1) and (2) for them, and no others
    if not scalar and not isinstance(p, ChainParams):
        p = general(p, net.n_hidden, n, dtype)
    factorises = scalar and not reset_gradient and net.one_alpha

    def traces(sources: int, synapses: int) -> SourceTraces | SynapseTraces | StateTraces:
        ebar = zeros((trials, synapses), dtype)
        if not scalar:
            eps = zeros((trials, net.n_hidden, synapses), dtype)
            return StateTraces(zeros((trials, sources), dtype), eps, zeros((trials, synapses), dtype), ebar)
        q = zeros((trials, synapses if family(type(p)) is ALIFParams else 0), dtype)
        if factorises:
            return SourceTraces(zeros((trials, sources), dtype), q, ebar)
        return SynapseTraces(zeros((trials, synapses), dtype), q, ebar)

    return EligibilityArrays(
        params=p,
        carry=Carry(
            w_in=traces(n_pre(net.proj_in), weights.w_in.size if learns[0] else 0),
            w_rec=traces(n_pre(net.proj_rec), weights.w_rec.size if learns[1] else 0),
            readout=zeros((trials, n), dtype),
            bias=zeros(trials, dtype),
        ),
        reset_gradient=dtype.type(reset_gradient),
        factor=dtype.type(1),
        scaled=zeros((4, n), dtype),
        lazy=NoLazy(0),
        on_read=False,
        learn_in=bool(learns[0]),
        learn_rec=bool(learns[1]),
    )


def in_place(arrays: Any, net: NetArrays) -> Any:
    """The rule's arrays where its gradient changes the weights in place at every step.

    They then have room for bringing rows of synapses up to date when they are read, if that is possible.
    """
    if not isinstance(arrays, EligibilityArrays) or obstacle(arrays):
        return arrays
    return arrays._replace(lazy=make_lazy(net, arrays.params))


def obstacle(arrays: EligibilityArrays) -> str:
    """Why rows cannot be brought up to date when they are read, by the closed form of `event_driven.py`; "" where they can."""
    model = family(type(arrays.params))
    if model not in (LIFParams, ALIFParams):
        return "the closed form is that of LIF and ALIF neurons"
    if not isinstance(arrays.carry.w_in, SourceTraces):
        return "the reset is differentiated" if arrays.reset_gradient else "neurons differ in tau_m"
    if model is ALIFParams and shortest_by_adaptation(arrays.params) < SHORTEST:
        return "adaptation is too short or too strong for a window of closed form"
    return ""


@digest.register(EligibilityArrays)
def eligibility_digest(rule, model, drive, tape, grad, span, start, stop):
    if is_lazy(rule.lazy) and rule.on_read:
        for t in range(start, stop):
            _advance_sums(rule, model, drive.targets, tape, grad, span, t)
        return
    for b in range(span.trials):
        for t in range(start, min(stop, drive.inputs.steps[b])):
            _advance_traces(rule, model, drive, tape, grad, b, span, t)
        if rule.factor != 1:
            for s in model.net.absent_in:
                grad.w_in[span.group, s] = 0
            for s in model.net.absent_rec:
                grad.w_rec[span.group, s] = 0


@before.register(EligibilityArrays)
def eligibility_before(rule, model, drive, tape, span, t):
    if is_lazy(rule.lazy) and rule.on_read:
        catch_up(rule.lazy, rule, model, drive.inputs, tape, span, t)


@inlined
def _advance_sums(rule, model, targets, tape, grad, span, t):
    """Step t of the one trial, where weights are brought up to date as they are read (`event_driven.py`)."""
    net, weights, row = model.net, model.weights, t - span.origin
    psi, err = tape.psi[0, kept(row, tape.psi.shape[1])], tape.error[0, row]
    signal = tape.signal[0, kept(row, tape.signal.shape[1])]
    reg = tape.rate_signal[0, kept(row, tape.rate_signal.shape[1])]
    learning_signal(targets, 0, t, err, weights, signal)  # (5)
    sum_up(rule.lazy, rule, model, psi, signal, reg, t == span.stop - 1)
    readout_step(rule.carry, net, tape, grad, 0, span, row)  # (7)


@inlined
def _advance_traces(rule, model, drive, tape, grad, b, span, t):
    """Step t of trial b."""
    net, p, traces, inputs, row = model.net, rule.params, rule.carry, drive.inputs, t - span.origin
    psi, err, signal, reg = tape.psi[b, kept(row, tape.psi.shape[1])], tape.error[b, row], rule.scaled[0], rule.scaled[1]
    unscaled = tape.signal[b, kept(row, tape.signal.shape[1])]
    rate_signal = tape.rate_signal[b, kept(row, tape.rate_signal.shape[1])]
    learning_signal(drive.targets, b, t, err, model.weights, unscaled)  # (5)
    for j in range(signal.shape[0]):
        signal[j], reg[j] = rule.factor * unscaled[j], rule.factor * rate_signal[j]
    prepare(p, psi, tape.local[b, kept(row, tape.local.shape[1])])
    weigh(p, psi, rule.scaled[2], rule.scaled[3])
    step = TraceStep(psi, rule.scaled, any_set(reg), rule.reset_gradient, net.kappa, net.scale)
    if rule.learn_in:
        for event in range(inputs.indptr[b, t], inputs.indptr[b, t + 1]):
            arrive(traces.w_in, net.proj_in, p, b, inputs.channel[event], inputs.value[event])
        trace_step(traces.w_in, p, net.proj_in, b, step, grad.w_in[span.group])
    if rule.learn_rec:
        one = signal.dtype.type(1)
        for event in range(tape.spike_ptr[b, row], tape.spike_ptr[b, row + 1]):
            arrive(traces.w_rec, net.proj_rec, p, b, tape.spike_index[b, event], one)
        trace_step(traces.w_rec, p, net.proj_rec, b, step, grad.w_rec[span.group])
    readout_step(traces, net, tape, grad, b, span, row)  # (7)


@generic(1, inline=True)
def weigh(p, psi, psi_zeta, psi_beta):
    """What equation (3) needs of a step for all synapses alike. In place."""


@weigh.register(LIFParams)
def lif_weigh(p, psi, psi_zeta, psi_beta):
    for j in range(psi.shape[0]):
        psi_zeta[j] = psi[j] * p.zeta[j]


@weigh.register(ALIFParams)
def alif_weigh(p, psi, psi_zeta, psi_beta):
    for j in range(psi.shape[0]):
        psi_zeta[j] = psi[j] * p.zeta[j]
    for j in range(psi.shape[0]):
        psi_beta[j] = psi[j] * p.beta[j]


@weigh.register(ChainParams)
def chain_weigh(p, psi, psi_zeta, psi_beta):
    return None


@generic(1, inline=True)
def arrive(traces, proj, p, b, i, value):
    """Add an arrival from source i to eps: the pre term of equation (1). In place."""


@arrive.register(SourceTraces)
def source_traces_arrive(traces, proj, p, b, i, value):
    traces.eps[b, i] += value


@arrive.register(SynapseTraces)
def synapse_traces_arrive(traces, proj, p, b, i, value):
    start = row_start(proj, i)
    eps = traces.eps[b, start : row_stop(proj, i)]
    for k in range(eps.shape[0]):
        eps[k] += p.zeta[target(proj, start, k)] * value


@arrive.register(StateTraces)
def state_traces_arrive(traces, proj, p, b, i, value):
    traces.pre[b, i] += value


@generic(2, inline=True)
def trace_step(traces, p, proj, b, step, grad):
    """One step of the traces of one projection after the arrivals, equations (1)-(4) and (6). In place."""


@trace_step.register(SourceTraces, LIFParams)
def source_traces_lif_trace_step(traces, p, proj, b, step, grad):
    decay = p.alpha[0]
    for i in range(traces.eps.shape[1]):
        start, stop, eps = row_start(proj, i), row_stop(proj, i), traces.eps[b, i]
        _lif_source_row(proj, start, eps, step, traces.ebar[b, start:stop], grad[start:stop])
        traces.eps[b, i] = decay * eps  # (1)


@distinct
def _lif_source_row(proj, start, eps, step, ebar, g):
    signal, reg, psi_zeta, kappa, scale = step.scaled[0], step.scaled[1], step.scaled[2], step.kappa, step.scale
    new = scale * eps
    if step.regular:
        for k in range(ebar.shape[0]):
            j = target(proj, start, k)
            e = psi_zeta[j] * eps  # (3)
            ebar[k] = kappa * ebar[k] + scale * e  # (4)
            g[k] += signal[j] * ebar[k] + reg[j] * e  # (6)
    else:
        for k in range(ebar.shape[0]):
            j = target(proj, start, k)
            ebar[k] = kappa * ebar[k] + psi_zeta[j] * new  # (3) (4)
            g[k] += signal[j] * ebar[k]  # (6)


@trace_step.register(SourceTraces, ALIFParams)
def source_traces_alif_trace_step(traces, p, proj, b, step, grad):
    decay = p.alpha[0]
    for i in range(traces.eps.shape[1]):
        start, stop, eps = row_start(proj, i), row_stop(proj, i), traces.eps[b, i]
        _alif_source_row(p, proj, start, eps, step, traces.ebar[b, start:stop], grad[start:stop], traces.q[b, start:stop])
        traces.eps[b, i] = decay * eps  # (1)


@distinct
def _alif_source_row(p, proj, start, eps, step, ebar, g, q):
    signal, reg, psi_zeta, psi_beta = step.scaled[0], step.scaled[1], step.scaled[2], step.scaled[3]
    kappa, scale = step.kappa, step.scale
    if step.regular:
        for k in range(ebar.shape[0]):
            j = target(proj, start, k)
            e = psi_zeta[j] * eps - psi_beta[j] * q[k]  # (3)
            q[k] = p.rho[j] * q[k] + e  # (2)
            ebar[k] = kappa * ebar[k] + scale * e  # (4)
            g[k] += signal[j] * ebar[k] + reg[j] * e  # (6)
    else:
        for k in range(ebar.shape[0]):
            j = target(proj, start, k)
            e = psi_zeta[j] * eps - psi_beta[j] * q[k]  # (3)
            q[k] = p.rho[j] * q[k] + e  # (2)
            ebar[k] = kappa * ebar[k] + scale * e  # (4)
            g[k] += signal[j] * ebar[k]  # (6)


@trace_step.register(SynapseTraces, LIFParams)
def synapse_traces_lif_trace_step(traces, p, proj, b, step, grad):
    for i in range(n_pre(proj)):
        start, stop = row_start(proj, i), row_stop(proj, i)
        _lif_synapse_row(p, proj, start, step, traces.ebar[b, start:stop], grad[start:stop], traces.eps[b, start:stop])


@distinct
def _lif_synapse_row(p, proj, start, step, ebar, g, eps):
    signal, reg, psi, reset_gradient = step.scaled[0], step.scaled[1], step.psi, step.reset_gradient
    kappa, scale = step.kappa, step.scale
    for k in range(ebar.shape[0]):
        j = target(proj, start, k)
        e = psi[j] * eps[k]  # (3)
        eps[k] = p.alpha[j] * eps[k] - reset_gradient * p.thr[j] * e  # (1)
        ebar[k] = kappa * ebar[k] + scale * e  # (4)
        g[k] += signal[j] * ebar[k] + reg[j] * e  # (6)


@trace_step.register(SynapseTraces, ALIFParams)
def synapse_traces_alif_trace_step(traces, p, proj, b, step, grad):
    for i in range(n_pre(proj)):
        start, stop = row_start(proj, i), row_stop(proj, i)
        eps, q = traces.eps[b, start:stop], traces.q[b, start:stop]
        _alif_synapse_row(p, proj, start, step, traces.ebar[b, start:stop], grad[start:stop], eps, q)


@distinct
def _alif_synapse_row(p, proj, start, step, ebar, g, eps, q):
    signal, reg, psi, reset_gradient = step.scaled[0], step.scaled[1], step.psi, step.reset_gradient
    kappa, scale = step.kappa, step.scale
    for k in range(ebar.shape[0]):
        j = target(proj, start, k)
        e = psi[j] * (eps[k] - p.beta[j] * q[k])  # (3)
        eps[k] = p.alpha[j] * eps[k] - reset_gradient * p.thr[j] * e  # (1)
        q[k] = p.rho[j] * q[k] + e  # (2)
        ebar[k] = kappa * ebar[k] + scale * e  # (4)
        g[k] += signal[j] * ebar[k] + reg[j] * e  # (6)


@trace_step.register(StateTraces, ChainParams)
def state_traces_chain_trace_step(traces, p, proj, b, step, grad):
    signal, reg, reset_gradient = step.scaled[0], step.scaled[1], step.reset_gradient
    kappa, scale = step.kappa, step.scale
    # one row of synapses i -> j at a time: (1) to (3) are the chain rule of neurons/chain_rule.py, equation (1)
    A, to_state, to_spike, by_spike, by_reset = p.d
    for i in range(n_pre(proj)):
        start, stop, pre = row_start(proj, i), row_stop(proj, i), traces.pre[b, i]
        e, ebar, g = traces.e[b, start:stop], traces.ebar[b, start:stop], grad[start:stop]
        for k in range(e.shape[0]):
            j, at = target(proj, start, k), start + k
            for x in range(to_state.shape[0]):
                total = to_state[x, j] * pre + p.own_spike * (by_spike[x, j] + reset_gradient * by_reset[x, j]) * e[k]
                for y in range(to_state.shape[0]):
                    total += A[x, y, j] * traces.eps[b, y, at]
                p.state[x, j] = total
            e[k] = 0
            for x in range(to_state.shape[0]):
                traces.eps[b, x, at] = p.state[x, j]
                e[k] += to_spike[x, j] * p.state[x, j]
            ebar[k] = kappa * ebar[k] + scale * e[k]  # (4)
            g[k] += signal[j] * ebar[k] + reg[j] * e[k]  # (6)
        traces.pre[b, i] = 0
