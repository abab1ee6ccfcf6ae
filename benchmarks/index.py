"""Documents into a server, beside opensearch-py's own bulk helper: python -m benchmarks.index [--documents N] [--json]

Both write the same documents to the same server, in turns: Cutwater as its pipeline does, four shards at once with a
thousand documents a batch; ``async_bulk`` as its documentation shows it, and with the chunks that suit it best. CPU is
that of this process, which is the client. Then a thousand documents a second, and the time from ``write`` until a
search finds them.

The server is the one of ``--url``, else OpenSearch as the tests start it.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
from opensearchpy import AsyncOpenSearch
from opensearchpy.helpers import async_bulk
from rich.console import Console
from rich.progress import track

from benchmarks import print_rows
from detector.types import Readings, Scores
from service.pipeline.documents import IndexDocument, ScoredBatch, index_documents
from service.pipeline.records import Position
from service.sinks.index.opensearch import OpenSearchIndex
from tests.servers import opensearch

NOON = 1_700_049_600_000  # 2023-11-15T12:00Z
BATCH, SHARDS = 1000, 4
RATE, STEP = 1000, 0.1  # documents a second, and seconds between two writes


def documents(n: int, first: int = 0) -> list[IndexDocument]:
    """What the service writes of n anomalies of a thousand sensors."""
    codes = np.arange(n, dtype=np.int64) % 1000
    sensors = tuple(f"sensor-{code:04d}" for code in range(1000))
    random = np.random.default_rng(first)
    readings = Readings(sensors, codes, NOON + 10 * np.arange(n, dtype=np.int64), random.normal(17, 3, (n, 1)))
    scores = Scores.empty(n, 1)
    scores.score[:], scores.grade[:], scores.is_anomaly[:], scores.ready[:] = random.gamma(2.0, 1.0, n), 0.5, True, True
    positions = [Position(49_640_000_000_000_000_000_000_000 + first + row) for row in range(n)]
    batch = ScoredBatch(
        "RawStreamData", "shardId-000000000000", positions, [NOON] * n, [0] * n, ("iotValue",), "rcf-bench", readings,
        scores,
    )  # fmt: skip
    return index_documents(batch, range(n))


async def ours(url: str, prefix: str, found: Sequence[IndexDocument]) -> None:
    """Four shards, each waiting for a batch before its next."""
    index = OpenSearchIndex(url, prefix, ("iotValue",))
    await index.open()
    parts = [found[at : at + BATCH] for at in range(0, len(found), BATCH)]

    async def shard(number: int) -> None:
        for part in parts[number::SHARDS]:
            assert await index.write(part) == []

    await asyncio.gather(*map(shard, range(SHARDS)))
    await index.close()


def helper(chunk: int) -> Callable[[str, str, Sequence[IndexDocument]], Awaitable[None]]:
    """opensearch-py's ``async_bulk`` with chunks of so many documents."""

    async def write(url: str, prefix: str, found: Sequence[IndexDocument]) -> None:
        index = OpenSearchIndex(url, prefix, ("iotValue",))  # the same mapping
        await index.open()
        await index.close()
        client = AsyncOpenSearch(hosts=[url], timeout=60)
        actions = (
            {"_op_type": "create", "_index": index.layout.index(each.document["@timestamp"]), "_id": each.id,
             "_source": each.document}
            for each in found
        )  # fmt: skip
        _, failed = await async_bulk(client, actions, chunk_size=chunk, raise_on_error=False)
        assert not failed
        await client.close()

    return write


WRITERS = {"cutwater": ours, "async_bulk, 500 a chunk (its default)": helper(500), "async_bulk, 2000": helper(2000)}


def once(
    write: Callable[[str, str, Sequence[IndexDocument]], Awaitable[None]], url: str, found: Sequence[IndexDocument]
) -> Any:
    """(documents a second, CPU microseconds a document) of one run into an index of its own."""
    prefix = opensearch.unique_prefix()
    began, cpu = time.perf_counter(), time.process_time()
    asyncio.run(write(url, prefix, found))
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - began
    assert opensearch.count(url, prefix) == len(found)
    remove(url, prefix)
    return len(found) / seconds, cpu / len(found) * 1e6


def remove(url: str, prefix: str) -> None:
    """Indices and templates of a prefix."""
    for name in opensearch.request(url, "GET", f"/{prefix}-*/_mapping"):
        opensearch.request(url, "DELETE", f"/{name}")
    for name in (prefix, f"{prefix}-deadletter"):
        opensearch.request(url, "DELETE", f"/_index_template/{name}")


async def until_searchable(url: str, prefix: str, seconds: int) -> np.ndarray:
    """Seconds from the call of ``write`` until a search counts the document, of each."""
    index = OpenSearchIndex(url, prefix, ("iotValue",))
    await index.open()
    found = documents(RATE * seconds)
    size = round(RATE * STEP)
    written, seen = np.zeros(len(found)), np.full(len(found), np.nan)
    clock, client = time.perf_counter, AsyncOpenSearch(hosts=[url])

    async def look() -> None:
        known = 0
        while known < len(found):
            answer = await client.count(index=prefix, ignore_unavailable=True)
            known, before = answer["count"], known
            seen[before:known] = clock()
            await asyncio.sleep(0.02)

    looking, writing = asyncio.create_task(look()), []
    due = clock()
    for at in range(0, len(found), size):
        await asyncio.sleep(max(0.0, due - clock()))
        written[at : at + size] = clock()
        writing.append(asyncio.create_task(index.write(found[at : at + size])))
        due += STEP
    assert not any(await asyncio.gather(*writing))
    await looking
    await index.close()
    await client.close()
    return seen - written


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=20_000, help="a run [%(default)s]")
    parser.add_argument("--rounds", type=int, default=5, help="of which the median counts [%(default)s]")
    parser.add_argument("--seconds", type=int, default=20, help="at a thousand documents a second [%(default)s]")
    parser.add_argument("--url", help="a running server")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    url = arguments.url or opensearch.shared(opensearch.OPENSEARCH_3).url
    found = documents(arguments.documents)
    once(ours, url, found)  # the server's compiler warms up
    results: dict[str, list[Any]] = {name: [] for name in WRITERS}
    for _ in track(range(arguments.rounds), "writing", console=Console(stderr=True), transient=True):
        for name, write in WRITERS.items():
            results[name].append(once(write, url, found))
    rows: list[dict[str, Any]] = [
        {
            "writer": name,
            "documents_per_second": round(statistics.median(rate for rate, _ in runs)),
            "cpu_us_per_document": round(statistics.median(cpu for _, cpu in runs), 1),
        }
        for name, runs in results.items()
    ]
    us, *peers = rows
    best = max(peers, key=lambda row: row["documents_per_second"])
    thriftiest = min(peers, key=lambda row: row["cpu_us_per_document"])
    rows.append(
        {
            "throughput_ratio_to_the_faster_helper": us["documents_per_second"] / best["documents_per_second"],
            "cpu_ratio_to_the_thriftier_helper": us["cpu_us_per_document"] / thriftiest["cpu_us_per_document"],
        }
    )
    prefix = opensearch.unique_prefix()
    waits = asyncio.run(until_searchable(url, prefix, arguments.seconds))
    remove(url, prefix)
    quantiles = {f"p{share}": float(np.percentile(waits, share)) for share in (50, 99, 100)}
    rows.append({"documents_per_second": RATE, "seconds_from_write_to_searchable": quantiles})
    print_rows("index", rows, arguments.json)


if __name__ == "__main__":
    main()
