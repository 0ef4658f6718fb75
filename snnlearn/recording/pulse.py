"""Reading a file while another process writes it: two counters at its very beginning, and who holds it.

HDF5 writes data and the index of its chunks in an order of its own, and gives the room of a chunk that grew to another one. A
reader that comes during a flush, or that remembers an index from before it, gets an error or, worse, values of another data
set. HDF5's own answer, SWMR, allows neither new tables nor texts, and libsonata cannot read its format. So the writer counts:

    bytes 0 .. 7        b"snnlearn"
    bytes 8 .. 15       flushes begun, int64, little endian: raised before the first byte of a flush is written
    bytes 16 .. 23      flushes finished: raised after its last one

They lie in the user block, 512 bytes that HDF5 leaves alone. What was read between two looks at the counters is right if both
looks saw the same number, begun and finished alike. Readers take no lock and writers wait for nobody. The counters are exact
on one machine; on a network file system they are as good as its caching.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

SIZE = 512  # of the user block: the smallest that HDF5 knows
MAGIC = b"snnlearn"
_COUNTERS = struct.Struct("<8sqq")


class Counters(NamedTuple):
    """Flushes begun and finished."""

    begun: int
    finished: int


class Writer:
    """Raises the counters of a file that is open for writing; does nothing where the file has no user block."""

    def __init__(self, path: str | os.PathLike[str], user_block: int):
        self.n, self._depth = 0, 0
        self._file = None
        if user_block >= SIZE:
            self._file = open(path, "r+b", buffering=0)
            # not from 0: a file that takes the place of another one must not repeat its numbers
            self.n = max(*(read(self._file) or (0, 0)), time.time_ns() // 1000)
            self._put(self.n, self.n)

    @contextlib.contextmanager
    def flush(self) -> Iterator[None]:
        """Around whatever writes to the file. After an error the flush stays unfinished until the next one succeeds."""
        self._depth += 1
        try:
            if self._depth == 1:
                self.n += 1
                self._put(self.n, self.n - 1)
            yield
            if self._depth == 1:
                self._put(self.n, self.n)
        finally:
            self._depth -= 1

    def close(self) -> None:
        """Close the file; the counters stay."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _put(self, begun: int, finished: int) -> None:
        if self._file is not None:
            self._file.seek(0)
            self._file.write(_COUNTERS.pack(MAGIC, begun, finished))


def read(file: object) -> Counters | None:
    """The counters of a file, open in binary mode without a buffer; None where it has none."""
    file.seek(0)  # type: ignore[attr-defined]
    start = file.read(_COUNTERS.size)  # type: ignore[attr-defined]
    if len(start) < _COUNTERS.size or not start.startswith(MAGIC):
        return None
    return Counters(*_COUNTERS.unpack(start)[1:])


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
