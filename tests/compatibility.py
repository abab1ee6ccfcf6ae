"""docs/reference/compatibility.md, printed by a run of the tests themselves: python -m tests.compatibility [SERVER]

Tests marked ``compatibility("what")`` run on every server, or on one such as opensearch-3.8.0, whose column is written
anew; the page says what passed. Exit code 1 if a test failed.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.servers.opensearch import SPECS, Spec

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "compatibility.md"
NAMES = {"opensearch": "OpenSearch", "elasticsearch": "Elasticsearch"}
TEXT = """\
# Compatibility

Printed by `python -m tests.compatibility`, which runs the tests of each row on each real server; don't edit. A number
is how many tests of that kind passed.

{table}

What these servers are, and what that leaves open:

- They are the vendors' own programs from Maven's repository, started as single nodes on one machine: no cluster, no
  replicas.
- Faults of the servers' own making (a write queue of one, 64 KB of indexing pressure, requests of at most 100 KB, a
  blocked index, SIGKILL) are run on OpenSearch 3.8 and Elasticsearch 9.5 with 6 000 documents
  (tests/service/sinks/test_index_faults.py); `CUTWATER_TEST_DOCUMENTS=200000` is the whole run.
- Index state management (OpenSearch) and index lifecycle management (Elasticsearch) are not among those jars. The
  requests for retention are checked against schemas written from the documentation; no server has carried them out.
- Elasticsearch 8 and 9 come without their security and with an answer to `GET /` of the test's own.
- OpenSearch's security plugin is tested with 2.19.4 (tests/service/sinks/test_index_security.py): TLS, users and roles,
  client certificates. Elasticsearch's security and API keys are not.
- OpenSearch Dashboards and Kibana could not be had. The saved objects are linted, the queries of all panels are run on
  every server by themselves, and the two calls of an import are tested against their documentation.
- Amazon OpenSearch Service and Serverless were not reached; the signatures are those of AWS's published vectors.
"""


class Tally:
    """Counts what passed and failed, by kind and server."""

    def __init__(self) -> None:
        self.passed: dict[tuple[str, str], int] = defaultdict(int)
        self.failed: dict[tuple[str, str], int] = defaultdict(int)
        self.kinds: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Which test is of which kind."""
        for item in items:
            if marker := item.get_closest_marker("compatibility"):
                self.kinds[item.nodeid] = marker.args[0]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What became of it."""
        server = next((spec.name for spec in SPECS if f"[{spec.name}" in report.nodeid), None)
        kind = self.kinds.get(report.nodeid)
        if server is None or kind is None:
            return
        if report.failed or report.skipped:
            self.failed[kind, server] += 1
        elif report.when == "call":
            self.passed[kind, server] += 1

    def table(self, before: dict[tuple[str, str], str]) -> str:
        """A row a kind, a column a server; what did not run is as it was before."""
        head = [_title(spec) for spec in SPECS]
        lines = [f"| | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
        for kind in dict.fromkeys(self.kinds.values()):
            cells = (self._cell(kind, spec.name) or before.get((kind, _title(spec)), "not run") for spec in SPECS)
            lines += [f"| {kind} | {' | '.join(cells)} |"]
        return "\n".join(lines)

    def _cell(self, kind: str, server: str) -> str:
        if failed := self.failed[kind, server]:
            return f"**{failed} failed**"
        return f"✓ {self.passed[kind, server]}" if self.passed[kind, server] else ""


def _title(spec: Spec) -> str:
    return f"{NAMES[spec.distribution]} {spec.version}"


def _cells(page: str) -> dict[tuple[str, str], str]:
    """What a page says of each kind and server."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    if not rows:
        return {}
    servers = rows[0][1:]
    return {(row[0], server): cell for row in rows[2:] for server, cell in zip(servers, row[1:], strict=True)}


def main() -> int:
    """Run, print and write."""
    tally = Tally()
    chosen = ["-k", sys.argv[1]] if len(sys.argv) > 1 else []
    code = pytest.main(["-q", "-m", "compatibility", "tests/service", *chosen], plugins=[tally])
    before = _cells(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
    text = TEXT.format(table=tally.table(before))
    print(text)
    PAGE.write_text(text, encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    raise SystemExit(main())
