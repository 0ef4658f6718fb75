"""The chain rule through a neuron's own state, for any model that supplies its local derivatives.

With s[t] = F(s[t-1], I[t], z[t-1]), the derivatives A, b, c, k, r of `Derivatives`, and w = k + r, or k where the reset is
detached:

forward, for the derivative by a weight, dI given

    ds[t] = A[t] ds[t-1] + b[t] dI[t] + w[t] dz[t-1];   dz[t] = c[t] . ds[t]                            (1)

backward, gz[t] = dE/dz[t] from outside given

    ls[t] = A[t+1]' ls[t+1] + c[t] ( gz[t] + w[t+1] . ls[t+1] )                                         (2)
    dE/dI[t] = b[t] . ls[t]                                                                             (3)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .base import Derivatives, adjoint, derivatives, make_derivatives, prepare, tangent


class ChainParams(NamedTuple):
    """The params of a model, with room for its derivatives."""

    model: Any
    d: Derivatives
    own_spike: float  # 0 for a rule that does not follow k and r at all, else 1
    state: np.ndarray  # [D, n] scratch


def chain(params: Any, n_hidden: int, n: int, dtype: Any, own_spike: bool = True) -> Any:
    """What rules take as the neurons' params: the model's own where it registers its chain rule, else `ChainParams`."""
    if own_spike and adjoint.has(type(params)):
        return params
    return general(params, n_hidden, n, dtype, own_spike)


def general(params: Any, n_hidden: int, n: int, dtype: Any, own_spike: bool = True) -> ChainParams:
    """The params with room for derivatives, for engines that work from these.

    own_spike : whether the rule follows what a neuron's spike does to the neuron itself
    """
    d = make_derivatives(n_hidden, n, dtype)
    return ChainParams(params, d, np.dtype(dtype).type(own_spike), np.zeros((n_hidden, n), dtype))


@prepare.register(ChainParams)
def chain_prepare(p, psi, local):
    derivatives(p.model, psi, local, p.d)


@adjoint.register(ChainParams)
def chain_adjoint(p, psi, gz, reset_gradient, lam, c):
    A, b, out, k, r = p.d
    n_hidden, n = b.shape
    back = lam[n_hidden]
    for j in range(n):
        c[j] = gz[j] + back[j]
        back[j] = 0
    for x in range(n_hidden):
        for j in range(n):
            p.state[x, j] = lam[x, j] + out[x, j] * c[j]  # (2)
            lam[x, j] = 0
    for j in range(n):
        c[j] = 0
    for x in range(n_hidden):
        for j in range(n):
            c[j] += b[x, j] * p.state[x, j]  # (3)
            back[j] += p.own_spike * (k[x, j] + reset_gradient * r[x, j]) * p.state[x, j]
        for y in range(n_hidden):
            for j in range(n):
                lam[y, j] += A[x, y, j] * p.state[x, j]


@tangent.register(ChainParams)
def chain_tangent(p, l, psi, reset_gradient, current, hidden, start, spikes):
    A, b, out, k, r = p.d
    n_hidden = b.shape[0]
    for m in range(current.shape[0]):
        at = start + m
        for x in range(n_hidden):
            total = b[x, l] * current[m] + p.own_spike * (k[x, l] + reset_gradient * r[x, l]) * spikes.old[m]
            for y in range(n_hidden):
                total += A[x, y, l] * hidden[y, at]
            p.state[x, l] = total  # (1)
        spikes.new[m] = 0
        for x in range(n_hidden):
            hidden[x, at] = p.state[x, l]
            spikes.new[m] += out[x, l] * p.state[x, l]  # (1)
