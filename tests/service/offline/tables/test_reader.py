"""Tables are read as their writers meant them, or refused with file, line, column and reason."""

import gzip

import numpy as np
import pytest

from service.offline.tables import Columns, HistoryError, find, read, say_once

START = 1_767_571_200_000  # 2026-01-05T00:00Z


@pytest.fixture
def file(tmp_path):
    def write(text: str | bytes, name: str = "pump.csv", encoding: str = "utf-8"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


def rows(n: int, *cells, step: int = 5):
    """Lines with a time each, and cells that may be functions of the row's number."""

    def text(k, cell):
        return str(cell(k) if callable(cell) else cell)

    return [
        [f"2026-01-05 {step * k // 60:02d}:{step * k % 60:02d}:00", *(text(k, cell) for cell in cells)]
        for k in range(n)
    ]


def table(header: str, lines, separator: str = ",") -> str:
    return "\n".join([header, *(separator.join(line) for line in lines)]) + "\n"


def only(path, columns=None):
    (history,) = read(path, columns).histories
    return history


@pytest.mark.parametrize(
    "text", ["2026-01-05 00:00:00", "2026-01-05T00:00:00Z", "2026-01-05T01:00+01:00", "1767571200", "1767571200000",
             "20260105", "20260105000000", "2026-01-05T00:00:00.000000000Z"],
)  # fmt: skip
def test_a_time_is_iso_8601_or_since_1970(file, text):
    assert only(file(f"timestamp,value\n{text},1\n")).times.tolist() == [START]


def test_a_time_column_and_a_value_column_are_enough(file):
    history = only(file("timestamp,value\n2026-01-05 00:00:00,1.5\n2026-01-05 00:01:00,\n"))
    assert (history.sensor, history.features) == ("pump", ("value",))
    assert history.stamps == ["2026-01-05 00:00:00", "2026-01-05 00:01:00"]
    assert history.times.tolist() == [START, START + 60_000]
    assert np.array_equal(history.values, [[1.5], [np.nan]], equal_nan=True)
    assert history.windows is None


def test_semicolons_texts_and_a_byte_order_mark_are_fine(file):
    history = only(file("\ufeffplace;Time;t;h\nhall;2026-01-05;20;0.4\nhall;2026-01-06;21;0.5\n"))
    assert history.features == ("t", "h")
    assert history.values.tolist() == [[20, 0.4], [21, 0.5]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
@pytest.mark.parametrize("packed", [False, True])
def test_any_encoding_also_compressed(file, encoding, packed):
    data = table("Zeit;Wärme", rows(5, lambda k: k), ";").encode(encoding)
    path = file(gzip.compress(data), "pump.csv.gz") if packed else file(data)
    history = only(path)
    assert (history.sensor, history.features, history.values.ravel().tolist()) == ("pump", ("Wärme",), [0, 1, 2, 3, 4])


def test_labels_become_stretches_in_order_of_time(file):
    labels = ["", "spike", "spike", "0", "1", "false"]
    path = file(table("timestamp,value,label", reversed(rows(6, lambda k: k, lambda k: labels[k], step=1))))
    assert only(path).windows == [(START + 60_000, START + 120_000), (START + 240_000, START + 240_000)]


def test_a_column_of_sensors_makes_a_history_each(file):
    path = file("iotTime,iotName,iotValue,other\n60,b,1,9\n120,a,2,9\n180,b,3,9\n")
    b, a = read(path).histories
    assert (b.sensor, b.values.tolist(), a.sensor, a.times.tolist()) == ("b", [[1], [3]], "a", [120_000])


def test_rows_are_sorted_and_those_of_one_time_keep_their_order(file):
    history = only(file("time,v\n2026-01-06,3\n2026-01-05,1\n2026-01-06,4\n2026-01-05,2\n"))
    assert history.values.ravel().tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("header", "cells", "features"),
    [
        ("n,timestamp,value", None, ("value",)),  # numbers the rows, and stands first
        ("timestamp,row,value", [lambda k: 7 - k, lambda k: k * k], ("value",)),
        ("timestamp,device_id,value", [1048, lambda k: k * k], ("value",)),
        ("timestamp,constant,value", [3, lambda k: k * k], ("value",)),
        ("timestamp,,value", [lambda k: k, lambda k: k * k], ("value",)),
        ("timestamp,Unnamed: 0,value", [lambda k: k, lambda k: k * k], ("value",)),
        ("timestamp,counter,value", [lambda k: k, lambda k: k * k], ("counter", "value")),
        ("timestamp,value", [5], ("value",)),  # a sensor may be stuck
        ("timestamp,1048,1049", [lambda k: k * 3.5, lambda k: k * k], ("1048", "1049")),
    ],
)  # fmt: skip
def test_row_numbers_ids_and_constants_are_no_values(file, header, cells, features):
    lines = rows(8, *cells) if cells else [[str(k), *row] for k, row in enumerate(rows(8, lambda k: k * k))]
    assert only(file(table(header, lines))).features == features


@pytest.mark.parametrize("header", ["b,a", "x,created", "temp,Logged (UTC)"])
def test_the_time_is_found_by_what_cells_hold(file, header):
    history = only(file(table(header, [row[::-1] for row in rows(6, lambda k: 2.5 * k)])))
    assert (history.features, history.times[0]) == ((header.split(",")[0],), START)


@pytest.mark.parametrize(
    ("times", "first"),
    [
        (["05.01.2026 00:00", "05.01.2026 00:05"], START),
        (["05/01/2026 00:00", "13/01/2026 00:05"], START),
        (["1/5/2026 12:00 AM", "1/13/2026 12:05 AM"], START),
        (["2026/01/05 00:00:00", "2026/01/05 00:05:00.5"], START),
        (["05-Jan-2026 00:00:00", "05-Jan-2026 00:05:00"], START),
        (["Jan 5, 2026", "Jan 6, 2026"], START),
    ],
)
def test_local_forms_of_which_the_column_tells_which_it_is(file, times, first):
    history = only(file("Date;v\n" + "".join(f"{time};{k}\n" for k, time in enumerate(times))))
    assert history.times[0] == first
    assert history.times[1] > first


def test_day_or_month_first_is_asked_if_nothing_tells(file):
    path = file("Date,v\n01/02/2026 00:00,1\n02/02/2026 00:00,2\n")
    with pytest.raises(
        HistoryError, match=r"does the day come first, or the month\? Say --time-format '%d/%m/%Y %H:%M'"
    ):
        read(path)
    history = only(path, Columns(formats=("%d/%m/%Y %H:%M",)))
    assert np.diff(history.times).tolist() == [86_400_000]


def test_a_day_and_a_time_in_two_columns(file):
    history = only(file("Date,Time,v\n2026-01-05,00:00,1\n2026-01-05,00:05:30,2\n"))
    assert history.times.tolist() == [START, START + 330_000]
    assert history.stamps[0] == "2026-01-05 00:00"


def test_comments_titles_a_named_separator_and_units_are_left_out_and_said(file):
    text = "Logger 7\n# made by hand\nTime;t;h\n;°C;%\n2026-01-05 00:00:00;1;2\n# stop\n2026-01-05 00:05:00;2;4\n;;\n"
    table = read(file("sep=;\n" + text))
    (history,) = table.histories
    assert history.values.tolist() == [[1, 2], [2, 4]]
    assert "left out above the header: line 2" in table.taken
    assert "left out below the header: line 5" in table.taken


def test_without_a_header_columns_are_numbered_and_no_row_is_lost(file):
    table = read(file("2026-01-05 00:00:00,5\n2026-01-05 00:05:00,6\n"))
    (history,) = table.histories
    assert (history.features, history.values.ravel().tolist()) == (("column_2",), [5, 6])
    assert "no header: columns are called column_1 to column_2" in table.taken
    assert only(file("# time value\n1767571200 5\n".replace(" ", ","))).features == ("column_2",)
    assert only(file("# time,value\n1767571200,5\n")).features == ("value",)


def test_a_header_may_lack_the_name_of_row_numbers(file):
    history = only(
        file(table("timestamp,value", [[str(k), *row] for k, row in enumerate(rows(5, lambda k: k * k), 1)]))
    )
    assert (history.features, history.values.ravel().tolist()) == (("value",), [0, 1, 4, 9, 16])


def test_what_export_writes_is_read_back(file):
    header = "@timestamp,sensor,anomaly_score,is_anomaly,silent_since,feature_data_t,expected_values_t,schema_version"
    text = f"{header}\n2026-01-05T00:05:00Z,b,0.5,False,,2,9,4\n2026-01-05T00:05:00Z,a,,,2026-01-04T00:00:00Z,,,4\n"
    found = read(file(text + "2026-01-05T00:00:00Z,b,0.5,True,,1,9,4\n"))
    (history,) = found.histories
    assert (history.sensor, history.features, history.values.ravel().tolist()) == ("b", ("t",), [1, 2])
    assert "left out 1 rows of silent sensors" in found.taken


def test_what_was_taken_is_said_once_for_all_files_of_a_kind(file):
    text = table("timestamp,place,id,v", rows(6, lambda k: "ab"[k % 2], lambda k: k, lambda k: k * k))
    tables = [(name, read(file(text, name))) for name in ("a.csv", "b.csv")]
    assert say_once(tables) == [
        "a.csv and 1 more: time: timestamp; sensor: the file's name; values: v; ignored: place (text that repeats; "
        "if it names the sensors: --sensor-field place), id (counts the rows)"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "pump.csv, line 1: needs a header such as timestamp,value"),
        ("timestamp,value\n", "pump.csv: has no rows"),
        ("timestamp,value\n1,2\n2,2\n3\n", "pump.csv, line 4: expected 2 columns, found 1"),
        ("timestamp,value\n2026-01-05,2\n2026-01-06,1,5\n2026-01-07,1\n", "expected 2 columns, found 3; a decimal"),
        ("timestamp,value\n2026-01-05,2\n3,x\n", "pump.csv, line 3: column 'value': 'x' is not a number"),
        ("timestamp,name\n1,x\n", r"pump.csv: no column of numbers among 'name' \(such as 'x'\); name it with"),
        ("timestamp,value\nnoon,2\n", "pump.csv, line 2: column 'timestamp': 'noon' is not a time"),
        ("timestamp,value\n1e26,2\n", "pump.csv, line 2: column 'timestamp': "),
        ("timestamp,value\ninf,2\n", "pump.csv, line 2: column 'timestamp': 'inf' is not"),
        ("timestamp,value\n46027.5,2\n46028.5,3\n", "46027.5 may be days since 1900"),
        ("a,b\nx,1\ny,2\n", "pump.csv: no column of times among 'a', 'b'"),
        ("time,sensor,v\n2026-01-05,a,1\n2026-01-06,a,1\n2026-01-07,,1\n", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(file, text, message):
    if not message:
        text, message = text + "2026-01-08,b,1\n" * 3, "line 4: column 'sensor' names no sensor"
        with pytest.raises(HistoryError, match=message):
            read(file(text), Columns(sensor="sensor", given=frozenset(["sensor"])))
        return
    with pytest.raises(HistoryError, match=message):
        read(file(text))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(sensor="devise", given=frozenset(["sensor"])), "--sensor-field devise: no such column; did you mean"),
        (Columns(time="tme", given=frozenset(["time"])), "--time-field tme: no such column; did you mean time"),
        (Columns(values={"tmp": "tmp"}, given=frozenset(["value"])), "for the value tmp; did you mean temp"),
    ],
)
def test_names_that_the_user_gave_must_be_there(file, columns, message):
    path = file(table("time,device,temp", rows(4, "a", lambda k: k)))
    with pytest.raises(HistoryError, match=message):
        read(path, columns)


def test_folders_are_searched_and_nothing_is_an_error(file, tmp_path):
    (tmp_path / "deep").mkdir()
    file("", "deep/b.csv.gz")
    file("", "a.csv")
    assert [name for _, name in find([tmp_path])] == ["a.csv", "deep/b.csv"]
    with pytest.raises(HistoryError, match="absent: no such file or folder"):
        find([tmp_path / "absent"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(HistoryError, match=r"no files that end in \.csv"):
        find([tmp_path / "empty"])
