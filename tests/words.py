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
HERE = ("service/", "simulator/", "docs/", "README.md")  # all but the detector, whose words are listed for themselves
CODE = ("service/", "simulator/", "tests/service/", "tests/simulator/", "tests/chaos/", "tests/end_to_end/")
WORDS = (
    (r"nursery", "prefork server", EVERYWHERE),
    (r"does no harm", "cannot overwrite newer checkpoints", EVERYWHERE),
    (r"it moves", "alert when the rate is above 0", EVERYWHERE),
    (r"by the book", "against the naive oracle", EVERYWHERE),
    (r"who we are", "authentication, credentials", HERE),
    (r"(?<![a-z])patien(t|ce)(?![a-z])|PatientCaller", "retry, timeout", (*HERE, *CODE)),
    (r"\binsist", "retry", (*HERE, *CODE)),
    (r"(?<![a-z])troubles?\b", "error, problem, outage", (*HERE, *CODE)),
    (r"hopeless", "permanent", (*HERE, *CODE)),
    (r"\bbur(y|ied|ies)\b", "put (a dead letter)", (*HERE, *CODE)),
    (r"\bsend_off|\bon_their_way|\bcall_back", "mark_in_flight, in_flight, clear_in_flight", CODE),
    (r"\.mention\(|def mention", "index_dead_letters", CODE),
    (r"(?-i:\bHold\b)", "HeldLease", CODE),
    (r"(?-i:\bLeases\b)\(", "LeaseManager", CODE),
    (r"(?-i:\bMaking\b)|_makers\b|\b_making\b", "ModelFingerprint", CODE),
    (r"(?<!fencing_token)\bterm: int", "fencing_token", CODE),
    (r"\bsweep|\bswept", "delete_orphans, delete_expired", (*HERE, *CODE)),
    (r"def outdated|\.outdated\(", "needs_rewrite", CODE),
    (r"hashkeysof", "SensorKeyRanges", CODE),
    (r"(?<![a-z])foreign\b", "of another shard", HERE),
    (r"\b(index|letters|leases|snapshots|models)_of\(settings", "make_index, make_dead_letters, ...", CODE),
    (r"(?-i:\bEntry\b)", "IndexDocument", ("service/", "tests/service/")),
    (r"(?-i:\bRefused\b)", "Rejected", ("service/", "tests/service/")),
    (r"\broom: bytebudget|\.room\b", "budget", ("service/worker/", "service/source/")),
    (r"\bstrike\b", "inject", CODE),
    (r"is no more\b(?!\.)|are no more\b", "no longer exists", ("service/cli/", "docs/", "README.md")),
    (r"(cause|fault|it) (is|was) mended", "removed, repaired", ("service/", "docs/", "README.md")),
    (r"a fault of ours;", "an error in Cutwater", HERE),
    (r"\bvictim|\bzombie", "busiest worker, paused worker", ("service/", "docs/")),
    (
        r"\"{3}(LeaseManager|HeldLease|IndexDocument) (in|an|that)\b",
        "leases, check, documents: a name is no word",
        CODE,
    ),
    (r"\bloudness|\bloudest", "severity", HERE),
    (r"\ba matter\b|\*matter\*", "incident", HERE),
    (r"surprise gate", "score-proportional acceptance", HERE),
    (r"heard before", "repeat damping", HERE),
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
