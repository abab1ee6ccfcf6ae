"""The chaos scenarios, short: nothing is lost, doubled or different, whatever is killed. See tests/chaos."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.chaos.compare import compare
from tests.chaos.worker import MOMENTS

ROOT = Path(__file__).parents[2]
OUTAGE = 120  # s
# What each scenario is told, and how often it kills: each moment once, here or there. All of them, again and again, and
# under more load: python -m tests.chaos --kills 100
SCENARIOS = {
    "kills": (("documents", "snapshot"), 2),
    "windows": (("acknowledged", "committed"), 2),
    "workers": ((), 1),
    "reshard": ((), 3),
    "anew": ((), 0),
    "storm": (("lease",), 1),
}


def start(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.chaos.tied", "tests.chaos", *arguments, "--folder", str(folder), "--json"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def result(process: subprocess.Popen[str]) -> dict:
    """Its last line, once it has ended; what it printed if it failed."""
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return json.loads(output.splitlines()[-1])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """By the scenarios' names: what came of them, or is to come. Two run at a time, as they mostly wait."""

    def run(name: str) -> dict:
        moments, kills = SCENARIOS[name]
        told = [word for moment in moments for word in ("--moment", moment)]
        load = ("--kills", str(kills), "--rate", "600")
        return result(start("--scenario", name, *load, *told, folder=tmp_path_factory.mktemp(name)))

    with ThreadPoolExecutor(2) as two:
        yield {name: two.submit(run, name) for name in SCENARIOS}


@pytest.fixture(scope="module")
def outage(tmp_path_factory):
    """A long outage of OpenSearch, going on while the other scenarios run."""
    process = start("--scenario", "outage", "--outage-seconds", str(OUTAGE), folder=tmp_path_factory.mktemp("outage"))
    yield process
    process.send_signal(signal.SIGINT)  # which ends what it has started, too
    process.wait(60)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_documents_are_those_of_an_undisturbed_run(outage, runs, scenario):
    found = runs[scenario].result()
    assert found["documents"] > 2_000
    assert (found["kills"], found["lost"], found["doubled"], found["different"]) == (SCENARIOS[scenario][1], 0, 0, 0)


def test_workers_die_at_each_moment():
    told = sorted(moment for moments, _ in SCENARIOS.values() for moment in moments)
    assert [*told, "taken"] == sorted(MOMENTS)  # reshard has a worker die with what it has just taken, too


@pytest.mark.timeout(900)
def test_an_index_that_is_away_for_minutes_costs_nothing(outage):
    found = result(outage)
    assert found["documents"] > 2_000
    assert (found["kills"], found["lost"], found["doubled"], found["different"]) == (1, 0, 0, 0)


@pytest.mark.timeout(300)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends processes with their parents")
def test_nothing_outlives_a_run_that_is_killed(tmp_path):
    with start("--scenario", "kills", "--kills", "1", folder=tmp_path) as run:
        workers = tmp_path / "kills"
        await_that(lambda: any(log.stat().st_size for log in workers.glob("worker-*.log")))
        started = psutil.Process(run.pid).children(recursive=True)
        run.kill()
        assert len(started) >= 4  # the stream, the writer, the server that forks, and a worker at least
        await_that(lambda: not any(map(lives, started)))


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def await_that(condition: Callable[[], bool]) -> None:
    while not condition():  # for as long as the test may take
        time.sleep(0.1)


def test_what_differs_is_counted():
    expected = {"a": [b"1"], "b": [b"2"], "c": [b"3"], "d": [b"4"]}
    found = {"a": [b"1"], "b": [b"other"], "c": [b"3", b"3"], "e": [b"5"]}
    difference = compare(expected, found)
    assert (difference.documents, difference.lost, difference.doubled, difference.different) == (4, 1, 2, 1)
    assert difference.examples == ("d", "e", "b")
    assert compare(expected, expected).none
