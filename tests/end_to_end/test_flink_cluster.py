"""The job on a real cluster: a JobManager and TaskManagers as processes, started by the wheel's own scripts.

CUTWATER_TEST_FLINK names the Python that has it; CUTWATER_TEST_FLINK_SENSORS how many sensors there are.
"""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.test_flink import expected, lines
from tests.servers.bulk import BulkServer
from tests.servers.flink import cluster

pytestmark = [pytest.mark.flink_cluster, pytest.mark.timeout(1800)]
SENSORS = int(os.environ.get("CUTWATER_TEST_FLINK_SENSORS", "100"))
CHUNKS, OF_A_CHUNK, LEARNT = 5, 20, 16  # readings of a sensor
START = 1_700_000_000_000
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
