"""How a dead letter is written.

It has the form in which Amazon Data Firehose keeps failed documents, so that tools made for these read ours.
"""

from __future__ import annotations

import base64

from service.pipeline.documents import Document, IndexDocument, timestamp
from service.pipeline.records import DeadLetter, Record
from service.sinks.index import Rejected
from service.sinks.index.fields import encode


def rejection_letter(stream: str, shard: str, record: Record, entry: IndexDocument, refused: Rejected) -> DeadLetter:
    """The letter about a document that the index refuses; about its record if JSON cannot say the document."""
    try:
        document = encode(entry)
    except ValueError:
        return DeadLetter(stream, shard, record, refused.code, refused.reason)
    return DeadLetter(
        stream, shard, record, refused.code, refused.reason, refused.attempts, entry.id, refused.index, document
    )


def describe_letter(letter: DeadLetter) -> Document:
    """A dead letter as stores, index and API show it: Firehose's names, and the record's place in the stream."""
    record = letter.record
    raw = letter.document if letter.document_id else record.data
    return {
        "id": letter.id,
        "@timestamp": timestamp(record.arrival),
        "stream": letter.stream,
        "shard": letter.shard,
        "sequenceNumber": str(record.position.sequence),
        "subSequenceNumber": record.position.subsequence,
        "recordOrdinal": letter.ordinal,
        "partitionKey": _printable(record.partition_key),
        "attemptsMade": letter.attempts,
        "arrivalTimestamp": record.arrival,
        "attemptEndingTimestamp": letter.ended,
        "errorCode": letter.code,
        "errorMessage": _printable(letter.reason),
        "esDocumentId": letter.document_id or None,
        "esIndexName": letter.index or None,
        "rawData": base64.b64encode(raw).decode(),
    }


def _printable(text: str) -> str:
    """Text that UTF-8 can carry: a lone surrogate becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode()
