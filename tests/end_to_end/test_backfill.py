"""A sensor that was backfilled is ready at its first live reading, and its first anomaly is found."""

import json
import sqlite3

import numpy as np
import pytest

from simulator.reading import Reading
from simulator.writer import Writer
from tests.end_to_end.processes import Cutwater, Service, run
from tests.simulator.conftest import kinesis


@pytest.fixture
def stream(tmp_path):
    """Address of a local stream in a process of its own."""
    with Cutwater("stream", "--port", "0", "--create", "RawStreamData", folder=tmp_path) as process:
        yield process.find(r"Kinesis API at (http://\S+)")


async def test_a_backfilled_sensor_is_ready_and_finds_its_first_anomaly_however_often_it_is_started(stream, tmp_path):
    values = np.random.default_rng(3).uniform(47, 53, 600)
    lines = "".join(f"{1_767_571_200 + 60 * k},{value:.6g}\n" for k, value in enumerate(values))
    (tmp_path / "pump.csv").write_text("timestamp,value\n" + lines)
    code, output = run("backfill", "pump.csv", "--others", "pump", "--data-dir", "data", folder=tmp_path)
    assert code == 0, output
    live = [("pump", 50.0), ("pump", 80.0), ("fan", 50.0), ("fan", 20.0)]
    bodies = [json.dumps({"iotName": name, "iotValue": value}).encode() for name, value in live]
    async with kinesis(stream) as client:
        await Writer(client, "RawStreamData").write(
            [Reading(name, 0.0, body) for (name, _), body in zip(live, bodies, strict=True)]
        )

    def stored(folder):
        with sqlite3.connect(tmp_path / folder / "cutwater.db") as db:
            return [row[0] for row in db.execute("SELECT document FROM document ORDER BY id")]

    with Service(stream, "--data-dir", "data", folder=tmp_path) as service:
        readings = service.wait_for_readings(4)
        assert (readings["scored"], readings["learning"]) == (4, 0)
        assert service.terminate() == 0, service.output
    found = stored("data")
    documents = {document["sensor"]: document for document in map(json.loads, found)}
    assert {name: document["feature_data_iotValue"] for name, document in documents.items()} == {"pump": 80, "fan": 20}
    assert {document["readings_seen"] for document in documents.values()} == {601}
    assert all(document["is_anomaly"] and document["alert"] for document in documents.values()), documents
    assert run("backfill", "pump.csv", "--others", "pump", "--data-dir", "again", folder=tmp_path)[0] == 0
    with Service(stream, "--data-dir", "again", folder=tmp_path) as service:
        service.wait_for_readings(4)
        assert service.terminate() == 0
    assert stored("again") == found
