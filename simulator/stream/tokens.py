"""Shard iterators and tokens of next pages: opaque to clients, and of no use after a while."""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any

import orjson

from simulator.stream.errors import KinesisError, invalid

LIFETIME = 300_000  # ms, of an iterator as of a token


def seal(kind: str, *values: Any) -> str:
    """An opaque token: clients can only hand it back."""
    return base64.b64encode(orjson.dumps([kind, *values])).decode()


def unseal(token: str, kind: str, types: tuple[type, ...], complaint: str) -> list[Any]:
    """The values of a token. Raises KinesisError if it is none of ours."""
    values: list[Any]
    try:
        found, *values = orjson.loads(binascii.a2b_base64(token, strict_mode=True))
    except (ValueError, TypeError):  # not ASCII, not base64, not JSON, not a list, or an empty one
        raise invalid(complaint) from None
    if found != kind or tuple(map(type, values)) != types:
        raise invalid(complaint)
    return values


def unseal_page(token: str, kind: str, types: tuple[type, ...], now: int) -> list[Any]:
    """The values of a NextToken, the moment of its making (last) left out. Raises KinesisError, also if it is old."""
    *values, issued = unseal(token, kind, (*types, int), "Invalid NextToken.")
    if now - issued > LIFETIME:
        raise KinesisError(
            "ExpiredNextTokenException",
            f"NextToken expired. It was created at time {_date(issued)}, while right now it is {_date(now)}.",
        )
    return values


def require_fresh_iterator(issued: int, now: int) -> None:
    """Raises KinesisError if an iterator is older than its lifetime."""
    if now - issued > LIFETIME:
        raise KinesisError(
            "ExpiredIteratorException",
            f"Iterator expired. The iterator was created at time {_date(issued)} while right now it is "
            f"{_date(now)} which is further in the future than the tolerated delay of {LIFETIME} milliseconds.",
        )


def _date(ms: int) -> str:
    return time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(ms / 1000))
