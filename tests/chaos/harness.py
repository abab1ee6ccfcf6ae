"""A stream, somebody who writes to it, an index, and workers that can be killed: all of them processes."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import signal
import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import psutil

from service.sinks.index.prepare import OWNER
from tests.chaos.compare import Contents, Difference, compare, disorder, in_opensearch, in_sqlite, letters_in, query
from tests.chaos.worker import run
from tests.end_to_end.processes import Cutwater
from tests.servers import opensearch

STREAM = "chaos"
TIMEOUT = 240.0  # s, for a worker to come to where it is wanted, on a busy machine
CATCH_UP = 1_000.0  # readings a second, that an undisturbed worker takes even on a busy machine
SILENCE = 60.0  # s without a new document, after which no more is expected
ENOUGH = 5_000  # documents, before there is something to compare
SETTINGS = ("--samples", "32", "--profile", "small", "--index", "all", "--checkpoint-seconds", "0.5")


_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.chaos.prefork_server"])


class Worker:
    """``cutwater run``, to be killed from outside, or by itself at its ``number``-th ``moment``."""

    def __init__(self, *arguments: str, folder: Path, moment: str | None = None, number: int = 1) -> None:
        self.moment = moment
        self._log = folder / f"worker-{uuid.uuid4().hex[:8]}.log"
        command = ("run", "--port", "0", "--poll-seconds", "0.2", *arguments)
        self._process = _processes.Process(target=run, args=(command, folder, self._log, moment, number))
        self._process.daemon = True
        self._process.start()

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._log.read_text() if self._log.exists() else ""

    def status(self) -> dict[str, Any] | None:
        """What it tells of itself; None while it cannot."""
        found = re.search(r"page and API at (\S+)", self.output)
        try:
            return httpx.get(found[1] + "/status", timeout=5).json() if found else None
        except httpx.HTTPError:
            return None

    def received(self) -> int:
        """Readings, or events, that it has seen."""
        return _received(self.status())

    def memory(self) -> int:
        """Resident bytes; 0 if it is gone."""
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    def freeze(self) -> None:
        """SIGSTOP, and wait until it stands still."""
        self._send(signal.SIGSTOP)
        process = psutil.Process(self._process.pid)
        if not wait(lambda: process.status() == psutil.STATUS_STOPPED, TIMEOUT):
            raise AssertionError("a worker does not stand still")

    def thaw(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.join()

    def ended(self, timeout: float) -> int | None:
        """Its exit code, once it has ended by itself; None if it has not in time."""
        self._process.join(timeout)
        return self._process.exitcode

    def leave(self) -> None:
        """SIGTERM once it works, and wait for a clean end."""
        wait(lambda: self.status() is not None or not self.alive, TIMEOUT)
        self._send(signal.SIGTERM)
        if self.ended(TIMEOUT) != 0:
            raise AssertionError(f"a worker ended with {self._process.exitcode}:\n{self.output}")

    def _send(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)


class Harness:
    """One stream with its writer and workers, from entering the context to leaving it.

    Args:
        folder: where everything lies.
        seed: of all that is random here.
        rate: readings a second.
        sensors: that they are of.
        padding: bytes that each reading carries besides.
        shards: that the stream begins with.
        server: an index server to use instead of the embedded index.
        settings: more settings of all workers.
        refuse: whether the writer puts some readings of 2025, which the index server is made to refuse for ever.
        files: what lies in the folder, by names; cutwater.toml has settings of all workers.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        rate: float = 2000.0,
        sensors: int = 200,
        padding: int = 0,
        shards: int = 4,
        server: opensearch.Server | None = None,
        settings: tuple[str, ...] = (),
        refuse: bool = False,
        files: Mapping[str, str] | None = None,
    ) -> None:
        self._files = files or {}
        self.folder = folder
        self.rate = rate
        self.random = random.Random(seed)
        self.kills = 0
        self.workers: list[Worker] = []
        self.written = 0  # readings a second, in the end
        self.server = server
        self._stage = ""  # of the folders in which data lies
        self._prefix = opensearch.unique_prefix()
        self._settings = settings
        self._load = {"rate": rate, "sensors": sensors, "seed": seed, "padding": padding}
        self.shards = shards
        self._refuse = refuse
        self._stack = ExitStack()

    def __enter__(self) -> Harness:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, text in self._files.items():
            (self.folder / name).write_text(text)
        start = ("stream", "--port", "0", "--create", STREAM, "--shards", str(self.shards))
        local = self._stack.enter_context(_tied("service.cli", *start, folder=self.folder))
        self.endpoint_url = local.find(r"Kinesis API at (http://\S+)")
        options = {"endpoint-url": self.endpoint_url, "stream": STREAM, **self._load}
        words = [f"--{name}={value}" for name, value in options.items()]
        if self._refuse:
            assert self.server is not None
            mappings = {"_meta": {"owner": OWNER}, "_routing": {"required": True}}
            self.server.request("PUT", f"/{self._prefix}-2025.12.31", {"mappings": mappings})
            words.append("--refuse")
        self._words = words
        self._write()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            if worker.alive:
                worker.thaw()
                worker.kill()
        self._stack.close()

    def _write(self) -> None:
        self._writer = self._stack.enter_context(_tied("tests.chaos.writer", *self._words, folder=self.folder))
        self._writer.find("(writing)")

    @property
    def _data(self) -> Path:
        return self.folder / f"data{self._stage}" / "cutwater.db"

    @property
    def _undisturbed_data(self) -> Path:
        return self.folder / f"undisturbed{self._stage}" / "cutwater.db"

    # What can be done to it

    def start(self, moment: str | None = None, number: int = 1) -> Worker:
        """One more worker; with a moment, one that kills itself."""
        index = ()
        if self.server:
            index = ("--opensearch-url", self.server.url, "--index-prefix", self._prefix)
        worker = Worker(
            *("--stream", STREAM, "--endpoint-url", self.endpoint_url, "--data-dir", self._data.parent.name),
            *(*index, *SETTINGS, *self._settings),
            folder=self.folder, moment=moment, number=number,
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def kill(self, worker: Worker) -> None:
        """SIGKILL, counted."""
        if worker.alive:
            worker.kill()
            self.kills += 1

    def freeze(self, worker: Worker) -> None:
        """Let a worker stand still, but not within a transaction: it would keep the file's lock from all others."""

        def frozen() -> bool:
            worker.freeze()
            if self._can_be_written():
                return True
            worker.thaw()
            return False

        if not wait(frozen, TIMEOUT):
            raise AssertionError(f"the file cannot be written, whether a worker stands still or not:\n{worker.output}")

    def _can_be_written(self) -> bool:
        try:
            with closing(sqlite3.connect(self._data, timeout=1.0, isolation_level=None)) as database:
                database.execute("BEGIN IMMEDIATE")
                database.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
        return True

    def await_work(self, worker: Worker, timeout: float) -> None:
        """Wait until a worker has seen a reading. Raises AssertionError if it ends before."""
        if not wait(lambda: worker.received() > 0 or not worker.alive, timeout) or not worker.alive:
            raise AssertionError(f"a worker does not work:\n{worker.output}")

    def await_refusal(self, worker: Worker, reason: str) -> None:
        """Wait until a worker has ended with exit code 1 and its reason as the last line."""
        code, last = worker.ended(TIMEOUT), worker.output.rstrip().rpartition("\n")[2]
        if code != 1 or not re.search(reason, last):
            raise AssertionError(f"a worker ended with {code}, and not for {reason!r}:\n{worker.output}")

    def await_death(self, worker: Worker, timeout: float) -> bool:
        """Wait until a worker has killed itself, counted; whether it did."""
        code = worker.ended(timeout)
        if code is None:
            return False
        if code != -signal.SIGKILL:
            raise AssertionError(f"a worker ended with {code}:\n{worker.output}")
        self.kills += 1
        return True

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        """Call the stream's API."""
        headers = {"X-Amz-Target": f"Kinesis_20131202.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        answer = httpx.post(self.endpoint_url, json={"StreamName": STREAM, **request}, headers=headers, timeout=30)
        answer.raise_for_status()
        return dict(answer.json()) if answer.content else {}

    def open_shards(self) -> list[str]:
        """Shards that have no children, in the order of their hash keys."""
        shards = self.call("ListShards")["Shards"]
        parents = {shard.get(name) for shard in shards for name in ("ParentShardId", "AdjacentParentShardId")}
        leaves = [shard for shard in shards if shard["ShardId"] not in parents]
        return [shard["ShardId"] for shard in sorted(leaves, key=lambda s: int(s["HashKeyRange"]["StartingHashKey"]))]

    def make_anew(self) -> None:
        """Delete the stream, make another one of its name, and write to that."""
        self.call("DeleteStream")
        self.call("CreateStream", ShardCount=self.shards)
        self._write()

    def move(self) -> None:
        """Let whoever starts from now on use another data_dir."""
        self._stage = "-anew"

    def work(self, seconds: float) -> None:
        """Let the workers work undisturbed."""
        time.sleep(seconds)

    def block_writes(self, blocked: bool) -> None:
        """Let the index server refuse all documents, or no more."""
        assert self.server is not None
        self.server.request("PUT", f"/{self._prefix}-*/_settings", {"index.blocks.write": blocked})

    def fault(self, **fault: Any) -> None:
        """Add a fault to the stream."""
        httpx.post(f"{self.endpoint_url}/faults", json=fault, timeout=30).raise_for_status()

    # What it should have come to

    def documents(self) -> Contents:
        """What the index holds now."""
        if self.server:
            return in_opensearch(self.server.url, f"{self._prefix}-2026.*")
        return in_sqlite(self._data)

    def count(self) -> int:
        """How many documents the index holds now."""
        if self.server:
            return self.server.count(f"{self._prefix}-2026.*")
        statement = "SELECT (SELECT COUNT(*) FROM document) + (SELECT COUNT(*) FROM event_document)"
        ((count,),) = query(self._data, f"{statement} + (SELECT COUNT(*) FROM window_document)") or [(0,)]
        return int(count)

    def owners(self) -> dict[str, int]:
        """How many open shards each worker holds."""
        held = "checkpoint != 'SHARD_END' AND leaseOwner IS NOT NULL"
        statement = f"SELECT leaseOwner, COUNT(*) FROM lease WHERE {held} GROUP BY leaseOwner"
        return dict(query(self._data, statement))

    def finish(self) -> Difference:
        """Let the workers do what is left, and compare with one that was never disturbed."""
        if not any(worker.alive for worker in self.workers):
            self.start()
        self.stop_writing()
        for worker in self.workers:
            if worker.alive:
                worker.leave()
        return self.difference()

    def stop_writing(self) -> None:
        """Let the writer end, and wait until the workers have done all that it has written."""
        if not wait(lambda: self.count() >= ENOUGH, TIMEOUT):
            raise AssertionError(f"only {self.count()} documents came:\n{self.workers[-1].output}")
        if self._writer.terminate():
            raise AssertionError(self._writer.output)
        written = int(self._writer.find(r"(\d+) readings in"))
        self.written = int(self._writer.find(r", (\d+) a second"))
        self._expected, self._letters = self._undisturbed(written)
        self._refusals = self._refused() if self._refuse else {}
        for document in self._refusals.values():
            del self._expected[document]
        self._await_documents(len(self._expected))

    def difference(self) -> Difference:
        """How what the workers have made differs from what one makes that was never disturbed."""
        refused = self._refusals
        dead_letters = letters_in(self._data)
        if missing := refused.keys() - dead_letters.keys():
            raise AssertionError(f"refused documents are no dead letters: {sorted(missing)[:5]}")
        difference = compare(self._letters, {id_: letter for id_, letter in dead_letters.items() if id_ not in refused})
        if not difference.none:
            raise AssertionError(f"dead letters differ: {difference}")
        return compare(self._expected, self.documents())

    def _await_documents(self, count: int) -> None:
        """Wait until the index has so many documents, or none has come for long."""
        present, since = -1, time.monotonic()
        while (now := self.count()) < count and time.monotonic() - since < SILENCE:
            if now > present:
                present, since = now, time.monotonic()
            time.sleep(0.5)

    def _refused(self) -> dict[str, str]:
        """The documents of 2025, by the ids of the dead letters that are to become of them."""
        rows = query(
            self._undisturbed_data,
            "SELECT id, json_extract(document, '$.shard') || ':' || json_extract(document, '$.sequence_number') || ':' "
            "|| json_extract(document, '$.sub_sequence_number') FROM document WHERE time < '2026'",
        )
        if not rows:
            raise AssertionError("there was nothing to refuse")
        return {f"{STREAM}:{place}:{document}": document for document, place in rows}

    def _undisturbed(self, readings: int) -> tuple[Contents, Contents]:
        """Documents and dead letters of one worker of its own that nobody disturbs."""
        worker = Worker(
            *("--stream", STREAM, "--endpoint-url", self.endpoint_url, "--data-dir"),
            *(self._undisturbed_data.parent.name, *SETTINGS),
            folder=self.folder,
        )
        self.workers.append(worker)

        def done() -> bool:
            status = worker.status()
            return (
                status is not None
                and _received(status) >= readings
                and not any(shard["in_flight_bytes"] for shard in status["shards"])
            )

        if not wait(lambda: done() or not worker.alive, TIMEOUT + readings / CATCH_UP) or not worker.alive:
            raise AssertionError(f"{readings} readings were too much for an undisturbed worker:\n{worker.output}")
        worker.leave()
        if sensors := disorder(self._undisturbed_data):
            raise AssertionError(f"out of order even undisturbed: {', '.join(sensors[:5])}")
        return in_sqlite(self._undisturbed_data), letters_in(self._undisturbed_data)


def _received(status: dict[str, Any] | None) -> int:
    """Readings that a worker has seen; of a stream of events: events and dead letters."""
    if not status:
        return 0
    if events := status["events"]:
        return int(events["events"] + status["readings"]["dead"])
    return int(status["readings"]["received"])


def _tied(module: str, *arguments: str, folder: Path) -> Cutwater:
    """A module as a process that ends with this one."""
    return Cutwater(module, *arguments, folder=folder, module=("tests.chaos.tied",))


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether a condition came true in time."""
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return met
