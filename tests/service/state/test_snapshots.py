"""The contract of snapshots, on every store there is."""

import asyncio
import json

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import snapshot_format
from service import StateError
from service.pipeline.models import Model, in_hash_range, merge_models
from service.pipeline.records import Position
from service.state.blobs.s3 import S3Blobs
from service.state.blobs.sqlite import SQLiteBlobs
from service.state.snapshots import ModelFingerprint, OtherConfigurationError, SnapshotError, chunks
from service.state.snapshots.format import decode_models
from service.state.snapshots.shard import ShardSnapshots
from service.stores import opened
from tests.servers import aws

FINGERPRINT = ModelFingerprint("rcf-1", {"samples": 256})
PLACE = "stream/shardId-000000000000"


class Memory:
    """Pieces in a dictionary."""

    def __init__(self):
        self.pieces, self.last_error = {}, None

    async def put(self, name, data):
        self.pieces[name] = data

    async def get(self, name):
        return self.pieces.get(name)

    async def names(self, prefix):
        return sorted(name for name in self.pieces if name.startswith(prefix))

    async def delete(self, names):
        for name in names:
            self.pieces.pop(name, None)


@pytest.fixture(params=["sqlite", "s3"])
async def blobs(request, tmp_path):
    if request.param == "sqlite":
        async with opened(SQLiteBlobs(tmp_path / "cutwater.db")) as store:
            yield store
    else:
        with aws.here(s3=aws.moto()):
            bucket = aws.unique("bucket")
            boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=bucket)
            async with opened(S3Blobs(f"s3://{bucket}/some/prefix", "us-east-1")) as store:
                yield store


def shard(blobs, fencing_token=1, fingerprint=FINGERPRINT) -> ShardSnapshots:
    return ShardSnapshots(blobs, PLACE, fencing_token, fingerprint)


def model(text: str, first=0, last=2**128 - 1) -> Model:
    return Model(text.encode(), first, last)


async def test_what_is_written_is_read(blobs):
    models = {"a": model("1", 5, 2**127), "ü\ud800": model("2" * 1000), "": model("")}
    written = await shard(blobs).write(Position(7, 2), models)
    assert await shard(blobs, 2).read(written.name) == models
    assert written.size > 0


async def test_a_snapshot_holds_what_did_not_change_too(blobs):
    writer = shard(blobs)
    await writer.write(Position(1), {name: model(name * 100) for name in "abcd"})
    second = await writer.write(Position(2), {"b": model("new")})
    expected = {name: model(name * 100) for name in "acd"} | {"b": model("new")}
    assert await shard(blobs, 2).read(second.name) == expected


async def test_pieces_can_be_listed_and_deleted(blobs):
    for name in ("x/1", "x/2", "xy/1"):
        await blobs.put(name, name.encode())
    await blobs.put("x/1", b"again")
    assert await blobs.names("x/") == ["x/1", "x/2"]
    await blobs.delete(["x/1", "absent"])
    assert await blobs.names("x") == ["x/2", "xy/1"]
    assert await blobs.get("x/1") is None
    assert await blobs.get("xy/1") == b"xy/1"


async def test_a_missing_or_damaged_piece_is_noticed():
    """Every single byte that is lost or turned."""
    blobs = Memory()
    written = await shard(blobs).write(Position(1), {"a": model("some state")})
    for name, whole in list(blobs.pieces.items()):
        for position in range(len(whole)):
            turned = bytearray(whole)
            turned[position] ^= 0x55
            for damaged in (bytes(turned), whole[:position]):
                blobs.pieces[name] = damaged
                with pytest.raises(SnapshotError, match=r"damaged|version|not one"):
                    await shard(blobs, 2).read(written.name)
        del blobs.pieces[name]
        with pytest.raises(SnapshotError, match="missing"):
            await shard(blobs, 2).read(written.name)
        blobs.pieces[name] = whole


async def test_another_format_is_named(monkeypatch):
    blobs = Memory()
    monkeypatch.setattr(snapshot_format, "VERSION", 9)
    written = await shard(blobs).write(Position(1), {"a": model("1")})
    monkeypatch.undo()
    with pytest.raises(SnapshotError, match="has version 9, this program reads version 5"):
        await shard(blobs, 2).read(written.name)


async def test_another_configuration_is_named_with_what_differs():
    blobs = Memory()
    written = await shard(blobs).write(Position(1), {"a": model("1")})
    other = ModelFingerprint("rcf-2", {"samples": 128})
    with pytest.raises(OtherConfigurationError, match="samples was 256 and is 128"):
        await shard(blobs, 2, other).read(written.name)


async def test_only_what_a_snapshot_needs_is_kept():
    blobs = Memory()
    writer = shard(blobs)
    for number in range(50):
        models = {name: model(f"{name}{number}" * 50) for name in "abcd"}
        await writer.delete_unreferenced((await writer.write(Position(number), models)).name)
        assert len(blobs.pieces) == 2  # a head and a chunk


async def test_chunks_that_are_mostly_outdated_are_written_anew(monkeypatch):
    """Whatever changes, a snapshot's chunks stay below about twice the models, and few."""
    monkeypatch.setattr(chunks, "MOST_SMALL_CHUNKS", 8)
    blobs, writer = Memory(), shard(Memory())
    writer = shard(blobs)
    now = {f"sensor-{i}": model("x" * 100) for i in range(40)}
    changed = dict(now)
    for number in range(200):
        changed |= {sensor: now[sensor] for sensor in writer.needs_rewrite()}
        await writer.delete_unreferenced((await writer.write(Position(number), changed)).name)
        assert len(blobs.pieces) <= 8 + 2
        assert sum(writer._chunks.sizes()) <= 2 * 40 * 100 + 200
        sensor = f"sensor-{number * 7 % 40}"
        now[sensor] = model(f"{number:100d}")
        changed = {sensor: now[sensor]}


async def test_what_a_dead_worker_left_is_swept_but_nothing_newer():
    blobs = Memory()
    dead = shard(blobs, fencing_token=3)
    committed = await dead.write(Position(1), {"a": model("1"), "b": model("2")})
    needed = set(blobs.pieces)
    await dead.write(Position(2), {"a": model("never committed")})
    heir, later = shard(blobs, fencing_token=5), shard(blobs, fencing_token=8)
    await heir.read(committed.name)
    newer = await later.write(Position(2), {"a": model("3")})
    await heir.delete_orphans()
    assert set(blobs.pieces) == needed | {newer.name, f"{newer.name}.0"}
    await later.delete_all()
    assert blobs.pieces == {}


async def test_models_that_never_change_are_not_written_again(monkeypatch):
    """As of sensors that are new in each record: what a snapshot costs depends on what is new, not on all there are."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(chunks, "MOST_SMALL_CHUNKS", 4)
    writer, sizes, again = shard(Memory()), [], 0
    for number in range(100):
        new = {f"{number}-{each}": model("x" * 100) for each in range(23)}
        old = writer.needs_rewrite()
        again += len(old)
        written = await writer.write(Position(number), new | {sensor: model("x" * 100) for sensor in old})
        await writer.delete_unreferenced(written.name)
        sizes.append(written.size)
    assert again <= 2 * 23 * 100
    assert len(writer._chunks.names()) <= 2.5 * 100 * 23 / 10 + 5, "chunks are as full as can be"


async def test_what_is_outdated_can_be_asked_for_while_a_snapshot_is_written():
    blobs = Memory()
    writer = shard(blobs)

    async def ask():
        for _ in range(200):
            assert writer.needs_rewrite() is not None
            await asyncio.sleep(0)

    async def write():
        for number in range(60):
            written = await writer.write(Position(number), {f"s{number % 7}": model("x" * 50)})
            await writer.delete_unreferenced(written.name)

    await asyncio.gather(write(), ask())


async def test_any_name_and_hash_key_comes_back():
    blobs = Memory()
    models = {name: Model(b"state", 2**127, 2**128 - 1) for name in ("", "ä", "\ud800", "a\0b")}
    written = await shard(blobs).write(Position(2**100), models)
    assert await shard(blobs, 2).read(written.name) == models


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3), max_size=4))
async def test_labels_come_back_with_their_models(labels):
    blobs = Memory()
    models = {f"s{number}": Model(b"state", 1, 2, found) for number, found in enumerate(labels)}
    written = await shard(blobs).write(Position(1), models)
    assert await shard(blobs, 2).read(written.name) == models


@pytest.mark.parametrize("labels", [1, "text", ["list"], None, {"a": 1}])
def test_a_table_with_other_labels_is_damaged_or_they_are_text(labels):
    table = json.dumps([("s", 1, 2, 5, labels)]).encode()
    data = snapshot_format.encode("models", {"table": len(table)}, table + b"state")
    if isinstance(labels, dict):
        assert decode_models(data, "x") == {"s": Model(b"state", 1, 2, {"a": "1"})}
    else:
        with pytest.raises(SnapshotError, match="table of models cannot be read"):
            decode_models(data, "x")


async def test_large_models_are_cut_into_chunks(blobs, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1000)
    models = {f"sensor-{i}": model(str(i) * 400) for i in range(20)}
    written = await shard(blobs).write(Position(1), models)
    assert len(await blobs.names(f"{PLACE}/")) > 5
    assert await shard(blobs, 2).read(written.name) == models


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.binary(max_size=40)), max_size=12))
async def test_every_snapshot_equals_all_changes_so_far(changes):
    blobs = Memory()
    writer, expected = shard(blobs), {}
    for number, change in enumerate(changes):
        changed = {name: Model(state) for name, state in change.items()}
        expected |= changed
        changed |= {name: expected[name] for name in writer.needs_rewrite()}
        written = await writer.write(Position(number), changed)
        await writer.delete_unreferenced(written.name)
        assert await shard(blobs, 2).read(written.name) == expected


def test_children_get_the_models_of_their_hash_keys():
    left, right, both = model("l", 5, 5), model("r", 2**127, 2**127), model("b", 5, 2**127)
    models = {"left": left, "right": right, "both": both}
    assert in_hash_range(models, (0, 2**127 - 1)) == {"left": left, "both": both}
    assert in_hash_range(models, (2**127, 2**128 - 1)) == {"right": right, "both": both}


def test_of_two_parents_that_know_a_sensor_the_first_counts():
    assert merge_models([{"a": model("1")}, {"a": model("2"), "b": model("3")}]) == {"a": model("1"), "b": model("3")}


async def test_a_bucket_that_is_not_there_is_named():
    with aws.here(s3=aws.moto()):
        store = S3Blobs("s3://absent-bucket-of-nobody/x", "us-east-1")
        with pytest.raises(StateError, match="make the bucket"):
            await store.open()
        await store.close()
