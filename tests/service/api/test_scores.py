"""Scores over HTTP: filters, orders, pages, forms, episodes, sensors, and what comes as it comes."""

import asyncio
import csv
import io
import json
import threading
from dataclasses import replace

import httpx
import numpy as np
import pytest

from detector import Detector
from detector.types import LEVEL_SHIFT, SPIKE
from service.api import history, responses, scores
from service.api.app import build
from service.pipeline.documents import describe, index_documents, timestamp
from service.settings.model import load
from service.sinks import recent_scores
from service.sinks.index import IndexUnavailableError
from service.sinks.index.sqlite import SQLiteIndex
from service.worker.server import serve
from service.worker.service import Service
from tests.service.api.conftest import NOW, ROWS, serving
from tests.service.sinks.test_recent_scores import batch


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
    everything = batch([("boiler", NOW + 1000 * (i // 3), float(i % 7), i % 7 == 6) for i in range(400)])
    async with serving(tmp_path, recent_scores=100) as (service, client):
        await service.index.write(index_documents(everything, range(350)))
        service.recent.append(everything)
        documents = [describe(everything, row) for row in range(400)]
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
                and timestamp(wanted.get("since", 0)) <= each["@timestamp"] < timestamp(wanted.get("until", 2 * NOW))
            ]
            assert found == [name for _, name in sorted(matching, reverse=True)]
        remembered = (await client.get("/scores", params={"history": False, "limit": 1000})).json()["scores"]
        assert len(remembered) == 100
        assert "row" in remembered[0]


async def test_episodes_are_alerts_with_what_followed(tmp_path):
    rows = [("boiler", NOW + 1000 * i, 1.0 + i, True) for i in range(9)]
    scored = batch(rows)
    scored.scores.alert[[0, 5]] = True
    scored.scores.kind[:] = SPIKE
    scored.scores.episode_kind[:] = [SPIKE] * 2 + [LEVEL_SHIFT] * 3 + [SPIKE] * 4
    scored.scores.episode_start[:5], scored.scores.episode_start[5:] = NOW, NOW + 5000
    async with serving(tmp_path) as (service, client):
        await service.index.write(index_documents(scored, range(9)))
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


async def test_sensors_can_be_searched_and_sorted(client):
    answer = (await client.get("/sensors", params={"search": "BOIL"})).json()
    assert answer["total"] == 1
    assert answer["sensors"][0] | {"last": None} == {
        "sensor": "boiler", "shard": "shardId-000000000000", "state": "ready", "readings_seen": 1, "needed": 256,
        "last": None, "anomalies": 3, "last_anomaly": timestamp(NOW + 41_000),
        "severity": 100,
    }  # fmt: skip
    by_anomaly = (await client.get("/sensors", params={"sort": "last_anomaly"})).json()["sensors"]
    assert [sensor["sensor"] for sensor in by_anomaly] == ["=1+1,\n<b>", "boiler"]


async def test_the_severest_sensors_come_first_whatever_came_last(tmp_path):
    async with serving(tmp_path) as (service, client):
        rows = [("mild", 1.0), ("severe", 4.0), ("calm", None), ("middling", 2.0)]
        service.recent.append(
            batch([(name, NOW + i, score or 0.5, score is not None) for i, (name, score) in enumerate(rows)])
        )
        sensors = (await client.get("/sensors", params={"sort": "severity"})).json()["sensors"]
    assert [(sensor["sensor"], sensor["severity"]) for sensor in sensors] == [
        ("severe", 80), ("middling", 40), ("mild", 20), ("calm", 0),
    ]  # fmt: skip


async def test_trying_a_reading_needs_its_values_and_a_known_sensor(client):
    wrong = await client.post("/score", json={"sensor": "boiler", "values": {"w": 1}})
    assert (wrong.status_code, wrong.json()["detail"]) == (422, "values: needs exactly ['v'], got ['w']")
    unknown = await client.post("/score", json={"sensor": "nobody", "values": {"v": 1}})
    assert unknown.status_code == 404
    infinite = await client.post(
        "/score", content='{"sensor": "boiler", "values": {"v": 1e999}}', headers={"content-type": "application/json"}
    )
    assert infinite.status_code == 422


async def test_a_forecast_has_a_reading_for_each_step_and_needs_a_known_sensor(tmp_path, monkeypatch):
    async with serving(tmp_path) as (service, client):
        detector = Detector(service.configuration, 0)
        detector.process(NOW + 1000 * np.arange(500), np.random.default_rng(0).normal(50, 1, (500, 1)))

        async def forecast(sensor, horizon):
            return detector.forecast(horizon) if sensor == "boiler" else None

        monkeypatch.setattr(service, "forecast", forecast)
        answer = (await client.get("/forecast", params={"sensor": "boiler", "horizon": 3})).json()
        assert answer["sensor"] == "boiler"
        assert [each["@timestamp"] for each in answer["readings"]] == [
            timestamp(NOW + 1000 * k) for k in (500, 501, 502)
        ]
        for each in answer["readings"]:
            assert each["expected_lower"]["v"] < each["expected_values"]["v"] < each["expected_upper"]["v"]
        assert (await client.get("/forecast", params={"sensor": "nobody"})).status_code == 404
        assert (await client.get("/forecast", params={"sensor": "boiler", "horizon": 0})).status_code == 422


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


async def test_scores_are_filtered_by_label_shard_kind_and_severity(tmp_path):
    async with serving(tmp_path, label_fields="site,line") as (service, client):
        for number, shard in enumerate(("shardId-000000000000", "shardId-000000000001")):
            scored = batch(ROWS, shard)
            scored.scores.kind[:] = (SPIKE, LEVEL_SHIFT)[number]
            sites = [{"site": ("north", "a:b")[row % 2], "line": "1"} for row in range(50)]
            service.recent.append(replace(scored, labels=sites))
            await service.index.write(index_documents(replace(scored, labels=sites), range(50)))
        anomalies = [6, 13, 20, 27, 34, 41, 48]
        assert await rows(client, alerts=True) == []
        assert await rows(client, shard="shardId-000000000000", anomalies=True) == anomalies[::-1]
        assert await rows(client, kind="level shift") == [50 + row for row in anomalies[::-1]]
        assert await rows(client, min_severity=1, kind="spike") == anomalies[::-1]
        assert await rows(client, **{"label.site": "north"}, kind="spike") == [48, 34, 20, 6]
        assert await rows(client, label="site:a:b", kind="spike") == [41, 27, 13]
        assert await rows(client, label=["site:north", "line:2"]) == []
        nowhere = await client.get("/scores", params={"label.sight": "north"})
        assert nowhere.json()["detail"] == "label: 'sight' is unknown; did you mean site?"
        colon = await client.get("/scores", params={"label": "north"})
        assert colon.json()["detail"] == "label: 'north' is not NAME:VALUE"


async def test_scores_are_sorted_by_time_score_or_severity_from_either_end(client):
    assert await rows(client, order="asc", limit=3) == [0, 1, 2]
    assert await rows(client, sort="score", limit=3) == [48, 41, 34]
    assert await rows(client, sort="score", order="asc", limit=3) == [0, 7, 14]
    assert await rows(client, sort="severity", limit=8) == [48, 41, 34, 27, 20, 13, 6, 49]
    first = (await client.get("/scores", params={"sort": "score", "order": "asc", "limit": 20})).json()
    others = await rows(client, cursor=first["cursor"], limit=40)
    assert [document["row"] for document in first["scores"]] + others == sorted(
        range(50), key=lambda row: (row % 7, row)
    )


async def test_only_the_fields_that_are_asked_for_are_answered(client):
    found = (await client.get("/scores", params={"fields": "sensor,row", "limit": 2})).json()["scores"]
    assert found == [{"sensor": "boiler", "row": 49}, {"sensor": "=1+1,\n<b>", "row": 48}]
    table = (await client.get("/scores", params={"fields": ["row", "@timestamp"], "format": "csv", "limit": 1})).text
    assert table == f"row,@timestamp\n49,{timestamp(NOW + 49_000)}\n"


async def test_large_answers_are_compressed_for_those_who_take_that(client):
    packed = await client.get("/scores", headers={"accept-encoding": "gzip"})
    plain = await client.get("/scores", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 4
    assert packed.content == plain.content
    assert packed.headers["vary"] == plain.headers["vary"] == "accept-encoding"


@pytest.mark.parametrize(
    "path", ["/scores?limit=10000", "/scores?limit=10000&format=csv&sort=score", "/scores?limit=5000"]
)
async def test_large_answers_hold_up_nobody(tmp_path, monkeypatch, path):
    """No document is made, written or compressed in the thread of the event loop; the index gives few at once."""
    loop, made, decoded = threading.get_ident(), [], []

    def describe_noted(*args):
        made.append(threading.get_ident())
        return describe(*args)

    async def search_noted(index, wanted, limit, *args):
        decoded.append(limit)
        return await searched(index, wanted, limit, *args)

    def encode_noted(*args):
        made.append(threading.get_ident())
        return encode(*args)

    searched, encode = SQLiteIndex.search, responses._encode
    monkeypatch.setattr(recent_scores, "describe", describe_noted)
    monkeypatch.setattr(responses, "_encode", encode_noted)
    monkeypatch.setattr(SQLiteIndex, "search", search_noted)
    async with serving(tmp_path) as (service, client):
        many = batch([("boiler", NOW + i, 1.0, False) for i in range(12_000)])
        await service.index.write(index_documents(many, range(11_000)))
        service.recent.append(many)
        made.clear()
        answer = await client.get(path, headers={"accept-encoding": "gzip"})
    assert answer.status_code == 200
    assert len(made) >= 5_000
    assert loop not in made
    assert max(decoded) <= 1_000


async def test_others_are_answered_while_a_large_answer_is_being_made(tmp_path, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def slow(*args):
        begun.set()
        assert go_on.wait(60)
        return b""

    monkeypatch.setattr(scores, "ndjson", slow)
    async with serving(tmp_path) as (_, client):
        large = asyncio.create_task(client.get("/scores", params={"format": "ndjson"}))
        await asyncio.to_thread(begun.wait, 60)
        for path in ("/health", "/scores?limit=5", "/sensors", "/status"):
            assert (await client.get(path)).status_code == 200
        assert not large.done()
        go_on.set()
        assert (await large).status_code == 200


async def test_an_episode_is_listed_once_with_its_alerts_inside_page_by_page(tmp_path):
    """Three episodes; the second has three alerts, which lie on several pages."""
    starts = [0, 10, 40]
    scored = batch([("boiler", NOW + 1000 * i, float(i % 9), True) for i in range(60)])
    begins = [max(start for start in starts if start <= row) for row in range(60)]
    scored.scores.episode_start[:] = [NOW + 1000 * begin for begin in begins]
    scored.scores.alert[[0, 10, 20, 30, 40]] = True
    scored.scores.kind[:] = SPIKE
    scored.scores.episode_kind[:] = SPIKE
    scored.scores.episode_kind[15:40] = LEVEL_SHIFT
    async with serving(tmp_path) as (service, client):
        await service.index.write(index_documents(scored, range(60)))

        async def listed(**parameters):
            found, cursor = [], None
            while True:
                more = parameters | ({"cursor": cursor} if cursor else {})
                page = (await client.get("/anomalies", params=more)).json()
                found += page["anomalies"]
                if (cursor := page["cursor"]) is None:
                    return found

        for limit in (1, 2, 100):
            found = await listed(limit=limit)
            assert [each["approx_anomaly_start_time"] for each in found] == [
                timestamp(NOW + 1000 * start) for start in reversed(starts)
            ]
            assert [[alert["@timestamp"] for alert in each["alerts"]] for each in found] == [
                [timestamp(NOW + 1000 * row) for row in alerts] for alerts in ([40], [10, 20, 30], [0])
            ]
            assert await listed(limit=limit, order="asc") == found[::-1]
        assert [each["documents"] for each in await listed(kind="level shift")] == [30]
        assert len(await listed(since=timestamp(NOW + 15_000))) == 1, "the others began before"
        assert len(await listed(min_severity=100)) == 3


async def test_what_is_learning_is_told_alike_everywhere(tmp_path):
    """/status, /sensors and /scores agree on who learns."""
    async with serving(tmp_path) as (service, client):
        scored = batch([("new" if i % 2 else "old", NOW + i, 1.0, False) for i in range(20)])
        scored.scores.ready[:] = [i % 2 == 0 for i in range(20)]
        service.recent.append(scored)
        answer = (await client.get("/sensors", params={"state": "learning"})).json()
        assert (answer["total"], answer["sensors"][0]["sensor"]) == (1, "new")
        for sensor, state in (("new", "learning"), ("old", "ready")):
            found = (await client.get("/scores", params={"sensor": sensor})).json()["scores"]
            assert {document["state"] for document in found} == {state}
        assert (await client.get("/status")).json()["sensors"] == {"seen": 2, "learning": 1}
