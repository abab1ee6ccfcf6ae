"""Tables that used to be read as another thing than they are: each kind, through the commands that read tables."""

import argparse
import csv
import json
from datetime import UTC, datetime

import jmespath
import numpy as np
import pytest

from service.cli import main
from service.cli.readings import check_readings, define_readings, fields_of, paced, recorded
from service.offline.tables import HistoryError, read
from service.settings.model import Settings

START = 1_767_571_200_000  # 2026-01-05T00:00Z
N = 400
SPIKES = {300: 60.0, 350: 58.0}


def value(k: int) -> str:
    return f"{SPIKES.get(k, 20 + np.sin(k / 20) + 0.1 * (k * 7919 % 13)):.2f}"


def stamp(k: int, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    return str(np.datetime64(START // 1000 + 300 * k, "s")).replace("T", " " if "T" not in form else "T")


def lines(*cells, count: int = N) -> list[str]:
    return [",".join(str(cell(k)) for cell in cells) for k in range(count)]


@pytest.fixture
def file(tmp_path):
    def write(name: str, header: str, rows) -> str:
        path = tmp_path / name
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def evaluated(tmp_path, capsys):
    """Runs ``cutwater evaluate``; its exit code, the rows that it wrote, and what it said."""

    def run(path, *arguments, name=None):
        out = tmp_path / "out"
        code = main(["evaluate", str(path), "--output", str(out), "--workers", "1", "--profile", "small", *arguments])
        rows = list(csv.DictReader((out / (name or path.name)).open(newline=""))) if code == 0 else []
        return code, rows, capsys.readouterr().err

    return run


def scores(rows) -> list[tuple[str, str]]:
    return [(row["anomaly_score"], row["alert"]) for row in rows]


@pytest.fixture
def usual(file, evaluated):
    """What comes of the readings as a plain table."""
    return scores(evaluated(file("pump.csv", "timestamp,value", lines(stamp, value)))[1])


# 12: the order of the rows


@pytest.mark.parametrize("order", ["newest first", "shuffled"])
def test_12_the_order_of_the_rows_does_not_matter(file, evaluated, usual, order):
    rows = lines(stamp, value)
    rows = rows[::-1] if order == "newest first" else [rows[k] for k in np.random.default_rng(1).permutation(N)]
    _, found, said = evaluated(file("pump.csv", "timestamp,value", rows))
    assert scores(found) == usual
    assert "rows sorted by time" in said


# 13: numbers and dates


@pytest.mark.parametrize("form", ["%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y%m%dT%H%M%SZ", "%Y-%m-%dT%H:%M:%S+00:00"])
def test_13_compact_dates_are_dates(file, form):
    rows = lines(lambda k: datetime.fromtimestamp(START / 1000 + 300 * k, UTC).strftime(form), value, count=20)
    (history,) = read(file("compact.csv", "timestamp,value", rows)).histories
    assert history.times.tolist() == [START + 300_000 * k for k in range(20)]


@pytest.mark.parametrize(
    ("first", "step", "kind"),
    [(46027.0, 1 / 288, "days since 1900"), (3_850_416_000, 300, "since 1900 or 1904"), (740_000, 1, "days since")],
)
def test_13_other_scales_of_time_are_refused(file, evaluated, first, step, kind, capsys):
    path = file("serial.csv", "timestamp,value", lines(lambda k: f"{first + k * step:.6f}", value, count=20))
    code, _, said = evaluated(path)
    assert code == 1
    assert "serial.csv, line 2: column 'timestamp': " in said
    assert kind in said


# 15, 16: ids and row numbers


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("station_id,measured_at,value", (lambda k: 1048, stamp, value)),
        (",date_time,value", (lambda k: k, stamp, value)),
        (",timestamp,value", (lambda k: k, stamp, value)),
        ("Unnamed: 0,timestamp,value", (lambda k: k + 1, stamp, value)),
        ("id,value,created_at", (lambda k: N - k, value, stamp)),
        ("timestamp,value,sensorId,firmware", (stamp, value, lambda k: 7, lambda k: 3.1)),
    ],
)
def test_15_16_ids_and_row_numbers_are_neither_times_nor_values(file, evaluated, usual, header, cells):
    code, rows, said = evaluated(file("pump.csv", header, lines(*cells)))
    assert code == 0
    assert scores(rows) == usual
    assert "values: value" in said
    assert "ignored: " in said


def test_16_the_demo_plays_what_evaluate_reads(file, capsys):
    _, playback = played("--csv", str(file("pandas.csv", ",timestamp,value", lines(lambda k: k, stamp, value))))
    first = json.loads(next(iter(playback)).data)
    assert first == {"iotName": "pandas", "iotTime": "2026-01-05T00:00:00Z", "iotValue": float(value(0))}
    assert fields_of(playback)["value_fields"] == {"iotValue": "iotValue"}
    assert "ignored: column_1 (counts the rows)" in capsys.readouterr().err


def test_16_headers_with_any_characters_name_values(file):
    header = 'time,"Temp (C), room 1",Temp (C)  room 1,1048,größe'
    rows = lines(stamp, value, lambda k: k * k, lambda k: -k * k, lambda k: k * 1.5, count=9)
    _, playback = played("--csv", str(file("hall.csv", header, rows)))
    fields = fields_of(playback)
    settings = Settings(**fields)
    assert list(settings.value_fields) == ["Temp_C_room_1", "Temp_C_room_1_", "value_1048", "gr_e"]
    record = json.loads(next(iter(playback)).data)
    assert [jmespath.search(path, record) for path in settings.value_fields.values()] == [float(value(0)), 0, 0, 0]


# 18, 20: gaps


@pytest.mark.parametrize("word", ["", "NA", "N/A", "null", "NULL", "None", "-", "?", "No Data", "unavailable", "#N/A"])
def test_18_20_columns_may_begin_with_gaps_in_any_words(file, word):
    rows = lines(stamp, value, lambda k: word if k % 5 == 0 else k / 7, count=40)
    (history,) = read(file("gaps.csv", "timestamp,temp,pressure", rows)).histories
    assert history.features == ("temp", "pressure")
    assert np.isnan(history.values[::5, 1]).all()
    assert np.isfinite(history.values[1:5]).all()


def test_20_a_bad_cell_is_named_and_the_other_files_are_evaluated(file, evaluated, tmp_path, capsys):
    file("a.csv", "timestamp,value", lines(stamp, value))
    file("b.csv", "timestamp,value", [*lines(stamp, value, count=20), f"{stamp(21)},hot"])
    assert main(["evaluate", str(tmp_path), "--workers", "1", "--profile", "small"]) == 1
    shown = capsys.readouterr()
    assert "a.csv" in shown.out
    assert f"cutwater: {tmp_path / 'b.csv'}, line 22: column 'value': 'hot' is not a number" in shown.err


# 21: by name


def backfilled(path, tmp_path, fields) -> int:
    where = ["--data-dir", str(tmp_path / "data"), "--profile", "small", "--workers", "1"]
    return main(
        ["backfill", str(path), "--value-fields", fields, "--sensor-field", "name", "--time-field", "ts", *where]
    )


def test_21_backfill_finds_values_by_their_names(file, tmp_path, capsys):
    path = file("swap.csv", "timestamp,h,t", lines(stamp, lambda k: 50 + k % 7, value, count=40))
    assert backfilled(path, tmp_path, "t=data.temperature,h=data.humidity") == 0
    assert "values: t, h" in capsys.readouterr().err
    assert backfilled(path, tmp_path, "temp=data.temperature,hum=data.humidity") == 1
    said = capsys.readouterr().err
    assert "no column for the values temp, hum" in said
    assert "the values are temp, hum, the columns of numbers 'h', 't'" in said


# 23, 25: separators and decimal commas


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("title", ["Temp (C), room 1, floor 2", "Temp, inside", "a;b;c", "Druck"])
@pytest.mark.parametrize("comma", [True, False])
def test_23_25_separators_in_quotes_do_not_count_and_a_comma_may_be_decimal(file, separator, title, comma):
    def number(k):
        return value(k).replace(".", ",") if comma else value(k)

    rows = [separator.join(f'"{cell}"' for cell in (stamp(k), number(k))) for k in range(30)]
    (history,) = read(file("quoted.csv", f'"Date/Time"{separator}"{title}"', rows)).histories
    assert history.features == (title,)
    assert history.values.ravel().tolist() == [float(value(k)) for k in range(30)]


@pytest.mark.parametrize(
    ("separator", "cells", "numbers"),
    [
        (";", ["1.234,56", "0,5", "-12.345,00"], [1234.56, 0.5, -12345]),
        (";", ["1,234.56", "0.5", "-12,345.00"], [1234.56, 0.5, -12345]),
        (",", ['"1,234.56"', '"0.5"', '"-12,345"'], [1234.56, 0.5, -12345]),
        (",", ['"19,92"', '"20,5"', '"1"'], [19.92, 20.5, 1]),
        ("\t", ["1 234,5", "2", "3e2"], [1234.5, 2, 300]),
        (";", ["1'234.5", "2", "−3"], [1234.5, 2, -3]),
    ],
)
def test_25_thousands_are_grouped_in_either_way(file, separator, cells, numbers):
    rows = [f"{stamp(k)}{separator}{cell}" for k, cell in enumerate(cells)]
    (history,) = read(file("grouped.csv", f"Zeit{separator}Wert", rows)).histories
    assert history.values.ravel().tolist() == numbers


# 38: several devices in one file


@pytest.mark.parametrize("title", ["device", "sensor", "entity_id", "host", "id", "station_id"])
def test_38_devices_are_told_apart_and_it_is_said(file, title):
    rows = lines(stamp, lambda k: ("00:0f", "b8:27")[k % 2], lambda k: 20 + 30 * (k % 2), count=40)
    found = read(file("devices.csv", f"ts,{title},temp", rows))
    assert [history.sensor for history in found.histories] == ["00:0f", "b8:27"]
    assert all(len(set(history.values.ravel())) == 1 for history in found.histories)
    assert f"sensor: {title}" in found.taken


def test_38_a_text_that_repeats_is_named_and_may_be_the_sensor(file, evaluated):
    rows = lines(stamp, lambda k: ("hall", "yard")[k % 2], lambda k: 20 + 30 * (k % 2) + k / 9, count=40)
    path = file("places.csv", "ts,where it stands,temp", rows)
    _, _, said = evaluated(path)
    assert "where it stands (text that repeats; if it names the sensors: --sensor-field 'where it stands')" in said
    _, rows, _ = evaluated(path, "--sensor-field", "where it stands")
    assert {row["sensor"] for row in rows} == {"hall", "yard"}
    code, _, said = evaluated(path, "--sensor-field", "where it stood")
    assert (code, "did you mean where it stands?" in said) == (1, True)


def test_38_at_one_time_several_rows_a_text_tells_apart(file):
    rows = [f"{stamp(k)},{city},{k + n}" for k in range(20) for n, city in enumerate(("Rome", "Oslo"))]
    found = read(file("long.csv", "time,city,temp", rows))
    assert [history.sensor for history in found.histories] == ["Rome", "Oslo"]


# 40: options that a recording does not take


def played(*arguments):
    parser = argparse.ArgumentParser()
    define_readings(parser, "classic")
    options = parser.parse_args(arguments)
    check_readings(options, "classic")
    return options, recorded(options, Settings())


def test_40_count_is_of_a_recording_too(file):
    options, playback = played("--csv", str(file("b.csv", "timestamp,value", lines(stamp, value))), "--count", "30")
    readings, speed = paced(playback, options, 100.0)
    assert [reading.offset for reading in readings] == [k / 100 for k in range(30)]
    assert speed == 1.0


@pytest.mark.parametrize(
    "flags",
    [
        *(("--sensors", "3"), ("--outliers", "0.5"), ("--start-time", "2026-01-01"), ("--random-seed", "3")),
        ("--scenario", "classic"),
    ],
)
@pytest.mark.parametrize("command", ["demo", "simulate"])
def test_40_what_a_recording_says_itself_is_refused(file, capsys, command, flags):
    path = file("base.csv", "timestamp,value", lines(stamp, value, count=5))
    assert main([command, "--csv", str(path), *flags]) == 2
    assert f"cutwater: {flags[0]}: for simulated sensors only" in capsys.readouterr().err


def test_names_of_columns_that_are_not_there_are_errors(file):
    path = file("base.csv", "timestamp,value", lines(stamp, value, count=5))
    assert main(["evaluate", str(path), "--time-field", "timestmp"]) == 1
    with pytest.raises(HistoryError):
        read(file("none.csv", "a,b", ["x,1", "y,2"]))
