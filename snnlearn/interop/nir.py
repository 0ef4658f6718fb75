"""Exchange with other frameworks by NIR, the Neuromorphic Intermediate Representation. Needs the package nir (BSD).

Pedersen, Abreu et al. 2024, Nat. Commun. 15, 8122. A graph is continuous in time and says nothing of a step:

    LIF        tau v' = v_leak - v + r I                              a spike where v > v_threshold, then v = v_reset
    IF         v' = r I
    CubaLIF    tau_syn i' = -i + w_in I,  tau_mem v' = v_leak - v + r i
    LI         tau v' = v_leak - v + r I

`scheme` is what a framework makes of that in a step of dt: the factor by which a state decays, and the one of its input,

    | scheme          | decay        | factor of r          | written and read by                                      |
    |-----------------|--------------|----------------------|----------------------------------------------------------|
    | "euler"         | 1 - dt/tau   | dt/tau               | snnTorch (its dt is 0.1 ms), Norse (1 ms), Lava          |
    | "impulse"       | exp(-dt/tau) | dt/tau               | Rockpool (r = tau/dt exp(-dt/tau)); spikes are impulses  |
    | "exponential"   | exp(-dt/tau) | 1 - exp(-dt/tau)     | exact for a current that is constant within a step       |

and `reset` when the threshold is subtracted. Of an IF the decay is 1 and the factor r alone, in every scheme; so is that of a LIF
whose tau and r are both infinite, which is how snnTorch writes beta = 1, with the factor 1. A model of this package decays by any
factor and takes any factor into its weights. Where it subtracts another amount than the threshold, its membrane is that of the
framework plus a constant,

    v = u + c,  c = R - theta,  threshold R, background current + c (1 - alpha),  v_init = c                              (1)

with theta = v_threshold - v_leak and R = v_threshold - v_reset ("delayed": one step later, from the decayed membrane, as this
package does and snnTorch by default) or alpha times that ("immediate": within the step, as Norse with reset_subtract, and
snnTorch with reset_delay=False where no membrane stays above the threshold after its reset).

What remains different, and stands in `Imported.differences` where it applies:

* Reset to a value. Graphs say v_reset; this package subtracts. Of a framework that resets to a value, spikes coincide up to
  the first of a neuron. Frameworks do not write which of both they do: snnTorch and Norse write v_reset = 0 in any case.
* Layers. Between two populations frameworks pass spikes on within a step, here they take the network's delay. A layer's spikes
  are those of the framework `Imported.lags` steps later; a feedback from a later layer to an earlier one comes late.
* The network has one delay, one readout and one time constant of it. Norse's LIFCell lets input act one step later.
* Norse (1.1) writes time constants multiplied by its dt unless to_nir(..., dt=1.0): pass unit=1e6.
* The surrogate is not in a graph: learning is that of `surrogate`, spikes are not concerned.

`to_nir` lists what a graph does not hold. It stands in the graph's metadata, from which `from_nir` gives back the very network
and weights, unless someone has changed the graph.
"""

from __future__ import annotations

import os
import pathlib
from typing import Any, NamedTuple

from .. import _check
from ..network.network import Network
from ..network.weights import Weights
from ..neurons.surrogate import PiecewiseLinear, Surrogate
from ..recording import Recording
from ..storage.integrity import CheckedFile
from .common import new_file
from .nir_build import RESETS, SCHEMES, build
from .nir_graph import Graph
from .nir_write import graph_of, own_network, recorded_network


class Exported(NamedTuple):
    """A graph, and what it does not hold except in its metadata."""

    graph: Any  # nir.NIRGraph
    lost: tuple[str, ...]

    def __repr__(self) -> str:
        return _check.brief(self)


class Imported(NamedTuple):
    """A network and its weights, and how they differ from the graph."""

    net: Network
    weights: Weights
    differences: tuple[str, ...]
    lags: dict[str, int]  # steps by which each population's spikes come later than in the framework
    groups: dict[str, slice]  # neurons of each population

    def __repr__(self) -> str:
        return _check.brief(self)


def to_nir(net: Network, weights: Weights, path: Any = None, *, scheme: str = "impulse", overwrite: bool = False) -> Exported:
    """A network `net` and its weights as a NIR graph, written to `path` where it is given.

    scheme : the one by which a reader is to step it, see above
    overwrite : replace a file that exists

    Times are in seconds. Raises ValueError or TypeError for an unknown scheme, neuron models that NIR does not have and weights
    that do not fit, FileExistsError, ImportError without nir.
    """
    nir = _check.need("nir", "to_nir")
    _check.choice("to_nir.scheme", scheme, SCHEMES)
    if not isinstance(net, Network):
        raise _check.fail("to_nir.net", "be an sl.Network", net, error=TypeError)
    net.check_weights(weights)
    graph, lost = graph_of(nir, net, Weights(*weights), scheme)
    if path is not None:
        nir.write(str(new_file(pathlib.Path(path), overwrite)), graph)
    return Exported(graph, lost)


def from_nir(
    source: Any,
    dt: float | None = None,
    *,
    scheme: str = "euler",
    reset: str = "delayed",
    unit: float = 1000.0,
    surrogate: Surrogate | None = None,
    metadata: bool = True,
) -> Imported:
    """A network and its weights from a NIR graph that any framework wrote.

    source : path of a file, or a nir.NIRGraph
    dt : length of a step, ms, as the framework had it; a graph of this package knows it
    scheme : how the framework steps the equations: "euler", "impulse" or "exponential", see above
    reset : when it subtracts the threshold: "delayed" or "immediate"
    unit : ms that one unit of time of the graph lasts; 1000 where it counts in seconds
    surrogate : of the neurons; None: PiecewiseLinear()
    metadata : whether to take over what this package wrote beside the graph, which then ignores the rest

    Populations are put into one network, in the order in which a step runs through them. Subgraphs are opened; Input, Output and
    Flatten nodes may be there or not; parameters may be numbers or arrays. Values on several axes become channels in C order, the
    last axis fastest, as Flatten has them. Raises FileNotFoundError, OSError (not a file of NIR),
    ValueError that names the node for what the network cannot be, ImportError without nir.
    """
    nir = _check.need("nir", "from_nir")
    _check.choice("from_nir.scheme", scheme, SCHEMES)
    _check.choice("from_nir.reset", reset, RESETS)
    unit = _check.number("from_nir.unit", unit, "be a positive number of ms", low=0.0, strict=True)
    if dt is not None:
        dt = _check.number("from_nir.dt", dt, "be a positive time in ms", low=0.0, strict=True)
    surrogate = PiecewiseLinear() if surrogate is None else surrogate
    graph, where = _read(nir, source)
    own, why = own_network(nir, graph, where) if metadata else (None, None)
    if own is not None:
        net, weights = own
        if dt is not None and not _check.same_time(dt, net.dt):
            hint = "metadata=False takes the bare graph"
            raise _check.fail("from_nir.dt", f"be None or {net.dt:.9g}, as {where} says", dt, hint)
        return Imported(net, weights, (), {"neurons": 0}, {"neurons": slice(0, net.n)})
    if dt is None:
        raise _check.fail("from_nir.dt", "be given, the step of the framework in ms", None, f"{where} does not hold it")
    result = Imported(*build(Graph(graph, where), dt, scheme, reset, unit, surrogate))
    return result if why is None else result._replace(differences=(why, *result.differences))


def export_nir(recording: Recording, out: pathlib.Path, trials: Any, overwrite: bool) -> list[pathlib.Path]:
    """Write the network of a recording with its last weights; see `export`."""
    import warnings

    if trials is not None:
        raise _check.fail('export(format="nir").trials', "be None: a graph holds no trials", trials)
    net = recorded_network(recording)
    exported = to_nir(net, Weights.load(recording, net=net), out, overwrite=overwrite)
    lost = "; ".join(exported.lost)
    warnings.warn(f"{out}: NIR does not hold, except in metadata that from_nir reads: {lost}", stacklevel=4)
    return [out]


def _read(nir: Any, source: Any) -> tuple[Any, str]:
    """The graph, and what errors call it."""
    if isinstance(source, nir.NIRGraph):
        return source, "the NIR graph"
    if not isinstance(source, (str, os.PathLike)):
        raise _check.fail("from_nir.source", "be a path or a nir.NIRGraph", source, error=TypeError)
    where = f"NIR file {os.fspath(source)!r}"
    if not pathlib.Path(source).is_file():
        raise _check.fail(where, "be a file", "nothing at this path", error=FileNotFoundError)
    try:
        graph = nir.read(CheckedFile(source), type_check=False)  # frameworks write shapes with a batch, which a check refuses
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        raise _check.fail(where, "be a NIR graph that can be read", got, error=OSError) from None
    if not isinstance(graph, nir.NIRGraph):
        raise _check.fail(where, "hold a graph", type(graph).__name__)
    return graph, where
