"""What spiked, what came in and what was learnt in a run, and the synaptic operations that follow from it.

Kernels count spikes as they simulate; inputs are lists of events. Nothing is simulated again for these counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from .._check import brief
from ..events import InputArrays

MANY = 100_000  # events that are counted at once, so that a report does not keep them


class Learnt(NamedTuple):
    """How a run has learnt."""

    updates: int  # of the weights
    rule: Any
    optimizer: Any
    interval: int | None  # K: steps between two updates; None: one a batch or piece
    streaming: bool


class InputCounts(NamedTuple):
    """What came in, in all trials together."""

    counts: np.ndarray  # int64 [n_inputs] entries of each channel that are not zero
    analog: bool  # whether there are values other than 1 and -1


class Operations(NamedTuple):
    """Synaptic operations of a run, of all its trials together."""

    acs: int  # accumulates: arrivals of spikes, and of inputs that are 1 or -1, at synapses whose weight is not zero
    macs: int  # multiply-accumulates: arrivals of real-valued inputs at such synapses
    dense: int  # of a machine that computes every synapse at every step


@dataclass(eq=False)
class Activity:
    """Spikes and inputs of a run, counted while it ran. A stream is one trial, however many pieces it came in.

    steps : of all trials together
    spikes : int [trials, n] of each neuron
    late : int [trials, n] of them those of the last D steps, which do not arrive within the trial; D: the recurrent delay. Of a
        later run of a stream less those that were in flight before it, which arrive in it
    learnt : None where the run has not learnt
    """

    steps: int
    spikes: np.ndarray
    late: np.ndarray
    n_inputs: int
    itemsize: int  # bytes of a number: 4 or 8
    learnt: Learnt | None = None
    events: list[InputArrays] = field(default_factory=list, repr=False)
    counted: InputCounts | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if sum(events.channel.size for events in self.events) > MANY:
            self.inputs  # noqa: B018

    def __repr__(self) -> str:
        return brief(("Activity", self.steps, self.spikes, self.late))

    @property
    def trials(self) -> int:
        """Number of trials."""
        return self.spikes.shape[0]

    @cached_property
    def inputs(self) -> InputCounts:
        """What came in."""
        counts, analog = (np.zeros(self.n_inputs, np.int64), False) if self.counted is None else self.counted
        for events in self.events:
            more, real = count_inputs(events, self.n_inputs)
            counts, analog = counts + more, analog or real
        self.events.clear()
        return InputCounts(counts, analog)

    def plus(self, other: Activity) -> Activity:
        """Of this piece of a stream and the next one together."""
        learnt = other.learnt or self.learnt
        if self.learnt and other.learnt:
            learnt = other.learnt._replace(updates=self.learnt.updates + other.learnt.updates)
        counts, analog = self.inputs
        both = InputCounts(counts + other.inputs.counts, analog or other.inputs.analog)
        sums = {name: getattr(self, name) + getattr(other, name) for name in ("steps", "spikes", "late")}
        return replace(self, **sums, learnt=learnt, events=[], counted=both)

    def operations(self, weights: Any) -> Operations:
        """Synaptic operations with these `Weights`: an absent synapse, or one of weight zero, takes none."""
        fan_in, fan_rec, fan_out = (fan(w) for w in weights[:3])
        spikes, late = (x.sum(axis=0, dtype=np.int64) for x in (self.spikes, self.late))
        entering, spiking = int(self.inputs.counts @ fan_in), int((spikes - late) @ fan_rec + spikes @ fan_out)
        total = sum(int(np.prod(w.shape)) for w in weights[:3])
        analog = entering if self.inputs.analog else 0
        return Operations(acs=spiking + entering - analog, macs=analog, dense=self.steps * total)


def fan(w: Any) -> np.ndarray:
    """Synapses of each source whose weight is not zero, int64 [pre]. w : [pre, post], an array or csr_array"""
    if not sparse.issparse(w):
        return np.count_nonzero(w, axis=1)
    source = np.repeat(np.arange(w.shape[0]), np.diff(w.indptr))
    return np.bincount(source[w.data != 0], minlength=w.shape[0])


def count_inputs(events: InputArrays, n_inputs: int) -> tuple[np.ndarray, bool]:
    """Entries of each channel that are not zero, int [n_inputs], and whether there are values other than 1 and -1."""
    indptr, channel, value, steps = events
    ends = indptr[np.arange(steps.size), steps]
    if channel.size > int((ends - indptr[:, 0]).sum()):  # what is behind the end of a trial, or of other trials
        kept = np.concatenate([np.arange(first, last) for first, last in zip(indptr[:, 0], ends, strict=True)])
        channel, value = channel[kept], value[kept]
    there = value != 0
    if not there.all():
        channel, value = channel[there], value[there]
    spikes = bool((value == 1).all()) or bool((np.abs(value) == 1).all())
    return np.bincount(channel, minlength=n_inputs), not spikes
