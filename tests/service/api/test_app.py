"""The HTTP API over a service whose scores the test knows."""

import asyncio
import csv
import io
import json
import re

import httpx
import pytest

from detector.types import LEVEL_SHIFT, SPIKE
from service.api import history
from service.api.app import build
from service.api.models import EXAMPLE_SCORE
from service.pipeline.documents import describe, entries, timestamp
from service.settings.model import load
from service.sinks.index import IndexUnavailableError
from service.sinks.index.sqlite import SQLiteIndex
from service.worker.service import Service, serve
from tests.service.sinks.test_recent_scores import batch

NOW = 1_700_000_000_000
ROWS = [("boiler" if i % 2 else "=1+1,\n<b>", NOW + 1000 * i, float(i % 7), i % 7 == 6) for i in range(50)]


@pytest.fixture
async def client(tmp_path):
    settings = load({"data_dir": tmp_path, "endpoint_url": "http://127.0.0.1:9", "value_fields": "v"}, {})
    async with Service.open(settings) as service:
        service.recent.append(batch(ROWS))
        transport = httpx.ASGITransport(app=build(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


async def rows(client, **parameters) -> list[int]:
    answer = await client.get("/scores", params=parameters)
    assert answer.status_code == 200, answer.text
    return [document["row"] for document in answer.json()["scores"]]


async def test_scores_come_newest_first_and_filters_combine(client):
    assert await rows(client) == list(range(50))[::-1]
    assert await rows(client, sensor="boiler", anomalies=True) == [41, 27, 13]
    assert await rows(client, min_score=5.5, limit=2) == [48, 41]
    since, until = timestamp(NOW + 10_000), str(NOW + 13_000)
    assert await rows(client, since=since, until=until) == [12, 11, 10]
    assert await rows(client, sensor="nobody") == []


async def test_the_cursor_leads_through_all_pages(client):
    found, cursor = [], None
    while True:
        page = (await client.get("/scores", params={"limit": 7} | ({"cursor": cursor} if cursor else {}))).json()
        found += [document["row"] for document in page["scores"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert found == list(range(50))[::-1]


async def test_what_left_the_memory_comes_from_the_index_page_by_page_each_once(tmp_path):
    """Memory holds the last 100 of 400, the index the first 350: 50 are in both."""
    flags = {"data_dir": tmp_path, "endpoint_url": "http://127.0.0.1:9", "value_fields": "v", "recent_scores": 100}
    everything = batch([("boiler", NOW + 1000 * (i // 3), float(i % 7), i % 7 == 6) for i in range(400)])
    async with Service.open(load(flags, {})) as service:
        await service.index.write(entries(everything, range(350)))
        service.recent.append(everything)
        documents = [describe(everything, row) for row in range(400)]
        transport = httpx.ASGITransport(app=build(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for wanted in ({}, {"anomalies": True, "min_score": 6}, {"since": NOW + 30_000, "until": NOW + 120_000}):
                found, cursor = [], None
                while True:
                    more = {"cursor": cursor} if cursor else {}
                    page = (await client.get("/scores", params={"limit": 37, **wanted, **more})).json()
                    found += [document["event.id"] for document in page["scores"]]
                    if (cursor := page["cursor"]) is None:
                        break
                matching = [
                    (each["@timestamp"], each["event.id"])
                    for each in documents
                    if (each["is_anomaly"] or "anomalies" not in wanted)
                    and timestamp(wanted.get("since", 0))
                    <= each["@timestamp"]
                    < timestamp(wanted.get("until", 2 * NOW))
                ]
                assert found == [name for _, name in sorted(matching, reverse=True)]
            remembered = (await client.get("/scores", params={"history": False, "limit": 1000})).json()["scores"]
            assert len(remembered) == 100
            assert "row" in remembered[0]


async def test_episodes_are_alerts_with_what_followed(tmp_path):
    settings = load({"data_dir": tmp_path, "endpoint_url": "http://127.0.0.1:9", "value_fields": "v"}, {})
    rows = [("boiler", NOW + 1000 * i, 1.0 + i, True) for i in range(9)]
    scored = batch(rows)
    scored.scores.alert[[0, 5]] = True
    scored.scores.kind[:] = SPIKE
    scored.scores.episode_kind[:] = [SPIKE] * 2 + [LEVEL_SHIFT] * 3 + [SPIKE] * 4
    scored.scores.episode_start[:5], scored.scores.episode_start[5:] = NOW, NOW + 5000
    async with Service.open(settings) as service:
        await service.index.write(entries(scored, range(9)))
        transport = httpx.ASGITransport(app=build(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            first = (await client.get("/anomalies", params={"limit": 1})).json()
            second = (await client.get("/anomalies", params={"limit": 1, "cursor": first["cursor"]})).json()
            both = (await client.get("/anomalies", params={"sensor": "boiler"})).json()
            none = (await client.get("/anomalies", params={"until": str(NOW)})).json()
    assert first["anomalies"] + second["anomalies"] == both["anomalies"]
    assert none == {"anomalies": [], "cursor": None}
    late, early = both["anomalies"]
    assert early | {"alerts": None} == {
        "episode_id": early["alerts"][0]["episode_id"], "sensor": "boiler", "anomaly_kind": "spike",
        "episode_kind": "level shift", "approx_anomaly_start_time": timestamp(NOW), "severity": 100,
        "last_seen": timestamp(NOW + 4000), "episode_peak_score": 5.0, "documents": 5, "alerts": None,
    }  # fmt: skip
    assert (late["documents"], late["last_seen"], late["episode_peak_score"]) == (4, timestamp(NOW + 8000), 9.0)


async def test_while_the_index_is_away_scores_are_those_in_memory_and_say_so(client, monkeypatch):
    asked = 0

    async def away(*_):
        nonlocal asked
        asked += 1
        raise IndexUnavailableError("index http://search: cannot connect")

    assert (await client.get("/scores")).json()["history"] == "complete"
    monkeypatch.setattr(SQLiteIndex, "search", away)
    for _ in range(3):
        answer = (await client.get("/scores", params={"limit": 100})).json()
        assert (len(answer["scores"]), answer["history"]) == (50, "unavailable")
    table = await client.get("/scores", params={"format": "csv"})
    assert table.headers["x-history"] == "unavailable"
    assert (await client.get("/scores", params={"history": False})).json()["history"] == "not asked"
    episodes = await client.get("/anomalies")
    assert episodes.status_code == 503
    assert "cannot connect" in episodes.json()["detail"]
    assert asked == 1, "an index that has just failed is left alone for a while"


async def test_an_index_that_does_not_answer_is_not_waited_for(client, monkeypatch):
    async def slow(*_):
        await asyncio.sleep(3600)

    monkeypatch.setattr(SQLiteIndex, "search", slow)
    monkeypatch.setattr(history, "WAIT_SECONDS", 0.01)
    answer = (await client.get("/scores")).json()
    assert (len(answer["scores"]), answer["history"]) == (50, "unavailable")
    assert "has not answered for 0.01 s" in (await client.get("/anomalies")).json()["detail"]


async def test_ndjson_and_csv_hold_the_same_rows_whatever_a_sensor_is_called(client):
    lines = (await client.get("/scores", params={"format": "ndjson"})).text.splitlines()
    table = list(csv.DictReader(io.StringIO((await client.get("/scores", params={"format": "csv"})).text, newline="")))
    assert [json.loads(line)["sensor"] for line in lines] == [row["sensor"] for row in table]
    assert {row["sensor"] for row in table} == {"boiler", "=1+1,\n<b>"}
    assert [json.loads(line)["feature_data_v"] for line in lines] == [float(row["feature_data_v"]) for row in table]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/scores?limit=x", "limit: Input should be a valid integer"),
        ("/scores?limit=0", "limit: Input should be greater than or equal to 1"),
        ("/scores?since=yesterday", "since: 'yesterday' is not a time"),
        ("/scores?cursor=abc", "cursor: 'abc' is not one that an earlier answer gave"),
        ("/scores?format=xml", "format: Input should be 'json', 'ndjson' or 'csv'"),
        ("/sensors?sort=size", "sort: Input should be"),
    ],
)
async def test_an_error_says_what_is_wrong_with_which_parameter(client, path, message):
    answer = await client.get(path)
    assert answer.status_code == 422
    assert message in answer.json()["detail"]


async def test_sensors_can_be_searched_and_sorted(client):
    answer = (await client.get("/sensors", params={"search": "BOIL"})).json()
    assert answer["total"] == 1
    assert answer["sensors"][0] | {"last": None} == {
        "sensor": "boiler", "shard": "shardId-000000000000", "state": "ready", "readings_seen": 1, "needed": 256,
        "last": None, "anomalies": 3, "last_anomaly": timestamp(NOW + 41_000),
    }  # fmt: skip
    by_anomaly = (await client.get("/sensors", params={"sort": "last_anomaly"})).json()["sensors"]
    assert [sensor["sensor"] for sensor in by_anomaly] == ["=1+1,\n<b>", "boiler"]


async def test_trying_a_reading_needs_its_values_and_a_known_sensor(client):
    wrong = await client.post("/score", json={"sensor": "boiler", "values": {"w": 1}})
    assert (wrong.status_code, wrong.json()["detail"]) == (422, "values: needs exactly ['v'], got ['w']")
    unknown = await client.post("/score", json={"sensor": "nobody", "values": {"v": 1}})
    assert unknown.status_code == 404
    infinite = await client.post(
        "/score", content='{"sensor": "boiler", "values": {"v": 1e999}}', headers={"content-type": "application/json"}
    )
    assert infinite.status_code == 422


async def test_health_needs_nothing_and_readiness_says_what_is_missing(client):
    assert (await client.get("/health")).json() == {"status": "ok"}
    ready = await client.get("/ready")
    assert ready.status_code == 503
    assert ready.json() == {"ready": False, "reasons": ["stream 'RawStreamData': has not answered yet"]}


async def test_metrics_and_openapi_are_served(client):
    assert "cutwater_in_flight_bytes" in (await client.get("/metrics")).text
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert {
        "/scores",
        "/anomalies",
        "/scores/stream",
        "/sensors",
        "/score",
        "/status",
        "/ready",
        "/dead-letter",
    } <= paths.keys()


async def test_the_page_of_the_api_needs_nothing_from_outside(client):
    text = (await client.get("/docs")).text
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", text)
    for path in re.findall(r"""(?:src|href)=["'](/[^"']+)""", text):
        assert (await client.get(path)).status_code == 200, path


async def test_every_example_has_the_fields_of_a_document(client):
    """So the documentation cannot fall behind the documents."""
    (document, *_) = (await client.get("/scores")).json()["scores"]
    expected = {re.sub("_v$", "_iotValue", name) for name in document}
    assert set(EXAMPLE_SCORE) == expected


async def test_the_stream_goes_on_after_the_last_row_that_a_client_saw(tmp_path):
    """Over a real socket: an endless answer cannot be read through the in-process transport."""
    settings = load({"data_dir": tmp_path, "endpoint_url": "http://127.0.0.1:9", "value_fields": "v"}, {})
    async with Service.open(settings) as service, serve(build(service), "127.0.0.1", 0) as address:
        service.recent.append(batch(ROWS))
        headers = {"Last-Event-ID": "27"}
        async with (
            httpx.AsyncClient() as client,
            client.stream("GET", f"{address}/scores/stream?anomalies=true", headers=headers) as answer,
        ):
            identities = []
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    identities.append(int(line.removeprefix("id: ")))
                if len(identities) == 3:
                    break
    assert identities == [34, 41, 48]
