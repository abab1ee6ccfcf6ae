"""Emulators of Kinesis from npm, as real processes.

A server comes from the environment's URL for it, or from npm: installed once into ``$CUTWATER_TEST_CACHE``, by default
``~/.cache/cutwater-tests``, and started on a free port of 127.0.0.1. It ends with the process that started it.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.servers import cache, sharing, unavailable

_LOOPBACK = Path(__file__).parent / "node" / "loopback.cjs"


@dataclass(frozen=True)
class Emulator:
    """An emulator to start.

    Attributes:
        package: npm's name of it.
        variable: the environment's name for the URL of one that runs already.
        main: the script that starts it, in the package.
        port: where it would listen for plain HTTP by default.
        arguments: of the script.
        environment: of the script. Streams change within milliseconds.
    """

    package: str
    version: str
    variable: str
    main: str
    port: int
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


KINESALITE = Emulator(
    package="kinesalite",
    version="3.3.3",
    variable="CUTWATER_TEST_KINESALITE_URL",
    main="cli.js",
    port=4567,
    arguments=("--shardLimit=500", *(f"--{action}StreamMs=10" for action in ("create", "delete", "update"))),
)
KINESIS_LOCAL = Emulator(
    package="kinesis-local",
    version="0.6.2",
    variable="CUTWATER_TEST_KINESIS_LOCAL_URL",
    main="main.js",
    port=4568,
    environment=(
        *((f"{action}_DURATION", "10ms") for action in ("CREATE_STREAM", "DELETE_STREAM", "UPDATE_SHARD_COUNT")),
        *((f"{action}_DURATION", "10ms") for action in ("MERGE_SHARDS", "SPLIT_SHARD")),
        *((f"{action}_STREAM_CONSUMER_DURATION", "10ms") for action in ("REGISTER", "DEREGISTER")),
        ("SHARD_LIMIT", "500"),
    ),
)


@functools.cache
def shared(emulator: Emulator) -> str:
    """URL of the one server of this kind that all tests share; they keep apart by stream name.

    Skips the test if none can be had.
    """
    running = os.environ.get(emulator.variable, "").rstrip("/")
    return running or sharing.once(emulator.package, lambda life: start(emulator, life)[0])


def start(emulator: Emulator, life: int = subprocess.PIPE) -> tuple[str, subprocess.Popen[bytes]]:
    """URL and process of a new server; whoever wants it gone before this process ends kills it.

    ``life``: see ``sharing``; such a server outlives the process that starts it.

    Skips the test if Node.js or npm is missing.
    """
    node = shutil.which("node")
    if node is None:
        unavailable(f"{emulator.package} needs Node.js, or {emulator.variable}")
    folder = _install(emulator)
    if isinstance(folder, str):
        unavailable(folder)
    ports, port_end = os.pipe()
    with tempfile.TemporaryFile() as log, os.fdopen(ports) as lines:
        process = subprocess.Popen(
            [node, "--require", str(_LOOPBACK), emulator.main, *emulator.arguments],
            stdin=life,  # never written to; when it ends, so does the process
            stdout=log,
            stderr=log,
            cwd=folder,
            env=os.environ | dict(emulator.environment) | {"PORT_FD": str(port_end), "REPORT": str(emulator.port)},
            pass_fds=(port_end,),
            start_new_session=True,  # a Ctrl-C at the tests is ours to handle
        )
        os.close(port_end)
        port = lines.readline()
        if not port:
            log.seek(0)
            text = log.read().decode(errors="replace")
            raise RuntimeError(f"{emulator.package} ended while starting:\n{text[-4000:]}")
    _running.append(process)
    return f"http://127.0.0.1:{int(port)}", process


@functools.cache
def _install(emulator: Emulator) -> Path | str:
    """The package's folder, with all it needs beside it; or the reason why it cannot be had, for all tests at once."""
    folder = cache() / f"{emulator.package}-{emulator.version}"
    done = folder / "installed"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run may be at it
        if not done.exists():
            npm = shutil.which("npm")
            if npm is None:
                return f"{emulator.package} needs npm, or {emulator.variable}"
            command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts"]
            package = f"{emulator.package}@{emulator.version}"
            try:
                subprocess.run([*command, package], capture_output=True, text=True, check=True, timeout=300)
            except subprocess.CalledProcessError as error:
                lines = [line for line in error.stderr.splitlines() if line.startswith("npm error")]
                return f"npm cannot install {package}: {'; '.join(lines[:3])}"
            except subprocess.TimeoutExpired:
                return f"npm did not install {package} within 300 s"
            done.touch()
    return folder / "node_modules" / emulator.package


_running: list[subprocess.Popen[bytes]] = []  # a process object that is collected closes the pipe
