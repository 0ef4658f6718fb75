"""`snnlearn bench`: what this machine gives, in a minute: bandwidth, start-up, a step of e-prop beside its forward simulation.

The long benchmarks, with other rules, sizes and systems, stand in the repository's folder `benchmarks`.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..losses import MeanSquaredError
from ..network.network import Network, Readout
from ..network.weights import Weights
from ..neurons import LIF
from ..optimizers.optimizers import SGD
from ..rules import EProp
from ..simulator.simulator import Simulator

STARTS = """
import time; began = time.perf_counter()
import numpy as np
import snnlearn as sl
imported = time.perf_counter()
groups = [sl.LIF(100, tau_m=20.0, refractory=2.0), sl.ALIF(100, tau_m=20.0, tau_a=100.0, beta=0.1, refractory=2.0)]
net = sl.Network(64, groups, sl.Readout(10, tau=20.0, bias=True))
regularizer = sl.RateRegularizer(target=20.0, strength=1.0)
rule = sl.EProp(feedback="random")
sim = sl.Simulator(net, None, rule, sl.Adam(5e-3), sl.CrossEntropy(), regularizer, threads=1)
x = (np.random.default_rng(0).random((32, 100, 64)) < 0.2).astype(float)
sim.run(x, np.arange(32) % 10)
print(imported - began, time.perf_counter() - imported)
"""


def network(n: int, rate: float, steps: int = 500) -> tuple[Network, Weights, np.ndarray]:
    """A dense network whose neurons fire at about `rate` Hz, and its input of that rate [steps, n]."""
    net = Network(n, LIF(n, tau_m=20.0, threshold=1.0, refractory=2.0, current=0.025), Readout(2, tau=20.0))
    weights = net.init_weights(seed=1, gain={"w_in": 1.0, "w_rec": 0.5})
    return net, weights, (np.random.default_rng(0).random((steps, n)) < rate / 1000.0).astype(float)


def seconds(call: Callable[[], Any], repeats: int) -> np.ndarray:
    """Time of each repeat, after one call that warms up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return np.array(times)


def bandwidth(megabytes: float, repeats: int = 7) -> float:
    """GB/s that one thread reads and writes in an array of this size, as a weight update does (y += x)."""
    x = np.ones(max(1, int(megabytes * 1e6 / 8)), np.float32)  # two arrays of 4 bytes
    y = np.zeros_like(x)
    inner = max(1, int(2e7 / x.size))

    def call() -> None:
        for _ in range(inner):
            np.add(x, y, out=y)

    return float(12.0 * x.size * inner / seconds(call, repeats).min() / 1e9)


def start(cache: str) -> tuple[float, float, float]:
    """Seconds of a new process until the package is imported, until the first update since then, and of the process.

    cache : folder of compiled kernels
    """
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    began = time.perf_counter()
    out = subprocess.run([sys.executable, "-c", STARTS], env=environment, check=True, capture_output=True, text=True).stdout
    imported, updated = map(float, out.split())
    return imported, updated, time.perf_counter() - began


def speeds(n: int, steps: int = 500, repeats: int = 5) -> Iterator[tuple[str, float, float]]:
    """(what, ns per synapse and step, ratio to the forward simulation) of e-prop; one thread, float32."""
    net, weights, x = network(n, 10.0, steps)
    target, rule, loss = np.zeros((steps, 2)), EProp(feedback="random"), MeanSquaredError()
    base = np.nan
    for name, k, learn in (("forward", "trial", False), ("K = trial", "trial", True), ("K = 100", 100, True), ("K = 1", 1, True)):
        sim = Simulator(net, weights, rule, SGD(1e-6), loss, update_every=k, threads=1)  # type: ignore[arg-type]
        took = float(np.median(seconds(functools.partial(sim.run, x, target, learn=learn), repeats)))
        base = took if name == "forward" else base
        yield name, took / (2 * n * n * steps) * 1e9, took / base


def bench() -> None:
    """Print the table."""
    print(f"memory bandwidth, one thread: {bandwidth(0.3):.0f} GB/s in 0.3 MB, {bandwidth(200):.0f} GB/s in 200 MB")
    with tempfile.TemporaryDirectory() as cache:
        for kind in ("cold", "warm"):  # without and with kernels on disk
            times = "import {:.2f} s, first update {:.2f} s, whole process {:.2f} s".format(*start(cache))
            print(f"{kind} start: {times}", flush=True)
    print(f"{'n':>6} {'what':>10} {'ns/synapse/step':>16} {'x forward':>10}")
    for n in (100, 1000):
        for name, ns, ratio in speeds(n):
            print(f"{n:6d} {name:>10} {ns:16.4f} {ratio:10.2f}", flush=True)
