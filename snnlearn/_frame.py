"""Calls of a kernel with arguments that stay: unpacked once, then handed over as they are.

A call from Python looks up the kernel for the types of its arguments and takes every array apart: of a hundred arrays in
NamedTuples that is 30 us, many times the work of one step of a small network. A `Frame` does it once. It keeps the fields
of the arguments in slots of eight bytes, flattened as Numba passes them (a tuple is its entries; an array is its owner, its
parent, size, item size, data, shape and strides), and a few instructions load them and call the very function that the
ordinary call would reach: results are the same bits. A call then costs a microsecond.

Arrays must stay where they are, and the kernel must not raise; the frame keeps its arguments alive.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.compiler_lock import global_compiler_lock

SLOT = ir.IntType(64)
ENTRIES: dict[int, tuple[Any, int, Any]] = {}  # by the address of what they call; the library keeps their code


class Frame:
    """One kernel with its arguments; `call()` runs it.

    kernel : compiled by `_jit.kernel`; arguments : NamedTuples, arrays and numbers
    The last argument is a NamedTuple of whole numbers, which `change` replaces between calls.
    """

    def __init__(self, kernel: Any, arguments: tuple[Any, ...]):
        self.arguments, self._slots, self._at = arguments, None, {}
        if not hasattr(kernel, "overloads"):  # plain Python, without the JIT
            self.call: Callable[[], Any] = lambda: kernel(*self.arguments)
            return
        omitted = (types.Omitted(value) for value in kernel.py_func.__defaults__ or ())  # takes no field
        signature = (*map(numba.typeof, arguments), *omitted)
        kernel.compile(signature)  # or loads it
        self._slots = np.array([field for a in arguments for field in _fields(a)], np.int64)
        last = arguments[-1]._fields
        self._at = {name: self._slots.size - len(last) + k for k, name in enumerate(last)}
        function, wanted, _ = _entry(kernel.overloads[signature])
        if wanted != self._slots.size:
            raise RuntimeError(f"this version of Numba passes {wanted} fields where {self._slots.size} are known")
        self.call = functools.partial(function, self._slots.ctypes.data)

    def change(self, name: str, value: int) -> None:
        """Another value of a field of the last argument."""
        if self._slots is not None:
            self._slots[self._at[name]] = value
        else:
            self.arguments = (*self.arguments[:-1], self.arguments[-1]._replace(**{name: value}))


def _fields(value: Any) -> Iterator[int]:
    """What Numba passes for an argument, as integers of 64 bits."""
    if isinstance(value, tuple):
        for part in value:
            yield from _fields(part)
    elif isinstance(value, np.ndarray):
        yield from (0, 0, value.size, value.itemsize, value.ctypes.data, *value.shape, *value.strides)
    elif isinstance(value, (bool, int)):
        yield int(value)
    else:
        yield int.from_bytes(np.asarray(value).tobytes(), "little", signed=True)


@global_compiler_lock
def _entry(compiled: Any) -> tuple[Any, int, Any]:
    """A function of the address of slots that calls the compiled one, and the number of slots that it reads."""
    address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    if address in ENTRIES:
        return ENTRIES[address]
    context = compiled.target_context
    library = context.codegen().create_library(f"frame_{compiled.fndesc.unique_name}")
    module = library.create_ir_module("frame")
    fields = context.get_arg_packer(compiled.fndesc.argtypes).argument_types
    outer = ir.Function(module, ir.FunctionType(ir.VoidType(), [SLOT.as_pointer()]), "call_frame_of_snnlearn")
    builder = ir.IRBuilder(outer.append_basic_block())
    kind = context.call_conv.get_function_type(compiled.fndesc.restype, compiled.fndesc.argtypes)
    results = [cgutils.alloca_once(builder, argument.pointee) for argument in kind.args[:2]]  # value and exception
    loaded = []
    for k, field in enumerate(fields):
        slot = builder.gep(outer.args[0], [ir.Constant(SLOT, k)])
        loaded.append(builder.load(builder.bitcast(slot, field.as_pointer())))
    builder.call(builder.inttoptr(ir.Constant(SLOT, address), kind.as_pointer()), [*results, *loaded])
    builder.ret_void()
    library.add_ir_module(module)
    library.finalize()
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(library.get_pointer_to_function(outer.name))
    ENTRIES[address] = function, len(fields), library
    return ENTRIES[address]
