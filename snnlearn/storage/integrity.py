"""What tells bytes that were changed from those that were written: by a disk, a copy, an editor.

Recordings use the formats of HDF5 1.10, in which every header, index and group carries a checksum, and the filter Fletcher32
for every chunk of data, compressed or not. What lies outside of chunks has a BLAKE2b digest of its own: the configuration here,
checkpoints (`checkpoint_slots`), journals (`journal`). Text has a fixed size: HDF5 keeps text and arrays of variable size in
heaps without a checksum, and looks for ever for the end of one of which a part reads as zeros. Heaps of older recordings and
of others' files are therefore checked when HDF5 reads them.
"""

from __future__ import annotations

import hashlib
import io
import struct
from typing import Any

import h5py
import numpy as np

ROW = 256  # words of two bytes, so many rows of which add up exactly in float32
OBJECT = struct.Struct("<HHIQ")  # index, references, nothing, size: of an object in a heap
ARRAY_CHUNK_BYTES = 1 << 20
HEAP_HEAD = 16  # bytes of a heap before its first object


# ---- text and arrays of fixed size ------------------------------------------------------------------


def text(value: Any) -> Any:
    """An attribute's or data set's text as `str`; other values as they are."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def fixed(value: str) -> np.ndarray:
    """A text for HDF5, of as many bytes as it has."""
    data = value.encode()
    return np.array(data, h5py.string_dtype("utf-8", max(1, len(data))))


def set_attributes(item: Any, **values: Any) -> None:
    """Set attributes of a file, group or data set."""
    for name, value in values.items():
        item.attrs[name] = fixed(value) if isinstance(value, str) else value


def attributes(item: Any) -> dict[str, Any]:
    """The attributes of a file, group or data set, NumPy's numbers as Python's."""
    values = {name: text(value) for name, value in item.attrs.items()}
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}


def members(group: Any, name: str) -> dict[str, Any]:
    """The members of a group in this one, by name; none where there is no such group. Raises KeyError where it is damaged."""
    for part in name.split("/"):
        if part not in set(group):  # h5py's `get`, `in` and `items` take what is damaged for what is not there
            return {}
        group = group[part]
    return {member: group[member] for member in group}


def put_array(group: h5py.Group, name: str, values: Any, **about: str) -> h5py.Dataset:
    """A data set that does not grow, with a checksum; about : its attributes."""
    values = np.asarray(values)
    options: dict[str, Any] = {}
    if values.size:  # without values there is nothing to protect, and no chunk
        rows = min(len(values), max(1, ARRAY_CHUNK_BYTES * len(values) // values.nbytes))
        options = {"chunks": (rows, *values.shape[1:]), "fletcher32": True}
    dataset = group.create_dataset(name, data=values, **options)
    set_attributes(dataset, **about)
    return dataset


def put_text(group: h5py.Group, name: str, value: str) -> None:
    """A text of any length as a data set, with its digest."""
    dataset = group.create_dataset(name, data=fixed(value))
    set_attributes(dataset, digest=_digest(value.encode()))


def get_text(group: h5py.Group, name: str) -> str:
    """A text as `put_text` wrote it. Raises OSError where it is another."""
    dataset = group[name]
    data = dataset[()]
    data = data.encode() if isinstance(data, str) else bytes(data)
    if "digest" in set(dataset.attrs) and text(dataset.attrs["digest"]) != _digest(data):
        raise OSError(f"its {name} is not what was written")
    return data.decode()


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


# ---- chunks -----------------------------------------------------------------------------------------


def summed(data: Any) -> bytes:
    """Bytes, or a contiguous array, as HDF5's filter Fletcher32 leaves them."""
    view = memoryview(data).cast("B") if len(data) else memoryview(b"")
    return b"".join([view, fletcher32(view).to_bytes(4, "little")])


def fletcher32(data: memoryview) -> int:
    """The checksum of HDF5's filter Fletcher32: with n words w_k of two bytes, sum_k w_k and sum_k (n - k) w_k modulo 65535."""
    n = -(-len(data) // 2)
    whole = len(data) // (2 * ROW) * ROW
    words = np.frombuffer(data, ">u2", whole).astype(np.float32).reshape(-1, ROW)
    rows = words.sum(axis=1).astype(np.int64)
    first = int(rows.sum())
    second = int((rows * (n - ROW * np.arange(rows.size))).sum())
    for part in range(0, len(words), ROW):  # sums below 2^24
        second -= int((words[part : part + ROW].sum(axis=0).astype(np.int64) * np.arange(ROW)).sum())
    rest = np.frombuffer(bytes(data[2 * whole :]) + bytes(len(data) % 2), ">u2").astype(np.int64)
    first += int(rest.sum())
    second += int((rest * (n - whole - np.arange(rest.size))).sum())
    return _folded(second) << 16 | _folded(first)


def _folded(total: int) -> int:
    """A sum modulo 65535, where adding the carries never makes zero of another number."""
    return total and (total % 65535 or 65535)


# ---- heaps ------------------------------------------------------------------------------------------


class CheckedFile(io.FileIO):
    """A file to read with `h5py.File`, whose heaps are checked. Reading raises OSError where one is damaged."""

    def __init__(self, path: Any):
        super().__init__(path, "rb")

    def __del__(self) -> None:
        self.close()  # a data set's file stays open as long as the data set

    def readinto(self, buffer: Any) -> int | None:
        n = super().readinto(buffer)
        check_heap(buffer)
        return n


def check_heap(data: Any) -> None:
    """Raise OSError where these bytes begin a heap whose objects do not follow each other to its end."""
    view = memoryview(data).cast("B")
    if len(view) < HEAP_HEAD or view[:4] != b"GCOL":
        return
    position, size = HEAP_HEAD, int.from_bytes(view[8:16], "little")
    while position + OBJECT.size <= min(size, len(view)):
        index, _, _, length = OBJECT.unpack_from(view, position)
        step = -(-length // 8) * 8 + OBJECT.size if index else length
        if step == 0 or position + step > size:
            raise OSError("a heap, which holds text or arrays of variable size, is damaged")
        position += step
