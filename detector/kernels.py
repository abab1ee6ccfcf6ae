"""The compiled entry points of a forest: each one call from Python, whatever it does inside.

The element type of the buffer says which trees a forest has, so that one function serves all kinds and is compiled for
those that are used: uint8 and uint16 are sorted trees with depths of that type, float32 are trees of boxes.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc,call-arg,arg-type,unreachable,var-annotated"
# ruff: noqa: ANN001

from __future__ import annotations

from detector import stream
from detector.compiled import entry


@entry
def process(buffer, values, scored, out):
    """``stream.process``."""
    stream.process(buffer.ctypes.data, values.ctypes.data, len(values), scored, out.ctypes.data, buffer[0])


@entry
def score(buffer, values, out):
    """``stream.ask_score``."""
    stream.ask_score(buffer.ctypes.data, values.ctypes.data, len(values), out.ctypes.data, buffer[0])


@entry
def attribution(buffer, values, out):
    """``stream.ask_attribution``."""
    stream.ask_attribution(buffer.ctypes.data, values.ctypes.data, len(values), out.ctypes.data, buffer[0])


@entry
def codisp(buffer, values, out):
    """``stream.ask_codisp``."""
    stream.ask_codisp(buffer.ctypes.data, values.ctypes.data, len(values), out.ctypes.data, buffer[0])


@entry
def recall(buffer, values, missing, out):
    """``stream.ask_recall``."""
    forest = buffer.ctypes.data
    stream.ask_recall(forest, values.ctypes.data, missing.ctypes.data, len(values), out.ctypes.data, buffer[0])
