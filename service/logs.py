"""The log: lines on standard error, for people or for machines.

Normal operation is quiet: at ``info`` there is a line when the service starts and when it stops, and whatever is out of
the ordinary is a warning or an error. What goes on all the time is in the metrics.
"""

from __future__ import annotations

import logging
import sys
import threading
from datetime import UTC, datetime
from typing import IO, Literal

import orjson

_NOISY = ("botocore", "aiobotocore", "opensearch", "numba", "asyncio")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: timestamp (ISO 8601, UTC), level, logger, message, and the exception if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {
            "timestamp": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        text = orjson.dumps({name: value.encode(errors="replace").decode() for name, value in fields.items()})
        return text.decode()


def configure(level: str, style: Literal["text", "json"] = "text", stream: IO[str] | None = None) -> None:
    """Send the log of this process to ``stream``, by default standard error; of libraries only what is critical."""
    handler = logging.StreamHandler(stream or sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
    handler.setFormatter(JsonFormatter() if style == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(style == "json")
    threading.excepthook = _log_thread
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def in_json() -> bool:
    """Whether the log of this process is for machines."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def _log_thread(failure: threading.ExceptHookArgs) -> None:
    """A thread's exception that nobody handles, as a line of the log."""
    if failure.exc_value is not None:
        error = failure.exc_value
        logging.getLogger("cutwater").critical("a thread ended", exc_info=(type(error), error, error.__traceback__))
