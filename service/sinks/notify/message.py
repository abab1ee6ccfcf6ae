"""What is said of an incident, of one episode or of several: in words, and as data."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from service.pipeline.documents import Document
from service.pipeline.times import parse_time

LISTED = 20  # episodes in one message; the others are counted
_VERBS = {"begin": "Alert", "update": "Changed", "end": "Over"}


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        key: by which a receiver knows it again: the episode's id and its stage, of several a hash of theirs.
        incident: what belongs together; of a single episode its id.
        stage: begin, update or end; digest for what was too much.
        severity: the highest, 0 to 100.
        title, text: a line, and some more.
        time: event time, ISO 8601.
        link: to the page at that moment; "" if its address is not known.
        stream: where it comes from.
        episodes: as in ``as_json``, at most ``LISTED``.
        more: how many are not among them.
    """

    key: str
    incident: str
    stage: str
    severity: int
    title: str
    text: str
    time: str
    link: str
    stream: str
    episodes: Sequence[Document]
    more: int = 0

    @property
    def sensor(self) -> str:
        """Of the severest episode."""
        return str(self._worst.get("sensor", ""))

    @property
    def kind(self) -> str:
        """Of the severest episode."""
        return str(self._worst.get("kind", ""))

    @property
    def _worst(self) -> Document:
        return max(self.episodes, key=lambda each: int(each["severity"]), default={})

    def as_json(self) -> Document:
        """The usual body of a webhook."""
        return {
            "key": self.key,
            "incident": self.incident,
            "stage": self.stage,
            "severity": self.severity,
            "title": self.title,
            "text": self.text,
            "@timestamp": self.time,
            "link": self.link or None,
            "stream": self.stream,
            "episodes": list(self.episodes),
            "more": self.more,
        }


def compose(incident: str, changes: Sequence[Document], page_url: str, *, still_open: bool = False) -> Message:
    """A message about changes of one stage that belong to one incident."""
    stage = changes[0]["stage"]
    if stage == "end" and still_open:
        stage = "update"
    worst = max(changes, key=lambda each: int(each["severity"]))
    verb = _VERBS[changes[0]["stage"]]
    if len(changes) == 1:
        title = f"{verb}: {worst['kind']} on {_printable(worst['sensor'])}, severity {worst['severity']}"
        key = worst["key"]
    else:
        kinds = ", ".join(dict.fromkeys(str(each["kind"]) for each in changes))
        title = f"{verb}: {len(changes)} sensors at once ({kinds}), severity up to {worst['severity']}"
        key = _digest(each["key"] for each in changes)
    return _message(key, incident, stage, title, changes, page_url, 0)


def compose_digest(route: str, changes: Sequence[Document], uncounted: int, page_url: str) -> Message:
    """A message that counts what was too much for one each."""
    number = len(changes) + uncounted
    worst = max((int(each["severity"]) for each in changes), default=0)
    title = f"{number} more {'change' if number == 1 else 'changes'} of episodes, severity up to {worst}"
    key = _digest([*(each["key"] for each in changes), str(uncounted)])
    severest = sorted(changes, key=lambda each: -int(each["severity"]))
    return _message(key, f"digest-{route}", "digest", title, severest, page_url, uncounted)


def _message(
    key: str, incident: str, stage: str, title: str, changes: Sequence[Document], page_url: str, uncounted: int
) -> Message:
    shown = [_shown(each, page_url) for each in changes[:LISTED]]
    more = len(changes) - len(shown) + uncounted
    lines = [_line(each) for each in shown] + ([f"and {more} more"] if more else [])
    worst = max(shown, key=lambda each: int(each["severity"]), default={})
    return Message(
        key=key,
        incident=incident,
        stage=stage,
        severity=worst.get("severity", 0),
        title=title,
        text="\n".join(lines),
        time=max((each["@timestamp"] for each in shown), default="1970-01-01T00:00:00.000Z"),
        link=worst.get("link") or "",
        stream=worst.get("stream", ""),
        episodes=shown,
        more=more,
    )


def _shown(change: Document, page_url: str) -> Document:
    """An episode's change as receivers get it."""
    values: dict[str, Document] = {}
    for name, value in change["values"].items():
        for prefix, word in _PARTS.items():
            if name.startswith(prefix):
                values.setdefault(name.removeprefix(prefix), {})[word] = _finite(value)
    sensor = _printable(change["sensor"])
    link = ""
    if page_url:
        link = f"{page_url.rstrip('/')}/?{urlencode({'sensor': sensor, 'at': parse_time(change['seen'])})}"
    return {
        "key": change["key"],
        "episode_id": change["episode_id"],
        "stage": change["stage"],
        "sensor": sensor,
        "kind": change["kind"],
        "severity": change["severity"],
        "@timestamp": change["@timestamp"],
        "start": change["start"],
        "last": change["last"],
        "anomalies": change["anomalies"],
        "values": values,
        "labels": {name: _printable(value) for name, value in change["labels"].items()},
        "stream": change["stream"],
        "shard": change["shard"],
        "link": link or None,
    }


_PARTS = {"feature_data_": "value", "expected_values_": "expected", "relevant_attribution_": "share"}


def _line(episode: Document) -> str:
    """An episode in a line."""
    blamed = sorted(episode["values"].items(), key=lambda pair: -(pair[1].get("share") or 0.0))[:1]
    said = [f"{name} {_number(each.get('value'))} instead of {_number(each.get('expected'))}" for name, each in blamed]
    labels = [f"{name} {value}" for name, value in episode["labels"].items()]
    since = episode["start"] if episode["stage"] == "begin" else f"{episode['start']} to {episode['last']}"
    verb = _VERBS[episode["stage"]]
    return f"{verb}: {episode['kind']} on {episode['sensor']}, severity {episode['severity']}, {since}" + "".join(
        f"; {part}" for part in (*said, *labels)
    )


def _number(value: Any) -> str:
    return "unknown" if value is None else f"{value:.6g}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _printable(text: str) -> str:
    """Text that JSON in UTF-8 can say: a lone surrogate becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def _digest(keys: Any) -> str:
    return hashlib.blake2b("\0".join(sorted(keys)).encode(), digest_size=16).hexdigest()
