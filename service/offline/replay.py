"""``cutwater replay``: dead letters sent again, once their cause is removed."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from botocore.exceptions import BotoCoreError, ClientError

from service.aws import THROTTLES
from service.pipeline.decode import Decoder
from service.pipeline.decode.event_decoder import EventDecoder
from service.pipeline.documents import Document, IndexDocument, kind_of
from service.pipeline.event_stage import NOT_AGAIN
from service.pipeline.records import Position, Record
from service.pipeline.times import parse_time
from service.retry import Retrier
from service.sinks.dead_letters import DeadLetters
from service.sinks.index import Index
from service.source.client import StreamError

log = logging.getLogger("cutwater.replay")

GAP = "gap"  # a letter about what was never read
NOT_NOTIFIED = "not_notified"  # a letter about what nobody could be told; nothing of it belongs into index or stream
AT_ONCE = 500  # as many as PutRecords takes
CALL_BYTES = 5 * 1024 * 1024


@dataclass(slots=True)
class Outcome:
    """What became of the letters.

    Attributes:
        indexed: documents that the index has now.
        put: records that the stream has again.
        kept: letters that stay, by the reason why.
        gaps: letters about records that left the stream before they were read: there is nothing to send, and they are
            deleted once they are logged.
        doubtful: records that were on their way when a replay was killed: they may be in the stream, or not.
    """

    indexed: int = 0
    put: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    gaps: int = 0
    doubtful: int = 0


class Replay:
    """Sends dead letters again.

    Documents go to the index under the ids that they had, so that each is there once however often this is repeated.
    Records that can be read now go into the stream again, where they are new records and are scored where they come.

    Guarantee: a letter is forgotten only when index or stream have acknowledged it. A record is put once; one whose
    acknowledgement was lost with a killed process stays, is counted as doubtful, and is put again only on request.
    """

    def __init__(
        self,
        letters: DeadLetters,
        index: Index,
        client: Any,
        stream: str,
        decoder: Decoder | EventDecoder,
        stream_arn: str = "",
    ) -> None:
        """``client``: of Kinesis, needed where there are records; ``decoder``: with the settings of now; ``stream_arn``
        where the stream's name does not say which one.
        """
        self.outcome = Outcome()
        self._letters = letters
        self._index = index
        self._client = client
        self._stream = stream
        self._name = {"StreamARN": stream_arn} if stream_arn else {"StreamName": stream}
        self._decoder = decoder
        self._retrier = Retrier(f"stream {stream!r}")

    async def run(self, *, again: bool, done: Callable[[int], None]) -> Outcome:
        """Send all that can be sent.

        Args:
            again: put doubtful records, too.
            done: is called with how many letters were looked at.

        Raises:
            StreamError: the stream refuses records for good.
        """
        doubtful = await self._letters.in_flight()
        if again:
            await self._letters.clear_in_flight(list(doubtful))
            doubtful = set()
        async for letters in self._letters.pages(AT_ONCE):
            self.outcome.doubtful += sum(letter["id"] in doubtful for letter in letters)
            gaps = [letter for letter in letters if letter["errorCode"] == GAP]
            for gap in gaps:
                log.warning("%s: %s; nothing is left to send, so this is deleted", gap["shard"], gap["errorMessage"])
            await self._letters.remove(gaps)
            self.outcome.gaps += len(gaps)
            if untold := sum(letter["errorCode"] == NOT_NOTIFIED for letter in letters):
                self.outcome.kept[NOT_NOTIFIED] += untold
            apart = (GAP, NOT_NOTIFIED)
            sendable = [each for each in letters if each["id"] not in doubtful and each["errorCode"] not in apart]
            await self._send_documents([letter for letter in sendable if letter["esDocumentId"]])
            await self._send_records([letter for letter in sendable if not letter["esDocumentId"]])
            done(len(letters))
        return self.outcome

    async def _send_documents(self, letters: Sequence[Document]) -> None:
        if not letters:
            return
        documents = []
        for letter in letters:
            document = orjson.loads(base64.b64decode(letter["rawData"]))
            time = parse_time(document["@timestamp"])
            documents.append(IndexDocument(letter["esDocumentId"], time, document, kind=kind_of(document)))
        refused = {each.id: each for each in await self._index.write(documents)}
        self.outcome.kept.update(each.code for each in refused.values())
        sent = [letter for letter in letters if letter["esDocumentId"] not in refused]
        await self._letters.remove(sent)
        self.outcome.indexed += len(sent)

    async def _send_records(self, letters: Sequence[Document]) -> None:
        readable = []
        for letter in letters:
            if letter["stream"] != self._stream:
                self.outcome.kept["other_stream"] += 1
            elif letter["errorCode"] in NOT_AGAIN:  # its document is written, and its window has closed
                self.outcome.kept[letter["errorCode"]] += 1
            elif refusals := self._decoder.decode([_record(letter)]).refusals:
                self.outcome.kept[refusals[0].code] += 1
            else:
                readable.append(letter)
        async for sent in self._put(readable):
            await self._letters.remove(sent)
            self.outcome.put += len(sent)

    async def _put(self, letters: Sequence[Document]) -> AsyncIterator[list[Document]]:
        """Letters whose records the stream has acknowledged, call by call."""
        waiting, attempt = list(letters), 0
        while waiting:
            part, waiting = _call(waiting)
            await self._letters.mark_in_flight([letter["id"] for letter in part])
            try:
                answer = await self._client.put_records(
                    **self._name,
                    Records=[
                        {"Data": base64.b64decode(letter["rawData"]), "PartitionKey": letter["partitionKey"]}
                        for letter in part
                    ],
                )
                failed = [bool(result.get("ErrorCode")) for result in answer["Records"]]
            except ClientError as error:
                await self._letters.clear_in_flight([letter["id"] for letter in part])
                if error.response["Error"]["Code"] not in THROTTLES:
                    raise StreamError(f"stream {self._stream!r}: {error}") from None
                failed = [True] * len(part)
            except (BotoCoreError, aiohttp.ClientError, TimeoutError) as error:  # it may have arrived
                raise StreamError(
                    f"stream {self._stream!r}: no answer ({type(error).__name__}); "
                    f"up to {len(part)} records may have arrived: look, then leave them or use --again"
                ) from None
            yield [letter for letter, bad in zip(part, failed, strict=True) if not bad]
            if again := [letter for letter, bad in zip(part, failed, strict=True) if bad]:
                await self._letters.clear_in_flight([letter["id"] for letter in again])
                await self._retrier.pause("the stream takes no more records now", attempt)
                attempt, waiting = attempt + 1, again + waiting
            else:
                attempt = 0
                self._retrier.recovered()
            await asyncio.sleep(0)


def _call(letters: list[Document]) -> tuple[list[Document], list[Document]]:
    """As many letters as one call takes, and the others."""
    size = 0
    for number, letter in enumerate(letters):
        size += len(letter["rawData"]) * 3 // 4 + len(letter["partitionKey"].encode())
        if number and size > CALL_BYTES:
            return letters[:number], letters[number:]
    return letters, []


def _record(letter: Document) -> Record:
    position = Position(int(letter["sequenceNumber"]), letter["subSequenceNumber"])
    return Record(position, letter["partitionKey"], letter["arrivalTimestamp"], base64.b64decode(letter["rawData"]))
