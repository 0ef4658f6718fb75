"""A recorder's part of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

REDUCED, FOLLOWED = "recorder.reduced.", "recorder.eligibility."  # beginnings of the names of a recorder's own arrays


def without_history(values: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A state as it is kept: the history of a training, which grows, is not needed to simulate it again."""
    training = values.get("training")
    training = None if training is None else training | {"history": {"status": training["history"]["status"]}}
    rest = {name: array for name, array in arrays.items() if not name.startswith("history.")}
    return values | {"recorder": None, "training": training}, rest
