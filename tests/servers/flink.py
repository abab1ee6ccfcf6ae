"""A Flink cluster on this machine: the distribution within the wheel, a JobManager and TaskManagers as processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

STARTED_WITHIN = 120.0  # seconds


class Cluster:
    """One JobManager, and TaskManagers of one slot each.

    Args:
        python: that has apache-flink.
        folder: for configuration and logs.
        options: of Flink's own.
    """

    def __init__(self, python: Path, folder: Path, options: dict[str, str] | None = None) -> None:
        found = subprocess.run(
            [str(python), "-c", "import pyflink; print(pyflink.__path__[0])"],
            capture_output=True,
            text=True,
            check=True,
        )
        self.home, self.folder = Path(found.stdout.strip()), folder
        self.port = _free_port()
        (folder / "conf").mkdir(parents=True)
        for file in (self.home / "conf").iterdir():
            (folder / "conf" / file.name).write_bytes(file.read_bytes())
        known = _flat(yaml.safe_load((self.home / "conf" / "config.yaml").read_text()))
        known |= {
            "rest.bind-address": "localhost",
            "rest.port": self.port,
            "rest.bind-port": str(self.port),
            "jobmanager.rpc.port": _free_port(),
            "heartbeat.interval": "1s",
            "heartbeat.timeout": "5s",
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": 99,
            "restart-strategy.fixed-delay.delay": "1s",
            "python.executable": str(python),
            "python.client.executable": str(python),
            **(options or {}),
        }
        (folder / "conf" / "config.yaml").write_text("".join(f"{key}: {json.dumps(known[key])}\n" for key in known))
        self._environment = os.environ | {
            "FLINK_HOME": str(self.home),
            "FLINK_CONF_DIR": str(folder / "conf"),
            "FLINK_LOG_DIR": str(folder / "log"),
            "PATH": f"{python.parent}:{os.environ['PATH']}",
        }
        self._manager: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []
        self.slots = 0

    def start(self, workers: int) -> None:
        """Return when all are there."""
        self._manager = self._run("jobmanager.sh", "start-foreground")
        self.scale(workers)

    def scale(self, workers: int) -> None:
        """Have so many TaskManagers from now on, also in the place of those that were killed."""
        self.slots = workers
        self._workers = [each for each in self._workers if each.poll() is None]
        while len(self._workers) > workers:
            _kill(self._workers.pop())
        while len(self._workers) < workers:
            self._workers.append(self._run("taskmanager.sh", "start-foreground"))
        until = time.monotonic() + STARTED_WITHIN
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                if self.ask("/overview")["slots-total"] >= workers:
                    return
            time.sleep(0.2)
        raise TimeoutError(f"the cluster has not started within {STARTED_WITHIN:g} s; {self.folder}/log says why")

    def kill_worker(self) -> None:
        """A TaskManager dies, with its Python workers."""
        _kill(self._workers[0])

    def python_workers(self) -> list[int]:
        """Their process ids."""
        import psutil

        groups = {each.pid for each in self._workers}
        found = []
        for process in psutil.process_iter(["pid", "cmdline"]):
            with contextlib.suppress(ProcessLookupError, psutil.Error):
                if "pyflink.fn_execution.beam" in " ".join(process.info["cmdline"] or ()) and (
                    os.getpgid(process.pid) in groups
                ):
                    found.append(process.pid)
        return found

    def submit(self, *arguments: str, savepoint: str = "") -> str:
        """Begin a job, by ``flink run``; its id."""
        start = ["-s", savepoint] if savepoint else []
        done = subprocess.run(
            [str(self.home / "bin" / "flink"), "run", "-d", *start, *arguments],
            env=self._environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        match = re.search(r"JobID ([0-9a-f]{32})", done.stdout)
        if not match:
            raise RuntimeError(f"flink run: {done.stdout[-2000:]} {done.stderr[-3000:]}")
        return match[1]

    def state(self, job: str) -> str:
        """As Flink calls it: RUNNING, FINISHED, …"""
        return str(self.ask(f"/jobs/{job}")["state"])

    def stop(self, job: str, target: Path) -> str:
        """End a job with a savepoint, and say where that lies."""
        asked = self.ask(f"/jobs/{job}/stop", {"targetDirectory": target.as_uri(), "drain": False})["request-id"]
        until = time.monotonic() + STARTED_WITHIN
        while time.monotonic() < until:
            answer = self.ask(f"/jobs/{job}/savepoints/{asked}")
            if answer["status"]["id"] == "COMPLETED":
                return str(answer["operation"]["location"])
            time.sleep(0.2)
        raise TimeoutError(f"no savepoint within {STARTED_WITHIN:g} s")

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """What the REST API answers. Raises OSError."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://localhost:{self.port}{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def close(self) -> None:
        """End all processes."""
        for process in (*self._workers, *([self._manager] if self._manager else ())):
            _kill(process)

    def _run(self, script: str, *arguments: str) -> subprocess.Popen[bytes]:
        (self.folder / "log").mkdir(exist_ok=True)
        with (self.folder / "log" / "out").open("ab") as out:
            return subprocess.Popen(
                [str(self.home / "bin" / script), *arguments],
                env=self._environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )


@contextlib.contextmanager
def cluster(python: Path, folder: Path, workers: int, options: dict[str, str] | None = None) -> Iterator[Cluster]:
    """A cluster until the end."""
    found = Cluster(python, folder, options)
    try:
        found.start(workers)
        yield found
    finally:
        found.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """With all that it has started: its Python workers would live on."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _flat(tree: dict[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
    return found


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
