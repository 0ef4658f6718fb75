"""Tables and series as trials: what comes in is checked, standardised and held for as long as each row lasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _check

ORDERED = 5  # the second number of the generators that order an epoch


class Rows(NamedTuple):
    """What X is: the rows of each trial."""

    trials: Sequence[np.ndarray]  # of [T_k, n]; of a table [1, n]
    table: bool

    @property
    def n_features(self) -> int:
        return int(self.trials[0].shape[1])

    @property
    def lengths(self) -> np.ndarray:
        return np.array([len(x) for x in self.trials])

    def all(self) -> np.ndarray:
        """The rows of all trials, [rows, n]."""
        return np.concatenate(self.trials)


def are_series(X: Any) -> bool:
    """Whether X is [trials, T, n] or a list of [T_k, n], rather than a table [trials, n]."""
    if isinstance(X, (list, tuple)):
        return bool(X) and np.ndim(X[0]) == 2
    if isinstance(X, np.ndarray) and X.dtype.kind == "O" and X.ndim == 1:
        return X.size > 0 and np.ndim(X[0]) == 2
    return getattr(X, "ndim", 0) == 3


def take_series(where: str, X: Any) -> Rows:
    """Series, checked: finite numbers, at least a row, the same channels. ValueError or TypeError that names the trial."""
    found: list[np.ndarray] = []
    for k, x in enumerate(X):
        array = _check.finite(f"{where}.X[{k}]", _check.numbers(f"{where}.X[{k}]", x), np.float64)
        if array.ndim != 2 or not array.size:
            raise _check.fail(f"{where}.X[{k}]", "have shape [T, n_features], and a row at least", array.shape)
        if found and array.shape[1] != found[0].shape[1]:
            raise _check.fail(f"{where}.X[{k}]", f"have {found[0].shape[1]} features, as X[0] has", array.shape[1])
        found.append(array)
    if not found:
        raise _check.fail(f"{where}.X", "hold a trial or more", X)
    return Rows(found, False)


class Standard:
    """Mean and deviation of all rows that have been seen, per column; `keep` leaves values as they are."""

    def __init__(self, keep: bool = False):
        self.keep = keep
        self.count: Any = 0.0
        self.mean: Any = 0.0
        self.squares: Any = 0.0

    def see(self, values: np.ndarray) -> None:
        """Count rows [N, n] in. The formula of Chan, Golub & LeVeque 1983."""
        if not len(values):
            return
        mean = values.mean(axis=0)
        total, apart = self.count + len(values), mean - self.mean
        self.squares = self.squares + ((values - mean) ** 2).sum(axis=0) + apart**2 * self.count * len(values) / total
        self.mean, self.count = self.mean + apart * len(values) / total, total

    @property
    def deviation(self) -> np.ndarray:
        """1 for what does not vary."""
        std = np.sqrt(self.squares / max(self.count, 1.0))
        return np.where(std > 1e-9 * np.maximum(np.abs(self.mean), 1e-300), std, 1.0)

    def scaled(self, values: np.ndarray) -> np.ndarray:
        return values if self.keep else (values - self.mean) / self.deviation

    def unscaled(self, values: np.ndarray) -> np.ndarray:
        return values if self.keep else values * self.deviation + self.mean


class RowTask:
    """A task of rows and targets, as `Simulator.train` takes it.

    rows : of all trials; targets : int [trials] labels, or standardised [trials, n_outputs]
    members : numbers of the trials of "train" and, where some are held out, "validation"
    hold : steps that each row lasts. The second half of a trial counts, when the network has seen much of it
    """

    def __init__(
        self,
        rows: Rows,
        scale: Standard,
        targets: np.ndarray,
        members: dict[str, np.ndarray],
        hold: int,
        n_outputs: int,
        seed: int,
    ):
        self.rows, self.scale, self.targets, self.members, self.hold = rows, scale, targets, members, hold
        self.n_inputs, self.n_outputs, self.seed = rows.n_features, n_outputs, seed
        self.splits = tuple(members)
        self._order: tuple[int, np.ndarray] | None = None
        self._masks: dict[int, np.ndarray] = {}  # by the number of steps

    def n_trials(self, split: str = "train") -> int | None:
        return None if split == "train" else self.n_samples(split)

    def n_samples(self, split: str = "train") -> int:
        return int(self.members[split].size)

    def trial(self, index: int, split: str = "train") -> tuple[np.ndarray, Any, np.ndarray]:
        """Trial k of a split; those of "train" are shuffled anew in each epoch."""
        members = self.members[split]
        epoch, k = divmod(index, members.size)
        if split == "train":
            if self._order is None or self._order[0] != epoch:
                self._order = epoch, np.random.default_rng([self.seed, ORDERED, epoch]).permutation(members)
            members = self._order[1]
        k = int(members[k])
        x = self.scale.scaled(self.rows.trials[k])
        x = np.broadcast_to(x, (self.hold, x.shape[1])) if len(x) == 1 else np.repeat(x, self.hold, axis=0)
        mask, y = self._mask(len(x)), self.targets[k]
        return x, np.broadcast_to(y, (len(x), y.size)) if y.ndim else int(y), mask

    def _mask(self, n_steps: int) -> np.ndarray:
        """Weights of the steps that add up to 1."""
        if n_steps not in self._masks:
            first = n_steps // 2
            mask = (np.arange(n_steps) >= first) / (n_steps - first)
            mask.flags.writeable = False
            self._masks[n_steps] = mask
        return self._masks[n_steps]
