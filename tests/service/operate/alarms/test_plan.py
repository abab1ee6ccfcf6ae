"""Rules against alarms, without AWS."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.operate.alarms import plan
from service.operate.alarms.domain import described
from service.operate.alarms.plan import Stream
from service.operate.alarms.rules import SETS, named

ACCOUNT = "123456789012"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:on-call"


def status(**more):
    cluster = {"InstanceType": "r6g.large.search", "InstanceCount": 2} | more.pop("cluster", {})
    volumes = {"EBSEnabled": True, "VolumeSize": more.pop("size", 100)}
    return {
        "DomainName": "shop",
        "EngineVersion": "OpenSearch_2.13",
        "ClusterConfig": cluster,
        "EBSOptions": volumes,
    } | more


def wanted(rules="classic", actions=(TOPIC,), environment="Test", **more):
    return plan.of_domain(
        described(status(**more)), named(rules), account=ACCOUNT, environment=environment, actions=actions
    )


def alarm(one, **changes):
    """The alarm that a request makes."""
    return one.request() | {"AlarmArn": f"arn:aws:cloudwatch:eu-west-1:{ACCOUNT}:alarm:{one.name}"} | changes


def applied(due, alarms, ours):
    """Alarms by name, and which are ours, after the steps."""
    alarms, ours = dict(alarms), set(ours)
    for step in due:
        if step.do == "leave":
            continue
        one = step.finding.wanted
        alarms[one.name] = alarm(one) | {"AlarmActions": one.request(alarms.get(one.name))["AlarmActions"]}
        ours.add(one.name)
    return alarms, frozenset(ours)


CHANGES = st.fixed_dictionaries({}, optional={
    "Threshold": st.floats(0, 1e6), "Period": st.sampled_from([60, 300]), "EvaluationPeriods": st.integers(1, 5),
    "Statistic": st.sampled_from(["Sum", "Minimum", "Maximum"]), "AlarmActions": st.sampled_from([[], [TOPIC], ["x"]]),
    "AlarmName": st.text("abc", min_size=1, max_size=2), "ActionsEnabled": st.booleans(),
    "MetricName": st.sampled_from(["CPUUtilization", "Nodes"]), "TreatMissingData": st.just("ignore"),
})  # fmt: skip


@given(
    st.sampled_from(SETS), st.lists(st.tuples(st.integers(0, 40), CHANGES, st.booleans()), max_size=12), st.booleans()
)
def test_after_applying_nothing_is_left_to_do_but_what_is_somebody_elses(rules, there, adopt):
    asked = wanted(rules)
    alarms, ours = {}, set()
    for number, changes, mine in there:
        made = alarm(asked[number % len(asked)], **changes)
        alarms[made["AlarmName"]] = made
        (ours.add if mine else ours.discard)(made["AlarmName"])
    due = plan.steps(plan.compare(asked, alarms.values()), frozenset(ours), alarms, adopt)
    after, ours_after = applied(due, alarms, ours)
    again = plan.steps(plan.compare(asked, after.values()), ours_after, after, adopt)
    assert {step.do for step in again} <= {"leave"}
    touched = {name for name in alarms if after[name] is not alarms[name]}
    assert adopt or touched <= ours, "nobody else's alarm is touched"
    for finding in plan.compare(asked, after.values()):
        assert finding.state == "ok" or any(step.finding.wanted is finding.wanted for step in again)


@given(st.permutations(range(6)))
def test_an_alarm_stands_for_one_rule_only(order):
    asked = wanted("aws")
    alarms = [alarm(asked[number], AlarmName=f"hand-{number}") for number in order]
    found = plan.compare(asked, alarms)
    taken = [finding.alarm["AlarmName"] for finding in found if finding.alarm]
    assert sorted(taken) == sorted(f"hand-{number}" for number in order)
    assert sum(finding.state == "ok" for finding in found) == 6


def test_alarms_of_other_domains_accounts_and_kinds_count_for_nothing():
    (one, *_) = asked = wanted()
    dimensions = [{"Name": "DomainName", "Value": "shop"}]
    others = [
        alarm(one, Dimensions=[*dimensions, {"Name": "ClientId", "Value": "2" * 12}]),
        alarm(one, Dimensions=dimensions),
        alarm(one, Namespace="AWS/EC2"),
        {"AlarmName": one.name, "AlarmRule": 'ALARM("a")'},  # a composite alarm
        {"AlarmName": one.name, "Metrics": [{"Id": "e1", "Expression": "m1/m2"}], "Threshold": 1.0},
        {"AlarmName": "of-nothing", "MetricName": "CPUUtilization", "Namespace": "AWS/ES", "Dimensions": []},
    ]
    assert {finding.state for finding in plan.compare(asked, others)} == {"missing"}


def test_all_differences_are_told_not_the_first_only():
    (one, *_) = asked = wanted()
    made = alarm(one, Threshold=2.0, Period=300, AlarmActions=[])
    (finding, *_) = plan.compare(asked, [made])
    assert [each.field for each in finding.differences] == ["Period", "Threshold", "AlarmActions"]


def test_an_alarm_whose_actions_are_off_is_different():
    (one, *_) = asked = wanted(actions=None)
    assert plan.compare(asked, [alarm(one, ActionsEnabled=False)])[0].state == "different"


@pytest.mark.parametrize("rules", SETS)
@pytest.mark.parametrize("nodes", [1, 2, 3, 5, 6, 40])
def test_thresholds_follow_the_number_of_nodes(rules, nodes):
    by = {
        (one.rule.metric, one.rule.statistic): one.threshold for one in wanted(rules, cluster={"InstanceCount": nodes})
    }
    share = {"classic": 0.2, "aws": 0.25}[rules]
    assert by["FreeStorageSpace", "Minimum"] == 102400 * share
    if rules == "aws":
        assert by["FreeStorageSpace", "Sum"] == 102400 * nodes * share
        assert by["Nodes", "Minimum"] == nodes


def test_nodes_counts_masters_and_warm_ones_too():
    cluster = {
        "DedicatedMasterEnabled": True, "DedicatedMasterCount": 3,
        "WarmEnabled": True, "WarmCount": 2, "WarmType": "ultrawarm1.medium.search",
    }  # fmt: skip
    by = {one.rule.metric: one.threshold for one in wanted("aws", cluster=cluster)}
    assert by["Nodes"] == 7
    assert by["WarmFreeStorageSpace"] == pytest.approx(0.1 * 1.5 * 1024 * 1024)
    assert "MasterCPUUtilization" in by


def test_names_and_descriptions_fit_in_cloudwatchs_limits():
    streams = plan.of_stream(Stream("s" * 128), named("aws"), environment="Production", actions=None)
    for one in [*wanted("classic"), *wanted("aws"), *streams]:
        assert len(one.name) <= 255
        assert len(one.description) <= 1024
        assert one.rule.advice


def test_a_rule_set_of_ones_own_may_leave_cutwaters_own_rules_to_ours():
    own = plan.of_stream(Stream("s"), named("classic"), environment="T", actions=None)
    assert [one.rule.name for one in own] == [
        "IteratorAge",
        "IteratorAge-expiry",
        "Ready",
        "DeadLetters",
        "CheckpointAge",
    ]
    pushed = plan.of_stream(Stream("s", "c"), named("classic"), environment="T", actions=None)
    assert pushed[0].dimensions == {"StreamName": "s", "ConsumerName": "c"}
