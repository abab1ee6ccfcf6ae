"""Consumers with enhanced fan-out: who is registered with a stream, and who is subscribed to which shard.

All times are milliseconds since 1970; no clock, no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.stream.errors import KinesisError, in_use, not_found, over_limit

CONSUMERS = 20  # of a stream, at most
CREATING_AT_ONCE = 5
TAKEOVER = 5_000  # ms that a subscription stands before another call may take it over


@dataclass(eq=False)
class Subscription:
    """One consumer's subscription to one shard.

    Attributes:
        shard: its id.
        number: of the record that comes next.
        started: when it was made.
        ends: when it is over, whatever happens.
        sent: when its last event was; None before the first.
        over: nothing follows any more.
    """

    consumer: Consumer
    shard: str
    number: int
    started: int
    ends: int
    sent: int | None = None
    over: bool = False


@dataclass(eq=False)
class Consumer:
    """A consumer. It is ``state`` until ``busy_until``."""

    name: str
    arn: str
    created: int
    busy_until: int
    state: str = "CREATING"
    tags: dict[str, str] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)  # the latest one to each shard

    def status(self, now: int) -> str:
        """CREATING, ACTIVE or DELETING."""
        return self.state if now < self.busy_until else "ACTIVE"


class Consumers:
    """The consumers of one stream."""

    def __init__(self, stream_name: str, stream_arn: str) -> None:
        self._stream_name = stream_name
        self._stream_arn = stream_arn
        self._account = stream_arn.split(":")[4]
        self._by_name: dict[str, Consumer] = {}

    def __len__(self) -> int:
        return len(self._by_name)

    def after(self, name: str) -> list[Consumer]:
        """Those whose name comes after this one, by name."""
        return sorted((found for found in self._by_name.values() if found.name > name), key=lambda found: found.name)

    def named(self, name: str) -> Consumer:
        """Raises KinesisError if there is none."""
        try:
            return self._by_name[name]
        except KeyError:
            raise not_found(f"Consumer {name}, account {self._account} not found.") from None

    def register(self, name: str, now: int, active: int) -> Consumer:
        """A new consumer, ACTIVE from ``active`` on. Raises KinesisError: its name is taken, or they are too many."""
        if name in self._by_name:
            raise in_use(
                f"Consumer {name} under stream {self._stream_name} and account {self._account} already exists."
            )
        if len(self) >= CONSUMERS:
            raise over_limit(f"Only {CONSUMERS} consumers may be registered with stream {self._stream_name}.")
        if sum(other.status(now) == "CREATING" for other in self._by_name.values()) >= CREATING_AT_ONCE:
            raise over_limit(f"Only {CREATING_AT_ONCE} consumers may be in CREATING state at any time.")
        consumer = Consumer(name, f"{self._stream_arn}/consumer/{name}:{now // 1000}", now, active)
        self._by_name[name] = consumer
        return consumer

    def deregister(self, consumer: Consumer, gone: int) -> None:
        """It is DELETING until ``gone``."""
        consumer.state, consumer.busy_until = "DELETING", gone

    def remove_expired(self, now: int) -> None:
        """Remove those that are gone."""
        for consumer in list(self._by_name.values()):
            if consumer.state == "DELETING" and now >= consumer.busy_until:
                del self._by_name[consumer.name]

    def subscribe(self, consumer: Consumer, shard: str, number: int, now: int, ends: int) -> Subscription:
        """A subscription from a record on, which ends that before it. Raises KinesisError if that is too young."""
        if consumer.status(now) != "ACTIVE":
            raise in_use(
                f"Consumer {consumer.name} with creation timestamp {consumer.created // 1000} under stream: "
                f"{self._stream_name}, account {self._account} is not in ACTIVE status."
            )
        before = consumer.subscriptions.get(shard)
        if before is not None and now < min(before.started + TAKEOVER, before.ends):
            raise self._another(consumer, shard)
        subscription = Subscription(consumer, shard, number, now, ends)
        consumer.subscriptions[shard] = subscription
        return subscription

    def require(self, subscription: Subscription) -> None:
        """Raises KinesisError if another subscription has taken over, or the consumer is gone."""
        consumer, shard = subscription.consumer, subscription.shard
        if self._by_name.get(consumer.name) is not consumer:
            raise not_found(f"Consumer {consumer.name}, account {self._account} not found.")
        if consumer.subscriptions[shard] is not subscription:
            raise self._another(consumer, shard)

    def _another(self, consumer: Consumer, shard: str) -> KinesisError:
        return in_use(
            "Another active subscription exists for this consumer: "
            f"{self._account}:{self._stream_name}:{shard}:{consumer.name}"
        )
