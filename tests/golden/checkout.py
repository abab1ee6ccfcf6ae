"""Lets a checkout of the project read a stream, by its commands only, and gives the documents it writes."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.golden.inputs import Case

HERE = Path(__file__).parents[2]
STREAM = "Golden"
DEADLINE = 300.0
_PUT = 250  # records in a request


def documents(case: Case, code: Path = HERE) -> list[dict[str, Any]]:
    """What the checkout in the folder ``code`` writes of a stream, in the order of the stream."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _command(code, folder, "stream", "--port", "0", "--create", STREAM) as stream:
            endpoint = stream.find(r"Kinesis API at (http://\S+)")
            _put(endpoint, case)
            given = [part for setting, value in case.settings.items() for part in (f"--{setting}", value)]
            # Silence is judged by other sensors' times: a thing of its own, with tests of its own.
            usual = ("--index", "all", "--silent-after", "0", "--checkpoint-seconds", "1", "--port", "0")
            run = ("run", "--stream", STREAM, "--endpoint-url", endpoint, *usual, *given)
            with _command(code, folder, *run) as service:
                address = service.find(r"page and API at (http://\S+)")
                _wait(address, case.readings)
                service.process.send_signal(signal.SIGTERM)
                assert service.process.wait(60) == 0, service.output
        with _command(code, folder, "export", "--output", "documents.ndjson") as export:
            assert export.process.wait(DEADLINE) == 0, export.output
        lines = (folder / "documents.ndjson").read_text().splitlines()
    return sorted(map(json.loads, lines), key=_position)


def _position(document: dict[str, Any]) -> tuple[int, int, int]:
    return int(document["sequence_number"]), document["sub_sequence_number"], document["record_ordinal"]


def _put(endpoint: str, case: Case) -> None:
    batch: list[dict[str, str]] = []
    for key, data in case.records():
        batch.append({"PartitionKey": key, "Data": base64.b64encode(data).decode()})
        if len(batch) == _PUT:
            _put_records(endpoint, batch)
            batch = []
    if batch:
        _put_records(endpoint, batch)


def _put_records(endpoint: str, records: Sequence[dict[str, str]]) -> None:
    """PutRecords, again and again for those that the shard has no room for yet, in their order."""
    waiting = list(records)
    while waiting:
        request = urllib.request.Request(
            endpoint,
            json.dumps({"StreamName": STREAM, "Records": waiting}).encode(),
            {"X-Amz-Target": "Kinesis_20131202.PutRecords", "Content-Type": "application/x-amz-json-1.1"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            results = json.load(answer)["Records"]
        waiting = [record for record, result in zip(waiting, results, strict=True) if "ErrorCode" in result]
        if waiting:
            time.sleep(0.2)


def _wait(address: str, readings: int) -> None:
    """Until so many readings are scored and written."""
    until = time.monotonic() + DEADLINE
    while True:
        with urllib.request.urlopen(f"{address}/status", timeout=60) as answer:
            status = json.load(answer)
        busy = any(shard["in_flight_bytes"] for shard in status["shards"])
        if status["readings"]["received"] >= readings and not busy:
            return
        assert time.monotonic() < until, status
        time.sleep(0.1)


class _Command:
    """A command of a checkout; its output is kept."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.output = ""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line

    def find(self, pattern: str) -> str:
        """The first group of a pattern, once the output has it."""
        until = time.monotonic() + DEADLINE
        while (match := re.search(pattern, self.output)) is None:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < until, self.output
            time.sleep(0.02)
        return match[1]


@contextmanager
def _command(code: Path, folder: Path, *arguments: str) -> Iterator[_Command]:
    """``cutwater ARGUMENTS`` of that checkout, working in the folder; killed at the end if it still runs."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CUTWATER_", "AWS_"))}
    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "eu-west-1"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "service.cli", *arguments],
        cwd=folder,
        env={**clean, **keys, "PYTHONPATH": str(code)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield _Command(process)
    finally:
        process.kill()
        process.wait()
