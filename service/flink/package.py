"""The zip file that Amazon Managed Service for Apache Flink runs: this code, what it needs, settings, a connector.

What apache-flink brings is left out, for the service has it: other versions would take the place of its own. The rest
is copied as it is installed beside apache-flink here, so that it fits.
"""

from __future__ import annotations

import contextlib
import platform
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from service import UserError

LARGEST = 512 * 1024 * 1024  # bytes that the service takes
RUN_OPTIONS = {"python": "main.py", "jarfile": "lib/{jar}", "pyFiles": "python/"}
"""The application's properties, in the group kinesis.analytics.flink.run.options."""
NO_FLINK = (
    "apache-flink is not installed here, for it needs older packages than the service; `make venv-flink` makes an "
    "environment with it, and .venv-flink/bin/cutwater is this command there"
)
_NAME, _NAME_PARTS = re.compile(r"[A-Za-z0-9._-]+"), re.compile(r"[-_.]+")
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
    try:
        metadata.version("apache-flink")
    except metadata.PackageNotFoundError:
        raise UserError(NO_FLINK) from None
    settings = config or Path("cutwater.toml")
    for file in (jar, settings):
        if not file.is_file():
            raise UserError(f"{file}: no such file")
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder)
        (draft / "python").mkdir()
        names = sorted(_needed("cutwater") - _needed("apache-flink") - {"cutwater"})
        for name in names:
            _copy(metadata.distribution(name), draft / "python")
        about = draft / "python" / f"cutwater-{metadata.version('cutwater')}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(metadata.distribution("cutwater").read_text("METADATA") or "", encoding="utf-8")
        yield f"packed {len(names)} packages as they are installed here, for Python {platform.python_version()}"
        for package in ("detector", "service", "simulator"):  # commands import the last
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


def _needed(name: str) -> set[str]:
    """A package and all that it needs, as far as it is installed: by names in their usual form."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = _NAME_PARTS.sub("-", waiting.pop()).lower()
        with contextlib.suppress(metadata.PackageNotFoundError):
            if name not in found:
                lines = metadata.distribution(name).requires or ()
                found.add(name)
                waiting += [match[0] for line in lines if "extra ==" not in line and (match := _NAME.match(line))]
    return found


def _copy(package: metadata.Distribution, target: Path) -> None:
    """Its files, but for what lies outside of where packages are imported from, such as commands."""
    for file in package.files or ():
        if ".." not in file.parts and file.suffix != ".pyc" and file.name != "RECORD":
            place = target / file
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(str(package.locate_file(file))), place)


def _sources() -> Path:
    return Path(__file__).parents[2]
