"""Sends readings to a Kinesis stream, on AWS or elsewhere, with PutRecords.

Guarantee: every reading is put at least once, or WriteError is raised. A call whose answer is lost may have worked, so
a reading may be put twice then.

Order: batches go one after the other, and what a batch left unput is sent again, in order, before the next batch. So
readings of one sensor keep their order as long as no entry fails. An entry that Kinesis refuses lands behind later ones
of its own batch (500 at most); PutRecords offers no way to avoid that. AWS does not promise the order within a call
either, although records of one shard keep it in practice.

Source: API reference of PutRecords. AWS allows 500 records and 10 MiB a call today (5 MiB until 2025, which most
emulators still enforce) and 1 MiB a record, unless the stream was created with more.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import length_hint
from time import monotonic
from typing import Any

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, PartialCredentialsError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from simulator import SimulatorError
from simulator.reading import Reading

CALL_RECORDS = 500
CALL_BYTES = 5 * 1024 * 1024
RECORD_BYTES = 1024 * 1024
ATTEMPTS = 10  # in a row without a single record put
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # s
_TICK = 0.05  # s; readings due within one tick share a call

_WORTH_WAITING = (
    "ProvisionedThroughputExceededException",
    "LimitExceededException",
    "ThrottlingException",
    "KMSThrottlingException",
    "InternalFailure",
    "InternalFailureException",
    "ServiceUnavailable",
)


class WriteError(SimulatorError):
    """Readings could not be put; the message names the stream, the reason and the remedy."""


@dataclass
class Totals:
    """What a run put: ``records`` of ``size`` bytes of data, in so many ``calls``; ``resent`` were refused at first."""

    records: int = 0
    size: int = 0
    calls: int = 0
    resent: int = 0
    seconds: float = 0.0


class Writer:
    """Writes to one stream.

    Args:
        client: an aiobotocore client of Kinesis. Built with ``parameter_validation=False`` it takes a third less time.
        stream: the stream's name or ARN.
        clock: seconds that only grow.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        client: Any,
        stream: str,
        *,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._stream = stream
        self._name = {"StreamARN" if stream.startswith("arn:") else "StreamName": stream}
        self._clock = clock
        self._sleep = sleep

    async def write(self, readings: Iterable[Reading], *, speed: float | None = 1.0, progress: bool = False) -> Totals:
        """Send readings until there are no more.

        Args:
            readings: each no earlier than it is due, as its ``offset`` says.
            speed: how many times faster than real time; None does not wait at all.
            progress: whether to show a progress bar, if standard error is a terminal.

        Raises:
            WriteError: waiting cannot help, or has not.
            ValueError: ``speed`` is not positive.
        """
        if speed is not None and not speed > 0:
            raise ValueError(f"speed = {speed}: must be positive")
        totals = Totals()
        start = self._clock()
        batch: list[Reading] = []
        size = 0
        with _progress_bar(progress, length_hint(readings)) as show:
            for reading in readings:
                weight = _weight(reading)
                due = start + reading.offset / speed if speed is not None else start
                if batch and (due > self._clock() or len(batch) == CALL_RECORDS or size + weight > CALL_BYTES):
                    await self._put(batch, totals)
                    show(len(batch))
                    batch, size = [], 0
                if (early := due - self._clock()) > 0:
                    await self._sleep(max(early, _TICK))
                batch.append(reading)
                size += weight
            if batch:
                await self._put(batch, totals)
                show(len(batch))
        totals.seconds = self._clock() - start
        return totals

    async def _put(self, batch: list[Reading], totals: Totals) -> None:
        """Put all of a batch, however many calls it takes."""
        failures = 0
        while True:
            refused, reason = await self._call(batch)
            totals.calls += 1
            totals.records += len(batch) - len(refused)
            totals.size += sum(len(reading.data) for reading in batch) - sum(len(reading.data) for reading in refused)
            if not refused:
                return
            failures = failures + 1 if len(refused) == len(batch) else 0
            if failures == ATTEMPTS:
                raise WriteError(
                    f"stream {self._stream!r}: gave up on {len(refused)} records after {failures} attempts: {reason}; "
                    "write more slowly, add shards, or check the endpoint"
                )
            totals.resent += len(refused)
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2**failures)
            await self._sleep(longest * random.uniform(0.5, 1.0))
            batch = refused

    async def _call(self, batch: list[Reading]) -> tuple[list[Reading], str]:
        """Put a batch; the readings that were not put, and why not."""
        entries = [{"Data": reading.data, "PartitionKey": reading.sensor} for reading in batch]
        try:
            answer = await self._client.put_records(Records=entries, **self._name)
        except ClientError as error:
            problem = error.response["Error"]
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            reason = _reason(problem["Code"], problem.get("Message"))
            if problem["Code"] not in _WORTH_WAITING and status < 500:
                raise WriteError(f"stream {self._stream!r}: {reason}; {_remedy(problem['Code'])}") from None
            return batch, reason
        except (NoCredentialsError, PartialCredentialsError, NoRegionError) as error:
            raise WriteError(f"stream {self._stream!r}: {error}; set AWS credentials and a region") from None
        except (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
            return batch, str(error) or type(error).__name__
        if not answer["FailedRecordCount"]:
            return [], ""
        results = answer["Records"]
        refused = [reading for reading, result in zip(batch, results, strict=True) if result.get("ErrorCode")]
        problem = next(result for result in results if result.get("ErrorCode"))
        return refused, _reason(problem["ErrorCode"], problem.get("ErrorMessage"))


def _weight(reading: Reading) -> int:
    """Bytes that count towards Kinesis's limits. Raises WriteError if there are too many for one record."""
    weight = len(reading.data) + len(reading.sensor.encode())
    if weight > RECORD_BYTES:
        raise WriteError(
            f"a reading of sensor {reading.sensor[:100]!r} has {weight} bytes; Kinesis takes {RECORD_BYTES}"
        )
    return weight


def _reason(code: str, message: str | None) -> str:
    return f"{code}: {(message or 'no message').removesuffix('.')}"


def _remedy(code: str) -> str:
    if code == "ResourceNotFoundException":
        return "create the stream, or check its name, the region and the endpoint"
    if code == "AccessDeniedException":
        return "allow kinesis:PutRecords"
    return "check the AWS credentials and the stream's settings"


@contextmanager
def _progress_bar(wanted: bool, total: int) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes how many more are done."""
    console = Console(stderr=True)
    columns = TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not (wanted and console.is_terminal)) as bar:
        task = bar.add_task("sending", total=total or None)
        yield lambda count: bar.advance(task, count)
