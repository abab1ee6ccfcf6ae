"""What goes into the dead letter, counted and reported: in the log at most once a minute, in /ready, in /status."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from service.pipeline.documents import timestamp
from service.pipeline.records import DeadLetter

log = logging.getLogger("cutwater.dead_letters")

WARN_SECONDS = 60.0  # between two warnings
WINDOW_SECONDS = 60.0  # over which the last minute is counted
REMEDY = (
    "compare a record under Dead letters with sensor_field, value_fields and time_field; when the cause is removed, "
    "cutwater replay sends them again"
)


class DeadLetterMonitor:
    """Counts dead letters by their codes and warns of them.

    Guarantee: the first letter after a quiet minute is reported at once, further ones at most once in ``WARN_SECONDS``,
    with how many there were by code since the last warning.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_code: Counter[str] = Counter()
        self._unreported: Counter[str] = Counter()
        self._latest: DeadLetter | None = None
        self._warned_at: float | None = None
        self._events: deque[tuple[float, int, int]] = deque()  # time, letters, scored readings

    def note(self, letters: Sequence[DeadLetter]) -> None:
        """Letters that were just kept."""
        if not letters:
            return
        counts = Counter(letter.code for letter in letters)
        self._by_code += counts
        self._unreported += counts
        self._latest = letters[-1]
        self._remember(len(letters), 0)
        self.remind()

    def note_scored(self, readings: int) -> None:
        """Readings that were just scored."""
        if readings:
            self._remember(0, readings)

    def remind(self) -> None:
        """Warn of what was not reported yet, if it is time; to be called now and then."""
        now = self._clock()
        if (
            not self._unreported
            or self._latest is None
            or (self._warned_at is not None and now - self._warned_at < WARN_SECONDS)
        ):
            return
        counts = ", ".join(f"{number} {code}" for code, number in self._unreported.most_common())
        everything = "; nothing else came in the last minute" if self.everything else ""
        log.warning(
            "%d into the dead letter (%s)%s. The latest: %s", self._unreported.total(), counts, everything,
            self._latest.reason,
        )  # fmt: skip
        self._unreported.clear()
        self._warned_at = now

    @property
    def last_minute(self) -> int:
        """Letters in the last minute."""
        return self._sums()[0]

    @property
    def everything(self) -> bool:
        """Whether all that came in the last minute went into the dead letter."""
        letters, readings = self._sums()
        return letters > 0 and readings == 0

    @property
    def last_error(self) -> str | None:
        """Why nothing is scored though records come, in one line; None if something is, or if nothing comes."""
        if not self.everything or self._latest is None:
            return None
        return f"all {self.last_minute} records of the last minute went there: {self._latest.reason}; {REMEDY}"

    def describe(self) -> dict[str, Any]:
        """As ``/status`` shows it."""
        latest = self._latest
        return {
            "count": self._by_code.total(),
            "last_minute": self.last_minute,
            "by_code": dict(self._by_code.most_common()),
            "everything": self.everything,
            "latest": latest
            and {"code": latest.code, "reason": latest.reason, "time": timestamp(latest.record.arrival)},
            "remedy": REMEDY if latest else None,
        }

    def _remember(self, letters: int, readings: int) -> None:
        now = self._clock()
        if self._events and now - self._events[-1][0] < 1.0:
            time, more_letters, more_readings = self._events.pop()
            self._events.append((time, letters + more_letters, readings + more_readings))
        else:
            self._events.append((now, letters, readings))

    def _sums(self) -> tuple[int, int]:
        """Letters and readings in the last minute."""
        now = self._clock()
        while self._events and now - self._events[0][0] > WINDOW_SECONDS:
            self._events.popleft()
        return sum(each[1] for each in self._events), sum(each[2] for each in self._events)
