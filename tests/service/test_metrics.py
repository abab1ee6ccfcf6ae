"""Metrics: names with units, and numbers that can be read back."""

import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from service.metrics import Metrics

UNITS = ("bytes", "seconds", "millis_behind_latest", "total")
THINGS = ("sensors", "hash_key_holes", "leases_held")  # gauges that count


def names() -> list[str]:
    """Of all metrics, as /metrics spells them."""
    return [family.name + ("_total" if family.type == "counter" else "") for family in Metrics().registry.collect()]


@pytest.mark.parametrize("name", names())
def test_names_tell_the_unit(name):
    assert re.fullmatch(r"cutwater_[a-z_]+", name)
    assert name.endswith((*UNITS, *THINGS))


@pytest.mark.parametrize("name", names())
def test_the_handbook_explains_each(name):
    handbook = (Path(__file__).parents[2] / "docs" / "how-to" / "operations.md").read_text()
    assert re.search(rf"`{name}(\{{[a-z]+\}})?`", handbook), name


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
