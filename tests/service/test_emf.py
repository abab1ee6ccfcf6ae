"""CloudWatch's embedded metric format, held to what its specification asks."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import emf
from service.emf import EmbeddedMetrics
from service.metrics import Metrics
from service.operate.alarms.rules import named
from service.settings.model import load
from service.worker.service import Service
from simulator.stream import LocalStream

UNITS = {"Seconds", "Bytes", "Count"}


def lines_of(metrics, stream="RawStreamData"):
    lines = []
    return lines, EmbeddedMetrics(metrics.registry, stream, "worker", lines.append)


def checked(line):
    """A line as JSON, if it is what the format asks for."""
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert len(line) < 256 * 1024
    found = json.loads(line)
    (directive,) = found["_aws"]["CloudWatchMetrics"]
    assert isinstance(found["_aws"]["Timestamp"], int)
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    for names in directive["Dimensions"]:
        assert all(isinstance(found[name], str) and 1 <= len(found[name]) <= 1024 for name in names)
    assert 1 <= len(directive["Metrics"]) <= 100
    for metric in directive["Metrics"]:
        assert metric["Unit"] in UNITS
        values = found[metric["Name"]]
        values = values if isinstance(values, list) else [values]
        assert 1 <= len(values) <= 100
        assert all(isinstance(value, int | float) for value in values)
    return found


@given(st.lists(st.lists(st.sampled_from(["not_json", "bad_value", "late"]), max_size=5), max_size=6))
def test_increases_add_up_to_the_counter(rounds):
    metrics = Metrics()
    lines, embedded = lines_of(metrics)
    for codes in rounds:
        for code in codes:
            metrics.dead.labels(code).inc()
        embedded.write()
    assert [checked(line)["dead_letters"] for line in lines] == [len(codes) for codes in rounds]


@pytest.mark.parametrize(("shards", "told"), [(1, 1), (3, 3), (1000, 100)])
def test_the_number_of_metrics_does_not_depend_on_the_number_of_shards(shards, told):
    metrics = Metrics()
    lines, embedded = lines_of(metrics)
    for number in range(shards):
        metrics.behind.labels(f"shard-{number}").set(number)
    embedded.write(1_700_000_000.5)
    found = checked(lines[0])
    assert found["_aws"]["Timestamp"] == 1_700_000_000_500
    values = found["behind_latest_seconds"]
    values = values if isinstance(values, list) else [values]
    assert (len(values), min(values), max(values)) == (told, 0, shards - 1)


def test_a_histogram_tells_the_mean_of_what_came_since():
    metrics = Metrics()
    lines, embedded = lines_of(metrics, "arn:aws:kinesis:eu-west-1:123456789012:stream/Raw")
    metrics.batch_seconds.observe(1)
    metrics.batch_seconds.observe(3)
    embedded.write()
    embedded.write()
    assert checked(lines[0])["batch_seconds"] == 2
    assert "batch_seconds" not in checked(lines[1])
    assert checked(lines[0])["stream"] == "Raw"


def test_cutwaters_alarms_watch_metrics_that_are_told():
    metrics = Metrics()
    metrics.checkpoint_age.labels("shard").set(1)
    lines, embedded = lines_of(metrics)
    embedded.write()
    found = checked(lines[0])
    ours = [rule for rule in named("cutwater").rules if rule.namespace == emf.NAMESPACE]
    assert {rule.metric for rule in ours} == {"ready", "dead_letters", "checkpoint_age_seconds"}
    assert {rule.metric for rule in ours} <= set(found)


async def test_the_service_tells_on_standard_output_while_it_runs_and_when_it_stops(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(emf, "SECONDS", 0.05)
    async with LocalStream(streams={"stream": 1}) as local:
        given = {"data_dir": tmp_path, "stream": "stream", "endpoint_url": local.endpoint_url, "metrics": "emf"}
        async with Service.open(load(given, {})) as service:
            running = asyncio.create_task(service.run())
            told = []
            async with asyncio.timeout(200):
                while not told or not told[-1]["ready"]:
                    await asyncio.sleep(0.05)
                    told += [checked(f"{line}\n") for line in capsys.readouterr().out.splitlines()]
            service.stop()
            assert await running
    last = capsys.readouterr().out.splitlines()
    assert checked(f"{last[-1]}\n")["stream"] == "stream"
