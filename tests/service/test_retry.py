"""What waits says so, reminds, and says when it is over."""

import asyncio
import logging

import pytest

from service import retry as patience
from service.retry import Patience


class AwayError(Exception):
    """Passes."""


def passing(error: Exception) -> str:
    if not isinstance(error, AwayError):
        raise error
    return str(error)


@pytest.fixture(autouse=True)
def short(monkeypatch, caplog):
    """A test has no time to wait."""
    for name in ("FIRST_PAUSE", "TELL_SECONDS"):
        monkeypatch.setattr(patience, name, 0.001)
    caplog.set_level(logging.WARNING)


def failing(times: int, *, words: str = "is away", then: Exception | None = None):
    """A call that works after so many failures, or fails for good."""
    left = [AwayError(words)] * times + ([then] if then else [])

    async def call() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return call


async def test_until_it_answers_for_the_first_time_that_is_its_trouble():
    waiting = Patience("store", 0.002)
    assert waiting.trouble == "has not answered yet"
    assert await waiting.insist(failing(0), passing) == "answer"
    assert waiting.trouble is None


async def test_a_call_is_repeated_until_it_works_and_the_log_has_a_line_for_each_end(caplog):
    waiting = Patience("store", 0.002)
    assert await waiting.insist(failing(20), passing) == "answer"
    began, over = (record.getMessage() for record in caplog.records)
    assert began.startswith("store: is away; waiting, nothing is lost")
    assert over.startswith("store: works again after")
    assert waiting.trouble is None


async def test_what_waiting_cannot_mend_is_raised():
    with pytest.raises(ValueError, match="for good"):
        await Patience("store", 0.002).insist(failing(3, then=ValueError("for good")), passing)


async def test_a_failure_without_a_word_is_no_trouble(caplog):
    waiting = Patience("store", 0.002)
    await waiting.insist(failing(0), passing)
    calling = asyncio.create_task(waiting.insist(failing(20, words=""), passing))
    await asyncio.sleep(0.005)
    assert waiting.trouble is None
    assert await calling == "answer"
    assert not caplog.records


async def test_it_is_not_over_while_another_call_fails():
    waiting = Patience("stream", 0.002)
    calling = asyncio.create_task(waiting.insist(failing(1_000_000), passing))
    await asyncio.sleep(0.005)
    await waiting.insist(failing(0), passing)
    assert waiting.trouble == "is away"
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    await waiting.insist(failing(0), passing)
    assert waiting.trouble is None
