"""What recording costs beside the run that is recorded.

    python benchmarks/recording.py [--neurons 1000] [--rounds 15] [--steps 1000] [--synapses 1e7] [--folder FOLDER]

A dense network of LIF neurons at about 10 Hz learns online on one thread (e-prop, an update every 100 steps, float32), in pieces
of 1000 steps. Runs that record different things take turns of some pieces, so that other work on the machine meets all of them
alike; commits come every two seconds of a run's own time. Printed are medians over the rounds and ratios to the turn without
recording in the same round: of the time that passes, which is the time a run takes, and of CPU time (user and system) of all
threads. "mean" is the ratio of the mean times, because compression works in bursts; "thread" the CPU time a step of threads
beside the run's own. A turn ends when all that it recorded is encoded and handed to the system, so that no run pays for
another's; those that write megabytes take turns among themselves, because the system makes everybody wait while it brings such
files to the disk. Files are read back and compared with each other: they must hold the same run.

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
from typing import Any, NamedTuple

import numpy as np

import snnlearn as sl
from snnlearn.storage import store

N_IN, N_OUT, K = 100, 2, 100
SMALL, LARGE = 20, 5  # pieces of a turn


def make(n: int) -> sl.Simulator:
    """A network that fires at some 7 Hz and learns a stream."""
    net = sl.Network(N_IN, sl.LIF(n, threshold=1.0, refractory=2.0), sl.Readout(N_OUT, tau=20.0))
    weights = net.init_weights(1, gain=0.8)
    return sl.Simulator(net, weights, sl.EProp(), sl.SGD(1e-6), update_every=K, threads=1)


def piece(n_steps: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs at 40 Hz and targets; a pure function of the number of the piece."""
    rng = np.random.default_rng([3, number])
    phase = np.arange(number * n_steps, (number + 1) * n_steps)[:, None] * np.array([0.005, 0.011])
    return (rng.random((n_steps, N_IN)) < 0.04).astype(np.float32), np.sin(phase)


class Times(NamedTuple):
    """Seconds of a turn, or of all of them."""

    wall: Any
    cpu: Any  # of all threads
    own: Any  # of the thread that simulates


def now() -> Times:
    return Times(time.perf_counter(), time.process_time(), time.thread_time())


def since(began: Times) -> Times:
    return Times(*(b - a for a, b in zip(began, now(), strict=True)))


class Variant:
    """A run that records something, or nothing."""

    def __init__(self, n: int, path: Path | None, **options: Any):
        self.simulator, self.path = make(n), path
        self.recorder = None if path is None else sl.Recorder(path, **options)
        self.turns: list[Times] = []

    def run(self, pieces: list[tuple[np.ndarray, np.ndarray]]) -> None:
        began = now()
        for x, target in pieces:
            self.result = self.simulator.run(iter([(x, target)]), recorder=self.recorder)
        if self.recorder is not None:
            for stream in self.recorder._store.streams:
                stream.settle()
        self.turns.append(since(began))


def write_plainly(file: Any, data: memoryview, times: int) -> float:
    """Seconds of writing these bytes to a plain file, to the page cache, so many times."""
    began = time.perf_counter()
    for _ in range(times):
        os.write(file, data)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=1000, help="of a piece")
    parser.add_argument("--synapses", type=float, default=1e7, help="of the checkpoint; 0: none")
    parser.add_argument("--folder", type=Path, help="where files go for a while; default: a temporary one")
    options = parser.parse_args()
    n, period = options.neurons, store.PERIOD
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        some = np.linspace(0, n - 1, 20).astype(int).tolist()
        bare = {"spikes": False, "readout": False, "target": False}
        reduce = ("rates", "intervals", "weights")
        small = {
            "nothing": Variant(n, None),
            "choices": Variant(n, folder / "choices.h5", v=some, target=False),
            "choices, plain": Variant(n, folder / "plain.h5", v=some, target=False, compression=None),
            "reducers": Variant(n, folder / "reducers.h5", raw=False, tables=False, reduce=reduce),
        }
        large = {
            "nothing": Variant(n, None),
            "everything v": Variant(n, folder / "v.h5", v=True, **bare, compression=None),
            "snapshot": Variant(n, folder / "snapshot.h5", weights_every=1, **bare, compression=None),
        }
        print(f"{n} neurons, {n * (n + N_IN):,} synapses, {options.rounds} turns of {SMALL} or {LARGE} x {options.steps} steps")
        print(f"{'':16} {'us a step':>10} {'ratio':>7} {'mean':>7} {'CPU':>7} {'mean':>7} {'thread':>7} {'bytes a step':>13}")
        for variants, pieces, plain in ((small, SMALL, None), (large, LARGE, folder / "bytes")):
            store.PERIOD = period * len(variants)
            written = take_turns(variants, pieces, options, plain)
            tell(variants, options.steps * pieces, written)
        print(f"{small['nothing'].result.rate:.1f} Hz")
        check(small, large, some)
    if options.synapses:
        checkpoint(options.synapses, options.folder)


def take_turns(variants: dict[str, Variant], length: int, options: argparse.Namespace, path: Path | None) -> np.ndarray:
    """Run all variants. length : pieces of a turn; path : of a plain file for the bytes of v. Returns seconds of its turns."""
    written, order = [], np.random.default_rng(0)
    plain = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT)
    for number in range(options.rounds + 1):
        pieces = [piece(options.steps, number * length + k) for k in range(length)]
        data = memoryview(order.random(options.steps * options.neurons, dtype=np.float32)).cast("B")
        for name in order.permutation([*variants, *([] if plain is None else ["bytes"])]):
            if name == "bytes":
                written.append(write_plainly(plain, data, length))
            else:
                variants[name].run(pieces)
    if plain is not None:
        os.close(plain)
    return np.array(written[1:])


def tell(variants: dict[str, Variant], steps: int, written: np.ndarray) -> None:
    """Print a line for each variant, with this many steps a turn."""
    base = measured(variants["nothing"])
    for name, variant in variants.items():
        times = measured(variant)
        cells = [f"{np.median(times.wall) / steps * 1e6:10.2f}"]
        for x, x0 in ((times.wall, base.wall), (times.cpu, base.cpu)):
            cells += [f"{np.median(x / x0):7.3f}", f"{np.mean(x) / np.mean(x0):7.3f}"]
        cells.append(f"{np.mean(times.cpu - times.own) / steps * 1e6:7.2f}")
        size = 0.0
        if variant.recorder is not None:
            variant.recorder.close()
            size = variant.path.stat().st_size / (steps * len(variant.turns))
        print(f"{name:16} {' '.join(cells)} {size:13.0f}")
    if written.size:
        added = measured(variants["everything v"]).wall - base.wall
        print(f"writing v's bytes by itself: {np.median(written) / steps * 1e6:.2f} us a step; ", end="")
        print(f"recording v adds {np.median(added / written):.2f} x that")


def measured(variant: Variant) -> Times:
    """Arrays [turns] without the first turn."""
    return Times(*(np.array(column[1:]) for column in zip(*variant.turns, strict=True)))


def check(small: dict[str, Variant], large: dict[str, Variant], some: list[int]) -> None:
    """The files must hold one and the same run, the large ones its beginning."""
    for group in (small, large):
        for variant in group.values():
            for a, b in zip(variant.simulator.weights, group["nothing"].simulator.weights, strict=True):
                np.testing.assert_array_equal(a, b)
    recordings = {name: sl.open_recording(v.path) for name, v in (small | large).items() if v.path is not None}
    spikes = recordings["choices"].spikes()
    assert spikes.step.size > 0
    v = recordings["everything v"]["v"]
    for trial in (0, int(recordings["everything v"].trials[-1])):
        for name in ("choices", "choices, plain"):
            np.testing.assert_array_equal(recordings[name]["v"][trial], v[trial][:, some])
    for a, b in zip(recordings["snapshot"].weights(), large["nothing"].simulator.weights, strict=True):
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
