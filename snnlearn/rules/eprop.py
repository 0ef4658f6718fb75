"""e-prop by eligibility traces that are carried forward in place (Bellec et al. 2020, eqs 2-4, 13, 21-25).

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
stored as the next step finds them: eps after its decay, q = rho eps_a + e.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import _check
from .._jit import generic
from ..connectivity import n_pre, row_start, target
from ..network import FlatWeights, NetArrays
from ..neurons.alif import ALIFParams
from ..neurons.lif import LIFParams
from .adjoint import make_adjoint
from .base import Rule, digest, learning_signal, pick_direction, readout_step
from .influence import make_influence


class SourceTraces(NamedTuple):
    """Traces of one projection where eps_v factorises."""

    eps: np.ndarray  # [trials, pre]
    q: np.ndarray  # [trials, synapses], or [trials, 0] for LIF
    ebar: np.ndarray  # [trials, synapses]


class SynapseTraces(NamedTuple):
    """Traces of one projection in the general case."""

    eps: np.ndarray  # [trials, synapses]
    q: np.ndarray  # [trials, synapses], or [trials, 0] for LIF
    ebar: np.ndarray  # [trials, synapses]


class EligibilityArrays(NamedTuple):
    """e-prop carried forward, as kernels see it."""

    params: Any  # of the neurons, as the rule sees them
    trace_in: Any  # SourceTraces or SynapseTraces
    trace_rec: Any
    readout_trace: np.ndarray  # [trials, n]
    bias_trace: np.ndarray  # [trials]
    reset: np.ndarray  # [n] thr with reset_gradient, else 0
    learn_in: bool
    learn_rec: bool


@dataclass(frozen=True, eq=False)
class EProp(Rule):
    """e-prop of order m: follows up to m - 1 crossings of recurrent synapses.

    Order 1 is e-prop (Bellec et al. 2020, Nature Communications 11:3625); the family of orders is that of
    Martin-Sanchez, Bohte & Otte 2022; all orders together are BPTT.

    order : m >= 1, or None for all
    reset_gradient : differentiate the reset; None means False at order 1, as published, and True above,
        where a detached reset diverges
    method : "forward" (order 1: eligibility traces in place; above: influence graded by crossings, for small or
        sparse networks), "adjoint" (graded adjoints on the tape of a trial) or "auto", the cheaper one that the
        setting allows. Both give the same gradient
    feedback, seed, feedback_decay : see `Rule`
    """

    order: int | None = 1
    reset_gradient: bool | None = None
    method: str = "auto"

    causal: ClassVar[bool] = True

    def __init__(
        self,
        order: int | None = 1,
        feedback: Any = "symmetric",
        reset_gradient: bool | None = None,
        method: str = "auto",
        seed: int = 0,
        feedback_decay: float = 1e-3,
    ):
        values = locals()
        for key in ("order", "feedback", "reset_gradient", "method", "seed", "feedback_decay"):
            object.__setattr__(self, key, values[key])
        super().__post_init__()
        if order is not None:
            object.__setattr__(self, "order", _check.integer("EProp.order", order, "be a number >= 1, or None for all", low=1))
        _check.choice("EProp.method", method, ("auto", "forward", "adjoint"))
        if reset_gradient is not None and not isinstance(reset_gradient, (bool, np.bool_)):
            raise _check.fail("EProp.reset_gradient", "be True, False or None", reset_gradient, error=TypeError)

    @property
    def attached(self) -> bool:
        """Whether the reset is differentiated."""
        return self.order != 1 if self.reset_gradient is None else bool(self.reset_gradient)

    def direction(self, interval: int | None, streaming: bool, signal: bool) -> str:
        """See `Rule.direction`. The adjoint form needs a closed window: one update a trial that starts at rest."""
        return pick_direction(f"EProp(method={self.method!r})", self.method, True, interval, streaming, signal)

    def arrays(self, net: NetArrays, weights: FlatWeights, direction: str, trials: int, learns: np.ndarray) -> Any:
        """The rule's arrays for so many trials, traces at zero."""
        if direction == "adjoint":
            grades, through = (1, True) if self.order is None else (self.order, False)
            return make_adjoint(net, weights, trials, learns, attached=self.attached, grades=grades, through=through)
        if self.order == 1:
            return make_eligibility(net, weights, self.attached, trials, learns)
        graded: dict[str, Any] = {"hops": None, "name": "EProp(order=None)"}
        if self.order is not None:
            graded = {"hops": self.order - 1, "grades": self.order, "through": False, "name": f"EProp(order={self.order})"}
        return make_influence(net, weights, trials, learns, attached=self.attached, **graded)


def make_eligibility(
    net: NetArrays, weights: FlatWeights, attached: bool, trials: int, learns: np.ndarray, params: Any = None
) -> EligibilityArrays:
    """Traces at zero, in the smallest shape that the configuration allows."""
    p = net.params if params is None else params
    dtype, n = weights.w_in.dtype, p.alpha.size
    factorises = not attached and bool((p.alpha == p.alpha[0]).all())

    def traces(sources: int, synapses: int) -> SourceTraces | SynapseTraces:
        q = np.zeros((trials, synapses if isinstance(p, ALIFParams) else 0), dtype)
        ebar = np.zeros((trials, synapses), dtype)
        if factorises:
            return SourceTraces(np.zeros((trials, sources), dtype), q, ebar)
        return SynapseTraces(np.zeros((trials, synapses), dtype), q, ebar)

    return EligibilityArrays(
        params=p,
        trace_in=traces(n_pre(net.proj_in), weights.w_in.size if learns[0] else 0),
        trace_rec=traces(n_pre(net.proj_rec), weights.w_rec.size if learns[1] else 0),
        readout_trace=np.zeros((trials, n), dtype),
        bias_trace=np.zeros(trials, dtype),
        reset=p.thr.copy() if attached else np.zeros(n, dtype),
        learn_in=bool(learns[0]),
        learn_rec=bool(learns[1]),
    )


@digest.register(EligibilityArrays)
def _(rule, net, weights, grad, tape, inputs, targets, b, slot, span, start, stop):
    kappa, scale, p = net.kappa, net.scale, rule.params
    w_feedback = weights.feedback if weights.feedback.shape[0] > 0 else weights.w_out
    g_in, g_rec = grad.w_in[span.group], grad.w_rec[span.group]
    one = g_in.dtype.type(1)
    for t in range(start, stop):
        row = t - span.origin
        psi, err = tape.psi[slot, row % tape.psi.shape[1]], tape.error[slot, row]
        signal = tape.signal[slot, row % tape.signal.shape[1]]
        reg = tape.rate_signal[slot, row % tape.rate_signal.shape[1]]
        learning_signal(targets, b, t, err, w_feedback, signal)  # (5)
        if rule.learn_in:
            for event in range(inputs.indptr[b, t], inputs.indptr[b, t + 1]):
                arrive(rule.trace_in, net.proj_in, p, b, inputs.channel[event], inputs.value[event])
            trace_step(rule.trace_in, p, net.proj_in, b, psi, signal, reg, rule.reset, kappa, scale, g_in)
        if rule.learn_rec:
            for event in range(tape.spike_ptr[slot, row], tape.spike_ptr[slot, row + 1]):
                arrive(rule.trace_rec, net.proj_rec, p, b, tape.spike_index[slot, event], one)
            trace_step(rule.trace_rec, p, net.proj_rec, b, psi, signal, reg, rule.reset, kappa, scale, g_rec)
        readout_step(rule.readout_trace[b], rule.bias_trace, net, tape, grad, b, slot, span, row, err)  # (7)


@generic(1)
def arrive(traces, proj, p, b, i, value):
    """Add an arrival from source i to eps: the pre term of equation (1). In place."""


@arrive.register(SourceTraces)
def _(traces, proj, p, b, i, value):
    traces.eps[b, i] += value


@arrive.register(SynapseTraces)
def _(traces, proj, p, b, i, value):
    start = row_start(proj, i)
    eps = traces.eps[b, start : row_start(proj, i + 1)]
    for k in range(eps.shape[0]):
        eps[k] += p.zeta[target(proj, start, k)] * value


@generic(2)
def trace_step(traces, p, proj, b, psi, signal, reg, reset, kappa, scale, grad):
    """One step of the traces of one projection after the arrivals, equations (1)-(4) and (6). In place."""


@trace_step.register(SourceTraces, LIFParams)
def _(traces, p, proj, b, psi, signal, reg, reset, kappa, scale, grad):
    decay = p.alpha[0]
    for i in range(traces.eps.shape[1]):
        start, stop = row_start(proj, i), row_start(proj, i + 1)
        ebar, g, eps = traces.ebar[b, start:stop], grad[start:stop], traces.eps[b, i]
        for k in range(ebar.shape[0]):
            j = target(proj, start, k)
            e = psi[j] * (p.zeta[j] * eps)  # (3)
            ebar[k] = kappa * ebar[k] + scale * e  # (4)
            g[k] += signal[j] * ebar[k] + reg[j] * e  # (6)
        traces.eps[b, i] = decay * eps  # (1)


@trace_step.register(SourceTraces, ALIFParams)
def _(traces, p, proj, b, psi, signal, reg, reset, kappa, scale, grad):
    decay = p.alpha[0]
    for i in range(traces.eps.shape[1]):
        start, stop = row_start(proj, i), row_start(proj, i + 1)
        ebar, g, q, eps = traces.ebar[b, start:stop], grad[start:stop], traces.q[b, start:stop], traces.eps[b, i]
        for k in range(ebar.shape[0]):
            j = target(proj, start, k)
            e = psi[j] * (p.zeta[j] * eps - p.beta[j] * q[k])  # (3)
            q[k] = p.rho[j] * q[k] + e  # (2)
            ebar[k] = kappa * ebar[k] + scale * e  # (4)
            g[k] += signal[j] * ebar[k] + reg[j] * e  # (6)
        traces.eps[b, i] = decay * eps  # (1)


@trace_step.register(SynapseTraces, LIFParams)
def _(traces, p, proj, b, psi, signal, reg, reset, kappa, scale, grad):
    for i in range(n_pre(proj)):
        start, stop = row_start(proj, i), row_start(proj, i + 1)
        ebar, g, eps = traces.ebar[b, start:stop], grad[start:stop], traces.eps[b, start:stop]
        for k in range(ebar.shape[0]):
            j = target(proj, start, k)
            e = psi[j] * eps[k]  # (3)
            eps[k] = p.alpha[j] * eps[k] - reset[j] * e  # (1)
            ebar[k] = kappa * ebar[k] + scale * e  # (4)
            g[k] += signal[j] * ebar[k] + reg[j] * e  # (6)


@trace_step.register(SynapseTraces, ALIFParams)
def _(traces, p, proj, b, psi, signal, reg, reset, kappa, scale, grad):
    for i in range(n_pre(proj)):
        start, stop = row_start(proj, i), row_start(proj, i + 1)
        ebar, g = traces.ebar[b, start:stop], grad[start:stop]
        eps, q = traces.eps[b, start:stop], traces.q[b, start:stop]
        for k in range(ebar.shape[0]):
            j = target(proj, start, k)
            e = psi[j] * (eps[k] - p.beta[j] * q[k])  # (3)
            eps[k] = p.alpha[j] * eps[k] - reset[j] * e  # (1)
            q[k] = p.rho[j] * q[k] + e  # (2)
            ebar[k] = kappa * ebar[k] + scale * e  # (4)
            g[k] += signal[j] * ebar[k] + reg[j] * e  # (6)
