"""A shard's position and its models are one thing."""

import pytest

from service.checkpoints import Checkpoint, Checkpoints
from service.records import Position

SHARD = "shardId-000000000000"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cutwater.db"


async def test_position_and_models_are_read_back_together(path):
    first = Checkpoints(path, "stream", "rcf-1")
    assert await first.read(SHARD) == Checkpoint()
    await first.commit(SHARD, Checkpoint(Position(2**180, 3), models={"a": b"1", "b": b"1"}))
    await first.commit(SHARD, Checkpoint(Position(2**180 + 1), models={"b": b"2"}))
    first.close()
    again = Checkpoints(path, "stream", "rcf-1")
    assert await again.read(SHARD) == Checkpoint(Position(2**180 + 1), models={"a": b"1", "b": b"2"})


async def test_a_shard_that_ended_stays_ended(path):
    checkpoints = Checkpoints(path, "stream", "rcf-1")
    await checkpoints.commit(SHARD, Checkpoint(Position(5), ended=True))
    assert (await checkpoints.read(SHARD)).ended


async def test_streams_and_shards_do_not_mix(path):
    one, other = Checkpoints(path, "one", "rcf-1"), Checkpoints(path, "other", "rcf-1")
    await one.commit(SHARD, Checkpoint(Position(5), models={"a": b"1"}))
    assert await other.read(SHARD) == Checkpoint()
    assert await one.read("shardId-000000000001") == Checkpoint()


async def test_another_detector_takes_the_position_but_not_the_models(path):
    await Checkpoints(path, "stream", "rcf-1").commit(SHARD, Checkpoint(Position(5), models={"a": b"1"}))
    assert await Checkpoints(path, "stream", "rcf-2").read(SHARD) == Checkpoint(Position(5))
