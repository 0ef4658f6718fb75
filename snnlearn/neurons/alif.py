"""LIF neuron with an adaptive threshold (Bellec et al. 2018; 2020, eqs 8-10).

    v[t]   = alpha v[t-1] + zeta I[t] - thr z[t-1]                              (1)
    a[t]   = rho a[t-1] + z[t-1];   A[t] = thr + beta a[t]                      (2)
    z[t]   = 1 if v[t] > A[t] and no spike in the last n_ref steps, else 0      (3)
    psi[t] = surrogate((v[t] - A[t])/thr), 0 while refractory                   (4)

The reset subtracts thr, not A. Backward:

    lz[t] = gz[t] + la[t+1] - thr lv[t+1]    (last term: only where the reset is differentiated)    (5)
    lv[t] = alpha lv[t+1] + psi[t] lz[t]                                        (6)
    la[t] = rho la[t+1] - beta psi[t] lz[t]                                     (7)
    c[t]  = zeta lv[t]                                                          (8)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..compiler.dispatch import distinct
from .base import PROMOTIONS, Neuron, adjoint, advance, derivatives, prepare, spike, tangent, threshold
from .lif import LIFParams
from .surrogate import complete


class ALIFParams(NamedTuple):
    """Per-step factors, arrays (n,)."""

    alpha: np.ndarray
    zeta: np.ndarray
    thr: np.ndarray
    inv_thr: np.ndarray
    current: np.ndarray
    n_ref: np.ndarray  # int32
    surrogate: Any
    rho: np.ndarray
    beta: np.ndarray


@dataclass(frozen=True)
class ALIF(Neuron):
    """A group of ALIF neurons: ``ALIF(50, tau_m=20.0, tau_a=2000.0, beta=0.0174, threshold=0.6)``.

    The parameters of `Neuron`, and
    tau_a : time constant of the adaptation, ms; with 0 the adaptation lasts one step
    beta : by how much a spike raises the threshold, in units of v; 0 makes a LIF neuron
    a_init : adaptation before the first step, in spikes
    """

    tau_a: Any = 200.0
    beta: Any = 0.1
    a_init: Any = 0.0

    variables: ClassVar[tuple[str, ...]] = ("v", "a")
    adapts: ClassVar[bool] = True
    scalar_traces: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("tau_a", "be a time in ms, not negative", low=0.0)
        self._set("beta", "be a finite number")
        self._set("a_init", "be a finite number")

    def params(self, dt: float) -> ALIFParams:
        """Per-step factors of the group. dt : ms."""
        return ALIFParams(**self._common(dt), rho=self._decay("tau_a", dt), beta=self._array("beta"))

    def initial(self) -> np.ndarray:
        """The hidden state (v, a) before the first step, [2, n]."""
        return np.stack([self._array("v_init"), self._array("a_init")])


def _from_lif(p: LIFParams) -> ALIFParams:
    return ALIFParams(*p, rho=np.zeros_like(p.alpha), beta=np.zeros_like(p.alpha))


PROMOTIONS[LIFParams, ALIFParams] = _from_lif


@advance.register(ALIFParams)
def alif_advance(p, hidden, z, refractory, current, psi, local):
    _advance(p, hidden[0], hidden[1], z, refractory, current, psi)
    complete(p.surrogate, psi)


@distinct
def _advance(p, v, a, z, refractory, current, psi):
    for j in range(z.shape[0]):
        v[j] = p.alpha[j] * v[j] + p.zeta[j] * current[j] - p.thr[j] * z[j]  # (1)
        a[j] = p.rho[j] * a[j] + z[j]  # (2)
        x = (v[j] - (p.thr[j] + p.beta[j] * a[j])) * p.inv_thr[j]
        z[j], psi[j], refractory[j] = spike(p, j, x, refractory[j])  # (3) (4)


@derivatives.register(ALIFParams)
def alif_derivatives(p, psi, local, out):
    for j in range(psi.shape[0]):
        out.A[0, 0, j] = p.alpha[j]
        out.A[1, 1, j] = p.rho[j]
        out.b[0, j] = p.zeta[j]
        out.c[0, j] = psi[j]
        out.c[1, j] = -p.beta[j] * psi[j]
        out.k[1, j] = 1
        out.r[0, j] = -p.thr[j]


@prepare.register(ALIFParams)
def alif_prepare(p, psi, local):
    return None


@adjoint.register(ALIFParams)
def alif_adjoint(p, psi, gz, attached, lam, c):
    _adjoint(p, psi, gz, attached, lam[0], lam[1], c)


@distinct
def _adjoint(p, psi, gz, attached, lv, la, c):
    for j in range(psi.shape[0]):
        lz = gz[j] + la[j] - attached * p.thr[j] * lv[j]  # (5)
        lv[j] = p.alpha[j] * lv[j] + psi[j] * lz  # (6)
        la[j] = p.rho[j] * la[j] - p.beta[j] * psi[j] * lz  # (7)
        c[j] = p.zeta[j] * lv[j]  # (8)


@tangent.register(ALIFParams)
def alif_tangent(p, l, psi, attached, current, hidden, start, spikes):
    alpha, zeta, rho, beta, reset = p.alpha[l], p.zeta[l], p.rho[l], p.beta[l], attached * p.thr[l]
    v = hidden[0, start : start + current.shape[0]]
    a = hidden[1, start : start + current.shape[0]]
    for c in range(current.shape[0]):
        v[c] = alpha * v[c] + zeta * current[c] - reset * spikes.old[c]  # (1)
        a[c] = rho * a[c] + spikes.old[c]  # (2)
        spikes.new[c] = psi * (v[c] - beta * a[c])


@threshold.register(ALIFParams)
def alif_threshold(p, hidden, out):
    for j in range(out.shape[0]):
        out[j] = p.thr[j] + p.beta[j] * hidden[1, j]
