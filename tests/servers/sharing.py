"""Servers that all processes of a test run share.

The process that begins a run makes a folder with a pipe in it, and names the folder in the environment of its workers.
Whichever of them first needs a server starts it, under a lock, with the pipe as its standard input, and notes the
address in the folder. Only the first process holds the pipe's other end: when that process ends, however it ends, each
server reads the end of its input and ends, too.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

VARIABLE = "CUTWATER_TEST_RUN"


def begin() -> Path:
    """The run's folder; the first process to ask makes it and removes it at its end."""
    if VARIABLE in os.environ:
        return Path(os.environ[VARIABLE])
    folder = Path(tempfile.mkdtemp(prefix="cutwater-tests-"))
    os.mkfifo(folder / "life")
    end = os.open(folder / "life", os.O_RDWR)  # so that readers find a writer
    os.environ[VARIABLE] = str(folder)
    atexit.register(_finish, folder, end)
    return folder


def _finish(folder: Path, end: int) -> None:
    os.close(end)
    for command in _commands(folder):
        subprocess.run(command, capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def once(name: str, start: Callable[[int], str]) -> str:
    """The address of the server of this name, which is started if none of this run is there.

    Args:
        name: what the run's processes know it by.
        start: starts it and returns its address; is given the descriptor to use as the server's standard input.
    """
    folder = begin()
    note = folder / f"{name}.address"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not note.exists():
            life = os.open(folder / "life", os.O_RDONLY)
            try:
                address = start(life)
            finally:
                os.close(life)
            note.write_text(address)
        return note.read_text()


def at_end(*command: str) -> None:
    """Let the process that began the run execute a command when it ends: for what does not read its input."""
    with (begin() / "at-end").open("a") as lines:
        lines.write(json.dumps(command) + "\n")


def _commands(folder: Path) -> list[list[str]]:
    path = folder / "at-end"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
