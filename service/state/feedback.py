"""What people said of episodes and sensors: acknowledged, muted, normal, missed; and who, and when.

Each word is a blob of its own beside the stream's snapshots, and so is its withdrawal. Nothing is overwritten, so
workers that share the store need no lock, and the history stays.

Guarantee: what ``add`` and ``withdraw`` returned is durable. What another worker wrote is seen within
``REFRESH_SECONDS`` while the store answers.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

from service.pipeline.times import parse_time
from service.state.blobs import Blobs

Action = Literal["acknowledge", "mute", "normal", "missed"]
REFRESH_SECONDS = 10.0
_CONCURRENCY = 16
_WITHDRAWN = ".withdrawn"


@dataclass(frozen=True, slots=True)
class Word:
    """What somebody said.

    Attributes:
        id: grows with time.
        action: acknowledge: somebody sees to the episode; mute: nobody wants to hear of the sensor; normal: the episode
            was none; missed: there should have been one.
        sensor: about which.
        who, time: said it, and when (ISO 8601).
        since, until: of the stretch that it is about; a mute's until is when it ends, None: when it is withdrawn.
        episode_id: of the episode that it is about.
        note: what else was said.
        withdrawn_by, withdrawn: who took it back, and when.
    """

    id: str
    action: Action
    sensor: str
    who: str
    time: str
    since: str | None = None
    until: str | None = None
    episode_id: str | None = None
    note: str | None = None
    withdrawn_by: str | None = None
    withdrawn: str | None = None


class Feedback:
    """The words about one stream, all of them in memory; a few hundred bytes each."""

    def __init__(self, blobs: Blobs, stream: str) -> None:
        self._blobs, self._place = blobs, f"{stream}/feedback/"
        self._words: dict[str, Word] = {}
        self._read: set[str] = set()  # names of blobs
        self._fresh = -REFRESH_SECONDS
        self._reading = asyncio.Lock()
        self.changes = 0  # words and withdrawals that were seen
        self.opened = asyncio.Event()  # the store is; before, each call waits

    def words(self) -> list[Word]:
        """All that was said, newest first."""
        return sorted(self._words.values(), key=lambda word: word.id, reverse=True)

    def get(self, identity: str) -> Word | None:
        """One of them."""
        return self._words.get(identity)

    async def add(self, word: Word) -> Word:
        """Keep what somebody said; with an id."""
        await self.opened.wait()
        word = replace(word, id=f"{round(time.time() * 1000):015d}-{uuid.uuid4().hex[:12]}")
        name = self._place + word.id
        await self._blobs.put(name, _encode(asdict(word)))
        self._read.add(name)
        self._words[word.id] = word
        self.changes += 1
        return word

    async def withdraw(self, identity: str, who: str, when: str) -> Word | None:
        """Take a word back; None if there is none. What was taken back before stays as it is."""
        await self.opened.wait()
        word = self._words.get(identity)
        if word is None or word.withdrawn:
            return word
        name = self._place + identity + _WITHDRAWN
        await self._blobs.put(name, _encode({"who": who, "time": when}))
        self._read.add(name)
        word = self._words[identity] = replace(word, withdrawn_by=who, withdrawn=when)
        self.changes += 1
        return word

    async def refresh(self) -> None:
        """See what other workers wrote, unless that was done just now."""
        await self.opened.wait()
        async with self._reading:
            if time.monotonic() - self._fresh < REFRESH_SECONDS:
                return
            found = await self._blobs.names(self._place)
            limit = asyncio.Semaphore(_CONCURRENCY)

            async def read(name: str) -> tuple[str, bytes | None]:
                async with limit:
                    return name, await self._blobs.get(name)

            for name, data in await asyncio.gather(*(read(name) for name in found if name not in self._read)):
                if data is not None:
                    self._take(name, json.loads(data))
            self._fresh = time.monotonic()

    async def watch(self) -> None:
        """Refresh now and then, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_SECONDS)

    def mutes(self, sensor: str, now: float) -> bool:
        """Whether nobody wants to hear of a sensor, at a time in seconds since 1970."""
        mutes = (word for word in self._in_force() if word.action == "mute" and word.sensor == sensor)
        return any(word.until is None or now * 1000 < parse_time(word.until) for word in mutes)

    def acknowledged(self, episode: str) -> bool:
        """Whether somebody sees to an episode, or said that it is none."""
        return any(word.action in ("acknowledge", "normal") and word.episode_id == episode for word in self._in_force())

    def normal(self) -> dict[str, dict[str, tuple[int, int]]]:
        """The stretches that were called normal, first and last event time in ms, by word and sensor.

        A sensor of which all was taken back has none.
        """
        found: dict[str, dict[str, tuple[int, int]]] = {}
        for word in self._words.values():
            if word.action == "normal":
                of_sensor = found.setdefault(word.sensor, {})
                if word.withdrawn is None and word.since and word.until:
                    of_sensor[word.id] = parse_time(word.since), parse_time(word.until)
        return found

    def _in_force(self) -> Iterable[Word]:
        return (word for word in self._words.values() if word.withdrawn is None)

    def _take(self, name: str, fields: Mapping[str, str]) -> None:
        """A blob of another worker's. A word is listed before its withdrawal, whose name is longer."""
        identity = name.removeprefix(self._place).removesuffix(_WITHDRAWN)
        if not name.endswith(_WITHDRAWN):
            self._words[identity] = Word(**fields)  # type: ignore[arg-type]
        elif identity in self._words:
            word = self._words[identity]
            self._words[identity] = replace(word, withdrawn_by=fields["who"], withdrawn=fields["time"])
        else:
            return
        self.changes += 1
        self._read.add(name)


def labels(words: Collection[Word]) -> dict[str, list[list[str]]]:
    """The true anomalies by sensor, as ``cutwater evaluate --labels`` reads them.

    True is what was acknowledged or missed, less what was called normal. A sensor of which only false alarms are known
    has none.
    """
    found: dict[str, list[list[str]]] = {}
    kept = [word for word in words if word.withdrawn is None and word.action != "mute"]
    false = {word.episode_id for word in kept if word.action == "normal"} - {None}
    for word in sorted(kept, key=lambda word: (word.since or "", word.id)):
        spans = found.setdefault(word.sensor, [])
        if word.action != "normal" and word.since and word.until and word.episode_id not in false:
            spans.append([word.since, word.until])
    return found


def _encode(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields).encode()
