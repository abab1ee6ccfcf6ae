"""Messages to real receivers: what they get, and what happens when they fail, hang and lie."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
import tracemalloc

import pytest

from service.cli import main
from service.metrics import Metrics
from service.settings.model import SettingsError, load
from service.sinks.notify.message import LISTED, compose, compose_digest
from service.sinks.notify.notifier import MOST_REFUSALS, Notifier
from service.sinks.notify.outbox import MOST_PENDING, Notice
from service.sinks.notify.routes import Route
from service.sinks.notify.targets import NotSentError
from service.sinks.notify.webhook import WebhookTarget
from tests.service.sinks.receiver import START, Receiver, change

USUAL = {"name": "hook", "to": "webhook", "group_seconds": 0, "most_per_minute": 1000}


def settings(*routes, **more):
    given = [USUAL | route for route in routes]
    return load({"notify": given, "label_fields": "site", "page_url": "https://cutwater.example/x/", **more}, {})


@contextlib.asynccontextmanager
async def notifying(*routes, muted=lambda *_: False, **more):
    """A notifier with an outbox, and the dead letters that it gave up."""
    letters = []

    async def give_up(some):
        letters.extend(some)

    notifier = Notifier(settings(*routes, **more), give_up, Metrics(), muted)
    outbox = notifier.outbox("shardId-0")
    await notifier.open()
    try:
        yield notifier, outbox, letters
    finally:
        await notifier.close()


def note(outbox, *changes, routes=None, since=None):
    """As ``Outbox.note`` does of scored readings."""
    for each in changes:
        wanted = {route.name for route in outbox._routes if route.wants(each)} if routes is None else set(routes)
        if wanted:
            outbox.pending[each["key"]] = Notice(each, wanted, time.time() if since is None else since)
    outbox._wake()


async def until(condition, seconds=30.0):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the receivers are threads
            await asyncio.sleep(0.01)


async def test_a_message_says_what_happened_and_links_to_the_moment():
    with Receiver() as receiver:
        async with notifying({"url": receiver.url, "secret": "hush"}) as (_, outbox, _):
            note(outbox, change(7))
            await until(lambda: not outbox.pending)
    ((_, headers, body, raw, _),) = receiver.taken
    assert body["title"] == "Alert: spike on sensor-7, severity 80"
    assert "v 117 instead of 17" in body["text"]
    assert body["link"] == f"https://cutwater.example/x/?sensor=sensor-7&at={START + 7 * 60_000}"
    assert body["key"] == headers["X-Cutwater-Key"] == headers["Idempotency-Key"] == change(7)["key"]
    assert body["episodes"][0]["values"] == {"v": {"value": 117.0, "expected": 17.0, "share": 3.0}}
    moment, signature = (part.split("=")[1] for part in headers["X-Cutwater-Signature"].split(","))
    assert hmac.new(b"hush", f"{moment}.".encode() + raw, hashlib.sha256).hexdigest() == signature
    assert abs(int(moment) - time.time()) < 60


async def test_an_episode_is_one_incident_with_its_changes_and_its_end():
    episode = change(1)["episode_id"]
    stages = [change(1, stage, episode_id=episode, key=f"{episode}:{stage}") for stage in ("begin", "update", "end")]
    with Receiver() as receiver:
        async with notifying({"url": receiver.url}) as (_, outbox, _):
            note(outbox, *stages)
            await until(lambda: not outbox.pending)
    assert [body["stage"] for body in receiver.bodies] == ["begin", "update", "end"]
    assert len({body["incident"] for body in receiver.bodies}) == 1
    assert len({body["key"] for body in receiver.bodies}) == 3


@pytest.mark.parametrize(("group", "messages"), [("minute", 1), ("site", 2), ("none", 6)])
async def test_alerts_that_begin_together_are_one_incident(group, messages):
    moment = change(1)["start"]
    together = [change(n, start=moment, labels={"site": "north" if n < 4 else "south"}) for n in range(6)]
    with Receiver() as receiver:
        async with notifying({"url": receiver.url, "group": group, "group_seconds": 0.2}) as (_, outbox, _):
            note(outbox, *together)
            await until(lambda: not outbox.pending)
    assert len(receiver.bodies) == messages
    assert sorted(receiver.keys()) == sorted(each["key"] for each in together)


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({"min_severity": 81}, False),
        ({"min_severity": 80}, True),
        ({"kinds": ["silent", "spike"]}, True),
        ({"kinds": ["silent"]}, False),
        ({"sensors": ["sensor-*"]}, True),
        ({"sensors": ["pump-*", "sensor-3"]}, True),
        ({"sensors": ["sensor-"]}, False),
        ({"sensors": ["[s]ensor-3", "sensor-?"]}, False),
        ({"labels": {"site": "nor*"}}, True),
        ({"labels": {"site": "south"}}, False),
        ({"stages": ["end"]}, False),
    ],
)
def test_a_route_tells_what_fits_its_filters(filters, told):
    (table,) = settings({"url": "http://x/", **filters}).notify
    assert Route(table).wants(change(3)) is told


def test_quiet_hours_are_of_their_zone_and_may_pass_midnight():
    (table,) = settings({"url": "http://x/", "quiet": ["22:00-06:00", "12:00-13:00"], "zone": "Europe/Berlin"}).notify
    route = Route(table)
    noon = 1_800_014_400  # 2027-01-15T12:00Z, 13:00 in Berlin
    hours = {hour: route.is_quiet(noon + 3600 * (hour - 13)) for hour in (5, 6, 12, 13, 21, 22, 23)}
    assert hours == {5: True, 6: False, 12: True, 13: False, 21: False, 22: True, 23: True}


async def test_in_quiet_hours_messages_wait():
    with Receiver() as receiver:
        quiet = ["00:00-12:00", "12:00-00:00"]
        async with notifying({"url": receiver.url, "quiet": quiet}) as (notifier, outbox, _):
            note(outbox, change(1))
            await asyncio.sleep(0.2)
            assert notifier.describe()[0] | {"name": "", "to": ""} == {
                "name": "", "to": "", "sent": 0, "waiting": 1, "quiet": True, "error": None
            }  # fmt: skip
    assert receiver.asked == 0


@pytest.mark.parametrize("answer", [500, 503, 429, "close"])
async def test_a_receiver_that_fails_is_asked_again(answer):
    with Receiver(answer, answer) as receiver:
        async with notifying({"url": receiver.url}) as (notifier, outbox, letters):
            note(outbox, change(1))
            await until(lambda: not outbox.pending)
            (shown,) = notifier.describe()
    assert receiver.keys() == [change(1)["key"]]
    assert letters == []
    assert (shown["sent"], shown["error"]) == (1, None)


async def test_a_receiver_that_hangs_or_is_down_holds_up_no_other(monkeypatch):
    monkeypatch.setattr("service.sinks.notify.webhook.SECONDS", 0.3)
    with Receiver(usual="hang") as hanging, Receiver() as receiver:
        routes = (
            {"name": "hangs", "url": hanging.url},
            {"name": "down", "url": "http://127.0.0.1:9/"},
            {"name": "up", "url": receiver.url},
        )
        async with notifying(*routes) as (notifier, outbox, _):
            for number in range(20):
                note(outbox, change(number))
            await until(lambda: len(set(receiver.keys())) == 20)
            await until(lambda: all(each["error"] for each in notifier.describe()[:2]))
            shown = {each["name"]: (each["sent"], each["waiting"]) for each in notifier.describe()}
    assert shown["up"] == (20, 0)
    assert shown["hangs"] == shown["down"] == (0, 20)


@pytest.mark.parametrize("answer", [400, 404, 401, 302])
async def test_what_a_receiver_refuses_again_and_again_goes_to_the_dead_letters(monkeypatch, answer):
    monkeypatch.setattr("service.sinks.notify.notifier.FIRST_PAUSE", 0.01)
    with Receiver(*[(answer, "no such hook")] * MOST_REFUSALS) as receiver:
        async with notifying({"url": receiver.url}) as (_, outbox, letters):
            note(outbox, change(1))
            await until(lambda: letters)
            note(outbox, change(2))
            await until(lambda: not outbox.pending)
    (letter,) = letters
    assert (letter.code, letter.reason) == ("not_notified", f"notify hook: HTTP {answer}: no such hook")
    assert json.loads(letter.document)["key"] == change(1)["key"]
    assert receiver.keys() == [change(2)["key"]]


async def test_what_waits_for_too_long_at_a_receiver_that_is_down_is_given_up():
    async with notifying({"url": "http://127.0.0.1:9/", "give_up_hours": 1}) as (_, outbox, letters):
        note(outbox, change(1), since=time.time() - 3700)
        note(outbox, change(2))
        await until(lambda: letters)
        assert [json.loads(letter.document)["key"] for letter in letters] == [change(1)["key"]]
        assert list(outbox.pending) == [change(2)["key"]]


@pytest.mark.parametrize(
    ("kind", "answer"), [("slack", (200, "invalid_token")), ("pagerduty", (200, "<html>welcome</html>"))]
)
async def test_a_receiver_that_lies_is_not_believed(kind, answer):
    (table,) = settings({"to": kind, "url": "http://127.0.0.1:9/", "secret": "k"}).notify
    with Receiver(answer, (202, '{"status": "success"}' if kind == "pagerduty" else "ok")) as receiver:
        target = WebhookTarget(table.model_copy(update={"url": type(table.url)(receiver.url)}))
        await target.open()
        message = compose("incident", [change(1)], "")
        with pytest.raises(NotSentError, match="but the answer is"):
            await target.send(message)
        await target.send(message)
        await target.close()


async def sent(kind, message, **more):
    """The path, headers and body of a message as a preset sends it."""
    with Receiver(usual=(202, '{"status": "success"}' if kind == "pagerduty" else "ok")) as receiver:
        (table,) = settings({"to": kind, "url": receiver.url, "secret": "the-key", **more}).notify
        target = WebhookTarget(table)
        await target.open()
        await target.send(message)
        await target.close()
        return receiver.taken[0][:3]


async def test_presets_say_it_in_the_words_of_each_service():
    begin = compose("incident", [change(1, sensor="<b>&", severity=95)], "https://c.example")
    end = compose("incident", [change(1, "end", severity=95)], "")
    _, _, slack = await sent("slack", begin)
    assert "&lt;b&gt;&amp;" in slack["text"]
    assert f"<{begin.link}|Open the page>" in slack["blocks"][0]["text"]["text"]
    _, _, teams = await sent("teams", begin)
    card = teams["attachments"][0]["content"]
    assert (card["type"], card["actions"][0]["url"]) == ("AdaptiveCard", begin.link)
    _, _, pager = await sent("pagerduty", begin)
    assert (pager["event_action"], pager["dedup_key"], pager["routing_key"]) == ("trigger", "incident", "the-key")
    assert pager["payload"]["severity"] == "critical"
    _, _, pager = await sent("pagerduty", end)
    assert (pager["event_action"], pager["dedup_key"]) == ("resolve", "incident")
    _, headers, genie = await sent("opsgenie", begin)
    assert (genie["alias"], genie["priority"], headers["Authorization"]) == ("incident", "P1", "GenieKey the-key")
    path, _, _ = await sent("opsgenie", end)
    assert path == "/hook/incident/close?identifierType=alias"


async def test_a_template_says_it_in_ones_own_words():
    template = (
        '{"summary": "{kind} on {sensor}: {title}", "level": "{severity}", "tags": ["{stage}", "{other}"], "n": 1}'
    )
    message = compose("incident", [change(1, sensor='"quoted"')], "")
    _, _, body = await sent("webhook", message, template=template)
    assert body == {
        "summary": 'spike on "quoted": Alert: spike on "quoted", severity 80',
        "level": 80,
        "tags": ["begin", "{other}"],
        "n": 1,
    }
    with pytest.raises(SettingsError, match="is not JSON"):
        settings({"url": "http://x/", "template": "{title}"})


async def test_more_than_allowed_becomes_one_message_that_counts():
    with Receiver() as receiver:
        async with notifying({"url": receiver.url, "most_per_minute": 5}) as (_, outbox, _):
            note(outbox, *(change(number, severity=50 + number % 50) for number in range(42)))
            await until(lambda: not outbox.pending)
    *single, digest = receiver.bodies
    assert [body["severity"] for body in single] == [91, 90, 89, 88]  # the severest by themselves
    assert digest["title"] == "38 more changes of episodes, severity up to 87"
    assert (len(digest["episodes"]), digest["more"]) == (LISTED, 38 - LISTED)


async def test_what_was_told_is_ended_by_a_message_of_its_own_even_when_there_is_too_much():
    with Receiver() as receiver:
        async with notifying({"url": receiver.url, "most_per_minute": 2}) as (_, outbox, _):
            note(outbox, change(1))
            await until(lambda: not outbox.pending)
            note(outbox, *(change(number) for number in range(2, 30)), change(1, "end"))
            await until(lambda: not outbox.pending)
    assert [(body["stage"], len(body["episodes"])) for body in receiver.bodies][1:] == [("end", 1), ("digest", LISTED)]


async def test_ten_thousand_alerts_in_a_minute_take_bounded_memory_and_end_in_a_digest():
    with Receiver() as receiver:
        async with notifying({"url": receiver.url, "most_per_minute": 10}) as (_, outbox, _):
            outbox._tracker.follow = lambda number: [change(number)]
            tracemalloc.start()
            for number in range(10_000):
                outbox.note(number)
            size, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert len(outbox.pending) == MOST_PENDING
            assert size < 20 * 2**20
            assert len(outbox.snapshot()) < 4 * 2**20
            await until(lambda: not outbox.pending and not any(outbox.uncounted.values()))
    bodies = receiver.bodies
    assert len(bodies) <= 11
    assert bodies[-1]["stage"] == "digest"
    assert sum(len(body["episodes"]) + body["more"] for body in bodies) == 10_000


async def test_muted_changes_are_told_to_nobody():
    with Receiver() as receiver:
        async with notifying({"url": receiver.url}, muted=lambda change, _: change["sensor"] == "sensor-1") as (
            notifier,
            outbox,
            _,
        ):
            note(outbox, change(1), change(2))
            await until(lambda: not outbox.pending)
            assert Metrics.value(notifier.metrics.notices_muted) == 1
    assert receiver.keys() == [change(2)["key"]]


async def test_an_outbox_goes_on_from_its_snapshot_and_children_share_what_their_parents_left():
    async with notifying({"url": "http://127.0.0.1:9/"}) as (notifier, outbox, _):
        note(outbox, change(1), change(2, sensor="\udcff"), change(3))
        outbox.uncounted["hook"] = 5
        outbox.settle(change(3)["key"], "hook")
        state = outbox.snapshot()
        again, child = notifier.outbox("shardId-1"), notifier.outbox("shardId-2")
        again.restore([state])
        child.restore([state, b""], {"\udcff"})
    assert list(again.pending) == [change(1)["key"], change(2)["key"]]
    assert again.uncounted == {"hook": 5}
    assert [notice.change["sensor"] for notice in child.pending.values()] == ["\udcff"]


async def test_what_was_told_is_not_told_again_by_the_same_process():
    """As after a fault of a shard, which is then read again from its checkpoint."""
    with Receiver() as receiver:
        async with notifying({"url": receiver.url}) as (notifier, outbox, _):
            note(outbox, change(1))
            await until(lambda: not outbox.pending)
            again = notifier.outbox("shardId-0")
            note(again, change(1), change(2))
            await until(lambda: not again.pending)
    assert receiver.keys() == [change(1)["key"], change(2)["key"]]


def test_names_that_are_no_text_can_be_told():
    message = compose("incident", [change(1, sensor="\udcff\n", values={"feature_data_v": float("nan")})], "http://c")
    json.dumps(message.as_json(), allow_nan=False).encode()
    assert message.sensor == "\\udcff\n"
    assert compose_digest("r", [], 7, "").title == "7 more changes of episodes, severity up to 0"


def test_no_secret_is_shown():
    shown = repr(settings({"url": "http://user:hush-hush@x/hush-hush", "secret": "hush-hush"}))
    assert "hush-hush" not in shown
    with pytest.raises(SettingsError) as caught:
        settings({"url": "hush-hush"})
    assert "hush-hush" not in str(caught.value)
    with pytest.raises(SettingsError, match="no NOWHERE in the environment"):
        settings({"url": "env:NOWHERE"})


@pytest.mark.parametrize(("answer", "code", "words"), [(200, 0, "taken"), (404, 1, "HTTP 404")])
def test_the_command_sends_a_made_up_alert_and_says_what_became_of_it(tmp_path, capsys, answer, code, words):
    with Receiver(usual=answer) as receiver:
        table = f'[[notify]]\nname = "hook"\nto = "webhook"\nurl = "{receiver.url}"\nmin_severity = 99\n'
        (tmp_path / "c.toml").write_text(table)
        assert main(["notify", "test", "--config", str(tmp_path / "c.toml")]) == code
        assert [body["stage"] for body in receiver.bodies] == (["begin", "end"] if code == 0 else [])
    shown = capsys.readouterr()
    assert f"hook (webhook): {words}" in shown.out + shown.err
    assert main(["notify", "test", "--route", "other", "--config", str(tmp_path / "c.toml")]) == 2
    assert "known are hook" in capsys.readouterr().err
