"""What carries messages, found by its content, and what is in it.

Known are CloudWatch Logs payloads, also in the form that Lambda gets; EventBridge envelopes; notifications of SNS;
``{"Records": [...]}`` as CloudTrail writes files and as Lambda gets batches, whose Base64 is read too; batches of
Amazon Data Firehose; arrays; JSON objects one a line or one after the other; lines of text, and the blocks of OSSEC's
alerts.log, also those whose lines are log events of one payload. Each may lie in another, and each may be compressed.

Bounded: a record holds at most MAX_READINGS messages, carriers lie at most ``_DEPTH`` deep in each other, and what is
unpacked in all has the limit of one record. Total but for DecodeError, which is about the whole record; a part that
cannot be read spoils only itself.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from service.pipeline.decode import alerts_log
from service.pipeline.decode.carriers import MAX_UNPACKED, looks_like, unpack
from service.pipeline.decode.decoded import DecodeError
from service.pipeline.decode.exact import has_large_float, load, plain
from service.pipeline.decode.fields import describe
from service.pipeline.decode.json import MAX_READINGS, Broken, dump, parse
from service.pipeline.events import Envelope, Message
from service.pipeline.times import TimeError, parse_time

YEAR_2000 = 946_684_800_000
_YEAR_10000 = 253_402_300_800_000
_DEPTH = 4
_LONGEST_NAME = 2048  # of what an envelope says: each message's document repeats it
_NO_ENVELOPE = Envelope()
_CARRIERS = frozenset(("logEvents", "detail", "Records", "records", "awslogs", "TopicArn"))


class Part(NamedTuple):
    """A message of a record, or the reason why there is none.

    Attributes:
        message: for a format.
        envelope: what the carrier says of it.
        error: why it cannot be read.
        dropped: what it is if it is of no interest, and no fault either.
        element: the piece of the record that it is, with its envelope.
        payload: what is around this piece if it is a log event.
    """

    message: Message
    envelope: Envelope = _NO_ENVELOPE
    error: DecodeError | None = None
    dropped: str = ""
    element: Any = None
    payload: Mapping[str, Any] | None = None


def messages(data: bytes) -> Iterator[Part]:
    """The messages in a record's bytes, in their order. Raises DecodeError if nothing in it can be read."""
    return _of_bytes(data, _Budget(), _NO_ENVELOPE, _DEPTH)


def single(data: bytes) -> Message | None:
    """The message of a record that holds one and nothing else, as most do; None for others, which ``messages`` reads.

    Raises an exception for what ``messages`` tells apart.
    """
    first = data[:1]
    if first == b"{":
        value = orjson.loads(data)
        if _CARRIERS.isdisjoint(value) and not has_large_float(value):
            return value  # type: ignore[no-any-return]
    elif first.isdigit() and data.find(b"\n", 0, -1) < 0:
        return data.decode()
    return None


def alone(part: Part) -> bytes:
    """A record that holds this message alone, so that it can be sent again."""
    if part.payload is not None:
        return dump({**part.payload, "logEvents": [part.element]}, b"{}")
    element = part.message if part.element is None else part.element
    if isinstance(element, bytes):
        return element
    return element.encode("utf-8", "replace") if isinstance(element, str) else dump(element, b"{}")


class _Budget:
    """How much a record may still unpack to, and hold."""

    def __init__(self) -> None:
        self._bytes, self._messages = MAX_UNPACKED, MAX_READINGS

    def unpack(self, data: bytes) -> bytes:
        """As ``carriers.unpack``; raises DecodeError also if all of them are too much."""
        unpacked = unpack(data)
        self._bytes -= len(unpacked)
        if self._bytes < 0:
            raise _TooLargeError("too_large", f"what is packed in it unpacks to more than {MAX_UNPACKED} bytes")
        return unpacked

    def count(self) -> None:
        """One message more."""
        self._messages -= 1
        if self._messages < 0:
            raise _TooLargeError("too_large", f"the record holds more than {MAX_READINGS} messages")


class _TooLargeError(DecodeError):
    """The whole record is refused."""


def _of_bytes(data: bytes, budget: _Budget, envelope: Envelope, depth: int) -> Iterator[Part]:
    """The messages in something that may be compressed."""
    unpacked = budget.unpack(data)
    start = unpacked[:1]
    if start not in (b"{", b"["):
        if not (unpacked := unpacked.strip(b" \t\r\n")):
            raise DecodeError("empty", "the record holds nothing but blanks" if data else "the record is empty")
        json_begins = unpacked.lstrip(b" \t\r\n\x1e,")  # separators of JSON, see ``json``; a line keeps them
        if json_begins[:1] in (b"{", b"["):
            unpacked = json_begins
        start = unpacked[:1]
    if start in (b"{", b"["):
        yield from _of_json(unpacked, budget, envelope, depth)
    else:
        yield from _of_text(unpacked, budget, envelope)


def _of_text(data: bytes, budget: _Budget, envelope: Envelope) -> Iterator[Part]:
    """Lines; each is decoded for itself if one of them is no text."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        if guess := looks_like(data):
            raise DecodeError("not_text", f"neither JSON nor lines of text: it looks like {guess}") from None
        yield from _of_bad_text(data, budget, envelope, error)
        return
    if "\n" not in text:
        budget.count()
        yield Part(text, envelope)
        return
    for line in alerts_log.blocks(text) if text.startswith(alerts_log.BEGIN) else text.split("\n"):
        if line := line.strip():
            budget.count()
            yield Part(line, envelope)


def _of_bad_text(data: bytes, budget: _Budget, envelope: Envelope, first: UnicodeDecodeError) -> Iterator[Part]:
    lines = [line for line in map(bytes.strip, data.split(b"\n")) if line]
    if len(lines) == 1:
        raise DecodeError("not_text", f"neither JSON nor lines of text: byte {first.start} is not UTF-8")
    for line in lines:
        budget.count()
        try:
            yield Part(line.decode(), envelope)
        except UnicodeDecodeError as error:
            why = DecodeError("not_text", f"byte {error.start} of the line is not UTF-8")
            yield Part("", envelope, why, element=line)


def _of_json(data: bytes, budget: _Budget, envelope: Envelope, depth: int) -> Iterator[Part]:
    """One value, or several: one a line, or one after the other."""
    values: list[Any]
    try:
        values = [orjson.loads(data)]
    except orjson.JSONDecodeError:
        try:
            values = [orjson.loads(line) for line in data.split(b"\n") if line and not line.isspace()]
        except orjson.JSONDecodeError:
            values = [each if isinstance(each, Broken) else plain(each) for each in parse(data, exact=True)]
    if len(values) > MAX_READINGS:
        raise _TooLargeError("too_large", f"the record holds more than {MAX_READINGS} messages")
    if any(map(has_large_float, values)):
        values = [each if isinstance(each, Broken) else plain(each) for each in parse(data, exact=True)]
    for value in values:
        if isinstance(value, Broken):
            budget.count()
            yield Part(value.text, envelope, value.error)
        else:
            yield from _of_value(value, budget, envelope, depth)


def _of_value(value: Any, budget: _Budget, envelope: Envelope, depth: int) -> Iterator[Part]:
    """What a JSON value carries, or it itself."""
    if type(value) is dict:
        carried = _carried(value, budget, envelope, depth)
        if carried is not None:
            if depth > 0:
                yield from carried
                return
            budget.count()
            yield Part(value, envelope, DecodeError("too_deep", f"more than {_DEPTH} carriers in each other"))
            return
        budget.count()
        yield Part(value, envelope)
    elif type(value) is list and depth > 0:
        if not value:
            budget.count()
            yield Part("[]", envelope, DecodeError("empty", "an empty array holds no message"), element=value)
        for each in value:
            yield from _of_value(each, budget, envelope, depth - 1)
    else:
        budget.count()
        if isinstance(value, str):
            yield Part(value, envelope)
        else:
            why = DecodeError("not_a_message", f"a JSON {describe(value)} is neither an object nor a line")
            yield Part("", envelope, why, element=value)


def _carried(value: dict[str, Any], budget: _Budget, envelope: Envelope, depth: int) -> Iterator[Part] | None:
    """The messages that an object carries; None if it is one itself."""
    if "logEvents" in value and "messageType" in value:
        return _log_events(value, budget, envelope, depth)
    if "detail-type" in value and "detail" in value:
        return _detail(value, budget, envelope)
    if len(value) == 1:
        if "Records" in value and isinstance(value["Records"], list):
            return _records(value["Records"], budget, envelope, depth)
        if "awslogs" in value and isinstance(value["awslogs"], dict):
            return _of_base64(value["awslogs"].get("data"), value, budget, envelope, depth)
    elif "records" in value and "invocationId" in value and isinstance(value["records"], list):
        return _records(value["records"], budget, envelope, depth)
    elif "TopicArn" in value and value.get("Type") == "Notification" and type(value.get("Message")) is str:
        return _notified(value, budget, envelope, depth)
    return None


def _log_events(value: dict[str, Any], budget: _Budget, envelope: Envelope, depth: int) -> Iterator[Part]:
    """A payload of CloudWatch Logs."""
    kind, events = value["messageType"], value["logEvents"]
    if kind == "CONTROL_MESSAGE":
        budget.count()
        yield Part("", envelope, dropped="control message", element=value)
        return
    payload = {name: each for name, each in value.items() if name != "logEvents"}
    try:
        owner, group, stream = (_name(value, name) for name in ("owner", "logGroup", "logStream"))
        if kind != "DATA_MESSAGE" or not isinstance(events, list):
            raise DecodeError("bad_payload", f"a payload of CloudWatch Logs of the type {describe(kind)}")
        if not events:
            raise DecodeError("empty", "a payload of CloudWatch Logs without log events")
    except DecodeError as error:
        budget.count()
        yield Part("", envelope, error, element=value)
        return
    around = envelope._replace(owner=owner, log_group=group, log_stream=stream)
    region, source, detail_type, resources = around.region, around.source, around.detail_type, around.resources
    for event in alerts_log.whole(events):
        if type(event) is not dict or type(text := event.get("message")) is not str:
            budget.count()
            why = DecodeError("bad_log_event", "a log event without a message")
            yield Part("", around, why, element=event, payload=payload)
            continue
        log_id, extracted = event.get("id"), event.get("extractedFields")
        if type(log_id) is not str or len(log_id) > _LONGEST_NAME:
            log_id = ""
        if type(extracted) is not dict:
            extracted = around.extracted
        time = _time(event.get("timestamp"))  # not _replace, which takes as long as all else here
        within = Envelope(log_id, time, owner, group, stream, region, extracted, source, detail_type, resources)
        if depth > 0 and '"detail-type"' in text and text.lstrip().startswith("{"):
            yield from _envelope_in_text(text, event, payload, budget, within)
        else:
            budget.count()
            yield Part(text, within, element=event, payload=payload)


def _envelope_in_text(
    text: str, event: Any, payload: Mapping[str, Any], budget: _Budget, envelope: Envelope
) -> Iterator[Part]:
    """A log event that EventBridge wrote."""
    try:
        value = load(text)
    except DecodeError:
        value = None
    if type(value) is dict and "detail-type" in value and "detail" in value:
        for part in _detail(value, budget, envelope):
            yield part._replace(element=event, payload=payload)
    else:
        budget.count()
        yield Part(text, envelope, element=event, payload=payload)


def _detail(value: dict[str, Any], budget: _Budget, envelope: Envelope) -> Iterator[Part]:
    """An envelope of EventBridge."""
    budget.count()
    detail = value["detail"]
    try:
        around = envelope._replace(
            log_id=_name(value, "id") or envelope.log_id,
            time=_time(value.get("time")) or envelope.time,
            owner=_name(value, "account") or envelope.owner,
            region=_name(value, "region"),
            source=_name(value, "source"),
            detail_type=_name(value, "detail-type"),
            resources=_names(value.get("resources")),
        )
        if type(detail) is not dict:
            raise DecodeError("bad_envelope", f"detail is {describe(detail)}, not an object")
        yield Part(detail, around, element=value)
    except DecodeError as error:
        yield Part("", envelope, error, element=value)


def _notified(value: dict[str, Any], budget: _Budget, envelope: Envelope, depth: int) -> Iterator[Part]:
    """What SNS wraps a message in."""
    try:
        around = envelope._replace(
            log_id=_name(value, "MessageId") or envelope.log_id, time=_time(value.get("Timestamp"))
        )
        yield from _of_bytes(value["Message"].encode("utf-8", "replace"), budget, around, depth - 1)
    except _TooLargeError:
        raise
    except DecodeError as error:
        budget.count()
        yield Part("", envelope, error, element=value)


def _records(values: list[Any], budget: _Budget, envelope: Envelope, depth: int) -> Iterator[Part]:
    """A file of CloudTrail, or a batch: what is Base64 in it is read."""
    if not values:
        budget.count()
        yield Part("", envelope, DecodeError("empty", "Records is an empty array"), element={"Records": values})
    for value in values:
        kinesis = value.get("kinesis") if type(value) is dict else None
        if type(kinesis) is dict and "data" in kinesis:
            yield from _of_base64(kinesis["data"], value, budget, envelope, depth - 1)
        elif type(value) is dict and "recordId" in value and "data" in value:
            yield from _of_base64(value["data"], value, budget, envelope, depth - 1)
        else:
            yield from _of_value(value, budget, envelope, depth - 1)


def _of_base64(text: Any, element: Any, budget: _Budget, envelope: Envelope, depth: int) -> Iterator[Part]:
    """The messages in a text of Base64."""
    try:
        if type(text) is not str:
            raise DecodeError("not_base64", f"its data is {describe(text)}, not Base64")
        if depth <= 0:
            raise DecodeError("too_deep", f"more than {_DEPTH} carriers in each other")
        try:
            data = binascii.a2b_base64(text, strict_mode=True)
        except ValueError as error:
            raise DecodeError("not_base64", f"its data is not Base64: {error}") from None
        yield from _of_bytes(data, budget, envelope, depth - 1)
    except _TooLargeError:
        raise
    except DecodeError as error:
        budget.count()
        yield Part("", envelope, error, element=element)


def _name(value: Mapping[str, Any], name: str) -> str:
    """A text of an envelope; empty if it is not there."""
    text = value.get(name)
    if text is None:
        return ""
    if type(text) is not str:
        if type(text) is not int:
            raise DecodeError("bad_envelope", f"{name} is {describe(text)}, not text")
        text = str(text)
    if len(text) > _LONGEST_NAME:
        raise DecodeError("bad_envelope", f"{name} has more than {_LONGEST_NAME} characters")
    return text


def _names(value: Any) -> tuple[str, ...]:
    """Texts of an envelope, as far as they are some."""
    return tuple(each for each in value if type(each) is str) if type(value) is list else ()


def _time(value: Any) -> int | None:
    """A carrier's time; None if it says none, or one before the year 2000, which means the same."""
    if type(value) is int:
        return value if YEAR_2000 <= value < _YEAR_10000 else None
    try:
        time = parse_time(value)
    except TimeError:
        return None
    return time if time >= YEAR_2000 else None
