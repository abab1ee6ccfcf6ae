"""The compiled entry points of a forest: each one call from Python, whatever it does inside.

The element type of the buffer says which trees a forest has, so that one function serves all kinds and is compiled for
those that are used (``detector.forest.tree_dispatch``). Nothing is compiled but by ``warm_up``, and so nothing in the
middle of a batch_driver. They release the global interpreter lock.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
from numba import types
from numpy.typing import NDArray

from detector.forest import batch_driver, queries
from detector.forest.batch_driver import CHUNK, CHUNK_SLOTS, READINGS, SCRATCH, START, TIME
from detector.forest.layout import TREES
from detector.forest.llvm_intrinsics import get_i64
from detector.forest.quantize import usable
from detector.jit import jit_entry

__all__ = ["CHUNK", "CHUNK_SLOTS", "READINGS", "SCRATCH"]

_READINGS = types.float64[:, ::1]
_RESULT = types.float64[::1]
_WORK = types.int64[::1]


@jit_entry
def process(buffer: NDArray[Any], values: NDArray[Any], scored: bool, out: NDArray[Any]) -> bool:
    """``batch_driver.process``, unless it returns False because values [n, d] are not finite or d is another."""
    forest, readings = buffer.ctypes.data, values.ctypes.data
    if not usable(forest, readings, values.shape[0], values.shape[1]):
        return False
    batch_driver.process(forest, readings, values.shape[0], scored, out.ctypes.data, buffer[0])
    return True


# The same in steps, of which the middle one may run in several threads, each with trees and ``work`` of its own


@jit_entry
def begin_chunk(
    buffer: NDArray[Any], values: NDArray[Any], done: int, scored: bool, memory: NDArray[Any], chunk: NDArray[Any]
) -> int:
    """``batch_driver.begin_chunk`` with room for CHUNK readings in ``memory``; -1 if ``process`` would return False."""
    forest, readings = buffer.ctypes.data, values.ctypes.data
    n = values.shape[0]
    if done == 0 and not usable(forest, readings, n, values.shape[1]):
        return -1
    return batch_driver.begin_chunk(forest, readings, done, n, scored, memory.ctypes.data, chunk.ctypes.data)


@jit_entry
def process_chunk(buffer: NDArray[Any], part: int, parts: int, chunk: NDArray[Any], work: NDArray[Any]) -> None:
    """``batch_driver.process_chunk`` with one of ``parts`` of the trees; leaves sums in ``work``, [CHUNK + SCRATCH]."""
    forest, sums = buffer.ctypes.data, work.ctypes.data
    trees = get_i64(forest, TREES)
    work[:CHUNK] = 0
    first, last = trees * part // parts, trees * (part + 1) // parts
    batch_driver.process_chunk(forest, first, last, chunk.ctypes.data, sums, sums + 8 * CHUNK, buffer[0])
    work[CHUNK] = 0  # so that it is not freed before


@jit_entry
def end_chunk(
    buffer: NDArray[Any], chunk: NDArray[Any], scored: bool, sums: NDArray[Any], out: NDArray[Any], done: int
) -> None:
    """``batch_driver.end_chunk``, where there is no gate."""
    time = chunk[TIME] + chunk[READINGS] - chunk[START]
    place = out.ctypes.data + 8 * done
    batch_driver.end_chunk(buffer.ctypes.data, chunk.ctypes.data, time, scored, sums.ctypes.data, place, buffer[0])


@jit_entry
def score(buffer: NDArray[Any], values: NDArray[Any], out: NDArray[Any]) -> bool:
    """``queries.query_score``, unless it returns False as ``process`` does."""
    forest, readings = buffer.ctypes.data, values.ctypes.data
    if not usable(forest, readings, values.shape[0], values.shape[1]):
        return False
    queries.query_score(forest, readings, values.shape[0], out.ctypes.data, buffer[0])
    return True


@jit_entry
def attribution(buffer: NDArray[Any], values: NDArray[Any], out: NDArray[Any]) -> None:
    """``queries.query_attribution``."""
    queries.query_attribution(buffer.ctypes.data, values.ctypes.data, len(values), out.ctypes.data, buffer[0])


@jit_entry
def codisp(buffer: NDArray[Any], values: NDArray[Any], out: NDArray[Any]) -> None:
    """``queries.query_codisp``."""
    queries.query_codisp(buffer.ctypes.data, values.ctypes.data, len(values), out.ctypes.data, buffer[0])


@jit_entry
def impute(buffer: NDArray[Any], values: NDArray[Any], missing: NDArray[Any], out: NDArray[Any]) -> None:
    """``queries.query_impute``."""
    forest = buffer.ctypes.data
    queries.query_impute(forest, values.ctypes.data, missing.ctypes.data, len(values), out.ctypes.data, buffer[0])


_ARGUMENTS: tuple[tuple[Any, tuple[Any, ...]], ...] = (
    (process, (_READINGS, types.boolean, _RESULT)),
    (score, (_READINGS, _RESULT)),
    (attribution, (_READINGS, types.float64[:, :, ::1])),
    (codisp, (_READINGS, _RESULT)),
    (impute, (_READINGS, types.float32[:, ::1], types.float64[:, :, ::1])),
)
_STEPS: tuple[tuple[Any, tuple[Any, ...]], ...] = (
    (begin_chunk, (_READINGS, types.int64, types.boolean, types.float32[::1], _WORK)),
    (process_chunk, (types.int64, types.int64, _WORK, _WORK)),
    (end_chunk, (_WORK, types.boolean, _WORK, _RESULT, types.int64)),
)


@cache
def warm_up(kind: Any, threads: bool) -> None:
    """Compile the entry points for buffers of a dtype, or read them from the cache; those for threads if needed."""
    buffer = types.Array(numba.from_dtype(kind), 1, "C")
    for kernel, arguments in (*_ARGUMENTS, *(_STEPS if threads else ())):
        kernel.compile((buffer, *arguments))
