"""Impressions and clicks of a news site: one JSON object a record.

Articles have a popularity and a rate of clicks of their own, readers a gender and a segment (``users.csv``; one in
twenty is not in it). Faults: in a bot burst one reader clicks one article again and again; a dead article is shown as
often as before, but its link is broken and nobody can click.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from simulator.events import EventRecord, Fault
from simulator.events.carriers import MINUTE, active, compact, iso, placed, rhythm

FAULTS = ("bot burst", "dead article")
RATE = 20.0
ARTICLES = tuple(range(1001, 1013))
READERS, UNKNOWN_READERS, FIRST_READER = 1900, 100, 101
BOT = FIRST_READER + 666
SEGMENTS = 5
_POPULARITY = 1 / np.arange(2.0, len(ARTICLES) + 2.0)
_CLICKS = np.array(
    [0.16, 0.12, 0.2, 0.1, 0.14, 0.18, 0.11, 0.15, 0.13, 0.17, 0.12, 0.14]
)  # of all events of an article


def plan(start: int, seconds: float) -> tuple[Fault, ...]:
    """A burst after half of the stream, a dead article after four fifths."""
    return placed(
        start,
        seconds,
        (("bot burst", 0.5, 6, str(ARTICLES[2])), ("dead article", 0.8, 45, str(ARTICLES[0]))),
    )


def files() -> Mapping[str, bytes]:
    """The reference table: reader, gender, segment; no header."""
    random = np.random.default_rng(20170501)
    rows = []
    for reader in range(FIRST_READER, FIRST_READER + READERS):
        gender = ("female", "male")[int(random.integers(2))]
        rows.append(f"{reader},{gender},{int(random.integers(1, SEGMENTS + 1))}")
    return {"users.csv": ("\n".join(rows) + "\n").encode()}


def generate(
    start: int, rate: float, seconds: float, seed: int, faults: Sequence[Fault] | None = None
) -> Iterator[EventRecord]:
    """Records in the order of their time, each the JSON of one impression or click."""
    faults = plan(start, seconds) if faults is None else faults
    random = np.random.default_rng(seed)
    share = _POPULARITY / _POPULARITY.sum()
    end = start + round(seconds * 1000)
    for minute in range(start, end, MINUTE):
        length = min(MINUTE, end - minute)
        count = int(random.poisson(rate * rhythm(minute) * length / 1000))
        times = np.sort(random.integers(minute, minute + length, count))
        articles = random.choice(len(ARTICLES), size=count, p=share)
        readers = FIRST_READER + random.integers(0, READERS + UNKNOWN_READERS, count)
        clicked = random.random(count) < _CLICKS[articles]
        burst, dead = active(faults, "bot burst", minute), active(faults, "dead article", minute)
        events: list[tuple[int, int, int, bool, str | None]] = [
            (int(time), ARTICLES[article], int(reader), bool(click), None)
            for time, article, reader, click in zip(times, articles, readers, clicked, strict=True)
        ]
        if dead:
            events = [
                (event[0], event[1], event[2], False, dead.kind) if str(event[1]) == dead.about else event
                for event in events
            ]
        if burst:  # as many clicks as half of the site's events
            more = int(random.poisson(rate * length / 2000))
            for time in random.integers(minute, minute + length, more):
                events.append((int(time), int(burst.about), BOT, True, burst.kind))
            events.sort(key=lambda each: each[0])
        for time, article, reader, click, label in events:
            event = {
                "article_id": article,
                "user_id": reader,
                "action": "click" if click else "impression",
                "timestamp": iso(time, milliseconds=True),
            }
            yield EventRecord(str(article), compact(event), time, label)
