"""One trial on several threads: the arrays of each member of a team, made from those of a lane (`team.py`).

What a member has for itself is what the block loop has per neuron: state, tape, scratch of the rule, parameters. Weights,
gradients and traces of synapses stay where they are; a member sees, in every row, the synapses onto its neurons
(`DensePart`, `SparsePart`). Before a call the state is dealt out, after it collected, together with what a recorder asked
for; of what belongs to sources, such as traces of arrivals, each member keeps a copy that it advances by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, wait
from typing import Any, NamedTuple

import numpy as np

from ._jit import kernel
from .connectivity import (
    SparseProjection,
    add_row,
    add_to_row,
    back_over,
    fetch_row,
    fetch_stretch,
    n_pre,
    row_start,
    row_stop,
    target,
)
from ._processor import prefetch
from .connectivity import FETCHED, LINE
from .network import FlatWeights, NetArrays
from .rules.lazy import LazyAdaptive
from .tape import ELSEWHERE, HERE, Outcome, State, Tape, apart, make_outcome, make_tape
from .team import PAD, Team, make_team

NEURONS = 500  # of a member at least: with fewer, meeting costs more than it gains
SYNAPSES = 500_000  # from so many on, members share the step of the optimizer
STEPS = 8  # of a call at least, for the same reason
ALIGNED = 16  # members begin at multiples of so many neurons


class DensePart(NamedTuple):
    """The synapses onto neurons first .. first + n - 1 of a dense projection; targets are numbered from `first`."""

    n_pre: int
    n_post: int  # of the whole projection
    first: int
    n: int

    def longest(self) -> int:
        """Entries of the longest row."""
        return self.n


class SparsePart(NamedTuple):
    """The same of CSR: row i is the entries starts[i] .. stops[i]."""

    starts: np.ndarray  # int64 [n_pre]
    stops: np.ndarray  # int64 [n_pre]
    indices: np.ndarray  # int32 [n_synapses] of the whole projection
    first: int

    def longest(self) -> int:
        """Entries of the longest row."""
        return int((self.stops - self.starts).max(initial=1))


@row_start.register(DensePart)
def _(proj, i):
    return i * proj.n_post + proj.first


@row_start.register(SparsePart)
def _(proj, i):
    return proj.starts[i]


@row_stop.register(DensePart)
def _(proj, i):
    return i * proj.n_post + proj.first + proj.n


@row_stop.register(SparsePart)
def _(proj, i):
    return proj.stops[i]


@target.register(DensePart)
def _(proj, start, k):
    return k


@target.register(SparsePart)
def _(proj, start, k):
    return proj.indices[start + k] - proj.first


@n_pre.register(DensePart)
def _(proj):
    return proj.n_pre


@n_pre.register(SparsePart)
def _(proj):
    return proj.starts.shape[0]


@add_row.register(DensePart)
def _(proj, i, scale, row, out):
    start = i * proj.n_post + proj.first
    entries = row[start : start + proj.n]
    for k in range(entries.shape[0]):
        out[k] += scale * entries[k]


@add_row.register(SparsePart)
def _(proj, i, scale, row, out):
    for s in range(proj.starts[i], proj.stops[i]):
        out[proj.indices[s] - proj.first] += scale * row[s]


@add_to_row.register(DensePart)
def _(proj, i, scale, values, row):
    start = i * proj.n_post + proj.first
    entries = row[start : start + proj.n]
    for k in range(entries.shape[0]):
        entries[k] += scale * values[k]


@add_to_row.register(SparsePart)
def _(proj, i, scale, values, row):
    for s in range(proj.starts[i], proj.stops[i]):
        row[s] += scale * values[proj.indices[s] - proj.first]


@fetch_row.register(DensePart)
def _(proj, i, row):
    start = i * proj.n_post + proj.first
    for s in range(start, start + min(proj.n, FETCHED), LINE):
        prefetch(row, s)


@fetch_row.register(SparsePart)
def _(proj, i, row):
    fetch_stretch(proj.indices, row, proj.starts[i], proj.stops[i])


@back_over.register(DensePart)
def _(proj, row, values, out, wanted):
    return None  # rules that go back over synapses need the adjoints of all neurons: they are not run by teams


@back_over.register(SparsePart)
def _(proj, row, values, out, wanted):
    return None


@kernel
def _split_rows(indptr, indices, borders, out):
    """out[m, i] : the first entry of row i whose target is not below borders[m]; targets of a row are sorted."""
    for m in range(borders.shape[0]):
        for i in range(indptr.shape[0] - 1):
            low, high = indptr[i], indptr[i + 1]
            while low < high:
                middle = (low + high) // 2
                if indices[middle] < borders[m]:
                    low = middle + 1
                else:
                    high = middle
            out[m, i] = low


class Part(NamedTuple):
    """What one member runs on."""

    team: Team
    stop: int  # the neuron after its last one
    net: NetArrays
    weights: FlatWeights
    state: State
    tape: Tape
    rule: Any
    outcome: Outcome
    private: list[tuple[np.ndarray, np.ndarray]]  # (of the lane, of this member): copies to bring up to date before a call


MakeRule = Callable[[NetArrays], Any]


def split(size: int, net: NetArrays, weights: FlatWeights, state: State, tape: Tape, rule: Any, make_rule: MakeRule | None,
          steps: int, full: frozenset[str], columns: Sequence[int]) -> list[Part] | None:  # fmt: skip
    """Parts for so many members, or None where the rule's arrays are of another kind for some of the neurons.

    state, tape, rule : of the lane; make_rule : the rule's arrays for a part's neurons, None where there is no rule;
    steps, full, columns : of the members' tapes, as in `make_tape`
    """
    borders = np.append(np.arange(size) * net.n // size // ALIGNED * ALIGNED, net.n)
    rows_in, rows_rec = _projections(net.proj_in, borders), _projections(net.proj_rec, borders)
    parts = []
    for m, team in enumerate(make_team(borders)):
        lo, hi = int(borders[m]), int(borders[m + 1])
        mine = net._replace(
            params=_stretch(net.params, lo, hi),
            proj_in=rows_in[m],
            proj_rec=rows_rec[m],
            noise=net.noise[lo:hi].copy(),
            absent_in=_onto(net.absent_in, net.n, lo, hi),
            absent_rec=_onto(net.absent_rec, net.n, lo, hi),
            n=hi - lo,
        )
        private: list[tuple[np.ndarray, np.ndarray]] = []
        own = rule
        if make_rule is not None:
            own = make_rule(mine)
            if not _same_kind(rule, own) or isinstance(getattr(own, "lazy", None), LazyAdaptive):
                return None  # windows of LazyAdaptive end by the state of all neurons
            if hasattr(rule, "carry"):
                own = own._replace(carry=rule.carry if m == 0 else _carry(rule.carry, own.carry, private))
        here, out = slice(lo, hi), slice(lo * net.n_out, hi * net.n_out)
        alone = m == 0  # the first member has what exists once, with all neurons
        parts.append(
            Part(
                team,
                hi,
                mine,
                weights if alone else weights._replace(w_out=weights.w_out[out], feedback=weights.feedback[out]),
                State(
                    hidden=np.ascontiguousarray(state.hidden[:, :, here]),
                    z=state.z[:, here].copy(),
                    refractory=state.refractory[:, here].copy(),
                    history=state.history if alone else state.history.copy(),
                    readout=state.readout,
                    running=state.running[:, here].copy(),
                    counts=state.counts[:, here].copy(),
                ),
                _tape(tape, mine, state.hidden.dtype, steps, full, columns, lo, hi, alone),
                apart(own) if m == 0 and make_rule is None else own,
                make_outcome(1, net.n_out),
                private,
            )
        )
    return parts


def _projections(proj: Any, borders: np.ndarray) -> list[Any]:
    lows = borders[:-1].tolist()
    if not isinstance(proj, SparseProjection):
        return [DensePart(proj.n_pre, proj.n_post, lo, int(hi) - lo) for lo, hi in zip(lows, borders[1:], strict=True)]
    starts = np.empty((borders.size, proj.indptr.size - 1), np.int64)
    _split_rows(proj.indptr, proj.indices, borders, starts)
    return [SparsePart(starts[m], starts[m + 1], proj.indices, lo) for m, lo in enumerate(lows)]


def _stretch(params: Any, lo: int, hi: int) -> Any:
    """Parameters of some neurons; all arrays have one entry a neuron."""
    return type(params)(*(_stretch(p, lo, hi) if isinstance(p, tuple) else p[lo:hi].copy() for p in params))


def _onto(absent: np.ndarray, n: int, lo: int, hi: int) -> np.ndarray:
    """Of flat positions of a dense matrix [pre, n], those onto some neurons."""
    post = absent % n
    return absent[(post >= lo) & (post < hi)]


def _same_kind(whole: Any, part: Any) -> bool:
    """Whether a rule's arrays for some of the neurons are of the same kinds as those for all."""
    if isinstance(whole, tuple):
        return type(whole) is type(part) and all(map(_same_kind, whole, part))
    if isinstance(whole, np.ndarray):
        return whole.dtype == part.dtype and whole.ndim == part.ndim
    return bool(whole == part)


def _carry(whole: Any, part: Any, private: list[tuple[np.ndarray, np.ndarray]]) -> Any:
    """A member's carried arrays: those of synapses are the lane's own, of those that the class lists as `COPIED` it has a copy."""
    values = []
    for name, a, b in zip(type(whole)._fields, whole, part, strict=True):
        if isinstance(a, tuple):
            values.append(_carry(a, b, private))
        elif name in type(whole).COPIED:
            values.append(a.copy())
            private.append((a, values[-1]))
        else:
            values.append(a)
    return type(whole)(*values)


def _tape(
    tape: Tape, net: NetArrays, dtype: Any, steps: int, full: frozenset[str], columns: Sequence[int], lo: int, hi: int, first: bool
) -> Tape:
    """A member's tape, with the readout and errors of the lane's; the spikes are those of all neurons."""
    mine = tuple(c - lo for c in columns if lo <= c < hi) or ((0,) if columns else ())
    own = make_tape(net._replace(n=1), np.zeros((net.n_hidden, net.n), dtype), 1, steps, full, mine)
    return own._replace(
        spike_ptr=tape.spike_ptr if first else np.zeros_like(tape.spike_ptr),
        spike_index=tape.spike_index if first else np.empty_like(tape.spike_index),
        readout=tape.readout,
        error=tape.error,
    )


def run(
    parts: list[Part], kernel: Callable, pool: Executor, arguments: tuple[Any, ...], lr: Any, span: Any, asked: frozenset[str]
) -> None:
    """`run_block` on these arguments, which are a lane's, by all members. asked : arrays of the tape to collect, for a recorder."""
    _, _, state, inputs, targets, noise, rates, tape, outcome, rule, grad, opt = arguments
    calls = []
    for part in parts:
        lo, leader = part.team.first, part.team.rank == 0
        _deal(state, part, lo)
        own = part.rule
        if hasattr(rule, "on_read"):
            own = own._replace(factor=rule.factor, on_read=rule.on_read)
        mine = outcome if leader else part.outcome
        mine.trouble[0] = 0
        counted = opt if leader or not hasattr(opt, "done") else opt._replace(done=opt.done.copy())
        numbers = np.ascontiguousarray(noise[:, :, lo : part.stop]) if noise.size else noise
        on = (part.net, part.weights, part.state, inputs, targets, numbers, rates, part.tape, mine, own, grad, counted)
        calls.append((*on, lr, span._replace(team=part.team)))
    together(kernel, pool, calls, parts[0].team)
    found = [(part, part.outcome if part.team.rank else outcome) for part in parts]
    for part, mine in found:
        if mine.trouble[0] == HERE:
            outcome.trouble[:] = HERE, *mine.trouble[1:3], mine.trouble[3] + part.team.first
            break
    if outcome.trouble[0] == ELSEWHERE:
        raise RuntimeError("a thread of the simulation did not start")
    for part in parts:
        _collect(state, tape, part, part.team.first, span, asked)


def together(kernel: Callable, pool: Executor, calls: Sequence[tuple[Any, ...]], team: Team) -> None:
    """Call the kernel with each of these arguments, all at the same time; the first call is this thread's."""
    team.gate[:] = 0
    futures = []
    try:
        for call in calls[1:]:
            futures.append(pool.submit(kernel, *call))
        kernel(*calls[0])
    except BaseException:
        team.gate[PAD] = 1  # who waits for this thread goes on, without having changed anything
        raise
    finally:
        wait(futures)
    for future in futures:
        future.result()


def _deal(state: State, part: Part, lo: int) -> None:
    own = part.state
    own.hidden[...] = state.hidden[:, :, lo : part.stop]
    for name in ("z", "refractory", "running", "counts"):
        getattr(own, name)[...] = getattr(state, name)[:, lo : part.stop]
    own.history[...] = state.history
    for whole, copy in part.private:
        copy[...] = whole


def _collect(state: State, tape: Tape, part: Part, lo: int, span: Any, asked: frozenset[str]) -> None:
    own, here, rows = part.state, slice(lo, part.stop), slice(span.start - span.origin, span.stop - span.origin)
    state.hidden[:, :, here] = own.hidden
    for name in ("z", "refractory", "running", "counts"):
        getattr(state, name)[:, here] = getattr(own, name)
    for name in asked - {"hidden"}:
        getattr(tape, name)[:, rows, ..., here] = getattr(part.tape, name)[:, rows]
    if "hidden" in asked:
        if tape.columns.size:
            here = slice(*np.searchsorted(tape.columns, (lo, part.stop)))
            if here.start == here.stop:
                return
        tape.hidden[:, rows, :, here] = part.tape.hidden[:, rows]
