"""Events and windows in every store: apart from scores, found by any field and by its old name."""

import pytest

from service.pipeline.documents import IndexDocument, timestamp
from service.pipeline.event_stage import EventDocuments, WindowDocuments
from service.pipeline.events import Event
from service.pipeline.records import Position, Record
from service.pipeline.windows import Closed
from service.settings.groups.events import WindowTable
from service.sinks.index.event_fields import EventLayout
from service.sinks.index.opensearch import OpenSearchIndex
from service.sinks.index.prepare import flat
from service.sinks.index.sqlite import SQLiteIndex
from service.sinks.query import NEWEST, Filter, Find, Order
from service.stores import opened
from tests.service.stores import NOON, SPECS, ServerStore, entry

PROGRAM = WindowTable(name="sources", key=["source.ip"], measures={"n": "count", "mean": "mean bytes"}).program()
LAYOUT = EventLayout(
    {"source.ip": "ip", "bytes": "long", "groups": "keyword", "ok": "boolean", "free": "object", "kept": "stored"},
    {"srcaddr": "source.ip", "security-group-ids": "groups", "old bytes": "bytes"},
    (PROGRAM,),
)


def events(n=6):
    """A minute apart, of three addresses."""
    found = [
        Event(
            NOON + 60_000 * number,
            {
                "source.ip": f"10.0.0.{number % 3}",
                "bytes": number,
                "groups": ["sg-1", f"sg-{number}"],
                "ok": number % 2 == 0,
                "free": {"a.b": {"": [number, "text"]}},
                "kept": "x" * 40_000,
            },
        )
        for number in range(n)
    ]
    records = [Record(Position(number), "p", NOON, b"") for number in range(n)]
    return list(_each(EventDocuments("stream", "shard", "test", found, records, [0] * n)))


def windows(shard="shard"):
    closed = [
        Closed(0, NOON + 60_000 * number, (f"10.0.0.{number}",), f"10.0.0.{number}", 3, (3, 1.5, 3, 2), 0, (0, 1))
        for number in range(3)
    ]
    records = [Record(Position(9), "p", NOON, b"")] * 3
    return list(_each(WindowDocuments("stream", shard, (PROGRAM,), closed, records)))


def _each(documents):
    return (documents[number] for number in range(len(documents)))


@pytest.fixture(params=["sqlite", *SPECS])
async def index(request, tmp_path):
    """Every store there is, for a stream of events."""
    if request.param == "sqlite":
        made, store = SQLiteIndex(tmp_path / "index.db", events=LAYOUT), None
    else:
        store = ServerStore(SPECS[request.param])
        made = OpenSearchIndex(store.server.url, store.prefix, ("value",), events=LAYOUT)
    async with opened(made) as opened_index:
        opened_index.refresh = lambda: store and store.server.request("POST", f"/{store.prefix}-*/_refresh")
        opened_index.store = store
        yield opened_index


async def found(index, kind, *terms, order=NEWEST, **span):
    index.refresh()
    page = await index.find(Find(kind, terms=terms, **span), 100, None, order)
    return [each["event.id"] for each in page.documents]


async def test_each_kind_of_document_is_where_it_belongs(index):
    every = [*events(), *windows(), entry(1)]
    assert await index.write(every) == []
    assert await index.write(every) == [], "again, which changes nothing"
    assert set(await found(index, "event")) == {each.id for each in events()}
    assert set(await found(index, "window")) == {each.id for each in windows()}
    index.refresh()
    assert [each["event.id"] for each in (await index.search(Filter(), 100)).documents] == [entry(1).id]


async def test_events_are_found_by_fields_elements_of_lists_and_old_names(index):
    made = [each.id for each in events()]
    await index.write(events())
    assert set(await found(index, "event", ("source.ip", "10.0.0.1"))) == {made[1], made[4]}
    assert set(await found(index, "event", ("srcaddr", "10.0.0.1"), ("bytes", "4"))) == {made[4]}
    assert await found(index, "event", ("security-group-ids", "sg-3")) == [made[3]]
    assert set(await found(index, "event", ("ok", "false"))) == set(made[1::2])
    assert await found(index, "event", since=NOON + 60_000, until=NOON + 180_000) == [made[2], made[1]]
    assert await found(index, "event", order=Order("time", False)) == made


async def test_a_cursor_goes_on_behind_its_page(index):
    await index.write(events())
    index.refresh()
    seen, cursor = [], None
    while True:
        page = await index.find(Find("event"), 4, cursor)
        seen += [each["event.id"] for each in page.documents]
        if (cursor := page.cursor) is None:
            break
    assert seen == [each.id for each in reversed(events())]


async def test_a_server_adds_no_field_and_knows_all_of_them(index):
    if index.store is None:
        return  # SQLite has no mapping
    await index.write([*events(), *windows()])
    server, prefix = index.store.server, index.store.prefix
    day = timestamp(NOON)[:10].replace("-", ".")
    known = {}
    for name in ("events", "windows"):
        (body,) = server.request("GET", f"/{prefix}-{name}-{day}/_mapping").values()
        known[name] = flat(body["mappings"])
    assert known["events"]["srcaddr"] == "alias"
    assert known["events"].keys() == flat(LAYOUT.of_events("object")).keys()
    assert known["windows"].keys() == flat(LAYOUT.of_windows("object")).keys()
    assert known["windows"]["source.ip"] == "ip", "as in the events"
    async with opened(OpenSearchIndex(server.url, prefix, ("value",), events=LAYOUT)) as again:
        assert {step.state for step in await again.plan(retention=False)} == {"present"}


def test_documents_say_what_they_are_of():
    from service.pipeline.documents import kind_of

    for each in (*events(1), *windows(), IndexDocument("id", NOON, entry(1).document)):
        assert kind_of(each.document) == each.kind
