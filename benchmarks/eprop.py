"""Time per synapse and step of the forward simulation and of e-prop with K = 1, 10, 100 and K = trial.

    python benchmarks/eprop.py [--sizes 100,400,1000] [--steps 500] [--repeats 5]

Dense networks of n LIF neurons with n inputs, float32, one thread. Each row is one configuration: the
median over repeats with the range, in ns per synapse (n inputs + n recurrent sources, times n) and step,
and the ratio to the forward simulation of the same run. Before timing, the gradients of the three forms
are compared: nothing here is fast and wrong.

A second table has the time of a step against the firing rate and against the length of the trial, at n = 1000.

"in place" carries the traces of every synapse from step to step, for LIF and ALIF neurons with a detached reset: the time of
learning without the forward simulation, the bytes that it reads and writes (16 and 24 a synapse and step) over it, and how
far that is from the memory's bandwidth at that size, as y *= c gets it in NumPy.
"""

from __future__ import annotations

import argparse

import numpy as np

import snnlearn as sl
from snnlearn.cli.bench import network, seconds


def validate(n: int) -> float:
    """Largest relative deviation between in-place and adjoint e-prop, float64."""
    net, weights, x = network(n, 10.0)
    target = np.zeros((100, 2))
    forward, adjoint = (sl.gradient(net, weights, x[:100], target, sl.EProp(method=m)) for m in ("forward", "adjoint"))
    assert np.abs(adjoint.w_rec).max() > 0, "no gradient: the network is silent"
    worst = max(np.abs(f - a).max() / np.abs(a).max() for f, a in zip(forward[:3], adjoint[:3], strict=True))
    changes = []
    for method in ("forward", "auto"):
        sim = sl.Simulator(net, weights, sl.EProp(method=method), sl.SGD(1e-3), update_every=10, dtype="float64")
        sim.run(x[:100], target)
        changes.append(sim.weights.w_rec - weights.w_rec)
    return max(worst, np.abs(changes[1] - changes[0]).max() / np.abs(changes[0]).max())


def against(n: int, repeats: int) -> None:
    """Print the cost of a trial and of a stream with K = 100 against the firing rate and against the length of the trial."""
    print(f"{'n':>6} {'rate Hz':>8} {'T':>7} {'forward, us/step':>17} {'K = trial':>10} {'K = 100':>10}")
    for rate, steps in [(r, 500) for r in (2.5, 5.0, 10.0, 20.0, 40.0)] + [(10.0, t) for t in (100, 1000, 10_000)]:
        net, weights, x = network(n, rate)
        target, took = np.zeros((steps, 2)), []
        x = np.resize(x, (steps, n))
        for k, learn in (("trial", False), ("trial", True), (100, True)):
            sim = sl.Simulator(net, weights, sl.EProp(feedback="random"), sl.SGD(1e-9), update_every=k, threads=1)
            call = lambda sim=sim, x=x, t=target, learn=learn: sim.run(x, t, learn=learn)  # noqa: E731
            took.append(np.median(seconds(call, repeats)) / steps * 1e6)
        fired = sim.run(x, target, learn=False).rate
        print(f"{n:6d} {fired:8.1f} {steps:7d} {took[0]:17.2f} {took[1]:10.2f} {took[2]:10.2f}")


def scaling(megabytes: float) -> float:
    """GB/s of y *= c in an array of this size: as traces, all that is read is written."""
    y, c = np.ones(int(megabytes * 1e6 / 4), np.float32), np.float32(1.0 + 1e-7)
    inner = max(1, int(2e7 / y.size))

    def call() -> None:
        for _ in range(inner):
            np.multiply(y, c, out=y)

    return float(8.0 * y.size * inner / seconds(call, 7).min() / 1e9)


def in_place(sizes: list[int], repeats: int) -> None:
    """Print the table of traces in place."""
    print(f"{'n':>6} {'neurons':>8} {'ns/syn/step':>12} {'GB/s':>6} {'MB':>7} {'GB/s of y *= c':>15} {'x floor':>8}")
    for n in sizes:
        net, weights, x = network(n, 10.0)
        steps = int(np.clip(2e8 // (n * n), 60, 500))
        x, target, synapses = np.resize(x, (steps, n)), np.zeros((steps, 2)), 2 * n * n
        common = {"tau_m": 20.0, "threshold": 1.0, "refractory": 2.0, "current": 0.025}
        for group, moved in ((sl.LIF(n, **common), 16), (sl.ALIF(n, **common, tau_a=200.0, beta=0.05), 24)):
            net = sl.Network(n, group, net.readout)
            sim = sl.Simulator(net, weights, sl.EProp(feedback="random", method="forward"), sl.SGD(1e-9), threads=1)
            without = np.median(seconds(lambda sim=sim, x=x: sim.run(x, learn=False), repeats))
            took = np.median(seconds(lambda sim=sim, x=x, t=target: sim.run(x, t), repeats)) - without
            ns, megabytes = took / (synapses * steps) * 1e9, synapses * moved / 2e6
            floor = scaling(megabytes)
            name = type(group).__name__
            print(f"{n:6d} {name:>8} {ns:12.4f} {moved / ns:6.0f} {megabytes:7.1f} {floor:15.0f} {floor * ns / moved:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", default="100,400,1000")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"in place, by intervals and on the tape, n = 100: {validate(100):.1e} relative")
    print(f"{'n':>6} {'rate Hz':>8} {'what':>12} {'ns/syn/step':>12} {'range':>17} {'x forward':>10} {'GB/s':>6}")
    for n in (int(s) for s in options.sizes.split(",")):
        net, weights, x = network(n, 10.0)
        x = np.resize(x, (options.steps, n))
        target, synapses = np.zeros((options.steps, 2)), 2 * n * n
        rule, loss = sl.EProp(feedback="random"), sl.MeanSquaredError()
        trial = sl.Simulator(net, weights, rule, sl.SGD(1e-6), loss, threads=1)
        every = {k: sl.Simulator(net, weights, rule, sl.SGD(1e-6), loss, update_every=k, threads=1) for k in (1, 10, 100)}
        calls = {
            "forward": lambda sim=trial, x=x, t=target: sim.run(x, t, learn=False),
            "K = trial": lambda sim=trial, x=x, t=target: sim.run(x, t),
        }
        for k, sim in every.items():
            calls[f"K = {k}"] = lambda sim=sim, x=x, t=target: sim.run(x, t)
        rate, base = trial.run(x, target, learn=False).rate, None
        for name, call in calls.items():
            times = seconds(call, options.repeats) / (synapses * options.steps) * 1e9
            base = base or np.median(times)
            # K = 1 reads and writes ebar and weight of every synapse at every step: 16 bytes
            bandwidth = f"{16.0 / np.median(times):6.1f}" if name == "K = 1" else ""
            spread = f"{times.min():.4f} .. {times.max():.4f}"
            print(
                f"{n:6d} {rate:8.1f} {name:>12} {np.median(times):12.4f} {spread:>17} {np.median(times) / base:10.1f} {bandwidth}"
            )
    against(1000, options.repeats)
    in_place([100, 200, *(int(s) for s in options.sizes.split(",") if int(s) > 200), 2000], options.repeats)


if __name__ == "__main__":
    main()
