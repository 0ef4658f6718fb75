"""Leaky integrate-and-fire neuron with subtractive reset (Bellec et al. 2020, eqs 6-7).

    v[t]   = alpha v[t-1] + zeta I[t] - thr z[t-1]                              (1)
    z[t]   = 1 if v[t] > thr and no spike in the last n_ref steps, else 0       (2)
    psi[t] = surrogate((v[t] - thr)/thr), 0 while refractory                    (3)

with alpha = exp(-dt/tau_m) and zeta = 1, or 1 - alpha with `normalize_input`.

Backward, with lz = dE/dz through every path, lv = dE/dv:

    lz[t] = gz[t] - thr lv[t+1]    (last term: only where the reset is differentiated)    (4)
    lv[t] = alpha lv[t+1] + psi[t] lz[t]                                        (5)
    c[t]  = zeta lv[t]                                                          (6)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..compiler.dispatch import distinct
from .base import Neuron, adjoint, advance, derivatives, prepare, spike, tangent, threshold
from .surrogate import complete


class LIFParams(NamedTuple):
    """Per-step factors, arrays (n,)."""

    alpha: np.ndarray
    zeta: np.ndarray
    thr: np.ndarray
    inv_thr: np.ndarray
    current: np.ndarray
    n_ref: np.ndarray  # int32
    surrogate: Any


@dataclass(frozen=True)
class LIF(Neuron):
    """A group of LIF neurons: ``LIF(50, tau_m=20.0, threshold=0.6, refractory=4.0)``.

    The parameters, their units and defaults are those of `Neuron`. Raises ValueError or TypeError that
    names the parameter.
    """

    scalar_traces: ClassVar[bool] = True

    def params(self, dt: float) -> LIFParams:
        """Per-step factors of the group. dt : ms."""
        return LIFParams(**self._common(dt))


@advance.register(LIFParams)
def lif_advance(p, hidden, z, refractory, current, psi, local):
    _advance(p, hidden[0], z, refractory, current, psi)
    complete(p.surrogate, psi)


@distinct
def _advance(p, v, z, refractory, current, psi):
    for j in range(z.shape[0]):
        v[j] = p.alpha[j] * v[j] + p.zeta[j] * current[j] - p.thr[j] * z[j]  # (1)
        x = (v[j] - p.thr[j]) * p.inv_thr[j]
        z[j], psi[j], refractory[j] = spike(p, j, x, refractory[j])  # (2) (3)


@derivatives.register(LIFParams)
def lif_derivatives(p, psi, local, out):
    for j in range(psi.shape[0]):
        out.A[0, 0, j] = p.alpha[j]
        out.b[0, j] = p.zeta[j]
        out.c[0, j] = psi[j]
        out.r[0, j] = -p.thr[j]


@prepare.register(LIFParams)
def lif_prepare(p, psi, local):
    return None


@adjoint.register(LIFParams)
def lif_adjoint(p, psi, gz, attached, lam, c):
    _adjoint(p, psi, gz, attached, lam[0], c)


@distinct
def _adjoint(p, psi, gz, attached, lv, c):
    for j in range(psi.shape[0]):
        lz = gz[j] - attached * p.thr[j] * lv[j]  # (4)
        lv[j] = p.alpha[j] * lv[j] + psi[j] * lz  # (5)
        c[j] = p.zeta[j] * lv[j]  # (6)


@tangent.register(LIFParams)
def lif_tangent(p, l, psi, attached, current, hidden, start, spikes):
    alpha, zeta, reset = p.alpha[l], p.zeta[l], attached * p.thr[l]
    v = hidden[0, start : start + current.shape[0]]
    for c in range(current.shape[0]):
        v[c] = alpha * v[c] + zeta * current[c] - reset * spikes.old[c]  # (1)
        spikes.new[c] = psi * v[c]


@threshold.register(LIFParams)
def lif_threshold(p, hidden, out):
    for j in range(out.shape[0]):
        out[j] = p.thr[j]
