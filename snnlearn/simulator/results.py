"""What a run reports: losses, scores, rates, and how close passive rules come to the one that updates."""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple

import numpy as np

from .._check import brief
from ..engine.activity import Activity, Learnt
from ..engine.batch import Result, Trials
from ..losses import ENTROPY, SQUARED, TargetArrays
from ..network.network import Network
from ..network.weights import WEIGHT_NAMES, Weights
from ..rules.closeness import closeness

ROUNDING = 1e-24  # of the mean square, the variance that a constant may seem to have


class Alignment(NamedTuple):
    """Gradients of passive rules beside that of the rule that updates, on the same trajectory.

    In a stream, or where weights change within a trial, gradients are sums over all steps since the alignment before.
    """

    updates: int  # of the weights, when the gradients were taken
    rules: tuple[str, ...]
    matrices: tuple[str, ...]
    cosine: np.ndarray  # [rules, matrices]; nan where the updating rule's gradient is zero, or has no entry
    norm_ratio: np.ndarray  # [rules, matrices] |passive| / |updating|

    def __repr__(self) -> str:
        return brief(self)


class Run(NamedTuple):
    """What a run reports: sums over the trial, averaged over trials."""

    loss: float  # task loss with the weights before the update
    regularization: float
    rate: float  # mean firing rate in the trials' own steps, Hz
    accuracy: float  # fraction of trials with a label (or steps, for labels per step) that are right; nan without labels
    nmse: float  # sum err^2 / sum (y* - mean y*)^2 for MeanSquaredError; nan otherwise
    losses: np.ndarray  # [trials], or one per piece of a stream
    scores: np.ndarray  # [trials] accuracy or nmse of each; nan for a trial of which the label is unknown
    prediction: np.ndarray  # [trials, n_out] sum of mask * y
    n_steps: int  # of the longest trial
    alignment: Alignment | None = None  # of passive rules, where this run was due for one
    activity: Activity | None = None  # spikes and inputs, counted, for `sl.metrics`; None of a stream without a piece

    def __repr__(self) -> str:
        return brief(self)


class Evaluation(NamedTuple):
    """How a network does on trials of a task, without learning. Arrays [trials] are in the order of the split."""

    loss: float  # mean task loss of a trial
    score: float  # accuracy (classification) or normalised mean-squared error (regression; 1 for the mean as a constant)
    labels: np.ndarray | None  # int [trials]; None unless there is one label a trial
    predictions: np.ndarray | None  # int [trials]
    split: str
    rate: float  # mean firing rate, Hz
    losses: np.ndarray  # [trials]
    scores: np.ndarray  # [trials] nan where the label is unknown, or the target does not change
    readouts: np.ndarray  # [trials, n_out] sum of mask * y
    classifies: bool

    def __repr__(self) -> str:
        what = "accuracy" if self.classifies else "normalised error"
        n, rate = self.losses.size, f"rate={self.rate:.3g} Hz"
        return f"Evaluation({self.split}: {n} trials, loss={self.loss:.4g}, {what}={self.score:.4g}, {rate})"


class Step(NamedTuple):
    """What a single step returns."""

    spikes: np.ndarray  # bool [n]
    readout: np.ndarray  # [n_out]
    loss: float

    def __repr__(self) -> str:
        return brief(self)


def report(job: Trials, result: Result, net: Network, alignment: Alignment | None, learnt: Learnt | None) -> Run:
    """Sums over trials and scores of a result. learnt : None where nothing was"""
    outcome, itemsize = result.outcome, job.inputs.value.itemsize
    activity = Activity(job.all_steps, result.counts, outcome.late, net.n_inputs, itemsize, learnt, [job.inputs])
    accuracy = nmse = np.nan
    if job.targets.kind == ENTROPY:
        if job.labels_per_step:
            weight = job.targets.mask.sum(axis=1, dtype=np.float64)
            scores = np.minimum(outcome.correct / np.maximum(weight, 1e-300), 1.0)  # both are sums of rounded numbers
        else:
            label = job.targets.label[:, 0]
            scores = np.where(label < 0, np.nan, outcome.summed.argmax(axis=1) == label)  # -1: unknown, and not asked for
        known = scores[~np.isnan(scores)]
        accuracy = float(known.mean()) if known.size else np.nan
    elif job.targets.kind == SQUARED:
        scores = _normalized_error(outcome.loss, job.targets)
        nmse = _mean(scores)
    else:
        scores = np.full(job.n_trials, np.nan)
    return Run(
        loss=_mean(outcome.loss),
        regularization=_mean(outcome.regularization),
        rate=int(result.counts.sum()) / net.n / (job.all_steps * net.dt * 1e-3),
        accuracy=accuracy,
        nmse=nmse,
        losses=outcome.loss,
        scores=scores,
        prediction=outcome.summed,
        n_steps=job.n_steps,
        alignment=alignment,
        activity=activity,
    )


def _mean(values: np.ndarray) -> float:
    """The mean over trials."""
    return float(values[0] if values.size == 1 else values.mean())


def align(updates: int, names: tuple[str, ...], active: Weights, passive: list[Weights]) -> Alignment:
    """Passive gradients beside the active one. names : of the passive rules."""
    matrices = WEIGHT_NAMES[:3]
    table = np.array([[closeness(getattr(p, m), getattr(active, m)) for m in matrices] for p in passive])
    return Alignment(updates, names, matrices, table[:, :, 0], table[:, :, 3])


def evaluation(split: str, runs: list[tuple[Run, Any]], classifies: bool, pools: bool) -> Evaluation:
    """The evaluation of these runs and the batches that they were of.

    pools : for regression, whether the error is normalised by the variance of the targets of all trials together instead of trial
        by trial; also where a trial's target does not change
    """
    losses, scores, readouts = (
        np.concatenate([getattr(run, name) for run, _ in runs]) for name in ("losses", "scores", "prediction")
    )
    known = np.isfinite(scores)
    score = float(scores[known].mean()) if known.any() else float("nan")
    if not classifies and (pools or not known.all()):
        score = _pooled_error(losses, [batch for _, batch in runs])
    labels = predictions = None
    if classifies and all(np.ndim(batch.target) == 1 for _, batch in runs):
        labels = np.concatenate([np.asarray(batch.target) for _, batch in runs])
        predictions = readouts.argmax(axis=1)
    seconds = np.array([run.n_steps * len(batch) if batch.steps is None else batch.steps.sum() for run, batch in runs], float)
    rate = float(np.average([run.rate for run, _ in runs], weights=seconds))
    return Evaluation(float(losses.mean()), score, labels, predictions, split, rate, losses, scores, readouts, classifies)


def _pooled_error(losses: np.ndarray, batches: list[Any]) -> float:
    """sum err^2 / sum (y* - mean y*)^2 over the masked steps of all trials, the mean of each output over all of them."""
    values, weights = zip(*map(_weighed, batches), strict=True)
    total = sum(w.sum(axis=(0, 1)) for w in weights)
    mean = sum((w * v).sum(axis=(0, 1)) for w, v in zip(weights, values, strict=True)) / np.maximum(total, 1e-300)
    spread = sum(float((w * (v - mean) ** 2).sum()) for w, v in zip(weights, values, strict=True))
    size = sum(float((w * v**2).sum()) for w, v in zip(weights, values, strict=True))
    return float(2.0 * losses.sum() / spread) if spread > ROUNDING * size else float("nan")


def _weighed(batch: Any) -> tuple[np.ndarray, np.ndarray]:
    """Targets of a batch, 0 where they do not count, and their weights, [trials, T, n_out]."""
    value = np.asarray(batch.target, float)
    mask = np.ones(value.shape[1]) if batch.mask is None else np.asarray(batch.mask, float)
    weight = np.broadcast_to(mask if mask.ndim == 3 else mask[..., None], value.shape)
    if batch.steps is not None:
        weight = weight * (np.arange(value.shape[1]) < batch.steps[:, None])[..., None]
    return np.where(weight > 0, value, 0.0), weight


def _normalized_error(loss: np.ndarray, targets: TargetArrays) -> np.ndarray:
    """sum err^2 / sum (y* - mean y*)^2 over the masked steps, per trial; nan for a constant target."""
    weight = (targets.weight if targets.weight.size else targets.mask[:, :, None]).astype(np.float64)
    value = targets.value if weight.all() else np.where(weight != 0, targets.value, 0)  # where it counts
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
    mean = (weight * value).sum(axis=1, keepdims=True) / total
    spread = (weight * (value - mean) ** 2).sum(axis=(1, 2))
    varies = spread > ROUNDING * (weight * value**2).sum(axis=(1, 2))
    return np.divide(2.0 * loss, spread, out=np.full(loss.shape, np.nan), where=varies)


class Pieces:
    """The report of a stream, piece by piece; a few numbers a piece are all that is kept."""

    def __init__(self) -> None:
        self._sums = dict.fromkeys(("loss", "regularization", "accuracy", "nmse"), 0.0)
        self._pieces, self._steps, self._rate = 0, 0, 0.0
        self._judged = 0  # pieces that have an accuracy
        self._joined = {name: array("d") for name in ("losses", "scores", "prediction")}
        self._alignment: Alignment | None = None
        self._activity: Activity | None = None

    def add(self, run: Run) -> None:
        """Count the report of the next piece."""
        self._pieces, self._steps, self._rate = self._pieces + 1, self._steps + run.n_steps, self._rate + run.n_steps * run.rate
        for name in self._sums:
            self._sums[name] += 0.0 if name == "accuracy" and np.isnan(run.accuracy) else getattr(run, name)
        self._judged += not np.isnan(run.accuracy)
        for name, column in self._joined.items():
            column.extend(getattr(run, name).reshape(-1))
        self._alignment = run.alignment or self._alignment
        assert run.activity is not None
        self._activity = run.activity if self._activity is None else self._activity.plus(run.activity)

    def run(self, n_outputs: int) -> Run:
        """Means over pieces, the rate over time; zeros, nan scores and empty arrays where there was no piece."""
        means = {name: float(total / max(self._pieces, 1)) for name, total in self._sums.items()}
        if not self._pieces:
            means["nmse"] = np.nan
        means["accuracy"] = self._sums["accuracy"] / self._judged if self._judged else np.nan
        return Run(
            **means,
            rate=self._rate / max(self._steps, 1),
            losses=np.array(self._joined["losses"]),
            scores=np.array(self._joined["scores"]),
            prediction=np.array(self._joined["prediction"]).reshape(self._pieces, n_outputs),
            n_steps=self._steps,
            alignment=self._alignment,
            activity=self._activity,
        )
