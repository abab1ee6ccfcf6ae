"""What the Flink job scores, and how long a reading takes: python -m benchmarks.flink [--json]

A real cluster on this machine, of the distribution within the wheel, with one TaskManager of one slot for each degree
of parallelism. *Throughput*: files of readings, as fast as the job reads them, from a tenth of them on to nine tenths.
*Latency*: files of a tenth of a second of readings each, for which the job looks as often; from a reading's event time
to when the index's bulk request that holds its document has come. Beside it the core alone on the same input, as a
service process has it: decoded, scored and made into documents in batches of 500 records.

Needs the environment of `make venv-flink`.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks import print_rows
from detector.detector import warm_up
from service.assembly import make_core
from service.pipeline.records import Position, Record
from service.settings.model import load
from tests.servers.bulk import BulkServer
from tests.servers.flink import Cluster, cluster

EVERY = 0.1  # seconds of a file of the paced input
OPTIONS = ("--samples", "256", "--index")


def lines(sensors: int, count: int, first: int = 0, begin: int = 1_700_000_000_000) -> Iterator[bytes]:
    """Readings of sensors in turn, a second apart."""
    noise = random.Random(first)
    for number in range(first, first + count):
        time_ = begin + number // sensors * 1000
        body = {"iotName": f"s{number % sensors}", "iotTime": time_, "iotValue": noise.gauss(20, 1)}
        yield orjson.dumps(body)


def submit(found: Cluster, parallelism: int, *arguments: str) -> str:
    """Begin the job."""
    return found.submit(
        *("-pym", "service.cli", "flink", "run", "--parallelism", str(parallelism)),
        *("--checkpoints", (found.folder / "checkpoints").as_uri(), *arguments),
    )


def scored(found: Cluster, job: str) -> int:
    """Readings that have come to where they are scored."""
    for vertex in found.ask(f"/jobs/{job}")["vertices"]:
        if "score" in vertex["name"]:
            return int(vertex["metrics"]["read-records"])
    return 0


def checkpoints(found: Cluster, job: str) -> dict[str, Any]:
    """How long they took, in seconds, and how large the state was."""
    summary = found.ask(f"/jobs/{job}/checkpoints")["summary"]
    return {
        "checkpoint_s": round(summary["end_to_end_duration"]["max"] / 1000, 2),
        "state_mb": round(summary["state_size"]["max"] / 1e6, 1),
    }


def throughput(found: Cluster, parallelism: int, sensors: int, count: int, index: str) -> dict[str, Any]:
    """Readings a second, from a tenth of them on to nine tenths."""
    folder = Path(tempfile.mkdtemp(dir=found.folder))
    (folder / "in").mkdir()
    data = list(lines(sensors, count))
    for shard in range(parallelism):  # a sensor's readings are in one of them
        mine = (line for number, line in enumerate(data) if number % sensors % parallelism == shard)
        (folder / "in" / f"{shard}.json").write_bytes(b"\n".join(mine))
    job = submit(found, parallelism, "--input", str(folder / "in"), "--output", str(folder / "out"), *OPTIONS, index)
    seen: list[tuple[float, int]] = []
    while found.state(job) not in ("FINISHED", "FAILED"):
        seen.append((time.monotonic(), scored(found, job)))
        time.sleep(0.5)
    assert found.state(job) == "FINISHED"
    first = next(each for each in seen if each[1] > count / 10)
    last = next((each for each in seen if each[1] > count * 0.9), seen[-1])
    speed = (last[1] - first[1]) / (last[0] - first[0])
    return {"readings_per_second": round(speed), "p50_s": None, "p99_s": None, **checkpoints(found, job)}


def latency(found: Cluster, parallelism: int, sensors: int, rate: int, seconds: float) -> dict[str, Any]:
    """From event time to the index, at a rate; the first third is not counted, in which the job begins."""
    folder = Path(tempfile.mkdtemp(dir=found.folder))
    (folder / "in").mkdir()
    delays: list[np.ndarray[Any, Any]] = []

    def note(body: bytes) -> None:
        now = time.time() * 1000
        documents = map(orjson.loads, body.splitlines()[1::2])
        times = [document["@timestamp"] for document in documents]
        stamps = np.array([each.removesuffix("Z") for each in times], dtype="datetime64[ms]").astype(np.int64)
        delays.append(np.stack([stamps, now - stamps]))

    stop = threading.Event()
    with BulkServer(note) as server:
        job = submit(
            *(found, parallelism, "--input", str(folder / "in"), "--follow", str(EVERY)),
            *("--opensearch-url", server.url, *OPTIONS, "all", "--samples", "16"),
        )
        while found.state(job) != "RUNNING":
            time.sleep(0.2)
        writer = threading.Thread(target=_pace, args=(folder / "in", sensors, rate, stop))
        writer.start()
        time.sleep(seconds)
        stop.set()
        writer.join()
        time.sleep(5)
        found_checkpoints = checkpoints(found, job)
        found.stop(job, folder / "savepoint")
    stamps, waited = np.concatenate(delays, axis=1)
    late = waited[stamps > stamps.max() - seconds * 1000 * 2 / 3] / 1000
    p50, p99 = np.percentile(late, [50, 99])
    return {
        "readings_per_second": rate,
        "p50_s": round(float(p50), 2),
        "p99_s": round(float(p99), 2),
        **found_checkpoints,
    }


def alone(sensors: int, count: int, index: str) -> dict[str, Any]:
    """The core on the same input, in this process."""
    settings = load({"samples": 256, "silent_after": 0, "index": index}, {})
    warm_up(settings.configuration())
    core = make_core(settings)
    records = [
        Record(Position(number), "", 4_000_000_000_000, line) for number, line in enumerate(lines(sensors, count))
    ]
    begin = time.monotonic()
    for start in range(0, count, 500):
        for document in core.process(records[start : start + 500]).documents:
            orjson.dumps(document.document)
    speed = count / (time.monotonic() - begin)
    return {
        "readings_per_second": round(speed), "p50_s": None, "p99_s": None, "checkpoint_s": None, "state_mb": None
    }  # fmt: skip


def _pace(folder: Path, sensors: int, rate: int, stop: threading.Event) -> None:
    step, number, due = round(rate * EVERY), 0, time.time()
    while not stop.is_set():
        begin = round(due * 1000) - number // sensors * 1000
        body = b"\n".join(lines(sensors, step, number, begin))
        (folder / f".{number}").write_bytes(body)
        (folder / f".{number}").rename(folder / f"{number}.json")
        number, due = number + step, due + EVERY
        stop.wait(due - time.time())


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, default=Path(".venv-flink/bin/python"), help="that has apache-flink")
    parser.add_argument("--parallelism", type=int, default=2)
    parser.add_argument("--sensors", type=int, default=1000)
    parser.add_argument("--readings", type=int, default=400_000)
    parser.add_argument("--rate", type=int, default=2_000, help="readings a second while latency is measured")
    parser.add_argument("--seconds", type=float, default=60.0, help="that latency is measured")
    parser.add_argument("--only", choices=["throughput", "latency", "alone"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    parallelism, sensors = options.parallelism, options.sensors
    rows = []
    if options.only in (None, "alone"):
        for index in ("anomalies", "all"):
            row = alone(sensors, options.readings, index)
            rows.append({"design": f"one core, {index} indexed", "parallelism": 1, "sensors": sensors, **row})
    if options.only != "alone":
        python = options.python.absolute()
        with tempfile.TemporaryDirectory() as folder, cluster(python, Path(folder, "c"), parallelism) as found:
            common = {"parallelism": parallelism, "sensors": sensors}
            if options.only in (None, "throughput"):
                for index in ("anomalies", "all"):
                    row = throughput(found, parallelism, sensors, options.readings, index)
                    rows.append({"design": f"flink, {index} indexed", **common, **row})
            if options.only in (None, "latency"):
                row = latency(found, parallelism, sensors, options.rate, options.seconds)
                rows.append({"design": "flink, paced, all indexed", **common, **row})
    print_rows("flink", rows, options.json)


if __name__ == "__main__":
    main()
