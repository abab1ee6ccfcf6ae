"""What was found, in the words of the scripts of 2017, so that what reads their output reads this, too."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from service.operate.alarms.domain import Domain
from service.operate.alarms.plan import Difference, Finding, Step, Wanted

LINE = "=" * 103


def domain_lines(domain: Domain, findings: Sequence[Finding], warnings: Collection[str] | None) -> Iterator[str]:
    """The check of one domain; ``warnings`` are the short names of those that are told, None: all."""
    name, status, cluster = domain.name, domain.status, domain.cluster
    yield LINE
    yield f"Starting checks for {domain.engine} domain {name} , version is {domain.version}"
    if vpc := status.get("VPCOptions"):
        yield (
            f"{name} VPC:  {vpc.get('VPCId')} AZs: {vpc.get('AvailabilityZones')} subnets: {vpc.get('SubnetIds')}"
            f"  security groups: {vpc.get('SecurityGroupIds')}"
        )
    if (encryption := status.get("EncryptionAtRestOptions") or {}).get("Enabled"):
        yield f"{name} EncryptionAtRestOptions:  {encryption['Enabled']} Key: {encryption.get('KmsKeyId')}"
    hour = (status.get("SnapshotOptions") or {}).get("AutomatedSnapshotStartHour")
    if hour is not None:
        yield f"{name} Automated snapshot hour (UTC): {hour}"
    count, kind = domain.storage.nodes, cluster.get("InstanceType")
    yield f"{name} Instance configuration: {count} instances; type:{kind}"
    if domain.masters:
        yield f"{name} {domain.masters} masters; type: {cluster.get('DedicatedMasterType')}"
    if logs := domain.slow_logs():
        yield f"{name} " + "".join(f"{word} slow logs enabled: True" for word in logs)
    wanted = [finding.wanted for finding in findings]
    yield from (f"{name} {line}" for line in storage_lines(domain, wanted))
    for short, warning in domain.warnings().items():
        if warnings is None or short in warnings or short == "storage":
            yield f"{name} WARNING: {warning}"
    yield from finding_lines(findings)


def storage_lines(domain: Domain, wanted: Sequence[Wanted]) -> Iterator[str]:
    """What a domain's data is kept on, and how much of a node should stay free."""
    storage = domain.storage
    free = next((one.threshold for one in wanted if one.rule.depends_on_storage), None)
    if storage.ebs is not None:
        iops = f"{storage.ebs['Iops']} Iops" if "Iops" in storage.ebs else "No Iops"
        total = int((storage.node or 0) * storage.nodes)
        yield (
            f"EBS enabled: {storage.ebs['EBSEnabled']} type: {storage.ebs.get('VolumeType')}"
            f" size (GB): {storage.ebs.get('VolumeSize')} {iops} {total}  total storage (MB)"
        )
    elif storage.instance is not None and free is not None:
        yield f"Instance storage definition is: {storage.instance:g} GB; free storage calced to: {free} MB"
    if free is not None:
        yield f"Desired free storage set to (in MB): {free}"


def finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Each alarm: ok, missing, or what does not match. What depends on the storage comes last, as it did."""
    for finding in sorted(findings, key=lambda finding: finding.wanted.rule.depends_on_storage):
        wanted, alarm = finding.wanted, finding.alarm
        if alarm is None:
            yield f"{wanted.about} WARNING: Missing alarm!! {_as_tuple(wanted)}"
        elif not finding.differences:
            yield f"{wanted.about} Alarm ok; definition matches. {alarm['AlarmName']} {wanted.rule.metric}"
        for field, should, found in finding.differences:
            yield (
                f"{wanted.about} Alarm: {field} does not match: {(alarm or {})['AlarmName']}"
                f" Should be:  {should} ; is {found}"
            )


def step_line(step: Step) -> str:
    """A step of a plan."""
    wanted = step.finding.wanted
    rule = wanted.rule
    what = (
        f"{rule.metric} {rule.statistic} {rule.operator} {wanted.threshold:.15g} for {rule.periods} x {rule.period} s"
    )
    changes = "; ".join(map(change, step.differences))
    detail = {
        "create": what,
        "update": changes,
        "adopt": f"{changes}; not made by Cutwater",
        "leave": f"{changes}; not made by Cutwater, so it stays as it is; --adopt takes it over",
    }
    return f"  {step.do:<12} {wanted.name}: {detail[step.do]}"


def done_line(step: Step) -> str:
    """The same when it is carried out, as the old script said it."""
    if step.do == "create":
        return f"Creating  {step.finding.wanted.name}"
    if step.do == "leave":
        return f"Leaving  {step.finding.wanted.name}: not made by Cutwater (--adopt takes it over)"
    return f"Updating  {step.finding.wanted.name}: " + "; ".join(map(change, step.differences))


def change(difference: Difference) -> str:
    """A field that becomes another."""
    return f"{difference.field} {_short(difference.found)} -> {_short(difference.should)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _as_tuple(wanted: Wanted) -> str:
    definition = wanted.definition()
    fields = ("Statistic", "Period", "EvaluationPeriods", "ComparisonOperator", "Threshold")
    return str((wanted.rule.metric, *(definition[field] for field in fields)))
