"""OpenSearch or Elasticsearch as the index.

Documents go to daily indices by event time, ``<prefix>-YYYY.MM.DD``, so that a replay finds the documents it wrote
before; dead letters go to ``<prefix>-deadletter``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
from opensearchpy import AsyncOpenSearch
from opensearchpy.exceptions import NotFoundError, RequestError, SerializationError, TransportError

from service.documents import SCHEMA_VERSION, Document, Entry, timestamp
from service.index import IndexSetupError, Refused
from service.index.bulk import BulkWriter, action
from service.index.failures import explain, hopeless
from service.index.fields import DEAD_LETTER_FIELDS, FIELDS, describe_letter, encode, mapping
from service.index.patience import Patience
from service.records import DeadLetter

log = logging.getLogger("cutwater.index")
T = TypeVar("T")

REQUEST_SECONDS, HEALTH_SECONDS = 60.0, 3.0
REFRESH = "1s"  # set because an index without an interval of its own is not refreshed until somebody searches
PRIORITY = 200  # above the templates that the servers bring along
OWNER = "cutwater"
_DAY = 86_400_000  # ms
_ANSWER = "errors,items.*.status,items.*.error"


class OpenSearchIndex:
    """Documents and dead letters in OpenSearch (2, 3) or Elasticsearch (7.10 to 9).

    Guarantee: as ``Index``. Acknowledged means that the primary shard has it in its synchronised log: it survives a
    kill of the server. An id that exists counts as written.
    """

    def __init__(self, url: str, prefix: str, features: Sequence[str]) -> None:
        self.distribution = self.version = ""
        self._place, self._prefix, self._features = _place(url), prefix, tuple(features)
        self._patience = Patience(f"index {self._place}")
        # Retries are ours: the client's would not know a document that can never be stored.
        self._client = AsyncOpenSearch(
            hosts=[url], serializer=_JSON(), max_retries=0, retry_on_status=(), timeout=REQUEST_SECONDS
        )
        self._writer = BulkWriter(self._bulk, self._patience)
        self._days: dict[int, str] = {}

    async def open(self) -> None:
        """Wait for the server and give it our templates. Raises IndexSetupError where waiting would not help."""
        self.distribution, self.version = _identity(await self._insist(self._client.info), self._place)
        for name, template in self._templates().items():
            await self._put_template(name, template)
        await self._extend_mappings()

    async def write(self, entries: Sequence[Entry]) -> list[Refused]:
        """Store documents, each in the index of its day."""
        actions, refused = [], []
        for entry in entries:
            try:
                actions.append((entry.id, action(self._day(entry.time), entry.id, encode(entry))))
            except ValueError as error:
                refused.append(Refused(entry.id, "not_encodable", str(error)))
        return refused + await self._writer.write(actions)

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Store dead letters; one that is too large for the server goes without the record's bytes."""
        documents = {letter.id: describe_letter(letter) for letter in letters}
        refused = await self._bury(documents)
        if not refused:
            return
        for refusal in refused:
            document = documents[refusal.id]
            document["reason"] += f" (the index refuses the record's bytes: {refusal.reason})"
            del document["data"]
        for refusal in await self._bury({refusal.id: documents[refusal.id] for refusal in refused}):
            log.error("dead letter %s is refused: %s: %s", refusal.id, refusal.code, refusal.reason)

    async def dead_letters(self, limit: int) -> list[Document]:
        """The newest dead letters, newest first."""
        order = [{"@timestamp": "desc"}, {"sequence_number": "desc"}]
        try:
            answer = await self._client.search(index=self._letters, body={"size": limit, "sort": order})
        except NotFoundError:
            return []
        return [hit["_source"] for hit in answer["hits"]["hits"]]

    async def healthy(self) -> str | None:
        """None when the server answers and takes documents, else what is wrong."""
        if self._patience.trouble:
            return f"{self._place}: {self._patience.trouble}"
        try:
            await self._client.info(params={"request_timeout": HEALTH_SECONDS})
        except TransportError as error:
            return f"{self._place}: {explain(error)}"
        return None

    async def close(self) -> None:
        """Give up what is not acknowledged and close the connections."""
        await self._writer.close()
        await self._client.close()

    # Names

    @property
    def _letters(self) -> str:
        return f"{self._prefix}-deadletter"

    def _day(self, time: int) -> str:
        day = time // _DAY
        if (name := self._days.get(day)) is None:
            date = timestamp(day * _DAY)[:10].replace("-", ".")
            self._days[day] = name = f"{self._prefix}-{date}"
        return name

    # Templates and mappings

    def _templates(self) -> dict[str, dict[str, Any]]:
        documents, letters = mapping(FIELDS, self._features), mapping(DEAD_LETTER_FIELDS, ())
        # A longer prefix that begins like ours has the higher priority, so that two services never collide.
        priority = PRIORITY + len(self._prefix)
        return {
            self._prefix: _template([f"{self._prefix}-*.*"], priority, documents),
            self._letters: _template([self._letters], priority, letters),
        }

    async def _put_template(self, name: str, template: dict[str, Any]) -> None:
        """Put a template of ours unless the same is there; somebody else's is left alone."""
        try:
            answer = await self._insist(lambda: self._client.indices.get_index_template(name=name, ignore=404))
            present = answer.get("index_templates") or []
            if present and (present[0]["index_template"].get("_meta") or {}).get("owner") != OWNER:
                raise self._error(f"the index template {name!r} is not Cutwater's; set another index_prefix")
            await self._insist(lambda: self._client.indices.put_index_template(name=name, body=template))
        except RequestError as error:
            raise self._error(f"the index template {name!r} is refused: {explain(error)}") from None

    async def _extend_mappings(self) -> None:
        """Add fields that are new since to the indices we made before."""
        wanted = mapping(FIELDS, self._features)
        ours = re.compile(re.escape(self._prefix) + r"-\d{4}\.\d\d\.\d\d")
        pattern = f"{self._prefix}-*.*"
        present = await self._insist(lambda: self._client.indices.get_mapping(index=pattern, ignore=404))
        for index, body in present.items():
            if not ours.fullmatch(index) or _flat(wanted) <= _flat(body["mappings"]):
                continue
            put = partial(self._client.indices.put_mapping, index=index, body=wanted)
            try:
                await self._insist(put)
            except RequestError as error:
                raise self._error(
                    f"the index {index!r} has other fields than ours: {explain(error)}; set another index_prefix"
                ) from None

    # Requests

    async def _bury(self, documents: dict[str, Document]) -> list[Refused]:
        letters = [(name, action(self._letters, name, orjson.dumps(body))) for name, body in documents.items()]
        return await self._writer.write(letters)

    async def _bulk(self, body: bytes) -> Any:
        return await self._client.transport.perform_request(
            "POST",
            "/_bulk",
            params={"filter_path": _ANSWER},
            body=body,
            headers={"content-type": "application/x-ndjson"},
        )

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until the server answers. Raises IndexSetupError where waiting would not help, RequestError for 400."""
        attempt = 0
        while True:
            try:
                result = await call()
            except RequestError:
                raise
            except TransportError as error:
                if remedy := hopeless(error):
                    raise self._error(f"{explain(error)}; {remedy}") from None
                await self._patience.wait(explain(error), attempt)
                attempt += 1
            except SerializationError:
                raise self._error("the answer is no JSON; check opensearch_url") from None
            else:
                self._patience.over()
                return result

    def _error(self, reason: str) -> IndexSetupError:
        return IndexSetupError(f"index {self._place}: {reason}")


class _JSON:
    """The client's serializer, by orjson; bytes are JSON already."""

    mimetype = "application/json"

    def loads(self, s: str | bytes) -> Any:
        """From an answer."""
        try:
            return orjson.loads(s)
        except orjson.JSONDecodeError as error:
            raise SerializationError(str(error), error) from None

    def dumps(self, data: Any) -> str | bytes:
        """For a request."""
        return data if isinstance(data, str | bytes) else orjson.dumps(data)


def _template(patterns: list[str], priority: int, fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "index_patterns": patterns,
        "priority": priority,
        "version": SCHEMA_VERSION,
        "_meta": {"owner": OWNER},
        "template": {"settings": {"index": {"refresh_interval": REFRESH}}, "mappings": fields},
    }


def _identity(info: Any, place: str) -> tuple[str, str]:
    """Distribution and version from the answer to ``GET /``. Raises IndexSetupError."""
    version = info.get("version") if isinstance(info, dict) else None
    if not isinstance(version, dict) or "number" not in version:
        raise IndexSetupError(f"index {place}: answers, but is no OpenSearch or Elasticsearch; check opensearch_url")
    distribution, number = str(version.get("distribution", "elasticsearch")), str(version["number"])
    major, minor = (int(part) for part in re.findall(r"\d+", number)[:2])
    if distribution == "elasticsearch" and (major, minor) < (7, 10):
        raise IndexSetupError(f"index {place}: Elasticsearch {number} is too old; 7.10 or newer is needed")
    return distribution, number


def _flat(fields: dict[str, Any], path: str = "") -> set[tuple[str, str]]:
    """(name, type) of every field of a mapping, dotted."""
    found: set[tuple[str, str]] = set()
    for name, field in (fields.get("properties") or {}).items():
        inner = _flat(field, f"{path}{name}.")
        found |= inner or {(path + name, str(field.get("type")))}
    return found


def _place(url: str) -> str:
    """The address without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
