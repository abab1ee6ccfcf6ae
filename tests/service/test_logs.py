"""Log lines, for people and for machines."""

import io
import json
import logging

import pytest

from service.logs import configure


@pytest.fixture
def lines():
    """Configures the log and returns what it wrote; the log is as before afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.level, root.handlers[:]

    def start(*arguments):
        configure(*arguments, stream=stream)
        return lambda: stream.getvalue().splitlines()

    yield start
    root.level, root.handlers[:] = before


def test_json_lines_say_when_how_bad_who_and_what(lines):
    written = lines("info", "json")
    logging.getLogger("cutwater.test").warning("%d\nlines \ud800", 2)
    (line,) = written()
    found = json.loads(line)
    assert found.pop("timestamp").endswith("Z")
    assert found == {"level": "warning", "logger": "cutwater.test", "message": "2\nlines ?"}


def test_json_lines_hold_exceptions_whole(lines):
    written = lines("info", "json")
    try:
        raise KeyError("missing")
    except KeyError:
        logging.getLogger("cutwater.test").exception("failed")
    (line,) = written()
    assert "Traceback" in json.loads(line)["exception"]
    assert "KeyError: 'missing'" in json.loads(line)["exception"]


def test_text_lines_are_for_people(lines):
    written = lines("info", "text")
    logging.getLogger("cutwater.test").info("hello")
    (line,) = written()
    assert line.endswith("INFO    hello")


def test_the_level_is_the_least_that_is_written_and_libraries_are_quiet(lines):
    written = lines("warning", "json")
    logging.getLogger("cutwater.test").info("normal")
    logging.getLogger("botocore").error("retrying")
    assert written() == []
