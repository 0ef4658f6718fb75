"""The family of learning rules: `taxonomy()`, what each follows, can do and costs; `parse_rule`, their names as text.

After "A Taxonomy of Recurrent Learning Rules" (Martin-Sanchez, Bohte & Otte 2022, arXiv 2207.11439): a rule is a choice of
the recurrent synapses that its gradient crosses, and of a direction. Implicit recurrence (a neuron's own state) is cheap to
carry forward; each explicit crossing of a synapse widens what has to be kept.

Costs are leading terms of what a rule needs besides the network, its weights and one accumulator of the gradient, for one
trial. With d the recurrent fan-out, g crossings lead from a neuron to at most min(n, d^g) others; for dense networks d = n.

A new rule is an entry of `KINDS`, so that it has a name, and one of `MEMBERS` for each direction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import _check
from ..network.network import Network
from ..network.weights import Weights
from . import BPTT, RFLO, RTRL, UORO, EProp, Rule, SnAp, TruncatedBPTT
from .engines.influence import MAX_BYTES
from .tape import WINDOW_STEPS

DIRECTIONS = ("forward", "adjoint")


class Kind(NamedTuple):
    """How a name becomes a rule."""

    make: Callable[..., Rule]
    number: str | None = None  # the parameter after the colon
    optional: bool = False  # whether the name stands without it
    all: bool = False  # whether "all" stands for the number None
    directed: bool = False  # whether the rule lets its user pick a direction


KINDS: dict[str, Kind] = {
    "bptt": Kind(BPTT),
    "tbptt": Kind(TruncatedBPTT, "window"),
    "rtrl": Kind(RTRL),
    "eprop": Kind(EProp, "order", optional=True, all=True, directed=True),
    "snap": Kind(SnAp, "n"),
    "rflo": Kind(RFLO, directed=True),
    "uoro": Kind(UORO),
}


def rule_names() -> tuple[str, ...]:
    """The names that `parse_rule` knows; m stands for a number."""
    names: list[str] = []
    for name, kind in KINDS.items():
        names += [name] * (kind.number is None or kind.optional) + [f"{name}:m"] * (kind.number is not None)
        names += [f"{name}:all"] * kind.all
    return tuple(names)


def parse_rule(text: str, where: str = "rule", **options: Any) -> Rule:
    """The rule of a name such as "eprop", "eprop:2", "eprop:all", "snap:2", "tbptt:20", "bptt", "rtrl" or "rflo".

    "eprop" and "rflo" take a direction too: "eprop:2:forward", "rflo:adjoint".
    where : what an error calls the text
    options : of the rule's class, as feedback="random"

    Raises ValueError, which lists the names, for an unknown one; as the class does for a bad number.
    """
    name, *parts = str(text).split(":")
    if name not in KINDS:
        raise _unknown(where, text)
    kind, chosen = KINDS[name], dict(options)
    if parts and parts[-1] in DIRECTIONS and kind.directed:
        chosen["method"] = parts.pop()
    if kind.number is not None and len(parts) == 1 and (parts[0].isdecimal() or (kind.all and parts[0] == "all")):
        part = parts.pop()
        chosen[kind.number] = None if part == "all" else int(part)
    elif kind.number is not None and not kind.optional and not parts:
        raise _check.fail(where, f"have a number, as {name}:2", text)
    if parts:
        raise _unknown(where, text)
    return kind.make(**chosen)


def _unknown(where: str, text: str) -> Exception:
    directed = " and ".join(name for name, kind in KINDS.items() if kind.directed)
    need = f"be one of {', '.join(rule_names())}, with a number for m"
    return _check.fail(where, need, text, f"{directed} may end in :forward or :adjoint")


class Size(NamedTuple):
    """What the cost of a rule depends on."""

    n: int  # neurons
    n_out: int  # readouts
    synapses: int  # s: input and recurrent synapses
    fan_out: float  # d: recurrent synapses of a neuron, on average
    n_steps: int  # T: steps of a trial
    n_hidden: int = 1  # hidden variables of a neuron: 1 for LIF, 2 for ALIF
    delay: int = 1  # recurrent delay in steps
    number: int = 1  # m: what follows the colon of the rule's name

    def reach(self, crossings: int) -> float:
        """Neurons that exactly so many crossings lead to, at most."""
        return 1.0 if crossings == 0 else float(min(self.n, self.fan_out**crossings))


def size_of(net: Network, weights: Weights, n_steps: int, number: int = 1) -> Size:
    """The size of a network whose trials have so many steps."""
    arrays = net.arrays(weights, np.float32)
    w_in, w_rec = (w.nnz if hasattr(w, "indptr") else w.size for w in weights[:2])
    n_rec = w_rec - arrays.absent_rec.size
    synapses = w_in - arrays.absent_in.size + n_rec
    return Size(net.n, net.n_outputs, synapses, n_rec / net.n, n_steps, len(net.variables), net.delay_steps, number)


class Member(NamedTuple):
    """A rule in one direction.

    `memory` and `time` are leading terms in words, `floats(size)` and `operations(size)` the same as numbers: floats that a
    trial needs, multiply-adds that a step takes (at most: spike-driven rules do less).
    """

    name: str  # for `parse_rule`; m stands for a number
    direction: str  # "forward": traces carried along; "adjoint": back over the tape
    causal: bool  # the gradient of a step's error is complete at that step
    local: bool  # a synapse needs its own neurons' activity and a learning signal, nothing of other synapses
    exact: bool  # equals BPTT on every network
    online: bool  # works in streams and with any update interval
    crossings: str  # of recurrent synapses, that the gradient follows
    memory: str
    time: str  # of a step
    source: str
    floats: Callable[[Size], float]
    operations: Callable[[Size], float]

    def rule(self, number: int = 2, **options: Any) -> Rule:
        """The rule in this direction, with this number for m. options : of its class."""
        name = self.name.replace(":m", f":{number}")
        return parse_rule(f"{name}:{self.direction}" if KINDS[name.split(":")[0]].directed else name, **options)

    def at(self, size: Size) -> Size:
        """The size with the number that this member's name fixes, as snap:1."""
        part = self.name.partition(":")[2]
        return size._replace(number=int(part)) if part.isdecimal() else size


def _tape(size: Size) -> float:
    """Pseudo-derivatives and errors of every step."""
    return float(size.n_steps * (size.n + size.n_out))


def _window(size: Size) -> float:
    """The tape of the windows of one call."""
    return _tape(size._replace(n_steps=min(size.n_steps, max(size.number, WINDOW_STEPS))))


def _traces(size: Size) -> float:
    return float(size.n_hidden * size.synapses)


def _influence(size: Size, neurons: float) -> float:
    """Hidden state, spike and spikes in flight of so many neurons for each synapse, and its influence on every readout."""
    return size.synapses * (neurons * (size.n_hidden + size.delay + 1) + size.n_out)


def _neighbourhood(size: Size) -> float:
    """Neurons within m - 1 crossings."""
    return min(float(size.n), sum(size.reach(g) for g in range(size.number)))


def _grades(size: Size) -> float:
    """Pairs of a grade 0 .. m-1 and a neuron that so many crossings lead to."""
    return sum(size.reach(g) for g in range(size.number))


def _every_synapse(size: Size) -> float:
    return float(size.synapses)


def _rtrl_floats(size: Size) -> float:
    return _influence(size, size.n)


def _rtrl_operations(size: Size) -> float:
    return size.n * size.synapses * size.fan_out


TAXONOMY = "Martin-Sanchez, Bohte & Otte 2022, arXiv 2207.11439"
WERBOS = f"Werbos 1990, Proc. IEEE 78:1550; {TAXONOMY}"
WILLIAMS_PENG = "Williams & Peng 1990, Neural Comput. 2:490"
WILLIAMS_ZIPSER = f"Williams & Zipser 1989, Neural Comput. 1:270; {TAXONOMY}"
BELLEC = "Bellec et al. 2020, Nat. Commun. 11:3625, eqs 2-4, 13, 21-25"
BELLEC_BACKWARD = "the sum of e-prop forward, per neuron and backward in time"
ORDERS = f"{TAXONOMY}: m-order e-prop; all orders together are RTRL (forward) and BPTT (adjoint)"
MENICK = "Menick et al. 2021, arXiv 2006.07232; here the unit of the pattern is the neuron"
TALLEC = "Tallec & Ollivier 2017, arXiv 1702.05043: unbiased, one outer product instead of the influence"
MURRAY = "Murray 2019, eLife 8:e43299"
MURRAY_BACKWARD = "the sum of RFLO forward, per neuron and backward in time"


def _member(
    name: str,
    direction: str,
    can: str,
    crossings: str,
    memory: str,
    time: str,
    source: str,
    floats: Callable[[Size], float],
    operations: Callable[[Size], float],
) -> Member:
    """A row; `can` lists those of causal, local, exact, online that hold."""
    causal, local, exact, online = (flag in can.split() for flag in ("causal", "local", "exact", "online"))
    return Member(name, direction, causal, local, exact, online, crossings, memory, time, source, floats, operations)


MEMBERS: tuple[Member, ...] = (
    _member("bptt", "adjoint", "exact", "all", "T n", "s", WERBOS, _tape, _every_synapse),
    _member("tbptt:m", "adjoint", "", "all within m steps", "m n", "s", WILLIAMS_PENG, _window, _every_synapse),
    _member("rtrl", "forward", "causal exact online", "all", "n s", "d n s", WILLIAMS_ZIPSER, _rtrl_floats, _rtrl_operations),
    _member("eprop", "forward", "causal local online", "none", "s", "s", BELLEC, _traces, _every_synapse),
    _member("eprop", "adjoint", "local", "none", "T n", "n + d a", BELLEC_BACKWARD, _tape, _every_synapse),
    _member(
        *("eprop:m", "forward", "causal online", "up to m-1", "s sum(d^g, g < m)", "d s sum(d^g, g < m-1)", ORDERS),
        lambda size: _influence(size, _grades(size)),
        lambda size: size.synapses * (1.0 + size.fan_out * _grades(size._replace(number=size.number - 1))),
    ),
    _member(
        *("eprop:m", "adjoint", "", "up to m-1", "(T + m) n", "m s", ORDERS),
        lambda size: _tape(size) + size.number * size.n * (size.n_hidden + size.delay),
        lambda size: float(size.number * size.synapses),
    ),
    _member("eprop:all", "forward", "causal exact online", "all", "n s", "d n s", ORDERS, _rtrl_floats, _rtrl_operations),
    _member("eprop:all", "adjoint", "exact", "all", "T n", "s", ORDERS, _tape, _every_synapse),
    _member(
        *("snap:1", "forward", "causal local online", "own self-synapse", "s", "s", MENICK),
        *(lambda size: _influence(size, 1.0), _every_synapse),
    ),
    _member(
        *("snap:m", "forward", "causal online", "among neurons m-1 apart", "s sum(d^g, g < m)", "d s sum(d^g, g < m)", MENICK),
        lambda size: _influence(size, _neighbourhood(size)),
        lambda size: size.synapses * _neighbourhood(size) * (size.fan_out if size.number > 1 else 1.0),
    ),
    _member("rflo", "forward", "causal local online", "none; leak only", "s", "s", MURRAY, _every_synapse, _every_synapse),
    _member("uoro", "forward", "causal online", "all, in the mean", "s", "s", TALLEC, _every_synapse, _every_synapse),
    _member("rflo", "adjoint", "local", "none; leak only", "T n", "n + d a", MURRAY_BACKWARD, _tape, _every_synapse),
)

LEGEND = (
    "n neurons, s synapses, d recurrent fan-out (n where dense), d^g at most n (for snap:m the sum too), T steps of a trial,",
    "a spikes that arrive at a step, m the number in the name. Memory: floats of a trial. Time: multiply-adds.",
)


class Taxonomy(tuple[Member, ...]):
    """The rules of the package, a tuple of `Member`; `str` gives a table, `to_array` a structured array."""

    def __reduce__(self) -> tuple[Any, ...]:
        return taxonomy, ()

    def __str__(self) -> str:
        head = ("rule", "direction", "causal", "local", "exact", "online", "crossings", "memory", "time a step", "source")
        sources = list(dict.fromkeys(member.source for member in self))
        rows: list[tuple[str, ...]] = [head]
        for member in self:
            flags = ["yes" if flag else "-" for flag in member[2:6]]
            rows.append((*member[:2], *flags, *member[6:9], f"[{sources.index(member.source) + 1}]"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, "", *LEGEND, "", *(f"[{k}] {source}" for k, source in enumerate(sources, 1))])

    def to_array(self) -> np.ndarray:
        """One row per member, with the fields `name` .. `source`."""
        fields = Member._fields[:10]
        kinds = [(name, "?" if isinstance(getattr(MEMBERS[0], name), bool) else "U128") for name in fields]
        return np.array([member[:10] for member in self], dtype=kinds)

    def find(self, rule: str, direction: str | None = None) -> Member:
        """The member that a rule's name, as "snap:2", belongs to; the first of a name where `direction` is None.

        Raises ValueError for an unknown name or a direction that the rule does not have.
        """
        parse_rule(rule, "taxonomy.find.rule")
        name, *parts = rule.split(":")
        if parts and parts[-1] in DIRECTIONS:
            direction = parts.pop()
        exact = ":".join([name, *parts]) if parts != ["1"] or name != "eprop" else "eprop"
        for wanted in (exact, f"{name}:m"):
            rows = [m for m in self if m.name == wanted]
            if rows:
                found = [m for m in rows if direction in (None, m.direction)]
                if not found:
                    have = " or ".join(repr(m.direction) for m in rows)
                    raise _check.fail("taxonomy.find.direction", f"be {have} for {rule}", direction)
                return found[0]
        raise _check.fail("taxonomy.find.rule", f"be one of {', '.join(m.name for m in self)}", rule)


def taxonomy() -> Taxonomy:
    """The table of learning rules: what each follows; is it causal, local, exact, online; its costs and source."""
    return Taxonomy(MEMBERS)


STANDARD = ("bptt", "tbptt:20", "rtrl", "eprop:3", "eprop:2", "eprop", "snap:2", "snap:1", "rflo")
MAX_OPERATIONS = 2e10  # of a trial: about ten seconds


def affordable(
    net: Network,
    weights: Weights,
    n_steps: int,
    itemsize: int = 8,
    max_bytes: float = MAX_BYTES,
    max_operations: float = MAX_OPERATIONS,
) -> tuple[list[str], dict[str, str]]:
    """Names of the standard rules that a trial of so many steps can be compared with, and why the others cannot."""
    fit, unfit = [], {}
    for name in STANDARD:
        member = taxonomy().find(name, parse_rule(name).direction(None, False, False))
        number = name.rpartition(":")[2]
        size = member.at(size_of(net, weights, n_steps, int(number) if number.isdecimal() else 1))
        needed, work = itemsize * member.floats(size), n_steps * member.operations(size)
        if needed > max_bytes:
            unfit[name] = f"needs about {needed / 1e9:.1f} GB"
        elif work > max_operations:
            unfit[name] = f"takes about {work:.0e} multiply-adds"
        else:
            fit.append(name)
    return fit, unfit
