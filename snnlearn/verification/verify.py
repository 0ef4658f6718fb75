"""What anybody can check on their own machine: `verify`, or ``snnlearn verify``.

    identities   rules that mathematics makes equal agree on small networks, and those that should differ do
    reference    the networks' trajectories and the gradients of all rules are those of NumPy twins that share no code
                 with the package (data/reference_cases.h5, written by data/make_reference_cases.py)
    published    a seeded training has the losses that NEST and the original TensorFlow code of e-prop print (`published`)

All in float64. Gradients are compared by the norm of each matrix: sums over 40 steps in another order differ by about
1e-15, and 1e-12 leaves room for cancellation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, cached_property, partial
from typing import Any, NamedTuple

import h5py
import numpy as np
from scipy import sparse

from .._check import brief
from ..engine.functional import gradient, simulate
from ..losses import CrossEntropy, MeanSquaredError, RateRegularizer
from ..network.connectivity import Dense, Masked, Sparse
from ..network.network import Network, Readout
from ..network.weights import Weights
from ..neurons import ALIF, LIF
from ..neurons.surrogate import PiecewiseLinear
from ..optimizers.optimizers import SGD
from ..rules import BPTT, RFLO, RTRL, EProp, Rule, SnAp, TruncatedBPTT
from ..rules.base import describe
from ..simulator.simulator import Simulator
from ..tasks.digits import data_file
from .published import NEST, SPIKES, TENSORFLOW, train_sines

SAME = 1e-12  # largest deviation of what is equal
DIFFERENT = 1e-6  # smallest deviation of what is not
RESETS = (False, True)
METHODS = ("forward", "adjoint")


class Check(NamedTuple):
    """One line of the table."""

    name: str
    deviation: float  # the largest found; of a control, the smallest
    bound: float
    control: bool = False  # the deviation must exceed the bound, or the other checks would say nothing

    @property
    def ok(self) -> bool:
        """Whether the deviation is within the bound; never for nan."""
        return bool(self.deviation > self.bound if self.control else self.deviation <= self.bound)

    def __str__(self) -> str:
        verdict, relation = "ok" if self.ok else "FAIL", ">" if self.control else "<="
        return f"{verdict:4}  {self.name:62} {self.deviation:8.1e}  {relation:2} {self.bound:.0e}"


class Verification(NamedTuple):
    """The table of `verify`."""

    checks: tuple[Check, ...]

    def __repr__(self) -> str:
        return brief(self)

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(check.ok for check in self.checks)

    def __str__(self) -> str:
        return "\n".join(map(str, self.checks))


def verify(progress: Callable[[str, Check | None], None] | None = None) -> Verification:
    """Check identities, reference cases and published losses; some seconds once kernels are compiled, minutes before.

    progress : called with a check's name and None before it runs, and with its result afterwards

    Raises FileNotFoundError where the reference cases are missing; a check that fails does not raise.
    """
    found = []
    for name, bound, measure, control in _plan(reference_cases()):
        if progress is not None:
            progress(name, None)
        found.append(Check(name, float(measure()), bound, control))
        if progress is not None:
            progress(name, found[-1])
    return Verification(tuple(found))


def _plan(cases: list[Case]) -> Iterator[tuple[str, float, Callable[[], float], bool]]:
    """Name, bound, what measures the deviation, and whether it is a control."""
    yield "control: share of neurons that fire, gradients alive", 0.5, partial(_liveness, cases), True
    yield "control: rules that should differ", DIFFERENT, partial(_smallest, _different, cases), True
    for name, pairs in IDENTITIES.items():
        yield f"identity: {name}", SAME, partial(_largest, pairs, cases), False
    yield "reference: spikes, membrane, readout, losses", SAME, partial(_largest, _trajectories, cases), False
    for name in cases[0].expected:
        yield f"reference: {name}", SAME, partial(_largest, partial(_reference, name), cases), False
    training = cache(train_sines)
    yield "published: NEST's losses", 1e-9, lambda: _relative(training().losses, NEST), False
    yield "published: TensorFlow's losses, single precision", 1e-6, lambda: _relative(training().losses, TENSORFLOW), False
    yield "published: numbers of spikes", SAME, lambda: _relative(training().spikes, SPIKES), False


# ---- the networks ---------------------------------------------------------------------------------------------------


class Case:
    """A small network, a trial, and what the twins found; gradients of the package are kept."""

    def __init__(self, name: str, group: Any):
        self.name, self.attrs = name, dict(group.attrs)
        self.arrays = {key: group[key][()] for key in group if key != "rules"}
        self.feedback = self.arrays["feedback"]
        self.net, self.weights = _network(self.attrs, self.arrays)
        self.n, self.n_steps = self.net.n, len(self.arrays["x"])
        self.trial = {
            "inputs": self.arrays["x"],
            "targets": self.arrays["target"],
            "mask": self.arrays["mask"],
            "loss": CrossEntropy() if self.attrs["loss"] == "ce" else MeanSquaredError(),
            "regularizer": RateRegularizer(float(self.attrs["rate_target"]), float(self.attrs["rate_strength"])),
        }
        self.expected = dict(zip(group["rules"].asstr()[()], np.moveaxis(self.arrays["gradients"], 0, 1), strict=True))
        self._found: dict[str, Any] = {}

    def gradient(self, rule: Rule) -> Any:
        """`gradient` of the trial."""
        key = describe(rule)
        if key not in self._found:
            self._found[key] = gradient(self.net, self.weights, rule=rule, threads=1, **self.trial)  # type: ignore[misc]
        return self._found[key]

    def reference(self, name: str, reset_gradient: bool) -> list[np.ndarray]:
        """The twins' gradient of a rule, one array per matrix."""
        shapes = [w.shape for w in self.weights]
        parts = np.split(self.expected[name][int(reset_gradient)], np.cumsum([np.prod(s) for s in shapes])[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    @cached_property
    def unconnected(self) -> Case:
        """The same without recurrent input, so that no spike acts on a neuron; stronger inputs make up for it."""
        twin = object.__new__(Case)
        twin.__dict__.update(self.__dict__)
        twin.weights = self.weights._replace(w_rec=0.0 * self.weights.w_rec, w_in=1.5 * abs(self.weights.w_in))
        twin._found = {}
        return twin


def reference_cases() -> list[Case]:
    """The cases that the package ships; data/README.md describes the file. FileNotFoundError where it is missing."""
    with ExitStack() as stack:
        file = stack.enter_context(h5py.File(data_file("reference_cases.h5", stack), "r"))
        return [Case(name, file[name]) for name in file]


def _network(attrs: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[Network, Weights]:
    """The network of a case; its LIF neurons are those without adaptation and come first."""
    groups: list[Any] = []
    adaptive = arrays["beta"] > 0
    for members in (np.flatnonzero(~adaptive), np.flatnonzero(adaptive)):
        common: dict[str, Any] = {key: arrays[key][members] for key in ("tau_m", "threshold", "current", "v_init")}
        common |= {"refractory": arrays["refractory"][members] * float(attrs["dt"])}
        common |= {"normalize_input": bool(attrs["normalize_input"]), "surrogate": PiecewiseLinear(float(attrs["gamma"]))}
        if members.size and adaptive[members[0]]:
            common |= {key: arrays[key][members] for key in ("tau_a", "beta", "a_init")}
            groups.append(ALIF(members.size, **common))
        elif members.size:
            groups.append(LIF(members.size, **common))
    hidden: dict[str, Any] = {}
    connect: dict[str, Any] = {}
    for name, where in (("w_in", "conn_in"), ("w_rec", "conn_rec")):
        conn = arrays[where].astype(bool)
        hidden[name], connect[where] = arrays[name], Dense(self_connections=True) if conn.all() else Masked(conn)
        if attrs["sparse"]:
            hidden[name] = sparse.csr_array((arrays[name][conn], np.nonzero(conn)), shape=conn.shape)
            connect[where] = Sparse(density=0.5, self_connections=True)  # a csr_array brings its own synapses
    net = Network(
        arrays["x"].shape[1],
        groups,
        Readout(
            arrays["w_out"].shape[1],
            float(attrs["tau_out"]),
            bias=bool(attrs["bias"]),
            normalize_input=bool(attrs["normalize_readout"]),
        ),
        dt=float(attrs["dt"]),
        delay=float(attrs["delay"] * attrs["dt"]),
        recurrent=connect["conn_rec"],
        inputs=connect["conn_in"],
    )
    return net, Weights(**hidden, w_out=arrays["w_out"], b_out=arrays["b_out"])


# ---- how far apart --------------------------------------------------------------------------------------------------

Pairs = Callable[[Case], Iterator[tuple[Any, Any]]]  # pairs of gradients (or of lists of arrays) of a case


def _dense(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, np.float64)


def _apart(got: Any, want: Any) -> list[float]:
    """Norm of the difference over the norm of `want`, for each of the first four arrays; inf where only `want` is zero."""
    found = []
    for a, b in zip(map(_dense, got[:4]), map(_dense, want[:4]), strict=True):
        error, size = float(np.linalg.norm(a - b)), float(np.linalg.norm(b))
        found.append(error / size if size > 0 else (np.inf if error > 0 else 0.0))
    return found


def _relative(got: np.ndarray, want: tuple[float, ...]) -> float:
    return float(np.abs(got / np.array(want) - 1.0).max())


def _largest(pairs: Pairs, cases: list[Case]) -> float:
    return float(np.max([_apart(got, want) for case in cases for got, want in pairs(case)]))


def _smallest(pairs: Pairs, cases: list[Case]) -> float:
    """Of the hidden matrices together: of two rules, one matrix may agree."""
    return float(np.min([max(_apart(got, want)[:2]) for case in cases for got, want in pairs(case)]))


def _liveness(cases: list[Case]) -> float:
    """The smallest share of neurons that fire; 0 where a gradient vanishes."""
    found = []
    for case in [*cases, *(case.unconnected for case in cases)]:
        spikes = simulate(case.net, case.weights, case.arrays["x"], ("spikes",), "float64").spikes
        alive = all(_dense(g).any() for g in case.gradient(EProp())[:3])
        found.append(float(np.any(spikes, axis=0).mean()) * alive)
    return min(found)


# ---- identities -----------------------------------------------------------------------------------------------------


def _different(case: Case) -> Iterator[tuple[Any, Any]]:
    exact, eprop = case.gradient(BPTT()), case.gradient(EProp(reset_gradient=True))
    others: list[Rule] = [EProp(2), TruncatedBPTT(5), BPTT(reset_gradient=False), BPTT(case.feedback)]
    for rule in others:
        yield case.gradient(rule), exact
    others = [BPTT(), EProp(2), EProp(reset_gradient=False)]
    others += [SnAp(1)] if case.arrays["conn_rec"].diagonal().any() else []
    for rule in others:
        yield case.gradient(rule), eprop
    if case.arrays["beta"].any():
        yield case.gradient(RFLO()), case.gradient(EProp(reset_gradient=False))


def _rtrl(case: Case) -> Iterator[tuple[Any, Any]]:
    for reset_gradient in RESETS:
        yield case.gradient(RTRL(reset_gradient=reset_gradient)), case.gradient(BPTT(reset_gradient=reset_gradient))


def _directions(case: Case) -> Iterator[tuple[Any, Any]]:
    for reset_gradient in RESETS:
        for order in (1, 2, 3):
            for b in ("symmetric", case.feedback):
                forward, adjoint = (case.gradient(EProp(order, b, reset_gradient, method)) for method in METHODS)
                yield forward, adjoint


def _first_order(case: Case) -> Iterator[tuple[Any, Any]]:
    """Where alpha is common and the reset detached, one trace per source suffices; alphas that differ by rounding alone
    make the traces separate."""
    rule = EProp(reset_gradient=False, method="forward")
    groups = [replace(g, tau_m=np.multiply(g.tau_m, 1.0 + 1e-15 * np.arange(g.n))) for g in case.net.neurons]
    net = replace(case.net, neurons=groups)
    yield gradient(net, case.weights, rule=rule, threads=1, **case.trial), case.gradient(rule)  # type: ignore[misc]


def _all_orders(case: Case) -> Iterator[tuple[Any, Any]]:
    enough = (case.n_steps - 1) // case.net.delay_steps + 1  # no path crosses more synapses
    for reset_gradient in RESETS:
        exact = case.gradient(BPTT(reset_gradient=reset_gradient))
        yield case.gradient(EProp(enough, reset_gradient=reset_gradient, method="adjoint")), exact
        for method in METHODS:
            yield case.gradient(EProp(None, reset_gradient=reset_gradient, method=method)), exact


def _one_window(case: Case) -> Iterator[tuple[Any, Any]]:
    for reset_gradient in RESETS:
        yield (
            case.gradient(TruncatedBPTT(case.n_steps, reset_gradient=reset_gradient)),
            case.gradient(BPTT(reset_gradient=reset_gradient)),
        )


def _saturated(case: Case) -> Iterator[tuple[Any, Any]]:
    for reset_gradient in RESETS:
        yield case.gradient(SnAp(case.n, reset_gradient=reset_gradient)), case.gradient(RTRL(reset_gradient=reset_gradient))


def _snap_1(case: Case) -> Iterator[tuple[Any, Any]]:
    for reset_gradient in RESETS if not case.arrays["conn_rec"].diagonal().any() else ():
        yield case.gradient(SnAp(1, reset_gradient=reset_gradient)), case.gradient(EProp(reset_gradient=reset_gradient))


def _chain(case: Case) -> Iterator[tuple[Any, Any]]:
    for order in (1, 2, 3) if case.name.endswith("chain") else ():
        yield case.gradient(SnAp(order)), case.gradient(EProp(order, reset_gradient=True))


def _leak(case: Case) -> Iterator[tuple[Any, Any]]:
    for method in METHODS if not case.arrays["beta"].any() else ():
        yield case.gradient(RFLO(method=method)), case.gradient(EProp(reset_gradient=False))


def _unconnected(case: Case) -> Iterator[tuple[Any, Any]]:
    for reset_gradient in RESETS:
        exact = case.unconnected.gradient(BPTT(reset_gradient=reset_gradient))
        for method in METHODS:
            yield case.unconnected.gradient(EProp(reset_gradient=reset_gradient, method=method)), exact


def _intervals(case: Case) -> Iterator[tuple[Any, Any]]:
    """With weights that have not moved, the gradients of the intervals add up: one run up to each interval, in which only
    its update has a learning rate, large so that the rounding of the weight does not count."""
    lr, before = 2.0**12, [_dense(w) for w in case.weights]
    trial = case.trial | {"regularizer": RateRegularizer(20.0, 100.0, tau=15.0)}
    x, target, mask = (trial[key] for key in ("inputs", "targets", "mask"))
    for rule in (EProp(reset_gradient=True), RTRL()) if case.name == "lif-dense" else ():
        want = gradient(case.net, case.weights, rule=rule, threads=1, **trial)  # type: ignore[misc]
        for every in (1, 7, case.n_steps):
            sums = [np.zeros_like(w) for w in before]
            for k in range(-(-case.n_steps // every)):
                only = SGD(partial(_rate_of, k, lr))
                options = {"loss": trial["loss"], "regularizer": trial["regularizer"], "dtype": "float64", "threads": 1}
                sim = Simulator(case.net, case.weights, rule, only, update_every=every, **options)  # type: ignore[arg-type]
                sim.run(*(a[: (k + 1) * every] for a in (x, target, mask)))
                sums = [s + (w - _dense(after)) / lr for s, w, after in zip(sums, before, sim.weights, strict=True)]
            yield sums, want


def _rate_of(only: int, lr: float, update: int) -> float:
    return lr if update == only else 0.0


IDENTITIES: dict[str, Pairs] = {
    "RTRL = BPTT": _rtrl,
    "e-prop of order 1, 2, 3: forward = adjoint": _directions,
    "order 1: a trace per source = a trace per synapse": _first_order,
    "all orders = order >= T = BPTT": _all_orders,
    "truncated BPTT with one window = BPTT": _one_window,
    "SnAp-n of all neurons = RTRL": _saturated,
    "SnAp-1 without self-connections = e-prop": _snap_1,
    "SnAp-n = order n on a chain": _chain,
    "RFLO = e-prop with a detached reset, LIF neurons": _leak,
    "e-prop = BPTT without recurrence": _unconnected,
    "any update interval, weights at rest": _intervals,
}


# ---- reference cases ------------------------------------------------------------------------------------------------


def _rules(b: np.ndarray, reset: bool) -> dict[str, list[Rule]]:
    """The rules whose gradient is the one of this name in the file; b is the case's feedback."""
    return {
        "eprop": [EProp(1, reset_gradient=reset, method=m) for m in METHODS],
        "eprop_feedback": [EProp(1, b, reset, m) for m in METHODS],
        "order2": [EProp(2, reset_gradient=reset, method=m) for m in METHODS],
        "order2_feedback": [EProp(2, b, reset, m) for m in METHODS],
        "order3": [EProp(3, reset_gradient=reset, method=m) for m in METHODS],
        "snap1": [SnAp(1, reset_gradient=reset)],
        "snap2": [SnAp(2, reset_gradient=reset)],
        "truncated5": [TruncatedBPTT(5, reset_gradient=reset)],
        "truncated12": [TruncatedBPTT(12, reset_gradient=reset)],
        "bptt": [BPTT(reset_gradient=reset), RTRL(reset_gradient=reset)],
        "bptt_feedback": [BPTT(b, reset_gradient=reset), RTRL(b, reset_gradient=reset)],
        "rflo": [RFLO(method=m) for m in METHODS],
    }


def _reference(name: str, case: Case) -> Iterator[tuple[Any, Any]]:
    for reset_gradient in RESETS:
        for rule in _rules(case.feedback, reset_gradient)[name]:
            yield case.gradient(rule), case.reference(name, reset_gradient)


def _trajectories(case: Case) -> Iterator[tuple[Any, Any]]:
    found = simulate(case.net, case.weights, case.arrays["x"], ("spikes", "v", "readout"), "float64")
    g, losses = case.gradient(EProp()), [case.attrs["task_loss"], case.attrs["regularization"]]
    want = [case.arrays["spikes"], case.arrays["v"], case.arrays["readout"], losses]
    yield [found.spikes, found.v, found.readout, [g.loss, g.regularization]], want
