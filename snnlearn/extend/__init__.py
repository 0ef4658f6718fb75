"""What people import who add a neuron model or a learning rule: the functions to register for, and what those are made of.

`check_neuron` and `check_rule` test what was written. docs/extend/ has a page for each, whose code is run as printed. May import
what stands above it, verification too.
"""

from typing import TYPE_CHECKING

from ..compiler.dispatch import alike, device, distinct, inlined
from ..network.arrays import NetArrays
from ..network.projections import add_row, add_to_row
from ..network.weights import FlatWeights
from ..neurons.alif import ALIFParams
from ..neurons.base import (
    PROMOTIONS,
    Derivatives,
    Neuron,
    SpikeTangents,
    adjoint,
    advance,
    derivatives,
    fire,
    make_derivatives,
    prepare,
    spike,
    tangent,
    threshold,
)
from ..neurons.lif import LIFParams
from ..neurons.surrogate import complete
from ..rules.base import Rule, before, digest, learning_signal, readout_step
from ..rules.tape import Drive, Model, Span, Tape

if TYPE_CHECKING:
    from ..verification.testing import check_neuron, check_rule

__all__ = [
    "PROMOTIONS",
    "ALIFParams",
    "Derivatives",
    "Drive",
    "FlatWeights",
    "LIFParams",
    "Model",
    "NetArrays",
    "Neuron",
    "Rule",
    "Span",
    "SpikeTangents",
    "Tape",
    "add_row",
    "add_to_row",
    "adjoint",
    "advance",
    "alike",
    "before",
    "check_neuron",
    "check_rule",
    "complete",
    "derivatives",
    "device",
    "digest",
    "distinct",
    "fire",
    "inlined",
    "learning_signal",
    "make_derivatives",
    "prepare",
    "readout_step",
    "spike",
    "tangent",
    "threshold",
]


def __getattr__(name: str) -> object:
    """What checks models and rules is imported on first use: it takes as long as all else here."""
    if name in ("check_neuron", "check_rule"):
        from ..verification import testing

        return getattr(testing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
