"""Commands and snippets in the documentation are right: marked ones run, all others are at least understood.

``<!-- test -->`` on the line before a fenced block lets the block run: commands where the repository's files are, with
``cutwater`` on the PATH; Python in a process of its own. Of all other blocks each ``cutwater`` command is parsed, TOML
is loaded as settings, JSON as JSON, and ``make`` targets and ``python -m`` modules must be there.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from service.cli import _parser
from service.settings.model import load

PROJECT = Path(__file__).parents[1]
PAGES = sorted([*(PROJECT / "docs").rglob("*.md"), PROJECT / "README.md", PROJECT / "CONTRIBUTING.md"])
FENCE = re.compile(r"(<!-- test -->\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)


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
            found.append(Block(name, line, bool(match[1]), match[2], match[3]))
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
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
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
