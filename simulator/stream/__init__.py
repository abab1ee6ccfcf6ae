"""A local stream: Kinesis Data Streams' API over HTTP, in memory, with faults on demand.

``errors`` and ``members`` say how AWS refuses a request, ``shards`` holds records, ``kinesis`` answers operations,
``faults`` makes them fail, ``server`` speaks HTTP. All but ``server`` are free of I/O, with the clock as an argument.
"""

from simulator.stream.faults import Fault
from simulator.stream.server import LocalStream

__all__ = ["Fault", "LocalStream"]
