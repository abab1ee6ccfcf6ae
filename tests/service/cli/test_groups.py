"""``cutwater groups report`` over files, and over what the service has indexed."""

import asyncio

import orjson
import pytest

from service import recipes
from service.assembly import make_core
from service.cli import main
from service.operate.groups.account import of_files
from service.operate.groups.documents import FlowLogFiles
from service.pipeline.enrich import Enrichment
from service.pipeline.enrich.security_groups import InterfaceTable
from service.pipeline.records import Position, Record
from service.settings.model import load
from service.sinks.index.event_fields import EventLayout
from service.stores import make_index, opened
from simulator.events import generator
from tests.service.operate.groups.flows import written

FOLDER = recipes.folder("vpc-flow-logs")
NETWORK = ["--rules", str(FOLDER / "rules.json"), "--interfaces", str(FOLDER / "interfaces.json")]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def flows(tmp_path_factory):
    return written(tmp_path_factory.mktemp("flows") / "flows.gz", 600)


def test_files_are_reported_on(flows, capsys):
    assert main(["groups", "report", str(flows), *NETWORK]) == 0
    words = capsys.readouterr().out
    assert words.startswith("Flow logs from 2026-01-05T00:00")
    assert "Groups attached to nothing: lonely" in words


def test_the_report_is_had_as_json_and_of_a_span(flows, capsys):
    assert main(["groups", "report", str(flows), *NETWORK, "--json", "--until", "2026-01-05T00:05:00Z"]) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert told["coverage"]["until"] < "2026-01-05T00:05:00Z"
    assert {each["state"] for each in told["groups"]} == {"used", "no traffic", "attached to nothing"}


def test_exported_events_say_the_same_as_their_flow_logs(flows, tmp_path, capsys):
    network = of_files(FOLDER / "rules.json", FOLDER / "interfaces.json")
    made = FlowLogFiles("", InterfaceTable(network.interfaces)).documents(flows)
    exported = tmp_path / "events.ndjson"
    exported.write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in made))
    answers = []
    for path in (flows, exported):
        assert main(["groups", "report", str(path), *NETWORK, "--json"]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]


def test_lines_that_are_none_are_counted(flows, tmp_path, capsys):
    bad = tmp_path / "bad.log"
    bad.write_text("bogus line\n{\n")
    assert main(["groups", "report", str(flows), str(bad), *NETWORK]) == 0
    assert "2 lines are none of a flow log" in capsys.readouterr().err
    assert main(["groups", "report", str(bad), *NETWORK]) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none.log", *NETWORK], 1, "none.log: no such file"),
        (["x", *NETWORK[2:]], 2, "give --rules, too"),
        (NETWORK, 2, "the index has no flow logs; name FILEs"),
        ([*NETWORK, "--event-format", "flow-log"], 1, "cutwater.db: no such file"),
    ],
)
def test_what_is_wrong_is_told(arguments, code, words, capsys):
    assert main(["groups", "report", *arguments]) == code
    assert words in capsys.readouterr().err


def test_the_layout_of_its_events_has_all_that_is_read():
    settings = load(file=FOLDER / "cutwater.toml", environment={})
    known = EventLayout.of(settings).mapping
    assert {"flow.role", "flow.peer.ip", "aws.security_group.ids", "network.bytes", "event.action"} <= set(known)


async def indexed(folder):
    """What the service has written of a flow log, in the folder's own index."""
    no_windows = {"data_dir": folder, "enrich": recipes.tables("vpc-flow-logs"), "windows": []}
    settings = load(no_windows, {}, FOLDER / "cutwater.toml")
    interfaces = of_files(FOLDER / "rules.json", FOLDER / "interfaces.json").interfaces
    core = make_core(settings, "shard", enrichment=Enrichment({"groups": InterfaceTable(interfaces)}))
    made = [each.data for each in generator("vpc-flow-logs").generate(1_767_571_200_000, 4, 600, 1, ())]
    output = core.process([Record(Position(n), "p", 1_767_571_800_000, data) for n, data in enumerate(made)])
    async with opened(make_index(settings)) as index:
        assert await index.write(list(output.documents)) == []
    return output.counts.events


def test_the_index_is_read_without_files(tmp_path, capsys):
    events = asyncio.run(indexed(tmp_path))
    arguments = ["--config", str(FOLDER / "cutwater.toml"), "--data-dir", str(tmp_path)]
    assert main(["groups", "report", *NETWORK, *arguments, "--json"]) == 0
    told = orjson.loads(capsys.readouterr().out)
    coverage = told["coverage"]
    assert coverage["flows"] + coverage["no_data"] + coverage["skipped"] == events
    assert {each["state"] for each in told["groups"]} == {"used", "no traffic", "attached to nothing"}
