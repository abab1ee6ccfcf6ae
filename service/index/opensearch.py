"""OpenSearch or Elasticsearch as the index.

Documents go to daily indices by event time, dead letters to ``<prefix>-deadletter``. Guarantee: a document counts as
acknowledged when the server said 201, or 409 because it has it already. What may pass (429, 5xx, lost connections) is
tried again with growing, jittered pauses for as long as it takes; what cannot (400, 403, …) is returned as refused.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
from opensearchpy import AsyncOpenSearch
from opensearchpy.exceptions import (
    AuthenticationException,
    AuthorizationException,
    ConnectionError,  # noqa: A004 - the client's own name for a lost connection
    NotFoundError,
    OpenSearchException,
    SSLError,
    TransportError,
)

from service.documents import Document, Entry, timestamp
from service.index import IndexSetupError, Refused
from service.records import DeadLetter

log = logging.getLogger("cutwater.index")

BULK_BYTES = 5 * 1024 * 1024  # small AWS instances take no request above 10 MB
BULK_DOCUMENTS = 2000
_PATIENCE = 30.0  # s; the longest pause between two attempts

_KEYWORD, _DOUBLE, _DATE = {"type": "keyword", "ignore_above": 10240}, {"type": "double"}, {"type": "date"}
_FIELDS: dict[str, dict[str, Any]] = {
    "@timestamp": _DATE,
    "sensor": _KEYWORD,
    "anomaly_score": _DOUBLE,
    "anomaly_grade": _DOUBLE,
    "confidence": _DOUBLE,
    "threshold": _DOUBLE,
    "is_anomaly": {"type": "boolean"},
    "state": _KEYWORD,
    "readings_seen": {"type": "long"},
    "stream": _KEYWORD,
    "shard": _KEYWORD,
    "sequence_number": _KEYWORD,
    "sub_sequence_number": {"type": "long"},
    "record_ordinal": {"type": "long"},
    "event": {"properties": {"kind": _KEYWORD, "created": _DATE}},
    "detector_id": _KEYWORD,
    "schema_version": {"type": "integer"},
}
_LETTER_FIELDS: dict[str, dict[str, Any]] = {
    "@timestamp": _DATE,
    "stream": _KEYWORD,
    "shard": _KEYWORD,
    "sequence_number": _KEYWORD,
    "sub_sequence_number": {"type": "long"},
    "partition_key": _KEYWORD,
    "code": _KEYWORD,
    "reason": {"type": "text"},
    "data": {"type": "binary"},
}

Action = tuple[str, str, Document]  # index, id, document


class OpenSearchIndex:
    """See ``service.index.Index``."""

    def __init__(self, url: str, prefix: str, features: Sequence[str]) -> None:
        self._url, self._prefix, self._features = url, prefix, features
        self._client = AsyncOpenSearch(hosts=[url], max_retries=0, timeout=60)

    async def open(self) -> None:
        """Put the index templates; waits while the server is away. Raises IndexSetupError."""
        documents = _FIELDS | {
            f"{kind}_{feature}": _DOUBLE
            for kind in ("feature_data", "expected_values", "relevant_attribution")
            for feature in self._features
        }
        # Two dots keep other indices with our prefix out, the dead letter first of all.
        patterns = {"": (f"{self._prefix}-*.*.*", documents), "-deadletter": (self._letters, _LETTER_FIELDS)}
        for suffix, (pattern, fields) in patterns.items():
            template = {
                "index_patterns": [pattern],
                "priority": 200,
                "template": {
                    # Without an interval of its own an index that nobody searches is not refreshed at all.
                    "settings": {"refresh_interval": "1s"},
                    "mappings": {"dynamic": False, "properties": fields},
                },
            }
            await self._patiently(self._client.indices.put_index_template, name=self._prefix + suffix, body=template)

    async def write(self, entries: Sequence[Entry]) -> list[Refused]:
        """Store documents, each in the index of its day."""
        return await self._store([(self._day(entry.time), entry.id, entry.document) for entry in entries])

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Store dead letters. One that the server refuses is logged whole: there is nowhere else to put it."""
        for refusal in await self._store([(self._letters, letter.id, _describe(letter)) for letter in letters]):
            log.error("dead letter %s refused by the index: %s %s", refusal.id, refusal.code, refusal.reason)

    async def dead_letters(self, limit: int) -> list[Document]:
        """The newest dead letters, newest first."""
        body = {"size": limit, "sort": [{"@timestamp": "desc"}]}
        try:
            answer = await self._client.search(index=self._letters, body=body)
        except NotFoundError:
            return []
        return [hit["_source"] for hit in answer["hits"]["hits"]]

    async def healthy(self) -> str | None:
        """None when the server answers."""
        try:
            await self._client.cluster.health(params={"timeout": "1s"}, request_timeout=2)
        except OpenSearchException as error:
            return f"{_place(self._url)}: {_short(error)}"
        return None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    @property
    def _letters(self) -> str:
        return f"{self._prefix}-deadletter"

    def _day(self, time: int) -> str:
        return f"{self._prefix}-{datetime.fromtimestamp(time / 1000, UTC):%Y.%m.%d}"

    async def _store(self, actions: Sequence[Action]) -> list[Refused]:
        refused: list[Refused] = []
        for chunk in _chunks(actions):
            refused += await self._store_chunk(chunk)
        return refused

    async def _store_chunk(self, actions: Sequence[Action]) -> list[Refused]:
        """One bulk request and what it takes to have all of it accepted or refused."""
        refused: list[Refused] = []
        left, attempt = list(actions), 0
        while left:
            try:
                answer = await self._client.bulk(body=_body(left))
            except TransportError as error:
                if error.status_code in (413, 429) and len(left) > 1:
                    middle = len(left) // 2
                    await _pause(error.status_code == 429)
                    return refused + await self._store_chunk(left[:middle]) + await self._store_chunk(left[middle:])
                if error.status_code == 413:
                    return [*refused, Refused(left[0][1], "too_large", "larger than http.max_content_length")]
                attempt = await self._wait(attempt, error)
                continue
            again: list[Action] = []
            for action, item in zip(left, answer["items"], strict=True):
                result = item["create"]
                status = result["status"]
                if status == 429 or status >= 500:
                    again.append(action)
                elif status >= 300 and status != 409:
                    refused.append(Refused(action[1], result["error"]["type"], _reason(result["error"])))
            if again:
                attempt = await self._wait(attempt, f"{len(again)} of {len(left)} documents: try later")
            left = again
        return refused

    async def _patiently(self, call: Any, **request: Any) -> Any:
        """Call until the server answers. Raises IndexSetupError where waiting cannot help."""
        attempt = 0
        while True:
            try:
                return await call(**request)
            except AuthenticationException:
                raise self._hopeless("wrong user or password; check opensearch_url") from None
            except AuthorizationException as error:
                raise self._hopeless(f"{_short(error)}; the user may not manage index templates") from None
            except SSLError:
                raise self._hopeless("the server's certificate is not trusted, or it does not speak TLS") from None
            except TransportError as error:
                if isinstance(error.status_code, int) and error.status_code < 500 and error.status_code != 429:
                    raise self._hopeless(_short(error)) from None
                attempt = await self._wait(attempt, error)

    async def _wait(self, attempt: int, trouble: object) -> int:
        """Pause before attempt number ``attempt + 1``; says so now and then."""
        if attempt % 10 == 0:
            log.warning("index at %s: %s; trying again", _place(self._url), _short(trouble))
        await asyncio.sleep(min(_PATIENCE, 0.1 * 2**attempt) * random.uniform(0.5, 1.0))
        return attempt + 1

    def _hopeless(self, reason: str) -> IndexSetupError:
        return IndexSetupError(f"index at {_place(self._url)}: {reason}")


def _chunks(actions: Sequence[Action]) -> list[list[Action]]:
    """Actions in requests of bounded length."""
    chunks: list[list[Action]] = []
    size = BULK_BYTES
    for action in actions:
        weight = len(orjson.dumps(action[2])) + 120
        if size + weight > BULK_BYTES or len(chunks[-1]) == BULK_DOCUMENTS:
            chunks.append([])
            size = 0
        chunks[-1].append(action)
        size += weight
    return chunks


def _body(actions: Sequence[Action]) -> str:
    lines: list[bytes] = []
    for index, identity, document in actions:
        lines += (orjson.dumps({"create": {"_index": index, "_id": identity}}), orjson.dumps(document))
    return b"\n".join([*lines, b""]).decode()


def _describe(letter: DeadLetter) -> Document:
    record = letter.record
    return {
        "@timestamp": timestamp(record.arrival),
        "stream": letter.stream,
        "shard": letter.shard,
        "sequence_number": str(record.position.sequence),
        "sub_sequence_number": record.position.subsequence,
        "partition_key": record.partition_key,
        "code": letter.code,
        "reason": letter.reason,
        "data": base64.b64encode(record.data).decode(),
    }


async def _pause(needed: bool) -> None:
    if needed:
        await asyncio.sleep(random.uniform(0.1, 0.5))


def _reason(error: dict[str, Any]) -> str:
    cause = error.get("caused_by", {}).get("reason", "")
    return f"{error.get('reason', '')}: {cause}".strip(": ")[:500]


def _short(trouble: object) -> str:
    """An error in one line, without addresses that may hold a password."""
    if isinstance(trouble, ConnectionError):
        return "cannot be reached"
    if isinstance(trouble, TransportError):
        return f"{trouble.status_code} {trouble.error}"[:300]
    return str(trouble).splitlines()[0][:300]


def _place(url: str) -> str:
    """The address without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
