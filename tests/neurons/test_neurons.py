"""The contract of neuron models: local derivatives give every rule; a model from outside the package too."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numba
import numpy as np
import pytest
from twin import assert_same, distance

import snnlearn as sl
from snnlearn.network.weights import flatten
from snnlearn.neurons import Neuron
from snnlearn.neurons.base import (
    SpikeTangents,
    adjoint,
    advance,
    derivatives,
    fire,
    make_derivatives,
    prepare,
    tangent,
    threshold,
)
from snnlearn.neurons.chain_rule import ChainParams, chain
from snnlearn.rules.engines.traces import make_eligibility


class ToyParams(NamedTuple):
    """A toy: nonlinear leak, a synaptic current and an adaptation current."""

    alpha: np.ndarray
    zeta: np.ndarray
    thr: np.ndarray
    inv_thr: np.ndarray
    current: np.ndarray
    n_ref: np.ndarray
    surrogate: Any
    curve: np.ndarray


@dataclass(frozen=True)
class Toy(Neuron):
    """v <- alpha v + curve tanh(v) + i - w - thr z;  i <- 0.7 i + I;  w <- 0.9 w + 0.05 v + 0.1 z. D = 3, A depends on v."""

    curve: Any = 0.1

    variables: ClassVar[tuple[str, ...]] = ("v", "i", "w")
    n_local: ClassVar[int] = 1

    def params(self, dt):
        return ToyParams(**self._common(dt), curve=self._array("curve"))

    def initial(self):
        return np.zeros((3, self.n))


@advance.register(ToyParams)
def _(p, hidden, z, refractory, current, psi, local):
    v, i, w = hidden[0], hidden[1], hidden[2]
    for j in range(z.shape[0]):
        local[0, j] = v[j]
        i[j] = 0.7 * i[j] + current[j]
        w[j] = 0.9 * w[j] + 0.05 * v[j] + 0.1 * z[j]
        v[j] = p.alpha[j] * v[j] + p.curve[j] * np.tanh(v[j]) + i[j] - w[j] - p.thr[j] * z[j]
        psi[j] = (v[j] - p.thr[j]) * p.inv_thr[j]
    fire(p, z, refractory, psi)


@derivatives.register(ToyParams)
def _(p, psi, local, out):
    for j in range(psi.shape[0]):
        out.A[0, 0, j] = p.alpha[j] + p.curve[j] * (1 - np.tanh(local[0, j]) ** 2) - 0.05
        out.A[0, 1, j] = 0.7
        out.A[0, 2, j] = -0.9
        out.A[1, 1, j] = 0.7
        out.A[2, 0, j] = 0.05
        out.A[2, 2, j] = 0.9
        out.b[0, j] = 1
        out.b[1, j] = 1
        out.c[0, j] = psi[j]
        out.k[0, j] = -0.1
        out.k[2, j] = 0.1
        out.r[0, j] = -p.thr[j]


@threshold.register(ToyParams)
def _(p, hidden, out):
    for j in range(out.shape[0]):
        out[j] = p.thr[j]


def toy_twin(p, states, z, psi):
    """A, b, c, k, r of each step, straight from the equations above. states : v of the step before, [T, n]."""
    n_steps, n = z.shape
    A, (b, k, r, c) = np.zeros((n_steps, n, 3, 3)), np.zeros((4, n_steps, n, 3))
    A[..., 0, 0] = p["alpha"] + p["curve"] * (1 - np.tanh(states) ** 2) - 0.05
    A[..., 0, 1], A[..., 0, 2], A[..., 1, 1], A[..., 2, 0], A[..., 2, 2] = 0.7, -0.9, 0.7, 0.05, 0.9
    b[..., 0], b[..., 1], k[..., 0], k[..., 2], r[..., 0], c[..., 0] = 1.0, 1.0, -0.1, 0.1, -p["thr"], psi
    return A, b, c, k, r


def cuba_twin(p, states, z, psi):
    """The same for CubaLIF."""
    n_steps, n = z.shape
    A, (b, k, r, c) = np.zeros((n_steps, n, 2, 2)), np.zeros((4, n_steps, n, 2))
    A[..., 0, 0], A[..., 0, 1], A[..., 1, 1] = p["alpha"], p["zeta"] * p["alpha_s"], p["alpha_s"]
    b[..., 0], b[..., 1], r[..., 0], c[..., 0] = p["zeta"], 1.0, -p["thr"], psi
    return A, b, c, k, r


def simulate_twin(model, p, weights, x, delay):
    """The model's own equations, one neuron and step at a time -> v before each step, z, psi, [T, n]."""
    w_in, w_rec = weights.w_in, weights.w_rec
    n_steps, n = len(x), w_rec.shape[0]
    v, i, w, z = (np.zeros(n) for _ in range(4))
    before, zs, psis = (np.zeros((n_steps, n)) for _ in range(3))
    for t in range(n_steps):
        before[t] = v
        current = x[t] @ w_in + (zs[t - delay] @ w_rec if t >= delay else 0.0)
        if model == "cuba":
            i = p["alpha_s"] * i + current
            v = p["alpha"] * v + p["zeta"] * i - p["thr"] * z
        else:
            i, w = 0.7 * i + current, 0.9 * w + 0.05 * v + 0.1 * z
            v = p["alpha"] * v + p["curve"] * np.tanh(v) + i - w - p["thr"] * z
        blocked = zs[max(0, t - p["n_ref"]) : t].any(axis=0)
        psis[t] = np.where(blocked, 0.0, 0.4 / p["thr"] * np.maximum(0.0, 1.0 - np.abs(v / p["thr"] - 1.0)))
        z = zs[t] = ((v > p["thr"]) & ~blocked).astype(float)
    return before, zs, psis


def influence_twin(derivs, weights, x, z, target, kappa, delay, reset_gradient, hops):
    """RTRL (hops=None) or e-prop of order hops + 1 from the local derivatives, by graded influence; -> w_in, w_rec."""
    A, b, c, k, r = derivs
    (n_steps, n, D), pre_n = c.shape, x.shape[1] + z.shape[1]
    grades = 1 if hops is None else hops + 1
    P, Pz = np.zeros((grades, n, D, pre_n, n)), [np.zeros((grades, n, pre_n, n))] * (delay + 1)
    own, y, s = k + reset_gradient * r, np.zeros(2), np.zeros((pre_n, n, 2))
    grad = np.zeros((pre_n, n))
    for t in range(n_steps):
        pre = np.concatenate([x[t], z[t - delay] if t >= delay else np.zeros(n)])
        cross = np.einsum("ql,gqij->glij", weights.w_rec, Pz[delay - 1])
        current = np.zeros_like(cross)
        if hops is None:
            current += cross
        else:
            current[1:] = cross[:-1]
        for j in range(n):
            current[0, j, :, j] += pre
        P = np.einsum("lde,gleij->gldij", A[t], P) + np.einsum("ld,glij->gldij", b[t], current)
        P += np.einsum("ld,glij->gldij", own[t], Pz[0])
        new = np.einsum("ld,gldij->glij", c[t], P)
        Pz = [new, *Pz[:-1]]
        y = kappa * y + z[t] @ weights.w_out
        s = kappa * s + np.einsum("glij,lk->ijk", new, weights.w_out)
        grad += s @ (y - target[t])
    return grad[: x.shape[1]], grad[x.shape[1] :]


MODELS = {
    "cuba": lambda n: sl.CubaLIF(n, tau_m=10.0, tau_syn=4.0, threshold=0.7, refractory=1.0, surrogate=SURROGATE),
    "toy": lambda n: Toy(n, tau_m=10.0, threshold=0.7, refractory=1.0, surrogate=SURROGATE),
}
SURROGATE = sl.PiecewiseLinear(gamma=0.4)


class Problem(NamedTuple):
    """A live network of a model, its trial, and the twin's gradients."""

    net: sl.Network
    weights: sl.Weights
    x: np.ndarray
    target: np.ndarray
    twin: Any  # (reset_gradient, hops) -> w_in, w_rec

    def gradient(self, rule, **options):
        return sl.gradient(self.net, self.weights, self.x, self.target, rule, **options)


@pytest.fixture(params=MODELS, scope="module")
def problem(request):
    rng = np.random.default_rng(3)
    model, delay = request.param, 2
    net = sl.Network(3, MODELS[model](5), sl.Readout(2, tau=8.0), delay=float(delay))
    weights = net.init_weights(seed=2, gain={"w_in": 0.9, "w_rec": 0.9})
    x, target = (rng.random((30, 3)) < 0.35).astype(float), rng.standard_normal((30, 2))
    p = {key: np.asarray(value, float) for key, value in net.neurons[0].params(1.0)._asdict().items() if key != "surrogate"}
    p["n_ref"] = 1
    before, z, psi = simulate_twin(model, p, weights, x, delay)
    record = sl.simulate(net, weights, x, dtype="float64")
    np.testing.assert_array_equal(record.spikes, z != 0)
    np.testing.assert_allclose(record.psi, psi, atol=1e-13)
    assert (z.sum(axis=0) >= 2).sum() >= 3, "the network is silent"
    derivs = {"cuba": cuba_twin, "toy": toy_twin}[model](p, before, z, psi)

    def twin(reset_gradient, hops):
        return influence_twin(derivs, weights, x, z, target, np.exp(-1.0 / 8.0), delay, reset_gradient, hops)

    return Problem(net, weights, x, target, twin)


def check(got, want, absent):
    for name, w in zip(("w_in", "w_rec"), want, strict=True):
        w = np.where(absent, 0.0, w) if name == "w_rec" else w
        assert np.abs(w).max() > 1e-6, "the gradient vanishes"
        error = np.linalg.norm(getattr(got, name) - w) / np.linalg.norm(w)
        assert error < 1e-12, f"{name}: {error:.1e}"


@pytest.mark.parametrize("reset_gradient", [False, True], ids=["detached", "attached"])
def test_every_rule_of_any_model(problem, reset_gradient):
    absent = np.eye(5, dtype=bool)
    exact = problem.twin(reset_gradient, None)
    for rule in (
        sl.BPTT(reset_gradient=reset_gradient),
        sl.RTRL(reset_gradient=reset_gradient),
        sl.SnAp(5, reset_gradient=reset_gradient),
    ):
        check(problem.gradient(rule), exact, absent)
    for order in (1, 2):
        want = problem.twin(reset_gradient, order - 1)
        for method in ("forward", "adjoint"):
            check(problem.gradient(sl.EProp(order, reset_gradient=reset_gradient, method=method)), want, absent)
    assert (
        distance(
            problem.gradient(sl.EProp(reset_gradient=reset_gradient)), problem.gradient(sl.BPTT(reset_gradient=reset_gradient))
        )
        > 1e-3
    )


def test_rflo_does_not_see_the_own_spike(problem):
    forward, adjoint = (problem.gradient(sl.RFLO(method=m)) for m in ("forward", "adjoint"))
    assert_same(forward, adjoint)
    eprop = problem.gradient(sl.EProp(reset_gradient=False))
    if isinstance(problem.net.neurons[0], sl.CubaLIF):  # its spikes act through the reset only
        assert_same(forward, eprop)
    else:
        assert distance(forward, eprop) > 1e-6


def test_streams_of_any_model(problem):
    """Traces carried over pieces give the gradient of the whole; nothing of it is cached on disk for outside models."""
    change = []
    for pieces in ([(0, 30)], [(0, 7), (7, 12), (12, 30)]):
        sim = sl.Simulator(problem.net, problem.weights, sl.EProp(), sl.SGD(1e-3), update_every=30, dtype="float64")
        sim.run((problem.x[a:b], problem.target[a:b]) for a, b in pieces)
        change.append((problem.weights.w_in - sim.weights.w_in) / 1e-3)
    np.testing.assert_allclose(*change, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(change[0], problem.gradient(sl.EProp()).w_in, rtol=1e-9, atol=1e-12)


def test_current_of_no_duration_is_a_lif():
    """CubaLIF with tau_syn = 0 is a LIF, alone and beside one."""
    rng = np.random.default_rng(0)
    x, target = (rng.random((30, 3)) < 0.4).astype(float), rng.standard_normal((30, 2))
    groups = [
        [sl.LIF(6, tau_m=10.0)],
        [sl.CubaLIF(6, tau_m=10.0, tau_syn=0.0)],
        [sl.LIF(2, tau_m=10.0), sl.CubaLIF(4, 10.0, tau_syn=0)],
    ]
    found = []
    for neurons in groups:
        net = sl.Network(3, neurons, 2)
        found.append(sl.gradient(net, net.init_weights(1, gain=2.0), x, target, sl.BPTT()))
    assert np.abs(found[0].w_rec).max() > 1e-6
    assert_same(found[1], found[0])
    assert_same(found[2], found[0])
    with pytest.raises(TypeError, match="share one population"):
        sl.Network(3, [sl.ALIF(2), sl.CubaLIF(2)], 2)


def test_variables_can_be_recorded(problem):
    record = sl.simulate(problem.net, problem.weights, problem.x, record=("i", "v", "threshold"), dtype="float64")
    assert record.hidden["i"].shape == (30, 5) and np.abs(record.hidden["i"]).max() > 0
    assert record.spikes is None and (record.threshold == 0.7).all()
    with pytest.raises(ValueError, match="'i'"):
        sl.simulate(problem.net, problem.weights, problem.x, record=("nope",))


@numba.njit
def back(p, psi, gz, reset_gradient, lam, c):
    adjoint(p, psi, gz, reset_gradient, lam, c)


@pytest.mark.parametrize("neuron", [sl.LIF(4, threshold=0.6), sl.ALIF(4, threshold=0.6, beta=0.3, tau_a=30.0)])
@pytest.mark.parametrize("reset_gradient", [0.0, 1.0])
def test_the_written_out_chain_rule_is_the_general_one(neuron, reset_gradient):
    """adjoint and tangent of LIF and ALIF against those made of their derivatives."""
    n_hidden = len(neuron.variables)
    own = sl.Network(2, neuron, 2).arrays(sl.Network(2, neuron, 2).init_weights(), np.float64).params
    general = ChainParams(own, make_derivatives(n_hidden, 4, np.float64), 1.0, np.zeros((n_hidden, 4)))
    assert chain(own, n_hidden, 4, np.float64) is own
    results = []
    for p in (own, general):
        draws = np.random.default_rng(5)
        lam, c, hidden = np.zeros((n_hidden + 1, 4)), np.zeros(4), np.zeros((n_hidden, 4 * 3))
        old, new, found = np.zeros((4, 3)), np.zeros((4, 3)), []
        for _ in range(6):
            psi = draws.random(4)
            prepare(p, psi, np.zeros((0, 4)))
            back(p, psi, draws.standard_normal(4), reset_gradient, lam, c)
            for l in range(4):
                tangent(p, l, psi[l], reset_gradient, draws.standard_normal(3), hidden, 3 * l, SpikeTangents(old[l], new[l]))
            old, new = new, old
            found += [c.copy(), hidden.copy(), old.copy()]
        results.append(np.concatenate([x.ravel() for x in found]))
    np.testing.assert_allclose(*results, rtol=1e-12)
    assert np.abs(results[0]).max() > 0


def test_traces_of_any_model_are_general():
    net = sl.Network(2, sl.CubaLIF(4), 2)
    weights = net.init_weights()
    flat = flatten(weights, np.float64)
    rule = make_eligibility(net.arrays(weights, np.float64), flat, False, 1, np.ones(4, bool))
    assert type(rule.carry.w_in).__name__ == "StateTraces" and rule.carry.w_in.eps.shape == (1, 2, 8)
