"""``cutwater setup``."""

from __future__ import annotations

import argparse

from service import logs
from service.cli import EXIT_OK
from service.cli.options import ACCESS, LAYOUT, add_settings, give_up, load_settings
from service.cli.terminal import say
from service.operate.setup import set_up
from service.retry import give_up_after
from service.settings.model import SettingsError
from service.sinks.index.auth import Auth
from service.sinks.index.opensearch import OpenSearchIndex

EXAMPLE = "cutwater setup --opensearch-url https://search.example:443 --retention-days 90 --dry-run"


def define(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
    give_up(parser)
    add_settings(parser, only=(*ACCESS, *LAYOUT, "dashboards_url", "region"))


async def run(options: argparse.Namespace) -> int:
    """The command."""
    give_up_after.set(options.wait)
    settings = load_settings(options)
    if not settings.opensearch_url:
        raise SettingsError("opensearch_url is not set; the SQLite file that is used without it needs no setup")
    logs.configure("warning")
    index = OpenSearchIndex.of(settings)
    try:
        await set_up(
            index, dry_run=options.dry_run, tell=say, dashboards_url=settings.dashboards_url, auth=Auth.of(settings)
        )
    finally:
        await index.close()
    return EXIT_OK
