"""What a program of windows has seen before: how the measure ``new`` tells a value that comes for the first time.

Guarantee: the answers depend only on the values in their order. In memory are at most ``MOST`` values of a program; of
more, those that were longest not seen are forgotten, and would be new again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

MOST = 20_000


class Firsts:
    """The values of one program's measures.

    Args:
        learn: milliseconds since the first event for which no value counts as new.
    """

    def __init__(self, learn: int) -> None:
        self._learn = learn
        self._began: int | None = None  # event time
        self._seen: dict[int, int] = {}  # hashes with their latest event time; what was seen last stands last

    def note(self, place: int, key: str, values: Iterable[str], time: int) -> int:
        """How many of the values are new for this measure and key; they are not any more."""
        if self._began is None:
            self._began = time
        new = 0
        for value in values:
            name = _hash(place, key, value)
            latest = self._seen.pop(name, None)
            if latest is None:
                new += 1
                if len(self._seen) >= MOST:
                    del self._seen[next(iter(self._seen))]
            self._seen[name] = time if latest is None else max(time, latest)
        return new if time >= self._began + self._learn else 0

    def pack(self) -> dict[str, Any]:
        """Everything as JSON can say it."""
        return {"began": self._began, "seen": list(self._seen.items())}

    def unpack(self, packed: dict[str, Any]) -> None:
        """Add what another has packed: values that either has seen are not new."""
        began = [each for each in (self._began, packed["began"]) if each is not None]
        self._began = min(began, default=None)
        seen = {int(name): int(time) for name, time in packed["seen"]}
        if not self._seen:
            self._seen = seen
            return
        for name, time in seen.items():
            self._seen[name] = max(time, self._seen.get(name, time))
        ordered = sorted(self._seen.items(), key=lambda item: (item[1], item[0]))
        self._seen = dict(ordered[-MOST:])


def _hash(place: int, key: str, value: str) -> int:
    text = f"{place}\0{key}\0{value}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1
