"""Workers that are killed between an alert and its delivery: every episode is told, twice only with the same key.

``CUTWATER_TEST_NOTIFY_KILLS`` says how often; a few by default.
"""

import asyncio
import multiprocessing
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import orjson

from detector.detector import Configuration
from detector.fleet import Fleet
from detector.rules import Rules
from service.metrics import Metrics
from service.pipeline.core import Core, CoreConfiguration
from service.pipeline.decode import Fields, JSONDecoder
from service.pipeline.episodes import EpisodeTracker
from service.pipeline.records import Position, Record
from service.settings.model import load
from service.sinks.notify.notifier import Notifier
from service.sinks.recent_scores import RecentScores
from service.source.budget import ByteBudget
from service.state.blobs.sqlite import SQLiteBlobs
from service.state.checkpoints import Checkpoints
from service.state.leases import Lease, LeaseManager
from service.state.leases.sqlite import SQLiteLeaseStore
from service.state.snapshots import ModelFingerprint
from service.worker.context import PipelineContext
from service.worker.dead_letter_monitor import DeadLetterMonitor
from service.worker.shard import ShardPipeline
from tests.service.sinks.receiver import Receiver
from tests.service.worker.test_shard import RememberingIndex, ScriptedStream

KILLS = int(os.environ.get("CUTWATER_TEST_NOTIFY_KILLS", "3"))
SHARD = "shardId-000000000000"
SENSORS = ("a", "b", "c")
READINGS = 900
PACE = 0.01  # s between two batches


def records():
    """Readings of three sensors, of which each breaks its limit now and then, and is usual again."""
    values = random.Random(5)
    made = []
    for number in range(READINGS):
        sensor = SENSORS[number % 3]
        value = 500.0 if number % 150 in (90, 91, 92, 93) else 10.0 + values.random()
        body = {"iotName": sensor, "iotValue": value}
        made.append(Record(Position(number + 1), sensor, 1_800_000_000_000 + 10_000 * number, orjson.dumps(body)))
    return made


def core():
    fields = Fields("iotName", {"iotValue": "iotValue"}, "iotTime")
    configuration = CoreConfiguration("stream", "rcf-1", ("iotValue",), JSONDecoder(fields))
    detector = Configuration(trees=5, samples=16, rules=replace(Rules(), always_above=100.0))
    return Core(configuration, SHARD, Fleet(detector))


class PacedStream(ScriptedStream):
    async def read(self, *arguments):
        async for batch in super().read(*arguments):
            yield batch
            await asyncio.sleep(PACE)


async def work(folder, url):
    """One worker's life: read to the end of the script, tell everything, stop."""
    letters = RememberingIndex()
    routes = [{"name": "hook", "to": "webhook", "url": url, "group_seconds": 0.05, "most_per_minute": 1000}]
    notifier = Notifier(load({"notify": routes}, {}), letters.put, Metrics())
    worker = f"worker-{os.getpid()}"
    table, blobs = SQLiteLeaseStore(folder / "w.db", "stream", worker), SQLiteBlobs(folder / "w.db")
    await table.open()
    await blobs.open()
    leases = LeaseManager(table, worker)
    await leases.add(Lease(SHARD))
    fingerprint = ModelFingerprint("rcf-1", {})
    (lease,) = await table.rows()
    held = await Checkpoints(leases, blobs, "stream", fingerprint, "refuse").take(lease, [])
    stream = PacedStream(records())
    with ThreadPoolExecutor(2) as executor:
        context = PipelineContext(
            stream=stream,
            stream_name="stream",
            checkpoint_seconds=0.1,
            budget=ByteBudget(10**9),
            executor=executor,
            index=letters,
            letters=letters,
            recent=RecentScores(10_000),
            metrics=Metrics(),
            dead_letter_monitor=DeadLetterMonitor(lambda: 0.0),
            notifier=notifier,
        )
        pipeline = ShardPipeline(held, context, core())
        await notifier.open()
        running = asyncio.create_task(pipeline.run())
        while pipeline.committed != Position(READINGS) or notifier.outboxes[SHARD].pending:
            assert not running.done(), running
            await asyncio.sleep(0.02)
        pipeline.stop()
        await running
        await notifier.close()


def live(folder, url):
    """In a process of its own, which may be killed at any moment."""
    asyncio.run(work(folder, url))
    os._exit(0)


def test_every_episode_is_told_whenever_the_worker_is_killed(tmp_path):
    expected = [change["key"] for change in EpisodeTracker().follow(core().process(records()).scored)]
    assert len(expected) >= 20
    moments = random.Random(7)
    fork = multiprocessing.get_context("fork")
    # What fails now and then, and what is taken but never acknowledged, as when the answer is lost with the worker.
    with Receiver(*(["close", (200, "ok"), 500, (200, "ok")] * KILLS)) as receiver:
        for _ in range(KILLS):
            process = fork.Process(target=live, args=(tmp_path, receiver.url))
            process.start()
            asked = receiver.asked + moments.randrange(1, 6)
            deadline = time.monotonic() + 20
            while receiver.asked < asked and process.is_alive() and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.03))
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
            process.join()
        process = fork.Process(target=live, args=(tmp_path, receiver.url))
        process.start()
        process.join(120)
        assert process.exitcode == 0
        told = receiver.keys()
    assert set(told) == set(expected)
    by_key = {}
    for body in receiver.bodies:
        for episode in body["episodes"]:
            assert by_key.setdefault(episode["key"], episode) == episode  # what is told again is the same
