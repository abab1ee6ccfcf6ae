"""Words that are not used here, and the field's terms for them: ``python -m tests.words`` lists each place.

A word comes into the table when its last use has gone.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[1]
SELF = Path("tests/words.py")
# A pattern, what to say instead, and the names that begin with one of these are searched; the changelog is history.
EVERYWHERE = ("detector/", "service/", "simulator/", "tests/", "benchmarks/", "docs/", "README.md")
DOCS = ("docs/", "README.md")
WORDS = (
    (r"nursery", "prefork server", EVERYWHERE),
    (r"does no harm", "cannot overwrite newer checkpoints", EVERYWHERE),
    (r"it moves", "alert when the rate is above 0", EVERYWHERE),
    (r"## who we are", "authentication", DOCS),
    (r"\ba matter\b|\*matter\*", "incident", DOCS),
    (r"surprise gate", "score-proportional acceptance", DOCS),
    (r"heard before", "repeat damping", DOCS),
)


def uses() -> Iterator[str]:
    """Each line that has one of the words, and what to say instead."""
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True)
    for name in map(Path, listed.stdout.splitlines()):
        if name == SELF or name.suffix not in (".py", ".md", ".js", ".html") or not (PROJECT / name).exists():
            continue
        patterns = [(re.compile(word, re.I), plain) for word, plain, where in WORDS if str(name).startswith(where)]
        for number, line in enumerate((PROJECT / name).read_text().splitlines(), 1):
            for pattern, plain in patterns:
                if match := pattern.search(line):
                    yield f"{name}:{number}: {match[0]!r}: say {plain!r}"


if __name__ == "__main__":
    found = list(uses())
    print("\n".join(found), end="\n" * bool(found))
    sys.exit(bool(found))
