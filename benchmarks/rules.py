"""What each learning rule costs, beside the floor of its arithmetic and its memory traffic.

    python benchmarks/rules.py [--sizes 100,400,1000] [--steps 500] [--repeats 5] [--only bptt,influence]

Dense networks of n LIF neurons with n inputs at about 10 Hz, float32, one thread. The time of a rule is that of a
trial with its gradient minus that of the trial alone, a step, the median over repeats with the range; all ratios are
within this run. Floors:

    backward    one pass over the recurrent weights a step, at the bandwidth of the cache level that holds them,
                measured here by a sum over an array of the same size
    influence   the multiplications that the rule needs, counted (crossings from neurons with psi = 0 excluded),
                at the rate of multiply-adds that a plain Numba loop reaches in registers

Before timing, forward and adjoint gradients are compared in float64: nothing here is fast and wrong.
"""

from __future__ import annotations

import argparse

import numba
import numpy as np

import snnlearn as sl
from snnlearn.cli.bench import seconds
from snnlearn.network.weights import flatten


@numba.njit(fastmath=True)
def _total(x, passes):
    total = x.dtype.type(0)
    for _ in range(passes):
        for i in range(x.shape[0]):
            total += x[i]
        x[0] = total * x.dtype.type(1e-9)
    return total


@numba.njit(fastmath={"contract"}, error_model="numpy")
def _multiply_adds(out, a, passes):
    for _ in range(passes):
        for _ in range(16):
            for i in range(64):
                out[i] = out[i] * a + a


def bandwidth(n_bytes: int) -> float:
    """Bytes per second of reading an array of this size again and again."""
    x = np.ones(max(64, n_bytes // 4), np.float32)
    passes = max(1, int(4e8 / x.nbytes))
    return passes * x.nbytes / median(lambda: _total(x, passes), 5)[0]


def fma_rate() -> float:
    """Multiply-adds per second of a plain loop over registers."""
    out = np.ones(64, np.float32)
    return 20_000 * 16 * 64 / median(lambda: _multiply_adds(out, np.float32(0.5), 20_000), 5)[0]


def median(call, repeats: int) -> tuple[float, float, float]:
    """Seconds: median, smallest, largest, after one call that warms up."""
    times = seconds(call, repeats)
    return float(np.median(times)), float(times.min()), float(times.max())


def network(n: int, n_in: int, indegree: int | None = None) -> tuple[sl.Network, sl.Weights]:
    """Neurons that fire at about 10 Hz for an input of that rate."""
    lif = sl.LIF(n, tau_m=20.0, threshold=1.0, refractory=2.0, current=0.025)
    recurrent = sl.Dense() if indegree is None else sl.Sparse(indegree=indegree)
    net = sl.Network(n_in, lif, sl.Readout(2, tau=20.0), recurrent=recurrent)
    return net, net.init_weights(seed=1, gain={"w_in": 1.0, "w_rec": 0.5})


def validate() -> float:
    """Largest relative deviation of forward from adjoint gradients, float64."""
    net, weights = network(30, 30)
    x, target = (np.random.default_rng(0).random((60, 30)) < 0.05).astype(float), np.zeros((60, 2))
    worst = 0.0
    pairs = [(sl.RTRL(), sl.BPTT()), (sl.SnAp(30), sl.BPTT())]
    pairs += [(sl.EProp(m, method="forward", reset_gradient=True), sl.EProp(m, reset_gradient=True)) for m in (2, 5)]
    for forward, adjoint in pairs:
        f, a = (sl.gradient(net, weights, x, target, rule).w_rec for rule in (forward, adjoint))
        assert np.abs(a).max() > 0, "no gradient: the network is silent"
        worst = max(worst, float(np.abs(f - a).max() / np.abs(a).max()))
    return worst


def learning_time(net, weights, rule, x, target, repeats) -> tuple[np.ndarray, float]:
    """Seconds a step that learning adds (median, smallest, largest), and those of the simulation alone."""
    sim = sl.Simulator(net, weights, rule, sl.SGD(0.0), threads=1)
    steps = x.shape[-2] * (x.shape[0] if x.ndim == 3 else 1)
    alone = median(lambda: sim.run(x, target, learn=False), repeats)[0]
    return (np.array(median(lambda: sim.run(x, target), repeats)) - alone) / steps, alone / steps


def adjoint_rows(sizes: list[int], steps: int, repeats: int) -> None:
    print("\nbackward: microseconds a step and trial; floor: one pass over w_rec")
    print(
        f"{'n':>5} {'rule':>16} {'batch':>5} {'median':>9} {'range':>19} {'floor':>8} {'x floor':>8} {'x bptt':>7} {'alone':>8}"
    )
    for n in sizes:
        net, weights = network(n, n)
        rng = np.random.default_rng(0)
        one = (rng.random((steps, n)) < 0.01).astype(float)
        eight = (rng.random((8 * 8, min(steps, 200), n)) < 0.01).astype(float)
        floor, base = 4.0 * n * n / bandwidth(4 * n * n), None
        rows = [(sl.BPTT(), one), (sl.EProp(2, reset_gradient=True), one), (sl.EProp(5, reset_gradient=True), one)]
        rows += [(sl.EProp(), one), (sl.BPTT(), eight), (sl.EProp(5, reset_gradient=True), eight)]
        for rule, x in rows:
            target = np.zeros((*x.shape[:-1], 2))
            found, alone = learning_time(net, weights, rule, x, target, repeats)
            base = base or found[0]
            name = type(rule).__name__ + (f" order {rule.order}" if isinstance(rule, sl.EProp) else "")
            batch = 1 if x.ndim == 2 else x.shape[0]
            times = f"{1e6 * found[0]:9.2f} {1e6 * found[1]:9.2f}{1e6 * found[2]:10.2f}"
            ratios = f"{1e6 * floor:8.2f} {found[0] / floor:8.2f} {found[0] / base:7.2f}"
            print(f"{n:5d} {name:>16} {batch:5d} {times} {ratios} {1e6 * alone:8.2f}")


def crossing_count(net, weights, rule, x) -> float:
    """Multiply-adds a step that the influence of this rule needs, crossings from neurons with psi = 0 left out."""
    arrays = net.arrays(weights, np.float32)
    found = rule.arrays(arrays, flatten(weights, np.float32), "forward", 1, np.ones(4, bool))
    layout = found.layout
    live = (sl.simulate(net, weights, x, record=("psi",)).psi != 0).mean(axis=0)
    length = np.repeat(layout.seg_length, np.diff(layout.term_ptr))
    crossings = float((live[layout.term_q] * length).sum())
    return crossings + (2 + 2 + net.n_outputs) * float(layout.row[-1])  # tangent of v and z, and the readout's sums


def influence_rows(repeats: int) -> None:
    rate = fma_rate()
    print(f"\ninfluence: microseconds a step; floor: counted multiply-adds at {rate / 1e9:.0f} G/s")
    print(f"{'n':>5} {'in':>4} {'recurrent':>10} {'rule':>16} {'median':>10} {'range':>21} {'floor':>9} {'x floor':>8}")
    cases = [(50, 20, None, sl.RTRL()), (100, 40, None, sl.RTRL()), (100, 40, None, sl.EProp(2, method="forward"))]
    cases += [(400, 40, 10, sl.SnAp(2)), (400, 40, 10, sl.EProp(2, method="forward")), (1000, 100, 10, sl.SnAp(2))]
    cases += [(200, 40, 10, sl.SnAp(3))]
    for n, n_in, indegree, rule in cases:
        net, weights = network(n, n_in, indegree)
        x = (np.random.default_rng(0).random((200, n_in)) < 0.1).astype(float)
        found, _ = learning_time(net, weights, rule, x, np.zeros((200, 2)), repeats)
        floor = crossing_count(net, weights, rule, x) / rate
        name = type(rule).__name__ + {"EProp": " order 2", "SnAp": f"-{getattr(rule, 'n', '')}"}.get(type(rule).__name__, "")
        kind = "dense" if indegree is None else f"{indegree} each"
        times = f"{1e6 * found[0]:10.1f} {1e6 * found[1]:10.1f}{1e6 * found[2]:11.1f}"
        print(f"{n:5d} {n_in:4d} {kind:>10} {name:>16} {times} {1e6 * floor:9.1f} {found[0] / floor:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", default="100,400,1000")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="bptt,influence", help="bptt, influence")
    options = parser.parse_args()
    print(f"forward against adjoint: {validate():.1e} relative")
    if "bptt" in options.only:
        adjoint_rows([int(s) for s in options.sizes.split(",")], options.steps, options.repeats)
    if "influence" in options.only:
        influence_rows(options.repeats)


if __name__ == "__main__":
    main()
