"""A model from outside the package that registers its chain rule, or that is alike LIF or ALIF: every engine takes it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import snnlearn as sl
from snnlearn.compiler.dispatch import Generic
from snnlearn.extend import (
    ALIFParams,
    LIFParams,
    Neuron,
    adjoint,
    advance,
    alike,
    derivatives,
    fire,
    prepare,
    tangent,
    threshold,
)


class PlainParams(NamedTuple):
    """The fields that every model has."""

    alpha: np.ndarray
    zeta: np.ndarray
    thr: np.ndarray
    inv_thr: np.ndarray
    current: np.ndarray
    n_ref: np.ndarray
    surrogate: Any


class AlikeParams(NamedTuple):
    """Those of ALIF."""

    alpha: np.ndarray
    zeta: np.ndarray
    thr: np.ndarray
    inv_thr: np.ndarray
    current: np.ndarray
    n_ref: np.ndarray
    surrogate: Any
    rho: np.ndarray
    beta: np.ndarray


@dataclass(frozen=True)
class WrittenOut(Neuron):
    """LIF's equations, with a chain rule written out."""

    def params(self, dt):
        return PlainParams(**self._common(dt))


@dataclass(frozen=True)
class Alike(sl.ALIF):
    """ALIF's equations, under a name of its own."""

    def params(self, dt):
        return AlikeParams(*super().params(dt))


alike(AlikeParams, ALIFParams)


@advance.register(PlainParams)
def plain_advance(p, hidden, z, refractory, current, psi, local):
    v = hidden[0]
    for j in range(z.shape[0]):
        v[j] = p.alpha[j] * v[j] + p.zeta[j] * current[j] - p.thr[j] * z[j]
        psi[j] = (v[j] - p.thr[j]) * p.inv_thr[j]
    fire(p, z, refractory, psi)


@threshold.register(PlainParams)
def plain_threshold(p, hidden, out):
    for j in range(out.shape[0]):
        out[j] = p.thr[j]


@derivatives.register(PlainParams)
def plain_derivatives(p, psi, local, out):
    for j in range(psi.shape[0]):
        out.A[0, 0, j] = p.alpha[j]
        out.b[0, j] = p.zeta[j]
        out.c[0, j] = psi[j]
        out.r[0, j] = -p.thr[j]


@prepare.register(PlainParams)
def plain_prepare(p, psi, local):
    return None


@adjoint.register(PlainParams)
def plain_adjoint(p, psi, gz, reset_gradient, lam, c):
    for j in range(psi.shape[0]):
        lz = gz[j] - reset_gradient * p.thr[j] * lam[0, j]
        lam[0, j] = p.alpha[j] * lam[0, j] + psi[j] * lz
        c[j] = p.zeta[j] * lam[0, j]


@tangent.register(PlainParams)
def plain_tangent(p, l, psi, reset_gradient, current, hidden, start, spikes):
    for m in range(current.shape[0]):
        v = p.alpha[l] * hidden[0, start + m] + p.zeta[l] * current[m] - reset_gradient * p.thr[l] * spikes.old[m]
        hidden[0, start + m] = v
        spikes.new[m] = psi * v


def learnt(neuron, rule, every):
    """Weights [n, n] after a trial in which they change."""
    draws = np.random.default_rng(0)
    net = sl.Network(4, neuron, sl.Readout(2, tau=20.0))
    x, target = (draws.random((60, 4)) < 0.4).astype(float), draws.standard_normal((60, 2))
    sim = sl.Simulator(net, net.init_weights(seed=1, gain=1.5), rule, sl.SGD(1e-3), dtype="float64", update_every=every)
    before = sim.weights.w_rec.copy()
    sim.run(iter([(x, target)]))
    assert np.abs(sim.weights.w_rec - before).max() > 1e-3
    return sim.weights.w_rec


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 10])
@pytest.mark.parametrize("rule", [sl.EProp(), sl.RFLO(), sl.EProp(reset_gradient=True)], ids=["eprop", "rflo", "attached"])
def test_a_chain_rule_written_out_learns_in_place_and_by_intervals(rule, every):
    assert_allclose(
        learnt(WrittenOut(6, threshold=0.5), rule, every), learnt(sl.LIF(6, threshold=0.5), rule, every), rtol=1e-9, atol=1e-12
    )


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 10])
def test_a_model_alike_another_has_its_kernels(every):
    for rule in (sl.EProp(), sl.RFLO()):
        found, wanted = (learnt(kind(6, threshold=0.5, beta=0.1), rule, every) for kind in (Alike, sl.ALIF))
        assert_array_equal(found, wanted)


def test_alike_needs_the_fields():
    with pytest.raises(TypeError, match=r"alike needs a class with the fields of ALIFParams \(got LIFParams, without rho\)"):
        alike(LIFParams, ALIFParams)


def test_an_argument_by_its_old_name_warns():
    def stub(p, reset_gradient):
        """A stub."""

    one, two = Generic(stub, 1), Generic(stub, 1)
    with pytest.warns(DeprecationWarning, match="the argument attached of stub is called reset_gradient"):
        one.register(PlainParams)(lambda p, attached: 1)
    assert one.find((PlainParams,))(None, 0) == 1
    with pytest.raises(TypeError, match="must have the arguments of stub"):
        two.register(PlainParams)(lambda p, other: 1)
