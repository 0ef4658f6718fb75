"""Reading a file while another process writes it: two counters at its very beginning, and who holds it.

A commit (`journal`) overwrites data and the index of its chunks page by page, and HDF5 gives the room of a chunk that grew to
another one. A reader that comes during a commit, or that remembers an index from before it, gets an error or, worse, values
of another data set. HDF5's own answer, SWMR, allows neither new tables nor texts, and libsonata cannot read its format. So
the writer counts:

    bytes 0 .. 7        b"snnlearn"
    bytes 8 .. 15       commits begun, int64, little endian: raised before the first byte is overwritten
    bytes 16 .. 23      commits finished: raised after the last one

They lie in the user block, 512 bytes that HDF5 leaves alone. What was read between two looks at the counters is right if both
looks saw the same number, begun and finished alike. Readers take no lock and writers wait for nobody. The counters are exact
on one machine; on a network file system they are as good as its caching.
"""

from __future__ import annotations

import os
import pathlib
import struct
import time
from typing import NamedTuple

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

SIZE = 512  # of the user block: the smallest that HDF5 knows
MAGIC = b"snnlearn"
_COUNTERS = struct.Struct("<8sqq")


class Counters(NamedTuple):
    """Commits begun and finished."""

    begun: int
    finished: int


def pack(begun: int, finished: int) -> bytes:
    """The first bytes of a file with these counters."""
    return _COUNTERS.pack(MAGIC, begun, finished)


def start(found: Counters | None) -> int:
    """The number from which a writer counts on; not 0: a file that takes the place of another must not repeat its numbers."""
    return max(*(found or (0, 0)), time.time_ns() // 1000)


def unpack(head: bytes) -> Counters | None:
    """The counters in the first bytes of a file; None where it has none."""
    if len(head) < _COUNTERS.size or not head.startswith(MAGIC):
        return None
    return Counters(*_COUNTERS.unpack_from(head)[1:])


def read(file: object) -> Counters | None:
    """The counters of a file, open in binary mode without a buffer; None where it has none."""
    file.seek(0)  # type: ignore[attr-defined]
    return unpack(file.read(_COUNTERS.size))  # type: ignore[attr-defined]


def is_held(path: pathlib.Path) -> bool | None:
    """Whether a process has the file open for writing; None where the system does not tell.

    HDF5 locks a file while it writes it, and the lock goes when the process ends, however it ends.
    """
    if fcntl is None or os.environ.get("HDF5_USE_FILE_LOCKING", "").upper() in ("FALSE", "0"):
        return None
    with open(path, "rb", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return None
        fcntl.flock(file, fcntl.LOCK_UN)
    return False
