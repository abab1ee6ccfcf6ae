"""``cutwater run``."""

from __future__ import annotations

import argparse
import logging

from service import logs
from service.cli import EXIT_OK
from service.cli.options import add_settings, load_settings
from service.cli.serving import serving
from service.cli.stopping import on_signals

log = logging.getLogger("cutwater")

EXAMPLE = "cutwater run --stream RawStreamData --region eu-west-1 --opensearch-url https://search.example:443"


def define(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    add_settings(parser)


async def run(options: argparse.Namespace) -> int:
    """The command."""
    stop = on_signals()
    settings = load_settings(options)
    logs.configure(settings.log_level, settings.log_format)
    async with serving(settings, stop) as (service, address):
        log.info("reading stream %s; page and API at %s", settings.stream, address)
        finished = await service.run()
    if finished:
        log.info("stopped: all that was fetched is indexed and committed")
    return EXIT_OK
