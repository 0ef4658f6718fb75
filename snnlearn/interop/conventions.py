"""Parameter sets of other e-prop codes in the package's terms: one function for each kind of thing that is converted.

NEST (models `eprop_iaf_bsshslm_2020`, `eprop_iaf_adapt_bsshslm_2020`, `eprop_readout_bsshslm_2020`), mV, ms, spikes per s:

    V_th - E_L                      threshold; membrane potentials count from E_L
    t_ref = r steps                 blocks r - 1 steps: refractory = t_ref - dt                               (1)
    regular_spike_arrival = false   scales inputs by 1 - exp(-dt/tau_m): normalize_input=True                 (2)
    I_e (pA)                        current = I_e tau_m / C_m (1 - exp(-dt/tau_m)), before (2)                (3)
    gamma, beta                     psi = gamma max(0, 1 - beta |v - A|); without beta (NEST 3.7)
                                    psi = gamma/V_th max(0, 1 - |v - A|/V_th), as here; in NEST 3.10
    surrogate_gradient_height,      psi = height max(0, 1 - |v - A|/width)                                    (4)
    surrogate_gradient_width
    adam                            Adam(epsilon_form="tensorflow")                                           (5)
    average_gradient = true         a mask of 1/steps, which `tasks` have, and c_reg divided by the steps     (6)

The TensorFlow code of Bellec et al. 2020 (cells `LightLIF`, `LightALIF`, `EligALIF`), ms:

    LightLIF, LightALIF             scale inputs by 1 - exp(-dt/tau): normalize_input=True; no refractoriness
    LightALIF                       b <- rho b + (1 - rho) z: beta here is beta (1 - rho)                     (7)
    EligALIF                        inputs as they are; b <- rho b + z; n_refractory = r blocks r - 1 steps   (8)
    exp_convolve                    scales the readout by 1 - exp(-dt/tau_out): normalize_input=True          (9)

Checked against the published losses of both in `published`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .. import _check
from ..losses import RateRegularizer
from ..network.network import Readout
from ..neurons import ALIF, LIF
from ..neurons.surrogate import Exponential, FastSigmoid, PiecewiseLinear
from ..optimizers.optimizers import SGD, Adam

__all__ = [
    "neurons_from_nest",
    "neurons_from_tensorflow",
    "optimizer_from_nest",
    "optimizer_from_tensorflow",
    "readout_from_nest",
    "readout_from_tensorflow",
    "regularizer_from_nest",
]

NEST_NEURON = (
    *("C_m", "E_L", "I_e", "V_m", "V_th", "V_min", "t_ref", "tau_m", "gamma", "beta", "surrogate_gradient_function"),
    *("surrogate_gradient_height", "surrogate_gradient_width"),
    *("regular_spike_arrival", "c_reg", "f_target", "adapt_beta", "adapt_tau", "adaptation"),
)
NEST_READOUT = ("C_m", "E_L", "I_e", "V_m", "V_min", "tau_m", "regular_spike_arrival", "loss")
NEST_OPTIMIZER = ("type", "eta", "Wmin", "Wmax", "batch_size", "beta_1", "beta_2", "epsilon")
CELLS = {
    "LightLIF": ("tau", "thr", "dampening_factor", "stop_z_gradients"),
    "LightALIF": ("tau", "thr", "dampening_factor", "stop_z_gradients", "tau_adaptation", "beta"),
    "EligALIF": ("tau", "thr", "dampening_factor", "stop_z_gradients", "tau_adaptation", "beta", "n_refractory"),
}
WIDTH_TOLERANCE = 5e-3  # of beta V_th = 1: published sets round beta to three digits


def neurons_from_nest(n: int, params: Mapping[str, Any], dt: float = 1.0) -> LIF | ALIF:
    """A group of n neurons from NEST's parameters, equations (1) to (4); ALIF where `adapt_beta` is among them.

    params : as given to `nest.Create`; what is missing has NEST's default; c_reg and f_target belong to `regularizer_from_nest`
    dt : ms

    Raises ValueError for an unknown parameter, and for what the models here do not have: V_min, and a surrogate whose width is
    not the threshold.
    """
    where = "neurons_from_nest"
    _known(where, params, NEST_NEURON)
    rest = _number(where, params, "E_L", -70.0)
    threshold = _number(where, params, "V_th", -55.0) - rest
    if threshold <= 0:
        raise _check.fail(f"{where}.V_th", "lie above E_L", threshold + rest)
    if "V_min" in params and params["V_min"] != -math.inf and _number(where, params, "V_min", 0.0) > -1e300:
        raise _check.fail(f"{where}.V_min", "be absent: the membrane potential has no lower bound here", params["V_min"])
    tau, capacity = _positive(where, params, "tau_m", 10.0), _positive(where, params, "C_m", 250.0)
    dt = _check.number(f"{where}.dt", dt, "be a positive time in ms", low=0.0, strict=True)
    scaled = not params.get("regular_spike_arrival", True)
    alpha = math.exp(-dt / tau)
    current = _number(where, params, "I_e", 0.0) * tau / capacity * (1.0 - alpha)  # (3)
    options: dict[str, Any] = {
        "tau_m": tau,
        "threshold": threshold,
        "refractory": max(0.0, _number(where, params, "t_ref", 2.0) - dt),  # (1)
        "surrogate": _nest_surrogate(where, params, threshold),
        "normalize_input": scaled,  # (2)
        "current": current / (1.0 - alpha) if scaled else current,
        "v_init": _number(where, params, "V_m", rest) - rest,
    }
    if not any(name in params for name in ("adapt_beta", "adapt_tau", "adaptation")):
        return LIF(n, **options)
    adaptation: dict[str, Any] = {
        "beta": _number(where, params, "adapt_beta", 1.0),
        "tau_a": _number(where, params, "adapt_tau", 10.0),
    }
    return ALIF(n, **options, **adaptation, a_init=_number(where, params, "adaptation", 0.0))


def readout_from_nest(n: int, params: Mapping[str, Any]) -> Readout:
    """n outputs from `params` of NEST's readout; its `loss` is the simulator's, the constants cancel.

    Raises ValueError for an unknown parameter and for a current I_e, which the readout here does not have.
    """
    where = "readout_from_nest"
    _known(where, params, NEST_READOUT)
    if params.get("I_e", 0.0) != 0:
        raise _check.fail(f"{where}.I_e", "be 0; Readout(bias=True) learns one", params["I_e"])
    return Readout(n, tau=_number(where, params, "tau_m", 10.0), normalize_input=not params.get("regular_spike_arrival", True))


def regularizer_from_nest(params: Mapping[str, Any], average_over: int | None = None) -> RateRegularizer:
    """The regulariser of NEST's `c_reg` and `f_target` (spikes per s) in `params`, which is that of a trial.

    average_over : steps of the learning window where `average_gradient` is true, equation (6)

    Raises ValueError for an unknown parameter or value.
    """
    where = "regularizer_from_nest"
    _known(where, params, NEST_NEURON)
    steps = 1 if average_over is None else _check.integer(f"{where}.average_over", average_over, "be a number of steps", low=1)
    return RateRegularizer(_number(where, params, "f_target", 10.0), _number(where, params, "c_reg", 0.0) / steps)


def optimizer_from_nest(params: Mapping[str, Any]) -> SGD | Adam:
    """The optimizer of NEST's dictionary `params`, {"type": "adam", "eta": ..., "Wmin": ...}, equation (5).

    Wmin and Wmax that are missing do not bound: NEST's own defaults differ between its versions. `batch_size` is the argument
    `batch` of `Simulator.train`: gradients are averaged over a batch in both.
    Raises ValueError for an unknown type or parameter.
    """
    where = "optimizer_from_nest"
    _known(where, params, NEST_OPTIMIZER)
    kind = _check.choice(f"{where}.type", params.get("type", "gradient_descent"), ("gradient_descent", "adam"))
    lr, bounds = _number(where, params, "eta", 1e-4), None
    if "Wmin" in params or "Wmax" in params:
        bounds = (params.get("Wmin", -math.inf), params.get("Wmax", math.inf))
    if kind == "gradient_descent":
        return SGD(lr, bounds=bounds)
    betas = {"beta1": _number(where, params, "beta_1", 0.9), "beta2": _number(where, params, "beta_2", 0.999)}
    epsilon = _number(where, params, "epsilon", 1e-8)
    return Adam(lr, bounds=bounds, **betas, epsilon=epsilon, epsilon_form="tensorflow")


def neurons_from_tensorflow(cell: str, n: int, params: Mapping[str, Any], dt: float = 1.0) -> LIF | ALIF:
    """A group of n neurons from the arguments of a cell of the TensorFlow code, equations (7) and (8).

    cell : "LightLIF", "LightALIF" or "EligALIF"; params : its keyword arguments besides n_in, n_rec and dt
    dt : ms

    Spikes are those of the cell. So is the pseudo-derivative, except that LightALIF divides by the adapted threshold and all
    models here by the one at rest. `stop_z_gradients` is the rule's: EProp(reset_gradient=False).
    Raises ValueError for an unknown cell or argument.
    """
    where = "neurons_from_tensorflow"
    _check.choice(f"{where}.cell", cell, CELLS)
    _known(where, params, CELLS[cell])
    options: dict[str, Any] = {
        "tau_m": _number(where, params, "tau", 20.0),
        "threshold": _number(where, params, "thr", 0.03),
        "surrogate": PiecewiseLinear(_number(where, params, "dampening_factor", 0.3)),
        "normalize_input": cell != "EligALIF",
    }
    if cell == "LightLIF":
        return LIF(n, **options)
    dt = _check.number(f"{where}.dt", dt, "be a positive time in ms", low=0.0, strict=True)
    tau, beta = _positive(where, params, "tau_adaptation", 200.0), _number(where, params, "beta", 1.6)
    if cell == "LightALIF":
        return ALIF(n, **options, tau_a=tau, beta=beta * (1.0 - math.exp(-dt / tau)))  # (7)
    blocked = max(0.0, _number(where, params, "n_refractory", 1) - 1)  # (8)
    return ALIF(n, **options, tau_a=tau, beta=beta, refractory=blocked * dt)


def readout_from_tensorflow(n: int, tau_out: float, bias: bool = False) -> Readout:
    """n outputs that read `exp_convolve(z, exp(-dt/tau_out))`, equation (9). tau_out : ms; bias : whether they have one"""
    return Readout(n, tau=tau_out, bias=bias, normalize_input=True)


def optimizer_from_tensorflow(lr: float, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Adam:
    """`tf.train.AdamOptimizer(lr, beta1, beta2, epsilon)` with its defaults, equation (5)."""
    return Adam(lr, beta1=beta1, beta2=beta2, epsilon=epsilon, epsilon_form="tensorflow")


def _nest_surrogate(where: str, params: Mapping[str, Any], threshold: float) -> Any:
    """Equation (4): height and width."""
    name = params.get("surrogate_gradient_function", "piecewise_linear")
    kinds = {"piecewise_linear": PiecewiseLinear, "exponential": Exponential, "fast_sigmoid_derivative": FastSigmoid}
    kind = kinds[_check.choice(f"{where}.surrogate_gradient_function", name, kinds)]
    renamed = ("surrogate_gradient_height", "surrogate_gradient_width")
    if any(key in params for key in renamed):
        if not all(key in params for key in renamed) or "gamma" in params or "beta" in params or kind is not PiecewiseLinear:
            got = ", ".join(key for key in params if key in (*renamed, "gamma", "beta", "surrogate_gradient_function"))
            need = "come with surrogate_gradient_width and the piecewise linear surrogate, without gamma and beta"
            raise _check.fail(f"{where}.surrogate_gradient_height", need, got)
        height, width = (_number(where, params, key, 0.0) for key in renamed)
        if abs(width / threshold - 1.0) > WIDTH_TOLERANCE:
            need = f"be V_th - E_L = {threshold:g}, because the surrogates here are as wide as the threshold"
            raise _check.fail(f"{where}.surrogate_gradient_width", need, width)
        return kind(height * threshold)
    gamma = _number(where, params, "gamma", 0.3)
    if "beta" not in params:
        if kind is not PiecewiseLinear:
            raise _check.fail(f"{where}.beta", f"be given with surrogate_gradient_function={name!r}", None)
        return kind(gamma)
    width = _number(where, params, "beta", 1.0) * threshold
    if abs(width - 1.0) > WIDTH_TOLERANCE:
        need = f"be 1/(V_th - E_L) = {1.0 / threshold:g}, because the surrogates here are as wide as the threshold"
        raise _check.fail(f"{where}.beta", need, params["beta"])
    return kind(gamma * threshold)


def _known(where: str, params: Mapping[str, Any], names: tuple[str, ...]) -> None:
    if not isinstance(params, Mapping):
        raise _check.fail(f"{where} parameters", "be a dict", params, error=TypeError)
    for name in params:
        _check.choice(f"{where} parameter", name, names)


def _number(where: str, params: Mapping[str, Any], name: str, default: float) -> float:
    return _check.number(f"{where}.{name}", params.get(name, default), "be a number")


def _positive(where: str, params: Mapping[str, Any], name: str, default: float) -> float:
    return _check.number(f"{where}.{name}", params.get(name, default), "be a positive number", low=0.0, strict=True)
