"""Windows in the settings."""

import pytest

from service.settings.model import SettingsError, load


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "a b"}, "name = 'a b': must be such as clicks-per-article"),
        ({"name": "a", "everry": 3}, "everry: no such setting; did you mean every?"),
        ({"name": "a", "every": 0}, "every = 0: must be at least 1"),
        ({"name": "a", "measures": {"n": "cuont"}}, "'cuont' is none of count.*did you mean count"),
        ({"name": "a", "measures": {"n": "sum"}}, "write sum FIELD"),
        ({"name": "a", "measures": {"n": "count x"}}, "count FIELD=VALUE"),
        ({"name": "a", "measures": {"n m": "count"}}, "use letters, digits and _"),
        ({"name": "a", "key": "x"}, "key = 'x': must be a list"),
        ({"name": "a", "detect": ["event"], "measures": {"events": "count"}}, "no measure event; did you mean events?"),
        ({"name": "a", "max_keys": 0}, "max_keys = 0"),
        ({"name": "a", "where": 3}, "where = 3: must be a"),
    ],
)
def test_a_wrong_table_is_refused_with_its_value_and_what_is_allowed(table, message):
    with pytest.raises(SettingsError, match=message):
        load({"event_format": "flow-log", "windows": [table]}, {})


def test_two_windows_of_one_name_are_refused():
    with pytest.raises(SettingsError, match="two of them are called 'a'"):
        load({"event_format": "ossec", "windows": [{"name": "a"}, {"name": "a"}]}, {})


def test_seconds_become_milliseconds_and_what_is_left_out_has_its_default():
    table = {"name": "a", "every": 30, "lateness": 1.5, "where": {"source.port": 22, "event.action": [True, "x"]}}
    (program,) = load({"event_format": "flow-log", "windows": [table]}, {}).programs
    assert (program.every, program.lateness, program.expire) == (30_000, 1500, 300_000)
    assert program.where == (("source.port", frozenset({"22"})), ("event.action", frozenset({"true", "x"})))
    assert program.detect == ("events",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"windows": [{"name": "a"}]}, "windows: need event_format"),
        ({"event_format": "flow-log", "value_fields": "v"}, "value_fields: a stream of events has none"),
        ({"event_format": "flow-log", "event_fields": {"a": "long"}}, "event_fields = .*needs event_format = json"),
        ({"event_format": "json", "event_fields": {"a": "lnog"}}, "a = 'lnog': must begin with a type: keyword"),
        ({"event_format": "json", "event_fields": {"a": "long a b"}}, "event_fields: "),
        ({"event_format": "ossec", "event_zone": "Europe/Atlantis"}, "event_zone: there is no time zone"),
        (
            {"event_format": "flow-log", "windows": [{"name": "a", "key": ["source.pi"]}]},
            r"windows\[0\] \(a\): events have no field 'source.pi'; did you mean source.ip",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused_with_the_remedy(given, message):
    with pytest.raises(SettingsError, match=message):
        load(given, {})


def test_a_window_may_count_by_what_a_table_adds():
    users = {"type": "reference", "url": "users.csv", "join": {"user_id": "user_id"},
             "columns": {"user_id": "integer", "gender": "text"}}  # fmt: skip
    found = load(
        {
            "event_format": "json",
            "event_fields": {"user_id": "long", "action": "keyword"},
            "enrich": {"users": users},
            "windows": [{"name": "a", "key": ["gender"], "measures": {"n": "count action=click"}}],
        },
        {},
    )
    assert found.programs[0].key == ("gender",)
    assert found.value_fields == {"value": "value"}
