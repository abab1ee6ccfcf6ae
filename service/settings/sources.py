"""Where settings come from: file, environment, command line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from service import UserError

FILE = Path("cutwater.toml")
PREFIX = "CUTWATER_"


class SettingsError(UserError):
    """A setting is unknown or has a value that cannot be used; the message says which, and what is allowed."""

    exit_code = 2


def read_file(path: Path | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The file's name and what it sets; nothing without a file, which must exist if it is named."""
    chosen = path or FILE
    if path is None and not chosen.exists():
        return
    try:
        yield str(chosen), tomllib.loads(chosen.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{chosen}: no such file") from None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{chosen}: {error}") from None


def read_environment(environment: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """What the environment sets; variables of the tests are none of the service's."""
    names = {key: key.removeprefix(PREFIX).lower() for key in environment if key.startswith(PREFIX)}
    reserved = {name for name in names.values() if name.startswith("test_") or name == "nab"}
    return "environment", {name: environment[key] for key, name in names.items() if name not in reserved}


def read_secret(spelt: str, path: Any) -> str:
    """The secret in a file. Raises SettingsError with the setting as it was ``spelt`` if it cannot be read."""
    try:
        return Path(str(path)).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError(f"{spelt} = {str(path)!r}: {reason}") from None


def spell(origin: str, name: str) -> str:
    """A setting's name as the user wrote it."""
    if origin == "environment":
        return PREFIX + name.upper()
    if origin == "command line":
        return "--" + name.replace("_", "-")
    return f"{origin}: {name}"
