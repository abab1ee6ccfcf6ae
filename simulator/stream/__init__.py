"""A local stream: Kinesis Data Streams' API over HTTP, in memory, with faults on demand.

A request comes in at ``server``, over HTTP, and goes to ``kinesis``, which has ``members`` check it and one of
``operations`` answer it. An ``account`` holds the streams, ``shards`` their records, ``consumers`` who is subscribed to
them; ``answers`` says how all these look from outside, ``tokens`` makes iterators and tokens, ``errors`` has AWS's
refusals, ``faults`` makes operations fail, ``eventstream`` encodes what is pushed. All but ``server`` are free of I/O,
with the clock as an argument.
"""

from simulator.stream.faults import Fault
from simulator.stream.server import LocalStream

__all__ = ["Fault", "LocalStream"]
