"""What several generators need: the day's rhythm, and the payload in which CloudWatch Logs delivers."""

from __future__ import annotations

import gzip
import json
import math
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np

from simulator.events import Fault

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def rhythm(time: int, depth: float = 0.4) -> float:
    """How busy an hour of the day is: 1 on average, highest at 15 h UTC."""
    return 1 + depth * math.cos(2 * math.pi * (time % DAY - 15 * HOUR) / DAY)


def placed(start: int, seconds: float, kinds: Sequence[tuple[str, float, float, str]]) -> tuple[Fault, ...]:
    """Faults of (kind, part of the stream after which it begins, minutes, about), on whole minutes."""
    faults = []
    for kind, part, minutes, about in kinds:
        begin = start + round(part * seconds * 1000) // MINUTE * MINUTE
        faults.append(Fault(kind, begin, begin + round(minutes * MINUTE), about))
    return tuple(faults)


def active(faults: Iterable[Fault], kind: str, time: int) -> Fault | None:
    """The fault of this kind at that time, if there is one."""
    return next((each for each in faults if each.kind == kind and each.start <= time < each.end), None)


def iso(time: int, milliseconds: bool = False) -> str:
    """ISO 8601 in UTC with a Z."""
    text = datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="milliseconds" if milliseconds else "seconds")
    return text.removesuffix("+00:00") + "Z"


def compact(value: object) -> bytes:
    """JSON without spaces, in the order given."""
    return json.dumps(value, separators=(",", ":")).encode()


class Dice(random.Random):
    """Random numbers of a seed, one by one, which costs less than to ask numpy for each."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._counts = np.random.default_rng(seed)

    def poisson(self, mean: float) -> int:
        """How often something happens that happens so often on average."""
        return int(self._counts.poisson(mean))

    def times(self, count: int, begin: int, length: int = MINUTE) -> list[int]:
        """So many times from ``begin`` on, in no order."""
        return [begin + self.randrange(length) for _ in range(count)]

    def hexadecimal(self, digits: int) -> str:
        """So many digits."""
        return f"{self.getrandbits(4 * digits):0{digits}x}"

    def uuid(self) -> str:
        """An identifier in the usual form."""
        digits = self.hexadecimal(32)
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def public_address(self) -> str:
        """An address somewhere on the Internet; those of faults are of the ranges that are kept for documentation."""
        first = (3, 13, 18, 31, 51, 62, 78, 83, 90, 103, 119, 133, 151, 177, 186, 200, 210, 217)
        return f"{self.choice(first)}.{self.randrange(1, 255)}.{self.randrange(1, 255)}.{self.randrange(1, 255)}"


def log_payload(
    owner: str, group: str, stream: str, subscription: str, events: Sequence[tuple[str, int, str]]
) -> bytes:
    """A record of a subscription filter of CloudWatch Logs: gzip of JSON. ``events``: (id, time, message)."""
    payload = {
        "messageType": "DATA_MESSAGE",
        "owner": owner,
        "logGroup": group,
        "logStream": stream,
        "subscriptionFilters": [subscription],
        "logEvents": [{"id": name, "timestamp": time, "message": message} for name, time, message in events],
    }
    return gzip.compress(compact(payload), compresslevel=6, mtime=0)


def control_payload(time: int) -> bytes:
    """What CloudWatch Logs sends first, to see whether the stream can be written."""
    payload = {
        "messageType": "CONTROL_MESSAGE",
        "owner": "CloudwatchLogs",
        "logGroup": "",
        "logStream": "",
        "subscriptionFilters": [],
        "logEvents": [
            {
                "id": "",
                "timestamp": time,
                "message": "CWL CONTROL MESSAGE: Checking health of destination Kinesis stream.",
            }
        ],
    }
    return gzip.compress(compact(payload), compresslevel=6, mtime=0)


class LogIds:
    """Ids of log events: 56 digits that grow."""

    def __init__(self, seed: int) -> None:
        self._number = 36 * 10**54 + seed * 10**30

    def __call__(self, time: int) -> str:
        """The next one."""
        self._number += 1
        return f"{self._number + time * 10**36:056d}"
