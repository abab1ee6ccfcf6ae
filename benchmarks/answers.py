"""What reading Kinesis's answers costs: python -m benchmarks.answers [--json]

Ten thousand records of the classic readings in one answer to GetRecords, parsed by aiobotocore's own parser (with its
times as datetime, and as float) and by ours; and the same readings as aggregates of a hundred user records each, taken
apart by AWS's library and by ours. Interleaved; the least CPU time per record counts.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import time
from collections.abc import Callable
from typing import Any

from aiobotocore.parsers import AioJSONParser
from aiobotocore.session import get_session
from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import deaggregate_records

from benchmarks import print_json
from service.pipeline.records import ALL_HASH_KEYS, Position, Record
from service.source.aggregates import user_records
from service.source.response_parser import ParserFactory
from simulator.sensors import Sensors

RECORDS = 10_000
PER_AGGREGATE = 100
ARRIVAL = 1_767_225_600.123


async def _shape() -> Any:
    """botocore's model of the answer."""
    async with get_session().create_client(
        "kinesis", region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    ) as client:
        return client.meta.service_model.operation_model("GetRecords").output_shape


def parsing(readings: list[Any]) -> dict[str, Callable[[], Any]]:
    """Each parser at work on one answer."""
    shape = asyncio.run(_shape())
    records = [
        {
            "SequenceNumber": str(49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898 + number),
            "ApproximateArrivalTimestamp": ARRIVAL,
            "Data": base64.b64encode(reading.data).decode(),
            "PartitionKey": reading.sensor,
        }
        for number, reading in enumerate(readings)
    ]
    body = json.dumps({"Records": records, "NextShardIterator": "next", "MillisBehindLatest": 0}).encode()
    response = {"status_code": 200, "headers": {}, "body": body, "context": {}}
    parsers = {
        "aiobotocore": AioJSONParser(),
        "aiobotocore, times as float": AioJSONParser(timestamp_parser=float),
        "cutwater": ParserFactory().create_parser("json"),
    }
    return {name: lambda parser=parser: asyncio.run(parser.parse(response, shape)) for name, parser in parsers.items()}


def taking_apart(readings: list[Any]) -> dict[str, Callable[[], Any]]:
    """AWS's library and ours at work on the same aggregates."""
    aggregates = []
    for start in range(0, len(readings), PER_AGGREGATE):
        aggregator = RecordAggregator()
        for reading in readings[start : start + PER_AGGREGATE]:
            aggregator.add_user_record(reading.sensor, reading.data)
        aggregates.append(aggregator.clear_and_get().get_contents()[2])
    ours = [Record(Position(number), "key", 0, data) for number, data in enumerate(aggregates)]
    events = [
        {
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "sequenceNumber": str(number), "partitionKey": "key",
                "approximateArrivalTimestamp": ARRIVAL, "data": base64.b64encode(data),
            }
        }
        for number, data in enumerate(aggregates)
    ]  # fmt: skip
    return {
        "aws-kinesis-agg": lambda: deaggregate_records(events),
        "cutwater": lambda: [user_records(record, ALL_HASH_KEYS) for record in ours],
    }


def measure(case: str, engines: dict[str, Callable[[], Any]], repeats: int) -> list[dict[str, Any]]:
    """A row for each engine."""
    least = dict.fromkeys(engines, float("inf"))
    for _ in range(repeats):
        for name, work in engines.items():
            began = time.process_time()
            work()
            least[name] = min(least[name], time.process_time() - began)
    ours = least["cutwater"]
    return [
        {
            "engine": name,
            "case": case,
            "microseconds_per_record": round(1e6 * seconds / RECORDS, 2),
            "times_ours": round(seconds / ours, 1),
        }
        for name, seconds in least.items()
    ]


def main() -> None:
    """Print a row for each engine and case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--repeats", type=int, default=7, help="the least of so many counts [%(default)s]")
    arguments = parser.parse_args()
    readings = list(Sensors(sensors=100, count=RECORDS))
    rows = measure("parse an answer", parsing(readings), arguments.repeats)
    rows += measure("take aggregates apart", taking_apart(readings), arguments.repeats)
    for row in rows:
        print("  ".join(f"{name}={value}" for name, value in row.items()))
    if arguments.json:
        print_json("answers", rows)


if __name__ == "__main__":
    main()
