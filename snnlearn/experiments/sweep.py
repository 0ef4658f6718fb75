"""Sweeps: rules x seeds x hyperparameters, each run in a process and a file of its own, by an engine that exists.

    result = sl.sweep("config.toml", "runs/", workers=4)          # what its [sweep] table says, see `grid`
    result = sl.sweep(config, "runs/", over={"seeds": 5, "rule": ["eprop", "bptt"]})
    result = sl.sweep(config, "runs/", scheduler="tcp://host:8786")              # Dask
    result = sl.sweep(config, "runs/", executor=MPIPoolExecutor())               # any concurrent.futures executor
    result.to_pandas()

The unit is `run(config, path)`, which pickles. A run's file is its state: called again, `run` returns where the file is complete,
goes on from the last checkpoint where it is not, and begins anew where there is none. So a worker that was killed costs what it
had done since its last checkpoint, and a sweep that is started again does what is left.

Before the runs of a kind (all that differ in numbers only) one step of learning is taken, so that its kernels are compiled
once and not by every worker. Scripts need `if __name__ == "__main__":` around a sweep, as whatever starts processes does.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .. import _check
from ..compiler.barrier import cores
from ..compiler.compilations import Counter
from ..recording import open_recording
from ..runs.resume import resume
from . import executors, grid
from .config import Config, load_config
from .results import SweepResult, gather

PERIOD = 2.0  # s between two looks at how far the runs are
CHECKPOINT_MINUTES = 5.0  # where a configuration takes no checkpoints
RETRIED = (OSError, MemoryError)  # besides the death of a worker; other errors would come again
VARYING = ("seed", "threads", "sweep")  # without another kernel
RULE_VARYING = ("seed", "feedback_decay", "max_bytes")


class Attempt(NamedTuple):
    """How a call of `run` went; errors come as texts, because not every exception can be sent to another process."""

    status: str  # "complete", "interrupted" or "failed"
    seconds: float
    compiled: int  # functions, by this process
    error: str = ""
    passing: bool = False  # whether the error may not come again

    def __repr__(self) -> str:
        return _check.brief(self)


@dataclass
class _Job:
    """A run that is due."""

    number: int
    config: Config
    path: pathlib.Path
    kind: str
    point: dict[str, Any]
    attempts: int = 0
    status: str = "waiting"
    error: str = ""
    outcomes: list[Attempt] = field(default_factory=list)


def run(config: Config, path: str | os.PathLike[str], threads: int | None = 1) -> str:
    """Bring the recording of a configuration at `path` to its end, and return the path. Picklable, and safe to call again.

    config : what to run; threads : of the run, None: all cores; results do not depend on it

    A complete file is left as it is, an unfinished one goes on from its last checkpoint, and begins anew without one.
    Raises FileExistsError for a file of another configuration, and whatever the run raises.
    """
    path = pathlib.Path(path)
    if path.exists():
        digest, status, running = _state(path)
        if digest not in (None, config.digest):
            raise FileExistsError(f"{path} is the recording of another configuration; sweep into another folder")
        if running:
            raise OSError(f"another process writes {path}")
        if status == "complete":
            return str(path)
        try:
            simulator = resume(path, threads=threads)
        except (ValueError, OSError):
            simulator = None  # no checkpoint, or nothing readable
        if simulator is not None:
            if simulator.training is not None and simulator.training.history.status == "running":
                simulator.train()
            return str(path)
    config.run(path, overwrite=True, threads=threads)
    return str(path)


def sweep(
    config: Config | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    over: Mapping[str, Any] | None = None,
    *,
    workers: int | None = None,
    threads: int | None = None,
    executor: Any = None,
    scheduler: str | None = None,
    retries: int = 2,
    quiet: bool = False,
) -> SweepResult:
    """Run every point of a sweep and gather the results into one table.

    config : a `Config`, or the path of its TOML file
    folder : gets a recording for each run, and sweep.toml, sweep.h5 and sweep.csv
    over : what varies, by dotted key; None: the configuration's [sweep]
    workers : processes of this machine; None: all cores, at most one a run
    threads : of each run; None: the cores shared among the workers, and 1 elsewhere
    executor : a `concurrent.futures.Executor` that runs them instead, or what has its `submit`, as submitit's
    scheduler : the address of a Dask scheduler that runs them instead
    retries : how often a run is taken up again whose worker died, or that met an OSError or MemoryError
    quiet : no progress bar

    A run that fails is reported in the table and by a warning, and the others go on. Complete files of the same configuration
    are not run again. Raises ValueError or TypeError, before any run, for points that are no configuration; KeyboardInterrupt
    after Ctrl-C, when the runs have taken their checkpoints: the same call goes on.
    """
    config = config if isinstance(config, Config) else load_config(config)
    workers = None if workers is None else _check.threads("sweep.workers", workers)
    threads = None if threads is None else _check.threads("sweep.threads", threads)
    _check.integer("sweep.retries", retries, "be a number, not negative", low=0)
    if executor is not None and scheduler is not None:
        raise _check.fail("sweep", "get either executor or scheduler", f"{executor}, {scheduler}")
    folder = pathlib.Path(folder)
    jobs = _jobs(config, folder, config.sweep if over is None else over)
    folder.mkdir(parents=True, exist_ok=True)
    config.with_sweep(config.sweep if over is None else over).save(folder / "sweep.toml", overwrite=True)
    _find_done(jobs, folder)
    due = [job for job in jobs if job.status != "complete"]
    if due:
        engine: Any
        if scheduler is not None:
            engine = executors.dask(scheduler)
        elif executor is not None:
            engine = executors.Given(executor)
        else:
            engine = executors.Local(min(workers or cores(), len(due)))
            threads = threads or max(1, cores() // engine.capacity)
            engine.start(_import)
        _execute(due, engine, threads or 1, retries, _Bar(jobs, quiet))
    result = gather(jobs, folder)
    for job in jobs:
        if job.status != "complete":
            warnings.warn(
                f"sweep: {job.path.name} ({grid.label(job.point)}) {job.status}: {job.error}", RuntimeWarning, stacklevel=2
            )
    return result


def _jobs(config: Config, folder: pathlib.Path, over: Mapping[str, Any]) -> list[_Job]:
    """A job for each point, checked."""
    jobs: list[_Job] = []
    if not any(config.recorder.get(name) for name in ("checkpoint_every", "checkpoint_minutes")):
        config = config.updated({"recorder.checkpoint_minutes": CHECKPOINT_MINUTES})
    for number, point in enumerate(grid.points(over)):
        try:
            one = config.updated(point | {"recorder.path": "none"})
        except (ValueError, TypeError) as error:
            raise type(error)(f"sweep, point {grid.label(point)}: {error}") from error
        words = re.sub(r"[^A-Za-z0-9.=,-]+", "_", grid.label(point).replace(", ", ","))[:80].strip("_,")
        name = f"{words}-{one.digest[:8]}.h5" if words else f"run-{one.digest[:8]}.h5"
        jobs.append(_Job(number, one, folder / name, _kind(one), point))
    seen: dict[str, dict[str, Any]] = {}
    for job in jobs:
        other = seen.setdefault(job.config.digest, job.point)
        if other is not job.point:
            raise _check.fail("sweep", "have points that differ", f"{grid.label(other)} twice")
    return jobs


def _kind(config: Config) -> str:
    """What runs that share their kernels have in common: the configuration without its numbers, apart from the rule's."""
    values = {name: value for name, value in config.to_dict().items() if name not in VARYING}
    every, rule = values.pop("update_every"), dict(values.pop("rule"))
    rule = {name: x if isinstance(x, (str, int)) else _shape(x) for name, x in rule.items() if name not in RULE_VARYING}
    values = _shape(values) | {"rule": rule}
    values["update_every"] = every if every in ("trial", 1) else "steps"
    return json.dumps(values, sort_keys=True)


def _shape(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _shape(x) for name, x in value.items()}
    if isinstance(value, list):
        return sorted({json.dumps(_shape(x), sort_keys=True) for x in value})
    return value if isinstance(value, (str, bool)) else "number"


def _state(path: pathlib.Path) -> tuple[str | None, str, bool]:
    """Digest of the configuration, status, and whether a process writes the file; None where it cannot be read."""
    try:
        with open_recording(path) as recording:
            return recording.config.get("digest"), recording.status, recording.is_running
    except (OSError, ValueError):
        return None, "unreadable", False


def _find_done(jobs: list[_Job], folder: pathlib.Path) -> None:
    """Take the recordings that are there, whatever their names, by the digests of their configurations."""
    by_digest = {job.config.digest: job for job in jobs}
    for path in sorted(folder.glob("*.h5")):
        job = by_digest.get(_state(path)[0] or "") if path.name != "sweep.h5" else None
        if job is not None and job.status != "complete":
            job.path = path
            job.status = "complete" if _state(path)[1] == "complete" else "waiting"


# ---- in a worker ------------------------------------------------------------------------------------


def _work(config: Config, path: str, threads: int) -> Attempt:
    """`run`, and how it went."""
    began, error, passing = time.perf_counter(), "", False
    with Counter() as counter:
        try:
            run(config, path, threads)
            status = _state(pathlib.Path(path))[1]
        except KeyboardInterrupt:
            status = "interrupted"
        except Exception as reason:
            status, error, passing = "failed", f"{type(reason).__name__}: {reason}", isinstance(reason, RETRIED)
    return Attempt(status, time.perf_counter() - began, counter.count, error, passing)


def _import() -> None:
    """Come to life: what the runs need is imported with this module."""


def _warm(config: Config, threads: int) -> None:
    """One step of learning, and an evaluation of one trial where there are any, for the kernels.

    Of a batch it takes two trials, whose gradients are summed.
    """
    batch = min(config.training.batch, 2)
    plan: dict[str, Any] = {"trials": batch, "batch": batch, "stop": "none"}
    if config.training.evaluate_every is not None:
        plan |= {"evaluate_every": 1, "evaluate_trials": 1}
    with warnings.catch_warnings(), contextlib.suppress(Exception):  # an error comes again with the first run
        warnings.simplefilter("ignore")
        config.updated({f"training.{name}": value for name, value in plan.items()}).run(threads=threads)


# ---- in the process that sweeps ---------------------------------------------------------------------


def _execute(due: list[_Job], executor: Any, threads: int, retries: int, bar: _Bar) -> None:
    """Have the executor run all jobs; each ends with a status."""
    waiting, flying = list(due), dict[Any, Any]()
    count = {job.kind: sum(other.kind == job.kind for other in due) for job in due}
    warm, warming = {kind for kind, n in count.items() if n == 1}, set[str]()
    interrupted = True
    try:
        while waiting or flying:
            for job in list(waiting):
                if len(flying) >= executor.capacity:
                    break
                if job.kind in warm:
                    waiting.remove(job)
                    job.status = "running"
                    flying[executor.submit(_work, job.config, str(job.path), threads)] = job
                elif job.kind not in warming:
                    warming.add(job.kind)
                    flying[executor.submit(_warm, job.config, threads)] = job.kind
            for future in executors.wait_for_any(flying, PERIOD):
                what = flying.pop(future)
                executor.done(future)
                if isinstance(what, str):
                    warm.add(what)
                elif _again(what, future, retries):
                    waiting.append(what)
            bar.show()
        interrupted = False
    finally:
        executor.close(interrupted)
        bar.close()


def _again(job: _Job, future: Any, retries: int) -> bool:
    """Note how a run ended; whether it is taken up again."""
    job.attempts += 1
    error = executors.failure(future)
    if error is None:
        outcome: Attempt = future.result()
        job.outcomes.append(outcome)
        job.status, job.error = outcome.status, outcome.error
        passing = outcome.passing or outcome.status == "interrupted"
    else:
        passing = executors.is_death(error)
        job.status, job.error = "failed", "its worker died" if passing else f"{type(error).__name__}: {error}"
    if job.status == "complete" or not passing:
        return False
    if job.attempts > retries:
        job.error += f" ({job.attempts} times)"
        return False
    job.status = "waiting"
    return True


class _Bar:
    """Progress over the updates of all runs, from their files."""

    def __init__(self, jobs: list[_Job], quiet: bool):
        from tqdm import tqdm

        self.jobs, self.done = jobs, {job.number: 0 for job in jobs}
        self.sizes = {job.number: -(-job.config.training.trials // job.config.training.batch) for job in jobs}
        self.bar = tqdm(total=sum(self.sizes.values()), unit="update", disable=quiet, dynamic_ncols=True, file=sys.stderr)
        self.show()

    def show(self) -> None:
        if self.bar.disable:
            return
        for job in self.jobs:
            if job.status in ("complete", "failed"):
                self.done[job.number] = self.sizes[job.number]
            elif job.status == "running" and job.path.exists():
                self.done[job.number] = _updates(job.path)
        states = [job.status for job in self.jobs]
        self.bar.set_postfix(
            {"runs": f"{states.count('complete')}/{len(states)}", "failed": states.count("failed")}, refresh=False
        )
        self.bar.update(sum(self.done.values()) - self.bar.n)

    def close(self) -> None:
        self.bar.close()


def _updates(path: pathlib.Path) -> int:
    try:
        with open_recording(path) as recording:
            return recording.n_rows("updates")
    except (OSError, ValueError):
        return 0
