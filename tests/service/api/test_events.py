"""Events and windows by the API: filtered, paged, and windows added up over shards."""

from tests.service.api.conftest import serving
from tests.service.sinks.test_index_events import events, windows

SETTINGS = {
    "event_format": "flow-log",
    "value_fields": "value",
    "windows": [{"name": "sources", "key": ["source.ip"], "measures": {"n": "count", "mean": "mean network.bytes"}}],
}


async def get(client, path, **parameters):
    answer = await client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_events_are_shown_newest_first_with_a_cursor(tmp_path):
    made = events()
    async with serving(tmp_path, **SETTINGS) as (service, client):
        await service.index.write(made)
        first = await get(client, "/events", limit=4)
        rest = await get(client, "/events", limit=4, cursor=first["cursor"])
        shown = [each["event.id"] for each in (*first["events"], *rest["events"])]
        assert shown == [each.id for each in reversed(made)]
        assert rest["cursor"] is None
        some = await get(client, "/events", field="srcaddr:10.0.0.1")
        assert {each["bytes"] for each in some["events"]} == {1, 4}
        assert (await client.get("/events", params={"field": "nonsense"})).status_code == 422


async def test_windows_of_several_shards_are_one(tmp_path):
    async with serving(tmp_path, **SETTINGS) as (service, client):
        other = windows("other")[:2]
        for each in other:
            each.document.update({"window.events": 1, "measures.n": 1, "measures.mean": 7, "measures.mean_sum": 7})
            each.document["measures.mean_count"] = 1
        await service.index.write([*windows(), *other])
        shown = (await get(client, "/windows"))["windows"]
        assert [(each["key"], each["events"], each["shards"]) for each in shown] == [
            ("10.0.0.2", 3, 1),
            ("10.0.0.1", 4, 2),
            ("10.0.0.0", 4, 2),
        ]
        assert shown[1]["measures"] == {"n": 4, "mean": 10 / 3, "mean_sum": 10, "mean_count": 3}
        assert shown[1]["fields"] == {"source.ip": "10.0.0.1"}


async def test_a_page_of_windows_never_tears_a_beginning_apart(tmp_path):
    async with serving(tmp_path, **SETTINGS) as (service, client):
        await service.index.write([*windows(), *windows("other"), *windows("third")])
        cursor, seen = None, []
        for _ in range(9):
            page = await get(client, "/windows", limit=1, **({"cursor": cursor} if cursor else {}))
            seen += [(each["key"], each["shards"]) for each in page["windows"]]
            if (cursor := page["cursor"]) is None:
                break
        assert seen == [("10.0.0.2", 3), ("10.0.0.1", 3), ("10.0.0.0", 3)]
        assert (await get(client, "/windows", key="10.0.0.1", program="sources"))["windows"][0]["shards"] == 3
        refused = await client.get("/windows", params={"program": "source"})
        assert "did you mean sources?" in refused.json()["detail"]


async def test_a_stream_of_readings_has_no_events(tmp_path):
    async with serving(tmp_path) as (_, client):
        assert await get(client, "/events") == {"events": [], "cursor": None}
        assert (await get(client, "/status"))["events"] is None
