"""Firing rates, intervals between spikes, and responses to classes, of an open recording; in bounded memory.

    rates(rec, bin=1000.0)        rate of each neuron, or of the population, in bins of time
    intervals(rec)                histogram of interspike intervals, and the coefficient of variation of each neuron
    psth(rec, bin=10.0)           rate after the beginning of a trial, averaged over the trials of each class

Every function goes through the recording in batches of half a million spikes; what it returns does not grow with the run,
except `rates`, by a value a bin.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._check import TOLERANCE, brief, fail, number, numbers, whole_steps
from ..recording import Recording
from ..recording.pieces import Extent, extents, iter_batches

__all__ = ["PSTH", "Intervals", "Rates", "intervals", "psth", "rates"]

MOST_BINS = 10_000_000
BATCH = 1 << 19  # spikes that are looked at together


class Rates(NamedTuple):
    """Firing rates in bins of time. Trials follow each other, each begins a bin of its own; a stream is one of them."""

    trial: np.ndarray  # int64 [bins]; of a stream its first piece
    time: np.ndarray  # [bins] begin of the bin, ms within the trial or stream
    duration: np.ndarray  # [bins] ms; the last bin of a trial may be shorter
    rate: np.ndarray  # [bins] Hz per neuron, or [bins, neurons] Hz

    def __repr__(self) -> str:
        return brief(self)


class Intervals(NamedTuple):
    """Intervals between successive spikes of a neuron within a trial or stream."""

    edges: np.ndarray  # [bins + 1] ms
    counts: np.ndarray  # int64 [bins], of all neurons
    neuron: np.ndarray  # int64 [neurons]
    n: np.ndarray  # int64 [neurons], number of intervals
    mean: np.ndarray  # [neurons] ms; NaN without an interval
    cv: np.ndarray  # [neurons] standard deviation over mean; NaN with less than two

    def __repr__(self) -> str:
        return brief(self)


class PSTH(NamedTuple):
    """Peri-stimulus time histograms: rates within the trial, averaged over the trials of a class."""

    label: np.ndarray  # int64 [classes]
    n_trials: np.ndarray  # int64 [classes]
    time: np.ndarray  # [bins] begin of the bin, ms within the trial
    rate: np.ndarray  # [classes, bins, neurons] Hz

    def __repr__(self) -> str:
        return brief(self)


def rates(recording: Recording, bin: float = 1000.0, *, trials: Any = None, neurons: Any = None, each: bool = False) -> Rates:
    """Firing rates in bins of `bin` ms.

    recording : an open one; trials, neurons : as in `Recording.spikes`
    each : a column for each neuron, instead of their mean

    Raises KeyError where spikes were not recorded, IndexError for trials and neurons that are not there.
    """
    width = _steps("analysis.rates.bin", bin, recording.dt)
    chosen = _neurons(recording, neurons)
    extent = extents(recording, trials).lines()
    n_bins = -(-(extent.stop - extent.start) // width)
    first = np.concatenate(([0], np.cumsum(n_bins)))
    trial = np.repeat(extent.trial, n_bins)
    start = np.repeat(extent.start, n_bins) + width * (np.arange(first[-1]) - np.repeat(first[:-1], n_bins))
    length = np.minimum(start + width, np.repeat(extent.stop, n_bins)) - start
    counts = np.zeros((first[-1], chosen.size if each else 1), np.int64)
    place, order = _places(recording, chosen), np.argsort(extent.line)
    for spikes in _batches(recording, trials, neurons):
        at = order[np.searchsorted(extent.line, _lines(recording, spikes), sorter=order)]
        row = first[at] + (spikes.step - extent.start[at]) // width
        np.add.at(counts, (row, place[spikes.neuron] if each else 0), 1)
    seconds = length * recording.dt / 1000
    rate = counts / seconds[:, None]
    return Rates(trial, start * recording.dt, length * recording.dt, rate if each else rate[:, 0] / max(chosen.size, 1))


def intervals(
    recording: Recording, bin: float = 5.0, longest: float = 500.0, *, trials: Any = None, neurons: Any = None
) -> Intervals:
    """Interspike intervals: a histogram with bins of `bin` ms up to `longest` ms, and mean and CV of each neuron.

    recording : an open one; trials, neurons : as in `Recording.spikes`

    Longer intervals count in the mean and in the CV only. An interval does not cross from one trial into the next, but from one
    piece of a stream into the next one.
    Raises KeyError where spikes were not recorded, ValueError for a bin that is no number of steps.
    """
    width = _steps("analysis.intervals.bin", bin, recording.dt)
    least = width * recording.dt
    longest = number("analysis.intervals.longest", longest, "be a time in ms above bin", least, MOST_BINS * least)
    n_bins = int(longest / (width * recording.dt) * (1 + TOLERANCE))
    chosen, n_neurons = _neurons(recording, neurons), recording.n_neurons
    n, total, squares = np.zeros(n_neurons, np.int64), np.zeros(n_neurons), np.zeros(n_neurons)
    counts = np.zeros(n_bins, np.int64)
    last_trial, last_step = np.full(n_neurons, -1), np.zeros(n_neurons, np.int64)
    for spikes in _batches(recording, trials, neurons):
        order = np.argsort(spikes.neuron, kind="stable")  # of each neuron in order of trial and time
        trial, step, neuron = (x[order] for x in (_lines(recording, spikes), spikes.step, spikes.neuron))
        if not neuron.size:
            continue
        begins = np.concatenate(([True], neuron[1:] != neuron[:-1]))
        before_trial = np.where(begins, last_trial[neuron], np.concatenate(([0], trial[:-1])))
        before_step = np.where(begins, last_step[neuron], np.concatenate(([0], step[:-1])))
        same = before_trial == trial
        isi, of = (step - before_step)[same], neuron[same]
        n += np.bincount(of, minlength=n_neurons)
        total += np.bincount(of, isi, n_neurons)
        squares += np.bincount(of, isi.astype(np.float64) ** 2, n_neurons)
        counts += np.bincount(isi // width, minlength=n_bins)[:n_bins]
        ends = np.concatenate((begins[1:], [True]))
        last_trial[neuron[ends]], last_step[neuron[ends]] = trial[ends], step[ends]
    mean = np.divide(total, n, out=np.full(n_neurons, np.nan), where=n > 0)
    variance = np.divide(squares, n, out=np.full(n_neurons, np.nan), where=n > 1) - mean**2
    cv = np.sqrt(np.maximum(variance, 0.0)) / mean
    edges = np.arange(n_bins + 1) * width * recording.dt
    return Intervals(edges, counts, chosen, n[chosen], mean[chosen] * recording.dt, cv[chosen])


def psth(recording: Recording, bin: float = 10.0, *, label: Any = None, trials: Any = None, neurons: Any = None) -> PSTH:
    """Rates within the trial, for each class of trials, in bins of `bin` ms.

    recording : an open one; trials, neurons : as in `Recording.spikes`
    label : the class of each trial, as {trial: class} or int [trials]; None: the column of the table "trials", and one class
        0 where there is none

    Trials are aligned at their step 0. Where they have different lengths a bin is averaged over those that reach it. A stream
    has no trials: its pieces count as such only where each has a class, which `label` gives or the table has.
    Raises KeyError where spikes were not recorded or a trial has no class, ValueError for a bin that is no number of steps, and
    for a stream whose pieces have no classes.
    """
    width = _steps("analysis.psth.bin", bin, recording.dt)
    s, chosen, extent = recording.segments, _neurons(recording, neurons), extents(recording, trials)
    origin = s.origin[np.searchsorted(s.trial, extent.trial)]
    extent = extent._replace(start=extent.start - origin, stop=extent.stop - origin)
    labels = _labels(recording, label, extent)
    classes, which = np.unique(labels, return_inverse=True)
    n_bins = int(-(-extent.stop.max() // width)) if extent.trial.size else 0
    edges = np.arange(n_bins + 1) * width
    steps = np.zeros((classes.size, n_bins))  # that the trials of a class spent in a bin
    for k in range(classes.size):
        start, stop = extent.start[which == k, None], extent.stop[which == k, None]
        steps[k] = np.maximum(np.minimum(stop, edges[1:]) - np.maximum(start, edges[:-1]), 0).sum(axis=0)
    counts = np.zeros((classes.size, n_bins, chosen.size), np.int64)
    place, order = _places(recording, chosen), np.argsort(extent.trial)
    for spikes in _batches(recording, trials, neurons):
        at = order[np.searchsorted(extent.trial, spikes.trial, sorter=order)]
        np.add.at(counts, (which[at], (spikes.step - origin[at]) // width, place[spikes.neuron]), 1)
    seconds = (steps * recording.dt / 1000)[:, :, None]
    rate = np.divide(counts, seconds, out=np.full(counts.shape, np.nan), where=seconds > 0)
    return PSTH(classes, np.bincount(which, minlength=classes.size), edges[:-1] * recording.dt, rate)


def _batches(recording: Recording, trials: Any, neurons: Any) -> Any:
    for batch in iter_batches(recording, BATCH, trials):
        yield recording._spikes_across_gaps(batch.trials, batch.time(recording.dt), neurons)


def _lines(recording: Recording, spikes: Any) -> np.ndarray:
    """The trial of each spike, or the first piece of its stream."""
    s = recording.segments
    return s.line[np.searchsorted(s.trial, spikes.trial)]


def _steps(where: str, bin: Any, dt: float) -> int:
    steps = whole_steps(number(where, bin, "be a positive time in ms", 0.0, strict=True), dt)
    if not steps:
        raise fail(where, f"be a whole number of steps of {dt:g} ms", bin)
    return steps


def _neurons(recording: Recording, neurons: Any) -> np.ndarray:
    every = np.arange(recording.n_neurons)
    if neurons is None:
        return every
    from ..storage.open_file import choose

    return np.unique(choose("neurons", neurons, every))


def _places(recording: Recording, chosen: np.ndarray) -> np.ndarray:
    """The column of each neuron."""
    place = np.zeros(recording.n_neurons, np.int64)
    place[chosen] = np.arange(chosen.size)
    return place


def _are_pieces(recording: Recording, extent: Extent) -> bool:
    """Whether any of these trials is a piece of a stream."""
    return recording.is_stream or np.unique(extent.line).size < np.unique(extent.trial).size


def _labels(recording: Recording, label: Any, extent: Extent) -> np.ndarray:
    where, trials = "analysis.psth.label", extent.trial
    if label is None:
        table = recording.table("trials") if "trials" in recording.tables else None
        known = table is not None and "label" in table._fields
        label = dict(zip(table.trial.tolist(), table.label.tolist(), strict=True)) if table is not None and known else {}
        if _are_pieces(recording, extent) and all(label.get(trial, -1) < 0 for trial in trials.tolist()):
            need = "be given for a stream, which has no trials: a class for each piece that begins with a stimulus"
            raise fail(where, need, None, "rates and intervals take a stream as it is")
        if not known:
            return np.zeros(trials.size, np.int64)
    if isinstance(label, dict):
        missing = [trial for trial in trials.tolist() if trial not in label]
        if missing:
            raise fail(where, "have a class for every trial", f"none for trial {missing[0]}", error=KeyError)
        return np.array([label[trial] for trial in trials.tolist()], np.int64)
    values = numbers(where, label, f"be int of shape {trials.shape}, one class a trial")
    if values.shape != trials.shape or values.dtype.kind not in "iub":
        raise fail(where, f"be int of shape {trials.shape}, one class a trial", label)
    return values.astype(np.int64)
