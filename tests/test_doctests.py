"""The examples in the detector's docstrings give what they say."""

import doctest
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
