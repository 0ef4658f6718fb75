"""The backward engine: adjoints on the tape of a closed window, t descending.

    ly_k[t] = kappa ly_k[t+1] + err_k[t]                                              readout           (1)
    gz_j[t] = scale sum_k B_jk ly_k[t] + reg_j[t]                                     direct            (2)
            + sum_l w_rec[j, l] c_l[t+delay]                                          hops, BPTT only   (3)
    c[t]    = adjoint(gz[t]; neuron's own state)                                      neurons/*.py      (4)
    dE/dW_ij   += pre_i[t] c_j[t]            one row addition per arrival                               (5)
    dE/dW_out_jk += scale ly_k[t]  for every spike of j at t;   dE/db_k += scale ly_k[t]                (6)

Without (3) this is e-prop of order 1, the same gradient as the eligibility traces carried forward; with it,
BPTT. c[t, j] is what a unit arrival at neuron j on step t earns, so the cost of e-prop is one pass per
neuron and one row addition per presynaptic spike.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..connectivity import add_to_row, row_dot
from ..network import FlatWeights, NetArrays
from ..neurons.base import adjoint
from .base import digest, learning_signal


class AdjointArrays(NamedTuple):
    """An adjoint rule as kernels see it; lam, c, gz and ly are scratch."""

    hops: bool
    learn_in: bool
    learn_rec: bool
    reset: np.ndarray  # [n] thr where the reset is differentiated, else 0
    lam: np.ndarray  # [trials, D, n] adjoint of the hidden state
    c: np.ndarray  # [trials, delay + 1, n] the last c, a ring over steps
    gz: np.ndarray  # [trials, n]
    ly: np.ndarray  # [trials, n_out]


def make_adjoint(
    net: NetArrays, weights: FlatWeights, attached: bool, hops: bool, trials: int, learns: np.ndarray
) -> AdjointArrays:
    """Scratch for so many trials."""
    p, dtype = net.params, weights.w_in.dtype
    n = p.alpha.size
    return AdjointArrays(
        hops=hops,
        learn_in=bool(learns[0]),
        learn_rec=bool(learns[1]),
        reset=p.thr.copy() if attached else np.zeros(n, dtype),
        lam=np.zeros((trials, net.n_hidden, n), dtype),
        c=np.zeros((trials, net.delay + 1, n), dtype),
        gz=np.zeros((trials, n), dtype),
        ly=np.zeros((trials, net.n_out), dtype),
    )


@digest.register(AdjointArrays)
def _(rule, net, weights, grad, tape, inputs, targets, b, slot, span, start, stop):
    if stop < span.n_steps:
        return
    w_feedback = weights.feedback if weights.feedback.shape[0] > 0 else weights.w_out
    g_in, g_rec, g_out, g_b = grad.w_in[span.group], grad.w_rec[span.group], grad.w_out[span.group], grad.b_out[span.group]
    lam, gz, ly, ring = rule.lam[b], rule.gz[b], rule.ly[b], rule.c.shape[1]
    kappa, scale, n_out, n, delay = net.kappa, net.scale, net.n_out, gz.shape[0], net.delay
    one = gz.dtype.type(1)
    for d in range(lam.shape[0]):
        for j in range(n):
            lam[d, j] = 0
    for k in range(n_out):
        ly[k] = 0
    for t in range(stop - 1, span.origin - 1, -1):
        row = t - span.origin
        psi, err, c = tape.psi[slot, row], tape.error[slot, row], rule.c[b, t % ring]
        reg = tape.rate_signal[slot, row % tape.rate_signal.shape[1]]
        if tape.signal.shape[1] > 1:  # a recorder wants it
            learning_signal(targets, b, t, err, w_feedback, tape.signal[slot, row])
        for k in range(n_out):
            ly[k] = kappa * ly[k] + err[k]  # (1)
            g_b[k] += scale * ly[k]  # (6)
        for j in range(n):
            total = gz.dtype.type(0)
            for k in range(n_out):
                total += w_feedback[j * n_out + k] * ly[k]
            gz[j] = scale * total + reg[j]  # (2)
        if rule.hops and t + delay < stop:
            later = rule.c[b, (t + delay) % ring]
            for j in range(n):
                gz[j] += row_dot(net.proj_rec, j, weights.w_rec, later)  # (3)
        adjoint(net.params, psi, gz, rule.reset, lam, c)  # (4)
        if rule.learn_in:
            for event in range(inputs.indptr[b, t], inputs.indptr[b, t + 1]):
                add_to_row(net.proj_in, inputs.channel[event], inputs.value[event], c, g_in)  # (5)
        if rule.learn_rec:
            for event in range(tape.spike_ptr[slot, row], tape.spike_ptr[slot, row + 1]):
                add_to_row(net.proj_rec, tape.spike_index[slot, event], one, c, g_rec)  # (5)
        for event in range(tape.spike_ptr[slot, row + delay], tape.spike_ptr[slot, row + delay + 1]):
            j = tape.spike_index[slot, event]
            for k in range(n_out):
                g_out[j * n_out + k] += scale * ly[k]  # (6)
