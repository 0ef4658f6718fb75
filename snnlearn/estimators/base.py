"""What `SpikingClassifier` and `SpikingRegressor` share: parameters, the network, training and prediction."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from .. import _check
from ..engine.checks import check_parts
from ..losses import CrossEntropy, MeanSquaredError, RateRegularizer
from ..network.network import Network, Readout
from ..neurons import LIF
from ..optimizers.optimizers import Adam
from ..optimizers.schedules import CosineDecay
from ..rules import EProp
from ..simulator.guards import RunWarning, SilentNetworkWarning
from ..simulator.simulator import Simulator
from ..tasks.batches import draw
from ..tasks.series import are_counts, held_out
from .trials import Rows, RowTask, Standard, are_series, take_series

try:
    from sklearn.base import BaseEstimator
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:  # which is told where an estimator is made

    class BaseEstimator:  # type: ignore[no-redef]
        """Stands for scikit-learn's."""

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            raise _check.need("sklearn", f"sl.{cls.__name__}", "scikit-learn")


GAINS = {"w_in": 2.0, "w_rec": 3.0, "w_out": 1.0}  # of the first weights: membranes about the threshold for standardised input
EPOCHS, UPDATES = 30, 600  # at least, where `epochs` is None
FEWEST = 20  # trials, below which none are held out
PREDICTED = 256  # trials of a batch of a prediction


class Spiking(BaseEstimator):
    """The estimators' common part; see `SpikingClassifier`."""

    _classifies: bool

    def __init__(
        self,
        n_neurons: int = 100,
        *,
        network: Network | None = None,
        rule: Any = None,
        optimizer: Any = None,
        epochs: int | None = None,
        batch: int = 16,
        validation: float = 0.0,
        duration: float = 50.0,
        tau: float = 20.0,
        rate: float | None = 100.0,
        dt: float = 1.0,
        random_state: Any = None,
        threads: int | None = None,
    ):
        self.n_neurons = n_neurons
        self.network = network
        self.rule = rule
        self.optimizer = optimizer
        self.epochs = epochs
        self.batch = batch
        self.validation = validation
        self.duration = duration
        self.tau = tau
        self.rate = rate
        self.dt = dt
        self.random_state = random_state
        self.threads = threads

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    # ---- what comes in ------------------------------------------------------------------------------

    def _rows(self, X: Any, y: Any = None, first: bool = False) -> tuple[Rows, Any]:
        """X as rows of trials, and y; `first` says what the features are, later ones are compared."""
        if not are_series(X):
            both = validate_data(self, X, *(() if y is None else (y,)), reset=first, dtype=np.float64, **self._takes(y))
            X, y = (both, None) if y is None else both
            return Rows(X[:, None, :], True), y
        rows = take_series(type(self).__name__, X)
        if first:
            self.n_features_in_ = rows.n_features
        elif rows.n_features != self.n_features_in_:
            need = f"have {self.n_features_in_} features, as in fit"
            raise _check.fail(f"{type(self).__name__}.X", need, rows.n_features)
        if y is not None:
            y = self._check_targets(y)
            if len(y) != len(rows.trials):
                raise _check.fail(f"{type(self).__name__}.y", f"hold a value for each of {len(rows.trials)} trials", len(y))
        return rows, y

    def _takes(self, y: Any) -> dict[str, Any]:
        """Options of `validate_data` for targets."""
        return {}

    def _check_targets(self, y: Any) -> np.ndarray:
        raise NotImplementedError

    # ---- training -----------------------------------------------------------------------------------

    def _check(self) -> None:
        """Raise ValueError or TypeError for parameters that are not what they should be."""
        name = type(self).__name__
        for key in ("n_neurons", "epochs", "batch"):
            if key != "epochs" or self.epochs is not None:
                _check.integer(f"{name}.{key}", getattr(self, key), "be a positive number", low=1)
        for key in ("duration", "tau", "dt"):
            _check.number(f"{name}.{key}", getattr(self, key), "be a positive time in ms", low=0.0, strict=True)
        _check.number(f"{name}.validation", self.validation, "be a fraction, at least 0 and below 1", 0.0, 1.0 - 1e-9)
        if self.rate is not None:
            _check.number(f"{name}.rate", self.rate, "be a rate in Hz, or None", low=0.0)
        check_parts(name, self.rule or EProp(), self.optimizer, None, None)
        if self.network is not None and not isinstance(self.network, Network):
            raise _check.fail(f"{name}.network", "be an sl.Network or None", self.network, error=TypeError)
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))

    def _begin(self, rows: Rows, n_outputs: int, updates: int | None = None) -> None:
        """A network that has learnt nothing, for these rows. updates : for which the learning rate decays"""
        name = type(self).__name__
        self.scale_ = Standard(keep=not rows.table and all(map(are_counts, rows.trials)))
        self.scale_.see(rows.all())
        net, weights = self.network, None
        if net is None:
            readout = Readout(n_outputs, tau=self.tau, bias=True, normalize_input=True)
            lif = LIF(self.n_neurons, tau_m=self.tau, threshold=0.5, normalize_input=True)
            net = Network(rows.n_features, lif, readout, dt=self.dt)
            weights = net.init_weights(self._seed, gain=GAINS)
        sizes = {"n_inputs": rows.n_features, "n_outputs": n_outputs}
        for key, size in sizes.items():
            if getattr(net, key) != size:
                raise _check.fail(f"{name}.network.{key}", f"be {size}, as the data have", getattr(net, key))
        steps = self.duration / net.dt
        self.steps_per_row_ = max(1, math.ceil(steps / float(np.median(rows.lengths))))
        self.simulator_ = Simulator(
            net,
            weights,
            rule=self.rule or EProp(),
            optimizer=self.optimizer or Adam(1e-2 if updates is None else CosineDecay(1e-2, updates, 1e-3)),
            loss=CrossEntropy(of="mean") if self._classifies else MeanSquaredError(),
            regularizer=None if self.rate is None else RateRegularizer(target=self.rate, strength=1.0),
            seed=self._seed,
            threads=self.threads,
        )

    def _fit(self, rows: Rows, targets: np.ndarray, n_outputs: int) -> None:
        """Learn all trials from the beginning; keep the weights that do best on those held out, if any."""
        self._check()
        every, held = np.arange(len(rows.trials)), np.zeros(0, np.int64)
        if self.validation and every.size >= FEWEST:
            rng = np.random.default_rng([self._seed, 1])
            held = held_out(rng, self.validation, every, targets if self._classifies else None, None)
        members = {"train": np.setdiff1d(every, held)} | ({"validation": held} if held.size else {})
        size = members["train"].size
        updates = math.ceil(size / self.batch)
        epochs = self.epochs or max(EPOCHS, math.ceil(UPDATES / updates))
        self._begin(rows._replace(trials=[rows.trials[k] for k in members["train"]]), n_outputs, updates * epochs)
        self.history_ = self.simulator_.train(
            self._task(rows, targets, members),
            trials=size * epochs,
            batch=self.batch,
            evaluate_every=updates if held.size else None,
            restore_best=bool(held.size),
        )
        self._judge(np.array(self.history_.score[-updates:]), targets, size)

    def _task(self, rows: Rows, targets: np.ndarray, members: dict[str, np.ndarray]) -> RowTask:
        outputs = self.simulator_.net.n_outputs
        return RowTask(rows, self.scale_, targets, members, self.steps_per_row_, outputs, self._seed)

    def _judge(self, scores: np.ndarray, targets: np.ndarray, size: int) -> None:
        """Warn where training has led to nothing, or to nothing that holds for other trials.

        The last evaluation judges: the best one is chosen, and so says more than it should.
        """
        raise NotImplementedError

    def _warn(self, found: str, remedy: str) -> None:
        warnings.warn(f"{type(self).__name__}: {found}; {remedy}", RunWarning, stacklevel=5)

    def _learn_online(self, rows: Rows, targets: np.ndarray) -> None:
        """Learn each trial once, in the order given, with an update after each."""
        task = self._task(rows, targets, {"test": np.arange(len(rows.trials))})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SilentNetworkWarning)  # a single trial, as the first one, which is its own mean
            for k in range(len(rows.trials)):
                x, y, mask, steps = draw(task, k, k + 1, "test")
                self.simulator_.run(x, y, mask, steps=steps)

    # ---- prediction ---------------------------------------------------------------------------------

    def _readouts(self, X: Any) -> np.ndarray:
        """Mean readout of each trial, [trials, n_outputs]."""
        check_is_fitted(self, "simulator_")
        rows, _ = self._rows(X)
        n, outputs = len(rows.trials), self.simulator_.net.n_outputs
        task = self._task(rows, np.zeros(n, np.int64) if self._classifies else np.zeros((n, outputs)), {"test": np.arange(n)})
        found = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SilentNetworkWarning)
            for first in range(0, n, PREDICTED):
                x, y, mask, steps = draw(task, first, min(n, first + PREDICTED), "test")
                found.append(self.simulator_.run(x, y, mask, learn=False, steps=steps).prediction)
        return np.concatenate(found)
