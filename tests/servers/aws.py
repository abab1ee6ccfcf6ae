"""DynamoDB, S3 and EC2 as real processes: moto from PyPI for all, dynalite from npm for the former."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import httpx

from tests.servers import kinesis, sharing

DYNALITE = kinesis.Emulator(
    package="dynalite",
    version="4.0.0",
    variable="CUTWATER_TEST_DYNALITE_URL",
    main="cli.js",
    port=4567,
    arguments=("--createTableMs=10", "--deleteTableMs=10", "--updateTableMs=10"),
)
_PATIENCE = 60.0


@functools.cache
def moto() -> str:
    """URL of the one moto server that all tests share; they keep apart by names."""
    return sharing.once("moto", _start_moto)


def _start_moto(life: int) -> str:
    process = subprocess.Popen(
        [sys.executable, "-c", _MOTO],
        stdin=life,  # never written to; when it ends, so does the process
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # a Ctrl-C at the tests is ours to handle
    )
    assert process.stdout is not None
    url = f"http://127.0.0.1:{int(process.stdout.readline())}"
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/moto-api/data.json", timeout=10).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return url
    raise RuntimeError("moto does not answer")


def dynalite() -> str:
    """URL of the one dynalite that all tests share."""
    return kinesis.shared(DYNALITE)


def unique(prefix: str) -> str:
    """A name that nobody else uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def environment(*, dynamodb: str = "", s3: str = "", ec2: str = "") -> dict[str, str]:
    """What leads a process to these servers."""
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}
    return keys | {
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb or "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_S3": s3 or "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_EC2": ec2 or "http://127.0.0.1:9",
    }


@contextmanager
def here(**servers: str) -> Iterator[None]:
    """Lead this process to these servers."""
    with patch.dict(os.environ, environment(**servers)):
        yield


_MOTO = """
import contextlib, sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0)
with contextlib.redirect_stdout(None):
    server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
