"""Retries of what is away now and may be back later: the index, a store of state, the stream."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar

from service import UserError

log = logging.getLogger("cutwater.retry")
T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 15.0  # s
STATE_PAUSE = 1.6  # s, the longest for leases and what is committed with them: a lease not renewed in time is lost
WARN_SECONDS, REMIND_SECONDS = 1.0, 30.0

give_up_after: ContextVar[float | None] = ContextVar("give_up_after", default=None)  # s; None: a service never does


class GaveUpError(UserError):
    """What a command needs has not answered for longer than it waits."""

    exit_code = 3


def backoff(attempt: int, first: float, longest: float) -> float:
    """Seconds to wait after ``attempt`` others: ``first``, then twice as long each time, at most ``longest``."""
    return min(longest, first * 2.0 ** min(attempt, 20))


def jittered(seconds: float) -> float:
    """A random time from half of it to all of it, so that callers spread."""
    return random.uniform(seconds / 2, seconds)


class Retrier:
    """Calls something until it works, with growing pauses; logs an outage that lasts, reminds of it, logs its end.

    ``last_error`` says in one line why it cannot be used now, and is None if it can; ``answered`` says whether it ever
    could.
    """

    def __init__(self, name: str, longest: float = LONGEST_PAUSE) -> None:
        """``name`` is what is waited for, in messages; ``longest`` is the longest pause, in seconds."""
        self.last_error: str | None = "has not answered yet"
        self.answered = False
        self._name = name
        self._longest = longest
        self._down_since: float | None = None
        self._warned: float | None = None
        self._failing: set[object] = set()  # calls that are being retried

    async def call(self, function: Callable[[], Awaitable[T]], classify: Callable[[Exception], str]) -> T:
        """What ``function`` returns, as soon as it works.

        ``classify`` returns the reason of a transient error, "" if it is not worth logging, or raises what ends the
        retries. Of several calls at once each may fail; the outage is over when none does.
        """
        this, attempt = object(), 0
        try:
            while True:
                try:
                    result = await function()
                    break
                except Exception as error:
                    reason = classify(error)
                if reason:
                    self._failing.add(this)
                await self.pause(reason, attempt)
                attempt += 1
        finally:
            self._failing.discard(this)
        if not self._failing:
            self.recovered()
        return result

    async def pause(self, reason: str, attempt: int) -> None:
        """Wait before the next attempt after ``attempt`` others: exponential and jittered."""
        if reason:
            self._note(reason)
        await asyncio.sleep(jittered(backoff(attempt, FIRST_PAUSE, self._longest)))

    def recovered(self) -> None:
        """Note that it works."""
        if self._warned is not None and self._down_since is not None:
            seconds = asyncio.get_running_loop().time() - self._down_since
            log.warning("%s: works again after %.0f s", self._name, seconds)
        self.answered = True
        self.last_error = self._warned = self._down_since = None

    def _note(self, reason: str) -> None:
        now = asyncio.get_running_loop().time()
        if self._down_since is None:
            self._down_since = now
        self.last_error = reason
        limit = give_up_after.get()
        if limit is not None and now - self._down_since >= limit:
            raise GaveUpError(f"{self._name}: {reason}; gave up after {limit:g} s")
        due = self._down_since + WARN_SECONDS if self._warned is None else self._warned + REMIND_SECONDS
        if now >= due:
            log.warning("%s: %s; waiting, nothing is lost (%.0f s so far)", self._name, reason, now - self._down_since)
            self._warned = now
