"""`SpikingClassifier`, an estimator of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _check
from .base import Spiking

try:
    from sklearn.base import ClassifierMixin
    from sklearn.utils.multiclass import check_classification_targets, unique_labels
    from sklearn.utils.validation import column_or_1d
except ImportError:  # which is told where an estimator is made

    class ClassifierMixin:  # type: ignore[no-redef]
        """Stands for scikit-learn's."""


class SpikingClassifier(ClassifierMixin, Spiking):
    """A recurrent spiking network that learns classes, as an estimator of scikit-learn.

    X : a table [trials, n_features], whose values are currents that are held for `duration`; or series, as an array
        [trials, T, n_features] or a list of arrays [T_k, n_features] of any lengths. Features are standardised, but series of
        numbers of spikes (whole, not negative) are taken as they are
    y : a label for each trial

    n_neurons : LIF neurons of the network
    network : an sl.Network instead of that, of as many inputs and outputs as the data have features and classes
    rule : a learning rule; None: sl.EProp()
    optimizer : None: sl.Adam(1e-2), whose rate falls to a tenth in `fit`
    epochs : how often `fit` learns each trial; None: 30 times, or more often where that makes fewer than 600 updates
    batch : trials of an update in `fit`; `partial_fit` updates after each
    validation : fraction of the trials that `fit` holds out to choose the best epoch; 0: none, as for fewer than 20 trials
    duration : ms that a trial lasts at least; rows of series shorter than that last several steps each
    tau : ms, time constant of membranes and of the readout
    rate : Hz, toward which the neurons' rates are pulled; None: not
    dt : ms, length of a step
    random_state : of weights, order and what is held out: a number, a RandomState or None
    threads : trials of a batch are dealt to them; None: all cores

    The class is that of the largest mean readout over the second half of the trial, its softmax the probability. `fit` begins
    anew, `partial_fit` goes on. After them: `classes_`, `n_features_in_`, `simulator_` (the `Simulator`), `history_` (of `fit`),
    `steps_per_row_`, `scale_`.
    A `RunWarning` says where training has led to nothing.

    Raises ImportError without scikit-learn, ValueError or TypeError that names the parameter.
    """

    _classifies = True

    def fit(self, X: Any, y: Any) -> SpikingClassifier:
        """Learn from the beginning. X : see the class; y : [trials] labels"""
        rows, y = self._rows(X, self._given(y), first=True)
        labels = self._check_targets(y)
        self.classes_, targets = np.unique(labels, return_inverse=True)
        self._fit(rows, targets, self.classes_.size)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> SpikingClassifier:
        """Learn each trial once, in order, with an update after each: online.

        X : see the class; y : [trials] labels
        classes : all that will occur, in the first call; None: those of y
        """
        first = not hasattr(self, "simulator_")
        rows, y = self._rows(X, self._given(y), first=first)
        labels = self._check_targets(y)
        if first:
            self.classes_ = unique_labels(labels if classes is None else classes)
            self._check()
            self._begin(rows, self.classes_.size)
        elif classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise _check.fail("SpikingClassifier.classes", f"be {list(self.classes_)}, as before", list(classes))
        else:
            self.scale_.see(rows.all())
        unknown = np.setdiff1d(labels, self.classes_)
        if unknown.size:
            hint = "the first partial_fit takes them as classes="
            raise _check.fail("SpikingClassifier.y", f"hold the classes {list(self.classes_)}", unknown[0], hint)
        self._learn_online(rows, np.searchsorted(self.classes_, labels))
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Softmax of the mean readouts, [trials, classes]."""
        readouts = self._readouts(X).astype(np.float64)
        powers = np.exp(readouts - readouts.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """The class of each trial."""
        found = self.predict_proba(X).argmax(axis=1)
        return self.classes_[found]

    def _given(self, y: Any) -> Any:
        if y is None:
            raise _check.fail("SpikingClassifier.y", "be given: requires y to be passed, but the target y is None", None)
        return y

    def _check_targets(self, y: Any) -> np.ndarray:
        labels = column_or_1d(y, warn=True)
        check_classification_targets(labels)
        return labels

    def _judge(self, scores: np.ndarray, targets: np.ndarray, size: int) -> None:
        share, n = np.bincount(targets).max() / targets.size, self.history_
        error = 2.0 * np.sqrt(share * (1.0 - share) / size)
        right = float(scores.mean())
        if self.classes_.size < 2:
            return
        if right <= share + error:
            found = (
                f"{100 * right:.0f} % of the trials learnt are right, {100 * share:.0f} % are of one class: nothing was learnt"
            )
            self._warn(found, "see whether labels belong to X, or try other values of optimizer, epochs, tau and duration")
        elif n.evaluation_score:
            held = targets.size - size
            if n.best_score <= share + 2.0 * np.sqrt(share * (1.0 - share) / held) and right > share + 3 * error and held >= 10:
                found = f"{100 * right:.0f} % of the trials learnt are right, but {100 * n.best_score:.0f} % of {held} held out"
                self._warn(found, "give more trials, or fewer neurons")
