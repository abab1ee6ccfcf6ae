"""A mistake in the settings, and the way back: ``cutwater replay`` has what it spoiled scored after all, once."""

import json

from tests.end_to_end.processes import Cutwater, Service, run

COUNT = 300
RCF = ("--samples", "32", "--index", "all", "--checkpoint-seconds", "1")


def test_records_that_a_wrong_setting_spoiled_are_scored_once_after_all(tmp_path):
    with Cutwater("stream", "--port", "0", "--create", "RawStreamData", "--shards", "2", folder=tmp_path) as stream:
        endpoint_url = stream.find(r"Kinesis API at (http://\S+)")
        simulation = ("simulate", "--endpoint-url", endpoint_url, "--count", str(COUNT), "--sensors", "3")
        code, output = run(*simulation, folder=tmp_path)
        assert code == 0, output

        with Service(endpoint_url, *RCF, "--sensor-field", "name", folder=tmp_path) as wrong:
            assert wrong.wait_for_readings(COUNT)["dead"] == COUNT
            (letter,) = wrong.get("/dead-letter?limit=1")["dead_letters"]
            assert (letter["errorCode"], letter["esDocumentId"]) == ("no_sensor", None)
            assert wrong.terminate() == 0, wrong.output

        code, output = run("replay", "--endpoint-url", endpoint_url, "--sensor-field", "name", folder=tmp_path)
        assert code == 1
        assert f"{COUNT} stay: {COUNT} no_sensor" in output

        code, output = run("replay", "--endpoint-url", endpoint_url, folder=tmp_path)
        assert code == 0, output
        assert f"0 documents indexed, {COUNT} records put into stream RawStreamData again" in output

        with Service(endpoint_url, *RCF, folder=tmp_path) as right:
            readings = right.wait_for_readings(COUNT)
            assert (readings["received"], readings["dead"]) == (COUNT, 0)
            assert right.get("/dead-letter")["dead_letters"] == []
            assert right.terminate() == 0, right.output

    code, output = run("export", folder=tmp_path)
    found = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert len({document["event.id"] for document in found}) == len(found) == COUNT - 3 * 32
