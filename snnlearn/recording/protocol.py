"""What a simulator tells a recorder, and when: five methods, which every recorder has.

    open        before the first run, and where another one goes on in the same recording
    block       for each contiguous piece of each trial that `takes` wants: spikes, traces, readout, target
    row         for the tables: trials, updates, evaluations, predictions, alignment, norms of gradients
    snapshot    after each run, with the weights
    event       warnings, and what else happens

`Recorder` streams them to a file, `MemoryRecorder` keeps them, and a replay compares them with a recording.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Self, runtime_checkable

from .options import OPTIONS, RecorderOptions


@runtime_checkable
class Records(Protocol):
    """The five methods; `Recorder` documents their arguments."""

    def open(self, config: Mapping[str, Any], **about: Any) -> None:
        """Begin, or go on with the same network."""

    def block(self, trial: int, start: int, spike_step: Any, spike_neuron: Any, *arrays: Any, **more: Any) -> None:
        """Take a piece of a trial."""

    def row(self, table: str, /, **columns: Any) -> None:
        """Take a row, or rows, of a table."""

    def snapshot(self, update: int, weights: Any, final: bool = False) -> None:
        """Take the weights after so many updates, where they are wanted."""

    def event(self, kind: str, message: str) -> None:
        """Take what happened."""


class BaseRecorder(RecorderOptions):
    """What recorders share: their options, and what one without a file does where a file would be asked."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether it records."""
        return True

    @property
    def waits(self) -> bool:
        """Whether it goes on in a file that is closed."""
        return False

    def go_on(self) -> None:
        """Open what was left closed."""

    def open(self, config: Mapping[str, Any], **about: Any) -> None:
        """Begin, or go on with the same network."""
        raise NotImplementedError

    def block(self, trial: int, start: int, spike_step: Any, spike_neuron: Any, *arrays: Any, **more: Any) -> None:
        """Take a piece of a trial."""
        raise NotImplementedError

    def row(self, table: str, /, **columns: Any) -> None:
        """Take a row, or rows, of a table."""
        raise NotImplementedError

    def snapshot(self, update: int, weights: Any, final: bool = False) -> None:
        """Take the weights after so many updates, where they are wanted."""
        raise NotImplementedError

    def event(self, kind: str, message: str) -> None:
        """Take what happened."""
        raise NotImplementedError

    def ended(self, trial: int, update: int, what: Any, streaming: bool = False) -> None:
        """Take the end of a batch or piece, for sums over many of them."""

    def stream_begins(self) -> None:
        """The stream begins anew from the initial state: traces of synapses do not go on."""
        if self.follower is not None:
            self.follower.restore({})
        self.followed = {}

    def checkpoint(self, *state: Any, **how: Any) -> None:
        """Write a state into the file."""
        raise NotImplementedError

    def flush(self) -> None:
        """Write what is pending."""

    def close(self, status: str = "complete") -> None:
        """End the recording."""

    def take_options(self, other: RecorderOptions) -> None:
        """Ask for the same as another recorder, but for checkpoints."""
        self._set_options({name: getattr(other, name) for name in OPTIONS} | {"overwrite": False})
        self.keep_every = self.checkpoint_every = self.checkpoint_minutes = None
        self._wanted, self.adaptive, self._adds_threshold = other._wanted, other.adaptive, other._adds_threshold
