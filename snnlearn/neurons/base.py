"""What a neuron model supplies.

A model is one file with a spec (a frozen dataclass in ms and Hz), a params NamedTuple (per-step factors,
arrays (n,)), and three kernels registered for the class of the params:

    advance      one step of the population, in place           (timeline step 2)
    derivatives  of that step: by the own state, the input current and the own spike
    threshold    the adapted threshold A, for recording

Every learning rule works from these by the chain rule of `neurons/chain.py`. A model that is run a lot also
registers that chain rule written out, as LIF and ALIF do; the results are the same:

    prepare, adjoint     the step backward, for rules that look back
    tangent              the step forward, for the derivative by a weight
    trace_step           the step of eligibility traces, in `rules/traces.py`

Its hidden state is `hidden` [D, n]; row 0 is always the membrane potential v. Everything else in the
package (delivery, readout, rules, recording) works on these and does not know the model.

Groups of different models form one flat population: `join` turns each group into the most general model
present (a LIF neuron is an ALIF neuron with beta = 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import _check
from ..compiler.dispatch import generic, inlined
from ..compiler.memory import aligned
from . import surrogate


@dataclass(frozen=True)
class Neuron:
    """The parameters that every model has; `Neuron` itself is not a model.

    Parameters (a number, or an array (n,) with one value a neuron)
    ----------
    n : number of neurons of the group
    tau_m : membrane time constant, ms; inf: no leak, an integrate-and-fire neuron
    threshold : spike threshold at rest, in units of v; also what the reset subtracts, one step later
    refractory : ms after a spike in which the neuron cannot spike; blocked steps = round(refractory/dt)
    surrogate : the pseudo-derivative, see `snnlearn.neurons.surrogate`
    normalize_input : scale the input current by 1 - exp(-dt/tau_m), which is 0 without a leak
    current : constant background current, in units of v per step, added to the synaptic current
    noise : standard deviation of a Gaussian current drawn anew at every step, same units
    v_init : membrane potential before the first step

    Raises ValueError or TypeError that names the parameter.
    """

    n: int
    tau_m: Any = 20.0
    threshold: Any = 1.0
    refractory: Any = 0.0
    surrogate: surrogate.Surrogate = field(default_factory=surrogate.PiecewiseLinear)
    normalize_input: bool = False
    current: Any = 0.0
    noise: Any = 0.0
    v_init: Any = 0.0

    variables: ClassVar[tuple[str, ...]] = ("v",)  # names of the rows of `hidden`
    adapts: ClassVar[bool] = False  # whether the threshold changes in time
    scalar_traces: ClassVar[bool] = False  # whether eligibility traces are those of v and, at most, an adaptation a
    n_local: ClassVar[int] = 0  # numbers a neuron and step that `derivatives` needs from `advance`, besides psi

    def __post_init__(self) -> None:
        name = type(self).__name__
        object.__setattr__(self, "n", _check.integer(f"{name}.n", self.n, "be a positive number of neurons", 1, _check.MOST))
        self._set("tau_m", "be a positive time in ms", low=0.0, strict=True, endless=True)
        self._set("threshold", "be positive", low=0.0, strict=True)
        self._set("refractory", "be a time in ms, not negative", low=0.0)
        self._set("current", "be a finite number")
        self._set("noise", "be a standard deviation, not negative", low=0.0)
        self._set("v_init", "be a finite number")
        if not isinstance(self.surrogate, surrogate.Surrogate):
            need = "be a surrogate such as PiecewiseLinear(gamma=0.3)"
            raise _check.fail(f"{name}.surrogate", need, self.surrogate, error=TypeError)
        _check.flag(f"{name}.normalize_input", self.normalize_input)
        if self.normalize_input and np.isinf(self.tau_m).any():
            hint = "without a leak an input would be scaled by 0"
            raise _check.fail(f"{name}.normalize_input", "be False where tau_m is infinite", True, hint)

    def _set(self, key: str, need: str, **limits: Any) -> None:
        """Validate one parameter and keep it as a float or a tuple of floats."""
        value = _check.per_neuron(f"{type(self).__name__}.{key}", getattr(self, key), self.n, need, **limits)
        object.__setattr__(self, key, value)

    def _array(self, key: str) -> np.ndarray:
        """A parameter as a float64 array (n,)."""
        return np.array(np.broadcast_to(np.asarray(getattr(self, key), np.float64), (self.n,)))

    def _decay(self, key: str, dt: float) -> np.ndarray:
        """exp(-dt/tau) of a time constant as a float64 array (n,); 0 for tau = 0."""
        tau = self._array(key)
        return np.where(tau > 0, np.exp(-dt / np.where(tau > 0, tau, 1.0)), 0.0)

    def _common(self, dt: float) -> dict[str, Any]:
        """Per-step factors that all models share: the only place where ms become steps, with `params`."""
        alpha, threshold = np.exp(-dt / self._array("tau_m")), self._array("threshold")
        gamma, n_ref, where = self.surrogate.gamma, np.rint(self._array("refractory") / dt), type(self).__name__
        if n_ref.max() > _check.MOST:
            raise _check.fail(f"{where}.refractory", "be below 2^31 steps", f"{n_ref.max():g} steps of {dt:g} ms")
        with np.errstate(over="ignore"):
            inverse = 1.0 / threshold
        if not np.isfinite(inverse).all() or not np.isfinite(gamma * inverse).all():
            raise _check.fail(f"{where}.threshold", "be so large that gamma/threshold is finite", float(threshold.min()))
        return {
            "alpha": alpha,
            "zeta": 1.0 - alpha if self.normalize_input else np.ones(self.n),
            "thr": threshold,
            "inv_thr": inverse,
            "current": self._array("current"),
            "n_ref": n_ref.astype(np.int32),
            "surrogate": type(self.surrogate).Params(gamma / threshold),
        }

    def params(self, dt: float) -> Any:
        """Per-step factors of the group as a NamedTuple of float64 arrays (n,). dt : ms."""
        raise NotImplementedError

    def initial(self) -> np.ndarray:
        """The hidden state before the first step, [D, n]."""
        return self._array("v_init")[None]


def sample(group: Neuron) -> Neuron:
    """A group that is refused where this one is: one neuron of a large group whose parameters are numbers."""
    values = [getattr(group, f.name) for f in fields(group)]
    plain = all(isinstance(x, (bool, int, float, str, surrogate.Surrogate)) for x in values)
    return replace(group, n=1) if plain and group.n > FEW else group


FEW = 1000  # neurons of a group that is not large
NAMES = {"thr": "threshold", "inv_thr": "1/threshold"}  # of factors a step, where kernels call a parameter otherwise
PROMOTIONS: dict[tuple[type, type], Any] = {}  # (params class, wider params class) -> function


def join(groups: Sequence[Neuron], dt: float, dtype: Any) -> Any:
    """One params tuple for the flat population. Raises TypeError for models that cannot share one."""
    parts = [group.params(dt) for group in groups]
    for wide in {type(p): None for p in parts}:
        if all(type(p) is wide or (type(p), wide) in PROMOTIONS for p in parts):
            break
    else:
        names = " and ".join(dict.fromkeys(type(g).__name__ for g in groups))
        raise _check.fail("Network.neurons", "be models that can share one population, as LIF and ALIF", names, error=TypeError)
    parts = [p if type(p) is wide else PROMOTIONS[type(p), wide](p) for p in parts]
    joined = {}
    for key in wide._fields:
        values = [getattr(p, key) for p in parts]
        joined[key] = surrogate.join(values) if key == "surrogate" else np.concatenate(values)
    return cast(wide(**joined), dtype)


def cast(params: Any, dtype: Any) -> Any:
    """The same tuple with its float arrays in `dtype`, C-contiguous."""
    values, arrays = {}, {}
    for key, value in params._asdict().items():
        if isinstance(value, tuple):
            values[key] = cast(value, dtype)
        elif value.dtype.kind == "f":
            _check.fits(f"Network.neurons, {NAMES.get(key, key)}", value, dtype)
            arrays[key] = np.asarray(value, dtype)
        else:
            arrays[key] = value
    return type(params)(**values, **dict(zip(arrays, aligned(list(arrays.values())), strict=True)))


def initial_hidden(groups: Sequence[Neuron], n_hidden: int) -> np.ndarray:
    """Initial hidden state [D, n] of the flat population; rows that a group's model lacks are zero."""
    hidden = np.zeros((n_hidden, sum(g.n for g in groups)))
    start = 0
    for group in groups:
        rows = group.initial()
        hidden[: rows.shape[0], start : start + group.n] = rows
        start += group.n
    return hidden


def spec_to_dict(spec: Any) -> dict[str, Any]:
    """Class name and fields of a frozen spec, as plain values for JSON."""
    result: dict[str, Any] = {"type": type(spec).__name__}
    for f in fields(spec):
        value = getattr(spec, f.name)
        if hasattr(value, "__dataclass_fields__"):
            value = spec_to_dict(value)
        elif isinstance(value, np.ndarray):
            value = value.tolist()
        elif callable(value):
            value = repr(value)
        result[f.name] = value
    return result


class Derivatives(NamedTuple):
    """Local derivatives of step t, arrays [..., n]; s[t] = F(s[t-1], I[t], z[t-1]) and z[t] spikes at s[t]."""

    A: np.ndarray  # [D, D, n] ds[t]/ds[t-1], by itself: not through the spike
    b: np.ndarray  # [D, n] ds[t]/dI[t]
    c: np.ndarray  # [D, n] dz[t]/ds[t]; psi[t] in row 0 for a threshold on v
    k: np.ndarray  # [D, n] ds[t]/dz[t-1] without the reset, as a spike's step of adaptation
    r: np.ndarray  # [D, n] ds[t]/dz[t-1] through the reset, which rules may detach


def make_derivatives(n_hidden: int, n: int, dtype: Any) -> Derivatives:
    """All derivatives zero: of n_hidden variables of n neurons, arrays [..., n] of this dtype."""
    vectors = (np.zeros((n_hidden, n), dtype) for _ in range(4))
    return Derivatives(np.zeros((n_hidden, n_hidden, n), dtype), *vectors)


@inlined
def spike(p, j, x, blocked):
    """Spike, pseudo-derivative and blocked steps that remain of neuron j at x = (v - A)/threshold; `complete` ends psi.

    p : params with n_ref and surrogate; blocked : steps that remained before. There are selects instead of branches, so that a
    loop over neurons vectorises.
    """
    one, tick = type(x)(1), type(blocked)(1)
    fires = (x > 0) & (blocked <= 0)
    far = type(x)(np.inf) if blocked > 0 else x  # so far from the threshold that no surrogate reaches
    left = blocked - tick if blocked > 0 else (p.n_ref[j] if fires else type(blocked)(0))
    return one if fires else type(x)(0), surrogate.pseudo_derivative_at(p.surrogate, j, far), left


@inlined
def fire(p, z, refractory, psi):
    """Spikes, refractoriness and pseudo-derivatives of a step, from psi = (v - A)/threshold. In place.

    p : params with n_ref and surrogate; z, refractory, psi : as of `advance`
    """
    for j in range(z.shape[0]):
        z[j], psi[j], refractory[j] = spike(p, j, psi[j], refractory[j])
    surrogate.complete(p.surrogate, psi)


@generic(1)
def advance(p, hidden, z, refractory, current, psi, local):
    """One step of the population, in place.

    hidden : (D, n) state of t-1, overwritten by that of t
    z : (n,) float, spikes of t-1, overwritten by those of t
    refractory : (n,) int32, steps that remain blocked
    current : (n,) input current of step t
    psi : (n,) overwritten by the pseudo-derivative of step t
    local : (n_local, n) overwritten by whatever `derivatives` needs to know of this step
    """


@generic(1)
def derivatives(p, psi, local, out):
    """Fill `out`, Derivatives of step t; its arrays are zero at first and then hold what the last call left.

    psi : (n,) and local : (n_local, n), as `advance` left them at step t
    """


@generic(1)
def prepare(p, psi, local):
    """Called for a step before `adjoint`, `tangent` and `trace_step`."""


@generic(1)
def adjoint(p, psi, gz, attached, lam, c):
    """One step backward through the neurons' own state, in place.

    psi : (n,) pseudo-derivative of step t
    gz : (n,) dE/dz[t] through readout, regulariser and synapses
    attached : 1 where the reset is differentiated, else 0
    lam : (D + 1, n) what step t+1 passes back to the state and the spike of t, overwritten by that of step t
        for t-1; zero at the end. A model may keep it in a form of its own
    c : (n,) overwritten by dE/dI[t], the gradient that a unit arrival at step t earns
    """


class SpikeTangents(NamedTuple):
    """Derivatives of the spikes of one neuron by several weights."""

    old: np.ndarray  # [c] of z[t-1]
    new: np.ndarray  # [c] of z[t]


@generic(1)
def tangent(p, l, psi, attached, current, hidden, start, spikes):
    """One step of the derivative of neuron l by several weights, in place: the chain rule through its own state.

    psi : of neuron l; attached : 1 where the reset is differentiated, else 0
    current : (c,) derivative of the input current
    hidden : (D, entries) derivative of the hidden state, in columns start .. start + c - 1, overwritten
    spikes : `SpikeTangents`; `new` is overwritten
    """


@generic(1)
def threshold(p, hidden, out):
    """Write the adapted threshold A into out (n,)."""
