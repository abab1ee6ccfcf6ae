"""Where compiled kernels are kept between starts.

numba's own cache looks at the file of the entry point only and would go on with kernels that have changed elsewhere.
So each state of the sources has a directory of its own: below ``NUMBA_CACHE_DIR`` if that is set, else beside the
sources, else in the user's cache. If none can be written, kernels are compiled anew at each start.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import config, njit

_settings: Any = config  # numba makes its attributes as it starts
_SOURCES = Path(__file__).parent


def _digest() -> str:
    """What compiled kernels depend on, but for the processor and Python, of which numba takes care."""
    digest = hashlib.blake2b(numba.__version__.encode(), digest_size=8)
    for source in sorted(_SOURCES.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False


def cache_directory() -> Path | None:
    """Where kernels are kept; None if nowhere."""
    given = _settings.CACHE_DIR
    user = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111  it never raises
    bases = [Path(given)] if given else [_SOURCES / "__pycache__", user / "cutwater"]
    name = f"kernels-{_digest()}"
    return next((base / name for base in bases if _writable(base / name)), None)


_DIRECTORY = cache_directory()


def entry(function: Callable[..., None]) -> Any:
    """Compile a kernel that Python calls, for each type of its arguments when it is first needed."""
    options: dict[str, Any] = {"error_model": "numpy", "nogil": True}
    if _DIRECTORY is None:
        return njit(**options)(function)
    before = _settings.CACHE_DIR
    _settings.CACHE_DIR = str(_DIRECTORY)  # is read while the decorator runs
    try:
        return njit(cache=True, **options)(function)
    finally:
        _settings.CACHE_DIR = before
