"""The network: spec (`Network`, `Readout`), weights (`Weights`) and the arrays that kernels see.

Papers write W_ji, [target, source]; every array here is [pre i, post j], so that a spike touches one row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from .. import _check
from ..compiler.dispatch import SOURCE, kernel, summing
from ..neurons import base
from ..neurons.base import Neuron
from .connectivity import Dense, DenseProjection, Masked, Sparse, SparseProjection, synapses_of

WEIGHT_NAMES = ("w_in", "w_rec", "w_out", "b_out")


class Weights(NamedTuple):
    """Weights, a gradient, or an optimizer's moments. Dense arrays, or csr_array where connectivity is sparse."""

    w_in: Any  # [n_inputs, n]
    w_rec: Any  # [n, n]
    w_out: np.ndarray  # [n, n_out]
    b_out: np.ndarray  # [n_out]

    def __repr__(self) -> str:
        return _check.brief(self)

    @classmethod
    def load(cls, path: Any, update: int | None = None, net: Network | None = None) -> Weights:
        """The weights of a recording, for `Simulator(net, weights=...)` or `Simulator.set_weights`.

        path : a recording with snapshots (`Recorder(weights_every=...)`), or an open `Recording`
        update : after so many updates; None: the last snapshot
        net : check that the weights fit this network

        Raises as `open_recording` does, KeyError where there are no weights, IndexError that lists the updates with a
        snapshot, and ValueError that names both shapes where they do not fit `net`.
        """
        recording = import_module("snnlearn.recording")  # the one call that reaches up: a convenience that reads a file
        if not isinstance(path, recording.Recording):
            with recording.open_recording(path) as opened:
                return cls.load(opened, update, net)
        weights = cls(**path.weights(update)._asdict())
        if net is not None:
            shapes = ((net.n_inputs, net.n), (net.n, net.n), (net.n, net.n_outputs), (net.n_outputs,))
            for name, w, shape in zip(cls._fields, weights, shapes, strict=True):
                if w.shape != shape:
                    hint = f"{path.path} is of a network with {path.n_neurons} neurons and {path.n_outputs} outputs"
                    raise _check.fail(f"Weights.load.{name}", f"have shape {shape} for this network", w.shape, hint)
            return net.check_weights(weights)
        return weights


class FlatWeights(NamedTuple):
    """The same as kernels see them: one flat array a matrix, rows by presynaptic neuron."""

    w_in: np.ndarray  # [synapses]
    w_rec: np.ndarray  # [synapses]
    w_out: np.ndarray  # [n * n_out]
    b_out: np.ndarray  # [n_out]
    feedback: np.ndarray  # [n * n_out], the B of the learning signal; unused entries: size 0


@dataclass(frozen=True)
class Readout:
    """Leaky readout y_k[t] = kappa y_k[t-1] + scale (sum_j w_out[j, k] z_j[t] + b_k), kappa = exp(-dt/tau).

    n : number of outputs
    tau : time constant, ms; 0: no memory (kappa = 0)
    bias : learn a bias; without, b_out and its gradient are zero and never change
    normalize_input : scale = 1 - kappa instead of 1

    Raises ValueError or TypeError that names the parameter.
    """

    n: int
    tau: float = 20.0
    bias: bool = False
    normalize_input: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", _check.integer("Readout.n", self.n, "be a positive number of outputs", 1, _check.MOST))
        tau = _check.number("Readout.tau", self.tau, "be a time in ms, or 0 for no memory", low=0.0)
        object.__setattr__(self, "tau", tau)
        for key in ("bias", "normalize_input"):
            _check.flag(f"Readout.{key}", getattr(self, key))

    def kappa(self, dt: float) -> float:
        """Decay per step."""
        return float(np.exp(-dt / self.tau)) if self.tau > 0 else 0.0


class NetArrays(NamedTuple):
    """What does not change while a network runs."""

    params: Any  # LIFParams, ALIFParams, ...
    proj_in: Any
    proj_rec: Any
    kappa: float
    scale: float
    noise: np.ndarray  # [n] standard deviation, or [0] without noise
    absent_in: np.ndarray  # int64, flat positions of synapses that do not exist
    absent_rec: np.ndarray
    initial: np.ndarray  # [D, n] hidden state before the first step
    delay: int
    n: int
    n_out: int
    n_hidden: int  # D
    n_local: int
    one_alpha: bool  # all neurons of the network share the decay of the membrane potential
    one_zeta: bool  # and the weight of what arrives


@dataclass(frozen=True)
class Network:
    """A recurrent spiking network with a leaky readout.

    n_inputs : input channels
    neurons : groups, as [LIF(50, ...), ALIF(50, ...)]; neurons are numbered in this order
    readout : Readout, or a number of outputs
    dt : length of a step, ms
    delay : recurrent delay, ms, a whole number of steps, at least one; None: one step, and `net.delay` is then dt
    recurrent : Dense(), Masked(bool [pre, post]) or Sparse(indegree=... | density=...)
    inputs : the same choices for the input connections [n_inputs, n]
    frozen : names of weight matrices that learning leaves alone, as ("w_in",)

    Raises ValueError or TypeError that names the parameter.

    >>> import snnlearn as sl
    >>> net = sl.Network(3, [sl.LIF(4), sl.ALIF(2)], sl.Readout(2, tau=20.0), delay=2.0)
    >>> net.n, net.delay_steps, net.init_weights(seed=1).w_rec.shape
    (6, 2, (6, 6))
    """

    n_inputs: int
    neurons: Any
    readout: Any
    dt: float = 1.0
    delay: float = None  # type: ignore[assignment]  # None becomes dt in __post_init__
    recurrent: Dense | Masked | Sparse = field(default_factory=Dense)
    inputs: Dense | Masked | Sparse = field(default_factory=Dense)
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(
            self,
            "n_inputs",
            _check.integer("Network.n_inputs", self.n_inputs, "be a positive number of channels", 1, _check.MOST),
        )
        groups = (self.neurons,) if isinstance(self.neurons, Neuron) else self.neurons
        groups = _check.items("Network.neurons", groups, "be a list of neuron groups such as LIF(50)")
        if not groups or not all(isinstance(g, Neuron) for g in groups):
            raise _check.fail("Network.neurons", "be a list of neuron groups such as LIF(50)", self.neurons, error=TypeError)
        set_(self, "neurons", groups)
        readout = self.readout if isinstance(self.readout, Readout) else None
        if readout is None:
            if isinstance(self.readout, bool) or not isinstance(self.readout, (int, np.integer)):
                raise _check.fail("Network.readout", "be a Readout or a number of outputs", self.readout, error=TypeError)
            readout = Readout(self.readout)  # type: ignore[arg-type]
        set_(self, "readout", readout)
        set_(self, "dt", _check.number("Network.dt", self.dt, "be a positive time in ms", low=0.0, strict=True))
        delay = self.dt if self.delay is None else self.delay
        set_(self, "delay", _check.number("Network.delay", delay, "be a positive time in ms", low=0.0, strict=True))
        if not 1 <= (_check.whole_steps(self.delay, self.dt) or 0) <= _check.MOST:
            raise _check.fail("Network.delay", f"be a whole number of steps of dt={self.dt} ms, at least one", self.delay)
        for where, spec, n in (("recurrent", self.recurrent, self.n), ("inputs", self.inputs, self.n_inputs)):
            if not isinstance(spec, (Dense, Masked, Sparse)):
                raise _check.fail(f"Network.{where}", "be Dense(), Masked(...) or Sparse(...)", spec, error=TypeError)
            spec.validate(f"Network.{where}", n, self.n)
        frozen = _check.items("Network.frozen", self.frozen, "be names of matrices such as ('w_in',)")
        for name in frozen:
            _check.choice("Network.frozen", name, WEIGHT_NAMES)
        set_(self, "frozen", frozen)
        base.join([base.sample(group) for group in groups], self.dt, np.float64)  # checks them, and costs nothing

    @property
    def n(self) -> int:
        """Number of recurrent neurons."""
        return sum(group.n for group in self.neurons)

    @property
    def n_outputs(self) -> int:
        """Number of readouts."""
        return self.readout.n

    @property
    def delay_steps(self) -> int:
        """Recurrent delay in steps."""
        return round(self.delay / self.dt)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the hidden state, as ("v", "a")."""
        return max((group.variables for group in self.neurons), key=len)

    @property
    def adaptive(self) -> np.ndarray:
        """Indices of the neurons whose threshold adapts, int64."""
        return np.flatnonzero(np.repeat([group.adapts for group in self.neurons], [group.n for group in self.neurons]))

    def init_weights(self, seed: int = 0, gain: float | Mapping[str, float] = 1.0) -> Weights:
        """Seeded weights N(0, 1)/sqrt(in-degree), bias 0; float64 arrays [pre, post].

        seed : of the weights and, for `Sparse`, of which synapses there are
        gain : a factor, or one for each of "w_in", "w_rec", "w_out"

        Raises ValueError or TypeError that names the parameter, MemoryError where the machine is too small for them.
        """
        _check.seed("Network.init_weights.seed", seed)
        if isinstance(gain, Mapping):
            for name in gain:
                _check.choice("Network.init_weights.gain", name, WEIGHT_NAMES[:3])
            where = "Network.init_weights.gain"
            gains = {n: _check.number(f"{where}[{n!r}]", gain.get(n, 1.0), "be a number") for n in WEIGHT_NAMES[:3]}
        else:
            gains = dict.fromkeys(WEIGHT_NAMES[:3], _check.number("Network.init_weights.gain", gain, "be a number"))
        count = synapses_of(self.inputs, self.n_inputs, self.n) + synapses_of(self.recurrent, self.n, self.n)
        if 8 * count > _check.machine_bytes():
            sizes = f"{_check.size_text(8 * count)} and {_check.size_text(_check.machine_bytes())} are there"
            hint = "sl.Sparse(indegree=...) keeps its synapses alone"
            raise MemoryError(f"Network.init_weights: weights of {count} synapses need {sizes}; {hint}")
        rng = np.random.default_rng(seed)
        w_in = self.inputs.draw(rng, self.n_inputs, self.n, recurrent=False)
        w_rec = self.recurrent.draw(rng, self.n, self.n, recurrent=True)
        w_out = rng.standard_normal((self.n, self.n_outputs)) / np.sqrt(self.n)
        for name, w in (("w_in", w_in), ("w_rec", w_rec), ("w_out", w_out)):  # in place: large networks fit once
            values: Any = w.data if sparse.issparse(w) else w
            values *= gains[name]
        return Weights(w_in, w_rec, w_out, np.zeros(self.n_outputs))

    def check_weights(self, weights: Any) -> Weights:
        """The weights with shapes, values and absent synapses checked, maybe the same arrays. Raises ValueError or TypeError."""
        if not isinstance(weights, tuple) or len(weights) != 4:
            raise _check.fail("weights", "be sl.Weights(w_in, w_rec, w_out, b_out)", type(weights).__name__, error=TypeError)
        weights = Weights(*weights)
        w_in = _check_matrix("weights.w_in", weights.w_in, self.inputs, (self.n_inputs, self.n), False)
        w_rec = _check_matrix("weights.w_rec", weights.w_rec, self.recurrent, (self.n, self.n), True)
        w_out = _check.array("weights.w_out", weights.w_out, (self.n, self.n_outputs), hint="[pre, post]")
        b_out = _check.array("weights.b_out", weights.b_out, (self.n_outputs,))
        if not self.readout.bias and b_out.any():
            raise _check.fail("weights.b_out", "be zero where Readout(bias=False)", b_out)
        return Weights(w_in, w_rec, w_out, b_out)

    def arrays(self, weights: Weights, dtype: Any) -> NetArrays:
        """What kernels need besides the weights' values."""
        as_dtype = np.dtype(dtype).type
        kappa = self.readout.kappa(self.dt)
        noise = np.concatenate([group._array("noise") for group in self.neurons])
        _check.fits("Network.neurons, noise", noise, dtype)
        params = base.join(self.neurons, self.dt, dtype)
        return NetArrays(
            params=params,
            proj_in=_projection(weights.w_in),
            proj_rec=_projection(weights.w_rec),
            kappa=as_dtype(kappa),
            scale=as_dtype(1.0 - kappa if self.readout.normalize_input else 1.0),
            noise=noise.astype(dtype) if noise.any() else np.empty(0, dtype),
            absent_in=self.inputs.absent(self.n_inputs, self.n, False),
            absent_rec=self.recurrent.absent(self.n, self.n, True),
            initial=self.initial_hidden(dtype),
            delay=self.delay_steps,
            n=self.n,
            n_out=self.n_outputs,
            n_hidden=len(self.variables),
            n_local=max(group.n_local for group in self.neurons),
            one_alpha=_common(params, "alpha"),
            one_zeta=_common(params, "zeta"),
        )

    def initial_hidden(self, dtype: Any) -> np.ndarray:
        """Hidden state before the first step, [D, n]."""
        hidden = base.initial_hidden(self.neurons, len(self.variables))
        _check.fits("Network.neurons, the initial state", hidden, dtype)
        return hidden.astype(dtype)

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain values; masks are given by their shape and number of synapses."""
        connect = {key: _connectivity_dict(getattr(self, key)) for key in ("recurrent", "inputs")}
        return {
            "n_inputs": self.n_inputs,
            "neurons": [base.spec_to_dict(group) for group in self.neurons],
            "readout": base.spec_to_dict(self.readout),
            "dt": self.dt,
            "delay": self.delay,
            **connect,
            "frozen": list(self.frozen),
        }


def flatten(weights: Weights, dtype: Any, feedback: np.ndarray | None = None) -> FlatWeights:
    """A copy of the weights in the form of kernels; ValueError where they are too large for this dtype."""
    values = [w.data if sparse.issparse(w) else w for w in weights]
    values.append(np.empty(0) if feedback is None else feedback)
    for name, v in zip((*WEIGHT_NAMES, "feedback"), values, strict=True):
        _check.fits(f"weights.{name}" if name != "feedback" else name, v, dtype)
    return FlatWeights(*(np.array(v, dtype, order="C").reshape(-1) for v in values))


def unflatten(flat: Any, like: Weights, copy: bool = True) -> Weights:
    """Public arrays [pre, post] (or csr_array) of a FlatWeights; read-only."""
    result = []
    for values, shape_of in zip(flat[:4], like, strict=True):
        values = values.copy() if copy else values.view()
        values.flags.writeable = False
        if sparse.issparse(shape_of):
            result.append(sparse.csr_array((values, shape_of.indices, shape_of.indptr), shape=shape_of.shape))
        else:
            result.append(values.reshape(shape_of.shape))
    return Weights(*result)


def norm(flat: np.ndarray) -> float:
    """Euclidean norm of a contiguous array, summed in float64."""
    return math.sqrt(_sum_of_squares(flat))


@kernel
def _sum_of_squares(flat, source=SOURCE):
    return square_sum(flat)


@summing
def square_sum(flat):
    """Sum of the squares of a flat array, in float64."""
    total = 0.0
    for s in range(flat.shape[0]):
        total += np.float64(flat[s]) * np.float64(flat[s])
    return total


def structure(flat: FlatWeights, weights: Weights, arrays: NetArrays) -> Weights:
    """Matrices of the shapes and structures of `weights` that hold no memory of their own: views of kernels' arrays."""
    like: list[Any] = list(weights)
    for m, proj in enumerate((arrays.proj_in, arrays.proj_rec)):
        if isinstance(proj, SparseProjection):
            fits = proj.indices.size <= np.iinfo(np.int32).max  # scipy takes both of one type, or copies
            indices = proj.indices.view() if fits else proj.indices.astype(np.int64)
            indptr = proj.indptr.astype(indices.dtype)
            indices.flags.writeable = indptr.flags.writeable = False
            like[m] = sparse.csr_array((flat[m], indices, indptr), shape=weights[m].shape)
    return unflatten(flat, Weights(*like), copy=False)


def zeros_like(flat: FlatWeights, groups: int) -> FlatWeights:
    """Accumulators of the same sizes with a leading axis; the feedback's is not kept."""
    return FlatWeights(*(np.zeros((groups, 0 if w is flat.feedback else w.size), w.dtype) for w in flat))


def _common(params: Any, name: str) -> bool:
    """Whether all neurons have the same parameter of this name."""
    values = getattr(params, name, None)
    return values is not None and bool((values == values[0]).all())


def _projection(matrix: Any) -> DenseProjection | SparseProjection:
    if sparse.issparse(matrix):
        return SparseProjection(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32))
    return DenseProjection(*(int(s) for s in matrix.shape))


def _check_matrix(where: str, matrix: Any, spec: Any, shape: tuple[int, int], recurrent: bool) -> Any:
    if sparse.issparse(matrix):
        if matrix.shape != shape:
            raise _check.fail(where, f"have shape {shape}, [pre, post]", matrix.shape)
        csr = _check.csr(where, matrix)
        if isinstance(spec, Sparse):
            return csr
        matrix = csr.toarray()
    elif isinstance(spec, Sparse):
        need = "be a scipy.sparse.csr_array for Sparse connectivity"
        raise _check.fail(where, need, type(matrix).__name__, "Masked takes dense arrays", TypeError)
    dense = _check.array(where, matrix, shape, hint="[pre, post]")
    absent = spec.absent(*shape, recurrent)
    stray = absent[dense.reshape(-1)[absent] != 0]
    if stray.size:
        pre, post = divmod(int(stray[0]), shape[1])
        hint = "self-connections need Dense(self_connections=True)" if pre == post else "absent in the mask"
        raise _check.fail(where, f"be zero at [{pre}, {post}], a synapse that does not exist", dense[pre, post], hint)
    return dense


def _connectivity_dict(spec: Any) -> dict[str, Any]:
    if isinstance(spec, Masked):
        return {"type": "Masked", "shape": list(spec.mask.shape), "synapses": int(spec.mask.sum())}
    return base.spec_to_dict(spec)
