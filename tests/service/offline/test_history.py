"""Recordings are read as their writers meant them, or refused with file, line and reason."""

import numpy as np
import pytest

from service.offline.history import Columns, HistoryError, find, moment, read


@pytest.fixture
def file(tmp_path):
    def write(text: str, name: str = "pump.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    "text", ["2026-01-05 00:00:00", "2026-01-05T00:00:00Z", "2026-01-05T01:00+01:00", "1767571200", "1767571200000"]
)
def test_a_time_is_iso_8601_or_seconds_or_milliseconds(text):
    assert moment(text) == 1_767_571_200_000


def test_a_time_column_and_a_value_column_are_enough(file):
    (history,) = read(file("timestamp,value\n2026-01-05 00:00:00,1.5\n2026-01-05 00:01:00,\n"))
    assert (history.sensor, history.features) == ("pump", ("value",))
    assert history.stamps == ["2026-01-05 00:00:00", "2026-01-05 00:01:00"]
    assert history.times.tolist() == [1_767_571_200_000, 1_767_571_260_000]
    assert np.array_equal(history.values, [[1.5], [np.nan]], equal_nan=True)
    assert history.windows is None


def test_semicolons_texts_and_a_byte_order_mark_are_fine(file):
    (history,) = read(file("\ufeffplace;Time;t;h\nhall;2026-01-05;20;0.4\nhall;2026-01-06;21;0.5\n"))
    assert history.features == ("t", "h")
    assert history.values.tolist() == [[20, 0.4], [21, 0.5]]


def test_labels_become_stretches(file):
    rows = "".join(f"{60 * k},{k},{label}\n" for k, label in enumerate(["", "spike", "spike", "0", "1", "false"]))
    (history,) = read(file("timestamp,value,label\n" + rows))
    assert history.windows == [(60_000, 120_000), (240_000, 240_000)]


def test_a_column_of_sensors_makes_a_history_each(file):
    path = file("iotTime,iotName,iotValue,other\n60,b,1,9\n120,a,2,9\n180,b,3,9\n")
    b, a = read(path)
    assert (b.sensor, b.values.tolist(), a.sensor, a.times.tolist()) == ("b", [[1], [3]], "a", [120_000])
    (whole,) = read(path, Columns(sensor="device", time="iotTime", values=("iotValue",)))
    assert whole.sensor == "pump"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "pump.csv, line 1: needs a header such as timestamp,value"),
        ("timestamp,value\n", "pump.csv: has no rows"),
        ("timestamp,value\n1,2\n3\n", "pump.csv, line 3: expected 2 columns, found 1"),
        ("timestamp,value\n1,2\n3,x\n", "pump.csv, line 3: value = 'x' is not a number"),
        ("timestamp,name\n1,x\n", "pump.csv, line 2: no column of numbers among name"),
        ("timestamp,value\nnoon,2\n", "pump.csv: timestamp = 'noon' is not a time"),
        ("timestamp,value\n1e30,2\n", "pump.csv: timestamp = .* lies outside of the calendar"),
        ("timestamp,value\ninf,2\n", "pump.csv: timestamp = 'inf' is not a time"),
    ],
)
def test_what_cannot_be_read_is_named(file, text, message):
    with pytest.raises(HistoryError, match=message):
        read(file(text))


def test_folders_are_searched_and_nothing_is_an_error(file, tmp_path):
    (tmp_path / "deep").mkdir()
    file("", "deep/b.csv")
    file("", "a.csv")
    assert [name for _, name in find([tmp_path])] == ["a.csv", "deep/b.csv"]
    with pytest.raises(HistoryError, match="absent: no such file or folder"):
        find([tmp_path / "absent"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(HistoryError, match=r"no \.csv files"):
        find([tmp_path / "empty"])
