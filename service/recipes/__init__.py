"""Recipes: one folder a use case, with all that a stream of that kind needs.

``cutwater.toml`` has the settings, ``dashboard.toml`` charts of events. Tables that the settings name lie beside, for
the demonstration's stream, which ``simulator.events`` makes.
"""

from __future__ import annotations

from pathlib import Path

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
