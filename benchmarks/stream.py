"""How fast the local stream takes and gives records, beside other emulators: python -m benchmarks.stream [--json]

Each server runs in a process of its own, one after the other, on loopback. A client that does next to nothing (request
bodies are made beforehand, answers are not parsed beyond the next iterator) puts the classic readings, 500 a call, from
four connections, and reads them back, 10 000 a call, from one. Beside records per second by the clock stand records per
second of the server's own CPU time: what one core of it could do if the client were free.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import multiprocessing
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any

import aiohttp
import psutil

from simulator.sensors import Sensors
from simulator.stream import LocalStream
from tests.servers import kinesis

CONNECTIONS = 4
CALL = 500
HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, "
    "Signature=0",
}
NEXT_ITERATOR = re.compile(rb'"NextShardIterator":"([^"]+)"')


def _serve(pipe: Connection) -> None:
    async def serve() -> None:
        async with LocalStream() as local:
            pipe.send(local.endpoint_url)
            await asyncio.to_thread(pipe.recv)

    asyncio.run(serve())


@contextmanager
def local_stream() -> Iterator[tuple[str, psutil.Process]]:
    """The local stream's address and process."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,))
    process.start()
    yield ours.recv(), psutil.Process(process.pid)
    ours.send(None)
    process.join()


@contextmanager
def npm(emulator: kinesis.Emulator) -> Iterator[tuple[str, psutil.Process]]:
    """An emulator's address and process."""
    url, process = kinesis.start(emulator)
    yield url, psutil.Process(process.pid)
    process.kill()


class Client:
    """Sends what it is given and returns bytes."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def call(self, operation: str, body: bytes) -> bytes:
        """The answer's body. Raises RuntimeError if it is an error."""
        headers = {**HEADERS, "X-Amz-Target": f"Kinesis_20131202.{operation}"}
        async with self._session.post(self._url, data=body, headers=headers) as answer:
            content = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{operation}: {answer.status} {content[:300]!r}")
            return content


async def measure(name: str, url: str, process: psutil.Process, records: int) -> list[dict[str, Any]]:
    """Rows for putting and for getting."""
    stream = json.dumps({"StreamName": "bench"}).encode()
    async with aiohttp.ClientSession() as session:
        client = Client(session, url)
        await client.call("CreateStream", b'{"StreamName":"bench","ShardCount":1}')
        while b'"ACTIVE"' not in await client.call("DescribeStreamSummary", stream):
            pass
        bodies = _bodies(records)

        async def put(share: list[bytes]) -> None:
            for body in share:
                await client.call("PutRecords", body)

        async def get() -> None:
            request = {"StreamName": "bench", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
            answer = await client.call("GetShardIterator", json.dumps(request).encode())
            iterator, found = json.loads(answer)["ShardIterator"].encode(), 0
            while found < records:
                answer = await client.call("GetRecords", b'{"ShardIterator":"%s"}' % iterator)
                found += answer.count(b'"SequenceNumber"')
                match = NEXT_ITERATOR.search(answer)
                assert match is not None
                iterator = match[1]

        async def put_all() -> None:
            await asyncio.gather(*(put(bodies[start::CONNECTIONS]) for start in range(CONNECTIONS)))

        rows = []
        for case, work in (("put", put_all()), ("get", get())):
            cpu, began = _cpu(process), time.perf_counter()
            await work
            seconds, cpu = time.perf_counter() - began, _cpu(process) - cpu
            rows.append(
                {
                    "engine": name,
                    "case": case,
                    "records": records,
                    "records_per_call": CALL if case == "put" else 10_000,
                    "records_per_second": round(records / seconds),
                    "records_per_server_cpu_second": round(records / cpu) if cpu else None,
                    "server_resident_bytes": process.memory_info().rss,
                }
            )
        return rows


def _bodies(records: int) -> list[bytes]:
    readings = iter(Sensors(sensors=100, count=records))
    bodies = []
    while chunk := list(islice(readings, CALL)):
        entries = [
            {"Data": base64.b64encode(reading.data).decode(), "PartitionKey": reading.sensor} for reading in chunk
        ]
        bodies.append(json.dumps({"StreamName": "bench", "Records": entries}).encode())
    return bodies


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Print a row for each server and case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--records", type=int, default=200_000, help="to put and get [%(default)s]; peers get fewer")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with local_stream() as (url, process):
        rows += asyncio.run(measure("cutwater", url, process, arguments.records))
    if shutil.which("npm") is None:
        print("no peers: they need Node.js and npm")
    else:
        for emulator, share in ((kinesis.KINESALITE, 0.2), (kinesis.KINESIS_LOCAL, 0.01)):
            with npm(emulator) as (url, process):
                rows += asyncio.run(measure(emulator.package, url, process, int(arguments.records * share)))
    for row in rows:
        print("  ".join(f"{name}={value}" for name, value in row.items()))
    if arguments.json:
        machine = {"cpu": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
        print(json.dumps({"name": "stream", "machine": machine, "rows": rows}))


if __name__ == "__main__":
    main()
