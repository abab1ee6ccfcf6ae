"""What the service would say of a recording, and how good that is."""

import csv
import io
import json

import numpy as np
import pytest
from rich.console import Console

from detector.detector import Configuration
from detector.fleet import Fleet
from detector.rules import Rules
from detector.types import Readings
from service.offline.evaluate import evaluate
from service.offline.tables import Columns, HistoryError, read

CONFIGURATION = Configuration(profile="small")
SPIKES = {400: 95.0, 700: 5.0}
START = 1_767_571_200  # 2026-01-05


def values(n: int = 1000) -> np.ndarray:
    readings = np.random.default_rng(3).uniform(47, 53, n)
    for row, value in SPIKES.items():
        readings[row] = value
    return readings


def recording(path, labels: bool = False, n: int = 1000):
    """A reading a minute with two spikes, of which the first is labelled."""
    rows = [
        f"{START + 60 * k},{value:.6g}{',' + ('spike' if k == 400 else '') if labels else ''}"
        for k, value in enumerate(values(n))
    ]
    path.write_text("\n".join(["timestamp,value" + ",label" * labels, *rows]) + "\n")
    return path


def run(paths, width=200, **options):
    shown = io.StringIO()
    console = Console(file=shown, width=width)
    done = evaluate(paths, configuration=CONFIGURATION, console=console, workers=1, **options)
    return done.results, shown.getvalue()


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_scores_are_those_of_the_service(tmp_path):
    path = recording(tmp_path / "pump.csv")
    run([path], output=tmp_path / "out")
    rows = table(tmp_path / "out" / "pump.csv")
    (history,) = read(path).histories
    n = len(history.times)
    scores = Fleet(CONFIGURATION).process(Readings(("pump",), np.zeros(n, np.int64), history.times, history.values))
    assert [row["timestamp"] for row in rows] == history.stamps
    assert [float(row["anomaly_score"]) for row in rows] == scores.score.tolist()
    assert [float(row["alert_score"]) for row in rows] == scores.alert_score.tolist()
    assert [int(row["is_anomaly"]) for row in rows] == scores.is_anomaly.astype(int).tolist()
    assert list(rows[0])[:8] == [
        "timestamp",
        "value",
        "anomaly_score",
        "grade",
        "is_anomaly",
        "in_anomaly",
        "alert",
        "alert_score",
    ]
    assert rows[400]["is_anomaly"] == rows[400]["alert"] == "1"
    assert float(rows[400]["grade"]) > 0.5


def test_nab_files_hold_the_alert_score(tmp_path):
    path = recording(tmp_path / "pump.csv")
    run([path], output=tmp_path / "out", nab_files=True)
    rows = table(tmp_path / "out" / "pump.csv")
    assert list(rows[0]) == ["timestamp", "anomaly_score"]
    assert int(np.argmax([float(row["anomaly_score"]) for row in rows])) in SPIKES


@pytest.mark.parametrize("where", ["column", "file"])
def test_labels_make_precision_recall_delay_and_false_alarms(tmp_path, where):
    path = recording(tmp_path / "pump.csv", labels=where == "column")
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"pump.csv": [["2026-01-05 06:40:00", "2026-01-05 06:40:00"]]}))
    ((result,), shown) = run([path], labels=labels if where == "file" else None)
    assert (result.windows, result.seen, result.alerted, result.delays) == (1, 1, 1, (0.0,))
    assert result.alerts == result.false_alarms + 1
    assert result.false_alarms >= 1  # the second spike has no label
    assert f"{1 / result.alerts:.2f}" in shown
    assert "1/1" in shown
    assert "NAB: standard" in shown


def test_without_labels_there_are_only_counts(tmp_path):
    ((result,), shown) = run([recording(tmp_path / "pump.csv")])
    assert result.windows is None
    assert result.alerts >= 2
    assert "NAB" not in shown
    assert "anomalies" in shown
    assert "precision" not in shown


def test_files_are_reported_in_order_and_summed_up(tmp_path):
    for name in ("c", "a", "b"):
        recording(tmp_path / f"{name}.csv", labels=True)
    results, shown = run([tmp_path], output=tmp_path / "out")
    assert [result.name for result in results] == ["a.csv", "b.csv", "c.csv"]
    assert "3/3" in shown
    report = (tmp_path / "out" / "report.html").read_text()
    assert report.count("<section") == report.count('class="value"') - 1 == 3  # one more in the legend


def test_sensors_of_a_file_share_a_fleet_so_that_one_may_fall_silent(tmp_path):
    path = tmp_path / "hall.csv"
    rows = [f"{START + 60 * k},{name},{k % 7}" for k in range(600) for name in "ab" if name == "a" or k < 300]
    path.write_text("\n".join(["time,iotName,iotValue", *rows]) + "\n")
    (a, b), _ = run([path], output=tmp_path / "out")
    assert (a.name, b.name) == ("hall.csv a", "hall.csv b")
    assert (a.readings, b.readings, b.alerts - a.alerts) == (600, 300, 1)
    assert "since 2026-01-05 04:59:00" in (tmp_path / "out" / "report.html").read_text()
    assert [row["sensor"] for row in table(tmp_path / "out" / "hall.csv")] == ["a"] * 600 + ["b"] * 300


def test_rules_hold_as_in_the_service(tmp_path):
    path = recording(tmp_path / "pump.csv")
    configuration = Configuration(profile="small", rules=Rules(never_between=(0, 100)))
    (result,) = evaluate([path], configuration=configuration, console=Console(file=io.StringIO()), workers=1).results
    assert result.anomalies == 0


def test_missing_values_and_few_readings_are_survived(tmp_path):
    path = tmp_path / "few.csv"
    path.write_text("timestamp,a,b\n0,1,2\n60,,3\n120,4,\n")
    ((result,), _) = run([path], output=tmp_path / "out")
    assert (result.readings, result.alerts) == (3, 0)
    assert table(tmp_path / "out" / "few.csv")[1]["a"] == ""


def test_names_longer_than_the_terminal_keep_their_ends(tmp_path):
    recording(tmp_path / f"{'x' * 90}-pump.csv")
    _, shown = run([tmp_path], width=80)
    assert "-pump.csv " in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("text", ["{", "[1]", '{"pump.csv": [["noon", "x"]]}', '{"pump.csv": 5}'])
def test_labels_that_cannot_be_read_say_what_is_wanted(tmp_path, text):
    path, labels = recording(tmp_path / "pump.csv"), tmp_path / "labels.json"
    labels.write_text(text)
    with pytest.raises(HistoryError, match=r"labels\.json: must be JSON such as"):
        run([path], labels=labels)


def test_columns_may_be_named(tmp_path):
    path = tmp_path / "pump.csv"
    path.write_text("at,other,x\n" + "".join(f"{START + 60 * k},5,{v}\n" for k, v in enumerate(values())))
    ((result,), _) = run([path], columns=Columns(time="at", values={"x": "x"}))
    assert result.alerts >= 2


def test_a_file_that_cannot_be_read_does_not_stop_the_others(tmp_path):
    recording(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("time,value\n2026-01-05,1\n2026-01-06,x\n")
    console = Console(file=io.StringIO())
    done = evaluate([tmp_path], configuration=CONFIGURATION, console=console, workers=1, output=tmp_path / "out")
    assert [result.name for result in done.results] == ["a.csv"]
    assert done.refused == [f"{tmp_path / 'b.csv'}, line 3: column 'value': 'x' is not a number"]
    assert done.taken == ["a.csv: time: timestamp; sensor: the file's name; values: value"]
    assert (tmp_path / "out" / "report.html").exists()
    with pytest.raises(HistoryError, match="'x' is not a number"):
        evaluate([tmp_path / "b.csv"], configuration=CONFIGURATION, console=console, workers=1)


def test_labels_may_be_of_a_sensor_as_export_writes_them(tmp_path):
    lines = [f"{sensor},{1_700_000_000_000 + 1000 * n},{n % 5}" for n in range(100) for sensor in ("boiler", "pump")]
    (tmp_path / "plant.csv").write_text("\n".join(["sensor,time,value", *lines]))
    labels = {"boiler": [["2023-11-14T22:13:30Z", "2023-11-14T22:13:40Z"]], "fan": []}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    done = evaluate([tmp_path / "plant.csv"], labels=tmp_path / "labels.json", workers=1)
    assert {result.name.split()[-1]: result.windows for result in done.results} == {"boiler": 1, "pump": None}
