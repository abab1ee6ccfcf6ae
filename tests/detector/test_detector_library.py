"""The package as a library: its names, what importing it pulls in, and its example."""

import doctest
import subprocess
import sys

import pytest

import detector


@pytest.mark.parametrize("name", detector.__all__)
def test_every_public_name_is_there(name):
    assert getattr(detector, name) is not None


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(AttributeError, match="has no attribute 'Detecter'; it has Configuration, Detector"):
        _ = detector.Detecter


def test_the_example_runs():
    assert doctest.testmod(detector).failed == 0


def test_importing_it_loads_nothing_of_the_service():
    code = (
        "import sys, detector; from detector import *; "
        "print([name for name in sys.modules if name.split('.')[0] in "
        "('service', 'simulator', 'rrcf', 'fastapi', 'boto3', 'pydantic', 'river', 'pandas')])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
