"""NEST's e-prop, models of Bellec et al. 2020: the time of Simulate() over trials that learn, one after another.

The same neurons, weights and inputs in NEST's terms (`snnlearn.conventions`), in double precision. A generator's spike takes two
steps to a neuron, by a parrot neuron, because synapses that learn need a neuron before them, and three to a readout. NEST
resets the neurons before each trial and they take no spikes in its first step, where no case has inputs. A synapse takes the
gradient of a trial at its first spike in the next: the first trial, which takes none, is warm-up, and every later one pays
for one gradient. A batch is so many trials in sequence, timed together.

The models coincide: the first trial's rate and loss, and the first update of some recurrent synapses, equal those of snnlearn in
double precision.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

import snnlearn as sl

from .cases import BATCHES, Case, case, check_close, check_cosine, peak

TO_NEURON, TO_READOUT = 2, 3  # steps
TIMED = {"evidence": 4, "dense": 4, "sparse": 2}  # trials, where they are no batch
LOOKED_AT = 200  # neurons whose synapses are compared
EXACT = 1e-9  # the models coincide


def run(name: str, threads: int, repeats: int) -> dict[str, float]:
    import nest

    nest.verbosity = nest.VerbosityLevel.ERROR
    found: dict[str, float] = {}
    for batch in BATCHES[name]:
        c, suffix = case(name, batch), f", batch {batch}" if len(BATCHES[name]) > 1 else ""
        times: list[float] = []
        updated = None
        network = _build(nest, c, threads, [*range(batch), 0] if batch > 1 else [0] * (1 + TIMED[name]))
        nest.Simulate((c.n_steps + TO_READOUT) * c.net.dt)
        for _ in range(1 if batch > 1 else min(repeats, TIMED[name])):
            start = time.perf_counter()
            nest.Simulate(batch * c.n_steps * c.net.dt)
            times.append(time.perf_counter() - start)
            if batch == 1 and updated is None:
                updated = _updated(nest, network["neurons"])
        found[f"learning{suffix}"] = float(np.median(times))
        found["MB"] = peak()
        found["rate"] = _check(network, c, updated)
    return found


def _build(nest: Any, c: Case, threads: int, order: list[int]) -> dict[str, Any]:
    """The network in NEST, with the inputs of trials in this order: its neurons, and what records the first trial."""
    steps, window = c.n_steps, int(c.masks[0].astype(bool).sum())
    nest.ResetKernel()
    nest.set(resolution=c.net.dt, local_num_threads=threads, eprop_reset_neurons_on_update=True)
    nest.set(eprop_update_interval=steps * c.net.dt, eprop_learning_window=window * c.net.dt)
    neurons = None
    for group in c.net.neurons:
        made = nest.Create(*_model(group, c, window))
        neurons = made if neurons is None else neurons + made
    readout = {"C_m": 1.0, "E_L": 0.0, "V_m": 0.0, "tau_m": c.net.readout.tau}
    readout["loss"] = "cross_entropy" if c.entropy else "mean_squared_error"
    outputs = nest.Create("eprop_readout_bsshslm_2020", c.net.n_outputs, readout)
    inputs, generators = nest.Create("parrot_neuron", c.net.n_inputs), nest.Create("spike_generator", c.net.n_inputs)
    times = [c.xs[k].step + 1.0 + i * steps for i, k in enumerate(order)]
    channels = [c.xs[k].channel for k in order]
    times, channels = np.concatenate(times) * c.net.dt, np.concatenate(channels)
    ends = np.cumsum(np.bincount(channels, minlength=c.net.n_inputs))
    by_channel = np.split(times[np.argsort(channels, kind="stable")], ends[:-1])
    for generator, spikes in zip(generators, by_channel, strict=True):
        generator.spike_times = spikes
    nest.Connect(generators, inputs, "one_to_one")
    if c.entropy:
        # targets change where no trial is judged; NEST wants times above 0
        rates = nest.Create("step_rate_generator", c.net.n_outputs)
        at = [(i * steps + 10 if i else 1) * c.net.dt for i in range(len(order))]
        for k, rate in enumerate(rates):
            rate.set(amplitude_times=at, amplitude_values=[float(c.targets[i] == k) for i in order])
        nest.Connect(rates, outputs, "one_to_one", {"synapse_model": "rate_connection_delayed", "receptor_type": 2})
        others = {"rule": "all_to_all", "allow_autapses": False}
        nest.Connect(outputs, outputs, others, {"synapse_model": "rate_connection_delayed", "receptor_type": 1})
    _synapse_model(nest, c)
    for before, w, after in (
        (inputs, c.weights.w_in, neurons),
        (neurons, c.weights.w_rec, neurons),
        (neurons, c.weights.w_out, outputs),
    ):
        w = _pairs(w, diagonal=before is not after)
        syn = {"synapse_model": "learns", "weight": w[2].astype(float), "delay": np.full(w[2].size, c.net.dt)}
        nest.Connect(np.array(before.tolist())[w[0]], np.array(after.tolist())[w[1]], "one_to_one", syn)
    # NEST scales the filtered eligibility by 1 - kappa
    feedback = c.rule.feedback_matrix(c.net) / (1.0 - np.exp(-c.net.dt / c.net.readout.tau))
    for k, output in enumerate(outputs):
        syn = {"synapse_model": "eprop_learning_signal_connection_bsshslm_2020", "weight": feedback[:, [k]], "delay": c.net.dt}
        nest.Connect(output, neurons, "all_to_all", syn)
    first = {"start": TO_NEURON * c.net.dt, "stop": (TO_NEURON + steps) * c.net.dt}
    spikes = nest.Create("spike_recorder", params=first)
    nest.Connect(neurons, spikes)
    until = {"interval": c.net.dt, "stop": (TO_READOUT + steps) * c.net.dt}
    watch = nest.Create("multimeter", params={"record_from": ["V_m"], **until})
    nest.Connect(watch, outputs)
    return {"neurons": neurons, "spikes": spikes, "watch": watch}


def _model(group: Any, c: Case, window: int) -> tuple[str, int, dict[str, float]]:
    """NEST's model, number and parameters of a group."""
    alpha = np.exp(-c.net.dt / group.tau_m)
    params = {
        "C_m": 1.0,
        "E_L": 0.0,
        "V_m": 0.0,
        "V_th": group.threshold,
        "tau_m": group.tau_m,
        "t_ref": group.refractory + c.net.dt,
        "I_e": group.current / (group.tau_m * (1.0 - alpha)),
        "surrogate_gradient_function": "piecewise_linear",
        "surrogate_gradient_height": group.surrogate.gamma / group.threshold,
        "surrogate_gradient_width": group.threshold,
    }
    if c.regularizer is not None:
        params |= {"c_reg": c.regularizer.strength * window, "f_target": c.regularizer.target}
    if isinstance(group, sl.ALIF):
        return "eprop_iaf_adapt_bsshslm_2020", group.n, {**params, "adapt_beta": group.beta, "adapt_tau": group.tau_a}
    return "eprop_iaf_bsshslm_2020", group.n, params


def _synapse_model(nest: Any, c: Case) -> None:
    """The synapse model "learns": gradients are averaged over the window where the loss is, as in snnlearn's tasks."""
    adam = isinstance(c.optimizer, sl.Adam)
    optimizer = {"type": "adam" if adam else "gradient_descent", "eta": c.optimizer.lr, "batch_size": len(c.xs)}
    if adam:
        optimizer |= {"beta_1": c.optimizer.beta1, "beta_2": c.optimizer.beta2, "epsilon": c.optimizer.epsilon}
        optimizer["optimize_each_step"] = False
    common = {"optimizer": optimizer, "average_gradient": c.entropy}
    nest.CopyModel("eprop_synapse_bsshslm_2020", "learns", common)
    nest.SetDefaults("learns", {"tau_m_readout": c.net.readout.tau})


def _pairs(w: Any, diagonal: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Before, after and weight of the synapses of a matrix."""
    if hasattr(w, "tocoo"):
        w = w.tocoo()
        return w.row, w.col, w.data
    here = np.ones(w.shape, bool)
    if not diagonal:
        np.fill_diagonal(here, False)
    return (*np.nonzero(here), w[here])


def _updated(nest: Any, neurons: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Before, after and weight of recurrent synapses as they are now."""
    some = nest.GetConnections(neurons[: min(LOOKED_AT, len(neurons))], neurons, synapse_model="learns")
    found = some.get(["source", "target", "weight"])
    first = neurons[0].global_id
    return np.array(found["source"]) - first, np.array(found["target"]) - first, np.array(found["weight"])


def _check(network: dict[str, Any], c: Case, updated: tuple[np.ndarray, np.ndarray, np.ndarray] | None) -> float:
    """The first trial's rate (Hz); raises ValueError where it, the loss or the first update is not snnlearn's."""
    rate = network["spikes"].n_events / c.net.n / (c.n_steps * c.net.dt / 1000.0)
    events, mask, target = network["watch"].events, c.masks[0], c.targets[0]
    y = events["V_m"][np.lexsort((events["senders"], events["times"]))].reshape(-1, c.net.n_outputs)[-c.n_steps :]
    loss = np.logaddexp.reduce(y, axis=1) - y[:, target] if c.entropy else 0.5 * ((y - target) ** 2).sum(axis=1)
    sim = replace(c, xs=c.xs[:1], targets=c.targets[:1], masks=c.masks[:1]).simulator(dtype="float64")
    before = sim.weights.w_rec.copy()
    ran = sim.run(c.xs[0], target, mask)
    check_close("rate (Hz)", rate, ran.rate, EXACT)
    check_close("loss", float(mask @ loss), ran.loss, EXACT)
    if updated is not None:
        i, j, w = updated
        change, own = w - np.asarray(before[i, j]).ravel(), np.asarray((sim.weights.w_rec - before)[i, j]).ravel()
        known = change != 0  # others wait for their next spike
        check_cosine("w_rec", change[known], own[known], 1.0 - EXACT)
    return rate
