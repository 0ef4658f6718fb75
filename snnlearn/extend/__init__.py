"""What people import who add a neuron model or a learning rule: the functions to register for, and what those are made of.

May import neurons, network, rules and engine; docs/extend/ has a page for each, whose code is run as printed.
"""

from ..compiler.dispatch import device, distinct, inlined
from ..network.connectivity import add_row, add_to_row
from ..network.network import FlatWeights, NetArrays
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
from ..neurons.surrogate import complete
from ..rules.base import Rule, before, digest, learning_signal, readout_step
from ..rules.tape import Drive, Model, Span, Tape

__all__ = [
    "PROMOTIONS",
    "Derivatives",
    "Drive",
    "FlatWeights",
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
    "before",
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
