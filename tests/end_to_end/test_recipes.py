"""Each recipe as real processes, on a real server: what is indexed is what a count of the test's own finds."""

import asyncio
import gzip
import json
from collections import Counter
from datetime import datetime

import pytest

from simulator.events import NAMES, generator
from tests.end_to_end.processes import Cutwater, Service, run
from tests.servers import opensearch
from tests.simulator.conftest import kinesis

HOUR, MINUTE = 3_600_000, 60_000
START = 1_790_000_000_000 // HOUR * HOUR
SECONDS, RATE = 1800, 1.0
PROGRAMS = {
    "clickstream": "articles",
    "ec2-api-events": "operations",
    "vpc-flow-logs": "coverage",
    "ossec-alerts": "hosts",
}


def milliseconds(text):
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def click(event):
    return milliseconds(event["timestamp"]), str(event["article_id"])


def call(event):
    return milliseconds(event["detail"]["eventTime"]), event["detail"]["eventName"]


def flow(line):
    return int(line.split()[11]) * 1000, line.split()[13]


def alert(line):
    body = json.loads(line)
    return body["TimeStamp"], body.get("agent_name") or body["hostname"]


def told(recipe, data):
    """Time and key of each event in a record, read without any of the service's code."""
    if recipe in ("vpc-flow-logs", "ossec-alerts"):
        payload = json.loads(gzip.decompress(data))
        lines = payload["logEvents"] if payload["messageType"] == "DATA_MESSAGE" else []
        return [(flow if recipe == "vpc-flow-logs" else alert)(line["message"]) for line in lines]
    return [(click if recipe == "clickstream" else call)(json.loads(data))]


async def put(endpoint_url, stream, records):
    async with kinesis(endpoint_url) as client:
        for start in range(0, len(records), 500):
            part = [{"Data": each.data, "PartitionKey": each.partition_key} for each in records[start : start + 500]]
            answer = await client.put_records(StreamName=stream, Records=part)
            assert not answer["FailedRecordCount"]


def hits(url, index):
    opensearch.request(url, "POST", f"/{index}-*/_refresh")
    found, after = [], []
    while True:
        body = {"size": 5000, "sort": [{"@timestamp": "asc"}, {"event.id": "asc"}]} | (
            {"search_after": after} if after else {}
        )
        page = opensearch.request(url, "POST", f"/{index}/_search", body)["hits"]["hits"]
        if not page:
            return found
        found += [hit["_source"] for hit in page]
        after = page[-1]["sort"]


@pytest.mark.servers
@pytest.mark.parametrize("recipe", NAMES)
def test_what_the_server_has_is_what_was_in_the_stream(recipe, tmp_path):
    url, prefix = opensearch.shared(opensearch.OPENSEARCH_3).url, opensearch.unique_prefix()
    records = list(generator(recipe).generate(START, RATE, SECONDS, 5, None))
    events = [each for record in records for each in told(recipe, record.data)]
    assert len(events) > 1000
    code, output = run("init", recipe, ".", folder=tmp_path)
    assert code == 0, output
    with Cutwater("stream", "--port", "0", "--create", "events", "--shards", "2", folder=tmp_path) as stream:
        endpoint_url = stream.find(r"Kinesis API at (http://\S+)")
        asyncio.run(put(endpoint_url, "events", records))
        index = ("--stream", "events", "--opensearch-url", url, "--index-prefix", prefix)
        with Service(endpoint_url, *index, folder=tmp_path) as service:

            def through():
                status = service.get("/status")
                busy = any(shard["in_flight_bytes"] for shard in status["shards"])
                return status if status["records"] == len(records) and not busy else None

            status = service.wait_for(through, "all records")
            assert status["readings"]["dead"] == 0, service.get("/dead-letter?limit=3")
            assert status["events"]["events"] == len(events)
            assert service.terminate() == 0, service.output
    assert len(hits(url, f"{prefix}-events")) == len(events)
    expected = Counter((time // MINUTE * MINUTE, key) for time, key in events)
    found, shards = Counter(), set()
    for window in hits(url, f"{prefix}-windows"):
        if window["window.program"] == PROGRAMS[recipe]:
            found[(milliseconds(window["window.start"]), window["window.key"])] += window["window.events"]
            shards.add(window["shard"])
    last = max(time for time, _ in events) - 5 * MINUTE  # the windows of each shard's last minutes are still open
    assert {key: count for key, count in found.items() if key[0] < last and count} == {
        key: count for key, count in expected.items() if key[0] < last
    }
    assert shards
