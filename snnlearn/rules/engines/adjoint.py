"""The backward engine: adjoints on the tape of a closed window, t descending.

    ly_k[t]  = kappa ly_k[t+1] + err_k[t]                                             readout           (1)
    gz0_j[t] = scale sum_k B_jk ly_k[t] + reg_j[t]                                    grade 0           (2)
    gzg_j[t] = sum_l w_rec[j, l] c(g-1)_l[t+delay]                                    grade g > 0       (3)
    cg[t]    = adjoint(gzg[t]; neuron's own state)                                    neurons/*.py      (4)
    dE/dW_ij   += pre_i[t] sum_g cg_j[t]     one row addition per arrival                               (5)
    dE/dW_out_jk += scale ly_k[t]  for every spike of j at t;   dE/db_k += scale ly_k[t]                (6)
    dE/dx_i[t]  = sum_j w_in_ij sum_g cg_j[t]     after the kernel, where it is asked for               (7)

Grade g holds what crosses g recurrent synapses. Grade 0 alone is e-prop, the same gradient as the
eligibility traces carried forward; grades 0 .. m-1 are e-prop of order m. BPTT needs no grades: its single
adjoint takes (2) and, with its own c, (3) together. c[t, j] is what a unit arrival at neuron j on step t
earns, so e-prop costs one pass per neuron and one row addition per presynaptic spike. In (3), four adjoints, be it of
grades or of trials, share one pass over w_rec, and rows of neurons with psi = 0 are left out: gz has no effect there.

A truncation window cuts every path that would leave a window of so many steps (aligned to step 0 of the
trial or stream), the readout's memory included. A tape may also come in segments, last one first: what the
arrays hold then lives on from segment to segment, and nothing is cut.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...compiler.barrier import leads
from ...compiler.dispatch import distinct, inlined
from ...compiler.memory import zeros
from ...network.arrays import NetArrays
from ...network.projections import AHEAD, SHARING, add_scaled, add_to_row, back_over, prefetch_row
from ...network.weights import FlatWeights
from ...neurons.base import adjoint, prepare
from ...neurons.chain_rule import chain
from ..base import NO_WINDOW, digest, learning_signal
from ..tape import kept, numbers_of_set


class AdjointArrays(NamedTuple):
    """An adjoint rule as kernels see it. All arrays are scratch between windows."""

    params: Any  # of the neurons, as the rule sees them
    through: bool  # BPTT: crossings stay in the one grade
    window: int  # truncation, in steps
    learn_in: bool
    learn_rec: bool
    reset_gradient: float  # 1 where the reset is differentiated, else 0
    lam: np.ndarray  # [grades * trials, D + 1, n] adjoint of the hidden state; row g * trials + b
    c: np.ndarray  # [delay + 1, grades * trials, n] the last c, a ring over steps
    gz: np.ndarray  # [grades * trials, n]
    wanted: np.ndarray  # int64 [n] neurons of which (3) is needed
    earned: np.ndarray  # [n] sum of c over grades
    ly: np.ndarray  # [trials, n_out]
    bias: np.ndarray  # [n_out] scratch of (6)
    feedback: np.ndarray  # [n_out, n] B transposed: rows that vectorise


def make_adjoint(
    net: NetArrays,
    weights: FlatWeights,
    trials: int,
    learns: np.ndarray,
    *,
    reset_gradient: bool,
    grades: int = 1,
    through: bool = False,
    window: int = NO_WINDOW,
) -> AdjointArrays:
    """Scratch for so many trials. net : with the parameters of its neurons as the rule sees them."""
    n, dtype = net.n, weights.w_in.dtype
    return AdjointArrays(
        params=chain(net.params, net.n_hidden, n, dtype),
        through=through,
        window=window,
        learn_in=bool(learns[0]),
        learn_rec=bool(learns[1]),
        reset_gradient=dtype.type(reset_gradient),
        lam=zeros((grades * trials, net.n_hidden + 1, n), dtype),
        c=zeros((net.delay + 1, grades * trials, n), dtype),
        gz=zeros((grades * trials, n), dtype),
        wanted=np.arange(n),
        earned=zeros(n, dtype),
        ly=zeros((trials, net.n_out), dtype),
        bias=zeros(net.n_out, dtype),
        feedback=zeros((net.n_out, n), dtype),
    )


@digest.register(AdjointArrays)
def adjoint_digest(rule, model, drive, tape, grad, span, start, stop):
    net, weights, inputs, targets = model.net, model.weights, drive.inputs, drive.targets
    if stop != span.n_steps and stop % rule.window != 0 and not span.segment:
        return
    first = span.origin if rule.window == NO_WINDOW else start
    _transpose(weights.feedback if weights.feedback.shape[0] > 0 else weights.w_out, rule.feedback)
    ring, last = rule.c.shape[0], span.n_steps if span.n_steps > 0 else NO_WINDOW
    for k in range(net.n_out):  # back at the end, because the accumulators of threads are neighbours
        rule.bias[k] = grad.b_out[span.group, k]
    border = min(last, ((stop - 1) // rule.window + 1) * rule.window)  # the first step after the window that t is in
    begin, now = (stop - 1) // rule.window * rule.window, (stop - 1) % ring
    for t in range(stop - 1, first - 1, -1):
        if t < begin:
            border, begin = begin, begin - rule.window
        if t + 1 == border:
            _cut(rule.lam, rule.ly)
        row, later = t - span.origin, now - 1 if now > 0 else ring - 1  # the arrivals of t + delay, delay + 1 of a ring
        for b in range(span.trials):
            if t < inputs.steps[b]:
                _from_readout(rule, net, weights, tape, targets, span, b, t)  # (1) (2)
            else:
                _receive_nothing(rule, b, now)
        _cross(rule, net, weights, tape, row, later, t + net.delay < border)  # (3)
        for b in range(span.trials):
            if t < inputs.steps[b]:
                _back(rule, tape, b, row, now)  # (4)
                _receive_gradient(rule, net, grad, tape, inputs, span, b, t, now)  # (5) (6)
        now = later
    if leads(span.team):
        for k in range(net.n_out):
            grad.b_out[span.group, k] = rule.bias[k]


@inlined
def _transpose(flat, out):
    n_out = out.shape[0]
    for k in range(n_out):
        for j in range(out.shape[1]):
            out[k, j] = flat[j * n_out + k]


@inlined
def _from_readout(rule, net, weights, tape, targets, span, b, t):
    """Equations (1) and (2), and the bias of (6)."""
    row, n_out, kappa, scale = t - span.origin, net.n_out, net.kappa, net.scale
    gz, ly, err = rule.gz[b], rule.ly[b], tape.error[b, row]
    reg = tape.rate_signal[b, kept(row, tape.rate_signal.shape[1])]
    if tape.signal.shape[1] > 1:  # a recorder wants it
        learning_signal(targets, b, t, err, weights, tape.signal[b, row])
    for k in range(n_out):
        ly[k] = kappa * ly[k] + err[k]  # (1)
        rule.bias[k] += scale * ly[k]  # (6)
    B, first = rule.feedback, n_out % 4
    if first == 2:
        _feed_two(gz, reg, scale * ly[0], B[0], scale * ly[1], B[1])  # (2)
    else:
        for j in range(gz.shape[0]):
            gz[j] = reg[j]
        for k in range(first):
            add_scaled(gz, scale * ly[k], B[k])
    for k in range(first, n_out, 4):
        _feed_four(gz, B[k : k + 4], scale * ly[k], scale * ly[k + 1], scale * ly[k + 2], scale * ly[k + 3])


@distinct
def _feed_two(gz, reg, one, first, two, second):
    """The terms of two outputs in one pass, added in order."""
    for j in range(gz.shape[0]):
        gz[j] = (reg[j] + one * first[j]) + two * second[j]


@distinct
def _feed_four(gz, rows, one, two, three, four):
    """The terms of four outputs in one pass, added in order."""
    for j in range(gz.shape[0]):
        gz[j] = (((gz[j] + one * rows[0, j]) + two * rows[1, j]) + three * rows[2, j]) + four * rows[3, j]


@inlined
def _cross(rule, net, weights, tape, row, later, counts):
    """Equation (3): what the spikes of t earn at the arrivals of t + delay, which `later` numbers, where they count."""
    rows, trials = rule.gz.shape[0], rule.ly.shape[0]
    for m in range(trials, rows):
        for j in range(rule.gz.shape[1]):
            rule.gz[m, j] = 0
    first = 0 if rule.through else trials
    if counts and first < rows:
        live = _live(rule, tape.psi[0, row])
        for low in range(0, rows - first, SHARING):
            high = min(low + SHARING, rows - first)
            gz = rule.gz[first + low : first + high]
            back_over(net.proj_rec, weights.w_rec, rule.c[later, low:high], gz, rule.wanted[:live])


@inlined
def _live(rule, psi):
    """Write the neurons that need (3), and return their number. Where psi is 0, gz does nothing; several trials need all."""
    if rule.ly.shape[0] == 1:
        return numbers_of_set(psi, 0, rule.wanted, 0)
    return rule.wanted.shape[0]  # they are all there from the beginning


@inlined
def _back(rule, tape, b, row, now):
    """Equation (4) for all grades."""
    psi = tape.psi[b, row]
    prepare(rule.params, psi, tape.local[b, kept(row, tape.local.shape[1])])
    for m in range(b, rule.gz.shape[0], rule.ly.shape[0]):
        adjoint(rule.params, psi, rule.gz[m], rule.reset_gradient, rule.lam[m], rule.c[now, m])


@inlined
def _receive_gradient(rule, net, grad, tape, inputs, span, b, t, now):
    """Equations (5) and, for the spikes of t, (6)."""
    ly, row, delay, n_out = rule.ly[b], t - span.origin, net.delay, net.n_out
    g_in, g_rec, g_out = grad.w_in[span.group], grad.w_rec[span.group], grad.w_out[span.group]
    one, trials = ly.dtype.type(1), rule.ly.shape[0]
    earned = rule.c[now, b]
    if rule.c.shape[1] > trials:  # several grades
        earned = rule.earned
        for j in range(earned.shape[0]):
            earned[j] = rule.c[now, b, j]
        for m in range(b + trials, rule.c.shape[1], trials):
            for j in range(earned.shape[0]):
                earned[j] += rule.c[now, m, j]
    if tape.current_gradient.shape[1] > 0:  # for (7)
        for j in range(earned.shape[0]):
            tape.current_gradient[b, row, j] = earned[j]
    if rule.learn_in:
        for event in range(inputs.indptr[b, t], inputs.indptr[b, t + 1]):
            add_to_row(net.proj_in, inputs.channel[event], inputs.value[event], earned, g_in)
    if rule.learn_rec:
        last = tape.spike_ptr[b, row + 1]
        for event in range(tape.spike_ptr[b, row], last):
            if event + AHEAD < last:
                prefetch_row(net.proj_rec, tape.spike_index[b, event + AHEAD], g_rec)
            add_to_row(net.proj_rec, tape.spike_index[b, event], one, earned, g_rec)
    if leads(span.team):
        for event in range(tape.spike_ptr[b, row + delay], tape.spike_ptr[b, row + delay + 1]):
            first = tape.spike_index[b, event] * n_out
            add_scaled(g_out[first : first + n_out], net.scale, ly)


@inlined
def _receive_nothing(rule, b, now):
    """A trial that has ended before this step."""
    for m in range(b, rule.c.shape[1], rule.ly.shape[0]):
        for j in range(rule.c.shape[2]):
            rule.c[now, m, j] = 0


@inlined
def _cut(lam, ly):
    """Nothing comes back from later steps."""
    lam.fill(0)
    ly.fill(0)
