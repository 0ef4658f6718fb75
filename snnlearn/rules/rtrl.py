"""Real-time recurrent learning, exact and sparse (Williams & Zipser 1989; Menick et al. 2021).

RTRL is BPTT in causal form: the same gradient, carried forward. For the synapse i -> j and a neuron l that it reaches:

    PI_l    = sum_q w_rec[q, l] Pz_q[t-delay] + [l = j] pre_i[t]                                        (1)
    P, Pz_l = tangent(PI_l, P[t-1], Pz_l[t-1]; neuron l)                                                (2)
    Py_k    = kappa Py_k[t-1] + scale sum_l B_lk Pz_l                                                   (3)
    dE/dW_ij += sum_k err_k Py_k + sum_l reg_l Pz_l                                                     (4)

The numbers stand in `engines/influence.py`. SnAp-n keeps the influence of a weight only on neurons within n - 1 recurrent
synapses of its own; the unit of the pattern is the neuron. SnAp-1 without self-connections is e-prop; SnAp saturated is RTRL.

    rule      runs where           engine                  cost of a step
    RTRL      streams, trials      engines/influence.py    a multiplication for each neuron reached, crossing and synapse
    SnAp-n    streams, trials      engines/influence.py    the same, of the neurons that are kept
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import _check
from ..network.network import FlatWeights, NetArrays
from .base import Rule
from .engines.influence import MAX_BYTES, InfluenceArrays, make_influence


@dataclass(frozen=True, eq=False)
class RTRL(Rule):
    """The exact gradient in causal form: works in streams, at every step. O(n x synapses) memory.

    reset_gradient : differentiate the reset
    feedback, seed, feedback_decay, max_bytes : see `Rule`
    """

    reset_gradient: bool = True

    causal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        _check.flag(f"{name}.reset_gradient", self.reset_gradient)

    @property
    def hops(self) -> int | None:
        """Crossings that the influence reaches over; None: any number."""
        return None

    def direction(self, interval: int | None, streaming: bool, signal: bool) -> str:
        """See `Rule.direction`."""
        if signal:
            raise _check.fail(type(self).__name__, "get targets or an error", "a learning signal", "EProp takes one")
        return "forward"

    def arrays(self, net: NetArrays, weights: FlatWeights, direction: str, trials: int, learns: np.ndarray) -> InfluenceArrays:
        """Influence at zero for so many trials."""
        options: dict[str, Any] = {"name": type(self).__name__, "hops": self.hops, "max_bytes": self.max_bytes or MAX_BYTES}
        return make_influence(net, weights, trials, learns, attached=bool(self.reset_gradient), **options)


@dataclass(frozen=True, eq=False)
class SnAp(RTRL):
    """Sparse n-step approximation of RTRL (Menick et al. 2021), arXiv 2006.07232.

    reset_gradient, feedback, seed, feedback_decay, max_bytes : as for `RTRL`
    n : 1 keeps the influence on the synapse's own neuron, n that on neurons within n - 1 recurrent synapses
    """

    n: int = 0  # always given

    def __init__(
        self,
        n: int,
        feedback: Any = "symmetric",
        reset_gradient: bool = True,
        seed: int = 0,
        feedback_decay: float = 1e-3,
        max_bytes: int | None = None,
    ):
        values = {"feedback": feedback, "reset_gradient": reset_gradient, "seed": seed, "feedback_decay": feedback_decay}
        n = _check.integer("SnAp.n", n, "be a number >= 1", low=1)
        for key, value in (values | {"max_bytes": max_bytes, "n": n}).items():
            object.__setattr__(self, key, value)
        super().__post_init__()

    @property
    def hops(self) -> int:
        """Crossings that the influence reaches over."""
        return self.n - 1
