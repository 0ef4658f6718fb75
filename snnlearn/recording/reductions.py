"""The reducers of a recording at work: blocks are cut at the ends of bins, rows are written, sums go on after a resume."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import h5py
import numpy as np

from .._check import choice, fail, number
from ..storage.integrity import set_attributes
from ..storage.store import Store, Stream
from .reducers import REDUCERS, Alignments, Ended, RecordedPart, Reducer, WeightHistograms


class Reductions:
    """The reducers of an open recording, on one axis of simulated time."""

    def __init__(self, store: Store, bins: Mapping[str, float], dt: float, n: int, weights: Any, n_rules: int):
        self.clock = np.zeros(3, np.int64)  # steps so far; trial and update of the last of them
        self.reducers: dict[str, Reducer] = {}
        self.bins: dict[str, int] = {}
        for name, length in bins.items():
            self.bins[name] = max(1, round(length / dt))
            group: h5py.Group = store.file.require_group("reduced").require_group(name)
            set_attributes(group, bin=self.bins[name] * dt, bin_units="ms")
            reducer = self.reducers[name] = REDUCERS[name](Stream(store, group), dt, n)
            if isinstance(reducer, WeightHistograms):
                reducer.begin(weights)
            elif isinstance(reducer, Alignments):
                reducer.begin(n_rules)
        self._began = dict.fromkeys(self.reducers, 0)  # step at which each bin began
        self._by_step = any(reducer.by_step for reducer in self.reducers.values())  # whether blocks come of every step

    def block(self, trial: int, steps: range, spikes: tuple[Any, Any], variables: Mapping[str, Any]) -> None:
        """Count a block. trial : STREAM for a stream, whose steps are then those of the stream."""
        step, neuron = np.asarray(spikes[0], np.int64), np.asarray(spikes[1])
        clock = int(self.clock[0])
        for name, reducer in self.reducers.items():
            if not reducer.by_step:
                continue
            low = 0
            while low < len(steps):
                high = min(len(steps), self._end(name) - clock)
                whole = low == 0 and high == len(steps)
                use = slice(None) if whole else slice(*np.searchsorted(step, [steps.start + low, steps.start + high]))
                part = {key: x if whole else x[low:high] for key, x in variables.items()}
                reducer.add(RecordedPart(trial, step[use], neuron[use], part))
                if clock + high == self._end(name):
                    self._emit(name, clock + high)
                low = high
        self.clock[0] += len(steps) if self._by_step else 0

    def ended(self, trial: int, update: int, what: Ended, streaming: bool) -> None:
        """Count a batch or piece whose blocks have been counted."""
        self.clock[0] += 0 if self._by_step else what.steps
        self.clock[1:] = trial, update
        for name, reducer in self.reducers.items():
            reducer.ended(what)
            if not streaming:
                reducer.trial_ends()
            if not reducer.by_step and self.clock[0] >= self._end(name):
                self._emit(name, int(self.clock[0]))

    def stream_begins(self) -> None:
        """The stream begins anew, from its step 0."""
        for reducer in self.reducers.values():
            reducer.stream_begins()

    def finish(self) -> None:
        """Write the bins that have begun."""
        for name in self.reducers:
            if self.clock[0] > self._began[name]:
                self._emit(name, int(self.clock[0]))

    def _emit(self, name: str, stop: int) -> None:
        self.reducers[name].emit(stop, int(self.clock[1]), int(self.clock[2]))
        self._began[name] = stop

    def _end(self, name: str) -> int:
        """The step at which the present bin ends."""
        return (self._began[name] // self.bins[name] + 1) * self.bins[name]

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all that goes on, by name."""
        began = np.array(list(self._began.values()), np.int64)
        result = {"clock": self.clock.copy(), "began": began}
        for name, reducer in self.reducers.items():
            result |= {f"{name}.{key}": array.copy() for key, array in reducer.sums.items()}
        return result

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from such a state."""
        self.clock[:] = state["clock"]
        self._began = dict(zip(self.reducers, state["began"].tolist(), strict=True))
        for name, reducer in self.reducers.items():
            for key, array in reducer.sums.items():
                if f"{name}.{key}" in state:
                    array[...] = state[f"{name}.{key}"].reshape(array.shape)


def check_reduce(value: Any) -> dict[str, float]:
    """Reducers by name with their bins in ms. Raises ValueError that lists the names."""
    where = "Recorder.reduce"
    if value is None:
        return {}
    names: Iterable[Any] = (value,) if isinstance(value, str) else value
    try:
        names = list(names)
    except TypeError:
        raise fail(where, 'be names of reducers, or names with bins in ms as {"rates": 1000.0}', value, error=TypeError) from None
    result = {}
    for name in names:
        choice(where, name, REDUCERS)
        length = value[name] if isinstance(value, Mapping) else REDUCERS[name].default
        result[name] = number(f"{where}[{name!r}]", length, "be a positive time in ms", low=0.0, strict=True)
    return result
