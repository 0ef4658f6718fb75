"""`MemoryRecorder`: records into memory, for notebooks and tests."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from .._check import fail
from ..storage.open_file import choose, frozen, in_order, listed, record
from .options import OPTIONS
from .protocol import BaseRecorder
from .raw import Spikes
from .recorder import Recorder
from .streams import schedule
from .summaries import Event

FILE = ("compression", "checkpoint_every", "checkpoint_minutes", "keep_every", "reduce")  # options that need a file
VARIABLES = ("v", "a", "psi", "threshold", "learning_signal")
DEFAULTS = {name: one.default for name, one in inspect.signature(Recorder.__init__).parameters.items()}


class MemoryRecorder(BaseRecorder):
    """Keeps a run in memory: no file is needed, and nothing is left when the program ends.

    options : those of `Recorder` that need no file: spikes, v, a, psi, threshold, learning_signal, readout, target,
        weights_every, every, variables, every_steps, windows, eligibility, eligibility_parts, synapses, gradient_norms, raw,
        tables

    Signals are read as from a `Recording`: ``rec.spikes(trial)``, ``rec["v"][trial]``, ``rec.table("trials").loss``,
    ``rec.weights()``. It grows as the run goes on; long runs are for `Recorder`. Raises TypeError or ValueError that names the
    option.

    >>> import numpy as np
    >>> import snnlearn as sl
    >>> rec = sl.MemoryRecorder(v=True)
    >>> net = sl.Network(3, sl.LIF(4, threshold=0.5), 2)
    >>> run = sl.Simulator(net).run(np.ones((10, 3)), recorder=rec)
    >>> rec["v"][0].shape, rec.trials.tolist()
    ((10, 4), [0])
    """

    def __init__(self, **options: Any):
        for name in options:
            if name in FILE:
                raise fail(f"MemoryRecorder.{name}", "be left out: it needs a file", options[name], "sl.Recorder writes one")
            if name not in OPTIONS and name not in (*VARIABLES, "variables"):
                known = [n for n in (*VARIABLES, *OPTIONS, "variables") if n not in FILE]
                raise fail("MemoryRecorder", f"get options among {', '.join(known)}", name, error=TypeError)
        given = DEFAULTS | options
        self._set_options({name: given[name] for name in OPTIONS} | {"overwrite": False, "checkpoint_minutes": None})
        # what is asked for by these names is what is read by them, too
        self.spikes_wanted, self.tables_wanted = bool(self.__dict__.pop("spikes")), bool(self.__dict__.pop("tables"))
        self._choose({name: given[name] for name in VARIABLES}, given["variables"])
        self._network: dict[str, Any] = {}
        self._spikes: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
        self._signals: dict[str, dict[int, list[np.ndarray]]] = {}
        self._starts: dict[int, int] = {}
        self._rows: dict[str, dict[str, list[np.ndarray]]] = {}
        self._weights: dict[int, Any] = {}
        self._said: list[Event] = []

    def __repr__(self) -> str:
        return f"MemoryRecorder({self.trials.size} trials or pieces, {', '.join(self.names) or 'no signals'})"

    # ---- what a simulator tells it ------------------------------------------------------------------

    def open(self, config: Mapping[str, Any], **about: Any) -> None:
        """Begin, or go on with a network of the same sizes. Raises as `Recorder.open`."""
        sizes = {name: about[name] for name in ("n_neurons", "n_outputs", "dt")}
        if self._network and sizes != self._network:
            raise fail("MemoryRecorder.open", "continue with the same network", sizes, f"it holds {self._network}")
        self.adaptive = np.asarray(about.get("adaptive", ()), np.int64)
        self.neurons = self.selection(about["n_neurons"], about["variables"], about.get("model", "the network"))
        self._pairs = self.check_synapses(about["weights"], about["dt"], about.get("hidden", ("v",)))
        self._network, self.dt, self.config = sizes, float(about["dt"]), dict(config)
        self._plan = schedule(self.windows, self.every_steps, self.dt)

    def block(self, trial: int, start: int, spike_step: Any, spike_neuron: Any, *arrays: Any, **more: Any) -> None:
        """Keep a piece of a trial, where it is wanted."""
        if not self.wants(trial):
            return
        given = dict(zip(("traces", "readout", "target", "n_steps"), arrays, strict=False)) | more
        stream = int(given.get("stream") or 0)
        signals = dict(given.get("traces") or {})
        signals |= {name: given.get(name) for name in ("readout", "target") if getattr(self, name)}
        signals = {name: np.asarray(x) for name, x in signals.items() if x is not None}
        length = next((len(x) for x in signals.values()), int(given.get("n_steps") or 0))
        self._starts.setdefault(trial, stream)
        spike_step, spike_neuron = np.asarray(spike_step, np.int64), np.asarray(spike_neuron, np.int64)
        for low, high in self._plan.pieces(start, length, stream):
            if self.spikes_wanted:
                use = (spike_step >= low) & (spike_step < high)
                self._spikes.setdefault(trial, []).append((spike_step[use] + stream, spike_neuron[use]))
            first = -(-low // self.every_steps) * self.every_steps
            for name, x in signals.items():
                kept = x[first - start : high - start : self.every_steps].copy()
                self._signals.setdefault(name, {}).setdefault(trial, []).append(kept)

    def row(self, table: str, /, **columns: Any) -> None:
        """Keep rows of a table."""
        if not self.tables_wanted and table in ("trials", "updates", "alignment", "gradient_norms"):
            return
        rows = max((np.size(x) for x in columns.values()), default=1)
        kept = self._rows.setdefault(table, {})
        for name, x in columns.items():
            kept.setdefault(name, []).append(np.array(np.broadcast_to(np.asarray(x), (rows,))))

    def snapshot(self, update: int, weights: Any, final: bool = False) -> None:
        """Keep the weights where the schedule asks for them."""
        if self.weights_every is not None and (final or update % self.weights_every == 0) and update not in self._weights:
            values = {name: w.copy() if hasattr(w, "copy") else w for name, w in weights._asdict().items()}
            self._weights[update] = record("Weights", values)

    def event(self, kind: str, message: str) -> None:
        """Keep what happened, with the time."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._said.append(Event(now, kind, message))

    def checkpoint(self, *state: Any, **how: Any) -> None:
        """Raise ValueError: a state needs a file."""
        raise fail("MemoryRecorder", "get no checkpoints", "one", "sl.Recorder and Simulator.save write them")

    # ---- what a user reads --------------------------------------------------------------------------

    @property
    def trials(self) -> np.ndarray:
        """Numbers of the trials, or pieces of a stream, that it holds, int64, ascending."""
        return frozen(np.array(sorted(self._starts), np.int64))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the signals that `recorder[name]` gives."""
        return tuple(self._signals)

    def __contains__(self, name: object) -> bool:
        return name in self._signals

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> MemorySignal:
        """The signal of this name. Raises KeyError that lists the names."""
        if name not in self._signals:
            raise KeyError(f"there is no {name!r}; there is {', '.join(map(repr, self.names)) or 'no signal'}")
        return MemorySignal(name, self._signals[name], self.neurons.get(name))

    def spikes(self, trials: Any = None) -> Spikes:  # type: ignore[override]
        """Spikes of some trials, sorted. trials : a number, a list of numbers or a slice of numbers; None: all

        Raises IndexError for trials that are not there.
        """
        chosen = self.trials if trials is None else choose("trials", trials, self.trials)
        parts = [(np.empty(0, np.int64),) * 3]
        for trial in np.atleast_1d(chosen).tolist():
            parts += [(np.full(step.size, trial), step, neuron) for step, neuron in self._spikes.get(trial, ())]
        return Spikes(*map(frozen, in_order(*(np.concatenate(x) for x in zip(*parts, strict=True)))))

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened, in order."""
        return tuple(self._said)

    @property
    def tables(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the tables."""
        return tuple(self._rows)

    def table(self, name: str) -> Any:
        """A NamedTuple of a table's columns, arrays [rows]. Raises KeyError that lists the tables."""
        if name not in self._rows:
            raise KeyError(f"there is no table {name!r}; there is {', '.join(map(repr, self._rows)) or 'none'}")
        return record(name.capitalize(), {column: frozen(np.concatenate(x)) for column, x in self._rows[name].items()})

    @property
    def weight_updates(self) -> np.ndarray:
        """The number of updates before each snapshot of the weights, int64."""
        return frozen(np.array(sorted(self._weights), np.int64))

    def weights(self, update: int | None = None) -> Any:
        """The weights after so many updates; None: the last ones. Raises KeyError that lists the updates."""
        updates = self.weight_updates
        if not updates.size:
            raise KeyError("there are no weights; MemoryRecorder(weights_every=...) keeps them")
        if update is not None and update not in self._weights:
            raise KeyError(f"there are no weights after {update} updates; there are after {listed(updates)}")
        return self._weights[int(updates[-1]) if update is None else update]


class MemorySignal:
    """One signal that a `MemoryRecorder` keeps: ``signal[trial]`` is an array [steps, columns].

    neurons : int32 [columns], of each column; None where the columns are outputs or synapses
    """

    def __init__(self, name: str, parts: Mapping[int, list[np.ndarray]], neurons: np.ndarray | None):
        self.name, self._parts, self.neurons = name, parts, neurons

    def __getitem__(self, trial: int) -> np.ndarray:
        if trial not in self._parts:
            raise fail(f"{self.name}[trial]", f"be among {listed(np.array(sorted(self._parts)))}", trial, error=IndexError)
        return frozen(np.concatenate(self._parts[trial]))

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[trial] for trial in sorted(self._parts))

    def __len__(self) -> int:
        return len(self._parts)

    def __repr__(self) -> str:
        return f"{self.name} of {len(self)} trials or pieces"
