"""How long it takes to open a long recording and to plot one second of it.

    python benchmarks/reading.py [--size 1.0] [--plain] [--keep] [--folder DIR]

Writes a recording of about `size` GB (1000 neurons at 8 Hz, v of 200 of them, readout, tables, weights; one long stream and
100 000 short trials), and measures each look in a new process, so that nothing is in HDF5's caches. The file may be in the
page cache of the system; where it is allowed, that is emptied too. Checks what was read against what was written.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections import namedtuple

import numpy as np

N, SHOWN, OUTPUTS, BLOCK, RATE = 1000, 200, 2, 1000, 0.008
SHORT, STEPS = 100_000, 2  # short trials before the stream, and their steps
LOOK = """
import sys, time
import snnlearn as sl
from matplotlib.figure import Figure
from snnlearn import plot
path, trial, at = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
Figure(layout="constrained").savefig(path + ".png")  # fonts are found once
c0, t0 = time.process_time(), time.perf_counter()
rec = sl.open_recording(path)
t1 = time.perf_counter()
second = (at, at + 1000.0)
fig = Figure(figsize=(10, 8), layout="constrained")
axes = fig.subplots(3)
plot.raster(rec, trial, axes[0], time=second)
plot.membrane(rec, trial, [0, 5, 199], axes[1], time=second)
plot.readout(rec, trial, axes[2], time=second)
fig.savefig(path + ".png", dpi=90)
c2, t2 = time.process_time(), time.perf_counter()
v = rec["v"].read(trial, second)
t3 = time.perf_counter()
text = repr(rec)
t4 = time.perf_counter()
print(f"{t1 - t0:.3f} {t2 - t1:.3f} {c2 - c0:.3f} {t3 - t2:.3f} {t4 - t3:.3f} {v[0, 7]:.0f} {v[-1, 7]:.0f}")
"""


def write(path: pathlib.Path, size: float, compression: str | None) -> int:
    """Write the recording; returns the number of steps of the stream."""
    import snnlearn as sl

    rng = np.random.default_rng(0)
    weights = namedtuple("Weights", "w_in w_rec w_out b_out")(
        *(rng.standard_normal(shape).astype(np.float32) for shape in ((100, N), (N, N), (N, OUTPUTS), (OUTPUTS,)))
    )
    config = {"network": {"n_inputs": 100, "neurons": [{"type": "LIF", "n": N, "threshold": 1.0}]}, "seed": 0}
    noise = rng.random((BLOCK, SHOWN)).astype(np.float32)  # hard to compress, as membranes are
    with sl.Recorder(path, v=slice(0, SHOWN), weights_every=1, compression=compression) as recorder:
        recorder.open(config, n_neurons=N, n_outputs=OUTPUTS, dt=1.0, variables=("v",), weights=weights)
        for trial in range(SHORT):
            step, readout = np.sort(rng.integers(0, STEPS, 10)), np.zeros((STEPS, OUTPUTS), np.float32)
            recorder.block(trial, 0, step, rng.integers(0, N, 10), {"v": noise[:STEPS]}, readout=readout)
            recorder.row("trials", trial=trial, n_steps=STEPS, loss=0.5)
        start = 0
        while path.stat().st_size < size * 1e9:
            v = noise.copy()
            v[:, 7] = start + np.arange(BLOCK)
            n_spikes = rng.poisson(BLOCK * N * RATE)
            step = start + np.sort(rng.integers(0, BLOCK, n_spikes))
            readout = rng.standard_normal((BLOCK, OUTPUTS)).astype(np.float32)
            recorder.block(SHORT, start, step, rng.integers(0, N, n_spikes), {"v": v}, readout=readout)
            start += BLOCK
            if start % (1000 * BLOCK) == 0:
                recorder.snapshot(start // BLOCK, weights)
    return start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=1.0, help="GB")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()))
    parser.add_argument("--plain", action="store_true", help="without compression: it is written faster")
    parser.add_argument("--keep", action="store_true", help="do not delete the file")
    options = parser.parse_args()
    path = options.folder / "snnlearn-reading.h5"
    path.unlink(missing_ok=True)
    try:
        began = time.perf_counter()
        n_steps = write(path, options.size, None if options.plain else "gzip")
        seconds = time.perf_counter() - began
        print(f"{path.stat().st_size / 1e9:.2f} GB, {n_steps} steps of {N} neurons and {SHORT} short trials", end=", ")
        print(f"written in {seconds:.0f} s, {path.stat().st_size / 1e6 / seconds:.0f} MB/s")
        print("seconds to      open   plot 1 s of raster, traces, readout   (CPU of both)   read 1 s of all v   repr")
        for where, at in (("beginning", 0), ("middle", n_steps // 2 // BLOCK * BLOCK + 500), ("end", n_steps - 1000)):
            for cold in (True, False):
                dropped = drop_caches(path) if cold else False
                if cold and not dropped:
                    continue
                command = [sys.executable, "-c", LOOK, str(path), str(SHORT), str(at)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                opened, plotted, cpu, read, shown, first, last = done.stdout.split()
                assert int(first) == at and int(last) == at + 999, "what was read is not what was written"
                print(f"{where:<10}{'cold' if cold else 'warm':<6}{opened:>5}{plotted:>38}{cpu:>16}{read:>20}{shown:>7}")
    finally:
        if not options.keep:
            path.unlink(missing_ok=True)
            pathlib.Path(f"{path}.png").unlink(missing_ok=True)


def drop_caches(path: pathlib.Path) -> bool:
    """Make the system forget the file's pages; whether it could."""
    if not hasattr(os, "posix_fadvise"):
        return False
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


if __name__ == "__main__":
    main()
