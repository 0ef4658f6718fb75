"""What a sweep costs beside its runs: wall time against the sum of the runs' own times divided by the workers.

    python benchmarks/sweep.py [--runs 24] [--workers 2] [--updates 1000] [--cold]

Pattern generation (100 LIF neurons, 1000 steps) with e-prop, one run a seed, each in a process with one thread and a recording
with checkpoints. The own time of a run is measured in its worker, from the start of its simulator to the end of its file.
--cold: with an empty cache of kernels, which the sweep then fills once. Other work on the machine makes both times longer; the
load is printed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import snnlearn as sl
from snnlearn.experiments.recipes import pattern_generation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--cold", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.cold:
            os.environ["NUMBA_CACHE_DIR"] = str(Path(folder) / "kernels")
        config = pattern_generation(iterations=options.updates)
        began = time.perf_counter()
        result = sl.sweep(config, Path(folder) / "runs", {"seeds": options.runs}, workers=options.workers, threads=1, quiet=True)
        wall = time.perf_counter() - began
    own = result.column("seconds")
    assert (result.column("status") == "complete").all() and (result.column("updates") == options.updates).all()
    share = own.sum() / options.workers
    load = " ".join(f"{x:.1f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    print(f"{len(result)} runs on {options.workers} workers, {'cold' if options.cold else 'warm'} cache: {wall:.1f} s")
    print(f"runs' own times {own.min():.1f} to {own.max():.1f} s, sum / workers {share:.1f} s: ratio {wall / share:.3f}")
    print(f"functions compiled in runs: {result.column('compiled').sum()}; load average {load}")


if __name__ == "__main__":
    main()
