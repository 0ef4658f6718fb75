"""Memory over a long stream: resident size at 10, 50 and 100 % of the steps must be the same.

    python benchmarks/long_run.py                                   # 10^7 steps of 100 neurons
    python benchmarks/long_run.py --steps 1e8 --neurons 20          # 10^8 steps at small n
    python benchmarks/long_run.py --record reduced                  # raw recording off: reducers only

A network of LIF neurons learns online (e-prop, an update every 100 steps) from pieces that are drawn as they are needed, and
records: "spikes" all spikes, the loss of each piece, reducers and checkpoints every minute; "reduced" only reducers and
checkpoints. Prints the resident size, the file's size and the speed at 10, 20, ... 100 %; exit status 1 where the size at
100 % is more than 5 % above that at 10 %. The file is then opened: its spikes must be those that the reducers have counted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import snnlearn as sl

N_IN, N_OUT, K = 20, 2, 100
REDUCE = ("rates", "neuron_rates", "intervals", "weights", "losses")
TOLERANCE = 1.05


def resident() -> float:
    """Resident size of this process, MB."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux: the largest so far, in kB
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return pages * 4096 / 1e6


def make(n: int) -> sl.Simulator:
    """The network."""
    net = sl.Network(N_IN, sl.LIF(n, threshold=1.0, refractory=2.0), sl.Readout(N_OUT, tau=20.0))
    regularizer = sl.RateRegularizer(target=10.0, strength=0.1, tau=500.0)
    return sl.Simulator(net, net.init_weights(1, gain=1.0), sl.EProp(), sl.SGD(1e-5), regularizer=regularizer, update_every=K)


def pieces(n_steps: int, length: int, report: Report) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The stream, drawn piece by piece."""
    for number in range(n_steps // length):
        rng = np.random.default_rng([3, number])
        phase = np.arange(number * length, (number + 1) * length)[:, None] * np.array([0.005, 0.011])
        report(number * length)
        yield (rng.random((length, N_IN)) < 0.04).astype(np.float32), np.sin(phase)
    report(n_steps)


class Report:
    """Prints a line at each tenth of the run."""

    def __init__(self, n_steps: int, path: Path):
        self.n_steps, self.path, self.began = n_steps, path, time.monotonic()
        self.sizes: dict[int, float] = {}

    def __call__(self, done: int) -> None:
        percent = 10 * (10 * done // self.n_steps)
        if percent and percent not in self.sizes:
            self.sizes[percent] = resident()
            seconds, size = time.monotonic() - self.began, self.path.stat().st_size / 1e6
            print(f"{percent:3} %  {done:.3g} steps  {self.sizes[percent]:7.1f} MB resident  {size:8.1f} MB file", end="")
            print(f"  {seconds:7.0f} s  {seconds / done * 1e6:6.2f} us a step", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=float, default=1e7)
    parser.add_argument("--neurons", type=int, default=100)
    parser.add_argument("--piece", type=int, default=5000, help="steps of a piece")
    parser.add_argument("--record", choices=("spikes", "reduced"), default="spikes")
    parser.add_argument("--out", type=Path, help="keep the recording here; default: a temporary file")
    options = parser.parse_args()
    n_steps = int(options.steps) // options.piece * options.piece
    with tempfile.TemporaryDirectory() as folder:
        path = options.out or Path(folder) / "run.h5"
        everything = options.record == "spikes"
        choice = {"raw": everything, "tables": everything, "readout": False, "target": False, "reduce": REDUCE}
        simulator, report = make(options.neurons), Report(n_steps, path)
        with sl.Recorder(path, checkpoint_minutes=1, **choice) as recorder:
            simulator.run(pieces(n_steps, options.piece, report), recorder=recorder)
        with sl.open_recording(path) as recording:
            rates = recording.reduction("rates")
            print(
                f"{options.neurons} neurons, {rates.rate.mean():.1f} Hz, {recording.ending}; {path.stat().st_size / 1e6:.1f} MB"
            )
            assert int(rates.time[-1]) == n_steps
            if everything:
                assert recording.n_steps == n_steps and recording.n_spikes == int(rates.spikes.sum())
    sizes = report.sizes
    print(", ".join(f"{percent} %: {sizes[percent]:.1f} MB" for percent in (10, 50, 100)))
    return int(sizes[100] > TOLERANCE * sizes[10])


if __name__ == "__main__":
    sys.exit(main())
