"""How soon a killed service scores again: python -m benchmarks.restart [--json]

A local stream, a service that has learnt 1 000 sensors, and readings that go on coming. The service is killed with
SIGKILL and started again; the time runs from the start of the new process until it has scored a reading that came after
the kill, imports, leases and the restoring of all models included. On a busy machine look at the process's own CPU
time, below which no machine as fast as this one can come. There is no peer: what others would restore they do not keep.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil

from benchmarks import print_json
from simulator.reading import Reading
from simulator.sensors import Sensors
from simulator.writer import Writer
from tests.end_to_end.processes import Cutwater, Service
from tests.simulator.conftest import kinesis

STREAM = "restart"
SAMPLES = 256
SHARDS = 4


def put(url: str, readings: Iterator[Reading], count: int) -> None:
    """Write so many of the readings, as fast as the stream takes them."""

    async def write() -> None:
        async with kinesis(url) as client:
            await Writer(client, STREAM).write([next(readings) for _ in range(count)], speed=None)

    asyncio.run(write())


def first_score(service: Service) -> float:
    """Wait until something has been scored; the moment."""
    while True:
        try:
            readings = httpx.get(service.address + "/status", timeout=5).json()["readings"]
            if readings["scored"]:
                return time.perf_counter()
        except httpx.HTTPError:
            pass
        time.sleep(0.01)


def measure(sensors: int, repeats: int, folder: Path) -> tuple[list[float], list[float]]:
    """Seconds from each start to the first score, by the clock and of the process's own CPU time."""
    seconds, cpu = [], []
    readings = iter(Sensors(sensors, rate=sensors / 60, start=datetime(2026, 1, 1, tzinfo=UTC)))
    with Cutwater("stream", "--port", "0", "--create", STREAM, "--shards", str(SHARDS), folder=folder) as local:
        url = local.find(r"Kinesis API at (http://\S+)")
        arguments = (url, "--stream", STREAM, "--samples", str(SAMPLES), "--checkpoint-seconds", "1")
        written = sensors * (SAMPLES + 20)
        put(url, readings, written)
        service = Service(*arguments, folder=folder)
        service.wait_for_readings(written)
        for _ in range(repeats):
            time.sleep(2.0)  # a checkpoint, so that there is nothing to score again
            service.process.kill()
            service.process.wait()
            put(url, readings, sensors)
            began = time.perf_counter()
            service = Service(*arguments, folder=folder)
            seconds.append(first_score(service) - began)
            times = psutil.Process(service.process.pid).cpu_times()
            cpu.append(times.user + times.system)
        service.process.kill()
    return seconds, cpu


def main() -> None:
    """Print how long the restarts took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--sensors", type=int, default=1000, help="that the service has learnt [%(default)s]")
    parser.add_argument("--repeats", type=int, default=5, help="kills [%(default)s]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cutwater-restart-") as folder:
        seconds, cpu = measure(arguments.sensors, arguments.repeats, Path(folder))
        size = (Path(folder) / "data" / "cutwater.db").stat().st_size
    row = {
        "sensors": arguments.sensors, "shards": SHARDS, "database_bytes": size, "kills": arguments.repeats,
        "least_seconds": round(min(seconds), 2), "median_seconds": round(statistics.median(seconds), 2),
        "most_seconds": round(max(seconds), 2), "median_cpu_seconds": round(statistics.median(cpu), 2),
    }  # fmt: skip
    print("  ".join(f"{name}={value}" for name, value in row.items()))
    if arguments.json:
        print_json("restart", [row])


if __name__ == "__main__":
    main()
