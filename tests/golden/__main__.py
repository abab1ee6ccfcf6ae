"""Compare what this checkout and another one write, bit for bit, or keep what the other one writes as expected.

python -m tests.golden --against FOLDER [CASE ...]      ends with 1 if anything differs
python -m tests.golden --keep FOLDER [CASE ...]         writes tests/golden/expected anew

FOLDER is a checkout whose dependencies this interpreter has. The case ``recordings`` needs CUTWATER_NAB.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.golden.checkout import documents
from tests.golden.digest import differing, keep
from tests.golden.inputs import CASES


def main() -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--against", type=Path, metavar="FOLDER", help="the checkout to compare with")
    what.add_argument("--keep", type=Path, metavar="FOLDER", help="the checkout whose documents are right")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; all that are possible")
    options = parser.parse_args()
    possible = [name for name in CASES if name != "recordings" or "CUTWATER_NAB" in os.environ]
    wrong = 0
    for name in options.cases or possible:
        old = documents(CASES[name], (options.against or options.keep).resolve())
        if options.keep:
            keep(name, old)
            continue
        lines = list(differing(old, documents(CASES[name])))
        wrong += len(lines)
        print(f"{name}: {len(old)} documents", *(lines or ["equal"]), sep="\n  ")
    return 1 if wrong else 0


sys.exit(main())
