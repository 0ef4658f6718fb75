"""`replay`: a window of a recorded run once more, with everything recorded that one asks for now.

    sl.replay("run.h5", 900, 910, record=("v", "psi", "learning_signal"))["psi"]      # trials 900 .. 909 of a training
    sl.replay("run.h5", 5_000_000, 5_002_000, record={"v": [0, 1]}, inputs=pieces)     # steps of a stream

    with sl.Recorder("window.h5", v=True, eligibility={"w_rec": [(3, 7)]}) as recorder:
        sl.replay("run.h5", 900, 910, record=recorder)

A run is simulated again, learning included, from the nearest state before the window that the file has:

    kept states      with `Recorder(keep_every=...)`: the beginning, and one every so many batches or pieces
    checkpoints      the last two, which follow the run: they serve windows near its end
    the beginning    where the recording began with a new simulator whose weights were drawn from its seed, or were recorded
                     (`weights_every`), and the file has any checkpoint, which tells the configuration

so any window after the first of these can be replayed, and with `keep_every` all of them, in the time of at most so many batches
or pieces and the window. Spikes and losses must come out as recorded, bit for bit: a replay that differs raises. Batches come
from the task that the file names; what users have fed themselves they give again.
"""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import _check
from ..events import split_piece
from ..recording import Recorder, Recording, open_recording
from ..recording.options import options_of
from ..recording.protocol import RunRecorder
from ..recording.raw import Spikes
from ..recording.reopen import load_checkpoints
from ..simulator.simulator import Simulator
from ..storage.checkpoint_slots import Checkpoint, kept_positions, read_kept
from ..storage.open_file import frozen, open_file
from ..tasks.batches import TrialBatch, draw
from .replaying import Collected, Watcher
from .resume import beginning, rebuild, training_task

OWN = ("v", "a", "psi", "threshold", "learning_signal", "eligibility", "eligibility_parts", "every_steps", "windows")


class Origin(NamedTuple):
    """A state from which a run can be simulated again."""

    position: int  # trials (or steps of a stream) before it
    what: str  # in words
    load: Callable[[], Checkpoint]


class Replay(NamedTuple):
    """A window of a run. Arrays are read-only."""

    start: int  # trials, or steps of the stream, start .. stop - 1
    stop: int
    origin: str  # the state that the simulation went on from
    spikes: Spikes  # trial (or piece), step within the trial (or of the stream), neuron
    signals: dict[str, Any]  # [trials, rows, columns] (a list of arrays where trials differ in length), or [rows, columns]
    losses: np.ndarray  # of the trials, or of the pieces that overlap with the window
    compared_spikes: int  # trials or pieces of which recorded spikes were compared
    compared_losses: int  # and of which the loss

    def __repr__(self) -> str:
        return _check.brief(self)

    def __getitem__(self, name: Any) -> Any:
        """The signal of this name. Raises KeyError that lists the names."""
        if isinstance(name, str):
            if name not in self.signals:
                raise KeyError(f"the replay has no {name!r}; it has {', '.join(map(repr, self.signals)) or 'no signals'}")
            return self.signals[name]
        return tuple(self)[name]


def replay(
    path: str | os.PathLike[str],
    start: int,
    stop: int,
    record: Any = ("readout",),
    *,
    inputs: Callable[[Simulator], Iterable[Any]] | None = None,
    task: Any = None,
    lr: Any = None,
    net: Any = None,
    rule: Any = None,
    error: Any = None,
    learn: bool | Callable[[int], bool | None] | None = None,
    threads: int | None = None,
) -> Replay:
    """Simulate a window of the run that is recorded at `path` again.

    start, stop : trials start .. stop - 1 as the recording numbers them; of a stream, steps
    record : names of variables (of all neurons), "readout", "target" and "inputs"; or a mapping {"v": [0, 1], "eligibility":
        {...}} of options of `Recorder`; or a `Recorder` or `MemoryRecorder`, which then records the window as it was told to
    inputs : of a stream, or of batches that no task made, a function of the simulator, positioned at the state from which it
        goes on (`stream_steps`, `trials_done`), that returns the pieces or batches (x, target[, mask[, steps]]) from
        there on; None: of a stream, the inputs and targets that the file has (`Recorder(inputs=True)`)
    task, lr, net, rule : what the file cannot hold, as in `sl.resume`; error, learn : as they were given to `run`;
        learn may be a function of the number of the piece or of the run's first trial, where it differed
    threads : None: all cores; results do not depend on it

    Eligibility traces of a stream, which no state holds, begin at zero at the state from which the replay goes on (`origin`):
    they are exact from the beginning of the run, and else some time constants after that state. Recorded spikes and losses are
    compared as far as the recording has them; the result says of how many trials.

    Raises ValueError where no state lies before the window (it says which windows can be replayed), for a window that the run
    does not have, for inputs that are missing or differ, and where spikes or losses differ from the recorded ones; and as
    `sl.resume`.
    """
    where = f"replay({str(path)!r})"
    start = _check.integer("replay.start", start, "be a whole number, not negative", low=0)
    stop = _check.integer("replay.stop", stop, f"be a whole number above start = {start}", low=start + 1)
    recorder = record if isinstance(record, RunRecorder) else None
    options = options_of("Recorder", _options(record)) if recorder is None else recorder.options
    if isinstance(recorder, Recorder):
        _check_other(path, recorder.path)
    with open_recording(path) as recording:
        newest = load_checkpoints(path, "replay.path")[0]
        training = newest.values["training"]
        streaming = training is None and newest.values["counters"]["stream_steps"] > 0
        origin = _nearest(recording, newest, streaming, start, where)
        given = {name: value for name, value in (("lr", lr), ("net", net), ("rule", rule)) if value is not None}
        state = origin.load()
        kept = state.values["training"] or training
        state = state._replace(values=state.values | {"training": None})
        simulator = rebuild(state, str(path), given, {}, threads)
        simulator.context["replay"] = {"of": pathlib.Path(path).name, "start": start, "stop": stop}
        if training is not None:
            if inputs is not None:
                raise _check.fail("replay.inputs", "be None, because the recording is of a training on a task", inputs)
            source = training_task(kept["task"], {} if task is None else {"task": task}, where)
            first = _cursor(state, kept, simulator)
            batches = _drawn(source, first, kept["start"] + kept["trials"], kept["batch"])
        else:
            if inputs is None and streaming and recording.has_inputs:
                inputs = functools.partial(_recorded, recording)
            if inputs is None:
                need = "be a function of the simulator that returns what was fed from its position on"
                raise _check.fail("replay.inputs", need, None, "the recording is of no training, and has no inputs of a stream")
            batches = iter(inputs(simulator))
        watcher = Watcher(options, recorder, recording, (start, stop), streaming)
        _run(simulator, watcher, batches, stop, streaming, {"error": error, "learn": learn})
    return _result(watcher.collected, (start, stop), origin.what, streaming)


def replay_to_file(
    path: str | os.PathLike[str],
    start: int,
    stop: int,
    out: str | os.PathLike[str],
    names: Iterable[str],
    overwrite: bool = False,
) -> Replay:
    """Replay trials of a training into a recording of their own, with these variables of all neurons. Raises as `replay`."""
    if load_checkpoints(path, "replay FILE")[0].values["training"] is None:
        hint = "sl.replay(..., inputs=...) replays what a program has fed itself"
        raise _check.fail("replay FILE", "hold a training", str(path), hint)
    options = _options(names)
    _check_other(path, out)
    with Recorder(out, **options | {"readout": True, "target": True, "overwrite": overwrite}) as recorder:
        return replay(path, start, stop, recorder)


def _check_other(path: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    """Raise ValueError where a replay would take the place of what it replays."""
    if os.path.exists(out) and os.path.samefile(path, out):
        raise _check.fail("replay", "write to another file than the one that it replays", str(out))


def _options(record: Any) -> dict[str, Any]:
    """Names, or options by name, as options of `Recorder`."""
    names: Mapping[str, Any] = record if isinstance(record, Mapping) else {}
    if not names:
        try:
            names = dict.fromkeys([record] if isinstance(record, str) else record, True)
        except TypeError:
            raise _check.fail("replay.record", "be names, a mapping or a Recorder", record, error=TypeError) from None
    options: dict[str, Any] = {"readout": False, "target": False, "variables": {}}
    for name, value in names.items():
        if name in ("inputs", "readout", "target", *OWN):
            options[name] = value
        elif name != "spikes":  # always there
            options["variables"][name] = value
    return options


def _nearest(recording: Recording, newest: Checkpoint, streaming: bool, start: int, where: str) -> Origin:
    """The last state that is not after the window's start."""
    column, counter = (1, "stream_steps") if streaming else (0, "trials_done")
    with open_file(recording.path) as file:
        kept = {name: position[column] for name, position in kept_positions(file).items()}
    found = [Origin(n, f"the kept state {int(name)}", _kept(recording.path, name)) for name, n in kept.items()]
    for checkpoint in load_checkpoints(recording.path, "replay.path"):
        position = int(checkpoint.values["counters"][counter])
        found.append(Origin(position, f"checkpoint {checkpoint.sequence}", lambda c=checkpoint: c))  # type: ignore[misc]
    first = beginning(recording, newest)
    if first is not None:
        found.append(Origin(0, "the beginning of the run", lambda: first))
    usable = [origin for origin in found if origin.position <= start]
    unit = "step" if streaming else "trial"
    if not usable:
        least = min(origin.position for origin in found)
        hint = f"the first state in the file is that before {unit} {least}; Recorder(keep_every=...) keeps more"
        raise _check.fail(where, f"begin at {unit} {least} or later", start, hint)
    return max(usable, key=lambda origin: origin.position)


def _kept(path: pathlib.Path, name: str) -> Callable[[], Checkpoint]:
    def load() -> Checkpoint:
        with open_file(path) as file:
            return read_kept(file, name)

    return load


def _cursor(state: Checkpoint, training: dict[str, Any], simulator: Simulator) -> int:
    """The number in its task of the training's next trial."""
    return int(training["start"]) if "begins" in state.values else int(training["next"])


def _drawn(task: Any, first: int, end: int, batch: int) -> Iterator[TrialBatch]:
    for number in range(first, end, batch):
        yield draw(task, number, min(end, number + batch))


def _recorded(recording: Recording, simulator: Simulator) -> Iterator[tuple[Any, Any]]:
    """The pieces (x, target) of a stream as they were recorded, from where the simulator is on; None for unknown targets."""
    s, lengths = recording.segments, recording.table("trials")
    for piece, n_steps in zip(lengths.trial.tolist(), lengths.n_steps.tolist(), strict=True):
        if piece < simulator.trials_done:
            continue
        own = slice(*np.searchsorted(s.trial, [piece, piece + 1]))
        if int(s.n_steps[own].sum()) != n_steps:
            hint = "give inputs=, a function of the simulator"
            raise _check.fail("replay.inputs", f"be recorded of all steps of piece {piece}", "some of them", hint)
        target = recording["target"][piece] if "target" in recording else None
        known = target is not None and (target[:1] >= 0 if target.dtype.kind == "i" else np.isfinite(target[:1])).all()
        yield recording.inputs(piece), target if known else None


def _run(simulator: Simulator, watcher: Watcher, batches: Iterator[Any], stop: int, streaming: bool, options: Any) -> None:
    """Run until the window's end."""
    while (simulator.stream_steps if streaming else simulator.trials_done) < stop:
        item = next(batches, None)
        if item is None:
            unit = "step" if streaming else "trial"
            got = simulator.stream_steps if streaming else simulator.trials_done
            raise _check.fail("replay.inputs", f"reach {unit} {stop}, the window's end", f"an end at {got}")
        given = options | {"learn": learn(simulator.trials_done) if callable(learn := options["learn"]) else learn}
        if streaming:
            simulator.run(iter([item]), recorder=watcher, **given)
        else:
            four = isinstance(item, tuple) and len(item) == 4
            x, target, mask, steps = item if four else (*split_piece(item, "replay.inputs"), None)
            simulator.run(x, target, mask, recorder=watcher, steps=steps, **given)


def _result(collected: Collected, window: tuple[int, int], origin: str, streaming: bool) -> Replay:
    signals: dict[str, Any] = {}
    for name, parts in collected.signals.items():
        if streaming:
            signals[name] = frozen(np.concatenate([part for pieces in parts.values() for part in pieces]))
            continue
        trials = [np.concatenate(parts[trial]) for trial in sorted(parts)]
        alike = len({x.shape for x in trials}) == 1
        signals[name] = frozen(np.stack(trials)) if alike else [frozen(x) for x in trials]
    losses = frozen(np.array([collected.losses[trial] for trial in sorted(collected.losses)]))
    counts = (len(collected.compared), collected.compared_losses)
    return Replay(*window, origin, collected.spikes(), signals, losses, *counts)
