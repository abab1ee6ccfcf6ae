"""What waits says so, reminds, and says when it is recovered."""

import asyncio
import logging

import pytest

from service import retry
from service.retry import Retrier


class AwayError(Exception):
    """Passes."""


def classify(error: Exception) -> str:
    if not isinstance(error, AwayError):
        raise error
    return str(error)


@pytest.fixture(autouse=True)
def short(monkeypatch, caplog):
    """A test has no time to wait."""
    for name in ("FIRST_PAUSE", "WARN_SECONDS"):
        monkeypatch.setattr(retry, name, 0.001)
    caplog.set_level(logging.WARNING)


def failing(times: int, *, words: str = "is away", then: Exception | None = None):
    """A call that works after so many failures, or fails for good."""
    left = [AwayError(words)] * times + ([then] if then else [])

    async def call() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return call


async def test_until_it_answers_for_the_first_time_that_is_its_last_error():
    waiting = Retrier("store", 0.002)
    assert waiting.last_error == "has not answered yet"
    assert await waiting.call(failing(0), classify) == "answer"
    assert waiting.last_error is None


async def test_a_call_is_repeated_until_it_works_and_the_log_has_a_line_for_each_end(caplog):
    waiting = Retrier("store", 0.002)
    assert await waiting.call(failing(20), classify) == "answer"
    began, recovered = (record.getMessage() for record in caplog.records)
    assert began.startswith("store: is away; waiting, nothing is lost")
    assert recovered.startswith("store: works again after")
    assert waiting.last_error is None


async def test_what_waiting_cannot_mend_is_raised():
    with pytest.raises(ValueError, match="for good"):
        await Retrier("store", 0.002).call(failing(3, then=ValueError("for good")), classify)


async def test_a_failure_without_a_word_is_no_error(caplog):
    waiting = Retrier("store", 0.002)
    await waiting.call(failing(0), classify)
    calling = asyncio.create_task(waiting.call(failing(20, words=""), classify))
    await asyncio.sleep(0.005)
    assert waiting.last_error is None
    assert await calling == "answer"
    assert not caplog.records


async def test_it_is_not_over_while_another_call_fails():
    waiting = Retrier("stream", 0.002)
    calling = asyncio.create_task(waiting.call(failing(1_000_000), classify))
    await asyncio.sleep(0.005)
    await waiting.call(failing(0), classify)
    assert waiting.last_error == "is away"
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    await waiting.call(failing(0), classify)
    assert waiting.last_error is None
