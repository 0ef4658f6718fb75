"""Back-propagation through time, whole or truncated (Martin-Sanchez, Bohte & Otte 2022, section 3; Williams & Peng 1990).

BPTT follows every path, crossings of recurrent synapses included: the exact surrogate gradient of a trial and the reference of
all other rules. Going back from the last step, with c_j[t] what a unit arrival at neuron j earns at step t:

    ly_k[t]  = kappa ly_k[t+1] + err_k[t]                                                               (1)
    gz_j[t]  = scale sum_k B_jk ly_k[t] + reg_j[t]                                                      (2)
             + sum_l w_rec[j, l] c_l[t+delay]                                                           (3)
    c[t]     = adjoint(gz[t]; neuron's own state)                                                       (4)
    dE/dW_ij += pre_i[t] c_j[t]                                                                         (5)

The numbers stand in `engines/adjoint.py`. Neither form is causal or local; both need the tape of the trial or window:

    rule             runs where                 engine                cost of a step
    BPTT             whole trials               engines/adjoint.py    a pass over the neurons and, for (3), over w_rec
    TruncatedBPTT    trials, streams in windows engines/adjoint.py    the same; every path is cut at the window's borders
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import _check
from ..network.network import FlatWeights, NetArrays
from .base import Rule, pick_direction
from .engines.adjoint import AdjointArrays, make_adjoint


@dataclass(frozen=True, eq=False)
class BPTT(Rule):
    """Exact gradient through all paths, on whole trials.

    reset_gradient : differentiate the reset (True); detached, the gradient explodes on long trials
    feedback, seed, feedback_decay, max_bytes : see `Rule`
    """

    reset_gradient: bool = True

    causal: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check.flag(f"{type(self).__name__}.reset_gradient", self.reset_gradient)

    def direction(self, interval: int | None, streaming: bool, signal: bool) -> str:
        """See `Rule.direction`."""
        return pick_direction(type(self).__name__, "adjoint", False, interval, streaming, signal)

    def arrays(self, net: NetArrays, weights: FlatWeights, direction: str, trials: int, learns: np.ndarray) -> AdjointArrays:
        """Scratch for so many trials."""
        attached, window = bool(self.reset_gradient), self.truncation
        return make_adjoint(net, weights, trials, learns, attached=attached, through=True, window=window)


@dataclass(frozen=True, eq=False)
class TruncatedBPTT(BPTT):
    """BPTT within windows of `window` steps, aligned to the first step of the trial.

    Before every step t with t mod window = 0 all that is carried (membranes, spikes in flight, the readout)
    counts as constant, so the readout's gradient is truncated too; the simulation itself is not touched.

    window : steps; update_every must be a multiple of it, or "trial"
    reset_gradient, feedback, seed, feedback_decay, max_bytes : as for `BPTT`
    """

    window: int = 0

    def __init__(
        self,
        window: int,
        feedback: Any = "symmetric",
        reset_gradient: bool = True,
        seed: int = 0,
        feedback_decay: float = 1e-3,
        max_bytes: int | None = None,
    ):
        window = _check.integer("TruncatedBPTT.window", window, "be a positive number of steps", low=1)
        values = {"feedback": feedback, "reset_gradient": reset_gradient, "seed": seed, "feedback_decay": feedback_decay}
        for key, value in (values | {"max_bytes": max_bytes, "window": window}).items():
            object.__setattr__(self, key, value)
        super().__post_init__()

    @property
    def truncation(self) -> int:
        """Length of a window in steps."""
        return self.window

    def direction(self, interval: int | None, streaming: bool, signal: bool) -> str:
        """See `Rule.direction`. Works where weights change at borders of windows only, in streams too."""
        where = f"TruncatedBPTT(window={self.window})"
        if signal:
            raise _check.fail(where, "get targets or an error", "a learning signal", "EProp takes one")
        if interval is not None and interval % self.window:
            raise _check.fail(where, "have update_every a multiple of its window", interval)
        return "adjoint"
