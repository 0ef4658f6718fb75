"""Seconds and bytes a synapse of large sparse networks: building them, simulating, learning.

    python benchmarks/large.py [--neurons 1e5] [--indegree 100] [--steps 200] [--threads 2] [--ways forward,trial,100]

LIF neurons with so many recurrent sources and 10 of 1000 inputs each, float32, e-prop with SGD. Each line is one step of the
work: its seconds, and the resident memory of the process at its peak and after it, in bytes a synapse beyond what an idle
process holds. "forward" runs a trial, "trial" learns from it, and a number K learns in a stream whose weights change every K
steps; the second run of each has its arrays already. At 10^6 neurons it takes 5 GB. Checked: the network spikes, and
learning changes weights.
"""

from __future__ import annotations

import argparse
import pathlib
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import snnlearn as sl


class Meter:
    """Prints time and memory of calls; memory is polled from a thread, from /proc."""

    def __init__(self) -> None:
        self.peak, self.idle, self.synapses = 0, self.resident(), 1
        threading.Thread(target=self._poll, daemon=True).start()

    @staticmethod
    def resident() -> int:
        return 4096 * int(pathlib.Path("/proc/self/statm").read_text().split()[1])

    def _poll(self) -> None:
        while True:
            self.peak = max(self.peak, self.resident())
            time.sleep(0.01)

    def __call__(self, name: str, call: Callable[[], Any]) -> Any:
        self.peak, began = 0, time.perf_counter()
        result = call()
        took, after = time.perf_counter() - began, self.resident()
        peak = max(self.peak, after)
        each = [(x - self.idle) / self.synapses for x in (peak, after)]
        print(f"{name:20} {took:8.2f} s   peak {peak / 1e9:6.2f} GB {each[0]:6.1f}   after {each[1]:6.1f}", flush=True)
        return result


def build(neurons: int, indegree: int) -> sl.Network:
    """The network of this benchmark."""
    lif = sl.LIF(neurons, tau_m=20.0, threshold=1.0, refractory=2.0, current=0.03)
    return sl.Network(1000, lif, sl.Readout(2), recurrent=sl.Sparse(indegree=indegree), inputs=sl.Sparse(indegree=10))


def simulator(net: sl.Network, weights: sl.Weights, way: str, threads: int) -> tuple[sl.Simulator, bool]:
    """A simulator, and whether it runs a stream."""
    every = int(way) if way.isdigit() else "trial"
    return sl.Simulator(net, weights, sl.EProp(), sl.SGD(1e-6), update_every=every, threads=threads), way.isdigit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--neurons", type=float, default=1e5)
    parser.add_argument("--indegree", type=int, default=100)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ways", default="forward,trial,100")
    options = parser.parse_args()
    x = (np.random.default_rng(0).random((options.steps, 1000)) < 0.01).astype(float)
    target = np.zeros((options.steps, 2))

    def run(sim: sl.Simulator, way: str, stream: bool) -> sl.report.Run:
        if stream:
            return sim.run(iter([(x, target)]))
        return sim.run(x, target, learn=None if way == "trial" else False)

    ways = options.ways.split(",")
    small = build(500, 10)
    for way in ways:  # compiles
        sim, stream = simulator(small, small.init_weights(), way, options.threads)
        run(sim, way, stream)
    meter, net = Meter(), build(int(options.neurons), options.indegree)
    meter.synapses = net.n * (options.indegree + 10)
    print(f"{net.n} neurons, {meter.synapses} synapses, {options.steps} steps; memory in bytes a synapse")
    weights = meter("init_weights", lambda: net.init_weights(seed=1, gain={"w_in": 1.0, "w_rec": 0.5}))
    for way in ways:
        name = f"K = {way}" if way.isdigit() else way
        sim, stream = meter(f"{name}: Simulator", lambda way=way: simulator(net, weights, way, options.threads))
        for number in ("first", "second"):
            found = meter(f"{name}: {number} run", lambda way=way, sim=sim, stream=stream: run(sim, way, stream))
        assert found.rate > 1, "the network is silent"
        assert way == "forward" or (sim.weights.w_rec.data != weights.w_rec.data.astype(np.float32)).any(), "nothing was learnt"
        print(f"{name}: {found.rate:.1f} Hz")
        del sim


if __name__ == "__main__":
    main()
