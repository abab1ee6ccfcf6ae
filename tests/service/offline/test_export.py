"""The index and the dead letter as files, by the command line."""

import csv
import io
import json

from service.cli import main
from service.offline.export import table
from service.sinks.dead_letters.sqlite import SQLiteDeadLetters
from service.sinks.index.sqlite import SQLiteIndex
from service.stores import opened
from tests.service.stores import entry, letter

HOSTILE = '=1+1,"\n<script>'
VALUES = ("--value-fields", "temperature,humidity")


def fill(folder, count):
    import asyncio

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
