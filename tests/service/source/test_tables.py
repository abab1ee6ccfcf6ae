"""Tables come from where they lie, are read anew when they change, and every version can be had again."""

import asyncio
import gc
import weakref
from types import SimpleNamespace

import boto3
import orjson
import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from service import UserError
from service.metrics import Metrics
from service.pipeline.enrich.security_groups import GROUPS, INTERFACE
from service.settings.enrich import definitions_of
from service.source.tables import EC2Origin, Tables
from service.state.blobs.sqlite import SQLiteBlobs
from service.stores import opened
from tests.servers import aws

USERS = {
    "type": "reference",
    "url": "users.csv",
    "join": {"user": "id"},
    "columns": {"id": "integer", "gender": "text"},
}


@pytest.fixture
async def blobs(tmp_path):
    async with opened(SQLiteBlobs(tmp_path / "cutwater.db")) as store:
        yield store


class Clock:
    """Stands still until it is told."""

    def __init__(self):
        self.time = 1000.0

    def __call__(self):
        return self.time


def made(definitions, blobs, folder, clock=None, metrics=None):
    return Tables(
        definitions_of(definitions, folder), blobs, "stream", "us-east-1", metrics or Metrics(), clock or Clock()
    )


def replace(path, content):
    """As files should be written: a new one, renamed."""
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(path)


def enriched(enrichment, **fields):
    enrichment.enrich(fields, 0)
    return fields


# Files


async def test_a_file_is_read_anew_when_it_changes_and_both_versions_can_be_had(tmp_path, blobs):
    path = tmp_path / "users.csv"
    path.write_bytes(b"1,female\n")
    async with opened(made({"users": USERS}, blobs, tmp_path)) as tables:
        first = tables.current
        assert enriched(first, user=1)["gender"] == "female"
        assert not await tables.refresh("users")
        replace(path, b"1,male\n")
        assert await tables.refresh("users")
        second = tables.current
        assert second.version != first.version
        assert enriched(await tables.at(first.version), user=1)["gender"] == "female"
        assert enriched(await tables.at(second.version), user=1)["gender"] == "male"


async def test_a_new_process_has_the_version_of_its_checkpoint(tmp_path, blobs):
    path = tmp_path / "users.csv"
    path.write_bytes(b"1,female\n")
    async with opened(made({"users": USERS}, blobs, tmp_path)) as tables:
        checkpoint = tables.current.version
        before = enriched(tables.current, user=1)
    replace(path, b"1,male\n")
    async with opened(made({"users": USERS}, blobs, tmp_path)) as tables:
        assert tables.current.version != checkpoint
        assert enriched(await tables.at(checkpoint), user=1) == before


async def test_versions_that_were_replaced_long_ago_are_removed(tmp_path, blobs, caplog):
    path, clock = tmp_path / "users.csv", Clock()
    path.write_bytes(b"1,a\n")
    async with opened(made({"users": USERS}, blobs, tmp_path, clock)) as tables:
        versions = [tables.current.version]
        for content in (b"1,b\n", b"1,c\n"):
            clock.time += 2 * 86_400
            replace(path, content)
            await tables.refresh("users")
            versions.append(tables.current.version)
        assert enriched(await tables.at(versions[0]), user=1)["gender"] == "a"
        clock.time += 2 * 86_400
        replace(path, b"1,d\n")
        await tables.refresh("users")
        assert enriched(await tables.at(versions[1]), user=1)["gender"] == "b"
        assert enriched(await tables.at(versions[0]), user=1)["gender"] == "d"
        assert "is not kept; the current one is used" in caplog.text
    async with opened(made({"users": USERS}, blobs, tmp_path, clock)) as tables:
        assert enriched(await tables.at(versions[1]), user=1)["gender"] == "b"
    assert len(await blobs.names("stream/tables/users/")) == 4, "three versions, and which is the newest"


async def test_versions_that_no_shard_uses_take_no_memory(tmp_path, blobs):
    path = tmp_path / "users.csv"
    path.write_bytes(b"1,first\n")
    async with opened(made({"users": USERS}, blobs, tmp_path)) as tables:
        used, unused = tables.current, []
        for number in range(5):
            replace(path, f"1,{number}\n".encode())
            await tables.refresh("users")
            unused.append(weakref.ref(tables.current))
        gc.collect()
        assert [reference() is None for reference in unused] == [True, True, True, True, False]
        assert await tables.at(used.version) is used
        assert (await tables.at("")).version == ""


async def test_a_file_that_goes_or_makes_no_sense_changes_nothing(tmp_path, blobs, caplog):
    path, clock, metrics = tmp_path / "users.csv", Clock(), Metrics()
    path.write_bytes(b"1,female\n")
    async with opened(made({"users": USERS}, blobs, tmp_path, clock, metrics)) as tables:
        version = tables.current.version
        clock.time += 60
        path.unlink()
        assert not await tables.refresh("users")
        assert "No such file" in tables.errors["users"]
        path.write_bytes(b"\xff\xff\xff")
        assert not await tables.refresh("users")
        assert "not UTF-8" in tables.errors["users"]
        assert tables.current.version == version
        assert metrics.value(metrics.table_age) == 60
        replace(path, b"1,male\nx,y\n")
        assert await tables.refresh("users")
        assert not tables.errors
        assert metrics.value(metrics.table_age) == 0
        assert metrics.value(metrics.table_refused_rows) == 1
    assert "row 2: column id: 'x' is no integer" in caplog.text


async def test_a_changed_definition_uses_the_current_table(tmp_path, blobs, caplog):
    (tmp_path / "users.csv").write_bytes(b"1,female\n")
    async with opened(made({"users": USERS}, blobs, tmp_path)) as tables:
        checkpoint = tables.current.version
    renamed = USERS | {"fields": {"gender": "user.gender"}}
    async with opened(made({"users": renamed}, blobs, tmp_path)) as tables:
        assert enriched(await tables.at(checkpoint), user=1)["user.gender"] == "female"
    assert "defined otherwise" in caplog.text


async def test_a_table_that_is_not_there_at_the_start_is_named(tmp_path, blobs):
    with pytest.raises(UserError, match=r"enrich\.users: .*users\.csv: No such file"):
        async with opened(made({"users": USERS}, blobs, tmp_path)):
            pass
    (tmp_path / "users.csv").write_bytes(b"x,y\n")
    with pytest.raises(UserError, match=r"enrich\.users: .*none of its 1 rows can be read"):
        async with opened(made({"users": USERS}, blobs, tmp_path)):
            pass


async def test_watching_finds_the_change(tmp_path, blobs, monkeypatch):
    (tmp_path / "users.csv").write_bytes(b"1,female\n")
    changed = asyncio.Event()

    async def note():
        changed.set()

    async with opened(made({"users": USERS | {"refresh": 1}}, blobs, tmp_path)) as tables:
        replace(tmp_path / "users.csv", b"1,male\n")
        watching = asyncio.create_task(tables.watch(note))
        await asyncio.wait_for(changed.wait(), 60)
        watching.cancel()
        assert enriched(tables.current, user=1)["gender"] == "male"


async def test_places_are_read_from_a_database_and_need_none(tmp_path, blobs):
    writer = MMDBWriter(database_type="Test-City")
    writer.insert_network(IPSet(["8.8.8.0/24"]), {"city": {"names": {"en": "Somewhere"}}})
    writer.to_db_file(str(tmp_path / "city.mmdb"))
    definitions = {"places": {"type": "geo", "database": "city.mmdb"}, "plain": {"type": "geo", "fields": ["host.ip"]}}
    async with opened(made(definitions, blobs, tmp_path)) as tables:
        fields = enriched(tables.current, **{"source.ip": "8.8.8.8", "host.ip": "8.8.8.8"})
        assert fields["source.geo.city_name"] == "Somewhere"
        assert fields["source.geo.country_iso_code"] == fields["host.geo.country_iso_code"] == "US"
        old = tables.current.version
        (tmp_path / "city.mmdb").write_bytes(b"nothing")
        assert not await tables.refresh("places")
        assert "MaxMind" in tables.errors["places"]
    (tmp_path / "city.mmdb").unlink()
    definitions["places"].pop("database")
    async with opened(made(definitions, blobs, tmp_path)) as tables:
        assert "source.geo.city_name" in enriched(await tables.at(old), **{"source.ip": "8.8.8.8"})
        assert "source.geo.city_name" not in enriched(tables.current, **{"source.ip": "8.8.8.8"})


# AWS


async def test_an_s3_object_is_read_anew_when_its_etag_changes(tmp_path, blobs):
    with aws.here(s3=aws.moto()):
        bucket, s3 = aws.unique("bucket"), boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="a/users.csv", Body=b"1,female\n")
        async with opened(made({"users": USERS | {"url": f"s3://{bucket}/a/users.csv"}}, blobs, tmp_path)) as tables:
            assert enriched(tables.current, user=1)["gender"] == "female"
            assert not await tables.refresh("users")
            s3.put_object(Bucket=bucket, Key="a/users.csv", Body=b"1,male\n")
            assert await tables.refresh("users")
            assert enriched(tables.current, user=1)["gender"] == "male"
            s3.delete_object(Bucket=bucket, Key="a/users.csv")
            assert not await tables.refresh("users")
            assert "put the object there" in tables.errors["users"]


async def test_network_interfaces_come_from_ec2_and_what_was_stays_known(tmp_path, blobs):
    with aws.here(ec2=aws.moto()):
        ec2, clock = boto3.client("ec2", region_name="us-east-1"), Clock()
        network = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.77.0.0/24")["Subnet"]["SubnetId"]
        one, two = (
            ec2.create_security_group(GroupName=aws.unique("sg"), Description="x", VpcId=network)["GroupId"]
            for _ in range(2)
        )
        interface = ec2.create_network_interface(SubnetId=subnet, Groups=[one])["NetworkInterface"]
        name, address = interface["NetworkInterfaceId"], interface["PrivateIpAddress"]
        flow = {INTERFACE: name, "source.ip": "8.8.8.8", "destination.ip": address}
        async with opened(made({"groups": {"type": "security-groups"}}, blobs, tmp_path, clock)) as tables:
            found = enriched(tables.current, **flow)
            assert (found[GROUPS], found["flow.direction"]) == ([one], "inbound")
            assert not await tables.refresh("groups")
            clock.time = 2000.0
            ec2.modify_network_interface_attribute(NetworkInterfaceId=name, Groups=[two])
            assert await tables.refresh("groups")
        async with opened(made({"groups": {"type": "security-groups"}}, blobs, tmp_path, clock)) as tables:
            for time, group in ((1_999_999, one), (2_000_000, two)):
                fields = dict(flow)
                tables.current.enrich(fields, time)
                assert fields[GROUPS] == [group]
            ec2.delete_network_interface(NetworkInterfaceId=name)
            assert await tables.refresh("groups")
            assert not await tables.refresh("groups")
            assert enriched(tables.current, **flow)[GROUPS] == [one], "flow logs come late"
            clock.time += 2 * 86_400
            assert await tables.refresh("groups")
            assert GROUPS not in enriched(tables.current, **flow)


async def test_all_pages_of_network_interfaces_are_read():
    pages = {
        None: {
            "NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.0.1"}],
            "NextToken": "t",
        },
        "t": {"NetworkInterfaces": [{"NetworkInterfaceId": "eni-2", "PrivateIpAddress": "10.0.0.2"}]},
    }

    async def describe(MaxResults, NextToken=None):  # noqa: N803
        return pages[NextToken]

    origin = EC2Origin("us-east-1", Clock())
    origin._client = SimpleNamespace(describe_network_interfaces=describe)
    rows = orjson.loads(await origin.read())["NetworkInterfaces"]
    assert [each["NetworkInterfaceId"] for each in rows] == ["eni-1", "eni-2"]
    assert await origin.read() is None
