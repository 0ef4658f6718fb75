"""`Setup`: what a simulator is made of, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from .. import _check
from ..engine.checks import check_interval, check_parts
from ..engine.functional import check_dtype, check_network
from ..engine.rewiring import check_rewiring
from ..losses import Loss, MeanSquaredError, RateRegularizer
from ..network.network import Network
from ..optimizers.optimizers import Optimizer
from ..optimizers.rewiring import DeepR
from ..rules import Rule
from ..rules.base import check_passive


class Parts(Protocol):
    """What trains and evaluates: a simulator, a `Setup` or a `Config`."""

    @property
    def net(self) -> Network: ...

    @property
    def rule(self) -> Rule | None: ...

    @property
    def optimizer(self) -> Optimizer | None: ...

    @property
    def loss(self) -> Loss | None: ...


@dataclass(frozen=True, eq=False)
class Setup:
    """The parts and options of a simulator, checked; the weights are not among them.

    Raises ValueError or TypeError that names the parameter of `Simulator`.
    """

    net: Network
    rule: Rule | None = field(default=None, metadata={"text": "learning rule, as sl.EProp()"})
    optimizer: Optimizer | None = field(default=None, metadata={"text": "as sl.Adam(1e-3)"})
    loss: Loss = field(default_factory=MeanSquaredError, metadata={"text": "MeanSquaredError or CrossEntropy"})
    regularizer: RateRegularizer | None = field(default=None, metadata={"text": "RateRegularizer or None"})
    update_every: str | int = field(
        default="trial", metadata={"text": '"trial" (or batch), or a number of steps K: weights are constant in between'}
    )
    dtype: Any = field(default="float32", metadata={"text": '"float32" or "float64"'})
    seed: int = field(default=0, metadata={"text": "of the weights, where none are given, and of the background noise"})
    threads: int | None = field(default=None, metadata={"text": "trials of a batch are dealt to them; None: all cores"})
    passive: Any = field(default=(), metadata={"text": "rules that are compared with the updating one"})
    passive_every: int = field(default=1, metadata={"text": "updates between two alignments"})
    rewiring: DeepR | None = field(default=None, metadata={"text": "of sparse matrices after updates, as sl.DeepR(); or None"})

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        check_network(self.net)
        set_(self, "seed", _check.seed("Simulator.seed", self.seed))
        check_parts("Simulator", self.rule, self.optimizer, self.loss, self.regularizer)
        if self.threads is not None:
            set_(self, "threads", _check.threads("Simulator.threads", self.threads))
        set_(self, "passive", check_passive(self.passive, self.learns))
        need = "be a positive number of updates"
        set_(self, "passive_every", _check.integer("Simulator.passive_every", self.passive_every, need, low=1))
        rules = () if self.rule is None else (self.rule, *self.passive)
        check_rewiring("Simulator", self.rewiring, self.net, rules, self.optimizer, self.interval)  # the interval is checked too
        set_(self, "dtype", check_dtype("Simulator.dtype", self.dtype))

    @property
    def learns(self) -> bool:
        """Whether there is all that learning takes."""
        return self.rule is not None and self.optimizer is not None

    @property
    def interval(self) -> int | None:
        """K in steps, None where weights change once a trial. Raises as `check_interval`."""
        rules = () if self.rule is None else (self.rule, *self.passive)
        return check_interval(self.update_every, rules, self.loss, self.regularizer)
