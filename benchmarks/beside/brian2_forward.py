"""Brian2: C++ standalone, forward simulation alone, the time of its run loop; its rate is compared with snnlearn's."""

from __future__ import annotations

import tempfile

import numpy as np

from .cases import case, check_rate, peak


def run(name: str, threads: int, repeats: int) -> dict[str, float]:
    import brian2 as b2

    c = case(name)
    net, weights, events = c.net, c.weights, c.xs[0]
    lif = net.neurons[0]
    with tempfile.TemporaryDirectory() as folder:
        b2.set_device("cpp_standalone", directory=folder, build_on_run=False)
        b2.prefs.core.default_float_dtype = np.float32
        b2.prefs.devices.cpp_standalone.openmp_threads = threads if threads > 1 else 0
        b2.defaultclock.dt = net.dt * b2.ms
        options = {"threshold": f"v > {lif.threshold}", "reset": f"v -= {lif.threshold}", "refractory": lif.refractory * b2.ms}
        group = b2.NeuronGroup(net.n, f"dv/dt = -v/({lif.tau_m}*ms) : 1", method="exact", **options)
        source = b2.SpikeGeneratorGroup(net.n_inputs, events.channel, events.step * net.dt * b2.ms)
        count = b2.SpikeMonitor(group, record=False)
        projections = []
        for before, w, delay in ((source, weights.w_in, 0.0), (group, weights.w_rec, net.delay)):
            w = w.tocoo()
            synapses = b2.Synapses(before, group, "w : 1", on_pre="v_post += w")
            synapses.connect(i=w.row, j=w.col)
            synapses.w = w.data
            synapses.delay = delay * b2.ms
            projections.append(synapses)
        network = b2.Network(group, source, count, *projections)
        network.run(events.n_steps * net.dt * b2.ms)
        b2.device.build(directory=folder, run=True, compile=True)
        times = []
        for _ in range(repeats):
            b2.device.run(directory=folder, with_output=False)
            times.append(b2.device._last_run_time)
        rate = float(count.num_spikes / net.n / (events.n_steps * net.dt / 1000.0))
    found = {"forward": float(np.median(times)), "rate": rate, "MB": peak()}
    check_rate(rate, c)
    return found
