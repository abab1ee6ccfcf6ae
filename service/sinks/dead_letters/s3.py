"""Dead letters in S3."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from urllib.parse import quote, unquote

import orjson

from service.pipeline.documents import Document
from service.pipeline.records import DeadLetter
from service.sinks.dead_letters.format import describe_letter
from service.state.blobs.s3 import S3Blobs

_IN_FLIGHT = "on-its-way/"  # before the names of letters that are being sent again
_CONCURRENCY = 16  # requests


class S3DeadLetters:
    """Dead letters as objects ``YYYY/MM/DD/HH/ID.json`` below a URL, by their records' arrival, as Firehose sorts them.

    Guarantee: as ``DeadLetters``. The object's name comes from the letter, so a replay writes it over itself.
    """

    def __init__(self, url: str, region: str) -> None:
        self._blobs = S3Blobs(url, region, "dead_letter_url")
        self._limit = asyncio.Semaphore(_CONCURRENCY)

    @property
    def last_error(self) -> str | None:
        """What S3 complains of at the moment."""
        return self._blobs.last_error

    async def open(self) -> None:
        """Connect and look whether the bucket may be used. Raises StateError."""
        await self._blobs.open()

    async def put(self, letters: Sequence[DeadLetter]) -> None:
        """Keep letters, an object each."""
        shown = [describe_letter(each) for each in letters]
        await asyncio.gather(*(self._put(_object(each), orjson.dumps(each)) for each in shown))

    async def newest(self, limit: int) -> list[Document]:
        """The letters of the last hours, newest first. It lists all there are."""
        found = await self._get((await self._names())[::-1][:limit])
        return sorted(found, key=lambda each: (each["@timestamp"], each["id"]), reverse=True)

    async def count(self) -> int:
        """How many there are."""
        return len(await self._names())

    async def pages(self, size: int) -> AsyncIterator[list[Document]]:
        """All letters, hour by hour."""
        names = await self._names()
        for start in range(0, len(names), size):
            yield await self._get(names[start : start + size])

    async def mark_in_flight(self, ids: Sequence[str]) -> None:
        """Note that these are about to be sent again: an empty object each."""
        await asyncio.gather(*(self._put(_IN_FLIGHT + quote(each, safe=""), b"") for each in ids))

    async def in_flight(self) -> set[str]:
        """Those that were sent off and neither removed nor called back."""
        return {unquote(name.removeprefix(_IN_FLIGHT)) for name in await self._blobs.names(_IN_FLIGHT)}

    async def clear_in_flight(self, ids: Sequence[str]) -> None:
        """Note that these were not sent."""
        await self._blobs.delete([_IN_FLIGHT + quote(each, safe="") for each in ids])

    async def remove(self, letters: Sequence[Document]) -> None:
        """Forget letters, and then that they were on their way."""
        await self._blobs.delete([_object(each) for each in letters])
        await self.clear_in_flight([each["id"] for each in letters])

    async def close(self) -> None:
        """Let go of the connection."""
        await self._blobs.close()

    async def _names(self) -> list[str]:
        return sorted(name for name in await self._blobs.names("") if not name.startswith(_IN_FLIGHT))

    async def _put(self, name: str, data: bytes) -> None:
        async with self._limit:
            await self._blobs.put(name, data)

    async def _get(self, names: Sequence[str]) -> list[Document]:
        async def get(name: str) -> bytes | None:
            async with self._limit:
                return await self._blobs.get(name)

        return [orjson.loads(each) for each in await asyncio.gather(*map(get, names)) if each is not None]


def _object(letter: Document) -> str:
    """The name of a letter's object."""
    hour = letter["@timestamp"][:13].replace("-", "/").replace("T", "/")
    return f"{hour}/{quote(letter['id'], safe='')}.json"
