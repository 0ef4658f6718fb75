"""What rewiring costs beside an update without it.

    python benchmarks/rewiring.py [--neurons 10000] [--indegree 100] [--rounds 9]

A sparse network learns by e-prop and Adam, one trial of 200 steps an update, float32, one thread. Runs with and without
`sl.DeepR` take turns; printed are medians of the time of an update, and the synapses that are exchanged in one.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

import snnlearn as sl

EVERY = (1, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("neurons", 10_000), ("indegree", 100), ("rounds", 9)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    net = sl.Network(
        100, sl.LIF(options.neurons), 2, recurrent=sl.Sparse(indegree=options.indegree), inputs=sl.Sparse(indegree=10)
    )
    rng = np.random.default_rng(0)
    x, y = (rng.random((200, 100)) < 0.04).astype(np.float32), np.zeros((200, 2))
    specs = {"without": None} | {f"every={k}": sl.DeepR(l1=0.1, temperature=1e-3, every=k) for k in EVERY}
    parts = {"rule": sl.EProp(), "optimizer": sl.Adam(1e-3), "threads": 1}
    simulators = {name: sl.Simulator(net, rewiring=spec, **parts) for name, spec in specs.items()}
    times: dict[str, list[float]] = {name: [] for name in specs}
    exchanged: dict[str, int] = dict.fromkeys(specs, 0)
    for simulator in simulators.values():
        for _ in range(2):
            simulator.run(x, y)
    for _ in range(options.rounds):
        for name, simulator in simulators.items():
            began = time.perf_counter()
            for _ in range(max(EVERY)):
                simulator.run(x, y)
                rewirer = simulator.engine.rewirer
                exchanged[name] += sum(len(c.born) for c in rewirer.changes) if rewirer is not None else 0
            times[name].append((time.perf_counter() - began) / max(EVERY))
    synapses = sum(w.nnz for w in simulators["without"].weights[:2])
    print(f"{options.neurons} neurons, {synapses} synapses, {simulators['without'].run(x, y).rate:.1f} Hz")
    for name, took in times.items():
        ratio = statistics.median(a / b for a, b in zip(took, times["without"], strict=True))
        share = exchanged[name] / (options.rounds * max(EVERY))
        print(f"{name:10} {1e3 * statistics.median(took):8.2f} ms an update  x {ratio:.2f}   {share:8.1f} exchanged an update")


if __name__ == "__main__":
    main()
