"""What the engine runs and what it gives back: a batch in the form of kernels, its noise, the blocks of its trials."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..events import InputArrays
from ..losses import ENTROPY, ERROR, SIGNAL, SQUARED, TargetArrays
from ..rules.tape import Outcome, Span, Tape

ErrorFunction = Callable[[int, np.ndarray], Any]  # (step, y [n_out]) -> error [n_out]


class Divergence(FloatingPointError):
    """The state of a neuron is no longer finite. Attributes trial (None: a stream, whose steps are counted), step, neuron."""

    def __init__(self, trial: int | None, step: int, neuron: int):
        self.trial, self.step, self.neuron = trial, step, neuron
        of = "the stream" if trial is None else f"trial {trial}"
        super().__init__(
            f"Simulator: the membrane potential of neuron {neuron} is not finite at step {step} of {of}; "
            "lower the learning rate, set clip_norm or bounds of the optimizer, or scale the weights down"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.trial, self.step, self.neuron)


class Noise(NamedTuple):
    """One generator a trial: draws do not depend on blocks, batches or threads."""

    generators: list[np.random.Generator]
    n: int

    def draw(self, steps: int, dtype: Any) -> np.ndarray:
        """The next standard normal numbers, [trials, steps, n]."""
        return np.stack([g.standard_normal((steps, self.n), dtype) for g in self.generators])

    def mark(self) -> list[Any]:
        """The generators' states, for `back_to`."""
        return [copy.deepcopy(g.bit_generator.state) for g in self.generators]

    def back_to(self, mark: list[Any]) -> None:
        """Draw again what was drawn since the mark."""
        for generator, state in zip(self.generators, mark, strict=True):
            generator.bit_generator.state = state


class Block(NamedTuple):
    """One contiguous piece of one trial, for a recorder: copies from the tape."""

    trial: int
    start: int
    spike_step: np.ndarray  # int64, step within the trial
    spike_neuron: np.ndarray  # int32
    traces: dict[str, np.ndarray]  # name -> [steps, neurons asked for]
    readout: np.ndarray  # [steps, n_out]
    psi: np.ndarray | None = None  # [steps, chosen] of the neurons that `Trials.chosen` names
    local: np.ndarray | None = None  # [steps, n_local, chosen]


class Trials(NamedTuple):
    """What to run: trials in the form of kernels."""

    inputs: InputArrays
    targets: TargetArrays
    learn: bool
    noise: Noise | None = None
    error: ErrorFunction | None = None
    variables: Mapping[str, Any] | None = None  # what blocks hold besides spikes and readout, name -> neurons (None: all)
    wanted: Callable[[int], bool] = lambda trial: True  # which trials' blocks are kept
    chosen: np.ndarray | None = None  # neurons of which blocks hold what eligibility traces are made of
    labels_per_step: bool = False  # for scores: one label a step instead of one a trial
    classifies: bool = False  # whether the loss takes labels
    number: int = 0  # of the first trial in the whole run, for rules that draw numbers
    quiet: bool = False  # steps of a stream that do not learn, though `learn` is set: what rules carry goes on

    @property
    def n_trials(self) -> int:
        return self.inputs.indptr.shape[0]

    @property
    def n_steps(self) -> int:
        """Of the longest trial."""
        steps = self.inputs.steps
        return int(steps[0] if steps.size == 1 else steps.max())

    @property
    def all_steps(self) -> int:
        """Of all trials together."""
        steps = self.inputs.steps
        return int(steps[0] if steps.size == 1 else steps.sum())

    @property
    def backward(self) -> bool:
        return self.learn or self.targets.kind in (SQUARED, ENTROPY, ERROR) or self.error is not None

    def part(self, lo: int, hi: int) -> Trials:
        """The same for trials lo .. hi-1, as views."""
        t = self.targets
        value = t.value[lo:hi] if t.kind in (SQUARED, ERROR, SIGNAL) or self.error is not None else t.value
        label = t.label[lo:hi] if t.kind == ENTROPY else t.label
        wanted = self.wanted
        return self._replace(
            inputs=self.inputs._replace(indptr=self.inputs.indptr[lo:hi], steps=self.inputs.steps[lo:hi]),
            targets=TargetArrays(t.kind, value, label, t.mask[lo:hi], t.weight[lo:hi], t.mean[lo:hi]),
            noise=None if self.noise is None else self.noise._replace(generators=self.noise.generators[lo:hi]),
            wanted=lambda trial: wanted(trial + lo),
            number=self.number + lo,
        )


class Result(NamedTuple):
    """What a batch gives: sums over each trial and spike counts."""

    outcome: Outcome
    counts: np.ndarray  # int [trials, n]
    blocks: list[Block]


def cut_blocks(batch: Trials, tape: Tape, variables: tuple[str, ...], delay: int, span: Span, base: int) -> list[Block]:
    """Copies of what the tape holds for the steps of a span, for each trial that is wanted.

    variables : names of the hidden state; base : number of the batch's first trial
    """
    blocks = []
    for b in range(batch.n_trials):
        stop = min(span.stop, int(batch.inputs.steps[b]))
        if stop <= span.start or not batch.wanted(b):
            continue
        rows = slice(span.start - span.origin, stop - span.origin)
        ptr = tape.spike_ptr[b, rows.start + delay : rows.stop + delay + 1]
        step = np.repeat(np.arange(span.start, stop), np.diff(ptr))
        traces = {}
        for name, neurons in (batch.variables or {}).items():
            values = _trace(tape, variables, name)[b, rows]
            if neurons is not None and name in variables:
                neurons = np.searchsorted(tape.columns, neurons) if tape.columns.size else neurons
            # rows in a row, as they are written
            traces[name] = values.copy() if neurons is None else values.take(neurons, axis=1)
        neuron = tape.spike_index[b, ptr[0] : ptr[-1]].copy()
        psi = local = None
        if batch.chosen is not None:
            psi, local = tape.psi[b, rows][:, batch.chosen], tape.local[b, rows][:, :, batch.chosen]
        blocks.append(Block(b + base, span.start, step, neuron, traces, tape.readout[b, rows].copy(), psi, local))
    return blocks


def _trace(tape: Tape, variables: tuple[str, ...], name: str) -> np.ndarray:
    """The tape's array of this name, [slots, steps, n]; of the hidden state, [slots, steps, columns]."""
    if name in variables:
        return tape.hidden[:, :, variables.index(name)]
    return tape.signal if name == "learning_signal" else getattr(tape, name)
