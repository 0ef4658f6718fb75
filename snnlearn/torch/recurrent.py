"""A spiking network as a module of PyTorch.

    forward     y = simulation(x; W), by the compiled block loop, from the initial state
    backward    err_k[t] = dE/dy_k[t] is what torch hands back; the rule makes dE/dW of it, and (7) of `adjoint.py` dE/dx

Backward simulates the trials once more, because other batches may have run in between; so nothing but the input is kept
from forward to backward, and a layer may be used several times in one graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from .. import _check
from ..engine.batch import Noise, Result, Trials
from ..engine.checks import check_parts, check_steps
from ..engine.engine import Engine
from ..engine.functional import check_looks_back, check_network, input_gradient
from ..events import InputArrays, encode
from ..losses import ERROR, NONE, RateRegularizer, TargetArrays, encode_mask
from ..network.network import Network
from ..network.weights import WEIGHT_NAMES, Weights, unflatten
from ..rules import Rule

if TYPE_CHECKING:
    from torch import Tensor

try:
    import torch
    from torch.autograd import Function
    from torch.nn import Module
except ImportError:  # which is told where a layer is made
    Module = Function = object  # type: ignore[assignment,misc]


class RecurrentSpiking(Module):
    """A recurrent spiking network that stands between other modules, on the CPU, and learns by a rule and torch's optimizers.

    net : Network
    rule : a learning rule, as sl.BPTT() or sl.EProp(feedback="random"); its gradient is that of the backward pass. Rules that
        look back over the trial, which are BPTT, TruncatedBPTT, EProp and RFLO, also have the gradient by the input
    weights : Weights, or None for `net.init_weights(seed)`
    regularizer : RateRegularizer or None. Its gradient, of the mean over the batch, is added to that of the loss
    seed : of the weights, where none are given
    threads : trials of a batch are dealt to them; None: all cores. Results do not depend on it

    Parameters are `w_in`, `w_rec` and `w_out` [pre, post] (of `sl.Sparse` connections the values alone, by rows), and `b_out`
    where the readout has a bias; those that `net.frozen` names do not ask for a gradient. They are float32, or float64 after
    ``layer.double()``. Of synapses that do not exist, as those of neurons with themselves, values count as 0 without gradient.
    A network with background noise draws it with torch's generator. `rate` (Hz) is that of the last batch, `regularization` the
    mean of the last backward pass.

    Raises ImportError without torch, TypeError or ValueError that names the parameter.
    """

    def __init__(
        self,
        net: Network,
        rule: Rule,
        weights: Weights | None = None,
        regularizer: RateRegularizer | None = None,
        seed: int = 0,
        threads: int | None = None,
    ):
        torch = _check.need("torch", "sl.torch.RecurrentSpiking")
        super().__init__()
        self.net = check_network(net)
        if not isinstance(rule, Rule):
            raise _check.fail("RecurrentSpiking.rule", "be a learning rule such as sl.BPTT()", rule, error=TypeError)
        check_parts("RecurrentSpiking", rule, None, None, regularizer)
        if rule.adaptive:
            need = "have symmetric, random or given feedback, because the optimizer is torch's"
            raise _check.fail("RecurrentSpiking.rule", need, rule.feedback)
        self.rule, self.regularizer = rule, regularizer
        self.threads = None if threads is None else _check.threads("RecurrentSpiking.threads", threads)
        seed = _check.seed("RecurrentSpiking.seed", seed)
        self._like = net.check_weights(net.init_weights(seed) if weights is None else weights)
        for name, value in zip(WEIGHT_NAMES, self._like, strict=True):
            if name == "b_out" and not net.readout.bias:
                continue
            tensor = torch.tensor(value.data if sparse.issparse(value) else value, dtype=torch.float32)
            self.register_parameter(name, torch.nn.Parameter(tensor, requires_grad=name not in net.frozen))
        self.rate, self.regularization = float("nan"), 0.0
        self._engines: dict[np.dtype, Engine] = {}
        self._trials = 0  # so far, for rules that draw numbers

    @property
    def weights(self) -> Weights:
        """The parameters as weights of a `Simulator`, a copy."""
        engine = self._engine()
        _give(engine, self._values())
        return unflatten(engine.weights, engine.like)

    def forward(self, x: Tensor, steps: Sequence[int] | Tensor | None = None) -> Tensor:
        """The readout [trials, T, n_outputs] of a batch x [trials, T, n_inputs], or [T, n_outputs] of one trial [T, n_inputs].

        steps : [trials] lengths of the trials of a padded batch; None: all are T steps long. The readout of later ones is 0
        """
        dtype = self.w_in.dtype
        if not isinstance(x, torch.Tensor) or x.ndim not in (2, 3) or x.shape[-1] != self.net.n_inputs:
            need = f"be a tensor [T, {self.net.n_inputs}] or [trials, T, {self.net.n_inputs}]"
            got = tuple(x.shape) if isinstance(x, torch.Tensor) else x
            raise _check.fail("RecurrentSpiking.x", need, got, error=ValueError if isinstance(x, torch.Tensor) else TypeError)
        if x.dtype != dtype or x.device.type != "cpu" or self.w_in.device.type != "cpu":
            need = f"be {dtype} on the CPU, as the parameters are"
            raise _check.fail("RecurrentSpiking.x", need, f"{x.dtype} on {x.device}, parameters on {self.w_in.device}")
        engine = self._engine()
        if x.requires_grad:
            check_looks_back("RecurrentSpiking.rule", engine)
        y = _Simulation.apply(self, steps, x if x.ndim == 3 else x[None], *self._values())
        return y if x.ndim == 3 else y[0]

    def extra_repr(self) -> str:
        """What stands in the brackets of its `repr`."""
        return f"{self.net.n_inputs}, {self.net.n}, {self.net.n_outputs}, {type(self.rule).__name__}"

    def __getstate__(self) -> dict[str, Any]:
        """Without the engines, which hold threads and are made anew where they are needed."""
        return self.__dict__ | {"_engines": {}}

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in WEIGHT_NAMES if name in self._parameters)

    def _engine(self) -> Engine:
        """The engine of the parameters' type."""
        dtype = np.dtype(str(self.w_in.dtype).removeprefix("torch."))
        if dtype not in (np.float32, np.float64):
            raise _check.fail("RecurrentSpiking", "have parameters of float32 or float64", str(self.w_in.dtype))
        if dtype not in self._engines:
            options = (self._like, dtype, (self.rule,), None, self.regularizer)
            self._engines[dtype] = Engine(self.net, *options, threads=self.threads)
        return self._engines[dtype]


class _Simulation(Function):
    """`RecurrentSpiking` as torch differentiates it."""

    @staticmethod
    def forward(ctx: Any, layer: RecurrentSpiking, steps: Any, x: Any, *values: Any) -> Any:
        engine, (trials, n_steps, _) = layer._engine(), x.shape
        encoded = encode(x.detach().numpy(), layer.net.n_inputs, engine.dtype, "RecurrentSpiking.x")
        if steps is not None:
            encoded = encoded._replace(steps=check_steps("RecurrentSpiking.steps", steps, trials, n_steps))
        ctx.seed = int(torch.randint(2**62, ())) if engine.arrays.noise.size else 0
        ctx.layer, ctx.encoded, ctx.number = layer, encoded, layer._trials
        ctx.save_for_backward(*values)
        _give(engine, values)
        nothing = np.zeros((1, 1, engine.arrays.n_out), engine.dtype)
        result = _run(engine, encoded, (NONE, nothing), ctx.seed, {})
        layer.rate = 1e3 * float(result.counts.sum()) / (layer.net.n * encoded.steps.sum() * layer.net.dt)
        y = np.zeros((trials, n_steps, engine.arrays.n_out), engine.dtype)
        for block in result.blocks:
            y[block.trial, block.start : block.start + len(block.readout)] = block.readout
        return torch.from_numpy(y)

    @staticmethod
    def backward(ctx: Any, error: Any) -> Any:
        if torch.is_grad_enabled():
            raise _check.fail(
                "RecurrentSpiking", "be differentiated once", "create_graph=True", "a rule has no second derivative"
            )
        layer, engine, trials = ctx.layer, ctx.layer._engine(), error.shape[0]
        _give(engine, ctx.saved_tensors)
        # the regulariser is a mean over trials, the loss is what torch makes it
        share = trials if layer.regularizer is not None else 1
        err = np.array(error.numpy() * share, engine.dtype, order="C")
        by_x, names = ctx.needs_input_grad[2], {"current_gradient": None} if ctx.needs_input_grad[2] else None
        result = _run(engine, ctx.encoded, (ERROR, err), ctx.seed, names, ctx.number)
        layer._trials = max(layer._trials, ctx.number + trials)
        layer.regularization = float(result.outcome.regularization.mean())
        found = input_gradient(engine, result.blocks, trials, err.shape[1]) / share if by_x else None
        grads = [g.data if sparse.issparse(g) else g for g in engine.gradient(share)]
        wanted = [torch.from_numpy(np.array(g)) for g in grads[: len(ctx.needs_input_grad) - 3]]
        return None, None, None if found is None else torch.from_numpy(found), *wanted


def _give(engine: Engine, values: Sequence[Any]) -> None:
    """Put these parameters into the engine, those of absent synapses as 0."""
    for flat, value in zip(engine.weights[:4], values, strict=False):
        flat[:] = value.detach().numpy().reshape(-1)
    engine.weights.w_in[engine.arrays.absent_in] = 0
    engine.weights.w_rec[engine.arrays.absent_rec] = 0


def _run(
    engine: Engine, encoded: InputArrays, targets: tuple[int, np.ndarray], seed: int, variables: Any, number: int = 0
) -> Result:
    """Trials from the initial state. targets : kind and values; variables : what their blocks hold besides the readout"""
    trials, n_steps = encoded.indptr.shape[0], encoded.indptr.shape[1] - 1
    kind, value = targets
    weights_of_time = encode_mask(None, encoded.steps, n_steps, engine.arrays.n_out, engine.dtype, True)
    arrays = TargetArrays(kind, value, np.zeros((1, 1), np.int32), *weights_of_time)
    noise = Noise([np.random.default_rng([seed, 4, b]) for b in range(trials)], engine.arrays.n)
    try:
        return engine.run(Trials(encoded, arrays, learn=kind == ERROR, noise=noise, variables=variables, number=number))
    except BaseException:
        engine.forget_gradient()
        raise
