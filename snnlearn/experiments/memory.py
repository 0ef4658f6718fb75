"""Bytes that a run needs, and what fits where it does not: from the configuration first, then from the arrays of the run.

Nothing is allocated for what cannot fit: pages of arrays of zeros come with their first use.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .._check import machine_bytes as machine_bytes
from .._check import size_text
from ..engine.batch import Trials
from ..engine.engine import Engine
from ..engine.schedule import TAPE_LIMIT
from ..network.connectivity import Sparse, synapses_of
from ..network.network import Network
from ..rules import Rule
from ..rules.base import describe
from ..rules.tape import make_state
from ..rules.taxonomy import KINDS, STANDARD, Member, Size, parse_rule, taxonomy


def bytes_needed(engine: Engine, job: Trials, streaming: bool) -> dict[str, int]:
    """Bytes of the arrays that such a job needs, by what they hold."""
    schedule = engine.schedule(job, streaming)
    spaces = 1 if streaming or engine.interval is not None else min(engine.threads, len(schedule.shares) - 1)
    hidden = sum(array.nbytes for array in engine.weights[:4])
    needed = {
        "weights": hidden + nbytes(tuple(engine.arrays)),
        "gradient": hidden * (len(schedule.shares) - 1) * (1 + len(engine.passive_grads)) if job.learn else 0,
        "optimizer": nbytes(tuple(engine.opt)) if job.learn else 0,
        "state": spaces * nbytes(tuple(make_state(engine.arrays, engine.hidden, schedule.slots))),
        "tape": spaces * schedule.slots * engine.scheduler.tape_bytes(schedule.rows, schedule.plan),
        "rule": 0,
    }
    if engine.rewirer is not None and job.learn:  # signs, and a copy of the array that is moved
        needed["optimizer"] += sum(m.signs.nbytes + m.weights.nbytes for m in engine.rewirer.matrices)
    if schedule.plan.directions is not None:
        needed["rule"] = spaces * nbytes(engine.workspaces.rule_arrays(schedule.plan.directions, schedule.slots, streaming))
    return needed


def nbytes(arrays: Any) -> int:
    """Bytes of nested tuples of arrays and sparse matrices."""
    if isinstance(arrays, tuple):
        return sum(map(nbytes, arrays))
    if hasattr(arrays, "indptr"):
        return sum(a.nbytes for a in (arrays.data, arrays.indices, arrays.indptr))
    return arrays.nbytes if isinstance(arrays, np.ndarray) else 0


def refuse(net: Network, rule: Rule | None, n_steps: int, itemsize: int, limit: float, online: bool) -> None:
    """MemoryError where the network or the rule cannot fit, from the configuration alone: nothing is allocated for it."""
    size, least, per_synapse = _least(net, rule, n_steps, itemsize)
    if least > limit:
        room = limit / net.n - net.n_outputs * (8 + itemsize)  # of a neuron, beside its weights to the readout
        fit = int(float(f"{max(0.0, room) / per_synapse:.2g}"))  # a figure to begin with: the rule's own comes on top
        hint = "sl.Sparse(indegree=...) keeps its synapses alone" + (f", about {fit} a neuron fit" if fit else "")
        need = f"the network's {size.synapses} synapses need {size_text(least)}"
        raise MemoryError(f"plan: {need} and {size_text(limit)} are there; {hint}")
    if rule is None:
        return
    own = _own(rule, size, online, itemsize)
    if least + own > limit:
        instead = _rules_that_fit(rule, size, online, itemsize, limit - least, least)
        need = f"the run with {describe(rule)} needs {size_text(least + own)}"
        raise MemoryError(f"plan: {need} and {size_text(limit)} are there{instead}")


def refuse_run(engine: Engine, job: Trials, streaming: bool, limit: float, plain: Callable[[], Engine]) -> None:
    """MemoryError where the arrays of a run are more than fit, with the nearest run that does.

    plain : makes the same engine with SGD without momentum
    """
    needed = bytes_needed(engine, job, streaming)
    total = sum(needed.values())
    if total <= limit:
        return
    most = max(needed, key=lambda name: needed[name])
    need = f"the run needs {size_text(total)}, {size_text(needed[most])} of it for {most}"
    instead = _nearest(engine, job, streaming, limit, plain)
    raise MemoryError(f"plan: {need}, and {size_text(limit)} are there{instead}")


def refuse_batch(engine: Engine, one: Trials, per_trial: int, batch: int, streaming: bool, limit: float) -> None:
    """MemoryError where the inputs and targets of so many trials alone do not fit, with the largest batch that does.

    one : the job of a single trial; per_trial : bytes of its inputs and targets
    """
    if batch * per_trial <= limit:
        return
    job = _repeated(one, max(1, int(limit // per_trial)))
    fits = _most_trials(job.n_trials, lambda n: bytes_of_part(engine, job, n, streaming) + n * per_trial <= limit)
    need = f"inputs and targets of a batch of {batch} trials need {size_text(batch * per_trial)}"
    instead = f"; what fits: batch={fits}" if fits else ""
    raise MemoryError(f"plan: {need} and {size_text(limit)} are there{instead}")


def bytes_of_part(engine: Engine, job: Trials, trials: int, streaming: bool) -> int:
    """Bytes that the first so many trials of a job need."""
    return sum(bytes_needed(engine, job.part(0, trials), streaming).values())


def _repeated(job: Trials, n: int) -> Trials:
    """A job of n trials like its only one, as views."""

    def repeated(array: Any) -> Any:
        is_trial = isinstance(array, np.ndarray) and array.shape[:1] == (1,)
        return np.broadcast_to(array, (n, *array.shape[1:])) if is_trial else array

    inputs = job.inputs._replace(indptr=repeated(job.inputs.indptr), steps=repeated(job.inputs.steps))
    targets = job.targets._replace(**{k: repeated(x) for k, x in job.targets._asdict().items()})
    return job._replace(inputs=inputs, targets=targets)


def _most_trials(n: int, fits: Callable[[int], bool]) -> int:
    """The largest number of trials up to n that fits; 0 where not even one does."""
    if fits(n):
        return n
    found, too_many = 0, n
    while too_many - found > 1:
        middle = (found + too_many) // 2
        found, too_many = (middle, too_many) if fits(middle) else (found, middle)
    return found


def _nearest(engine: Engine, job: Trials, streaming: bool, limit: float, plain: Callable[[], Engine]) -> str:
    """A run that fits, as a hint: without moments, with fewer trials at a time, by another rule; "" where none of it helps."""
    if job.learn and nbytes((engine.opt.first, engine.opt.second)):
        found = bytes_of_part(plain(), job, job.n_trials, streaming)
        if found <= limit:
            return f"; what fits: sl.SGD without momentum ({size_text(found)})"
    fits = _most_trials(job.n_trials, lambda n: bytes_of_part(engine, job, n, streaming) <= limit)
    if fits:
        return f"; what fits: batch={fits} ({size_text(bytes_of_part(engine, job, fits, streaming))})"
    if engine.rule is None:
        return ""
    needed = bytes_needed(engine, job, streaming)
    itemsize, online = engine.dtype.itemsize, streaming or engine.interval is not None
    size, *_ = _least(engine.net, engine.rule, job.n_steps, itemsize)
    rest = sum(needed[name] for name in ("weights", "gradient", "optimizer", "state"))
    return _rules_that_fit(engine.rule, size, online, itemsize, limit - rest, rest)


def _least(net: Network, rule: Rule | None, n_steps: int, itemsize: int) -> tuple[Size, float, int]:
    """The size of a network, bytes that it needs with whatever rule, and what a synapse needs where it is sparse."""
    counts = [synapses_of(net.inputs, net.n_inputs, net.n), synapses_of(net.recurrent, net.n, net.n)]
    size = Size(net.n, net.n_outputs, sum(counts), counts[1] / net.n, n_steps, len(net.variables), net.delay_steps)
    stored = [isinstance(c, Sparse) for c in (net.inputs, net.recurrent)]
    targets = 4 * sum(count for count, sparse in zip(counts, stored, strict=True) if sparse)
    built = size.synapses * (8 + itemsize) + 2 * targets  # weights as they are drawn, in float64, and as they are kept
    least = max(built, size.synapses * itemsize * (1 if rule is None else 2) + targets)
    return size, least, 8 + itemsize + 2 * 4


def _rules_that_fit(instead_of: Rule, size: Size, online: bool, itemsize: int, room: float, rest: float) -> str:
    """Standard rules that need no more than this room, and less than the one that does not fit, as a hint.

    rest : bytes of the run beside the rule's, so that what stands in the hint compares with what was asked for
    """
    fit, refused = [], _own(instead_of, size, online, itemsize) or math.inf  # nothing is known of a rule of one's own
    for name in STANDARD:
        try:
            own = _own(parse_rule(name), size, online, itemsize)
        except ValueError:  # a rule that cannot work in this setting
            continue
        if own <= room and own < refused:
            fit.append(f"{name} ({size_text(rest + own)})")
    return f"; what fits: {', '.join(fit[:4])}" if fit else ""


def _own(rule: Rule, size: Size, online: bool, itemsize: int) -> float:
    """Bytes that a rule needs, by the taxonomy; the tape of a long trial is bounded. ValueError where it cannot work."""
    bytes_ = itemsize * floats(rule, size, online)
    adjoint = rule.direction(1 if online else None, online, False) == "adjoint"
    return min(bytes_, rule.max_bytes or TAPE_LIMIT) if adjoint else bytes_


def floats(rule: Rule, size: Size, online: bool) -> float:
    """Numbers that a rule keeps, by the taxonomy; 0 for a rule that it does not know. ValueError where it cannot work."""
    member, size = _member(rule, size, online)
    return 0.0 if member is None else member.floats(size)


def operations(net: Network, rule: Rule, n_steps: int, online: bool) -> float:
    """Multiply-adds that a rule takes in a trial, by the taxonomy; 0 for a rule that it does not know."""
    member, size = _member(rule, _least(net, rule, n_steps, 4)[0], online)
    return 0.0 if member is None else n_steps * member.operations(size)


def _member(rule: Rule, size: Size, online: bool) -> tuple[Member | None, Size]:
    """The entry of the taxonomy that a rule is, None for one that it does not know, and the size with its number."""
    direction = "adjoint" if rule.direction(1 if online else None, online, False) == "adjoint" else "forward"
    number = next((getattr(rule, key) for key in ("order", "window", "n") if hasattr(rule, key)), 1)
    for kind, entry in KINDS.items():
        if entry.make is type(rule):
            name = kind if entry.number is None else f"{kind}:{'all' if number is None else number}"
            return taxonomy().find(name, direction), size._replace(number=number or 1)
    return None, size
