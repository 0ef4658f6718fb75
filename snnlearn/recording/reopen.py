"""Going on with a recording: what a checkpoint says about it, and cutting it back to there."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np

from .._check import fail
from .._interrupts import shielded
from ..storage.checkpoint_slots import Checkpoint, read_checkpoints
from ..storage.integrity import attributes, members, set_attributes, text
from ..storage.journal import JournaledFile, has_journal, reopen_file
from ..storage.open_file import open_file, stamp
from ..storage.store import now
from .options import MATRICES
from .recorder import Recorder
from .recording import open_recording
from .schema import check_format
from .state import FOLLOWED, REDUCED
from .streams import TRIALS_REMEMBERED, Rewiring, Snapshots


def load_checkpoints(path: str | os.PathLike[str], where: str) -> list[Checkpoint]:
    """The checkpoints of a file, the newest first; at least one.

    Raises FileNotFoundError, IsADirectoryError, ValueError (no recording, no checkpoint, a newer version), OSError (truncated).
    """
    path = pathlib.Path(path)
    with open_file(path) as file:
        try:
            found = attributes(file)
        except (OSError, RuntimeError, KeyError) as error:
            raise OSError(f"the recording {path} is damaged: {error}") from error
        check_format(path, found)
        try:
            checkpoints = read_checkpoints(file)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise OSError(f"the recording {path} is damaged: {error}") from error
    if not checkpoints:
        hint = "Recorder(checkpoint_minutes=...) and Simulator.save write them"
        raise fail(where, "be a file with a checkpoint", str(path), hint)
    return checkpoints


def reopen(
    path: str | os.PathLike[str],
    state: dict[str, Any],
    weights: Any,
    arrays: Mapping[str, np.ndarray] = MappingProxyType({}),
    *,
    later: bool = False,
) -> Recorder:
    """A recorder that goes on in a file, cut back to the checkpoint that holds this state and these arrays.

    weights : NamedTuple (w_in, w_rec, w_out, b_out) as the simulation has them
    later : leave the file as it is until something is recorded; the recorder is not open until then
    Raises OSError where the file cannot be written, as when another process does.
    """
    recorder = Recorder(os.path.abspath(path), overwrite=True, variables=state["variables"], **state["options"])
    recorder._network = {name: tuple(x) if isinstance(x, list) else x for name, x in state["network"].items()}
    recorder._configuration = state["configuration"]
    recorder._kept, recorder._since_kept = state.get("kept", [0, 0])
    chosen = recorder.options.eligibility
    if chosen:
        recorder.pairs = {name: chosen[_matrix(name)] for name in state.get("pairs", ())}
    recorder.followed = _own(arrays, FOLLOWED)
    seen = stamp(recorder.path)

    def begin() -> None:
        if stamp(recorder.path) != seen:
            raise OSError(f"the recording {path} cannot go on: it was written since; resume it again")
        _begin(recorder, state["streams"], weights, _own(arrays, REDUCED))

    if later:
        recorder.go_on_with(begin)
    else:
        begin()
    return recorder


@shielded
def _begin(recorder: Recorder, streams: dict[str, Any], weights: Any, sums: Mapping[str, np.ndarray]) -> None:
    """Open the file of a recorder that goes on. streams : their lengths and columns; sums : of reducers"""
    path = recorder.path
    try:
        journal = JournaledFile(path, "r+")
    except OSError as error:
        why = "another process has it open" if isinstance(error, BlockingIOError) else error.strerror or error
        raise OSError(f"the recording {path} cannot go on: {why}") from error
    file = None
    try:
        file = reopen_file(journal)
        _cut(file, streams)
        for name in [name for name in members(file, "checkpoint/kept") if int(name) >= recorder._kept]:
            del file["checkpoint/kept"][name]
        resumed = json.loads(text(file.attrs["resumed"])) if "resumed" in file.attrs else []
        set_attributes(file, status="running", resumed=json.dumps([*resumed, now()]))
        if "closed" in file.attrs:
            del file.attrs["closed"]
        recorder._begin(file, journal, recorder.options.wanted, weights)
        if recorder._reductions is not None and sums:
            recorder._reductions.restore(sums)
        _attach(recorder, file, streams, weights)
        recorder.flush()
    except BaseException as error:  # nothing is committed: the file stays as it is
        if file is not None:
            file.close()
        journal.close()
        if isinstance(error, (KeyError, RuntimeError, OSError)):
            raise OSError(f"the recording {path} cannot go on: {error}") from error
        raise


def _own(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _matrix(trace: str) -> str:
    """The matrix whose synapses a trace belongs to."""
    return next(name for name in MATRICES if trace.endswith(f"_{name}"))


def _cut(file: h5py.File, streams: dict[str, Any]) -> None:
    """Cut every stream back to its length at the checkpoint; what did not exist then is removed."""
    for name, group in _growing(file):
        group.attrs.modify("committed", np.int64(streams[name]["n"] if name in streams else 0))
    for name in [name for name, _ in _growing(file)]:
        if name not in streams:
            del file[name]
    for name, stream in streams.items():
        for parent in _parents(file, name):
            for column in _columns(parent):
                if column.rpartition("/")[2] not in stream["columns"]:
                    del parent[column]
                elif parent[column].shape[0] != stream["n"]:
                    parent[column].resize(stream["n"], axis=0)
    for name in sorted({"tables", "traces", "reduced"} & set(file)):
        if not len(file[name]):
            del file[name]


def _growing(file: h5py.File) -> Iterator[tuple[str, h5py.Group]]:
    for name in sorted({"segments", "events", "weights", "synapses", "rewiring"} & set(file)):
        yield name, file[name]
    for parent in ("tables", "reduced"):
        for name, group in members(file, parent).items():
            yield f"{parent}/{name}", group


def _parents(file: h5py.File, stream: str) -> list[h5py.Group]:
    """Groups that hold the columns of a stream."""
    names = ["/", "traces"] if stream == "rows" else [stream]
    return [file[name] for name in names if name in file]


def _columns(parent: h5py.Group) -> list[str]:
    """Names of the data sets of a group that grow."""
    known = {name: parent[name] for name in parent}
    return [name for name, x in known.items() if isinstance(x, h5py.Dataset) and x.ndim and x.maxshape[0] is None]


def _attach(recorder: Recorder, file: h5py.File, streams: dict[str, Any], weights: Any) -> None:
    """Give the sections of a recorder what a file holds already."""
    raw, segments = recorder._raw, file["segments"]
    for name in streams["rows"]["columns"]:
        dataset = file["traces"][name] if name in raw.widths else file[name]
        raw.rows.add(name, dataset.dtype, dataset.shape[1:], group=dataset.parent)
    if "inputs" in streams:
        raw.inputs.n = streams["inputs"]["n"]
        if "value" in streams["inputs"]["columns"]:
            raw.inputs.add("value", file["inputs/value"].dtype, group=file["inputs"])
    raw.spikes.n, raw.rows.n = streams["spikes"]["n"], streams["rows"]["n"]
    last = slice(max(0, raw.segments.n - TRIALS_REMEMBERED), raw.segments.n)
    columns = (segments[name][last].tolist() for name in ("trial", "start", "n_steps"))
    for trial, start, n_steps in zip(*columns, strict=True):
        raw.ends[trial] = start + n_steps
        raw.ends.move_to_end(trial)
    for name, stream in streams.items():
        if name.startswith("tables/"):
            table = recorder._tables.add(name.removeprefix("tables/"))
            for column in stream["columns"]:
                table.add(column, file[name][column].dtype)
    if "weights" in streams:
        recorder._snapshots = Snapshots(recorder._opened("reopen"), weights._asdict(), recorder.rewires)
    if "rewiring" in streams:
        recorder._rewiring = Rewiring(recorder._opened("reopen"))


def repair(path: str | os.PathLike[str]) -> bool:
    """Apply the journal that a killed process has left at the end of a recording; whether there was one.

    The package reads such a file as it is, and `resume` applies the journal too; other HDF5 readers need it applied.
    Raises as `open_recording`, ValueError where a process writes the file, OSError where it cannot be written.
    """
    path = pathlib.Path(path)
    with open_recording(path) as recording:
        if recording.is_running:
            raise fail("repair.path", "be a file that no process writes", str(path))
    if not has_journal(path):
        return False
    try:
        JournaledFile(path, "r+").close()
    except OSError as error:
        raise OSError(f"the recording {path} cannot be repaired: {error}") from error
    return True
