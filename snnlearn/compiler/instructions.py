"""The instructions behind `intrinsics`, written in LLVM's language."""

from __future__ import annotations

import sys

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

NAP = 20  # us; systems round it up to about 70


@intrinsic
def prefetch(context, array, index):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(function, [address, number(0), number(3), number(1)])  # to read, into every cache, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


# The control register of floating-point numbers: LLVM's intrinsics that read and write it, through memory or not, and
# the bits that make denormal numbers zero where they come out and where they go in.
X86 = ("llvm.x86.sse.stmxcsr", "llvm.x86.sse.ldmxcsr", True, 32, 0x8040)
ARM = ("llvm.aarch64.get.fpcr", "llvm.aarch64.set.fpcr", False, 64, 1 << 24)
REGISTERS = {"x86_64": X86, "aarch64": ARM, "arm64": ARM}  # other processors go on with denormal numbers


@intrinsic
def control(context, write, value):  # type: ignore[no-untyped-def]
    """Read the control register of this thread; with write=1 add the flushing bits, with write=2 set it to `value`."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        triple, wide = builder.module.triple, ir.IntType(64)
        known = REGISTERS.get(triple.partition("-")[0])
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


LANES = 16  # entries that one comparison covers: a register of 512 bits of float32, or several of narrower processors


@intrinsic
def set_bits(context, array, index):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        kind = ir.VectorType(data.type.pointee, LANES)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), kind.as_pointer())
        values = builder.load(address, align=signature.args[0].dtype.bitwidth // 8)
        found = builder.fcmp_unordered("!=", values, ir.Constant(kind, [0.0] * LANES))
        return builder.zext(builder.bitcast(found, ir.IntType(LANES)), ir.IntType(64))

    return types.uint64(array, types.intp), generate


@intrinsic
def lowest_bit(context, word):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.int64(types.uint64), generate


@intrinsic
def scaled(context, x, k):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        word = ir.IntType(32)  # the exponent of a float32 stands above its 23 bits
        power = builder.shl(builder.add(arguments[1], word(127)), word(23))
        return builder.fmul(arguments[0], builder.bitcast(power, ir.FloatType()))

    return types.float32(types.float32, types.int32), generate


@intrinsic
def add_and_get(context, array, index):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        one = ir.IntType(64)(1)
        return builder.add(builder.atomic_rmw("add", builder.gep(data, [arguments[1]]), one, "seq_cst"), one)

    return types.int64(array, types.intp), generate


@intrinsic
def peek(context, array, index):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "seq_cst", 8)

    return types.int64(array, types.intp), generate


@intrinsic
def rest(context, long):  # type: ignore[no-untyped-def]
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
