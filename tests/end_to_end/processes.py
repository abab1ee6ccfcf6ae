"""The command ``cutwater`` as real processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

TIMEOUT = 120.0


class Cutwater:
    """One running command; its output is kept. Leaving the context kills it."""

    def __init__(
        self,
        *arguments: str,
        folder: Path,
        environment: dict[str, str] | None = None,
        module: Sequence[str] = ("service.cli",),
        interpreter: Path = Path(sys.executable),
        pythonpath: Path | None = Path(__file__).parents[2],
    ) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("CUTWATER_", "AWS_"))}
        path = {} if pythonpath is None else {"PYTHONPATH": str(pythonpath)}
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [str(interpreter), "-m", *module, *arguments],
            cwd=folder,
            env=clean | path | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Cutwater:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(self.process.stdout)

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def find(self, pattern: str) -> str:
        """The first group of a pattern, once the output has it."""

        def found() -> str | None:
            match = re.search(pattern, self.output)
            return match.group(1) if match else None

        return self.wait_for(found, f"{pattern} in its output")

    def wait_for(self, look: Callable[[], Any], what: str) -> Any:
        """What ``look`` returns, once that is something."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            if result := look():
                return result
            if self.process.poll() is not None:
                self._reader.join(5)
                if result := look():
                    return result
                break
            time.sleep(0.05)
        raise AssertionError(f"no {what}; exit code {self.process.poll()}; output:\n{self.output}")

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


class Service(Cutwater):
    """``cutwater run``."""

    def __init__(
        self, endpoint_url: str, *arguments: str, folder: Path, environment: dict[str, str] | None = None
    ) -> None:
        own = ("run", "--endpoint-url", endpoint_url, "--port", "0", "--poll-seconds", "0.2")
        super().__init__(*own, *arguments, folder=folder, environment=environment)
        self.address = self.find(r"page and API at (http://\S+)")

    def get(self, path: str) -> Any:
        return httpx.get(self.address + path, timeout=30).json()

    def text(self, path: str) -> str:
        return httpx.get(self.address + path, timeout=30).text

    def wait_for_readings(self, count: int) -> dict[str, int]:
        """Counts, once so many readings are scored and delivered."""

        def all_there() -> dict[str, int] | None:
            status = self.get("/status")
            busy = any(shard["in_flight_bytes"] for shard in status["shards"])
            readings: dict[str, int] = status["readings"]
            return readings if readings["received"] >= count and not busy else None

        return self.wait_for(all_there, f"{count} readings")  # type: ignore[no-any-return]


def run(*arguments: str, folder: Path, environment: dict[str, str] | None = None) -> Sequence[Any]:
    """(exit code, output) of a command that ends by itself."""
    with Cutwater(*arguments, folder=folder, environment=environment) as command:
        code = command.process.wait(TIMEOUT)
        command._reader.join(5)
        return code, command.output
