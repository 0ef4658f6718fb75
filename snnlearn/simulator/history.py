"""How a training went, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from .. import _check
from ..network.network import Weights
from ..tasks.base import Task


@dataclass(repr=False)
class History:
    """How a training went; lists grow by one entry an update or an evaluation.

    loss : task loss of each update's batch; rate : Hz; wall_time : s since the beginning
    score : accuracy (classification) or normalised mean-squared error (regression) of the update's batch
    trials : learnt so far
    evaluated_at : runs done at each evaluation; evaluation_loss, evaluation_score : of the task's validation split, or of its
        test split where it has no other
    best_score, best_weights : of the best evaluation
    labels, predictions : of the last evaluation, [trials], None without classes
    alignment : `Alignment` of passive rules, where one was due
    status : "running", "complete", "stopped" (the stop criterion was met) or "interrupted" (Ctrl-C)
    """

    loss: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)  # Hz
    wall_time: list[float] = field(default_factory=list)  # s
    evaluated_at: list[int] = field(default_factory=list)  # runs done at each evaluation
    evaluation_loss: list[float] = field(default_factory=list)
    evaluation_score: list[float] = field(default_factory=list)
    alignment: list[Any] = field(default_factory=list)  # `Alignment` of passive rules, where one was due
    best_score: float = float("nan")
    best_weights: Weights | None = None
    labels: np.ndarray | None = None  # of the last evaluation, [trials]
    predictions: np.ndarray | None = None
    trials: int = 0
    status: str = "running"

    def __repr__(self) -> str:
        return _check.brief(self)


@dataclass(repr=False)
class Training:
    """A training and how far it has come: with the simulator's state, all that it takes to go on."""

    task: Any
    trials: int
    batch: int
    start: int
    evaluate_every: int | None
    evaluate_trials: int | None
    stop: float | Callable[[History], bool] | None
    restore_best: bool
    next: int  # first trial of the next batch
    history: History = field(default_factory=History)
    can_continue: bool = True  # whether the simulator's state is that between two batches

    NUMBERS: ClassVar[tuple[str, ...]] = (
        *("trials", "batch", "start", "evaluate_every", "evaluate_trials", "restore_best", "next"),
    )

    def __repr__(self) -> str:
        return _check.brief(self)

    def task_values(self) -> dict[str, Any]:
        """The task as JSON values: its name and parameters, or {"foreign": class} of a user's own."""
        if isinstance(self.task, Task):
            return self.task.to_dict()
        return {"foreign": f"{type(self.task).__module__}.{type(self.task).__qualname__}", "at": "task"}
