"""Events of every format in every server: nothing is refused, no field is added, and old queries find them."""

import gzip
import json

import pytest

from service.pipeline.decode.event_decoder import EventDecoder
from service.pipeline.decode.formats.cloudtrail import CloudTrail
from service.pipeline.decode.formats.flow_log import FlowLog
from service.pipeline.decode.formats.json_events import JSONEvents
from service.pipeline.decode.formats.ossec import OSSEC
from service.pipeline.event_stage import EventDocuments
from service.pipeline.records import Position, Record
from service.sinks.index.event_fields import EVENT_FIELDS, EventLayout
from service.sinks.index.opensearch import OpenSearchIndex
from service.sinks.index.prepare import flat
from service.stores import opened
from tests.service.pipeline.decode.events import ARRIVAL, SAMPLES
from tests.service.stores import SPECS, ServerStore

FREE = JSONEvents(
    {"event.action": ("keyword", "eventName"), "user": ("object", "userIdentity"), "level": ("double", "rule.level")},
    "at",
)
FORMATS = {each.name: each for each in (CloudTrail(), FlowLog(), OSSEC("Europe/Berlin"), FREE)}
# Of each format, a query as it was written before and how many of the samples it finds.
QUERIES = {
    "ossec": [
        ('rule.level: 6 AND @log_stream: "i-0abc" AND srcip: 10.10.10.10', 1),
        ("rule.sidid: 5716 AND rule.comment: *failed*", 2),
        ("rule.level: [10 TO 16] AND @log_group: hids AND @owner: 000000000042", 1),
        ('@message: "session opened" AND full_log: sudo', 1),
        ("data.srcip: 198.51.100.0\\/24", 2),
        ("rule.group: authentication_failed AND location: *junction*", 1),
        ("SyscheckFile.path: \\/etc\\/hosts", 1),
    ],
    "flow-log": [
        ("srcaddr: 203.0.113.9 AND action: ACCEPT AND dstport: [1 TO 1023]", 1),
        ("destaddr: 10.1.2.3 AND account-id: 000000000042 AND interface-id: eni-0a1b2c3d4e5f60718", 2),
        ("log-status: (NODATA OR SKIPDATA) AND @timestamp: [2026-11-27T02:00:00Z TO 2026-11-27T03:00:00Z]", 2),
        ("NOT dstport: 123 AND protocol: 17", 1),
        ('srcaddr: "2001:db8::/32"', 1),
        ("record.made-up-field: something", 1),
    ],
    "cloudtrail": [
        ("eventName: RunInstances AND sourceIPAddress: 203.0.113.0\\/24", 1),
        ("detail.eventName: (RunInstances OR TerminateInstances) AND detail.awsRegion: eu-west-1", 2),
        ("userIdentity.type: Root AND responseElements.ConsoleLogin: Success", 1),
        ("errorCode: *UnauthorizedOperation", 1),
        ("record.requestParameters.keyName: ops", 1),
        ("detail-type: *State-change* AND account: 000000000042", 1),
    ],
    "json": [("record.eventSource: ec2.amazonaws.com AND event.action: RunInstances", 1)],
}  # fmt: skip


def records(format_):
    """Each sample of a format as a record, and alerts as CloudWatch Logs delivers them."""
    folder = SAMPLES / ("cloudtrail" if format_.name == "json" else format_.name)
    data = []
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        data += [whole] if file.suffix == ".log" else whole.splitlines()
    if format_.name == "ossec":
        alerts = [line.decode() for line in data if line.startswith(b"{")]
        events = [{"id": f"{n:056d}", "timestamp": ARRIVAL, "message": alert} for n, alert in enumerate(alerts)]
        payload = {"messageType": "DATA_MESSAGE", "owner": "000000000042", "logGroup": "hids", "logStream": "i-0abc"}
        data = [data[0], gzip.compress(json.dumps({**payload, "logEvents": events}).encode())]
    return [Record(Position(number), "key", ARRIVAL, each) for number, each in enumerate(data)]


def documents(format_):
    """Of all samples."""
    source = records(format_)
    decoded = EventDecoder(format_).decode(source)
    made = EventDocuments(
        "stream",
        "shard",
        format_.name,
        decoded.events,
        [source[number] for number in decoded.records],
        decoded.ordinals,
    )
    return [made[number] for number in range(len(made))]


@pytest.mark.parametrize("server", SPECS)
async def test_all_samples_are_indexed_and_found_by_their_old_names(server):
    for name, format_ in FORMATS.items():
        store = ServerStore(SPECS[server])
        layout = EventLayout(format_.mapping, format_.aliases)
        every = documents(format_)
        async with opened(OpenSearchIndex(store.server.url, store.prefix, ("value",), events=layout)) as index:
            assert await index.write(every) == []
            assert await index.write(every) == [], "again, which changes nothing"
        pattern = f"{store.prefix}-events-*"
        assert store.server.count(pattern) == len({each.id for each in every}) > 5
        known = format_.mapping.keys() | format_.aliases.keys() | EVENT_FIELDS.keys()
        for body in store.server.request("GET", f"/{pattern}/_mapping").values():
            assert flat(body["mappings"]).keys() == known
        for query, expected in QUERIES[name]:
            body = {"query": {"query_string": {"query": query}}, "track_total_hits": True}
            answer = store.server.request("POST", f"/{pattern}/_search", body)
            assert "error" not in answer, answer
            assert (query, answer["hits"]["total"]["value"]) == (query, expected)
