"""Positions and models, committed together and only by who holds the lease."""

import logging

import pytest

from service import StateError
from service.pipeline.models import Model
from service.pipeline.records import Position
from service.state.blobs.sqlite import SQLiteBlobs
from service.state.checkpoints import Checkpoint, Checkpoints
from service.state.leases import Lease, LeaseLostError, LeaseManager
from service.state.leases.sqlite import SQLiteLeaseStore
from service.state.snapshots import ModelFingerprint

SHARD, LEFT, RIGHT = (f"shardId-{number:012d}" for number in range(3))
FINGERPRINT = ModelFingerprint("rcf-1", {"samples": 256})
MIDDLE = 2**127


@pytest.fixture
async def world(tmp_path):
    """Makes the checkpoints of one worker among several."""
    table, blobs = SQLiteLeaseStore(tmp_path / "db", "stream", "worker"), SQLiteBlobs(tmp_path / "db")
    await table.open()
    await blobs.open()

    def checkpoints(worker="worker", fingerprint=FINGERPRINT, on_bad_snapshot="refuse") -> Checkpoints:
        return Checkpoints(LeaseManager(table, worker), blobs, "stream", fingerprint, on_bad_snapshot)

    yield checkpoints, table, blobs
    await table.close()
    await blobs.close()


async def taken(checkpoints, shard=SHARD):
    """The shard in our hands."""
    await checkpoints.leases.add(Lease(shard))
    rows = {lease.shard: lease for lease in await checkpoints.leases.all()}
    return await checkpoints.take(rows[shard], [rows[parent] for parent in rows[shard].parents if parent in rows])


async def test_a_new_shard_has_no_checkpoint(world):
    checkpoints, _, _ = world
    assert await (await taken(checkpoints())).restore() == Checkpoint()


async def test_the_next_holder_goes_on_where_the_last_one_was(world):
    checkpoints, _, _ = world
    hold = await taken(checkpoints("one"))
    await hold.commit(Checkpoint(Position(2**100), models={"a": Model(b"1"), "b": Model(b"2")}))
    await hold.commit(Checkpoint(Position(2**100, 3), models={"a": Model(b"3")}))
    restored = await (await taken(checkpoints("two"))).restore()
    assert restored == Checkpoint(Position(2**100, 3), models={"a": Model(b"3"), "b": Model(b"2")})


async def test_who_has_lost_the_lease_commits_nothing_and_destroys_nothing(world):
    checkpoints, table, _ = world
    zombie = await taken(checkpoints("zombie"))
    await zombie.commit(Checkpoint(Position(5), models={"a": Model(b"old")}))
    heir = await taken(checkpoints("heir"))
    await heir.restore()
    await heir.commit(Checkpoint(Position(9), models={"a": Model(b"new")}))
    for late in (zombie.commit(Checkpoint(Position(7), models={"a": Model(b"late")})), zombie.renew()):
        with pytest.raises(LeaseLostError):
            await late
    assert zombie.lost.is_set()
    await zombie.release()
    assert (await table.row(SHARD)).owner == "heir"
    assert await (await taken(checkpoints("third"))).restore() == Checkpoint(Position(9), models={"a": Model(b"new")})


async def test_a_crash_between_snapshot_and_lease_leaves_the_old_checkpoint_whole(world):
    checkpoints, _, blobs = world
    hold = await taken(checkpoints("one"))
    await hold.commit(Checkpoint(Position(5), models={"a": Model(b"old")}))
    before = await blobs.names("")
    await hold._snapshots.write(Position(6), {"a": Model(b"new")})  # and here it died
    heir = await taken(checkpoints("two"))
    assert await heir.restore() == Checkpoint(Position(5), models={"a": Model(b"old")})
    assert await blobs.names("") == before


async def test_another_configuration_takes_the_position_but_not_the_models_and_says_so(world, caplog):
    checkpoints, _, _ = world
    await (await taken(checkpoints())).commit(Checkpoint(Position(5), models={"a": Model(b"1")}))
    other = await taken(checkpoints(fingerprint=ModelFingerprint("rcf-2", {"samples": 128})))
    with caplog.at_level(logging.WARNING):
        assert await other.restore() == Checkpoint(Position(5))
    assert "samples was 256 and is 128" in caplog.text
    assert "learnt anew" in caplog.text


@pytest.mark.parametrize("harm", ["turned", "missing"])
async def test_a_damaged_snapshot_is_refused_or_learnt_anew_as_the_settings_say(world, caplog, harm):
    checkpoints, table, blobs = world
    await (await taken(checkpoints())).commit(Checkpoint(Position(5), models={"a": Model(b"1")}))
    name = (await table.row(SHARD)).snapshot + ".0"
    if harm == "missing":
        await blobs.delete([name])
    else:
        await blobs.put(name, (await blobs.get(name))[:-1] + b"?")
    with pytest.raises(StateError, match=rf"{harm.replace('turned', 'damaged')}.*on_bad_snapshot = learn"):
        await (await taken(checkpoints())).restore()
    with caplog.at_level(logging.ERROR):
        assert await (await taken(checkpoints(on_bad_snapshot="learn"))).restore() == Checkpoint(Position(5))
    assert "learnt anew" in caplog.text


async def resharded(checkpoints, table):
    """A finished parent with a model on either side of the middle, and its two children."""
    parent = await taken(checkpoints)
    models = {"left": Model(b"l", 5, 5), "right": Model(b"r", MIDDLE, MIDDLE)}
    await parent.commit(Checkpoint(Position(9), ended=True, models=models))
    await parent.release()
    await table.insert(Lease(LEFT, parents=(SHARD,), hash_keys=(0, MIDDLE - 1)))
    await table.insert(Lease(RIGHT, parents=(SHARD,), hash_keys=(MIDDLE, 2**128 - 1)))


async def test_children_start_with_their_parents_models_for_their_hash_keys(world):
    checkpoints, table, _ = world
    await resharded(checkpoints(), table)
    assert (await (await taken(checkpoints(), LEFT)).restore()).models == {"left": Model(b"l", 5, 5)}
    assert (await (await taken(checkpoints(), RIGHT)).restore()).models == {"right": Model(b"r", MIDDLE, MIDDLE)}


async def test_a_childs_first_checkpoint_holds_all_it_inherited(world):
    checkpoints, table, _ = world
    await resharded(checkpoints(), table)
    left = await taken(checkpoints(), LEFT)
    await left.restore()
    await left.commit(Checkpoint(Position(12), models={"new": Model(b"n")}))
    await checkpoints().delete(await table.row(SHARD))
    expected = {"left": Model(b"l", 5, 5), "new": Model(b"n")}
    assert (await (await taken(checkpoints(), LEFT)).restore()).models == expected


async def test_a_merged_shard_has_the_models_of_both_parents(world):
    checkpoints, table, _ = world
    for shard, sensor in ((LEFT, "left"), (RIGHT, "right")):
        hold = await taken(checkpoints(), shard)
        await hold.commit(Checkpoint(Position(3), ended=True, models={sensor: Model(b"x", 1, 2)}))
        await hold.release()
    await table.insert(Lease("shardId-000000000009", parents=(LEFT, RIGHT)))
    merged = await taken(checkpoints(), "shardId-000000000009")
    assert (await merged.restore()).models.keys() == {"left", "right"}
