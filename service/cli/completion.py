"""``cutwater completion``."""

from __future__ import annotations

import argparse

from service.cli import EXIT_OK
from service.cli.terminal import say

SHELLS = ("bash", "zsh", "fish")
EXAMPLE = (
    "cutwater completion fish > ~/.config/fish/completions/cutwater.fish\n"
    '  eval "$(cutwater completion bash)"      # in ~/.bashrc; the same with zsh in ~/.zshrc'
)


def define(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"one of {', '.join(SHELLS)}")


async def run(options: argparse.Namespace) -> int:
    """The command."""
    from argcomplete.shell_integration import shellcode

    say(shellcode(["cutwater"], shell=options.shell).rstrip())
    return EXIT_OK
