"""Time of a forest beside its peers: python -m benchmarks.forest [--quick] [--json]

Microseconds a reading: of one thread its CPU time, which other processes disturb less, of two by the clock. The engines
take turns, some ten milliseconds each, with an unmeasured start to warm the caches; of all turns the median and the
quartiles are given, and beside ours the median of krcf's time over ours in the same turn. The peers take one reading a
call; their times stand beside every batch size of ours, measured anew.

Modes: score+update (what a stream costs), score, update, and fleet: 1000 forests in turn, each of which gets one batch,
so that its memory is not in the cache.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from benchmarks import print_json
from benchmarks.peers import FLEET, PEERS, SHAPES, Cutwater, Peer, Shape, available, stream

BATCHES = (1, 64, 1000)
MODES = ("score+update", "score", "update")
POINTS = {"cutwater": 1000, "krcf": 200, "jrcf": 200, "rrcf": 2}  # in a turn
SLOW_ROUNDS = 3  # of rrcf, which takes tens of milliseconds a reading
STREAM = 20_000
FLEET_SIZE = 1000
FLEET_BATCHES = (1, 16, 64)

Row = dict[str, Any]


def work(peer: Peer, mode: str) -> Callable[[list[Any]], None]:
    """What a mode does with batches."""
    return {"score+update": peer.process, "score": peer.score, "update": peer.update}[mode]


def clock(threads: int) -> Callable[[], float]:
    """What tells the time of a turn, in seconds."""
    return time.thread_time if threads == 1 else time.perf_counter


class Lane:
    """One engine as it goes through a stream, a turn at a time."""

    def __init__(self, engine: str, shape: Shape, threads: int) -> None:
        self.engine, self.shape, self.threads = engine, shape, threads
        self.peer = PEERS[engine](shape, threads)
        self.values = stream(shape, STREAM)
        self.at = 0
        fill = shape.samples if engine == "rrcf" else 6 * shape.samples
        self.peer.update(self.take(fill, 64))

    def take(self, n: int, batch: int) -> list[Any]:
        """The next n readings in batches."""
        if self.at + n > len(self.values):
            self.at = 0
        self.at += n
        return self.peer.prepare(self.values[self.at - n : self.at], batch)

    def turn(self, mode: str, batch: int) -> float:
        """Microseconds a reading."""
        n = POINTS[self.engine]
        run = work(self.peer, mode)
        if self.engine != "rrcf":
            run(self.take(n // 4, batch))
        batches = self.take(n, batch)
        now = clock(self.threads)
        began = now()
        run(batches)
        return (now() - began) / n * 1e6


def row(engine: str, shape: Shape, batch: int, threads: int, mode: str, times: list[float]) -> Row:
    """A row of the result."""
    low, high = np.quantile(times, [0.25, 0.75])
    return {
        "engine": engine,
        **shape._asdict(),
        "batch": batch,
        "threads": threads,
        "mode": mode,
        "us_per_point": round(float(np.median(times)), 3),
        "quartiles": [round(float(low), 3), round(float(high), 3)],
        "rounds": len(times),
    }


def compare(
    engines: list[str], shape: Shape, threads: int, mode: str, rounds: int, step: Callable[[], None]
) -> list[Row]:
    """Rows of all engines and batch sizes for one shape."""
    lanes = [Lane(engine, shape, threads) for engine in engines]
    rows = []
    for batch in BATCHES:
        asked = [lane for lane in lanes if lane.engine != "rrcf" or (batch == 1 and mode != "score" and threads == 1)]
        times: dict[str, list[float]] = {lane.engine: [] for lane in asked}
        for number in range(rounds):
            for lane in asked:
                if lane.engine != "rrcf" or number < SLOW_ROUNDS:
                    times[lane.engine].append(lane.turn(mode, batch))
        found = {engine: row(engine, shape, batch, threads, mode, times[engine]) for engine in times}
        if {"cutwater", "krcf"} <= times.keys():
            ratio = np.median(np.array(times["krcf"]) / times["cutwater"])
            found["cutwater"]["krcf_ratio"] = round(float(ratio), 2)
        rows += found.values()
        step()
    return rows


def fleet(shape: Shape, rounds: int, step: Callable[[], None]) -> list[Row]:
    """Rows of 1000 forests in turn."""
    peers = [Cutwater(shape) for _ in range(FLEET_SIZE)]
    values = stream(shape, 3 * shape.samples)
    for peer in peers:
        peer.update([values])
    rows = []
    for batch in FLEET_BATCHES:
        batches = peers[0].prepare(stream(shape, rounds * batch, seed=1), batch)
        times = []
        for one in batches:
            began = time.thread_time()
            for peer in peers:
                peer.forest.process(one)
            times.append((time.thread_time() - began) / (FLEET_SIZE * batch) * 1e6)
        rows.append(row("cutwater", shape, batch, 1, "fleet", times))
        step()
    return rows


def show(rows: list[Row]) -> None:
    """A table."""
    for r in rows:
        shape = Shape(*(r[name] for name in Shape._fields))
        ratio = f"{r['krcf_ratio']:6.1f} x krcf" if "krcf_ratio" in r else ""
        print(
            f"{r['engine']:9} {tuple(shape)!s:18} batch {r['batch']:4}  threads {r['threads']}  {r['mode']:12} "
            f"{r['us_per_point']:10.2f} us  [{r['quartiles'][0]:.2f}, {r['quartiles'][1]:.2f}] {ratio}"
        )


def main() -> None:
    """Print one row an engine, shape, batch size, number of threads and mode."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--modes", nargs="+", default=[*MODES, "fleet"], choices=[*MODES, "fleet"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="ours and krcf, score+update, one thread, 7 rounds")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.engines, arguments.modes, arguments.threads = ["cutwater", "krcf"], ["score+update"], [1]
        arguments.rounds = min(arguments.rounds, 7)
    engines = available(arguments.engines)
    shapes = (*SHAPES, FLEET)
    modes = [mode for mode in arguments.modes if mode != "fleet"]
    fleets = [FLEET, *SHAPES[:3]] if "fleet" in arguments.modes else []
    rows: list[Row] = []
    total = len(shapes) * len(modes) * len(arguments.threads) * len(BATCHES) + len(fleets) * len(FLEET_BATCHES)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring", total=total)
        for threads in arguments.threads:
            for shape in shapes:
                for mode in modes:
                    progress.update(task, description=f"{tuple(shape)}, {mode}, threads {threads}")
                    rows += compare(engines, shape, threads, mode, arguments.rounds, lambda: progress.advance(task))
        for shape in fleets:
            progress.update(task, description=f"fleet of {tuple(shape)}")
            rows += fleet(shape, arguments.rounds, lambda: progress.advance(task))
    show(rows)
    if arguments.json:
        print_json("forest", rows)


if __name__ == "__main__":
    main()
