"""Which alarms there should be, compared with those that there are. Pure: no I/O, no clock."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from service.operate.alarms.domain import LEAST_FREE, Domain
from service.operate.alarms.rules import OPERATORS, Rule, RuleSet

TAG = {"Key": "cutwater", "Value": "alarms"}  # on every alarm that Cutwater made
Alarm = Mapping[str, Any]  # as DescribeAlarms gives it


class Stream(NamedTuple):
    """A stream that Cutwater reads."""

    name: str
    consumer: str = ""  # of enhanced fan-out; without it shards are polled


class Wanted(NamedTuple):
    """An alarm that there should be."""

    name: str
    about: str  # the domain or stream
    rule: Rule
    namespace: str
    dimensions: Mapping[str, str]
    threshold: float
    description: str
    actions: tuple[str, ...] | None  # None: whatever there is

    def definition(self) -> dict[str, Any]:
        """What makes an alarm this one, whoever made it."""
        rule = self.rule
        fields = {
            "Statistic": rule.statistic,
            "Period": rule.period,
            "Threshold": float(self.threshold),
            "EvaluationPeriods": rule.periods,
            "ComparisonOperator": OPERATORS[rule.operator],
            "ActionsEnabled": True,
        }
        return fields if self.actions is None else fields | {"AlarmActions": list(self.actions)}

    def request(self, present: Alarm | None = None) -> dict[str, Any]:
        """PutMetricAlarm's arguments; actions that were not given stay those of ``present``."""
        kept = list((present or {}).get("AlarmActions") or [])
        recovered = list((present or {}).get("OKActions") or [])
        return {
            "AlarmName": self.name,
            "MetricName": self.rule.metric,
            "Namespace": self.namespace,
            "Dimensions": [{"Name": name, "Value": value} for name, value in self.dimensions.items()],
            "AlarmActions": kept,
            "OKActions": recovered if self.actions is None else list(self.actions),
            **self.definition(),
            **self.manners(),
        }

    def manners(self) -> dict[str, Any]:
        """What only alarms that Cutwater made are held to."""
        return {"TreatMissingData": self.rule.missing, "AlarmDescription": self.description} | (
            {} if self.actions is None else {"OKActions": list(self.actions)}
        )


class Difference(NamedTuple):
    """A field of an alarm that is not as it should be."""

    field: str
    should: Any
    found: Any


class Finding(NamedTuple):
    """What became of one wanted alarm."""

    wanted: Wanted
    alarm: Alarm | None  # that is it, or comes nearest; None: missing
    differences: tuple[Difference, ...] = ()

    @property
    def state(self) -> str:
        """ok | different | missing"""
        return "missing" if self.alarm is None else "different" if self.differences else "ok"


def of_domain(
    domain: Domain,
    rules: RuleSet,
    *,
    account: str,
    environment: str,
    actions: Sequence[str] | None,
    least_free: float = LEAST_FREE,
) -> list[Wanted]:
    """The alarms that a domain should have."""
    dimensions = {"DomainName": domain.name, "ClientId": account}
    return [
        _wanted(rule, domain.name, dimensions, rule.limit(domain, least_free), environment, actions)
        for rule in rules.of_domains()
        if not rule.when or rule.when in domain.traits
    ]


def of_stream(stream: Stream, rules: RuleSet, *, environment: str, actions: Sequence[str] | None) -> list[Wanted]:
    """The alarms that Cutwater on this stream should have."""
    wanted = []
    for rule in rules.of_streams():
        if rule.when and (rule.when == "fan-out") != bool(stream.consumer):
            continue
        dimensions = {"stream": stream.name}
        if rule.namespace == "AWS/Kinesis":
            dimensions = {"StreamName": stream.name} | (
                {"ConsumerName": stream.consumer} if rule.when == "fan-out" else {}
            )
        assert isinstance(rule.threshold, float)  # its namespace allows nothing else
        wanted.append(_wanted(rule, stream.name, dimensions, rule.threshold, environment, actions))
    return wanted


def _wanted(
    rule: Rule,
    about: str,
    dimensions: Mapping[str, str],
    threshold: float,
    environment: str,
    actions: Sequence[str] | None,
) -> Wanted:
    service = "Elasticsearch" if rule.namespace == "AWS/ES" else "Cutwater"
    name = "-".join([environment, service, about, rule.name or rule.metric, "Alarm"])
    what = f"{rule.metric} {rule.statistic} {rule.operator} {threshold:.15g} for {rule.periods} x {rule.period} s"
    description = f"{what} on {about}. {rule.advice}".strip()
    return Wanted(
        name,
        about,
        rule,
        rule.namespace,
        dimensions,
        threshold,
        description,
        None if actions is None else tuple(actions),
    )


def compare(wanted: Sequence[Wanted], alarms: Iterable[Alarm]) -> list[Finding]:
    """What there is of each. An alarm stands for one of them at most, so that ladders on a metric are told apart.

    Alarms are matched by metric and dimensions: by their names first, then by all that defines them, then with the
    fewest differences. Composite alarms, alarms on expressions and alarms of other metrics are none of ours.
    """
    keys = {(one.namespace, one.rule.metric, frozenset(one.dimensions.items())) for one in wanted}
    free = [alarm for alarm in alarms if alarm.get("MetricName") and _key(alarm) in keys]
    found: dict[int, Finding] = {}

    def take(number: int, alarm: Alarm) -> None:
        found[number] = Finding(wanted[number], alarm, _differences(wanted[number].definition(), alarm))
        free.remove(alarm)

    for number, one in enumerate(wanted):
        named = next((alarm for alarm in free if alarm["AlarmName"] == one.name and _watches(alarm, one)), None)
        if named is not None:
            take(number, named)
    rules_of = Counter((one.namespace, one.rule.metric) for one in wanted)
    for most in range(len(wanted[0].definition()) + 1 if wanted else 0):
        for number, one in enumerate(wanted):
            if number in found:
                continue
            near = (
                alarm
                for alarm in free
                if _watches(alarm, one)
                and len(_differences(one.definition(), alarm)) <= most
                and _alike(alarm, one, alone=rules_of[one.namespace, one.rule.metric] == 1)
            )
            if (alarm := next(near, None)) is not None:
                take(number, alarm)
    return [found.get(number, Finding(one, None)) for number, one in enumerate(wanted)]


def _key(alarm: Alarm) -> tuple[Any, Any, frozenset[tuple[str, str]]]:
    """What an alarm watches."""
    dimensions = frozenset((each["Name"], each["Value"]) for each in alarm.get("Dimensions") or [])
    return alarm.get("Namespace"), alarm.get("MetricName"), dimensions


def _watches(alarm: Alarm, wanted: Wanted) -> bool:
    return _key(alarm) == (wanted.namespace, wanted.rule.metric, frozenset(wanted.dimensions.items()))


def _alike(alarm: Alarm, wanted: Wanted, *, alone: bool) -> bool:
    """Whether an alarm may be meant as this one: both watch for too much, or both for too little.

    Unless its rule is ``alone`` with the metric, the statistic must be the same: Minimum and Sum are different alarms.
    """
    same_side = str(alarm.get("ComparisonOperator"))[:4] == OPERATORS[wanted.rule.operator][:4]
    return same_side and (alone or alarm.get("Statistic") == wanted.rule.statistic)


def _differences(should: Mapping[str, Any], alarm: Alarm) -> tuple[Difference, ...]:
    found = []
    for field, value in should.items():
        there = alarm.get(field)
        if field in ("AlarmActions", "OKActions"):
            same = sorted(there or []) == sorted(value)
        elif field == "TreatMissingData":
            same = (there or "missing") == value
        elif field == "ActionsEnabled":
            same = there is not False
        else:
            same = there == value
        if not same:
            found.append(Difference(field, value, there))
    return tuple(found)


class Step(NamedTuple):
    """One thing that applying does, or leaves."""

    do: str  # create | update | adopt | leave
    finding: Finding
    differences: tuple[Difference, ...] = ()


def steps(findings: Iterable[Finding], ours: frozenset[str], names: Mapping[str, Alarm], adopt: bool) -> list[Step]:
    """What is to be done so that there is what is wanted.

    Args:
        ours: names of the alarms with our tag. No other is touched, unless ``adopt`` says so.
        names: all alarms of the region, by name: what is called as one of ours, but watches something else, is left.
    """
    plan = []
    for finding in findings:
        wanted, alarm = finding.wanted, finding.alarm
        there = names.get(wanted.name)
        if there is not None and there is not alarm:  # the name is taken by what watches something else
            other = Difference("MetricName", wanted.rule.metric, there.get("MetricName"))
            plan.append(Step("update" if wanted.name in ours else "leave", finding, (other,)))
        elif alarm is not None and there is not None and wanted.name in ours:
            differences = _differences(wanted.definition() | wanted.manners(), alarm)
            plan += [Step("update", finding, differences)] if differences else []
        elif finding.state == "ok":
            continue  # somebody else's, and as it should be
        elif there is not None:
            plan.append(Step("adopt" if adopt else "leave", finding, finding.differences))
        else:
            plan.append(Step("create", finding))
    return plan


_NAME = re.compile(r"^.+-(Elasticsearch|Cutwater)-.+-Alarm$")


def may_be_ours(alarm: Alarm) -> bool:
    """Whether an alarm is called as ours are; the tag decides."""
    return bool(alarm.get("MetricName") and _NAME.match(str(alarm.get("AlarmName"))))


def orphans(alarms: Iterable[Alarm], domains: Iterable[str], account: str) -> list[Alarm]:
    """Those of ``alarms`` whose domain is no more."""
    there = set(domains)
    found = []
    for alarm in alarms:
        dimensions = {each["Name"]: each["Value"] for each in alarm.get("Dimensions") or []}
        domain = dimensions.get("DomainName")
        if (
            alarm.get("Namespace") == "AWS/ES"
            and dimensions.get("ClientId") == account
            and domain not in there | {None}
        ):
            found.append(alarm)
    return found


def about(alarm: Alarm) -> str:
    """The domain or stream that an alarm is about."""
    dimensions = {each["Name"]: each["Value"] for each in alarm.get("Dimensions") or []}
    return dimensions.get("DomainName") or dimensions.get("StreamName") or dimensions.get("stream") or ""
