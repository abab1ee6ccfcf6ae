"""The job on a real cluster: a JobManager and TaskManagers as processes, started by the wheel's own scripts.

CUTWATER_TEST_FLINK names the Python that has it; CUTWATER_TEST_FLINK_SENSORS how many sensors there are.
"""

import json
import os
import random
import signal
import time
import tomllib
import zlib
from collections import defaultdict
from datetime import datetime
from pathlib import Path

import pytest

from service import recipes
from simulator.events import clickstream, trips
from tests.end_to_end.test_flink import expected, lines
from tests.servers.bulk import BulkServer
from tests.servers.flink import cluster

pytestmark = [pytest.mark.flink_cluster, pytest.mark.timeout(1800)]
SENSORS = int(os.environ.get("CUTWATER_TEST_FLINK_SENSORS", "100"))
CHUNKS, OF_A_CHUNK, LEARNT = 5, 20, 16  # readings of a sensor
START = 1_790_000_000_000 // 600_000 * 600_000
LIMIT = 240.0  # seconds: a job that fails begins again with new processes


@pytest.fixture(scope="module")
def flink(tmp_path_factory):
    python = Path(os.environ["CUTWATER_TEST_FLINK"]).absolute()
    with cluster(python, tmp_path_factory.mktemp("flink") / "cluster", 1) as found:
        yield found


def submit(flink, *arguments, parallelism=1, savepoint=""):
    command = ("-pym", "service.cli", "flink", "run", "--parallelism", str(parallelism), "--checkpoint-every", "1")
    checkpoints = ("--checkpoints", (flink.folder / "checkpoints").as_uri())
    return flink.submit(*command, *checkpoints, *arguments, savepoint=savepoint)


def until(condition, what):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def finish(flink, job):
    until(lambda: flink.state(job) in ("FINISHED", "FAILED"), "the job has not ended")
    assert flink.state(job) == "FINISHED", flink.ask(f"/jobs/{job}/exceptions")


def chunk(folder, number):
    """The next readings of all sensors, as files that come into being at once, a sensor's in one of them."""
    noise = random.Random(number)
    for shard in range(2):
        rows = []
        for at in range(number * OF_A_CHUNK, (number + 1) * OF_A_CHUNK):
            for sensor in range(shard, SENSORS, 2):
                value = sensor + noise.gauss(0, 1)
                reading = {"iotName": f"s{sensor}", "iotTime": START + at * 1000, "iotValue": value}
                rows.append(json.dumps(reading))
        (folder / ".draft").write_text("\n".join([*rows, "no reading"]) + "\n")
        (folder / ".draft").rename(folder / f"{number}-{shard}.json")


def test_each_document_is_written_once_whatever_dies_and_however_it_is_scaled(flink, tmp_path):
    """One TaskManager, two, and one again; both kinds of processes die in the midst of readings."""
    (tmp_path / "in").mkdir()

    with BulkServer() as index:
        arguments = (
            *("--input", str(tmp_path / "in"), "--follow", "0.2", "--index", "all", "--samples", str(LEARNT)),
            *("--opensearch-url", index.url, "--output", str(tmp_path / "out")),
        )

        def feed(number, disturb=lambda: None):
            """A chunk, all of whose documents come, although there is a disturbance in its midst."""
            before = SENSORS * max(0, number * OF_A_CHUNK - LEARNT)
            after = SENSORS * max(0, (number + 1) * OF_A_CHUNK - LEARNT)
            chunk(tmp_path / "in", number)
            until(lambda: len(index.documents) > (before if after else -1), "no document has come")
            disturb()
            until(lambda: len(index.documents) >= after, "documents are missing")

        def die():
            flink.kill_worker()
            flink.scale(flink.slots)

        def fail():
            for process in flink.python_workers():
                os.kill(process, signal.SIGKILL)

        job = submit(flink, *arguments)
        feed(0)
        feed(1, die)
        savepoint = flink.stop(job, tmp_path / "savepoints")
        flink.scale(2)
        job = submit(flink, *arguments, parallelism=2, savepoint=savepoint)
        feed(2, die)
        feed(3, fail)
        savepoint = flink.stop(job, tmp_path / "savepoints")
        flink.scale(1)
        job = submit(flink, *arguments, savepoint=savepoint)
        feed(4)
        flink.stop(job, tmp_path / "savepoints")
    wanted = {name: json.loads(line) for name, line in expected(tmp_path / "in", LEARNT).items()}
    assert len(wanted) == SENSORS * (CHUNKS * OF_A_CHUNK - LEARNT)
    assert {name: {"_id": name, **document} for name, document in index.documents.items()} == wanted
    assert len(lines(tmp_path / "out" / "dead-letters")) == 2 * CHUNKS


def windows(folder, program):
    """What was written of a program's windows with events: by key and beginning, the document. Each is there once."""
    documents = [json.loads(line) for line in lines(folder / "documents")]
    mine = [each for each in documents if each.get("window.program") == program and each["window.events"]]
    found = {(each["window.key"], each["window.start"]): each for each in mine}
    assert len(found) == len(mine)
    return found


def put(folder, records, shards):
    """The records by partition key to files, as to the shards of a stream."""
    folder.mkdir()
    parts = defaultdict(list)
    for record in records:
        parts[zlib.crc32(record.partition_key.encode()) % shards].append(record.data)
    for number, part in parts.items():
        (folder / f"{number}.json").write_bytes(b"\n".join(part))


@pytest.mark.parametrize("shards", [1, 3])
def test_totals_after_a_join_are_those_of_a_brute_force_whatever_the_shards(flink, tmp_path, shards):
    records = list(clickstream.generate(START, 5.0, 900, 1))
    (tmp_path / "users.csv").write_bytes(clickstream.files()["users.csv"])
    config = (recipes.folder("clickstream") / recipes.SETTINGS).read_text()
    (tmp_path / "cutwater.toml").write_text(config.replace("users.csv", str(tmp_path / "users.csv")))
    by_reader = defaultdict(int)
    readers = {}
    for row in (tmp_path / "users.csv").read_text().split():
        reader, gender, segment = row.split(",")
        readers[int(reader)] = f"{gender}|{segment}"
    for record in records:
        event = json.loads(record.data)
        minute = event["timestamp"][:16] + ":00.000Z"
        key = readers.get(event["user_id"], r"\N|\N")
        by_reader[f"{key}|{event['article_id']}", minute, event["action"]] += 1
    shuffled = records if shards == 1 else [each._replace(partition_key=str(n)) for n, each in enumerate(records)]
    put(tmp_path / "in", shuffled, shards)
    flink.scale(1)
    job = submit(
        *(flink, "--config", str(tmp_path / "cutwater.toml")),
        *("--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")),
    )
    finish(flink, job)
    found = windows(tmp_path / "out", "per-minute")
    measured = {
        (*place, action): document[f"measures.{action}s"]
        for place, document in found.items()
        for action in ("impression", "click")
        if document[f"measures.{action}s"]
    }
    assert measured == by_reader


def test_the_example_counts_trips_by_cell_and_means_to_airports(flink, tmp_path):
    records = list(trips.generate(START, 2.0, 3600, 1))
    put(tmp_path / "in", records, 2)
    counts, minutes = defaultdict(int), defaultdict(list)
    for record in records:
        trip = json.loads(record.data)
        ended = datetime.fromisoformat(trip["dropoff_time"])
        begin = ended.replace(minute=ended.minute // 10 * 10).strftime("%Y-%m-%dT%H:%M:00.000Z")
        counts[trip["pickup_geohash"], begin] += 1
        if trip["airport"]:
            minutes[trip["airport"], begin].append(trip["duration_minutes"])
    flink.scale(2)
    job = submit(
        *(flink, "--config", str(Path("deploy/flink/trips.toml").absolute())),
        *("--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")),
        parallelism=2,
    )
    finish(flink, job)
    cells, airports = windows(tmp_path / "out", "pickups"), windows(tmp_path / "out", "to-airports")
    assert {place: document["measures.count"] for place, document in cells.items()} == counts
    assert {place: document["window.events"] for place, document in airports.items()} == {
        place: len(each) for place, each in minutes.items()
    }
    for place, document in airports.items():
        assert document["measures.duration"] == pytest.approx(sum(minutes[place]) / len(minutes[place]))


def test_the_example_is_of_the_fields_that_trips_have():
    (record, *_) = trips.generate(START, 1.0, 600, 1)
    config = tomllib.loads(Path("deploy/flink/trips.toml").read_text())
    assert config["event_fields"].keys() < json.loads(record.data).keys()
