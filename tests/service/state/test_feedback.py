"""What people say: kept, seen by other workers, taken back, and turned into labels."""

from contextlib import asynccontextmanager

import pytest

from service.state.blobs.sqlite import SQLiteBlobs
from service.state.feedback import Feedback, Word, labels


@asynccontextmanager
async def opened(folder):
    blobs = SQLiteBlobs(folder / "w.db")
    await blobs.open()
    feedback = Feedback(blobs, "stream")
    feedback.opened.set()
    await feedback.refresh()
    yield feedback
    await blobs.close()


def word(action, sensor="boiler", **more):
    return Word(id="", action=action, sensor=sensor, who="Ann", time="2026-11-24T12:00:00.000Z", **more)


async def test_what_was_said_is_there_after_a_restart_and_for_other_workers(tmp_path, monkeypatch):
    monkeypatch.setattr("service.state.feedback.REFRESH_SECONDS", 0.0)
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        first = await one.add(word("mute", "\udcff"))
        second = await other.add(word("acknowledge", episode_id="e"))
        await one.refresh()
        assert one.words() == [second, first]
        await one.withdraw(first.id, "Bob", "2026-11-24T13:00:00.000Z")
        await other.refresh()
    async with opened(tmp_path) as again:
        assert again.words() == other.words() == one.words()
        assert (again.get(first.id).withdrawn_by, again.get(second.id).withdrawn) == ("Bob", None)


async def test_what_is_taken_back_stays_as_it_was_taken_back_first(tmp_path):
    async with opened(tmp_path) as feedback:
        said = await feedback.add(word("mute"))
        first = await feedback.withdraw(said.id, "Bob", "2026-11-24T13:00:00.000Z")
        assert await feedback.withdraw(said.id, "Eve", "2026-11-24T14:00:00.000Z") == first
        assert await feedback.withdraw("nothing", "Eve", "2026-11-24T14:00:00.000Z") is None


@pytest.mark.parametrize(
    ("until", "hour", "muted"),
    [(None, 99, True), ("2026-11-24T14:00:00Z", 1, True), ("2026-11-24T14:00:00Z", 2, False)],
)
async def test_a_sensor_is_muted_until_a_time_or_until_it_is_taken_back(tmp_path, until, hour, muted):
    noon = 1_795_521_600.0
    async with opened(tmp_path) as feedback:
        said = await feedback.add(word("mute", until=until))
        assert feedback.mutes("boiler", noon + 3600 * hour) is muted
        assert not feedback.mutes("pump", noon)
        await feedback.withdraw(said.id, "Bob", "2026-11-24T13:00:00.000Z")
        assert not feedback.mutes("boiler", noon)


async def test_an_acknowledged_episode_is_known_by_its_id(tmp_path):
    async with opened(tmp_path) as feedback:
        await feedback.add(word("acknowledge", episode_id="e"))
        await feedback.add(word("missed", episode_id=None))
        assert feedback.acknowledged("e")
        assert not feedback.acknowledged("f")


def test_labels_are_what_was_acknowledged_or_missed_and_not_called_normal():
    span = {"since": "2026-11-24T12:00:00.000Z", "until": "2026-11-24T12:05:00.000Z"}
    said = [
        word("acknowledge", episode_id="e", **span),
        word("acknowledge", episode_id="f", **span),
        word("normal", episode_id="f", **span),
        word("missed", "pump", **span),
        word("normal", "fan", episode_id="g", **span),
        word("mute", "other"),
        word("missed", "gone", withdrawn="2026-11-24T12:00:00.000Z", withdrawn_by="Ann", **span),
    ]
    stretch = [span["since"], span["until"]]
    assert labels(said) == {"boiler": [stretch], "pump": [stretch], "fan": []}


async def test_what_is_normal_is_known_by_sensor_and_is_nothing_once_it_is_taken_back(tmp_path, monkeypatch):
    monkeypatch.setattr("service.state.feedback.REFRESH_SECONDS", 0.0)
    async with opened(tmp_path) as feedback, opened(tmp_path) as other:
        assert feedback.normal() == {}
        stretch = {"since": "2023-11-14T22:13:20.000Z", "until": "2023-11-14T22:13:21.500Z"}
        said = await feedback.add(word("normal", **stretch))
        await feedback.add(word("missed", "pump", **stretch))
        await other.refresh()
        assert other.changes == feedback.changes == 2
        assert other.normal() == {"boiler": {said.id: (1_700_000_000_000, 1_700_000_001_500)}}
        await feedback.withdraw(said.id, "Bob", "2026-11-24T13:00:00.000Z")
        await other.refresh()
        assert (other.changes, other.normal()) == (3, {"boiler": {}})
