"""The wheel, installed into an environment that has nothing else."""

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
import venv
from pathlib import Path

import pytest

from tests.end_to_end.processes import Cutwater
from tests.servers import unavailable

PROJECT = Path(__file__).parents[2]
OWN = {"detector", "llvmlite", "numba", "numpy", "orjson", "zstandard"}

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The interpreter of a new environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(PROJECT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    if "No matching distribution" in done.stdout + done.stderr or "ConnectionError" in done.stdout + done.stderr:
        unavailable("no package index, from which the build takes hatchling")
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "environment", with_pip=True)
    python = folder / "environment" / "bin" / "python"
    wanted = ("--quiet", "-c", str(PROJECT / "constraints.txt"), str(wheel))
    fast = [str(shutil.which("uv")), "pip", "install", "--python", str(python), *wanted]
    if not shutil.which("uv") or subprocess.run(fast, check=False).returncode:  # it does not read pip's settings
        subprocess.run([python, "-m", "pip", "install", *wanted], check=True)
    return python


def test_the_demo_runs_and_serves_its_page(python, tmp_path):
    files = {"": b"<title>", "docs": b"swagger", "metrics": b"cutwater_readings_scored_total"}
    with Cutwater("demo", "--port", "0", folder=tmp_path, interpreter=python, pythonpath=None) as demo:
        address = demo.find(r"(http://127\.0\.0\.1:\d+)/?\s")
        for name, part in files.items():
            with urllib.request.urlopen(f"{address}/{name}", timeout=30) as answer:
                assert part.lower() in answer.read().lower()
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(60) == 0, demo.output


def test_the_detector_brings_nothing_of_the_service(python, tmp_path):
    command = [python, "-X", "importtime", "-c", "import detector"]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=clean)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    packages = {path.name.partition(".")[0] for path in python.parents[1].glob("lib/python*/site-packages/*")}
    assert "detector" in loaded
    assert loaded & packages <= OWN | {name for name in packages if name.startswith("_")}
