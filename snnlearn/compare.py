"""Rules side by side on one trial: how close each comes to BPTT, and what it costs."""

from __future__ import annotations

import time
import tracemalloc
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from . import _check
from .functional import Gradient, gradient
from .losses import Loss, RateRegularizer
from .network import WEIGHT_NAMES, Network, Weights
from .rules import BPTT, Rule


class VacuousComparisonWarning(UserWarning):
    """The reference gradient is zero: the comparison says nothing."""


class Comparison(NamedTuple):
    """The table of `compare`: one row per rule, in the order given; columns follow `matrices`."""

    rules: tuple[str, ...]
    matrices: tuple[str, ...]
    cosine: np.ndarray  # [rules, matrices]
    sign_agreement: np.ndarray  # [rules, matrices] share of the reference's non-zero entries with the same sign
    relative_error: np.ndarray  # [rules, matrices] |g - ref| / |ref|
    norm_ratio: np.ndarray  # [rules, matrices] |g| / |ref|
    seconds: np.ndarray  # [rules] of one gradient, compiled
    peak_bytes: np.ndarray  # [rules] largest memory that one gradient allocated

    def __str__(self) -> str:
        width = max(len(name) for name in self.rules)
        lines = [f"{'rule':{width}}  matrix    cosine    signs  rel. error  norm ratio        ms      MB"]
        for r, rule in enumerate(self.rules):
            for m, matrix in enumerate(self.matrices):
                cells = (self.cosine[r, m], self.sign_agreement[r, m], self.relative_error[r, m], self.norm_ratio[r, m])
                cost = f"{1e3 * self.seconds[r]:10.2f} {1e-6 * self.peak_bytes[r]:7.2f}" if m == 0 else ""
                start = f"{rule if m == 0 else '':{width}}  {matrix:6}"
                lines.append(start + "{:9.4f} {:8.3f} {:11.2e} {:11.3f}".format(*cells) + cost)
        return "\n".join(lines)

    def to_array(self) -> np.ndarray:
        """A structured array with one row per rule and matrix."""
        kinds = [("rule", "U64"), ("matrix", "U8")]
        numbers = ("cosine", "sign_agreement", "relative_error", "norm_ratio", "seconds", "peak_bytes")
        rows = np.zeros((len(self.rules), len(self.matrices)), kinds + [(name, "f8") for name in numbers])
        rows["rule"], rows["matrix"] = np.array(self.rules)[:, None], np.array(self.matrices)
        for name in numbers:
            values = getattr(self, name)
            rows[name] = values if values.ndim == 2 else values[:, None]
        return rows.reshape(-1)


def compare(
    net: Network,
    weights: Weights,
    trial: Any,
    rules: Iterable[Rule],
    loss: Loss | None = None,
    regularizer: RateRegularizer | None = None,
    reference: Rule | None = None,
    dtype: Any = "float64",
) -> Comparison:
    """Compare the gradients of rules with BPTT's (reset differentiated) on one trial or batch.

    trial : (x, target) or (x, target, mask), as a task yields
    reference : another rule to compare with

    Warns with VacuousComparisonWarning where a matrix's reference gradient is zero (a silent network, say): its
    figures are nan. Raises as `gradient` does.
    """
    rules = tuple(rules)
    if not rules:
        raise _check.fail("compare.rules", "name at least one rule", "none")
    if not isinstance(trial, tuple) or len(trial) not in (2, 3):
        raise _check.fail("compare.trial", "be (x, target) or (x, target, mask)", type(trial).__name__, error=TypeError)
    x, target, mask = (*trial, None)[:3]

    def of(rule: Rule) -> Gradient:
        return gradient(net, weights, x, target, rule, loss=loss, mask=mask, regularizer=regularizer, dtype=dtype, threads=1)

    names = tuple(name for name in WEIGHT_NAMES if name != "b_out" or net.readout.bias)
    exact = [_flat(getattr(of(reference or BPTT()), name)) for name in names]
    zero = [name for name, g in zip(names, exact, strict=True) if not g.any()]
    if zero:
        message = f"compare: the reference gradient of {', '.join(zero)} is zero; is the network silent, or the mask?"
        warnings.warn(message, VacuousComparisonWarning, stacklevel=2)
    table: dict[str, list[Any]] = {key: [] for key in Comparison._fields[2:]}
    for rule in rules:
        of(rule)  # compiles
        began = time.perf_counter()
        found = of(rule)
        table["seconds"].append(time.perf_counter() - began)
        tracemalloc.start()
        of(rule)
        table["peak_bytes"].append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        columns = np.array([_closeness(_flat(getattr(found, name)), g) for name, g in zip(names, exact, strict=True)])
        for key, column in zip(Comparison._fields[2:6], columns.T, strict=True):
            table[key].append(column)
    return Comparison(tuple(map(describe, rules)), names, **{key: np.array(value) for key, value in table.items()})


def describe(rule: Rule) -> str:
    """The rule's class with the parameters that differ from their defaults."""
    shown = []
    for key, field in type(rule).__dataclass_fields__.items():
        value = getattr(rule, key)
        if isinstance(value, np.ndarray):
            shown.append(f"{key}=given")
        elif value != field.default:
            shown.append(f"{key}={value!r}")
    return f"{type(rule).__name__}({', '.join(shown)})"


def closeness(found: Any, exact: Any) -> tuple[float, float, float, float]:
    """Cosine, sign agreement, relative error and norm ratio of two matrices; nan where the reference is zero."""
    return _closeness(_flat(found), _flat(exact))


def _flat(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.data if hasattr(matrix, "indptr") else matrix, np.float64).ravel()


def _closeness(g: np.ndarray, exact: np.ndarray) -> tuple[float, float, float, float]:
    """Cosine, sign agreement, relative error and norm ratio; nan where the reference is zero."""
    size, norm, there = np.linalg.norm(exact), np.linalg.norm(g), exact != 0
    if size == 0:
        return (np.nan,) * 4
    cosine = float(g @ exact / (norm * size)) if norm > 0 else 0.0
    signs = float((np.sign(g[there]) == np.sign(exact[there])).mean())
    return cosine, signs, float(np.linalg.norm(g - exact) / size), float(norm / size)
