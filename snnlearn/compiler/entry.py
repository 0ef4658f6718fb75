"""Builds the machine code by which `bound_call.py` calls a kernel: it loads the arguments from slots of eight bytes."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.compiler_lock import global_compiler_lock

SLOT = ir.IntType(64)
ARRAY = ("meminfo", "parent", "nitems", "itemsize", "data", "shape", "strides")  # what Numba makes of an array, in this order
ENTRIES: dict[int, tuple[Any, Any]] = {}  # by the address of what they call; the library keeps their code


def full_signature(kernel: Any, argtypes: tuple[Any, ...]) -> tuple[Any, ...]:
    """The types of a call's arguments, with those of the defaults, which take no field."""
    return (*argtypes, *(types.Omitted(value) for value in kernel.py_func.__defaults__ or ()))


def _known(context: Any, argtypes: tuple[Any, ...], kinds: tuple[str, ...]) -> bool:
    """Whether the compiled function takes fields of these types, and arrays as known here."""
    model = context.data_model_manager[types.Array(types.float64, 1, "C")]
    array = model.field_count == len(ARRAY) and all(model.get_field_position(name) == k for k, name in enumerate(ARRAY))
    fields = context.get_arg_packer(argtypes).argument_types
    found = tuple("pointer" if isinstance(field, ir.PointerType) else str(field) for field in fields)
    return array and found == kinds and sys.byteorder == "little"  # a field is at the beginning of its slot


@global_compiler_lock
def function(compiled: Any, kinds: tuple[str, ...]) -> Any:
    """A function of the address of slots that calls the compiled one with them.

    Raises NotImplementedError where it takes others, and whatever comes where Numba is another inside.
    """
    context, argtypes = compiled.target_context, compiled.fndesc.argtypes
    if not _known(context, argtypes, kinds):
        raise NotImplementedError("arguments are passed in another way")
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
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(library.get_pointer_to_function(outer.name))
    ENTRIES[address] = call, library
    return call
