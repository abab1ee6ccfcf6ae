"""Prove that nothing is lost, doubled or different, whatever is killed.

examples:
  python -m tests.chaos --kills 100
  python -m tests.chaos --scenario kills --scenario outage --outage-seconds 600 --json
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.scenarios import SCENARIOS
from tests.chaos.worker import MOMENTS


def main() -> int:
    """Run the scenarios; 1 if a document was not as it should be."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=10, help="SIGKILLs of kills and windows [%(default)s]")
    parser.add_argument(
        "--moment", action="append", choices=MOMENTS, default=[],
        help="when a worker of kills, windows and storm kills itself; may be repeated [all, and kills from outside]",
    )  # fmt: skip
    parser.add_argument("--rate", type=float, default=2000, help="readings a second of kills [%(default)s]")
    parser.add_argument(
        "--scenario", action="append", choices=SCENARIOS, help="what to do; may be repeated [all of them]"
    )
    parser.add_argument("--outage-seconds", type=float, default=120, help="how long the index is away [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random [%(default)s]")
    parser.add_argument("--folder", type=Path, help="keep everything here [a temporary folder]")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which ends what was started, too
    total = {"kills": 0, "documents": 0, "lost": 0, "doubled": 0, "different": 0}
    rows = []
    with tempfile.TemporaryDirectory(prefix="cutwater-chaos-") as temporary:
        for name in options.scenario or SCENARIOS:
            began = time.monotonic()

            def say(text: str, name: str = name, began: float = began) -> None:
                print(f"{name}: {time.monotonic() - began:5.1f} s: {text}", flush=True)

            harness, found = SCENARIOS[name](
                (options.folder or Path(temporary)) / name,
                count=options.kills,
                rate=options.rate,
                moments=options.moment,
                seed=options.seed,
                outage=options.outage_seconds,
                say=say,
            )
            row = {
                "kills": harness.kills, "documents": found.documents, "lost": found.lost, "doubled": found.doubled,
                "different": found.different,
            }  # fmt: skip
            say(", ".join(f"{value} {key}" for key, value in row.items()))
            say(f"{harness.written} readings a second were written")
            if found.examples:
                say(f"look at {', '.join(found.examples)}")
            rows.append({"scenario": name, "seconds": round(time.monotonic() - began, 1), **row})
            total = {key: total[key] + row[key] for key in total}
    if options.json:
        print(json.dumps({**total, "scenarios": rows}))
    return 1 if total["lost"] or total["doubled"] or total["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
