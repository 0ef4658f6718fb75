"""What a recorder was asked for, and what of it is due: the part of `Recorder` that has nothing to do with its file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._check import fail
from ..storage.open_file import frozen
from .choices import check_options, check_synapses, check_variables, check_wanted, pair_names
from .reducers import REDUCERS
from .schema import SIGNALS

TRAINING_MINUTES = 1.0  # between two checkpoints of a training


OPTIONS = (
    *("spikes", *SIGNALS, "weights_every", "every", "compression", "checkpoint_every", "checkpoint_minutes", "keep_every"),
    *("every_steps", "windows", "eligibility", "eligibility_parts", "synapses", "synapses_every"),
    *("gradient_norms", "reduce", "raw", "tables", "inputs"),
)


class RecorderOptions:
    """Options of a recorder as attributes, the neurons and synapses that they select, and the schedule of checkpoints."""

    spikes: bool
    inputs: bool
    readout: bool
    target: bool
    raw: bool
    tables: bool
    gradient_norms: bool
    overwrite: bool
    every: int
    every_steps: int
    synapses_every: int
    weights_every: int | None
    checkpoint_every: int | None
    checkpoint_minutes: float | str | None
    keep_every: int | None
    compression: str | None
    windows: list[Any] | None
    eligibility: dict[str, np.ndarray] | None
    eligibility_parts: list[str]
    synapses: dict[str, np.ndarray] | None
    reduce: dict[str, float]

    def _set_options(self, options: Mapping[str, Any]) -> None:
        """Keep options, checked. Raises ValueError or TypeError that names one."""
        for name, value in check_options(options).items():
            vars(self)[name] = value  # also where a recorder's property of this name reads something else
        self._runs, self._checkpointed_at = 0, time.monotonic()  # since the last checkpoint
        self._kept, self._since_kept = 0, 0  # states that are kept; runs since the last one
        self._pairs: dict[str, np.ndarray] = {}
        self.followed: dict[str, np.ndarray] = {}  # the state that a new follower begins with
        self.follower: Any = None  # of eligibility traces, with what goes on of them: `state()`, `restore(state)`

    def _choose(self, wanted: dict[str, Any], variables: Mapping[str, Any] | None) -> None:
        """Keep which neurons' variables are wanted. Raises ValueError or TypeError."""
        for name, value in check_variables(variables).items():
            if wanted.get(name) is not None:
                raise fail("Recorder.variables", f"not repeat Recorder.{name}", name)
            wanted[name] = value
        checked = {name: check_wanted(f"Recorder.{name}", value) for name, value in wanted.items()}
        self._wanted = {name: value for name, value in checked.items() if value is not None}
        self.adaptive: np.ndarray = np.empty(0, np.int64)  # neurons whose threshold adapts, known once the file is open
        self._adds_threshold = wanted.get("threshold") is None and self.raw and "variables" not in self.reduce
        asked = [*self._wanted, *(["eligibility"] if self.eligibility is not None else [])]
        if asked and not self.raw and "variables" not in self.reduce:
            need = "have the reducer 'variables' where variables are asked for without raw data"
            raise fail("Recorder", need, f"raw=False, {', '.join(asked)}")
        if "variables" in self.reduce and not asked:
            hint = "as v=True, raw=False"
            raise fail("Recorder.reduce", "come with variables to reduce where it names 'variables'", "none", hint)

    def selection(self, n_neurons: int, variables: tuple[str, ...], model: str = "the network") -> dict[str, np.ndarray]:
        """The wanted variables, each with the int32 indices [selected] of its neurons, in the order given.

        variables : names of the neurons' variables; `model` names their owner in the error
        Raises ValueError for a variable that the neurons do not have, and for indices outside of 0 .. n_neurons - 1.
        """
        result = {}
        for name, value in self._wanted.items():
            if name not in variables:
                raise ValueError(f"{model} has no variable {name!r}; it has " + ", ".join(repr(known) for known in variables))
            index = np.arange(n_neurons)[value] if isinstance(value, slice) else np.arange(n_neurons) if value is True else value
            if index.size == 0 or index.max() >= n_neurons:
                got = value if index.size == 0 else int(index.max())
                raise fail(f"Recorder.{name}", f"select neurons from 0 to {n_neurons - 1}", got)
            result[name] = frozen(index.astype(np.int32))
        if self._adds_threshold and "v" in result and "threshold" in variables:
            own = result["v"][np.isin(result["v"], self.adaptive)]
            result |= {"threshold": frozen(own)} if own.size else {}
        return result

    def check_synapses(self, weights: Any, dt: float, hidden: tuple[str, ...]) -> dict[str, np.ndarray]:
        """`pairs`, for a network of these weights. Raises ValueError for synapses that it does not have, and short bins."""
        check_synapses("Recorder.eligibility", self.eligibility, weights)
        check_synapses("Recorder.synapses", self.synapses, weights)
        for name, length in self.reduce.items():
            if length < dt:
                raise fail(f"Recorder.reduce[{name!r}]", f"be at least a step of {dt:g} ms", length)
        return pair_names(self.eligibility, self.eligibility_parts, hidden)

    def wants(self, trial: int) -> bool:
        """Whether raw data of this trial are recorded."""
        return self.raw and trial % self.every == 0

    def takes(self, trial: int, streaming: bool = False) -> bool:
        """Whether `block` wants to know of this trial or piece: reducers see all, and traces in a stream go on."""
        by_step = any(REDUCERS[name].by_step for name in self.reduce)
        return by_step or self.wants(trial) or (streaming and self.raw and self.eligibility is not None)

    @property
    def wants_norms(self) -> bool:
        """Whether norms of gradients are recorded or reduced."""
        return self.gradient_norms or "gradient_norms" in self.reduce

    @property
    def pairs(self) -> dict[str, np.ndarray]:
        """The eligibility traces that are recorded, each with the int32 synapses [selected, 2] of its columns."""
        return self._pairs

    @property
    def checkpoints(self) -> bool:
        """Whether the simulation writes checkpoints into the file."""
        return self.checkpoint_every is not None or self._minutes is not None or self.keep_every is not None

    @property
    def _minutes(self) -> float | None:
        """Minutes between two checkpoints; None: not by time."""
        return None if self.checkpoint_minutes == "auto" else self.checkpoint_minutes  # type: ignore[return-value]

    def begin_training(self) -> None:
        """From now on take the checkpoints of a training, where nothing else was said."""
        if self.checkpoint_minutes == "auto":
            self.checkpoint_minutes = TRAINING_MINUTES if self.checkpoint_every is None else None

    @property
    def keeping_due(self) -> bool:
        """Whether the next checkpoint is also kept."""
        return self.keep_every is not None and (not self._kept or self._since_kept >= self.keep_every)

    def checkpoint_due(self) -> bool:
        """Whether it is time for a checkpoint, asked once after each batch or piece."""
        self._runs += 1
        self._since_kept += 1
        every, minutes = self.checkpoint_every, self._minutes
        late = minutes is not None and time.monotonic() - self._checkpointed_at >= 60.0 * minutes
        return late or (every is not None and self._runs >= every) or self.keeping_due
