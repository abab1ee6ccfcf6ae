"""Waiting for what is away now and may be back later: the index, a store of state, the stream."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar

from service import UserError

log = logging.getLogger("cutwater.patience")
T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 15.0  # s
STATE_PAUSE = 1.6  # s, the longest for leases and what is committed with them: a lease not renewed in time is lost
TELL_SECONDS, REMIND_SECONDS = 1.0, 30.0

give_up_after: ContextVar[float | None] = ContextVar("give_up_after", default=None)  # s; None: a service never does


class GaveUpError(UserError):
    """What a command needs has not answered for longer than it waits."""

    exit_code = 3


class Patience:
    """Pauses that grow, and a log that tells of what lasts, reminds of it, and says when it is over.

    ``trouble`` says in one line why what is waited for cannot be used now, and None if it can; ``answered`` whether it
    ever could.
    """

    def __init__(self, name: str, longest: float = LONGEST_PAUSE) -> None:
        """``name`` is what is waited for, in messages; ``longest`` is the longest pause, in seconds."""
        self.trouble: str | None = "has not answered yet"
        self.answered = False
        self._name = name
        self._longest = longest
        self._since: float | None = None  # when trouble began
        self._told: float | None = None
        self._failing: set[object] = set()  # calls that are insisted on

    async def insist(self, call: Callable[[], Awaitable[T]], passing: Callable[[Exception], str]) -> T:
        """What ``call`` returns, as soon as it works.

        ``passing`` says what was wrong, or nothing if it is not worth a word, or raises what is to end this. Of several
        calls at once each may fail; it is over when none does.
        """
        this, attempt = object(), 0
        try:
            while True:
                try:
                    result = await call()
                    break
                except Exception as error:
                    trouble = passing(error)
                if trouble:
                    self._failing.add(this)
                await self.wait(trouble, attempt)
                attempt += 1
        finally:
            self._failing.discard(this)
        if not self._failing:
            self.over()
        return result

    async def wait(self, trouble: str, attempt: int) -> None:
        """Pause before the next attempt after ``attempt`` others: exponential and jittered, so that writers spread."""
        if trouble:
            self._tell(trouble)
        ceiling = min(self._longest, FIRST_PAUSE * 2.0 ** min(attempt, 20))
        await asyncio.sleep(random.uniform(ceiling / 2, ceiling))

    def over(self) -> None:
        """It works."""
        if self._told is not None and self._since is not None:
            seconds = asyncio.get_running_loop().time() - self._since
            log.warning("%s: works again after %.0f s", self._name, seconds)
        self.answered = True
        self.trouble = self._told = self._since = None

    def _tell(self, trouble: str) -> None:
        now = asyncio.get_running_loop().time()
        if self._since is None:
            self._since = now
        self.trouble = trouble
        limit = give_up_after.get()
        if limit is not None and now - self._since >= limit:
            raise GaveUpError(f"{self._name}: {trouble}; gave up after {limit:g} s")
        due = self._since + TELL_SECONDS if self._told is None else self._told + REMIND_SECONDS
        if now >= due:
            log.warning("%s: %s; waiting, nothing is lost (%.0f s so far)", self._name, trouble, now - self._since)
            self._told = now
