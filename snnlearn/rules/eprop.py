"""e-prop of order m (Bellec et al. 2020, eqs 2-4 and 13; Martin-Sanchez, Bohte & Otte 2022, sections 4 and 5).

Order 1 follows the paths that stay in the postsynaptic neuron. For the synapse i -> j, with its learning signal L_j:

    eps_v_ij[t] = alpha_j eps_v_ij[t-1] + zeta_j pre_i[t]  ( - thr_j e_ij[t-1] with reset_gradient )     (1)
    eps_a_ij[t] = rho_j eps_a_ij[t-1] + e_ij[t-1]                                          (ALIF)       (2)
    e_ij[t]     = psi_j[t] ( eps_v_ij[t] - beta_j eps_a_ij[t] )                                         (3)
    ebar_ij[t]  = kappa ebar_ij[t-1] + scale e_ij[t]                                                    (4)
    L_j[t]      = sum_k B_jk err_k[t]                                                                   (5)
    dE/dW_ij   += L_j[t] ebar_ij[t] + reg_j[t] e_ij[t]                                                  (6)

The numbers stand in `engines/traces.py`, which computes them as they are written. Order m adds the paths that cross up to
m - 1 recurrent synapses. All engines give the same gradient, to rounding:

    order   runs where                                engine                      cost of a step
    1       streams, intervals of 4 steps or more     engines/interval.py         2 to 4 row additions a spike, a pass an interval
    1       streams, shorter intervals                engines/traces.py           a pass over the synapses
    1       streams, K = 1, plain SGD                 engines/event_driven.py     the rows of sources that spike
    1, m    whole trials                              engines/adjoint.py          m passes over neurons, a row addition a spike
    m       streams                                   engines/influence.py        a multiplication a crossing and synapse
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import _check
from ..network.arrays import NetArrays
from ..network.weights import FlatWeights
from .base import Rule, pick_direction
from .engines.adjoint import make_adjoint
from .engines.influence import MAX_BYTES, Kept, Limit, make_influence
from .engines.interval import make_interval
from .engines.traces import make_eligibility


@dataclass(frozen=True, eq=False)
class EProp(Rule):
    """e-prop of order m: follows up to m - 1 crossings of recurrent synapses.

    Order 1 is e-prop (Bellec et al. 2020, Nature Communications 11:3625); the family of orders is that of
    Martin-Sanchez, Bohte & Otte 2022; all orders together are BPTT.

    order : m >= 1, or None for all
    reset_gradient : differentiate the reset; None means False at order 1, as published, and True above,
        where a detached reset diverges
    method : "forward" (order 1: eligibility traces in place; above: influence graded by crossings, for small or
        sparse networks), "adjoint" (graded adjoints on the tape of a trial) or "auto", the cheapest one that the
        setting allows (for order 1 in streams adjoints within each interval, unless it is short). All give the
        same gradient
    feedback, seed, feedback_decay, max_bytes : see `Rule`
    """

    order: int | None = 1
    reset_gradient: bool | None = None
    method: str = "auto"

    causal: ClassVar[bool] = True

    def __init__(
        self,
        order: int | None = 1,
        feedback: Any = "symmetric",
        reset_gradient: bool | None = None,
        method: str = "auto",
        seed: int = 0,
        feedback_decay: float = 1e-3,
        max_bytes: int | None = None,
    ):
        values = locals()
        for key in ("order", "feedback", "reset_gradient", "method", "seed", "feedback_decay", "max_bytes"):
            object.__setattr__(self, key, values[key])
        super().__post_init__()
        if order is not None:
            object.__setattr__(self, "order", _check.integer("EProp.order", order, "be a number >= 1, or None for all", low=1))
        _check.choice("EProp.method", method, ("auto", "forward", "adjoint"))
        if reset_gradient is not None and not isinstance(reset_gradient, (bool, np.bool_)):
            raise _check.fail("EProp.reset_gradient", "be True, False or None", reset_gradient, error=TypeError)

    @property
    def follows_reset(self) -> bool:
        """Whether the reset is differentiated: by default above order 1."""
        return self.order != 1 if self.reset_gradient is None else bool(self.reset_gradient)

    @property
    def follows_recurrent(self) -> bool:
        """Whether it is of an order above 1."""
        return self.order != 1

    @property
    def local(self) -> bool:
        """Whether it is of order 1."""
        return self.order == 1

    @property
    def eligible(self) -> bool:
        """Whether it is of order 1."""
        return self.order == 1

    def rewires(self, direction: str) -> bool:
        """See `Rule.rewires`: of order 1 in every direction."""
        return direction != "forward" or self.order == 1

    def direction(self, interval: int | None, streaming: bool, signal: bool) -> str:
        """See `Rule.direction`. The adjoint form needs a closed window: one update a trial that starts at rest.

        "interval" is the causal form for order 1 where weights change every few steps or more seldom (`interval.py`).
        """
        where = f"EProp(method={self.method!r})"
        return pick_direction(where, self.method, True, interval, streaming, signal, by_interval=self.order == 1)

    def arrays(self, net: NetArrays, weights: FlatWeights, direction: str, trials: int, learns: np.ndarray) -> Any:
        """The rule's arrays for so many trials, traces at zero."""
        if direction == "adjoint":
            grades, through = (1, True) if self.order is None else (self.order, False)
            return make_adjoint(net, weights, trials, learns, reset_gradient=self.follows_reset, grades=grades, through=through)
        if direction == "interval":
            return make_interval(net, weights, self.follows_reset, trials, learns)
        if self.order == 1:
            return make_eligibility(net, weights, self.follows_reset, trials, learns)
        kept = Kept(None) if self.order is None else Kept(self.order - 1, graded=True)
        limit = Limit(f"EProp(order={self.order})", self.max_bytes or MAX_BYTES)
        return make_influence(net, weights, trials, learns, reset_gradient=self.follows_reset, kept=kept, limit=limit)
