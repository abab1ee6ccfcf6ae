"""A batch of records to events and refusals, by one format."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from service.pipeline.decode.carriers import MAX_UNPACKED
from service.pipeline.decode.decoded import BATCH_MEMORY, EVENT_MEMORY, DecodeError, Refusal
from service.pipeline.decode.decoder import MANY, OTHER_SHARD
from service.pipeline.decode.fields import first_line
from service.pipeline.decode.payloads import YEAR_2000, Part, alone, messages, single
from service.pipeline.documents import timestamp
from service.pipeline.events import Envelope, Event, EventFormat
from service.pipeline.records import Record

_NO_ENVELOPE = Envelope()


@dataclass(frozen=True, slots=True)
class DecodedEvents:
    """n events of a batch of records, in the records' order, and what else was there.

    Attributes:
        events: n events.
        records: [n] index in the batch of each event's record.
        ordinals: [n] number of each event's message in its record, from 0; also those that became none are counted.
        refusals: in the records' order. Every record that was taken has an event, a refusal, or a message that was
            dropped.
        dropped: how many messages were no events and no faults either, by what they are.
        taken: how many records these are of, from the first on.
        size: bytes that they take in memory, about.
    """

    events: Sequence[Event]
    records: Sequence[int]
    ordinals: Sequence[int]
    refusals: Sequence[Refusal]
    dropped: Counter[str]
    taken: int
    size: int


class FormatFoundError(DecodeError):
    """A line that is no event, but says how the lines after it in the same record are to be read."""

    def __init__(self, format_: EventFormat) -> None:
        super().__init__("header", "a header line")
        self.format = format_


class EventDecoder:
    """Decodes records that hold messages in one format, whatever carries them: see ``payloads``.

    Guarantee: total and bounded; what is no event spoils only itself; the same events for the same records, however
    they are cut into batches.

    Args:
        format_: of the messages.
        max_future: milliseconds that an event time may lie after the record's arrival.
        max_past: milliseconds that it may lie before; None for any. The year 2000 is the limit in any case.
    """

    def __init__(self, format_: EventFormat, *, max_future: int = 0, max_past: int | None = None) -> None:
        self.format = format_
        self._max_future = max_future
        self._max_past = max_past

    def decode(self, records: Sequence[Record], *, bounded: bool = False) -> DecodedEvents:
        """Events and refusals of a batch, see ``Decoder``."""
        taken, refused_bytes = 0, 0
        events: list[Event] = []
        numbers: list[int] = []
        ordinals: list[int] = []
        refusals: list[Refusal] = []
        dropped: Counter[str] = Counter()
        for number, record in enumerate(records):
            if bounded and EVENT_MEMORY * (len(events) + len(refusals) - taken) + refused_bytes > BATCH_MEMORY:
                break  # of records with an event each a batch is small enough
            taken = number + 1
            try:
                if record.other_shard:
                    raise DecodeError("other_shard", OTHER_SHARD)
                found, refused, uninteresting = self._read(record)
                alone = _refusals(number, record, refused, len(found) + len(uninteresting))
                refused_bytes += sum(len(each.data) for each in alone)
                refusals += alone
            except DecodeError as error:
                refusals.append(Refusal(number, None, error.code, str(error), record.data))
                continue
            except Exception as error:  # a record that nobody thought of must not stop the shard
                refusals.append(Refusal(number, None, "unreadable", _describe(error), record.data))
                continue
            for ordinal, event in found:
                events.append(event)
                numbers.append(number)
                ordinals.append(ordinal)
            if uninteresting:
                dropped.update(uninteresting)
        size = EVENT_MEMORY * (len(events) + len(refusals)) + refused_bytes
        return DecodedEvents(events, numbers, ordinals, refusals, dropped, taken, size)

    def _read(self, record: Record) -> tuple[list[tuple[int, Event]], list[_Refused], list[str]]:
        """A record's events and refused messages with their ordinals, and what the dropped ones are.

        Raises DecodeError if the whole record is refused.
        """
        found: list[tuple[int, Event]] = []
        refused: list[_Refused] = []
        dropped: list[str] = []
        format_, header, arrival = self.format, "", record.arrival
        latest = arrival + self._max_future
        with contextlib.suppress(Exception):  # told apart below
            message = single(record.data)
            if message is not None:
                event = format_.read(message, _NO_ENVELOPE, arrival)
                if event is not None and YEAR_2000 <= event.time <= latest and self._max_past is None:
                    return [(0, event)], [], []
        for ordinal, part in enumerate(messages(record.data)):
            if part.error is not None:
                refused.append(_Refused(ordinal, part, part.error, ""))
                continue
            if part.dropped:
                dropped.append(part.dropped)
                continue
            try:
                event = format_.read(part.message, part.envelope, arrival)
                if event is None:
                    dropped.append("not of interest")
                    continue
                if not YEAR_2000 <= event.time <= latest or self._max_past is not None:
                    self._check_time(event.time, arrival)
                found.append((ordinal, event))
            except FormatFoundError as new:
                format_, header = new.format, str(part.message)
                dropped.append("header line")
            except DecodeError as error:
                refused.append(_Refused(ordinal, part, error, header))
            except Exception as error:  # as above
                refused.append(_Refused(ordinal, part, DecodeError("unreadable", _describe(error)), header))
        return found, refused, dropped

    def _check_time(self, time: int, arrival: int) -> None:
        """Raises DecodeError for an event time that would mislead all that comes after it."""
        if time > arrival + self._max_future:
            reason = f"the event time {timestamp(time)} lies {(time - arrival) / 1000:.0f} s after the record's arrival"
            raise DecodeError("future_time", f"{reason}, more than max_future_seconds = {self._max_future / 1000:g}")
        if time < YEAR_2000:
            reason = f"the event time {timestamp(time)} lies before the year 2000: a clock was not set"
            raise DecodeError("past_time", reason)
        if self._max_past is not None and time < arrival - self._max_past:
            reason = (
                f"the event time {timestamp(time)} lies {(arrival - time) / 1000:.0f} s before the record's arrival"
            )
            raise DecodeError("past_time", f"{reason}, more than max_past_seconds = {self._max_past / 1000:g}")


class _Refused(NamedTuple):
    """A message that cannot be read; ``header`` is the line that says how."""

    ordinal: int
    part: Part
    error: DecodeError
    header: str


def _refusals(number: int, record: Record, refused: Sequence[_Refused], others: int) -> list[Refusal]:
    """A refusal for each message, each with a record that holds it alone; one for all if there is nothing else.

    Raises DecodeError for that one.
    """
    if not refused:
        return []
    if not others:
        first = refused[0].error
        if len(refused) == 1:
            raise first
        if len(refused) > MANY:
            raise DecodeError(first.code, f"none of its {len(refused)} messages can be read; the first: {first}")
    found, room = [], MAX_UNPACKED
    for ordinal, part, error, header in refused:
        data = alone(part)
        if header:
            data = f"{header}\n".encode() + data
        if len(data) > room:
            data = data[:200] + b" [cut: the record holds too many messages that cannot be read]"
        room -= len(data)
        found.append(Refusal(number, ordinal, error.code, str(error), data))
    return found


def _describe(error: Exception) -> str:
    return f"it cannot be read: {type(error).__name__}: {first_line(error)}"
