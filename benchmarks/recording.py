"""What recording costs beside the run that is recorded.

    python benchmarks/recording.py [--neurons 1000] [--rounds 21] [--steps 1000] [--synapses 1e7] [--folder FOLDER] [--wall]

A dense network of LIF neurons at about 7 Hz learns online (e-prop, an update every 100 steps, float32), in pieces of 1000 steps.
Runs that record different things take turns, piece by piece, so that other work on the machine meets all of them alike; printed
are medians of the CPU time (user and system) that a piece takes, and of its ratio to the piece without recording in the same
round; "mean" is the ratio of the means, because compression works in bursts that a median does not see. Recording works in the
thread that simulates, so that on an idle machine this is the time that passes; --wall prints that. Files are read back and
compared with each other: they must hold the same run.

    choices        spikes, readout, loss and 20 membrane potentials, compressed: the aim is at most 1.05
    everything v   v of all neurons at every step, uncompressed: the aim is that what is added is at most 1.5 x the time of
                   writing the same bytes to a plain file, measured in the same round
    snapshot       a whole weight snapshot with every piece
    reducers       rates, intervals and weight histograms with raw data off
    checkpoint     of so many synapses (see also benchmarks/checkpoint.py): how long the run stands still, and until it is on disk
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import snnlearn as sl

N_IN, N_OUT, K = 100, 2, 100
CLOCK = [time.process_time]


def make(n: int) -> sl.Simulator:
    """A network that fires at some 7 Hz and learns a stream."""
    net = sl.Network(N_IN, sl.LIF(n, threshold=1.0, refractory=2.0), sl.Readout(N_OUT, tau=20.0))
    weights = net.init_weights(1, gain=0.8)
    return sl.Simulator(net, weights, sl.EProp(), sl.SGD(1e-6), update_every=K)


def piece(n_steps: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs at 40 Hz and targets; a pure function of the number of the piece."""
    rng = np.random.default_rng([3, number])
    phase = np.arange(number * n_steps, (number + 1) * n_steps)[:, None] * np.array([0.005, 0.011])
    return (rng.random((n_steps, N_IN)) < 0.04).astype(np.float32), np.sin(phase)


class Variant:
    """A run that records something, or nothing."""

    def __init__(self, n: int, path: Path | None, **options: Any):
        self.simulator, self.path = make(n), path
        self.recorder = None if path is None else sl.Recorder(path, **options)
        self.times: list[float] = []

    def run(self, x: np.ndarray, target: np.ndarray) -> float:
        began = CLOCK[0]()
        self.result = self.simulator.run(iter([(x, target)]), recorder=self.recorder)
        self.times.append(CLOCK[0]() - began)
        return self.times[-1]


def write_plainly(file: Any, data: memoryview) -> float:
    """Seconds of writing these bytes to a plain file, to the page cache."""
    began = CLOCK[0]()
    os.write(file, data)
    return CLOCK[0]() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--steps", type=int, default=1000, help="of a piece")
    parser.add_argument("--synapses", type=float, default=1e7, help="of the checkpoint; 0: none")
    parser.add_argument("--folder", type=Path, help="where files go for a while; default: a temporary one")
    parser.add_argument("--wall", action="store_true", help="time that passes instead of CPU time")
    options = parser.parse_args()
    CLOCK[0] = time.perf_counter if options.wall else time.process_time
    n = options.neurons
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        some = np.linspace(0, n - 1, 20).astype(int).tolist()
        bare = {"spikes": False, "readout": False, "target": False}
        reduce = ("rates", "intervals", "weights")
        variants = {
            "nothing": Variant(n, None),
            "choices": Variant(n, folder / "choices.h5", v=some, target=False),
            "choices, plain": Variant(n, folder / "plain.h5", v=some, target=False, compression=None),
            "everything v": Variant(n, folder / "v.h5", v=True, **bare, compression=None),
            "snapshot": Variant(n, folder / "snapshot.h5", weights_every=1, **bare, compression=None),
            "reducers": Variant(n, folder / "reducers.h5", raw=False, tables=False, reduce=reduce),
        }
        plain = os.open(folder / "bytes", os.O_WRONLY | os.O_CREAT)
        written: list[float] = []
        order = np.random.default_rng(0)
        for number in range(options.rounds + 2):
            x, target = piece(options.steps, number)
            data = memoryview(order.random(options.steps * n, dtype=np.float32)).cast("B")
            for name in order.permutation([*variants, "bytes"]):
                if name == "bytes":
                    written.append(write_plainly(plain, data))
                else:
                    variants[name].run(x, target)
        os.close(plain)
        rate, base = variants["nothing"].result.rate, np.array(variants["nothing"].times[2:])
        print(f"{n} neurons, {n * (n + N_IN):,} synapses, {rate:.1f} Hz, {options.rounds} pieces of {options.steps} steps")
        print(f"{'':16} {'us a step':>10} {'ratio':>7} {'mean':>7} {'added, us a step':>17} {'file, bytes a step':>19}")
        for name, variant in variants.items():
            times = np.array(variant.times[2:])
            ratio, mean = statistics.median(times / base), np.mean(times) / np.mean(base)
            added = statistics.median(times - base) / options.steps * 1e6
            size = 0.0
            if variant.recorder is not None:
                variant.recorder.close()
                size = variant.path.stat().st_size / (options.steps * (options.rounds + 2))
            print(f"{name:16} {np.median(times) / options.steps * 1e6:10.2f} {ratio:7.3f} {mean:7.3f} {added:17.2f} {size:19.0f}")
        alone, all_v = np.array(written[2:]), np.array(variants["everything v"].times[2:])
        print(f"writing v's bytes by itself: {np.median(alone) / options.steps * 1e6:.2f} us a step; ", end="")
        print(f"recording v adds {statistics.median((all_v - base) / alone):.2f} x that")
        check(variants, some)
    if options.synapses:
        checkpoint(options.synapses, options.folder)


def check(variants: dict[str, Variant], some: list[int]) -> None:
    """The files must hold one and the same run."""
    for variant in variants.values():
        for a, b in zip(variant.simulator.weights, variants["nothing"].simulator.weights, strict=True):
            np.testing.assert_array_equal(a, b)
    recordings = {name: sl.open_recording(v.path) for name, v in variants.items() if v.path is not None}
    spikes = recordings["choices"].spikes()
    assert spikes.step.size > 0
    for last in (int(recordings["choices"].trials[-1]), 0):
        v = recordings["everything v"]["v"][last]
        for name in ("choices", "choices, plain"):
            np.testing.assert_array_equal(recordings[name]["v"][last], v[:, some])
    snapshot = recordings["snapshot"]
    for a, b in zip(snapshot.weights(), variants["nothing"].simulator.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert recordings["reducers"].reduction("rates").spikes.sum() == spikes.step.size
    for recording in recordings.values():
        recording.close()


def checkpoint(synapses: float, folder: Path | None) -> None:
    """Time of a checkpoint of so many synapses."""
    n = int(np.sqrt(synapses))
    net = sl.Network(10, sl.LIF(n, threshold=0.5), 2)
    simulator = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.Adam(1e-3), update_every=K)
    rng = np.random.default_rng(1)
    part = (rng.random((20, 10)) < 0.5).astype(np.float32), np.zeros((20, 2))
    simulator.run(iter([part]))
    with tempfile.TemporaryDirectory(dir=folder) as name:
        recorder = sl.Recorder(Path(name) / "run.h5", checkpoint_every=10**9)
        still, whole = [], []
        for _ in range(4):
            began = time.perf_counter()
            simulator._checkpoint(recorder)
            still.append(time.perf_counter() - began)
            recorder._store.slots.wait()
            whole.append(time.perf_counter() - began)
            simulator.run(iter([part]))
        recorder.close()
    print(
        f"checkpoint of {n * (n + 10):,} synapses with Adam and traces: the run stands still for {min(still[1:]):.2f} s, ", end=""
    )
    print(f"on the disk after {statistics.median(whole[1:]):.2f} s (the first, which makes room, {whole[0]:.2f} s)")


if __name__ == "__main__":
    main()
