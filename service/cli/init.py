"""``cutwater init``."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from service import UserError, recipes
from service.cli import EXIT_OK
from service.cli.terminal import say

EXAMPLE = "cutwater init vpc-flow-logs flow-logs"


def define(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "recipe", choices=recipes.names(), metavar="RECIPE", help=f"one of {', '.join(recipes.names())}"
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path(), metavar="FOLDER", help="folder to copy to [this one]"
    )


async def run(options: argparse.Namespace) -> int:
    """The command."""
    source = recipes.folder(options.recipe)
    files = sorted(path for path in source.iterdir() if path.is_file())
    if there := [path.name for path in files if (options.folder / path.name).exists()]:
        raise UserError(f"{options.folder}: there is a {' and a '.join(there)} already; name another folder")
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        for path in files:
            shutil.copyfile(path, options.folder / path.name)
    except OSError as error:
        raise UserError(f"{options.folder}: {error.strerror}; name a folder that can be written") from None
    say(f"{options.folder / recipes.SETTINGS}: name your stream there, then `cutwater run` in that folder")
    return EXIT_OK
