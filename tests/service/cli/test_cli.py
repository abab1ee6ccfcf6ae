"""The command line explains itself and refuses what it cannot use in one line."""

import json
import logging
import socket
import subprocess
import sys
import time

import argcomplete
import pytest

from service import recipes
from service.cli import _parser, main
from service.settings.model import load

COMMANDS = (
    "run",
    "demo",
    "simulate",
    "stream",
    "evaluate",
    "backfill",
    "setup",
    "dashboards",
    "replay",
    "export",
    "groups",
    "completion",
    "recipes",
    "init",
)


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
        (["rn"], "cutwater: there is no command 'rn'; did you mean run?"),
        (["run", "--regon", "eu-west-1"], "cutwater run: there is no argument --regon; did you mean --region?"),
        (["evaluate", "x.csv", "--tree=5"], "cutwater evaluate: there is no argument --tree; did you mean --trees?"),
        (["dashboards", "lnt", "x"], "cutwater dashboards: there is no action 'lnt'; did you mean lint?"),
        (["completion", "fihs"], "there is no shell 'fihs'; did you mean fish?"),
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
        (["run", "--region", "eu west"], 2, "cutwater: --region = 'eu west': is no AWS region such as eu-west-1"),
        (
            ["export", "--data-dir", "absent"],
            1,
            "cutwater: absent/cutwater.db: no such file; data_dir must be the folder",
        ),
        (
            ["replay", "--data-dir", "absent"],
            1,
            "cutwater: absent/cutwater.db: no such file; data_dir must be the folder",
        ),
        (
            ["setup", "--opensearch-url", "http://127.0.0.1:9", "--wait", "0.2"],
            3,
            "cutwater: index http://127.0.0.1:9: ",
        ),
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
    path.write_text(path.read_text().replace(r"field\":\"anomaly_kind", r"field\":\"anomaly_kin", 1))
    assert main(["dashboards", "lint", str(path)]) == 1
    assert f"{path}: visualization boilers-kinds: charts anomaly_kin," in capsys.readouterr().out


@pytest.mark.parametrize("recipe", recipes.names())
def test_a_recipe_is_listed_and_its_copy_can_be_used(recipe, tmp_path, capsys, monkeypatch):
    assert main(["recipes"]) == 0
    assert f"{recipe} " in capsys.readouterr().out
    assert main(["init", recipe, str(tmp_path / "mine")]) == 0
    monkeypatch.chdir(tmp_path / "mine")
    settings = load({}, {})
    assert bool(settings.event_format) == (recipe != "iot-temperature")
    assert recipes.tables(recipe).keys() == settings.enrich.keys()
    capsys.readouterr()
    assert main(["init", recipe, str(tmp_path / "mine")]) == 1
    assert "cutwater.toml" in capsys.readouterr().err


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


@pytest.mark.parametrize("command", ["run", "stream"])
def test_a_port_that_is_taken_is_said_in_a_line_of_the_logs_form(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        nowhere = ["--endpoint-url", "http://127.0.0.1:9", "--data-dir", str(tmp_path)]
        arguments = [command, "--port", port, *(nowhere if command == "run" else [])]
        assert main(arguments) == 1
        said = f"cannot listen on 127.0.0.1:{port}: it is taken by another process; set another"
        assert capsys.readouterr().err.startswith(f"cutwater: {said}")
        if command == "run":
            assert main([*arguments, "--log-format", "json"]) == 1
            lines = capsys.readouterr().err.splitlines()
            assert [json.loads(line)["message"][: len(said)] for line in lines] == [said]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_arguments(shell, capsys):
    assert main(["completion", shell]) == 0
    assert "cutwater" in capsys.readouterr().out
    parser = _parser(["run"])
    known = argcomplete.CompletionFinder(parser)
    assert "--stream " in known._get_completions(["cutwater", "run"], "--str", "", None)
    assert known._get_completions(["cutwater"], "ev", "", None) == ["evaluate "]


def test_an_error_of_ours_has_a_code_of_its_own(monkeypatch, caplog):
    monkeypatch.setattr("service.cli.completion.say", lambda line: 1 / 0)
    assert main(["completion", "bash"]) == 70
    assert "this is an error in Cutwater" in caplog.text


@pytest.mark.parametrize("delay", [0.3, 1.0, 2.0])
def test_stopped_while_it_starts_a_service_ends_with_0(delay, tmp_path):
    start = "import sys; from service.cli import main; print('up', flush=True); sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", start, "run", "--endpoint-url", "http://127.0.0.1:9", "--port", "0"]
    command += ["--data-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "up\n"  # before that it cannot listen to signals
        time.sleep(delay)
        process.terminate()
        assert process.wait(60) == 0, process.stderr.read()
