"""What a processor can be told and Numba has no word for: memory that is wanted soon, denormal numbers, threads that meet."""

from __future__ import annotations

import sys
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

from .dispatch import HELPER


@intrinsic
def _prefetch(context, array, index):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(function, [address, number(0), number(3), number(1)])  # to read, into every cache, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def prefetch(array: Any, index: int) -> None:
    """Have the processor load the cache line of array[index] (1-D), which is wanted soon; the index is not checked."""


@overload(prefetch, jit_options=HELPER, strict=False)  # type: ignore[arg-type]
def _(array, index):
    return lambda array, index: _prefetch(array, index)  # type: ignore[call-arg]


# The control register of floating-point numbers: LLVM's intrinsics that read and write it, through memory or not, and
# the bits that make denormal numbers zero where they come out and where they go in.
_X86 = ("llvm.x86.sse.stmxcsr", "llvm.x86.sse.ldmxcsr", True, 32, 0x8040)
_ARM = ("llvm.aarch64.get.fpcr", "llvm.aarch64.set.fpcr", False, 64, 1 << 24)


@intrinsic
def _control(context, write, value):  # type: ignore[no-untyped-def]
    """Read the control register of this thread; with write=1 add the flushing bits, with write=2 set it to `value`."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        triple, wide = builder.module.triple, ir.IntType(64)
        known = _X86 if triple.startswith("x86_64") else _ARM if triple.startswith(("aarch64", "arm64")) else None
        if known is None:
            return wide(0)
        load, store, in_memory, width, bits = known
        word, pointer, void = ir.IntType(width), ir.IntType(8).as_pointer(), ir.VoidType()
        reads = ir.FunctionType(void, [pointer]) if in_memory else ir.FunctionType(word, [])
        writes = ir.FunctionType(void, [pointer if in_memory else word])
        read_it, write_it = (
            cgutils.get_or_insert_function(builder.module, kind, name) for kind, name in ((reads, load), (writes, store))
        )
        if in_memory:
            slot = cgutils.alloca_once(builder, word)
            address = builder.bitcast(slot, pointer)
            builder.call(read_it, [address])
            old = builder.load(slot)
        else:
            old = builder.call(read_it, [])
        given = builder.trunc(arguments[1], word) if width < 64 else arguments[1]
        new = builder.select(builder.icmp_signed("==", arguments[0], arguments[0].type(1)), builder.or_(old, word(bits)), given)
        if in_memory:
            builder.store(new, slot)
        builder.call(write_it, [address if in_memory else new])
        return builder.zext(old, wide) if width < 64 else old

    return types.int64(types.int64, types.int64), generate


def flush_denormals() -> int:
    """Have this thread take denormal numbers for zero, and return what `restore` needs.

    What decays for long, such as the trace of a silent input, ends among the denormal numbers (float32: below 1.2e-38) and
    stays there by rounding; on many processors each of them costs a hundred times a multiplication.
    """
    return 0


def restore(register: int) -> None:
    """Undo `flush_denormals`."""


@overload(flush_denormals, jit_options=HELPER, strict=False)  # type: ignore[arg-type]
def _():
    return lambda: _control(1, 0)  # type: ignore[call-arg]


@overload(restore, jit_options=HELPER, strict=False)  # type: ignore[arg-type]
def _(register):
    return lambda register: _control(2, register)  # type: ignore[call-arg]


@intrinsic
def _add_and_get(context, array, index):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        one = ir.IntType(64)(1)
        return builder.add(builder.atomic_rmw("add", builder.gep(data, [arguments[1]]), one, "seq_cst"), one)

    return types.int64(array, types.intp), generate


@intrinsic
def _peek(context, array, index):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "seq_cst", 8)

    return types.int64(array, types.intp), generate


@intrinsic
def _rest(context, long):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        void, number = ir.VoidType(), ir.IntType(32)
        if builder.module.triple.startswith("x86_64"):
            pause = cgutils.get_or_insert_function(builder.module, ir.FunctionType(void, []), "llvm.x86.sse2.pause")
            builder.call(pause, [])
        elif builder.module.triple.startswith(("aarch64", "arm64")):
            hint = cgutils.get_or_insert_function(builder.module, ir.FunctionType(void, [number]), "llvm.aarch64.hint")
            builder.call(hint, [number(1)])
        if sys.platform != "win32":
            with builder.if_then(builder.trunc(arguments[0], ir.IntType(1)), likely=False):
                sleep = cgutils.get_or_insert_function(builder.module, ir.FunctionType(number, [number]), "usleep")
                builder.call(sleep, [number(NAP)])
        return context.get_dummy_value()

    return types.void(types.boolean), generate


NAP = 20  # us; systems round it up to about 70


def add_and_get(array: Any, index: int) -> int:
    """Add 1 to array[index] (int64, 1-D) and return the sum; atomic, and all threads see what this one has written before."""
    array[index] += 1
    return int(array[index])


def peek(array: Any, index: int) -> int:
    """array[index] (int64, 1-D) as other threads have left it, with all that they had written before."""
    return int(array[index])


def rest(long: bool) -> None:
    """Wait for a few cycles; where `long`, sleep for `NAP` (but on Windows, whose naps are too long).

    On a machine whose cores are all busy, a thread that keeps its core while it waits has used up its turn when the one that
    it waits for gets its own; one that sleeps is woken at once. Offering the core by sched_yield gives it away for milliseconds.
    """


@overload(add_and_get, jit_options=HELPER, strict=False)  # type: ignore[arg-type]
def _(array, index):
    return lambda array, index: _add_and_get(array, index)  # type: ignore[call-arg]


@overload(peek, jit_options=HELPER, strict=False)  # type: ignore[arg-type]
def _(array, index):
    return lambda array, index: _peek(array, index)  # type: ignore[call-arg]


@overload(rest, jit_options=HELPER, strict=False)  # type: ignore[arg-type]
def _(long):
    return lambda long: _rest(long)  # type: ignore[call-arg]
