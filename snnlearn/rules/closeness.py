"""How close one gradient is to another."""

from __future__ import annotations

from typing import Any

import numpy as np


def closeness(found: Any, exact: Any) -> tuple[float, float, float, float]:
    """Cosine, sign agreement, relative error and norm ratio of two matrices; nan where the reference is zero or has no entry."""
    return flat_closeness(flat(found), flat(exact))


def flat(matrix: Any) -> np.ndarray:
    """The values of a dense or sparse matrix, float64 [synapses]."""
    return np.asarray(matrix.data if hasattr(matrix, "indptr") else matrix, np.float64).ravel()


def flat_closeness(g: np.ndarray, exact: np.ndarray) -> tuple[float, float, float, float]:
    """`closeness` of the values of two matrices, float64 [synapses]."""
    largest = np.abs(exact).max(initial=0.0)
    if largest == 0:
        return (np.nan,) * 4
    g, exact = g / largest, exact / largest  # squares of detached resets' gradients may overflow
    size, norm, there = np.linalg.norm(exact), np.linalg.norm(g), exact != 0
    cosine = float(g @ exact / (norm * size)) if norm > 0 else 0.0
    signs = float((np.sign(g[there]) == np.sign(exact[there])).mean())
    return cosine, signs, float(np.linalg.norm(g - exact) / size), float(norm / size)
