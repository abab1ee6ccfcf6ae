"""The project as a whole: what no single test sees."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from service.api import docs as api
from service.cli import docs as cli
from service.settings import docs as settings
from service.settings.model import Settings
from service.settings.sources import PREFIX
from service.sinks.index import event_docs, fields

PROJECT = Path(__file__).parents[1]
ROOMS = ("detector", "service", "simulator")
MODULES = sorted(path.relative_to(PROJECT) for room in ROOMS for path in (PROJECT / room).rglob("*.py"))
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]

# What the rooms may import of each other and of other packages; docs/explanation/architecture.md says why.
PURE = {"llvmlite", "numba", "numpy", "orjson", "rrcf", "zstandard"}
# Input, output, time, randomness that no seed governs, and logging.
IMPURE = {
    *("asyncio", "datetime", "ftplib", "glob", "http", "io", "logging", "mmap", "multiprocessing", "os", "pathlib"),
    *("random", "secrets", "select", "shutil", "signal", "smtplib", "socket", "sqlite3", "ssl", "subprocess", "sys"),
    *("tempfile", "time", "urllib", "uuid"),
}
# How kernels are compiled depends on what the disk holds, what they compute does not; rrcf needs help to be imported.
EXCEPTIONS = {Path("detector/jit.py"): {"os", "pathlib", "tempfile"}, Path("detector/forest/reference.py"): {"sys"}}
EXCEPTIONS |= {Path("detector/river.py"): {"river"}}  # for those who have it
NUMERICS = {"llvmlite", "numba", "rrcf", "scipy"}
NEEDS_NUMBA = {Path("service/flink/plain_print.py")}  # imports it under a condition
# The commands demo, simulate and stream need sensors and a local stream.
SIMULATING = ("__init__", "demo", "demo_events", "readings", "simulate", "stream")
MAY_SIMULATE = {Path(f"service/cli/{name}.py") for name in SIMULATING}


def tree(module: Path) -> ast.Module:
    return ast.parse((PROJECT / module).read_text(), str(module))


def imported(module: Path) -> set[str]:
    """The top-level packages that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def in_room(room: str) -> list[Path]:
    return [module for module in MODULES if module.parts[0] == room]


def committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [PROJECT / name for name in listed.stdout.split("\0") if name and (PROJECT / name).is_file()]


@pytest.mark.parametrize("module", in_room("detector"), ids=str)
def test_detector_is_pure(module):
    others = imported(module) - {"detector", "__future__"} - PURE - EXCEPTIONS.get(module, set())
    assert others <= sys.stdlib_module_names - IMPURE
    called = [node.func for node in ast.walk(tree(module)) if isinstance(node, ast.Call)]
    assert not {"open", "print", "input"} & {function.id for function in called if isinstance(function, ast.Name)}


@pytest.mark.parametrize("module", in_room("service"), ids=str)
def test_service_holds_no_numerics_and_simulates_nothing(module):
    forbidden = NUMERICS if module in MAY_SIMULATE else NUMERICS | {"simulator"}
    assert not imported(module) & forbidden - ({"numba"} if module in NEEDS_NUMBA else set())


@pytest.mark.parametrize("module", in_room("simulator"), ids=str)
def test_simulator_knows_neither_detector_nor_service(module):
    assert not imported(module) & {"detector", "service"}


def test_rooms_import_only_what_the_project_declares():
    extras = PYPROJECT["optional-dependencies"]
    lines = (*PYPROJECT["dependencies"], *extras["flink"], *extras.get("river", ()))
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    # Modules that are not called like their distribution, and what a declared one brings by its own word.
    known = {"opensearchpy": "opensearch-py", "prometheus_client": "prometheus-client", "starlette": "fastapi"}
    known |= {"botocore": "aiobotocore", "llvmlite": "numba", "yarl": "aiohttp", "pyflink": "apache-flink"}
    for module in MODULES:
        others = imported(module) - set(ROOMS) - sys.stdlib_module_names
        assert {canonicalize_name(known.get(name, name)) for name in others} <= declared, module


@pytest.mark.parametrize("room", ROOMS)
def test_tests_are_called_after_what_they_test(room):
    names = {path.stem for path in (PROJECT / room).rglob("*") if "__pycache__" not in path.parts}
    names |= {"complaints"}  # that users have of other detectors, against the whole of ours
    names |= {"severity", "snapshot", "generators", "enrichment", "recipe"}  # words of several modules
    for test in (PROJECT / "tests" / room).rglob("test_*.py"):
        subject = test.stem.removeprefix("test_")
        assert any(subject == name or subject.startswith(f"{name}_") for name in names), test.name


@pytest.mark.parametrize("module", in_room("service") + in_room("detector") + in_room("simulator"), ids=str)
def test_a_file_of_more_than_400_lines_says_why(module):
    lines = len((PROJECT / module).read_text().splitlines())
    assert lines <= 400 or "one file" in (ast.get_docstring(tree(module)) or "").lower()


def documented_names(docstring: str) -> Iterator[str]:
    """The names that the sections Args and Attributes explain, several before one colon included."""
    section, indent = False, None
    for line in docstring.splitlines():
        margin = len(line) - len(line.lstrip())
        if line.strip() in ("Args:", "Attributes:"):
            section, indent = True, None
        elif section and line.strip():
            indent = margin if indent is None else indent
            if margin < indent:
                section = False
            elif margin == indent and (match := re.match(r"([\w, ]+):", line.strip())):
                yield from (name.strip() for name in match[1].split(","))


def names_of(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """A function's parameters; a class's fields, methods, and the parameters of its __init__."""
    if not isinstance(node, ast.ClassDef):
        arguments = node.args
        every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
        return {argument.arg for argument in every if argument}
    names = set()
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            names.add(part.target.id)
        elif isinstance(part, ast.Assign):
            names |= {target.id for target in part.targets if isinstance(target, ast.Name)}
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            names |= {part.name}
            if part.name == "__init__":
                set_there = (each for each in ast.walk(part) if isinstance(each, ast.Attribute))
                names |= names_of(part) | {each.attr for each in set_there if isinstance(each.ctx, ast.Store)}
    for base in node.bases:  # of a class in the same module
        names |= {"*"} if isinstance(base, ast.Name) and base.id not in ("NamedTuple", "Protocol") else set()
    return names


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_docstrings_explain_what_is_there(module):
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names = names_of(node)
            wrong = set(documented_names(ast.get_docstring(node) or "")) - names
            assert "*" in names or not wrong, f"{node.name}, line {node.lineno}"


@pytest.mark.parametrize(
    ("page", "made"),
    [
        ("settings", settings.markdown),
        ("cli", cli.markdown),
        ("documents", fields.markdown),
        ("events", event_docs.markdown),
        ("api", api.documentation),
    ],
)
def test_pages_about_the_code_are_made_from_it(page, made):
    assert (PROJECT / f"docs/reference/{page}.md").read_text() == made(), "make docs"


def requirements() -> list[Requirement]:
    extras = PYPROJECT["optional-dependencies"]
    return [
        Requirement(line) for line in (*PYPROJECT["dependencies"], *extras["dev"], *extras["bench"], *extras["docs"])
    ]


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_architecture_says_why_each_dependency_is_there(requirement):
    section = (PROJECT / "docs/explanation/architecture.md").read_text().partition("## Dependencies")[2]
    assert re.search(rf"(?<![\w-]){re.escape(requirement.name)}(?![\w-])", section)


def test_constraints_name_one_version_of_each_dependency_and_no_more():
    lines = (PROJECT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line) for line in lines)
    versions = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    assert len(versions) == len(lines)
    for requirement in requirements():
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


# Where each of the policy's statements is needed, and what S3 calls its permissions.
CALLERS = {
    "kinesis": ["service/source/kinesis.py", "service/source/fan_out.py"],
    "dynamodb": ["service/state/leases/dynamodb.py"],
    "s3": ["service/state/blobs/s3.py", "service/source/tables.py"],
    "ec2": ["service/source/tables.py"],
}
PERMISSIONS = {"s3:ListObjectsV2": "s3:ListBucket", "s3:DeleteObjects": "s3:DeleteObject"}


def called(service: str) -> set[str]:
    """The permissions that the code needs of an AWS service."""
    source = "".join((PROJECT / path).read_text() for path in CALLERS[service])
    known = set(boto3.client(service, region_name="us-east-1").meta.method_to_api_mapping)
    calls = known.intersection(re.findall(r"_client\.(\w+)", source))
    names = {f"{service}:{name.title().replace('_', '')}" for name in calls}
    return {PERMISSIONS.get(name, name) for name in names}


@pytest.mark.parametrize("service", CALLERS)
def test_policy_allows_what_the_service_calls_and_no_more(service):
    statements = json.loads((PROJECT / "deploy/iam-policy.json").read_text())["Statement"]
    allowed = {action for statement in statements for action in statement["Action"]}
    assert {action for action in allowed if action.startswith(f"{service}:")} == called(service)


def test_ecs_grants_what_the_policy_does():
    statements = json.loads((PROJECT / "deploy/iam-policy.json").read_text())["Statement"]
    policy = {statement["Sid"]: statement["Action"] for statement in statements}
    given = {}
    for statement in stack()["TaskRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]:
        statement = statement[1] if isinstance(statement, list) else statement
        given[statement["Sid"]] = statement["Action"]
    assert {name: given[name] for name in policy} == policy


def test_ecs_runs_the_image_as_the_dockerfile_means_it():
    dockerfile = (PROJECT / "Dockerfile").read_text()
    definition = stack()["TaskDefinition"]["Properties"]
    (container,) = definition["ContainerDefinitions"]
    check = re.search(r"HEALTHCHECK.* CMD (\[.*?\])\n", dockerfile.replace("\\\n", ""))
    assert check is not None
    assert container["HealthCheck"]["Command"] == ["CMD", *json.loads(check[1])]
    volumes = re.search(r"^VOLUME (.*)$", dockerfile, re.M)
    assert volumes is not None
    assert {mount["ContainerPath"] for mount in container["MountPoints"]} == set(json.loads(volumes[1]))
    user = stack()["AccessPoint"]["Properties"]["PosixUser"]["Uid"]
    assert f"USER {user}\n" in dockerfile
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert {variable["Name"] for variable in container["Environment"]} <= known
    assert set(re.findall(r"CUTWATER_\w+", dockerfile)) <= known


def stack() -> dict:
    """The resources of the ECS template; CloudFormation's functions become their arguments."""

    class Loader(yaml.SafeLoader):
        pass

    def argument(loader, _, node):
        if isinstance(node, yaml.ScalarNode):
            return loader.construct_scalar(node)
        return loader.construct_sequence(node, deep=True)

    Loader.add_multi_constructor("!", argument)
    return yaml.load((PROJECT / "deploy/ecs.yaml").read_text(), Loader)["Resources"]


def test_no_file_names_a_place_on_somebodys_machine():
    place = re.compile(rb"(?<![\w.~-])/(?:home|root|work|Users)/(?!ec2-user\b)\w+")
    found = [path.name for path in committed() if place.search(path.read_bytes())]
    assert not found
