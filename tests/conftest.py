"""What holds for all tests: on the build server (``CI=true``) a skipped test is a failed one.

Recordings that are not ours to give lie in the folder that CUTWATER_NAB names. Without it the tests marked
``recordings`` are skipped; on the build server they are not selected.
"""

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
CI = os.environ.get("CI", "").lower() in ("1", "true")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs recordings that are not there."""
    if "CUTWATER_NAB" in os.environ:
        return
    without = [item for item in items if item.get_closest_marker("recordings")]
    for item in without:
        item.add_marker(pytest.mark.skip("CUTWATER_NAB names no folder with the benchmark's recordings"))
    if CI:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]


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
