"""Kill runs at random moments, go on from what is left, and compare with a run that nobody killed.

    python tests/kills.py [--kills 200] [--seed 0] [KIND ...]

Children are forked from a process that has the kernels loaded, and killed with SIGKILL after a random time: while they begin,
learn, record, write a checkpoint or cut the recording back. After each kill the file must open and hold what had been
committed, bit for bit what the reference holds there. A run that has ended is compared whole. Each child draws its own number
of threads. Prints one line a kind: "torn" counts files that plain h5py does not read whole because the kill came in the middle
of a commit (the package's reader does); with a commit every 5 ms, the default here, that is some 400 times likelier than in
earnest.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import h5py
import numpy as np

import snnlearn as sl
from snnlearn.recording import reopen
from snnlearn.storage import store
from snnlearn.storage.open_file import open_file

TASK = sl.tasks.Copy(length=2, n_symbols=2, symbol_duration=5.0, delay=5.0, n_per_group=3, rate=300.0, seed=3)
LIF = sl.LIF(8, threshold=0.4, refractory=2.0, noise=0.1)
BATCHES, BATCH, PIECES, PIECE = 24, 4, 60, 30
WALL_CLOCK = ("tables/updates/wall_time", "events/time")
PERIOD = 0.005  # s between two commits


class Kind(NamedTuple):
    rule: Any
    optimizer: Any
    update_every: Any
    stream: bool
    options: Any = MappingProxyType({})
    net: Any = MappingProxyType({})
    neurons: int = 8
    record: Any = MappingProxyType({})
    period: float | None = None  # s between two commits, where it is not that of the command line


MORE: dict[str, Any] = {
    "keep_every": 7,
    "synapses": {"w_in": [(1, 2), (3, 0)]},
    "reduce": {"rates": 50.0, "intervals": 200.0, "variables": 100.0, "weights": 200.0, "losses": 100.0},
}
WIDE = {"v": True, "weights_every": None, "checkpoint_every": 30}  # chunks are on their way much of the time
SGD, ADAM = sl.SGD(0.01, momentum=0.9), sl.Adam(sl.ExponentialDecay(5e-3, 0.5, 50), clip_norm=5.0)
KINDS = {
    "eprop-adjoint": Kind(sl.EProp(feedback="adaptive", seed=2), ADAM, "trial", False),
    "eprop-steps": Kind(sl.EProp(), SGD, 4, False),
    "bptt": Kind(sl.BPTT(), SGD, "trial", False),
    "eprop-stream": Kind(sl.EProp(), ADAM, 1, True),
    "eprop-sparse-stream": Kind(
        sl.EProp(), SGD, 7, True, {"passive": [sl.SnAp(1)], "passive_every": 9}, {"recurrent": sl.Sparse(indegree=3)}
    ),
    "snap-stream": Kind(sl.SnAp(2), ADAM, 7, True),
    "rtrl-stream": Kind(sl.RTRL(), SGD, 11, True),
    "uoro-stream": Kind(sl.UORO(seed=4), ADAM, 4, True),
    "tbptt-stream": Kind(sl.TruncatedBPTT(10), ADAM, 10, True),
    # chunks are on their way for much of the time
    "wide-stream": Kind(
        sl.EProp(),
        sl.SGD(1e-5),
        10,
        True,
        neurons=1000,
        record={"v": True, "weights_every": None, "checkpoint_every": 30},
        period=0.1,
    ),
}
QUICK = ("eprop-adjoint", "eprop-stream", "wide-stream")


def pieces(first: int) -> Any:
    """The stream from piece `first` on: a pure function of the number of the piece."""
    for index in range(first, PIECES):
        rng = np.random.default_rng([11, index])
        yield (rng.random((PIECE, TASK.n_inputs)) < 0.3).astype(float), rng.integers(0, 2, PIECE)


def begin(kind: Kind, threads: int) -> sl.Simulator:
    net = sl.Network(TASK.n_inputs, dataclasses.replace(LIF, n=kind.neurons), sl.Readout(2, tau=5.0), **{"delay": 2.0} | kind.net)
    parts = {"rule": kind.rule, "optimizer": kind.optimizer, "update_every": kind.update_every, "threads": threads}
    return sl.Simulator(net, loss=sl.CrossEntropy(), seed=5, **parts, **kind.options)


def run(kind: Kind, path: Path, threads: int, resumed: bool) -> None:
    """The whole run, or what is left of it."""
    if resumed:
        simulator = sl.resume(path, threads=threads)
        if not kind.stream:
            if simulator._training.history.status == "running":
                simulator.train()
            return
        recorder = simulator.recorder
    else:
        simulator = begin(kind, threads)
        recorder = sl.Recorder(path, **{"v": [0, 3], "weights_every": 5, "checkpoint_every": 2} | MORE | kind.record)
    with recorder:
        if kind.stream:
            if simulator.trials_done < PIECES:
                simulator.run(pieces(simulator.trials_done), recorder=recorder)
        else:
            simulator.train(TASK, BATCHES * BATCH, BATCH, recorder, evaluate_every=5, evaluate_trials=4)


def child(kind: Kind, path: Path, threads: int, resumed: bool, report: int) -> None:
    """The run, in a process of its own; it tells the parent what has been committed."""
    status = 1
    try:
        os.environ["PYTHONHASHSEED"] = "0"
        flush = store.Store.flush

        def told(self: store.Store) -> None:
            flush(self)
            os.write(report, (json.dumps(lengths(self.file)) + "\n").encode())

        store.Store.flush, store.PERIOD = told, kind.period or PERIOD  # type: ignore[method-assign]
        run(kind, path, threads, resumed)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def lengths(file: h5py.File) -> dict[str, int]:
    return {name: int(group.attrs["committed"]) for name, group in reopen._growing(file)}


def contents(path: Path, cut: bool, plain: bool = False) -> dict[str, np.ndarray]:
    """All that was recorded, by the name of its data set; with `cut` as far as it is committed. plain : by h5py alone"""
    result: dict[str, np.ndarray] = {}
    with h5py.File(path, "r") if plain else open_file(path) as file:
        known = lengths(file)
        rows = spikes = 0
        if known["segments"]:
            last = known["segments"] - 1
            segment = {name: int(file["segments"][name][last]) for name in ("row", "n_steps", "spike", "n_spikes")}
            rows, spikes = segment["row"] + segment["n_steps"], segment["spike"] + segment["n_spikes"]

        def visit(name: str, item: Any) -> None:
            if not isinstance(item, h5py.Dataset) or name in (*WALL_CLOCK, "configuration") or name.startswith("checkpoint"):
                return
            parent = name.rpartition("/")[0]
            n = known.get(parent, spikes if parent == "spikes" else rows)
            grows = item.maxshape[0] is None
            if grows and item.shape[0] < n:
                raise OSError(f"{name} has {item.shape[0]} of {n} entries")
            result[name] = item[:n] if cut and grows else item[...]

        file.visititems(visit)
    return result


def differing(left: dict[str, np.ndarray], right: dict[str, np.ndarray], prefix: bool) -> list[str]:
    """Names of data sets whose bits differ; with `prefix`, left may be shorter."""
    found = [] if prefix else sorted(set(left) ^ set(right))
    for name in set(left) & set(right):
        a, b = left[name], right[name]
        if prefix:
            b = b[: len(a)]
        if a.dtype != b.dtype or a.shape != b.shape or (a.tobytes() != b.tobytes() if a.dtype != object else list(a) != list(b)):
            found.append(name)
    return found


class Tally(NamedTuple):
    kills: int
    torn: int  # files that h5py alone does not read whole
    unreadable: list[str]  # the file did not open or was not whole
    lost: list[str]  # committed entries that are gone
    differing: list[str]  # data sets
    runs: int  # that went to their end


def fork(kind: Kind, path: Path, threads: int, resumed: bool) -> tuple[int, int]:
    """A child that runs, and the end of the pipe on which it reports."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        os.close(reading)
        child(kind, path, threads, resumed, writing)
    os.close(writing)
    return process, reading


def drain(reading: int) -> list[dict[str, int]]:
    data = b""
    while part := os.read(reading, 1 << 16):
        data += part
    os.close(reading)
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def checkpointed(path: Path) -> dict[str, int] | None:
    """Lengths at the last checkpoint; None without one."""
    try:
        state = reopen.load_checkpoints(path, "path")[0].values["recorder"]
    except (ValueError, OSError):
        return None
    return {name: stream["n"] for name, stream in state["streams"].items() if name not in ("spikes", "rows")}


def kill_and_compare(name: str, kills: int, folder: Path, seed: int, longest: float | None = None) -> Tally:
    """Kill runs of a kind so many times, and go on each time."""
    kind, rng = KINDS[name], np.random.default_rng([seed, list(KINDS).index(name)])
    reference, path = folder / f"{name}-reference.h5", folder / f"{name}.h5"
    reference.unlink(missing_ok=True)
    run(kind, reference, 1, resumed=False)  # loads the kernels, which children inherit
    began = time.monotonic()
    process, reading = fork(kind, path.with_name(f"{name}-warm.h5"), 2, resumed=False)
    drain(reading)
    if os.waitpid(process, 0)[1] != 0:
        raise RuntimeError(f"{name}: a run that nobody killed has failed")
    longest = longest or time.monotonic() - began
    path.with_name(f"{name}-warm.h5").unlink()
    expected, expected_end = contents(reference, cut=True), contents(reference, cut=False)
    unreadable, lost, wrong, done, runs, torn = [], [], [], 0, 0, 0
    path.unlink(missing_ok=True)
    while done < kills:
        before = checkpointed(path)
        resumed = before is not None
        if not resumed:
            path.unlink(missing_ok=True)
        process, reading = fork(kind, path, int(rng.integers(1, 4)), resumed)
        time.sleep(rng.uniform(0, longest * (0.6 if rng.random() < 0.8 else 1.5)))
        os.kill(process, signal.SIGKILL)
        reports, status = drain(reading), os.waitpid(process, 0)[1]
        if os.WIFEXITED(status):
            if os.WEXITSTATUS(status):
                wrong.append(f"kill {done}: the run failed")
                path.unlink(missing_ok=True)
                continue
            runs += 1
            wrong += [
                f"kill {done}: {data_set} at the end" for data_set in differing(contents(path, cut=False), expected_end, False)
            ]
            path.unlink()
            continue
        done += 1
        if not path.exists() or (not reports and not resumed):
            continue  # killed before the file was made
        try:
            contents(path, cut=True, plain=True)
        except Exception:
            torn += 1
        try:
            now = contents(path, cut=True)
            with sl.open_recording(path):
                pass
        except Exception as error:
            unreadable.append(f"kill {done}: {error}")
            if checkpointed(path) is None:
                path.unlink()
            continue
        with open_file(path) as file:
            there = lengths(file)
        floor = reports[-1] if reports else before or {}
        lost += [f"kill {done}: {stream} {there.get(stream)} of {n}" for stream, n in floor.items() if there.get(stream, 0) < n]
        wrong += [f"kill {done}: {data_set}" for data_set in differing(now, expected, True)]
        if resumed and checkpointed(path) is None:
            lost.append(f"kill {done}: the checkpoint")
    if path.exists() and checkpointed(path) is not None:
        process, reading = fork(kind, path, 2, resumed=True)
        drain(reading)
        if os.waitpid(process, 0)[1]:
            wrong.append("the last run failed")
        else:
            runs += 1
            wrong += [f"{data_set} at the end" for data_set in differing(contents(path, cut=False), expected_end, False)]
    return Tally(done, torn, unreadable, lost, wrong, runs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--kills", type=int, default=200, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--period", type=float, default=PERIOD, help="s between two commits; default %(default)s, in earnest 2")
    options = parser.parse_args()
    globals()["PERIOD"], failed = options.period, 0
    print(f"{'kind':22} {'kills':>6} {'ended':>6} {'torn':>5} {'unreadable':>11} {'lost':>6} {'differing':>10} {'s':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.kinds or KINDS:
            began = time.monotonic()
            tally = kill_and_compare(name, options.kills, Path(folder), options.seed)
            counts = (len(tally.unreadable), len(tally.lost), len(tally.differing))
            failed += sum(counts)
            cells = f"{counts[0]:11} {counts[1]:6} {counts[2]:10} {time.monotonic() - began:6.0f}"
            print(f"{name:22} {tally.kills:6} {tally.runs:6} {tally.torn:5} {cells}", flush=True)
            for text in (*tally.unreadable, *tally.lost, *tally.differing)[:20]:
                print("   ", text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
