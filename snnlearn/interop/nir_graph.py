"""A NIR graph reduced to what a network is made of: populations, and matrices with delays between them.

Subgraphs are opened, nodes that only pass values on are left out, and chains of linear nodes are multiplied out:

    value of a source          its spikes                             Linear, Affine   W x (+ b)
    Flatten, inner Input/Output  x                                    Scale, Delay     s x, x later
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import _check

SPIKING = ("LIF", "CubaLIF", "IF")
LINEAR = ("Linear", "Affine", "Scale", "Delay")
PASSES = ("Flatten", "Input", "Output")
KNOWN = (*SPIKING, "LI", *LINEAR, *PASSES)


class Path(NamedTuple):
    """What reaches a node from a source: matrix @ x, later."""

    source: str
    matrix: np.ndarray | None  # [n_target, n_source]; None: the identity
    delay: float  # in the graph's unit of time


class Flow(NamedTuple):
    """All that reaches a node, and what is added to it at every step."""

    paths: list[Path]
    bias: Any  # [n_target], or 0.0


class Graph:
    """A NIR graph without subgraphs. ValueError for nodes that are not known, naming them.

    where : what errors call the graph
    """

    def __init__(self, graph: Any, where: str):
        self.where = where
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self._open(graph, "")
        self.edges = list(dict.fromkeys(self.edges))
        for name, node in self.nodes.items():
            if kind(node) not in KNOWN:
                raise _check.fail(f"{where}, node {name!r}", "be one of " + ", ".join(KNOWN), kind(node))
        top = graph.nodes
        self.inputs = sorted(name for name, node in top.items() if kind(node) == "Input")
        self.outputs = sorted(name for name, node in top.items() if kind(node) == "Output")
        if not self.inputs:  # as some write graphs: whatever nothing leads to is driven from outside
            self.inputs = sorted(set(self.nodes) - {post for _, post in self.edges})
            for name in list(self.inputs):
                self.edges.append((f"into {name}", name))
            self.inputs = [f"into {name}" for name in self.inputs]
        if not self.outputs:
            self.outputs = sorted(set(self.nodes) - {pre for pre, _ in self.edges})
        if not self.inputs or len(self.outputs) != 1:
            need = "have an Input and one Output, or nodes that nothing leads to and one that leads nowhere"
            raise _check.fail(where, need, f"inputs {self.inputs}, outputs {self.outputs}")
        self.populations = [name for name, node in self.nodes.items() if kind(node) in SPIKING]
        if not self.populations:
            raise _check.fail(where, "have nodes that spike, " + ", ".join(SPIKING), "none")

    def arriving(self, name: str) -> Flow:
        """What reaches a node over all its edges."""
        return self._sum([self._leaving(pre, (name,)) for pre in self._before(name)], name)

    def output(self) -> tuple[str | None, Flow]:
        """The leaky integrator before the output, or None, and what reaches it."""
        name = self.outputs[0]
        while True:
            if kind(self.nodes[name]) == "LI":
                return name, self.arriving(name)
            before = self._before(name)
            if kind(self.nodes[name]) in SPIKING or len(before) != 1 or kind(self.nodes.get(before[0])) not in ("LI", *PASSES):
                return None, self._leaving(name, ())
            name = before[0]

    def width(self, name: str) -> int:
        """Number of values of a population or an input. ValueError where an Input's shape is not one of so many."""
        taken = self._taken(name, ())
        if taken is not None:
            shape = self._shape(name)
            if shape and taken not in np.cumprod(shape[::-1]):  # axes that stand before those are a batch
                need = f"have a shape of {taken} values, in C order, as what it leads to takes"
                raise _check.fail(f"{self.where}, node {name!r}", need, tuple(shape))
            return taken
        sizes = [self._size(name)]
        sizes += [path.matrix.shape[0] for path in self.arriving(name).paths if path.matrix is not None]
        if max(sizes) > 1:
            return max(sizes)
        after = [self._size(post) for pre, post in self.edges if pre == name] if name not in self.populations else []
        return max(sizes + after)

    def ranks(self) -> tuple[dict[str, int], set[tuple[str, str]]]:
        """Populations in the order in which a step runs through them, and the connections that lead back."""
        sources = {name: [path.source for path in self.arriving(name).paths] for name in self.populations}
        after: dict[str, list[str]] = {name: [] for name in (*self.inputs, *self.populations)}
        for name, before in sources.items():
            for source in before:
                after[source].append(name)
        done: list[str] = []
        back: set[tuple[str, str]] = set()
        active: list[str] = []

        def visit(name: str) -> None:
            active.append(name)
            for post in after[name]:
                if post in active:
                    back.add((name, post))
                elif post not in done:
                    visit(post)
            active.pop()
            done.append(name)

        for name in (*self.inputs, *self.populations):
            if name not in done:
                visit(name)
        order = [name for name in reversed(done) if name in self.populations]
        return {name: rank for rank, name in enumerate(order)}, back

    def _open(self, graph: Any, prefix: str) -> None:
        """Take over the nodes of a graph and, by longer names, of its subgraphs."""
        inner = {name: node for name, node in graph.nodes.items() if kind(node) == "NIRGraph"}
        ends = {}
        for name, node in inner.items():
            self._open(node, f"{prefix}{name}.")
            for side in ("Input", "Output"):
                found = [f"{prefix}{name}.{key}" for key, part in node.nodes.items() if kind(part) == side]
                if len(found) != 1:
                    raise _check.fail(f"{self.where}, subgraph {prefix + name!r}", f"have one {side}", f"{len(found)}")
                ends[name, side] = found[0]
        self.nodes |= {prefix + name: node for name, node in graph.nodes.items() if name not in inner}
        known = set(graph.nodes) | {name[len(prefix) :] for name in self.nodes if name.startswith(prefix)}
        for pre, post in graph.edges:
            for name in (pre, post):
                if name not in known:
                    raise _check.fail(f"{self.where}, edge ({pre!r}, {post!r})", "join nodes of the graph", name)
            self.edges.append((ends.get((pre, "Output"), prefix + pre), ends.get((post, "Input"), prefix + post)))

    def _taken(self, name: str, seen: tuple[str, ...]) -> int | None:
        """Number of values that a node's successors take; None where they take any."""
        for post in (b for a, b in self.edges if a == name and b not in seen):
            node, found = self.nodes[post], None
            if kind(node) in ("Linear", "Affine"):
                return self._matrix(post).shape[1]
            if kind(node) in ("Scale", "Delay"):
                found = values(node, kind(node).lower()).size
            if found in (None, 1) and kind(node) in ("Scale", "Delay", *PASSES):
                found = self._taken(post, (*seen, post))
            if found is not None:
                return found
        return None

    def _before(self, name: str) -> list[str]:
        return [pre for pre, post in self.edges if post == name]

    def _leaving(self, name: str, seen: tuple[str, ...]) -> Flow:
        """What leaves a node."""
        if name in self.inputs or name in self.populations:
            return Flow([Path(name, None, 0.0)], 0.0)
        node, where = self.nodes[name], f"{self.where}, node {name!r}"
        if name in seen:
            raise _check.fail(where, "be on no loop without a neuron", " -> ".join((*reversed(seen), name)))
        if kind(node) == "LI":
            raise _check.fail(where, "be the last node before the output, as a readout", "a leaky integrator inside the network")
        flow = self._sum([self._leaving(pre, (*seen, name)) for pre in self._before(name)], name)
        if kind(node) in PASSES:
            return flow
        if kind(node) == "Delay":
            delay = np.unique(values(node, "delay"))
            if delay.size != 1 or delay[0] < 0:
                raise _check.fail(f"{where}, delay", "be one time for all values, not negative", delay)
            return Flow([path._replace(delay=path.delay + float(delay[0])) for path in flow.paths], flow.bias)
        matrix = np.diag(values(node, "scale")) if kind(node) == "Scale" else self._matrix(name)
        paths = [self._times(matrix, path, where) for path in flow.paths]
        bias = matrix @ flow.bias if np.ndim(flow.bias) else 0.0
        if kind(node) == "Affine":
            bias = bias + np.broadcast_to(values(node, "bias"), matrix.shape[:1])
        return Flow(paths, bias)

    def _times(self, matrix: np.ndarray, path: Path, where: str) -> Path:
        if path.matrix is None:
            return path._replace(matrix=matrix)
        if matrix.shape[1] != path.matrix.shape[0]:
            raise _check.fail(f"{where}, weight", f"have {path.matrix.shape[0]} columns", matrix.shape)
        return path._replace(matrix=matrix @ path.matrix)

    def _sum(self, flows: list[Flow], name: str) -> Flow:
        bias: Any = 0.0
        for flow in flows:
            if np.ndim(bias) and np.ndim(flow.bias) and bias.shape != flow.bias.shape:
                raise _check.fail(f"{self.where}, node {name!r}", "get values of one size", f"{bias.shape} and {flow.bias.shape}")
            bias = bias + flow.bias
        return Flow([path for flow in flows for path in flow.paths], bias)

    def _matrix(self, name: str) -> np.ndarray:
        weight = np.asarray(self.nodes[name].weight)
        if weight.ndim != 2:
            raise _check.fail(f"{self.where}, node {name!r}, weight", "have shape (outputs, inputs)", weight.shape)
        return weight

    def _size(self, name: str) -> int:
        node = self.nodes.get(name)
        if kind(node) in SPIKING or kind(node) == "LI":
            return max(
                np.size(value) for key, value in vars(node).items() if key not in ("metadata", "input_type", "output_type")
            )
        return int(np.prod(self._shape(name)))

    def _shape(self, name: str) -> list[int]:
        """Lengths of the axes of an Input; [] where it does not say."""
        node = self.nodes.get(name)
        shape = next(iter((node.input_type or {}).values()), None) if kind(node) == "Input" else None  # type: ignore[union-attr]
        return [] if shape is None else [int(length) for length in np.ravel(shape)]


def kind(node: Any) -> str:
    """Name of a node's class."""
    return type(node).__name__


def values(node: Any, name: str) -> np.ndarray:
    """A parameter as a flat float64 array, whether it was a number, an array or a tensor."""
    return np.asarray(getattr(node, name), np.float64).reshape(-1)
