"""snnlearn beside other simulators, on the same networks, inputs and number of threads.

    python benchmarks/systems.py [--cases evidence,dense,sparse] [--systems snnlearn,nest] [--threads 1] [--json FILE]
    python benchmarks/plot_systems.py FILE PICTURE

Cases (float32 where a system has it; one trial unless a batch is given; trials are given, the median of repeats after a warm-up):

    evidence   40 inputs, 50 LIF + 50 ALIF, 2 readouts, T = 2250, batches of 1 and 64; e-prop with random feedback and Adam
    dense      1000 inputs, 1000 LIF, T = 500, about 10 Hz; e-prop with random feedback and SGD
    sparse     100 inputs, 50 000 LIF, 100 recurrent and 10 input synapses each, T = 200, about 10 Hz; e-prop and SGD

Systems, where they are installed; each says in its file in `beside/` what it does, and is compared with snnlearn in every run:

    snnlearn   forward simulation, and the whole step with learning, by e-prop and by BPTT
    jax        a hand-written pair of scans: the same e-prop gradient, which is compared
    nest       its own e-prop, in double precision, trials of a batch in sequence; rate, loss and first update equal ours
    torch      full BPTT by autograd; the gradient is compared
    brian2     C++ standalone, forward simulation alone; the rate is compared. sparse

Every line is a process of its own, on as many cores as threads, so that its peak memory is its own; ratios are to snnlearn's
learning in this run. A system that needs other versions of its libraries runs with another interpreter, one that has
snnlearn's dependencies: --python brian2=/path/to/python.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

CASES = ("evidence", "dense", "sparse")
SYSTEMS = {"snnlearn": "own", "jax": "jax_scans", "nest": "nest_eprop", "torch": "torch_bptt", "brian2": "brian2_forward"}
ONLY = {"brian2": ("sparse",)}


def one(system: str, case: str, threads: int, repeats: int) -> None:
    """Run a system in this process, and print what it found."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    found = importlib.import_module(f"beside.{SYSTEMS[system]}").run(case, threads, repeats)
    print("\n" + json.dumps(found))


def measure(python: str, system: str, case: str, threads: int, repeats: int) -> dict[str, float] | str:
    """What a system found in a process of its own, or the last line of its error."""
    command = [python, __file__, "--one", system, case, "--threads", str(threads), "--repeats", str(repeats)]
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    except OSError as error:
        return str(error)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"ended with {done.returncode}"
    return json.loads(done.stdout.splitlines()[-1])


def rows(system: str, case: str, found: dict[str, float], base: dict[str, float]) -> list[dict[str, Any]]:
    """A row for each time that a system found. base : seconds of snnlearn's learning by case, which are added to"""
    memory, rate = found.pop("MB"), found.pop("rate", None)
    table = []
    for what, seconds in found.items():
        kind, _, batch = what.partition(", ")
        of = f"{case}, {batch}" if batch else case
        if (system, kind) == ("snnlearn", "learning"):
            base[of] = seconds
        table.append({"case": of, "system": system, "what": kind, "seconds": seconds, "MB": memory, "Hz": rate})
    for row in table:
        row["ratio"] = row["seconds"] / base[row["case"]] if row["case"] in base else None
    return table


def line(row: dict[str, Any]) -> str:
    ratio, rate = (f"{row[key]:.{d}f}" if row[key] is not None else "" for key, d in (("ratio", 2), ("Hz", 1)))
    start = f"{row['case']:20} {row['system']:10} {row['what']:10} {row['seconds']:10.4f}"
    return f"{start} {ratio:>11} {row['MB']:8.0f} {rate:>6}".rstrip()


def cpu() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(text.partition(":")[2].strip() for text in lines if text.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", default=",".join(CASES), help="of " + ", ".join(CASES))
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="of " + ", ".join(SYSTEMS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--python", action="append", default=[], metavar="SYSTEM=PATH", help="another interpreter for a system")
    parser.add_argument("--json", metavar="FILE", help="save the figures")
    parser.add_argument("--one", nargs=2, metavar=("SYSTEM", "CASE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(*options.one, options.threads, options.repeats)
        return
    cases, systems = options.cases.split(","), options.systems.split(",")
    pythons = dict(text.partition("=")[::2] for text in options.python)
    for name, known in [*((c, CASES) for c in cases), *((s, tuple(SYSTEMS)) for s in (*systems, *pythons))]:
        if name not in known:
            parser.error(f"{name!r} must be one of {', '.join(known)}")
    base: dict[str, float] = {}
    table: list[dict[str, Any]] = []
    head = f"{'case':20} {'system':10} {'what':10} {'seconds':>10} {'x learning':>11} {'peak MB':>8} {'Hz':>6}"
    print(f"{head}   ({options.threads} threads)")
    for case in cases:
        for system in systems:
            if case not in ONLY.get(system, CASES):
                continue
            found = measure(pythons.get(system, sys.executable), system, case, options.threads, options.repeats)
            if isinstance(found, str):
                print(f"{case:20} {system:10} {found}", flush=True)
                continue
            for row in rows(system, case, found, base):
                table.append(row)
                print(line(row), flush=True)
    if options.json:
        saved = {"threads": options.threads, "cpu": cpu(), "rows": table}
        Path(options.json).write_text(json.dumps(saved, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
