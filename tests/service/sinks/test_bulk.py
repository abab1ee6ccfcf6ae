"""Requests that a server refuses as a whole: the documents at fault are found, or none is blamed."""

import asyncio
import logging
import time

import pytest

from service.sinks.index.opensearch import OpenSearchIndex
from service.stores import opened
from tests.servers.bulk import BulkServer, refused
from tests.service.stores import FEATURES, entry

PAGE = b"<html><head><title>400 The plain HTTP request\nwas sent to HTTPS port</title></head></html>"
POISON = b"poison"


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Pauses that a test can wait for."""
    monkeypatch.setattr("service.retry.FIRST_PAUSE", 0.002)
    monkeypatch.setattr("service.retry.WARN_SECONDS", 0.02)


def poisoned(status):
    """A server that refuses every request with a certain document in it."""
    return lambda body: refused(status, "malformed") if POISON in body else None


def longer_than(size, status=413):
    """A server, or a proxy before it, that takes only so many bytes at once."""
    return lambda body: refused(status, "too large") if len(body) > size else None


async def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "in vain"
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("status", [400, 413])
@pytest.mark.parametrize("bad", [{0}, {299}, {7, 8, 150}, set(range(0, 300, 20))])
async def test_of_a_refused_request_only_the_documents_at_fault_are_rejected(status, bad):
    entries = [entry(number, note="poison" if number in bad else "good") for number in range(300)]
    with BulkServer(poisoned(status)) as server:
        async with opened(OpenSearchIndex(server.url, "test", FEATURES)) as index:
            rejected = await index.write(entries)
            assert await index.healthy() is None
        assert {each.id for each in rejected} == {entries[number].id for number in bad}
        assert {each.code for each in rejected} == {"bad_request" if status == 400 else "too_large"}
        assert all("malformed" in each.reason for each in rejected)
        assert set(server.documents) == {each.id for each in entries} - {each.id for each in rejected}
        assert server.requests < 40 * len(bad), "halves, not one by one"


async def test_one_bad_document_alone_in_its_request_is_rejected():
    with BulkServer(poisoned(400)) as server:
        async with opened(OpenSearchIndex(server.url, "test", FEATURES)) as index:
            (rejected,) = await index.write([entry(1, note="poison")])
            assert (rejected.code, rejected.index) == ("bad_request", "test-2023.11.15")


@pytest.mark.parametrize("size", [1_500, 900, 300])
async def test_a_server_that_takes_less_than_the_smallest_request_gets_single_documents(size):
    entries = [entry(number, note="x" * 100 * (number % 7)) for number in range(60)]
    with BulkServer(longer_than(size)) as server:
        async with opened(OpenSearchIndex(server.url, "test", FEATURES)) as index:
            rejected = await index.write(entries)
        assert {each.code for each in rejected} <= {"too_large"}
        assert len(server.documents) + len(rejected) == len(entries)
        assert (len(rejected) > 0) == (size < 1_500)


@pytest.mark.parametrize(
    "answer",
    [
        refused(400, "The plain HTTP request was sent to HTTPS port"),
        (400, PAGE),
        (400, {}),
        (400, ["unlike"]),
        refused(413, "nothing at all"),
        (413, PAGE),
        (200, PAGE),
        (200, []),
        (200, {"items": None}),
        (200, {"items": [None]}),
        (200, {"items": [{"create": {"status": "fine"}}]}),
        (200, {"errors": False, "items": []}),
        (302, PAGE),
        (403, PAGE),
        (404, PAGE),
        (502, PAGE),
    ],
    ids=str,
)
async def test_where_every_request_is_refused_no_document_is_blamed(answer, caplog):
    entries = [entry(number) for number in range(300)]
    with BulkServer(lambda body: answer) as server:
        async with opened(OpenSearchIndex(server.url, "test", FEATURES)) as index:
            writing = asyncio.create_task(index.write(entries))
            await until(lambda: "waiting, nothing is lost" in caplog.text)
            assert await index.healthy() is not None
            assert "\n" not in await index.healthy()
            assert not writing.done()
            server.rule = lambda body: None  # somebody mends it
            assert await writing == []
            assert await index.healthy() is None
        assert set(server.documents) == {each.id for each in entries}


async def test_pauses_grow_where_every_request_is_refused(monkeypatch):
    slept = []
    sleep = asyncio.sleep

    async def note(seconds):
        slept.append(seconds)
        await sleep(0)

    with BulkServer(lambda body: refused(400)) as server:
        async with opened(OpenSearchIndex(server.url, "test", FEATURES)) as index:
            monkeypatch.setattr("service.retry.asyncio.sleep", note)
            writing = asyncio.create_task(index.write([entry(number) for number in range(5)]))
            while len(slept) < 15:
                await sleep(0.001)
            monkeypatch.undo()
            writing.cancel()
    assert slept[12] > 500 * slept[0]


async def test_our_own_error_is_raised_and_not_tried_again(monkeypatch):
    with BulkServer() as server:
        async with opened(OpenSearchIndex(server.url, "test", FEATURES)) as index:

            def broken(*_):
                raise TypeError("a bug")

            monkeypatch.setattr(index._writer, "_sort_outcomes", broken)
            with pytest.raises(TypeError, match="a bug"):
                await index.write([entry(1), entry(2)])
            monkeypatch.undo()
            assert await index.write([entry(3)]) == [], "others go on"
        assert server.requests == 2


async def test_a_refused_request_has_a_line_in_the_log(caplog):
    caplog.set_level(logging.WARNING)
    with BulkServer(poisoned(400)) as server:
        async with opened(OpenSearchIndex(server.url, "test", FEATURES)) as index:
            await index.write([entry(1, note="poison"), entry(2), entry(3, note="poison")])
    lines = [record.getMessage() for record in caplog.records if "refuses a request" in record.getMessage()]
    assert len(lines) == 1, "one for all"
    assert "3 documents" in lines[0]
    assert "malformed" in lines[0]
