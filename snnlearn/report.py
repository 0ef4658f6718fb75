"""What a run reports: losses, scores, rates, and how close passive rules come to the one that updates."""

from __future__ import annotations

from array import array
from typing import NamedTuple

import numpy as np

from .compare import closeness
from .job import Job, Result
from .losses import ENTROPY, SQUARED, TargetArrays
from .network import WEIGHT_NAMES, Weights


class Alignment(NamedTuple):
    """Gradients of passive rules beside that of the rule that updates, on the same trajectory.

    In a stream, or where weights change within a trial, gradients are sums over all steps since the alignment before.
    """

    updates: int  # of the weights, when the gradients were taken
    rules: tuple[str, ...]
    matrices: tuple[str, ...]
    cosine: np.ndarray  # [rules, matrices]; nan where the updating rule's gradient is zero
    norm_ratio: np.ndarray  # [rules, matrices] |passive| / |updating|


class Run(NamedTuple):
    """What a run reports: sums over the trial, averaged over trials."""

    loss: float  # task loss with the weights before the update
    regularization: float
    rate: float  # mean firing rate in the trials' own steps, Hz
    accuracy: float  # fraction of trials (or steps, for labels per step) that are right; nan without labels
    nmse: float  # sum err^2 / sum (y* - mean y*)^2 for MeanSquaredError; nan otherwise
    losses: np.ndarray  # [trials], or one per piece of a stream
    scores: np.ndarray  # [trials] accuracy or nmse of each
    prediction: np.ndarray  # [trials, n_out] sum of mask * y
    n_steps: int  # of the longest trial
    alignment: Alignment | None = None  # of passive rules, where this run was due for one


class Step(NamedTuple):
    """What a single step returns."""

    spikes: np.ndarray  # bool [n]
    readout: np.ndarray  # [n_out]
    loss: float


def report(job: Job, result: Result, n: int, dt: float, alignment: Alignment | None) -> Run:
    """Sums over trials and scores of a result. n : neurons; dt : ms."""
    outcome = result.outcome
    scores = np.full(job.n_trials, np.nan)
    accuracy = nmse = np.nan
    if job.targets.kind == ENTROPY:
        if job.labels_per_step:
            weight = job.targets.mask.sum(axis=1, dtype=np.float64)
            scores = np.minimum(outcome.correct / np.maximum(weight, 1e-300), 1.0)  # both are sums of rounded numbers
        else:
            scores = (outcome.summed.argmax(axis=1) == job.targets.label[:, 0]).astype(np.float64)
        accuracy = float(scores.mean())
    elif job.targets.kind == SQUARED:
        scores = _normalized_error(outcome.loss, job.targets)
        nmse = float(scores.mean())
    return Run(
        loss=float(outcome.loss.mean()),
        regularization=float(outcome.regularization.mean()),
        rate=int(result.counts.sum()) / n / (job.all_steps * dt * 1e-3),
        accuracy=accuracy,
        nmse=nmse,
        losses=outcome.loss,
        scores=scores,
        prediction=outcome.summed,
        n_steps=job.n_steps,
        alignment=alignment,
    )


def align(updates: int, names: tuple[str, ...], active: Weights, passive: list[Weights]) -> Alignment:
    """Passive gradients beside the active one. names : of the passive rules."""
    matrices = WEIGHT_NAMES[:3]
    table = np.array([[closeness(getattr(p, m), getattr(active, m)) for m in matrices] for p in passive])
    return Alignment(updates, names, matrices, table[:, :, 0], table[:, :, 3])


def _normalized_error(loss: np.ndarray, targets: TargetArrays) -> np.ndarray:
    """sum err^2 / sum (y* - mean y*)^2 over the masked steps, per trial; nan for a constant target."""
    weight = targets.mask[:, :, None].astype(np.float64)
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
    mean = (weight * targets.value).sum(axis=1, keepdims=True) / total
    spread = (weight * (targets.value - mean) ** 2).sum(axis=(1, 2))
    return np.divide(2.0 * loss, spread, out=np.full(loss.shape, np.nan), where=spread > 0)


class Pieces:
    """The report of a stream, piece by piece; a few numbers a piece are all that is kept."""

    def __init__(self) -> None:
        self._sums = dict.fromkeys(("loss", "regularization", "accuracy", "nmse"), 0.0)
        self._pieces, self._steps, self._rate = 0, 0, 0.0
        self._joined = {name: array("d") for name in ("losses", "scores", "prediction")}
        self._alignment: Alignment | None = None

    def add(self, run: Run) -> None:
        """Count the report of the next piece."""
        self._pieces, self._steps, self._rate = self._pieces + 1, self._steps + run.n_steps, self._rate + run.n_steps * run.rate
        for name in self._sums:
            self._sums[name] += getattr(run, name)
        for name, column in self._joined.items():
            column.extend(getattr(run, name).reshape(-1))
        self._alignment = run.alignment or self._alignment

    def run(self) -> Run | None:
        """Means over pieces, the rate over time; None where there was no piece."""
        if not self._pieces:
            return None
        means = {name: float(total / self._pieces) for name, total in self._sums.items()}
        return Run(
            **means,
            rate=self._rate / self._steps,
            losses=np.array(self._joined["losses"]),
            scores=np.array(self._joined["scores"]),
            prediction=np.array(self._joined["prediction"]).reshape(self._pieces, -1),
            n_steps=self._steps,
            alignment=self._alignment,
        )
