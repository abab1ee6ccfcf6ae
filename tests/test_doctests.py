"""The examples in the detector's docstrings, and the tutorial's script, give what they say."""

import doctest
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
MODULES = sorted(path for path in (PROJECT / "detector").rglob("*.py") if ">>>" in path.read_text())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_examples_give_what_they_say(path):
    name = ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
    failed, tried = doctest.testmod(pytest.importorskip(name), optionflags=doctest.ELLIPSIS)
    assert tried
    assert not failed


def test_there_are_examples():
    assert MODULES


def test_the_tutorials_script_prints_what_its_page_shows_and_draws_its_picture(tmp_path):
    script, drawn = PROJECT / "docs/tutorial/library.py", tmp_path / "library.svg"
    command, environment = [sys.executable, script, drawn], os.environ | {"PYTHONPATH": str(PROJECT)}
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert f"```text\n{printed}```" in script.with_suffix(".md").read_text()
    kept = (PROJECT / "docs/images/library.svg").read_text()
    assert kept.count("<line ") == drawn.read_text().count("<line ") == len(printed.splitlines())
