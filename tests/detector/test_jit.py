"""What is compiled when, and where it is kept."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from detector import jit as compiled
from detector.forest import kernels
from detector.forest.backends import make_forest
from detector.forest.forest import Parameters
from tests.detector.forest.test_forest import GATED, LINE, SHINGLES, noise

ROOT = Path(__file__).parents[2]
# A small kernel stands for all, so that nothing is compiled for seconds.
PROBE = """
from detector import jit as compiled
def double(x):
    return 2 * x
double.__module__ = "detector.forest.layout"
print(compiled.cache_directory("forest.layout"), compiled.jit_entry(double)(21))
"""


def probe(folder: Path, **environment: str) -> str:
    """Where a process with this environment keeps a kernel, and what the kernel says."""
    usual = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    (folder / "probe.py").write_text(PROBE)
    return subprocess.run(
        [sys.executable, "probe.py"], cwd=folder, env={**usual, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


@pytest.mark.parametrize("parameters", [LINE, SHINGLES, GATED], ids=["line", "boxes", "gate"])
def test_nothing_is_compiled_after_the_first_forest_of_its_kind(parameters: Parameters) -> None:
    forest = make_forest(parameters)
    entries = (kernels.process, kernels.score, kernels.attribution, kernels.codisp, kernels.impute)
    before = [len(entry.signatures) for entry in entries]
    values = noise(parameters, 60)
    read_only = values.copy()
    read_only.flags.writeable = False
    for variant in (values, read_only, values[::2], values.astype("f4"), values.tolist(), values[:0]):
        forest.process(variant)
        forest.update(variant)
        for ask in (forest.score, forest.attribution, forest.codisp, forest.expected):
            ask(variant)
    assert [len(entry.signatures) for entry in entries] == before


def test_kernels_depend_on_the_modules_that_they_are_made_of() -> None:
    parts = {"kernels", "batch_driver", "tree_dispatch", "box_tree", "sorted_tree", "llvm_intrinsics", "layout"}
    made_of = compiled.sources("forest.kernels")
    assert {"jit", *(f"forest.{part}" for part in parts)} <= made_of
    assert not {"forest.backends", "fleet", "detector", "forest.reference"} & made_of


def test_kernels_are_compiled_anew_when_one_of_these_modules_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "detector"
    shutil.copytree(compiled._SOURCES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(compiled, "_SOURCES", copy)
    monkeypatch.setattr(compiled._settings, "CACHE_DIR", str(tmp_path / "cache"))
    look = compiled.cache_directory.__wrapped__
    before = look("forest.kernels")
    for module, matters in (("forest/backends", False), ("forest/leaf", True)):
        path = copy / f"{module}.py"
        path.write_text(path.read_text() + "# changed")
        assert (look("forest.kernels") != before) == matters


def test_cache_is_where_numba_is_told(tmp_path: Path) -> None:
    place, _, result = probe(tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "told")).rpartition(" ")
    assert Path(place).parent == tmp_path / "told"
    assert list(Path(place).rglob("*.nbi"))
    assert result == "42"


def test_copies_of_the_same_sources_share_kernels(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "detector", copy / "detector", ignore=shutil.ignore_patterns("__pycache__"))
    for module in (copy / "detector").rglob("*.py"):
        os.utime(module, (0, 0))
    kept = {"NUMBA_CACHE_DIR": str(tmp_path / "told"), "PYTHONDONTWRITEBYTECODE": "1"}
    assert probe(tmp_path, **kept) == probe(copy, **kept, PYTHONPATH=str(copy))
    files = [path for path in (tmp_path / "told").rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in files) == [".nbc", ".nbi"]


def test_works_without_any_place_to_write_to(tmp_path: Path) -> None:
    assert probe(tmp_path, NUMBA_CACHE_DIR="/dev/null/nowhere", HOME="/dev/null/nowhere") == "None 42"


def test_prefers_the_sources_to_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiled._settings, "CACHE_DIR", "")
    look = compiled.cache_directory.__wrapped__
    assert "__pycache__" in look("forest.layout").parts
    monkeypatch.setattr(compiled, "_SOURCES", _ReadOnly(compiled._SOURCES))
    assert look("forest.layout").parent == tmp_path / "cutwater"


class _ReadOnly(type(Path())):  # type: ignore[misc]
    """A folder below which nothing can be made: its __pycache__ is elsewhere, where there is no folder."""

    def __truediv__(self, name: object) -> Path:
        return Path("/dev/null/nowhere") if name == "__pycache__" else Path(str(self)) / str(name)
