"""The container image, built and run for real, as locked up as it goes."""

import socket
import time

import httpx
import pytest

from tests.end_to_end.processes import Cutwater, run
from tests.servers import image

SAMPLES, READINGS = 16, 200
TIMEOUT = 60.0  # s
pytestmark = pytest.mark.timeout(900)  # of which the build takes most


@pytest.fixture(scope="module")
def port():
    """A free port: health checks need to know it beforehand."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def container(port, tmp_path_factory):
    """A container that reads a local stream of this machine, healthy."""
    built, folder = image.build(), tmp_path_factory.mktemp("image")
    with Cutwater("stream", "--port", "0", "--create", "RawStreamData", folder=folder) as stream:
        endpoint_url = stream.find(r"Kinesis API at (http://\S+)")
        code, output = run("simulate", "--endpoint-url", endpoint_url, "--count", str(READINGS), folder=folder)
        assert code == 0, output
        settings = {"endpoint_url": endpoint_url, "port": port, "samples": SAMPLES, "poll_seconds": 0.2}
        settings["api_open"] = True  # the image listens on every address
        environment = {f"CUTWATER_{name.upper()}": str(value) for name, value in settings.items()}
        with built.container(environment) as container:
            container.await_healthy()
            yield container


def test_process_is_unprivileged(container):
    status = dict(line.split(":\t", 1) for line in container.execute("cat", "/proc/1/status").splitlines())
    assert set(status["Uid"].split()) == {"10001"}
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"


def test_root_is_read_only_and_state_is_in_data(container):
    with pytest.raises(RuntimeError, match="Read-only file system"):
        container.execute("touch", "/opt/cutwater/probe")
    assert "cutwater.db" in container.execute("ls", "/data").split()


def test_readings_of_a_stream_are_scored(container, port):
    expected = {"learning": SAMPLES, "scored": READINGS - SAMPLES, "dead": 0}
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        readings = httpx.get(f"http://127.0.0.1:{port}/status").json()["readings"]
        if readings["received"] == READINGS:
            break
        time.sleep(0.1)
    assert {name: readings[name] for name in expected} == expected


def test_forest_was_compiled_into_the_image(container):
    assert container.execute("find", "/var/cache/numba", "-name", "*.nbc")
    assert container.execute("find", "/var/cache/numba", "-name", "*.nbc", "-newer", "/etc/hostname") == ""


def test_sigterm_stops_it_within_five_seconds(container):
    assert container.stop(seconds=5) == 0
    assert "stopped: all that was fetched is indexed and committed" in container.log()
