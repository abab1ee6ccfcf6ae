"""From bytes to documents, per event: python -m benchmarks.events [--events N] [--json]

Records are those of the recipes' generators, and single lines of flow logs in the default format. CPU of one thread,
the best of several rounds. Stages: ``events`` is from a record's bytes to the event's fields, ``documents`` to the
document with its identity and place, ``JSON`` to the bytes that the index gets.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import time
from collections.abc import Callable, Iterator, Sequence

import orjson

from benchmarks import print_rows
from service.pipeline.decode.event_decoder import EventDecoder
from service.pipeline.decode.formats.cloudtrail import CloudTrail
from service.pipeline.decode.formats.flow_log import DEFAULT_FORMAT, FlowLog
from service.pipeline.decode.formats.json_events import JSONEvents
from service.pipeline.decode.formats.ossec import OSSEC
from service.pipeline.event_stage import EventDocuments
from service.pipeline.events import EventFormat
from service.pipeline.records import Position, Record
from service.sinks.index.fields import encode
from simulator.events import clickstream, ec2_api_events, ossec_alerts, vpc_flow_logs

START = 1_795_746_600_000  # 2026-11-27T02:30:00Z
ROUNDS, BATCH = 5, 1000
CLICKS = JSONEvents(
    {"article_id": ("long", "article_id"), "user_id": ("long", "user_id"), "event.action": ("keyword", "action")},
    "timestamp",
)


def records(data: Iterator[bytes], events: int) -> list[Record]:
    """Records of at least so many events, as far as there are some."""
    found: list[Record] = []
    for each in data:
        found.append(Record(Position(49_640_000_000_000_000_000 + len(found)), "key", START + 3_600_000, each))
        if len(found) >= events:
            break
    return found


def lines() -> Iterator[bytes]:
    """Flow logs as single lines."""
    for each in vpc_flow_logs.generate(START, 1000, 600, 1, log_format=DEFAULT_FORMAT):
        payload = orjson.loads(gzip.decompress(each.data))
        if payload["messageType"] == "DATA_MESSAGE":
            yield from (event["message"].encode() for event in payload["logEvents"])


def cases(events: int) -> list[tuple[str, EventFormat, list[Record]]]:
    """Names, formats and records."""
    clicks = (each.data for each in clickstream.generate(START, 1000, 600, 1))
    flows = (each.data for each in vpc_flow_logs.generate(START, 1000, 600, 1))
    calls = (each.data for each in ec2_api_events.generate(START, 50, 600, 1))
    alerts = (each.data for each in ossec_alerts.generate(START, 50, 600, 1))
    return [
        ("clicks", CLICKS, records(clicks, events)),
        ("flow log, a line a record", FlowLog(), records(lines(), events)),
        ("flow log, CloudWatch Logs", FlowLog(vpc_flow_logs.LOG_FORMAT), records(flows, events // 100)),
        ("CloudTrail, EventBridge", CloudTrail(), records(calls, events // 10)),
        ("OSSEC, CloudWatch Logs", OSSEC(), records(alerts, events // 100)),
    ]


def measured(work: Callable[[], int]) -> float:
    """Microseconds of CPU per event, of the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        gc.collect()
        began = time.thread_time()
        count = work()
        best = min(best, (time.thread_time() - began) * 1e6 / max(count, 1))
    return round(best, 2)


def stages(format_: EventFormat, source: Sequence[Record]) -> Iterator[tuple[str, float]]:
    """Each stage with all before it."""
    decoder = EventDecoder(format_, max_future=86_400_000)
    parts = [source[at : at + BATCH] for at in range(0, len(source), BATCH)]

    def decode() -> int:
        return sum(len(decoder.decode(part).events) for part in parts)

    def documents(finish: Callable[[EventDocuments, int], object]) -> int:
        count = 0
        for part in parts:
            found = decoder.decode(part)
            sources = [part[number] for number in found.records]
            made = EventDocuments("stream", "shard", format_.name, found.events, sources, found.ordinals)
            for number in range(len(made)):
                finish(made, number)
            count += len(made)
        return count

    yield "events", measured(decode)
    yield "documents", measured(lambda: documents(lambda made, number: made[number]))
    yield "JSON", measured(lambda: documents(lambda made, number: encode(made[number])))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000, help="about so many of each format")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    rows = [
        {"format": name, "stage": stage, "us_per_event": cost}
        for name, format_, source in cases(arguments.events)
        for stage, cost in stages(format_, source)
    ]
    print_rows("events", rows, arguments.json)


if __name__ == "__main__":
    main()
