"""What a learning rule is: a spec, and a digest of the tape.

A rule adds the gradient of an interval of steps to the accumulator `grad`, from the tape that the forward
simulation left. It works in one of three directions:

    forward    influence is carried along with the network (eligibility traces): causal, any interval
    interval   the same, by adjoints within each interval and traces across its borders
    adjoint    the chain rule goes back over the tape of a window that has closed (a whole trial)

`digest` is registered for the class of the rule's arrays; the loop in `engine/block_loop.py` calls it after
every interval and does not know the rule. Arrays that live from interval to interval stand in the tuple
`carry` of a rule's arrays, trial first; all others are constants or scratch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import _check
from ..compiler.barrier import leads
from ..compiler.dispatch import generic, inlined, summing
from ..losses import SIGNAL
from ..network.arrays import NetArrays
from ..network.network import Network
from ..network.weights import FlatWeights

FEEDBACK = ("symmetric", "random", "adaptive")
NO_WINDOW = 2**62  # steps: a window that only the end of the trial closes
SHORT = 4  # steps of an interval, below which traces in place are cheaper than adjoints within it


@dataclass(frozen=True, eq=False)
class Rule(ABC):
    """What all rules that train hidden weights share.

    feedback : what carries the readout's error to a neuron: "symmetric" (w_out), "random" (N(0,1)/sqrt(n)
        from `seed`), "adaptive" (random at first, then it takes every step of w_out; both decay), or an
        array [n, n_out]. It never replaces recurrent weights.
    seed : of the random feedback
    feedback_decay : fraction of w_out and B that decays at an update; adaptive feedback only
    max_bytes : limit of what the rule keeps. Of influence carried forward (None: 1 GiB): MemoryError beyond. Of
        the tape of a trial that it looks back over (None: 256 MiB): longer trials are recomputed from checkpoints

    Raises ValueError or TypeError that names the parameter.
    """

    feedback: Any = "symmetric"
    seed: int = 0
    feedback_decay: float = 1e-3
    max_bytes: int | None = None

    causal: ClassVar[bool]  # works in a stream, with any update interval
    draws: ClassVar[bool] = False  # its gradient has random numbers, which are others for another structure of the network

    def __post_init__(self) -> None:
        name, set_ = type(self).__name__, object.__setattr__
        if isinstance(self.feedback, str):
            _check.choice(f"{name}.feedback", self.feedback, FEEDBACK)
        else:
            where, need = f"{name}.feedback", "be a name or an array [n, n_out]"
            array = _check.finite(where, _check.numbers(where, self.feedback, need), np.float64).copy()
            if array.ndim != 2:
                raise _check.fail(where, need, self.feedback)
            array.flags.writeable = False
            set_(self, "feedback", array)
        set_(self, "seed", _check.seed(f"{name}.seed", self.seed))
        need = "be a fraction in [0, 1)"
        if self.max_bytes is not None:
            _check.integer(f"{name}.max_bytes", self.max_bytes, "be a positive number of bytes, or None", low=1)
        set_(self, "feedback_decay", _check.number(f"{name}.feedback_decay", self.feedback_decay, need, 0.0, 1.0 - 1e-12))

    @property
    def adaptive(self) -> bool:
        """Whether the feedback learns."""
        return isinstance(self.feedback, str) and self.feedback == "adaptive"

    def feedback_matrix(self, net: Network) -> np.ndarray | None:
        """B [n, n_out], or None for symmetric feedback. Raises ValueError where a given one does not fit."""
        shape = (net.n, net.n_outputs)
        if not isinstance(self.feedback, str):
            return _check.array(f"{type(self).__name__}.feedback", self.feedback, shape, hint="[n, n_out] of this network")
        if self.feedback == "symmetric":
            return None
        return np.random.default_rng(self.seed).standard_normal(shape) / np.sqrt(net.n)

    @abstractmethod
    def direction(self, interval: int | None, streaming: bool, signal: bool) -> str:
        """One of "forward", "interval" and "adjoint": a pure function of the configuration.

        interval : K in steps, None for one update a trial; streaming : the network continues without end;
        signal : the user gives the learning signal itself, which only traces carried forward can take.
        Raises ValueError where the rule cannot work in this setting.
        """

    @property
    def truncation(self) -> int:
        """Length in steps of the windows that an adjoint rule looks back over; NO_WINDOW: the trial."""
        return NO_WINDOW

    @property
    def follows_recurrent(self) -> bool:
        """Whether its gradient follows recurrent synapses: going back, trials then share a pass over the weights."""
        return True

    @property
    def follows_reset(self) -> bool:
        """Whether it differentiates the reset of a neuron by its own spike."""
        return bool(getattr(self, "reset_gradient", False))

    @property
    def local(self) -> bool:
        """Whether each synapse carries one trace, made of its own source and target alone.

        Threads may then split the neurons of a trial, and plain SGD with K = 1 may change the weights in place.
        """
        return False

    @property
    def eligible(self) -> bool:
        """Whether those traces are the eligibility traces of `rules/eligibility.py`."""
        return False

    def rewires(self, direction: str) -> bool:
        """Whether what it carries in this direction stands by synapse, as `Carry` has it, so that it can move with them.

        Where not, its arrays are made anew when synapses have moved, which is between trials only.
        """
        return direction == "adjoint"

    @abstractmethod
    def arrays(self, net: NetArrays, weights: FlatWeights, direction: str, trials: int, learns: np.ndarray) -> Any:
        """The rule's arrays for so many trials at rest; `learns` [4] tells which matrices learn."""


def check_passive(passive: Any, learns: bool) -> tuple[Rule, ...]:
    """Rules that only compute their gradients beside one that updates; raises where they cannot.

    learns : whether there is a rule and an optimizer that update
    """
    where = "Simulator.passive"
    rules = (passive,) if isinstance(passive, Rule) else _check.items(where, passive, "be learning rules such as [sl.BPTT()]")
    for rule in rules:
        if not isinstance(rule, Rule):
            raise _check.fail(where, "be learning rules such as [sl.BPTT()]", rule, error=TypeError)
        if rule.adaptive:
            hint = "adaptive feedback learns with the rule that updates"
            raise _check.fail(where, "have symmetric, random or given feedback", rule.feedback, hint)
    if rules and not learns:
        raise _check.fail(where, "come with a rule and an optimizer that update", None)
    return rules


@summing
def any_set(x):
    """Whether an entry differs from zero, nan included."""
    total = x.dtype.type(0)
    for j in range(x.shape[0]):
        total += abs(x[j])
    return not total == 0


@inlined
def learning_signal(targets, b, t, err, weights, signal):
    """Fill signal (n,) with L_j = sum_k B_jk err_k, or with the user's own learning signal.

    targets, weights : as kernels see them; b, t : trial and step; err : [n_out] dE/dy of that step
    """
    n_out = err.shape[0]
    if targets.kind == SIGNAL:
        for j in range(signal.shape[0]):
            signal[j] = targets.mask[b, t] * targets.value[b, t, j]
    else:
        w_feedback = weights.feedback if weights.feedback.shape[0] > 0 else weights.w_out
        for j in range(signal.shape[0]):
            total = err.dtype.type(0)
            for k in range(n_out):
                total += w_feedback[j * n_out + k] * err[k]
            signal[j] = total


class Carry(NamedTuple):
    """What e-prop carries forward, in place or from interval to interval."""

    w_in: Any  # of the synapses of each projection
    w_rec: Any
    readout: np.ndarray  # [trials, n] s of `readout_step`
    bias: np.ndarray  # [trials]

    def copied(self) -> tuple[str, ...]:
        """What each of several threads on one trial keeps a copy of."""
        return ("readout", "bias")


@inlined
def readout_step(carry, net, tape, grad, b, span, row):
    """Gradient of the readout, carried forward in carry.readout, the filtered spike trains, and carry.bias. In place.

    net, tape, grad, span : as a digest has them; b : trial; row : of the tape
    """
    if not leads(span.team):
        return
    g_out, g_b, n_out = grad.w_out[span.group], grad.b_out[span.group], net.n_out
    s, bias_trace, err = carry.readout[b], carry.bias, tape.error[b, row]
    for j in range(s.shape[0]):
        s[j] *= net.kappa
    for event in range(tape.spike_ptr[b, row + net.delay], tape.spike_ptr[b, row + net.delay + 1]):
        s[tape.spike_index[b, event]] += net.scale
    for j in range(s.shape[0]):
        for k in range(n_out):
            g_out[j * n_out + k] += err[k] * s[j]
    bias_trace[b] = net.kappa * bias_trace[b] + net.scale
    for k in range(n_out):
        g_b[k] += err[k] * bias_trace[b]


def pick_direction(
    where: str, method: str, can_stream: bool, interval: int | None, streaming: bool, signal: bool, by_interval: bool = False
) -> str:
    """The direction of a rule that has both: adjoint on whole trials unless `method` says otherwise.

    can_stream : whether traces carried forward exist for it
    by_interval : whether it has a form by intervals, for weights that change every few steps or more seldom

    Raises ValueError, naming `where`, for an adjoint form without a closed window.
    """
    closed = interval is None and not streaming and not signal
    if not closed and (method == "adjoint" or not can_stream):
        got = "a stream" if streaming else "a learning signal" if signal else f"update_every={interval}"
        need = "run on whole trials with update_every='trial'"
        hint = "method='forward' works in streams" if can_stream else "EProp works in streams"
        raise _check.fail(where, need, got, hint)
    if closed and method != "forward":
        return "adjoint"
    return "interval" if by_interval and method == "auto" and (interval or SHORT) >= SHORT else "forward"


class NoRule(NamedTuple):
    """Stands for the rule's arrays where nothing learns."""

    unused: int


@generic(1, inline=True)
def digest(rule, model, drive, tape, grad, span, start, stop):
    """Add the gradient of steps start .. stop-1 of all trials to accumulator span.group of `grad`; carry on, in place.

    model : `Model`; drive : `Drive`; tape : `Tape` of these steps; grad : `FlatWeights` with an axis of accumulators in front
    Called after each interval, or part of one; a rule that looks back waits for the end of its window.
    """


@generic(1, inline=True, default=True)
def before(rule, model, drive, tape, span, t):
    """Called before step t is simulated, for rules that bring weights up to date when they are read. In place."""
    return None


@digest.register(NoRule)
def no_rule_digest(rule, model, drive, tape, grad, span, start, stop):
    return None


def describe(rule: Rule) -> str:
    """The rule's class with the parameters that differ from their defaults."""
    shown = []
    for key, field in type(rule).__dataclass_fields__.items():
        value = getattr(rule, key)
        if isinstance(value, np.ndarray):
            shown.append(f"{key}=given")
        elif value != field.default:
            shown.append(f"{key}={value!r}")
    return f"{type(rule).__name__}({', '.join(shown)})"
