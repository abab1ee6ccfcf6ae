"""Servers that refuse, choke and die in the middle of writing: every document is there exactly once in the end.

All faults are the server's own, by its settings: a write queue of one, 64 KB of indexing pressure, requests of at most
100 KB; on top of them an index that is blocked for a while, and SIGKILL. CUTWATER_TEST_DOCUMENTS=200000 takes minutes.
"""

import asyncio
import dataclasses
import os

import pytest

from service.sinks.index.opensearch import OpenSearchIndex
from service.stores import opened
from tests.servers import opensearch
from tests.service.stores import FEATURES, entry

DOCUMENTS = int(os.environ.get("CUTWATER_TEST_DOCUMENTS", "6000"))
NARROW = {
    "thread_pool.write.size": "1",
    "thread_pool.write.queue_size": "1",
    "indexing_pressure.memory.limit": "64kb",
    "http.max_content_length": "100kb",
}


@pytest.fixture(scope="module", params=["opensearch-3.8.0", "elasticsearch-9.5.3"])
def narrow(request):
    """A server that takes little at a time."""
    (spec,) = (spec for spec in opensearch.SPECS if spec.name == request.param)
    with opensearch.Server(spec, NARROW) as server:
        yield server


@pytest.fixture
async def index(narrow):
    async with opened(OpenSearchIndex(narrow.url, opensearch.unique_prefix(), FEATURES)) as index:
        yield index


@pytest.mark.timeout(900)
async def test_through_all_faults_nothing_is_lost_or_doubled(narrow, index):
    # Of fifty documents one belongs to the next day, whose index will be blocked.
    minutes = [number % 700 + (1000 if number % 50 == 0 else 0) for number in range(DOCUMENTS)]
    entries = [
        dataclasses.replace(entry(minute, record_ordinal=number), id=f"{number:032x}")
        for number, minute in enumerate(minutes)
    ]
    parts = [entries[at : at + 1000] for at in range(0, DOCUMENTS, 1000)]

    over = asyncio.Event()  # all faults

    async def write(shard):
        """Like a shard: its parts one after the other, each twice or more, as after crashes before the checkpoint."""
        while True:
            for part in parts[shard::4]:
                assert await index.write(part) == []
                assert await index.write(part[:100]) == []
            if over.is_set():
                return

    def count():
        return narrow.count(index.layout.prefix)

    writing = asyncio.gather(*(write(shard) for shard in range(4)))
    while await asyncio.to_thread(count) < DOCUMENTS / 4:  # noqa: ASYNC110 - the server has no event to wait for
        await asyncio.sleep(0.1)
    blocked = f"/{index.layout.prefix}-2023.11.16/_settings"
    await asyncio.to_thread(narrow.request, "PUT", blocked, {"index.blocks.write": True})
    while "cluster_block_exception" not in (await index.healthy() or ""):  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.05)
    await asyncio.to_thread(narrow.request, "PUT", blocked, {"index.blocks.write": False})
    await asyncio.to_thread(narrow.restart)
    over.set()
    await writing
    assert await asyncio.to_thread(count) == DOCUMENTS
    assert await index.healthy() is None
    assert index._writer.bytes <= 100 * 1024, "it has learnt what the server takes"


async def test_a_document_larger_than_the_server_takes_is_refused_alone(narrow, index):
    entries = [entry(number) for number in range(20)]
    huge = entry(100, note="x" * 150_000)
    large = entry(101, note="x" * 80_000)  # within the request's limit, but above the indexing pressure's
    refused = await index.write([*entries[:10], huge, large, *entries[10:]])
    assert {(each.id, each.code) for each in refused} == {(huge.id, "too_large"), (large.id, "too_large")}
    assert narrow.count(index.layout.prefix) == 20
