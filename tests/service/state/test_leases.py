"""The contract of leases, on every table there is."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest

from service import StateError
from service.pipeline.records import Position
from service.state.leases import SHARD_END, Lease, LeaseLostError, LeaseManager
from service.state.leases.dynamodb import DynamoDBLeaseStore
from service.state.leases.sqlite import SQLiteLeaseStore
from tests.servers import aws

SHARD = "shardId-000000000000"
STREAM = "stream"


@pytest.fixture(params=["sqlite", "moto", "dynalite"])
async def workers(request, tmp_path):
    """Makes workers that share a table."""
    opened = []
    name = aws.unique("leases")
    servers = {"moto": aws.moto, "dynalite": aws.dynalite}
    url = servers[request.param]() if request.param in servers else ""

    async def worker(identity: str) -> LeaseManager:
        if request.param == "sqlite":
            table = SQLiteLeaseStore(tmp_path / "cutwater.db", STREAM, identity)
        else:
            table = DynamoDBLeaseStore(name, STREAM, "us-east-1")
        await table.open()
        opened.append(table)
        return LeaseManager(table, identity)

    with aws.here(dynamodb=url):
        yield worker
        for table in opened:
            await table.close()


@pytest.fixture
async def pair(workers):
    """Two workers and the row of a shard that nobody has."""
    one, two = await workers("one"), await workers("two")
    assert await one.add(Lease(SHARD))
    return one, two, (await one.all())[0]


async def test_a_row_keeps_all_it_is_given(workers):
    one = await workers("one")
    full = Lease(
        shard=SHARD,
        owner="x",
        counter=7,
        checkpoint="4964",
        subsequence=3,
        since=1_700_000_000_123,
        snapshot="a/b",
        switches=2,
        parents=("shardId-1", "shardId-2"),
        children=("shardId-3",),
        hash_keys=(5, 2**127),
    )
    assert await one.add(full)
    assert await one.add(Lease("shardId-9"))
    assert await one.all() == [full, Lease("shardId-9")]


async def test_a_shard_has_one_row(pair):
    _, two, row = pair
    assert not await two.add(replace(row, checkpoint="5"))
    assert await two.all() == [row]


async def test_of_many_who_take_a_lease_at_once_one_gets_it(workers):
    everybody = [await workers(f"worker-{i}") for i in range(5)]
    await everybody[0].add(Lease(SHARD))
    (row,) = await everybody[0].all()
    results = await asyncio.gather(*(worker.take(row) for worker in everybody), return_exceptions=True)
    (taken,) = [result for result in results if isinstance(result, Lease)]
    assert all(isinstance(result, Lease | LeaseLostError) for result in results)
    assert await everybody[0].all() == [taken]
    assert taken.counter == row.counter + 1


async def test_the_owner_renews_checkpoints_and_releases(pair):
    one, two, row = pair
    lease = await one.take(row)
    assert (lease.owner, lease.switches) == ("one", 1)
    lease = await one.renew(lease)
    lease = await one.checkpoint(lease, Position(2**100, 4), "snapshot-1")
    assert (lease.position, lease.snapshot, lease.switches) == (Position(2**100, 4), "snapshot-1", 0)
    assert await two.all() == [lease]
    lease = await one.release(lease)
    assert lease.owner is None
    assert (await two.take(lease)).position == Position(2**100, 4)


async def test_who_has_lost_a_lease_changes_nothing(pair):
    """A zombie: stopped while it held the lease, and woken after somebody else took it."""
    one, two, row = pair
    stale = await one.take(row)
    taken = await two.take(stale)
    for late in (
        one.renew(stale),
        one.checkpoint(stale, Position(9), "late"),
        one.checkpoint(stale, None, None, ended=True),
        one.release(stale),
        one.adopt(stale, ["child"]),
        one.remove(stale),
        one.take(stale),
    ):
        with pytest.raises(LeaseLostError):
            await late
    assert await two.all() == [taken]


async def test_the_end_of_a_shard_is_kept_until_its_row_is_removed(pair):
    one, two, row = pair
    lease = await one.checkpoint(await one.take(row), Position(5, 2), "last", ended=True)
    assert (lease.checkpoint, lease.ended, lease.position, lease.snapshot) == (SHARD_END, True, None, "last")
    lease = await one.adopt(lease, ["left", "right"])
    assert (await two.all())[0].children == ("left", "right")
    await one.remove(lease)
    assert await two.all() == []


async def test_a_write_whose_answer_was_lost_counts_as_ours(pair):
    one, _, row = pair
    taken = await one.take(row)
    lost, attempts = one._store.replace, []

    async def twice(old, new):
        """As a client that tries again because it never heard of its success."""
        attempts.append(await lost(old, new))
        return await lost(old, new)

    one._store.replace = twice
    lease = await one.checkpoint(taken, Position(5), "mine")
    assert attempts == [True]
    assert await one.all() == [lease]


async def test_a_worker_that_lives_is_not_dead(pair):
    one, two, _ = pair
    assert not await two.dead("one")
    assert not await one.dead("one")
    assert not await one.dead("never-seen")


async def test_sqlite_knows_at_once_that_a_process_was_killed(tmp_path):
    script = """
import asyncio, sys
from pathlib import Path
from service.state.leases import Lease, LeaseManager
from service.state.leases.sqlite import SQLiteLeaseStore
async def main():
    table = SQLiteLeaseStore(Path(sys.argv[1]), "stream", "victim")
    await table.open()
    leases = LeaseManager(table, "victim")
    await leases.add(Lease("shardId-0"))
    await leases.take((await leases.all())[0])
    print("ready", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    path = tmp_path / "cutwater.db"
    process = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    assert process.stdout.readline() == "ready\n"
    table = SQLiteLeaseStore(path, STREAM, "me")
    await table.open()
    mine = LeaseManager(table, "me")
    (row,) = await mine.all()
    assert row.owner == "victim"
    assert not await mine.dead("victim")
    process.kill()
    process.wait()
    assert await mine.dead("victim")
    assert (await mine.take(row)).owner == "me"
    await table.close()


async def test_streams_share_a_file_but_not_a_dynamodb_table(tmp_path):
    path = tmp_path / "cutwater.db"
    one, other = SQLiteLeaseStore(path, "one", "w"), SQLiteLeaseStore(path, "other", "v")
    for table in (one, other):
        await table.open()
    await one.insert(Lease(SHARD))
    assert await other.rows() == []
    for table in (one, other):
        await table.close()
    with aws.here(dynamodb=aws.moto()):
        name = aws.unique("leases")
        first, second = DynamoDBLeaseStore(name, "one", "us-east-1"), DynamoDBLeaseStore(name, "other", "us-east-1")
        await first.open()
        await first.insert(Lease(SHARD))
        with pytest.raises(StateError, match="holds the leases of stream 'one'"):
            await second.open()
        await first.close()
        await second.close()


async def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "cutwater.db"
    path.write_bytes(b"something else" * 100)
    table = SQLiteLeaseStore(path, STREAM, "w")
    with pytest.raises(StateError, match=r"cutwater\.db: .*move the file away"):
        await table.open()
    await table.close()


async def test_checkpoints_of_an_earlier_version_are_not_passed_over_in_silence(tmp_path):
    path = tmp_path / "cutwater.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE checkpoint (stream TEXT, shard TEXT, checkpoint TEXT)")
    table = SQLiteLeaseStore(path, STREAM, "w")
    with pytest.raises(StateError, match=r"earlier version.*move the file away"):
        await table.open()
    await table.close()
