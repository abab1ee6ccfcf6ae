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
from pyflink.common import Configuration, Encoder, SimpleStringSchema, Time, Types, WatermarkStrategy
from pyflink.datastream import (
    AsyncDataStream,
    AsyncFunction,
    KeyedProcessFunction,
    OutputTag,
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
from service.flink.group import GROUPS, NEVER, Group, group_of, rows_of
from service.pipeline.core import Output
from service.pipeline.documents import IndexDocument
from service.pipeline.records import DeadLetter, Position, Record
from service.settings.model import Settings, load
from service.sinks.dead_letters.format import describe_letter
from service.sinks.index.opensearch import OpenSearchIndex

BYTES = Types.PICKLED_BYTE_ARRAY()
LETTERS = OutputTag("dead-letters", Types.STRING())
LINGER = 200  # ms that a reading waits for others to be scored with
AT_ONCE = 2_000  # readings of a group that wait at most
EVERY = 4_096  # readings of a group between two writings of its models
LAST = 2**63 - 2  # an event time that only the end of a bounded input reaches
WRITES = 8  # batches of documents under way to the index, for each worker
ANSWER_SECONDS = 600  # that the index may take before the job fails and goes on from its checkpoint


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``cutwater flink run`` was told besides the settings.

    Attributes:
        input: file or folder of lines; empty for the stream that the settings name.
        output: folder or URL that documents go to if the settings name no index.
        jars: of the connector, as URLs.
        parallelism: slots; None: as the cluster has it.
        checkpoints: URL of a folder for checkpoints; empty: as the cluster has it.
        checkpoint_seconds: time between them.
        groups: of sensors, fixed for the job's life.
        options: more of Flink's own.
    """

    input: str = ""
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
        arrival = ctx.timestamp() or 0
        decoder = self._decoder if arrival > 0 else self._undated
        record = Record(Position(0), "", arrival if arrival > 0 else NEVER, value.encode("utf-8", "surrogatepass"))
        decoded = decoder.decode([record])
        if NEVER in decoded.readings.times:
            yield (
                LETTERS,
                self._letter(record, "no_time", "it says no time, and lines of files have no time of arrival"),
            )
            return
        for sensor, row in rows_of(decoded):
            yield group_of(sensor, self._groups), row
        for _, ordinal, code, reason, data in decoded.refusals:
            yield LETTERS, self._letter(record._replace(data=data), code, reason, ordinal)

    def _letter(self, record: Record, code: str, reason: str, ordinal: int | None = None) -> str:
        return orjson.dumps(
            describe_letter(DeadLetter(self._stream, "", record, code, reason, ordinal=ordinal))
        ).decode()


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
        self._processed = runtime_context.get_state(ValueStateDescriptor("processed", Types.LONG()))
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
            group.restore(dict(self._models.items()), list(self._journal.get() or ()), self._processed.value() or 0)
            self._groups[number] = group
        return group

    def _process(self, group: Group) -> Iterator[bytes]:
        waiting = group.waiting
        output = group.process()
        if output is None:
            return
        if (models := group.due()) is None:
            self._processed.update((self._processed.value() or 0) + waiting)
        else:
            for sensor, model in models.items():
                self._models.put(sensor, model)
            self._journal.clear()
            self._processed.update(0)
        if len(output.documents):
            yield _packed(output)


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
        documents = {each.id: each for each in _unpacked(value)}
        refused = await self._index.write(list(documents.values()))
        return [_refusal(documents[each.id], each.reason) for each in refused]

    def timeout(self, value: bytes) -> list[str]:
        """The job fails, and goes on from its last checkpoint."""
        raise TimeoutError(f"the index has not answered within {ANSWER_SECONDS} s")


def build(environment: Any, settings: Settings, given: dict[str, Any], plan: Plan) -> None:
    """Put the job's graph into ``environment``; ``given``: what the settings were made of, for the workers."""
    source = _files(environment, plan.input) if plan.input else _kinesis(environment, settings)
    decoded = source.process(Decode(given, plan.groups), Types.TUPLE([Types.INT(), BYTES])).name("decode").uid("decode")
    keyed = decoded.key_by(lambda row: row[0], Types.INT())
    batches = keyed.process(Score(given), BYTES).name("score").uid("score")
    letters = decoded.get_side_output(LETTERS)
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


def _files(environment: Any, place: str) -> Any:
    url = place if "://" in place else Path(place).resolve().as_uri()
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), url).build()
    return environment.from_source(source, WatermarkStrategy.no_watermarks(), "files").uid("files")


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
    strategy = WatermarkStrategy.no_watermarks()
    return environment.from_source(Source(source), strategy, "kinesis", Types.STRING()).uid("kinesis")


def _sink(place: str) -> Any:
    url = place if "://" in place else Path(place).resolve().as_uri()
    policy = RollingPolicy.on_checkpoint_rolling_policy()
    return FileSink.for_row_format(url, Encoder.simple_string_encoder()).with_rolling_policy(policy).build()


def _packed(output: Output) -> bytes:
    return orjson.dumps([(each.id, each.time, each.document) for each in output.documents])


def _unpacked(batch: bytes) -> Iterator[IndexDocument]:
    return (IndexDocument(*each) for each in orjson.loads(batch))


def _lines(batch: bytes) -> Iterator[str]:
    for each in _unpacked(batch):
        yield orjson.dumps({"_id": each.id, **each.document}).decode()


def _refusal(document: IndexDocument, reason: str) -> str:
    told = {"esDocumentId": document.id, "errorCode": "refused", "errorMessage": reason, "document": document.document}
    return orjson.dumps(told).decode()
