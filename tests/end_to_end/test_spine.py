"""A reading goes in at Kinesis and comes out as an anomaly: real processes, the Kinesis API, real OpenSearch."""

import asyncio
import json
import re
import signal
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from simulator.reading import Reading
from simulator.sensors import Sensors
from simulator.writer import Writer
from tests.end_to_end.processes import Cutwater, Service, run
from tests.servers import opensearch
from tests.simulator.conftest import kinesis

RCF = ("--samples", "128", "--checkpoint-seconds", "1")
SENSORS = ("--sensors", "4", "--random-seed", "11", "--start-time", "2026-01-01T00:00:00+00:00")
RECORDING = Path(__file__).parents[1] / "recordings" / "cold_room.csv"


@pytest.fixture
def stream(tmp_path):
    """Address of a local stream with two shards, in a process of its own."""
    with Cutwater("stream", "--port", "0", "--create", "RawStreamData", "--shards", "2", folder=tmp_path) as process:
        yield process.find(r"Kinesis API at (http://\S+)")


def simulate(stream, folder, count, *arguments) -> None:
    code, output = run("simulate", "--endpoint-url", stream, "--count", str(count), *SENSORS, *arguments, folder=folder)
    assert code == 0, output
    assert f"{count} readings written" in output


def outliers(count: int, learnt: int) -> set[tuple[str, str]]:
    """(sensor, time) of the outliers after each sensor's first ``learnt`` readings."""
    seen: dict[str, int] = {}
    found = set()
    for reading in Sensors(4, rate=1, seed=11, count=count, start=datetime(2026, 1, 1, tzinfo=UTC)):
        seen[reading.sensor] = seen.get(reading.sensor, 0) + 1
        if reading.outlier and seen[reading.sensor] > learnt:
            body = json.loads(reading.data)
            found.add((body["iotName"], body["iotTime"].replace("Z", ".000Z")))
    return found


def documents(url: str, prefix: str) -> list[dict]:
    """All documents of an index pattern, by a search of the test's own."""
    opensearch.request(url, "POST", f"/{prefix}-*/_refresh")
    answer = opensearch.request(url, "POST", f"/{prefix}-*/_search", {"size": 10_000})
    return [hit["_source"] | {"_index": hit["_index"]} for hit in answer["hits"]["hits"]]


def test_every_outlier_is_indexed_once_and_a_second_run_adds_nothing(stream, tmp_path):
    url, prefix, count = opensearch.shared(opensearch.OPENSEARCH_3).url, opensearch.unique_prefix(), 20_000
    simulate(stream, tmp_path, count)
    index = ("--opensearch-url", url, "--index-prefix", prefix)
    with Service(stream, *RCF, *index, "--data-dir", "first", folder=tmp_path) as service:
        readings = service.wait_for_readings(count)
        assert readings["scored"] + readings["learning"] == count
        assert readings["dead"] == 0
        assert service.terminate() == 0, service.output
    found = documents(url, prefix)
    keys = [(document["sensor"], document["@timestamp"]) for document in found]
    assert len(keys) == len(set(keys))
    assert outliers(count, learnt=128) <= set(keys)
    assert all(document["_index"] == f"{prefix}-{document['@timestamp'][:10].replace('-', '.')}" for document in found)
    with Service(stream, *RCF, *index, "--data-dir", "second", folder=tmp_path) as service:
        service.wait_for_readings(count)
        assert service.terminate() == 0
    assert sorted(map(str, documents(url, prefix))) == sorted(map(str, found))


def test_stopped_in_the_middle_and_started_again_every_reading_is_scored_once(stream, tmp_path):
    """The documents equal those of a run that was never stopped, scores included."""
    count = 6000
    every = ("--index", "all", *RCF)
    simulation = ("simulate", "--endpoint-url", stream, "--count", str(count), "--rate", "300", *SENSORS)
    with Cutwater(*simulation, folder=tmp_path) as simulator:
        for _ in range(2):
            with Service(stream, *every, "--data-dir", "parts", folder=tmp_path) as service:
                service.wait_for_readings(500)
                assert service.terminate() == 0, service.output
        assert simulator.process.poll() is None, "the stops came too late to be in the middle"
        assert simulator.process.wait(60) == 0, simulator.output

    def stored(folder) -> list[str]:
        with sqlite3.connect(tmp_path / folder / "cutwater.db") as db:
            return [row[0] for row in db.execute("SELECT document FROM document ORDER BY id")]

    with Service(stream, *every, "--data-dir", "parts", folder=tmp_path) as service:
        service.wait_for(lambda: len(stored("parts")) == count - 4 * 128, "documents")
        assert service.terminate() == 0
    with Service(stream, *every, "--data-dir", "whole", folder=tmp_path) as service:
        service.wait_for_readings(count)
        assert service.terminate() == 0
    assert len(stored("whole")) == count - 4 * 128
    assert stored("parts") == stored("whole")


def test_bad_records_go_to_the_dead_letter_and_the_stream_goes_on(stream, tmp_path):
    bad = [b"junk", b'{"iotName":"s"}', b'{"iotName":"s","iotValue":"x"}', b"\0" * 1_000_000]

    async def put() -> None:
        async with kinesis(stream) as client:
            await Writer(client, "RawStreamData").write([Reading("s", 0, data) for data in bad])

    asyncio.run(put())
    simulate(stream, tmp_path, 100)
    with Service(stream, *RCF, folder=tmp_path) as service:
        readings = service.wait_for_readings(104)
        assert readings["dead"] == 4
        letters = service.get("/dead-letter")["dead_letters"]
        assert {letter["errorCode"] for letter in letters} == {"not_json", "no_value", "bad_value", "empty"}
        assert "cutwater_dead_letters_total" in service.text("/metrics")
        assert service.get("/ready") == {"ready": True, "reasons": []}
        assert service.terminate() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--stream", "absent"), "stream 'absent': .*create the stream"),
        (("--data-dir", "/proc/cutwater"), "data_dir = '/proc/cutwater'"),
        (("--trees", "0"), r"--trees = '0'"),
    ],
)
def test_what_cannot_work_ends_with_one_clear_line(stream, tmp_path, arguments, message):
    code, output = run("run", "--endpoint-url", stream, "--port", "0", *arguments, folder=tmp_path)
    assert code in (1, 2)
    complaint = [line for line in output.splitlines() if line.startswith("cutwater: ")]
    assert len(complaint) == 1
    assert re.search(message, complaint[0])
    assert "Traceback" not in output


def test_an_unreachable_index_is_waited_for(stream, tmp_path):
    arguments = ("run", "--endpoint-url", stream, "--opensearch-url", "http://127.0.0.1:9", "--port", "0")
    with Cutwater(*arguments, folder=tmp_path) as service:
        service.find(r"(127\.0\.0\.1:9.*waiting)")
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(10) in (0, 130)


def test_a_recording_is_fully_scored_and_its_anomalies_lie_in_opensearch(tmp_path):
    url, prefix = opensearch.shared(opensearch.OPENSEARCH_3).url, opensearch.unique_prefix()
    rows = len(RECORDING.read_text().splitlines()) - 1
    index = ("--opensearch-url", url, "--index-prefix", prefix)
    with Cutwater(
        "demo", "--csv", str(RECORDING), "--rate", "100000", "--port", "0", *RCF, *index, folder=tmp_path
    ) as demo:
        demo.find(r"(All \d+ readings are through)")
        counts = demo.find(r"readings are through: (.*)")
        scored, learning, dead, anomalies = [int(word.split()[0]) for word in counts.split(". ")[0].split(", ")]
        assert scored + learning + dead == rows
        assert (learning, dead) == (128, 0)
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(60) == 0, demo.output
    found = documents(url, prefix)
    assert len(found) == anomalies > 0
    assert all(document["is_anomaly"] or document["alert"] for document in found)
    assert {document["sensor"] for document in found} == {RECORDING.stem}
