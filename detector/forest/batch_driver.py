"""The way of a batch through a forest, whatever kind its trees are of.

The trees do not know of each other, so a batch goes through one tree after the other: a tree stays in the cache for all
of it. Between two changes of a tree, of which the sampler knows the times beforehand, its scores are those of a tree
that stands still, and many are computed together. Single points go the other way, one point through all trees.

Scores are added up as integers, multiples of 2^-40. Such sums do not depend on their order; so neither do the results
on the batches or on the number of threads, to the last bit.

``tag`` is a value whose type says of which kind the trees are (``detector.forest.tree_dispatch``).
"""

# mypy: no-warn-return-any

from __future__ import annotations

import numpy as np

from detector.forest.layout import (
    DECAY,
    DIMENSIONS,
    EPOCH,
    EPOCH_LENGTH,
    FIRST_SCORE,
    GATE,
    LEARNT,
    PADDED,
    SAMPLES,
    SEEN,
    SHINGLE,
    SLOTS,
    TREE_BYTES,
    TREES,
    TREES_AT,
    UNIT,
    WIDTH,
)
from detector.forest.llvm_intrinsics import f32, get_f32, get_f64, get_i64, inline, kernel, set_f32, set_f64, set_i64
from detector.forest.quantize import LIMIT, decode, encode, offsets, rounded, spread, window
from detector.forest.sampler import COUNT, NEXT, draw, enters, rebase
from detector.forest.tree_dispatch import (
    extent,
    header_of,
    learn,
    score_across,
    score_run,
    translate,
    weights_of,
)

SCORE_UNIT = 2.0**40
CHUNK = 1024  # readings that go through the trees together
SCRATCH = 64  # 8-byte slots of working memory for the kernels of a tree
_FEW = 8  # points that go through the forest one by one
_BLOCK = 8  # points that are scored ahead of the gate
_RARELY = 64  # one reading in so many may have a rounded code where the offset moves


@inline
def tree_at(forest: int, number: int) -> int:
    """Address of a tree."""
    return forest + get_i64(forest, TREES_AT) + number * get_i64(forest, TREE_BYTES)


@kernel
def pass_tree(
    forest: int,
    tree: int,
    points: int,
    stride: int,
    start: int,
    stop: int,
    first: int,
    time: int,
    sums: int,
    scratch: int,
    tag: int,
) -> None:
    """Score, from number ``first`` on, and learn points start ... stop - 1 in one tree; point 0 has ``time``."""
    header = header_of(forest, tree, tag)
    samples = get_i64(forest, SAMPLES)
    i = start
    while i < stop:
        full = get_i64(header, COUNT) == samples
        end = min(stop, get_i64(header, NEXT) - time + 1) if full else i + 1  # the last before it may be learnt
        leaf = -1
        if end > first:
            leaf = score_run(forest, tree, points, stride, max(i, first), end, SCORE_UNIT, sums, scratch, tag)
        if enters(header, samples, time + end - 1):
            learn(forest, tree, points + stride * (end - 1), time + end - 1, leaf, tag)
        i = end


@kernel
def offer_point(forest: int, first: int, last: int, point: int, time: int, tag: int) -> None:
    """Offer one point to trees first ... last - 1."""
    samples = get_i64(forest, SAMPLES)
    for number in range(first, last):
        tree = tree_at(forest, number)
        if enters(header_of(forest, tree, tag), samples, time):
            learn(forest, tree, point, time, -1, tag)


@kernel
def pass_trees(
    forest: int,
    first_tree: int,
    last_tree: int,
    points: int,
    stride: int,
    start: int,
    stop: int,
    first: int,
    time: int,
    sums: int,
    scratch: int,
    tag: int,
) -> None:
    """Score, from number ``first`` on, and learn points start ... stop - 1 in some trees; adds to ``sums``."""
    if stop - start < _FEW:
        for i in range(start, stop):
            point = points + stride * i
            if i < first:
                offer_point(forest, first_tree, last_tree, point, time + i, tag)
            else:
                score = score_across(forest, first_tree, last_tree, point, SCORE_UNIT, True, time + i, scratch, tag)
                set_i64(sums, i, get_i64(sums, i) + score)
        return
    for number in range(first_tree, last_tree):
        tree = tree_at(forest, number)
        pass_tree(forest, tree, points, stride, start, stop, first, time, sums, scratch, tag)


@kernel
def pass_gate(
    forest: int, points: int, stride: int, start: int, stop: int, first: int, sums: int, scratch: int, tag: int
) -> int:
    """As ``pass_trees`` with all trees, but a scored point is learnt only if the gate lets it; returns the time.

    Points are scored some at a time. Their scores hold until one of them is learnt; those after it are computed anew.
    """
    trees, gate, time = get_i64(forest, TREES), get_f64(forest, GATE), get_i64(forest, LEARNT)
    i = start
    while i < min(first, stop):
        offer_point(forest, 0, trees, points + stride * i, time, tag)
        time += 1
        i += 1
    while i < stop:
        end = min(i + _BLOCK, stop)
        for j in range(i, end):
            set_i64(sums, j, 0)
        for number in range(trees):
            tree = tree_at(forest, number)
            score_run(forest, tree, points, stride, i, end, SCORE_UNIT, sums, scratch, tag)
        while i < end:
            score = get_i64(sums, i) / (SCORE_UNIT * trees) / gate
            i += 1
            if draw(forest) < score * score:
                offer_point(forest, 0, trees, points + stride * (i - 1), time, tag)
                time += 1
                break
    return time


@kernel
def start_epoch(forest: int, newest: int, tag: int) -> None:
    """Begin a new epoch: weights count from now, codes from where the stream is. newest: f64 [dimensions]."""
    time, slots = get_i64(forest, LEARNT), get_i64(forest, SLOTS)
    shift = get_f64(forest, DECAY) * (time - get_i64(forest, EPOCH))
    for number in range(get_i64(forest, TREES)):
        tree = tree_at(forest, number)
        rebase(header_of(forest, tree, tag), weights_of(forest, tree, tag), slots, shift)
    set_i64(forest, EPOCH, time)
    alike = True
    for j in range(get_i64(forest, DIMENSIONS)):
        alike &= _recentre(forest, j, get_f64(newest, j), tag)
    if alike:
        set_f64(forest, UNIT, 0.0)


@kernel
def _recentre(forest: int, dimension: int, newest: float, tag: int) -> bool:
    """Move the offset of a dimension to its codes, if equal values stay equal; returns whether all codes are 0 now."""
    dimensions, width = get_i64(forest, DIMENSIONS), get_i64(forest, WIDTH)
    low, high = f32(np.inf), f32(-np.inf)
    for component in range(dimension, width, dimensions):
        low = min(low, get_f32(window(forest), component))
        high = max(high, get_f32(window(forest), component))
        for number in range(get_i64(forest, TREES)):
            tree = tree_at(forest, number)
            if get_i64(header_of(forest, tree, tag), COUNT) > 0:
                smallest, biggest = extent(forest, tree, component, tag)
                low, high = min(low, smallest), max(high, biggest)
    by = f32(0.0)
    if low == high:
        by = low
        set_f64(offsets(forest), dimension, newest)
    elif _RARELY * get_i64(rounded(forest), dimension) <= get_i64(forest, EPOCH_LENGTH):
        if low > 0.0 and high <= 2.0 * low and high < LIMIT:  # then code - low is exact (Sterbenz)
            by = low
        if high < 0.0 and low >= 2.0 * high and low > -LIMIT:
            by = high
        if by != 0.0:
            set_f64(offsets(forest), dimension, decode(forest, by, dimension))
    set_i64(rounded(forest), dimension, 0)
    if by != 0.0:
        for component in range(dimension, width, dimensions):
            set_f32(window(forest), component, get_f32(window(forest), component) - by)
            for number in range(get_i64(forest, TREES)):
                translate(forest, tree_at(forest, number), component, by, tag)
    return low == high


@kernel
def chunk_limit(forest: int, rest: int) -> int:
    """How many of the next ``rest`` readings can go through the trees together."""
    return min(rest, CHUNK, get_i64(forest, EPOCH) + get_i64(forest, EPOCH_LENGTH) - get_i64(forest, LEARNT))


@inline
def room(forest: int, readings: int) -> int:
    """Floats that ``begin`` needs for as many readings: the points, and behind them the codes."""
    return readings * get_i64(forest, PADDED) + get_i64(forest, WIDTH) + readings * get_i64(forest, DIMENSIONS)


@kernel
def begin(forest: int, values: int, start: int, stop: int, memory: int) -> tuple[int, int]:
    """Encode readings; returns (address, stride in bytes) of their points, one a reading, in ``memory``."""
    padded, dimensions, n = get_i64(forest, PADDED), get_i64(forest, DIMENSIONS), stop - start
    consecutive = memory + 4 * n * padded
    encode(forest, values, start, stop, consecutive)
    if padded == get_i64(forest, WIDTH):
        return consecutive, 4 * dimensions
    spread(forest, consecutive, n, memory)
    return memory, 4 * padded


@inline
def first_of(forest: int, slot: int) -> int:
    """How many of the readings to come are before number ``slot`` of the stream."""
    return max(slot - get_i64(forest, SEEN), 0)


@kernel
def finish(forest: int, readings: int, time: int, newest: int, tag: int) -> None:
    """Note that ``readings`` went through, the last of them ``newest``, and which time it is; an epoch may end here."""
    set_i64(forest, SEEN, get_i64(forest, SEEN) + readings)
    set_i64(forest, LEARNT, time)
    if time - get_i64(forest, EPOCH) == get_i64(forest, EPOCH_LENGTH):
        start_epoch(forest, newest, tag)


# A chunk of a batch, i64 [CHUNK_SLOTS]: readings, address and stride of their points, the first that is a whole point,
# the first that is scored, the time of the first, address of the newest reading
READINGS, POINTS, STRIDE, START, FIRST, TIME, NEWEST = range(7)
CHUNK_SLOTS = 7


@kernel
def begin_chunk(forest: int, values: int, done: int, n: int, scored: bool, memory: int, chunk: int) -> int:
    """Encode those of readings done ... n - 1 that can go through the trees together; returns how many."""
    m = chunk_limit(forest, n - done)
    points, stride = begin(forest, values, done, done + m, memory)
    start = min(first_of(forest, get_i64(forest, SHINGLE) - 1), m)
    set_i64(chunk, READINGS, m)
    set_i64(chunk, POINTS, points)
    set_i64(chunk, STRIDE, stride)
    set_i64(chunk, START, start)
    set_i64(chunk, FIRST, first_of(forest, get_i64(forest, FIRST_SCORE)) if scored else m)
    set_i64(chunk, TIME, get_i64(forest, LEARNT))
    set_i64(chunk, NEWEST, values + 8 * get_i64(forest, DIMENSIONS) * (done + m - 1))
    return m


@kernel
def process_chunk(forest: int, first_tree: int, last_tree: int, chunk: int, sums: int, scratch: int, tag: int) -> None:
    """Take a chunk through some trees; adds to ``sums``. Other trees may be passed at the same time."""
    start, time = get_i64(chunk, START), get_i64(chunk, TIME)
    points, stride, first = get_i64(chunk, POINTS), get_i64(chunk, STRIDE), get_i64(chunk, FIRST)
    m = get_i64(chunk, READINGS)
    pass_trees(forest, first_tree, last_tree, points, stride, start, m, first, time - start, sums, scratch, tag)


@kernel
def end_chunk(forest: int, chunk: int, time: int, scored: bool, sums: int, out: int, tag: int) -> None:
    """Write the scores of a chunk to ``out``, f64 [readings], and move on."""
    m, trees = get_i64(chunk, READINGS), get_i64(forest, TREES)
    if scored:
        for i in range(m):
            set_f64(out, i, get_i64(sums, i) / (SCORE_UNIT * trees))
    finish(forest, m, time, get_i64(chunk, NEWEST), tag)


@kernel
def process(forest: int, values: int, n: int, scored: bool, out: int, tag: int) -> None:
    """Take n readings at ``values`` in; write their scores, unless they are not ``scored``, to ``out``, f64 [n]."""
    trees, most = get_i64(forest, TREES), min(n, CHUNK)
    memory = np.empty(room(forest, most), np.float32)
    work = np.empty(CHUNK_SLOTS + most + SCRATCH, np.int64)
    chunk = work.ctypes.data
    sums = chunk + 8 * CHUNK_SLOTS
    scratch = sums + 8 * most
    done = 0
    while done < n:
        m = begin_chunk(forest, values, done, n, scored, memory.ctypes.data, chunk)
        for i in range(m):
            set_i64(sums, i, 0)
        start = get_i64(chunk, START)
        if scored and get_f64(forest, GATE) > 0.0:
            points, stride, first = get_i64(chunk, POINTS), get_i64(chunk, STRIDE), get_i64(chunk, FIRST)
            time = pass_gate(forest, points, stride, start, m, first, sums, scratch, tag)
        else:
            process_chunk(forest, 0, trees, chunk, sums, scratch, tag)
            time = get_i64(chunk, TIME) + m - start
        end_chunk(forest, chunk, time, scored, sums, out + 8 * done, tag)
        done += m
    work[0] = 0  # numba frees it after its last use, and takes no address for one
