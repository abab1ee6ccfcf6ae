"""Waiting for a store that cannot take documents now but may later."""

from __future__ import annotations

import asyncio
import logging
import random

log = logging.getLogger("cutwater.index")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 15.0  # s
REMIND_SECONDS = 30.0


class Patience:
    """Pauses that grow, and a log that says once what is waited for, reminds of it, and says when it is over."""

    def __init__(self, store: str) -> None:
        self.trouble: str | None = None
        self._store = store
        self._since = self._told = 0.0

    async def wait(self, trouble: str, attempt: int) -> None:
        """Pause before attempt ``attempt + 1``: exponential with full jitter, so that many writers spread out."""
        now = asyncio.get_running_loop().time()
        if self.trouble is None:
            self._since = now
        if self.trouble is None or now - self._told >= REMIND_SECONDS:
            log.warning("%s: %s; waiting, nothing is lost (%.0f s so far)", self._store, trouble, now - self._since)
            self._told = now
        self.trouble = trouble
        ceiling = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt, 20))
        await asyncio.sleep(random.uniform(ceiling / 2, ceiling))

    def over(self) -> None:
        """The store works."""
        if self.trouble is not None:
            seconds = asyncio.get_running_loop().time() - self._since
            log.warning("%s: works again after %.0f s", self._store, seconds)
            self.trouble = None
