"""Faults of single shards: what failed, when it is tried again, and what is reported."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

from service import UserError
from service.metrics import Metrics
from service.retry import backoff

log = logging.getLogger("cutwater.consumer")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # s before another try; doubled from one to the next
PERMANENT_ATTEMPTS = 3  # after which a worker may end; by then it has taken all the shards that it can
RECOVERY_SECONDS = 120.0  # of work without a fault after which one is over, even if there was nothing to commit


@dataclass(slots=True)
class Fault:
    """Why a shard's pipeline ended.

    Attributes:
        reason: in one line.
        permanent: whether waiting is not known to help; the reason then names the remedy.
        attempts: how often in a row it ended.
        retry_at: when it is tried again, by the loop's clock.
    """

    reason: str
    permanent: bool
    attempts: int
    retry_at: float

    @property
    def pause(self) -> float:
        """Seconds to wait before the next try."""
        return backoff(self.attempts - 1, FIRST_PAUSE, LONGEST_PAUSE)


class Faults:
    """The faults of a worker's shards.

    Guarantee: the log reports a fault when its reason changes, and once when it is over.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.current: dict[str, Fault] = {}
        self._metrics = metrics

    def note(self, shard: str, error: BaseException, now: float) -> Fault:
        """A shard's pipeline ended with an error."""
        self._metrics.faults.labels(shard).inc()
        before = self.current.get(shard)
        permanent = isinstance(error, UserError)
        text = str(error).partition("\n")[0]
        reason = text if permanent else f"{type(error).__name__}: {text}" if text else type(error).__name__
        fault = Fault(reason, permanent, before.attempts + 1 if before else 1, now)
        fault.retry_at = now + fault.pause
        self.current[shard] = fault
        if before is None or before.reason != reason:
            log.error(
                "%s: its pipeline ended: %s; it is tried again from its checkpoint, other shards go on",
                shard, reason, exc_info=None if permanent else error,
            )  # fmt: skip
        return fault

    def over(self, shard: str) -> None:
        """A shard works again."""
        if fault := self.current.pop(shard, None):
            log.warning("%s: works again after %d attempts", shard, fault.attempts)

    def forget(self, shard: str) -> None:
        """Somebody else has the shard now, or nobody."""
        self.current.pop(shard, None)

    def all_permanent(self, shards: Collection[str]) -> bool:
        """Whether none of these shards can be read, for reasons that waiting does not mend."""
        faults = [self.current.get(shard) for shard in shards]
        return all(fault and fault.permanent and fault.attempts >= PERMANENT_ATTEMPTS for fault in faults)

    def describe(self, now: float) -> list[str]:
        """A line for each shard that stands still."""
        return [
            f"shard {shard}: {fault.reason} (attempt {fault.attempts}, "
            f"{f'tried again in {fault.retry_at - now:.0f} s' if fault.retry_at > now else 'being tried again'})"
            for shard, fault in sorted(self.current.items())
        ]


def first_error(error: BaseException) -> BaseException:
    """The error behind nested groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
