"""What numba cannot say: typed access to memory and the few vector operations that the forest's kernels need.

A kernel works on addresses inside one buffer, because passing a dozen arrays to a compiled function costs more than
scoring a point in a tree. Everything here is generic LLVM: its vectors become AVX-512, AVX2 or NEON instructions,
whatever the machine has. Each operation has a plain equivalent in
``tests/detector/forest/test_llvm_intrinsics.py``.

Nothing here checks bounds. ``p`` is an address; ``i`` counts elements, never bytes.
"""

# mypy: no-warn-return-any, allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
F32, F64 = ir.FloatType(), ir.DoubleType()
FLOATS = 16  # lanes of a vector of float32: one AVX-512 register, two of AVX2, four of NEON
BYTES = 64  # its bytes
_PREFETCH = ir.FunctionType(ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
LANES = 8  # floats to which the components of a point are padded
f32: Callable[[Any], float] = cast(Any, np.float32)  # in compiled code, conversions
i64: Callable[[Any], int] = cast(Any, np.int64)
Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a function that compiled functions call."""
    return cast(Function, njit(error_model="numpy")(function))


def inline(function: Function) -> Function:
    """The same for a small one, of which callers get a copy each."""
    return cast(Function, njit(error_model="numpy", inline="always")(function))


def instruction(function: Callable[..., Any]) -> Any:
    """An operation of which ``function`` gives the type and the LLVM code."""
    return intrinsic(function)


def _pointer(builder: Any, address: Any, index: Any, kind: Any, size: Any) -> Any:
    return builder.gep(builder.inttoptr(address, kind.as_pointer()), [index])


def splat(builder: Any, value: Any, vector: Any) -> Any:
    """A vector with ``value`` in all lanes."""
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(I32, 0))
    zeros = ir.Constant(ir.VectorType(I32, vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


def _load(name: str, kind: ir.Type, size: int, result: Any, signed: bool | None = None) -> Any:
    """A function (p, i) -> element; integers are widened to 64 bits."""

    @instruction
    def load(typing: Any, p: Any, i: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = builder.load(_pointer(builder, arguments[0], arguments[1], kind, size), align=size)
            if signed is None:
                return value
            return builder.sext(value, I64) if signed else builder.zext(value, I64)

        return result(types.int64, types.int64), code

    load.__name__ = name
    return load


def _store(name: str, kind: ir.Type, size: int, argument: Any, narrow: bool = False) -> Any:
    """A function (p, i, value); 64-bit integers are cut to the element's width."""

    @instruction
    def store(typing: Any, p: Any, i: Any, value: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            address, index, element = arguments
            if narrow:
                element = builder.trunc(element, kind)
            builder.store(element, _pointer(builder, address, index, kind, size), align=size)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, argument), code

    store.__name__ = name
    return store


get_f32 = _load("get_f32", F32, 4, types.float32)
get_f64 = _load("get_f64", F64, 8, types.float64)
get_i64 = _load("get_i64", I64, 8, types.int64)
get_i32 = _load("get_i32", I32, 4, types.int64, signed=True)
get_u32 = _load("get_u32", I32, 4, types.int64, signed=False)
get_u16 = _load("get_u16", I16, 2, types.int64, signed=False)
set_f32 = _store("set_f32", F32, 4, types.float32)
set_f64 = _store("set_f64", F64, 8, types.float64)
set_i64 = _store("set_i64", I64, 8, types.int64)
set_i32 = _store("set_i32", I32, 4, types.int64, narrow=True)
set_u16 = _store("set_u16", I16, 2, types.int64, narrow=True)


def scratch(count: int) -> Any:
    """A function () -> address of memory for ``count`` float64 until the caller returns."""

    @instruction
    def memory(typing: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            with builder.goto_entry_block():
                place = builder.alloca(ir.ArrayType(F64, count))
                place.align = BYTES
            return builder.ptrtoint(place, I64)

        return types.int64(), code

    return memory


# Depths are bytes up to 256 samples and 16-bit integers beyond: ``tag`` is any value of the element's type.


def _element(tag: Any) -> Any:
    """(LLVM type, bytes) of ``tag``'s numba type."""
    return ir.IntType(tag.bitwidth), tag.bitwidth // 8


@instruction
def get_depth(typing: Any, p: Any, i: Any, tag: Any) -> Any:
    """Depth number i at p."""
    kind, size = _element(tag)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, index, _ = arguments
        return builder.zext(builder.load(_pointer(builder, address, index, kind, size), align=size), I64)

    return types.int64(types.int64, types.int64, tag), code


@instruction
def set_depth(typing: Any, p: Any, i: Any, value: Any, tag: Any) -> Any:
    """Make ``value`` depth number i at p."""
    kind, size = _element(tag)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, index, depth, _ = arguments
        builder.store(builder.trunc(depth, kind), _pointer(builder, address, index, kind, size), align=size)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, tag), code


@instruction
def depth_bytes(typing: Any, tag: Any) -> Any:
    """Bytes of one depth."""
    size = _element(tag)[1]
    return types.int64(tag), lambda context, builder, signature, arguments: ir.Constant(I64, size)


@instruction
def shallower(typing: Any, p: Any, i: Any, depth: Any, tag: Any) -> Any:
    """Bit b says whether depth number i + b at p is less than ``depth``; b runs over the 64 bytes that start at i."""
    kind, size = _element(tag)
    lanes = BYTES // size
    vector = ir.VectorType(kind, lanes)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, index, limit, _ = arguments
        pointer = _pointer(builder, address, index, kind, size)
        depths = builder.load(builder.bitcast(pointer, vector.as_pointer()), align=size)
        limits = splat(builder, builder.trunc(limit, kind), vector)
        mask = builder.bitcast(builder.icmp_unsigned("<", depths, limits), ir.IntType(lanes))
        return mask if lanes == 64 else builder.zext(mask, I64)

    return types.int64(types.int64, types.int64, types.int64, tag), code


# Loops over the components of a point end up without branches if the compiler knows how many there are.
PADDINGS: dict[Any, int] = {types.int16: 8, types.int32: 16, types.int64: 32}  # by the type of ``tag``, if known


@instruction
def padding(typing: Any, stored: Any, tag: Any) -> Any:
    """The padded components of a point: what the type of ``tag`` stands for, else what is ``stored``."""
    known = PADDINGS.get(tag)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return arguments[0] if known is None else ir.Constant(I64, known)

    return types.int64(types.int64, tag), code


@instruction
def trailing_zeros(typing: Any, bits: Any) -> Any:
    """Position of the lowest bit set in ``bits``; 64 if none is."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(I1, 0))

    return types.int64(types.int64), code


@instruction
def leading_zeros(typing: Any, bits: Any) -> Any:
    """Zeros above the highest bit set in ``bits``; 64 if none is."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(I1, 0))

    return types.int64(types.int64), code


@instruction
def move(typing: Any, to: Any, source: Any, count: Any) -> Any:
    """Copy ``count`` bytes; the two places may overlap."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bytes_ = I8.as_pointer()
        memmove = builder.module.declare_intrinsic("llvm.memmove", [bytes_, bytes_, I64])
        to, source, count = arguments
        where = [builder.inttoptr(to, bytes_), builder.inttoptr(source, bytes_)]
        builder.call(memmove, [*where, count, ir.Constant(I1, 0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), code


@instruction
def prefetch(typing: Any, p: Any, lines: Any) -> Any:
    """Ask for the ``lines`` of 64 bytes from p on, so that they are in the cache when they are needed; a hint."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bytes_ = I8.as_pointer()
        hint = builder.module.declare_intrinsic("llvm.prefetch", [bytes_], _PREFETCH)
        p, lines = arguments
        with cgutils.for_range(builder, lines) as loop:
            line = builder.inttoptr(builder.add(p, builder.mul(loop.index, ir.Constant(I64, BYTES))), bytes_)
            builder.call(hint, [line, *(ir.Constant(I32, flag) for flag in (0, 3, 1))])  # read, keep, data
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code
