"""Records and dead letters of the Flink job, which is not told where in the stream a record lay."""

from __future__ import annotations

import orjson
from pyflink.common import Types
from pyflink.datastream import OutputTag

from service.flink.group import NEVER, place_of_record
from service.pipeline.documents import IndexDocument
from service.pipeline.records import DeadLetter, Record
from service.sinks.dead_letters.format import describe_letter, rejection_letter
from service.sinks.index import Rejected

LETTERS = OutputTag("dead-letters", Types.STRING())


def record_of(text: str, arrival: int | None) -> Record:
    """A record of the source: its place is what it holds; lines of files arrive NEVER."""
    data = text.encode("utf-8", "surrogatepass")
    return Record(place_of_record(data), "", arrival if arrival and arrival > 0 else NEVER, data)


def letter_of(stream: str, record: Record, code: str, reason: str, ordinal: int | None = None) -> str:
    """A dead letter as the service writes it."""
    return orjson.dumps(describe_letter(DeadLetter(stream, "", record, code, reason, ordinal=ordinal))).decode()


def refusal_of(entry: IndexDocument, refused: Rejected) -> str:
    """As the service tells it; a document's record is not kept, so its place and event time stand for it."""
    of = entry.document
    letter = rejection_letter(of["stream"], of["shard"], Record(entry.position, "", entry.time, b""), entry, refused)
    return orjson.dumps(describe_letter(letter)).decode()
