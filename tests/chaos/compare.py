"""What an index holds, and how it differs from what it should hold."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from tests.servers import opensearch

Contents = dict[str, list[bytes]]
"""Digests of the documents of each id; more than one if an id is in several indices."""
_PAGE = 5_000


@dataclass(frozen=True)
class Difference:
    """``lost``: documents that are missing; ``doubled``: that are too many; ``different``: that have other content."""

    documents: int
    lost: int
    doubled: int
    different: int
    examples: tuple[str, ...]

    def __add__(self, other: Difference) -> Difference:
        """Both together."""
        return Difference(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def none(self) -> bool:
        return not (self.lost or self.doubled or self.different)


def compare(expected: Contents, found: Contents) -> Difference:
    """How ``found`` differs."""
    lost = expected.keys() - found.keys()
    strangers = found.keys() - expected.keys()
    different = [id_ for id_ in expected.keys() & found.keys() if set(found[id_]) != set(expected[id_])]
    doubled = len(strangers) + sum(len(digests) - 1 for digests in found.values())
    return Difference(
        documents=len(expected),
        lost=len(lost),
        doubled=doubled,
        different=len(different),
        examples=(*sorted(lost)[:3], *sorted(strangers)[:3], *sorted(different)[:3]),
    )


def query(path: Path, statement: str) -> list[Any]:
    """Rows of an embedded store; none before it is there."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as db:
            return db.execute(statement).fetchall()
    except sqlite3.OperationalError:
        return []


def in_sqlite(path: Path) -> Contents:
    """The documents of an embedded index."""
    tables = ("document", "event_document", "window_document")
    return _contents(query(path, " UNION ALL ".join(f"SELECT id, document FROM {table}" for table in tables)))


def letters_in(path: Path) -> Contents:
    """The dead letters of an embedded store."""
    return _contents(query(path, "SELECT id, letter FROM dead_letter"))


def disorder(path: Path) -> list[str]:
    """Sensors whose readings were not scored in the order of the stream, each once, by one model."""
    rows = query(
        path,
        "SELECT sensor, json_extract(document, '$.readings_seen') FROM document "
        "WHERE json_extract(document, '$.sequence_number') IS NOT NULL ORDER BY sensor, "
        "json_extract(document, '$.sequence_number'), json_extract(document, '$.sub_sequence_number'), "
        "json_extract(document, '$.record_ordinal')",
    )
    return sorted({one for (one, seen), (other, after) in pairwise(rows) if one == other and after != seen + 1})


def in_opensearch(url: str, pattern: str) -> Contents:
    """The documents of an index pattern."""
    return _contents((hit["_id"], orjson.dumps(hit["_source"])) for hit in _hits(url, pattern))


def _contents(rows: Iterable[tuple[str, str | bytes]]) -> Contents:
    found: Contents = {}
    for id_, document in rows:
        content = orjson.loads(document)
        content.pop("attemptEndingTimestamp", None)  # of a dead letter: by the clock of whoever gave it up
        for each in (content, _event_in(content)):
            each.pop("enrichment.version", None)  # of a table that was read anew meanwhile, with the same rows
        canonical = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        found.setdefault(id_, []).append(hashlib.blake2b(canonical, digest_size=16).digest())
    return found


def _event_in(letter: dict) -> dict:
    """The event of a dead letter about one that was enriched, in the place of its bytes; else a new object."""
    with contextlib.suppress(ValueError):
        event = orjson.loads(base64.b64decode(letter.get("rawData", "")))
        if isinstance(event, dict) and "enrichment.version" in event:
            letter["rawData"] = event
            return event
    return {}


def _hits(url: str, pattern: str) -> Iterator[dict]:
    """All documents of a pattern, index by index, in pages."""
    opensearch.request(url, "POST", f"/{pattern}/_refresh")
    body = {"size": _PAGE, "sort": ["_doc"]}
    answer = opensearch.request(url, "POST", f"/{pattern}/_search?scroll=2m", body)
    while hits := answer["hits"]["hits"]:
        yield from hits
        next_page = {"scroll": "2m", "scroll_id": answer["_scroll_id"]}
        answer = opensearch.request(url, "POST", "/_search/scroll", next_page)
