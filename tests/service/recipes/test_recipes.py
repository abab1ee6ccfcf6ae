"""Each recipe's folder is whole: settings, dashboard, and the tables that the settings name."""

import tomllib

import pytest

from service import recipes
from simulator.events import NAMES, generator


def test_every_generator_has_its_recipe():
    assert set(NAMES) <= set(recipes.names())


def test_an_unknown_recipe_is_none():
    with pytest.raises(KeyError):
        recipes.folder("none")


@pytest.mark.parametrize("name", NAMES)
def test_tables_of_a_recipe_are_those_of_its_generators_stream(name):
    for file, content in generator(name).files().items():
        assert (recipes.folder(name) / file).read_bytes() == content


@pytest.mark.parametrize("name", recipes.names())
def test_tables_that_a_recipe_names_are_there(name):
    settings = tomllib.loads((recipes.folder(name) / recipes.SETTINGS).read_text())
    for table in settings.get("enrich", {}).values():
        if "url" in table:
            assert (recipes.folder(name) / table["url"]).is_file()
