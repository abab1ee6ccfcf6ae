"""Settings come from file, environment and flags, and a wrong one says what to do."""

import pytest

from service.settings import Settings, SettingsError, load, markdown


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cutwater.toml"
    path.write_text('trees = 30\nsamples = 128\nvalue_fields = ["t", "h=hygro.value"]\n')
    return path


def test_the_last_source_wins(file):
    settings = load({"trees": "70"}, {"CUTWATER_TREES": "60", "CUTWATER_SAMPLES": "512"}, file)
    assert (settings.trees, settings.samples) == (70, 512)
    assert load({}, {}, file).trees == 30


def test_values_may_be_named_by_where_they_lie(file):
    assert load({}, {}, file).value_fields == {"t": "t", "h": "hygro.value"}
    assert load({"value_fields": "a, b=c.d[0]"}, {}).value_fields == {"a": "a", "b": "c.d[0]"}


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        ({"treees": 3}, {}, r"--treees: no such setting; did you mean trees\?"),
        ({}, {"CUTWATER_SAMPELS": "3"}, r"CUTWATER_SAMPELS: no such setting; did you mean samples\?"),
        (
            {"trees": "0"},
            {},
            r"--trees = '0': input should be greater than or equal to 1 \(allowed: integer ≥ 1 ≤ 1000",
        ),
        ({}, {"CUTWATER_ENGINE": "java"}, r"CUTWATER_ENGINE = 'java'.*allowed: cutwater \| rrcf"),
        ({"opensearch_url": "localhost:9200"}, {}, r"--opensearch-url = 'localhost:9200'"),
        ({"sensor_field": "a["}, {}, r"--sensor-field = 'a\[': is not a JMESPath expression"),
        ({"value_fields": "a.b"}, {}, r"'a.b' cannot name a value in documents; write for example value=a.b"),
        ({"value_fields": ""}, {}, r"needs 1 to 30 fields, not 0"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_is_allowed(flags, environment, message):
    with pytest.raises(SettingsError, match=message):
        load(flags, environment)


def test_all_wrong_settings_are_told_at_once():
    with pytest.raises(SettingsError) as error:
        load({"trees": "0", "samples": "x"}, {})
    assert len(str(error.value).splitlines()) == 2


def test_a_config_file_that_was_named_must_exist(tmp_path):
    with pytest.raises(SettingsError, match="no such file"):
        load({}, {}, tmp_path / "absent.toml")


def test_a_damaged_config_file_says_where(tmp_path):
    (tmp_path / "bad.toml").write_text("trees = \n")
    with pytest.raises(SettingsError, match=r"bad\.toml: .*line 1"):
        load({}, {}, tmp_path / "bad.toml")


def test_the_documentation_names_every_setting():
    text = markdown()
    assert all(f"| `{name}` |" in text and field.description for name, field in Settings.model_fields.items())
