"""Back-propagation through time: the exact surrogate gradient of a trial, the reference of all other rules.

The backward engine (`adjoint.py`) with every crossing of a recurrent synapse followed. Neither causal nor
local; needs the tape of the whole trial (Martin-Sanchez, Bohte & Otte 2022, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .. import _check
from ..network import FlatWeights, NetArrays
from .adjoint import AdjointArrays, make_adjoint
from .base import Rule


@dataclass(frozen=True, eq=False)
class BPTT(Rule):
    """Exact gradient through all paths, on whole trials.

    reset_gradient : differentiate the reset (True); detached, the gradient explodes on long trials
    feedback, seed, feedback_decay : see `Rule`
    """

    reset_gradient: bool = True

    causal: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.reset_gradient, (bool, np.bool_)):
            raise _check.fail("BPTT.reset_gradient", "be True or False", self.reset_gradient, error=TypeError)

    def direction(self, interval: int | None, streaming: bool, signal: bool) -> str:
        """See `Rule.direction`."""
        if interval is not None or streaming or signal:
            got = "a stream" if streaming else "a learning signal" if signal else f"update_every={interval}"
            raise _check.fail("BPTT", "run on whole trials with update_every='trial'", got, "EProp works in streams")
        return "adjoint"

    def arrays(self, net: NetArrays, weights: FlatWeights, direction: str, trials: int, learns: np.ndarray) -> AdjointArrays:
        """Scratch for so many trials."""
        return make_adjoint(net, weights, bool(self.reset_gradient), True, trials, learns)
