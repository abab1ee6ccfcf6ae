"""Prometheus' rules and Grafana's dashboard: expressions parse, and ask for metrics and labels that the code has."""

import json
import re
from pathlib import Path

import promql_parser
import pytest
import yaml

from service.metrics import Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())
BOARD = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
GIVEN = {"instance", "job"}  # labels that Prometheus adds
GRID = 24  # columns of a dashboard


def series() -> dict[str, set[str]]:
    """Every series that /metrics may have, with the names of its labels."""
    metrics = Metrics()
    labelled = {each._name: set(each._labelnames) for each in vars(metrics).values() if hasattr(each, "_labelnames")}
    found: dict[str, set[str]] = {}
    for family in metrics.registry.collect():
        labels = labelled.get(family.name, set())
        ends = {"counter": ["_total"], "info": ["_info"], "histogram": ["_bucket", "_sum", "_count"]}
        for end in ends.get(family.type, [""]):
            found[family.name + end] = labels | ({"le"} if end == "_bucket" else set())
    return found


SERIES = series()
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    """What an expression selects; it must parse."""
    found = []

    def visit(node) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def check(expression: str) -> set[str]:
    """Check an expression against what the code has; the labels that its series have."""
    found = selectors(expression)
    assert found, expression
    for each in found:
        assert each.name in SERIES, f"{each.name} is no metric"
        for matcher in each.matchers.matchers:
            assert matcher.name in SERIES[each.name] | GIVEN, f"{each.name} has no label {matcher.name}"
    return set().union(*(SERIES[each.name] for each in found)) | GIVEN


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_there_is_and_says_what_to_do(rule):
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    labels = check(rule["expr"])
    if "for" in rule:
        promql_parser.parse_duration(rule["for"])
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(rule["annotations"]) == {"summary", "description"}
    for text in rule["annotations"].values():
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= labels
    grouped = re.match(r"sum by \(([\w, ]+)\)", rule["expr"])
    if grouped:  # other labels are gone
        kept = set(grouped[1].split(", "))
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= kept


def test_alerts_have_names_of_their_own_and_cover_what_the_reference_says_to_alert_on():
    names = [rule["alert"] for rule in ALERTS]
    assert len(set(names)) == len(names)
    watched = {each.name for rule in ALERTS for each in selectors(rule["expr"])}
    advised = {name for name, advice in Metrics().advice.items() if advice.startswith("Alert")}
    assert advised - watched == {
        "cutwater_documents_refused_total",  # each is a dead letter too
        "cutwater_leases_held",  # what is uneven depends on the number of shards
    }


def test_the_dashboard_shows_every_metric_but_what_only_alerts_look_at():
    shown = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    shown += BOARD["templating"]["list"][1]["definition"]
    hidden = {name for name in Metrics().advice if name not in shown}
    assert hidden == {"cutwater_hash_range_gaps", "cutwater_table_refused_rows", "cutwater_checkpoints_total"}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_what_there_is(panel):
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["type"] in ("stat", "timeseries")
    assert panel["description"]
    assert [target["refId"] for target in panel["targets"]] == list("ABCDE"[: len(panel["targets"])])
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        labels = check(target["expr"].replace("$__rate_interval", "5m").replace("$__range", "1h"))
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels


def test_the_dashboard_holds_together():
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        assert 0 <= at["x"] < at["x"] + at["w"] <= GRID
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
    variables = {each["name"]: each for each in BOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    (asked,) = re.findall(r"label_values\((\w+), instance\)", variables["instance"]["definition"])
    assert asked in SERIES
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(BOARD["panels"])))
    assert used <= {*variables, "__rate_interval", "__range"}
