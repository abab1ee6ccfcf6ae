"""The writer against the local stream, through a real aiobotocore client."""

import base64
from itertools import pairwise

import pytest

from simulator.reading import Reading
from simulator.sensors import Sensors
from simulator.stream import Fault, LocalStream
from simulator.writer import ATTEMPTS, CALL_BYTES, LONGEST_PAUSE, RECORD_BYTES, WriteError, Writer
from tests.simulator.conftest import kinesis


class Clock:
    """Time that passes only when someone sleeps."""

    def __init__(self):
        self.now = 1000.0
        self.pauses = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


class Bench:
    """A local stream, a writer to it, and what arrived when."""

    def __init__(self, local, client, clock):
        self.local = local
        self.clock = clock
        self.writer = Writer(client, "raw", clock=clock, sleep=clock.sleep)

    def records(self):
        """Data and arrival of all records, shard by shard, in their order."""
        found = []
        for shard in ("shardId-000000000000", "shardId-000000000001"):
            request = {"StreamName": "raw", "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
            answer = {"NextShardIterator": self.local.kinesis.call("GetShardIterator", request)["ShardIterator"]}
            while answer.get("MillisBehindLatest") != 0:
                answer = self.local.kinesis.call("GetRecords", {"ShardIterator": answer["NextShardIterator"]})
                found += [
                    (base64.b64decode(record["Data"]), record["ApproximateArrivalTimestamp"])
                    for record in answer["Records"]
                ]
        return found

    def data(self):
        return [data for data, _ in self.records()]


@pytest.fixture
async def bench():
    clock = Clock()
    async with LocalStream(streams={"raw": 2}, clock=clock) as local, kinesis(local.endpoint_url) as client:
        yield Bench(local, client, clock)


def shard_of(bench, reading):
    """The last digit of the shard that a reading goes to."""
    entry = {"StreamName": "raw", "Data": "", "PartitionKey": reading.sensor}
    return bench.local.kinesis.call("PutRecord", entry)["ShardId"][-1]


def numbered(count, sensor="s", size=0):
    return [Reading(sensor, 0.0, b"%06d" % number + b" " * size) for number in range(count)]


async def test_every_reading_is_put_once_and_in_order(bench):
    readings = list(Sensors(sensors=5, count=1234))
    totals = await bench.writer.write(readings, speed=None)
    assert (totals.records, totals.calls, totals.resent) == (1234, 3, 0)
    assert totals.size == sum(len(reading.data) for reading in readings)
    found = bench.data()
    for name in Sensors(sensors=5).names:
        assert [data for data in found if name.encode() in data] == [
            reading.data for reading in readings if reading.sensor == name
        ]
    assert bench.clock.pauses == []


async def test_nothing_to_write_is_no_call(bench):
    assert (await bench.writer.write([])).calls == 0


async def test_a_call_stays_within_its_size(bench):
    readings = numbered(23, size=CALL_BYTES // 10)
    totals = await bench.writer.write(readings, speed=None)
    assert totals.calls == 3
    assert sorted(bench.data()) == [reading.data for reading in readings]


async def test_only_what_was_refused_is_sent_again(bench):
    bench.local.faults.add(Fault("throttle", share=0.4, times=700))
    readings = numbered(2000)
    totals = await bench.writer.write(readings, speed=None)
    assert totals.resent == 700
    assert sorted(bench.data()) == [reading.data for reading in readings]  # each once


async def test_a_refused_reading_changes_places_within_its_batch_only(bench):
    bench.local.faults.add(Fault("throttle", operation="PutRecords", share=0.5))
    await bench.writer.write(numbered(2000), speed=None)
    batches = [int(data) // 500 for data in bench.data()]
    assert batches == sorted(batches)


@pytest.mark.parametrize("kind", ["throttle", "fail"])
async def test_pauses_grow_with_jitter_up_to_a_limit(bench, kind):
    bench.local.faults.add(Fault(kind, times=ATTEMPTS - 1))
    await bench.writer.write(numbered(1))
    pauses = bench.clock.pauses
    assert len(pauses) == ATTEMPTS - 1
    assert all(later > earlier for earlier, later in pairwise(pauses[:4:2]))
    assert all(pause <= LONGEST_PAUSE for pause in pauses)
    assert len(set(pauses)) == len(pauses)


async def test_it_gives_up_with_the_reason_and_a_remedy(bench):
    bench.local.faults.add(Fault("throttle"))
    with pytest.raises(
        WriteError, match=r"'raw': gave up on 3 records after 10 attempts: Provisioned.*write more slowly"
    ):
        await bench.writer.write(numbered(3))
    assert len(bench.clock.pauses) == ATTEMPTS - 1


async def test_attempts_count_anew_after_progress(bench):
    first, second = (next(r for r in Sensors(9, count=9) if shard_of(bench, r) == shard) for shard in "01")
    bench.local.faults.add(Fault("throttle", shard="shardId-000000000000", times=ATTEMPTS))
    totals = await bench.writer.write([first, second], speed=None)  # the first call puts the second reading
    assert totals.calls == ATTEMPTS + 1


async def test_a_server_that_is_away_is_waited_for_and_then_named(bench):
    async with kinesis("http://127.0.0.1:9") as client:  # discard; nobody listens
        writer = Writer(client, "raw", clock=bench.clock, sleep=bench.clock.sleep)
        with pytest.raises(WriteError, match=r"gave up on 1 records .*http://127\.0\.0\.1:9"):
            await writer.write(numbered(1))


async def test_what_waiting_cannot_help_fails_at_once(bench):
    async with kinesis(bench.local.endpoint_url) as client:
        with pytest.raises(WriteError, match=r"'nowhere': ResourceNotFoundException: .*; create the stream, or check"):
            await Writer(client, "nowhere", sleep=bench.clock.sleep).write(numbered(1))
    assert bench.clock.pauses == []


async def test_a_reading_that_is_too_large_is_named(bench):
    with pytest.raises(WriteError, match=f"sensor 'boiler' has {RECORD_BYTES + 1} bytes; Kinesis takes {RECORD_BYTES}"):
        await bench.writer.write([Reading("boiler", 0.0, bytes(RECORD_BYTES + 1 - len("boiler")))])


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 30.0), (10.0, 3.0)])
async def test_a_reading_is_sent_when_it_is_due(bench, speed, seconds):
    readings = [Reading("s", 10.0 * number, b"%d" % number) for number in range(4)]
    start = bench.clock.now
    totals = await bench.writer.write(readings, speed=speed)
    arrivals = [arrival - start for _, arrival in bench.records()]
    assert arrivals == pytest.approx([0.0, seconds / 3, seconds * 2 / 3, seconds], abs=0.002)
    assert totals.seconds == pytest.approx(seconds)


async def test_readings_due_at_nearly_the_same_time_share_a_call(bench):
    totals = await bench.writer.write(Sensors(rate=1000.0, count=1000))
    assert totals.calls <= 21  # about 50 ms apart
    assert 0.95 <= totals.seconds <= 1.05


async def test_as_fast_as_possible_does_not_wait(bench):
    await bench.writer.write(Sensors(rate=0.001, count=10), speed=None)
    assert bench.clock.pauses == []


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
async def test_a_speed_must_be_positive(bench, speed):
    with pytest.raises(ValueError, match=r"speed = .*: must be positive"):
        await bench.writer.write([], speed=speed)


async def test_a_progress_bar_shows_on_a_terminal_only(bench, capsys, monkeypatch):
    await bench.writer.write(numbered(3), progress=True)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    await bench.writer.write(numbered(3), progress=True)
    assert "3/3" in capsys.readouterr().err
