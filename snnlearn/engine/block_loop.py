"""The compiled block loop: every step that any network of the package runs, runs here.

The timeline of step t of a trial:

    1  current    from x[t] and z[t-delay]; background current and noise
    2  neurons    advance -> v, a, psi, z[t]
    3  readout    y[t]
    4  error      and loss; regulariser
    5  traces     the rule digests the interval; the gradient grows
    6  record     is read from the tape, after the block
    7  update     at the end of an update interval
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..compiler.barrier import Alone, Team, begins, leads, meet
from ..compiler.compilations import belongs
from ..compiler.dispatch import SOURCE, device, generic, inlined, is_ours, kernel, uncached
from ..compiler.intrinsics import flush_denormals, restore
from ..events import InputArrays
from ..losses import (
    ENTROPY,
    NONE,
    SIGNAL,
    TargetArrays,
    entropy_steps,
    error_of_mean,
    error_step,
    rate_step,
    rate_trial,
    sum_and_clear,
    weighted_error_step,
)
from ..network.projections import AHEAD, add_row, add_scaled, prefetch_row
from ..neurons.base import advance, threshold
from ..optimizers.optimizers import update
from ..rules.base import before, digest
from ..rules.tape import ELSEWHERE, HERE, Drive, Outcome, Span, Work, kept, numbers_of_set


@kernel
def run_block(model, drive, work, learning, span, source=SOURCE):
    """Run the steps of a span for its trials, interval by interval. Everything is modified in place.

    model : `Model`; drive : `Drive`; work : `Work`; learning : `Learning`; span : `Span`
    A trial that is shorter than the span goes to its own end, inputs.steps. After it there are no spikes, errors or derivatives.
    Stops early, with outcome.trouble filled, where a state is not finite.
    """
    register = flush_denormals()
    x, y, sums = drive.inputs, drive.targets, work.outcome
    for k in range(span.rounds):
        lo = k * span.trials
        hi = lo + span.trials
        if span.rounds > 1:
            _rest(model.net, work.state, span.trials)
        inputs = InputArrays(x.indptr[lo:hi], x.channel, x.value, x.steps[lo:hi])
        # arrays that these targets do not use have one row, or none
        value = y.value[lo:hi] if y.value.shape[0] >= hi else y.value
        label = y.label[lo:hi] if y.label.shape[0] >= hi else y.label
        weight = y.weight[lo:hi] if y.weight.shape[0] >= hi else y.weight
        mean = y.mean[lo:hi] if y.mean.shape[0] >= hi else y.mean
        own = Drive(inputs, TargetArrays(y.kind, value, label, y.mask[lo:hi], weight, mean), drive.noise)
        regularization, correct, summed = sums.regularization[lo:hi], sums.correct[lo:hi], sums.summed[lo:hi]
        late = sums.late[lo:hi]
        outcome = Outcome(sums.loss[lo:hi], regularization, correct, summed, sums.trouble, sums.counts, late)
        at, reach = (span.start, span.stop, span.origin), (span.n_steps, span.offset, span.interval)
        what = (span.forward, span.backward, span.learn, span.quiet, span.update, span.segment)
        here = Span(span.trials, 1, *at, *reach, span.group, span.number + lo, *what, span.team)
        _run(model, own, Work(work.state, work.tape, outcome), learning, here)
        if sums.trouble[0] != 0:
            sums.trouble[1] += lo
            break
        if span.rounds > 1:
            for b in range(span.trials):
                for j in range(sums.counts.shape[1]):
                    sums.counts[lo + b, j] = work.state.counts[b, j]
    restore(register)


@inlined
def _rest(net, state, trials):
    """The initial state. What a trial counts it clears itself."""
    for b in range(trials):
        for d in range(net.initial.shape[0]):
            for j in range(net.initial.shape[1]):
                state.hidden[b, d, j] = net.initial[d, j]
        state.z[b].fill(0)
        state.refractory[b].fill(0)
        state.history[b].fill(0)
        state.readout[b].fill(0)
        state.running[b].fill(0)


@inlined
def _run(model, drive, work, learning, span):
    """`run_block`, save for the state of the processor."""
    net, rates, state, tape, outcome = model.net, model.rates, work.state, work.tape, work.outcome
    if span.forward:
        for b in range(span.trials):
            _begin(net, state, tape, outcome, b, span)
    t, updates = span.start, 0
    while t < span.stop:
        end = min(span.stop, ((t + span.offset) // span.interval + 1) * span.interval - span.offset)
        if span.learn and span.forward:
            before(learning.rule, model, drive, tape, span, t)
        for b in range(span.trials):
            own = min(end, drive.inputs.steps[b])
            if span.forward:
                if t < own:
                    _simulate(model, drive, work, b, span, t, own)
                    if outcome.trouble[0] != 0:
                        return
                if own < end:
                    _nothing(net, rates, tape, b, max(t, own) - span.origin, end - span.origin)
            if t < own and span.backward and leads(span.team):
                _errors(drive.targets, tape, outcome, b, span, t, own, own == drive.inputs.steps[b])
            if span.quiet:
                _forget(tape, b, span, t, end)
        if span.forward and rates.strength > 0 and rates.per_step > 0:
            meet(span.team)
            if leads(span.team):
                for b in range(span.trials):
                    outcome.regularization[b] += sum_and_clear(tape.cost[b])
            meet(span.team)
        if span.learn:
            meet(span.team)  # all need the errors
            digest(learning.rule, model, drive, tape, learning.grad, span, t, end)
        ends = (end + span.offset) % span.interval == 0 or end == span.n_steps
        if span.update and ends and updates < learning.lr.shape[0]:
            update(learning.opt, net, model.weights, learning.grad, span.group, span.trials, learning.lr[updates], span.team)
            updates += 1
        t = end
    if span.forward:
        for b in range(span.trials):
            _finish(net, state, tape, b, span)


def runner(params: Any, rules: tuple[Any, ...] = ()) -> Callable:
    """`run_block` for neurons with these params and these rules, uncached where they are not the package's own."""
    ours = is_ours(params) and all(belongs(type(rule)) for rule in rules)
    return run_block if ours else uncached(run_block)


@device
def all_finite(x):
    """Whether no entry is inf or nan."""
    wrong = np.int32(0)
    for j in range(x.shape[0]):
        wrong |= np.int32(not (abs(x[j]) < np.inf))
    return wrong == 0


@device
def _begin(net, state, tape, outcome, b, span):
    """Put the spikes of the last `delay` steps on the tape; a trial's first step starts its counts anew."""
    n = state.history.shape[2]
    if span.start == span.origin:
        count = 0
        tape.spike_ptr[b, 0] = 0
        for d in range(net.delay):
            for j in range(n):
                if state.history[b, d, j] != 0:
                    tape.spike_index[b, count] = j
                    count += 1
            tape.spike_ptr[b, d + 1] = count
    if span.start == 0:
        for j in range(state.counts.shape[1]):
            state.counts[b, j] = 0
        outcome.regularization[b] = 0


@device
def _finish(net, state, tape, b, span):
    """Keep the spikes of the last `delay` steps for the next block."""
    n, last = state.history.shape[2], span.stop - span.origin
    for d in range(net.delay):
        for j in range(n):
            state.history[b, d, j] = 0
        for event in range(tape.spike_ptr[b, last + d], tape.spike_ptr[b, last + d + 1]):
            state.history[b, d, tape.spike_index[b, event]] = 1


@device
def _simulate(model, drive, work, b, span, start, stop):
    """Steps 1 to 3 of the timeline for start .. stop-1, onto the tape."""
    net, weights, rates, inputs, noise = model.net, model.weights, model.rates, drive.inputs, drive.noise
    state, tape, outcome = work.state, work.tape, work.outcome
    p, n_out, delay = net.params, net.n_out, net.delay
    hidden, z, refractory, y, current = state.hidden[b], state.z[b], state.refractory[b], state.readout[b], tape.current[b]
    n, spikes = z.shape[0], tape.spike_index[b]
    one = current.dtype.type(1)
    first = begins(span.team)
    noisy, keep_hidden, n_columns = noise.shape[0] > 0, tape.hidden.shape[1] > 0, tape.columns.shape[0]
    for t in range(start, stop):
        row = t - span.origin
        psi, local = tape.psi[b, kept(row, tape.psi.shape[1])], tape.local[b, kept(row, tape.local.shape[1])]
        for j in range(n):
            current[j] = p.current[j]
        if noisy:
            for j in range(n):
                current[j] += net.noise[j] * noise[b, t - span.start, j]
        last = inputs.indptr[b, t + 1]
        for event in range(inputs.indptr[b, t], last):
            if event + AHEAD < last:
                prefetch_row(net.proj_in, inputs.channel[event + AHEAD], weights.w_in)
            add_row(net.proj_in, inputs.channel[event], inputs.value[event], weights.w_in, current)
        last = tape.spike_ptr[b, row + 1]
        for event in range(tape.spike_ptr[b, row], last):
            if event + AHEAD < last:
                prefetch_row(net.proj_rec, spikes[event + AHEAD], weights.w_rec)
            add_row(net.proj_rec, spikes[event], one, weights.w_rec, current)
        advance(p, hidden, z, refractory, current, psi, local)
        finite, begin = all_finite(hidden[0]), tape.spike_ptr[b, row + delay]
        if not finite:
            for j in range(n):
                if not (abs(hidden[0, j]) < np.inf) and outcome.trouble[0] == 0:
                    outcome.trouble[0], outcome.trouble[1], outcome.trouble[2], outcome.trouble[3] = HERE, b, t, j
        count = gather(span.team, finite, z, state.counts[b], spikes, begin, t)
        if count < 0:
            if outcome.trouble[0] == 0:
                outcome.trouble[0] = ELSEWHERE
            return
        tape.spike_ptr[b, row + delay + 1] = count
        if leads(span.team):
            for k in range(n_out):
                y[k] = net.kappa * y[k] + net.scale * weights.b_out[k]
            for event in range(begin, count):
                first_out = spikes[event] * n_out
                add_scaled(y, net.scale, weights.w_out[first_out : first_out + n_out])
            for k in range(n_out):
                tape.readout[b, row, k] = y[k]
        if keep_hidden:
            for d in range(hidden.shape[0]):
                out = tape.hidden[b, row, d]
                if n_columns == 0:
                    for j in range(n):
                        out[j] = hidden[d, j]
                else:
                    for c in range(n_columns):
                        out[c] = hidden[d, tape.columns[c]]
        if tape.threshold.shape[1] > 0:
            threshold(p, hidden, tape.threshold[b, row])
        if rates.strength > 0 and rates.per_step > 0:
            reg = tape.rate_signal[b, kept(row, tape.rate_signal.shape[1])]
            rate_step(rates, z, state.running[b], reg, tape.cost[b, first : first + n])
    if stop == inputs.steps[b] and leads(span.team):
        late, row = outcome.late[b], stop - span.origin
        late.fill(0)
        for event in range(tape.spike_ptr[b, row], tape.spike_ptr[b, row + delay]):
            late[spikes[event]] += 1
    if rates.strength > 0 and rates.per_step == 0 and stop == inputs.steps[b]:
        outcome.regularization[b] = rate_trial(rates, state.counts[b], stop, tape.rate_signal[b, 0])


@device
def _nothing(net, rates, tape, b, first, last):
    """Rows first .. last - 1 of the tape of a trial that has ended before them."""
    for row in range(first, last):
        tape.spike_ptr[b, row + net.delay + 1] = tape.spike_ptr[b, row + net.delay]
        tape.error[b, row].fill(0)
        tape.psi[b, kept(row, tape.psi.shape[1])].fill(0)
        if rates.per_step > 0:
            tape.rate_signal[b, kept(row, tape.rate_signal.shape[1])].fill(0)


@generic(1, inline=True)
def gather(team, finite, z, counts, spikes, begin, t):
    """Write the numbers of the neurons that spiked at t to spikes[begin:] and add them to `counts`; return where they end.

    z (n,), counts (n,) : of this thread's neurons. Returns -1 where a state of any thread is not finite, or a thread is missing.
    """


@gather.register(Alone)
def alone_gather(team, finite, z, counts, spikes, begin, t):
    if not finite:
        return -1
    count = numbers_of_set(z, 0, spikes, begin)
    for event in range(begin, count):
        counts[spikes[event]] += 1
    return count


@gather.register(Team)
def team_gather(team, finite, z, counts, spikes, begin, t):
    side, end = t % 2, begin
    mine = team.found[side, team.rank]
    own = numbers_of_set(z, team.first, mine, 0)
    for event in range(own):
        counts[mine[event] - team.first] += 1
    team.many[side, team.rank, 0] = own if finite else -1
    if not meet(team):
        return -1
    for m in range(team.size):
        found, many = team.found[side, m], team.many[side, m, 0]
        if many < 0:
            return -1
        for event in range(many):
            spikes[end + event] = found[event]
        end += many
    return end


@device
def _errors(targets, tape, outcome, b, span, start, stop, ends):
    """Step 4 of the timeline: error, loss, and what scores are made of. ends : whether `stop` is the end of the trial

    Sums are local, because trials that run at the same time have neighbouring entries of `outcome`.
    """
    n_out = tape.readout.shape[2]
    loss, correct = outcome.loss[b], outcome.correct[b]
    first, last = start - span.origin, stop - span.origin
    if targets.mean.shape[0] > 0:
        pass  # `_errors_of_mean`, once the mean is known
    elif targets.kind == ENTROPY:
        mask, label = targets.mask[b, start:stop], targets.label[b, start:stop]
        found = entropy_steps(mask, label, tape.readout[b, first:last], tape.error[b, first:last])
        loss += found[0]
        correct += found[1]
    else:
        for t in range(start, stop):
            row = t - span.origin
            y, err, mask = tape.readout[b, row], tape.error[b, row], targets.mask[b, t]
            if targets.kind == NONE or targets.kind == SIGNAL:
                for k in range(n_out):
                    err[k] = 0
            elif targets.weight.shape[0] > 0:
                loss += weighted_error_step(targets.kind, targets.weight[b, t], y, targets.value[b, t], err)
            else:
                loss += error_step(targets.kind, mask, y, targets.value[b, t], err)
    outcome.loss[b], outcome.correct[b] = loss, correct
    for k in range(n_out):
        summed = outcome.summed[b, k]
        if targets.weight.shape[0] > 0:
            for t in range(start, stop):
                summed += targets.weight[b, t, k] * tape.readout[b, t - span.origin, k]
        else:
            for t in range(start, stop):
                summed += targets.mask[b, t] * tape.readout[b, t - span.origin, k]
        outcome.summed[b, k] = summed
    if targets.mean.shape[0] > 0:
        _errors_of_mean(targets, tape, outcome, b, span, start, stop, ends)


@device
def _errors_of_mean(targets, tape, outcome, b, span, start, stop, ends):
    """`_errors` where the loss is that of the mean readout: the error of all steps is known at the end of the trial.

    A tape of the whole trial is then filled from its first row. Where there is none, a rehearsal has found the error before.
    """
    n_out = tape.readout.shape[2]
    mean, first = targets.mean[b], start
    if ends:
        known, weight = mean[n_out] != 0, 0.0
        for t in range(stop):
            weight += targets.mask[b, t]
        outcome.loss[b] += error_of_mean(outcome.summed[b], weight, targets.label[b, 0], mean, not known)
        if not known:
            mean[n_out], first = 1, span.origin
    for t in range(first, stop):
        for k in range(n_out):
            tape.error[b, t - span.origin, k] = targets.mask[b, t] * mean[k]


@device
def _forget(tape, b, span, start, stop):
    """Nothing is to be learnt from steps start .. stop-1: their errors are zero, and those of the regulariser."""
    for t in range(start, stop):
        tape.rate_signal[b, kept(t - span.origin, tape.rate_signal.shape[1])].fill(0)
        if leads(span.team):
            tape.error[b, t - span.origin].fill(0)
