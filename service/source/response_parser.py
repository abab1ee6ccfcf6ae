"""Kinesis's answers, from JSON to what botocore would make of them, in a tenth of the time.

botocore walks its model of the answer for every record (17 µs each, and the event loop stands still meanwhile). Here
one C call reads the JSON, base64 is all that is left to do, and large answers are read in a thread. What it relies on
is semi-private in aiobotocore; tests/service/source/test_response_parser.py compares it with the stock parser.
"""

from __future__ import annotations

import asyncio
import contextlib
from binascii import a2b_base64
from typing import Any

import orjson
from aiobotocore.parsers import AioEventStreamJSONParser, AioJSONParser, AioResponseParserFactory

LARGE = 64 * 1024  # bytes; what takes a millisecond to read
_NOT_READ = (ValueError, LookupError, TypeError, AttributeError)  # such as half a surrogate pair in a partition key


class _EventParser(AioEventStreamJSONParser):  # type: ignore[misc]
    """The stock parser, but for the events of a subscription to a shard."""

    async def parse(self, response: dict[str, Any], shape: Any) -> Any:
        """What botocore would make of an event."""
        if response["headers"].get(":event-type") == "SubscribeToShardEvent":
            with contextlib.suppress(*_NOT_READ):
                return {"SubscribeToShardEvent": await _read(response["body"])}
        return await super().parse(response, shape)


class _RecordsParser(AioJSONParser):  # type: ignore[misc]
    """The stock parser, but for answers to GetRecords. Times are seconds since 1970."""

    EVENT_STREAM_PARSER_CLS = _EventParser

    async def _do_parse(self, response: dict[str, Any], shape: Any) -> Any:
        if shape is None or shape.name != "GetRecordsOutput":
            return await super()._do_parse(response, shape)
        try:
            parsed = await _read(response["body"])
        except _NOT_READ:
            return await super()._do_parse(response, shape)
        self._inject_response_metadata(parsed, response["headers"])
        return parsed


class ParserFactory(AioResponseParserFactory):  # type: ignore[misc]
    """Makes parsers for a session: ``session.register_component("response_parser_factory", ParserFactory())``."""

    def __init__(self) -> None:
        super().__init__()
        self.set_parser_defaults(timestamp_parser=float)

    def create_parser(self, protocol_name: str) -> Any:
        """A parser of the protocol's answers."""
        return _RecordsParser(**self._defaults) if protocol_name == "json" else super().create_parser(protocol_name)


async def _read(body: bytes) -> dict[str, Any]:
    return _parse(body) if len(body) < LARGE else await asyncio.to_thread(_parse, body)


def _parse(body: bytes) -> dict[str, Any]:
    parsed: dict[str, Any] = {name: value for name, value in orjson.loads(body).items() if value is not None}
    for record in parsed["Records"]:
        record["Data"] = a2b_base64(record["Data"])
    return parsed
