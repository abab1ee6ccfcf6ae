"""Routes for who operates the service: status, health, readiness, metrics, dead letters."""

from __future__ import annotations

import asyncio
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service import StateError
from service.api import models
from service.api.access import Role, role_of
from service.api.params import LettersQuery
from service.api.responses import ResponseWriter, json
from service.worker.service import Service

_TEXT = {"text/plain": {"schema": {"type": "string"}, "example": "cutwater_records_total 4711.0\n"}}
LETTERS_SECONDS = 5.0  # that an answer waits for the store of dead letters
_AWAY = "The store of dead letters cannot be asked now."


def router(service: Service, writer: ResponseWriter) -> APIRouter:
    """The routes of a service."""
    routes = APIRouter()

    @routes.get("/status", response_model=models.Status)
    async def status(request: Request) -> Response:
        """Counts, throughput, shards and the index: what the page shows; and what the one who asks may do."""
        return json(await service.status() | {"role": role_of(request).name.lower()})

    @routes.get("/health", response_model=models.Health)
    async def health() -> Response:
        """Whether the process lives."""
        return json({"status": "ok"})

    @routes.get(
        "/ready",
        response_model=models.Readiness,
        responses={503: {"model": models.Readiness, "description": "Not doing its work; says why."}},
    )
    async def ready(request: Request) -> Response:
        """Whether the service does its work: the stream is read and the index answers.

        It needs no token; reasons are told to those who may read.
        """
        reasons = await service.unready()
        told = reasons if role_of(request) >= Role.READ else []
        return json({"ready": not reasons, "reasons": told}, 503 if reasons else 200)

    @routes.get("/metrics", response_class=Response, responses={200: {"content": _TEXT}})
    async def metrics() -> Response:
        """For Prometheus; docs/reference/metrics.md explains each."""
        await service.unready()  # sets what is up
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @routes.get("/dead-letter", responses=models.responses(models.DeadLetters, s503=_AWAY))
    async def dead_letter(request: Request, query: Annotated[LettersQuery, Query()]) -> Response:
        """Records that could not be scored and documents that the index refused, newest first, and why.

        The form is that in which Amazon Data Firehose keeps failed documents; ``rawData`` is Base64, and null for those
        who may only read.
        """
        try:
            async with asyncio.timeout(LETTERS_SECONDS):
                found = await service.letters.newest(query.limit)
        except TimeoutError:
            problem = service.letters.last_error or f"no answer within {LETTERS_SECONDS:g} s"
            raise StateError(f"dead letters: {problem}") from None
        if role_of(request) < Role.OPERATE:  # whatever someone put into the stream
            found = [letter | {"rawData": None} for letter in found]
        return await writer.answer(request, lambda: orjson.dumps({"dead_letters": found}))

    return routes
