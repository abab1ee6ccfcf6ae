"""CloudFormation templates as data, for tests: functions become what their long forms are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
NAMES = tuple(sorted(path.stem for path in DEPLOY.glob("*.yaml") if path.stem != "compose"))


class _Loader(yaml.SafeLoader):
    pass


def _function(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _function)


def template(name: str) -> dict[str, Any]:
    """One of deploy/, by its name."""
    return yaml.load((DEPLOY / f"{name}.yaml").read_text(), _Loader)


def resources(name: str, kind: str) -> dict[str, dict[str, Any]]:
    """The properties of a template's resources of a kind, by their names."""
    found = template(name)["Resources"].items()
    return {key: each.get("Properties", {}) for key, each in found if each["Type"] == kind}


def statements(found: Any) -> Iterator[dict[str, Any]]:
    """All statements of policies within, whatever their conditions."""
    if isinstance(found, dict):
        if "Effect" in found:
            yield found
            return
        found = list(found.values())
    if isinstance(found, list):
        for each in found:
            yield from statements(each)


def listed(value: Any) -> list[Any]:
    """A value, or the list that it is."""
    return value if isinstance(value, list) else [value]
