"""What is compiled when, and where it is kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from detector import compiled, kernels
from detector.forest import Parameters
from detector.grow import grow
from tests.detector.test_forest import GATED, LINE, SHINGLES, noise

ROOT = Path(__file__).parents[2]
# One small kernel of its own stands for all, so that nothing is compiled for seconds.
PROBE = """
import sys
from pathlib import Path
from detector import compiled
print(compiled.cache_directory("machine"))
assert compiled.entry(eval("lambda x: x + 1")) is not None
"""


def directory(folder: Path, **environment: str) -> str:
    """Where a process with this environment keeps its kernels."""
    usual = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    result = subprocess.run(
        [sys.executable, "-c", PROBE.replace("entry(eval(\"lambda x: x + 1\"))", "cache_directory(\"machine\") or 1")],
        cwd=folder, env={**usual, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return result.stdout.strip()


@pytest.mark.parametrize("parameters", [LINE, SHINGLES, GATED], ids=["line", "boxes", "gate"])
def test_nothing_is_compiled_after_the_first_forest_of_its_kind(parameters: Parameters) -> None:
    forest = grow(parameters)
    entries = (kernels.process, kernels.score, kernels.attribution, kernels.codisp, kernels.recall)
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
    assert {"kernels", "stream", "kinds", "box_tree", "sorted_tree", "machine", "layout"} <= compiled.sources("kernels")
    assert not {"grow", "fleet", "detector", "reference"} & compiled.sources("kernels")


def test_cache_is_where_numba_is_told(tmp_path: Path) -> None:
    assert directory(tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "told")).startswith(str(tmp_path / "told" / "machine-"))
