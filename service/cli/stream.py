"""``cutwater stream``."""

from __future__ import annotations

import argparse
import errno

from service import UserError
from service.cli import EXIT_OK
from service.cli.options import port, positive
from service.cli.stopping import on_signals
from service.cli.terminal import say
from simulator.stream import LocalStream

STREAM_PORT = 4567
EXAMPLE = "cutwater stream --create RawStreamData --shards 2"


def define(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on [%(default)s]")
    parser.add_argument("--port", type=port, default=STREAM_PORT, help="port to listen on [%(default)s]")
    parser.add_argument("--create", metavar="NAME", help="name of a stream to make")
    parser.add_argument("--shards", type=positive, default=1, help="its number of shards [%(default)s]")


async def run(options: argparse.Namespace) -> int:
    """The command."""
    stop = on_signals()
    try:
        streams = {options.create: options.shards} if options.create else {}
        async with LocalStream(options.host, options.port, streams=streams) as local:
            stop.graceful = True
            say(f"Kinesis API at {local.endpoint_url}")
            await stop.wait()
    except OSError as error:
        where = f"{options.host}:{options.port}"
        reason = "it is taken by another process" if error.errno == errno.EADDRINUSE else error.strerror
        raise UserError(f"cannot listen on {where}: {reason}; set another --port") from None
    return EXIT_OK
