"""Dead letters are told soon, seldom, and with what there was."""

import logging

from service.pipeline.records import DeadLetter, Position, Record
from service.worker.dead_letter_monitor import DeadLetterMonitor


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def letters(code: str, count: int) -> list[DeadLetter]:
    record = Record(Position(1), "key", 1_700_000_000_000, b"junk")
    return [DeadLetter("stream", "shard", record, code, f"the reason of {code}") for _ in range(count)]


def test_the_first_is_told_at_once_and_the_others_at_most_once_a_minute(caplog):
    caplog.set_level(logging.WARNING)
    clock = Clock()
    monitor = DeadLetterMonitor(clock)
    for second in range(150):
        clock.now = float(second)
        monitor.note(letters("not_json", 2) + letters("bad_value", 1))
    assert [record.getMessage().partition(" into")[0] for record in caplog.records] == ["3", "180", "180"]
    assert "120 not_json, 60 bad_value" in caplog.text
    assert "the reason of bad_value" in caplog.text


def test_what_was_not_told_is_told_later_even_if_nothing_more_comes(caplog):
    caplog.set_level(logging.WARNING)
    clock = Clock()
    monitor = DeadLetterMonitor(clock)
    monitor.note(letters("not_json", 1))
    monitor.note(letters("not_json", 5))
    clock.now = 61.0
    monitor.remind()
    monitor.remind()
    assert len(caplog.records) == 2
    assert "5 into the dead letter" in caplog.text


def test_everything_into_the_dead_letter_is_an_error_and_a_part_of_it_is_none():
    clock = Clock()
    monitor = DeadLetterMonitor(clock)
    assert monitor.last_error is None
    monitor.note(letters("not_json", 7))
    assert monitor.last_error is not None
    assert monitor.last_error.startswith("all 7 records of the last minute went there: the reason of not_json; compare")
    monitor.note_scored(1)
    assert monitor.last_error is None
    clock.now = 100.0
    assert monitor.last_error is None, "nothing comes at all"


def test_the_status_has_counts_by_code_and_the_latest_reason():
    clock = Clock()
    monitor = DeadLetterMonitor(clock)
    assert monitor.describe()["latest"] is None
    monitor.note(letters("not_json", 2))
    clock.now = 100.0
    monitor.note(letters("bad_value", 1))
    told = monitor.describe()
    assert (told["count"], told["last_minute"], told["by_code"]) == (3, 1, {"not_json": 2, "bad_value": 1})
    latest = {"code": "bad_value", "reason": "the reason of bad_value", "time": "2023-11-14T22:13:20.000Z"}
    assert told["latest"] == latest
