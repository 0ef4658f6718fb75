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

import ctypes
import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.compiler_lock import global_compiler_lock

SLOT = ir.IntType(64)
ARRAY = ("meminfo", "parent", "nitems", "itemsize", "data", "shape", "strides")  # what Numba makes of an array, in this order
ENTRIES: dict[int, tuple[Any, Any]] = {}  # by the address of what they call; the library keeps their code


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
        omitted = (types.Omitted(value) for value in kernel.py_func.__defaults__ or ())  # takes no field
        signature = (*map(numba.typeof, self.arguments), *omitted)
        kernel.compile(signature)  # or loads it
        kinds, values = zip(*(field for argument in self.arguments for field in _fields(argument)), strict=True)
        try:
            function = _entry(kernel.overloads[signature], kinds)
        except (AttributeError, NotImplementedError, TypeError):  # what is used of Numba's inside is not there
            return None
        if function is None:
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
        kind = {"f4": "float", "f8": "double"}.get(number.dtype.str[1:], "unknown")
        yield kind, int.from_bytes(number.tobytes(), "little", signed=True)


def _known(context: Any, argtypes: tuple[Any, ...], kinds: tuple[str, ...]) -> bool:
    """Whether the compiled function takes fields of these types, and arrays as known here."""
    model = context.data_model_manager[types.Array(types.float64, 1, "C")]
    array = model.field_count == len(ARRAY) and all(model.get_field_position(name) == k for k, name in enumerate(ARRAY))
    fields = context.get_arg_packer(argtypes).argument_types
    found = tuple("pointer" if isinstance(field, ir.PointerType) else str(field) for field in fields)
    return array and found == kinds and sys.byteorder == "little"  # a field is at the beginning of its slot


@global_compiler_lock
def _entry(compiled: Any, kinds: tuple[str, ...]) -> Any:
    """A function of the address of slots that calls the compiled one with them; None where it takes others."""
    context, argtypes = compiled.target_context, compiled.fndesc.argtypes
    if not _known(context, argtypes, kinds):
        return None
    address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    if address in ENTRIES:
        return ENTRIES[address][0]
    library = context.codegen().create_library(f"frame_{compiled.fndesc.unique_name}")
    module = library.create_ir_module("frame")
    outer = ir.Function(module, ir.FunctionType(ir.VoidType(), [SLOT.as_pointer()]), "call_frame_of_snnlearn")
    builder = ir.IRBuilder(outer.append_basic_block())
    kind = context.call_conv.get_function_type(compiled.fndesc.restype, argtypes)
    results = [cgutils.alloca_once(builder, argument.pointee) for argument in kind.args[:2]]  # value and exception
    loaded = []
    for k, field in enumerate(context.get_arg_packer(argtypes).argument_types):
        slot = builder.gep(outer.args[0], [ir.Constant(SLOT, k)])
        loaded.append(builder.load(builder.bitcast(slot, field.as_pointer())))
    builder.call(builder.inttoptr(ir.Constant(SLOT, address), kind.as_pointer()), [*results, *loaded])
    builder.ret_void()
    library.add_ir_module(module)
    library.finalize()
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(library.get_pointer_to_function(outer.name))
    ENTRIES[address] = function, library
    return function
