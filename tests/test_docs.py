"""Commands and snippets in the documentation are right: marked ones run, all others are at least understood.

``<!-- test -->`` on the line before a fenced block lets the block run: commands where the repository's files are, with
``cutwater`` on the PATH; Python in a process of its own. Of all other blocks each ``cutwater`` command is parsed, TOML
is loaded as settings, JSON as JSON, and ``make`` targets and ``python -m`` modules must be there.

Of these other blocks the ``curl`` lines and the ``cutwater`` commands that end by themselves run, too, against a local
stream and a service that reads it. What needs a server of somebody else's is left to the tests of that command.
"""

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from service.cli import _parser, main
from service.settings.model import load
from tests.end_to_end.processes import Cutwater, Service, run

PROJECT = Path(__file__).parents[1]
PAGES = sorted([*(PROJECT / "docs").rglob("*.md"), PROJECT / "README.md", PROJECT / "CONTRIBUTING.md"])
FENCE = re.compile(r"(<!-- test -->\n)?^( *)```(\w*)\n(.*?)^\2```$", re.M | re.S)


class Block(NamedTuple):
    page: str
    line: int
    runs: bool
    language: str
    text: str


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in FENCE.finditer(text):
            name, line = str(page.relative_to(PROJECT)), text.count("\n", 0, match.start()) + 1
            found.append(Block(name, line, bool(match[1]), match[3], textwrap.dedent(match[4])))
    return found


def known(block: Block) -> bool:
    return block.language in ("", "python", "toml", "json", "bash", "sh")


def commands(text: str) -> list[list[str]]:
    """The lines as words, without what follows > or |; a line that ends with a backslash goes on."""
    lines = (re.split(r" [>|] ", line)[0] for line in text.replace("\\\n", " ").splitlines())
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def name(block: Block) -> str:
    return f"{block.page}:{block.line}"


@pytest.mark.parametrize("block", [block for block in blocks() if block.runs], ids=name)
def test_what_is_marked_runs(block, tmp_path):
    for folder in ("tests", "docs", "deploy"):
        (tmp_path / folder).symlink_to(PROJECT / folder)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CUTWATER_")}
    environment |= {"PATH": path, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", block.text] if block.language == "python" else ["bash", "-euc", block.text]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", [block for block in blocks() if not block.runs and known(block)], ids=name)
def test_what_is_shown_is_understood(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if block.language == "json":
        json.loads(block.text)
    elif block.language == "toml":
        (tmp_path / "cutwater.toml").write_text(block.text)
        load(environment={})
    elif block.language == "python":
        compile(block.text, name(block), "exec")
    elif re.search(r"^(cutwater|make|python -m) ", block.text, re.M):
        for words in commands(block.text):
            understood(words)


def understood(words: list[str]) -> None:
    if words[0] == "cutwater":
        _parser(words[1:]).parse(words[1:])
    elif words[:2] == ["python", "-m"]:
        assert find_spec(words[2].removesuffix(".__main__")), words
    elif words[0] == "make" and len(words) > 1:
        assert re.search(rf"^{re.escape(words[1])}:", (PROJECT / "Makefile").read_text(), re.M), words


def test_links_lead_somewhere():
    broken = []
    for page in PAGES:
        text = FENCE.sub("", page.read_text())
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = target.partition("#")
            path = path.replace("https://github.com/cutwater/cutwater/blob/main/", f"{PROJECT}/")
            if path.startswith(("http:", "https:", "mailto:")):
                continue
            found = (page.parent / path).resolve() if path else page
            if not found.exists() or (anchor and anchor not in anchors(found)):
                broken.append(f"{page.relative_to(PROJECT)}: {target}")
    assert not broken


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


# Commands against a local service

# What needs receivers, OpenSearch, CloudWatch, or the files of a recipe or of a log
ELSEWHERE = re.compile(r"cutwater (setup|alarms|notify|groups)|search\.example|--definition")
ENDLESS = re.compile(r"cutwater (run|demo|stream|simulate|dashboards proxy)")  # other tests run them
ADDRESS = re.compile(r"http://(127\.0\.0\.1|cutwater\.example):8080")
AWS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


def shown_commands() -> list[str]:
    """Each ``curl`` and ``cutwater`` line that can run here, once; documents go to SQLite.

    The examples of docs/reference/cli.md are the commands' own and tested with them.
    """
    found = {}
    for block in blocks():
        if known(block) and not block.runs and not block.page.endswith("cli.md"):
            for line in block.text.replace("\\\n", " ").splitlines():
                line = line.replace(" --opensearch-url https://search.example:443", "") if "replay" in line else line
                if line.startswith(("curl ", "cutwater ")) and not ELSEWHERE.search(line) and not ENDLESS.match(line):
                    found[line] = None
    return list(found)


class Local(NamedTuple):
    """A folder with what the pages speak of, a stream, and services that read it: its readings, and events."""

    folder: Path
    endpoint: str
    readings: str
    events: str


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    for name in ("recordings", "history"):
        (folder / name).mkdir()
    for name in ("pump.csv", "pump-1.csv", "pump-2.csv", "recordings/pump.csv", "history/pump.csv"):
        with (PROJECT / "tests/recordings/cold_room.csv").open() as recording:
            (folder / name).write_text("".join(itertools.islice(recording, 900)))
    (folder / "faults.json").write_text('{"pump.csv": [["2026-01-31 12:00:00", "2026-01-31 18:00:00"]]}')
    (folder / "labels.json").write_text("{}")  # what another line writes, which may run elsewhere
    shutil.copytree(PROJECT / "deploy", folder / "deploy")
    (block,) = (block for block in blocks() if block.page.endswith("events.md") and "[[windows]]" in block.text)
    (folder / "events.toml").write_text(block.text)
    with Cutwater("stream", "--port", "0", "--create", "RawStreamData", folder=folder, environment=AWS) as stream:
        endpoint = stream.find(r"(http://127\.0\.0\.1:\d+)")
        simulate = ("simulate", "--endpoint-url", endpoint, "--count", "600")
        assert run(*simulate, folder=folder, environment=AWS)[0] == 0
        of_events = ("--config", "events.toml", "--data-dir", "events")
        with (
            Service(endpoint, "--index", "all", folder=folder, environment=AWS) as readings,
            Service(endpoint, *of_events, folder=folder, environment=AWS) as events,
        ):
            readings.wait_for_readings(600)
            yield Local(folder, endpoint, readings.address, events.address)


@pytest.mark.parametrize("line", shown_commands())
def test_what_is_shown_runs(line, local, monkeypatch):
    monkeypatch.chdir(local.folder)
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    if line.startswith("curl "):
        address = local.events if re.search(r"/(events|windows)\?", line) else local.readings
        command = ADDRESS.sub(address, line).replace("curl ", "curl -sS --fail-with-body ", 1)
        done = subprocess.run(
            ["bash", "-euc", f"CUTWATER_API_TOKEN=token; {command}"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)
    else:
        monkeypatch.setenv("CUTWATER_ENDPOINT_URL", local.endpoint)
        words = commands(line)[0]
        assert main(words[1:]) == 0
