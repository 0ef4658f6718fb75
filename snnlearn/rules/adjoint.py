"""The backward engine: adjoints on the tape of a closed window, t descending.

    ly_k[t]  = kappa ly_k[t+1] + err_k[t]                                             readout           (1)
    gz0_j[t] = scale sum_k B_jk ly_k[t] + reg_j[t]                                    grade 0           (2)
    gzg_j[t] = sum_l w_rec[j, l] c(g-1)_l[t+delay]                                    grade g > 0       (3)
    cg[t]    = adjoint(gzg[t]; neuron's own state)                                    neurons/*.py      (4)
    dE/dW_ij   += pre_i[t] sum_g cg_j[t]     one row addition per arrival                               (5)
    dE/dW_out_jk += scale ly_k[t]  for every spike of j at t;   dE/db_k += scale ly_k[t]                (6)

Grade g holds what crosses g recurrent synapses. Grade 0 alone is e-prop, the same gradient as the
eligibility traces carried forward; grades 0 .. m-1 are e-prop of order m. BPTT needs no grades: its single
adjoint takes (2) and, with its own c, (3) together. c[t, j] is what a unit arrival at neuron j on step t
earns, so e-prop costs one pass per neuron and one row addition per presynaptic spike.

A truncation window cuts every path that would leave a window of so many steps (aligned to step 0), the
readout's memory included.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._jit import device
from ..connectivity import add_to_row, row_dot
from ..network import FlatWeights, NetArrays
from ..neurons.base import adjoint
from .base import digest, learning_signal

NO_WINDOW = 2**62


class AdjointArrays(NamedTuple):
    """An adjoint rule as kernels see it; lam, c, gz, earned and ly are scratch."""

    params: Any  # of the neurons, as the rule sees them
    through: bool  # BPTT: crossings stay in the one grade
    window: int  # truncation, in steps
    learn_in: bool
    learn_rec: bool
    reset: np.ndarray  # [n] thr where the reset is differentiated, else 0
    lam: np.ndarray  # [trials, grades, D, n] adjoint of the hidden state
    c: np.ndarray  # [trials, delay + 1, grades, n] the last c, a ring over steps
    gz: np.ndarray  # [trials, grades, n]
    earned: np.ndarray  # [trials, n] sum of c over grades
    ly: np.ndarray  # [trials, n_out]


def make_adjoint(
    net: NetArrays,
    weights: FlatWeights,
    trials: int,
    learns: np.ndarray,
    *,
    attached: bool,
    grades: int = 1,
    through: bool = False,
    window: int = NO_WINDOW,
    params: Any = None,
) -> AdjointArrays:
    """Scratch for so many trials."""
    p, dtype = net.params if params is None else params, weights.w_in.dtype
    n = p.alpha.size
    return AdjointArrays(
        params=p,
        through=through,
        window=window,
        learn_in=bool(learns[0]),
        learn_rec=bool(learns[1]),
        reset=p.thr.copy() if attached else np.zeros(n, dtype),
        lam=np.zeros((trials, grades, net.n_hidden, n), dtype),
        c=np.zeros((trials, net.delay + 1, grades, n), dtype),
        gz=np.zeros((trials, grades, n), dtype),
        earned=np.zeros((trials, n), dtype),
        ly=np.zeros((trials, net.n_out), dtype),
    )


@digest.register(AdjointArrays)
def _(rule, net, weights, grad, tape, inputs, targets, b, slot, span, start, stop):
    if stop < span.n_steps:
        return
    w_feedback = weights.feedback if weights.feedback.shape[0] > 0 else weights.w_out
    g_in, g_rec, g_out, g_b = grad.w_in[span.group], grad.w_rec[span.group], grad.w_out[span.group], grad.b_out[span.group]
    gz, ly, earned, ring, grades = rule.gz[b], rule.ly[b], rule.earned[b], rule.c.shape[1], rule.c.shape[2]
    kappa, scale, n_out, n, delay = net.kappa, net.scale, net.n_out, earned.shape[0], net.delay
    one, zero, first_hop = earned.dtype.type(1), earned.dtype.type(0), 0 if rule.through else 1
    border = stop  # the first step after the window that t is in
    for t in range(stop - 1, span.origin - 1, -1):
        if t == stop - 1 or (t + 1) % rule.window == 0:
            border = t + 1
            _cut(rule.lam[b], ly)
        row, c = t - span.origin, rule.c[b, t % ring]
        psi, err = tape.psi[slot, row], tape.error[slot, row]
        reg = tape.rate_signal[slot, row % tape.rate_signal.shape[1]]
        if tape.signal.shape[1] > 1:  # a recorder wants it
            learning_signal(targets, b, t, err, w_feedback, tape.signal[slot, row])
        for k in range(n_out):
            ly[k] = kappa * ly[k] + err[k]  # (1)
            g_b[k] += scale * ly[k]  # (6)
        for j in range(n):
            total = zero
            for k in range(n_out):
                total += w_feedback[j * n_out + k] * ly[k]
            gz[0, j] = scale * total + reg[j]  # (2)
        _cross(rule, net, weights, b, t, border, first_hop)  # (3)
        for g in range(grades):
            adjoint(rule.params, psi, gz[g], rule.reset, rule.lam[b, g], c[g])  # (4)
        for j in range(n):
            earned[j] = c[0, j]
        for g in range(1, grades):
            for j in range(n):
                earned[j] += c[g, j]
        if rule.learn_in:
            for event in range(inputs.indptr[b, t], inputs.indptr[b, t + 1]):
                add_to_row(net.proj_in, inputs.channel[event], inputs.value[event], earned, g_in)  # (5)
        if rule.learn_rec:
            for event in range(tape.spike_ptr[slot, row], tape.spike_ptr[slot, row + 1]):
                add_to_row(net.proj_rec, tape.spike_index[slot, event], one, earned, g_rec)  # (5)
        for event in range(tape.spike_ptr[slot, row + delay], tape.spike_ptr[slot, row + delay + 1]):
            j = tape.spike_index[slot, event]
            for k in range(n_out):
                g_out[j * n_out + k] += scale * ly[k]  # (6)


@device
def _cross(rule, net, weights, b, t, border, first_hop):
    """Equation (3): what the spikes of t earn at the arrivals of t + delay; one pass over the weights for all grades."""
    gz, grades = rule.gz[b], rule.c.shape[2]
    n = gz.shape[1]
    for g in range(1, grades):
        for j in range(n):
            gz[g, j] = 0
    if t + net.delay >= border or (grades == 1 and first_hop == 1):
        return
    later = rule.c[b, (t + net.delay) % rule.c.shape[1]]
    for j in range(n):
        for g in range(first_hop, grades):
            gz[g, j] += row_dot(net.proj_rec, j, weights.w_rec, later[g - first_hop])


@device
def _cut(lam, ly):
    """Nothing comes back from later steps."""
    for g in range(lam.shape[0]):
        for d in range(lam.shape[1]):
            for j in range(lam.shape[2]):
                lam[g, d, j] = 0
    for k in range(ly.shape[0]):
        ly[k] = 0
