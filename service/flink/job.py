"""The Flink job: records, decoded, keyed by group of sensors, scored by the pure core; documents to an index or files.

::

    source -> decode -> key by group -> score -> documents -> index or files
                 |                        (journal, models)
                 +-> dead letters -> files

Guarantee: the state is exactly-once. Documents are delivered at least once, under ids that do not depend on failures,
so that an index holds each once; files become visible with the checkpoint that covers them, so they hold each once,
too. Batches are scored when a timer of processing time fires, and what waits at the end of a bounded input when its
watermark does.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pyflink.common import Configuration, Duration, Encoder, SimpleStringSchema, Time, Types, WatermarkStrategy
from pyflink.datastream import (
    AsyncDataStream,
    AsyncFunction,
    KeyedProcessFunction,
    ProcessFunction,
    StreamExecutionEnvironment,
)
from pyflink.datastream.connectors import Source
from pyflink.datastream.connectors.file_system import FileSink, FileSource, RollingPolicy, StreamFormat
from pyflink.datastream.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from pyflink.java_gateway import get_gateway

from detector.detector import warm_up
from service import UserError
from service.assembly import make_core, make_decoder, model_fingerprint
from service.flink.counting import NO_TIME, WINDOWS, Close, Count, EventTime
from service.flink.group import GROUPS, NEVER, PROCESSED, Group, group_of, packed, rows_of, unpacked
from service.flink.letters import LETTERS, letter_of, record_of, refusal_of
from service.flink.totals import require_countable
from service.settings.model import Settings, load
from service.sinks.index.opensearch import OpenSearchIndex

BYTES = Types.PICKLED_BYTE_ARRAY()
ROWS = Types.TUPLE([Types.INT(), BYTES])
LINGER = 200  # ms that a reading waits for others to be scored with
AT_ONCE = 2_000  # readings of a group that wait at most
EVERY = 4_096  # readings of a group between two writings of its models
LAST = 2**63 - 2  # an event time that only the end of a bounded input reaches
IDLE = 60  # s after which windows no longer wait for a shard that says nothing
WRITES = 8  # batches of documents under way to the index, for each worker
ANSWER_SECONDS = 600  # that the index may take before the job fails and goes on from its checkpoint


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``cutwater flink run`` was told besides the settings.

    Attributes:
        input: file or folder of lines; empty for the stream that the settings name.
        follow: seconds between two looks for new files in it; 0: it ends where its files do.
        output: folder or URL that documents go to if the settings name no index.
        jars: of the connector, as URLs.
        parallelism: slots; None: as the cluster has it.
        checkpoints: URL of a folder for checkpoints; empty: as the cluster has it.
        checkpoint_seconds: time between them.
        groups: of sensors, fixed for the job's life.
        options: more of Flink's own.
    """

    input: str = ""
    follow: float = 0.0
    output: str = ""
    jars: tuple[str, ...] = ()
    parallelism: int | None = None
    checkpoints: str = ""
    checkpoint_seconds: float = 10.0
    groups: int = GROUPS
    options: dict[str, str] = field(default_factory=dict)


class Decode(ProcessFunction):  # type: ignore[misc]
    """A record's text to rows, each with its group; what cannot be read goes to the dead letters."""

    def __init__(self, settings: dict[str, Any], groups: int) -> None:
        self._settings, self._groups = settings, groups

    def open(self, runtime_context: Any) -> None:
        """In the worker."""
        settings = load(self._settings, {})
        self._stream = settings.stream
        self._undated = make_decoder(settings.model_copy(update={"max_past_seconds": 0.0}))
        self._decoder = make_decoder(settings)

    def process_element(self, value: str, ctx: Any) -> Iterator[Any]:
        """One record."""
        record = record_of(value, ctx.timestamp())
        decoded = (self._decoder if record.arrival < NEVER else self._undated).decode([record])
        if NEVER in decoded.readings.times:
            yield LETTERS, letter_of(self._stream, record, "no_time", NO_TIME)
            return
        for sensor, row in rows_of(decoded):
            yield group_of(sensor, self._groups), row
        for _, ordinal, code, reason, data in decoded.refusals:
            yield LETTERS, letter_of(self._stream, record._replace(data=data), code, reason, ordinal)


class Score(KeyedProcessFunction):  # type: ignore[misc]
    """The rows of a group to batches of documents."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings

    def open(self, runtime_context: Any) -> None:
        """In the worker."""
        self._loaded = load(self._settings, {})
        warm_up(self._loaded.configuration())
        self._fingerprint = model_fingerprint(self._loaded).detector
        self._models = runtime_context.get_map_state(MapStateDescriptor("models", Types.STRING(), BYTES))
        self._journal = runtime_context.get_list_state(ListStateDescriptor("journal", BYTES))
        self._made_by = runtime_context.get_state(ValueStateDescriptor("fingerprint", Types.STRING()))
        self._groups: dict[int, Group] = {}

    def process_element(self, value: Any, ctx: Any) -> Iterable[bytes]:
        """One row: into the journal, and scored with those that follow soon."""
        number, row = value
        group = self._group(number)
        self._journal.add(row)
        group.add(row)
        if group.waiting >= AT_ONCE:
            return self._process(group)
        if group.waiting == 1:
            timers = ctx.timer_service()
            timers.register_processing_time_timer(timers.current_processing_time() + LINGER)
            timers.register_event_time_timer(LAST)
        return ()

    def on_timer(self, timestamp: int, ctx: Any) -> Iterable[bytes]:
        """What waits is due, or nothing follows."""
        return self._process(self._group(ctx.get_current_key()))

    def _group(self, number: int) -> Group:
        group = self._groups.get(number)
        if group is None:
            made_by = self._made_by.value()
            if made_by not in (None, self._fingerprint):
                raise UserError("the settings that shape models are not those of the savepoint; begin without it")
            self._made_by.update(self._fingerprint)
            first = zlib.crc32(b"%d" % number) % EVERY
            group = Group(lambda: make_core(self._loaded, f"group-{number}"), EVERY, first)
            group.restore(dict(self._models.items()), list(self._journal.get() or ()))
            self._groups[number] = group
        return group

    def _process(self, group: Group) -> Iterator[bytes]:
        output = group.process()
        if output is None:
            return
        if (models := group.due()) is None:
            self._journal.add(PROCESSED)
        else:
            for sensor, model in models.items():
                self._models.put(sensor, model)
            self._journal.clear()
        if len(output.documents):
            yield packed(output.documents)


class Index(AsyncFunction):  # type: ignore[misc]
    """Batches of documents to the index; emits what it refuses, as dead letters. A checkpoint waits for all of them."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings

    def open(self, runtime_context: Any) -> None:
        """In the worker."""
        self._index: OpenSearchIndex | None = None
        self._opening: asyncio.Lock | None = None

    async def async_invoke(self, value: bytes) -> list[str]:
        """Return when the index has the documents."""
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            if self._index is None:
                index = OpenSearchIndex.of(load(self._settings, {}))
                await index.open()
                self._index = index
        documents = {each.id: each for each in unpacked(value)}
        refused = await self._index.write(list(documents.values()))
        return [refusal_of(documents[each.id], each) for each in refused]

    def timeout(self, value: bytes) -> list[str]:
        """The job fails, and goes on from its last checkpoint."""
        raise TimeoutError(f"the index has not answered within {ANSWER_SECONDS} s")


def build(environment: Any, settings: Settings, given: dict[str, Any], plan: Plan) -> None:
    """Put the job's graph into ``environment``; ``given``: what the settings were made of, for the workers."""
    source = _files(environment, plan) if plan.input else _kinesis(environment, settings)
    if settings.windows:
        require_countable(settings.programs)
        events = (
            source.process(Count(given), Types.TUPLE([Types.STRING(), BYTES, Types.LONG()])).name("count").uid("count")
        )
        letters = events.get_side_output(LETTERS)
        if plan.follow:  # lines have no time of arrival
            watermarks = WatermarkStrategy.for_monotonous_timestamps().with_idleness(Duration.of_seconds(IDLE))
            events = events.assign_timestamps_and_watermarks(watermarks.with_timestamp_assigner(EventTime()))
        by_key = events.key_by(lambda row: row[0], Types.STRING())
        rows = by_key.process(Close(given, plan.groups), ROWS).name("close").uid("close")
        letters = letters.union(rows.get_side_output(LETTERS))
    else:
        rows = source.process(Decode(given, plan.groups), ROWS).name("decode").uid("decode")
        letters = rows.get_side_output(LETTERS)
    keyed = rows.key_by(lambda row: row[0], Types.INT())
    batches = keyed.process(Score(given), BYTES).name("score").uid("score")
    if settings.windows:
        batches = batches.union(rows.get_side_output(WINDOWS))
    if settings.opensearch_url:
        refused = AsyncDataStream.unordered_wait(
            batches, Index(given), Time.seconds(ANSWER_SECONDS), WRITES, Types.STRING()
        )
        letters = letters.union(refused.name("index").uid("index"))
    else:
        lines = batches.flat_map(_lines, Types.STRING()).name("lines").uid("lines")
        lines.sink_to(_sink(f"{plan.output}/documents")).name("documents").uid("documents")
    letters.sink_to(_sink(f"{plan.output}/dead-letters")).name("dead letters").uid("dead-letters")


def environment_of(plan: Plan) -> Any:
    """Flink's environment: the cluster that runs this, or else a small one within this process."""
    options = {
        "python.fn-execution.bundle.size": "1000",
        "python.fn-execution.bundle.time": "200",
        "python.state.cache-size": "20000",
        "execution.checkpointing.interval": f"{round(plan.checkpoint_seconds * 1000)}ms",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
    }
    if plan.checkpoints:
        options["execution.checkpointing.dir"] = plan.checkpoints
    if plan.jars:
        options["pipeline.jars"] = ";".join(plan.jars)
    configuration = Configuration()
    for name, value in (options | plan.options).items():
        configuration.set_string(name, value)
    environment = StreamExecutionEnvironment.get_execution_environment(configuration)
    if plan.parallelism:
        environment.set_parallelism(plan.parallelism)
    return environment


def _files(environment: Any, plan: Plan) -> Any:
    builder = FileSource.for_record_stream_format(StreamFormat.text_line_format(), _url(plan.input))
    if plan.follow:
        builder = builder.monitor_continuously(Duration.of_millis(round(plan.follow * 1000)))
    return environment.from_source(builder.build(), WatermarkStrategy.no_watermarks(), "files").uid("files")


def _kinesis(environment: Any, settings: Settings) -> Any:
    """PyFlink 2.3 has no class for the connector's source, so it is made by its Java builder."""
    if not settings.stream_arn:
        raise UserError(f"stream = {settings.stream!r}: Flink's connector needs the stream's ARN")
    options = {"aws.region": settings.region, "source.init.position": "TRIM_HORIZON"}
    if settings.start == "LATEST":
        options["source.init.position"] = "LATEST"
    if settings.endpoint_url:
        options |= {
            "aws.endpoint": settings.endpoint_url,
            "aws.credentials.provider": "BASIC",
            "aws.credentials.provider.basic.accesskeyid": "local",
            "aws.credentials.provider.basic.secretkey": "local",
        }
    configuration = Configuration()
    for name, value in options.items():
        configuration.set_string(name, value)
    builder = get_gateway().jvm.org.apache.flink.connector.kinesis.source.KinesisStreamsSource.builder()
    source = (
        builder.setStreamArn(settings.stream_arn)
        .setDeserializationSchema(SimpleStringSchema()._j_deserialization_schema)
        .setSourceConfig(configuration._j_configuration)
        .build()
    )
    # By the time of arrival, for each shard: Flink reads them at different paces.
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_idleness(Duration.of_seconds(IDLE))
    return environment.from_source(Source(source), strategy, "kinesis", Types.STRING()).uid("kinesis")


def _sink(place: str) -> Any:
    policy = RollingPolicy.on_checkpoint_rolling_policy()
    return FileSink.for_row_format(_url(place), Encoder.simple_string_encoder()).with_rolling_policy(policy).build()


def _url(place: str) -> str:
    return place if "://" in place else Path(place).resolve().as_uri()


def _lines(batch: bytes) -> Iterator[str]:
    for each in unpacked(batch):
        yield orjson.dumps({"_id": each.id, **each.document}).decode()
