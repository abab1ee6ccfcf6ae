"""The command line explains itself and refuses what it cannot use in one line."""

import pytest

from service.cli import main

COMMANDS = ("run", "demo", "simulate", "stream", "evaluate", "backfill", "setup", "dashboards", "replay", "export")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"example:\n  cutwater {command}" in capsys.readouterr().out


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(command in shown for command in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simulate", "--start-time", "noon"], "argument --start-time: 'noon' is not a time"),
        (["simulate", "--outliers", "2"], "argument --outliers: 2 is not between 0 and 1"),
        (["simulate", "--count", "0"], "argument --count: 0 is not 1 or more"),
        (["demo", "--rate", "-1"], "argument --rate: -1 is not above 0"),
        (["simulate", "--faults", "crash"], "argument --faults: 'crash' is not a kind of fault; there are all, spike"),
        (["simulate", "--random-seed", "-1"], "argument --random-seed: -1 is below 0"),
    ],
)
def test_a_wrong_argument_is_named_with_its_value(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "--config", "absent.toml"], 2, "cutwater: absent.toml: no such file"),
        (["run", "--trees", "x"], 2, "cutwater: --trees = 'x'"),
        (["setup"], 2, "cutwater: opensearch_url is not set"),
        (["dashboards", "lint", "absent.ndjson"], 1, "cutwater: absent.ndjson: No such file"),
        (["demo", "--csv", "absent.csv"], 1, "cutwater: absent.csv: No such file or directory"),
        (["evaluate", "absent"], 1, "cutwater: absent: no such file or folder"),
        (["backfill", "absent"], 1, "cutwater: absent: no such file or folder"),
        (["backfill"], 2, "cutwater: name the CSV files or folders to learn from, or say --from-index"),
        (["backfill", "x.csv", "--from-index"], 2, "cutwater: learn either from files or from the index"),
    ],
)
def test_what_cannot_be_used_ends_with_a_line_and_a_code(arguments, code, message, capsys):
    assert main(arguments) == code
    assert capsys.readouterr().err.startswith(message)


def test_a_file_of_dashboards_is_written_and_has_no_fault(tmp_path, capsys):
    path = tmp_path / "charts.ndjson"
    assert main(["dashboards", "write", str(path), "--index-prefix", "boilers", "--value-fields", "a,b"]) == 0
    assert main(["dashboards", "lint", str(path)]) == 0
    path.write_text(path.read_text().replace("anomaly_grade", "anomaly_great", 1))
    assert main(["dashboards", "lint", str(path)]) == 1
    assert f"{path}: visualization boilers-grades: charts anomaly_grade" in capsys.readouterr().out


def test_secrets_are_no_flags(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    shown = capsys.readouterr().out
    assert "--opensearch-password-file" in shown
    assert "--opensearch-password " not in shown


def test_simulated_faults_are_labelled_recordings_that_evaluate_reads(tmp_path, capsys):
    arguments = ["--faults", "spike,stuck", "--days", "3", "--output", str(tmp_path / "faults")]
    assert main(["simulate", *arguments]) == 0
    assert sorted(path.name for path in (tmp_path / "faults").iterdir()) == ["spike-1.csv", "stuck-1.csv"]
    evaluated = [str(tmp_path / "faults"), "--output", str(tmp_path / "report"), "--profile", "small"]
    assert main(["evaluate", *evaluated, "--always-above", "1e9"]) == 0
    shown = capsys.readouterr().out
    assert "spike-1.csv" in shown
    assert "/2 " in shown  # two labelled faults each
    assert (tmp_path / "report" / "report.html").exists()
