"""`RunRecorder`: what a simulator calls of a recorder, and when."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self, TypedDict, Unpack

import numpy as np

from .._check import fail
from ..storage.open_file import frozen
from .options import RecorderOptions
from .reducers import REDUCERS, Ended


class Signals(TypedDict, total=False):
    """What comes with a block besides spikes and traces."""

    readout: Any  # [steps, n_outputs]
    target: Any  # numbers [steps, n_outputs] or labels [steps]; None: unknown in this piece
    n_steps: int | None  # length; needed only where no array gives it
    stream: int | None  # of a piece of a stream, the steps of the stream before the piece
    inputs: Any  # (step, channel, value), arrays [entries] in order of steps, counted as the block's start is


class RunRecorder(ABC):
    """A recorder as a simulator sees it: what it was asked for, and the five methods that each kind has.

        open       before the first batch or piece, and whenever another simulator takes the recorder up
        snapshot   with the first weights, after each batch or piece, and at the end of a training
        block      for each piece of a trial that `takes`, in order of time within the trial, once the batch has run
        row        then for its trials; with a row for each update and evaluation from a training
        ended      then, once for the batch or piece

    Recorders that can do more override the other methods too; here they do nothing:

        event                 what happened, such as a warning, after `ended`
        stream_begins         where the stream begins anew
        checkpoint_due        once after each batch or piece; `checkpoint` where it says so
        begin_training, flush, close      at the beginning and at the end of a training

    options : `RecorderOptions`
    """

    def __init__(self, options: RecorderOptions):
        self.options = options
        self.pairs: dict[str, np.ndarray] = {}  # eligibility trace that is recorded -> int32 [chosen, 2], once it is open
        self.adaptive: np.ndarray = np.empty(0, np.int64)  # neurons whose threshold adapts, known once it is open
        self.follower: Any = None  # of eligibility traces, with what goes on of them: `state()`, `restore(state)`
        self.followed: dict[str, np.ndarray] = {}  # the state that a new follower begins with

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> None:
        if kind is None:
            self.close("complete")
        elif issubclass(kind, Exception):
            self.close(f"failed: {kind.__name__}: {error}")
        else:
            self.close("interrupted")

    # ---- what a simulator calls ---------------------------------------------------------------------

    @abstractmethod
    def open(
        self,
        config: Mapping[str, Any],
        *,
        n_neurons: int,
        n_outputs: int,
        dt: float,
        variables: tuple[str, ...],
        weights: Any,
        **network: Any,
    ) -> None:
        """Begin to record a network, or check that the same one continues.

        config : everything needed to repeat the run, as JSON values and arrays
        dt : ms
        weights : NamedTuple (w_in, w_rec, w_out, b_out), for the shapes; `snapshot` records values
        variables : names of what can be recorded of neurons
        network : model (the neurons' name in errors), hidden (those of the variables that are the neurons' state), adaptive
            (neurons whose threshold adapts)
        """

    @abstractmethod
    def block(
        self,
        trial: int,
        start: int,
        spike_step: Any,
        spike_neuron: Any,
        traces: Mapping[str, Any] | None = None,
        **signals: Unpack[Signals],
    ) -> None:
        """Record a contiguous piece of one trial; pieces of different trials may alternate.

        start : first step; spike_step, spike_neuron : int [spikes], steps counted within the trial as `start` is
        traces : an array [steps, selected] for each variable of `selection`, and for each of `pairs`
        signals : see `Signals`
        """

    @abstractmethod
    def row(self, table: str, /, **columns: Any) -> None:
        """Append a row (numbers) or rows (arrays [k]) to a table: "trials", "updates", "evaluations", ..."""

    @abstractmethod
    def snapshot(self, update: int, weights: Any, final: bool = False) -> None:
        """Record the weights after `update` updates where the schedule asks for it; final : whatever the schedule."""

    @abstractmethod
    def ended(self, trial: int, update: int, what: Ended, streaming: bool = False) -> None:
        """Take note that a batch or piece has ended.

        trial, update : number of its last trial, and of updates so far; what : sums over it; streaming : whether it is a piece
        """

    @property
    def is_open(self) -> bool:
        """Whether it records, since `open`."""
        return True

    @property
    def waits(self) -> bool:
        """Whether it goes on in a file that is opened when something comes."""
        return False

    @property
    def checkpoints(self) -> bool:
        """Whether it takes the state of the simulation from time to time."""
        return False

    @property
    def keeping_due(self) -> bool:
        """Whether the next state is kept for good."""
        return False

    def go_on(self) -> None:  # noqa: B027
        """Be ready for another batch or piece of the simulator that records already."""

    def event(self, kind: str, message: str) -> None:  # noqa: B027
        """Record what happened."""

    def rewired(self, **columns: Any) -> None:  # noqa: B027
        """Record births and deaths of synapses, arrays [k]: update, matrix (0: w_in, 1: w_rec), pre, post, born, sign."""

    def stream_begins(self) -> None:
        """The stream begins anew from the initial state: traces of synapses and intervals do not go on."""
        if self.follower is not None:
            self.follower.restore({})
        self.followed = {}

    def begin_training(self) -> None:  # noqa: B027
        """From now on take the checkpoints of a training, where nothing else was said."""

    def checkpoint_due(self) -> bool:
        """Whether it is time for a checkpoint, asked once after each batch or piece."""
        return False

    def checkpoint(
        self,
        values: dict[str, Any],
        arrays: Mapping[str, np.ndarray],
        constants: Mapping[str, np.ndarray],
        headroom: int = 0,
        *,
        wait: bool = False,
        goes_on: bool = True,
    ) -> None:
        """Write a state, from which the run and this recording can go on exactly. ValueError where there is no file for it.

        values : JSON values; arrays : the state, which must not change any more; constants : arrays that never change
        headroom : bytes by which a later state may be larger
        wait : until it is on the disk; else a thread writes it
        goes_on : whether the recording goes on too where the run does
        """
        raise fail(f"{type(self).__name__}.checkpoint", "have a file", "a recorder without one", "sl.Recorder has")

    def flush(self) -> None:  # noqa: B027
        """Make what was recorded readable."""

    def close(self, status: str = "complete") -> None:  # noqa: B027
        """End with a status: "complete", "interrupted" or "failed: ..."."""

    # ---- what it asks for ---------------------------------------------------------------------------

    def selection(self, n_neurons: int, variables: tuple[str, ...], model: str = "the network") -> dict[str, np.ndarray]:
        """The wanted variables, each with the int32 indices [selected] of its neurons, in the order given.

        variables : names of the neurons' variables; `model` names their owner in the error
        Raises ValueError for a variable that the neurons do not have, and for indices outside of 0 .. n_neurons - 1.
        """
        result = {}
        for name, value in self.options.wanted.items():
            if name not in variables:
                raise ValueError(f"{model} has no variable {name!r}; it has " + ", ".join(repr(known) for known in variables))
            index = np.arange(n_neurons)[value] if isinstance(value, slice) else np.arange(n_neurons) if value is True else value
            if index.size == 0 or index.max() >= n_neurons:
                got = value if index.size == 0 else int(index.max())
                raise fail(f"Recorder.{name}", f"select neurons from 0 to {n_neurons - 1}", got)
            result[name] = frozen(index.astype(np.int32))
        if self.options.adds_threshold and "v" in result and "threshold" in variables:
            own = result["v"][np.isin(result["v"], self.adaptive)]
            result |= {"threshold": frozen(own)} if own.size else {}
        return result

    def check_synapses(self, weights: Any, dt: float, hidden: tuple[str, ...] = ("v",)) -> dict[str, np.ndarray]:
        """`pairs`, for a network of these weights. Raises ValueError for synapses that it does not have, and short bins."""
        options = self.options
        _check_synapses("Recorder.eligibility", options.eligibility, weights)
        _check_synapses("Recorder.synapses", options.synapses, weights)
        for name, length in options.reduce.items():
            if length < dt:
                raise fail(f"Recorder.reduce[{name!r}]", f"be at least a step of {dt:g} ms", length)
        return _pair_names(options.eligibility, options.eligibility_parts, hidden)

    def wants(self, trial: int) -> bool:
        """Whether raw data of this trial are recorded."""
        return self.options.raw and trial % self.options.every == 0

    def takes(self, trial: int, streaming: bool = False) -> bool:
        """Whether `block` wants to know of this trial or piece: reducers see all, and traces in a stream go on."""
        by_step = any(REDUCERS[name].by_step for name in self.options.reduce)
        return by_step or self.wants(trial) or (streaming and self.options.raw and self.options.eligibility is not None)

    @property
    def wants_norms(self) -> bool:
        """Whether norms of gradients are recorded or reduced."""
        return self.options.gradient_norms or "gradient_norms" in self.options.reduce


def _pair_names(pairs: Mapping[str, np.ndarray] | None, parts: list[str], hidden: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Names of the traces that are recorded of these synapses, each with its synapses [chosen, 2].

    hidden : the variables of the neuron model's state
    """
    result = {}
    for matrix, chosen in (pairs or {}).items():
        for part in parts:
            names = [f"{part}_{variable}" for variable in hidden] if part == "eligibility_vector" else [part]
            result.update({f"{name}_{matrix}": chosen for name in names})
    return result


def _check_synapses(where: str, pairs: Mapping[str, np.ndarray] | None, weights: Any) -> None:
    """Raise ValueError where a pair is not a synapse of these weights."""
    for name, chosen in (pairs or {}).items():
        matrix = getattr(weights, name)
        beyond = (chosen >= np.array(matrix.shape)).any(axis=1)
        if beyond.any():
            need = f"hold pairs below (pre, post) = {tuple(matrix.shape)}"
            raise fail(f"{where}[{name!r}]", need, tuple(chosen[beyond][0].tolist()))
        if hasattr(matrix, "indptr"):
            for pre, post in chosen.tolist():
                if post not in matrix.indices[matrix.indptr[pre] : matrix.indptr[pre + 1]]:
                    raise fail(f"{where}[{name!r}]", "hold synapses that the sparse matrix has", (pre, post))
