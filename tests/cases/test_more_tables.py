"""Further tables as spreadsheets, loggers and exports write them, each with what its owner would expect."""

import numpy as np
import pytest

from service.offline.tables import HistoryError, read
from tests.cases.test_tables import START, stamp, value

N = 30
VALUES = [[float(value(k))] for k in range(N)]


@pytest.fixture
def table(tmp_path):
    def read_text(header, cell=lambda k: f"{stamp(k)},{value(k)}", end="\n", after=""):
        text = end.join([header, *map(cell, range(N))]) + end + after
        path = tmp_path / "pump.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read(path)

    return read_text


def is_usual(found) -> bool:
    (history,) = found.histories
    return history.times.tolist() == [START + 300_000 * k for k in range(N)] and history.values.tolist() == VALUES


@pytest.mark.parametrize(
    ("header", "cell"),
    [
        ("time,note,value", lambda k: f'{stamp(k)},"line one\nline, two {k}",{value(k)}'),
        ('time,"temp\n(C)"', lambda k: f"{stamp(k)},{value(k)}"),
        ("time,note,value", lambda k: f'{stamp(k)},"say ""hi"", {k}",{value(k)}'),
        ("time,note,value", lambda k: f'{stamp(k)},5" pipe,{value(k)}'),
        ("time,value", lambda k: f'="{stamp(k)}","=""{value(k)}"""'),  # a spreadsheet shall take them as text
        ("sep=;\ntime;value", lambda k: f"{stamp(k)};{value(k)}"),
        ("time;value", lambda k: f"{stamp(k)};{value(k).replace('.', ',')}"),
        ("day;clock;value", lambda k: f"{stamp(k)[8:10]}.01.2026;{stamp(k)[11:]};{value(k)}"),
        ("clock,day,value", lambda k: f"{stamp(k)[11:]},{stamp(k)[:10]},{value(k)}"),
        ("0,1", lambda k: f"{stamp(k)},{value(k)}"),  # as pandas calls columns without names
        ("time,value,", lambda k: f"{stamp(k)},{value(k)},"),
        ("time,value", lambda k: f"{stamp(k)},{value(k)},"),
        ("time,value,empty", lambda k: f"{stamp(k)},{value(k)},"),
        ("time,time,value", lambda k: f"{stamp(k)},{stamp(k)},{value(k)}"),
        ("time,value\n,°C", lambda k: f"{stamp(k)},{value(k)}"),
        ("[time],[value]\n[s],[C]", lambda k: f"{stamp(k)},{value(k)}"),
        ("Made by a logger\nSite 7, hall 3\n\ntime,value", lambda k: f"{stamp(k)},{value(k)}"),
        ("#group,false,false,true\n,result,table,_time,_value", lambda k: f",,0,{stamp(k)}Z,{value(k)}"),
        ("<DATE>,<TIME>,<VALUE>", lambda k: f"{stamp(k)[:10].replace('-', '.')},{stamp(k)[11:]},{value(k)}"),
        ('"Time","temp {host=""a""}"', lambda k: f"{START + 300_000 * k},{value(k)}"),
        ("time,value", lambda k: f"{stamp(k)},{value(k)}\n" + "time,value" * (k == 9)),  # files joined
        ("time,value", lambda k: f"{stamp(k)},{value(k)}\n"),
    ],
)  # fmt: skip
def test_the_usual_readings_in_another_dress(table, header, cell):
    assert is_usual(table(header, cell))


@pytest.mark.parametrize("end", ["\r", "\r\n", "\r\r\n"])
def test_ends_of_lines(table, end):
    assert is_usual(table("time,value", end=end))


def test_zeros_at_the_end_are_of_a_logger_that_lost_its_power(table):
    assert is_usual(table("time,value", after="\0" * 512))


@pytest.mark.parametrize("word", ["########", "#DIV/0!", "#", "inf", "1e999", "#N/A", "unavailable"])
def test_a_spreadsheets_words_for_no_number(table, word):
    (history,) = table("time,value", lambda k: f"{stamp(k)},{word if k == 3 else value(k)}").histories
    assert np.flatnonzero(np.isnan(history.values[:, 0])).tolist() == [3]


def test_two_values_of_one_name(table):
    (history,) = table("time,temp,temp", lambda k: f"{stamp(k)},{value(k)},-{value(k)}").histories
    assert history.features == ("temp", "temp_2")
    assert (history.values[:, 0] == -history.values[:, 1]).all()


@pytest.mark.parametrize("columns", ["sensor,quantity,unit", "device_id,metric,unit", "host,measurement,unit"])
def test_a_long_table_with_quantities_and_units_is_a_sensor_for_each(table, columns):
    """One column of numbers is temperatures and pressures in turn."""

    def cell(k):
        quantity, unit, number = (("temp", "C", 20 + k), ("pressure", "bar", 5000 + k))[k % 2]
        return f"{stamp(k // 4)},s{k % 4 // 2},{quantity},{unit},{number}"

    found = table(f"time,{columns},value", cell)
    assert {history.sensor for history in found.histories} == {"s0/temp", "s0/pressure", "s1/temp", "s1/pressure"}
    for history in found.histories:
        assert (history.values > 1000).all() == ("pressure" in history.sensor)
    assert "sensor: " + columns.rpartition(",")[0].replace(",", ", ") in found.taken


@pytest.mark.parametrize(
    ("header", "cell", "said"),
    [
        ("time,value", lambda k: f"{stamp(k)},{20 + k},{k % 10}", "a decimal comma needs quotes"),
        ("time,value", lambda k: f"{stamp(k)},{k}%", "(such as '0%')"),
        ("time,value", lambda k: f"{stamp(k)},{k} °C", "(such as '0 °C')"),
        ("time,value", lambda k: f"{46027 + k / 288},{value(k)}", "days since 1900"),
        ("when,value", lambda k: f"05/01/2026 00:{k:02d},{value(k)}", "does the day come first"),
        ("year,month,day,value", lambda k: f"2026,1,{k + 1},{value(k)}", "no column of times"),
        ("time,value", lambda k: f"2026-10-25 02:{k:02d}:00 CEST,{value(k)}", "is not a time"),
        ("time,value", lambda k: f"{stamp(k)},{value(k)}" + ",7" * (k == 5), "line 7: expected 2 columns, found 3"),
        ("time,a,b", lambda k: f"{stamp(k)},{value(k)}" + ",7" * (k != 5), "line 7: expected 3 columns, found 2"),
        ("time,value", lambda k: f"{stamp(k)},{value(k)}" if k != 5 else "Total,610", "line 7: column 'time'"),
        ('[{"time": 1,', lambda k: "}", "JSON"),
        ('{"time":"2026-01-05","v":1}', lambda k: '{"time":"2026-01-05","v":1}', "JSON"),
        ("<!DOCTYPE html>", lambda k: "<p>404</p>", "HTML"),
        ("PK\x03\x04", lambda k: "x", "a spreadsheet"),
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_or_not_at_all_is_an_error(table, header, cell, said):
    with pytest.raises(HistoryError) as error:
        table(header, cell)
    assert said in str(error.value)
