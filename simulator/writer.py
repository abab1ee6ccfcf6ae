"""Puts messages into a Kinesis stream, AWS's or a local one.

Guarantee: when ``write`` returns, every message is in the stream, at least once. Only the failed entries of a call are
sent again, so messages of one key may change places when Kinesis takes part of a batch.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from aiohttp import ClientError as ConnectionTrouble
from botocore.exceptions import BotoCoreError, ClientError

from simulator.sensors import Message

PUT_RECORDS = 500
PUT_BYTES = 5 * 1024 * 1024
RECORD_BYTES = 1024 * 1024
ATTEMPTS = 10
_TRANSIENT = {
    "ProvisionedThroughputExceededException", "LimitExceededException", "InternalFailure", "ServiceUnavailable",
    "KMSThrottlingException", "ThrottlingException", "InternalFailureException",
}  # fmt: skip


class WriteError(Exception):
    """Messages could not be put; the message says how many and why."""


class Writer:
    """Writes to one stream through an aiobotocore Kinesis client."""

    def __init__(self, client: Any, stream: str) -> None:
        self.written = 0
        self.retried = 0
        self._client = client
        self._stream = stream

    async def write(
        self,
        messages: Iterable[Message],
        *,
        rate: float | None = None,
        pauses: Iterable[float] | None = None,
        progress: Callable[[int], None] = lambda written: None,
    ) -> int:
        """Put all messages; returns how many.

        Args:
            rate: messages a second; None for as fast as the stream takes them.
            pauses: seconds to wait before each message, instead of a rate.
            progress: told after each call how many messages are in the stream.

        Raises:
            WriteError: after ``ATTEMPTS`` vain attempts, or at once where waiting cannot help.
        """
        start = self.written
        for_now = _paced(messages, rate, pauses)
        clock = asyncio.get_running_loop().time
        began = clock()
        for due, batch in for_now:
            if due > (waited := clock() - began):
                await asyncio.sleep(due - waited)
            await self._put(batch)
            progress(self.written)
        return self.written - start

    async def _put(self, batch: list[Message]) -> None:
        left, reason = batch, ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self.retried += len(left)
                await asyncio.sleep(min(10.0, 0.05 * 2**attempt) * random.uniform(0.5, 1.0))
            left, reason = await self._attempt(left)
            self.written += len(batch) - len(left)
            if not left:
                return
            batch = left
        raise WriteError(
            f"stream {self._stream!r}: {len(left)} records not written after {ATTEMPTS} attempts: {reason}"
        )

    async def _attempt(self, batch: list[Message]) -> tuple[list[Message], str]:
        """What one call did not take, and why."""
        entries = [{"Data": message.data, "PartitionKey": message.key} for message in batch]
        try:
            answer = await self._client.put_records(StreamName=self._stream, Records=entries)
        except ClientError as error:
            problem = error.response["Error"]
            if problem["Code"] not in _TRANSIENT:
                raise WriteError(f"stream {self._stream!r}: {problem.get('Message') or problem['Code']}") from None
            return batch, problem["Code"]
        except (BotoCoreError, ConnectionTrouble, OSError, TimeoutError) as error:
            return batch, str(error) or type(error).__name__
        failed = [
            (message, result["ErrorCode"])
            for message, result in zip(batch, answer["Records"], strict=True)
            if result.get("ErrorCode")
        ]
        return [message for message, _ in failed], failed[0][1] if failed else ""


def _paced(
    messages: Iterable[Message], rate: float | None, pauses: Iterable[float] | None
) -> Iterator[tuple[float, list[Message]]]:
    """Batches within the API's limits, each with the second at which it is due; ten or fewer batches a second."""
    batch: list[Message] = []
    size, due, moment = 0, 0.0, 0.0
    steps = iter(pauses) if pauses is not None else None
    for number, message in enumerate(messages):
        weight = len(message.data) + len(message.key.encode())
        if len(message.data) > RECORD_BYTES:
            raise WriteError(f"a record of {len(message.data)} bytes is larger than {RECORD_BYTES}")
        moment = moment + next(steps, 0.0) if steps is not None else number / rate if rate else 0.0
        if batch and (len(batch) == PUT_RECORDS or size + weight > PUT_BYTES or moment - due > 0.1):
            yield due, batch
            batch, size = [], 0
        if not batch:
            due = moment
        batch.append(message)
        size += weight
    if batch:
        yield due, batch
