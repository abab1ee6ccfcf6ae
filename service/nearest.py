"""The known name that an unknown one is most like."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], most: int = 1, likeness: float = 0.6) -> str:
    """The end of a message: a question for up to ``most`` names of at least this ``likeness`` (0 to 1); "" for none."""
    found = difflib.get_close_matches(name, [each for each in known if each], most, likeness)
    return f"; did you mean {' or '.join(found)}?" if found else ""
