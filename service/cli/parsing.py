"""A parser of the command line that suggests what was meant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from service.nearest import nearest

SETTINGS = "settings"  # what the titles of groups of settings begin with


class Parser(argparse.ArgumentParser):
    """As argparse's, but for what nobody knows it names the nearest, and it guesses nothing that is cut short."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"allow_abbrev": False})

    def format_help(self) -> str:
        """The help; its first lines leave out the settings, of which there may be ninety."""
        groups = [group for group in self._action_groups if str(group.title).startswith(SETTINGS)]
        settings = {id(action) for group in groups for action in group._group_actions}
        if settings and self.usage is None:
            formatter = self._get_formatter()
            others = [action for action in self._actions if id(action) not in settings]
            formatter.add_usage(None, others, self._mutually_exclusive_groups, prefix="")
            self.usage = formatter.format_help().strip().replace("%", "%%") + " [SETTINGS]"
        return super().format_help()

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The options; ends the process with code 2 if there is one that nobody knows."""
        options, unknown = self.parse_known_args(words)
        if unknown:
            parser: Parser = getattr(options, "parser", self)
            parser.refuse(unknown)
        return options

    def error(self, message: str) -> NoReturn:
        """End the process with code 2 and one line."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Say that there is no such option, and which is like it."""
        word = next((word for word in unknown if word.startswith("-")), unknown[0]).partition("=")[0]
        known = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
        self.error(f"there is no argument {word}{nearest(word, known)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = list(map(str, action.choices))
            kind = action.option_strings[-1] if action.option_strings else str(action.metavar or "value").lower()
            hint = nearest(str(value), names) or f"; there are {', '.join(names)}"
            raise argparse.ArgumentError(None, f"there is no {kind} {value!r}{hint}")
