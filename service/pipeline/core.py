"""The pure function of a shard: records in; documents, dead letters and scores out.

Everything that Cutwater writes comes from here, whoever drives it: the worker with one core a shard, ``cutwater
evaluate``, or a test. A core knows no clock, no network and no other shard.

Guarantee: what comes out depends only on the configuration and on the shard's records in their order, to the last byte:
not on how they were cut into batches, nor on snapshots and restores in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import orjson

from detector.alerting.feedback_rule import Stretches
from detector.detector import Configuration
from detector.fleet import Fleet
from detector.liveness import SilenceEvent
from detector.types import Floats, Forecast, Integers, Readings, Scores
from service.pipeline.decode import Decoder
from service.pipeline.decode.decoded import Refusal
from service.pipeline.documents import (
    IndexDocument,
    JoinedDocuments,
    ScoredBatch,
    index_documents,
    record_fields,
)
from service.pipeline.enrich import Enrichment
from service.pipeline.event_stage import EventConfiguration, EventCounts, EventStage, NotCountedEvent, Staged
from service.pipeline.models import LONGEST_LABEL, Labels, Model, ModelMap, SensorKeyRanges, Shelf
from service.pipeline.records import (
    ALL_HASH_KEYS,
    DeadLetter,
    Gap,
    HashKeys,
    Position,
    Record,
    arrivals_of,
    partition_keys_of,
    positions_of,
    take,
)


@dataclass(frozen=True, slots=True)
class CoreConfiguration:
    """What a core is made for, the same on all shards.

    Attributes:
        stream: name of the stream.
        detector: identifies what makes the documents, see ``identity.detector_id``.
        features: [d] the names of the values.
        decoder: makes readings of records; None where readings come in no record, or are counted events.
        events: what is done with a stream of events, whose windows give the readings.
        index_all: whether each reading becomes a document, or only what is unusual.
        index_record: whether documents hold their records.
        labels: the names of the labels that documents may have.
    """

    stream: str
    detector: str
    features: Sequence[str]
    decoder: Decoder | None = None
    index_all: bool = True
    index_record: bool = False
    labels: Sequence[str] = ()
    events: EventConfiguration | None = None


class Documents:
    """The documents of a batch, made when they are asked for: they take many times the memory of the scores."""

    def __init__(
        self,
        scored: ScoredBatch,
        rows: Sequence[int],
        sources: Sequence[Record],
        decoder: Decoder | None,
    ) -> None:
        """``rows`` of the batch become documents; ``sources``: [n] each reading's record; ``decoder`` if documents hold
        what their reading was made of.
        """
        self._scored, self._rows, self._sources, self._decoder = scored, rows, sources, decoder

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> IndexDocument:
        row = self._rows[index]
        (entry,) = index_documents(self._scored, (row,))
        if self._decoder and row < len(self._sources):  # a silence is of no record: another sensor's revealed it
            data = self._decoder.element(self._sources[row], self._scored.ordinals[row])
            entry.document.update(record_fields(data))
        return entry

    def source(self, index: int) -> Record:
        """The record that a document came from; a silence comes from the one that revealed it."""
        row = self._rows[index]
        silence = self._scored.revealed(row)
        return self._sources[silence.row if silence else row]


@dataclass(frozen=True, slots=True)
class Output:
    """What came of a batch of records.

    Attributes:
        documents: to be indexed, in the order of their records: of events, of windows, of scores.
        dead_letters: records that can never be scored, and events that no window counts.
        scored: all readings with their scores and the silences that they revealed.
        counts: of events; None for a stream of readings.
        taken: how many records this is of.
        size: bytes that it takes in memory, about, besides the records.
    """

    documents: JoinedDocuments
    dead_letters: Sequence[DeadLetter]
    scored: ScoredBatch
    counts: EventCounts | None = None
    taken: int = 0
    size: int = 0


class SensorCounts(NamedTuple):
    """How many sensors a shard has, how many of them were new to this process, and how many readings it has scored."""

    known: int
    made: int
    readings: int


class Core:
    """The state of one shard, and what makes its documents.

    Args:
        configuration: what it is made for.
        shard: the shard's id.
        fleet: its detectors, which have seen nothing yet.
        hash_keys: first and last of the shard.
        shelf: where the fleet's models lie that have no room in memory; it has the same hash keys.

    Not safe for use by two threads at once.
    """

    def __init__(
        self,
        configuration: CoreConfiguration,
        shard: str,
        fleet: Fleet,
        hash_keys: HashKeys = ALL_HASH_KEYS,
        shelf: Shelf | None = None,
    ) -> None:
        self.configuration = configuration
        self.shard = shard
        self._fleet = fleet
        self._shelf = shelf or Shelf(ModelMap(), SensorKeyRanges(hash_keys))
        events = configuration.events
        self._events = EventStage(events, configuration.stream, shard, hash_keys) if events else None
        self._notices: list[str] = []  # what a restore could not take over, to be told with the next records

    @property
    def sensors(self) -> SensorCounts:
        """How many there are."""
        return SensorCounts(len(self._fleet), self._fleet.made, self._fleet.processed)

    @classmethod
    def for_readings(cls, configuration: Configuration, features: Sequence[str]) -> Self:
        """A core for ``process_readings`` only, as files need it: with detectors of this configuration."""
        return cls(CoreConfiguration("", "", features), "", Fleet(replace(configuration, dimensions=len(features))))

    def process(self, records: Sequence[Record], gap: Gap | None = None, *, bounded: bool = False) -> Output:
        """Decode, score and learn the shard's next records; ``gap`` says what may be missing before them.

        ``bounded``: only the first ones, as many as take little more than ``decode.decoded.BATCH_MEMORY``; the output
        says how many. A record may hold 100 000 readings, and a batch thousands of such records.
        """
        letters = [] if gap is None else [self._gap_letter(gap)]
        if self._events:
            return self._process_events(self._events.process(records, bounded=bounded), records, letters)
        assert self.configuration.decoder is not None
        decoded = self.configuration.decoder.decode(records, bounded=bounded)
        letters += self._refused(records, decoded.refusals)
        sources = take(records, decoded.records)
        names = decoded.readings.names()
        self._shelf.key_ranges.note(zip(names, partition_keys_of(sources), strict=True))
        output = self._score(decoded.readings, names, sources, decoded.ordinals, decoded.labels, letters)
        return replace(output, taken=decoded.taken, size=decoded.size)

    def _process_events(self, staged: Staged, records: Sequence[Record], letters: list[DeadLetter]) -> Output:
        letters += self._refused(records, staged.refusals)
        letters += [self._event_letter(each) for each in staged.not_counted]
        if records and self._notices:
            first = records[0]
            letters += [self._letter(first, "windows_dropped", notice) for notice in self._notices]
            self._notices = []
        names = staged.readings.names()
        for sensor, keys in zip(names, staged.keys, strict=True):
            self._shelf.key_ranges.remember(sensor, keys)
        scores = self._score(staged.readings, names, staged.sources, staged.ordinals, (), letters)
        documents = JoinedDocuments(*staged.documents, scores.documents)
        return replace(scores, documents=documents, counts=staged.counts, taken=staged.taken, size=staged.size)

    def _refused(self, records: Sequence[Record], refusals: Sequence[Refusal]) -> list[DeadLetter]:
        return [
            self._letter(records[number]._replace(data=data), code, reason, ordinal)
            for number, ordinal, code, reason, data in refusals
        ]

    def _event_letter(self, event: NotCountedEvent) -> DeadLetter:
        data = orjson.dumps(event.fields, default=str)
        return self._letter(event.record._replace(data=data), event.code, event.reason, event.ordinal)

    def _letter(self, record: Record, code: str, reason: str, ordinal: int | None = None) -> DeadLetter:
        return DeadLetter(self.configuration.stream, self.shard, record, code, reason, ordinal=ordinal)

    def process_readings(
        self,
        readings: Readings,
        first: int = 0,
        labels: Sequence[Labels] = (),
        place: Callable[[str, int], Position] | None = None,
    ) -> Output:
        """Score and learn n readings that come in no record, as those of a file do.

        Each counts as a record of its own that arrived at its event time; ``first`` is the sequence number of the
        first one. Or ``place`` makes a reading's position of its sensor and of how many that one had before.
        """
        numbers = range(first, first + len(readings))
        names = readings.names()
        sources = [
            Record(Position(number), name, time, b"")
            for number, name, time in zip(numbers, names, readings.times.tolist(), strict=True)
        ]
        self._shelf.key_ranges.note(zip(names, names, strict=True))
        return self._score(readings, names, sources, [0] * len(readings), labels, [], place)

    def score(self, sensor: str, times: Integers, values: Floats) -> Scores | None:
        """What readings would score as the sensor's next one; learns nothing. None for a sensor never seen."""
        return self._fleet.score(sensor, times, values)

    def forecast(self, sensor: str, horizon: int) -> Forecast | None:
        """What the sensor's next readings are expected to be; learns nothing. None for a sensor never seen."""
        return self._fleet.forecast(sensor, horizon)

    def template(self, sensor: str) -> bytes:
        """What a sensor's detector has learnt, for others to begin with. Raises KeyError for a sensor never seen."""
        return self._fleet.template(sensor)

    def call_normal(self, said: Mapping[str, Stretches]) -> bool:
        """What people called normal, by sensor, is so from the next record on, which a checkpoint must hold first.

        Whether that is a change. What is said of sensors that this shard never saw is of other shards.
        """
        changed = [self._fleet.call_normal(sensor, stretches) for sensor, stretches in said.items()]
        return any(changed)

    def snapshot(self, also: Set[str] = frozenset()) -> dict[str, Model]:
        """The models that changed since the last snapshot, and those of the sensors ``also``, by sensor."""
        changed = self._fleet.snapshot(also)
        return {sensor: self._shelf.complete(sensor, state) for sensor, state in changed.items()}

    def state(self) -> bytes:
        """What else there is besides models, whole: the open windows of a stream of events; empty for readings."""
        return self._events.snapshot() if self._events else b""

    @property
    def enrichment(self) -> Enrichment | None:
        """The tables that enrich the events that come next; None for a stream of readings."""
        return self._events.enrichment if self._events else None

    def use(self, enrichment: Enrichment) -> None:
        """Enrich the events that come next by other tables, which are state: a checkpoint must name them first."""
        assert self._events
        self._events.enrichment = enrichment

    def restore(self, models: Mapping[str, Model], states: Sequence[bytes] = ()) -> None:
        """Go on where snapshots were taken, with all models as of there and its ``state``, or those of its parents.

        Raises ValueError, naming the sensor, if one is refused; then this core has seen nothing.
        """
        fleet, events = self._fleet.empty_copy(), self._events.fresh() if self._events else None
        self._shelf.restore(models, self.configuration.labels)
        try:
            fleet.restore({sensor: model.state for sensor, model in models.items()})
            dropped = events.restore(states) if events else []
        except ValueError:
            self._fleet = self._fleet.empty_copy()
            self._events = events.fresh() if events else None
            self._shelf.restore({}, ())
            raise
        self._fleet, self._events, self._notices = fleet, events, dropped

    def _score(
        self,
        readings: Readings,
        names: Sequence[str],
        sources: Sequence[Record],
        ordinals: Sequence[int],
        labels: Sequence[Labels],
        letters: Sequence[DeadLetter],
        place: Callable[[str, int], Position] | None = None,
    ) -> Output:
        """Score and learn n readings of the sensors ``names`` [n]; ``sources`` [n] are their records."""
        made_for = self.configuration
        scores = self._fleet.process(readings)
        silences = self._fleet.silences
        if place:
            placed = zip(sources, names, scores.seen.tolist(), strict=True)
            sources = [source._replace(position=place(name, seen)) for source, name, seen in placed]
        scored = ScoredBatch(
            stream=made_for.stream,
            shard=self.shard,
            positions=positions_of(sources),
            arrivals=arrivals_of(sources),
            ordinals=ordinals,
            features=made_for.features,
            detector=made_for.detector,
            readings=readings,
            scores=scores,
            silences=silences,
            labels=[*labels, *self._labels_of(silences, names, labels)] if labels else (),
        )
        wanted = scores.ready if made_for.index_all else scores.is_anomaly | scores.alert | scores.renamed
        rows = [*np.flatnonzero(wanted).tolist(), *range(len(scores), len(scores) + len(silences))]
        if silences:  # each behind the reading that revealed it
            rows.sort(key=lambda row: (silences[row - len(scores)].row if row >= len(scores) else row, row))
        decoder = made_for.decoder if made_for.index_record else None
        return Output(JoinedDocuments(Documents(scored, rows, sources, decoder)), letters, scored)

    def _labels_of(
        self, silences: Sequence[SilenceEvent], names: Sequence[str], labels: Sequence[Labels]
    ) -> list[Labels]:
        """The labels of each silence's sensor at its last reading before; then remember those of the n readings.

        Args:
            silences: in the order of their rows.
            names: [n] each reading's sensor.
            labels: [n] of each reading.
        """
        latest: dict[str, Labels] = {}  # of readings so far
        found, start = [], 0
        for silence in silences:
            latest.update(zip(names[start : silence.row], labels[start : silence.row], strict=True))
            start = silence.row
            known = latest.get(silence.sensor)
            found.append(self._shelf.labels_of(silence.sensor) if known is None else _short(known))
        latest.update(zip(names[start:], labels[start:], strict=True))
        self._shelf.note_labels({sensor: _short(last) for sensor, last in latest.items()})
        return found

    def _gap_letter(self, gap: Gap) -> DeadLetter:
        """What may have been lost, as a dead letter at the place just behind the checkpoint."""
        place = Position(gap.after.sequence, gap.after.subsequence + 1)
        until = f"sequence number {gap.until.sequence}" if gap.until else "the shard's end"
        reason = (
            f"records after sequence number {gap.after.sequence} and before {until} may have left the stream before "
            "they were read: the service stood still for longer than the stream keeps records"
        )
        return self._letter(Record(place, "", gap.resumed or 0, b""), "gap", reason)


def _short(labels: Labels) -> Labels:
    """What is remembered of a reading's labels: those that are not longer than ``LONGEST_LABEL``."""
    return {name: text for name, text in labels.items() if len(text) <= LONGEST_LABEL}
