"""What is planned is enough by the constants, the constants are those of the code, and prices are those of the file."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.detector import Configuration, Detector
from service.cli import main
from service.operate import sizing
from service.operate.sizing import SizingError, model_bytes, plan_tasks, reading_us
from tests.deploy.templates import template


@pytest.mark.parametrize(("profile", "values"), [*itertools.product(sizing.MODEL_BYTES, (1, 2, 4, 8))])
def test_models_are_as_large_as_is_said(profile, values):
    detector = Detector(Configuration(profile=profile, dimensions=values), 0)
    assert model_bytes(profile, values) == pytest.approx(len(detector.snapshot(compress=False)), rel=0.15)


@given(
    st.integers(1, 100_000),
    st.floats(0.01, 100_000.0),
    st.sampled_from(["small", "default", "best"]),
    st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_what_is_planned_is_enough(sensors, rate, profile, values):
    try:
        found = plan_tasks(sensors, rate, profile=profile, values=values)
    except SizingError:
        assert (
            rate * reading_us(profile, values, sensors, rate) / 1e6 > 50
            or sensors * model_bytes(profile, values) > 500e9
        )
        return
    share = -(-found.shards // found.tasks) / found.shards  # of the busiest task
    assert (
        rate * reading_us(profile, values, sensors, rate) / 1e6 * share
        <= sizing.FULL * min(found.task_cpu / 1024, 1.0) + 1e-9
    )
    assert sensors * share * model_bytes(profile, values) < found.memory_bytes < found.task_memory * 2**20
    assert found.task_memory in sizing.SIZES[found.task_cpu]
    assert found.shards >= max(found.tasks, rate / 1000)
    assert found.max_sensors * found.shards >= sensors
    assert found.monthly["all"] == pytest.approx(sum(found.monthly.values()) - found.monthly["all"], abs=0.02)


@given(st.integers(1, 20_000), st.floats(1.0, 20_000.0))
@settings(max_examples=30, deadline=None)
def test_more_never_costs_less(sensors, rate):
    cost = plan_tasks(sensors, rate).monthly["all"]
    assert plan_tasks(2 * sensors, rate).monthly["all"] >= cost
    assert plan_tasks(sensors, 2 * rate).monthly["all"] >= cost
    assert plan_tasks(sensors, rate, profile="small").monthly["all"] <= cost


def test_large_records_and_many_readings_in_one_need_other_shards():
    assert plan_tasks(100, 1600).shards == 2
    assert plan_tasks(100, 1600, readings_per_record=10).shards == 1
    assert plan_tasks(100, 1600, record_bytes=10_000).shards == 20


def test_sizes_are_those_that_the_template_lets_pass():
    parameters = template("ecs")["Parameters"]
    assert [str(cpu) for cpu in sizing.SIZES] == parameters["Cpu"]["AllowedValues"]
    (rule,) = template("ecs")["Rules"]["MemoryFitsCpu"]["Assertions"]
    allowed = {}
    for pair in rule["Assert"]["Fn::Or"]:
        cpu, memory = pair["Fn::And"]
        allowed[int(cpu["Fn::Equals"][1])] = tuple(int(mib) for mib in memory["Fn::Contains"][0])
    assert allowed == sizing.SIZES
    offered = np.unique([mib for sizes in sizing.SIZES.values() for mib in sizes])
    assert offered.tolist() == sorted(map(int, parameters["Memory"]["AllowedValues"]))


def test_the_command_tells_people_and_machines_and_takes_other_prices(tmp_path, capsys):
    ask = ["plan", "--sensors", "1000", "--rate", "100"]
    assert main(ask) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "ecs.yaml  Workers=1 Cpu=512 Memory=2048" in lines
    assert main([*ask, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["tasks"], found["shards"], found["prices_region"]) == (1, 1, "us-east-1")
    assert found["monthly"]["tasks"] == pytest.approx(730 * (0.5 * 0.04048 + 2 * 0.004445), abs=0.01)
    prices = tmp_path / "prices.toml"
    prices.write_text("[fargate]\nvcpu = 1\ngb = 0\n[kinesis]\nshard_hour = 0\nmillion_put_units = 0\n")
    assert main([*ask, "--json", "--prices", str(prices)]) == 0
    assert json.loads(capsys.readouterr().out)["monthly"] == {
        "tasks": 365.0,
        "shards": 0.0,
        "records": 0.0,
        "all": 365.0,
    }


@pytest.mark.parametrize("text", ["", "[fargate]\nvcpu = 'a'\n", "\x00", "[fargate]\nvcpu = -1\ngb = 0\n"])
def test_prices_that_are_none_are_refused(tmp_path, capsys, text):
    prices = tmp_path / "prices.toml"
    prices.write_text(text)
    assert main(["plan", "--sensors", "1", "--rate", "1", "--prices", str(prices)]) == 1
    assert "prices" in capsys.readouterr().err


def test_what_is_missing_and_what_is_too_much_is_said(capsys):
    assert main(["plan", "--sensors", "5"]) == 2
    assert "--rate" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["plan", "--sensors", "5", "--rate", "nan"])
    assert ended.value.code == 2
    assert "nan is not above 0" in capsys.readouterr().err
    assert main(["plan", "--sensors", "99999999", "--rate", "1", "--profile", "best"]) == 1
    assert "smaller profile" in capsys.readouterr().err
