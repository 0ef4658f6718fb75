"""`SpikingRegressor`, an estimator of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _check
from .base import Spiking
from .trials import Standard

try:
    from sklearn.base import RegressorMixin
except ImportError:  # which is told where an estimator is made

    class RegressorMixin:  # type: ignore[no-redef]
        """Stands for scikit-learn's."""


class SpikingRegressor(RegressorMixin, Spiking):
    """A recurrent spiking network that learns a number for each trial, or several, as an estimator of scikit-learn.

    X : as for `SpikingClassifier`
    y : [trials] or [trials, n_outputs] numbers; they are standardised, and predictions are in their units

    n_neurons, network, rule, optimizer, epochs, batch, validation, duration, tau, rate, dt, random_state, threads : as for
        `SpikingClassifier`; of `network`, an output for each number

    The prediction is the mean readout over the second half of the trial. After `fit`: `n_features_in_`, `simulator_` (the
    `Simulator`), `history_`, `steps_per_row_`, `scale_`, `target_scale_`. A `RunWarning` says where training has led to nothing.

    Raises ImportError without scikit-learn, ValueError or TypeError that names the parameter.
    """

    _classifies = False

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> SpikingRegressor:
        """Learn from the beginning. X : see the class; y : [trials] or [trials, n_outputs]"""
        rows, values = self._rows(X, self._given(y), first=True)
        values = self._check_targets(values)
        flat = values.reshape(len(values), -1)
        self.target_scale_, self._ndim = Standard(), values.ndim
        self.target_scale_.see(flat)
        self._fit(rows, self.target_scale_.scaled(flat), flat.shape[1])
        return self

    def partial_fit(self, X: Any, y: Any) -> SpikingRegressor:
        """Learn each trial once, in order, with an update after each: online. X, y : as for `fit`"""
        first = not hasattr(self, "simulator_")
        rows, values = self._rows(X, self._given(y), first=first)
        values = self._check_targets(values)
        flat = values.reshape(len(values), -1)
        if first:
            self.target_scale_, self._ndim = Standard(), values.ndim
            self._check()
            self._begin(rows, flat.shape[1])
        elif flat.shape[1] != self.simulator_.net.n_outputs:
            raise _check.fail("SpikingRegressor.y", f"have {self.simulator_.net.n_outputs} outputs, as before", flat.shape[1])
        else:
            self.scale_.see(rows.all())
        self.target_scale_.see(flat)
        self._learn_online(rows, self.target_scale_.scaled(flat))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """[trials] or [trials, n_outputs] numbers."""
        found = self._readouts(X).astype(np.float64)
        found = self.target_scale_.unscaled(found)
        return found[:, 0] if self._ndim == 1 else found

    def _given(self, y: Any) -> Any:
        if y is None:
            raise _check.fail("SpikingRegressor.y", "be given: requires y to be passed, but the target y is None", None)
        return y

    def _takes(self, y: Any) -> dict[str, Any]:
        return {} if y is None else {"multi_output": True, "y_numeric": True}

    def _check_targets(self, y: Any) -> np.ndarray:
        values = _check.finite("SpikingRegressor.y", _check.numbers("SpikingRegressor.y", y), np.float64)
        if values.ndim not in (1, 2) or not values.size:
            raise _check.fail("SpikingRegressor.y", "have shape [trials] or [trials, n_outputs]", values.shape)
        return values

    def _judge(self, scores: np.ndarray, targets: np.ndarray, size: int) -> None:
        losses = np.array(self.history_.loss[-len(scores) :])
        error = 2.0 * float(losses.mean()) / max(float((targets**2).sum(axis=1).mean()), 1e-12)
        if error > 0.95 and targets.any():
            found = f"the error of the trials learnt is {100 * error:.0f} % of the variance of y, so nothing was learnt"
            self._warn(found, "see whether y belongs to X, or try other values of optimizer, epochs, tau and duration")
        elif self.history_.evaluation_score and self.history_.best_score > 1.0 and targets.shape[0] - size >= 10:
            held = f"{100 * self.history_.best_score:.0f} % for trials held out"
            found = f"the error is {100 * error:.0f} % of the variance of y, but {held}"
            self._warn(found, "give more trials, or fewer neurons")
