"""Tests of the zip file: what it holds, and that it is made where apache-flink is."""

import zipfile

import pytest

from service import UserError
from service.flink import package


@pytest.fixture
def beside_flink(monkeypatch):
    """As if apache-flink were installed here, and brought numpy."""
    needed = {"cutwater": {"cutwater", "orjson", "numpy"}, "apache-flink": {"apache-flink", "numpy"}}
    monkeypatch.setattr(package, "_needed", needed.__getitem__)
    version = package.metadata.version
    monkeypatch.setattr(package.metadata, "version", lambda name: "2.3.0" if name == "apache-flink" else version(name))


def test_the_package_holds_code_settings_connector_and_what_flink_does_not_bring(beside_flink, tmp_path):
    (tmp_path / "connector-6.0.jar").write_bytes(b"jar")
    (tmp_path / "cutwater.toml").write_text("stream = 'readings'\n")
    target = tmp_path / "job.zip"
    told = list(package.make_package(target, tmp_path / "connector-6.0.jar", tmp_path / "cutwater.toml"))
    with zipfile.ZipFile(target) as archive:
        names = set(archive.namelist())
        main = archive.read("main.py").decode()
        assert archive.read("cutwater.toml") == b"stream = 'readings'\n"
    compile(main, "main.py", "exec")
    assert {"lib/connector-6.0.jar", "python/orjson/__init__.py"} <= names
    for room in ("detector", "service", "simulator"):  # commands import all of them
        assert f"python/{room}/__init__.py" in names
    assert any(name.startswith("python/cutwater-") and name.endswith(".dist-info/METADATA") for name in names)
    assert not [name for name in names if name.startswith("python/numpy") or name.endswith(".pyc")]
    options = dict(line.split() for line in told if line.startswith("    "))
    assert options == {"python": "main.py", "jarfile": "lib/connector-6.0.jar", "pyFiles": "python/"}
    assert {options["python"], options["jarfile"]} <= names


@pytest.mark.parametrize("missing", ["connector.jar", "cutwater.toml"])
def test_a_file_that_is_not_there_is_named(beside_flink, tmp_path, missing):
    for name in {"connector.jar", "cutwater.toml"} - {missing}:
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=missing):
        list(package.make_package(tmp_path / "job.zip", tmp_path / "connector.jar", tmp_path / "cutwater.toml"))


def test_without_flink_there_is_nothing_to_pack_beside(tmp_path):
    with pytest.raises(UserError, match="make venv-flink"):
        list(package.make_package(tmp_path / "job.zip", tmp_path / "connector.jar", None))


def test_needed_is_what_the_project_declares_and_what_that_needs_but_no_extras():
    needed = package._needed("cutwater")
    assert {"numba", "llvmlite", "opensearch-py", "pydantic-core"} <= needed
    assert not {"pytest", "apache-flink"} & needed
