"""Current-based LIF neuron: synaptic current and membrane (as in Zenke & Ganguli 2018, Neftci et al. 2019).

    i[t]   = alpha_s i[t-1] + I[t]                                              (1)
    v[t]   = alpha v[t-1] + zeta i[t] - thr z[t-1]                              (2)
    z[t]   = 1 if v[t] > thr and no spike in the last n_ref steps, else 0       (3)
    psi[t] = surrogate((v[t] - thr)/thr), 0 while refractory                    (4)

with alpha = exp(-dt/tau_m), alpha_s = exp(-dt/tau_syn), zeta = 1, or 1 - alpha with `normalize_input`. A spike
acts on v in the step in which it arrives, as with the other models. The learning rules work from the local
derivatives below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .base import PROMOTIONS, Neuron, advance, derivatives, fire, threshold
from .lif import LIFParams


class CubaLIFParams(NamedTuple):
    """Per-step factors, arrays (n,)."""

    alpha: np.ndarray
    zeta: np.ndarray
    thr: np.ndarray
    inv_thr: np.ndarray
    current: np.ndarray
    n_ref: np.ndarray  # int32
    surrogate: Any
    alpha_s: np.ndarray


@dataclass(frozen=True)
class CubaLIF(Neuron):
    """A group of LIF neurons with synaptic currents: ``CubaLIF(50, tau_m=20.0, tau_syn=5.0, threshold=0.6)``.

    The parameters of `Neuron`, and
    tau_syn : time constant of the synaptic current, ms; with 0 it lasts one step, as in LIF
    i_init : synaptic current before the first step, in units of v per step
    """

    tau_syn: Any = 5.0
    i_init: Any = 0.0

    variables: ClassVar[tuple[str, ...]] = ("v", "i")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("tau_syn", "be a time in ms, not negative", low=0.0)
        self._set("i_init", "be a finite number")

    def params(self, dt: float) -> CubaLIFParams:
        """Per-step factors of the group. dt : ms."""
        return CubaLIFParams(**self._common(dt), alpha_s=self._decay("tau_syn", dt))

    def initial(self) -> np.ndarray:
        """The hidden state (v, i) before the first step, [2, n]."""
        return np.stack([self._array("v_init"), self._array("i_init")])


def _from_lif(p: LIFParams) -> CubaLIFParams:
    return CubaLIFParams(*p, alpha_s=np.zeros_like(p.alpha))


PROMOTIONS[LIFParams, CubaLIFParams] = _from_lif


@advance.register(CubaLIFParams)
def cuba_lif_advance(p, hidden, z, refractory, current, psi, local):
    n, v, i = z.shape[0], hidden[0], hidden[1]
    for j in range(n):
        i[j] = p.alpha_s[j] * i[j] + current[j]  # (1)
        v[j] = p.alpha[j] * v[j] + p.zeta[j] * i[j] - p.thr[j] * z[j]  # (2)
        psi[j] = (v[j] - p.thr[j]) * p.inv_thr[j]
    fire(p, z, refractory, psi)  # (3) (4)


@derivatives.register(CubaLIFParams)
def cuba_lif_derivatives(p, psi, local, out):
    for j in range(psi.shape[0]):
        out.A[0, 0, j] = p.alpha[j]
        out.A[0, 1, j] = p.zeta[j] * p.alpha_s[j]
        out.A[1, 1, j] = p.alpha_s[j]
        out.b[0, j] = p.zeta[j]
        out.b[1, j] = 1
        out.c[0, j] = psi[j]
        out.r[0, j] = -p.thr[j]


@threshold.register(CubaLIFParams)
def cuba_lif_threshold(p, hidden, out):
    for j in range(out.shape[0]):
        out[j] = p.thr[j]
