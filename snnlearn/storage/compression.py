"""A chunk as HDF5's filters shuffle and deflate leave it, in a third of the time that they take.

Deflate searches only for runs of equal bytes (Z_RLE): of shuffled spikes and membranes it then makes slightly fewer bytes, in
less than half the time of a search for any repetition. Shuffled, a byte of a number lies with the same byte of all the others,
in planes; those of a mantissa hold noise, and a plane of which a sample does not shrink is stored as it is.

    zlib stream     2 bytes of header | plane, plane, ..., each ends at a byte | an empty last block | adler32 of all   (RFC 1950)
    plane           deflated, or stored in blocks of 1 + 2 + 2 + at most 65535 bytes                                    (RFC 1951)

A thread does this while the run goes on: both zlib and compiled code release Python's lock. It never calls HDF5, which has one
lock for all its calls, so that whoever holds that lock (as a callback in which garbage is collected) can wait for it.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

import numpy as np

HEADER, END = b"\x78\x01", b"\x03\x00"
BLOCK = (1 << 16) - 1  # bytes of a stored block, at most
SAMPLES, SAMPLE = 4, 1 << 10  # pieces of a plane that are tried, and bytes of one
WORTH = 0.95  # what a sample must shrink to
LIMIT_BYTES = 1 << 23  # of chunks that wait for the thread; the run stands still until there are fewer


def encoded(chunk: np.ndarray) -> bytes:
    """The bytes of a contiguous chunk as the filters shuffle and gzip leave them."""
    planes = np.ascontiguousarray(chunk.reshape(-1).view(np.uint8).reshape(-1, chunk.dtype.itemsize).T)
    parts: list[bytes | memoryview] = [HEADER]
    for plane in planes:
        if _shrinks(plane):
            parts += _deflated(plane)
        else:
            parts += _stored(plane)
    return b"".join([*parts, END, zlib.adler32(planes.data).to_bytes(4, "big")])


def _shrinks(plane: np.ndarray) -> bool:
    """Whether to deflate a plane, by some pieces of it."""
    if plane.size <= SAMPLES * SAMPLE:
        return True
    starts = np.linspace(0, plane.size - SAMPLE, SAMPLES).astype(int)
    sample = np.concatenate([plane[a : a + SAMPLE] for a in starts.tolist()])
    return sum(map(len, _deflated(sample))) < WORTH * sample.size


def _deflated(plane: np.ndarray) -> list[bytes]:
    deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    return [deflate.compress(plane.data), deflate.flush(zlib.Z_FULL_FLUSH)]


def _stored(plane: np.ndarray) -> list[bytes | memoryview]:
    parts: list[bytes | memoryview] = []
    for start in range(0, plane.size, BLOCK):
        part = plane[start : start + BLOCK].data
        parts += [b"\x00" + len(part).to_bytes(2, "little") + (BLOCK - len(part)).to_bytes(2, "little"), part]
    return parts


class EncodingTask(NamedTuple):
    """A chunk being compressed."""

    encoder: ChunkEncoder
    encode: Callable[[np.ndarray], bytes]
    chunk: np.ndarray
    future: Future[bytes]

    def done(self) -> bool:
        """Whether `result` is there at once."""
        return self.future.done()

    def result(self) -> bytes:
        """The bytes of the chunk; waits for them. Raises what `encode` raises."""
        if threading.get_ident() == self.encoder.thread:  # which collects garbage, and so closes a recording
            return self.encode(self.chunk)
        return self.future.result()

    def again(self) -> EncodingTask:
        """The same once more, after an error."""
        return self.encoder.submit(self.encode, self.chunk)


class ChunkEncoder:
    """The thread that encodes chunks, in order; it begins with the first one, and its owner must `close` it."""

    def __init__(self) -> None:
        self.waited = 0.0  # s that the run stood still, because the thread could not keep up
        self.thread: int | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._queue: deque[EncodingTask] = deque()

    @property
    def waiting(self) -> int:
        """Bytes of chunks that are not encoded yet."""
        while self._queue and self._queue[0].done():
            self._queue.popleft()
        return sum(task.chunk.nbytes for task in self._queue)

    def submit(self, encode: Callable[[np.ndarray], bytes], chunk: np.ndarray) -> EncodingTask:
        """Have the thread encode a chunk, once there is room for it."""
        if self.waiting + chunk.nbytes > LIMIT_BYTES and threading.get_ident() != self.thread:
            began = time.monotonic()
            while self.waiting + chunk.nbytes > LIMIT_BYTES and self._queue:
                wait([self._queue[0].future])
            self.waited += time.monotonic() - began
        try:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, "snnlearn-encoder", self._begins)
            future = self._executor.submit(encode, chunk)
        except RuntimeError:  # at the end of the program, where no thread begins
            future = Future()
            future.set_result(encode(chunk))
        self._queue.append(EncodingTask(self, encode, chunk, future))
        return self._queue[-1]

    def _begins(self) -> None:
        self.thread = threading.get_ident()

    def close(self) -> None:
        """End the thread, once it has done everything."""
        if self._executor is not None:
            self._executor.shutdown(wait=threading.get_ident() != self.thread)
            self._executor = None
