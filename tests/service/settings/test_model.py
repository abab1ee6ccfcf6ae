"""Settings come from file, environment and flags, and a wrong one says what to do."""

from dataclasses import replace

import pytest

from detector.detector import Detector
from detector.rules import Rules
from service.settings.docs import markdown
from service.settings.model import Settings, SettingsError, load


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
            r"--trees = '0': must be at least 1 \(allowed: integer ≥ 1, ≤ 1000",
        ),
        ({}, {"CUTWATER_ENGINE": "java"}, r"CUTWATER_ENGINE = 'java'.*allowed: cutwater \| rrcf"),
        ({"opensearch_url": "localhost:9200"}, {}, r"--opensearch-url = 'localhost:9200'"),
        ({"sensor_field": "a["}, {}, r"--sensor-field = 'a\[': 'a\[' is not a JMESPath expression"),
        ({"sensor_field": "device-id"}, {}, r"""needs quotes: write '"device-id"'"""),
        ({"time_field": "@timestamp"}, {}, r"""needs quotes: write '"@timestamp"'"""),
        ({"sensor_field": "meta.device id"}, {}, r"""needs quotes: write 'meta."device id"'"""),
        ({"value_fields": "t=a/b"}, {}, r"""'a/b' is not a JMESPath expression.* write '"a/b"'"""),
        ({"readings_field": "re-cords"}, {}, r"""--readings-field = 're-cords'.* write '"re-cords"'"""),
        ({"value_fields": "v=max([a,b"}, {}, r"'max\(\[a,b' is not a JMESPath expression"),
        ({"time_format": "%H:%M"}, {}, r"--time-format = '%H:%M': '%H:%M' does not say year, month and day"),
        ({"numeric_text": "maybe"}, {}, r"--numeric-text = 'maybe'.*allowed: refuse \| accept"),
        ({"samples": "20000"}, {}, r"--samples = '20000'.*≤ 16384"),
        ({"value_fields": "a.b"}, {}, r"'a.b' cannot name a value in documents; write for example value=a.b"),
        ({"value_fields": ""}, {}, r"needs 1 to 30 fields, not 0"),
        ({"value_units": "t=°C"}, {}, r"value_units: there is no value t; value_fields has iotValue"),
        ({"direction": "up"}, {}, r"--direction = 'up'.*allowed: both \| high \| low"),
        ({}, {"CUTWATER_ALWAYS_ABOVE": "hot"}, r"CUTWATER_ALWAYS_ABOVE = 'hot': must be a number"),
        ({"always_below": "9", "always_above": "3"}, {}, r"always_below = 9.0: must be less than always_above = 3.0"),
        ({"quiet": "22-6"}, {}, r"quiet = '22-6': must be spans of the UTC day such as 22:00-06:00"),
        ({"never_between": "5"}, {}, r"--never-between = '5': needs two numbers such as 10,20 \(allowed: LOW,HIGH"),
        ({"rules": "{"}, {}, r"--rules = '{': is not JSON such as"),
        (
            {"rules": {"b*": {"alwys_above": 1}}},
            {},
            r"rules.'b\*': there is no rule alwys_above; did you mean always_above",
        ),
        ({"rules": {"b*": {"quiet": 5}}}, {}, r"rules.'b\*': quiet = 5: must be a list"),
        ({"rules": {"b*": {"minimum_grade": 5}}}, {}, r"rules.'b\*': minimum_grade = 5.0: must lie between 0 and 1"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_is_allowed(flags, environment, message):
    with pytest.raises(SettingsError, match=message):
        load(flags, environment)


def test_rules_are_lines_and_those_of_some_sensors_tables(tmp_path):
    path = tmp_path / "cutwater.toml"
    path.write_text(
        'always_above = 70\nquiet = ["22:00-06:00"]\nnever_between = [10, 20]\n[rules."boiler-*"]\nalways_above = 95\n'
    )
    settings = load({}, {}, path)
    usual = Rules(always_above=70, quiet=("22:00-06:00",), never_between=(10, 20))
    assert settings.rules_for_all() == usual
    assert settings.rules_for_sensors() == (("boiler-*", replace(usual, always_above=95)),)
    flags = {"quiet": "22:00-06:00", "never_between": "10, 20", "rules": '{"boiler-*": {"always_above": 95}}'}
    assert load(flags, {"CUTWATER_ALWAYS_ABOVE": "70"}) == settings


def test_commas_in_an_expression_do_not_part_it():
    text = "v=max([a,b]), w = join(',', [c, d]), x={y: a, z: b}.y, \"a,b\", u=`[1,2]`[0]"
    with pytest.raises(SettingsError, match=r"""'"a,b"' cannot name a value"""):
        load({"value_fields": text}, {})
    assert load({"value_fields": text.replace('"a,b"', 'ab="a,b"')}, {}).value_fields == {
        "v": "max([a,b])",
        "w": "join(',', [c, d])",
        "x": "{y: a, z: b}.y",
        "ab": '"a,b"',
        "u": "`[1,2]`[0]",
    }


def test_expressions_may_begin_at_the_record():
    settings = load({"readings_field": "records", "sensor_field": "$.device", "value_fields": "v=sum([$.base,v])"}, {})
    assert settings.sensor_field == "$.device"


def test_formats_of_times_are_separated_by_a_bar():
    assert load({"time_format": "%d.%m.%Y %H:%M | %d.%m.%Y"}, {}).time_formats == ["%d.%m.%Y %H:%M", "%d.%m.%Y"]


def test_the_samples_that_are_allowed_are_those_that_a_forest_takes():
    for samples in (8, 16_384):
        Detector(load({"samples": samples, "shingle": 2, "trees": 1}, {}).configuration(), seed=0)


ARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/RawStreamData"


def test_a_stream_may_be_named_by_its_arn():
    settings = load({"stream": ARN}, {})
    assert (settings.stream, settings.region, settings.stream_arn) == ("RawStreamData", "eu-west-1", ARN)
    assert load({"stream": ARN}, {"CUTWATER_REGION": "eu-west-1"}) == settings
    assert load({"stream": "RawStreamData"}, {}).stream_arn == ""


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"stream": ARN, "region": "us-east-1"}, r"region = 'us-east-1': the stream arn:.* is in eu-west-1"),
        (
            {"stream": "arn:aws:kinesis:eu-west-1:12:stream/x"},
            r"--stream = 'arn:.*': is no ARN of a stream such as arn:",
        ),
        ({"stream": "arn:aws:s3:::bucket"}, r"is no ARN of a stream"),
    ],
)
def test_an_arn_that_names_no_stream_or_another_region_is_refused(flags, message):
    with pytest.raises(SettingsError, match=message):
        load(flags, {})


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


def test_a_secret_comes_from_the_environment_or_from_a_file_and_is_never_shown(tmp_path):
    (tmp_path / "password").write_text("geheim\n")
    named = load({"opensearch_password_file": tmp_path / "password"}, {})
    given = load({}, {"CUTWATER_OPENSEARCH_PASSWORD": "geheim"})
    assert named.opensearch_password.get_secret_value() == given.opensearch_password.get_secret_value() == "geheim"
    assert "geheim" not in repr(named) + str(given)


def test_errors_show_no_secret(tmp_path):
    with pytest.raises(SettingsError, match=r"CUTWATER_OPENSEARCH_API_KEY_FILE = '.*absent': No such file"):
        load({}, {"CUTWATER_OPENSEARCH_API_KEY_FILE": str(tmp_path / "absent")})
    for wrong in ({"opensearch_url": "user:geheim@host:9200"}, {"opensearch_password": ["geheim"]}):
        with pytest.raises(SettingsError) as error:
            load(wrong, {})
        assert "geheim" not in str(error.value)
