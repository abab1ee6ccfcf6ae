"""The clickstream recipe at 500 000 records a minute: python -m benchmarks.clickstream [--minutes N] [--json]

Three processes: the local stream, the service as ``cutwater init clickstream`` sets it up, with all documents in its
SQLite file, and this one, which writes clicks and impressions at an even pace with the time of their writing. One event
a record, or several as lines (``--events-per-record``). Once a second it looks at the lag: the age of the newest click
that can be found in the index, and how far behind the stream the service says that it is. At the end every event must
be there, once, and the windows must add up to their number.

All of it shares this machine's cores, so the CPU time of each process stands beside the lag.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import numpy as np
import psutil

from benchmarks import print_rows
from benchmarks.stream import HEADERS, local_stream
from simulator.events import clickstream
from simulator.events.carriers import iso
from tests.end_to_end.processes import Service, run

STREAM = "clicks"
CALL = 500  # records of a call, the most that Kinesis takes
_TIME = b'"timestamp":"'


class Pace:
    """Calls of PutRecords at an even pace; events say when they are written."""

    def __init__(self, url: str, rate: float, events_per_record: int) -> None:
        self._url, self._rate, self._lines = url, rate, events_per_record
        self.written = 0
        self.late = 0.0  # seconds that the writer itself was behind, at most
        records = clickstream.generate(1_795_746_600_000, rate, 20, 1)
        self._heads = [(each.partition_key, each.data.partition(_TIME)[0]) for each in records]

    async def write(self, seconds: float) -> None:
        """For so long."""
        source = itertools.cycle(self._heads)
        events = CALL * self._lines
        async with aiohttp.ClientSession() as session:
            began = time.time()
            for number in range(round(seconds * self._rate / events)):
                due = began + number * events / self._rate
                await asyncio.sleep(max(due - time.time(), 0))
                self.late = max(self.late, time.time() - due)
                await self._put(session, self._body(source))
                self.written += events

    def _body(self, source: Iterator[tuple[str, bytes]]) -> bytes:
        tail = _TIME + iso(round(time.time() * 1000), milliseconds=True).encode() + b'"}'
        entries = []
        for _ in range(CALL):
            key, head = next(source)
            data = head + tail
            for _ in range(self._lines - 1):
                data += b"\n" + next(source)[1] + tail
            entries.append(b'{"PartitionKey":"%b","Data":"%b"}' % (key.encode(), base64.b64encode(data)))
        return b'{"StreamName":"clicks","Records":[%b]}' % b",".join(entries)

    async def _put(self, session: aiohttp.ClientSession, body: bytes) -> None:
        headers = {**HEADERS, "X-Amz-Target": "Kinesis_20131202.PutRecords"}
        async with session.post(self._url, data=body, headers=headers) as answer:
            content = await answer.read()
            if answer.status != 200 or b'"FailedRecordCount":0' not in content.replace(b" ", b""):
                raise RuntimeError(f"PutRecords: {answer.status} {content[:300]!r}")


def newest(database: sqlite3.Connection) -> float | None:
    """Seconds since 1970 of the newest event that the index has."""
    (text,) = database.execute("SELECT max(time) FROM event_document").fetchone()
    return None if text is None else np.datetime64(text.rstrip("Z")).astype("datetime64[ms]").astype(float) / 1000


async def found_in(database: sqlite3.Connection, wanted: int, seconds: float) -> int:
    """How many events the index has, once it has so many or the time is over."""
    end = time.time() + seconds
    while True:
        (found,) = database.execute("SELECT count(*) FROM event_document").fetchone()
        if found >= wanted or time.time() > end:
            return int(found)
        await asyncio.sleep(0.2)


def cpu(process: psutil.Process) -> float:
    """Its CPU seconds so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def watch(service: Service, database: sqlite3.Connection, samples: list[tuple[float, float, int]]) -> None:
    """Note lag, what the service says of it, and the service's memory, once a second."""
    process = psutil.Process(service.process.pid)
    async with httpx.AsyncClient(base_url=service.address, timeout=30) as client:
        while True:
            await asyncio.sleep(1)
            status = (await client.get("/status")).json()
            behind = max((shard["millis_behind_latest"] or 0 for shard in status["shards"]), default=0) / 1000
            if (time_ := newest(database)) is not None:
                samples.append((time.time() - time_, behind, process.memory_info().rss))


async def measure(
    url: str, stream: psutil.Process, rate: float, minutes: float, lines: int, folder: Path
) -> dict[str, Any]:
    """The row of a run."""
    pace = Pace(url, rate, lines)
    with Service(url, "--stream", STREAM, folder=folder) as service:
        process = psutil.Process(service.process.pid)
        database = sqlite3.connect(f"file:{folder / 'data' / 'cutwater.db'}?mode=ro", uri=True, isolation_level=None)
        await pace.write(1)
        await found_in(database, pace.written, 120)  # by then all is compiled and every shard is read
        used = [cpu(each) for each in (process, stream, psutil.Process())]
        samples: list[tuple[float, float, int]] = []
        watching = asyncio.create_task(watch(service, database, samples))
        began, before = time.time(), pace.written
        await pace.write(minutes * 60)
        seconds = time.time() - began
        if watching.done():
            watching.result()
        watching.cancel()
        ended = time.time()
        found = await found_in(database, pace.written, 60)
        caught_up = time.time() - ended
        used = [cpu(each) - earlier for each, earlier in zip((process, stream, psutil.Process()), used, strict=True)]
        (counted,) = database.execute(
            "SELECT sum(json_extract(document, '$.\"window.events\"')) FROM window_document"
            " WHERE json_extract(document, '$.\"window.program\"') = 'articles'"
        ).fetchone()
        dead = service.get("/status")["readings"]["dead"]
        keys = sum(map(float, re.findall(r"^cutwater_window_keys\S* (\S+)$", service.text("/metrics"), re.MULTILINE)))
    if found < pace.written or dead:
        raise SystemExit(
            f"{found} of {pace.written} events are in the index, {dead} in the dead letter\n{service.output}"
        )
    lags = np.array([lag for lag, _, _ in samples])
    sizes = [size for _, _, size in samples]
    return {
        "events_per_record": lines,
        "minutes": minutes,
        "events": pace.written,
        "events_per_minute": round((pace.written - before) / seconds * 60),
        "found": found,
        "dead": dead,
        "counted_in_closed_windows": counted,
        "lag_median_seconds": round(float(np.median(lags)), 2),
        "lag_p99_seconds": round(float(np.quantile(lags, 0.99)), 2),
        "lag_most_seconds": round(float(lags.max()), 2),
        "behind_most_seconds": round(max(behind for _, behind, _ in samples), 2),
        "writer_late_seconds": round(pace.late, 2),
        "caught_up_after_seconds": round(caught_up, 1),
        "service_cpu_us_per_event": round(used[0] / (pace.written - before) * 1e6, 1),
        "stream_cpu_us_per_event": round(used[1] / (pace.written - before) * 1e6, 1),
        "writer_cpu_us_per_event": round(used[2] / (pace.written - before) * 1e6, 1),
        "cores_of_all": round(sum(used) / (seconds + caught_up), 2),
        "service_bytes_after_a_tenth": sizes[len(sizes) // 10],
        "service_bytes_at_the_end": sizes[-1],
        "service_bytes_most": max(sizes),
        "keys": round(keys),
        "index_bytes": (folder / "data" / "cutwater.db").stat().st_size,
    }


def main() -> None:
    """Print the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long to write [%(default)s]")
    parser.add_argument("--rate", type=float, default=500_000, help="events a minute [%(default)s]")
    parser.add_argument("--events-per-record", type=int, default=1, help="as lines of one record [%(default)s]")
    parser.add_argument("--shards", type=int, default=4, help="of the stream [%(default)s]")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cutwater-clickstream-") as name, local_stream() as (url, stream):
        folder = Path(name)
        code, output = run("init", "clickstream", ".", folder=folder)
        assert code == 0, output
        make = {"StreamName": STREAM, "ShardCount": arguments.shards}
        headers = {**HEADERS, "X-Amz-Target": "Kinesis_20131202.CreateStream"}
        httpx.post(url, json=make, headers=headers).raise_for_status()
        row = asyncio.run(
            measure(
                url, stream, arguments.rate / 60, arguments.minutes, arguments.events_per_record, folder
            )
        )  # fmt: skip
    print_rows("clickstream", [row], arguments.json)


if __name__ == "__main__":
    main()
