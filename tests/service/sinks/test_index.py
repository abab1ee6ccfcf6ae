"""One contract for every store of documents: SQLite, and real OpenSearch and Elasticsearch servers.

Nothing is lost, nothing is doubled, and what is refused is named; counted where the documents lie, past the code that
wrote them.
"""

import asyncio
import contextlib
import dataclasses
import functools
import itertools
import sqlite3
import subprocess
import sys
import time

import orjson
import pytest

from service.pipeline.documents import record_fields, timestamp
from service.sinks.dead_letters.format import describe_letter
from service.sinks.index import Episode, IndexSetupError
from service.sinks.index.fields import FIELDS, names
from service.sinks.index.opensearch import OpenSearchIndex
from service.sinks.index.sqlite import SQLiteIndex
from service.sinks.query import Filter, Order
from service.stores import opened
from tests.service.stores import FEATURES, NOON, ServerStore, SQLiteStore, entry, letter

HOSTILE_NAMES = [
    "quotes \" and ' and \\",
    "line\nbreak\r\ttab\0nul",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "{{template}} ${jndi:ldap://x} %s %n",
    "'; DROP TABLE document; --",
    "🌡️ émoji ‮rtl",
    "_id",
    " ",
    "x" * 10_240,
    "é" * 5_120,
]


# Every store


@pytest.mark.compatibility("Write")
async def test_what_is_written_is_there_under_its_id(store, index):
    entries = [entry(number) for number in range(20)]
    assert await index.write(entries) == []
    found = store.documents()
    assert set(found) == {each.id for each in entries}
    stored = found[entries[3].id]
    assert stored.pop("event.id") == entries[3].id
    assert stored == entries[3].document | {"expected_values_temperature": None}, "only NaN changes: JSON has none"


async def test_nothing_to_write_is_fine(store, index):
    assert await index.write([]) == []
    await index.index_dead_letters([])
    assert store.documents() == {}


@pytest.mark.compatibility("Duplicate")
async def test_writing_again_changes_nothing(store, index):
    await index.write([entry(1), entry(2)])
    before = store.documents()
    assert await index.write([entry(2, sensor="another"), entry(3)]) == []
    assert store.documents() == before | {entry(3).id: store.documents()[entry(3).id]}


async def test_an_id_twice_in_one_write_is_one_document(store, index):
    assert await index.write([entry(1), entry(2), entry(1), entry(1)]) == []
    assert set(store.documents()) == {entry(1).id, entry(2).id}


async def test_a_document_that_cannot_be_stored_is_named_and_the_others_are_stored(store, index):
    good = [entry(number) for number in range(10)]
    unspeakable = entry(100, sensor="lone surrogate \ud800")
    (refused,) = await index.write([*good[:5], unspeakable, *good[5:]])
    assert (refused.id, refused.code) == (unspeakable.id, "not_encodable")
    assert set(store.documents()) == {each.id for each in good}


@pytest.mark.compatibility("Hostile names")
async def test_a_hostile_sensor_name_is_only_a_name(store, index):
    written = {name: entry(number, sensor=name) for number, name in enumerate(HOSTILE_NAMES)}
    assert await index.write(list(written.values())) == []
    found = store.documents()
    for name, each in written.items():
        assert found[each.id]["sensor"] == name
        assert store.of_sensor(name) == [each.id]


HOSTILE_RECORDS = [
    b"{}",
    b'{"":{"":1},"a..b":2,".":3,"..":4,"a.":5,".a":6," ":7,"*":8,"_id":9,"=":"=a=b"}',
    b'{"a":{"b":1},"a.b":2,"a":[1,"x",null,{"b":[[],{}]},[[true]]]}',
    b'{"null":null,"nulls":[null],"date":"not one","text":"a\\u0000b <script> \\ud83d\\ude00"}',
    b'{"a":[{"nul \\u0000 in a name":1}]}',
    b'{"big":1e308,"small":-5e-324,"integer":9223372036854775808,"beyond":-18446744073709551616000}',
    b'{"text":"' + b"x" * 40_960 + b'"}',
    b'{"text":"' + b"x" * 16_000 + b'"}',
    b'{"' + b"k" * 16_000 + b'":1}',
    b'{"' + "\u00e9".encode() * 4_000 + b'":"' + "\u00e9".encode() * 4_000 + b'"}',
    orjson.dumps({f"k{number}": number for number in range(1_200)}),
    *(b'{"a":' * levels + b"1" + b"}" * levels for levels in (20, 21, 500)),
    *(b'{"a":' + b"[" * levels + b"]" * levels + b"}" for levels in (19, 20, 500)),
]


@pytest.mark.compatibility("Raw records")
async def test_no_record_makes_a_store_refuse_its_document(store, index):
    written = {number: entry(number, **record_fields(data)) for number, data in enumerate(HOSTILE_RECORDS)}
    assert await index.write(list(written.values())) == []
    found = store.documents()
    for each in written.values():
        assert found[each.id].get("record") == each.document.get("record")
        assert found[each.id]["record_bytes"] == each.document["record_bytes"]
    kept = [number for number, each in written.items() if "record" in each.document]
    assert kept == [0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 14], "what is too long, too deep or has a NUL in a name is left out"


@pytest.mark.compatibility("Raw records")
async def test_documents_are_found_by_what_their_records_say(remote, remote_index):
    data = b'{"building":"B7","floor":{"number":3,"rooms":["x","y"]},"on":true,"a.b":1.5}'
    await remote_index.write([entry(0, **record_fields(data)), entry(1, **record_fields(b'{"building":"B8"}'))])
    for name, value in {"building": "B7", "floor.number": 3, "floor.rooms": "y", "on": True, "a.b": 1.5}.items():
        assert remote.found({"term": {f"record.{name}": value}}) == [entry(0).id], name


async def test_many_writers_at_once(store, index):
    def part(writer):
        return [entry(number) for number in range(50 * writer, 50 * writer + 75)]  # a third overlaps with the next

    answers = await asyncio.gather(*(index.write(part(writer)) for writer in range(20)))
    assert answers == [[]] * 20
    assert set(store.documents()) == {entry(number).id for number in range(1025)}


FILTERS = [
    Filter(),
    Filter(sensor="sensor-3"),
    Filter(sensor="nobody"),
    Filter(since=NOON + 60_000 * 10, until=NOON + 60_000 * 30),
    Filter(min_score=3.5, anomalies=True),
    Filter(alerts=True, until=NOON + 60_000 * 15),
    Filter(sensor="sensor-1", since=NOON, min_score=0.1, anomalies=True),
    Filter(kind="level shift", min_severity=15),
    Filter(shard="shardId-000000000001", labels=(("site", "north"),)),
    Filter(labels=(("site", "nowhere"),)),
]
ORDERS = [Order(), Order(descending=False), Order("score"), Order("severity"), Order("severity", descending=False)]


@pytest.mark.compatibility("History")
async def test_history_is_a_plain_scan_newest_first_page_by_page(store, index):
    moments = [number // 3 for number in range(60)]  # three documents at each time
    entries = [dataclasses.replace(entry(number), time=NOON + 60_000 * moment) for number, moment in enumerate(moments)]
    for each in entries:
        each.document["@timestamp"] = timestamp(each.time)
    await index.write(entries)
    if isinstance(store, ServerStore):
        store.count()  # refreshes
    for wanted in FILTERS:
        matching = [
            each
            for each in entries
            if (wanted.sensor in (None, each.document["sensor"]))
            and (wanted.since is None or each.time >= wanted.since)
            and (wanted.until is None or each.time < wanted.until)
            and (wanted.min_score is None or each.document["anomaly_score"] >= wanted.min_score)
            and (each.document["is_anomaly"] or each.document["alert"] or not wanted.anomalies)
            and (each.document["alert"] or not wanted.alerts)
            and wanted.kind in (None, each.document["anomaly_kind"])
            and wanted.shard in (None, each.document["shard"])
            and each.document["severity"] >= (wanted.min_severity or 0)
            and all(each.document[f"labels.{name}"] == value for name, value in wanted.labels)
        ]
        for order, limit in itertools.product(ORDERS, (7, 100)):
            key = functools.partial(placed, order)
            expected = [each.id for each in sorted(matching, key=key, reverse=order.descending)]
            found, cursor = [], None
            while True:
                page = await index.search(wanted, limit, cursor, order)
                assert len(page.documents) <= limit
                found += [document["event.id"] for document in page.documents]
                if (cursor := page.cursor) is None:
                    break
            assert found == expected, (wanted, order)


def placed(order, entry):
    return order.place(entry.document | {"event.id": entry.id})


async def test_history_of_nothing_is_empty(store, index):
    page = await index.search(Filter(), 10)
    assert (page.documents, page.cursor) == ([], None)
    assert await index.episodes(["episode-1"]) == {}


@pytest.mark.compatibility("History")
async def test_episodes_are_told_by_their_documents(store, index):
    def stored(number):
        return entry(number).document | {"expected_values_temperature": None, "event.id": entry(number).id}

    await index.write([entry(number) for number in range(1998)])
    if isinstance(store, ServerStore):
        store.count()  # refreshes
    found = await index.episodes([f"episode-{number}" for number in (0, 7, 499, 500)])
    assert found == {
        "episode-0": Episode(entry(3).time, "stuck", 0.3, 33, 4, [stored(1)]),
        "episode-7": Episode(entry(31).time, "stuck", 3.1, 91, 4, [stored(29)]),
        "episode-499": Episode(entry(1997).time, "level shift", 199.7, 71, 2, [stored(1997)]),
    }
    assert await index.episodes([]) == {}


@pytest.mark.parametrize(
    "cursor", ["", "4711", "time-desc_0.0_1700000000000", "time-up_0.0_1_" + "0" * 32, "2023-11-15_1"]
)
async def test_a_cursor_of_somebody_else_is_refused(cursor, tmp_path):
    async with opened(SQLiteIndex(tmp_path / "index.db")) as index:
        with pytest.raises(ValueError, match="not one that an earlier answer gave"):
            await index.search(Filter(), 10, cursor)


async def test_opening_again_keeps_everything(store, index):
    await index.write([entry(1)])
    again = store.index()
    await again.open()
    await again.write([entry(2)])
    await again.close()
    assert set(store.documents()) == {entry(1).id, entry(2).id}


async def test_a_healthy_store_has_no_complaint(store, index):
    assert await index.healthy() is None


# SQLite


WRITER = """
import asyncio, sys
from pathlib import Path
from service.sinks.index.sqlite import SQLiteIndex
from tests.service.stores import entry

async def main():
    index = SQLiteIndex(Path(sys.argv[1]))
    await index.open()
    for number in range(1_000_000):
        await index.write([entry(number)])
        print(number, flush=True)

asyncio.run(main())
"""


def test_what_sqlite_acknowledged_survives_a_kill(tmp_path):
    store = SQLiteStore(tmp_path)
    command = [sys.executable, "-c", WRITER, str(store.path)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    acknowledged = [int(writer.stdout.readline()) for _ in range(50)]
    writer.kill()
    acknowledged += [int(line) for line in writer.communicate()[0].splitlines()]
    assert set(store.documents()) >= {entry(number).id for number in acknowledged}


async def test_a_locked_file_is_waited_for(tmp_path):
    index = SQLiteIndex(tmp_path / "index.db")
    await index.open()
    with contextlib.closing(sqlite3.connect(tmp_path / "index.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(index.write([entry(1)]))
        await asyncio.sleep(0.2)
        assert not writing.done()
        other.execute("COMMIT")
        assert await writing == []
    await index.close()


async def test_old_documents_are_deleted_by_event_time(tmp_path):
    store = SQLiteStore(tmp_path)
    async with opened(SQLiteIndex(store.path, retention_days=2)) as index:
        await index.write([entry(minute) for minute in range(0, 5 * 1440, 60)])
        assert min(store.documents()) == entry(3 * 1440 - 60).id
        await index.write([entry(1)])  # late, and too old
        await index.write([entry(5 * 1440)])
    assert set(store.documents()) == {entry(minute).id for minute in range(3 * 1440, 5 * 1440 + 1, 60)}


async def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    path = tmp_path / "letters.txt"
    path.write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(IndexSetupError, match=r"letters\.txt: file is not a database; move the file away"):
        await SQLiteIndex(path).open()
    assert path.read_text().startswith("Dear")


async def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(IndexSetupError, match=r"nowhere.*set data_dir to a folder that is writable"):
        await SQLiteIndex(tmp_path / "nowhere" / "index.db").open()


# Servers


async def test_each_document_lies_in_the_index_of_its_day(remote, remote_index):
    await remote_index.write([entry(0), entry(719), entry(720), entry(-1_000_000)])
    found = {hit["_id"]: hit["_index"].removeprefix(remote.prefix) for hit in remote._search({})}
    assert found == {
        entry(0).id: "-2023.11.15",
        entry(719).id: "-2023.11.15",
        entry(720).id: "-2023.11.16",
        entry(-1_000_000).id: "-2021.12.21",
    }


@pytest.mark.compatibility("Conflict")
async def test_a_document_that_contradicts_the_mapping_is_refused_alone(remote, remote_index):
    good = [entry(number) for number in range(10)]
    wrong = entry(100, anomaly_score="high")
    (refused,) = await remote_index.write([*good[:5], wrong, *good[5:]])
    assert (refused.id, refused.index, refused.attempts) == (wrong.id, f"{remote.prefix}-2023.11.15", 1)
    assert refused.code in ("mapper_parsing_exception", "document_parsing_exception")
    assert "anomaly_score" in refused.reason
    assert set(remote.documents()) == {each.id for each in good}


async def test_only_fields_of_the_table_are_mapped_and_they_can_be_charted(remote, remote_index):
    await remote_index.write([entry(0, unheard_of={"a": 1})])
    index = f"{remote.prefix}-2023.11.15"
    properties = remote.server.request("GET", f"/{index}/_mapping")[index]["mappings"]["properties"]
    assert set(properties) == {name.partition(".")[0] for name in names(FIELDS, FEATURES)}
    assert remote.documents()[entry(0).id]["unheard_of"] == {"a": 1}, "kept, but not indexed"


async def test_a_large_write_is_cut_into_requests(remote, remote_index):
    remote_index._writer.bytes = 20_000
    entries = [entry(number) for number in range(3_000)]
    assert await remote_index.write(entries) == []
    assert remote.count() == 3_000


async def test_new_features_reach_the_indices_of_before(remote, remote_index):
    await remote_index.write([entry(0)])
    later = OpenSearchIndex(remote.server.url, remote.prefix, (*FEATURES, "pressure"))
    await later.open()
    await later.close()
    index = f"{remote.prefix}-2023.11.15"
    properties = remote.server.request("GET", f"/{index}/_mapping")[index]["mappings"]["properties"]
    assert properties["feature_data_pressure"] == {"type": "double"}


@pytest.mark.compatibility("What is not ours stays")
async def test_an_index_of_somebody_else_under_our_name_is_left_alone(remote):
    index = f"{remote.prefix}-2023.11.15"
    mappings = {"properties": {"sensor": {"type": "integer"}}}
    remote.server.request("PUT", f"/{index}", {"mappings": mappings})
    with pytest.raises(IndexSetupError, match=r"index .* is not Cutwater's; set another index_prefix"):
        async with opened(remote.index()):
            pass
    assert remote.server.request("GET", f"/{index}/_mapping")[index]["mappings"] == mappings


async def test_a_template_of_somebody_else_under_our_name_is_left_alone(remote):
    template = {"index_patterns": ["theirs-*"]}
    remote.server.request("PUT", f"/_index_template/{remote.prefix}", template)
    with pytest.raises(IndexSetupError, match="is not Cutwater's; set another index_prefix"):
        async with opened(remote.index()):
            pass
    (found,) = remote.server.request("GET", f"/_index_template/{remote.prefix}")["index_templates"]
    assert found["index_template"]["index_patterns"] == ["theirs-*"]


async def test_an_index_where_the_alias_shall_be_is_left_alone(remote):
    remote.server.request("PUT", f"/{remote.prefix}")
    with pytest.raises(IndexSetupError, match=r"shall be an alias; set another index_prefix"):
        async with opened(remote.index()):
            pass


async def test_the_alias_is_all_documents_and_no_dead_letter(remote, remote_index):
    await remote_index.write([entry(0), entry(2000)])
    await remote_index.index_dead_letters([describe_letter(letter(1))])
    assert remote.server.count(remote.prefix) == 2


@pytest.mark.compatibility("Write block")
async def test_a_write_block_is_waited_for(remote, remote_index):
    await remote_index.write([entry(0)])
    index = f"{remote.prefix}-2023.11.15"
    remote.server.request("PUT", f"/{index}/_settings", {"index.blocks.write": True})
    writing = asyncio.create_task(remote_index.write([entry(1), entry(2)]))
    await until(lambda: remote_index._retrier.last_error)
    assert "cluster_block_exception" in await remote_index.healthy()
    remote.server.request("PUT", f"/{index}/_settings", {"index.blocks.write": False})
    assert await writing == []
    assert remote.count() == 3
    assert await remote_index.healthy() is None


@pytest.mark.compatibility("Killed in the middle")
async def test_a_server_killed_and_restarted_in_the_middle_loses_and_doubles_nothing(mortal, mortal_index, caplog):
    mortal_index._writer.bytes = 50_000
    restarted, written = asyncio.Event(), []

    async def write(shard):
        """One part after the other, until the server has been restarted."""
        at = 500 * shard
        while not restarted.is_set():
            part = [entry(number) for number in range(at, at + 500)]
            assert await mortal_index.write(part) == []
            written.extend(part)
            at += 2000

    writing = asyncio.gather(*(write(shard) for shard in range(4)))
    while await asyncio.to_thread(mortal.count) == 0:  # noqa: ASYNC110 - the server has no event to wait for
        await asyncio.sleep(0.01)
    await asyncio.to_thread(mortal.server.kill)
    with_password = OpenSearchIndex(mortal.server.url.replace("//", "//user:geheim@"), mortal.prefix, FEATURES)
    opening = asyncio.create_task(with_password.open())
    await until(lambda: caplog.text.count("waiting, nothing is lost") == 2)
    assert "cannot connect to 127.0.0.1" in await mortal_index.healthy()
    assert "geheim" not in await with_password.healthy() + caplog.text

    await asyncio.to_thread(mortal.server.start)
    restarted.set()
    await writing
    assert mortal.count() == len(written)
    await opening
    assert (with_password.distribution, with_password.version) == (
        mortal.server.spec.distribution,
        mortal.server.spec.version,
    )
    assert await mortal_index.healthy() is None
    assert caplog.text.count("works again") == 2
    await with_password.close()


async def test_a_server_that_hangs_is_unhealthy_and_then_is_not(mortal, mortal_index, monkeypatch):
    monkeypatch.setattr("service.sinks.index.opensearch.HEALTH_SECONDS", 0.3)
    mortal.server.pause()
    try:
        assert "no answer in time" in await mortal_index.healthy()
    finally:
        mortal.server.resume()
    assert await mortal_index.healthy() is None


async def test_what_waiting_will_not_mend_fails_at_once_with_the_remedy(remote):
    url = remote.server.url
    for wrong, message in {
        url.replace("http://", "https://"): "does not speak TLS; write http://",
        f"{url}/_nodes": "is no OpenSearch or Elasticsearch; check opensearch_url",
    }.items():
        with pytest.raises(IndexSetupError, match=message):
            async with opened(OpenSearchIndex(wrong, remote.prefix, FEATURES)):
                pass


async def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "in vain"
        await asyncio.sleep(0.01)
