"""What a simulator holds from run to run; `Simulator` runs on it, and the other modules here read and change it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.batch import Noise
from ..engine.engine import Engine
from ..losses import Loss, RateRegularizer
from ..network.network import Network
from ..network.weights import Weights
from ..neurons.base import spec_to_dict as describe_spec
from ..optimizers.optimizers import Optimizer
from ..optimizers.rewiring import DeepR
from ..recording.protocol import RunRecorder
from ..rules import Rule
from ..rules.base import describe
from . import guards
from .history import History, Training
from .results import Run
from .setup import Setup

RECORDABLE = ("psi", "threshold", "learning_signal")  # besides the hidden state of the neuron model


class Core:
    """The parts of a simulator, its engine, and what goes on between runs.

    setup : `Setup`; weights : Weights, or None for `net.init_weights(seed)`
    """

    run: Callable[..., Run]  # of `Simulator`, which trainings and evaluations call
    train: Callable[..., History]
    _checkpoint: Callable[..., None]
    set_weights: Callable[[Weights], None]

    def __init__(self, setup: Setup, weights: Weights | None):
        self.setup = setup
        self._aligned = -setup.passive_every  # updates done at the last alignment
        self._begins = "seed" if weights is None else "given"  # what the weights are, before anything runs
        self.context: dict[str, Any] = {} if weights is None else {"weights": "given"}  # what else a recording should say
        weights = self.net.init_weights(setup.seed) if weights is None else weights
        self._engine = Engine(
            setup.net,
            setup.net.check_weights(weights),
            setup.dtype,
            () if setup.rule is None else (setup.rule, *setup.passive),
            setup.optimizer,
            setup.regularizer,
            setup.interval,
            setup.threads,
            setup.rewiring,
            setup.seed,
        )
        self.trials_done = 0  # trials or pieces that learnt, or were recorded: the number of the next one
        self._recorder: RunRecorder | None = None
        self._training: Training | None = None
        self._closes_recorder = False  # whether `train` closes it: `sl.resume` opened it
        self.stream_steps = 0  # of the stream so far
        self._within = False  # whether a piece of the stream was left before its end
        self._stream_noise = Noise([np.random.default_rng([setup.seed, 3])], self.net.n)
        self._noise_begins = self._stream_noise.mark()
        self._guards = guards.fresh()
        guards.begin(self._guards, self._engine.weights)

    # ---- what it is made of -------------------------------------------------------------------------

    @property
    def net(self) -> Network:
        """The network."""
        return self.setup.net

    @property
    def rule(self) -> Rule | None:
        """The learning rule."""
        return self.setup.rule

    @property
    def optimizer(self) -> Optimizer | None:
        """The optimizer."""
        return self.setup.optimizer

    @property
    def loss(self) -> Loss:
        """The loss."""
        return self.setup.loss

    @property
    def regularizer(self) -> RateRegularizer | None:
        """The regularizer."""
        return self.setup.regularizer

    @property
    def passive(self) -> tuple[Rule, ...]:
        """Rules that are compared with the updating one."""
        return self.setup.passive

    @property
    def passive_every(self) -> int:
        """Updates between two comparisons."""
        return self.setup.passive_every

    @property
    def rewiring(self) -> DeepR | None:
        """How sparse matrices are rewired."""
        return self.setup.rewiring

    @property
    def update_every(self) -> str | int:
        """ "trial", or the steps of an update interval."""
        return self.setup.update_every

    @property
    def seed(self) -> int:
        """Of the weights, where none were given, and of the background noise."""
        return self.setup.seed

    @property
    def engine(self) -> Engine:
        """What runs it: arrays, threads and compiled calls."""
        return self._engine

    def goes_on(self, recorder: RunRecorder | None = None, training: Training | None = None) -> None:
        """Take up a recorder that `train` closes in the end, and a training that waits to go on, as `sl.resume` finds them."""
        if recorder is not None:
            self._recorder, self._closes_recorder = recorder, True
        if training is not None:
            self._training = training

    @property
    def training(self) -> Training | None:
        """The training that runs, or that waits to go on; None where there is none."""
        return self._training

    # ---- what a user reads --------------------------------------------------------------------------

    @property
    def weights(self) -> Weights:
        """The current weights: read-only views, always up to date."""
        return self._engine.public_weights()

    @property
    def feedback(self) -> np.ndarray | None:
        """The feedback B [n, n_out], or None where it is w_out itself."""
        flat = self._engine.weights.feedback
        return flat.reshape(self.net.n, self.net.n_outputs).copy() if flat.size else None

    @property
    def recorder(self) -> RunRecorder | None:
        """The recorder that a run used last; after `sl.resume`, the one that goes on in the same file."""
        return self._recorder

    @property
    def updates_done(self) -> int:
        """Updates of the weights so far."""
        return int(self._engine.opt.done[0])

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self._engine.dtype

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the per-neuron variables that a recorder can take."""
        return (*self.net.variables, *(RECORDABLE if self.rule is not None else RECORDABLE[:2]))

    def config(self) -> dict[str, Any]:
        """Everything that describes this simulator, as plain values; it stands in every recording."""
        parts = {key: getattr(self, key) for key in ("rule", "optimizer", "loss", "regularizer")}
        described = {key: None if part is None else describe_spec(part) for key, part in parts.items()}
        return {
            "network": self.net.to_dict(),
            **described,
            "passive": [describe_spec(rule) | {"name": describe(rule)} for rule in self.passive],
            "passive_every": self.passive_every,
            "update_every": self.update_every,
            "dtype": self.dtype.name,
            "seed": self.seed,
            **({} if self.rewiring is None else {"rewiring": describe_spec(self.rewiring)}),
            "begins": "state" if self.updates_done or self.trials_done or self.stream_steps else self._begins,
            **self.context,
        }
