"""Where things lie in a forest's one buffer.

    header   19 slots of 8 bytes, named below
    offsets  f64 [dimensions]: what is subtracted from a value before it is stored (``detector.forest.quantize``)
    rounded  i64 [dimensions]: readings of this epoch whose codes are not exact
    window   f32 [width]: the codes of the last readings, oldest first; the next point without its newest reading
    trees    ``trees`` times ``tree_bytes`` bytes: ``detector.forest.sorted_tree`` or ``detector.forest.box_tree``
    slack    128 bytes that vector loads may touch beyond the last tree

A snapshot is a copy of it. Addresses are never stored.
"""

from __future__ import annotations

(
    DIMENSIONS,  # i64: values in a reading
    SHINGLE,  # i64: readings in a point
    RANDOM,  # u64: random state of the gate; the same slot as in a tree's header
    WIDTH,  # i64: components of a point
    PADDED,  # i64: floats between one stored point and the next
    TREES,  # i64
    SAMPLES,  # i64: points that a tree keeps
    SLOTS,  # i64: room for points in a tree
    TREES_AT,  # i64: bytes from the buffer's start to the first tree
    TREE_BYTES,  # i64
    FIRST_SCORE,  # i64: readings before the first score
    SEEN,  # i64: readings so far
    LEARNT,  # i64: points so far that were offered to the trees: the sampler's time
    EPOCH,  # i64: time from which the sampler's weights count
    EPOCH_LENGTH,  # i64
    DECAY,  # f64: of the sampler, per point
    GROWTH,  # f64: expm1(DECAY)
    GATE,  # f64: 0 for none
    UNIT,  # f64: factor from a value's distance to its code; 0 before it is chosen
) = range(19)

HEADER = 8 * 19
SLACK = 128
ALIGNMENT = 64


def aligned(bytes_: int) -> int:
    """``bytes_`` rounded up so that vectors that follow do not straddle cache lines."""
    return -(-bytes_ // ALIGNMENT) * ALIGNMENT
