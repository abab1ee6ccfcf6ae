"""Each recipe's dashboard fits its events, and a wrong definition is told."""

import pytest

from service import recipes
from service.cli import main
from service.operate.dashboards import event_types, lint, ndjson, read_definition, recipe_objects
from service.settings.model import load
from service.sinks.index.event_fields import EventLayout
from simulator.events import NAMES

PIE = 'title = "x"\n[[panels]]\nname = "p"\nchart = "pie"\n'


def settings_of(name):
    return load({"enrich": recipes.tables(name)}, {}, recipes.folder(name) / recipes.SETTINGS)


def definition_of(name):
    return read_definition((recipes.folder(name) / recipes.DASHBOARD).read_text())


@pytest.mark.parametrize("name", NAMES)
def test_a_recipes_dashboard_has_no_fault(name):
    layout = EventLayout.of(settings_of(name))
    objects = recipe_objects("cutwater", name, definition_of(name), ("value",), event_types(layout))
    assert lint(ndjson(objects)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_that_was_copied_makes_its_dashboard(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["init", name, "mine"]) == 0
    monkeypatch.chdir(tmp_path / "mine")
    assert main(["dashboards", "write", "charts.ndjson", "--definition", "dashboard.toml"]) == 0
    assert main(["dashboards", "lint", "charts.ndjson"]) == 0


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("title = 1", 1, "dashboard.toml: it needs a title"),
        (
            'title = "x"\n[[panels]]\nname = "p"\nchart = "pie"\nby = ["port"]',
            1,
            "charts port, which the mapping lacks",
        ),
        (None, 1, "dashboard.toml: No such file"),
    ],
)
def test_a_wrong_definition_is_told(text, code, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cutwater.toml").write_text('event_format = "flow-log"\n')
    if text is not None:
        (tmp_path / "dashboard.toml").write_text(text)
    assert main(["dashboards", "write", "charts.ndjson", "--definition", "dashboard.toml"]) == code
    assert words in capsys.readouterr().err


def test_readings_have_no_such_dashboard(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["dashboards", "write", "charts.ndjson", "--definition", "dashboard.toml"]) == 2
    assert "needs event_format" in capsys.readouterr().err
