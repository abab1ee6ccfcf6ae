"""The task's role can do exactly what the service calls: calls are recorded as they happen, and held to the policy."""

import asyncio
import json

import pytest
from aiobotocore.client import AioBaseClient
from aiobotocore.session import AioSession

from service.settings.groups.notify import NotifyTable
from service.settings.model import load
from service.sinks.notify.trial import try_route
from service.source.client import connect
from service.state.leases import Lease
from service.stores import make_blobs, make_lease_store
from service.worker.service import Service
from simulator.stream import LocalStream
from tests.deploy.templates import DEPLOY, listed, statements, template
from tests.servers import aws

PERMISSIONS = {  # of calls that are called otherwise
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:DeleteObjects": "s3:DeleteObject",
}
SERVICES = {"kinesis", "dynamodb", "s3", "sns", "events"}
ENRICHING = {"ReadTables", "ReadNetworkInterfaces"}  # recorded by the tests of these tables
ROLE = "arn:aws:iam::123456789012:role/reader"


@pytest.fixture
def recorded(monkeypatch):
    """The permissions that calls need, as they are made."""
    found = set()
    call = AioBaseClient._make_api_call

    async def record(client, operation, arguments):
        name = f"{client.meta.service_model.signing_name}:{operation}"
        found.add(PERMISSIONS.get(name, name))
        return await call(client, operation, arguments)

    monkeypatch.setattr(AioBaseClient, "_make_api_call", record)
    return found


async def test_the_tasks_role_can_do_exactly_what_the_service_calls(tmp_path, recorded, monkeypatch):
    state = aws.unique("state")
    url = aws.moto()
    given = {
        "data_dir": tmp_path, "stream": "stream", "lease_table": state, "checkpoint_seconds": 0.2,
        "snapshot_url": f"s3://{state}/stream/models", "dead_letter_url": f"s3://{state}/stream/dead-letters",
    }  # fmt: skip
    with aws.here(dynamodb=url, s3=url):
        async with LocalStream(streams={"stream": 2}) as local:
            settings = load(given | {"endpoint_url": local.endpoint_url}, {})
            await make_bucket(settings, state)
            recorded.clear()
            await work(settings, recorded)  # polled
            await work(load(given | {"endpoint_url": local.endpoint_url, "fan_out": "reader"}, {}), recorded)
            # What takes a day: a finished shard leaves the stream, and models that nobody needs any more go.
            leases, blobs = make_lease_store(settings, "worker"), make_blobs(settings)
            await leases.open()
            await leases.insert(Lease("shardId-000000000099"))
            (row,) = [row for row in await leases.rows() if row.shard == "shardId-000000000099"]
            assert await leases.delete(row)
            await leases.row(row.shard)
            await leases.close()
            await blobs.open()
            await blobs.delete(["none"])
            await blobs.close()
        await tell(settings, url, monkeypatch, recorded)
    policy = json.loads((DEPLOY / "iam-policy.json").read_text())["Statement"]
    role = list(statements(template("ecs")["Resources"]["TaskRole"]["Properties"]["Policies"]))
    for allowing in (policy, role):
        allowed = {
            action
            for statement in allowing
            if statement["Sid"] not in ENRICHING
            for action in listed(statement["Action"])
            if action.partition(":")[0] in SERVICES
        }
        assert recorded == allowed


async def make_bucket(settings, name):
    """As whoever sets it up does."""
    from service.aws import client

    async with client("s3", settings.region) as s3:
        await s3.create_bucket(Bucket=name)


async def tell(settings, url, monkeypatch, recorded):
    """By a topic and a bus that others made."""
    for name in ("SNS", "EVENTBRIDGE"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", url)
    async with AioSession().create_client("sns", region_name=settings.region) as sns:
        topic = (await sns.create_topic(Name=aws.unique("topic")))["TopicArn"]
    recorded.discard("sns:CreateTopic")
    bus = f"arn:aws:events:{settings.region}:123456789012:event-bus/default"
    for table in ({"name": "t", "to": "sns", "topic": topic}, {"name": "b", "to": "eventbridge", "bus": bus}):
        assert await try_route(NotifyTable(**table), settings) == ""


async def work(settings, recorded):
    """Score readings, refuse a record, commit models, stop."""
    async with connect(settings) as kinesis:
        for number in range(40):
            data = (
                b"no reading" if number == 0 else json.dumps({"iotName": f"s{number % 4}", "iotValue": number}).encode()
            )
            # The writer is somebody else, with other rights
            await kinesis.put_record(StreamName="stream", PartitionKey=str(number), Data=data)
    recorded.discard("kinesis:PutRecord")
    async with Service.open(settings) as service:
        running = asyncio.create_task(service.run())
        async with asyncio.timeout(200):
            while not (
                service.metrics.value(service.metrics.checkpoints) >= 2 and service.metrics.value(service.metrics.dead)
            ):
                assert not running.done()
                await asyncio.sleep(0.05)
        service.stop()
        assert await running


async def test_where_the_stream_is_read_in_another_role_the_tasks_role_may_assume_that_one(recorded, monkeypatch):
    with aws.here():
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.moto())
        async with LocalStream(streams={"stream": 1}) as local:
            settings = load({"stream": "stream", "endpoint_url": local.endpoint_url, "role_arn": ROLE}, {})
            async with connect(settings) as kinesis:
                await kinesis.list_shards(StreamName="stream")
    task = template("ecs")["Resources"]["TaskRole"]["Properties"]["Policies"]
    (statement,) = [each for each in statements(task) if each["Sid"] == "AssumeStreamRole"]
    assert recorded - {"kinesis:ListShards"} == set(statement["Action"])
    assert statement["Resource"] == {"Ref": "StreamRoleArn"}
