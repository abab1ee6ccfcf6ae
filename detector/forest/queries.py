"""What would be said of readings if each were the next one; nothing is learnt."""

# mypy: no-warn-return-any

from __future__ import annotations

import numpy as np

from detector.forest.batch_driver import _FEW, CHUNK, SCORE_UNIT, SCRATCH, tree_at
from detector.forest.layout import (
    DIMENSIONS,
    FIRST_SCORE,
    LEARNT,
    PADDED,
    SEEN,
    SLOTS,
    TREES,
    WIDTH,
)
from detector.forest.llvm_intrinsics import f32, get_f64, get_i64, inline, kernel, set_f32, set_f64
from detector.forest.quantize import decode, encode_query
from detector.forest.sampler import SCALE
from detector.forest.tree_dispatch import (
    attribute,
    codisp,
    header_of,
    impute,
    score_across,
    score_run,
)


@inline
def ready(forest: int) -> bool:
    """Whether readings are scored by now."""
    return get_i64(forest, SEEN) >= get_i64(forest, FIRST_SCORE)


@inline
def workspace(forest: int) -> int:
    """Bytes that a tree's slower kernels need."""
    return 8 * get_i64(forest, SLOTS) + 32 * get_i64(forest, PADDED) + 8 * SCRATCH


@kernel
def query_score(forest: int, values: int, n: int, out: int, tag: int) -> None:
    """Write the score of each of n readings at ``values`` to ``out``, f64 [n]."""
    trees, stride = get_i64(forest, TREES), 4 * get_i64(forest, PADDED)
    most = min(n, CHUNK)
    points = np.empty(most * get_i64(forest, PADDED), np.float32)
    sums = np.empty(most + SCRATCH, np.int64)
    at, start = points.ctypes.data, sums.ctypes.data
    scratch = start + 8 * most
    done = 0
    while done < n:
        m = min(n - done, most)
        sums[:m] = 0
        if ready(forest):
            for i in range(m):
                encode_query(forest, values, done + i, at + stride * i)
            if m < _FEW:
                for i in range(m):
                    point = at + stride * i
                    sums[i] = score_across(forest, 0, trees, point, SCORE_UNIT, False, 0, scratch, tag)
            else:
                for number in range(trees):
                    score_run(forest, tree_at(forest, number), at, stride, 0, m, SCORE_UNIT, start, scratch, tag)
        for i in range(m):
            set_f64(out, done + i, sums[i] / (SCORE_UNIT * trees))
        done += m
    points[:1] = f32(0.0)  # numba frees it after its last use, and takes no address for one


@kernel
def query_attribution(forest: int, values: int, n: int, out: int, tag: int) -> None:
    """Write the attribution of each reading's score to ``out``, f64 [n][width][2], which is 0."""
    trees, parts = get_i64(forest, TREES), 2 * get_i64(forest, WIDTH)
    point = np.empty(get_i64(forest, PADDED), np.float32)
    memory = np.empty(workspace(forest), np.uint8)
    own = memory.ctypes.data
    scratch = own + 8 * parts
    for row in range(n):
        if ready(forest):
            encode_query(forest, values, row, point.ctypes.data)
            here = out + 8 * parts * row
            for number in range(trees):
                tree = tree_at(forest, number)
                attribute(forest, tree, point.ctypes.data, own, scratch, tag)
                scale = get_f64(header_of(forest, tree, tag), SCALE)
                for j in range(parts):
                    set_f64(here, j, get_f64(here, j) + scale * get_f64(own, j))
            for j in range(parts):
                set_f64(here, j, get_f64(here, j) / trees)
    memory[0] = 0  # so that it is not freed before


@kernel
def query_codisp(forest: int, values: int, n: int, out: int, tag: int) -> None:
    """Write the collusive displacement of each reading to ``out``, f64 [n], which is 0."""
    trees = get_i64(forest, TREES)
    point = np.empty(get_i64(forest, PADDED), np.float32)
    scratch = np.empty(workspace(forest), np.uint8)
    for row in range(n):
        if get_i64(forest, LEARNT) > 0:
            encode_query(forest, values, row, point.ctypes.data)
            total = 0.0
            for number in range(trees):
                total += codisp(forest, tree_at(forest, number), point.ctypes.data, scratch.ctypes.data, tag)
            set_f64(out, row, total / trees)


@kernel
def query_impute(forest: int, values: int, missing: int, n: int, out: int, tag: int) -> None:
    """Write what each tree offers in place of each reading to ``out``, f64 [n][trees][dimensions].

    missing: f32 [n][padded], see ``impute``. There must have been a score.
    """
    trees, padded = get_i64(forest, TREES), get_i64(forest, PADDED)
    dimensions, width = get_i64(forest, DIMENSIONS), get_i64(forest, WIDTH)
    point = np.empty(padded, np.float32)
    codes = np.empty(padded, np.float32)
    scratch = np.empty(workspace(forest), np.uint8)
    for row in range(n):
        encode_query(forest, values, row, point.ctypes.data)
        lost = missing + 4 * padded * row
        for number in range(trees):
            tree = tree_at(forest, number)
            impute(forest, tree, point.ctypes.data, lost, codes.ctypes.data, scratch.ctypes.data, tag)
            for j in range(dimensions):
                value = decode(forest, codes[width - dimensions + j], j)
                set_f64(out, (row * trees + number) * dimensions + j, value)
    set_f32(codes.ctypes.data, 0, point[0])
    scratch[0] = 0
