"""A local stream: Kinesis Data Streams' API over HTTP, in memory, with faults on demand.

``errors`` and ``members`` say how AWS refuses a request, ``shards`` holds records, ``consumers`` who is subscribed to
them, ``kinesis`` answers operations, ``faults`` makes them fail, ``eventstream`` encodes what is pushed, ``server``
speaks HTTP. All but ``server`` are free of I/O, with the clock as an argument.
"""

from simulator.stream.faults import Fault
from simulator.stream.server import LocalStream

__all__ = ["Fault", "LocalStream"]
