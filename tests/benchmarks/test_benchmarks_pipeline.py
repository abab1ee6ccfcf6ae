"""The answers that the pipeline's benchmark works on, and its clock."""

import gc
import time

import orjson
import pytest

from benchmarks import pipeline
from benchmarks.pipeline import StageClock, answers
from service.source.response_parser import _parse


def test_answers_hold_the_readings_of_their_shard(monkeypatch):
    monkeypatch.setattr(pipeline, "PER_ANSWER", 100)
    found = list(answers(20, 500))
    assert len(found) == 5
    shards = {}
    for shard, body in found:
        records = _parse(body)["Records"]
        assert len(records) == 100
        numbers = [int(record["SequenceNumber"]) for record in records]
        assert numbers == sorted(set(numbers))
        for record in records:
            assert orjson.loads(record["Data"])["iotName"] == record["PartitionKey"]
            assert shards.setdefault(record["PartitionKey"], shard) == shard


def test_a_stage_inside_another_is_counted_once_and_garbage_apart():
    clock = StageClock()
    gc.callbacks.append(clock.garbage)
    try:
        began = time.process_time()
        with clock.stage("outer"):
            sum(range(100_000))
            with clock.stage("inner"):
                sum(range(100_000))
                gc.collect()
        spent = time.process_time() - began
    finally:
        gc.callbacks.remove(clock.garbage)
    assert all(clock.spent[name] > 0 for name in ("outer", "inner", "collector"))
    assert sum(clock.spent[name] for name in ("outer", "inner", "collector")) == pytest.approx(spent, abs=0.01)
