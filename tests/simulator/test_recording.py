import json
from operator import length_hint

import pytest

from simulator.recording import Recording, RecordingError


@pytest.fixture
def write(tmp_path):
    """Writes a file and returns its path."""

    def _write(text, name="boiler.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return _write


def bodies(recording):
    return [json.loads(reading.data) for reading in recording]


def test_one_value_column_is_iot_value(write):
    recording = Recording(write("timestamp,value\n2014-04-01 00:00:00,20.0\n2014-04-01 00:05:00,-1e3\n"))
    assert bodies(recording) == [
        {"iotName": "boiler", "iotTime": "2014-04-01T00:00:00Z", "iotValue": 20.0},
        {"iotName": "boiler", "iotTime": "2014-04-01T00:05:00Z", "iotValue": -1000.0},
    ]
    assert [reading.offset for reading in recording] == [0.0, 300.0]
    assert all(reading.sensor == "boiler" and not reading.outlier for reading in recording)
    assert length_hint(recording) == 2


def test_several_value_columns_keep_their_names(write):
    recording = Recording(write("temp,note,time,humidity\n20.5,ok,2014-04-01T02:00:00.25+02:00,40\n"))
    assert recording.time_column == "time"
    assert recording.value_columns == ["temp", "humidity"]
    assert bodies(recording) == [
        {"iotName": "boiler", "iotTime": "2014-04-01T00:00:00.250Z", "temp": 20.5, "humidity": 40.0}
    ]


def test_columns_can_be_chosen(write):
    path = write("id,begin,end,value\n7,2014-04-01,2014-04-02,1\n")
    recording = Recording(path, time_column="end", value_columns=["value"])
    assert bodies(recording) == [{"iotName": "boiler", "iotTime": "2014-04-02T00:00:00Z", "iotValue": 1.0}]


def test_a_time_column_is_found_by_what_it_holds(write):
    assert Recording(write("value,begin\n1,2014-04-01\n")).time_column == "begin"


@pytest.mark.parametrize("time", ["1396310400", "1396310400000", "1396310400.0", "2014-04-01T00:00:00Z", "2014-04-01"])
def test_ways_to_write_a_time(write, time):
    assert bodies(Recording(write(f"ts,v\n{time},1\n")))[0]["iotTime"] == "2014-04-01T00:00:00Z"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_line_ends_blank_lines_and_a_byte_order_mark(write, separator):
    text = "\ufeffTime,Value\r\n2014-04-01,1\r\n\r\n2014-04-02,2\r\n".replace(",", separator)
    assert [body["iotValue"] for body in bodies(Recording(write(text)))] == [1.0, 2.0]


def test_times_may_go_back(write):
    """As they do in real recordings when clocks are set back; the order of the rows counts."""
    recording = Recording(write("time,v\n2014-04-02,1\n2014-04-01,2\n"))
    assert [reading.offset for reading in recording] == [0.0, -86400.0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: expected a header"),
        ("timestamp,value\n", "has a header, but no rows"),
        ("a,b\n1,2\n", "line 1: no column of times among a, b"),
        ("time,note\n2014-04-01,hot\n", "line 2: no column but 'time' holds a number"),
    ],
)
def test_a_file_that_is_no_recording(write, text, complaint):
    path = write(text)
    with pytest.raises(RecordingError) as error:
        Recording(path)
    assert str(error.value).startswith(f"{path}: {complaint}")


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("2014-04-02", "line 3: expected 2 columns, found 1"),
        ("2014-04-02,1,2", "line 3: expected 2 columns, found 3"),
        ("yesterday,1", "line 3: column 'time': 'yesterday' is not a time"),
        ("1e300,1", "line 3: column 'time': '1e300' is not a time"),
        ("2014-04-02,", "line 3: column 'v': '' is not a number"),
        ("2014-04-02,NaN", "line 3: column 'v': 'NaN' is not a number"),
        ("2014-04-02,hot", "line 3: column 'v': 'hot' is not a number"),
    ],
)
def test_a_row_that_is_no_reading(write, row, complaint):
    path = write(f"time,v\n2014-04-01,1\n{row}\n")
    readings = iter(Recording(path))
    next(readings)
    with pytest.raises(RecordingError) as error:
        next(readings)
    assert str(error.value) == f"{path}: {complaint}"


def test_a_file_that_cannot_be_read(write, tmp_path):
    with pytest.raises(RecordingError, match=r"gone\.csv: No such file"):
        Recording(tmp_path / "gone.csv")
    with pytest.raises(RecordingError, match=r"boiler\.csv: line 1: not CSV in UTF-8"):
        Recording(write("Zeit,Wärme\n", encoding="latin-1"))


def test_a_chosen_column_that_is_not_there(write):
    with pytest.raises(RecordingError, match=r"line 1: no column 'temp'; there are time, v"):
        Recording(write("time,v\n2014-04-01,1\n"), value_columns=["temp"])
