"""The API as a whole: errors in one shape, a description, a page of it that needs nothing from outside."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
import pytest

from service.api.app import build
from service.api.docs import describe
from service.settings.model import load
from service.sinks.recent_scores import RecentScores
from service.worker.service import Service


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/scores?limit=x", "limit = 'x': must be an integer"),
        ("/scores?limit=0", "limit = '0': must be at least 1"),
        ("/scores?since=yesterday", "since: 'yesterday' is not a time"),
        ("/scores?cursor=abc", "cursor: 'abc' is not one that an earlier answer gave"),
        ("/scores?format=xml", "format = 'xml': must be 'json', 'ndjson' or 'csv'"),
        ("/sensors?sort=size", "sort = 'size': must be 'name'"),
    ],
)
async def test_an_error_says_what_is_wrong_with_which_parameter(client, path, message):
    answer = await client.get(path)
    assert answer.status_code == 422
    assert message in answer.json()["detail"]


async def test_metrics_and_openapi_are_served(client):
    assert "cutwater_in_flight_bytes" in (await client.get("/metrics")).text
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert {
        "/scores",
        "/anomalies",
        "/scores/stream",
        "/sensors",
        "/score",
        "/forecast",
        "/status",
        "/ready",
        "/dead-letter",
    } <= paths.keys()


async def test_requests_in_parallel_see_one_description_made_before_the_first(tmp_path, monkeypatch):
    made = []

    def note(*parts):
        made.append(describe(*parts))
        return made[-1]

    monkeypatch.setattr("service.api.app.describe", note)
    async with Service.open(load({"data_dir": tmp_path, "endpoint_url": "http://127.0.0.1:9"}, {})) as service:
        api = build(service)
        assert len(made) == 1
        together = Barrier(8)

        def ask(_):
            together.wait(timeout=30)
            return api.openapi()

        with ThreadPoolExecutor(8) as threads:
            assert all(seen is made[0] for seen in threads.map(ask, range(8)))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://127.0.0.1") as client:
            answers = await asyncio.gather(*(client.get("/openapi.json") for _ in range(8)))
            assert all(answer.json() == made[0] for answer in answers)
            answers = await asyncio.gather(*(client.get("/scores", params={"sensor": "pump"}) for _ in range(8)))
            assert [answer.status_code for answer in answers] == [200] * 8
    assert len(made) == 1


async def test_the_page_of_the_api_needs_nothing_from_outside(client):
    text = (await client.get("/docs")).text
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", text)
    for path in re.findall(r"""(?:src|href)=["'](/[^"']+)""", text):
        assert (await client.get(path)).status_code == 200, path


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/scores?sensr=boiler", "'sensr' is unknown; did you mean sensor?"),
        ("/scores?min_scor=1&limit=1", "'min_scor' is unknown; did you mean min_score?"),
        ("/scores?zzz=1", "'zzz' is unknown; /scores takes sensor, shard, kind"),
        ("/scores?since=1700000000000&since=1700000000001", "since: given 2 times"),
        ("/scores/stream?limt=5", "'limt' is unknown"),
        ("/anomalies?anomalies=true", "'anomalies' is unknown"),
        ("/sensors?serch=x", "'serch' is unknown; did you mean search?"),
        ("/status?verbose=1", "'verbose' is unknown; /status takes none"),
        ("/health?x=1", "'x' is unknown"),
        ("/dead-letter?limits=1", "'limits' is unknown; did you mean limit?"),
        ("/scores?fields=sensr", "fields: 'sensr' is unknown; did you mean sensor?"),
        ("/scores?kind=spikes", "kind = 'spikes': must be 'spike', 'level shift'"),
        ("/scores?label=site:north", "label: 'site' is unknown; label_fields names none"),
        ("/scores?label.site=north", "label: 'site' is unknown"),
        ("/scores?min_score=nan", "min_score = 'nan': must be a finite number"),
    ],
)
async def test_what_the_api_does_not_know_is_refused_with_the_nearest_name(client, path, message):
    answer = await client.get(path)
    assert answer.status_code == 422
    assert message in answer.json()["detail"]


async def test_every_error_has_one_shape(client, monkeypatch):
    def broken(*_):
        raise RuntimeError("a fault of ours")

    refused = await client.get("/scores?limit=0")
    absent = await client.get("/score")
    lost = await client.get("/page/nothing.js")
    wrong = await client.post("/scores", json={})
    body = await client.post("/score", json={"sensor": "boiler", "values": {"v": 1}, "tme": 1})
    text = await client.post("/score", content="{", headers={"content-type": "application/json"})
    monkeypatch.setattr(RecentScores, "search", broken)
    fault = await client.get("/scores")
    answers = [refused, absent, lost, wrong, body, text, fault]
    assert [each.status_code for each in answers] == [422, 405, 404, 405, 422, 422, 500]
    for each in answers:
        assert each.headers["content-type"] == "application/json"
        assert set(each.json()) == {"detail"}
        assert isinstance(each.json()["detail"], str)
    assert wrong.headers["allow"] == "GET"


async def test_operations_have_short_names_of_their_own(client):
    paths = (await client.get("/openapi.json")).json()["paths"]
    names = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert sorted(names) == [
        *(
            "add_feedback",
            "anomalies",
            "dead_letter",
            "events",
            "feedback",
            "follow_scores",
            "forecast",
            "health",
            "metrics",
            "ready",
            "score",
            "scores",
            "sensors",
            "status",
            "windows",
            "withdraw_feedback",
        )
    ]


async def test_the_page_takes_what_its_address_holds(client):
    assert (await client.get("/?sensor=boiler&at=1")).status_code == 200
