"""From a reduced NIR graph to a network: see `nir.py` for the equations."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _check
from ..network.connectivity import Dense, Masked
from ..network.network import Network, Readout
from ..network.weights import Weights
from ..neurons import LIF, CubaLIF
from ..neurons.surrogate import Surrogate
from .nir_graph import Graph, Path, kind, values

SCHEMES = ("impulse", "euler", "exponential")
RESETS = ("delayed", "immediate")
VANISHED = 750.0  # time constants after which exp(-t/tau) is zero in float64
RESET = "where a graph says v_reset, the threshold is subtracted; spikes coincide with frameworks that do the same"


def step_factors(tau: np.ndarray, dt: float, scheme: str, where: str) -> tuple[np.ndarray, np.ndarray]:
    """(decay, factor of the input) of a step; (1, 0) where tau is infinite. tau, dt : in the same unit."""
    if not (tau > 0).all():
        raise _check.fail(where, "be positive times", float(tau[~(tau > 0)][0]))
    if scheme == "exponential":
        return np.exp(-dt / tau), -np.expm1(-dt / tau)
    if scheme == "impulse":
        return np.exp(-dt / tau), dt / tau
    if (tau < dt * (1 - _check.TOLERANCE)).any():
        hint = "another dt, unit or scheme?"
        raise _check.fail(where, f"be at least dt = {dt:g} ms for the scheme 'euler'", f"{float(tau.min()):.9g} ms", hint)
    return np.maximum(1 - dt / tau, 0.0), dt / tau


def tau_of(decay: np.ndarray, dt: float) -> np.ndarray:
    """The time constant whose exp(-dt/tau) is this decay, in the unit of dt; infinite for 1."""
    with np.errstate(divide="ignore"):
        return np.where(decay > 0, dt / np.abs(np.log(np.where(decay > 0, decay, 0.5))), dt / VANISHED)


class Population:
    """A population in steps; arrays [n].

    spec(lag) : the group, beginning `lag` steps before the framework does
    scale : factor of all that arrives
    """

    def __init__(self, graph: Graph, name: str, bias: Any, dt: float, scheme: str, reset: str, unit: float):
        node, where, n = graph.nodes[name], f"{graph.where}, node {name!r}", graph.width(name)
        self.name, self.n, self.dt, self.where = name, n, dt, where
        self.cuba = kind(node) == "CubaLIF"

        def parameter(key: str, endless: Any = False) -> np.ndarray:
            value = values(node, key)
            if value.size not in (1, n):
                raise _check.fail(f"{where}, {key}", f"have {n} values or one", value.size)
            value = np.array(np.broadcast_to(value, (n,)))
            bad = ~(np.isfinite(value) | (endless & (value == np.inf)))
            if bad.any():
                raise _check.fail(f"{where}, {key}", "be finite", float(value[bad][0]))
            return value

        taus = "tau_mem" if self.cuba else "tau"
        if kind(node) == "IF":
            self.alpha, self.scale = np.ones(n), parameter("r")
        else:
            tau = parameter(taus, endless=True)
            self.alpha, factor = step_factors(tau * unit, dt, scheme, f"{where}, {taus}")
            r = parameter("r", endless=np.isinf(tau))
            if (np.isinf(tau) & np.isfinite(r)).any():
                hint = "a neuron without leak is an IF, or has an infinite r as well, where r is tau/dt"
                raise _check.fail(f"{where}, {taus}", "be finite where r is: no input would count", np.inf, hint)
            self.scale = np.where(np.isinf(tau), 1.0, np.where(np.isinf(tau), 1.0, r) * factor)
        self.alpha_s = np.zeros(n)
        if self.cuba:
            self.alpha_s, factor = step_factors(parameter("tau_syn") * unit, dt, scheme, f"{where}, tau_syn")
            self.scale = self.scale * parameter("w_in") * factor
        theta = parameter("v_threshold") - (0.0 if kind(node) == "IF" else parameter("v_leak"))
        amount = parameter("v_threshold") - parameter("v_reset")
        self.threshold = amount if reset == "delayed" else self.alpha * amount
        if (theta <= 0).any():
            raise _check.fail(f"{where}, v_threshold", "be above v_leak", float(parameter("v_threshold")[theta <= 0][0]))
        if (amount <= 0).any():
            raise _check.fail(f"{where}, v_threshold", "be above v_reset", float(parameter("v_threshold")[amount <= 0][0]))
        if (self.threshold <= 0).any():
            raise _check.fail(f"{where}, {taus}", "leave a memory of a step where the reset is immediate", "a decay of 0")
        self.shift = self.threshold - theta  # (1)
        driven = self.shift * (1 - self.alpha)
        self.current = np.broadcast_to(bias * self.scale, (n,)) + driven * (1 - self.alpha_s)
        self.v_init, self.i_init = self.shift, driven if self.cuba else np.zeros(n)

    def spec(self, lag: int, surrogate: Surrogate) -> tuple[Any, bool]:
        """The group, and whether it is at the framework's beginning after `lag` steps without spikes."""
        v, i, exact = self.v_init, self.i_init, True
        for _ in range(max(lag, 0)):  # back in time, with nothing but the background current
            if self.cuba:
                before = _divide(i - self.current, self.alpha_s)
                v, i = _divide(v - i, self.alpha), before
            else:
                v = _divide(v - self.current, self.alpha)
            exact &= bool(np.isfinite(v).all() and np.isfinite(i).all())
        if not exact:
            v, i = self.v_init, self.i_init
        common = {
            "tau_m": _plain(tau_of(self.alpha, self.dt)),
            "threshold": _plain(self.threshold),
            "current": _plain(self.current),
            "v_init": _plain(v),
            "surrogate": surrogate,
        }
        if not self.cuba:
            return LIF(self.n, **common), exact
        return CubaLIF(self.n, **common, tau_syn=_plain(tau_of(self.alpha_s, self.dt)), i_init=_plain(i)), exact


def build(graph: Graph, dt: float, scheme: str, reset: str, unit: float, surrogate: Surrogate) -> tuple[Any, ...]:
    """(net, weights, differences, lags, groups) of a graph; see `from_nir`."""
    differences = [RESET]
    ranks, back = graph.ranks()
    names = sorted(graph.populations, key=ranks.__getitem__)
    flows = {name: graph.arriving(name) for name in names}
    made = {name: Population(graph, name, flows[name].bias, dt, scheme, reset, unit) for name in names}
    delays = {
        name: [_steps(graph, name, path, (path.source, name) in back, dt, unit) for path in flows[name].paths] for name in names
    }
    delay = _delay(graph, flows, delays, back)
    lags = _lags(graph, names, flows, delays, back, delay, differences)
    groups, at = {}, 0
    for name in names:
        groups[name] = slice(at, at + made[name].n)
        at += made[name].n
    columns, n_inputs = {}, 0
    for name in graph.inputs:
        width = graph.width(name)
        columns[name] = slice(n_inputs, n_inputs + width)
        n_inputs += width
    w_in, w_rec = np.zeros((n_inputs, at)), np.zeros((at, at))
    in_mask, rec_mask = w_in.astype(bool), w_rec.astype(bool)
    for name in names:
        for path in flows[name].paths:
            driven = path.source in columns
            rows = columns[path.source] if driven else groups[path.source]
            matrix = _matrix(graph, path, name, rows.stop - rows.start, made[name].n)
            (w_in if driven else w_rec)[rows, groups[name]] += matrix.T * made[name].scale
            (in_mask if driven else rec_mask)[rows, groups[name]] = True
    readout, w_out, b_out = _readout(graph, groups, dt, scheme, unit, lags, differences)
    specs = []
    for name in names:
        spec, exact = made[name].spec(lags[name], surrogate)
        specs.append(spec)
        if not exact:
            differences.append(f"{name} begins {lags[name]} steps early, which a state without memory cannot make good")
    net = Network(n_inputs, specs, readout, dt, delay * dt, _connectivity(rec_mask, w_rec), _connectivity(in_mask, None))
    weights = net.check_weights(Weights(w_in, w_rec, w_out, b_out))
    if any(lags.values()):
        differences.append("spikes come later than in the framework, by steps: " + ", ".join(f"{k} {v}" for k, v in lags.items()))
    return net, weights, tuple(differences), lags, groups


def _steps(graph: Graph, name: str, path: Path, back: bool, dt: float, unit: float) -> int:
    """Delay of a connection in steps, as a framework has it: one at least where it leads back."""
    steps = path.delay * unit / dt
    if abs(steps - round(steps)) > 1e-3:
        need = f"be a whole number of steps of dt = {dt:g} ms"
        raise _check.fail(f"{graph.where}, delay from {path.source!r} to {name!r}", need, f"{path.delay * unit:g} ms")
    return max(round(steps), int(back))


def _delay(graph: Graph, flows: Any, delays: Any, back: set[tuple[str, str]]) -> int:
    """The network's delay in steps: that of the connections that lead back, else the longest."""
    pairs = [(path.source, name, d) for name in flows for path, d in zip(flows[name].paths, delays[name], strict=True)]
    loops = sorted({d for source, name, d in pairs if (source, name) in back})
    if len(loops) > 1:
        raise _check.fail(graph.where, "have one delay of all connections that lead back", f"{loops} steps")
    return loops[0] if loops else max([1, *(d for source, _, d in pairs if source not in graph.inputs)])


def _lags(
    graph: Graph, names: list[str], flows: Any, delays: Any, back: set[tuple[str, str]], delay: int, differences: list[str]
) -> dict[str, int]:
    """Steps by which each population is later than in the framework."""
    lags: dict[str, int] = {}
    for name in names:
        found = {
            -d if path.source in graph.inputs else lags[path.source] + delay - d
            for path, d in zip(flows[name].paths, delays[name], strict=True)
            if (path.source, name) not in back
        }
        lags[name] = max(found, default=0)
        if len(found) > 1:
            differences.append(f"what reaches {name} comes apart by {lags[name] - min(found)} steps")
    for name in names:
        for path, d in zip(flows[name].paths, delays[name], strict=True):
            late = lags.get(path.source, 0) + delay - d - lags[name]
            if (path.source, name) in back and late:
                differences.append(f"the connection from {path.source} back to {name} is {late} steps longer")
    return lags


def _matrix(graph: Graph, path: Path, name: str, n_pre: int, n_post: int) -> np.ndarray:
    """A path's matrix [n_post, n_pre], checked."""
    matrix = np.eye(n_post) if path.matrix is None else np.asarray(path.matrix, np.float64)
    if matrix.shape != (n_post, n_pre):
        need = f"have a matrix of shape ({n_post}, {n_pre}), one that both sizes need"
        raise _check.fail(f"{graph.where}, connection from {path.source!r} to {name!r}", need, matrix.shape)
    return matrix


def _readout(
    graph: Graph, groups: dict[str, slice], dt: float, scheme: str, unit: float, lags: dict[str, int], differences: list[str]
) -> tuple[Readout, np.ndarray, np.ndarray]:
    """The readout, w_out and b_out."""
    name, flow = graph.output()
    kappa, scale, leak = 0.0, 1.0, 0.0  # type: Any, Any, Any
    if name is not None:
        node, where = graph.nodes[name], f"{graph.where}, node {name!r}"
        taus = values(node, "tau") * unit
        if not np.isfinite(taus).all():
            raise _check.fail(f"{where}, tau", "be finite", float(taus[~np.isfinite(taus)][0]))
        decay, factor = step_factors(taus, dt, scheme, f"{where}, tau")
        if np.ptp(decay) > 1e-12:
            raise _check.fail(f"{where}, tau", "be one time constant for all readouts", values(node, "tau"))
        kappa, scale = float(decay[0]), values(node, "r") * factor
        leak = values(node, "v_leak") * (1 - kappa)
    n_out = max([1, *(path.matrix.shape[0] for path in flow.paths if path.matrix is not None)])
    if all(path.matrix is None for path in flow.paths):
        n_out = max(groups[path.source].stop - groups[path.source].start for path in flow.paths if path.source in groups)
    w_out = np.zeros((sum(g.stop - g.start for g in groups.values()), n_out))
    for path in flow.paths:
        if path.source not in groups:
            raise _check.fail(graph.where, "have an output that populations alone reach", path.source)
        rows = groups[path.source]
        w_out[rows] += _matrix(graph, path, "the output", rows.stop - rows.start, n_out).T * scale
        if path.delay:
            differences.append(f"the readout of {path.source} comes {path.delay * unit:g} ms earlier: a readout has no delay")
    b_out = np.array(np.broadcast_to(flow.bias * scale + leak, (n_out,)))
    sources = {path.source for path in flow.paths}
    if b_out.any() and kappa > 0 and any(lags[source] for source in sources):
        differences.append(
            "the readout's bias acts from the first step on, before the first spike that the framework could have had"
        )
    if len({lags[source] for source in sources}) > 1:
        differences.append("what reaches the readout comes apart by the lags of its populations")
    tau = float(tau_of(np.array(kappa), dt)) if kappa > 0 else 0.0
    return Readout(n_out, tau, bias=bool(b_out.any())), w_out, b_out


def _connectivity(mask: np.ndarray, recurrent: np.ndarray | None) -> Dense | Masked:
    """All to all where every pair is connected, else the pairs."""
    if not mask.all():
        return Masked(mask)
    return Dense() if recurrent is None or not np.diag(recurrent).any() else Dense(self_connections=True)


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, and 0 / 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((a == 0) & (b == 0), 0.0, a / b)


def _plain(array: np.ndarray) -> Any:
    """One number where all are alike."""
    return float(array[0]) if (array == array[0]).all() else array
