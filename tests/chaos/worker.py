"""Workers as processes: ``cutwater run``, which may kill itself at a moment that cannot be hit from outside.

A worker is forked from a process that has imported everything, which saves the seconds that imports take; apart from
that it is what the command starts. The program itself knows nothing of moments: its methods are wrapped here.
"""

from __future__ import annotations

import inspect
import os
import re
import signal
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import service.cli.run  # noqa: F401 - what a worker imports when it starts
from detector.detector import Configuration
from detector.fleet import Fleet
from detector.types import Readings
from service.cli import main
from service.sinks.index.opensearch import OpenSearchIndex
from service.sinks.index.sqlite import SQLiteIndex
from service.state.leases import LeaseManager
from tests.chaos.tied import end_with_parent


class _Fuse:
    """Burns down by one at each touch; then the process is dead."""

    def __init__(self, length: int) -> None:
        self._left = length

    def touch(self) -> None:
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _within_documents(fuse: _Fuse) -> None:
    """Some documents of a batch are written, others not (the embedded index)."""
    _at_statement(r"INTO document\b", fuse)


def _acknowledged(fuse: _Fuse) -> None:
    """The index has said that it has the documents; nobody in the process knows yet."""
    for index in (SQLiteIndex, OpenSearchIndex):
        _wrap(index, "write", after=lambda **_: fuse.touch())


def _within_snapshot(fuse: _Fuse) -> None:
    """Some pieces of a snapshot are written, others not."""
    _at_statement(r"INTO snapshot\b", fuse)


def _before_lease(fuse: _Fuse) -> None:
    """A snapshot is written, and no lease names it yet."""
    _wrap(LeaseManager, "checkpoint", before=lambda **_: fuse.touch())


def _committed(fuse: _Fuse) -> None:
    """A lease names a snapshot, and what it replaces is not collected yet."""
    _wrap(LeaseManager, "checkpoint", after=lambda **_: fuse.touch())


def _before_end(fuse: _Fuse) -> None:
    """A closed shard is read to its end, and its lease does not say so yet."""
    _wrap(LeaseManager, "checkpoint", before=lambda ended=False, **_: ended and fuse.touch())


def _ended(fuse: _Fuse) -> None:
    """A shard's lease says that it is at its end, and its children are not begun."""
    _wrap(LeaseManager, "checkpoint", after=lambda ended=False, **_: ended and fuse.touch())


def _taken(fuse: _Fuse) -> None:
    """A lease is taken, and its models are not restored yet."""
    _wrap(LeaseManager, "take", after=lambda **_: fuse.touch())


MOMENTS: dict[str, Callable[[_Fuse], None]] = {
    "documents": _within_documents,
    "acknowledged": _acknowledged,
    "snapshot": _within_snapshot,
    "lease": _before_lease,
    "committed": _committed,
    "taken": _taken,
}
RESHARDING: dict[str, Callable[[_Fuse], None]] = {"end": _before_end, "ended": _ended}


def _nothing(**_: Any) -> None:
    pass


def _wrap(owner: Any, name: str, before: Callable[..., Any] = _nothing, after: Callable[..., Any] = _nothing) -> None:
    """Do something before and after each call of an asynchronous method, with its arguments by name."""
    method = getattr(owner, name)
    signature = inspect.signature(method)

    async def wrapped(*arguments: Any, **named: Any) -> Any:
        given = signature.bind(*arguments, **named).arguments
        before(**given)
        result = await method(*arguments, **named)
        after(**given)
        return result

    setattr(owner, name, wrapped)


def _at_statement(pattern: str, fuse: _Fuse) -> None:
    """Touch the fuse at each SQL statement that matches, before it runs."""
    connect, wanted = sqlite3.connect, re.compile(pattern)

    def traced(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **named)
        connection.set_trace_callback(lambda statement: fuse.touch() if wanted.search(statement[:200]) else None)
        return connection

    sqlite3.connect = traced  # type: ignore[assignment]


def run(arguments: Sequence[str], folder: Path, log: Path, moment: str | None, number: int) -> NoReturn:
    """In a process of its own: run a command, and be killed at the ``number``-th time that it comes to the moment."""
    end_with_parent()
    os.chdir(folder)
    with log.open("wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if moment:
        (MOMENTS | RESHARDING)[moment](_Fuse(number))
    sys.exit(main(arguments))


def warm_up() -> None:
    """Load the compiled detector before the first worker is forked."""
    readings = Readings(
        codes=np.zeros(2, np.int64), sensors=("a",), times=np.arange(2, dtype=np.int64), values=np.ones((2, 1))
    )
    Fleet(Configuration()).process(readings)
