"""What holds for all tests: on the build server (``CI=true``) a skipped test is a failed one.

Recordings that are not ours to give lie in the folder that CUTWATER_NAB names, CUTWATER_TEST_FLINK names a Python with
apache-flink, and `make venv-flink` makes one. Without these the tests marked ``recordings``, ``flink_cluster`` and
``flink`` are skipped; on the build server they are not selected.
"""

import functools
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import pytest
from hypothesis import settings

from tests.servers import sharing

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
# Single values, and points of up to 8, 16, 32 and more components: all kinds of forests that are compiled.
KERNELS = """
from detector.detector import Configuration, warm_up
for dimensions, shingle in ((1, 1), (1, 8), (4, 4), (4, 8), (5, 8)):
    warm_up(Configuration(dimensions=dimensions, shingle=shingle, trees=2))
"""
SERVERS = {"store", "remote", "index", "remote_index", "mortal"}  # fixtures that start servers
NAMED_BY = {  # marks of tests that need what no build server can install, or not in its time, and why they are left out
    "recordings": "CUTWATER_NAB names no folder with the benchmark's recordings",
    "flink": "CUTWATER_TEST_FLINK names no Python with apache-flink, and there is no .venv-flink (make venv-flink)",
    "flink_cluster": "CUTWATER_TEST_FLINK names no Python with apache-flink (make venv-flink; .venv-flink/bin/python)",
}
FLINK = Path(__file__).parents[1] / ".venv-flink" / "ready"
CI = os.environ.get("CI", "").lower() in ("1", "true")


settings.register_profile("ci", print_blob=True, deadline=None)
settings.register_profile("thorough", max_examples=2000, deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    """Let the first process hold what its workers share, and compile what all of them would compile at once."""
    sharing.begin()
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        subprocess.run([sys.executable, "-c", KERNELS], cwd=config.rootpath, check=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs servers; leave out what needs recordings that are not there."""
    for item in items:
        if SERVERS & set(getattr(item, "fixturenames", ())) or _imports_servers(item.module):  # type: ignore[attr-defined]
            item.add_marker("servers")
    without = []
    for mark, reason in NAMED_BY.items():
        missing = [item for item in items if item.get_closest_marker(mark)] if not _named(mark) else []
        for item in missing:
            item.add_marker(pytest.mark.skip(reason))
        without += missing
    if CI:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]


def _named(mark: str) -> bool:
    """Whether the environment says where to find it."""
    return NAMED_BY[mark].split()[0] in os.environ or (mark == "flink" and FLINK.is_file())


@functools.cache
def _imports_servers(module: ModuleType) -> bool:
    return any(
        isinstance(each, ModuleType) and each.__name__.startswith("tests.servers.") for each in vars(module).values()
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Of a test."""
    return _strict((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Of a whole module."""
    return _strict((yield))


def _strict(report: Report) -> Report:
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"CI must not skip: {report.longrepr[-1]}"
    return report
