"""In-run reducers: what a week-long run leaves of every step in a few megabytes.

    Recorder("run.h5", raw=False, tables=False, reduce=("rates", "intervals", "weights"))
    Recorder("run.h5", raw=False, reduce={"rates": 1000.0, "neuron_rates": 600_000.0})      # bins in ms

A reducer sums over a bin of simulated time and writes one row at its end; nothing of it grows with the steps or the spikes.
Trials follow each other on the axis of time, in the order in which they were recorded.

    name            default bin   a row holds                                                        bytes a row, uncompressed
    rates           1 s           spikes of all neurons                                              4
    neuron_rates    60 s          spikes of each neuron                                              4 n
    intervals       60 s          histograms of interspike intervals (64 logarithmic bins) and of
                                  the neurons' CV (40 bins from 0 to 2, the last open)               416
    variables       60 s          a histogram of each recorded variable (64 bins between two open
                                  ones, over four times the range of its first block)                264 each
    weights         60 s          the same of w_in, w_rec and w_out, with mean and deviation         840
    losses          1 s           mean loss and score of the trials or pieces that ended             24
    gradient_norms  60 s          mean and largest norm of each matrix's gradient                    72
    alignment       60 s          mean cosine of each passive rule and matrix                        24 a rule

and 24 bytes for the bin's end, trial and update; gzip takes the whole to about a third. A week of 1 ms steps is 604 800 rows of
1 s or 10 080 of 60 s: "rates" 5 MB, "intervals" 2 MB, "neuron_rates" of 1000 neurons 15 MB (1.5 MB in bins of 600 s).

Bins of `rates`, `neuron_rates`, `intervals` and `variables` end at exact steps. Those of the others end with the first batch or
piece at or after that, because weights, losses and gradients are known then. The last bin of a run may be shorter. Intervals do
not cross trials; in a stream they cross pieces. A neuron's CV counts in a bin in which it has at least 3 intervals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .._check import brief
from ..storage.integrity import put_array
from ..storage.store import TABLE_CHUNK_BYTES, Stream
from .schema import entry

BINS = 64
CV_EDGES = np.linspace(0.0, 2.0, 41)
LEAST_INTERVALS = 3
WIDER = 4.0  # a histogram's range, in units of what it covers at first
STREAM = -1  # stands for the trial of a stream, which does not end
MATRICES = ("w_in", "w_rec", "w_out")


class RecordedPart(NamedTuple):
    """Consecutive steps of one trial, as a reducer sees them."""

    trial: int  # or STREAM
    step: np.ndarray  # int64 [spikes]
    neuron: np.ndarray
    variables: Mapping[str, np.ndarray]  # [steps, selected]


class Ended(NamedTuple):
    """A batch or piece that has ended."""

    losses: np.ndarray  # [trials]
    scores: np.ndarray
    weights: Any
    gradient_norms: np.ndarray | None  # [4]
    cosine: np.ndarray | None  # [rules, matrices] of passive rules
    steps: int  # of all its trials

    def __repr__(self) -> str:
        return brief(self)


SHORT = 1 << 12  # steps; bins of shorter intervals are looked up


class Reducer:
    """Sums over one bin. `sums` is all that it carries from block to block, and stands in checkpoints."""

    default: ClassVar[float]  # bin, ms
    by_step: ClassVar[bool]  # bins end at steps, not with batches or pieces

    def __init__(self, stream: Stream, dt: float, n: int):
        self.stream, self.dt, self.n = stream, dt, n
        self.sums: dict[str, np.ndarray] = {}
        for name in ("stop", "trial", "update"):
            stream.add(name, "i8", nbytes=TABLE_CHUNK_BYTES)

    def add(self, part: RecordedPart) -> None:
        """Count some steps."""

    def ended(self, what: Ended) -> None:
        """Count a batch or piece."""

    def row(self) -> dict[str, Any]:
        """What the bin comes to: the columns of its row."""
        raise NotImplementedError

    def clear(self) -> None:
        """Begin a new bin."""
        for array in self.sums.values():
            array[...] = 0

    def trial_ends(self) -> None:
        """No trial goes on."""

    def stream_begins(self) -> None:
        """The stream begins anew."""

    def emit(self, stop: int, trial: int, update: int) -> None:
        """Write the row of the bin that ends after so many steps."""
        values = {"stop": stop, "trial": trial, "update": update, **self.row()}
        self.stream.extend(1, {name: np.asarray(value)[None] for name, value in values.items()})
        self.clear()

    def _edges(self, name: str, edges: np.ndarray) -> np.ndarray:
        """Edges of a histogram, as they stand in the file; those of its beginning where the recording goes on."""
        group = self.stream.group
        assert group is not None
        if name not in group:
            put_array(group, name, edges, units=entry(name).units, description="edges of the histogram's bins")
        return group[name][...]


class RateReducer(Reducer):
    """Spikes of the population."""

    default, by_step = 1000.0, True

    def __init__(self, stream: Stream, dt: float, n: int):
        super().__init__(stream, dt, n)
        stream.add("spikes", "u4", nbytes=TABLE_CHUNK_BYTES)
        self.sums["spikes"] = np.zeros((), np.int64)

    def add(self, part: RecordedPart) -> None:
        self.sums["spikes"] += part.step.size

    def row(self) -> dict[str, Any]:
        return {"spikes": self.sums["spikes"]}


class NeuronRates(Reducer):
    """Spikes of each neuron."""

    default, by_step = 60_000.0, True

    def __init__(self, stream: Stream, dt: float, n: int):
        super().__init__(stream, dt, n)
        stream.add("spikes", "u4", (n,))
        self.sums["spikes"] = np.zeros(n, np.int64)

    def add(self, part: RecordedPart) -> None:
        self.sums["spikes"] += np.bincount(part.neuron, minlength=self.n)

    def row(self) -> dict[str, Any]:
        return {"spikes": self.sums["spikes"]}


class IntervalReducer(Reducer):
    """Interspike intervals and the neurons' coefficients of variation."""

    default, by_step = 60_000.0, True

    def __init__(self, stream: Stream, dt: float, n: int):
        super().__init__(stream, dt, n)
        stream.add("intervals", "u4", (BINS,))
        stream.add("cv", "u4", (CV_EDGES.size - 1,))
        self.edges = self._edges("edges", np.geomspace(dt / 2, 1e5 * dt / 2, BINS + 1))
        self._edges("cv_edges", CV_EDGES)
        self.sums["intervals"] = np.zeros(BINS, np.int64)
        for name in ("count", "sum", "square"):
            self.sums[name] = np.zeros(n)
        self.sums["last"] = np.full(n, -1, np.int64)  # of the stream: step of each neuron's last spike
        self._trials: dict[int, np.ndarray] = {STREAM: self.sums["last"]}
        self._bins = self._bin(np.arange(SHORT) * dt)  # of intervals of 0, 1, ... steps

    def _bin(self, interval: np.ndarray) -> np.ndarray:
        """Bins of intervals in ms."""
        return np.clip(np.searchsorted(self.edges, interval, side="right") - 1, 0, BINS - 1)

    def add(self, part: RecordedPart) -> None:
        last = self._trials.get(part.trial)
        if last is None:
            last = self._trials[part.trial] = np.full(self.n, -1, np.int64)
        if not part.step.size:
            return
        narrow = np.uint16 if self.n <= 1 << 16 else part.neuron.dtype  # NumPy sorts 16 bits by radix, ten times faster
        order = np.argsort(part.neuron.astype(narrow, copy=False), kind="stable")
        neuron, step = part.neuron[order].astype(np.int64), part.step[order].astype(np.int64)
        first = np.r_[True, neuron[1:] != neuron[:-1]]
        before = np.where(first, last[neuron], np.r_[0, step[:-1]])
        last[neuron[np.r_[first[1:], True]]] = step[np.r_[first[1:], True]]
        known = before >= 0
        neuron, steps = neuron[known], (step - before)[known]
        interval, bins = steps * self.dt, self._bins[np.minimum(steps, SHORT - 1)]
        long = steps >= SHORT
        bins[long] = self._bin(interval[long])
        self.sums["intervals"] += np.bincount(bins, minlength=BINS)
        for name, power in (("count", 0), ("sum", 1), ("square", 2)):
            self.sums[name] += np.bincount(neuron, interval**power, minlength=self.n)

    def row(self) -> dict[str, Any]:
        count, total, square = (self.sums[name] for name in ("count", "sum", "square"))
        use = count >= LEAST_INTERVALS
        mean = total[use] / count[use]
        cv = np.sqrt(np.maximum(square[use] / count[use] - mean**2, 0.0)) / mean
        found = np.histogram(np.minimum(cv, np.nextafter(CV_EDGES[-1], 0)), CV_EDGES)[0]
        return {"intervals": self.sums["intervals"], "cv": found}

    def clear(self) -> None:
        for name in ("intervals", "count", "sum", "square"):
            self.sums[name][...] = 0

    def trial_ends(self) -> None:
        self._trials = {STREAM: self.sums["last"]}

    def stream_begins(self) -> None:
        self.sums["last"][...] = -1


class Variables(Reducer):
    """Histograms of the recorded variables."""

    default, by_step = 60_000.0, True

    def __init__(self, stream: Stream, dt: float, n: int):
        super().__init__(stream, dt, n)
        self.edges: dict[str, np.ndarray] = {}
        assert stream.group is not None
        for name in [name.removeprefix("edges_") for name in stream.group if name.startswith("edges_")]:
            self._begin(name, np.empty(0))

    def _begin(self, name: str, values: np.ndarray) -> None:
        self.edges[name] = self._edges(f"edges_{name}", open_edges(values) if values.size else values)
        self.stream.add(name, "u4", (BINS + 2,))
        self.sums[name] = np.zeros(BINS + 2, np.int64)

    def add(self, part: RecordedPart) -> None:
        for name, values in part.variables.items():
            if name not in self.edges:
                self._begin(name, values)
            self.sums[name] += open_histogram(values, self.edges[name])

    def row(self) -> dict[str, Any]:
        return self.sums


class WeightHistograms(Reducer):
    """Histograms of the weights at the bin's end."""

    default, by_step = 60_000.0, False

    def __init__(self, stream: Stream, dt: float, n: int):
        super().__init__(stream, dt, n)
        self.weights: Any = None

    def begin(self, weights: Any) -> None:
        """Take the weights with which the recording begins or goes on."""
        self.weights, self.edges = weights, {}
        for name in MATRICES:
            values = _values(getattr(weights, name))
            span = float(np.abs(values).max(initial=0.0)) or 1.0
            self.edges[name] = self._edges(f"edges_{name}", open_edges(np.array([-span, span])))
            self.stream.add(name, "u4", (BINS + 2,))
            for column in ("mean", "deviation"):
                self.stream.add(f"{name}_{column}", "f8", nbytes=TABLE_CHUNK_BYTES)

    def ended(self, what: Ended) -> None:
        self.weights = what.weights

    def row(self) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name in MATRICES:
            values = _values(getattr(self.weights, name))
            result[name] = open_histogram(values, self.edges[name])
            result |= {f"{name}_mean": values.mean(dtype=np.float64), f"{name}_deviation": values.std(dtype=np.float64)}
        return result


class Mean(Reducer):
    """Means over the batches or pieces of a bin; NaN without one."""

    by_step = False
    columns: ClassVar[tuple[str, ...]]

    def __init__(self, stream: Stream, dt: float, n: int):
        super().__init__(stream, dt, n)
        for name in self.columns:
            stream.add(name, "f8", self._width(), nbytes=TABLE_CHUNK_BYTES)
        stream.add("count", "i8", nbytes=TABLE_CHUNK_BYTES)
        self.sums = {name: np.zeros(self._width()) for name in self.columns} | {"count": np.zeros((), np.int64)}

    def _width(self) -> tuple[int, ...]:
        return ()

    def row(self) -> dict[str, Any]:
        count = self.sums["count"]
        means = {name: self.sums[name] / count if count else np.full(self._width(), np.nan) for name in self.columns}
        return means | {"count": count}


class Losses(Mean):
    """Mean loss and score of trials or pieces."""

    default, columns = 1000.0, ("loss", "score")

    def ended(self, what: Ended) -> None:
        self.sums["loss"] += what.losses.sum()
        self.sums["score"] += what.scores.sum()
        self.sums["count"] += what.losses.size


class GradientNorms(Mean):
    """Mean and largest norm of the gradients of w_in, w_rec, w_out, b_out."""

    default, columns = 60_000.0, ("norm", "largest")

    def _width(self) -> tuple[int, ...]:
        return (4,)

    def ended(self, what: Ended) -> None:
        if what.gradient_norms is not None:
            self.sums["norm"] += what.gradient_norms
            np.maximum(self.sums["largest"], what.gradient_norms, out=self.sums["largest"])
            self.sums["count"] += 1

    def row(self) -> dict[str, Any]:
        row = super().row()
        return row | ({"largest": self.sums["largest"]} if self.sums["count"] else {})


class Alignments(Reducer):
    """Mean cosine of passive rules' gradients of w_in, w_rec, w_out; alignments with a gradient of zero are left out."""

    default, by_step = 60_000.0, False

    def begin(self, n_rules: int) -> None:
        """Make room for so many passive rules."""
        width = (n_rules, len(MATRICES))
        self.stream.add("cosine", "f8", width, nbytes=TABLE_CHUNK_BYTES)
        self.stream.add("count", "i8", width, nbytes=TABLE_CHUNK_BYTES)
        self.sums = {"cosine": np.zeros(width), "count": np.zeros(width, np.int64)}

    def ended(self, what: Ended) -> None:
        if what.cosine is not None:
            known = np.isfinite(what.cosine)
            self.sums["cosine"] += np.where(known, what.cosine, 0.0)
            self.sums["count"] += known

    def row(self) -> dict[str, Any]:
        count = self.sums["count"]
        return {"cosine": np.where(count > 0, self.sums["cosine"] / np.maximum(count, 1), np.nan), "count": count}


REDUCERS: dict[str, type[Reducer]] = {
    "rates": RateReducer,
    "neuron_rates": NeuronRates,
    "intervals": IntervalReducer,
    "variables": Variables,
    "weights": WeightHistograms,
    "losses": Losses,
    "gradient_norms": GradientNorms,
    "alignment": Alignments,
}


def open_edges(values: np.ndarray) -> np.ndarray:
    """Edges [65] of bins over four times the range of some values."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    half = (high - low or max(abs(high), 1.0)) / 2
    middle = (low + high) / 2
    return np.linspace(middle - WIDER * half, middle + WIDER * half, BINS + 1)


def open_histogram(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Counts [66]: below the edges, between them, and above."""
    scale = BINS / (edges[-1] - edges[0])
    place = np.floor((np.asarray(values, np.float64).ravel() - edges[0]) * scale)
    return np.bincount(np.clip(place + 1, 0, BINS + 1).astype(np.int64), minlength=BINS + 2)


def _values(matrix: Any) -> np.ndarray:
    """The stored weights of a matrix."""
    return matrix.data if hasattr(matrix, "indptr") else matrix
