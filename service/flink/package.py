"""The zip file that Amazon Managed Service for Apache Flink runs: this code, what it needs, settings, a connector."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from service import UserError

LARGEST = 512 * 1024 * 1024  # bytes that the service takes
NEEDED = ("numba", "orjson", "zstandard", "pydantic", "jmespath", "opensearch-py", "aiohttp", "aiobotocore", "rrcf")
RUN_OPTIONS = {"python": "main.py", "jarfile": "lib/{jar}", "pyFiles": "python/"}
"""The application's properties, in the group kinesis.analytics.flink.run.options."""
_LEFT_OUT = ("*.pyc", "__pycache__", "*.dist-info/RECORD", "tests")
_MAIN = '''"""Begins the job with the settings that lie beside this file."""

import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
os.environ.setdefault("NUMBA_CACHE_DIR", "/tmp/numba")
sys.path.insert(0, os.path.join(FOLDER, "python"))

from service.cli import main

sys.exit(main(["flink", "run", "--config", os.path.join(FOLDER, "cutwater.toml"), *sys.argv[1:]]))
'''


def make_package(target: Path, jar: Path, config: Path | None) -> Iterator[str]:
    """Write ``target``; yields lines for the user: what is done, and the options to run it with. Raises UserError."""
    settings = config or Path("cutwater.toml")
    for file in (jar, settings):
        if not file.is_file():
            raise UserError(f"{file}: no such file")
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder)
        yield f"installing {len(NEEDED)} packages and what they need"
        _install(draft / "python")
        for package in ("detector", "service"):
            shutil.copytree(_sources() / package, draft / "python" / package, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        (draft / "main.py").write_text(_MAIN, encoding="utf-8")
        (draft / "lib").mkdir()
        shutil.copy(jar, draft / "lib" / jar.name)
        shutil.copy(settings, draft / "cutwater.toml")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(draft.rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    archive.write(file, file.relative_to(draft))
    size = target.stat().st_size
    if size > LARGEST:
        raise UserError(f"{target}: {size >> 20} MB, and Managed Service for Apache Flink takes at most 512")
    yield f"{target}: {size / 2**20:.0f} MB. Put it into S3, and give the application these runtime properties:"
    yield "  group kinesis.analytics.flink.run.options"
    for name, value in RUN_OPTIONS.items():
        yield f"    {name:8} {value.format(jar=jar.name)}"
    yield "Checkpoints and parallelism are set in the application's own configuration."


def _install(folder: Path) -> None:
    """What the job needs, in the versions that are installed here."""
    wanted = [f"{name}=={metadata.version(name)}" for name in NEEDED]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, "--target", str(folder), *wanted], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"pip could not install what the job needs: {done.stderr.strip()[-500:]}")


def _sources() -> Path:
    return Path(__file__).parents[2]
