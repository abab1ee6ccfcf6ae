"""Whatever workers do and suffer, in whatever order: no gap below a checkpoint, models equal to a replay, and in the
end the documents of an undisturbed run, each once."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from service import StateError
from service.pipeline.core import Core
from service.source.client import StreamError
from service.state.checkpoints import HeldLease as HeldLease
from tests.service.worker.virtual import SENSORS, BrokenError, Chain, World

MOST_WORKERS = 3
RAM = Path("/dev/shm")
PICK = st.integers(0, 7)


def pick(things, number):
    return things[number % len(things)]


class Interleavings(RuleBasedStateMachine):
    """What may happen."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=RAM if RAM.is_dir() else None))

    @initialize(shards=st.integers(1, 3), workers=st.integers(1, 2))
    def begin(self, shards, workers):
        self.world = World(self.folder, shards)
        self.value = 0
        for _ in range(workers):
            self.world.start()

    @rule(sensors=st.lists(st.sampled_from(SENSORS), min_size=1, max_size=8))
    def put(self, sensors):
        for sensor in sensors:
            self.value += 1
            self.world.stream.put(sensor, float(self.value))

    @rule(steps=st.integers(1, 25))
    def go_on(self, steps):
        self.world.steps(steps)

    @precondition(lambda self: self.world.workers)
    @rule(number=PICK, steps=st.integers(1, 25))
    def one_worker_goes_on(self, number, steps):
        worker = pick(self.world.workers, number)
        for _ in range(steps):
            worker.step()

    @rule(seconds=st.sampled_from([0.3, 1.0, 3.0, 3.4, 9.0]), steps=st.integers(1, 40))
    def time_passes(self, seconds, steps):
        self.world.advance(seconds, steps)

    @precondition(lambda self: len(self.world.workers) < MOST_WORKERS)
    @rule()
    def a_worker_joins(self):
        self.world.start()

    @precondition(lambda self: self.world.workers)
    @rule(number=PICK, noticed=st.booleans())
    def a_worker_is_killed(self, number, noticed):
        self.world.kill(pick(self.world.workers, number), noticed)

    @precondition(lambda self: self.world.workers)
    @rule(number=PICK)
    def a_worker_is_told_to_stop(self, number):
        worker = pick(self.world.workers, number)
        if worker.consumer:
            worker.loop.call_soon(worker.consumer.stop)

    @precondition(lambda self: self.world.workers)
    @rule(number=PICK)
    def a_worker_stands_still_or_wakes(self, number):
        worker = pick(self.world.workers, number)
        worker.paused = not worker.paused

    @precondition(lambda self: self.world.workers)
    @rule(number=PICK, seconds=st.integers(5, 15))
    def a_worker_stands_still_for_so_long(self, number, seconds):
        """Long enough, perhaps, for its leases to expire and be taken, and then it goes on as if it had them."""
        worker = pick(self.world.workers, number)
        worker.paused = True
        for _ in range(seconds):
            self.world.advance(1)
        worker.paused = False

    @precondition(lambda self: self.world.workers)
    @rule(number=PICK, count=st.integers(1, 3))
    def answers_of_the_stores_are_lost(self, number, count):
        pick(self.world.workers, number).executor.flakes = count

    @rule()
    def the_index_goes_away_or_comes_back(self):
        self.world.index.away = not self.world.index.away

    @rule(count=st.integers(1, 3))
    def the_index_has_a_bug(self, count):
        self.world.index.breaks = count

    @rule(count=st.integers(1, 3))
    def the_detector_has_a_bug(self, count):
        Chain.breaks = count

    @precondition(lambda self: len(self.world.stream.all) < 8)
    @rule(number=PICK)
    def a_shard_is_split(self, number):
        self.world.stream.split(pick(self.world.stream.open(), number))

    @precondition(lambda self: len(self.world.stream.open()) > 1 and len(self.world.stream.all) < 8)
    @rule(number=PICK)
    def two_shards_are_merged(self, number):
        neighbours = sorted(self.world.stream.open(), key=lambda one: one.shard.hash_keys)
        left = number % (len(neighbours) - 1)
        self.world.stream.merge(neighbours[left], neighbours[left + 1])

    @rule()
    def finished_shards_leave_the_stream(self):
        for lease in self.world.rows():
            self.world.stream.all[lease.shard].listed &= not lease.ended

    @invariant()
    def all_is_well(self):
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self):
        if not hasattr(self, "world"):
            return
        try:
            self.world.settle()
            self.world.check()
            assert self.world.found() == self.world.expected()
            assert self.world.faults() <= self.world.index.broken + Chain.broken, "a pipeline ended without a cause"
            for worker in self.world.workers:
                assert worker.budget.taken == 0
        finally:
            self.world.close()
            shutil.rmtree(self.folder)


TestInterleavings = pytest.mark.timeout(600)(Interleavings.TestCase)
TestInterleavings.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path, shards=4)
    yield world
    world.close()


def load(world) -> list[int]:
    return sorted(len(worker.consumer.pipelines) for worker in world.workers)


def advance(world, seconds):
    for _ in range(seconds):
        world.advance(1)


def feed(world, count):
    for number in range(count):
        world.stream.put(SENSORS[number % len(SENSORS)], float(number))


def test_two_and_three_workers_share_alike_within_two_failover_times(world):
    world.start()
    world.advance(1)
    world.start()
    world.start()
    for _ in range(20):
        world.advance(1)
    assert load(world) == [1, 1, 2]
    world.kill(world.workers[0], noticed=False)
    for _ in range(20):
        world.advance(1)
    assert load(world) == [2, 2]
    feed(world, 100)
    world.settle()
    world.check()
    assert world.found() == world.expected()


def test_a_stopped_worker_hands_over_at_once(world):
    first, second = world.start(), world.start()
    for _ in range(8):
        world.advance(1)
    feed(world, 50)
    world.advance(0.5)
    first.consumer.stop()
    for _ in range(5):
        world.advance(1)
    assert first.main.result() is True
    assert len(second.consumer.pipelines) == 4


def test_while_the_index_is_away_leases_are_kept_and_a_stop_ends_in_time_and_commits_nothing(world):
    worker = world.start()
    world.advance(1)
    world.index.away = True
    feed(world, 400)
    for _ in range(600):
        world.advance(1, steps=10)
    assert len(worker.consumer.pipelines) == 4
    assert worker.budget.taken <= worker.budget.size
    committed = {lease.shard: lease.position for lease in world.rows()}
    worker.consumer.stop()
    for _ in range(22):
        world.advance(1)
    assert worker.main.result() is False
    assert {lease.shard: lease.position for lease in world.rows()} == committed
    assert all(lease.owner is None for lease in world.rows())
    world.settle()
    assert world.found() == world.expected()


def test_rows_of_past_shards_go_when_their_children_have_checkpoints(world):
    world.start()
    feed(world, 50)
    world.advance(1)
    for shard in world.stream.open():
        world.stream.split(shard)
    world.settle()
    for _ in range(15):
        world.advance(1)
    for shard in world.stream.all.values():
        shard.listed = not shard.closed
    feed(world, 100)
    for _ in range(40):
        world.advance(1)
    assert {lease.shard for lease in world.rows()} == {shard.shard.id for shard in world.stream.open()}
    world.check()
    assert world.found() == world.expected()


def test_what_comes_after_the_very_first_start_is_read_even_if_that_worker_dies_at_once(world):
    """With ``start = LATEST``: the time of the first start is kept before anything is read, and children inherit it."""
    feed(world, 20)  # too early
    world.clock.now, world.since = 10.0, 10_000
    world.start()
    world.steps(20)
    assert {lease.since for lease in world.rows()} == {10_000}
    world.kill(world.workers[0])
    before = world.expected()
    feed(world, 30)
    world.stream.split(world.stream.open()[0])
    feed(world, 30)
    world.clock.now, world.since = 99.0, 99_000
    world.start()
    for _ in range(40):
        world.advance(1)
    assert {lease.since for lease in world.rows()} == {10_000}
    assert world.found().keys() == world.expected().keys() - before.keys()


def test_a_bug_in_one_shards_scoring_stops_that_shard_only_and_is_over_when_the_bug_is(world, caplog, monkeypatch):
    worker = world.start()
    feed(world, 40)
    world.advance(1)
    (victim,) = {one.shard.id for one in world.stream.all.values() if one.records[0].partition_key == SENSORS[0]}
    tries, process = [], Core.process

    def breaking(self, records, gap=None, **more):
        if self.shard != victim or not records:
            return process(self, records, gap, **more)
        tries.append(world.clock.now)
        raise BrokenError("of the detector")

    monkeypatch.setattr(Core, "process", breaking)
    feed(world, 80)
    for _ in range(100):
        world.advance(1)
        assert set(worker.consumer._held) == world.stream.all.keys(), "all leases are kept"
    expected = {key for key in world.expected() if key[0] != victim}
    assert expected <= world.found().keys(), "the others go on"
    (line,) = worker.consumer.faults.describe(world.clock.now)
    assert line.startswith(f"shard {victim}: BrokenError: of the detector (attempt ")
    assert 5 < len(tries) < 12, "with pauses that grow"
    told = [record for record in caplog.records if "its pipeline ended" in record.message]
    assert len(told) == 1, "once, not at each attempt"
    monkeypatch.undo()
    for _ in range(100):
        world.advance(1)
    assert worker.consumer.faults.describe(world.clock.now) == []
    assert f"{victim}: works again after" in caplog.text
    world.settle()
    world.check()
    assert world.found() == world.expected()


def test_a_worker_that_cannot_go_on_hands_its_leases_over_first(world):
    """Here the list of shards cannot be read any more; what is fetched is finished before the worker ends."""
    world.start()
    feed(world, 40)
    world.advance(1)

    async def shards():
        raise StreamError("the stream is gone; make it again")

    listed, world.stream.shards = world.stream.shards, shards
    with pytest.raises(StreamError, match="make it again"):
        advance(world, 15)
    assert all(lease.owner is None for lease in world.rows())
    assert all(lease.position for lease in world.rows() if world.stream.all[lease.shard].records)
    world.stream.shards = listed


def test_a_worker_none_of_whose_shards_can_be_read_ends_with_the_reason(world, monkeypatch):
    async def restore(self):
        raise StateError(f"{self.shard}: its snapshot is damaged; restore it from a copy")

    monkeypatch.setattr(HeldLease, "restore", restore)
    world.start()
    with pytest.raises(StateError, match="damaged"):
        advance(world, 20)
    assert all(lease.owner is None for lease in world.rows())


def test_a_shard_that_is_still_being_restored_is_not_said_to_work_again(world, caplog, monkeypatch):
    feed(world, 40)
    world.start()
    for _ in range(5):
        world.advance(1)
    assert all(lease.position for lease in world.rows())
    world.kill(world.workers[0])

    async def restore(self):
        await asyncio.sleep(5.0)  # while the worker looks at its shards several times
        raise StateError(f"{self.shard}: its snapshot is damaged; restore it from a copy")

    monkeypatch.setattr(HeldLease, "restore", restore)
    world.start()
    with pytest.raises(StateError, match="damaged"):
        advance(world, 40)
    assert "works again" not in caplog.text
