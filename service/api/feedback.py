"""Routes for what people say of episodes and sensors: acknowledge, mute, normal, missed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt

from service import StateError
from service.api import examples, models, params
from service.api.responses import ResponseWriter, json
from service.pipeline.documents import Document, timestamp
from service.state.feedback import Word
from service.worker.service import Service

SECONDS = 5.0  # that an answer waits for the store
_AWAY = "The store cannot be reached now."
_MOMENT = "As `since` of GET /scores."
Moment = StrictInt | StrictFloat | str


class _Saying(BaseModel):
    """What all of them say."""

    model_config = ConfigDict(extra="forbid")

    sensor: str = Field(min_length=1, max_length=1000, examples=["DemoSensor"])
    who: str | None = Field(None, max_length=100, description="Who says it.")
    note: str | None = Field(None, max_length=2000)


class Acknowledge(_Saying):
    """Somebody sees to an episode."""

    action: Literal["acknowledge"]
    episode_id: str = Field(min_length=1, max_length=100)
    since: Moment = Field(description=f"When it began. {_MOMENT}")
    until: Moment = Field(description=f"Its last anomaly. {_MOMENT}")


class Mute(_Saying):
    """Nobody wants to hear of a sensor."""

    action: Literal["mute"]
    until: Moment | None = Field(None, description=f"Until when; null: until it is taken back. {_MOMENT}")


class Normal(_Saying):
    """An episode was none."""

    action: Literal["normal"]
    episode_id: str | None = Field(None, min_length=1, max_length=100)
    since: Moment = Field(description=f"When it began. {_MOMENT}")
    until: Moment = Field(description=f"Its last anomaly. {_MOMENT}")


class Missed(_Saying):
    """There should have been an episode."""

    action: Literal["missed"]
    since: Moment = Field(description=f"From this event time on. {_MOMENT}")
    until: Moment = Field(description=f"To this event time. {_MOMENT}")


Said = Annotated[Acknowledge | Mute | Normal | Missed, Field(discriminator="action")]


class WordModel(BaseModel):
    """What somebody said."""

    id: str
    action: Literal["acknowledge", "mute", "normal", "missed"]
    sensor: str
    who: str
    time: str = Field(description="When it was said.", json_schema_extra={"format": "date-time"})
    since: str | None
    until: str | None
    episode_id: str | None
    note: str | None
    withdrawn_by: str | None = Field(description="Who took it back.")
    withdrawn: str | None = Field(description="When; null: it holds.")


class Words(BaseModel):
    """What people said, newest first."""

    feedback: list[WordModel]


EXAMPLE_WORD: Document = {
    "id": "001795494600000-0b9f6f0e9b2c",
    "action": "acknowledge",
    "sensor": "DemoSensor",
    "who": "Ann",
    "time": "2026-11-24T04:30:00.000Z",
    "since": "2026-11-24T04:28:44.120Z",
    "until": "2026-11-24T04:29:02.300Z",
    "episode_id": examples.SCORE["episode_id"],
    "note": None,
    "withdrawn_by": None,
    "withdrawn": None,
}


def router(service: Service, writer: ResponseWriter) -> APIRouter:
    """The routes of a service."""
    routes = APIRouter()

    @routes.get("/feedback", responses=models.responses(Words, {"feedback": [EXAMPLE_WORD]}, s503=_AWAY))
    async def feedback(request: Request, query: Annotated[params.FeedbackQuery, Query()]) -> Response:
        """What people said, newest first; also what was taken back."""
        await _within(service.feedback.refresh())
        found = [
            asdict(word)
            for word in service.feedback.words()
            if query.sensor in (None, word.sensor) and query.action in (None, word.action)
        ]
        return await writer.answer(request, lambda: orjson.dumps({"feedback": found[: query.limit]}))

    @routes.post("/feedback", responses=models.responses(WordModel, EXAMPLE_WORD, s503=_AWAY))
    async def add_feedback(said: Said) -> Response:
        """Say something of an episode or a sensor.

        `acknowledge`: somebody sees to the episode, and only its end is told. `mute`: nobody is told of the sensor,
        until a time or until it is taken back. `normal`: the episode was none. `missed`: there should have been one.
        """
        given = said.model_dump()
        span = {name: params.moment(name, given.pop(name, None)) for name in ("since", "until")}
        if said.action != "mute":
            first, last = sorted(moment for moment in span.values() if moment is not None)
            span = {"since": first, "until": last}
        times = {name: None if moment is None else timestamp(moment) for name, moment in span.items()}
        texts = {name: _text(value) for name, value in given.items()}
        who = texts.pop("who") or "somebody"
        word = Word(id="", who=who, time=timestamp(params.now()), **texts, **times)  # type: ignore[arg-type]
        return json(asdict(await _within(service.feedback.add(word))))

    @routes.delete(
        "/feedback/{word_id}",
        responses=models.responses(WordModel, EXAMPLE_WORD, s404="Nothing of this id was said.", s503=_AWAY),
    )
    async def withdraw_feedback(word_id: str, query: Annotated[params.WhoQuery, Query()]) -> Response:
        """Take back what was said; it stays in the list, with who took it back."""
        await _within(service.feedback.refresh())
        who = _text(query.who) or "somebody"
        word = await _within(service.feedback.withdraw(word_id, who, timestamp(round(time.time() * 1000))))
        if word is None:
            raise HTTPException(404, f"{word_id!r}: nothing of this id was said; GET /feedback lists all")
        return json(asdict(word))

    return routes


async def _within(work: Any) -> Any:
    """What the store answers. Raises StateError if it takes too long."""
    try:
        async with asyncio.timeout(SECONDS):
            return await work
    except TimeoutError:
        raise StateError(f"feedback: no answer from the store within {SECONDS:g} s") from None


def _text(value: str | None) -> str | None:
    """Text that UTF-8 can carry."""
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()
