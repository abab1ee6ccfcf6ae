"""Bytes of a forest beside its peers: python -m benchmarks.memory [--json]

Resident: how much a process grows by a forest that has seen ten times its sample, the mean of several; of Java, its
heap after a collection. Snapshot: what the engine itself writes (ours compressed and with a checksum, krcf's as
MessagePack, jrcf's as JSON), and the fastest of several times to write it and to read it. rrcf has no snapshot of a
forest.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import psutil
from rich.console import Console
from rich.progress import track

from benchmarks import print_json
from benchmarks.peers import FLEET, PEERS, SHAPES, Peer, Shape, available, stream

TIMES = 20
FLOATS = 2_000_000  # in samples: enough for the allocator's own ways not to count


def resident(engine: str) -> int:
    """Bytes that this process holds."""
    gc.collect()
    if engine == "jrcf":
        import jpype

        runtime = jpype.java.lang.Runtime.getRuntime()
        runtime.gc()
        return int(runtime.totalMemory() - runtime.freeMemory())
    return psutil.Process().memory_info().rss


def fastest(do: Callable[[], Any]) -> float:
    """Microseconds of the fastest of several times."""
    best = float("inf")
    for _ in range(TIMES):
        began = time.thread_time()
        do()
        best = min(best, time.thread_time() - began)
    return round(best * 1e6, 1)


def measure(job: tuple[str, Shape]) -> dict[str, Any]:
    """The row of an engine and a shape."""
    engine, shape = job
    count = {"rrcf": 1, "jrcf": 8}.get(engine) or max(8, FLOATS // (shape.trees * shape.samples * shape.dimensions))
    values = stream(shape, shape.samples if engine == "rrcf" else 10 * shape.samples)

    def grown() -> Peer:
        peer = PEERS[engine](shape)
        peer.process(peer.prepare(values, 256))
        return peer

    first = grown()
    before = resident(engine)
    peers = [grown() for _ in range(count)]
    bytes_ = (resident(engine) - before) // count
    del peers
    snapshot = first.snapshot()
    return {
        "engine": engine,
        **shape._asdict(),
        "resident_bytes": bytes_,
        "snapshot_bytes": None if snapshot is None else len(snapshot),
        "snapshot_us": None if snapshot is None else fastest(first.snapshot),
        "restore_us": None if snapshot is None else fastest(lambda: first.restore(snapshot)),
    }


def main() -> None:
    """Print one row an engine and shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        engines = pool.apply(available, (arguments.engines,))
    jobs = [(engine, shape) for shape in (FLEET, *SHAPES) for engine in engines]
    rows = []
    for job in track(jobs, "measuring", console=Console(stderr=True), transient=True):
        with context.Pool(1) as pool:  # a process each: memory that one gave back does not hide the next
            rows.append(pool.apply(measure, (job,)))
    for row in rows:
        shape = tuple(row[name] for name in Shape._fields)
        snapshot = ""
        if row["snapshot_bytes"] is not None:
            times = f"{row['snapshot_us']:.0f} us, back in {row['restore_us']:.0f} us"
            snapshot = f"snapshot {row['snapshot_bytes']:10,} bytes, {times}"
        print(f"{row['engine']:9} {shape!s:18} resident {row['resident_bytes']:11,} bytes  {snapshot}")
    if arguments.json:
        print_json("memory", rows)


if __name__ == "__main__":
    main()
