"""A route: which changes of episodes it tells, what belongs to one incident, and when it is quiet."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from service.pipeline.documents import Document
from service.settings.groups.notify import NotifyTable


class Route:
    """What a table ``[[notify]]`` says."""

    def __init__(self, table: NotifyTable) -> None:
        self.name = table.name
        self.table = table
        self._zone = ZoneInfo(table.zone)

    def wants(self, change: Document) -> bool:
        """Whether a change is told here."""
        table, labels = self.table, change["labels"]
        return (
            change["stage"] in table.stages
            and change["severity"] >= table.min_severity
            and (not table.kinds or change["kind"] in table.kinds)
            and (not table.sensors or any(_fits(change["sensor"], pattern) for pattern in table.sensors))
            and all(name in labels and _fits(labels[name], pattern) for name, pattern in table.labels.items())
        )

    def incident(self, episode: str, start: str, labels: Mapping[str, str]) -> str:
        """The id of the incident that an episode belongs to: by its beginning, so it is known from the first on.

        ``start`` is ISO 8601 in UTC; its first 16 characters are the minute.
        """
        if self.table.group == "none":
            return episode
        value = "" if self.table.group == "minute" else labels.get(self.table.group, "")
        text = "\0".join((self.table.group, value, start[:16]))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def is_quiet(self, now: float) -> bool:
        """Whether nothing is sent at a time, in seconds since 1970."""
        clock = datetime.fromtimestamp(now, self._zone).strftime("%H:%M")
        for span in self.table.quiet:
            start, end = span.split("-")
            if (start <= clock < end) if start <= end else (clock >= start or clock < end):
                return True
        return False


def _fits(text: str, pattern: str) -> bool:
    """Whether a text fits a pattern in which * is any text and everything else means itself."""
    return fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]"))
