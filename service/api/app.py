"""The HTTP face: scores to filter and follow, sensors, health, metrics and the page."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from fastapi import FastAPI, Header, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from service import __version__
from service.offline.export import ndjson, table
from service.pipeline.documents import Document, timestamp
from service.pipeline.times import TimeError, parse_time
from service.sinks.index import Episode, IndexUnavailableError, Page, cursor_after, place
from service.sinks.index.fields import FIELDS, names
from service.sinks.recent_scores import Filter, Sensor
from service.worker.service import Service

PAGE = files("service") / "page"
FOLLOW_ROWS = 5_000  # looked at between two turns of the event loop
MAX_LIMIT = 10_000

EXAMPLE_SCORE: Document = {
    "@timestamp": "2026-11-24T04:28:44.120Z",
    "sensor": "DemoSensor",
    "anomaly_score": 3.1,
    "anomaly_grade": 0.88,
    "severity": 88,
    "confidence": 1.0,
    "threshold": 1.3,
    "is_anomaly": True,
    "alert": True,
    "alert_score": 9.2,
    "anomaly_kind": "spike",
    "episode_id": "5c1f0b9bd1c24a0e9a6f3c0c5d1e7a42",
    "episode_kind": "spike",
    "approx_anomaly_start_time": "2026-11-24T04:28:44.120Z",
    "episode_peak_score": 3.1,
    "episode_readings": 1,
    "state": "ready",
    "readings_seen": 4711,
    "feature_data_iotValue": 117.0,
    "expected_values_iotValue": 17.0,
    "relevant_attribution_iotValue": 3.1,
    "stream": "RawStreamData",
    "shard": "shardId-000000000000",
    "sequence_number": "49640000000000000000000000000000000000000000000000000001",
    "sub_sequence_number": 0,
    "record_ordinal": 0,
    "detector_id": "rcf-1f2e3d4c",
    "detector_version": __version__,
    "event.id": "0b9f6f0e9b2c4d5e8f7a6b5c4d3e2f1a",
    "event.kind": "alert",
    "event.module": "cutwater",
    "event.created": "2026-11-24T04:28:44.301Z",
    "schema_version": 1,
    "row": 4711,
}

EXAMPLE_EPISODE: Document = {
    "episode_id": EXAMPLE_SCORE["episode_id"],
    "sensor": "DemoSensor",
    "anomaly_kind": "spike",
    "episode_kind": "level shift",
    "approx_anomaly_start_time": "2026-11-24T04:28:44.120Z",
    "last_seen": "2026-11-24T04:29:02.300Z",
    "episode_peak_score": 3.4,
    "documents": 3,
    "alert": {name: value for name, value in EXAMPLE_SCORE.items() if name != "row"},
}


def _example(content: Any) -> dict[int | str, dict[str, Any]]:
    """An answer as the documentation shows it."""
    return {200: {"content": {"application/json": {"example": content}}}, 503: {"description": "The index is away."}}


_CURSOR = "2026-11-24T04:28:44.120Z_0b9f6f0e9b2c4d5e8f7a6b5c4d3e2f1a"
_SCORES = _example({"scores": [EXAMPLE_SCORE], "cursor": _CURSOR})
_ANOMALIES = _example({"anomalies": [EXAMPLE_EPISODE], "cursor": _CURSOR})


class JSON(JSONResponse):
    """JSON by orjson."""

    def render(self, content: Any) -> bytes:
        """NaN and infinity become null: JSON has no word for them."""
        return orjson.dumps(content)


class ReadingToScore(BaseModel):
    """A reading to try out."""

    sensor: str = Field(min_length=1, examples=["DemoSensor"])
    values: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(examples=[{"iotValue": 117}])
    time: str | None = Field(None, description="ISO 8601, or seconds or ms since 1970; now if absent.")


def build(service: Service) -> FastAPI:
    """The application that shows ``service``."""
    app = FastAPIOffline(
        title="Cutwater",
        version=__version__,
        description="Anomaly scores of a live stream. Names are those of the indexed documents.",
        docs_url="/docs",
        redoc_url=None,
    )
    app.mount("/page", StaticFiles(directory=str(PAGE)), name="page")
    app.add_exception_handler(RequestValidationError, _explain)
    _add_scores(app, service)
    _add_operations(app, service)
    return app


def _add_scores(app: FastAPI, service: Service) -> None:
    async def search(wanted: Filter, limit: int, cursor: str | None) -> Page:
        try:
            return await service.index.search(wanted, limit, cursor)
        except IndexUnavailableError as error:
            raise HTTPException(503, f"{error}; history=false asks for what is in memory") from None

    @app.get("/scores", responses=_SCORES)
    async def scores(
        sensor: Annotated[str | None, Query(description="Only this sensor.")] = None,
        since: Annotated[
            str | None, Query(description="From this event time on: ISO 8601, or s or ms since 1970.")
        ] = None,
        until: Annotated[str | None, Query(description="Before this event time.")] = None,
        min_score: Annotated[float | None, Query(ge=0, description="At least this score.")] = None,
        anomalies: Annotated[bool, Query(description="Anomalies only.")] = False,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
        cursor: Annotated[str | None, Query(description="Of the page before, for the next older one.")] = None,
        history: Annotated[bool, Query(description="Also what is no longer in memory, from the index.")] = True,
        format: Annotated[Literal["json", "ndjson", "csv"], Query()] = "json",  # noqa: A002 - the parameter's public name
    ) -> Response:
        """Scores, newest event time first: those in memory (with their `row`), and what the index holds.

        The index holds anomalies only, unless `index = all`. A cursor names the last score's event time and id, so it
        stays good while scores move from memory to the index, and after a restart.
        """
        wanted = Filter(sensor, _moment("since", since), _moment("until", until), min_score, anomalies)
        before = _place(cursor)
        found = service.recent.newest(wanted, limit, before)
        if history:
            found = _merge(found, (await search(wanted, limit, cursor)).documents)[:limit]
        following = cursor_after(found[-1]) if len(found) == limit else None
        if format == "json":
            return JSON({"scores": found, "cursor": following})
        headers = {"X-Cursor": following} if following else {}
        if format == "ndjson":
            return Response(ndjson(found), media_type="application/x-ndjson", headers=headers)
        settings = service.settings
        columns = [*names(FIELDS, tuple(settings.value_fields), tuple(settings.label_fields)), "row"]
        return Response(table(found, columns), media_type="text/csv", headers=headers)

    @app.get("/anomalies", responses=_ANOMALIES)
    async def anomalies(
        sensor: Annotated[str | None, Query(description="Only this sensor.")] = None,
        since: Annotated[str | None, Query(description="Begun at this event time or later.")] = None,
        until: Annotated[str | None, Query(description="Begun before this event time.")] = None,
        min_score: Annotated[float | None, Query(ge=0, description="Begun with at least this score.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
        cursor: Annotated[str | None, Query(description="Of the page before, for the next older one.")] = None,
    ) -> Response:
        """Episodes, newest first: each is one alert and the anomalies that followed it, from the index."""
        wanted = Filter(sensor, _moment("since", since), _moment("until", until), min_score, alerts=True)
        _place(cursor)
        page = await search(wanted, limit, cursor)
        ids = [document["episode_id"] for document in page.documents]
        known = await service.index.episodes(ids)
        return JSON({"anomalies": [_episode(each, known) for each in page.documents], "cursor": page.cursor})

    @app.get("/scores/stream", response_class=EventSourceResponse)
    async def follow(
        sensor: Annotated[str | None, Query(description="Only this sensor.")] = None,
        min_score: Annotated[float | None, Query(ge=0, description="At least this score.")] = None,
        anomalies: Annotated[bool, Query(description="Anomalies only.")] = False,
        last_event_id: Annotated[str | None, Header(description="Row to go on after.")] = None,
    ) -> AsyncIterator[ServerSentEvent]:
        """Scores as they come (server-sent events ``score``, id = row); ``gap`` says how many rows were missed."""
        wanted = Filter(sensor, None, None, min_score, anomalies)
        row = _row("Last-Event-ID", last_event_id)
        row = service.recent.rows - 1 if row is None or row >= service.recent.rows else row
        while True:
            await service.recent.wait(row)
            if row + 1 < service.recent.oldest:
                yield ServerSentEvent(event="gap", data={"missed": service.recent.oldest - row - 1})
            found, row = service.recent.following(wanted, row, FOLLOW_ROWS)
            for document in found:
                yield ServerSentEvent(event="score", id=str(document["row"]), raw_data=orjson.dumps(document).decode())
            await asyncio.sleep(0)

    @app.get("/sensors")
    async def sensors(
        search: Annotated[str, Query(description="Part of the name, in any case.")] = "",
        sort: Annotated[Literal["name", "last_anomaly", "score"], Query()] = "name",
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> Response:
        """The sensors seen since the service started."""
        text = search.casefold()
        found = [sensor for sensor in service.recent.sensors.values() if text in sensor.name.casefold()]
        found.sort(key=_ORDER[sort])
        needed = service.configuration.needed
        page = [sensor.describe(needed) for sensor in found[offset : offset + limit]]
        return JSON({"total": len(found), "sensors": page})

    @app.post("/score", responses={404: {"description": "The sensor has never been seen."}})
    async def score(reading: ReadingToScore) -> Response:
        """What this reading would score if it came next; nothing is learnt from it."""
        features = list(service.settings.value_fields)
        if set(reading.values) != set(features):
            raise HTTPException(422, f"values: needs exactly {features}, got {sorted(reading.values)}")
        moment = _moment("time", reading.time)
        moment = round(datetime.now(UTC).timestamp() * 1000) if moment is None else moment
        values = np.array([reading.values[feature] for feature in features], dtype=np.float64)
        result = await service.score(reading.sensor, moment, values)
        if result is None:
            raise HTTPException(404, f"sensor: {reading.sensor!r} has not been seen; /sensors lists those that have")
        return JSON(
            {
                "sensor": reading.sensor,
                "@timestamp": timestamp(moment),
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
        )


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/status")
    async def status() -> Response:
        """Counts, throughput, shards and the index: what the page shows."""
        return JSON(await service.status())

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the process lives."""
        return {"status": "ok"}

    @app.get("/ready", responses={503: {"description": "Not doing its work; says why."}})
    async def ready() -> Response:
        """Whether the service does its work: the stream is read and the index answers."""
        reasons = await service.unready()
        return JSON({"ready": not reasons, "reasons": reasons}, status_code=503 if reasons else 200)

    @app.get("/metrics")
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/dead-letter")
    async def dead_letter(limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100) -> Response:
        """Records that could not be scored and documents that the index refused, newest first, and why.

        The form is that in which Amazon Data Firehose keeps failed documents; ``rawData`` is Base64.
        """
        return JSON({"dead_letters": await service.letters.newest(limit)})

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(str(PAGE / "index.html"))


def _last_anomaly(sensor: Sensor) -> tuple[float, str]:
    return (-sensor.last_anomaly if sensor.last_anomaly is not None else math.inf, sensor.name)


def _last_score(sensor: Sensor) -> tuple[float, str]:
    return (-sensor.last["anomaly_score"] if sensor.last else math.inf, sensor.name)


_ORDER = {"name": lambda sensor: (0.0, sensor.name), "last_anomaly": _last_anomaly, "score": _last_score}


def _moment(name: str, text: str | None) -> int | None:
    """A time parameter in milliseconds since 1970."""
    if text is None:
        return None
    try:
        return parse_time(text)
    except TimeError as error:
        raise HTTPException(422, f"{name}: {error}") from None


def _row(name: str, text: str | None) -> int | None:
    if text is None or text.isdecimal():
        return None if text is None else int(text)
    raise HTTPException(422, f"{name}: {text!r} is not one that an earlier answer gave")


def _place(cursor: str | None) -> tuple[int, str] | None:
    try:
        return None if cursor is None else place(cursor)
    except ValueError:
        raise HTTPException(422, f"cursor: {cursor!r} is not one that an earlier answer gave") from None


def _merge(here: Sequence[Document], there: Sequence[Document]) -> list[Document]:
    """Two pages in the order of both, each document once; memory's word counts, for it knows the row."""
    every = {each["event.id"]: each for each in (*there, *here)}
    return sorted(every.values(), key=lambda each: (each["@timestamp"], each["event.id"]), reverse=True)


def _episode(alert: Document, known: Mapping[str, Episode]) -> Document:
    """An episode by the alert that began it."""
    found = known.get(alert["episode_id"])
    return {
        "episode_id": alert["episode_id"],
        "sensor": alert["sensor"],
        "anomaly_kind": alert["anomaly_kind"],
        "episode_kind": (found.kind if found else None) or alert.get("episode_kind") or alert["anomaly_kind"],
        "approx_anomaly_start_time": alert["approx_anomaly_start_time"],
        "last_seen": timestamp(found.last) if found else alert["@timestamp"],
        "episode_peak_score": found.peak if found else alert["anomaly_score"],
        "documents": found.documents if found else 1,
        "alert": alert,
    }


def markdown(openapi: Mapping[str, Any]) -> str:
    """docs/reference/api.md, from the OpenAPI description that the service serves."""
    lines = [
        "# HTTP API",
        "",
        "Made from the OpenAPI description by `python -m service.api.app`; don't edit. A running service serves it at",
        "`/openapi.json`, and at `/docs` as a page to try things on, without anything from outside.",
        "",
        'Names in answers are those of the [documents](documents.md). Errors are `{"detail": "…"}` with one sentence',
        "for each parameter that is wrong.",
    ]
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            lines += ["", f"## {method.upper()} {path}", "", *operation["description"].splitlines()]
            lines += _parameters(operation.get("parameters", []))
            for status, answer in sorted(operation["responses"].items()):
                example = answer.get("content", {}).get("application/json", {}).get("example")
                if example is not None:
                    shown = orjson.dumps(example, option=orjson.OPT_INDENT_2).decode()
                    lines += ["", "```json", *shown.splitlines(), "```"]
                elif status not in ("200", "422"):
                    lines += ["", f"{status}: {answer['description']}"]
    return "\n".join(lines) + "\n"


def _parameters(parameters: Sequence[Mapping[str, Any]]) -> list[str]:
    if not parameters:
        return []
    lines = ["", "| Parameter | Type | Default | |", "|---|---|---|---|"]
    for each in parameters:
        schema = next((part for part in each["schema"].get("anyOf", []) if part != {"type": "null"}), each["schema"])
        kind = " \\| ".join(schema["enum"]) if "enum" in schema else schema["type"]
        limits = ((sign, schema.get(name)) for name, sign in (("minimum", "≥"), ("maximum", "≤")))
        kind += "".join(f" {sign} {limit:g}" for sign, limit in limits if limit is not None)
        usual = each["schema"].get("default", "")
        usual = str(usual).lower() if isinstance(usual, bool) else usual
        lines.append(f"| `{each['name']}` | {kind} | {usual} | {each.get('description', '')} |")
    return lines


async def _explain(_: Request, error: Exception) -> Response:
    """Errors as one sentence a parameter."""
    assert isinstance(error, RequestValidationError)
    problems = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0])
        shown = problem.get("input")
        problems.append(f"{name}: {problem['msg']}" + ("" if isinstance(shown, dict) else f", got {shown!r}"))
    return JSON({"detail": "; ".join(problems)}, status_code=422)


def documentation() -> str:
    """docs/reference/api.md: what the service would say of itself, without one."""
    nobody: Any = None
    return markdown(build(nobody).openapi())


if __name__ == "__main__":
    Path("docs/reference/api.md").write_text(documentation(), encoding="utf-8")
