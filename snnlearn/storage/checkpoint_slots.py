"""Checkpoints in a recording: two slots that alternate, so that a kill at any moment leaves a whole one.

A slot is a contiguous data set of bytes, allocated when the first checkpoint is written and then only overwritten: HDF5 does not
give the space of deleted data back, and a file whose structure does not change cannot be torn. Its bytes are

    0 .. 4095    head: magic, sequence number, length of the texts, length of everything, digests of the payload and of the head
    4096 ..      payload: JSON, then the arrays, each at a multiple of 64

The payload comes first, then fsync, then the head, then fsync: a head that is whole promises a payload that is. The digest tells
a payload that was torn all the same (by a disk that lies, or an editor). The newest whole slot counts.

Slots are written past HDF5, at the offset where their bytes stand in the file, because HDF5 would hold its one lock while the
disk works: a thread writes them while the run goes on and its recorder writes through HDF5.

A state that is kept (`keep`) has a data set of its own, written once and by HDF5, under /checkpoint/kept: for runs that are to
be replayed from it.

Arrays that do not change from checkpoint to checkpoint (masks, the structure of sparse matrices) are data sets under
/checkpoint/arrays, named by the digest of their content, so that a slot refers to exactly what it was written with.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import h5py
import numpy as np

from .._check import brief
from .integrity import members, set_attributes
from .journal import write_at
from .values import to_json

HEAD = struct.Struct("<8sQQQ16s")
MAGIC = b"snnckpt1"
HEAD_BYTES = 4096
ALIGNED = 64
PIECE = 1 << 24  # bytes that are hashed and written at a time
DIGEST_BYTES = 16


class Checkpoint(NamedTuple):
    """A checkpoint as it was written."""

    sequence: int
    values: dict[str, Any]  # JSON
    arrays: dict[str, np.ndarray]  # state
    constants: dict[str, np.ndarray]  # of the configuration

    def __repr__(self) -> str:
        return brief(self)


class Slots:
    """The slots of a file that is open for writing; descriptors of their own write past HDF5.

    commit : makes what HDF5 has changed permanent
    """

    def __init__(self, file: h5py.File, path: str, commit: Callable[[], None]):
        self.path, self._commit = path, commit
        self._group = file.require_group("checkpoint")
        self._slots = [item for _, item in sorted(self._group.items()) if isinstance(item, h5py.Dataset)][-2:]
        heads = [_head(slot) for slot in self._slots]
        self.sequence = max((head[0] for head in heads if head is not None), default=0)
        newest = next((i for i, head in enumerate(heads) if head is not None and head[0] == self.sequence), 1)
        self._next = 1 - newest
        self._known: dict[str, tuple[np.ndarray, str]] = {}
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def write(
        self, values: dict[str, Any], arrays: Mapping[str, np.ndarray], constants: Mapping[str, np.ndarray], headroom: int = 0
    ) -> None:
        """Begin to write a checkpoint into the older slot; a thread ends it. The arrays must not change any more.

        headroom : bytes that a later checkpoint of this run may need besides
        Raises OSError, also for the checkpoint before, whose thread it awaits.
        """
        self.wait()
        try:
            values = values | {"constants": {name: self._constant(name, array) for name, array in constants.items()}}
            parts, size = _payload(values, arrays)
            if not self._slots or self._slots[self._next].shape[0] < HEAD_BYTES + size:
                self._allocate(HEAD_BYTES + size + headroom)
            offset = self._slots[self._next].id.get_offset()
        except (OSError, RuntimeError) as error:
            raise self._failure(error) from error
        self.sequence += 1
        self._next = 1 - self._next
        self._thread = threading.Thread(target=self._write, args=(offset, self.sequence, parts, size), name="snnlearn-checkpoint")
        self._thread.start()

    def keep(
        self, number: int, values: dict[str, Any], arrays: Mapping[str, np.ndarray], constants: Mapping[str, np.ndarray]
    ) -> h5py.Dataset:
        """Write a state that stays, under kept/<number>; the next commit makes it permanent. Raises OSError."""
        try:
            values = values | {"constants": {name: self._constant(name, array) for name, array in constants.items()}}
            parts, size = _payload(values, arrays)
            content = np.zeros(HEAD_BYTES + size, np.uint8)
            position = HEAD_BYTES
            for part in parts:
                view = np.frombuffer(memoryview(part).cast("B"), np.uint8)
                content[position : position + view.size] = view
                position += view.size
            head = HEAD.pack(MAGIC, number, len(parts[0]), size, _digest(content[HEAD_BYTES:]))
            content[: HEAD.size + DIGEST_BYTES] = np.frombuffer(head + _digest(head), np.uint8)
            kept = self._group.require_group("kept").create_dataset(f"{number:06}", data=content)
        except (OSError, RuntimeError) as error:
            raise self._failure(error) from error
        set_attributes(kept, units="1", description="bytes of a state that is kept, as those of a checkpoint")
        return kept

    def wait(self) -> None:
        """Until the last checkpoint is on the disk. Raises OSError where it could not be written."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise self._failure(error) from error

    def _failure(self, error: BaseException) -> OSError:
        return OSError(f"the checkpoint in {self.path} cannot be written: {error}; the one before it is still there")

    def _write(self, offset: int, sequence: int, parts: list[Any], size: int) -> None:
        try:
            descriptor = os.open(self.path, os.O_RDWR | getattr(os, "O_BINARY", 0))
            try:
                digest, position = hashlib.blake2b(digest_size=DIGEST_BYTES), offset + HEAD_BYTES
                for part in parts:
                    view = memoryview(part).cast("B")
                    for start in range(0, len(view), PIECE):
                        piece = view[start : start + PIECE]
                        digest.update(piece)
                        write_at(descriptor, piece, position)
                        position += len(piece)
                os.fsync(descriptor)
                head = HEAD.pack(MAGIC, sequence, len(parts[0]), size, digest.digest())
                write_at(descriptor, memoryview(head + _digest(head)), offset)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except BaseException as error:
            self._error = error

    def _allocate(self, size: int) -> None:
        """A new pair of slots, which is on the disk with all its bytes before anything is written to it."""
        number = len([item for item in self._group.values() if isinstance(item, h5py.Dataset)])
        size = -(-size // HEAD_BYTES) * HEAD_BYTES
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_layout(h5py.h5d.CONTIGUOUS)
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        slots = []
        for k in (number, number + 1):
            space = h5py.h5s.create_simple((size,))
            dataset = h5py.Dataset(h5py.h5d.create(self._group.id, f"slot{k:04}".encode(), h5py.h5t.STD_U8LE, space, layout))
            about = "bytes of a checkpoint: head, JSON, arrays; see snnlearn.storage.checkpoint_slots"
            set_attributes(dataset, units="1", description=about)
            slots.append(dataset)
        self._commit()
        descriptor = os.open(self.path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            for slot in slots:
                _reserve(descriptor, slot.id.get_offset(), size)
        finally:
            os.close(descriptor)
        self._slots, self._next = slots, 0

    def _constant(self, name: str, array: np.ndarray) -> str:
        """The name under which a constant array stands in the file; it is written where it does not yet."""
        known = self._known.get(name)
        if known is None or known[0] is not array:
            content = np.ascontiguousarray(array)
            key = _name_of(content)
            arrays = self._group.require_group("arrays")
            if key not in arrays:
                dataset = arrays.create_dataset(key, data=content)
                set_attributes(dataset, units="1", description=f"{name} of the configuration")
                self._commit()
            known = self._known[name] = (array, key)
        return known[1]


def read_checkpoints(file: h5py.File) -> list[Checkpoint]:
    """The whole checkpoints of a file, the newest first; slots that are torn, damaged or empty are left out.

    Raises OSError where an array that they refer to is gone, or as h5py where the file is damaged.
    """
    return [_unpack(file["checkpoint"], *parts) for parts in _whole_slots(file)]


def _whole_slots(file: h5py.File) -> list[tuple[int, int, np.ndarray]]:
    """What `_read_slot` gives of the slots that are whole, the newest first."""
    if "checkpoint" not in set(file):
        return []
    group, found = file["checkpoint"], []
    for name in list(group):
        try:
            parts = _read_slot(group[name])
        except (OSError, RuntimeError, KeyError, ValueError):
            continue
        if parts is not None:
            found.append(parts)
    return sorted(found, key=lambda parts: -parts[0])


def newest_values(file: h5py.File) -> dict[str, Any] | None:
    """The JSON values of the newest checkpoint, without its arrays; None where there is none."""
    found = _whole_slots(file)
    return json.loads(found[0][2][: found[0][1]].tobytes()) if found else None


def kept_positions(file: h5py.File) -> dict[str, tuple[int, int]]:
    """The states that were kept: (trials or pieces done, steps of the stream) by name."""
    kept = members(file, "checkpoint/kept")
    return {name: (int(state.attrs["trials"]), int(state.attrs["steps"])) for name, state in kept.items()}


def kept_updates(file: h5py.File) -> dict[str, int]:
    """Updates of the weights before each state that was kept, by name; one that does not tell them cannot be forked."""
    kept = members(file, "checkpoint/kept").items()
    return {name: int(state.attrs["updates"]) for name, state in kept if "updates" in state.attrs}


def read_kept(file: h5py.File, name: str) -> Checkpoint:
    """A state that was kept. Raises OSError where it is damaged."""
    parts = _read_slot(file[f"checkpoint/kept/{name}"])
    if parts is None:
        raise OSError(f"the state {name} that it has kept is damaged")
    return _unpack(file["checkpoint"], *parts)


def _read_slot(slot: Any) -> tuple[int, int, np.ndarray] | None:
    """Sequence number, length of the text, payload; None where the slot is not whole."""
    head = _head(slot) if isinstance(slot, h5py.Dataset) else None
    if head is None or HEAD_BYTES + head[2] > slot.shape[0]:
        return None
    payload = slot[HEAD_BYTES : HEAD_BYTES + head[2]]
    return (head[0], head[1], payload) if _digest(payload) == head[3] else None


def _unpack(group: h5py.Group, sequence: int, text: int, payload: np.ndarray) -> Checkpoint:
    values = json.loads(payload[:text].tobytes())
    arrays = {}
    for name, (dtype, shape, start) in values.pop("arrays").items():
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(payload, np.dtype(dtype), count, start).reshape(shape).copy()
    constants = {}
    for name, key in values.pop("constants").items():
        if key not in members(group, "arrays"):
            raise OSError(f"{name}, which its checkpoint refers to, is not in it")
        constants[name] = group["arrays"][key][...]
        if _name_of(constants[name]) != key:
            raise OSError(f"{name}, which its checkpoint refers to, is not what it was")
    return Checkpoint(sequence, values, arrays, constants)


def _payload(values: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> tuple[list[Any], int]:
    """The parts of a payload, the JSON first, and their length."""
    table: dict[str, Any] = {}
    start, previous = 0, -1
    while start != previous:  # the text holds offsets that depend on its own length; it only grows, so this ends
        text = to_json(values | {"arrays": table}, "checkpoint.values").encode()
        previous, start = start, max(start, _aligned(len(text)))
        position, table = start, {}
        for name, array in arrays.items():
            table[name] = [array.dtype.str, list(array.shape), position]
            position = _aligned(position + array.nbytes)
    parts: list[Any] = [text.ljust(start)]
    for array in arrays.values():
        if array.nbytes:
            parts += [np.ascontiguousarray(array).reshape(-1), bytes(_aligned(array.nbytes) - array.nbytes)]
    return [part for part in parts if len(part)], position if arrays else start


def _aligned(position: int) -> int:
    return -(-position // ALIGNED) * ALIGNED


def _head(slot: h5py.Dataset) -> tuple[int, int, int, bytes] | None:
    """Sequence number, length of the text and of the payload, digest; None where there is no whole head."""
    if slot.ndim != 1 or slot.dtype != np.uint8 or slot.shape[0] < HEAD_BYTES:
        return None
    raw = slot[: HEAD.size + DIGEST_BYTES].tobytes()
    head, digest = raw[: HEAD.size], raw[HEAD.size :]
    magic, sequence, text, size, payload = HEAD.unpack(head)
    return (sequence, text, size, payload) if magic == MAGIC and digest == _digest(head) else None


def _name_of(constant: np.ndarray) -> str:
    """The name of a constant array: the digest of its content."""
    return _digest(f"{constant.dtype.str}{constant.shape}".encode() + constant.tobytes()).hex()


def _digest(data: Any) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def _reserve(descriptor: int, offset: int, size: int) -> None:
    """Have the disk give these bytes now: a full one is then found out before a checkpoint is needed."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, offset, size)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):  # of file systems that cannot
                raise
    empty = memoryview(bytes(min(size, PIECE)))
    for start in range(0, size, len(empty)):
        write_at(descriptor, empty[: size - start], offset + start)
