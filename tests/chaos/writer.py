"""Puts readings into the stream, with what a real stream has besides: junk, and aggregates.

``python -m tests.chaos.writer --endpoint-url URL --stream NAME --rate 2000``, until SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Iterator
from datetime import UTC, datetime

from aws_kinesis_agg.aggregator import RecordAggregator

from simulator.reading import Reading
from simulator.sensors import Sensors
from simulator.writer import Writer
from tests.chaos.poison import POISON
from tests.simulator.conftest import kinesis

JUNK_EVERY = 1009  # readings
REFUSED_EVERY = 2003  # readings
AGGREGATE_EVERY = 10  # readings of a sensor


class Load:
    """What to put, in order, until ``stop``. Every tenth reading of a sensor shares an aggregate with its next one.

    Attributes:
        count: readings so far.
    """

    def __init__(self, sensors: int, rate: float, seed: int, padding: int, refuse: bool) -> None:
        self.count = 0
        self._refuse = refuse
        self._sensors = Sensors(sensors, rate, seed=seed, start=datetime(2026, 1, 1, tzinfo=UTC))
        self._padding = b', "padding": "%s"}' % (b"x" * padding) if padding else b"}"
        self._stopped = False

    def stop(self) -> None:
        """Put no more but what was held back."""
        self._stopped = True

    def __iter__(self) -> Iterator[Reading]:
        held: dict[str, Reading] = {}
        for number, reading in enumerate(self._sensors):
            if self._stopped:
                break
            self.count += 1
            data = reading.data[:-1] + self._padding
            if number % JUNK_EVERY == JUNK_EVERY - 1:
                data = POISON[number // JUNK_EVERY % len(POISON)]
            elif self._refuse and number % REFUSED_EVERY == REFUSED_EVERY - 1:
                data = data.replace(b"2026-01-01T", b"2025-12-31T")
            whole = reading._replace(data=data)
            if reading.sensor in held:
                yield whole._replace(data=_aggregate(held.pop(reading.sensor), whole))
            elif number // self._sensors.sensors % AGGREGATE_EVERY == AGGREGATE_EVERY - 1:
                held[reading.sensor] = whole
            else:
                yield whole
        yield from held.values()


def _aggregate(*parts: Reading) -> bytes:
    aggregator = RecordAggregator()
    for part in parts:
        aggregator.add_user_record(part.sensor, part.data)
    contents: bytes = aggregator.clear_and_get().get_contents()[2]
    return contents


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint-url", required=True)
    parser.add_argument("--stream", required=True)
    parser.add_argument("--sensors", type=int, default=200)
    parser.add_argument("--rate", type=float, default=2000, help="readings a second")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--padding", type=int, default=0, help="bytes that each reading carries besides")
    parser.add_argument("--refuse", action="store_true", help="put some readings of the year before")
    options = parser.parse_args()
    load = Load(options.sensors, options.rate, options.seed, options.padding, options.refuse)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, load.stop)
    async with kinesis(options.endpoint_url) as client:
        print("writing", flush=True)
        totals = await Writer(client, options.stream).write(load)
    print(f"{load.count} readings in {totals.records} records, {load.count / totals.seconds:.0f} a second")


if __name__ == "__main__":
    asyncio.run(_main())
