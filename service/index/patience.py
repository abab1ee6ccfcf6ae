"""Waiting for a store that cannot take documents now but may later."""

from __future__ import annotations

import asyncio
import logging
import random

log = logging.getLogger("cutwater.index")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 15.0  # s
TELL_SECONDS, REMIND_SECONDS = 1.0, 30.0


class Patience:
    """Pauses that grow, and a log that tells of what lasts, reminds of it, and says when it is over."""

    def __init__(self, store: str) -> None:
        self.trouble: str | None = None
        self._store = store
        self._since = 0.0
        self._told: float | None = None

    async def wait(self, trouble: str, attempt: int) -> None:
        """Pause before the next attempt after ``attempt`` others: exponential and jittered, so that writers spread."""
        now = asyncio.get_running_loop().time()
        if self.trouble is None:
            self._since = now
        self.trouble = trouble
        due = self._since + TELL_SECONDS if self._told is None else self._told + REMIND_SECONDS
        if now >= due:
            log.warning("%s: %s; waiting, nothing is lost (%.0f s so far)", self._store, trouble, now - self._since)
            self._told = now
        ceiling = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, 20))
        await asyncio.sleep(random.uniform(ceiling / 2, ceiling))

    def over(self) -> None:
        """The store works."""
        if self._told is not None:
            seconds = asyncio.get_running_loop().time() - self._since
            log.warning("%s: works again after %.0f s", self._store, seconds)
        self.trouble = self._told = None
