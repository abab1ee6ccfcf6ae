"""Tables in tables: what groups of settings may be made of."""

from typing import Literal

import pytest
from pydantic import Field, SecretStr, ValidationError

from service.settings.complaints import complaints
from service.settings.docs import markdown
from service.settings.table import Table


class Target(Table):
    """Where a message goes."""

    kind: Literal["mail", "chat"] = "mail"
    """How."""
    token: SecretStr = SecretStr("")
    """Proof of who asks."""


class Window(Table):
    """What is counted."""

    every: int = Field(ge=1)
    """Seconds."""
    key: tuple[str, ...] = ()
    """Fields."""
    target: Target = Target()
    """Who is told."""


class Sample(Table):
    """A few settings."""

    name: str = "x"
    """A name."""
    windows: tuple[Window, ...] = Field((), examples=['[{"every": 60}]'])
    """What is counted."""
    target: Target = Target()
    """Who is told of all."""


def complaint(**values):
    with pytest.raises(ValidationError) as error:
        Sample(**values)
    return list(complaints(error.value, Sample, {"windows": "cutwater.toml: windows"}))


def test_tables_are_read_from_toml_and_from_json():
    assert Sample(windows=[{"every": 5, "key": "a, b"}]).windows == (Window(every=5, key=("a", "b")),)
    assert Sample(windows='[{"every": 5, "target": {"kind": "chat"}}]').windows[0].target.kind == "chat"
    assert Sample(target='{"kind": "chat"}') == Sample(target={"kind": "chat"})


def test_what_is_wrong_in_a_table_is_named_with_its_place():
    assert complaint(windows=[{"every": 5}, {"every": "0"}]) == [
        "cutwater.toml: windows[1].every = '0': must be at least 1 (allowed: integer ≥ 1)"
    ]
    assert complaint(windows=[{}]) == ["cutwater.toml: windows[0].every: is missing (allowed: integer ≥ 1)"]
    assert complaint(target={"kind": "x"}) == ["target.kind = 'x': must be 'mail' or 'chat' (allowed: mail | chat)"]
    assert complaint(windows=[{"every": 5, "evary": 6}]) == [
        "cutwater.toml: windows[0].evary: no such setting; did you mean every?"
    ]
    assert complaint(windows="[{")[0].startswith('cutwater.toml: windows: is not JSON such as [{"every": 60}]: ')


def test_a_secret_of_a_table_may_lie_in_a_file_and_is_never_shown(tmp_path):
    (tmp_path / "token").write_text("geheim\n")
    sample = Sample(windows=[{"every": 5, "target": {"token_file": tmp_path / "token"}}])
    assert sample.windows[0].target.token.get_secret_value() == "geheim"
    for wrong in ({"token": ["geheim"]}, {"token": "geheim", "kind": 3}, ["geheim"]):
        assert "geheim" not in repr(sample) + "".join(complaint(target=wrong))


def test_each_table_has_a_section_in_the_documentation():
    page = markdown(Sample)
    assert "| `windows` |  | tables | What is counted. |" in page
    assert "| `target` |  | table | Who is told of all. |" in page
    for title in ("## `[[windows]]`", "## `[windows.target]`", "## `[target]`"):
        assert f"\n{title}\n" in page
    assert "| `every` |  | integer ≥ 1 | Seconds. |" in page
    assert "| `key` |  | text, … | Fields. |" in page
