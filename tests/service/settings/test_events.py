"""Windows in the settings."""

import pytest

from service.settings.model import SettingsError, load


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "a b"}, "name = 'a b': must match"),
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
        load({"windows": [table]}, {})


def test_two_windows_of_one_name_are_refused():
    with pytest.raises(SettingsError, match="two of them are called 'a'"):
        load({"windows": [{"name": "a"}, {"name": "a"}]}, {})


def test_seconds_become_milliseconds_and_what_is_left_out_has_its_default():
    table = {"name": "a", "every": 30, "lateness": 1.5, "where": {"port": 22, "open": [True, "x"]}}
    (program,) = load({"windows": [table]}, {}).programs
    assert (program.every, program.lateness, program.expire) == (30_000, 1500, 300_000)
    assert program.where == (("port", frozenset({"22"})), ("open", frozenset({"true", "x"})))
    assert program.detect == ("events",)
