"""What a call of `Simulator.step` costs beside its kernel, for closed loops.

    python benchmarks/step.py [--neurons 100] [--steps 2000] [--repeats 7]

A dense network of LIF neurons with as many inputs, at about 10 Hz, float32. For each way to call it: microseconds a call, and of
the same steps in one piece of `Simulator.run`, where the calls of one kernel cost nothing. With K = 10 a single step is a
part of an interval that is digested by itself, so its kernel has more to do than in a piece; with K = trial each step is an
interval of its own, with its update. "no rule" only simulates; "quiet" is a step that does not learn, of a network that does: its
traces go on. Learning and quiet steps in turn, and a stream that starts anew before each step, are to cost no more than twice a
step with a target: the last column has the ratio. "kernel" is the time within the compiled calls alone. Before timing, weights
after steps and after the piece are compared bit by bit.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np

import snnlearn as sl
from snnlearn.cli.bench import network, seconds


def within(sim: sl.Simulator, run: Callable[[], None], steps: int) -> float:
    """Microseconds a call that are spent in compiled code, over one run."""
    spent = 0.0
    stepper = sim._stepper
    for frame in [call.frame for call in stepper.calls.values()]:

        def timed(kernel: Callable[[], None] = frame.call) -> None:
            nonlocal spent
            began = time.perf_counter()
            kernel()
            spent += time.perf_counter() - began

        frame.call = timed
    run()
    stepper.calls.clear()
    return 1e6 * spent / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--neurons", type=int, default=100)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    warnings.simplefilter("ignore", sl.RunWarning)
    net, weights, x = network(options.neurons, 10.0, options.steps)
    zero, piece = np.zeros(2), np.zeros((options.steps, 2))
    quiet, target = {"learn": False}, {"target": zero}
    ways = {  # what two steps after each other are given
        "target": (target, target),
        "no rule": (quiet, quiet),
        "quiet": (quiet, quiet),
        "target, quiet": (target, quiet),
        "reset, target": (target, target),
        "error": ({"error": zero},) * 2,
        "error, a function": ({"error": lambda y: y},) * 2,
        "learning signal": ({"learning_signal": np.full(options.neurons, 1e-3)},) * 2,
    }
    heads = f"{'kernel':>7} {'beside it':>10} {'/ target':>8} {'us a step of a piece':>21}"
    print(f"{'K':>5} {'what':>18} {'us a call':>10} {'range':>15} {heads}")
    for k in (1, 10, "trial"):
        sims = [sl.Simulator(net, weights, sl.EProp(), sl.SGD(1e-3), update_every=k) for _ in range(2)]
        for one in x:
            sims[0].step(one, zero)
        sims[1].run(iter([(x[t : t + 1], piece[:1]) for t in range(options.steps)]))
        assert all(np.array_equal(a, b) for a, b in zip(*(sim.weights for sim in sims), strict=True)), "steps differ from pieces"
        assert (sims[0].weights.w_rec != weights.w_rec.astype(np.float32)).any(), "nothing was learnt"
        plain = np.nan
        for name, (odd, even) in ways.items():
            able = {} if name == "no rule" else {"rule": sl.EProp(feedback="random"), "optimizer": sl.SGD(1e-6)}
            sim = sl.Simulator(net, weights, **able, update_every=k)

            def run(sim: sl.Simulator = sim, odd: dict = odd, even: dict = even, anew: bool = name == "reset, target") -> None:
                for t, one in enumerate(x):
                    if anew:
                        sim.reset()
                    sim.step(one, **(even if t % 2 else odd))

            times = 1e6 * seconds(run, options.repeats) / options.steps
            kernel = within(sim, run, options.steps)
            whole = ""
            if k != "trial" and name in ("no rule", "target", "quiet"):
                learn = None if name == "target" else False
                alone = seconds(lambda sim=sim, learn=learn: sim.run(iter([(x, piece)]), learn=learn), options.repeats)
                whole = f"{1e6 * np.median(alone) / options.steps:21.2f}"
            median, spread = np.median(times), f"{times.min():.2f} .. {times.max():.2f}"
            plain = median if name == "target" else plain
            row = f"{k:>5} {name:>18} {median:10.2f} {spread:>15} {kernel:7.2f} {median - kernel:10.2f} {median / plain:8.2f}"
            print(f"{row} {whole}", flush=True)


if __name__ == "__main__":
    main()
