"""A file that a kill cannot tear: what HDF5 overwrites reaches the disk all at once or not at all.

HDF5 overwrites its trees and headers one by one, whenever its cache asks for it, and reuses space that it has freed: a process
that is killed meanwhile leaves a file that does not open, or whose old chunks hold something else. So HDF5 writes to a
`JournaledFile` (by h5py's driver for Python file objects):

    behind the last commit      new space, which nothing on the disk refers to: written at once                   (1)
    before it                   pages that the last commit needs: kept in memory                                  (2)

and a commit appends the pages of (2) to the file, with a digest at its very end, then overwrites them in place, then cuts the
appended part off. Whatever comes between leaves the state before (no digest) or the journal, which is then read (3).

    end of the file     ... | pages | numbers of the pages | foot | foot: magic, place and count of pages, digests

A reader sees the journal of a killed process as if it had been applied; a writer applies it when it opens the file. For HDF5
without this module the file is torn only if the kill comes in the middle of overwriting, some 0.1 ms a commit.

Bytes that do not fit on a full disk stay in memory until a commit can write them, so that HDF5 never sees an error.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import pathlib
import struct
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from . import seqlock
from .integrity import check_heap

try:
    import fcntl
except ImportError:  # Windows, where HDF5 does not lock files either
    fcntl = None  # type: ignore[assignment]

PAGE = 4096
CREATED = ("v108", "v108")  # superblock 2: HDF5 refuses to open a later one whose process was killed
WRITTEN = ("v110", "v110")  # indices with checksums
FOOT = struct.Struct("<8sQQ16s16s")
MAGIC = b"snnjrnl1"
DIGEST_BYTES = 16
UNLOCKABLE = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)  # file systems without locks


class JournaledFile:
    """A file object for `h5py.File`; `commit` makes what was written since the last one permanent.

    mode : "x" (new), "w" (replaces one that exists), "r+", or "r" (reads only, the journal of a killed process included)
    Raises OSError, BlockingIOError among them where another process writes the file.
    """

    def __init__(self, path: str | os.PathLike[str], mode: str):
        self.path = os.path.abspath(path)
        flags = {"x": os.O_RDWR | os.O_CREAT | os.O_EXCL, "w": os.O_RDWR | os.O_CREAT, "r+": os.O_RDWR, "r": os.O_RDONLY}
        self._file = os.open(self.path, flags[mode] | getattr(os, "O_BINARY", 0), 0o666)
        self._pages: dict[int, bytearray] = {}
        self._late = False  # whether pages behind the last commit wait, because the disk was full
        self._position, self._writes, self._process = 0, mode != "r", os.getpid()
        try:
            if self._writes:
                _lock(self._file)
            if mode == "w":
                os.ftruncate(self._file, 0)
            self._end = self._size = os.fstat(self._file).st_size  # as HDF5 sees it; on the disk
            journal = read_journal(self._file)
            if journal is not None:
                self._pages, self._end = journal
                if self._writes:
                    self._apply()
            self._count = self._first_count(mode)
            self._safe = -(-self._end // PAGE)  # pages before this belong to the last commit,
            self._committed: int | None = self._end  # which ends here; None while its journal is needed
        except BaseException:
            os.close(self._file)
            raise

    def _first_count(self, mode: str) -> int:
        """Commits so far, in the numbering of `seqlock`; 0 where the file has no counters. A new file's first is under way."""
        if mode in ("x", "w"):
            count = seqlock.start(None)
            write_at(self._file, memoryview(seqlock.pack(count + 1, count)), 0)
            return count
        found = seqlock.unpack(_read(self._file, 0, seqlock.SIZE)) if self._writes else None
        if found is None:
            return 0
        count = seqlock.start(found)
        if found.begun != found.finished:  # a process was killed within a commit; what it left is whole now
            write_at(self._file, memoryview(seqlock.pack(count, count)), 0)
        return count

    # ---- what h5py calls ----------------------------------------------------------------------------

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of a file; the end is that of HDF5's data."""
        self._position = offset + (0 if whence == os.SEEK_SET else self._position if whence == os.SEEK_CUR else self._end)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, n: int) -> bytes:
        """The next n bytes; h5py tells a file object by this name and calls `readinto`."""
        buffer = bytearray(n)
        self.readinto(buffer)
        return bytes(buffer)

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; bytes behind the end are zero."""
        view = memoryview(buffer).cast("B")
        start, n = self._position, len(view)
        data = _read(self._file, start, n)
        view[: len(data)] = data
        view[len(data) :] = bytes(n - len(data))
        if self._pages:
            for number in range(start // PAGE, -(-(start + n) // PAGE)):
                page = self._pages.get(number)
                if page is not None:
                    low, high = max(start, number * PAGE), min(start + n, (number + 1) * PAGE)
                    view[low - start : high - start] = page[low - number * PAGE : high - number * PAGE]
        check_heap(view)
        self._position += n
        return n

    def write(self, data: Any) -> int:
        """Take bytes: (1) or (2)."""
        view, position = memoryview(data).cast("B"), self._position
        if os.getpid() != self._process:  # HDF5 closes what a forked process has inherited
            return len(view)
        n, new = len(view), self._safe * PAGE
        if position < new:
            self._keep(position, view[: new - position])
            view, position = view[new - position :], new
        if len(view):
            try:
                pages = range(position // PAGE, -(-(position + len(view)) // PAGE)) if self._late else ()
                if any(number in self._pages for number in pages):
                    raise OSError(errno.ENOSPC, "the page waits in memory")
                write_at(self._file, view, position)
            except OSError:
                self._keep(position, view)
        self._position += n
        self._end = max(self._end, self._position)
        return n

    def truncate(self, size: int | None = None) -> int:
        """HDF5 tells where its data end; the disk follows at the next commit."""
        self._end = self._position if size is None else size
        return self._end

    def flush(self) -> None:
        """HDF5 has written all that it has; `commit` decides."""

    # ---- what the store calls -----------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """Bytes that wait in memory for the next commit."""
        return PAGE * len(self._pages)

    def commit(self) -> None:
        """Make the present state the one that a kill leaves. Raises OSError; the last commit then still holds."""
        if self._count and 0 in self._pages:  # the counters stand in it
            head = seqlock.pack(self._count + 1, self._count)
            self._pages[0][: len(head)] = head
        if self._pages:
            numbers = np.array(sorted(self._pages), "<u8")
            size = os.fstat(self._file).st_size
            start = -(-max(self._end, size) // PAGE) * PAGE
            pages = b"".join(self._pages[int(number)] for number in numbers)
            content = pages + numbers.tobytes() + struct.pack("<Q", self._end)
            foot = FOOT.pack(MAGIC, start, numbers.size, _digest(content), b"")
            foot = foot[:-DIGEST_BYTES] + _digest(foot)
            try:
                write_at(self._file, memoryview(content + 2 * foot), start)  # one of them may be damaged
            except OSError:
                os.ftruncate(self._file, size)  # half a journal is of no use to anybody
                raise
        self._committed = None
        with self.changing():
            self._apply()
        self._safe, self._committed = -(-self._end // PAGE), self._end
        self._check_place()

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Around whatever overwrites what readers look at: see `seqlock`. After an error the commit counts as under way."""
        if self._count:
            write_at(self._file, memoryview(seqlock.pack(self._count + 1, self._count)), 0)
        yield
        if self._count:
            self._count += 1
            write_at(self._file, memoryview(seqlock.pack(self._count, self._count)), 0)

    def _check_place(self) -> None:
        """Raise FileNotFoundError where the file is no longer where it was: what is written now may be lost with it."""
        try:
            there = os.path.samestat(os.stat(self.path), os.fstat(self._file))
        except FileNotFoundError:
            there = False
        if not there:
            raise FileNotFoundError(errno.ENOENT, "the file or its folder was moved or deleted")

    def close(self) -> None:
        """Close without a commit; a second call does nothing."""
        if self._file >= 0:
            if self._writes and os.getpid() == self._process and self._committed is not None:
                os.ftruncate(self._file, self._committed)
            os.close(self._file)
            self._file = -1

    def _keep(self, position: int, data: memoryview) -> None:
        """Take bytes into pages in memory."""
        end = position + len(data)
        for number in range(position // PAGE, -(-end // PAGE)):
            low, high = max(position, number * PAGE), min(end, (number + 1) * PAGE)
            page = self._pages.get(number)
            if page is None:
                self._late |= number >= self._safe
                page = self._pages[number] = bytearray(PAGE)
                if high - low < PAGE:
                    old = _read(self._file, number * PAGE, PAGE)
                    page[: len(old)] = old
            page[low - number * PAGE : high - number * PAGE] = data[low - position : high - position]

    def _apply(self) -> None:
        """Overwrite the pages in place, neighbours together, and cut the file at its end."""
        numbers = np.array(sorted(self._pages), np.int64)
        runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1) if numbers.size else []
        joined = [(memoryview(b"".join(self._pages[int(n)] for n in run)), int(run[0]) * PAGE) for run in runs]
        for data, offset in joined:  # nothing else in here: the shorter it takes, the better for readers without this module
            write_at(self._file, data, offset)
        os.ftruncate(self._file, self._end)
        self._pages, self._late = {}, False


def read_journal(file: int) -> tuple[dict[int, bytearray], int] | None:
    """The pages of a whole journal at the end of a file, and where the data end; None where there is none.

    Raises OSError where there is one that is damaged: pages that it holds may be half overwritten.
    """
    size = os.fstat(file).st_size
    raw = _read(file, max(0, size - 2 * FOOT.size), 2 * FOOT.size)
    for foot in (raw[-FOOT.size :], raw[: -FOOT.size]):  # the second of two; files of version 1.2 have but one
        found = _foot(foot, size)
        if found is not None:
            break
    else:
        return None
    start, count, digest = found
    content = _read(file, start, count * (PAGE + 8) + 8)
    if _digest(content) != digest:
        raise OSError("the journal at its end, which a killed process has left, is damaged")
    numbers = np.frombuffer(content, "<u8", count, count * PAGE)
    pages = {int(number): bytearray(content[k * PAGE : (k + 1) * PAGE]) for k, number in enumerate(numbers)}
    return pages, struct.unpack("<Q", content[-8:])[0]


def _foot(raw: bytes, size: int) -> tuple[int, int, bytes] | None:
    """Place, count and digest of the pages, where these bytes are the foot of a journal in a file of this size."""
    if len(raw) != FOOT.size or raw[:8] != MAGIC or raw[-DIGEST_BYTES:] != _digest(raw[:-DIGEST_BYTES] + bytes(DIGEST_BYTES)):
        return None
    _, start, count, digest, _ = FOOT.unpack(raw)
    return (start, count, digest) if size - start - count * (PAGE + 8) - 8 in (FOOT.size, 2 * FOOT.size) else None


def has_journal(path: str | os.PathLike[str]) -> bool:
    """Whether a process was killed in the middle of a commit to this file."""
    with pathlib.Path(path).open("rb") as file:
        return read_journal(file.fileno()) is not None


def write_at(file: int, data: memoryview, offset: int) -> None:
    """Write all bytes at this place of a file."""
    while len(data):
        if hasattr(os, "pwrite"):
            written = os.pwrite(file, data, offset)
        else:  # Windows; descriptors are not shared between threads
            os.lseek(file, offset, os.SEEK_SET)
            written = os.write(file, data)
        data, offset = data[written:], offset + written


def _read(file: int, offset: int, n: int) -> bytes:
    """At most n bytes from this place of a file."""
    parts = []
    while n > 0:
        if hasattr(os, "pread"):
            part = os.pread(file, n, offset)
        else:
            os.lseek(file, offset, os.SEEK_SET)
            part = os.read(file, n)
        if not part:
            break
        parts.append(part)
        n, offset = n - len(part), offset + len(part)
    return b"".join(parts)


def _digest(data: Any) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def _lock(file: int) -> None:
    """Lock the file as HDF5 does, so that HDF5 and this module see each other."""
    if fcntl is None or os.environ.get("HDF5_USE_FILE_LOCKING", "").upper() in ("FALSE", "0"):
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in UNLOCKABLE:
            raise


def create_file(journal: JournaledFile, userblock: int) -> h5py.File:
    """A new HDF5 file in a journaled file."""
    h5py.File(journal, "w", libver=CREATED, userblock_size=userblock).close()
    return reopen_file(journal)


def reopen_file(journal: JournaledFile) -> h5py.File:
    """The HDF5 file in a journaled file, to go on writing it."""
    return h5py.File(journal, "r+", libver=WRITTEN)
