"""What holds for all tests: on the build server (``CI=true``) a skipped test is a failed one.

Recordings that are not ours to give lie in the folder that CUTWATER_NAB names, CUTWATER_TEST_FLINK names a Python with
apache-flink, and `make venv-flink` makes one. Without these the tests marked ``recordings``, ``flink_cluster`` and
``flink`` are skipped; on the build server they are not selected.
"""

import functools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import pytest
from hypothesis import settings

from tests.servers import cache, sharing

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
KERNELS = (("1", "8"), ("16", "32", "more"))  # what each of two processes compiles: python -m detector
KEPT_DAYS = 30.0  # kernels that were compiled
# What takes longest, in this order, and before all else: two processes that share the files then end together.
LONGEST = (
    *("end_to_end/test_chaos", "end_to_end/test_image", "service/api/test_docs", "test_docs", "end_to_end/test_state"),
    *("end_to_end/test_wheel", "end_to_end/test_backfill", "end_to_end/test_recipes", "end_to_end/test_flink"),
    *("end_to_end/test_spine", "end_to_end/test_replay", "end_to_end/test_hostile_names", "golden/test_golden"),
    *("detector/forest/test_cut_forest", "detector/forest/test_llvm_intrinsics"),
    *("service/worker/test_consumer_property", "simulator/test_stream_contract"),
)
SERVERS = {"store", "remote", "index", "remote_index", "mortal"}  # fixtures that start servers
NAMED_BY = {  # marks of tests that need what no build server can install, or not in its time, and why they are left out
    "recordings": "CUTWATER_NAB names no folder with the benchmark's recordings",
    "flink": "CUTWATER_TEST_FLINK names no Python with apache-flink, and there is no .venv-flink (make venv-flink)",
    "flink_cluster": "CUTWATER_TEST_FLINK names no Python with apache-flink (make venv-flink; .venv-flink/bin/python)",
}
FLINK = Path(__file__).parents[1] / ".venv-flink" / "ready"
CI = os.environ.get("CI", "").lower() in ("1", "true")


# All checkouts and processes share kernels. numba reads this when it is imported, which nothing above does.
os.environ.setdefault("NUMBA_CACHE_DIR", str(cache() / "kernels"))
settings.register_profile("ci", max_examples=40, print_blob=True, deadline=None)
settings.register_profile("thorough", max_examples=2000, deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    """Let the first process hold what its workers share, and compile what all of them would compile at once."""
    sharing.begin()
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        compile_ = [sys.executable, "-m", "detector"]
        compiling = [subprocess.Popen([*compile_, *part], cwd=config.rootpath) for part in KERNELS]
        if sum(process.wait() for process in compiling):
            pytest.exit("the detector's kernels cannot be compiled", returncode=1)
        _forget_old_kernels(Path(os.environ["NUMBA_CACHE_DIR"]))


def _forget_old_kernels(folder: Path) -> None:
    for state in folder.iterdir():
        if time.time() - state.stat().st_mtime > KEPT_DAYS * 86_400:
            shutil.rmtree(state, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest files first; mark what needs servers; leave out what needs recordings that are not there."""
    ranks = {str(config.rootpath / "tests" / f"{name}.py"): rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(str(item.path), len(ranks)))
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
