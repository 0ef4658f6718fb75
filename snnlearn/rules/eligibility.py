"""Eligibility traces of a few chosen synapses, from what the tape of a block holds; whatever the rule.

The traces are those of e-prop of order 1 (Bellec et al. 2020, eqs 13, 22-25), by the chain rule through the postsynaptic
neuron's own state (`neurons/chain.py`), with the derivatives A, b, c, k, r of its model and the arrival x_i of the synapse
i -> j (an input, or a spike of i `delay` steps ago):

    eps_ij[t]  = A_j[t] eps_ij[t-1] + b_j[t] x_i[t] + (k_j[t] + attached r_j[t]) e_ij[t-1]      (1)  eligibility vector [D]
    e_ij[t]    = c_j[t] . eps_ij[t]                                                             (2)  eligibility
    ebar_ij[t] = kappa ebar_ij[t-1] + scale e_ij[t]                                             (3)  filtered eligibility

`attached` is 1 where the rule differentiates the reset. Rules that keep no traces (adjoints, spike-driven updates) or others
(RFLO, influence) run as they do; these are computed beside them, in float64, from psi of the block.

    TraceChain the equations, for some postsynaptic neurons
    Follower   a run's blocks, for recordings
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..compiler.dispatch import SOURCE, is_ours, kernel, uncached
from ..network.network import Network
from ..neurons.base import Derivatives, cast, derivatives, join, make_derivatives


class Traces(NamedTuple):
    """Traces of chosen synapses, one step or state; float64."""

    eps: np.ndarray  # [..., D, chosen]
    e: np.ndarray  # [..., chosen]
    ebar: np.ndarray  # [..., chosen]


@kernel
def follow(params, d, arrivals, psi, local, constants, state, out, source=SOURCE):
    """Advance the traces over the steps of a block; `state` is overwritten, `out` filled.

    params : of the postsynaptic neurons, arrays [chosen]; d : Derivatives, scratch
    arrivals, psi : [steps, chosen]; local : [steps, n_local, chosen]
    constants : float64 [3] attached, kappa, scale
    """
    attached, kappa, scale = constants[0], constants[1], constants[2]
    n_hidden, chosen = state.eps.shape
    for t in range(arrivals.shape[0]):
        derivatives(params, psi[t], local[t], d)
        for s in range(chosen):
            e = 0.0
            for x in range(n_hidden):
                total = d.b[x, s] * arrivals[t, s] + (d.k[x, s] + attached * d.r[x, s]) * state.e[s]
                for y in range(n_hidden):
                    total += d.A[x, y, s] * state.eps[y, s]
                out.eps[t, x, s] = total  # (1)
                e += d.c[x, s] * total  # (2)
            for x in range(n_hidden):
                state.eps[x, s] = out.eps[t, x, s]
            state.e[s] = e
            state.ebar[s] = kappa * state.ebar[s] + scale * e  # (3)
            out.e[t, s], out.ebar[t, s] = e, state.ebar[s]


class TraceChain:
    """The traces of synapses onto these neurons, a synapse each.

    posts : int [chosen]; attached : whether the reset is differentiated
    """

    def __init__(self, net: Network, posts: np.ndarray, attached: bool):
        self.n, self.n_hidden = posts.size, len(net.variables)
        self.params = cast(_at(join(net.neurons, net.dt, np.float64), posts, net.n), np.float64)
        self.scratch: Derivatives = make_derivatives(self.n_hidden, self.n, np.float64)
        kappa = net.readout.kappa(net.dt)
        self.constants = np.array([float(attached), kappa, 1.0 - kappa if net.readout.normalize_input else 1.0])
        self._follow = follow if is_ours(self.params) else uncached(follow)

    def rest(self) -> Traces:
        """Traces at zero."""
        return Traces(np.zeros((self.n_hidden, self.n)), np.zeros(self.n), np.zeros(self.n))

    def run(self, arrivals: np.ndarray, psi: Any, local: Any, state: Traces) -> Traces:
        """The traces at each step, arrays [steps, ...]; `state` goes on. arrivals, psi, local : as of `follow`"""
        out = Traces(*(np.zeros((arrivals.shape[0], *array.shape)) for array in state))
        psi, local = (np.ascontiguousarray(x, np.float64) for x in (psi, local))
        self._follow(self.params, self.scratch, arrivals, psi, local, self.constants, state, out)
        return out


class Follower:
    """The traces of chosen synapses as a run goes on. Trials begin at zero, a stream with its first recorded step.

    pairs : matrix ("w_in", "w_rec") -> int32 [chosen, 2], (pre, post)
    attached : whether the reset is differentiated
    names : of the traces that are recorded, as `Recorder.pairs` has them
    """

    def __init__(self, net: Network, pairs: Mapping[str, np.ndarray], attached: bool, names: Mapping[str, Any]):
        self.pairs, self.names, self.variables = pairs, tuple(names), net.variables
        pre = {name: pairs[name][:, 0] if name in pairs else np.empty(0, np.int32) for name in ("w_in", "w_rec")}
        self.pre = pre
        self.posts = np.concatenate([pairs[name][:, 1] for name in ("w_in", "w_rec") if name in pairs])
        self.delay, self.chain = net.delay_steps, TraceChain(net, self.posts, attached)
        self._states: dict[int | None, tuple[Traces, np.ndarray]] = {}

    def block(self, block: Any, job: Any, trial: int | None) -> dict[str, np.ndarray]:
        """The recorded traces of a `Block` of a `Job`, [steps, chosen] by name. trial : None for a stream, which goes on."""
        assert block.psi is not None and block.local is not None
        steps = block.readout.shape[0]
        if trial not in self._states:
            self._states[trial] = self._rest()
        state, past = self._states[trial]
        arrivals = np.zeros((steps, self.posts.size))
        n_in = self.pre["w_in"].size
        self._inputs(arrivals[:, :n_in], job, block)
        self._spikes(arrivals[:, n_in:], block, past)
        out = self.chain.run(arrivals, block.psi, block.local, state)
        if trial is not None and block.start + steps >= job.inputs.steps[block.trial]:
            del self._states[trial]
        return self._named(out, n_in, block.readout.dtype)

    def _rest(self) -> tuple[Traces, np.ndarray]:
        """Traces at zero, and no spikes in flight, [delay, chosen of w_rec]."""
        return self.chain.rest(), np.zeros((self.delay, self.pre["w_rec"].size))

    def _inputs(self, arrivals: np.ndarray, job: Any, block: Any) -> None:
        if not arrivals.shape[1]:
            return
        inputs, b = job.inputs, block.trial
        ptr = inputs.indptr[b, block.start : block.start + arrivals.shape[0] + 1]
        events = slice(int(ptr[0]), int(ptr[-1]))
        dense = np.zeros((arrivals.shape[0], int(self.pre["w_in"].max()) + 1))
        row, channel = np.repeat(np.arange(arrivals.shape[0]), np.diff(ptr)), inputs.channel[events]
        use = channel < dense.shape[1]
        np.add.at(dense, (row[use], channel[use]), inputs.value[events][use])
        arrivals[:] = dense[:, self.pre["w_in"]]

    def _spikes(self, arrivals: np.ndarray, block: Any, past: np.ndarray) -> None:
        """Spikes of `delay` steps ago; `past` holds those in flight, and then those of the block's end."""
        if not arrivals.shape[1]:
            return
        steps = arrivals.shape[0]
        source, column = np.unique(self.pre["w_rec"], return_inverse=True)
        place = np.searchsorted(source, block.spike_neuron)
        known = source[np.minimum(place, source.size - 1)] == block.spike_neuron
        fired = np.zeros((steps, source.size))
        fired[block.spike_step[known] - block.start, place[known]] = 1.0
        line = np.concatenate([past, fired[:, column]])
        arrivals[:] = line[:steps]
        past[:] = line[steps:]

    def _named(self, out: Traces, n_in: int, dtype: Any) -> dict[str, np.ndarray]:
        result = {}
        columns = {"w_in": slice(0, n_in), "w_rec": slice(n_in, None)}
        for name in self.names:
            matrix = "w_in" if name.endswith("_w_in") else "w_rec"
            part = name.removesuffix(f"_{matrix}")
            if part.startswith("eligibility_vector_"):
                values = out.eps[:, self.variables.index(part.removeprefix("eligibility_vector_"))]
            else:
                values = out.e if part == "eligibility" else out.ebar
            result[name] = values[:, columns[matrix]].astype(dtype)
        return result

    def state(self) -> dict[str, np.ndarray]:
        """Copies of the stream's traces and spikes in flight; trials have ended when a state is taken."""
        if None not in self._states:
            return {}
        traces, past = self._states[None]
        return {name: array.copy() for name, array in (*traces._asdict().items(), ("past", past))}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from such a state."""
        self._states = {}
        if state:
            traces, past = self._rest()
            for name, array in (*traces._asdict().items(), ("past", past)):
                array[...] = state[name].reshape(array.shape)
            self._states[None] = (traces, past)


def _at(params: Any, index: np.ndarray, n: int) -> Any:
    """Params of these neurons."""
    values = {}
    for key, value in params._asdict().items():
        if isinstance(value, tuple):
            values[key] = _at(value, index, n)
        else:
            values[key] = value[index] if value.ndim and value.shape[0] == n else value
    return type(params)(**values)
