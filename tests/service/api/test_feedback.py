"""What people say through the API, and what becomes of it."""

import json

import pytest
from starlette.concurrency import run_in_threadpool

from service.cli import main
from tests.service.api.conftest import NOW, serving

EPISODE = {"sensor": "boiler", "episode_id": "e1", "since": NOW, "until": NOW + 60_000}


async def test_what_is_said_is_listed_with_who_and_when_and_can_be_taken_back(tmp_path):
    async with serving(tmp_path) as (_, client):
        said = (await client.post("/feedback", json={"action": "acknowledge", "who": "Ann", **EPISODE})).json()
        assert (said["who"], said["since"], said["withdrawn"]) == ("Ann", "2023-11-14T22:13:20.000Z", None)
        muted = (await client.post("/feedback", json={"action": "mute", "sensor": "pump", "until": "now+2h"})).json()
        assert muted["who"] == "somebody"
        assert (await client.get("/feedback")).json()["feedback"] == [muted, said]
        assert (await client.get("/feedback?sensor=pump")).json()["feedback"] == [muted]
        assert (await client.get("/feedback?action=acknowledge")).json()["feedback"] == [said]
        back = (await client.delete(f"/feedback/{said['id']}?who=Bob")).json()
        assert (back["withdrawn_by"], back["who"]) == ("Bob", "Ann")
        assert (await client.get("/feedback?limit=10&sensor=boiler")).json()["feedback"] == [back]
        assert (await client.delete("/feedback/nothing")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"action": "acknowledge", "sensor": "boiler"},
        {"action": "shrug", **EPISODE},
        {"action": "missed", "sensor": "boiler", "since": "yesterday", "until": NOW},
        {"action": "mute", "sensor": "boiler", "forever": True},
        {"action": "mute", "sensor": ""},
    ],
)
async def test_what_cannot_be_meant_is_refused(tmp_path, body):
    async with serving(tmp_path) as (_, client):
        answer = await client.post("/feedback", json=body)
        assert answer.status_code == 422
        assert (await client.get("/feedback")).json()["feedback"] == []


async def test_a_muted_sensor_and_changes_of_what_is_acknowledged_are_told_to_nobody(tmp_path):
    async with serving(tmp_path) as (service, client):
        await client.post("/feedback", json={"action": "mute", "sensor": "pump"})
        await client.post("/feedback", json={"action": "acknowledge", **EPISODE})

        def unwanted(sensor, stage, episode="e1"):
            return service._unwanted({"sensor": sensor, "stage": stage, "episode_id": episode}, NOW / 1000)

        assert unwanted("pump", "begin")
        assert unwanted("boiler", "update")
        assert not unwanted("boiler", "end")
        assert not unwanted("boiler", "update", "e2")


async def test_what_is_said_becomes_labels(tmp_path):
    since, until = NOW + 390_000, NOW + 380_000  # either way round
    async with serving(tmp_path) as (_, client):
        missed = {"action": "missed", "sensor": "boiler", "since": since, "until": until}
        assert (await client.post("/feedback", json=missed)).status_code == 200
    path = tmp_path / "labels.json"
    export = ["export", "--labels", "--data-dir", str(tmp_path), "--output", str(path)]
    assert await run_in_threadpool(main, export) == 0
    assert json.loads(path.read_text()) == {"boiler": [["2023-11-14T22:19:40.000Z", "2023-11-14T22:19:50.000Z"]]}


async def test_a_method_that_a_path_lacks_is_refused_with_all_that_it_has(tmp_path):
    async with serving(tmp_path) as (_, client):
        answer = await client.put("/feedback")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
        assert (await client.get("/feedback/x")).headers["allow"] == "DELETE"
