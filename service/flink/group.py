"""A group of sensors as the Flink job keeps it: scored in batches, and what must be kept so that nothing is lost.

Flink's state takes long to read and write, so a group does not write its models after each batch. It keeps a journal
of the readings since the models were last written; whoever restores the group processes the journal again. What a core
makes does not depend on how its readings were cut into batches, so that is the state to the last bit.
"""

from __future__ import annotations

import hashlib
import pickle
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import orjson

from detector.types import Readings
from service.pipeline.core import Core, Output
from service.pipeline.decode import Decoded
from service.pipeline.documents import IndexDocument
from service.pipeline.models import Labels, Model
from service.pipeline.records import Position

GROUPS = 64
"""Groups of sensors: the most that a job can be spread over. They are fixed for a job's life."""

PROCESSED = b""
"""A row of the journal: those before it are processed."""

NEVER = 253_402_300_799_000
"""The end of the year 9999, in ms: when a record arrived of which nobody knows it."""


def group_of(sensor: str, groups: int) -> int:
    """The group of a sensor, the same on all machines."""
    return zlib.crc32(sensor.encode("utf-8", "surrogatepass")) % groups


def place_of(sensor: str, number: int) -> Position:
    """The place of a sensor's reading: how many it had before, and what tells its sensor from others.

    Flink does not tell where in the stream a record lay, and the readings of several shards meet in no fixed order.
    Those of one sensor keep theirs, so this is the same after a failure.
    """
    digest = hashlib.blake2b(sensor.encode("utf-8", "surrogatepass"), digest_size=7).digest()
    return Position(number, int.from_bytes(digest, "big"))


def place_of_record(data: bytes) -> Position:
    """The place of a record of which no reading is made: what it holds, for nobody tells where it lay."""
    return Position(int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big"))


def rows_of(decoded: Decoded) -> list[tuple[str, bytes]]:
    """Each reading's sensor, and the reading as a row of the journal."""
    readings = decoded.readings
    names, labels = readings.names(), decoded.labels or [{}] * len(readings)
    columns = zip(names, readings.times.tolist(), readings.values.tolist(), labels, strict=True)
    return [(row[0], orjson.dumps(row)) for row in columns]  # a missing value becomes null


def packed(documents: Iterable[IndexDocument]) -> bytes:
    """A batch of documents for the way to the index."""
    rows = ((each.id, each.time, each.document, tuple(each.position), each.kind) for each in documents)
    return orjson.dumps(list(rows))


def unpacked(batch: bytes) -> Iterator[IndexDocument]:
    """The documents of a batch."""
    for name, time, document, place, kind in orjson.loads(batch):
        yield IndexDocument(name, time, document, Position(*place), kind)


class Group:
    """The sensors of one group.

    Args:
        make_core: makes its core, which has seen nothing yet.
        every: readings between two writings of the models.
        first: readings that count as processed at the beginning, so that not all groups write at the same time.
    """

    def __init__(self, make_core: Callable[[], Core], every: int, first: int = 0) -> None:
        self._core = make_core()
        self._every = every
        self._waiting: list[bytes] = []
        self._since = first

    @property
    def waiting(self) -> int:
        """Readings that were added and are not processed yet."""
        return len(self._waiting)

    def restore(self, models: Mapping[str, bytes], journal: Sequence[bytes]) -> None:
        """Go on from the models last written and the journal since: readings, and PROCESSED behind those that were.

        Raises ValueError if a model is refused.
        """
        self._core.restore({sensor: Model(*pickle.loads(packed)) for sensor, packed in models.items()})
        marks = [number for number, row in enumerate(journal) if row == PROCESSED]
        begin = marks[-1] + 1 if marks else 0
        if processed := [row for row in journal[:begin] if row != PROCESSED]:
            self._process(processed)
        self._since += len(processed)
        self._waiting = list(journal[begin:])

    def add(self, row: bytes) -> None:
        """A reading that has been put into the journal."""
        self._waiting.append(row)

    def process(self) -> Output | None:
        """Score and learn what waits; None if nothing does."""
        rows, self._waiting = self._waiting, []
        self._since += len(rows)
        return self._process(rows) if rows else None

    def due(self) -> dict[str, bytes] | None:
        """The models to be written now, after which the journal begins anew; None if that is not due."""
        if self._since < self._every or self._waiting:
            return None
        self._since = 0
        return {sensor: pickle.dumps(tuple(model)) for sensor, model in self._core.snapshot().items()}

    def _process(self, rows: Iterable[bytes]) -> Output:
        names: dict[str, int] = {}
        codes: list[int] = []
        times: list[int] = []
        values: list[list[float]] = []
        labels: list[Labels] = []
        for sensor, time, reading, known in map(orjson.loads, rows):
            codes.append(names.setdefault(sensor, len(names)))
            times.append(time)
            values.append([np.nan if value is None else value for value in reading])
            labels.append(known)
        table = np.array(values, dtype=float)
        readings = Readings(tuple(names), np.array(codes), np.array(times, dtype=np.int64), table)
        return self._core.process_readings(
            readings, labels=labels if self._core.configuration.labels else (), place=place_of
        )
