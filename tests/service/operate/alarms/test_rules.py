"""Sets of rules, and whom alarms tell."""

import pytest

from service.operate.alarms import notify
from service.operate.alarms.rules import RulesError, load, named

RULE = '[[rules]]\nmetric = "CPUUtilization"\nstatistic = "Maximum"\noperator = ">="\nthreshold = 80\n'
TOPIC = "arn:aws:sns:eu-west-1:123456789012:on-call"
OTHER = "arn:aws-cn:sns:cn-north-1:123456789012:on-call"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rules = []", "rules: List should have at least 1 item"),
        ("rules = [", "Invalid value"),
        (RULE + "thresholdd = 3", "rule 1, thresholdd: Extra inputs are not permitted; did you mean threshold?"),
        (RULE + "period = 7", "rule 1, period: must be 10, 20, 30 or a multiple of 60 seconds"),
        (RULE + "period = 43200\nperiods = 3", "rule 1: period times periods is above 86400 seconds"),
        (RULE + RULE, "rules 1 and 2 are for CPUUtilization; give one of them a name"),
        (RULE.replace("80", '{share = 1, of = "node"}'), "rule 1, threshold, of: Input should be 'node storage'"),
        (RULE.replace('">="', '"=="'), "rule 1, operator: Input should be '>='"),
        (RULE.replace("80", '{share = 1, of = "nodes"}') + 'namespace = "Cutwater"', "needs the namespace AWS/ES"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place_and_the_reason(tmp_path, text, complaint):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(RulesError) as raised:
        load(str(path))
    assert complaint in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_set_that_is_not_there_suggests_one():
    with pytest.raises(RulesError, match="did you mean classic"):
        load("clasick")


def test_the_classic_set_is_the_old_scripts():
    rules = named("classic").of_domains()
    assert {(rule.period, rule.periods) for rule in rules} == {(60, 5)}
    assert [rule.metric for rule in rules if not rule.when][:4] == [
        "ClusterStatus.yellow", "ClusterStatus.red", "CPUUtilization", "JVMMemoryPressure",
    ]  # fmt: skip
    assert len(rules) == 12


@pytest.mark.parametrize(
    "given",
    [[TOPIC], [f"['{TOPIC}']"], [f"[u'{TOPIC}']"], [f'["{TOPIC}"]'], [f"['{TOPIC}', '{TOPIC}']"], [TOPIC, TOPIC]],
)
def test_arns_plain_and_as_the_old_text(given):
    assert notify.arns(given) == [TOPIC]


def test_several_arns():
    assert notify.arns([f"['{TOPIC}', '{OTHER}']"]) == [TOPIC, OTHER]
    assert notify.by_region([TOPIC, OTHER], ["eu-west-1", "cn-north-1"]) == {
        "eu-west-1": (TOPIC,),
        "cn-north-1": (OTHER,),
    }


@pytest.mark.parametrize("given", ["sns:topic", "arn:aws:sns:eu-west-1", "arn:aws:s3:eu-west-1:1:bucket", "['x']"])
def test_what_no_alarm_can_tell_is_refused(given):
    with pytest.raises(notify.NotifyError):
        notify.arns([given])


@pytest.mark.parametrize("regions", [["us-east-1"], ["us-east-1", "eu-west-1"]])
def test_a_topic_of_another_region_is_refused(regions):
    with pytest.raises(notify.NotifyError, match=r"us-east-1"):
        notify.by_region([TOPIC], regions)
