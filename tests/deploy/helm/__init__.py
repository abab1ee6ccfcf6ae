"""The Helm chart as Helm renders it, for the values beside this file.

Where there is a ``helm``, ``python -m tests.deploy.helm`` writes ``*.rendered.yaml`` anew, and tests render it again.
Elsewhere they look at what was rendered, and at the digest of the chart that it was rendered of.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent
CHART = Path(__file__).parents[3] / "deploy" / "helm" / "cutwater"
CASES = tuple(sorted(path.name.removesuffix(".values.yaml") for path in FOLDER.glob("*.values.yaml")))
DIGEST = FOLDER / "chart.sha256"


def digest() -> str:
    """Of all that the renderings come from."""
    found = hashlib.sha256()
    for path in sorted([*CHART.rglob("*"), *FOLDER.glob("*.values.yaml")]):
        if path.is_file():
            found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def helm() -> str | None:
    """Helm, if it is here."""
    return shutil.which("helm")


def render(case: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What Helm makes of the chart with a case's values."""
    values = FOLDER / f"{case}.values.yaml"
    command = [helm() or "helm", "template", "demo", str(CHART), "--namespace", "cutwater"]
    command += ["--kube-version", "1.31.0", "--values", str(values)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def rendered(case: str) -> Path:
    """Where a case's rendering is kept."""
    return FOLDER / f"{case}.rendered.yaml"
