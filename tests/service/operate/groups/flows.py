"""A flow log's file, as S3 has them: compressed lines below a header."""

import gzip

import orjson

from simulator.events import vpc_flow_logs


def written(path, seconds=2400, rate=6.0):
    """The file, of a simulated network in which nothing is skipped."""
    lines = [" ".join(part.strip("${}") for part in vpc_flow_logs.LOG_FORMAT.split())]
    for record in vpc_flow_logs.generate(1_767_571_200_000, rate, seconds, 1):
        body = orjson.loads(gzip.decompress(record.data))
        if body["messageType"] == "DATA_MESSAGE":
            lines += [event["message"] for event in body["logEvents"]]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path
