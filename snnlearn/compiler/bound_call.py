"""Calls of a kernel with arguments that stay: unpacked once, then handed over as they are.

A call from Python looks up the kernel for the types of its arguments and takes every array apart: of a hundred arrays in
NamedTuples that is 30 us, many times the work of one step of a small network. A `Frame` does it once. It keeps the fields
of the arguments in slots of eight bytes, flattened as Numba passes them (a tuple is its entries; an array is `ARRAY`, with its
shape and strides an entry each), and a few instructions load them and call the very function that the
ordinary call would reach: results are the same bits. A call then costs a microsecond.

How arguments are passed is Numba's own affair. What is known here is compared, field by field, with what the version at hand
does; where it differs, and where only an ordinary call tells of errors (bounds checking), the call is the ordinary one.

Arrays must stay where they are, and the kernel must not raise; the frame keeps its arguments alive.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np

from .fallback import lose

PREPARED = "calls with prepared arguments"

try:
    from . import entry
except Exception as reason:
    lose(PREPARED, reason)


class Frame:
    """One kernel with its arguments; `call()` runs it.

    kernel : compiled by `dispatch.kernel`; arguments : NamedTuples, arrays and numbers
    The last argument may change between calls: a float, or fields of a NamedTuple of whole numbers.
    Attribute prepared : whether `call` is more than an ordinary call of the kernel.
    """

    def __init__(self, kernel: Any, arguments: tuple[Any, ...]):
        self.arguments = arguments
        self._at: dict[str, int] = {}
        self._slots = self._prepare(kernel) if hasattr(kernel, "overloads") and not numba.config.BOUNDSCHECK else None  # type: ignore[attr-defined]
        self.prepared = self._slots is not None
        if not self.prepared:
            self.call: Callable[[], Any] = lambda: kernel(*self.arguments)

    def _prepare(self, kernel: Any) -> np.ndarray | None:
        """The slots that `call` hands over; None where this version of Numba passes arguments in another way."""
        kinds, values = zip(*(field for argument in self.arguments for field in _fields(argument)), strict=True)
        try:
            signature = entry.full_signature(kernel, tuple(map(numba.typeof, self.arguments)))
            kernel.compile(signature)  # or loads it
            function = entry.function(kernel.overloads[signature], kinds)
        except Exception as reason:  # errors of the kernel itself come again with the ordinary call
            lose(PREPARED, reason)
            return None
        slots, last = np.array(values, np.int64), getattr(self.arguments[-1], "_fields", ())
        self._at = {name: slots.size - len(last) + k for k, name in enumerate(last)}
        self.call = functools.partial(function, slots.ctypes.data)
        return slots

    def give(self, last: float) -> None:
        """Another value of the last argument, where that is a float."""
        if self._slots is not None:
            self._slots[-1:].view(np.float64)[0] = last
        else:
            self.arguments = (*self.arguments[:-1], last)

    def change(self, name: str, value: int) -> None:
        """Another value of a field of the last argument, where that is a NamedTuple of whole numbers."""
        if self._slots is not None:
            self._slots[self._at[name]] = value
        else:
            self.arguments = (*self.arguments[:-1], self.arguments[-1]._replace(**{name: value}))


def _fields(value: Any) -> Iterator[tuple[str, int]]:
    """What Numba passes for an argument: the LLVM type of each field, and its bits in a slot."""
    if isinstance(value, tuple):
        for part in value:
            yield from _fields(part)
    elif isinstance(value, np.ndarray):
        yield from (("pointer", 0), ("pointer", 0), ("i64", value.size), ("i64", value.itemsize), ("pointer", value.ctypes.data))
        for number in (*value.shape, *value.strides):
            yield "i64", number
    elif isinstance(value, (bool, int)):
        yield "i8" if isinstance(value, bool) else "i64", int(value)
    else:
        number = np.asarray(value)
        kind = {"f4": "float", "f8": "double", "i8": "i64", "u8": "i64"}.get(number.dtype.str[1:], "unknown")
        yield kind, int.from_bytes(number.tobytes(), "little", signed=True)
