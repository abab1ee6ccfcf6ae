"""The memory that records may take which are fetched and not yet acknowledged."""

from __future__ import annotations

import asyncio


class ByteBudget:
    """Bounds the memory of what is in flight: ``reserve`` waits until so many bytes are free."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self._freed = asyncio.Event()

    async def reserve(self, amount: int) -> None:
        """Take ``amount`` bytes, waiting for others to release theirs."""
        while self.taken + amount > self.size:
            self._freed.clear()
            await self._freed.wait()
        self.taken += amount

    async def release(self, amount: int) -> None:
        """Give bytes back, even while being cancelled."""
        self.taken -= amount
        self._freed.set()
