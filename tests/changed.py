"""The unit tests of what has changed since ``main``, one a line: ``python -m tests.changed [REVISION]``.

Changed tests, and for each changed module the tests that mirror it: ``tests/ROOM/.../test_MODULE*.py``, or all of the
room's folder where there is none. Nothing that starts other people's servers.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PROJECT = Path(__file__).parents[1]
ROOMS = ("detector", "service", "simulator")
SLOW = ("tests/end_to_end/", "tests/golden/", "tests/chaos/")


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def changed(since: str) -> list[Path]:
    """Files that differ from where this branch left the revision, committed or not."""
    base = _git("merge-base", since, "HEAD")[0]
    names = {*_git("diff", "--name-only", base), *_git("ls-files", "--others", "--exclude-standard")}
    return sorted(path for path in map(Path, names) if (PROJECT / path).is_file())


def mirrors(paths: Iterable[Path]) -> list[str]:
    """Test files, relative to the project."""
    found: set[str] = {"tests/test_project.py"}
    for path in paths:
        if path.suffix != ".py":
            continue
        if path.parts[0] == "tests" and path.name.startswith("test_"):
            found.add(str(path))
        elif path.parts[0] in ROOMS:
            folder = PROJECT / "tests" / path.parent
            own = sorted(folder.glob(f"test_{path.stem}*.py")) or sorted(folder.glob("test_*.py"))
            found |= {str(test.relative_to(PROJECT)) for test in own}
    return sorted(test for test in found if not test.startswith(SLOW))


if __name__ == "__main__":
    print(*mirrors(changed(sys.argv[1] if len(sys.argv) > 1 else "main")), sep="\n")
