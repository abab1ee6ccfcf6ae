"""One module a claim; run them with python -m benchmarks.NAME."""

from __future__ import annotations

import json
import os
import platform
from typing import Any


def print_json(name: str, rows: list[dict[str, Any]]) -> None:
    """What ``--json`` prints as its last line."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(json.dumps({"name": name, "machine": machine, "rows": rows}))


def print_rows(name: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    """A line a row, or what ``--json`` prints."""
    if as_json:
        print_json(name, rows)
    else:
        print("\n".join(map(str, rows)))
