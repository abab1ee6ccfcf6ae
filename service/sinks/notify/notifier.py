"""Sends what waits in the outboxes, each route by itself: one that is down holds up nothing else.

A route groups what belongs to one incident, sends at most so many messages a minute and counts the others in one, is
silent in its quiet hours, tries again with growing pauses, and gives up into the dead letters.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from service.metrics import Metrics
from service.pipeline.documents import Document
from service.pipeline.records import DeadLetter, Position, Record
from service.pipeline.times import parse_time
from service.retry import backoff, jittered
from service.settings.model import Settings
from service.sinks.notify.message import Message, compose, compose_digest
from service.sinks.notify.outbox import Notice, Outbox
from service.sinks.notify.routes import Route
from service.sinks.notify.targets import SECONDS, NotSentError, Target, target_of

log = logging.getLogger("cutwater.notify")

CODE = "not_notified"  # of dead letters
MOST_REFUSALS = 4  # after which a receiver that says no is believed
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0  # s
LOOK_SECONDS = 15.0  # between two looks at the clock in quiet hours
REMEMBERED = 20_000  # keys that were told, and incidents
_RANK = {"begin": 0, "update": 1, "end": 2}

GiveUp = Callable[[Sequence[DeadLetter]], Awaitable[None]]
Silences = Callable[[Document, float], bool]


def never(_: Document, __: float) -> bool:
    """Nothing is muted."""
    return False


@dataclass(slots=True)
class _Incident:
    """What waits of one incident, in the order in which it was noted."""

    id: str
    waiting: list[tuple[Outbox, Notice]] = field(default_factory=list)

    @property
    def since(self) -> float:
        return min(notice.since for _, notice in self.waiting)

    @property
    def severity(self) -> int:
        return max(int(notice.change["severity"]) for _, notice in self.waiting)

    def stages(self) -> Iterator[list[tuple[Outbox, Notice]]]:
        """A list for each message: those of one stage."""
        for stage in _RANK:
            if part := [pair for pair in self.waiting if pair[1].change["stage"] == stage]:
                yield part


class Notifier:
    """All routes of a worker.

    Guarantee: as ``Outbox``. Memory is bounded by the outboxes, whatever the receivers do.

    Args:
        settings: with the routes.
        give_up: keeps dead letters.
        metrics: where messages are counted.
        muted: whether nobody wants to hear of a change at a time.
        targets: in the place of the routes' receivers, by name.
    """

    def __init__(
        self,
        settings: Settings,
        give_up: GiveUp,
        metrics: Metrics,
        muted: Silences = never,
        targets: Mapping[str, Target] | None = None,
    ) -> None:
        self.outboxes: dict[str, Outbox] = {}
        self._routes = [Route(table) for table in settings.notify]
        given = dict(targets or {})
        self._senders = [
            _Sender(self, route, given.get(route.name) or target_of(route.table, settings.region), settings.page_url)
            for route in self._routes
        ]
        self.give_up, self.metrics, self.muted = give_up, metrics, muted
        self._tasks: list[asyncio.Task[None]] = []

    def outbox(self, shard: str) -> Outbox:
        """A new outbox of a shard that this worker reads from now on."""
        outbox = self.outboxes[shard] = Outbox(shard, self._routes, time.time, self.wake)
        return outbox

    def close_outbox(self, outbox: Outbox) -> None:
        """Whoever reads the shard next sends what is left."""
        if self.outboxes.get(outbox.shard) is outbox:
            del self.outboxes[outbox.shard]

    def wake(self) -> None:
        """There is something to send."""
        for sender in self._senders:
            sender.awake.set()

    async def open(self) -> None:
        """Begin to send."""
        for sender in self._senders:
            await sender.target.open()
            self._tasks.append(asyncio.create_task(sender.run()))

    async def close(self) -> None:
        """Send no more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for sender in self._senders:
            with contextlib.suppress(Exception):
                await sender.target.close()

    def describe(self) -> list[Document]:
        """As /status shows it."""
        return [sender.describe() for sender in self._senders]


class _Sender:
    """One route's messages."""

    def __init__(self, notifier: Notifier, route: Route, target: Target, page_url: str) -> None:
        self.route, self.target = route, target
        self.awake = asyncio.Event()
        self._notifier, self._page_url = notifier, page_url
        self._told: OrderedDict[str, None] = OrderedDict()  # keys
        self._alone: OrderedDict[str, None] = OrderedDict()  # incidents whose beginning was a message of its own
        self._allowed = float(route.table.most_per_minute)
        self._refilled = time.monotonic()
        self._failures = 0
        self._again = 0.0  # when to try again
        self._sent = 0
        self._error: str | None = None

    def describe(self) -> Document:
        waiting = [notice for _, notice in self._waiting()]
        return {
            "name": self.route.name,
            "to": self.route.table.to,
            "sent": self._sent,
            "waiting": len(waiting) + sum(self._uncounted().values()),
            "quiet": self.route.is_quiet(time.time()),
            "error": self._error,
        }

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            self.awake.clear()
            try:
                pause = await self._round()
            except Exception:
                log.exception("notify %s: an error in Cutwater; sending resumes in a minute", self.route.name)
                pause = LONGEST_PAUSE
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.awake.wait()
            if self._again > time.monotonic():  # a receiver that is down is not asked more often for each alert
                await asyncio.sleep(self._again - time.monotonic())

    async def _round(self) -> float | None:
        """Send what may be sent now; seconds until there may be more, None if nothing waits."""
        name = self.route.name
        now = time.time()
        self._forget(now)
        if self._error is not None:
            oldest = now - 3600.0 * self.route.table.give_up_hours
            await self._give_up([pair for pair in self._waiting() if pair[1].since < oldest], self._error)
        waiting, uncounted = self._waiting(), self._uncounted()
        gauge = self._notifier.metrics.notices_waiting.labels(name)
        gauge.set(len(waiting) + sum(uncounted.values()))
        if not waiting and not uncounted:
            return None
        if self.route.is_quiet(now):
            return LOOK_SECONDS
        incidents = self._incidents(waiting)
        late = now - self.route.table.group_seconds
        due = [each for each in incidents if each.since <= late]
        pause = min((each.since - late for each in incidents if each.since > late), default=None)
        self._refill()
        messages = sum(1 for each in due for _ in each.stages())
        if uncounted or messages > self._allowed:
            if self._allowed < 1:
                return min(pause or LONGEST_PAUSE, 60.0 / self.route.table.most_per_minute)
            due, rest = self._choose(due)
        else:
            rest = []
        for incident in due:
            for part in incident.stages():
                if not await self._send_part(incident.id, part):
                    return max(self._again - time.monotonic(), 0.0)
        if (rest or uncounted) and not await self._send_digest(rest, uncounted):
            return max(self._again - time.monotonic(), 0.0)
        gauge.set(len(self._waiting()) + sum(self._uncounted().values()))
        return pause

    def _choose(self, due: Sequence[_Incident]) -> tuple[list[_Incident], list[_Incident]]:
        """Which are told by messages of their own while there are too many, and which are counted only.

        Those whose beginning was told go on to be, so that what was opened is closed; then the severest.
        """
        known = [each for each in due if each.id in self._alone]
        others = sorted((each for each in due if each.id not in self._alone), key=lambda each: -each.severity)
        room = max(int(self._allowed) - len(known) - 1, 0)
        return [*known, *others[:room]], others[room:]

    async def _send_part(self, incident: str, part: Sequence[tuple[Outbox, Notice]]) -> bool:
        """One message about changes of one stage; whether the route may go on."""
        changes = [notice.change for _, notice in part]
        open_ = changes[0]["stage"] == "end" and self._is_open(incident)
        if await self._send(compose(incident, changes, self._page_url, still_open=open_), part):
            _remember(self._alone, incident)
            return True
        return not self._again > time.monotonic()

    async def _send_digest(self, rest: Sequence[_Incident], uncounted: Mapping[str, int]) -> bool:
        part = [pair for incident in rest for pair in incident.waiting]
        changes = [notice.change for _, notice in part]
        message = compose_digest(self.route.name, changes, sum(uncounted.values()), self._page_url)
        if await self._send(message, part):
            for shard, number in uncounted.items():
                if outbox := self._notifier.outboxes.get(shard):
                    outbox.settle_uncounted(self.route.name, number)
            return True
        return not self._again > time.monotonic()

    async def _send(self, message: Message, part: Sequence[tuple[Outbox, Notice]]) -> bool:
        """Whether a message was taken; if it was, or is given up, its changes wait no more."""
        name, metrics = self.route.name, self._notifier.metrics
        self._allowed -= 1
        try:
            async with asyncio.timeout(5 * SECONDS):
                await self.target.send(message)
        except (NotSentError, TimeoutError) as error:
            metrics.notices_failed.labels(name).inc()
            self._fail(str(error) or "no answer")
            if isinstance(error, NotSentError) and error.refused:
                await self._refused(part, str(error))
            return False
        if self._error is not None:
            log.warning("notify %s: works again", name)
        self._failures, self._again, self._error = 0, 0.0, None
        self._sent += 1
        metrics.notices_sent.labels(name, message.stage).inc()
        for outbox, notice in part:
            _remember(self._told, notice.key)
            outbox.settle(notice.key, name)
        return True

    def _fail(self, reason: str) -> None:
        if self._error is None or self._error != reason:
            log.warning("notify %s: %s; it is tried again, and nothing else waits for it", self.route.name, reason)
        self._error = reason
        pause = backoff(self._failures, FIRST_PAUSE, LONGEST_PAUSE)
        self._failures += 1
        self._again = time.monotonic() + jittered(pause)

    async def _refused(self, part: Sequence[tuple[Outbox, Notice]], reason: str) -> None:
        name = self.route.name
        for _, notice in part:
            notice.refusals[name] = notice.refusals.get(name, 0) + 1
        await self._give_up([pair for pair in part if pair[1].refusals[name] >= MOST_REFUSALS], reason)

    async def _give_up(self, part: Sequence[tuple[Outbox, Notice]], reason: str) -> None:
        """Into the dead letters."""
        if not part:
            return
        name = self.route.name
        letters = [_letter(name, notice, reason) for _, notice in part]
        log.error("notify %s: %d given up into the dead letters: %s", name, len(part), reason)
        await self._notifier.give_up(letters)
        self._notifier.metrics.notices_given_up.labels(name).inc(len(part))
        for outbox, notice in part:
            outbox.settle(notice.key, name)

    def _forget(self, now: float) -> None:
        """Settle what was told by this process before, and what nobody wants to hear."""
        for outbox, notice in self._waiting():
            if notice.key in self._told:
                outbox.settle(notice.key, self.route.name)
            elif self._notifier.muted(notice.change, now):
                self._notifier.metrics.notices_muted.labels(self.route.name).inc()
                outbox.settle(notice.key, self.route.name)

    def _waiting(self) -> list[tuple[Outbox, Notice]]:
        name = self.route.name
        return [
            (outbox, notice)
            for outbox in self._notifier.outboxes.values()
            for notice in outbox.pending.values()
            if name in notice.owed
        ]

    def _uncounted(self) -> dict[str, int]:
        name = self.route.name
        return {
            shard: number
            for shard, outbox in self._notifier.outboxes.items()
            if (number := outbox.uncounted.get(name, 0)) > 0
        }

    def _incidents(self, waiting: Sequence[tuple[Outbox, Notice]]) -> list[_Incident]:
        found: dict[str, _Incident] = {}
        for outbox, notice in waiting:
            change = notice.change
            name = self.route.incident(change["episode_id"], change["start"], change["labels"])
            found.setdefault(name, _Incident(name)).waiting.append((outbox, notice))
        return list(found.values())

    def _is_open(self, incident: str) -> bool:
        """Whether an episode of an incident goes on in a shard of this worker."""
        for outbox in self._notifier.outboxes.values():
            for document in outbox.open_episodes():
                labels = {
                    name.removeprefix("labels."): value
                    for name, value in document.items()
                    if name.startswith("labels.")
                }
                start = document["approx_anomaly_start_time"]
                if self.route.incident(document["episode_id"], start, labels) == incident:
                    return True
        return False

    def _refill(self) -> None:
        now, most = time.monotonic(), self.route.table.most_per_minute
        self._allowed = min(float(most), self._allowed + (now - self._refilled) * most / 60.0)
        self._refilled = now


def _letter(route: str, notice: Notice, reason: str) -> DeadLetter:
    """What nobody could be told."""
    change = notice.change
    position = Position(int(change["sequence_number"]), int(change["sub_sequence_number"]))
    record = Record(position, change["sensor"], parse_time(change["event.created"]), b"")
    return DeadLetter(
        stream=change["stream"],
        shard=change["shard"],
        record=record,
        code=CODE,
        reason=f"notify {route}: {reason}",
        document_id=f"{route}:{notice.key}",
        document=orjson.dumps(change, default=str),
        ended=round(time.time() * 1000),
    )


def _remember(table: OrderedDict[str, None], key: str) -> None:
    table[key] = None
    table.move_to_end(key)
    while len(table) > REMEMBERED:
        table.popitem(last=False)
