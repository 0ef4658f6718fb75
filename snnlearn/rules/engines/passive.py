"""Several rules on one trajectory: one updates the weights, the others only compute their gradients.

A passive rule digests the same tape into an accumulator of its own, with a feedback of its own. Rules nest:
`Several(Several(active, passive_1), passive_2)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...compiler.dispatch import device
from ...network.weights import FlatWeights
from ..base import digest
from ..tape import Model


class Several(NamedTuple):
    """A rule, or several, with one more that is passive."""

    active: Any  # a rule's arrays, or Several
    passive: Any  # a rule's arrays
    feedback: np.ndarray  # of the passive rule, [n * n_out] or [0]
    grad: FlatWeights  # of the passive rule
    total: FlatWeights  # sum of the gradients that updates inside a block were made of; size 0 in inner ones
    on: np.ndarray  # uint8 [1] whether the passive rule digests


def several(
    arrays: Sequence[Any], feedback: Sequence[np.ndarray], grads: Sequence[FlatWeights], total: FlatWeights, on: np.ndarray
) -> Any:
    """The arrays of the active rule, followed by those of passive ones, as one."""
    nested, nothing = arrays[0], FlatWeights(*(np.zeros((0, 0), w.dtype) for w in total))
    for m, passive in enumerate(arrays[1:]):
        last = m == len(arrays) - 2
        nested = Several(nested, passive, feedback[m], grads[m], total if last else nothing, on)
    return nested


def carried(arrays: Any) -> Iterator[np.ndarray]:
    """What a rule's arrays carry from interval to interval."""
    if isinstance(arrays, Several):
        yield from carried(arrays.active)
        yield from carried(arrays.passive)
    else:
        yield from _leaves(getattr(arrays, "carry", ()))


def synapse_traces(arrays: Any, matrix: str) -> Iterator[np.ndarray]:
    """What a rule's arrays carry for the synapses of a matrix, arrays [..., synapses]. matrix : w_in or w_rec"""
    if isinstance(arrays, Several):
        yield from synapse_traces(arrays.active, matrix)
        yield from synapse_traces(arrays.passive, matrix)
        return
    part = getattr(getattr(arrays, "carry", None), matrix, None)
    if isinstance(part, np.ndarray):
        yield part
    elif part is not None:
        yield from (array for name, array in part._asdict().items() if name not in part.copied())


def _leaves(arrays: Any) -> Iterator[np.ndarray]:
    for value in arrays:
        if isinstance(value, tuple):
            yield from _leaves(value)
        else:
            yield value


@digest.register(Several)
def several_digest(rule, model, drive, tape, grad, span, start, stop):
    weights = model.weights
    # the active rule comes last: the tape's learning signal, which recorders read, is its own
    if rule.on[0] != 0:
        own = FlatWeights(weights.w_in, weights.w_rec, weights.w_out, weights.b_out, rule.feedback)
        digest(rule.passive, Model(model.net, own, model.rates), drive, tape, rule.grad, span, start, stop)
    digest(rule.active, model, drive, tape, grad, span, start, stop)
    ends = (stop + span.offset) % span.interval == 0 or stop == span.n_steps
    if span.update and ends and rule.total.w_in.shape[0] > 0:
        _add(rule.total.w_in[0], grad.w_in[span.group])
        _add(rule.total.w_rec[0], grad.w_rec[span.group])
        _add(rule.total.w_out[0], grad.w_out[span.group])
        _add(rule.total.b_out[0], grad.b_out[span.group])


@device
def _add(total, part):
    for s in range(total.shape[0]):
        total[s] += part[s]
