"""Where compiled kernels are kept between starts.

numba's own cache looks at the file of the entry point only and would go on with kernels that have changed elsewhere.
So each state of the sources that a kernel is made of has a directory of its own: below ``NUMBA_CACHE_DIR`` if that is
set, else beside the sources, else in the user's cache. If none can be written, kernels are compiled anew at each start.
Copies of the same sources share a directory, wherever they lie and whenever they were written.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba import config, njit
from numba.core.caching import CompileResultCacheImpl, _CacheLocator

_settings: Any = config  # numba makes its attributes as it starts
_SOURCES = Path(__file__).parent
_IMPORT = re.compile(r"^from detector((?:\.\w+)*) import (\(.*?\)|.+?)$", re.MULTILINE | re.DOTALL)


def _path(module: str) -> Path:
    path = _SOURCES / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")


@cache
def sources(module: str) -> frozenset[str]:
    """Names of the modules of this package that one of them is made of, itself included (``"forest.kernels"``)."""
    found: set[str] = set()
    pending = {module}
    while pending:
        name = pending.pop()
        found.add(name)
        for parent, imported in _IMPORT.findall(_path(name).read_text(encoding="utf-8")):
            package = parent.lstrip(".")
            children = (each.split()[0] for each in imported.strip("() \n").split(",") if each.strip())
            named = {package, *(f"{package}.{child}".lstrip(".") for child in children)}
            pending |= {each for each in named if each and _path(each).is_file()} - found
    return frozenset(found)


def _digest(module: str) -> str:
    """What a module's compiled kernels depend on, but for the processor and Python, of which numba takes care."""
    digest = hashlib.blake2b(numba.__version__.encode(), digest_size=8)
    for name in sorted(sources(module)):
        digest.update(_path(name).read_bytes())
    return digest.hexdigest()


def _writable(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False


@cache
def cache_directory(module: str) -> Path | None:
    """Where a module's kernels are kept; None if nowhere."""
    given = _settings.CACHE_DIR
    user = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111  it never raises
    bases = [Path(given)] if given else [_SOURCES / "__pycache__", user / "cutwater"]
    name = f"{module}-{_digest(module)}"
    return next((base / name for base in bases if _writable(base / name)), None)


def _locator(directory: Path) -> type[Any]:
    """Has numba keep a kernel in a directory that holds what one state of the sources was compiled to."""

    class Locator(_CacheLocator):
        def __init__(self, line: int) -> None:
            self._line = line

        @classmethod
        def from_function(cls, function: Callable[..., Any], _file: str) -> Locator:
            return cls(function.__code__.co_firstlineno)

        def get_cache_path(self) -> str:
            return str(directory)

        def get_source_stamp(self) -> str:
            return directory.name

        def get_disambiguator(self) -> str:
            return str(self._line)

    return Locator


def jit_entry(function: Callable[..., Any]) -> Any:
    """Compile a kernel that Python calls, for each type of its arguments when it is first needed."""
    options: dict[str, Any] = {"error_model": "numpy", "nogil": True}
    directory = cache_directory(function.__module__.partition(".")[2])
    if directory is None:
        return njit(**options)(function)
    before = CompileResultCacheImpl._locator_classes
    CompileResultCacheImpl._locator_classes = [_locator(directory)]  # is read while the decorator runs
    try:
        return njit(cache=True, **options)(function)
    finally:
        CompileResultCacheImpl._locator_classes = before
