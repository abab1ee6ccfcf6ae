"""The compiled entry points of a forest: each one call from Python, whatever it does inside.

The element type of the buffer says which trees a forest has, so that one function serves all kinds and is compiled for
those that are used (``detector.kinds``).
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from detector import stream
from detector.codes import usable
from detector.compiled import entry


@entry
def process(buffer: NDArray[Any], values: NDArray[Any], scored: bool, out: NDArray[Any]) -> bool:
    """``stream.process``, unless it returns False because values [n, d] are not finite or d is another."""
    forest, readings = buffer.ctypes.data, values.ctypes.data
    if not usable(forest, readings, values.shape[0], values.shape[1]):
        return False
    stream.process(forest, readings, values.shape[0], scored, out.ctypes.data, buffer[0])
    return True


@entry
def score(buffer: NDArray[Any], values: NDArray[Any], out: NDArray[Any]) -> bool:
    """``stream.ask_score``, unless it returns False as ``process`` does."""
    forest, readings = buffer.ctypes.data, values.ctypes.data
    if not usable(forest, readings, values.shape[0], values.shape[1]):
        return False
    stream.ask_score(forest, readings, values.shape[0], out.ctypes.data, buffer[0])
    return True


@entry
def attribution(buffer: NDArray[Any], values: NDArray[Any], out: NDArray[Any]) -> None:
    """``stream.ask_attribution``."""
    stream.ask_attribution(buffer.ctypes.data, values.ctypes.data, len(values), out.ctypes.data, buffer[0])


@entry
def codisp(buffer: NDArray[Any], values: NDArray[Any], out: NDArray[Any]) -> None:
    """``stream.ask_codisp``."""
    stream.ask_codisp(buffer.ctypes.data, values.ctypes.data, len(values), out.ctypes.data, buffer[0])


@entry
def recall(buffer: NDArray[Any], values: NDArray[Any], missing: NDArray[Any], out: NDArray[Any]) -> None:
    """``stream.ask_recall``."""
    forest = buffer.ctypes.data
    stream.ask_recall(forest, values.ctypes.data, missing.ctypes.data, len(values), out.ctypes.data, buffer[0])
