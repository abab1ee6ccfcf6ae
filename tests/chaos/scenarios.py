"""What is done to the workers, the stream and the index while readings come."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.compare import Difference
from tests.chaos.harness import TIMEOUT, Harness, Worker, wait
from tests.chaos.worker import MOMENTS
from tests.servers import opensearch

Report = Callable[[str], None]
FAILOVER = 3.0  # s
LIGHT = 300.0  # readings a second, where it is not the load that matters
MOST_MEMORY = 400_000_000  # bytes, of a worker whose index is away


def kills(
    folder: Path, seed: int, say: Report, count: int, rate: float, moments: Sequence[str], **_: Any
) -> tuple[Harness, Difference]:
    """One worker, killed again and again: while it starts, while it works, and at each moment that matters most."""
    with Harness(folder, seed, rate=rate) as harness:
        for number, moment in zip(range(count), _in_turn(moments, MOMENTS), strict=False):
            if moment:
                often = harness.shards if moment == "taken" else 6  # a lone worker takes each shard once
                worker = harness.start(moment, harness.random.randint(1, often))
                _await_death(harness, worker)
            else:
                worker = harness.start()
                if number % 4:
                    harness.await_work(worker, TIMEOUT)
                time.sleep(harness.random.uniform(0.0, 2.0))
                harness.kill(worker)
            say(f"kill {harness.kills}: {moment or 'from outside'}, {harness.count()} documents so far")
        return harness, harness.finish()


def _in_turn(moments: Sequence[str], every: Iterable[str]) -> Iterator[str | None]:
    """These moments again and again; without any: every one, with a kill from outside (None) before each."""
    return itertools.cycle(moments or [each for moment in every for each in (None, moment)])


EVENTS = """
event_format = "json"
time_field = "iotTime"
max_past_seconds = 0

[event_fields]
iotName = "keyword"
iotValue = "double"

[enrich.places]
type = "reference"
url = "places.csv"
join = { iotName = "name" }
columns = { name = "text", place = "text" }
refresh = 1

[[windows]]
name = "sensors"
key = ["iotName"]
every = 1
lateness = 2
measures = { readings = "count", total = "sum iotValue", mean = "mean iotValue", values = "distinct iotValue" }
detect = ["readings", "total"]

[[windows]]
name = "places"
key = ["place"]
every = 2
lateness = 2
measures = { readings = "count", most = "max iotValue" }
detect = []
"""


def windows(
    folder: Path, seed: int, say: Report, count: int, moments: Sequence[str], **_: Any
) -> tuple[Harness, Difference]:
    """Events are enriched and counted while workers die, shards split and merge, and the table is read anew."""
    places = "".join(f"sensor-{number},{'north' if number % 2 else 'south'}\n" for number in range(1000))
    files = {"cutwater.toml": EVENTS, "places.csv": places}
    with Harness(folder, seed, rate=LIGHT, settings=("--failover-seconds", str(FAILOVER)), files=files) as harness:
        every = ("documents", "acknowledged", "lease", "committed", "snapshot")
        for number, moment in zip(range(count), _in_turn(moments, every), strict=False):
            if number == count // 3:
                harness.call("SplitShard", ShardToSplit=harness.open_shards()[0], NewStartingHashKey=str(2**125))
                say("a shard was split within its windows")
            elif number == 2 * count // 3:
                first, second = harness.open_shards()[2:4]
                harness.call("MergeShards", ShardToMerge=first, AdjacentShardToMerge=second)
                say("two shards were merged within their windows")
            worker = harness.start(*((moment, harness.random.randint(1, 4)) if moment else ()))
            if not moment:
                harness.await_work(worker, TIMEOUT)
                (folder / "places.new").write_text(places + f"nobody,{number}\n")
                (folder / "places.new").rename(folder / "places.csv")
                time.sleep(harness.random.uniform(0.5, 3.0))
                harness.kill(worker)
            else:
                _await_death(harness, worker)
            say(f"kill {harness.kills}: {moment or 'at work'}, {harness.count()} documents so far")
        return harness, harness.finish()


def workers(folder: Path, seed: int, say: Report, **_: Any) -> tuple[Harness, Difference]:
    """Workers come, go, die, and stand still for so long that others take over, and then go on as if nothing were.

    They have the records pushed (enhanced fan-out), and so fight for subscriptions, too.
    """
    pushed = ("--failover-seconds", str(FAILOVER), "--fan-out", "chaos")
    with Harness(folder, seed, rate=LIGHT, settings=pushed) as harness:
        first = harness.start()
        _await_shares(harness, (4,))
        second = harness.start()
        say(f"the second worker has its share after {_await_shares(harness, (2, 2)):.1f} s")
        third = harness.start()
        say(f"the third worker has its share after {_await_shares(harness, (1, 1, 2)):.1f} s")
        harness.freeze(third)
        _await_shares(harness, (2, 2))
        say("the third worker stood still, and the others have taken its shards")
        harness.work(1.0)
        third.thaw()
        _await_shares(harness, (1, 1, 2))
        say("it was woken, and shares again")
        harness.kill(first)
        _await_shares(harness, (2, 2))
        say("the first worker was killed, and the others have taken its shards")
        harness.freeze(second)
        _await_shares(harness, (4,))
        second.thaw()
        _await_shares(harness, (2, 2))
        third.leave()
        _await_shares(harness, (4,))
        say("the third worker has left")
        harness.work(1.0)
        return harness, harness.finish()


def reshard(folder: Path, seed: int, say: Report, **_: Any) -> tuple[Harness, Difference]:
    """Shards split and merge under load, while workers die: also just before and after a shard's end."""
    with Harness(folder, seed, rate=LIGHT, settings=("--failover-seconds", str(FAILOVER))) as harness:
        dying = harness.start("end")
        _await_shares(harness, (4,))
        first, _, third, fourth = harness.open_shards()
        harness.call("SplitShard", ShardToSplit=first, NewStartingHashKey=str(2**125))
        _await_death(harness, dying)
        say("split: a worker died before it had noted the shard's end")
        dying = harness.start("ended", 2)
        harness.call("MergeShards", ShardToMerge=third, AdjacentShardToMerge=fourth)
        _await_death(harness, dying)
        say("merge: a worker died between parents and child")
        steady = harness.start()
        harness.await_work(steady, TIMEOUT)
        dying = harness.start("taken", 2)
        harness.call("UpdateShardCount", TargetShardCount=8, ScalingType="UNIFORM_SCALING")
        _await_death(harness, dying)
        say("8 shards: a worker died with what it had just taken")
        harness.call("SplitShard", ShardToSplit=harness.open_shards()[-1], NewStartingHashKey=str(2**128 - 2**100))
        say("a shard of next to nothing was split off")
        harness.await_work(steady, TIMEOUT)
        harness.call("UpdateShardCount", TargetShardCount=5, ScalingType="UNIFORM_SCALING")
        harness.work(2.0)
        say("5 shards")
        return harness, harness.finish()


def anew(folder: Path, seed: int, say: Report, **_: Any) -> tuple[Harness, Difference]:
    """The stream is deleted and made anew under its name while one worker reads and another stands still.

    Nobody may go on with the new stream where the old one was left, also not when started again. In another data_dir
    the new one is read from its start. Both streams' documents are compared.
    """
    refusal = "'chaos' was deleted and made anew since its checkpoint"
    with Harness(folder, seed, rate=LIGHT, settings=("--failover-seconds", str(FAILOVER))) as harness:
        first, second = harness.start(), harness.start()
        _await_shares(harness, (2, 2))
        harness.freeze(second)
        harness.stop_writing()
        harness.make_anew()
        harness.work(1.0)
        second.thaw()
        for worker in (first, second):
            # One that looks for new shards while there is no stream ends for that reason.
            harness.await_refusal(worker, f"{refusal}|on stream 'chaos': .*; create the stream")
        if harness.owners():
            raise AssertionError(f"leases were not handed over: {harness.owners()}")
        say("both workers have ended, and nobody holds a shard")
        harness.await_refusal(harness.start(), refusal)
        say("one that was started again has ended, too")
        old = harness.difference()
        say(f"of the old stream: {old}")
        harness.move()
        return harness, old + harness.finish()


def storm(folder: Path, seed: int, say: Report, moments: Sequence[str], **_: Any) -> tuple[Harness, Difference]:
    """The stream throttles, fails, hides what is new and lets iterators expire, while workers die."""
    with Harness(folder, seed, rate=LIGHT) as harness:
        harness.fault(kind="throttle", share=0.3)
        harness.fault(kind="fail", share=0.1)
        harness.fault(kind="expire", share=0.1)
        harness.fault(kind="lag", seconds=1.0)
        for moment in moments or (None, None):
            worker = harness.start(*((moment, 6) if moment else ()))
            if moment:
                _await_death(harness, worker)
            else:
                harness.await_work(worker, TIMEOUT)
                harness.work(6.0)
                harness.kill(worker)
            say(f"kill {harness.kills}: {moment or 'at work'}, {harness.count()} documents so far")
        return harness, harness.finish()


def outage(folder: Path, seed: int, say: Report, outage: float, **_: Any) -> tuple[Harness, Difference]:
    """The index is away for long, takes little at a time, lets nobody write, and refuses some documents for ever."""
    narrow = {"http.max_content_length": "500kb", "thread_pool.write.queue_size": "2"}
    limit = ("--max-in-flight-bytes", str(16 * 1024 * 1024))
    with (
        opensearch.Server(opensearch.OPENSEARCH_3, narrow) as server,
        Harness(folder, seed, rate=2 * LIGHT, settings=limit, server=server, refuse=True) as harness,
    ):
        worker = harness.start()
        wait(lambda: harness.count() > 0, TIMEOUT)
        server.kill()
        say("the index is killed")
        memory = _watch(worker, outage / 2)
        harness.kill(worker)
        worker = harness.start()
        if not wait(lambda: worker.status() is not None, TIMEOUT):
            raise AssertionError(f"a worker that starts without its index does not answer:\n{worker.output}")
        memory = max(memory, _watch(worker, outage / 2))
        server.start()
        say(f"the index is back after {outage:.0f} s; no worker took more than {memory / 1e6:.0f} MB")
        harness.await_work(worker, TIMEOUT)
        harness.work(1.0)
        harness.block_writes(True)
        say("nobody may write")
        harness.work(5.0)
        harness.block_writes(False)
        memory = max(memory, _watch(worker, 5.0))
        if memory > MOST_MEMORY:
            raise AssertionError(f"a worker took {memory / 1e6:.0f} MB; {MOST_MEMORY / 1e6:.0f} MB are allowed")
        return harness, harness.finish()


def _await_shares(harness: Harness, shares: tuple[int, ...]) -> float:
    """Wait until the workers hold so many shards each; how long that took."""
    began = time.monotonic()
    if not wait(lambda: tuple(sorted(harness.owners().values())) == shares, TIMEOUT):
        told = "\n".join(worker.output for worker in harness.workers)
        raise AssertionError(f"the workers hold {harness.owners()} and not {shares}:\n{told}")
    return time.monotonic() - began


def _await_death(harness: Harness, worker: Worker) -> None:
    if not harness.await_death(worker, TIMEOUT):
        raise AssertionError(f"the moment {worker.moment!r} did not come: {worker.status()}\n{worker.output}")


def _watch(worker: Worker, seconds: float) -> int:
    """The most memory that a worker takes in so many seconds."""
    deadline, most = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        most = max(most, worker.memory())
        time.sleep(0.5)
    return most


SCENARIOS: dict[str, Callable[..., tuple[Harness, Difference]]] = {
    "kills": kills,
    "windows": windows,
    "workers": workers,
    "reshard": reshard,
    "anew": anew,
    "storm": storm,
    "outage": outage,
}
