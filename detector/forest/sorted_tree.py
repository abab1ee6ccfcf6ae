"""A random cut tree of points on a line, without nodes, boxes or cuts.

The sample is sorted; between neighbours lies a gap. The tree splits at one gap after the other, so a subtree is a range
of points and its root is the shallowest gap inside. The depths of the gaps therefore determine the tree: the boxes are
the values at the ends of the ranges, the masses are their lengths. Where in its gap a cut lies need not be known:
given the tree it is uniform there, and the score is the mean over it.

    f32 [slots]       X: the sample's codes in order, then +inf
    f32 [slots]       W: their weights in the sampler
    64 bytes          header (``detector.forest.sampler``); its last element is D[0]
    depth [slots]     D[1] ... D[slots]: see below
    f32 [pivots]      X[0], X[16], X[32] ...: the first of every 16, then +inf

D[k] belongs to the gap between X[k - 1] and X[k] and is 1 + the depth of its node; the root has depth 0. D[0] and D[n]
are 0. Between equal points the gap is no node: equal points share one leaf, and D[k] is 1 + the leaf's depth.

``left`` says which neighbour of a new value is meant; what holds on one side holds mirrored on the other.
"""

# mypy: no-warn-return-any

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detector.forest.layout import DECAY, EPOCH, GROWTH, SAMPLES, SLOTS, TREE_BYTES, TREES_AT
from detector.forest.leaf import inverse, score_equal
from detector.forest.llvm_intrinsics import (
    count_less,
    count_less_or_equal,
    depth_bytes,
    f32,
    get_depth,
    get_f32,
    get_f64,
    get_i64,
    i64,
    inline,
    kernel,
    leading_zeros,
    move,
    set_depth,
    set_f32,
    set_f64,
    set_i64,
    shallower,
    trailing_zeros,
)
from detector.forest.sampler import (
    COUNT,
    HEADER,
    RANDOM,
    REPLACE,
    SCALE,
    SKIP,
    UNUSED,
    decide,
    draw,
    enters,
    heaviest,
    settle,
)

BLOCK = 16  # values in a block, one pivot each
LANES = 16  # values that are located before they are scored: the searches overlap
_ZERO = f32(0.0)


def tree_bytes(slots: int, depth_size: int) -> int:
    """Bytes of a tree with room for ``slots`` points, a multiple of 16."""
    return 8 * slots + HEADER + depth_size * slots + 4 * _pivots(slots)


def _pivots(slots: int) -> int:
    return -(-slots // BLOCK // BLOCK) * BLOCK


def plant(tree: NDArray[np.uint8], slots: int, seed: np.uint64) -> None:
    """Make zeroed memory an empty tree."""
    tree[: 4 * slots].view(np.float32)[:] = np.inf
    tree[4 * slots : 8 * slots].view(np.float32)[:] = UNUSED
    tree[8 * slots : 8 * slots + HEADER].view(np.uint64)[RANDOM] = seed
    tree[len(tree) - 4 * _pivots(slots) :].view(np.float32)[:] = np.inf


@inline
def _parts(tree: int, slots: int, like: int) -> tuple[int, ...]:
    """Addresses of (X, W, header, D, pivots)."""
    weights = tree + 4 * slots
    header = weights + 4 * slots
    size = depth_bytes(like)
    return tree, weights, header, header + HEADER - size, header + HEADER + size * slots


# Where a value belongs


@inline
def _rank(x: int, pivots: int, slots: int, v: float) -> int:
    """How many points are less than v."""
    blocks = count_less(pivots, v)
    for k in range(1, (slots // BLOCK + BLOCK - 1) // BLOCK):
        blocks += count_less(pivots + 64 * k, v)
    block = max(blocks - 1, 0)
    return BLOCK * block + count_less(x + 64 * block, v)


@inline
def _rank_after(x: int, pivots: int, slots: int, v: float) -> int:
    """How many points are not greater than v."""
    blocks = count_less_or_equal(pivots, v)
    for k in range(1, (slots // BLOCK + BLOCK - 1) // BLOCK):
        blocks += count_less_or_equal(pivots + 64 * k, v)
    block = max(blocks - 1, 0)
    return BLOCK * block + count_less_or_equal(x + 64 * block, v)


@inline
def _write_pivots(x: int, pivots: int, slots: int) -> None:
    for k in range(slots // BLOCK):
        set_f32(pivots, k, get_f32(x, BLOCK * k))


@inline
def _shallower_before(d: int, k: int, depth: int, like: int) -> int:
    """The nearest gap before k with less than ``depth``; D[0] is one."""
    size = depth_bytes(like)
    lanes = 64 // size
    while True:
        mask = shallower(d, k - lanes, depth, like)
        if mask != 0:
            return k - 1 - (leading_zeros(mask) - (64 - lanes))
        k -= lanes


@inline
def _shallower_after(d: int, k: int, depth: int, like: int) -> int:
    """The nearest gap after k with less than ``depth``; D[n] is one."""
    lanes = 64 // depth_bytes(like)
    k += 1
    while True:
        mask = shallower(d, k, depth, like)
        if mask != 0:
            return k + trailing_zeros(mask)
        k += lanes


@inline
def _neighbour_gap(x: int, n: int, r: int, left: bool) -> int:
    """The gap on the far side of the leaf to the left (right) of gap r: past its equal points."""
    if left:
        j = r - 1
        while j > 0 and get_f32(x, j - 1) == get_f32(x, j):
            j -= 1
        return j
    j = r + 1
    while j < n and get_f32(x, j - 1) == get_f32(x, j):
        j += 1
    return j


@inline
def _spine_up(x: int, d: int, j: int, depth: int, near: float, left: bool, like: int) -> tuple[int, float]:
    """(next gap, length of the range that the node at gap j with this depth spans beside v's neighbour)."""
    if left:
        k = _shallower_before(d, j, depth, like)
        return k, near - get_f32(x, k)
    k = _shallower_after(d, j, depth, like)
    return k, get_f32(x, k - 1) - near


# Scores


@kernel
def _beside(x: int, d: int, n: int, r: int, v: float, gap_depth: int, left: bool, like: int) -> float:
    """Expected inverse depth of v if the cut of gap r leaves it with the points on its left (right).

    From the leaf up to that cut, v lies beyond one end of every box: each node separates it with probability p.
    """
    j = _neighbour_gap(x, n, r, left)
    depth = get_depth(d, j, like)
    if depth <= gap_depth:
        return inverse(gap_depth)
    near = get_f32(x, r - 1 if left else r)
    reach = abs(v - near)
    score = inverse(depth)
    while depth > gap_depth:
        j, length = _spine_up(x, d, j, depth, near, left, like)
        p = reach / (reach + length)
        depth -= 1
        score += p * (inverse(depth) - score)
    return score


@kernel
def _score_equal(x: int, d: int, pivots: int, slots: int, n: int, r: int, v: float, like: int) -> float:
    """Score of a value that the sample holds; r is the rank of the first."""
    mass = _rank_after(x, pivots, slots, v) - r
    depth = max(get_depth(d, r, like), get_depth(d, r + mass, like))
    return score_equal(depth, mass, n)


@kernel
def _score_any(x: int, d: int, pivots: int, slots: int, n: int, r: int, v: float, like: int) -> float:
    """Score of v of rank r, whatever the case."""
    if r < n and get_f32(x, r) == v:
        return _score_equal(x, d, pivots, slots, n, r, v, like)
    if r == 0:
        return _beside(x, d, n, 0, v, 0, False, like)
    if r == n:
        return _beside(x, d, n, n, v, 0, True, like)
    low, high = get_f32(x, r - 1), get_f32(x, r)
    gap_depth = get_depth(d, r, like)
    on_left = _beside(x, d, n, r, v, gap_depth, True, like)
    on_right = _beside(x, d, n, r, v, gap_depth, False, like)
    return on_left + (v - low) / (high - low) * (on_right - on_left)


@inline
def _score(x: int, d: int, pivots: int, slots: int, n: int, r: int, v: float, like: int) -> float:
    """As ``_score_any``; both sides climb together where v lies between two single points."""
    low, high = get_f32(x, r - 1), get_f32(x, r)
    gap_depth = get_depth(d, r, like)
    a = max(get_depth(d, r - 1, like), gap_depth)
    b = max(get_depth(d, r + 1, like), gap_depth)
    if (
        r == 0
        or r == n
        or high == v
        or (a > gap_depth and get_f32(x, r - 2) == low)
        or (b > gap_depth and get_f32(x, r + 1) == high)
    ):
        return _score_any(x, d, pivots, slots, n, r, v, like)
    to_low, to_high = v - low, high - v
    on_left, on_right = inverse(a), inverse(b)
    lanes = 64 // depth_bytes(like)
    while max(a, b) > gap_depth:
        before = shallower(d, r - lanes, a, like)
        after = shallower(d, r + 1, b, like)
        if (before == 0 and a > gap_depth) or (after == 0 and b > gap_depth):  # farther away than one vector
            return _score_any(x, d, pivots, slots, n, r, v, like)
        i = max(r - 1 - (leading_zeros(before) - (64 - lanes)), 0)
        j = min(r + 1 + trailing_zeros(after), n)
        p = to_low / (to_low + (low - get_f32(x, i)))
        q = to_high / (to_high + (get_f32(x, j - 1) - high))
        next_left = on_left + p * (inverse(a - 1) - on_left)
        next_right = on_right + q * (inverse(b - 1) - on_right)
        on_left = next_left if a > gap_depth else on_left
        on_right = next_right if b > gap_depth else on_right
        a, b = max(a - 1, gap_depth), max(b - 1, gap_depth)
    return on_left + to_low / (high - low) * (on_right - on_left)


@kernel
def score_run(
    forest: int,
    tree: int,
    points: int,
    stride: int,
    start: int,
    stop: int,
    unit: float,
    sums: int,
    scratch: int,
    like: int,
) -> int:
    """Add the tree's score of each of points[start:stop], in multiples of 1 / unit, to the integers at ``sums``.

    Returns nothing of use, where trees of boxes return a leaf.
    """
    slots = get_i64(forest, SLOTS)
    x, _, header, d, pivots = _parts(tree, slots, like)
    n = get_i64(header, COUNT)
    factor = get_f64(header, SCALE) * unit
    i = start
    while i < stop:
        lanes = min(LANES, stop - i)
        for lane in range(lanes):
            set_i64(scratch, lane, _rank(x, pivots, slots, get_f32(points, i + lane)))
        for lane in range(lanes):
            score = _score(x, d, pivots, slots, n, get_i64(scratch, lane), get_f32(points, i + lane), like)
            set_i64(sums, i + lane, get_i64(sums, i + lane) + i64(score * factor))
        i += lanes
    return -1


@kernel
def score_across(
    forest: int, first: int, last: int, point: int, unit: float, learning: bool, time: int, scratch: int, like: int
) -> int:
    """The sum of the scores of one point in trees first ... last - 1, in multiples of 1 / unit.

    If ``learning``, each tree then learns the point if it ``enters`` at ``time``.
    """
    samples = get_i64(forest, SAMPLES)
    slots, size = get_i64(forest, SLOTS), get_i64(forest, TREE_BYTES)
    tree = forest + get_i64(forest, TREES_AT) + first * size
    v = get_f32(point, 0)
    total = 0
    while first < last:
        lanes = min(LANES, last - first)
        for lane in range(lanes):
            x, _, _, _, pivots = _parts(tree + lane * size, slots, like)
            set_i64(scratch, lane, _rank(x, pivots, slots, v))
        for lane in range(lanes):
            x, _, header, d, pivots = _parts(tree + lane * size, slots, like)
            score = _score(x, d, pivots, slots, get_i64(header, COUNT), get_i64(scratch, lane), v, like)
            total += i64(score * (get_f64(header, SCALE) * unit))
        if learning:
            for lane in range(lanes):
                if enters(header_of(forest, tree + lane * size, like), samples, time):
                    learn(forest, tree + lane * size, point, time, -1, like)
        first += lanes
        tree += lanes * size
    return total


# Explanations


@kernel
def attribute(forest: int, tree: int, point: int, parts: int, scratch: int, like: int) -> None:
    """Split the score of one point into what is owed to being high and to being low: parts, f64 [1][2].

    Beside its left neighbour v is high for every box up to the cut. An equal point counts for the side of its parent.
    """
    slots = get_i64(forest, SLOTS)
    x, _, header, d, pivots = _parts(tree, slots, like)
    n, v = get_i64(header, COUNT), get_f32(point, 0)
    r = _rank(x, pivots, slots, v)
    share = 1.0 if r == n else 0.0  # of v being beside its left neighbour
    left, right = _ZERO, _ZERO
    if r < n and get_f32(x, r) == v:
        left = right = _score_equal(x, d, pivots, slots, n, r, v, like)
        before = get_depth(d, r, like)
        after = get_depth(d, _rank_after(x, pivots, slots, v), like)
        share = 0.5 if before == after else 1.0 * (before > after)
    elif r == 0 or r == n:
        left = right = _beside(x, d, n, r, v, 0, r == n, like)
    else:
        low, high = get_f32(x, r - 1), get_f32(x, r)
        share = 1.0 - (v - low) / (high - low)
        left = _beside(x, d, n, r, v, get_depth(d, r, like), True, like)
        right = _beside(x, d, n, r, v, get_depth(d, r, like), False, like)
    set_f64(parts, 0, share * left)
    set_f64(parts, 1, (1.0 - share) * right)


@inline
def _root_gap(x: int, d: int, low: int, high: int, depth: int, like: int) -> int:
    """The gap that splits points low ... high - 1, whose node has depth - 1; -1 if they are equal."""
    for k in range(low + 1, high):
        if get_depth(d, k, like) == depth and get_f32(x, k - 1) != get_f32(x, k):
            return k
    return -1


@kernel
def _displacement(x: int, d: int, n: int, v: float, left: bool, like: int) -> float:
    """As ``displace``, with v left (right) of the cut if the cut's gap is around it."""
    low, high, depth = 0, n, 1
    reached, above, total = 1.0, 0.0, 0.0
    while True:
        mass = high - low
        smallest, biggest = np.float64(get_f32(x, low)), np.float64(get_f32(x, high - 1))
        outside = max(smallest - v, v - biggest, 0.0)
        gap = _root_gap(x, d, low, high, depth, like)
        if gap < 0:
            return total + reached * (above if outside == 0.0 else max(above, float(mass)))
        p = outside / (outside + biggest - smallest)
        total += reached * p * max(above, float(mass))
        reached *= 1.0 - p
        before, after = get_f32(x, gap - 1), get_f32(x, gap)
        if v <= before or (v < after and left):
            above = max(above, (high - gap) / (gap - low + 1.0))
            high = gap
        else:
            above = max(above, (gap - low) / (high - gap + 1.0))
            low = gap
        depth += 1


@kernel
def displace(forest: int, tree: int, point: int, scratch: int, like: int) -> float:
    """CoDisp of a point if it were inserted, the mean over where its cut would fall.

    That is the largest ratio of a sibling's mass to that of the part of the tree that the point is in. Down from the
    root, each box is cut from the point with probability p; else it joins the subtree on its side, and so on.
    """
    slots = get_i64(forest, SLOTS)
    x, _, header, d, pivots = _parts(tree, slots, like)
    n, v = get_i64(header, COUNT), get_f32(point, 0)
    r = _rank(x, pivots, slots, v)
    share = 0.0
    if 0 < r < n and get_f32(x, r) != v:
        share = 1.0 - (v - get_f32(x, r - 1)) / np.float64(get_f32(x, r) - get_f32(x, r - 1))
    right = _displacement(x, d, n, v, False, like)
    return right if share == 0.0 else share * _displacement(x, d, n, v, True, like) + (1.0 - share) * right


@kernel
def recall(forest: int, tree: int, point: int, missing: int, codes: int, scratch: int, like: int) -> None:
    """Write to codes, f32 [1], the median of the sample: alone, a value that is missing may be any."""
    n = get_i64(header_of(forest, tree, like), COUNT)
    set_f32(codes, 0, get_f32(tree, n // 2))


# Changes


@inline
def _shift(x: int, weights: int, start: int, stop: int, by: float) -> None:
    """Move points start ... stop - 1 by one place, forwards or back."""
    move(x + 4 * (start + by), x + 4 * start, 4 * (stop - start))
    move(weights + 4 * (start + by), weights + 4 * start, 4 * (stop - start))


@inline
def _unlink(d: int, n: int, at: int, like: int) -> int:
    """Take the leaf at point ``at`` off the tree: its parent gap, which is returned, goes; the sibling's gaps rise."""
    before, after = get_depth(d, at, like), get_depth(d, at + 1, like)
    if before > after:
        j = at - 1
        while get_depth(d, j, like) > before:
            set_depth(d, j, get_depth(d, j, like) - 1, like)
            j -= 1
        return at
    j = at + 2
    while j < n and get_depth(d, j, like) > after:
        set_depth(d, j, get_depth(d, j, like) - 1, like)
        j += 1
    return at + 1


@inline
def _join(x: int, d: int, header: int, n: int, r: int, v: float, gap_depth: int, left: bool, like: int) -> int:
    """Choose the cut that separates v from the points on the left (right) of gap r, and push down what is below it.

    Walking up from the leaf, every node's box with v in it is cut between v and the box with probability
    reach / (reach + length); the topmost such cut is the one that a walk down would have met first. Returns the depth
    of the new gap.
    """
    near = get_f32(x, r - 1 if left else r)
    reach = np.float64(abs(v - near))
    j = _neighbour_gap(x, n, r, left)
    depth = get_depth(d, j, like)
    top, new = j, max(depth, gap_depth) + 1
    while depth > gap_depth:
        j, length = _spine_up(x, d, j, depth, near, left, like)
        if draw(header) * (reach + length) < reach:
            top, new = j, depth
        depth -= 1
    for i in range(top + 1 if left else r + 1, r if left else top):
        set_depth(d, i, get_depth(d, i, like) + 1, like)
    return new


# A hole is where a new value of rank r goes among n points: it is point r and gap r + 1, and what is on its right lies
# one place further on than it says, as if the buffer began there.


@inline
def _link(x: int, d: int, header: int, n: int, r: int, v: float, like: int) -> tuple[int, int]:
    """(place, depth) of the gap that a new value v brings where the hole is."""
    size = depth_bytes(like)
    right_x, right_d = x + 4, d + size
    depth = get_depth(d, r, like)
    if r < n and get_f32(right_x, r) == v:
        following = get_depth(right_d, r + 1, like)
        equal = r + 1 < n and get_f32(right_x, r + 1) == v
        return r + 1, following if equal else max(depth, following) + 1
    left = r == n
    if 0 < r < n:
        low, high = np.float64(get_f32(x, r - 1)), np.float64(get_f32(right_x, r))
        left = bool(draw(header) * (high - low) >= v - low)  # the cut lies above v
    if left:
        return r, _join(x, d, header, n, r, v, depth, True, like)
    return r + 1, _join(right_x, right_d, header, n, r, v, depth, False, like)


@inline
def _fill(tree: int, slots: int, n: int, r: int, v: float, weight: float, like: int) -> None:
    """Put v into the hole, beside n points."""
    x, weights, header, d, pivots = _parts(tree, slots, like)
    if n > 0:
        gap, depth = _link(x, d, header, n, r, v, like)
        if gap == r:
            set_depth(d, r + 1, get_depth(d, r, like), like)
        set_depth(d, gap, depth, like)
    set_f32(x, r, v)
    set_f32(weights, r, weight)
    set_depth(d, 0, 0, like)
    set_depth(d, n + 1, 0, like)
    _write_pivots(x, pivots, slots)


@kernel
def insert(tree: int, slots: int, n: int, v: float, weight: float, like: int) -> None:
    """Insert v beside the n points in the tree."""
    x, weights, _, d, pivots = _parts(tree, slots, like)
    r = _rank(x, pivots, slots, v) if n > 0 else 0
    _shift(x, weights, r, n, 1)
    size = depth_bytes(like)
    move(d + size * (r + 2), d + size * (r + 1), size * (n - r))
    _fill(tree, slots, n, r, v, weight, like)


@kernel
def replace(tree: int, slots: int, n: int, at: int, v: float, weight: float, like: int) -> None:
    """Remove point ``at`` of the n in the tree, then insert v; only what lies between them moves."""
    x, weights, _, d, pivots = _parts(tree, slots, like)
    gap = _unlink(d, n, at, like)
    r = _rank(x, pivots, slots, v)
    if at < r:
        _shift(x, weights, at + 1, r, -1)
        r -= 1
    else:
        _shift(x, weights, r, at, 1)
    size = depth_bytes(like)
    if gap <= r:
        move(d + size * gap, d + size * (gap + 1), size * (r + 1 - gap))
    else:
        move(d + size * (r + 2), d + size * (r + 1), size * (gap - r - 1))
    _fill(tree, slots, n - 1, r, v, weight, like)


@kernel
def learn(forest: int, tree: int, point: int, time: int, leaf: int, like: int) -> None:
    """Offer a point to the tree's sample at ``time``; it ``enters``. ``leaf`` is for trees of boxes."""
    slots, samples, decay = get_i64(forest, SLOTS), get_i64(forest, SAMPLES), get_f64(forest, DECAY)
    _, weights, header, _, _ = _parts(tree, slots, like)
    age = np.float64(time - get_i64(forest, EPOCH))
    n = get_i64(header, COUNT)
    action, weight = decide(header, weights, slots // BLOCK, samples, age, decay)
    if action == SKIP:
        return
    if action == REPLACE:
        replace(tree, slots, n, heaviest(weights, slots // BLOCK), get_f32(point, 0), weight, like)
    else:
        insert(tree, slots, n, get_f32(point, 0), weight, like)
        n += 1
    settle(header, weights, slots // BLOCK, n, samples, time, age, decay, get_f64(forest, GROWTH))


@inline
def header_of(forest: int, tree: int, like: int) -> int:
    """Address of the tree's header."""
    return tree + 8 * get_i64(forest, SLOTS)


@inline
def weights_of(forest: int, tree: int, like: int) -> int:
    """Address of the sampler's weights."""
    return tree + 4 * get_i64(forest, SLOTS)


@kernel
def extent(forest: int, tree: int, component: int, like: int) -> tuple[float, float]:
    """(smallest, largest) code in the tree, which is not empty."""
    n = get_i64(header_of(forest, tree, like), COUNT)
    return get_f32(tree, 0), get_f32(tree, n - 1)


@kernel
def translate(forest: int, tree: int, component: int, by: float, like: int) -> None:
    """Subtract ``by`` from all codes; exact where ``extent`` is within a factor of two of it."""
    slots = get_i64(forest, SLOTS)
    x, _, header, _, pivots = _parts(tree, slots, like)
    for i in range(get_i64(header, COUNT)):
        set_f32(x, i, get_f32(x, i) - by)
    _write_pivots(x, pivots, slots)
