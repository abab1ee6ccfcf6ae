"""The job on a real Flink, a small cluster within a process: with the Python of `make venv-flink`, or another.

Its workers are killed while it runs; what it wrote is compared with what the core makes of the same readings.
"""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import psutil
import pytest

from service.assembly import make_core, make_decoder
from service.flink.group import GROUPS, NEVER, Group, group_of, rows_of
from service.pipeline.records import Position, Record
from service.settings.model import load

PYTHON = str(Path(os.environ.get("CUTWATER_TEST_FLINK") or ".venv-flink/bin/python").absolute())
pytestmark = pytest.mark.timeout(900)


def write(folder: Path, sensors: int, each: int) -> None:
    """Readings in two files, each sensor's in one of them, and a line in each that is none."""
    noise = random.Random(1)
    for shard in range(2):
        with (folder / f"shard-{shard}.json").open("w") as file:
            for at in range(each):
                for number in range(shard, sensors, 2):
                    value = 10 * math.sin(at / 9 + number) + noise.gauss(0, 1)
                    reading = {"iotName": f"s{number}", "iotTime": 1_700_000_000_000 + at * 1000, "iotValue": value}
                    file.write(json.dumps(reading) + "\n")
            file.write("no reading\n")


def expected(folder: Path, samples: int = 32) -> dict[str, bytes]:
    """What the core makes of them, by id."""
    settings = load({"index": "all", "samples": samples, "silent_after": 0}, {})
    decoder, rows = make_decoder(settings), {}
    for file in sorted(folder.iterdir(), key=_number):
        for line in file.read_bytes().splitlines()[:-1]:  # the last one is no reading
            for sensor, row in rows_of(decoder.decode([Record(Position(0), "", NEVER, line)])):
                rows.setdefault(group_of(sensor, GROUPS), []).append(row)
    found = {}
    for number, mine in rows.items():
        group = Group(lambda number=number: make_core(settings, f"group-{number}"), every=10**9)
        for row in mine:
            group.add(row)
        found |= {each.id: orjson.dumps({"_id": each.id, **each.document}) for each in group.process().documents}
    return found


def _number(file: Path) -> int:
    return int(file.name.split("-")[0]) if file.name[0].isdigit() else 0


def lines(folder: Path) -> list[bytes]:
    return [line for part in folder.rglob("part-*") for line in part.read_bytes().splitlines()]


@pytest.mark.flink
def test_a_job_whose_workers_are_killed_writes_each_document_once(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in", sensors=20, each=300)
    command = [
        *(PYTHON, "-m", "service.cli", "flink", "run", "--input", str(tmp_path / "in"), "--output", "out"),
        *("--index", "all", "--samples", "32", "--parallelism", "1", "--checkpoint-every", "0.2"),
        *("--checkpoints", (tmp_path / "checkpoints").as_uri()),
        *("--set", "restart-strategy.type=fixed-delay", "--set", "restart-strategy.fixed-delay.attempts=9"),
        *("--set", "restart-strategy.fixed-delay.delay=100ms"),
    ]
    job = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(Path.cwd())})
    killed = 0
    while job.poll() is None:
        time.sleep(0.2)
        if not killed and any((tmp_path / "checkpoints").rglob("_metadata")):
            for worker in psutil.Process(job.pid).children(recursive=True):
                if "pyflink.fn_execution.beam" in " ".join(worker.cmdline()):
                    worker.send_signal(signal.SIGKILL)
                    killed += 1
    assert job.returncode == 0
    assert killed > 0
    wanted = expected(tmp_path / "in")
    written = lines(tmp_path / "out" / "documents")
    assert len(written) == len(wanted) == 20 * (300 - 32)  # none lost, none doubled
    assert {orjson.loads(line)["_id"]: line for line in written} == wanted
    assert len(lines(tmp_path / "out" / "dead-letters")) == 2


def test_without_flink_the_command_says_where_it_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service.cli", "flink", "run", "--input", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "`make venv-flink`" in done.stderr) == (1, True)
