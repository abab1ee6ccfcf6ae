"""OpenSearch or Elasticsearch as the index.

Documents go to daily indices by event time, ``<prefix>-YYYY.MM.DD``, so that a replay finds the documents it wrote
before; the alias ``<prefix>`` is all of them. ``<prefix>-deadletter`` tells the charts of dead letters.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
from opensearchpy import AsyncOpenSearch
from opensearchpy.exceptions import NotFoundError, RequestError, SerializationError, TransportError

from service.pipeline.documents import Document, IndexDocument, Kind, timestamp
from service.retry import Retrier
from service.settings.model import Settings
from service.sinks.index import ALERTS, Episode, IndexSetupError, IndexUnavailableError, Page, Rejected, page
from service.sinks.index.auth import Auth
from service.sinks.index.bulk import BulkWriter, action
from service.sinks.index.event_fields import EventLayout
from service.sinks.index.failures import explain, remedy_for
from service.sinks.index.fields import DEAD_LETTER_FIELDS, ObjectKind, encode
from service.sinks.index.prepare import Layout, Rotation, Step, steps
from service.sinks.query import NEWEST, NO_SCORE, Filter, Find, Order, parse_cursor

log = logging.getLogger("cutwater.index")
T = TypeVar("T")

KINDS: dict[Kind, str] = {"event": "events", "window": "windows"}  # how their indices end
REQUEST_SECONDS, SEARCH_SECONDS, HEALTH_SECONDS = 60.0, 10.0, 3.0
_HOUR = 3_600_000  # ms
_NEWEST, _OLDEST = ([{"@timestamp": way}, {"event.id": way}] for way in ("desc", "asc"))
_ANSWER = "errors,items.*.status,items.*.error"


class OpenSearchIndex:
    """Documents in OpenSearch (2, 3) or Elasticsearch (7.10 to 9).

    Guarantee: as ``Index``. Acknowledged means that the primary shard has it in its synchronised log: it survives a
    kill of the server. An id that exists counts as written.
    """

    def __init__(
        self,
        url: str,
        prefix: str,
        features: Sequence[str],
        *,
        auth: Auth | None = None,
        rotation: Rotation = "OneDay",
        retention_days: int = 0,
        labels: Sequence[str] = (),
        events: EventLayout | None = None,
    ) -> None:
        """Raises IndexSetupError if the access is contradictory or names files that cannot be used.

        ``events``: what events and windows hold, of a stream of events.
        """
        auth = auth or Auth()
        self.distribution = self.version = ""
        self.serverless = auth.aws == "aoss"
        self.objects: ObjectKind = "object"
        self.layout = Layout(prefix, tuple(features), rotation, retention_days, tuple(labels))
        self.layouts: dict[Kind, Layout] = {"score": self.layout}
        if events:
            for kind, name in KINDS.items():
                self.layouts[kind] = Layout(f"{prefix}-{name}", (), rotation, retention_days, kind=kind, events=events)
        self._authenticated = auth.authenticates(url)
        self._address = _address_of(url)
        self._retrier = Retrier(f"index {self._address}")
        # Retries are ours: the client's would not know a document that can never be stored.
        self._client = AsyncOpenSearch(
            hosts=[url],
            max_retries=0,
            retry_on_status=(),
            timeout=REQUEST_SECONDS,
            serializer=_JSON(),
            **auth.client_options(url),
        )
        # A document that never is cannot be deleted: nothing changes, whoever may do it or not.
        probe = orjson.dumps({"delete": {"_index": self.layout.letters, "_id": "cutwater-probe"}}) + b"\n"
        self._writer = BulkWriter(self._bulk, self._retrier, probe)
        self._indices: dict[tuple[Kind, int], str] = {}

    @classmethod
    def of(cls, settings: Settings) -> OpenSearchIndex:
        """As the settings say. Raises IndexSetupError."""
        return cls(
            settings.opensearch_url,
            settings.index_prefix,
            tuple(settings.value_fields),
            auth=Auth.of(settings),
            rotation=settings.index_rotation,
            retention_days=settings.retention_days,
            labels=tuple(settings.label_fields),
            events=EventLayout.of(settings),
        )

    @property
    def last_error(self) -> str | None:
        """What keeps documents from being written at the moment."""
        return self._retrier.last_error

    async def open(self) -> None:
        """Wait for the server and see that it has what documents need.

        A server that lets everybody in is prepared on the way. One that asks for authentication is only looked at:
        changing it takes privileges that a service should not have.

        Raises:
            IndexSetupError: waiting would not help, or ``cutwater setup`` has not run.
        """
        lacking = []
        for step in await self.plan(retention=not self._authenticated):
            if step.state == "unavailable":
                log.warning("index %s: %s: %s", self._address, step.what, step.detail)
            elif step.take and not self._authenticated:
                await step.take()
            elif step.state == "create":
                lacking.append(step.what)
            elif step.state == "update":
                log.warning("index %s: %s: not up to date; run `cutwater setup`", self._address, step.what)
        if lacking:
            raise self.error(f"lacks {' and '.join(lacking)}; run `cutwater setup` with the same settings")

    async def plan(self, *, retention: bool = True) -> list[Step]:
        """Wait for the server, learn what it is, and find out what it lacks. Raises IndexSetupError."""
        if self.serverless:  # does not say
            self.distribution, self.version = "opensearch", "serverless"
        else:
            info = await self._call(self._client.info)
            self.distribution, self.version, self.objects = _identity(info, self._address)
        try:
            plans = [await steps(self, layout, retention=retention) for layout in self.layouts.values()]
            return [step for plan in plans for step in plan]
        except RequestError as error:
            raise self.error(f"{explain(error)}; check opensearch_url") from None

    async def write(self, documents: Sequence[IndexDocument]) -> list[Rejected]:
        """Store documents, each in the index of its day."""
        actions, refused = [], []
        for entry in documents:
            try:
                actions.append((entry.id, action(self._index(entry), entry.id, encode(entry))))
            except ValueError as error:
                refused.append(Rejected(entry.id, "not_encodable", str(error)))
        if by_server := await self._writer.write(actions):
            indices = {entry.id: self._index(entry) for entry in documents}
            refused += [replace(each, index=indices[each.id]) for each in by_server]
        return refused

    async def index_dead_letters(self, letters: Sequence[Document]) -> None:
        """Index dead letters for the charts, without what they hold."""
        actions = []
        for letter in letters:
            shown = orjson.dumps({name: letter[name] for name in DEAD_LETTER_FIELDS})
            actions.append((letter["id"], action(self.layout.letters, _letter_id(letter["id"]), shown)))
        for refusal in await self._writer.write(actions):
            log.error("dead letter %s is not charted: %s: %s", refusal.id, refusal.code, refusal.reason)

    async def search(self, wanted: Filter, limit: int, cursor: str | None = None, order: Order = NEWEST) -> Page:
        """Matching documents in an order; written ones appear after about a second."""
        order, place = (order, None) if cursor is None else parse_cursor(cursor)
        body: dict[str, Any] = {
            "size": limit,
            "query": {"bool": {"filter": _conditions(wanted)}},
            "sort": _sort(order),
            "track_total_hits": False,
        }
        if place is not None:
            body["search_after"] = place[1:] if order.by == "time" else place
        answer = await self._search(body)
        return page([hit["_source"] for hit in answer["hits"]["hits"]], limit, order)

    async def find(self, wanted: Find, limit: int, cursor: str | None = None, order: Order = NEWEST) -> Page:
        """Matching events or windows, by time."""
        layout = self.layouts.get(wanted.kind)
        if layout is None:
            return Page([], None)
        order, place = (order, None) if cursor is None else parse_cursor(cursor)
        span = {"gte": wanted.since, "lt": wanted.until, "format": "epoch_millis"}
        terms = ({"term": {layout.events.field(name): value}} for name, value in wanted.terms)
        body: dict[str, Any] = {
            "size": limit,
            "query": {"bool": {"filter": [{"range": {"@timestamp": span}}, *terms]}},
            "sort": _sort(order),
            "track_total_hits": False,
        }
        if place is not None:
            body["search_after"] = place[1:]
        answer = await self._search(body, layout.prefix)
        return page([hit["_source"] for hit in answer["hits"]["hits"]], limit, order)

    async def episodes(self, ids: Sequence[str]) -> dict[str, Episode]:
        """What is known of these episodes."""
        if not ids:
            return {}
        body = {
            "size": 0,
            "query": {"bool": {"filter": [{"terms": {"episode_id": list(ids)}}]}},
            "aggs": {
                "episode": {
                    "terms": {"field": "episode_id", "size": len(ids)},
                    "aggs": {
                        "last": {"top_hits": {"size": 1, "sort": _NEWEST, "_source": ["episode_kind"]}},
                        "peak": {"max": {"field": "anomaly_score"}},
                        "severity": {"max": {"field": "severity"}},
                        "alerts": {
                            "filter": {"term": {"alert": True}},
                            "aggs": {"first": {"top_hits": {"size": ALERTS, "sort": _OLDEST}}},
                        },
                    },
                }
            },
        }
        found = (await self._search(body)).get("aggregations", {}).get("episode", {}).get("buckets", [])
        episodes = {}
        for each in found:
            (last,) = each["last"]["hits"]["hits"]
            episodes[each["key"]] = Episode(
                last=last["sort"][0],
                kind=last["_source"].get("episode_kind"),
                peak=each["peak"]["value"],
                severity=round(each["severity"]["value"] or 0),
                documents=each["doc_count"],
                alerts=[hit["_source"] for hit in each["alerts"]["first"]["hits"]["hits"]],
            )
        return episodes

    async def healthy(self) -> str | None:
        """None when the server answers and takes documents, else what is wrong."""
        if problem := self._retrier.last_error:
            return f"{self._address}: {problem}"
        try:
            if not self.serverless:
                await self._client.info(params={"request_timeout": HEALTH_SECONDS})
        except TransportError as error:
            return f"{self._address}: {explain(error)}"
        return None

    async def close(self) -> None:
        """Give up what is not acknowledged and close the connections."""
        await self._writer.close()
        await self._client.close()

    def _index(self, entry: IndexDocument) -> str:
        hour = (entry.kind, entry.time // _HOUR)
        if (name := self._indices.get(hour)) is None:
            layout = self.layouts.get(entry.kind, self.layout)
            self._indices[hour] = name = layout.index(timestamp(entry.time))
        return name

    # Requests

    async def _search(self, body: dict[str, Any], alias: str = "") -> Any:
        """The answer to a search of all scores, or of the documents of an alias. Raises IndexUnavailableError."""
        try:
            return await self._client.search(
                index=alias or self.layout.prefix, body=body, params={"request_timeout": SEARCH_SECONDS}
            )
        except NotFoundError:
            return {"hits": {"hits": []}}  # nothing has been written yet
        except (TransportError, SerializationError) as error:
            reason = explain(error) if isinstance(error, TransportError) else "the answer is no JSON"
            raise IndexUnavailableError(f"index {self._address}: {reason}") from None

    async def _bulk(self, body: bytes) -> Any:
        return await self._client.transport.perform_request(
            "POST",
            "/_bulk",
            params={"filter_path": _ANSWER},
            body=body,
            headers={"content-type": "application/x-ndjson"},
        )

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        """A request that waits while the server is away: the decoded answer, or None for 404.

        Raises RequestError for 400 and 405, which say that the server does not know this; IndexSetupError for other
        refusals.
        """
        call = partial(self._client.transport.perform_request, method, path, body=body)
        try:
            return await self._call(call, optional=True)
        except NotFoundError:
            return None
        except TransportError as error:
            raise RequestError(error.status_code, error.error, error.info) from None

    async def _call(self, call: Callable[[], Awaitable[T]], *, optional: bool = False) -> T:
        """Call until the server answers.

        Raises IndexSetupError where waiting would not help, RequestError for 400 and, if what is asked for is
        ``optional``, TransportErrors for 404 and 405.
        """

        def classify(error: Exception) -> str:
            if isinstance(error, SerializationError):
                raise self.error("the answer is no JSON; check opensearch_url") from None
            if not isinstance(error, TransportError) or isinstance(error, RequestError):
                raise error
            if optional and error.status_code in (404, 405):
                raise error
            if remedy := remedy_for(error):
                raise self.error(f"{explain(error)}; {remedy}") from None
            return explain(error)

        return await self._retrier.call(call, classify)

    def error(self, reason: str) -> IndexSetupError:
        """An error that names the server."""
        return IndexSetupError(f"index {self._address}: {reason}")


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


def _conditions(wanted: Filter) -> list[dict[str, Any]]:
    """The clauses that a filter stands for."""
    terms = {"sensor": wanted.sensor, "shard": wanted.shard, "anomaly_kind": wanted.kind}
    terms |= {f"labels.{name}": value for name, value in wanted.labels}
    least = {"anomaly_score": wanted.min_score, "severity": wanted.min_severity or None}  # all have 0
    found: list[dict[str, Any]] = [
        {"range": {"@timestamp": {"gte": wanted.since, "lt": wanted.until, "format": "epoch_millis"}}},
        *({"term": {name: value}} for name, value in terms.items() if value is not None),
        *({"range": {name: {"gte": value}}} for name, value in least.items() if value is not None),
    ]
    if wanted.anomalies:
        found.append({"bool": {"should": [{"term": {"is_anomaly": True}}, {"term": {"alert": True}}]}})
    if wanted.alerts:
        found.append({"term": {"alert": True}})
    return found


def _sort(order: Order) -> list[dict[str, Any]]:
    """The keys of an order; what a document lacks counts as ``Order.value`` says."""
    way = "desc" if order.descending else "asc"
    keys: dict[str, dict[str, Any]] = {
        "time": {},
        "score": {"anomaly_score": {"order": way, "missing": NO_SCORE, "unmapped_type": "double"}},
        "severity": {"severity": {"order": way, "missing": 0, "unmapped_type": "integer"}},
    }
    first = [keys[order.by]] if keys[order.by] else []
    return [*first, *(_NEWEST if order.descending else _OLDEST)]


def _letter_id(name: str) -> str:
    """A letter's id within the 512 bytes that a server takes."""
    return name if len(name) <= 512 else hashlib.blake2b(name.encode(), digest_size=32).hexdigest()


def _identity(info: Any, place: str) -> tuple[str, str, ObjectKind]:
    """Distribution, version and how it takes objects, from the answer to ``GET /``. Raises IndexSetupError."""
    version = info.get("version") if isinstance(info, dict) else None
    if not isinstance(version, dict) or "number" not in version:
        raise IndexSetupError(f"index {place}: answers, but is no OpenSearch or Elasticsearch; check opensearch_url")
    distribution, number = str(version.get("distribution", "elasticsearch")), str(version["number"])
    major, minor = (int(part) for part in re.findall(r"\d+", number)[:2])
    if distribution == "elasticsearch" and (major, minor) < (7, 10):
        raise IndexSetupError(f"index {place}: Elasticsearch {number} is too old; 7.10 or newer is needed")
    # 7.10 may also be an OpenSearch that old clients shall take for Elasticsearch; which one it does not say.
    if (major, minor) == (7, 10) and (distribution == "opensearch" or "OpenSearch" in str(info.get("tagline"))):
        return distribution, number, "object"
    if distribution == "elasticsearch":  # the build without x-pack lacks `flattened`
        return distribution, number, "object" if version.get("build_flavor") == "oss" else "flattened"
    return distribution, number, "flat_object" if (major, minor) >= (2, 7) else "object"


def _address_of(url: str) -> str:
    """The address without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
