"""A parser of the command line that suggests what was meant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from service.nearest import nearest


class Parser(argparse.ArgumentParser):
    """As argparse's, but for what nobody knows it names the nearest, and it guesses nothing that is cut short."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"allow_abbrev": False})

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The options; ends the process with code 2 if there is one that nobody knows."""
        options, unknown = self.parse_known_args(words)
        if unknown:
            parser: Parser = getattr(options, "parser", self)
            parser.refuse(unknown)
        return options

    def error(self, message: str) -> NoReturn:
        """End the process with code 2 and one line."""
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help lists what there is)\n")

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Say that there is no such option, and which is like it."""
        word = next((word for word in unknown if word.startswith("-")), unknown[0]).partition("=")[0]
        known = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
        self.error(f"there is no argument {word}{nearest(word, known)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = list(map(str, action.choices))
            kind = str(action.metavar or "value").lower()
            raise argparse.ArgumentError(
                None, f"there is no {kind} {value!r}{nearest(str(value), names)}; there are {', '.join(names)}"
            )
