"""Records to events, and events to documents and windows: what a core does with a stream of events.

    records ─► decoder ─► enrichment ─┬─► event documents
                                      └─► windows ─► window documents, readings for the detector

Pure, as the core that it is a part of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from detector import snapshot_format
from detector.types import Readings
from service.pipeline.decode.decoded import Refusal
from service.pipeline.decode.event_decoder import EventDecoder
from service.pipeline.documents import SCHEMA_VERSION, Document, IndexDocument, timestamp
from service.pipeline.enrich import Enrichment
from service.pipeline.events import Event
from service.pipeline.identity import event_id, window_id
from service.pipeline.programs import Program
from service.pipeline.records import ALL_HASH_KEYS, HashKeys, Record
from service.pipeline.windows import Closed, Windows

_SNAPSHOT, _WHAT = "events", "a snapshot of events"
VALUE = "value"
"""The one value that a reading of a window has: a measure."""
NOT_AGAIN = frozenset({"late", "too_many_keys", "bad_key", "not_counted", "windows_dropped"})
"""Codes of dead letters about events that no window counts; their documents are written all the same."""


@dataclass(frozen=True, slots=True)
class EventConfiguration:
    """What events are made of, the same on all shards.

    Attributes:
        dataset: the format's name, as in documents.
        decoder: makes events of records.
        programs: the windows that they are counted in.
        enrichment: adds what tables know.
    """

    dataset: str
    decoder: EventDecoder
    programs: Sequence[Program] = ()
    enrichment: Enrichment = field(default_factory=Enrichment)


class NotCountedEvent(NamedTuple):
    """An event that some window does not count: its record, its ordinal there, and why."""

    record: Record
    ordinal: int
    code: str
    reason: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EventCounts:
    """What came of a batch: its format, events, messages dropped quietly by what they are, closed windows, and the keys
    that are remembered.
    """

    dataset: str
    events: int
    dropped: Mapping[str, int]
    windows: int
    keys: int


class EventDocuments:
    """The documents of n events, made when they are asked for."""

    def __init__(
        self, stream: str, shard: str, dataset: str, events: Sequence[Event], sources: Sequence[Record],
        ordinals: Sequence[int],
    ) -> None:  # fmt: skip
        self._stream, self._shard, self._dataset = stream, shard, dataset
        self._events, self._sources, self._ordinals = events, sources, ordinals

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, index: int) -> IndexDocument:
        event, record, ordinal = self._events[index], self._sources[index], self._ordinals[index]
        position = record.position
        name = event_id(self._stream, self._shard, position, ordinal, self._dataset, event.identity)
        document: Document = {
            **event.fields,
            "@timestamp": timestamp(event.time),
            "stream": self._stream,
            "shard": self._shard,
            "sequence_number": str(position.sequence),
            "sub_sequence_number": position.subsequence,
            "record_ordinal": ordinal,
            "event.id": name,
            "event.module": "cutwater",
            "event.dataset": self._dataset,
            "event.created": timestamp(record.arrival),
            "event.time_source": event.time_source,
            "schema_version": SCHEMA_VERSION,
        }
        return IndexDocument(name, event.time, document, position, "event")

    def source(self, index: int) -> Record:
        """The record that a document came from."""
        return self._sources[index]


class WindowDocuments:
    """The documents of n windows, made when they are asked for."""

    def __init__(
        self, stream: str, shard: str, programs: Sequence[Program], closed: Sequence[Closed], sources: Sequence[Record]
    ) -> None:
        """``sources``: [n] the records whose events have closed the windows."""
        self._stream, self._shard, self._programs = stream, shard, programs
        self._closed, self._sources = closed, sources

    def __len__(self) -> int:
        return len(self._closed)

    def __getitem__(self, index: int) -> IndexDocument:
        window, record = self._closed[index], self._sources[index]
        program = self._programs[window.program]
        name = window_id(self._stream, self._shard, program.digest, window.text, window.start)
        document: Document = {
            "@timestamp": timestamp(window.start),
            "window.program": program.name,
            "window.start": timestamp(window.start),
            "window.end": timestamp(window.start + program.every),
            "window.key": window.text,
            "window.events": window.events,
            **{field: value for field, value in zip(program.key, window.key, strict=True) if value is not None},
            **{f"measures.{name}": value for name, value in zip(program.columns, window.values, strict=True)},
            "stream": self._stream,
            "shard": self._shard,
            "sequence_number": str(record.position.sequence),
            "sub_sequence_number": record.position.subsequence,
            "event.id": name,
            "event.module": "cutwater",
            "event.created": timestamp(record.arrival),
            "schema_version": SCHEMA_VERSION,
        }
        return IndexDocument(name, window.start, document, record.position, "window")

    def source(self, index: int) -> Record:
        """The record that has closed a window."""
        return self._sources[index]


class Staged(NamedTuple):
    """What came of a batch of records.

    Attributes:
        documents: of events, then of windows.
        refusals: what is no event.
        not_counted: events that a window does not count.
        readings: [m] measures of the closed windows, a sensor each.
        sources, ordinals: [m] the record that closed the window, and the reading's number among those of this record.
        keys: [m] first and last hash key of the records of the window's key.
        counts: for metrics.
        taken, size: how many records this is of, and bytes that it takes in memory, about.
    """

    documents: tuple[EventDocuments, WindowDocuments]
    refusals: Sequence[Refusal]
    not_counted: Sequence[NotCountedEvent]
    readings: Readings
    sources: Sequence[Record]
    ordinals: Sequence[int]
    keys: Sequence[HashKeys]
    counts: EventCounts
    taken: int
    size: int


def enrichment_of(snapshots: Sequence[bytes]) -> str | None:
    """The version of the tables that snapshots name, of several the first one's; None without any.

    Raises ValueError.
    """
    found = [str(snapshot_format.decode(each, _WHAT).fields.get("enrichment", "")) for each in snapshots]
    return found[0] if found else None


class EventStage:
    """The state of one shard's events: its open windows.

    Args:
        configuration: what events are made of.
        stream, shard: where they come from.
        hash_keys: first and last of the shard.
    """

    def __init__(
        self, configuration: EventConfiguration, stream: str, shard: str, hash_keys: HashKeys = ALL_HASH_KEYS
    ) -> None:
        self.configuration = configuration
        self._stream, self._shard, self._hash_keys = stream, shard, hash_keys
        self.enrichment = configuration.enrichment
        self._windows = Windows(configuration.programs, hash_keys)

    def process(self, records: Sequence[Record], *, bounded: bool = False) -> Staged:
        """Decode, enrich and count the shard's next records, see ``Decoder`` for ``bounded``."""
        made_for = self.configuration
        decoded = made_for.decoder.decode(records, bounded=bounded)
        enrich = self.enrichment.enrich
        for event in decoded.events:
            enrich(event.fields, event.time)
        sources = [records[number] for number in decoded.records]
        closed, refused = self._windows.process(decoded.events, [record.partition_key for record in sources])
        closers = [sources[window.row] for window in closed]
        not_counted: dict[int, NotCountedEvent] = {}
        for row, code, reason in refused:  # one letter an event, whatever the number of windows
            known = not_counted.get(row)
            event = decoded.events[row]
            not_counted[row] = (
                known._replace(reason=f"{known.reason}; {reason}")
                if known
                else NotCountedEvent(sources[row], decoded.ordinals[row], code, reason, event.fields)
            )
        documents = (
            EventDocuments(
                self._stream, self._shard, made_for.dataset, decoded.events, sources, decoded.ordinals
            ),
            WindowDocuments(self._stream, self._shard, self._windows.programs, closed, closers),
        )  # fmt: skip
        counts = EventCounts(made_for.dataset, len(decoded.events), decoded.dropped, len(closed), len(self._windows))
        return Staged(
            documents, decoded.refusals, list(not_counted.values()), *self._readings(closed, closers), counts,
            decoded.taken, decoded.size,
        )  # fmt: skip

    def snapshot(self) -> bytes:
        """The whole state: the windows, and the version of the tables that enrich the events behind it."""
        fields = {"enrichment": self.enrichment.version}
        return snapshot_format.encode(_SNAPSHOT, fields, self._windows.snapshot(), compress=False)

    def fresh(self) -> EventStage:
        """One that has seen nothing yet."""
        return EventStage(
            replace(self.configuration, enrichment=self.enrichment), self._stream, self._shard, self._hash_keys
        )

    def restore(self, snapshots: Sequence[bytes]) -> list[str]:
        """Go on from snapshots, see ``Windows.restore``. Raises ValueError."""
        return self._windows.restore([snapshot_format.decode(each, _WHAT).body for each in snapshots])

    def _readings(
        self, closed: Sequence[Closed], closers: Sequence[Record]
    ) -> tuple[Readings, list[Record], list[int], list[HashKeys]]:
        """The measures of the closed windows as readings, with their sources, ordinals and hash keys."""
        programs = self._windows.programs
        detected = [
            [(f"{program.name}.{name}", place) for place, (name, _) in enumerate(program.measures)
             if name in program.detect]
            for program in programs
        ]  # fmt: skip
        sensors: dict[str, int] = {}
        codes, times, values = [], [], []
        sources: list[Record] = []
        ordinals: list[int] = []
        keys: list[HashKeys] = []
        record, numbers = None, count()
        for window, closer in zip(closed, closers, strict=True):
            if closer is not record:
                record, numbers = closer, count()
            for series, place in detected[window.program]:
                value = window.values[place]
                if value is None:
                    continue
                sensor = f"{series}|{window.text}" if window.key else series
                codes.append(sensors.setdefault(sensor, len(sensors)))
                times.append(window.start)
                values.append(float(value))
                sources.append(closer)
                ordinals.append(next(numbers))
                keys.append(window.keys)
        readings = Readings(
            tuple(sensors),
            np.array(codes, dtype=np.int64),
            np.array(times, dtype=np.int64),
            np.array(values, dtype=np.float64).reshape(-1, 1),
        )
        return readings, sources, ordinals, keys
