"""Random feedback local online learning (Murray 2019), for spiking neurons.

    eps_v_ij[t] = alpha_j eps_v_ij[t-1] + zeta_j pre_i[t]                                               (1)
    e_ij[t]     = psi_j[t] eps_v_ij[t]                                                                  (2)

and on with e-prop's equations (4) to (6), whose numbers stand in `engines/traces.py` too. Only the neuron's own decay is
followed: e-prop without the paths through its own spike, adaptation and reset. For LIF neurons with a detached reset it is
e-prop.

The engines are those of e-prop of order 1, on neurons that do not see their own spikes:

    runs where                              engine                      cost of a step
    streams, intervals of 4 steps or more   engines/interval.py         2 to 4 row additions a spike, a pass an interval
    streams, shorter intervals              engines/traces.py           a pass over the synapses
    streams, K = 1, plain SGD               engines/event_driven.py     the rows of sources that spike
    whole trials                            engines/adjoint.py          a pass over neurons, a row addition a spike
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import _check
from ..compiler.dispatch import family
from ..network.arrays import NetArrays
from ..network.weights import FlatWeights
from ..neurons.alif import ALIFParams
from ..neurons.chain_rule import chain
from ..neurons.lif import LIFParams
from .base import Rule, pick_direction
from .engines.adjoint import make_adjoint
from .engines.interval import make_interval
from .engines.traces import make_eligibility


@dataclass(frozen=True, eq=False)
class RFLO(Rule):
    """Random feedback local online learning (Murray 2019, eLife 8:e43299); as published, feedback="random".

    method : "forward", "adjoint" or "auto", as for `EProp`
    feedback, seed, feedback_decay, max_bytes : see `Rule`
    """

    method: str = "auto"

    causal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check.choice("RFLO.method", self.method, ("auto", "forward", "adjoint"))

    @property
    def follows_recurrent(self) -> bool:
        """Never."""
        return False

    @property
    def local(self) -> bool:
        """Always."""
        return True

    def rewires(self, direction: str) -> bool:
        """Always."""
        return True

    def direction(self, interval: int | None, streaming: bool, signal: bool) -> str:
        """See `Rule.direction`."""
        where = f"RFLO(method={self.method!r})"
        return pick_direction(where, self.method, True, interval, streaming, signal, by_interval=True)

    def arrays(self, net: NetArrays, weights: FlatWeights, direction: str, trials: int, learns: np.ndarray) -> Any:
        """e-prop's arrays, with neurons whose own spikes the rule does not see."""
        p = net.params
        blind: Any = p
        if family(type(p)) is ALIFParams:
            blind = p._replace(beta=np.zeros_like(p.beta))
        elif family(type(p)) is not LIFParams:
            blind = chain(p, net.n_hidden, net.n, weights.w_in.dtype, own_spike=False)
        if direction == "adjoint":
            return make_adjoint(net._replace(params=blind), weights, trials, learns, reset_gradient=False)
        if direction == "interval":
            return make_interval(net, weights, False, trials, learns, blind)
        return make_eligibility(net, weights, False, trials, learns, blind)
