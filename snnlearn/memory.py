"""Bytes that a run needs, and what fits where it does not: from the configuration first, then from the arrays of the run.

Nothing is allocated for what cannot fit: pages of arrays of zeros come with their first use.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .compare import describe
from .connectivity import Masked, Sparse
from .engine import Engine
from .family import KINDS, STANDARD, Size, parse_rule, taxonomy
from .job import Job
from .layout import TAPE_LIMIT
from .network import Network
from .rules import Rule
from .tape import make_state


def bytes_needed(engine: Engine, job: Job, streaming: bool) -> dict[str, int]:
    """Bytes of the arrays that such a job needs, by what they hold."""
    layout = engine.cutter.layout(job, streaming)
    lanes = 1 if streaming or engine.interval is not None else min(engine.threads, len(layout.shares) - 1)
    hidden = sum(array.nbytes for array in engine.weights[:4])
    needed = {
        "weights": hidden + nbytes(tuple(engine.arrays)),
        "gradient": hidden * (len(layout.shares) - 1) * (1 + len(engine.passive_grads)) if job.learn else 0,
        "optimizer": nbytes(tuple(engine.opt)) if job.learn else 0,
        "state": lanes * nbytes(tuple(make_state(engine.arrays, engine.hidden, layout.slots))),
        "tape": lanes * layout.slots * engine.cutter.tape_bytes(layout.rows, layout.plan),
        "rule": 0,
    }
    if layout.plan.directions is not None:
        needed["rule"] = lanes * nbytes(engine.lanes.rule_arrays(layout.plan.directions, layout.slots, streaming))
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
        fit = int(float(f"{limit / per_synapse / net.n:.2g}"))  # a figure to begin with: the rule's own comes on top
        hint = "sl.Sparse(indegree=...) keeps its synapses alone" + (f", about {fit} a neuron fit" if fit else "")
        need = f"the network's {size.synapses} synapses need {size_text(least)}"
        raise MemoryError(f"plan: {need} and {size_text(limit)} are there; {hint}")
    if rule is None:
        return
    own = _own(rule, size, online, itemsize)
    if least + own > limit:
        instead = _rules_that_fit(rule, size, online, itemsize, limit - least)
        raise MemoryError(f"plan: {describe(rule)} needs {size_text(own)} and {size_text(limit)} are there{instead}")


def refuse_run(engine: Engine, job: Job, streaming: bool, limit: float, plain: Callable[[], Engine]) -> None:
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


def _nearest(engine: Engine, job: Job, streaming: bool, limit: float, plain: Callable[[], Engine]) -> str:
    """A run that fits, as a hint: without moments, with fewer trials at a time, by another rule; "" where none of it helps."""

    def total(engine: Engine, trials: int) -> int:
        return sum(bytes_needed(engine, job.part(0, trials), streaming).values())

    if job.learn and nbytes((engine.opt.first, engine.opt.second)):
        found = total(plain(), job.n_trials)
        if found <= limit:
            return f"; what fits: sl.SGD without momentum ({size_text(found)})"
    fits, too_many = 0, job.n_trials
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        fits, too_many = (middle, too_many) if total(engine, middle) <= limit else (fits, middle)
    if fits:
        return f"; what fits: batch={fits} ({size_text(total(engine, fits))})"
    if engine.rule is None:
        return ""
    needed = bytes_needed(engine, job, streaming)
    itemsize, online = engine.dtype.itemsize, streaming or engine.interval is not None
    size, *_ = _least(engine.net, engine.rule, job.n_steps, itemsize)
    room = limit - sum(needed[name] for name in ("weights", "gradient", "optimizer", "state"))
    return _rules_that_fit(engine.rule, size, online, itemsize, room)


def _least(net: Network, rule: Rule | None, n_steps: int, itemsize: int) -> tuple[Size, float, int]:
    """The size of a network, bytes that it needs with whatever rule, and what a synapse needs where it is sparse."""
    counts = [synapses_of(net.inputs, net.n_inputs, net.n), synapses_of(net.recurrent, net.n, net.n)]
    size = Size(net.n, net.n_outputs, sum(counts), counts[1] / net.n, n_steps, len(net.variables), net.delay_steps)
    stored = [isinstance(c, Sparse) for c in (net.inputs, net.recurrent)]
    targets = 4 * sum(count for count, sparse in zip(counts, stored, strict=True) if sparse)
    built = size.synapses * (8 + itemsize) + 2 * targets  # weights as they are drawn, in float64, and as they are kept
    least = max(built, size.synapses * itemsize * (1 if rule is None else 2) + targets)
    return size, least, 8 + itemsize + 2 * 4


def _rules_that_fit(instead_of: Rule, size: Size, online: bool, itemsize: int, room: float) -> str:
    """Standard rules that need no more than this room, and less than the one that does not fit, as a hint."""
    fit, refused = [], _own(instead_of, size, online, itemsize) or math.inf  # nothing is known of a rule of one's own
    for name in STANDARD:
        try:
            own = _own(parse_rule(name), size, online, itemsize)
        except ValueError:  # a rule that cannot work in this setting
            continue
        if own <= room and own < refused:
            fit.append(f"{name} ({size_text(own)})")
    return f"; what fits: {', '.join(fit[:4])}" if fit else ""


def _own(rule: Rule, size: Size, online: bool, itemsize: int) -> float:
    """Bytes that a rule needs, by the taxonomy; the tape of a long trial is bounded. ValueError where it cannot work."""
    bytes_ = itemsize * floats(rule, size, online)
    adjoint = rule.direction(1 if online else None, online, False) == "adjoint"
    return min(bytes_, rule.max_bytes or TAPE_LIMIT) if adjoint else bytes_


def floats(rule: Rule, size: Size, online: bool) -> float:
    """Numbers that a rule keeps, by the taxonomy; 0 for a rule that it does not know. ValueError where it cannot work."""
    direction = "adjoint" if rule.direction(1 if online else None, online, False) == "adjoint" else "forward"
    number = next((getattr(rule, key) for key in ("order", "window", "n") if hasattr(rule, key)), 1)
    for kind, entry in KINDS.items():
        if entry.make is type(rule):
            name = kind if entry.number is None else f"{kind}:{'all' if number is None else number}"
            return taxonomy().find(name, direction).floats(size._replace(number=number or 1))
    return 0.0


def synapses_of(connectivity: Any, n_pre: int, n_post: int) -> int:
    """Number of synapses, expected where it is drawn."""
    if isinstance(connectivity, Sparse):
        if connectivity.indegree is not None:
            return connectivity.indegree * n_post
        return int(float(connectivity.density or 0.0) * n_pre * n_post)
    if isinstance(connectivity, Masked):
        return int(connectivity.mask.sum())
    return n_pre * n_post


def machine_bytes() -> int:
    """Bytes of memory of this machine, or what is certainly too much where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**62


def size_text(n: float) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= scale:
            return f"{n / scale:.3g} {unit}"
    return f"{n:.0f} B"
