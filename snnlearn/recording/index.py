"""The index of the raw data: which steps of which trial, or of a stream, lie where in the file.

A trial counts its steps from zero. The pieces of a stream have numbers as trials do, but share one axis of time: their steps
count from the beginning of the stream. What shares an axis is a line: a trial, or all pieces of a stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import h5py
import numpy as np

from .._check import brief
from ..storage.checkpoint_slots import kept_positions, newest_values
from ..storage.integrity import attributes
from ..storage.open_file import entries, frozen

TELLS_STREAMS = (1, 3)  # version from which a file says which trials are pieces of a stream
COLUMNS = ("trial", "start", "n_steps", "row", "spike", "n_spikes")
INPUTS = ("input", "n_inputs")


class Segments(NamedTuple):
    """Contiguous pieces of trials, sorted by trial and start; int64 arrays [segments]."""

    trial: np.ndarray  # number of the trial, or of the piece of a stream
    start: np.ndarray  # first step, counted within the trial or piece
    n_steps: np.ndarray
    row: np.ndarray
    spike: np.ndarray
    n_spikes: np.ndarray
    origin: np.ndarray  # step of the stream with which the piece begins; 0 for trials
    line: np.ndarray  # the trial, or the first piece of its stream: what shares an axis of time
    input: np.ndarray  # first entry of inputs, and
    n_inputs: np.ndarray  # how many there are; zeros where inputs were not recorded
    begin: np.ndarray  # first step, of the trial or of the stream
    stop: np.ndarray  # the step behind the last one, likewise
    streams: bool  # whether there is any piece of a stream

    def __repr__(self) -> str:
        return brief(self)


def before_streams(attributes: Mapping[str, Any]) -> bool:
    """Whether a file with these attributes is of a version that does not say which trials are pieces of a stream."""
    return tuple(int(x) for x in str(attributes["version"]).split(".")[:2] if x.isdigit()) < TELLS_STREAMS


def load(h5: h5py.File, committed: Mapping[str, int], config: Mapping[str, Any], stream: bool | None) -> Segments:
    """The index of a file. stream : whether trials are pieces of one; None: as the file tells."""
    part = slice(0, committed["segments"])
    columns = [entries(h5, f"segments/{name}", part).astype(np.int64) for name in COLUMNS]
    for name in INPUTS:
        there = name in set(h5["segments"])
        columns.append(entries(h5, f"segments/{name}", part).astype(np.int64) if there else np.zeros_like(columns[0]))
    known = "stream" in set(h5["segments"])
    origin = entries(h5, "segments/stream", part) if known else np.full(columns[0].size, -1, np.int64)
    order = np.lexsort((columns[1], columns[0]))
    trial, start, *rest = (column[order] for column in columns)
    origin = origin[order].astype(np.int64)
    if stream is not False and (stream or before_streams(attributes(h5))):
        origin = _inferred(h5, committed, config, stream, trial, start + rest[0], origin)
    is_piece = origin >= 0
    line = trial.copy()
    pieces = np.flatnonzero(is_piece)
    if pieces.size:  # a stream that begins anew counts from zero again
        number, begin = trial[pieces], origin[pieces]
        anew = np.concatenate(([True], (number[1:] != number[:-1]) & (begin[1:] <= begin[:-1])))
        line[pieces] = number[anew][np.cumsum(anew) - 1]
    origin = np.maximum(origin, 0)
    begins = start + origin
    arrays = (trial, start, *rest[:-2], origin, line, *rest[-2:], begins, begins + rest[0])
    return Segments(*map(frozen, arrays), bool(pieces.size))  # type: ignore[arg-type, call-arg]


def _inferred(
    h5: h5py.File,
    committed: Mapping[str, int],
    config: Mapping[str, Any],
    stream: bool | None,
    trial: np.ndarray,
    stop: np.ndarray,
    origin: np.ndarray,
) -> np.ndarray:
    """Where pieces begin in their stream, of a file that does not say so itself, from its states and the lengths of pieces.

    trial, stop : of the segments, steps counted within the piece; origin : as far as it is known, else -1
    """
    anchors = [(int(t), int(x)) for t, x in zip(trial[origin > 0][:1], origin[origin > 0][:1], strict=True)]
    if not config.get("training"):
        anchors += [position for position in kept_positions(h5).values() if position[1]]
        newest = newest_values(h5)
        if newest is not None and newest["training"] is None and newest["counters"]["stream_steps"]:
            anchors.append((int(newest["counters"]["trials_done"]), int(newest["counters"]["stream_steps"])))
    if "tables/trials" in committed and "n_steps" in set(h5["tables/trials"]):
        part = slice(0, committed["tables/trials"])
        numbers, lengths = (entries(h5, f"tables/trials/{name}", part).astype(np.int64) for name in ("trial", "n_steps"))
        numbers, first = np.unique(numbers, return_index=True)
        lengths = lengths[first]
    else:  # as far as they were recorded
        numbers, first = np.unique(trial, return_index=True)
        lengths = np.maximum.reduceat(stop, first) if first.size else stop
    if stream and not anchors and numbers.size:
        anchors = [(int(numbers[0]), 0)]
    before, places = np.concatenate(([0], np.cumsum(lengths))), np.full(numbers.size, -1, np.int64)
    for number, steps in sorted(set(anchors), reverse=True):  # a stream reaches back to its step 0
        offsets = before[:-1] - before[np.searchsorted(numbers, number)] + steps
        use = (offsets >= 0) & (places < 0)
        places[use] = offsets[use]
    if not numbers.size:
        return origin
    at = np.minimum(np.searchsorted(numbers, trial), numbers.size - 1)
    return np.where((origin < 0) & (numbers[at] == trial), places[at], origin)
