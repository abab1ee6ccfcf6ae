"""Routes for a stream of events: the events themselves, and the windows that count them, from the index."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response

from service.api import examples, models, params
from service.api.history import History
from service.api.responses import ResponseWriter
from service.pipeline.documents import Document
from service.pipeline.programs import Program
from service.sinks.query import Find, Order, cursor_after
from service.worker.service import Service

_NAME = re.compile(r"[A-Za-z0-9_.@-]+")
_AWAY = "The index cannot be searched now."


def router(service: Service, writer: ResponseWriter) -> APIRouter:
    """The routes of a service."""
    routes = APIRouter()
    history = History(service.index)
    programs = {program.name: program for program in service.settings.programs}

    @routes.get("/events", responses=models.responses(models.Events, examples.EVENTS, s503=_AWAY))
    async def events(request: Request, query: Annotated[params.EventsQuery, Query()]) -> Response:
        """Events, newest first, from the index. Those of the last second may be missing."""
        order, _ = params.place_of(query.cursor, Order("time", query.order == "desc"))
        terms = [*_terms(query.field), *([("shard", query.shard)] if query.shard else [])]
        wanted = Find("event", *params.span_of(query), tuple(terms))
        found, cursor = await history.find(wanted, query.limit, query.cursor, order)
        return await writer.answer(request, lambda: orjson.dumps({"events": found, "cursor": cursor}))

    @routes.get(
        "/windows",
        responses=models.responses(
            models.Windows, examples.WINDOWS, s404="There are no windows of this name.", s503=_AWAY
        ),
    )
    async def windows(request: Request, query: Annotated[params.WindowsQuery, Query()]) -> Response:
        """Windows, newest first, from the index: what each key had in all shards together.

        Sums and counts are exact. A distinct count over several shards counts a value once in each, so it is at most
        so many. All windows that begin at the same time are in one answer; there may be more than `limit` of them.
        """
        order, _ = params.place_of(query.cursor, Order("time", query.order == "desc"))
        if query.program is not None and query.program not in programs:
            raise HTTPException(404, f"program: {params.unknown(query.program, list(programs), 'windows are')}")
        given = {"window.program": query.program, "window.key": query.key}
        terms = [(name, value) for name, value in given.items() if value is not None]
        wanted = Find("window", *params.span_of(query), (*terms, *_terms(query.field)))
        found, cursor = await _whole_starts(history, wanted, query.limit, query.cursor, order)
        shown = summed(found, programs)
        return await writer.answer(request, lambda: orjson.dumps({"windows": shown, "cursor": cursor}))

    return routes


async def _whole_starts(
    history: History, wanted: Find, limit: int, cursor: str | None, order: Order
) -> tuple[list[Document], str | None]:
    """Documents of windows of whole beginnings: those of one beginning are never torn apart."""
    found: list[Document] = []
    more = True
    while more:
        page, cursor = await history.find(wanted, max(limit, 1000), cursor, order)
        found += page
        more = cursor is not None
        whole = [each for each in found if each["@timestamp"] != found[-1]["@timestamp"]] if more else found
        if len({_group(each) for each in whole}) >= limit:
            break
    kept: list[Document] = []
    groups: set[tuple[str, ...]] = set()
    for number, each in enumerate(whole if found else ()):
        if len(groups) >= limit and each["@timestamp"] != whole[number - 1]["@timestamp"]:
            break
        groups.add(_group(each))
        kept.append(each)
    return kept, cursor_after(kept[-1], order) if kept and len(kept) < len(found) else None


def summed(documents: Sequence[Document], programs: Mapping[str, Program]) -> list[Document]:
    """Each window once, with what all shards together have counted, in the order of the documents."""
    windows: dict[tuple[str, ...], Document] = {}
    for each in documents:
        window = windows.get(_group(each))
        program = programs.get(each["window.program"])
        if window is None:
            values = {name: value for name, value in each.items() if name.startswith("measures.")}
            key = {name: each[name] for name in (program.key if program else ()) if name in each}
            windows[_group(each)] = {
                "program": each["window.program"],
                "start": each["window.start"],
                "end": each["window.end"],
                "key": each["window.key"],
                "fields": key,
                "events": each["window.events"],
                "measures": {name.removeprefix("measures."): value for name, value in values.items()},
                "shards": 1,
            }
        else:
            window["events"] += each["window.events"]
            window["shards"] += 1
            _add(window["measures"], each, program)
    return list(windows.values())


def _add(measures: dict[str, Any], document: Document, program: Program | None) -> None:
    """Add one shard's measures to those of others."""
    kinds = {name: measure.kind for name, measure in program.measures} if program else {}
    for name, mine in measures.items():
        theirs = document.get(f"measures.{name}")
        if mine is None or theirs is None:
            measures[name] = theirs if mine is None else mine
        elif (kind := kinds.get(name)) in ("min", "max"):
            measures[name] = min(mine, theirs) if kind == "min" else max(mine, theirs)
        else:
            measures[name] = mine + theirs
    for name, kind in kinds.items():
        if kind == "mean" and measures.get(f"{name}_count"):
            measures[name] = measures[f"{name}_sum"] / measures[f"{name}_count"]


def _group(document: Document) -> tuple[str, ...]:
    return document["window.program"], document["window.start"], document["window.key"]


def _terms(given: Sequence[str]) -> list[tuple[str, str]]:
    """Fields and the values that they must have. Raises HTTPException (422)."""
    found = []
    for each in given:
        name, colon, value = each.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise HTTPException(422, f"field: {each!r} is not NAME:VALUE")
        found.append((name, value))
    return found
