"""What a checkpoint of 1 000 sensors costs, and what reading it back does: python -m benchmarks.snapshots [--json]

The sensors have learnt 300 readings each and have all changed since the last checkpoint, which is the worst case; one
more snapshot holds a single changed sensor. SQLite is a file in the system's folder for temporary files; S3 is moto on
loopback, so its times are those of our side and of moto, not of AWS. On a busy machine look at the process's own CPU
time. There is no peer: what others would snapshot they do not keep.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
import numpy as np

from benchmarks import print_json
from detector.detector import Configuration
from detector.fleet import Fleet
from detector.types import Readings
from service.pipeline.models import Model
from service.pipeline.records import Position
from service.state.blobs import Blobs
from service.state.blobs.s3 import S3Blobs
from service.state.blobs.sqlite import SQLiteBlobs
from service.state.snapshots import ModelFingerprint
from service.state.snapshots.shard import ShardSnapshots
from tests.servers import aws

READINGS = 300  # of each sensor
REPEATS = 3
FINGERPRINT = ModelFingerprint("benchmark", {})


def learnt(sensors: Sequence[str]) -> Fleet:
    """A fleet that knows its sensors."""
    fleet = Fleet(Configuration())
    codes = np.repeat(np.arange(len(sensors)), READINGS)
    times = np.tile(np.arange(READINGS) * 1000, len(sensors))
    fleet.process(Readings(tuple(sensors), codes, times, np.random.default_rng(1).normal(size=(len(codes), 1))))
    return fleet


async def measure(store: str, blobs: Blobs, fleet: Fleet, sensors: Sequence[str]) -> dict[str, Any]:
    """Write everything a few times, one sensor once, and read it all back."""
    await blobs.open()
    writer = ShardSnapshots(blobs, "stream/shard", 1, FINGERPRINT)
    seconds, cpu = [], []
    for number in range(REPEATS):
        began, used = time.perf_counter(), time.process_time()
        models = {sensor: Model(state) for sensor, state in fleet.snapshot(set(sensors)).items()}
        written = await writer.write(Position(number), models)
        await writer.delete_unreferenced(written.name)
        seconds.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
    began = time.perf_counter()
    one = await writer.write(Position(REPEATS), {sensors[0]: models[sensors[0]]})
    single = time.perf_counter() - began
    began, used = time.perf_counter(), time.process_time()
    found = await ShardSnapshots(blobs, "stream/shard", 2, FINGERPRINT).read(one.name)
    Fleet(fleet.configuration).restore({sensor: model.state for sensor, model in found.items()})
    restored, restored_cpu = time.perf_counter() - began, time.process_time() - used
    await blobs.close()
    return {
        "store": store, "sensors": len(models), "models_bytes": sum(len(model.state) for model in models.values()),
        "written_bytes": written.size, "write_seconds": round(min(seconds), 2), "write_cpu_seconds": round(min(cpu), 2),
        "one_sensor_bytes": one.size, "one_sensor_seconds": round(single, 3),
        "restore_seconds": round(restored, 2), "restore_cpu_seconds": round(restored_cpu, 2),
    }  # fmt: skip


def main() -> None:
    """Print what snapshots cost in each store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--sensors", type=int, default=1000, help="[%(default)s]")
    arguments = parser.parse_args()
    sensors = [f"sensor-{number}" for number in range(arguments.sensors)]
    fleet = learnt(sensors)
    with tempfile.TemporaryDirectory(prefix="cutwater-snapshots-") as folder, aws.here(s3=aws.moto()):
        bucket = aws.unique("bucket")
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=bucket)
        rows = [
            asyncio.run(measure("sqlite", SQLiteBlobs(Path(folder) / "cutwater.db"), fleet, sensors)),
            asyncio.run(measure("s3 (moto)", S3Blobs(f"s3://{bucket}", "us-east-1"), fleet, sensors)),
        ]
    for row in rows:
        print("  ".join(f"{name}={value}" for name, value in row.items()))
    if arguments.json:
        print_json("snapshots", rows)


if __name__ == "__main__":
    main()
