"""Times as requests write them: far out of range, as numbers, with a plus sign that the URL turned into a blank."""

import pytest

from service.cli import main
from service.pipeline.documents import timestamp
from service.settings.model import SettingsError, load
from tests.service.api.conftest import NOW, ROWS, serving
from tests.service.sinks.test_recent_scores import batch


@pytest.fixture
async def client(tmp_path):
    async with serving(tmp_path) as (service, client):
        service.recent.append(batch(ROWS))
        yield client


@pytest.mark.parametrize("path", ["/scores", "/anomalies"])
@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize(
    "value",
    [
        "99999999999999999",
        "99999999999999999999999",
        "-99999999999999999999999",
        "9" * 5000,
        "1e400",
        "nan",
        "1" * 30,
        "10000-01-01",
    ],
)
async def test_a_time_out_of_range_is_refused_with_a_sentence(client, path, name, value):
    answer = await client.get(path, params={name: value})
    if value == "99999999999999999":  # is the year 5138 in microseconds
        assert answer.status_code == 200
        return
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"{name}: ")


@pytest.mark.parametrize("value", ["99999999999999999999999", 10**22, -(10**22), 1e300, True, [1], {"a": 1}, "soon"])
async def test_so_is_one_in_a_body(client, value):
    answer = await client.post("/score", json={"sensor": "boiler", "values": {"v": 1}, "time": value})
    assert answer.status_code == 422
    assert "time" in answer.json()["detail"]


@pytest.mark.parametrize(
    "value", [1795740000123, 1795740000, 1795740000.123, "1795740000123456789", "2026-11-27T02:00:00Z", "-1h", None]
)
async def test_a_time_in_a_body_may_be_a_number(client, value):
    answer = await client.post("/score", json={"sensor": "boiler", "values": {"v": 1}, "time": value})
    assert answer.status_code == 404, "understood; this service reads no stream, so it knows no model"


@pytest.mark.parametrize("offset", ["+01:00", " 01:00", "%2B01:00", "+0100"])
async def test_a_plus_sign_that_became_a_blank_is_understood(client, offset):
    """NOW + 10 s in Central Europe."""
    local = timestamp(NOW + 10_000 + 3_600_000).removesuffix("Z")
    answer = await client.get(f"/scores?since={local}{offset}")
    assert len(answer.json()["scores"]) == 40


async def test_seconds_are_not_taken_for_milliseconds(client):
    answer = await client.get(f"/scores?since={NOW // 1000 + 45}")
    assert len(answer.json()["scores"]) == 5


@pytest.mark.parametrize(
    "value", ["2026", "1999", " 2026 ", "2026331", "2026-11", "02:30", "27.11.2026", "yesterday", "-1y"]
)
async def test_what_a_person_may_mean_in_two_ways_is_refused_with_how_to_write_it(client, value):
    """2026 is no second of 1970."""
    for path in ("/scores", "/anomalies"):
        answer = await client.get(path, params={"since": value})
        assert answer.status_code == 422
        assert "2026-01-31" in answer.json()["detail"]
    with pytest.raises(SystemExit):
        main(["export", "--since", value])
    with pytest.raises(SettingsError, match="2026-01-31"):
        load({"start": value}, {})


@pytest.mark.parametrize("value", ["20261127", "2026112702", "2026-11-27", "0", "1795740000"])
async def test_what_is_clear_is_taken(client, value):
    assert (await client.get("/scores", params={"since": value})).status_code == 200
    assert load({"start": value}, {})
