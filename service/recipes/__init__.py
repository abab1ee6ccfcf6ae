"""Recipes: one folder a use case, with all that a stream of that kind needs.

``cutwater.toml`` has the settings, ``dashboard.toml`` charts of events. Tables that the settings name lie beside, for
the demonstration's stream, which ``simulator.events`` makes.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent
SETTINGS, DASHBOARD = "cutwater.toml", "dashboard.toml"


def names() -> list[str]:
    """Of all recipes, in alphabetical order."""
    return sorted(path.parent.name for path in _FOLDER.glob(f"*/{SETTINGS}"))


def folder(name: str) -> Path:
    """A recipe's folder. Raises KeyError for a recipe that there is not."""
    if name not in names():
        raise KeyError(name)
    return _FOLDER / name


def summary(name: str) -> str:
    """What a recipe is for: the first line of its settings. Raises KeyError."""
    first = (folder(name) / SETTINGS).read_text(encoding="utf-8").partition("\n")[0]
    return first.lstrip("# ").rstrip(".,")


def tables(name: str) -> dict[str, dict[str, Any]]:
    """A recipe's tables for ``enrich``, whose files are found from everywhere. Raises KeyError."""
    found: dict[str, dict[str, Any]] = tomllib.loads((folder(name) / SETTINGS).read_text(encoding="utf-8")).get(
        "enrich", {}
    )
    files = ("url", "database", "definition")
    return {
        title: {
            entry: str(folder(name) / value) if entry in files and (folder(name) / value).is_file() else value
            for entry, value in table.items()
        }
        for title, table in found.items()
    }
