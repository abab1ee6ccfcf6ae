"""Routes for scores: from memory and the index, as they come, by episode, by sensor, and of a reading to try out."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request
from fastapi.responses import Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from detector.types import Scores
from service.api import examples, models, params
from service.api.history import History, State
from service.api.responses import ResponseWriter, json
from service.offline.export import ndjson, table
from service.pipeline.documents import Document, timestamp
from service.settings.model import Settings
from service.sinks.index.fields import FIELDS, names
from service.sinks.query import Filter, Order, cursor_after
from service.sinks.recent_scores import Sensor
from service.worker.service import Service

FOLLOW_ROWS = 5_000  # looked at between two looks at whether the client is still there

_AWAY = "The index cannot be searched now."
_SCORES = models.responses(models.Scores, examples.SCORES)
_SCORES[200]["content"] |= {
    "application/x-ndjson": {"schema": {"type": "string"}},
    "text/csv": {"schema": {"type": "string"}},
}
_SCORES[200]["headers"] = {
    "X-Cursor": {"schema": {"type": "string"}, "description": "As `cursor`; of NDJSON and CSV."},
    "X-History": {"schema": {"type": "string"}, "description": "As `history`; of NDJSON and CSV."},
}
_TYPES = {"json": "application/json", "ndjson": "application/x-ndjson", "csv": "text/csv"}


def router(service: Service, writer: ResponseWriter) -> APIRouter:
    """The routes of a service."""
    routes = APIRouter()
    _add_documents(routes, service, writer)
    _add_stream(routes, service, writer)
    _add_sensors(routes, service, writer)
    _add_forecast(routes, service)
    return routes


def _add_documents(routes: APIRouter, service: Service, writer: ResponseWriter) -> None:
    history = History(service.index)

    @routes.get("/scores", responses=_SCORES)
    async def scores(request: Request, query: Annotated[params.ScoresQuery, Query()]) -> Response:
        """Scores, newest event time first: those in memory (with their `row`), and what the index holds.

        The index holds anomalies only, unless `index = all`. A cursor names the last score's place in the order, so it
        stays good while scores move from memory to the index, and after a restart. While the index is away, scores are
        those in memory, and `history` says so.
        """
        wanted = _filter(service, request, query)
        order, after = params.place_of(query.cursor, Order(query.sort, query.order == "desc"))
        columns = columns_of(service.settings)
        fields = params.fields_of(query, columns)
        found = await writer.run(service.recent.search, wanted, query.limit, order, after)
        state: State = "not asked"
        if query.history:
            older, state = await history.search(wanted, query.limit, query.cursor, order)
            found = await writer.run(_merge, found, older, query.limit, order)
        cursor = cursor_after(found[-1], order) if len(found) == query.limit else None
        headers = {} if query.format == "json" else {"x-history": state} | ({"x-cursor": cursor} if cursor else {})

        def make() -> bytes:
            shown = [{name: each[name] for name in fields if name in each} for each in found] if fields else found
            if query.format == "json":
                return orjson.dumps({"scores": shown, "cursor": cursor, "history": state})
            return ndjson(shown) if query.format == "ndjson" else table(shown, fields or columns)

        return await writer.answer(request, make, _TYPES[query.format], headers)

    @routes.get("/anomalies", responses=models.responses(models.Anomalies, examples.ANOMALIES, s503=_AWAY))
    async def anomalies(request: Request, query: Annotated[params.AnomaliesQuery, Query()]) -> Response:
        """Episodes, newest first, from the index: each is one fault with its alerts and what followed them.

        Filters are about the first alert, but `kind` and `min_severity` about the whole episode. An answer of fewer
        than `limit` with a cursor means that there may be more.
        """
        wanted = _filter(service, request, query)
        order, _ = params.place_of(query.cursor, Order("time", query.order == "desc"))

        def matches(episode: Document) -> bool:
            return query.kind in (None, episode["episode_kind"]) and episode["severity"] >= (query.min_severity or 0)

        wanted = replace(wanted, alerts=True, kind=None, min_severity=None)
        found, cursor = await history.episodes(wanted, query.limit, query.cursor, order, matches)
        return await writer.answer(request, lambda: orjson.dumps({"anomalies": found, "cursor": cursor}))


def _add_stream(routes: APIRouter, service: Service, writer: ResponseWriter) -> None:
    def asked(request: Request, query: Annotated[params.StreamQuery, Query()]) -> Filter:
        return _filter(service, request, query)

    @routes.get("/scores/stream", response_class=EventSourceResponse)
    async def follow_scores(
        wanted: Filter = Depends(asked),  # noqa: B008 - a name of this function cannot be found in an annotation
        last_event_id: Annotated[str | None, Header(description="Row to go on after.", pattern="^[0-9]{1,18}$")] = None,
    ) -> AsyncIterator[ServerSentEvent]:
        """Scores as they come (server-sent events ``score``, id = row); ``gap`` says how many rows were missed."""
        recent = service.recent
        row = recent.rows - 1 if last_event_id is None else min(int(last_event_id), recent.rows - 1)
        while True:
            await recent.wait(row)
            if row + 1 < recent.oldest:
                yield ServerSentEvent(event="gap", data={"missed": recent.oldest - row - 1})
            found, row = await writer.run(recent.following, wanted, row, FOLLOW_ROWS)
            for number, text in await writer.run(_events, found):
                yield ServerSentEvent(event="score", id=number, raw_data=text)
            await asyncio.sleep(0)


def _add_sensors(routes: APIRouter, service: Service, writer: ResponseWriter) -> None:
    @routes.get("/sensors", response_model=models.Sensors)
    async def sensors(request: Request, query: Annotated[params.SensorsQuery, Query()]) -> Response:
        """The sensors seen since the service started; of very many, those that had a reading last."""
        every = list(service.recent.sensors.values())
        needed = service.configuration.warmup_readings

        def make() -> bytes:
            text = query.search.casefold()
            found = [each for each in every if text in each.name.casefold() and query.state in (None, each.state)]
            found.sort(key=_ORDER[query.sort])
            page = [each.describe(needed) for each in found[query.offset : query.offset + query.limit]]
            return orjson.dumps({"total": len(found), "sensors": page})

        return await writer.answer(request, make)

    @routes.post("/score", responses=models.responses(models.Trial, s404="The sensor has never been seen."))
    async def score(reading: models.Reading) -> Response:
        """What this reading would score if it came next; nothing is learnt from it."""
        features = list(service.settings.value_fields)
        if set(reading.values) != set(features):
            raise HTTPException(422, f"values: needs exactly {features}, got {sorted(reading.values)}")
        moment = params.moment("time", reading.time)
        moment = params.now() if moment is None else moment
        values = np.array([reading.values[feature] for feature in features], dtype=np.float64)
        result = await service.score(reading.sensor, moment, values)
        if result is None:
            raise HTTPException(404, f"sensor: {reading.sensor!r} has not been seen; /sensors lists those that have")
        return json({"sensor": reading.sensor, "@timestamp": timestamp(moment)} | _trial(result, features))


def _add_forecast(routes: APIRouter, service: Service) -> None:
    @routes.get("/forecast", responses=models.responses(models.Forecast, s404="The sensor has never been seen."))
    async def forecast(query: Annotated[params.ForecastQuery, Query()]) -> Response:
        """What a sensor's next readings are expected to be, one in each of its usual intervals.

        Nine of ten readings lie in the interval of the first; farther ahead it is wider. The level of late is
        continued, with the sensor's week where it foretells better; a trend is not.
        """
        found = await service.forecast(query.sensor, query.horizon)
        if found is None:
            raise HTTPException(404, f"sensor: {query.sensor!r} has not been seen; /sensors lists those that have")
        features = list(service.settings.value_fields)
        columns = {"expected_values": found.expected, "expected_lower": found.lower, "expected_upper": found.upper}
        readings = [
            {"@timestamp": timestamp(time)}
            | {name: dict(zip(features, column[row].tolist(), strict=True)) for name, column in columns.items()}
            for row, time in enumerate(found.times.tolist())
        ]
        return json({"sensor": query.sensor, "readings": readings})


def columns_of(settings: Settings) -> list[str]:
    """The names of all fields that documents in answers may have."""
    return [*names(FIELDS, tuple(settings.value_fields), tuple(settings.label_fields)), "row"]


def _filter(service: Service, request: Request, query: params.WhichQuery) -> Filter:
    labels = params.labels_of(query, request.query_params.multi_items(), list(service.settings.label_fields))
    return params.filter_of(query, labels)


def _merge(here: Sequence[Document], there: Sequence[Document], limit: int, order: Order) -> list[Document]:
    """The first documents of two pages in the order of both, each once; memory's word counts, for it knows the row."""
    every = {each["event.id"]: each for each in (*there, *here)}
    return sorted(every.values(), key=order.place, reverse=order.descending)[:limit]


def _events(found: Sequence[Document]) -> list[tuple[str, str]]:
    return [(str(document["row"]), orjson.dumps(document).decode()) for document in found]


def _trial(result: Scores, features: Sequence[str]) -> Document:
    """What a detector says of one reading."""
    return {
        "anomaly_score": result.score[0].item(),
        "anomaly_grade": result.grade[0].item(),
        "severity": result.severity[0].item(),
        "confidence": result.confidence[0].item(),
        "threshold": result.threshold[0].item(),
        "is_anomaly": result.is_anomaly[0].item(),
        "state": "ready" if result.ready[0] else "learning",
        "readings_seen": result.seen[0].item(),
        "expected_values": dict(zip(features, result.expected[0].tolist(), strict=True)),
        "relevant_attribution": dict(zip(features, result.attribution[0].tolist(), strict=True)),
    }


def _last_anomaly(sensor: Sensor) -> tuple[float, str]:
    return (-sensor.last_anomaly if sensor.last_anomaly is not None else math.inf, sensor.name)


def _last_score(sensor: Sensor) -> tuple[float, str]:
    score = sensor.last_score
    return (math.inf if score is None else -score, sensor.name)


_ORDER: dict[str, Any] = {
    "name": lambda sensor: (0.0, sensor.name),
    "last_anomaly": _last_anomaly,
    "severity": lambda sensor: (-sensor.severity, *_last_anomaly(sensor)),
    "score": _last_score,
}
