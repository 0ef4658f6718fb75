"""The arrays of a running network: its state, the tape of a block, and what a run reports.

All arrays are C-contiguous with the trial (or its slot on the tape) first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..compiler.dispatch import inlined
from ..compiler.intrinsics import LANES, lowest_bit, set_bits
from ..compiler.memory import aligned, zeros
from ..network.arrays import NetArrays

LARGE = 2**12  # bytes of an array of which its first and last lines are a small part
HERE, ELSEWHERE = 1, 2  # a state that is not finite: of this thread's neurons, of another's
WINDOW_STEPS = 1000  # at least so many steps of tape, where truncation windows are shorter: calls cost time
WORD = 64  # entries that are the bits of a word


class State(NamedTuple):
    """What a network carries from step to step."""

    hidden: np.ndarray  # [trials, D, n]; row 0 is v
    z: np.ndarray  # [trials, n] spikes of the last step, 0 or 1, in dtype
    refractory: np.ndarray  # int32 [trials, n] blocked steps that remain
    history: np.ndarray  # uint8 [trials, delay, n] spikes of the last `delay` steps, oldest first
    readout: np.ndarray  # [trials, n_out]
    running: np.ndarray  # [trials, n] running rate of the online regulariser, spikes per step
    counts: np.ndarray  # int32 [trials, n] spikes since the trial began


class Tape(NamedTuple):
    """What a block leaves behind. Arrays marked * have one row where nobody asked for all steps."""

    hidden: np.ndarray  # [slots, steps*, D, columns] before the reset; size 0 where not asked for
    columns: np.ndarray  # int32 [columns] neurons of `hidden`; size 0: all of them
    psi: np.ndarray  # [slots, steps*, n]
    local: np.ndarray  # [slots, steps*, n_local, n] what derivatives of the neuron model need besides
    threshold: np.ndarray  # [slots, steps*, n] adapted threshold A; size 0 where not asked for
    spike_ptr: np.ndarray  # int64 [slots, delay + steps + 1]; row r holds the spikes of step r - delay
    spike_index: np.ndarray  # int32 [slots, capacity]
    readout: np.ndarray  # [slots, steps, n_out]
    error: np.ndarray  # [slots, steps, n_out]
    rate_signal: np.ndarray  # [slots, steps*, n] of the regulariser; one row for the per-trial form
    signal: np.ndarray  # [slots, steps*, n] learning signal
    current_gradient: np.ndarray  # [slots, steps*, n] c of `adjoint.py`, all grades; size 0 where not asked for
    current: np.ndarray  # [slots, n] scratch
    cost: np.ndarray  # float64 [slots, all neurons] E_reg of the online regulariser since the interval began


class Outcome(NamedTuple):
    """Sums over a trial that kernels fill."""

    loss: np.ndarray  # float64 [trials] task loss
    regularization: np.ndarray  # float64 [trials]
    correct: np.ndarray  # float64 [trials] sum of mask where argmax(y) is the label
    summed: np.ndarray  # float64 [trials, n_out] sum of mask * y
    trouble: np.ndarray  # int64 [4]: HERE, trial, step, neuron of the first value that is not finite
    counts: np.ndarray  # int32 [trials, n] spikes; filled where several rounds of trials run in one call
    late: np.ndarray  # int32 [trials, n] spikes of the last `delay` steps, which do not arrive within the trial

    def part(self, lo: int, hi: int, trouble: np.ndarray) -> Outcome:
        """The same for trials lo .. hi-1, as views, with a `trouble` of its own."""
        loss, regularization, correct, summed, _, counts, late = self
        sums = loss[lo:hi], regularization[lo:hi], correct[lo:hi], summed[lo:hi]
        return Outcome(*sums, trouble, counts[lo:hi], late[lo:hi])


class Model(NamedTuple):
    """What is simulated, as kernels see it."""

    net: Any  # `NetArrays`
    weights: Any  # `FlatWeights`
    rates: Any  # `RateArrays` of the regulariser


class Drive(NamedTuple):
    """What comes from outside."""

    inputs: Any  # `InputArrays`
    targets: Any  # `TargetArrays`
    noise: np.ndarray  # [trials, steps, n] standard normal numbers for the steps of a span, or size 0


class Work(NamedTuple):
    """What a simulation writes."""

    state: State
    tape: Tape
    outcome: Outcome


class Learning(NamedTuple):
    """What learns, and how."""

    rule: Any  # arrays of the rule
    grad: Any  # `FlatWeights` with an axis of accumulators in front; with `in_place`, hidden weights in theirs
    opt: Any  # `OptimizerArrays`, or `NoOptimizer`
    lr: np.ndarray  # float64 [updates of a call] learning rates; intervals that end after these make none
    in_place: bool  # whether hidden weights stand where their gradient would (K = 1): each step's goes to them at once


@inlined
def kept(row, rows):
    """The row of step `row` in an array that keeps so many: all of them, or one. Without a division, which takes 3 ns."""
    return row * (rows > 1)


@inlined
def numbers_of_set(z, number, out, begin):
    """Write the numbers of set entries, of which z[0] has `number`, to out[begin:]; return where they end."""
    count, n = begin, z.shape[0]
    for first in range(0, n, WORD):
        last, j, word = min(n, first + WORD), first, np.uint64(0)
        while j + LANES <= last:
            word |= set_bits(z, j) << np.uint64(j - first)
            j += LANES
        while j < last:
            word |= np.uint64(z[j] != 0) << np.uint64(j - first)
            j += 1
        while word != 0:
            out[count] = number + first + lowest_bit(word)
            count += 1
            word &= word - np.uint64(1)
    return count


class Span(NamedTuple):
    """Which steps one call runs."""

    trials: int  # trials 0 .. trials - 1 of the call's arrays
    rounds: int  # of so many trials that run one after another, each from the initial state; 1: the state is what it is
    start: int  # steps start .. stop - 1 of the trial
    stop: int
    origin: int  # the step that row 0 of the tape stands for
    n_steps: int  # length of the trial; 0 for a piece of a stream, which does not end
    offset: int  # steps of a stream before step 0 of this piece; intervals are aligned to the stream
    interval: int  # K: weights change after steps that are multiples of K, and at the trial's end
    group: int  # accumulator of the gradient
    number: int  # of trial 0 in the whole run, for rules that draw numbers
    forward: bool  # simulate
    backward: bool  # errors and loss
    learn: bool  # gradient
    quiet: bool  # steps of a stream that do not learn: to the rule their errors, and the regulariser's, are zero
    update: bool  # apply it at the end of intervals
    segment: bool  # the tape holds a part of a window, of which the later parts have been digested
    team: Any  # `Alone`, or `Team` where threads share the neurons of the one trial


def make_state(net: NetArrays, hidden: np.ndarray, trials: int) -> State:
    """The state before the first step. hidden : [D, n]."""
    dtype, n = hidden.dtype, hidden.shape[1]
    return State(
        hidden=np.repeat(hidden[None], trials, axis=0),
        z=zeros((trials, n), dtype),
        refractory=zeros((trials, n), np.int32),
        history=zeros((trials, net.delay, n), np.uint8),
        readout=zeros((trials, net.n_out), dtype),
        running=zeros((trials, n), dtype),
        counts=zeros((trials, n), np.int32),
    )


class TapeSize(NamedTuple):
    """How much a tape holds."""

    steps: int
    full: frozenset[str]  # names of the arrays that keep all steps
    columns: tuple[int, ...] = ()  # neurons of the hidden state; (): all of them


def make_tape(net: NetArrays, hidden: np.ndarray, slots: int, size: TapeSize) -> Tape:
    """An empty tape for so many trials. hidden : the initial state [D, n], for its shape and dtype"""
    dtype, (n_hidden, n), (steps, full, columns) = hidden.dtype, hidden.shape, size

    def rows(name: str) -> int:
        return steps if name in full else 1

    return Tape(
        hidden=zeros((slots, steps if "hidden" in full else 0, n_hidden, len(columns) or n), dtype),
        columns=np.array(columns, np.int32),
        psi=zeros((slots, rows("psi"), n), dtype),
        local=zeros((slots, rows("local"), net.n_local, n), dtype),
        threshold=zeros((slots, steps if "threshold" in full else 0, n), dtype),
        spike_ptr=zeros((slots, net.delay + steps + 1), np.int64),
        spike_index=np.empty((slots, (net.delay + steps) * n), np.int32),
        readout=zeros((slots, steps, net.n_out), dtype),
        error=zeros((slots, steps, net.n_out), dtype),
        rate_signal=zeros((slots, rows("rate_signal"), n), dtype),
        signal=zeros((slots, rows("signal"), n), dtype),
        current_gradient=zeros((slots, steps if "current_gradient" in full else 0, n), dtype),
        current=zeros((slots, n), dtype),
        cost=zeros((slots, n)),
    )


def make_outcome(trials: int, n_out: int, n: int) -> Outcome:
    """Zeroed sums of so many trials of n neurons, on cache lines which no other outcome shares."""
    (sums,) = aligned([zeros(trials * (3 + n_out) + 4)])
    loss, regularization, correct = sums[: 3 * trials].reshape(3, trials)
    summed, trouble = sums[3 * trials : -4].reshape(trials, n_out), sums[-4:].view(np.int64)
    counts, late = zeros((2, trials, n), np.int32)
    return Outcome(loss, regularization, correct, summed, trouble, counts, late)


def apart(arrays: Any) -> Any:
    """The same arrays, nested in NamedTuples, with the small ones on cache lines of their own.

    NumPy puts small arrays side by side; threads that write to the same line at each step wait for each other.
    """
    moved = iter(aligned(list(_small(arrays))))

    def rebuilt(value: Any) -> Any:
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(rebuilt, value))
        return next(moved) if _is_small(value) else value

    return rebuilt(arrays)


def _small(value: Any) -> Iterator[np.ndarray]:
    """The small arrays, in order."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        for part in value:
            yield from _small(part)
    elif _is_small(value):
        yield value


def _is_small(value: Any) -> bool:
    return isinstance(value, np.ndarray) and 0 < value.nbytes < LARGE


def tape_bytes(net: NetArrays, n: int, steps: int, itemsize: int, full: frozenset[str], columns: tuple[int, ...] = ()) -> int:
    """Bytes of one slot of a tape."""
    widths = {"hidden": net.n_hidden * (len(columns) or n), "local": net.n_local * n}
    spikes = (net.delay + steps) * n * 4
    return steps * sum(widths.get(name, n) for name in full) * itemsize + spikes + 2 * steps * net.n_out * itemsize
