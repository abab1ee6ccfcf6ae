"""Sensors learnt from files or from the index are as if they had been there."""

import numpy as np
import pytest

from detector.detector import Configuration
from detector.fleet import DEFAULT_TEMPLATE, Fleet
from detector.types import Readings
from service.cli import main
from service.offline.backfill import from_files, from_index, learn, summary
from service.offline.tables import Columns, HistoryError
from service.sinks.index.sqlite import SQLiteIndex
from service.sinks.query import Filter
from service.stores import opened
from tests.service.stores import entry

CONFIGURATION = Configuration(profile="small")
VALUES = np.random.default_rng(3).uniform(47, 53, 500)


def nothing(_: int) -> None:
    """No progress to show."""


START = 1_767_571_200  # 2026-01-05


def history(path, start=0, values=VALUES):
    path.write_text(
        "timestamp,value\n" + "".join(f"{START + 60 * (start + k)},{v:.17g}\n" for k, v in enumerate(values))
    )
    return path


def test_files_make_the_models_that_the_stream_would_have_made(tmp_path):
    past = from_files([history(tmp_path / "pump.csv")], Columns(), nothing)
    (learnt,) = learn(past, CONFIGURATION, None, nothing, workers=1)
    fleet = Fleet(CONFIGURATION)
    fleet.process(Readings(("pump",), np.zeros(500, np.int64), 1000 * START + 60_000 * np.arange(500), VALUES[:, None]))
    assert (learnt.sensor, learnt.readings, learnt.ready) == ("pump", 500, True)
    assert learnt.model == fleet.template("pump")
    assert summary([learnt]).startswith("1 sensor learnt from 500 readings; 1 of them will be ready")


def test_files_of_one_sensor_are_put_together_in_order_of_time(tmp_path):
    table = "iotName,iotTime,iotValue\n"
    (tmp_path / "b.csv").write_text(table + "pump,60,1\npump,0,0\n")
    (tmp_path / "a.csv").write_text(table + "fan,0,9\npump,180,3\npump,120,2\n")
    fan, pump = sorted(from_files([tmp_path], Columns(), nothing), key=lambda past: past.sensor)
    assert (fan.sensor, pump.sensor) == ("fan", "pump")
    assert pump.times.tolist() == [0, 60_000, 120_000, 180_000]
    assert pump.values.tolist() == [[0], [1], [2], [3]]


def test_one_sensor_may_stand_for_all_others(tmp_path):
    past = from_files([history(tmp_path / "pump.csv", values=VALUES[:50])], Columns(), nothing)
    own, others = learn(past, CONFIGURATION, "pump", nothing, workers=1)
    assert (own.sensor, others.sensor, own.model == others.model) == ("pump", DEFAULT_TEMPLATE, True)
    assert "1 sensor learnt from 50 readings; 0 of them" in summary([own, others])
    with pytest.raises(HistoryError, match="'fan': no such sensor in the history; there are pump"):
        learn(past, CONFIGURATION, "fan", nothing, workers=1)


def test_values_are_found_by_their_names_whatever_the_order_of_the_columns(tmp_path):
    path = tmp_path / "hall.csv"
    path.write_text("timestamp,h,t\n2026-01-05 00:00:00,50,19.5\n2026-01-05 00:05:00,51,20.5\n")
    (past,) = from_files([path], Columns(values={"t": "data.temperature", "h": "data.humidity"}), nothing)
    assert past.values.tolist() == [[19.5, 50], [20.5, 51]]
    path.write_text("timestamp,data.humidity,data.temperature\n2026-01-05 00:00:00,50,19.5\n")
    (past,) = from_files([path], Columns(values={"t": "data.temperature", "h": "data.humidity"}), nothing)
    assert past.values.tolist() == [[19.5, 50]]


def test_files_of_other_values_than_the_streams_are_refused(tmp_path):
    path = tmp_path / "hall.csv"
    path.write_text("timestamp,humid,temp\n2026-01-05 00:00:00,50,19.5\n")
    message = r"no column for the values t, h.*; the values are t, h, the columns of numbers 'humid', 'temp'"
    with pytest.raises(HistoryError, match=message):
        from_files([path], Columns(values={"t": "t", "h": "h"}), nothing)


@pytest.fixture
async def index(tmp_path):
    async with opened(SQLiteIndex(tmp_path / "index.db")) as index:
        yield index


async def test_the_index_gives_back_what_was_measured(index):
    await index.write([entry(number, feature_data_temperature=float(number)) for number in range(70)])
    past = await from_index(index, Filter(), ("temperature", "humidity"), nothing)
    assert {one.sensor for one in past} == {f"sensor-{k}" for k in range(7)}
    first = next(one for one in past if one.sensor == "sensor-0")
    assert first.values[:, 0].tolist() == list(range(0, 70, 7))
    assert np.isnan(first.values[:, 1]).all()
    assert (np.diff(first.times) == 7 * 60_000).all()


async def test_an_index_of_anomalies_only_is_refused(index):
    await index.write([entry(number, is_anomaly=True) for number in range(10)])
    with pytest.raises(
        HistoryError, match="no ordinary readings; learn from files, or run the service with index = all"
    ):
        await from_index(index, Filter(), ("temperature",), nothing)


def test_the_command_learns_and_says_what_will_be(tmp_path, capsys):
    data = ("--data-dir", str(tmp_path / "data"), "--profile", "small")
    assert main(["backfill", str(history(tmp_path / "pump.csv")), "--others", "pump", *data]) == 0
    assert "1 sensor learnt from 500 readings; 1 of them will be ready" in capsys.readouterr().err
