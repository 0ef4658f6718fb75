"""Rules side by side on one trial: how close each comes to BPTT, and what it costs."""

from __future__ import annotations

import gc
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import _check
from ..engine.functional import Gradient, gradient
from ..events import split_trial
from ..losses import CrossEntropy, Loss, RateRegularizer
from ..network.network import Network
from ..network.weights import WEIGHT_NAMES, Weights
from ..rules import BPTT, Rule
from ..rules.base import describe
from ..rules.closeness import flat, flat_closeness


class VacuousComparisonWarning(UserWarning):
    """The comparison says nothing about a matrix, or about the rules."""


class Comparison(NamedTuple):
    """The table of `compare`: one row per rule, in the order given; columns follow `matrices`.

    Memory is all that one gradient allocates at its peak: the encoded trial, a copy of the weights, the accumulator, the
    tape (of the trial for rules that go back, of a block of it for those that go forward) and the rule's own arrays.
    """

    rules: tuple[str, ...]
    matrices: tuple[str, ...]  # those that have synapses
    cosine: np.ndarray  # [rules, matrices]
    sign_agreement: np.ndarray  # [rules, matrices] share of the reference's non-zero entries with the same sign
    relative_error: np.ndarray  # [rules, matrices] |g - ref| / |ref|
    norm_ratio: np.ndarray  # [rules, matrices] |g| / |ref|
    seconds: np.ndarray  # [rules] of one gradient, compiled, one thread; the fastest of up to three
    peak_bytes: np.ndarray  # [rules] largest memory that one gradient allocated
    notes: tuple[str, ...] = ()  # for each rule: why it has no figures, or ""
    reference: str = "BPTT()"

    def __repr__(self) -> str:
        return _check.brief(self)

    def __str__(self) -> str:
        width = max(len(name) for name in self.rules)
        lines = [f"against {self.reference}", ""]
        lines.append(f"{'rule':{width}}  matrix    cosine    signs  rel. error  norm ratio        ms       MB")
        for r, rule in enumerate(self.rules):
            if self.note(r):
                lines.append(f"{rule:{width}}  {self.note(r)}")
                continue
            for m, matrix in enumerate(self.matrices):
                cells = (self.cosine[r, m], self.sign_agreement[r, m], self.relative_error[r, m], self.norm_ratio[r, m])
                cost = f"{1e3 * self.seconds[r]:10.2f} {1e-6 * self.peak_bytes[r]:8.2f}" if m == 0 else ""
                start = f"{rule if m == 0 else '':{width}}  {matrix:6}"
                lines.append(start + "{:9.4f} {:8.3f} {:11.2e} {:11.3f}".format(*cells) + cost)
        return "\n".join(lines)

    def note(self, row: int) -> str:
        """Why a rule has no figures; "" where it has."""
        return self.notes[row] if self.notes else ""

    def to_array(self) -> np.ndarray:
        """A structured array with one row per rule and matrix."""
        kinds = [("rule", "U64"), ("matrix", "U8")]
        rows = np.zeros((len(self.rules), len(self.matrices)), kinds + [(name, "f8") for name in FIGURES])
        rows["rule"], rows["matrix"] = np.array(self.rules)[:, None], np.array(self.matrices)
        for name in FIGURES:
            values = getattr(self, name)
            rows[name] = values if values.ndim == 2 else values[:, None]
        return rows.reshape(-1)


FIGURES = ("cosine", "sign_agreement", "relative_error", "norm_ratio", "seconds", "peak_bytes")


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

    net, weights : Network and Weights; neither is modified
    trial : (x, target) or (x, target, mask), as a task yields
    loss, regularizer, dtype : as for `gradient`
    reference : another rule to compare with

    Matrices without synapses (w_rec of a single neuron, b_out without a bias) are left out. A rule that needs more memory
    than its limit has a note instead of figures. Warns with VacuousComparisonWarning where a matrix's reference gradient is
    zero (its figures are nan) and why, if that is plain: no loss, no spikes; and where no crossing carries anything, so that
    all rules follow the same paths. Raises as `gradient` does.
    """
    where, need = "compare.rules", "be learning rules such as [sl.EProp()]"
    rules = (rules,) if isinstance(rules, Rule) else _check.items(where, rules, need)
    if not rules:
        raise _check.fail(where, "name at least one rule", "none")
    for name, rule in [(where, rule) for rule in rules] + [("compare.reference", reference or rules[0])]:
        if not isinstance(rule, Rule):
            raise _check.fail(name, need, rule, error=TypeError)
    x, target, mask = split_trial("compare.trial", trial)
    options: dict[str, Any] = {"loss": loss, "regularizer": regularizer, "dtype": dtype, "threads": 1}

    def of(rule: Rule) -> Gradient:
        return gradient(net, weights, x, target, rule, mask=mask, **options)

    exact = of(reference or BPTT())
    weights = net.check_weights(weights)
    names = _matrices(net, weights)
    references = [flat(getattr(exact, name)) for name in names]
    for message in _vacuous(net, weights, exact, names):
        warnings.warn(f"compare: {message}", VacuousComparisonWarning, stacklevel=2)
    still = np.zeros((1, net.n_outputs)) if not isinstance(loss, CrossEntropy) else 0
    table: dict[str, list[Any]] = {key: [] for key in FIGURES}
    notes = []
    for rule in rules:
        found, seconds, peak, note = None, np.nan, np.nan, ""
        try:
            gradient(net, weights, np.zeros((1, net.n_inputs)), still, rule, **options)  # compiles
            found, seconds = _fastest(of, rule)
            peak = _peak_bytes(of, rule)
        except MemoryError as error:
            found, note = None, str(error) or "out of memory"
        blank = (np.nan,) * 4
        columns = [
            blank if found is None else flat_closeness(flat(getattr(found, name)), g)
            for name, g in zip(names, references, strict=True)
        ]
        for key, value in zip(FIGURES, (*np.array(columns).T, seconds, peak), strict=True):
            table[key].append(value)
        notes.append(note)
    figures = {key: np.array(values) for key, values in table.items()}
    return Comparison(tuple(map(describe, rules)), names, **figures, notes=tuple(notes), reference=describe(reference or BPTT()))


def _matrices(net: Network, weights: Weights) -> tuple[str, ...]:
    """Names of the matrices that have entries."""
    arrays = net.arrays(weights, np.float64)
    n_absent = {"w_in": arrays.absent_in.size, "w_rec": arrays.absent_rec.size, "b_out": 0 if net.readout.bias else net.n_outputs}
    return tuple(name for name in WEIGHT_NAMES if flat(getattr(weights, name)).size > n_absent.get(name, 0))


def _vacuous(net: Network, weights: Weights, exact: Gradient, names: tuple[str, ...]) -> Iterator[str]:
    """Why the comparison says nothing, or less than it seems."""
    zero = [name for name in names if not flat(getattr(exact, name)).any()]
    if zero:
        # w_out's gradient is a sum of errors times filtered spikes: without one of them, a loss alone leaves it zero
        silent = "w_out" in zero and exact.loss != 0
        no_loss = exact.loss == 0 and exact.regularization == 0
        why = "the loss is zero (is the mask?)" if no_loss else "no neuron spikes where there is an error" if silent else ""
        yield f"the reference gradient of {', '.join(zero)} is zero" + (f": {why}" if why else "")
    if "w_rec" not in names:
        plural = "one neuron without a self-connection" if net.n == 1 else f"{net.n} neurons"
        yield f"the network has no recurrent synapses ({plural}): rules differ in nothing but how they treat reset and adaptation"
    elif not flat(weights.w_rec).any():
        yield "w_rec is zero: no crossing of a recurrent synapse carries anything, in which rules differ"


def _fastest(of: Callable[[Rule], Gradient], rule: Rule, budget: float = 0.5) -> tuple[Gradient, float]:
    """A rule's gradient and its shortest time in seconds, of up to three within about the budget."""
    times: list[float] = []
    while len(times) < 3 and sum(times) < budget:
        began = time.perf_counter()
        result = of(rule)
        times.append(time.perf_counter() - began)
    return result, min(times)


def _peak_bytes(of: Callable[[Rule], Gradient], rule: Rule) -> int:
    """The most memory that a rule's gradient holds beyond what is held before it; a trace that is running goes on."""
    gc.collect()
    running = tracemalloc.is_tracing()
    if running:
        tracemalloc.reset_peak()
    else:
        tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        of(rule)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not running:
            tracemalloc.stop()
