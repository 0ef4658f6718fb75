"""What chips with spiking networks offer, as data with sources, and which of their limits a network keeps: `sl.profiles`.

    sl.profiles.PROFILES["reckon"].neurons              256
    sl.plan(net, rule, profile="reckon")                says limit by limit what fits

A limit that a source does not tell is None and not looked at. What a chip computes in other ways (fixed point, resets, time
steps) is not told here: what fits may still behave differently.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from .. import _check
from ..network.network import Network
from ..network.weights import Weights
from ..rules import Rule

__all__ = ["PROFILES", "ChipLimit", "Profile", "check", "find"]


class Profile(NamedTuple):
    """What a chip offers; None: not told, or not limited."""

    name: str
    source: str
    inputs: int | None = None  # channels
    neurons: int | None = None
    outputs: int | None = None
    synapses: int | None = None  # of inputs and recurrence
    fan_out: int | None = None  # recurrent synapses of a neuron
    weight_bits: int | None = None
    memory: int | None = None  # bytes
    models: tuple[str, ...] | None = None  # classes of neurons
    rules: tuple[str, ...] | None = None  # classes of rules that it learns by; (): it does not learn


PROFILES: dict[str, Profile] = {
    "reckon": Profile(
        name="ReckOn",
        source="Frenkel & Indiveri 2022, ISSCC, arXiv 2208.09759; topology and memories: doc/README.md of its HDL source",
        inputs=256,
        neurons=256,
        outputs=16,
        weight_bits=8,
        models=("LIF",),
        rules=("EProp",),
    ),
    "loihi2": Profile(
        name="Loihi 2",
        source="Intel 2021, technology brief: one chip, 128 cores, neurons in microcode, three-factor learning",
        neurons=1_000_000,
        synapses=120_000_000,
        rules=("EProp", "RFLO"),
    ),
    "spinnaker2": Profile(
        name="SpiNNaker 2",
        source="Mayr, Hoeppner & Furber 2019, SpiNNaker 2: A 10 Million Core Processor System; 2 GB a chip, learning is software",
        memory=2_000_000_000,
    ),
    "xylo": Profile(
        name="Xylo Audio 2",
        source="SynSense, rockpool.ai/devices/xylo-overview.html",
        inputs=16,
        neurons=1000,
        outputs=8,
        fan_out=64,
        weight_bits=8,
        models=("LIF", "CubaLIF"),
        rules=(),
    ),
}


class ChipLimit(NamedTuple):
    """One limit of a chip, and what a network needs of it."""

    what: str
    most: str
    needed: str
    fits: bool

    def __str__(self) -> str:
        return f"{'fits' if self.fits else 'too much'}: {self.what} {self.needed} (at most {self.most})"


def find(name: str | Profile, where: str = "profile") -> Profile:
    """The profile of this name. Raises ValueError that lists the names. where : what errors call it"""
    if isinstance(name, Profile):
        return name
    _check.choice(where, name, PROFILES)
    return PROFILES[name]


def check(profile: str | Profile, net: Network, weights: Weights, rule: Rule | None, n_bytes: int) -> tuple[ChipLimit, ...]:
    """The limits of a chip in turn.

    profile : a name of `PROFILES`, or a `Profile`; n_bytes : of all that the run keeps; rule : None where nothing is learnt
    """
    p, found = find(profile), []
    synapses, fan_out = sum(map(_count, weights[:2])), _fan_out(weights.w_rec)
    for what, most, needed in (
        ("input channels", p.inputs, net.n_inputs),
        ("neurons", p.neurons, net.n),
        ("outputs", p.outputs, net.n_outputs),
        ("synapses", p.synapses, synapses),
        ("recurrent synapses of a neuron", p.fan_out, fan_out),
        ("bytes", p.memory, n_bytes),
    ):
        if most is not None:
            found.append(ChipLimit(what, f"{most}", f"{needed}", needed <= most))
    if p.weight_bits is not None:
        levels = max(len(np.unique(w.data if sparse.issparse(w) else w)) for w in weights[:3])
        found.append(ChipLimit("levels of a matrix", f"2^{p.weight_bits}", f"{levels}", levels <= 2**p.weight_bits))
    if p.models is not None:
        kinds = sorted({type(group).__name__ for group in net.neurons})
        found.append(ChipLimit("neurons of", " or ".join(p.models), " and ".join(kinds), set(kinds) <= set(p.models)))
    if p.rules is not None and rule is not None:
        name = type(rule).__name__
        fits = name in p.rules and getattr(rule, "order", 1) == 1
        shown = name if getattr(rule, "order", 1) == 1 else f"{name} of order {rule.order}"  # type: ignore[attr-defined]
        found.append(ChipLimit("learning by", " or ".join(p.rules) or "nothing: inference only", shown, fits))
    return tuple(found)


def _count(w: Any) -> int:
    return int(w.nnz if sparse.issparse(w) else np.count_nonzero(w))


def _fan_out(w: Any) -> int:
    rows = np.diff(w.indptr) if sparse.issparse(w) else np.count_nonzero(w, axis=1)
    return int(rows.max(initial=0))
