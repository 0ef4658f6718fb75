"""Surrogate gradients: the pseudo-derivative dz/dv of a spike (Bellec et al. 2020; Zenke & Vogels 2021).

With x = (v - A) / threshold, the distance to the adapted threshold A, all of them are
psi = (gamma / threshold) f(x), and 0 while the neuron is refractory:

    PiecewiseLinear   f = max(0, 1 - |x|)
    Exponential       f = exp(-|x|)
    FastSigmoid       f = 1 / (1 + |x|)^2
    ArcTan            f = 1 / (1 + x^2)

The width is the resting threshold, not A, so that adaptation does not widen psi.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import _check
from ..compiler.dispatch import generic
from ..compiler.exponential import exponential


class PiecewiseLinearParams(NamedTuple):
    height: np.ndarray  # [n] gamma / threshold


class ExponentialParams(NamedTuple):
    height: np.ndarray


class FastSigmoidParams(NamedTuple):
    height: np.ndarray


class ArcTanParams(NamedTuple):
    height: np.ndarray


class MixedParams(NamedTuple):
    """Groups with different surrogates in one population."""

    height: np.ndarray
    kind: np.ndarray  # int8 [n], index into KINDS


KINDS = (PiecewiseLinearParams, ExponentialParams, FastSigmoidParams, ArcTanParams)


@dataclass(frozen=True)
class Surrogate:
    """Common part of the surrogates; use one of the classes below.

    gamma : height at the threshold, times the threshold. Raises ValueError or TypeError where it is not positive
    """

    gamma: float = 0.3
    Params: ClassVar[type]

    def __post_init__(self) -> None:
        gamma = _check.number(f"{type(self).__name__}.gamma", self.gamma, "be a positive number", low=0.0, strict=True)
        object.__setattr__(self, "gamma", gamma)


@dataclass(frozen=True)
class PiecewiseLinear(Surrogate):
    """Triangle: psi = (gamma/threshold) max(0, 1 - |x|)."""

    Params: ClassVar[type] = PiecewiseLinearParams


@dataclass(frozen=True)
class Exponential(Surrogate):
    """psi = (gamma/threshold) exp(-|x|)."""

    Params: ClassVar[type] = ExponentialParams


@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """psi = (gamma/threshold) / (1 + |x|)^2 (SuperSpike, Zenke & Ganguli 2018)."""

    Params: ClassVar[type] = FastSigmoidParams


@dataclass(frozen=True)
class ArcTan(Surrogate):
    """psi = (gamma/threshold) / (1 + x^2)."""

    Params: ClassVar[type] = ArcTanParams


def join(parts: Sequence[Any]) -> Any:
    """One params tuple for a population from those of its groups."""
    height = np.concatenate([p.height for p in parts])
    classes = {type(p) for p in parts}
    if len(classes) == 1 and MixedParams not in classes:
        return classes.pop()(height)
    kinds = [p.kind if isinstance(p, MixedParams) else np.full(p.height.size, KINDS.index(type(p)), np.int8) for p in parts]
    return MixedParams(height, np.concatenate(kinds))


@generic(1)
def pseudo_derivative(surrogate, psi):
    """Overwrite psi, which holds x = (v - A)/threshold, by the pseudo-derivative. psi : (n,), in place."""


@generic(1, inline=True, default=True)
def pseudo_derivative_at(surrogate, j, x):
    """The pseudo-derivative of neuron j at x = (v - A)/threshold; x itself where `complete` computes it."""
    return x


@generic(1, inline=True, default=True)
def complete(surrogate, psi):
    """Overwrite psi, as `pseudo_derivative_at` left it, by the pseudo-derivative: for surrogates whose loops do not vectorise."""
    pseudo_derivative(surrogate, psi)


@pseudo_derivative_at.register(PiecewiseLinearParams)
def piecewise_linear_at(surrogate, j, x):
    return surrogate.height[j] * max(type(x)(0), type(x)(1) - abs(x))


@complete.register(PiecewiseLinearParams)
def piecewise_linear_complete(surrogate, psi):
    return


@pseudo_derivative.register(PiecewiseLinearParams)
def piecewise_linear_pseudo_derivative(surrogate, psi):
    for j in range(psi.shape[0]):
        psi[j] = piecewise_linear_at(surrogate, j, psi[j])


@pseudo_derivative.register(ExponentialParams)
def exponential_pseudo_derivative(surrogate, psi):
    height = surrogate.height
    for j in range(psi.shape[0]):
        psi[j] = height[j] * exponential(-abs(psi[j]))


@pseudo_derivative.register(FastSigmoidParams)
def fast_sigmoid_pseudo_derivative(surrogate, psi):
    height = surrogate.height
    for j in range(psi.shape[0]):
        u = psi.dtype.type(1) + abs(psi[j])
        psi[j] = height[j] / (u * u)


@pseudo_derivative.register(ArcTanParams)
def arc_tan_pseudo_derivative(surrogate, psi):
    height = surrogate.height
    for j in range(psi.shape[0]):
        psi[j] = height[j] / (psi.dtype.type(1) + psi[j] * psi[j])


@pseudo_derivative.register(MixedParams)
def mixed_pseudo_derivative(surrogate, psi):
    height, kind = surrogate.height, surrogate.kind
    for j in range(psi.shape[0]):
        x = abs(psi[j])
        if kind[j] == 0:
            psi[j] = height[j] * max(psi.dtype.type(0), psi.dtype.type(1) - x)
        elif kind[j] == 1:
            psi[j] = height[j] * exponential(-x)
        elif kind[j] == 2:
            psi[j] = height[j] / ((psi.dtype.type(1) + x) * (psi.dtype.type(1) + x))
        else:
            psi[j] = height[j] / (psi.dtype.type(1) + x * x)
