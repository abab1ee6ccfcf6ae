"""The part of the Flink job that counts events: decode, join with tables, shuffle by key, close windows."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from pyflink.common import Types
from pyflink.common.watermark_strategy import TimestampAssigner
from pyflink.datastream import KeyedProcessFunction, OutputTag, ProcessFunction
from pyflink.datastream.state import ValueStateDescriptor

from service.assembly import make_event_decoder
from service.flink.group import NEVER, group_of, packed
from service.flink.letters import LETTERS, letter_of, record_of
from service.flink.totals import Counted, KeyWindows, closed, counted, readings_of
from service.metrics import Metrics
from service.pipeline.enrich import Enrichment
from service.pipeline.event_stage import WindowDocuments
from service.pipeline.records import Position, Record
from service.settings.model import Settings, load
from service.source.tables import Tables
from service.state.blobs.sqlite import SQLiteBlobs
from service.stores import opened

BYTES = Types.PICKLED_BYTE_ARRAY()
WINDOWS = OutputTag("windows", BYTES)
NO_TIME = "it says no time, and lines of files have no time of arrival"
_END = 2**63 - 1  # the watermark behind a bounded input


class EventTime(TimestampAssigner):  # type: ignore[misc]
    """Of what ``Count`` makes."""

    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        """In milliseconds since 1970."""
        return int(value[2])


class Count(ProcessFunction):  # type: ignore[misc]
    """A record's text to what its events count for: the key as text, the event for it, its time."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings

    def open(self, runtime_context: Any) -> None:
        """In the worker."""
        settings = load(self._settings, {})
        self._stream, self._programs = settings.stream, settings.programs
        decoders = [make_event_decoder(each) for each in (settings, _undated(settings))]
        self._decoder, self._undated = decoders
        self._enrichment = asyncio.run(_enrichment(settings)) if settings.tables else Enrichment()

    def process_element(self, value: str, ctx: Any) -> Iterator[Any]:
        """One record."""
        record = record_of(value, ctx.timestamp())
        decoder = self._decoder if record.arrival < NEVER else self._undated
        assert decoder
        decoded = decoder.decode([record])
        for _, ordinal, code, reason, data in decoded.refusals:
            yield LETTERS, letter_of(self._stream, record._replace(data=data), code, reason, ordinal)
        for event, ordinal in zip(decoded.events, decoded.ordinals, strict=True):
            if event.time >= NEVER:
                yield LETTERS, letter_of(self._stream, record, "no_time", NO_TIME, ordinal)
                continue
            self._enrichment.enrich(event.fields, event.time)
            found, refused = counted(self._programs, event)
            for each in found:
                yield f"{each.program}|{each.text}", tuple(each), each.time
            if refused:
                yield LETTERS, _not_counted(self._stream, event.fields, refused, ordinal)


class Close(KeyedProcessFunction):  # type: ignore[misc]
    """A key's events to its windows: their measures as rows to be scored, their documents aside."""

    def __init__(self, settings: dict[str, Any], groups: int) -> None:
        self._settings, self._groups = settings, groups

    def open(self, runtime_context: Any) -> None:
        """In the worker."""
        settings = load(self._settings, {})
        self._stream, self._programs = settings.stream, settings.programs
        self._state = runtime_context.get_state(ValueStateDescriptor("windows", BYTES))

    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        """One event."""
        event = Counted(*value[1])
        program = self._programs[event.program]
        kept = self._state.value()
        windows, known = kept[0] if kept else KeyWindows(), kept is not None
        before = windows.due(program)
        if refused := windows.add(program, event, ctx.timer_service().current_watermark()):
            yield LETTERS, _not_counted(self._stream, event.fields, refused)
        due = windows.due(program)
        if due is not None or known:
            self._state.update((windows, event.program, event.values, event.text))
        if due is not None and due != before:
            ctx.timer_service().register_event_time_timer(due)

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        """The watermark has come to where a window closes."""
        kept = self._state.value()
        if kept is None:
            return
        windows, number, values, text = kept
        program = self._programs[number]
        ended = ctx.timer_service().current_watermark() >= _END
        for start, cell in windows.close(program, timestamp, ended=ended):
            window = closed(number, program, values, text, start, cell)
            source = Record(Position(0), "", start + program.every, b"")
            entry = WindowDocuments(self._stream, "", self._programs, [window], [source])[0]
            yield WINDOWS, packed([entry])
            for sensor, time, measure in readings_of(program, window):
                yield group_of(sensor, self._groups), orjson.dumps((sensor, time, [measure], {}))
        due = windows.due(program, ended=ended)
        if due is None:
            self._state.clear()
            return
        self._state.update((windows, number, values, text))
        ctx.timer_service().register_event_time_timer(due)


def _not_counted(stream: str, fields: Any, refused: Any, ordinal: int | None = None) -> str:
    """One letter an event, whatever the number of windows that do not count it."""
    data = orjson.dumps(fields, default=str)
    record = record_of(data.decode("utf-8", "surrogatepass"), None)
    return letter_of(stream, record, refused[0][0], "; ".join(reason for _, reason in refused), ordinal)


def _undated(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_past_seconds": 0.0})


async def _enrichment(settings: Settings) -> Enrichment:
    """The tables as they are when the job begins; a job that fails reads them again."""
    with tempfile.TemporaryDirectory(prefix="cutwater-flink-") as folder:
        async with opened(SQLiteBlobs(Path(folder) / "tables.db")) as blobs:
            tables = Tables(settings.tables, blobs, settings.stream, settings.region, Metrics())
            await tables.open()
            await tables.close()
            return tables.current
