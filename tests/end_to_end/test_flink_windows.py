"""The job counts events on a small cluster within a process: its windows are those of a brute force over all records.

The brute force reads the records without any of the service's code.
"""

import json
import os
import subprocess
import tomllib
import zlib
from collections import defaultdict
from datetime import datetime
from pathlib import Path

import pytest

from service import recipes
from simulator.events import clickstream, trips
from tests.end_to_end.test_flink import PYTHON, lines

pytestmark = pytest.mark.timeout(900)
cluster = pytest.mark.flink_cluster
START = 1_790_000_000_000 // 600_000 * 600_000


def count(folder, config, parallelism):
    """Run the job on the files in ``in`` to its end."""
    command = [PYTHON, "-m", "service.cli", "flink", "run", "--config", str(config), "--parallelism", str(parallelism)]
    places = ["--input", str(folder / "in"), "--output", str(folder / "out")]
    subprocess.run([*command, *places], env=os.environ | {"PYTHONPATH": str(Path.cwd())}, check=True)


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


@cluster
@pytest.mark.parametrize("shards", [1, 3])
def test_totals_after_a_join_are_those_of_a_brute_force_whatever_the_shards(tmp_path, shards):
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
    count(tmp_path, tmp_path / "cutwater.toml", shards)
    found = windows(tmp_path / "out", "per-minute")
    measured = {
        (*place, action): document[f"measures.{action}s"]
        for place, document in found.items()
        for action in ("impression", "click")
        if document[f"measures.{action}s"]
    }
    assert measured == by_reader


@cluster
def test_the_example_counts_trips_by_cell_and_means_to_airports(tmp_path):
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
    count(tmp_path, Path("deploy/flink/trips.toml").absolute(), 1)
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
