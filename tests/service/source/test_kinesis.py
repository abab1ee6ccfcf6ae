"""The consumer's checklist, against the local stream with its knobs turned."""

import asyncio
import base64
import json
import logging
from contextlib import asynccontextmanager

import pytest

from service.metrics import Metrics
from service.pipeline.records import Gap, Position
from service.settings.model import Settings, start_time
from service.source.budget import ByteBudget
from service.source.client import MissingError, StreamError, connect
from service.source.kinesis import Stream
from service.source.reader import BATCH_BYTES, RECORD_MEMORY
from service.source.shards import Shard, hash_range_gaps
from simulator.stream import LocalStream
from simulator.stream.faults import Fault
from tests.service.source.test_aggregates import aggregate, signed

NAME = "stream"
FIRST = "shardId-000000000000"
ARN = f"arn:aws:kinesis:us-east-1:000000000000:stream/{NAME}"


class Clock:
    """The local stream's, so that a test can let hours pass."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class World:
    """A local stream of one shard, and readers of it."""

    def __init__(self, local: LocalStream, clock: Clock, fan_out: str) -> None:
        self.local = local
        self.fan_out = fan_out
        self.clock = clock
        self.metrics = Metrics()
        self.budget = ByteBudget(64 * 1024 * 1024)
        self.positions: list[Position] = []
        self.since: int | None = None

    def call(self, operation: str, **request):
        return self.local.kinesis.call(operation, {"StreamName": NAME, **request})

    def put(self, *data: bytes, key: str = "a") -> list[int]:
        """Put records; their sequence numbers."""
        entries = [{"Data": base64.b64encode(one).decode(), "PartitionKey": key} for one in data]
        return [int(one["SequenceNumber"]) for one in self.call("PutRecords", Records=entries)["Records"]]

    @asynccontextmanager
    async def stream(self, **settings):
        more = {"endpoint_url": self.local.endpoint_url, "fan_out": self.fan_out, "poll_seconds": 0.2}
        chosen = Settings(**({"stream": NAME} | more | settings))
        async with connect(chosen) as client:
            began = start_time(chosen.start, self.clock.now)
            self.since = None if began is None else round(began * 1000)
            yield Stream(client, chosen, self.metrics)

    async def read(self, stream, count=None, *, shard=FIRST, after=None):
        """What a reader fetches until it has ``count`` records, or has come to the shard's end."""
        fetched = []
        async with asyncio.timeout(30):
            async for one in stream.read(shard, after, self.budget, self.since):
                fetched.append(one)
                await self.budget.release(one.size)
                if count is not None and sum(len(one.records) for one in fetched) >= count:
                    break
        return fetched


def data(fetched) -> list[bytes]:
    return [record.data for one in fetched for record in one.records]


@pytest.fixture
async def polled():
    """Whose shards are polled."""
    clock = Clock()
    async with LocalStream(streams={NAME: 1}, clock=clock) as local:
        yield World(local, clock, "")


@pytest.fixture
async def pushed():
    """Whose records are pushed to a consumer with enhanced fan-out."""
    clock = Clock()
    async with LocalStream(streams={NAME: 1}, clock=clock) as local:
        yield World(local, clock, "cutwater")


@pytest.fixture(params=["polled", "pushed"])
def world(request):
    """Either: what is promised holds for both."""
    return request.getfixturevalue(request.param)


# Where to begin


async def test_a_new_reader_begins_at_the_oldest_record(world):
    world.put(b"1", b"2")
    async with world.stream() as stream:
        assert data(await world.read(stream, 2)) == [b"1", b"2"]


async def test_latest_means_since_the_first_start(world):
    world.put(b"old")
    world.clock.now += 10
    async with world.stream(start="LATEST") as stream:
        world.put(b"new")
        assert data(await world.read(stream, 1)) == [b"new"]


async def test_latest_reads_a_child_whole_and_of_its_parent_only_what_came_since(world):
    world.put(b"old")
    world.clock.now += 10
    async with world.stream(start="LATEST") as stream:
        world.put(b"new")
        world.call("SplitShard", ShardToSplit=FIRST, NewStartingHashKey=str(2**127))
        world.put(b"child")
        parent, *children = await stream.shards()
        assert data(await world.read(stream, shard=parent.id)) == [b"new"]
        (child,) = (child for child in children if child.hash_keys[0] == 0)  # the MD5 of "a" begins with 0
        assert data(await world.read(stream, 1, shard=child.id)) == [b"child"]


async def test_a_start_at_a_time(world):
    world.put(b"old")
    world.clock.now += 100
    world.put(b"new")
    async with world.stream(start="2023-11-14T22:13:21Z") as stream:  # one second after the first record
        assert data(await world.read(stream, 1)) == [b"new"]


async def test_a_start_ahead_of_the_stream_s_clock_is_waited_for(world):
    """As after LATEST on a machine whose clock is fast."""
    async with world.stream(start="2023-11-14T22:13:21Z") as stream:
        reading = asyncio.create_task(world.read(stream, 1))
        await asyncio.sleep(0.3)
        world.clock.now += 2
        world.put(b"later")
        assert data(await reading) == [b"later"]


async def test_a_reader_goes_on_after_its_checkpoint(world):
    _, second, _ = world.put(b"1", b"2", b"3")
    async with world.stream() as stream:
        fetched = await world.read(stream, 1, after=Position(second))
    assert data(fetched) == [b"3"]
    assert not any(one.gap for one in fetched)


# Aggregates


async def test_aggregates_come_as_user_records_with_their_numbers(world):
    (first,) = world.put(aggregate([("a", b"1", None), ("a", b"2", None)]))
    (second,) = world.put(b"3")
    async with world.stream() as stream:
        (fetched,) = await world.read(stream, 3)
    assert [(record.position, record.data) for record in fetched.records] == [
        (Position(first, 0), b"1"),
        (Position(first, 1), b"2"),
        (Position(second, 0), b"3"),
    ]


async def test_a_reader_goes_on_within_an_aggregate(world):
    (sequence,) = world.put(aggregate([("a", bytes([48 + number]), None) for number in range(5)]))
    async with world.stream() as stream:
        assert data(await world.read(stream, 3, after=Position(sequence, 1))) == [b"2", b"3", b"4"]


async def test_user_records_of_another_shard_are_marked_and_counted(world):
    world.call("SplitShard", ShardToSplit=FIRST, NewStartingHashKey=str(2**127))
    world.put(aggregate([("a", b"ours", None), ("a", b"theirs", str(2**127)), ("a", b"ours too", "1")]), key="a")
    async with world.stream() as stream:
        await stream.shards()
        found = [one for each in await world.read(stream, 3, shard="shardId-000000000001") for one in each.records]
    assert [(one.data, one.other_shard) for one in found] == [(b"ours", False), (b"theirs", True), (b"ours too", False)]
    assert Metrics.value(world.metrics.other_shard_records) == 1


async def test_a_stream_is_read_by_its_arn(world):
    world.put(b"1", b"2")
    async with world.stream(stream=ARN) as stream:
        assert [shard.id for shard in await stream.shards()] == [FIRST]
        assert data(await world.read(stream, 2)) == [b"1", b"2"]


async def test_aggregates_that_unpack_to_more_than_the_budget_come_in_parts_that_keep_it(world):
    users = 3 * BATCH_BYTES // RECORD_MEMORY
    message = b"\x0a\x01a" + b"\x1a\x00" * users
    half = b"\x0a\x01a" + b"\x1a\x00" * (users // 2)
    world.put(signed(message), signed(half), b"last")
    world.budget = ByteBudget(BATCH_BYTES + 1)
    seen, taken = 0, []
    async with world.stream() as stream, asyncio.timeout(60):
        async for batch in stream.read(FIRST, None, world.budget, None):
            assert batch.size <= BATCH_BYTES
            assert world.budget.taken == batch.size
            taken.append(len(batch.records))
            seen += len(batch.records)
            await world.budget.release(batch.size)
            if batch.records and batch.records[-1].data == b"last":
                break
    assert seen == users + users // 2 + 1
    assert len(taken) >= 4
    assert world.budget.taken == 0


# The list of shards


async def test_shards_of_all_pages_come_parents_first_with_their_hash_keys(polled, monkeypatch):
    polled.call("SplitShard", ShardToSplit=FIRST, NewStartingHashKey=str(2**127))
    asked = []
    call = polled.local.kinesis.call

    def paged(operation, request):
        if operation == "ListShards":
            asked.append(request)
            request = {**request, "MaxResults": 1}
        return call(operation, request)

    monkeypatch.setattr(polled.local.kinesis, "call", paged)
    async with polled.stream() as stream:
        assert await stream.shards() == [
            Shard(FIRST, (), (0, 2**128 - 1)),
            Shard("shardId-000000000001", (FIRST,), (0, 2**127 - 1)),
            Shard("shardId-000000000002", (FIRST,), (2**127, 2**128 - 1)),
        ]
    assert [sorted(request) for request in asked] == [["StreamName"], ["NextToken"], ["NextToken"]]


async def test_a_hole_in_the_hash_keys_is_told_of_once(polled, monkeypatch, caplog):
    polled.call("SplitShard", ShardToSplit=FIRST, NewStartingHashKey=str(2**127))
    call = polled.local.kinesis.call

    def without_one(operation, request):
        answer = call(operation, request)
        return {"Shards": answer["Shards"][:2]} if operation == "ListShards" else answer

    monkeypatch.setattr(polled.local.kinesis, "call", without_one)
    async with polled.stream() as stream:
        await stream.shards()
        await stream.shards()
    assert Metrics.value(polled.metrics.hash_range_gaps) == 1
    assert len([text for text in caplog.messages if str(2**127) in text]) == 1


def test_holes_are_what_no_leaf_covers():
    top = 2**128 - 1
    parent = Shard("0", (), (0, top))
    assert hash_range_gaps([parent]) == []
    assert hash_range_gaps([parent, Shard("1", ("0",), (0, 99)), Shard("2", ("0",), (100, top))]) == []
    assert hash_range_gaps([parent, Shard("2", ("0",), (100, top))]) == [(0, 99)]
    assert hash_range_gaps([parent, Shard("1", ("0",), (0, 99))]) == [(100, top)]
    assert hash_range_gaps([Shard("1", (), (0, 9)), Shard("2", (), (20, top))]) == [(10, 19)]
    assert hash_range_gaps([]) == [(0, top)]


# Ends


async def test_a_closed_shard_is_read_to_its_end(world):
    world.put(*[b"%d" % number for number in range(5)])
    world.call("SplitShard", ShardToSplit=FIRST, NewStartingHashKey=str(2**127))
    async with world.stream() as stream:
        fetched = await world.read(stream)
    assert len(data(fetched)) == 5
    assert [one.ended for one in fetched] == [False] * (len(fetched) - 1) + [True]


@pytest.mark.parametrize("ending", [{}, {"NextShardIterator": None}], ids=["absent", "null"])
async def test_the_next_iterator_may_be_absent_or_null(polled, monkeypatch, ending):
    polled.put(b"1")
    call = polled.local.kinesis.call

    def end(operation, request):
        answer = call(operation, request)
        if operation == "GetRecords":
            answer = {name: value for name, value in answer.items() if name != "NextShardIterator"} | ending
        return answer

    monkeypatch.setattr(polled.local.kinesis, "call", end)
    async with polled.stream() as stream:
        (fetched,) = await polled.read(stream)
    assert fetched.ended
    assert data([fetched]) == [b"1"]


async def test_an_empty_answer_is_not_the_end(polled):
    polled.put(b"1")
    polled.local.faults.add(Fault("lag", seconds=1.0))
    async with polled.stream() as stream:
        reading = asyncio.create_task(polled.read(stream, 1))
        await asyncio.sleep(0.5)
        polled.clock.now += 2
        fetched = await reading
    assert fetched[0].records == []
    assert fetched[0].behind > 0
    assert data(fetched) == [b"1"]


# What goes wrong


async def test_an_expired_iterator_is_rebuilt_after_the_last_record_fetched(polled):
    polled.put(b"1", b"2")
    polled.local.faults.add(Fault("expire", times=2))
    async with polled.stream() as stream:
        reading = asyncio.create_task(polled.read(stream, 4))
        await asyncio.sleep(0.3)
        polled.local.faults.add(Fault("expire", times=2))
        polled.put(b"3", b"4")
        fetched = await reading
    assert data(fetched) == [b"1", b"2", b"3", b"4"]
    assert Metrics.value(polled.metrics.expired) == 4


async def test_throttled_and_failed_calls_are_repeated_without_holding_room(polled, caplog):
    polled.put(b"1")
    polled.local.faults.add(Fault("throttle", "GetRecords", times=3))
    polled.local.faults.add(Fault("fail", "GetShardIterator", times=1))
    polled.local.faults.add(Fault("throttle", "ListShards", times=1))
    async with polled.stream() as stream:
        await stream.shards()
        reading = asyncio.create_task(polled.read(stream, 1))
        while Metrics.value(polled.metrics.throttled) < 3:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)
        assert polled.budget.taken == 0
        assert data(await reading) == [b"1"]
    assert Metrics.value(polled.metrics.throttled) == 4
    assert not caplog.records, "throttling is a normal thing"


async def test_a_stream_that_fails_says_so_until_it_works(polled):
    polled.local.faults.add(Fault("fail", "ListShards", times=3))
    async with polled.stream() as stream:
        assert stream.last_error == "has not answered yet"
        listing = asyncio.create_task(stream.shards())
        while "ListShards: " not in (stream.last_error or ""):  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)
        assert await listing
        assert stream.last_error is None


async def test_full_room_stops_fetching(polled):
    polled.put(b"1")
    await polled.budget.reserve(polled.budget.size - BATCH_BYTES + 1)
    async with polled.stream() as stream:
        reading = asyncio.create_task(polled.read(stream, 1))
        await asyncio.sleep(0.3)
        assert not reading.done()
        await polled.budget.release(1)
        assert data(await reading) == [b"1"]


async def test_a_reader_that_is_cancelled_gives_its_room_back(world):
    async with world.stream() as stream:
        reading = asyncio.create_task(world.read(stream, 1))
        await asyncio.sleep(0.3)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert world.budget.taken == 0


async def test_an_unknown_stream_is_an_error_with_a_remedy(world):
    async with world.stream() as stream:
        world.call("DeleteStream")
        with pytest.raises(StreamError, match="create the stream"):
            await stream.shards()
        with pytest.raises(MissingError, match="create the stream"):
            await world.read(stream, 1)


# Gaps


async def test_a_checkpoint_older_than_the_stream_is_reported_as_a_gap(world, caplog):
    lost, _ = world.put(b"done", b"lost")
    world.clock.now += 25 * 3600
    (still,) = world.put(b"still there")
    async with world.stream() as stream:
        fetched = await world.read(stream, 1, after=Position(lost))
    assert data(fetched) == [b"still there"]
    assert [one.gap for one in fetched if one.gap] == [
        Gap(Position(lost), Position(still), round(world.clock.now * 1000))
    ]
    assert Metrics.value(world.metrics.gaps) == 1
    assert any(record.levelno == logging.ERROR and str(lost) in record.message for record in caplog.records)


async def test_a_shard_that_is_gone_has_ended_with_a_gap(world):
    (sequence,) = world.put(b"1")
    world.call("SplitShard", ShardToSplit=FIRST, NewStartingHashKey=str(2**127))
    world.clock.now += 25 * 3600
    world.call("ListShards")  # the local stream forgets the shard
    async with world.stream() as stream:
        (fetched,) = await world.read(stream, after=Position(sequence))
    assert (fetched.ended, fetched.gap) == (True, Gap(Position(sequence)))


async def test_a_shard_that_ends_without_the_checkpoint_s_record_has_a_gap(world):
    world.call("IncreaseStreamRetentionPeriod", RetentionPeriodHours=48)
    (sequence,) = world.put(b"1")
    world.clock.now += 25 * 3600
    world.call("SplitShard", ShardToSplit=FIRST, NewStartingHashKey=str(2**127))
    world.call("DecreaseStreamRetentionPeriod", RetentionPeriodHours=24)
    async with world.stream() as stream:
        fetched = await world.read(stream, after=Position(sequence))
    assert fetched[-1].gap == Gap(Position(sequence))


# Numbers


async def test_sequence_numbers_compare_as_integers(world):
    """As text, a number with more digits may seem the smaller one."""
    assert Position(99) < Position(100) < Position(100, 1) < Position(101)
    sequences = world.put(b"1", b"2")
    async with world.stream() as stream:
        (fetched,) = await world.read(stream, 2)
    assert [record.position for record in fetched.records] == [Position(one) for one in sequences]


async def test_lag_is_told_in_milliseconds(polled):
    polled.put(json.dumps({"a": 1}).encode())
    polled.clock.now += 5
    for _ in range(20):
        polled.put(*[b"x"] * 500)
    polled.clock.now += 1
    async with polled.stream() as stream:
        first, second = await polled.read(stream, 10_001)
    assert (first.behind, second.behind) == (1000, 0)


# Enhanced fan-out


async def test_a_consumer_is_registered_once_and_shared(pushed):
    pushed.put(b"1")
    for _ in range(2):
        async with pushed.stream() as stream:
            assert data(await pushed.read(stream, 1)) == [b"1"]
        pushed.clock.now += 6
    (consumer,) = pushed.call("ListStreamConsumers", StreamARN=ARN, StreamName=None)["Consumers"]
    assert consumer["ConsumerName"] == "cutwater"


async def test_records_come_as_soon_as_they_are_put(pushed):
    """The next record is put only when the one before has come."""
    found = []
    pushed.put(b"0")
    async with pushed.stream() as stream, asyncio.timeout(30):
        async for fetched in stream.read(FIRST, None, pushed.budget, pushed.since):
            await pushed.budget.release(fetched.size)
            found += [record.data for record in fetched.records]
            if len(found) == 3:
                break
            if fetched.records:
                pushed.put(b"%d" % len(found))
    assert found == [b"0", b"1", b"2"]


@pytest.mark.parametrize("after", [4.0, 301.0], ids=["broken", "over"])
async def test_a_subscription_follows_the_last_one_without_loss(pushed, after):
    """Whether its connection broke, so soon that Kinesis refuses another one, or its five minutes are over."""
    pushed.put(b"1", b"2")
    async with pushed.stream() as stream:
        reading = asyncio.create_task(pushed.read(stream, 4))
        while Metrics.value(pushed.metrics.records) < 2:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)
        if after < 300:
            pushed.local.faults.add(Fault("break", times=1))
        pushed.clock.now += after
        pushed.put(b"3", b"4")
        await asyncio.sleep(0.5)
        pushed.clock.now += 6
        fetched = await reading
    assert data(fetched) == [b"1", b"2", b"3", b"4"]
    assert not any(one.gap for one in fetched)


async def test_what_leaves_the_stream_while_nothing_is_read_is_a_gap(pushed, monkeypatch):
    """Backpressure may last: where a subscription ended long ago, the next one looks whether all is still there."""
    monkeypatch.setattr("service.source.kinesis.FRESH_SECONDS", 0.0)
    (done,) = pushed.put(b"done")
    async with pushed.stream() as stream:
        answers = stream.read(FIRST, None, pushed.budget)
        assert data([await anext(answers)]) == [b"done"]
        pushed.local.faults.add(Fault("break", times=1))
        pushed.put(b"lost")
        await asyncio.sleep(0.5)
        pushed.clock.now += 25 * 3600
        (still,) = pushed.put(b"still there")
        async with asyncio.timeout(30):
            async for fetched in answers:
                if fetched.records:
                    break
    assert data([fetched]) == [b"still there"]
    assert fetched.gap == Gap(Position(done), Position(still), round(pushed.clock.now * 1000))


async def test_an_event_waits_for_room(pushed):
    pushed.put(b"1")
    await pushed.budget.reserve(pushed.budget.size)
    async with pushed.stream() as stream:
        reading = asyncio.create_task(pushed.read(stream, 1))
        await asyncio.sleep(0.5)
        assert not reading.done()
        await pushed.budget.release(1000)
        assert data(await reading) == [b"1"]
    assert pushed.budget.taken == pushed.budget.size - 1000


async def test_refused_and_failed_subscriptions_are_repeated(pushed, caplog):
    pushed.put(b"1")
    pushed.local.faults.add(Fault("throttle", "SubscribeToShard", times=3))
    pushed.local.faults.add(Fault("throttle", "RegisterStreamConsumer", times=1))
    async with pushed.stream() as stream:
        assert data(await pushed.read(stream, 1)) == [b"1"]
    assert Metrics.value(pushed.metrics.throttled) == 4
    assert not caplog.records, "throttling is a normal thing"
