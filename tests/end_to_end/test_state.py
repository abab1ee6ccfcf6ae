"""Workers that share a stream by DynamoDB and S3, as on several machines."""

import sqlite3
from pathlib import Path

import boto3
import pytest

from tests.end_to_end.processes import Cutwater, Service, run
from tests.servers import aws

COUNT, SENSORS, SAMPLES = 6000, 6, 32
READINGS = ("--sensors", str(SENSORS), "--random-seed", "11", "--start-time", "2026-01-01T00:00:00+00:00")
SETTINGS = ("--index", "all", "--samples", str(SAMPLES), "--profile", "small", "--checkpoint-seconds", "1")
FAILOVER = ("--failover-seconds", "3")


@pytest.fixture
def stream(tmp_path):
    """Address of a local stream with two shards, in a process of its own."""
    with Cutwater("stream", "--port", "0", "--create", "RawStreamData", "--shards", "2", folder=tmp_path) as process:
        yield process.find(r"Kinesis API at (http://\S+)")


def documents(folder: Path) -> list[str]:
    """All documents below a data_dir, sorted."""
    found = []
    for path in folder.rglob("cutwater.db"):
        with sqlite3.connect(path) as db:
            found += [text for (text,) in db.execute("SELECT document FROM document")]
    return sorted(found)


def shards_of(service: Service) -> list[str]:
    status = service.get("/status")
    return [shard["shard"] for shard in status["shards"] if shard["owner"] == status["worker"]]


def test_when_one_of_two_workers_is_killed_the_other_goes_on_with_its_models(stream, tmp_path):
    """The documents equal those of one worker that was never disturbed, scores included."""
    bucket = aws.unique("bucket")
    environment = aws.environment(dynamodb=aws.moto(), s3=aws.moto())
    with aws.here(s3=aws.moto()):
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=bucket)
    shared = ("--lease-table", aws.unique("leases"), "--snapshot-url", f"s3://{bucket}/models", *SETTINGS, *FAILOVER)
    writing = ("simulate", "--endpoint-url", stream, "--count", str(COUNT), "--rate", "200", *READINGS)
    with (
        Service(stream, *shared, "--data-dir", "shared", folder=tmp_path, environment=environment) as one,
        Service(stream, *shared, "--data-dir", "shared", folder=tmp_path, environment=environment) as two,
        Cutwater(*writing, folder=tmp_path) as writer,
    ):
        two.wait_for(lambda: len(shards_of(one)) == len(shards_of(two)) == 1, "equal shares")
        two.wait_for(lambda: one.get("/status")["readings"]["scored"] > 200, "scores")
        one.process.kill()
        two.wait_for(lambda: len(shards_of(two)) == 2, "the dead worker's shard")
        assert writer.process.wait(120) == 0, writer.output
        whole = COUNT - SENSORS * SAMPLES
        two.wait_for(lambda: len(documents(tmp_path / "shared")) == whole, f"{whole} documents")
        assert two.terminate() == 0, two.output
    with Service(stream, *SETTINGS, "--data-dir", "alone", folder=tmp_path) as alone:
        alone.wait_for_readings(COUNT)
        assert alone.terminate() == 0
    assert documents(tmp_path / "shared") == documents(tmp_path / "alone")


def test_lease_table_without_snapshot_url_is_refused(stream, tmp_path):
    code, output = run("run", "--endpoint-url", stream, "--lease-table", "leases", folder=tmp_path)
    assert code == 2
    assert "lease_table = 'leases' needs snapshot_url" in output


def test_a_bucket_that_is_not_there_ends_the_start_with_one_clear_line(stream, tmp_path):
    arguments = ("run", "--endpoint-url", stream, "--snapshot-url", "s3://absent-bucket-of-nobody/x")
    code, output = run(*arguments, folder=tmp_path, environment=aws.environment(s3=aws.moto()))
    assert code == 1
    assert "make the bucket" in output.splitlines()[-1]
    assert "Traceback" not in output


def test_a_damaged_snapshot_ends_the_start_with_one_clear_line_or_is_learnt_anew(stream, tmp_path):
    code, output = run("simulate", "--endpoint-url", stream, "--count", "500", *READINGS, folder=tmp_path)
    assert code == 0, output
    with Service(stream, *SETTINGS, folder=tmp_path) as service:
        service.wait_for_readings(500)
        assert service.terminate() == 0, service.output
    with sqlite3.connect(tmp_path / "data" / "cutwater.db") as db:
        db.execute("UPDATE snapshot SET data = substr(data, 1, length(data) - 1)")
    code, output = run("run", "--endpoint-url", stream, "--port", "0", *SETTINGS, folder=tmp_path)
    assert code == 1
    assert "is damaged: its checksum does not match; restore it from a copy, or set on_bad_snapshot = learn" in output
    assert "Traceback" not in output
    with Service(stream, *SETTINGS, "--on-bad-snapshot", "learn", folder=tmp_path) as service:
        service.find(r"(all its sensors are learnt anew)")
        assert service.terminate() == 0, service.output
