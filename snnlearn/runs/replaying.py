"""What a replay hands to the simulator in place of a recorder: it compares with the recording and takes the window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from .. import _check
from ..recording import Recording
from ..recording.options import RecorderOptions
from ..recording.protocol import RunRecorder, Signals
from ..recording.raw import Spikes
from ..recording.streams import schedule
from ..storage.open_file import frozen, in_order


class Collected:
    """The window in memory."""

    def __init__(self) -> None:
        self.signals: dict[str, dict[int, list[np.ndarray]]] = {}
        self.losses: dict[int, float] = {}
        self.compared: set[int] = set()
        self.compared_losses = 0
        self._spikes: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = [(np.empty(0, np.int64),) * 3]

    def add(self, trial: int, step: np.ndarray, neuron: np.ndarray) -> None:
        """Take spikes."""
        self._spikes.append((np.full(step.size, trial), step.astype(np.int64), neuron.astype(np.int64)))

    def spikes(self) -> Spikes:
        """All spikes in order."""
        return Spikes(*map(frozen, in_order(*(np.concatenate(x) for x in zip(*self._spikes, strict=True)))))


class Watcher(RunRecorder):
    """A recorder that compares each block with the recording and passes on what lies in the window.

    options : what to record; recorder : that gets it, or None to collect it in memory
    window : trials, or steps of the stream, [start, stop)
    """

    def __init__(
        self,
        options: RecorderOptions,
        recorder: RunRecorder | None,
        recording: Recording,
        window: tuple[int, int],
        streaming: bool,
    ):
        super().__init__(options)
        self.recorder, self.recording, self.window, self.streaming = recorder, recording, window, streaming
        self.collected = Collected()
        self._inside = False  # whether the last batch or piece has trials in the window
        self._n_inputs = 0
        self._touched = -1  # the last piece of a stream that has steps in the window
        table = recording.table("trials") if "trials" in recording.tables else None
        self._losses = {} if table is None else dict(zip(table.trial.tolist(), table.loss.tolist(), strict=True))
        self._lengths = {} if table is None else dict(zip(table.trial.tolist(), table.n_steps.tolist(), strict=True))
        self._plan = schedule(options.windows, options.every_steps, recording.dt)
        if not streaming and self._losses and window[1] - 1 > max(self._losses):
            raise _check.fail("replay.stop", f"be at most {max(self._losses) + 1}, the trials of the recording", window[1])
        if not streaming and self._losses and window[0] < min(self._losses):
            raise _check.fail("replay.start", f"be at least {min(self._losses)}, where the recording begins", window[0])

    def open(self, config: Mapping[str, Any], **network: Any) -> None:
        """Open the recorder, or check what was asked for."""
        if self.recorder is not None:
            self.recorder.open(config, **network)
            self.pairs, self.adaptive = self.recorder.pairs, self.recorder.adaptive
            return
        self.adaptive = np.asarray(network["adaptive"], np.int64)
        self.selection(network["n_neurons"], network["variables"], network["model"])
        self.pairs = self.check_synapses(network["weights"], network["dt"], network["hidden"])
        self._n_inputs = network["weights"].w_in.shape[0]

    def wants(self, trial: int) -> bool:
        """Blocks of the window's trials; of a stream all, because only blocks tell where they are."""
        return self.streaming or self.window[0] <= trial < self.window[1]

    def takes(self, trial: int, streaming: bool = False) -> bool:
        """As `wants`."""
        return self.wants(trial)

    def block(
        self,
        trial: int,
        start: int,
        spike_step: Any,
        spike_neuron: Any,
        traces: Mapping[str, Any] | None = None,
        **signals: Unpack[Signals],
    ) -> None:
        """Compare spikes, then take what lies in the window."""
        steps, stream = signals["readout"].shape[0], signals.get("stream")
        before = int(stream or 0)
        low, high = start, start + steps
        if self.streaming:
            low, high = max(low, self.window[0] - before), min(high, self.window[1] - before)
            if low >= high:
                return
        self._touched = trial
        use = (spike_step >= low) & (spike_step < high)
        step, neuron = spike_step[use], spike_neuron[use]
        self._compare(trial, low, high, step, neuron)
        inside = slice(low - start, high - start)
        rows = {name: x[inside] for name, x in (traces or {}).items()}
        readout, target = (None if x is None else x[inside] for x in (signals["readout"], signals.get("target")))
        inputs = signals.get("inputs")
        if inputs is not None:
            a, b = np.searchsorted(inputs[0], [low, high])
            inputs = tuple(x[a:b] for x in inputs)
        if self.recorder is not None:
            self.recorder.block(trial, low, step, neuron, rows, readout=readout, target=target, stream=stream, inputs=inputs)
            return
        if inputs is not None:
            rows["inputs"] = np.zeros((high - low, self._n_inputs), inputs[2].dtype)
            np.add.at(rows["inputs"], (inputs[0] - low, inputs[1]), inputs[2])
        self.collected.add(trial, step + before, neuron)
        asked = {"readout": readout if self.options.readout else None, "target": target if self.options.target else None}
        rows |= {name: x for name, x in asked.items() if x is not None}
        for a, b in self._plan.pieces(low, high - low, before):
            every = self._plan.every_steps
            first = -(-a // every) * every
            for name, x in rows.items():
                self.collected.signals.setdefault(name, {}).setdefault(trial, []).append(x[first - low : b - low : every].copy())

    def _compare(self, trial: int, low: int, high: int, step: np.ndarray, neuron: np.ndarray) -> None:
        """Raise ValueError where the recording has other spikes, as far as it has these steps."""
        rec = self.recording
        if not rec.has_spikes:
            return
        s = rec.segments
        for k in range(*np.searchsorted(s.trial, [trial, trial + 1])):
            begin, origin = int(s.start[k]), int(s.origin[k])
            a, b = max(low, begin), min(high, begin + int(s.n_steps[k]))
            if a >= b:
                continue
            there = rec.spikes(trial, ((a + origin) * rec.dt, (b + origin) * rec.dt))
            use = (step >= a) & (step < b)
            self._same(trial, (step[use] + origin, neuron[use]), (there.step, there.neuron))
            self.collected.compared.add(trial)

    def _same(self, trial: int, got: tuple[np.ndarray, np.ndarray], want: tuple[np.ndarray, np.ndarray]) -> None:
        _, *ordered = in_order(np.zeros(got[0].size, np.int64), *(x.astype(np.int64) for x in got))
        if all(np.array_equal(a, b) for a, b in zip(ordered, want, strict=True)):
            return
        n = min(ordered[0].size, want[0].size)
        differ = np.flatnonzero((ordered[0][:n] != want[0][:n]) | (ordered[1][:n] != want[1][:n]))
        at = int(differ[0]) if differ.size else n
        first = min(int(x[0][at]) for x in (ordered, want) if x[0].size > at)
        what = "piece" if self.streaming else "trial"
        need = f"give the recorded spikes of {what} {trial}, which differ from step {first} on"
        raise _check.fail("replay", need, f"{ordered[0].size} spikes, recorded {want[0].size}", self._why())

    def _why(self) -> str:
        source = "other inputs" if self.streaming else "another task"
        made = ", ".join(f"{name} {version}" for name, version in self.recording.versions.items())
        return f"{source}, callbacks that changed the run, or another machine or version (it was made with {made})"

    def row(self, table: str, /, **columns: Any) -> None:
        """Compare the losses of trials; those of the window go into the recorder's tables."""
        if table != "trials":
            if self.recorder is not None and self._inside:
                self.recorder.row(table, **columns)
            return
        trials, losses = columns["trial"], columns["loss"]
        inside = []
        for k, (trial, loss) in enumerate(zip(trials.tolist(), losses.tolist(), strict=True)):
            length = self._lengths.get(trial)
            if length is not None and length != int(columns["n_steps"][k]):
                need = f"have {length} steps in {'piece' if self.streaming else 'trial'} {trial}, as recorded"
                raise _check.fail("replay.inputs", need, int(columns["n_steps"][k]))
            inside.append(trial == self._touched if self.streaming else self.window[0] <= trial < self.window[1])
            if inside[-1] and trial in self._losses:
                if not (loss == self._losses[trial] or (np.isnan(loss) and np.isnan(self._losses[trial]))):
                    what = "piece" if self.streaming else "trial"
                    need = f"give the recorded loss of {what} {trial}, {self._losses[trial]!r}"
                    raise _check.fail("replay", need, loss, self._why())
                self.collected.compared_losses += 1
            if inside[-1]:
                self.collected.losses[trial] = loss
        use = np.array(inside)
        self._inside = bool(use.any())
        if self.recorder is not None and self._inside:
            self.recorder.row(table, **{name: np.asarray(x)[use] for name, x in columns.items()})

    def ended(self, trial: int, update: int, what: Any, streaming: bool = False) -> None:
        """Hand on the end of a batch or piece of the window."""
        if self.recorder is not None and self._inside:
            self.recorder.ended(trial, update, what, streaming)

    def snapshot(self, update: int, weights: Any, final: bool = False) -> None:
        """Hand on weights within the window."""
        if self.recorder is not None and self._inside:
            self.recorder.snapshot(update, weights, final)

    def rewired(self, **columns: Any) -> None:
        """Hand on births and deaths within the window."""
        if self.recorder is not None and self._inside:
            self.recorder.rewired(**columns)

    def event(self, kind: str, message: str) -> None:
        """Hand on."""
        if self.recorder is not None:
            self.recorder.event(kind, message)
