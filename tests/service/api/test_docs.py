"""The OpenAPI description is what the API does: schemathesis asks a service at work all that it describes."""

import asyncio
import sys
from contextlib import asynccontextmanager

import httpx
import orjson
import pytest
from hypothesis import settings

from service.api import docs
from service.api.app import build
from service.settings.model import load
from service.worker.server import serve
from service.worker.service import Service
from simulator.stream import LocalStream
from tests.servers.browser import chromium
from tests.service.api.conftest import serving
from tests.simulator.conftest import kinesis

EXAMPLES = settings.default.max_examples // 8  # for each operation
ENDLESS = "/scores/stream"  # its answer has no end; test_scores.py reads it


@asynccontextmanager
async def at_work(folder, headers=(), **more):
    """The address of a service that has read a stream: readings of two sensors, one of them out of place."""
    rows = [
        {"iotName": name, "iotValue": 10.0 + number % 5 + 1000 * (number == 290), "site": "north"}
        for number in range(300)
        for name in ("DemoSensor", "other")
    ]
    records = [{"Data": orjson.dumps(row), "PartitionKey": row["iotName"]} for row in rows] + [
        {"Data": b"{", "PartitionKey": "x"}
    ]
    async with LocalStream(streams={"RawStreamData": 1}) as local, kinesis(local.endpoint_url) as client:
        for start in range(0, len(records), 500):
            await client.put_records(StreamName="RawStreamData", Records=records[start : start + 500])
        given = {"data_dir": folder, "endpoint_url": local.endpoint_url, "label_fields": "site", "samples": 64, **more}
        async with (
            Service.open(load(given, {})) as service,
            serve(build(service), "127.0.0.1", 0) as address,
            httpx.AsyncClient(base_url=address, timeout=60, headers=dict(headers)) as api,
        ):
            running = asyncio.create_task(service.run())
            while not (await api.get("/dead-letter")).json().get("dead_letters"):  # at first its store is not open
                assert not running.done()
                await asyncio.sleep(0.05)
            yield address
            service.stop()
            await running


@pytest.mark.parametrize(
    ("token", "phases"),
    [("", "examples"), ("operate-0123456789abcdef", "examples,coverage,fuzzing")],
    ids=["open", "token"],
)
async def test_every_check_of_schemathesis_passes(tmp_path, token, phases):
    """Its phases with all its checks; what an open service lets in besides is only who may ask."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    given = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    async with at_work(tmp_path, headers, api_token=token) as address:
        run = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json", "--no-color"),
            *("--phases", phases, "--checks", "all", "--max-examples", str(EXAMPLES)),
            *("--seed", "1", "--continue-on-failure", "--request-timeout", "60", "--exclude-path", ENDLESS),
            *("--generation-database", "none", *given),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await run.communicate()
    assert run.returncode == 0, output.decode()


async def test_the_description_is_made_for_the_settings_of_the_service(tmp_path):
    async with at_work(tmp_path) as address, httpx.AsyncClient(base_url=address) as api:
        described = (await api.get("/openapi.json")).json()
    parameters = {each["name"]: each["schema"] for each in described["paths"]["/scores"]["get"]["parameters"]}
    assert parameters["label"]["items"]["pattern"] == "^(site):"
    assert {"feature_data_iotValue", "labels.site", "row"} <= set(parameters["fields"]["items"]["enum"])
    assert described["components"]["schemas"]["Reading"]["properties"]["values"]["required"] == ["iotValue"]


def test_the_written_reference_has_every_route_with_its_parameters():
    text = docs.documentation()
    for heading in ("## GET /scores", "## GET /anomalies", "## POST /score", "## GET /sensors", "## GET /dead-letter"):
        assert heading in text
    assert "| `min_severity` | integer ≥ 0 ≤ 100 |" in text


async def test_the_page_of_the_api_works_without_anything_from_outside(tmp_path):
    asked = []
    async with (
        serving(tmp_path) as (service, _),
        serve(build(service), "127.0.0.1", 0) as address,
        chromium() as browser,
    ):
        page = await browser.new_page()

        async def only_here(route):
            asked.append(route.request.url)
            await (route.continue_() if route.request.url.startswith((address, "data:")) else route.abort())

        await page.route("**/*", only_here)
        await page.goto(f"{address}/docs")
        await page.wait_for_selector("#operations-default-scores")
        paths = await page.locator(".opblock-summary-path").all_inner_texts()
        await page.close()
    described = build(service).openapi()["paths"]
    assert len(paths) == sum(map(len, described.values()))
    assert [url for url in asked if not url.startswith((address, "data:"))] == []
