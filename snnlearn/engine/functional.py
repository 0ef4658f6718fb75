"""`simulate` and `gradient`: a network as a pure function of its weights and input."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import _check
from ..events import encode, is_batch, take
from ..losses import NONE, Loss, MeanSquaredError, RateRegularizer, TargetArrays, encode_mask, encode_targets
from ..network.network import Network, Weights
from ..rules import Rule
from ..rules.base import describe
from ..rules.engines.adjoint import AdjointArrays
from .batch import Block, Noise, Trials
from .checks import check_parts, check_steps, refuse_pair
from .engine import Engine


class Gradient(NamedTuple):
    """A gradient of the mean loss of the trials; arrays of weights [pre, post], read-only."""

    w_in: Any
    w_rec: Any
    w_out: np.ndarray
    b_out: np.ndarray
    loss: float  # task loss
    regularization: float
    inputs: np.ndarray | None = None  # [T, n_inputs] or [trials, T, n_inputs], where asked for

    def __repr__(self) -> str:
        return _check.brief(self)


class Simulation(NamedTuple):
    """What `simulate` returns; arrays [T, ...], or [trials, T, ...] for a batch; None where not asked for."""

    spikes: np.ndarray | None = None  # bool
    v: np.ndarray | None = None  # before the reset
    a: np.ndarray | None = None
    psi: np.ndarray | None = None
    threshold: np.ndarray | None = None
    readout: np.ndarray | None = None
    hidden: Mapping[str, np.ndarray] = {}  # other variables of the neuron model, as CubaLIF's i

    def __repr__(self) -> str:
        return _check.brief(self)


def simulate(
    net: Network,
    weights: Weights,
    inputs: Any,
    record: Iterable[str] = ("spikes", "v", "a", "psi", "readout"),
    dtype: Any = "float32",
    seed: int = 0,
) -> Simulation:
    """Simulate trials from the initial state without learning.

    net, weights : Network and Weights; neither is modified
    inputs : [T, n_inputs], `Events` or a scipy.sparse matrix, a list of those or [trials, T, n_inputs]
    record : names among spikes, v, a, psi, threshold, readout and the variables of the neuron model. Neurons without
        adaptation have a = 0 in a network of their own; beside adaptive ones, a is their spike of the last step,
        which their beta = 0 ignores
    dtype : "float32" or "float64"
    seed : of the background noise

    Raises ValueError for unknown names, wrong shapes and NaN; Divergence where a state is not finite.

    >>> import numpy as np
    >>> import snnlearn as sl
    >>> net = sl.Network(3, sl.LIF(4), 2)
    >>> got = sl.simulate(net, net.init_weights(seed=1), np.ones((10, 3)), dtype="float64")
    >>> got.spikes.shape, got.readout.shape, got.v.dtype.name
    ((10, 4), (10, 2), 'float64')
    """
    names = _check.items("simulate.record", record, "be names such as ('spikes', 'v')")
    seed = _check.seed("simulate.seed", seed)
    check_network(net)
    own = tuple(name for name in net.variables if name not in Simulation._fields)
    for name in names:
        _check.choice("simulate.record", name, (*Simulation._fields[:-1], *own))
    refuse_pair(net, inputs)
    engine = Engine(net, net.check_weights(weights), check_dtype("simulate.dtype", dtype))
    inputs = take(inputs, net.n_inputs)
    encoded = encode(inputs, net.n_inputs, engine.dtype)
    trials, n_steps = encoded.indptr.shape[0], encoded.indptr.shape[1] - 1
    traced = {name: None for name in names if name in (*net.variables, "psi", "threshold")}
    weights_of_time = encode_mask(None, encoded.steps, n_steps, net.n_outputs, engine.dtype, True)
    targets = TargetArrays(NONE, *_no_targets(net, engine.dtype), *weights_of_time)
    noise = _noise(engine, seed, trials)
    result = engine.run(Trials(encoded, targets, learn=False, noise=noise, variables=traced))
    shape = (trials, n_steps, net.n)
    arrays = {name: np.zeros(shape, bool if name == "spikes" else engine.dtype) for name in names if name != "readout"}
    if "readout" in names:
        arrays["readout"] = np.zeros((trials, n_steps, net.n_outputs), engine.dtype)
    for block in result.blocks:
        stop = block.start + block.readout.shape[0]
        for name, array in arrays.items():
            if name == "spikes":
                array[block.trial, block.spike_step, block.spike_neuron] = True
            elif name == "readout":
                array[block.trial, block.start : stop] = block.readout
            elif name in block.traces:
                array[block.trial, block.start : stop] = block.traces[name]
    for array in arrays.values():
        array.flags.writeable = False
    shown = {name: array if is_batch(inputs) else array[0] for name, array in arrays.items()}
    hidden = {name: shown.pop(name) for name in own if name in shown}
    return Simulation(**shown, hidden=hidden)


def gradient(
    net: Network,
    weights: Weights,
    inputs: Any,
    targets: Any,
    rule: Rule,
    loss: Loss | None = None,
    mask: Any = None,
    regularizer: RateRegularizer | None = None,
    dtype: Any = "float64",
    seed: int = 0,
    threads: int | None = None,
    steps: Any = None,
    by_inputs: bool = False,
) -> Gradient:
    """The gradient of a rule over one trial, or its mean over a batch; nothing is modified.

    net, weights : Network and Weights
    inputs : [T, n_inputs], `Events` or a scipy.sparse matrix, a list of those or [trials, T, n_inputs]
    targets : [T, n_out] floats for MeanSquaredError (default); [T] or scalar labels for CrossEntropy
    rule : EProp(), BPTT(), ...
    loss : MeanSquaredError (default) or CrossEntropy
    mask : time weights of the loss, as for `Simulator.run`: [T], or [T, n_out] for each output
    regularizer : RateRegularizer or None
    dtype : "float32" or "float64"
    seed : of the background noise
    threads : None: all cores; results do not depend on it
    steps : [trials] lengths of the trials of a padded batch; None: all are T steps long
    by_inputs : also dE/dx_i[t] = sum_j w_in_ij c_j[t], of the paths that the rule follows; c_j[t] is what a unit current into
        neuron j at step t adds to E. For rules that look back over the trial: BPTT, TruncatedBPTT, EProp and RFLO

    Raises ValueError for wrong shapes, labels out of range and NaN, TypeError for other objects, MemoryError where a
    rule's influence is too large; Divergence where a state is not finite.

    >>> import numpy as np
    >>> import snnlearn as sl
    >>> net = sl.Network(3, sl.LIF(4), 2)
    >>> x, target = np.ones((10, 3)), np.zeros((10, 2))
    >>> g = sl.gradient(net, net.init_weights(seed=1), x, target, sl.EProp())
    >>> g.w_rec.shape, bool(g.loss > 0)
    ((4, 4), True)
    """
    if not isinstance(rule, Rule):
        raise _check.fail("gradient.rule", "be a learning rule such as sl.EProp()", rule, error=TypeError)
    check_parts("gradient", rule, None, loss, regularizer)
    seed = _check.seed("gradient.seed", seed)
    if threads is not None:
        threads = _check.threads("gradient.threads", threads)
    engine = Engine(
        check_network(net),
        net.check_weights(weights),
        check_dtype("gradient.dtype", dtype),
        (rule,),
        None,
        regularizer,
        threads=threads,
    )
    inputs = take(inputs, net.n_inputs)
    encoded = encode(inputs, net.n_inputs, engine.dtype)
    trials, n_steps = encoded.indptr.shape[0], encoded.indptr.shape[1] - 1
    if steps is not None:
        encoded = encoded._replace(steps=check_steps("gradient.steps", steps, trials, n_steps))
    target_arrays = encode_targets(
        loss or MeanSquaredError(), targets, mask, encoded.steps, n_steps, net.n_outputs, engine.dtype, is_batch(inputs)
    )
    noise = _noise(engine, seed, trials)
    if not _check.flag("gradient.by_inputs", by_inputs):
        outcome = engine.run(Trials(encoded, target_arrays, learn=True, noise=noise)).outcome
        return Gradient(*engine.gradient(trials), float(outcome.loss.mean()), float(outcome.regularization.mean()))
    check_looks_back("gradient.rule", engine)
    result = engine.run(Trials(encoded, target_arrays, learn=True, noise=noise, variables={"current_gradient": None}))
    outcome, by_x = result.outcome, input_gradient(engine, result.blocks, trials, n_steps) / engine.dtype.type(trials)
    by_x = by_x if is_batch(inputs) else by_x[0]
    by_x.flags.writeable = False
    return Gradient(*engine.gradient(trials), float(outcome.loss.mean()), float(outcome.regularization.mean()), by_x)


def check_looks_back(where: str, engine: Engine) -> None:
    """Raise ValueError unless the rule has the gradient by a neuron's current, from which that by inputs follows."""
    assert engine.rule is not None
    direction = engine.rule.direction(None, False, False)
    arrays = engine.rule.arrays(engine.arrays, engine.weights, direction, 1, engine.learns) if direction == "adjoint" else None
    if not isinstance(arrays, AdjointArrays):
        need = "look back over the trial for a gradient by inputs, as BPTT, TruncatedBPTT, EProp and RFLO do"
        raise _check.fail(
            where, need, describe(engine.rule), "method='forward' does not" if hasattr(engine.rule, "method") else ""
        )


def input_gradient(engine: Engine, blocks: Iterable[Block], trials: int, n_steps: int) -> np.ndarray:
    """dE/dx [trials, T, n_inputs], summed over trials, of blocks that hold `current_gradient`. Equation (7) of `adjoint.py`."""
    c = np.zeros((trials, n_steps, engine.arrays.n), engine.dtype)
    for block in blocks:
        part = block.traces["current_gradient"]
        c[block.trial, block.start : block.start + part.shape[0]] = part
    return (c.reshape(-1, c.shape[2]) @ engine.public_weights().w_in.T).reshape(trials, n_steps, -1)


def check_network(net: Any) -> Network:
    """The network; TypeError for anything else."""
    if not isinstance(net, Network):
        raise _check.fail("net", "be an sl.Network", net, error=TypeError)
    return net


def check_dtype(where: str, dtype: Any) -> np.dtype:
    """float32 or float64; ValueError for anything else."""
    known = (np.dtype(np.float32), np.dtype(np.float64))
    if isinstance(dtype, (str, type, np.dtype)):  # NumPy takes None, and any object that has a dtype, for one
        with contextlib.suppress(TypeError, ValueError):
            return known[known.index(np.dtype(dtype))]
    raise _check.fail(where, "be 'float32' or 'float64'", dtype)


def _noise(engine: Engine, seed: int, trials: int) -> Noise | None:
    """The background noise of so many trials, where there is any."""
    if not engine.arrays.noise.size:
        return None
    return Noise([np.random.default_rng([seed, 0, b]) for b in range(trials)], engine.net.n)


def _no_targets(net: Network, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((1, 1, net.n_outputs), dtype), np.zeros((1, 1), np.int32)
