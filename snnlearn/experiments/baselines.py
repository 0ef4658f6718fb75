"""What others reach on the trials of a task: logistic or linear regression, an echo state network, a GRU.

They see the same series and splits, with one step for each row (a point is held); what they can choose, they choose on
the validation split.

    logistic   of the whole series, padded with zeros at its end (scikit-learn); of a regression, linear in the last 16 rows
    esn        500 leaky units, h = (1 - a) h + a tanh(x W_in + h W); a ridge regression reads their mean and their last state, of
               a regression their state; radius of W, a and the ridge are chosen
    gru        128 units and a linear readout of the last state, of a regression of each; Adam with the batches, updates and the
               fall of the learning rate that the spiking networks have (torch)

Logistic regression and the echo state network see each training trial once; the GRU sees fresh ones, as spiking networks do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from .. import _check
from ..events import Events
from ..tasks.base import Task
from .settings import TrainingPlan

UNITS, RESERVOIR, ROWS = 128, 500, 16
STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # of logistic regression
RIDGES = (1e-6, 1e-4, 1e-2, 1.0)
LEARNING_RATE = 3e-3  # of the GRU at the beginning
FINAL = 0.05


class Baseline(NamedTuple):
    """What a baseline reached: accuracy, or the normalised error of a regression."""

    validation: float
    test: float
    seconds: float  # of CPU


class Part(NamedTuple):
    """The trials of a split, padded with zeros."""

    x: np.ndarray  # [trials, T, n]
    y: np.ndarray  # [trials] labels, or [trials, T, n_out]
    lengths: np.ndarray  # [trials]


def one_thread() -> AbstractContextManager[Any]:
    """Linear algebra on one thread, as the spiking networks run: more only wait for each other where cores are shared."""
    if find_spec("threadpoolctl") is None:
        return nullcontext()
    found: AbstractContextManager[Any] = _check.need("threadpoolctl", "one thread").threadpool_limits(1)
    return found


def trials_of(task: Task, split: str, start: int = 0, n: int | None = None) -> Part:
    """Trials of a split as arrays. n : how many; None: all that there are, in training one epoch"""
    if n is None:
        n = task.n_samples(split)  # type: ignore[attr-defined]
    found = [task.trial(start + k, split) for k in range(n)]
    xs = [t.x.toarray(task.n_inputs) if isinstance(t.x, Events) else np.asarray(t.x) for t in found]
    lengths = np.array([len(x) for x in xs])
    y = np.array([t.target for t in found]) if task.kind == "classification" else _padded([t.target for t in found])
    return Part(_padded(xs), y, lengths)


def _padded(xs: list[np.ndarray]) -> np.ndarray:
    padded = np.zeros((len(xs), max(map(len, xs)), xs[0].shape[1]), np.float32)
    for row, x in zip(padded, xs, strict=True):
        row[: len(x)] = x
    return padded


def score(task: Task, part: Part, output: np.ndarray) -> float:
    """Accuracy of outputs [trials, classes], or normalised error of outputs [trials, T, n_out]."""
    if task.kind == "classification":
        return float((output.argmax(axis=1) == part.y).mean())
    used = np.arange(part.x.shape[1]) < part.lengths[:, None]
    y, error = part.y[used], (output - part.y)[used]
    return float((error**2).sum() / ((y - y.mean(axis=0)) ** 2).sum())


def logistic(task: Task, plan: TrainingPlan, seed: int, threads: int) -> Baseline:
    """Logistic regression of whole series, or linear regression of the last rows. ImportError without scikit-learn."""
    began = time.process_time()
    parts = {split: trials_of(task, split) for split in ("train", "validation", "test")}
    if task.kind != "classification":
        return _chosen(task, parts, {split: _last_rows(part.x) for split, part in parts.items()}, began)
    model = _check.need("sklearn.linear_model", "the baseline logistic", "scikit-learn").LogisticRegression
    longest = max(part.x.shape[1] for part in parts.values())
    flat = {k: np.pad(p.x, ((0, 0), (0, longest - p.x.shape[1]), (0, 0))).reshape(len(p.x), -1) for k, p in parts.items()}
    best = (-np.inf, np.nan)
    for strength in STRENGTHS:
        fitted = model(C=strength, max_iter=300).fit(flat["train"], parts["train"].y)
        found = [float((fitted.predict(flat[k]) == parts[k].y).mean()) for k in ("validation", "test")]
        best = max(best, (found[0], found[1]), key=lambda pair: pair[0])
    return Baseline(*best, time.process_time() - began)


def _last_rows(x: np.ndarray) -> np.ndarray:
    padded = np.concatenate([np.zeros((len(x), ROWS - 1, x.shape[2]), x.dtype), x], axis=1)
    return np.concatenate([padded[:, k : k + x.shape[1]] for k in range(ROWS)], axis=2)


def esn(task: Task, plan: TrainingPlan, seed: int, threads: int) -> Baseline:
    """An echo state network with a ridge regression."""
    began = time.process_time()
    parts = {split: trials_of(task, split) for split in ("train", "validation", "test")}
    rng, classifies = np.random.default_rng(seed), task.kind == "classification"
    w = rng.standard_normal((RESERVOIR, RESERVOIR)) * (rng.random((RESERVOIR, RESERVOIR)) < 0.1)
    w /= np.abs(np.linalg.eigvals(w)).max()
    w_in = rng.uniform(-1, 1, (task.n_inputs, RESERVOIR)) / np.sqrt(task.n_inputs)
    best: Baseline | None = None
    for radius, leak in product((0.5, 0.9, 0.99), (0.1, 0.3, 1.0)):
        states = {
            k: _states(p, w_in.astype(np.float32), (radius * w).astype(np.float32), leak, classifies) for k, p in parts.items()
        }
        found = _chosen(task, parts, states, began)
        if best is None or (found.validation > best.validation if classifies else found.validation < best.validation):
            best = found
    assert best is not None
    return best._replace(seconds=time.process_time() - began)


def _states(part: Part, w_in: np.ndarray, w: np.ndarray, leak: float, classifies: bool) -> np.ndarray:
    """Mean and last states [trials, 2 n], or all of them [trials, T, n]."""
    h = np.zeros((len(part.x), len(w)), np.float32)
    total, kept = np.zeros_like(h), []
    for t in range(part.x.shape[1]):
        on = (t < part.lengths)[:, None]
        h = np.where(on, (1 - leak) * h + leak * np.tanh(part.x[:, t] @ w_in + h @ w), h)
        if classifies:
            total += on * h
        else:
            kept.append(h)
    return np.concatenate([total / part.lengths[:, None], h], axis=1) if classifies else np.stack(kept, axis=1)


def _chosen(task: Task, parts: dict[str, Part], features: dict[str, np.ndarray], began: float) -> Baseline:
    """Ridge regression with the ridge that is best on the validation split."""
    train = parts["train"]
    a = features["train"].reshape(-1, features["train"].shape[-1]).astype(np.float64)
    y = np.eye(task.n_outputs)[train.y] if task.kind == "classification" else train.y.reshape(-1, task.n_outputs)
    a = np.concatenate([a, np.ones((len(a), 1))], axis=1)
    square, product_, sign = a.T @ a, a.T @ y, 1 if task.kind == "classification" else -1
    best = Baseline(-np.inf * sign, np.nan, 0.0)
    for ridge in RIDGES:
        w = np.linalg.solve(square + ridge * len(a) * np.eye(len(square)), product_)
        found = [score(task, parts[k], features[k] @ w[:-1] + w[-1]) for k in ("validation", "test")]
        if sign * found[0] > sign * best.validation:
            best = Baseline(found[0], found[1], 0.0)
    return best._replace(seconds=time.process_time() - began)


def gru(task: Task, plan: TrainingPlan, seed: int, threads: int) -> Baseline:
    """A GRU with the plan's batches and updates. ImportError without torch."""
    torch = _check.need("torch", "the baseline gru")
    began, classifies = time.process_time(), task.kind == "classification"
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    layer, readout = torch.nn.GRU(task.n_inputs, UNITS, batch_first=True), torch.nn.Linear(UNITS, task.n_outputs)
    parameters = [*layer.parameters(), *readout.parameters()]
    updates = -(-plan.trials // plan.batch)
    every = plan.evaluate_every or updates
    adam = torch.optim.Adam(parameters, LEARNING_RATE)
    falls = torch.optim.lr_scheduler.LambdaLR(adam, lambda k: FINAL ** (k / updates))
    held = {split: trials_of(task, split) for split in ("validation", "test")}

    def output(part: Part) -> Any:
        states, _ = layer(torch.from_numpy(part.x))
        last = torch.from_numpy(part.lengths - 1)
        return readout(states[torch.arange(len(last)), last] if classifies else states)

    best, sign = (-np.inf, np.nan), 1 if classifies else -1
    for k in range(updates):
        part = trials_of(task, "train", k * plan.batch, plan.batch)
        adam.zero_grad()
        if classifies:
            loss = torch.nn.functional.cross_entropy(output(part), torch.from_numpy(part.y))
        else:
            loss = ((output(part) - torch.from_numpy(part.y)) ** 2).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        falls.step()
        if (k + 1) % every == 0 or k + 1 == updates:
            with torch.no_grad():
                found = [score(task, held[split], output(held[split]).numpy()) for split in ("validation", "test")]
            best = max(best, (sign * found[0], found[1]), key=lambda pair: pair[0])
    return Baseline(sign * best[0], best[1], time.process_time() - began)


BASELINES: dict[str, Callable[[Task, TrainingPlan, int, int], Baseline]] = {"logistic": logistic, "esn": esn, "gru": gru}
