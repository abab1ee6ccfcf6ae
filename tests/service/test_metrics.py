"""Metrics: names with units, and numbers that can be read back."""

import re
import sys
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from service import __version__
from service.metrics import Metrics, markdown

UNITS = ("bytes", "seconds", "total", "info")
COUNTS = (
    "sensors",
    "hash_range_gaps",
    "leases_held",
    "ready",
    "component_up",
    "table_refused_rows",
    "window_keys",
    "notices_waiting",
)  # gauges without a unit
PROJECT = Path(__file__).parents[2]


def names() -> list[str]:
    """Of all metrics of ours, as /metrics spells them."""
    return list(Metrics().advice)


@pytest.mark.parametrize("name", names())
def test_names_tell_the_unit(name):
    assert re.fullmatch(r"cutwater_[a-z_]+", name)
    assert name.endswith((*UNITS, *COUNTS))


def test_the_reference_is_what_the_code_says():
    assert (PROJECT / "docs" / "reference" / "metrics.md").read_text() == markdown()


def test_what_is_up_is_said_of_each_component():
    metrics = Metrics()
    metrics.note_readiness({"index": "cannot connect", "leases": None}, ready=False)
    text = generate_latest(metrics.registry).decode()
    assert 'cutwater_component_up{component="index"} 0.0' in text
    assert 'cutwater_component_up{component="leases"} 1.0' in text
    assert "cutwater_ready 0.0" in text


def test_the_build_and_the_process_are_told():
    text = generate_latest(Metrics().registry).decode()
    assert f'version="{__version__}"' in text
    if sys.platform == "linux":
        assert "process_resident_memory_bytes" in text


def test_a_value_is_the_sum_over_labels():
    metrics = Metrics()
    metrics.dead.labels("not_json").inc()
    metrics.dead.labels("bad_value").inc(2)
    metrics.in_flight.set(5)
    assert Metrics.value(metrics.dead) == 3
    assert Metrics.value(metrics.in_flight) == 5


def test_a_shard_that_somebody_else_reads_is_forgotten():
    metrics = Metrics()
    metrics.behind.labels("one").set(5)
    metrics.behind.labels("two").set(7)
    metrics.checkpoint_age.labels("one").set(1)
    metrics.forget("one")
    metrics.forget("three")
    assert Metrics.value(metrics.behind) == 7
    assert Metrics.value(metrics.checkpoint_age) == 0


def test_two_services_in_one_process_count_apart():
    one, other = Metrics(), Metrics()
    one.records.inc()
    assert b"cutwater_records_total 1.0" in generate_latest(one.registry)
    assert b"cutwater_records_total 0.0" in generate_latest(other.registry)
