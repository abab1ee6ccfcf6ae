"""What can never be scored or indexed, kept with its reason until somebody mends the cause.

A letter has the form in which Amazon Data Firehose keeps failed documents, so that tools made for these read ours.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson

from service.documents import Document, Entry, timestamp
from service.index import IndexSetupError, Refused
from service.index.fields import encode
from service.records import DeadLetter, Record
from service.sqlite_file import SQLiteFile

_SCHEMA = """
CREATE TABLE IF NOT EXISTS dead_letter (
    id TEXT PRIMARY KEY, time TEXT NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL, letter TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS dead_letter_by_time ON dead_letter (time, id);
CREATE TABLE IF NOT EXISTS dead_letter_on_its_way (id TEXT PRIMARY KEY);
"""


class DeadLetters(Protocol):
    """A store of dead letters.

    Guarantee: when ``bury`` returns, every letter is durable, once by its id. While the store cannot be reached it
    waits and tries again.
    """

    async def open(self) -> None:
        """Connect. Raises IndexSetupError."""
        ...

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep letters, each once by its id."""
        ...

    async def newest(self, limit: int) -> list[Document]:
        """The letters whose records arrived last, newest first."""
        ...

    async def count(self) -> int:
        """How many there are."""
        ...

    async def following(self, after: str, limit: int) -> list[Document]:
        """Letters in the order of their ids, from the one after ``after`` ("" for the first)."""
        ...

    async def send_off(self, ids: Sequence[str]) -> None:
        """Note that these are about to be sent again, and that it will show only afterwards whether they were."""
        ...

    async def on_their_way(self) -> set[str]:
        """Those that were sent off and neither removed nor called back."""
        ...

    async def call_back(self, ids: Sequence[str]) -> None:
        """Note that these were not sent."""
        ...

    async def remove(self, ids: Sequence[str]) -> None:
        """Forget letters that are where they belong."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


class SQLiteDeadLetters:
    """Dead letters in a SQLite file, table ``dead_letter``. Guarantee: as ``DeadLetters`` and ``SQLiteFile``."""

    def __init__(self, path: Path) -> None:
        self._file = SQLiteFile(path, "dead letters")

    async def open(self) -> None:
        """Open or create the file. Raises IndexSetupError."""
        try:
            await self._file.open(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise IndexSetupError(f"dead letters {self._file.path}: {error}; set another data_dir") from None

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
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
        ((number,),) = await self._file.query("SELECT count(*) FROM dead_letter")
        return int(number)

    async def following(self, after: str, limit: int) -> list[Document]:
        """Letters in the order of their ids."""
        return await self._letters("WHERE id > ? ORDER BY id LIMIT ?", after, limit)

    async def send_off(self, ids: Sequence[str]) -> None:
        """Note that these are about to be sent again."""
        rows = [(each,) for each in ids]
        await self._file.change(("INSERT OR IGNORE INTO dead_letter_on_its_way VALUES (?)", rows))

    async def on_their_way(self) -> set[str]:
        """Those that were sent off and neither removed nor called back."""
        return {name for (name,) in await self._file.query("SELECT id FROM dead_letter_on_its_way")}

    async def call_back(self, ids: Sequence[str]) -> None:
        """Note that these were not sent."""
        await self._file.change(("DELETE FROM dead_letter_on_its_way WHERE id = ?", [(each,) for each in ids]))

    async def remove(self, ids: Sequence[str]) -> None:
        """Forget letters, also that they were on their way, in one transaction."""
        rows = [(each,) for each in ids]
        await self._file.change(
            ("DELETE FROM dead_letter WHERE id = ?", rows),
            ("DELETE FROM dead_letter_on_its_way WHERE id = ?", rows),
        )

    async def close(self) -> None:
        """Let go of the file."""
        await self._file.close()

    async def _letters(self, order: str, *values: Any) -> list[Document]:
        rows = await self._file.query(f"SELECT letter FROM dead_letter {order}", *values)
        return [orjson.loads(row[0]) for row in rows]


def refusal_letter(stream: str, shard: str, record: Record, entry: Entry, refused: Refused) -> DeadLetter:
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
