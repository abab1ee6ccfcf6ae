"""Documents of flow logs from files: exported ones, or made of the lines of the flow logs themselves."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from service import UserError
from service.pipeline.decode.decoded import DecodeError
from service.pipeline.decode.event_decoder import FormatFoundError
from service.pipeline.decode.formats.flow_log import FlowLog
from service.pipeline.documents import timestamp
from service.pipeline.enrich.security_groups import InterfaceTable
from service.pipeline.events import Envelope, EventFormat


class FlowLogFiles:
    """Reads files line by line; ``refused`` counts lines that are none of a flow log, ``reason`` is the first's.

    Args:
        format_: LogFormat of lines that no header line explains; empty for the default one.
        interfaces: that tell the groups and the direction of lines.
    """

    def __init__(self, format_: str, interfaces: InterfaceTable) -> None:
        self.refused = 0
        self.reason = ""
        self._format = format_
        self._interfaces = interfaces

    def documents(self, path: Path) -> Iterator[dict[str, Any]]:
        """The documents of a file, which may be compressed by gzip. Raises UserError."""
        try:
            with path.open("rb") as file:
                packed = file.read(2) == b"\x1f\x8b"
            format_: EventFormat = FlowLog(self._format)
            with gzip.open(path, "rt", encoding="utf-8") if packed else path.open(encoding="utf-8") as lines:
                for line in lines:
                    text = line.strip()
                    if not text:
                        continue
                    try:
                        found = _exported(text) or self._made(format_, text)
                    except FormatFoundError as header:
                        format_ = header.format
                        continue
                    except DecodeError as error:
                        self.refused += 1
                        self.reason = self.reason or f"{path}: {error}"
                        continue
                    if found:
                        yield found
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
        except ValueError as error:
            raise UserError(f"flow_log_format: {error}") from None

    def _made(self, format_: EventFormat, line: str) -> dict[str, Any] | None:
        event = format_.read(line, Envelope(), 0)
        if event is None:
            return None
        self._interfaces.enrich(event.fields, event.time)
        return {**event.fields, "@timestamp": timestamp(event.time)}


def _exported(line: str) -> dict[str, Any] | None:
    """A document as ``cutwater export`` and the index write it, if the line is one."""
    if not line.startswith("{"):
        return None
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DecodeError("not_json", f"no JSON: {error}") from None
    return found if isinstance(found, dict) and "@timestamp" in found else None
