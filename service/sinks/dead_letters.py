"""What can never be scored or indexed, kept with its reason until somebody mends the cause.

A letter has the form in which Amazon Data Firehose keeps failed documents, so that tools made for these read ours.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote

import orjson

from service.pipeline.documents import Document, IndexDocument, timestamp
from service.pipeline.records import DeadLetter, Record
from service.sinks.index import Rejected
from service.sinks.index.fields import encode
from service.state.database import Database
from service.state.snapshots.s3 import S3Blobs

_SCHEMA = """
CREATE TABLE IF NOT EXISTS dead_letter (
    id TEXT PRIMARY KEY, time TEXT NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL, letter TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS dead_letter_by_time ON dead_letter (time, id);
CREATE TABLE IF NOT EXISTS dead_letter_on_its_way (id TEXT PRIMARY KEY);
"""

_ON_ITS_WAY = "on-its-way/"
_AT_ONCE = 16  # requests to S3


class DeadLetters(Protocol):
    """A store of dead letters.

    Guarantee: when ``put`` returns, every letter is durable, once by its id. While the store cannot be reached it
    waits and tries again.
    """

    @property
    def last_error(self) -> str | None:
        """What keeps the store from answering at the moment."""
        ...

    async def open(self) -> None:
        """Connect. Raises StateError."""
        ...

    async def put(self, letters: Sequence[DeadLetter]) -> None:
        """Keep letters, each once by its id."""
        ...

    async def newest(self, limit: int) -> list[Document]:
        """The letters whose records arrived last, newest first."""
        ...

    async def count(self) -> int:
        """How many there are."""
        ...

    def pages(self, size: int) -> AsyncIterator[list[Document]]:
        """All letters, so many at a time; those handed out may be removed meanwhile."""
        ...

    async def mark_in_flight(self, ids: Sequence[str]) -> None:
        """Note that these are about to be sent again, and that it will show only afterwards whether they were."""
        ...

    async def in_flight(self) -> set[str]:
        """Those that were sent off and neither removed nor called back."""
        ...

    async def clear_in_flight(self, ids: Sequence[str]) -> None:
        """Note that these were not sent."""
        ...

    async def remove(self, letters: Sequence[Document]) -> None:
        """Forget letters that are where they belong, and that they were on their way."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


class SQLiteDeadLetters:
    """Dead letters in a SQLite file, table ``dead_letter``. Guarantee: as ``DeadLetters`` and ``Database``."""

    def __init__(self, path: Path) -> None:
        self._file = Database(path, "dead letters")

    @property
    def last_error(self) -> str | None:
        """What keeps the file from being used at the moment."""
        return self._file.last_error

    async def open(self) -> None:
        """Open or create the file. Raises StateError."""
        await self._file.open(_SCHEMA)

    async def put(self, letters: Sequence[DeadLetter]) -> None:
        """Keep letters, each once by its id."""
        rows = []
        for each in letters:
            shown = describe_letter(each)
            text = orjson.dumps(shown).decode()
            rows.append((each.id, shown["@timestamp"], shown["errorCode"], shown["errorMessage"], text))
        await self._file.change(("INSERT OR IGNORE INTO dead_letter VALUES (?, ?, ?, ?, ?)", rows))

    async def newest(self, limit: int) -> list[Document]:
        """The letters whose records arrived last, newest first."""
        return await self._letters("ORDER BY time DESC, id DESC LIMIT ?", limit)

    async def count(self) -> int:
        """How many there are."""
        ((number,),) = await self._file.execute("SELECT count(*) FROM dead_letter")
        return int(number)

    async def pages(self, size: int) -> AsyncIterator[list[Document]]:
        """All letters in the order of their ids."""
        after = ""
        while found := await self._letters("WHERE id > ? ORDER BY id LIMIT ?", after, size):
            after = found[-1]["id"]
            yield found

    async def mark_in_flight(self, ids: Sequence[str]) -> None:
        """Note that these are about to be sent again."""
        rows = [(each,) for each in ids]
        await self._file.change(("INSERT OR IGNORE INTO dead_letter_on_its_way VALUES (?)", rows))

    async def in_flight(self) -> set[str]:
        """Those that were sent off and neither removed nor called back."""
        return {name for (name,) in await self._file.execute("SELECT id FROM dead_letter_on_its_way")}

    async def clear_in_flight(self, ids: Sequence[str]) -> None:
        """Note that these were not sent."""
        await self._file.change(("DELETE FROM dead_letter_on_its_way WHERE id = ?", [(each,) for each in ids]))

    async def remove(self, letters: Sequence[Document]) -> None:
        """Forget letters, also that they were on their way, in one transaction."""
        rows = [(each["id"],) for each in letters]
        await self._file.change(
            ("DELETE FROM dead_letter WHERE id = ?", rows),
            ("DELETE FROM dead_letter_on_its_way WHERE id = ?", rows),
        )

    async def close(self) -> None:
        """Let go of the file."""
        await self._file.close()

    async def _letters(self, order: str, *values: Any) -> list[Document]:
        rows = await self._file.execute(f"SELECT letter FROM dead_letter {order}", values)
        return [orjson.loads(row[0]) for row in rows]


class S3DeadLetters:
    """Dead letters as objects ``YYYY/MM/DD/HH/ID.json`` below a URL, by their records' arrival, as Firehose sorts them.

    Guarantee: as ``DeadLetters``. The object's name comes from the letter, so a replay writes it over itself.
    """

    def __init__(self, url: str, region: str) -> None:
        self._blobs = S3Blobs(url, region, "dead_letter_url")
        self._room = asyncio.Semaphore(_AT_ONCE)

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
        await asyncio.gather(*(self._put(_ON_ITS_WAY + quote(each, safe=""), b"") for each in ids))

    async def in_flight(self) -> set[str]:
        """Those that were sent off and neither removed nor called back."""
        return {unquote(name.removeprefix(_ON_ITS_WAY)) for name in await self._blobs.names(_ON_ITS_WAY)}

    async def clear_in_flight(self, ids: Sequence[str]) -> None:
        """Note that these were not sent."""
        await self._blobs.delete([_ON_ITS_WAY + quote(each, safe="") for each in ids])

    async def remove(self, letters: Sequence[Document]) -> None:
        """Forget letters, and then that they were on their way."""
        await self._blobs.delete([_object(each) for each in letters])
        await self.clear_in_flight([each["id"] for each in letters])

    async def close(self) -> None:
        """Let go of the connection."""
        await self._blobs.close()

    async def _names(self) -> list[str]:
        return sorted(name for name in await self._blobs.names("") if not name.startswith(_ON_ITS_WAY))

    async def _put(self, name: str, data: bytes) -> None:
        async with self._room:
            await self._blobs.put(name, data)

    async def _get(self, names: Sequence[str]) -> list[Document]:
        async def get(name: str) -> bytes | None:
            async with self._room:
                return await self._blobs.get(name)

        return [orjson.loads(each) for each in await asyncio.gather(*map(get, names)) if each is not None]


def _object(letter: Document) -> str:
    """The name of a letter's object."""
    hour = letter["@timestamp"][:13].replace("-", "/").replace("T", "/")
    return f"{hour}/{quote(letter['id'], safe='')}.json"


def refusal_letter(stream: str, shard: str, record: Record, entry: IndexDocument, refused: Rejected) -> DeadLetter:
    """The letter about a document that the index refuses; about its record if JSON cannot say the document."""
    try:
        document = encode(entry)
    except ValueError:
        return DeadLetter(stream, shard, record, refused.code, refused.reason)
    return DeadLetter(
        stream, shard, record, refused.code, refused.reason, refused.attempts, entry.id, refused.index, document
    )


def describe_letter(letter: DeadLetter) -> Document:
    """A dead letter as stores, index and API show it: Firehose's names, and the record's place in the stream."""
    record = letter.record
    raw = letter.document if letter.document_id else record.data
    return {
        "id": letter.id,
        "@timestamp": timestamp(record.arrival),
        "stream": letter.stream,
        "shard": letter.shard,
        "sequenceNumber": str(record.position.sequence),
        "subSequenceNumber": record.position.subsequence,
        "recordOrdinal": letter.ordinal,
        "partitionKey": _printable(record.partition_key),
        "attemptsMade": letter.attempts,
        "arrivalTimestamp": record.arrival,
        "attemptEndingTimestamp": letter.ended,
        "errorCode": letter.code,
        "errorMessage": _printable(letter.reason),
        "esDocumentId": letter.document_id or None,
        "esIndexName": letter.index or None,
        "rawData": base64.b64encode(raw).decode(),
    }


def _printable(text: str) -> str:
    """Text that UTF-8 can carry: a lone surrogate becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode()
