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

_I1, _I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
_F32, _F64 = ir.FloatType(), ir.DoubleType()
_FLOATS = 16  # lanes of a vector of float32: one AVX-512 register, two of AVX2, four of NEON
_BYTES = 64  # its bytes
_PREFETCH = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
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


def _instruction(function: Callable[..., Any]) -> Any:
    """An operation of which ``function`` gives the type and the LLVM code."""
    return intrinsic(function)


def _pointer(builder: Any, address: Any, index: Any, kind: Any, size: Any) -> Any:
    return builder.gep(builder.inttoptr(address, kind.as_pointer()), [index])


def _load(name: str, kind: ir.Type, size: int, result: Any, signed: bool | None = None) -> Any:
    """A function (p, i) -> element; integers are widened to 64 bits."""

    @_instruction
    def load(typing: Any, p: Any, i: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = builder.load(_pointer(builder, arguments[0], arguments[1], kind, size), align=size)
            if signed is None:
                return value
            return builder.sext(value, _I64) if signed else builder.zext(value, _I64)

        return result(types.int64, types.int64), code

    load.__name__ = name
    return load


def _store(name: str, kind: ir.Type, size: int, argument: Any, narrow: bool = False) -> Any:
    """A function (p, i, value); 64-bit integers are cut to the element's width."""

    @_instruction
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


get_f32 = _load("get_f32", _F32, 4, types.float32)
get_f64 = _load("get_f64", _F64, 8, types.float64)
get_i64 = _load("get_i64", _I64, 8, types.int64)
get_i32 = _load("get_i32", _I32, 4, types.int64, signed=True)
get_u32 = _load("get_u32", _I32, 4, types.int64, signed=False)
get_u16 = _load("get_u16", _I16, 2, types.int64, signed=False)
set_f32 = _store("set_f32", _F32, 4, types.float32)
set_f64 = _store("set_f64", _F64, 8, types.float64)
set_i64 = _store("set_i64", _I64, 8, types.int64)
set_i32 = _store("set_i32", _I32, 4, types.int64, narrow=True)
set_u16 = _store("set_u16", _I16, 2, types.int64, narrow=True)


def scratch(count: int) -> Any:
    """A function () -> address of memory for ``count`` float64 until the caller returns."""

    @_instruction
    def memory(typing: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            with builder.goto_entry_block():
                place = builder.alloca(ir.ArrayType(_F64, count))
                place.align = _BYTES
            return builder.ptrtoint(place, _I64)

        return types.int64(), code

    return memory


# Depths are bytes up to 256 samples and 16-bit integers beyond: ``like`` is any value of the element's type.


def _element(like: Any) -> Any:
    """(LLVM type, bytes) of ``like``'s numba type."""
    return ir.IntType(like.bitwidth), like.bitwidth // 8


@_instruction
def get_depth(typing: Any, p: Any, i: Any, like: Any) -> Any:
    """Depth number i at p."""
    kind, size = _element(like)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, index, _ = arguments
        return builder.zext(builder.load(_pointer(builder, address, index, kind, size), align=size), _I64)

    return types.int64(types.int64, types.int64, like), code


@_instruction
def set_depth(typing: Any, p: Any, i: Any, value: Any, like: Any) -> Any:
    """Make ``value`` depth number i at p."""
    kind, size = _element(like)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, index, depth, _ = arguments
        builder.store(builder.trunc(depth, kind), _pointer(builder, address, index, kind, size), align=size)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, like), code


@_instruction
def depth_bytes(typing: Any, like: Any) -> Any:
    """Bytes of one depth."""
    size = _element(like)[1]
    return types.int64(like), lambda context, builder, signature, arguments: ir.Constant(_I64, size)


@_instruction
def shallower(typing: Any, p: Any, i: Any, depth: Any, like: Any) -> Any:
    """Bit b says whether depth number i + b at p is less than ``depth``; b runs over the 64 bytes that start at i."""
    kind, size = _element(like)
    lanes = _BYTES // size
    vector = ir.VectorType(kind, lanes)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, index, limit, _ = arguments
        pointer = _pointer(builder, address, index, kind, size)
        depths = builder.load(builder.bitcast(pointer, vector.as_pointer()), align=size)
        limits = _spread(builder, builder.trunc(limit, kind), vector)
        mask = builder.bitcast(builder.icmp_unsigned("<", depths, limits), ir.IntType(lanes))
        return mask if lanes == 64 else builder.zext(mask, _I64)

    return types.int64(types.int64, types.int64, types.int64, like), code


# Loops over the components of a point end up without branches if the compiler knows how many there are.

PADDINGS: dict[Any, int] = {types.int16: 8, types.int32: 16, types.int64: 32}  # by the type of ``like``, if known


@_instruction
def padding(typing: Any, stored: Any, like: Any) -> Any:
    """The padded components of a point: what the type of ``like`` stands for, else what is ``stored``."""
    known = PADDINGS.get(like)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return arguments[0] if known is None else ir.Constant(_I64, known)

    return types.int64(types.int64, like), code


@_instruction
def trailing_zeros(typing: Any, bits: Any) -> Any:
    """Position of the lowest bit set in ``bits``; 64 if none is."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(_I1, 0))

    return types.int64(types.int64), code


@_instruction
def leading_zeros(typing: Any, bits: Any) -> Any:
    """Zeros above the highest bit set in ``bits``; 64 if none is."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(_I1, 0))

    return types.int64(types.int64), code


@_instruction
def move(typing: Any, to: Any, source: Any, count: Any) -> Any:
    """Copy ``count`` bytes; the two places may overlap."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bytes_ = _I8.as_pointer()
        memmove = builder.module.declare_intrinsic("llvm.memmove", [bytes_, bytes_, _I64])
        to, source, count = arguments
        where = [builder.inttoptr(to, bytes_), builder.inttoptr(source, bytes_)]
        builder.call(memmove, [*where, count, ir.Constant(_I1, 0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), code


@_instruction
def prefetch(typing: Any, p: Any, lines: Any) -> Any:
    """Ask for the ``lines`` of 64 bytes from p on, so that they are in the cache when they are needed; a hint."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bytes_ = _I8.as_pointer()
        hint = builder.module.declare_intrinsic("llvm.prefetch", [bytes_], _PREFETCH)
        p, lines = arguments
        with cgutils.for_range(builder, lines) as loop:
            line = builder.inttoptr(builder.add(p, builder.mul(loop.index, ir.Constant(_I64, _BYTES))), bytes_)
            builder.call(hint, [line, *(ir.Constant(_I32, flag) for flag in (0, 3, 1))])  # read, keep, data
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code


# Sixteen floats at a time


def _spread(builder: Any, value: Any, vector: Any) -> Any:
    """A vector with ``value`` in all lanes."""
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(_I32, 0))
    zeros = ir.Constant(ir.VectorType(_I32, vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


def _vector_at(builder: Any, address: Any, vector: Any) -> Any:
    """Load the vector at an address."""
    return builder.load(builder.inttoptr(address, vector.as_pointer()), align=4)


def _compare(name: str, operator: str, count: bool) -> Any:
    """A function (p, value) over 16 floats at p: how many compare true, or a bit each."""

    @_instruction
    def compare(typing: Any, p: Any, value: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            vector = ir.VectorType(_F32, _FLOATS)
            found = builder.fcmp_ordered(
                operator, _vector_at(builder, arguments[0], vector), _spread(builder, arguments[1], vector)
            )
            mask = builder.bitcast(found, ir.IntType(_FLOATS))
            return builder.zext(builder.ctpop(mask) if count else mask, _I64)

        return types.int64(types.int64, types.float32), code

    compare.__name__ = name
    return compare


count_less = _compare("count_less", "<", count=True)
count_less_or_equal = _compare("count_less_or_equal", "<=", count=True)
_equal = _compare("_equal", "==", count=False)


@_instruction
def largest(typing: Any, p: Any, blocks: Any) -> Any:
    """The largest of 16 * blocks floats at p, blocks > 0."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, blocks = arguments
        vector = ir.VectorType(_F32, _FLOATS)
        best = cgutils.alloca_once_value(builder, _vector_at(builder, address, vector))
        with cgutils.for_range(builder, blocks) as loop:
            here = builder.add(address, builder.mul(loop.index, ir.Constant(_I64, _BYTES)))
            builder.store(_larger(builder, _vector_at(builder, here, vector), builder.load(best)), best)
        return _fold(builder, builder.load(best), _larger)

    return types.float32(types.int64, types.int64), code


@inline
def find(p: int, value: float) -> int:
    """Index of the first float at p that equals ``value``; there must be one."""
    i = 0
    while True:
        mask = _equal(p + 4 * i, value)
        if mask != 0:
            return i + trailing_zeros(mask)
        i += _FLOATS


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _smaller(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


def _fold(builder: Any, vector: Any, combine: Any) -> Any:
    """Combine all lanes into one value, always in the same order: halves with halves."""
    lanes = vector.type.count
    while lanes > 1:
        lanes //= 2
        index = ir.VectorType(_I32, lanes)
        low = builder.shuffle_vector(vector, vector, ir.Constant(index, list(range(lanes))))
        high = builder.shuffle_vector(vector, vector, ir.Constant(index, list(range(lanes, 2 * lanes))))
        vector = combine(builder, low, high)
    return builder.extract_element(vector, ir.Constant(_I32, 0))


def _pick(builder: Any, u: Any, v: Any, lanes: list[int]) -> Any:
    """A vector of some lanes of u, and of v behind it."""
    return builder.shuffle_vector(u, v, ir.Constant(ir.VectorType(_I32, len(lanes)), lanes))


def _fold_four(builder: Any, vectors: list[Any]) -> Any:
    """The sums of four vectors of 8 lanes as one vector, each added in the order of ``_fold``."""

    def add(u: Any, v: Any, low: list[int], high: list[int]) -> Any:
        return builder.fadd(_pick(builder, u, v, low), _pick(builder, u, v, high))

    a, b, c, d = (add(v, v, [0, 1, 2, 3], [4, 5, 6, 7]) for v in vectors)
    ab, cd = (add(u, v, [0, 1, 4, 5], [2, 3, 6, 7]) for u, v in ((a, b), (c, d)))
    return add(ab, cd, [0, 2, 4, 6], [1, 3, 5, 7])


# Boxes and points of ``padded`` floats, a multiple of LANES: a box is its low corner and, right behind, its high one


def _over_components(builder: Any, padded: Any, addresses: Any, body: Any) -> None:
    """Run body(vectors at the addresses, offset in bytes) for every LANES floats."""
    vector = ir.VectorType(_F32, LANES)
    blocks = builder.udiv(padded, ir.Constant(_I64, LANES))
    with cgutils.for_range(builder, blocks) as loop:
        offset = builder.mul(loop.index, ir.Constant(_I64, 4 * LANES))
        body([_vector_at(builder, builder.add(a, offset), vector) for a in addresses], offset)


def _accumulator(builder: Any) -> Any:
    return cgutils.alloca_once_value(builder, ir.Constant(ir.VectorType(_F32, LANES), [0.0] * LANES))


def _add_to(builder: Any, total: Any, vector: Any) -> None:
    builder.store(builder.fadd(builder.load(total), vector), total)


def _put(builder: Any, vector: Any, address: Any, offset: Any) -> None:
    pointer = builder.inttoptr(builder.add(address, offset), vector.type.as_pointer())
    builder.store(vector, pointer, align=4)


def _outside(builder: Any, low: Any, high: Any, x: Any) -> Any:
    """How far x lies outside of the box, by component."""
    zero = ir.Constant(low.type, [0.0] * low.type.count)
    return _larger(builder, _larger(builder, builder.fsub(low, x), builder.fsub(x, high)), zero)


@_instruction
def beyond(typing: Any, box: Any, x: Any, padded: Any) -> Any:
    """How far x lies outside of the box, summed over the components; 0 only inside."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        box, x, padded = arguments
        high = builder.add(box, builder.mul(padded, ir.Constant(_I64, 4)))
        total = _accumulator(builder)

        def body(vectors: Any, offset: Any) -> None:
            low, high, x = vectors
            _add_to(builder, total, _outside(builder, low, high, x))

        _over_components(builder, padded, [box, high, x], body)
        return _fold(builder, builder.load(total), lambda b, u, v: b.fadd(u, v))

    return types.float32(types.int64, types.int64, types.int64), code


@_instruction
def climb(typing: Any, score: Any, depth: Any, nodes: Any, boxes: Any, x: Any, padded: Any) -> Any:
    """(score, how far x lies outside of the last box) after four levels on the way up.

    Each box is cut off x with the chance p = outside / (sides + outside), and from then on x scores 1 / (depth + 1):
    score = (1 - p) * score + p / (depth + 1). The four such steps are put together before they meet the score, so that
    it does not wait for each. Levels above the root leave the score as it is, as boxes do that hold x.

    ``nodes`` and ``boxes`` are the addresses of the four levels' sides (f32) and boxes; ``depth`` that of the first.
    """
    four = ir.VectorType(_F32, 4)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        score, depth, nodes, boxes, x, padded = arguments
        nodes = cgutils.unpack_tuple(builder, nodes, 4)
        boxes = cgutils.unpack_tuple(builder, boxes, 4)
        width = builder.mul(padded, ir.Constant(_I64, 4))
        totals = [_accumulator(builder) for _ in boxes]

        def body(vectors: Any, offset: Any) -> None:
            x = vectors[-1]
            for number, total in enumerate(totals):
                _add_to(builder, total, _outside(builder, vectors[2 * number], vectors[2 * number + 1], x))

        corners = [address for box in boxes for address in (box, builder.add(box, width))]
        _over_components(builder, padded, [*corners, x], body)
        outside = _fold_four(builder, [builder.load(total) for total in totals])
        sides: Any = ir.Constant(four, ir.Undefined)
        for lane, node in enumerate(nodes):
            value = builder.load(builder.inttoptr(node, _F32.as_pointer()), align=4)
            sides = builder.insert_element(sides, value, ir.Constant(_I32, lane))
        one, zero = ir.Constant(four, [1.0] * 4), ir.Constant(four, [0.0] * 4)
        below = _spread(builder, builder.sitofp(depth, _F32), four)
        levels = builder.fadd(below, ir.Constant(four, [1.0, 0.0, -1.0, -2.0]))  # depth + 1
        chance = builder.fdiv(outside, builder.fadd(sides, outside))
        chance = builder.select(builder.fcmp_ordered(">=", levels, one), chance, zero)
        keep, gain = builder.fsub(one, chance), builder.fdiv(chance, _larger(builder, levels, one))
        for lanes in (2, 1):  # of two steps, score * k + g and then score * l + h, make score * (k l) + (g l + h)
            first, second = ([2 * lane + offset for lane in range(lanes)] for offset in (0, 1))
            then = _pick(builder, keep, keep, second)
            gain = builder.fadd(
                builder.fmul(_pick(builder, gain, gain, first), then), _pick(builder, gain, gain, second)
            )
            keep = builder.fmul(_pick(builder, keep, keep, first), then)
        keep, gain = (builder.extract_element(v, ir.Constant(_I32, 0)) for v in (keep, gain))
        last = builder.extract_element(outside, ir.Constant(_I32, 3))
        score = builder.fadd(builder.fmul(score, keep), gain)
        return context.make_tuple(builder, signature.return_type, [score, last])

    addresses = types.UniTuple(types.int64, 4)
    result = types.UniTuple(types.float32, 2)
    return result(types.float32, types.int64, addresses, addresses, types.int64, types.int64), code


@_instruction
def distance(typing: Any, point: Any, x: Any, padded: Any) -> Any:
    """Sum of the absolute differences; 0 only if equal."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total = _accumulator(builder)

        def body(vectors: Any, offset: Any) -> None:
            u, v = vectors
            _add_to(builder, total, _larger(builder, builder.fsub(u, v), builder.fsub(v, u)))

        _over_components(builder, arguments[2], arguments[:2], body)
        return _fold(builder, builder.load(total), lambda b, u, v: b.fadd(u, v))

    return types.float32(types.int64, types.int64, types.int64), code


@_instruction
def enlarge(typing: Any, box: Any, low: Any, high: Any, x: Any, padded: Any) -> Any:
    """Make ``box`` the box from ``low`` to ``high`` with x taken in; returns the sum of its sides."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        box, low, high, x, padded = arguments
        top = builder.add(box, builder.mul(padded, ir.Constant(_I64, 4)))
        total = _accumulator(builder)

        def body(vectors: Any, offset: Any) -> None:
            low, high, x = vectors
            low, high = _smaller(builder, low, x), _larger(builder, high, x)
            _put(builder, low, box, offset)
            _put(builder, high, top, offset)
            _add_to(builder, total, builder.fsub(high, low))

        _over_components(builder, padded, [low, high, x], body)
        return _fold(builder, builder.load(total), lambda b, u, v: b.fadd(u, v))

    return types.float32(*[types.int64] * 5), code


@_instruction
def unite(typing: Any, box: Any, low: Any, high: Any, other_low: Any, other_high: Any, padded: Any) -> Any:
    """Make ``box`` the union of two; returns the sum of its sides, or -1 if it was that box already."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        box, low, high, other_low, other_high, padded = arguments
        top = builder.add(box, builder.mul(padded, ir.Constant(_I64, 4)))
        total = _accumulator(builder)
        changed = cgutils.alloca_once_value(builder, ir.Constant(_I1, 0))

        def body(vectors: Any, offset: Any) -> None:
            old_low, old_high, low, high, other_low, other_high = vectors
            low, high = _smaller(builder, low, other_low), _larger(builder, high, other_high)
            _put(builder, low, box, offset)
            _put(builder, high, top, offset)
            _add_to(builder, total, builder.fsub(high, low))
            differs = builder.or_(builder.fcmp_ordered("!=", low, old_low), builder.fcmp_ordered("!=", high, old_high))
            mask = builder.bitcast(differs, ir.IntType(LANES))
            some = builder.icmp_unsigned("!=", mask, ir.Constant(ir.IntType(LANES), 0))
            builder.store(builder.or_(builder.load(changed), some), changed)

        _over_components(builder, padded, [box, top, low, high, other_low, other_high], body)
        sides = _fold(builder, builder.load(total), lambda b, u, v: b.fadd(u, v))
        return builder.select(builder.load(changed), sides, ir.Constant(_F32, -1.0))

    return types.float32(*[types.int64] * 6), code
