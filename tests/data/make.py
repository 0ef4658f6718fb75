"""Files as a release writes them, and the numbers that it gets from them.

    python tests/data/make.py NAME          writes NAME.zip here, with the snnlearn that is installed

Each case writes a file, and then reads it, goes on with it and replays it: what comes out is `expected.npz` in the archive.
`tests/storage/test_golden.py` does the same, with every later version of the package, and compares. This file must therefore
stay as it is for as long as an archive does; new cases are new functions.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

import snnlearn as sl
from snnlearn.storage.journal import JournaledFile

TASK = sl.tasks.Copy(length=2, n_symbols=2, symbol_duration=5.0, delay=5.0, n_per_group=3, rate=300.0, seed=3)
PIECES, PIECE, LEFT_AT = 8, 30, 5  # of a stream, steps of one; the pieces after which its file is left as it is
Numbers = dict[str, Any]


def spikes_in(number: int, n_steps: int, n: int = 6) -> np.ndarray:
    """Input that no random generator can change."""
    t, i = np.arange(n_steps)[:, None], np.arange(n)
    return ((7 * t + 5 * i * i + 11 * number + t * t * (i + 1)) % 13 < 4).astype(float)


def pieces(first: int, stop: int = PIECES) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A stream from piece `first` on."""
    for k in range(first, stop):
        t = np.arange(PIECE)[:, None] + k * PIECE
        yield spikes_in(k, PIECE), np.sin(t / (9.0, 14.0))


def lif(**options: Any) -> sl.Network:
    return sl.Network(6, sl.LIF(8, threshold=0.4, refractory=2.0), sl.Readout(2, tau=5.0), **{"delay": 2.0} | options)


# ---- what is written --------------------------------------------------------------------------------


def write_training(path: Path) -> None:
    """A training that was interrupted after batch 5, with its last checkpoint after batch 4, and nearly everything recorded."""

    def leave(simulator: sl.Simulator, history: sl.History) -> None:
        if len(history.loss) == 5:
            raise KeyboardInterrupt

    net = sl.Network(TASK.n_inputs, [sl.LIF(4, threshold=0.4), sl.ALIF(4, threshold=0.3, beta=0.1)], sl.Readout(2, tau=5.0))
    sim = sl.Simulator(
        net,
        rule=sl.EProp(feedback="adaptive", seed=2),
        optimizer=sl.Adam(sl.ExponentialDecay(5e-3, 0.5, 50), clip_norm=5.0),
        loss=sl.CrossEntropy(),
        regularizer=sl.RateRegularizer(10.0, 0.1),
        dtype="float64",
        seed=5,
        threads=1,
        passive=[sl.BPTT()],
        passive_every=2,
    )
    recorder = sl.Recorder(
        path,
        v=True,
        a=[4, 6],
        psi=slice(0, 4, 2),
        threshold=[5],
        learning_signal=[1, 7],
        weights_every=2,
        checkpoint_every=2,
        keep_every=3,
        eligibility={"w_rec": [(3, 7), (1, 2)], "w_in": [(0, 4)]},
        synapses={"w_in": [(1, 2), (3, 0)], "w_out": [(1, 0)]},
        gradient_norms=True,
        reduce={"rates": 50.0, "intervals": 100.0, "variables": 100.0, "weights": 100.0, "losses": 50.0, "gradient_norms": 50.0},
    )
    with recorder:
        sim.train(TASK, 16, 2, recorder, evaluate_every=3, evaluate_trials=2, callbacks=[leave])


def write_batches(path: Path) -> None:
    """Trials and batches of different lengths, masked connections, no compression."""
    mask = (np.arange(8)[:, None] * 3 + np.arange(8)) % 5 < 2
    net = lif(recurrent=sl.Masked(mask))
    sim = sl.Simulator(net, rule=sl.EProp(feedback="random", seed=3), optimizer=sl.SGD(5e-4, momentum=0.9), seed=4, threads=1)
    options: dict[str, Any] = {"v": [0, 3], "weights_every": 1, "every_steps": 3, "checkpoint_every": 1}
    with sl.Recorder(path, compression=None, **options) as recorder:
        for k in range(3):
            sim.run(*batch(k), recorder=recorder)


def batch(k: int) -> tuple[np.ndarray, np.ndarray]:
    n_trials, n_steps = k % 3 + 1, 20 + 7 * k
    x = np.stack([spikes_in(10 * k + trial, n_steps) for trial in range(n_trials)])
    return x, np.zeros((n_trials, n_steps, 2)) + np.linspace(-1, 1, n_steps)[:, None]


def stream(recorder: sl.Recorder, leave: Callable[[int], None]) -> None:
    """A stream through sparse connections. leave : called with the number of each piece before it is run"""

    def fed() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for k, piece in enumerate(pieces(0)):
            leave(k)
            yield piece

    net = sl.Network(
        6,
        sl.LIF(8, threshold=0.4, refractory=2.0, noise=0.05),
        sl.Readout(2, tau=5.0),
        delay=2.0,
        recurrent=sl.Sparse(indegree=3),
    )
    sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.SGD(5e-4, momentum=0.9), update_every=7, seed=6, threads=1)
    with recorder:
        sim.run(fed(), recorder=recorder)


def write_stream(path: Path) -> None:
    """A stream whose process was killed between two commits."""
    part = path.with_suffix(".part")

    def leave(k: int) -> None:
        if k == LEFT_AT:
            recorder.flush()
            shutil.copy(part, path)

    reduce = {"rates": 50.0, "neuron_rates": 60.0, "intervals": 100.0, "weights": 90.0}
    options: dict[str, Any] = {"v": [1, 5], "weights_every": 9, "checkpoint_every": 2, "keep_every": 3, "reduce": reduce}
    windows = [(None, 40.0), (100.0, 400.0)]
    recorder = sl.Recorder(part, every_steps=2, windows=windows, eligibility={"w_in": [(0, 4)]}, **options)
    stream(recorder, leave)
    part.unlink()


def write_journal(path: Path) -> None:
    """A stream whose process was killed in the middle of a commit: the file ends with a journal."""
    part = path.with_suffix(".part")

    def leave(k: int) -> None:
        if k == LEFT_AT:
            apply = JournaledFile._apply

            def left(self: JournaledFile) -> None:
                if not path.exists():
                    shutil.copy(part, path)
                apply(self)

            JournaledFile._apply = left  # type: ignore[method-assign]
            try:
                recorder.flush()
            finally:
                JournaledFile._apply = apply  # type: ignore[method-assign]

    recorder = sl.Recorder(part, v=[1, 5], weights_every=9, checkpoint_every=2)
    stream(recorder, leave)
    part.unlink()


def write_inputs(path: Path) -> None:
    """A complete stream with its inputs and a long event, no compression; since format 1.3."""
    sim = sl.Simulator(lif(), rule=sl.EProp(), optimizer=sl.SGD(5e-4, momentum=0.9), update_every=7, seed=6, threads=1)
    with sl.Recorder(path, v=[1, 5], inputs=True, compression=None, checkpoint_every=2) as recorder:
        sim.run(pieces(0, LEFT_AT), recorder=recorder)
        recorder.event("note", "µ" * 600)


RULES: dict[str, Any] = {
    "rtrl": (sl.RTRL(), sl.SGD(1e-3, momentum=0.5), 11),
    "snap": (sl.SnAp(2), sl.Adam(1e-2), 7),
    "uoro": (sl.UORO(seed=4), sl.Adam(1e-2), 4),
    "truncated": (sl.TruncatedBPTT(10), sl.Adam(1e-2, epsilon_form="standard"), 10),
}


def write_rule(path: Path) -> None:
    """The checkpoint of a stream, of `Simulator.save` or in a recording."""
    rule, optimizer, every = RULES[path.stem]
    sim = sl.Simulator(lif(), rule=rule, optimizer=optimizer, update_every=every, seed=7, threads=1)
    if path.stem in ("rtrl", "uoro"):
        sim.run(pieces(0, LEFT_AT))
        sim.save(path)
    else:
        with sl.Recorder(path, checkpoint_every=2) as recorder:
            sim.run(pieces(0, LEFT_AT), recorder=recorder)


CONFIG = """\
dtype = "float32"
seed = 5
update_every = "trial"

[task]
name = "copy"
length = 2
n_symbols = 2
symbol_duration = 5.0
delay = 5.0
n_per_group = 3
rate = 300.0
seed = 3
dt = {dt}

[network]
{delay}

[[network.neurons]]
type = "LIF"
n = 8
threshold = 0.4

[network.readout]
type = "Readout"
tau = 5.0

[network.recurrent]
type = "Dense"

[rule]
type = "EProp"
feedback = "symmetric"

[optimizer]
type = "SGD"
lr = 0.01

[loss]
type = "CrossEntropy"

[training]
trials = 8
batch = 2
"""


def write_configuration(path: Path) -> None:
    text = CONFIG.format(dt=0.5, delay="delay = 1.5")
    path.write_text(text)


def write_configuration_without_delay(path: Path) -> None:
    text = CONFIG.format(dt=0.5, delay="")
    path.write_text(text)


def write_sweep(path: Path) -> None:
    """The folder of a sweep, with its table."""
    path.with_suffix(".toml").write_text(CONFIG.format(dt=1.0, delay=""))
    sl.sweep(path.with_suffix(".toml"), path, over={"seeds": 2}, workers=1, quiet=True)
    path.with_suffix(".toml").unlink()


def write_cache(path: Path) -> None:
    """A folder with recorded events in the layout of SHD, and their cache."""
    path.mkdir()
    with h5py.File(path / "events.h5", "w") as file:
        times = file.create_dataset("spikes/times", (3,), h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (3,), h5py.vlen_dtype(np.uint16))
        for i in range(3):
            times[i], units[i] = np.linspace(0, 0.02, 9).astype(np.float16), (np.arange(9, dtype=np.uint16) * 71 + i) % 700
        file["labels"] = np.arange(3, dtype=np.uint16)
        file["extra/keys"] = np.array(["low", "middle", "high"], "S")
    binned(path)[0]


def binned(path: Path) -> Any:
    """The data of the cache; the folder must be in the working directory, because the cache's name depends on the path."""
    return sl.datasets.Binned(sl.datasets.SHD(f"{path.name}/events.h5"), 1.0, downsample=2, cache=path)


# ---- what comes out of it ---------------------------------------------------------------------------


def read(path: Path) -> Numbers:
    """What a recording holds."""
    with sl.open_recording(path) as rec:
        found: Numbers = {
            "status": rec.status,
            "ending": rec.ending,
            "versions": json.dumps(rec.versions),
            "config": json.dumps(rec.config, sort_keys=True),
            "sizes": [rec.dt, rec.n_neurons, rec.n_outputs, rec.n_trials, rec.n_steps, rec.n_spikes or 0],
            "names": list(rec.names),
        }
        known = rec.segments.trial.size
        segments = {
            name: rec.file["segments"][name][:known] for name in ("trial", "start", "n_steps", "row", "spike", "n_spikes")
        }
        order = np.lexsort((segments["start"], segments["trial"]))
        found |= {f"segments.{name}": x[order] for name, x in segments.items()}
        if rec.has_spikes:
            step, neuron = (rec.file[f"spikes/{name}"][: rec.n_spikes] for name in ("step", "neuron"))
            found |= {"spikes.step": step, "spikes.neuron": neuron}
        for name in rec.names:
            signal = rec[name]
            group = rec.file if name in ("readout", "target") else rec.file["traces"]
            found |= {name: group[name][: signal.shape[0]], f"{name}.about": [signal.units, signal.description]}
            found |= {f"{name}.{of}": x for of in ("neurons", "pairs") if (x := getattr(signal, of)) is not None}
        for table in rec.tables:
            found |= {f"tables.{table}.{name}": x for name, x in rec.table(table)._asdict().items() if name != "wall_time"}
        for update in rec.weight_updates.tolist():
            for name, w in rec.weights(update)._asdict().items():
                found[f"weights.{update}.{name}"] = w.toarray() if hasattr(w, "toarray") else w
        for name in rec.reduced:
            found |= {f"reduced.{name}.{column}": x for column, x in rec.reduction(name)._asdict().items()}
        if path.stem == "training":
            found |= {f"synapses.{name}": x for name, x in rec.synapses._asdict().items()}
        found["events"] = [f"{event.kind}: {event.message}" for event in rec.events if event.kind != "configuration"]
    return found


def read_inputs(path: Path) -> Numbers:
    with sl.open_recording(path) as rec:
        fed = rec.inputs()
        found = {
            "inputs.step": fed.step,
            "inputs.channel": fed.channel,
            "inputs.n_steps": fed.n_steps,
            "delay": rec.network().delay,
        }
    return read(path) | found


def state(sim: sl.Simulator) -> Numbers:
    """Weights and counters of a simulator."""
    weights = {f"end.{n}": w.toarray() if hasattr(w, "toarray") else w.copy() for n, w in sim.weights._asdict().items()}
    return weights | {"end.counts": [sim.updates_done, sim.trials_done, sim.stream_steps]}


def replayed(path: Path, start: int, stop: int, record: Any, **options: Any) -> Numbers:
    """A window of the run again; nothing where its bits differ, as on another processor."""
    try:
        window = sl.replay(path, start, stop, record, threads=1, **options)
    except ValueError as error:
        if "another machine" in str(error):
            return {}
        raise
    found: Numbers = {"losses": window.losses} | {f"spikes.{name}": x for name, x in window.spikes._asdict().items()}
    for name, x in window.signals.items():
        found |= {f"{name}.{k}": part for k, part in enumerate(x)} if isinstance(x, list) else {name: x}
    return {f"replay.{name}": x for name, x in found.items()}


def go_on_training(path: Path) -> Numbers:
    found = replayed(path, 6, 8, ("v", "psi", "readout"))
    sim = sl.resume(path, threads=1)
    history = sim.train()
    found |= {name: getattr(history, name) for name in ("loss", "score", "rate", "evaluated_at", "evaluation_loss", "status")}
    return found | state(sim) | {f"after.{name}": x for name, x in read(path).items()}


def go_on_batches(path: Path) -> Numbers:
    found = replayed(path, 1, 5, {"v": [2], "readout": True}, inputs=lambda sim: (batch(k) for k in range(3)))
    sim = sl.resume(path, threads=1)
    with sim.recorder as recorder:
        runs = [sim.run(*batch(k), recorder=recorder) for k in (3, 4)]
    found["losses"] = np.concatenate([run.losses for run in runs])
    return found | state(sim) | {f"after.{name}": x for name, x in read(path).items()}


def go_on_stream(path: Path) -> Numbers:
    sim = sl.resume(path, threads=1)
    with sim.recorder as recorder:
        sim.run(pieces(sim.trials_done), recorder=recorder)
    found: Numbers = {}
    if path.stem == "stream":  # the only one whose recording tells where to begin
        found = replayed(path, 100, 130, ("v",), inputs=lambda sim: pieces(sim.trials_done))
    return found | state(sim) | {f"after.{name}": x for name, x in read(path).items()}


def go_on_rule(path: Path) -> Numbers:
    sim = sl.resume(path, threads=1)
    losses = [sim.run(iter([piece]), recorder=sim.recorder).loss for piece in pieces(LEFT_AT)]
    if sim.recorder is not None:
        sim.recorder.close()
    return state(sim) | {"losses": losses}


def nothing(path: Path) -> Numbers:
    return {}


def run_configuration(path: Path) -> Numbers:
    config = sl.load_config(path)
    sim = config.simulator(threads=1)
    history = sim.train(config.task, config.training.trials, config.training.batch)
    return {"delay": config.net.delay, "digest": config.digest, "loss": history.loss} | state(sim)


def read_sweep(path: Path) -> Numbers:
    """What the table of a sweep holds; run again, it finds all runs complete."""
    found: Numbers = {}
    with h5py.File(path / "sweep.h5") as file:
        file.visititems(lambda name, x: found.update({name: x[()]}) if isinstance(x, h5py.Dataset) else None)
    found = {name: np.asarray(x, "U") if x.dtype == object else x for name, x in found.items()}
    result = sl.sweep(path / "sweep.toml", path, workers=1, quiet=True)
    found |= {
        f"again.{name}": result.column(name) for name in ("run", "status", "updates", "loss", "score", "attempts", "compiled")
    }
    found["paths"] = [p.name for p in result.paths]
    return {name: x for name, x in found.items() if name.rpartition("/")[2] not in ("seconds", "compiled")}


def read_cache(path: Path) -> Numbers:
    files = {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in path.iterdir()}
    found: Numbers = {"files": sorted(files)}
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        for i, (events, label) in enumerate(binned(path)):
            found |= {f"{i}.step": events.step, f"{i}.channel": events.channel, f"{i}.label": label}
    finally:
        os.chdir(here)
    if {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in path.iterdir()} != files:
        raise AssertionError("the cache was written anew")
    return found


class Case(NamedTuple):
    write: Callable[[Path], None]
    reads: Callable[[Path], Numbers]  # the same on any machine
    computes: Callable[[Path], Numbers] | None = None  # with rounding, which depends on the processor


CASES = {
    "training.h5": Case(write_training, read, go_on_training),
    "batches.h5": Case(write_batches, read, go_on_batches),
    "stream.h5": Case(write_stream, read, go_on_stream),
    "journal.h5": Case(write_journal, read, go_on_stream),
    "inputs.h5": Case(write_inputs, read_inputs, go_on_stream),
    **{f"{name}.h5": Case(write_rule, read, go_on_rule) for name in RULES},
    "configuration.toml": Case(write_configuration, nothing, run_configuration),
    "no-delay.toml": Case(write_configuration_without_delay, nothing, run_configuration),
    "sweep": Case(write_sweep, read_sweep),
    "cache": Case(write_cache, read_cache),
}


def machine() -> dict[str, str]:
    """What the last bits of a result depend on."""
    import numba

    features = ""
    if Path("/proc/cpuinfo").exists():
        text = Path("/proc/cpuinfo").read_text()
        features = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    kinds = sorted({word for word in features.split() if word.startswith(("avx", "fma", "sve", "asimd"))})
    return {
        "processor": f"{platform.machine()} {' '.join(kinds)}",
        "jit": str(not numba.config.DISABLE_JIT),
        "numba": numba.__version__,
        "numpy": np.__version__,
    }


def flat(name: str, numbers: Numbers) -> dict[str, np.ndarray]:
    return {f"{name}/{key}": np.asarray(value) for key, value in numbers.items()}


def main(name: str) -> None:
    """Write the archive of this name."""
    expected: dict[str, np.ndarray] = {"machine": np.asarray(json.dumps(machine())), "release": np.asarray(sl.__version__)}
    with tempfile.TemporaryDirectory() as folder:
        written, used = Path(folder) / "written", Path(folder) / "used"
        written.mkdir()
        os.chdir(written)
        for file, case in CASES.items():
            case.write(written / file)
        shutil.copytree(written, used)
        for file, case in CASES.items():
            expected |= flat(f"{file}/reads", case.reads(used / file))
            if case.computes is not None:
                expected |= flat(f"{file}/computes", case.computes(used / file))
        np.savez(written / "expected.npz", **expected)
        out = Path(__file__).resolve().parent / f"{name}.zip"
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in sorted(p for p in written.rglob("*") if p.is_file()):
                archive.write(path, path.relative_to(written))
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1])
