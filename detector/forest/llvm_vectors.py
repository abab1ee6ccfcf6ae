"""Operations on sixteen floats at a time, and on points and boxes of such; see ``detector.forest.llvm_intrinsics``."""

# mypy: no-warn-return-any, allow-untyped-calls

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from detector.forest.llvm_intrinsics import (
    BYTES,
    F32,
    FLOATS,
    I1,
    I32,
    I64,
    LANES,
    inline,
    instruction,
    splat,
    trailing_zeros,
)


def _vector_at(builder: Any, address: Any, vector: Any) -> Any:
    """Load the vector at an address."""
    return builder.load(builder.inttoptr(address, vector.as_pointer()), align=4)


def _compare(name: str, operator: str, count: bool) -> Any:
    """A function (p, value) over 16 floats at p: how many compare true, or a bit each."""

    @instruction
    def compare(typing: Any, p: Any, value: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            vector = ir.VectorType(F32, FLOATS)
            found = builder.fcmp_ordered(
                operator, _vector_at(builder, arguments[0], vector), splat(builder, arguments[1], vector)
            )
            mask = builder.bitcast(found, ir.IntType(FLOATS))
            return builder.zext(builder.ctpop(mask) if count else mask, I64)

        return types.int64(types.int64, types.float32), code

    compare.__name__ = name
    return compare


count_less = _compare("count_less", "<", count=True)
count_less_or_equal = _compare("count_less_or_equal", "<=", count=True)
_equal = _compare("_equal", "==", count=False)


@instruction
def largest(typing: Any, p: Any, blocks: Any) -> Any:
    """The largest of 16 * blocks floats at p, blocks > 0."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, blocks = arguments
        vector = ir.VectorType(F32, FLOATS)
        best = cgutils.alloca_once_value(builder, _vector_at(builder, address, vector))
        with cgutils.for_range(builder, blocks) as loop:
            here = builder.add(address, builder.mul(loop.index, ir.Constant(I64, BYTES)))
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
        i += FLOATS


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _smaller(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


def _fold(builder: Any, vector: Any, combine: Any) -> Any:
    """Combine all lanes into one value, always in the same order: halves with halves."""
    lanes = vector.type.count
    while lanes > 1:
        lanes //= 2
        index = ir.VectorType(I32, lanes)
        low = builder.shuffle_vector(vector, vector, ir.Constant(index, list(range(lanes))))
        high = builder.shuffle_vector(vector, vector, ir.Constant(index, list(range(lanes, 2 * lanes))))
        vector = combine(builder, low, high)
    return builder.extract_element(vector, ir.Constant(I32, 0))


def _pick(builder: Any, u: Any, v: Any, lanes: list[int]) -> Any:
    """A vector of some lanes of u, and of v behind it."""
    return builder.shuffle_vector(u, v, ir.Constant(ir.VectorType(I32, len(lanes)), lanes))


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
    vector = ir.VectorType(F32, LANES)
    blocks = builder.udiv(padded, ir.Constant(I64, LANES))
    with cgutils.for_range(builder, blocks) as loop:
        offset = builder.mul(loop.index, ir.Constant(I64, 4 * LANES))
        body([_vector_at(builder, builder.add(a, offset), vector) for a in addresses], offset)


def _accumulator(builder: Any) -> Any:
    return cgutils.alloca_once_value(builder, ir.Constant(ir.VectorType(F32, LANES), [0.0] * LANES))


def _add_to(builder: Any, total: Any, vector: Any) -> None:
    builder.store(builder.fadd(builder.load(total), vector), total)


def _put(builder: Any, vector: Any, address: Any, offset: Any) -> None:
    pointer = builder.inttoptr(builder.add(address, offset), vector.type.as_pointer())
    builder.store(vector, pointer, align=4)


def _outside(builder: Any, low: Any, high: Any, x: Any) -> Any:
    """How far x lies outside of the box, by component."""
    zero = ir.Constant(low.type, [0.0] * low.type.count)
    return _larger(builder, _larger(builder, builder.fsub(low, x), builder.fsub(x, high)), zero)


@instruction
def beyond(typing: Any, box: Any, x: Any, padded: Any) -> Any:
    """How far x lies outside of the box, summed over the components; 0 only inside."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        box, x, padded = arguments
        high = builder.add(box, builder.mul(padded, ir.Constant(I64, 4)))
        total = _accumulator(builder)

        def body(vectors: Any, offset: Any) -> None:
            low, high, x = vectors
            _add_to(builder, total, _outside(builder, low, high, x))

        _over_components(builder, padded, [box, high, x], body)
        return _fold(builder, builder.load(total), lambda b, u, v: b.fadd(u, v))

    return types.float32(types.int64, types.int64, types.int64), code


@instruction
def climb(typing: Any, score: Any, depth: Any, nodes: Any, boxes: Any, x: Any, padded: Any) -> Any:
    """(score, how far x lies outside of the last box) after four levels on the way up.

    Each box is cut off x with the chance p = outside / (sides + outside), and from then on x scores 1 / (depth + 1):
    score = (1 - p) * score + p / (depth + 1). The four such steps are put together before they meet the score, so that
    it does not wait for each. Levels above the root leave the score as it is, as boxes do that hold x.

    ``nodes`` and ``boxes`` are the addresses of the four levels' sides (f32) and boxes; ``depth`` that of the first.
    """
    four = ir.VectorType(F32, 4)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        score, depth, nodes, boxes, x, padded = arguments
        nodes = cgutils.unpack_tuple(builder, nodes, 4)
        boxes = cgutils.unpack_tuple(builder, boxes, 4)
        width = builder.mul(padded, ir.Constant(I64, 4))
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
            value = builder.load(builder.inttoptr(node, F32.as_pointer()), align=4)
            sides = builder.insert_element(sides, value, ir.Constant(I32, lane))
        one, zero = ir.Constant(four, [1.0] * 4), ir.Constant(four, [0.0] * 4)
        below = splat(builder, builder.sitofp(depth, F32), four)
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
        keep, gain = (builder.extract_element(v, ir.Constant(I32, 0)) for v in (keep, gain))
        last = builder.extract_element(outside, ir.Constant(I32, 3))
        score = builder.fadd(builder.fmul(score, keep), gain)
        return context.make_tuple(builder, signature.return_type, [score, last])

    addresses = types.UniTuple(types.int64, 4)
    result = types.UniTuple(types.float32, 2)
    return result(types.float32, types.int64, addresses, addresses, types.int64, types.int64), code


@instruction
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


@instruction
def enlarge(typing: Any, box: Any, low: Any, high: Any, x: Any, padded: Any) -> Any:
    """Make ``box`` the box from ``low`` to ``high`` with x taken in; returns the sum of its sides."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        box, low, high, x, padded = arguments
        top = builder.add(box, builder.mul(padded, ir.Constant(I64, 4)))
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


@instruction
def unite(typing: Any, box: Any, low: Any, high: Any, other_low: Any, other_high: Any, padded: Any) -> Any:
    """Make ``box`` the union of two; returns the sum of its sides, or -1 if it was that box already."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        box, low, high, other_low, other_high, padded = arguments
        top = builder.add(box, builder.mul(padded, ir.Constant(I64, 4)))
        total = _accumulator(builder)
        changed = cgutils.alloca_once_value(builder, ir.Constant(I1, 0))

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
        return builder.select(builder.load(changed), sides, ir.Constant(F32, -1.0))

    return types.float32(*[types.int64] * 6), code
