"""The index and the dead letter as files, by the command line."""

import asyncio
import csv
import io
import json

from service.assembly import make_core
from service.cli import main
from service.offline.export import table
from service.pipeline.records import Position, Record
from service.settings.model import load
from service.sinks.dead_letters.sqlite import SQLiteDeadLetters
from service.sinks.index.event_fields import EventLayout
from service.sinks.index.sqlite import SQLiteIndex
from service.stores import opened
from tests.service.stores import NOON, entry, letter

HOSTILE = '=1+1,"\n<script>'
VALUES = ("--value-fields", "temperature,humidity")


def fill(folder, count):
    async def work():
        index, letters = SQLiteIndex(folder / "cutwater.db"), SQLiteDeadLetters(folder / "cutwater.db")
        async with opened(index), opened(letters):
            await index.write([entry(number, sensor=HOSTILE if number == 7 else "s") for number in range(count)])
            await letters.put([letter(number) for number in range(5)])

    asyncio.run(work())


def run(folder, *arguments):
    assert main(["export", "--data-dir", str(folder), *VALUES, *arguments]) == 0


def test_everything_comes_newest_first_once(tmp_path, capsysbinary):
    fill(tmp_path, 2500)
    run(tmp_path)
    found = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [each["event.id"] for each in found] == [entry(number).id for number in range(2500)][::-1]


def test_csv_is_one_table_and_names_are_only_text(tmp_path):
    fill(tmp_path, 1500)
    run(tmp_path, "--format", "csv", "--output", str(tmp_path / "all.csv"))
    text = (tmp_path / "all.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == 1500
    assert rows[-8]["sensor"] == HOSTILE
    assert float(rows[0]["feature_data_temperature"]) == 20.5
    assert rows[0]["expected_values_temperature"] == ""


def test_a_record_is_json_in_a_cell(tmp_path):
    record = {"plant": {"name": HOSTILE}, "list": [1, None]}
    text = table([{"sensor": "a", "record": record}, {"sensor": "b"}], ["sensor", "record"]).decode()
    first, second = csv.DictReader(io.StringIO(text, newline=""))
    assert (json.loads(first["record"]), second["record"]) == (record, "")


def test_filters_are_those_of_the_api(tmp_path, capsysbinary):
    fill(tmp_path, 100)
    run(tmp_path, "--anomalies", "--min-score", "5", "--since", "2023-11-15T12:00Z", "--until", "2023-11-15T13:00Z")
    found = [json.loads(line)["event.id"] for line in capsysbinary.readouterr().out.splitlines()]
    assert found == [entry(number).id for number in (58, 57, 56, 54, 53, 52, 50)]


def test_dead_letters_keep_the_form_of_firehose(tmp_path, capsysbinary):
    fill(tmp_path, 1)
    run(tmp_path, "--dead-letters")
    found = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [each["errorMessage"] for each in found] == [f"reason {number}" for number in range(5)]
    assert found[0]["rawData"] == "/wBub3QgSlNPTg=="


def test_a_place_that_cannot_be_written_is_named(tmp_path, capsys):
    fill(tmp_path, 1)
    code = main(["export", "--data-dir", str(tmp_path), "--output", str(tmp_path / "no" / "file")])
    assert code == 1
    assert "file: No such file or directory" in capsys.readouterr().err


def fill_with_clicks(folder, monkeypatch, count=1200):
    """Clicks of a minute and their windows, as the core makes them; the folder's settings are those of the recipe."""
    assert main(["init", "clickstream", str(folder)]) == 0
    monkeypatch.chdir(folder)
    settings = load({}, {})
    records = [
        Record(
            Position(n), "key", NOON, json.dumps({"article_id": n % 3, "action": "click", "timestamp": when}).encode()
        )
        for n, when in enumerate([*["2023-11-15T11:59:00Z"] * count, "2023-11-15T12:02:00Z"])
    ]
    output = make_core(settings, "shard").process(records)
    assert not output.dead_letters

    async def work():
        async with opened(SQLiteIndex(folder / "data" / "cutwater.db", events=EventLayout.of(settings))) as index:
            await index.write(list(output.documents))

    (folder / "data").mkdir()
    asyncio.run(work())


def exported(capsysbinary, *arguments):
    assert main(["export", *arguments]) == 0
    return [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]


def test_events_and_windows_are_exported_as_scores_are(tmp_path, capsysbinary, monkeypatch):
    fill_with_clicks(tmp_path, monkeypatch)
    capsysbinary.readouterr()
    events = exported(capsysbinary, "--events", "--field", "article_id:2")
    assert len({each["event.id"] for each in events}) == len(events) == 400
    assert exported(capsysbinary, "--events", "--until", "2023-11-15T12:00Z", "--field", "article_id:0")
    windows = exported(capsysbinary, "--windows", "--field", "window.program:articles")
    assert {each["window.key"]: each["measures.clicks"] for each in windows if each["window.events"]} == {
        "0": 400, "1": 400, "2": 400,
    }  # fmt: skip
    table_ = tmp_path / "windows.csv"
    assert exported(capsysbinary, "--windows", "--format", "csv", "--output", str(table_)) == []
    rows = list(csv.DictReader(table_.open(newline="")))
    assert sum(int(row["measures.clicks"]) for row in rows if row["window.program"] == "per-minute") == 1200
    assert {"article_id", "user.gender"} < rows[0].keys()


def test_flags_that_do_not_go_together_are_named(tmp_path, capsys, monkeypatch):
    fill_with_clicks(tmp_path, monkeypatch, 1)
    for arguments, message in (
        (["--events", "--windows"], "one of --events"),
        (["--field", "a:b"], "needs --events or --windows"),
        (["--events", "--sensor", "x"], "use --field"),
        (["--events", "--field", "a"], "not NAME:VALUE"),
        (["--windows", "--field", "window.programs:x"], "did you mean window.program?"),
    ):
        assert main(["export", *arguments]) == 1
        assert message in capsys.readouterr().err
    monkeypatch.chdir(tmp_path / "data")
    assert main(["export", "--events", "--data-dir", "."]) == 1
    assert "event_format is not set" in capsys.readouterr().err
