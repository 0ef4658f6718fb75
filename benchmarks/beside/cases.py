"""The networks, weights and trials that every system runs, and what every system measures and checks."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.sparse import issparse

import snnlearn as sl

BATCHES = {"evidence": (1, 64), "dense": (1,), "sparse": (1,)}
RATE_TOLERANCE, COSINE = 0.15, 0.99


@dataclass(frozen=True)
class Case:
    """A network, its weights, a batch of trials, and how it learns."""

    net: sl.Network
    weights: sl.Weights
    xs: list[sl.Events]
    targets: Any  # [trials] labels, or [trials, T, n_out]
    masks: np.ndarray  # [trials, T]
    loss: Any
    optimizer: Any
    regularizer: Any

    @property
    def rule(self) -> sl.EProp:
        return sl.EProp(feedback="random")

    @property
    def n_steps(self) -> int:
        return self.xs[0].n_steps

    @property
    def entropy(self) -> bool:
        return isinstance(self.loss, sl.CrossEntropy)

    def simulator(self, threads: int = 1, dtype: Any = "float32", rule: Any = None) -> sl.Simulator:
        """A simulator that learns by e-prop, or by `rule`."""
        how = (rule or self.rule, self.optimizer, self.loss, self.regularizer)
        return sl.Simulator(self.net, self.weights, *how, threads=threads, dtype=dtype)

    def gradient(self, rule: Any) -> sl.Gradient:
        """Mean gradient of the trials, of the loss alone."""
        return sl.gradient(self.net, self.weights, self.xs, self.targets, rule, loss=self.loss, mask=self.masks, dtype="float32")

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Inputs [trials, T, n_in], targets [trials, T or 1, n_out] (one-hot for labels) and masks, float32."""
        x = np.stack([e.toarray(self.net.n_inputs, np.float32) for e in self.xs])
        target = np.eye(2)[self.targets][:, None] if self.entropy else self.targets
        return x, target.astype(np.float32), self.masks.astype(np.float32)

    def constants(self) -> SimpleNamespace:
        """The model as float32 arrays: one number per neuron, the weights, the feedback."""
        a = self.net.arrays(self.net.check_weights(self.weights), np.float32)
        p, zero = a.params, np.zeros_like(a.params.alpha)
        names = {name: getattr(p, name) for name in ("alpha", "thr", "current", "n_ref")}
        adaptation = {name: getattr(p, name, zero) for name in ("rho", "beta")}
        weights = {name: getattr(self.weights, name).astype(np.float32) for name in ("w_in", "w_rec", "w_out")}
        feedback = self.rule.feedback_matrix(self.net).astype(np.float32)
        return SimpleNamespace(
            **names, **adaptation, **weights, height=p.surrogate.height, kappa=float(a.kappa), feedback=feedback, n=zero.size
        )


def case(name: str, batch: int = 1) -> Case:
    """The case of this name; `batch` trials of evidence accumulation, one of the others."""
    return {"evidence": lambda: _evidence(batch), "dense": _dense, "sparse": _sparse}[name]()


def _evidence(batch: int) -> Case:
    from snnlearn.experiments.recipes import evidence_accumulation

    config = evidence_accumulation(threads=1)
    xs, labels, masks = zip(*(config.task.trial(i)[:3] for i in range(batch)), strict=True)
    net, weights = config.net, config.simulator().weights
    adam, regularizer = sl.Adam(5e-3, epsilon_form="tensorflow"), sl.RateRegularizer(target=10.0, strength=2.0)
    return Case(net, weights, list(xs), np.array(labels), np.array(masks), sl.CrossEntropy(), adam, regularizer)


def _dense() -> Case:
    from snnlearn.cli.bench import network

    return _squares(*network(1000, 10.0, 500))


def _sparse() -> Case:
    lif = sl.LIF(50_000, tau_m=20.0, threshold=0.6, refractory=2.0)
    net = sl.Network(100, lif, sl.Readout(2, tau=20.0), recurrent=sl.Sparse(indegree=100), inputs=sl.Sparse(indegree=10))
    weights = net.init_weights(seed=1, gain={"w_in": 0.8, "w_rec": 0.5})
    return _squares(net, weights, np.random.default_rng(0).random((200, 100)) < 0.02)


def _squares(net: sl.Network, weights: sl.Weights, x: np.ndarray) -> Case:
    """One trial with targets of 0, and without inputs in the first step, which NEST's neurons would not see."""
    steps = len(x)
    x[0] = 0
    events = sl.Events(*np.nonzero(x), steps)
    loss, optimizer = sl.MeanSquaredError(), sl.SGD(1e-6)
    return Case(net, weights, [events], np.zeros((1, steps, 2)), np.ones((1, steps)), loss, optimizer, None)


def seconds(call: Callable[[], Any], repeats: int, most: float = 10.0) -> float:
    """Median time of a call, after one that warms up; of so many calls and half a second of them.

    most : seconds after which there are no more calls; a call that takes so long needs no other before it
    """
    times: list[float] = []
    while not times or (sum(times) < most and (len(times) <= repeats or sum(times) < 0.5)):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:] or times))


def peak() -> float:
    """Most memory that this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def check_gradient(found: Iterable[Any], want: Any) -> None:
    """The gradients agree but for single spikes that rounding moves. found : of w_in, w_rec, w_out; sparse ones by columns"""
    for name, g in zip(("w_in", "w_rec", "w_out"), found, strict=True):
        w = getattr(want, name)
        check_cosine(name, g, w.tocsc().data if issparse(w) else w)


def by_columns(w: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Presynaptic neuron, postsynaptic neuron and weight of each synapse of a sparse matrix, by postsynaptic neuron."""
    w = w.tocsc().tocoo()
    return w.row.astype(np.int32), w.col.astype(np.int32), w.data.astype(np.float32)


def check_cosine(name: str, found: Any, want: Any, least: float = COSINE) -> None:
    g, w = (np.asarray(a, float).ravel() for a in (found, want))
    cosine = g @ w / np.sqrt((g @ g) * (w @ w))
    if not cosine > least:
        raise ValueError(f"another gradient of {name}: cosine {cosine:.7f} with snnlearn's")


def check_close(what: str, found: float, want: float, tolerance: float) -> None:
    if not abs(found / want - 1.0) <= tolerance:
        raise ValueError(f"another {what}: {found:.5g}, snnlearn's is {want:.5g}")


def check_rate(found: float, case: Case) -> None:
    """The rate of the first trial, Hz."""
    check_close("rate (Hz)", found, float(case.simulator().run(case.xs[0], learn=False).rate), RATE_TOLERANCE)
