"""Sensors with hostile names through everything: stream, index, API, CSV, page and charts show them as plain text."""

import asyncio
import csv
import io
import json
import random
import time

import httpx
import pytest
from playwright.async_api import expect

from service.operate.dashboards import panels
from simulator.reading import Reading
from simulator.writer import Writer
from tests.end_to_end.processes import Cutwater, Service, run
from tests.servers import opensearch
from tests.servers.browser import chromium
from tests.simulator.conftest import kinesis

NAMES = [
    "quotes \" and ' and \\",
    "line\nbreak\r\ttab",
    "<script>document.title='broken'</script>",
    "<img src=x onerror=document.title='broken'>",
    "../../etc/passwd",
    "%2e%2e%2f?sensor=x&limit=1#top",
    "{{template}} ${jndi:ldap://x} %s %n",
    "'; DROP TABLE document; --",
    '=HYPERLINK("http://x","y"),\n"',
    "🌡️ émoji ‮rtl",
    "_id",
    "x" * 10_240,
    "é" * 5_120,
]
READINGS, SAMPLES = 80, 32


def readings():
    """Ordinary values, then one that is not, of every sensor in turn."""
    values = random.Random(3)
    for number in range(READINGS):
        for code, name in enumerate(NAMES):
            value = 117 if number == READINGS - 1 else values.randrange(10, 21)
            time = f"2026-01-01T{number // 60:02d}:{number % 60:02d}:00Z"
            body = {"iotName": name, "iotValue": value, "iotTime": time, "plant": {"name": name[:300]}}
            yield Reading(f"key-{code}", 0, json.dumps(body).encode())


async def put(endpoint_url):
    async with kinesis(endpoint_url) as client:
        await Writer(client, "RawStreamData").write(readings())


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    """(service, URL of the index server, prefix) with all readings scored and indexed."""
    folder, prefix = tmp_path_factory.mktemp("hostile"), opensearch.unique_prefix()
    url = opensearch.shared(opensearch.OPENSEARCH_3).url
    with Cutwater("stream", "--port", "0", "--create", "RawStreamData", folder=folder) as stream:
        endpoint_url = stream.find(r"Kinesis API at (http://\S+)")
        asyncio.run(put(endpoint_url))
        more = ("--samples", str(SAMPLES), "--label-fields", "site=plant.name")
        where = ("--opensearch-url", url, "--index-prefix", prefix)
        with Service(endpoint_url, *more, *where, folder=folder) as service:
            service.wait_for_readings(READINGS * len(NAMES))
            wait_until_all_are_found(url, prefix)
            yield service, url, prefix, folder


def outliers(documents):
    return {each["sensor"]: each for each in documents if float(each["feature_data_iotValue"]) == 117}


def search(url, prefix, body):
    opensearch.count(url, prefix)  # refreshes
    return opensearch.request(url, "POST", f"/{prefix}/_search", {"size": 10_000} | body)


def wait_until_all_are_found(url, prefix):
    """Scored is not yet written, and written is not yet refreshed."""
    deadline = time.monotonic() + 60
    while outliers(hit["_source"] for hit in search(url, prefix, {})["hits"]["hits"]).keys() != set(NAMES):
        assert time.monotonic() < deadline, "not all outliers came to the index"
        time.sleep(0.2)


def test_the_index_finds_each_by_its_name(harness):
    _, url, prefix, _ = harness
    for name in NAMES:
        query = {"bool": {"filter": [{"term": {"sensor": name}}, {"term": {"labels.site": name[:300]}}]}}
        hits = search(url, prefix, {"query": query})["hits"]["hits"]
        assert outliers(hit["_source"] for hit in hits).keys() == {name}


def test_the_api_and_its_tables_give_each_back(harness):
    service, _, _, _ = harness
    for name in NAMES:
        answer = httpx.get(f"{service.address}/scores", params={"sensor": name, "anomalies": True}, timeout=30)
        assert outliers(answer.json()["scores"]).keys() == {name}
    text = httpx.get(f"{service.address}/scores", params={"limit": 10_000, "format": "csv"}, timeout=30).text
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert outliers(rows).keys() == set(NAMES)
    assert {each["labels.site"] for each in outliers(rows).values()} == {name[:300] for name in NAMES}
    sensors = httpx.get(f"{service.address}/sensors").json()["sensors"]
    assert {sensor["sensor"] for sensor in sensors} == set(NAMES)


def test_an_export_holds_each(harness):
    _, url, prefix, folder = harness
    where = ("--opensearch-url", url, "--index-prefix", prefix)
    code, output = run("export", *where, "--format", "csv", "--output", "all.csv", folder=folder)
    assert code == 0, output
    with (folder / "all.csv").open(newline="", encoding="utf-8") as file:
        assert outliers(csv.DictReader(file)).keys() == set(NAMES)


def test_the_charts_have_each_as_a_key(harness):
    _, url, prefix, _ = harness
    (worst,) = (panel for panel in panels(["iotValue"]) if panel.name == "worst")
    buckets = search(url, prefix, worst.search())["aggregations"]["b"]["buckets"]
    assert {bucket["key"] for bucket in buckets} == set(NAMES)


async def test_the_page_shows_each_as_text(harness):
    service, _, _, _ = harness
    problems = []
    async with chromium() as browser:
        page = await browser.new_page()
        page.on("dialog", lambda dialog: problems.append(dialog.message))
        page.on("pageerror", lambda error: problems.append(str(error)))
        outside = lambda request: None if request.url.startswith(service.address) else problems.append(request.url)  # noqa: E731
        page.on("request", outside)
        await page.goto(service.address)
        await page.locator("#anomalies .name").nth(len(NAMES) - 1).wait_for()
        assert set(NAMES) <= set(await page.locator("#anomalies .name").all_text_contents())
        for name in NAMES[:4]:
            await page.get_by_role("combobox", name="Sensor").fill(name.splitlines()[0])
            await expect(page.locator("#options .name").first).to_have_text(name, use_inner_text=False)
            await page.keyboard.press("Escape")
        assert await page.locator("img[src=x]").count() == 0
        assert "broken" not in (await page.title()).partition("·")[2]
    assert problems == []
