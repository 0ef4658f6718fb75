"""From a network to a NIR graph, and back from what this package wrote beside it.

    input -> w_in -> neurons -> w_out (-> readout) -> output,    neurons -> w_rec (-> delay) -> neurons

The metadata hold the network's description (`spec.encode`) and its arrays; weights are read from the nodes. A graph whose nodes
are no longer those of the description is taken as it is.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from scipy import sparse

from .. import _check
from .._version import __version__
from ..network.connectivity import Masked
from ..network.network import Network
from ..network.weights import Weights
from ..neurons import ALIF, LIF, CubaLIF
from ..recording import Recording
from ..spec import decode, encode
from .nir_build import VANISHED

KEY, FORMAT = "snnlearn", 1
MODELS = (LIF, ALIF, CubaLIF)


def graph_of(nir: Any, net: Network, weights: Weights, scheme: str) -> tuple[Any, tuple[str, ...]]:
    """The graph and what it does not hold."""
    for group in net.neurons:
        if type(group) not in MODELS:
            need = "be LIF, ALIF or CubaLIF to be written as NIR"
            raise _check.fail("to_nir.net.neurons", need, type(group).__name__, error=TypeError)
    endless = np.isinf(np.concatenate([group._array("tau_m") for group in net.neurons]))
    if endless.any() and (not endless.all() or any(isinstance(group, CubaLIF) for group in net.neurons)):
        need = "have a finite tau_m to be written as NIR, or be all without leak and without synaptic currents, as its IF"
        raise _check.fail("to_nir.net.neurons", need, f"{endless.sum()} of {net.n} without leak")
    nodes, edges = _nodes(nir, net, weights, scheme)
    arrays: dict[str, np.ndarray] = {}
    values = {"format": FORMAT, "version": __version__, "scheme": scheme, "net": encode(net, arrays, "net")}
    for name in ("w_in", "w_rec"):
        matrix = getattr(weights, name)
        if sparse.issparse(matrix):
            arrays |= {f"{name}.indptr": np.asarray(matrix.indptr), f"{name}.indices": np.asarray(matrix.indices)}
    metadata = {"spec": json.dumps(values)} | ({"arrays": arrays} if arrays else {})
    return nir.NIRGraph(nodes, edges, metadata={KEY: metadata}), lost(net)


def lost(net: Network) -> tuple[str, ...]:
    """What a graph of this network does not hold."""
    dt, n = net.dt, net.n
    found = [
        f"the time step of {dt:g} ms and the exact decay per step",
        "the reset, which subtracts the threshold one step after the spike (v_reset = 0 is written)",
        "the surrogate of learning",
    ]
    adaptive = [group for group in net.neurons if isinstance(group, ALIF)]
    if adaptive:
        found.append(f"the adaptation of {sum(group.n for group in adaptive)} of {n} neurons (tau_a, beta)")
    for name, what in (("refractory", "the refractory period"), ("noise", "the background noise")):
        concerned = sum(int(np.count_nonzero(group._array(name))) for group in net.neurons)
        if concerned:
            found.append(f"{what} of {concerned} neurons")
    starts = sum(int(np.count_nonzero(group.initial().any(axis=0))) for group in net.neurons)
    if starts:
        found.append(f"the initial state of {starts} neurons")
    if net.delay_steps == 1:
        found.append(f"the delay of {net.delay:g} ms of recurrent connections, which readers take as one step of theirs")
    for name in ("inputs", "recurrent"):
        if type(getattr(net, name)).__name__ != "Dense":
            found.append(f"which {name} connections exist ({getattr(net, name)!r}): absent ones are zeros")
    if net.frozen:
        found.append("frozen " + ", ".join(net.frozen))
    return tuple(found)


def own_network(nir: Any, graph: Any, where: str) -> tuple[tuple[Network, Weights] | None, str | None]:
    """The network and weights that this package wrote, or None; and why not, where its metadata do not count."""
    kept = graph.metadata.get(KEY) if isinstance(graph.metadata, dict) else None
    if kept is None:
        return None, None
    values = json.loads(_text(kept["spec"]))
    if int(values.get("format", 0)) > FORMAT:
        raise _check.fail(where, f"be of format {FORMAT} or older", values["format"], "a newer snnlearn reads it")
    arrays = {name: np.asarray(array) for name, array in kept.get("arrays", {}).items()}
    net = decode(values["net"], arrays, where)
    try:
        weights = _own_weights(net, graph, arrays)
        expected, edges = _nodes(nir, net, weights, values["scheme"])
        if set(map(tuple, graph.edges)) != set(edges) or set(graph.nodes) != set(expected):
            raise ValueError("its nodes and edges are others")
        for name, node in expected.items():
            for key, value in vars(node).items():
                if key in ("metadata", "input_type", "output_type"):
                    continue
                if not np.array_equal(np.asarray(getattr(graph.nodes[name], key)), np.asarray(value)):
                    raise ValueError(f"{key} of node {name!r} is another")
        return (net, weights), None
    except (KeyError, AttributeError, ValueError, TypeError) as error:
        return None, f"what snnlearn wrote beside the graph is not used: since then the graph has changed, {error}"


def recorded_network(recording: Recording) -> Network:
    """The network of a recording. ValueError where it cannot be made from the file."""
    from ..recording.reopen import load_checkpoints

    where = f"recording {str(recording.path)!r}"
    try:
        checkpoint = load_checkpoints(recording.path, "export.recording")[0]
        return decode(checkpoint.values["net"], checkpoint.constants, where)
    except ValueError:  # without a checkpoint: from the description, in which masks are left to the weights
        described = dict(recording.config["network"])
    weights = recording.weights()
    for name, key in (("recurrent", "w_rec"), ("inputs", "w_in")):
        spec = described.pop(name)
        described[name] = Masked(getattr(weights, key) != 0) if spec["type"] == "Masked" else decode(spec, {}, where)
    plain = {key: decode(value, {}, where) for key, value in described.items() if key not in ("recurrent", "inputs")}
    return Network(**plain, recurrent=described["recurrent"], inputs=described["inputs"])


def _nodes(nir: Any, net: Network, weights: Weights, scheme: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Nodes and edges of a network."""
    seconds = net.dt / 1000.0
    w_in, w_rec, w_out, b_out = (w.toarray() if hasattr(w, "toarray") else np.asarray(w) for w in weights)
    current = np.concatenate([group._array("current") for group in net.neurons])
    nodes = {
        "input": nir.Input(input_type={"input": np.array([net.n_inputs])}),
        "w_in": _linear(nir, w_in, current),
        "neurons": _neurons(nir, net, scheme),
        "w_rec": nir.Linear(weight=np.ascontiguousarray(w_rec.T)),
    }
    edges = [("input", "w_in"), ("w_in", "neurons"), ("neurons", "w_rec")]
    last = "w_rec"
    if net.delay_steps > 1:
        nodes["delay"] = nir.Delay(delay=np.full(net.n, net.delay_steps * seconds))
        edges.append((last, "delay"))
        last = "delay"
    edges += [(last, "neurons"), ("neurons", "w_out")]
    nodes["w_out"] = _linear(nir, w_out, b_out)
    last, n_out = "w_out", net.n_outputs
    kappa = np.full(n_out, net.readout.kappa(net.dt))
    scale = 1.0 - kappa if net.readout.normalize_input else np.ones(n_out)
    if net.readout.tau > 0:
        tau, gain = _tau(np.full(n_out, net.readout.tau), kappa, net.dt, scheme)
        nodes["readout"] = nir.LI(tau=tau, r=scale / gain, v_leak=np.zeros(n_out))
        edges.append((last, "readout"))
        last = "readout"
    nodes["output"] = nir.Output(output_type={"output": np.array([n_out])})
    return nodes, [*edges, (last, "output")]


def _neurons(nir: Any, net: Network, scheme: str) -> Any:
    """The node of all neurons: IF without leak, CubaLIF where some have synaptic currents, else LIF."""
    params = [group.params(net.dt) for group in net.neurons]
    alpha, zeta, thr = (np.concatenate([getattr(p, name) for p in params]) for name in ("alpha", "zeta", "thr"))
    tau_m, zero = np.concatenate([group._array("tau_m") for group in net.neurons]), np.zeros(net.n)
    if np.isinf(tau_m).all():
        return nir.IF(r=zeta, v_threshold=thr, v_reset=zero)
    tau, gain = _tau(tau_m, alpha, net.dt, scheme)
    common = {"r": zeta / gain, "v_leak": zero, "v_threshold": thr, "v_reset": zero.copy()}
    if not any(isinstance(group, CubaLIF) for group in net.neurons):
        return nir.LIF(tau=tau, **common)
    decays = [p.alpha_s if hasattr(p, "alpha_s") else np.zeros(len(p.alpha)) for p in params]
    slow = [g._array("tau_syn") if isinstance(g, CubaLIF) else np.zeros(g.n) for g in net.neurons]
    tau_syn, syn_gain = _tau(np.concatenate(slow), np.concatenate(decays), net.dt, scheme)
    return nir.CubaLIF(tau_syn=tau_syn, tau_mem=tau, w_in=1.0 / syn_gain, **common)


def _tau(tau: np.ndarray, decay: np.ndarray, dt: float, scheme: str) -> tuple[np.ndarray, np.ndarray]:
    """The time constant in s by which a reader of this scheme has the decay, and its factor of the input."""
    if scheme == "euler":
        gain = -np.expm1(-dt / np.where(tau > 0, tau, dt / VANISHED))
        return dt / gain / 1000.0, gain
    tau = np.where(tau > 0, tau, dt / VANISHED)
    return tau / 1000.0, dt / tau if scheme == "impulse" else -np.expm1(-dt / tau)


def _linear(nir: Any, matrix: np.ndarray, bias: np.ndarray) -> Any:
    weight = np.ascontiguousarray(matrix.T)
    return nir.Affine(weight=weight, bias=bias) if bias.any() else nir.Linear(weight=weight)


def _own_weights(net: Network, graph: Any, arrays: dict[str, np.ndarray]) -> Weights:
    """The weights of the nodes, in the form that the network has."""
    result: list[Any] = []
    for name in ("w_in", "w_rec", "w_out"):
        matrix = np.ascontiguousarray(np.asarray(graph.nodes[name].weight).T)
        if f"{name}.indptr" in arrays:
            indptr, indices = (arrays[f"{name}.{part}"] for part in ("indptr", "indices"))
            rows = np.repeat(np.arange(matrix.shape[0]), np.diff(indptr))
            matrix = sparse.csr_array((matrix[rows, indices], indices, indptr), shape=matrix.shape)
        result.append(matrix)
    bias = getattr(graph.nodes["w_out"], "bias", None)
    result.append(np.zeros(net.n_outputs, result[2].dtype) if bias is None else np.asarray(bias))
    weights = Weights(*result)
    net.check_weights(weights)
    return weights


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
