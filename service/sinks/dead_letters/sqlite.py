"""Dead letters in the embedded SQLite file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from service.pipeline.documents import Document
from service.pipeline.records import DeadLetter
from service.sinks.dead_letters.format import describe_letter
from service.state.database import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS dead_letter (
    id TEXT PRIMARY KEY, time TEXT NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL, letter TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS dead_letter_by_time ON dead_letter (time, id);
CREATE TABLE IF NOT EXISTS dead_letter_on_its_way (id TEXT PRIMARY KEY);
"""


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
