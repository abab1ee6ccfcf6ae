"""``cutwater recipes``."""

from __future__ import annotations

import argparse

from service import recipes
from service.cli import EXIT_OK
from service.cli.terminal import say

EXAMPLE = "cutwater recipes"


def define(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


async def run(options: argparse.Namespace) -> int:
    """The command."""
    names = recipes.names()
    width = max(map(len, names))
    for name in names:
        say(f"{name:{width}}  {recipes.summary(name)}")
    return EXIT_OK
