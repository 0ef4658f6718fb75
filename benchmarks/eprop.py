"""Time per synapse and step of the forward simulation and of e-prop with K = 1, 10, 100 and K = trial.

    python benchmarks/eprop.py [--sizes 100,400,1000] [--steps 500] [--repeats 5]

Dense networks of n LIF neurons with n inputs, float32, one thread. Each row is one configuration: the
median over repeats with the range, in ns per synapse (n inputs + n recurrent sources, times n) and step,
and the ratio to the forward simulation of the same run. Before timing, the gradients of the three forms
are compared: nothing here is fast and wrong.
"""

from __future__ import annotations

import argparse

import numpy as np

import snnlearn as sl
from snnlearn.bench import network, seconds


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


if __name__ == "__main__":
    main()
