"""``cutwater export``, and tables of documents wherever they are asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence

import orjson

from service.pipeline.documents import Document
from service.sinks.index import Index
from service.sinks.index.fields import DEAD_LETTER_FIELDS
from service.sinks.query import Filter, Find

PAGE = 1000  # documents at once


async def documents(index: Index, wanted: Filter | Find) -> AsyncIterator[list[Document]]:
    """All documents of an open index that match, newest event time first, page by page."""
    cursor = None
    while True:
        if isinstance(wanted, Find):
            page = await index.find(wanted, PAGE, cursor)
        else:
            page = await index.search(wanted, PAGE, cursor)
        yield page.documents
        if (cursor := page.cursor) is None:
            return


def ndjson(found: Sequence[Document]) -> bytes:
    """A document a line."""
    return b"".join(orjson.dumps(document) + b"\n" for document in found)


def table(found: Sequence[Document], columns: Sequence[str], *, header: bool = True) -> bytes:
    """CSV with the same columns whatever the rows; an object or a list is JSON in its cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    if header:
        writer.writeheader()
    for document in found:
        nested = {name: orjson.dumps(each).decode() for name, each in document.items() if isinstance(each, dict | list)}
        writer.writerow(document | nested)
    return text.getvalue().encode()


def letter_columns() -> list[str]:
    """The columns of dead letters."""
    return ["id", *DEAD_LETTER_FIELDS, "rawData"]
