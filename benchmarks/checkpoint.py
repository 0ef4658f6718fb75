"""Seconds of a checkpoint: how long it stops the run, and how long until it is on the disk.

    python benchmarks/checkpoint.py [--synapses 1e7] [--stream]

Prints the state's size, the first checkpoint (which allocates the slots) and the next ones, and what a run beside the thread that
writes loses. Checks that the state comes back bit for bit.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import snnlearn as sl
from snnlearn.simulator.state import capture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synapses", type=float, default=1e7)
    parser.add_argument("--stream", action="store_true", help="e-prop in a stream, with its traces and an open interval")
    options = parser.parse_args()
    n, n_in = int(np.sqrt(options.synapses)), 10
    net = sl.Network(n_in, sl.LIF(n, threshold=0.5), 2)
    sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.Adam(1e-3), update_every=16 if options.stream else "trial")
    rng = np.random.default_rng(1)
    x, target = (rng.random((20, n_in)) < 0.5).astype(float), np.zeros((20, 2))

    def work() -> float:
        began = time.perf_counter()
        sim.run([(x, target)]) if options.stream else sim.run(x, target)
        return time.perf_counter() - began

    work()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.h5"
        recorder = sl.Recorder(path, checkpoint_every=10**9)
        size = sum(array.nbytes for array in capture(sim).arrays.values())
        print(f"{n} neurons, {n * (n + n_in):,} synapses; a state of {size / 1e6:.0f} MB")
        alone = min(work() for _ in range(3))
        for name in ("first", "second", "third", "fourth"):
            began = time.perf_counter()
            sim._checkpoint(recorder)
            stopped = time.perf_counter() - began
            beside = work()
            recorder._store.slots.wait()
            print(
                f"{name:7} stops the run for {stopped:.3f} s, is on the disk after {time.perf_counter() - began:.3f} s; ", end=""
            )
            print(f"a run takes {beside:.3f} s beside it, {alone:.3f} s alone")
        expected = capture(sim).arrays
        sim._checkpoint(recorder, wait=True)
        recorder.close()
        began = time.perf_counter()
        again = sl.resume(path)
        print(f"resume takes {time.perf_counter() - began:.3f} s; the file has {path.stat().st_size / 1e6:.0f} MB")
        assert again.recorder is not None
        again.recorder.close()
        got = capture(again).arrays
        assert set(got) == set(expected) and all(got[name].tobytes() == expected[name].tobytes() for name in expected)


if __name__ == "__main__":
    main()
