"""``cutwater alarms``: look at one account in one region, and say or do what is due."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from service.nearest import nearest
from service.operate.alarms import plan, text
from service.operate.alarms.account import Account
from service.operate.alarms.domain import Domain, described
from service.operate.alarms.plan import Alarm, Finding, Step, Stream
from service.operate.alarms.rules import RuleSet

Progress = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]


class Scope(NamedTuple):
    """What is looked at, and what should be there."""

    rules: RuleSet
    environment: str
    least_free: float  # MB
    prefix: str | None = None  # of domains' names; None: none but ``domains``
    domains: tuple[str, ...] = ()
    streams: tuple[Stream, ...] = ()


class Survey(NamedTuple):
    """What there is."""

    account: Account
    domains: list[Domain]
    undescribed: dict[str, str]  # why, by the domain's name
    findings: list[Finding]
    alarms: list[Alarm]
    orphans: list[Alarm]  # called as ours, of domains that are no more

    def of(self, about: str) -> list[Finding]:
        """The findings about a domain or stream."""
        return [finding for finding in self.findings if finding.wanted.about == about]

    @property
    def well(self) -> bool:
        """Whether everything is as it should be, as far as it could be looked at, and all of it could."""
        return not self.undescribed and all(finding.state == "ok" for finding in self.findings)


async def survey(account: Account, scope: Scope, actions: Sequence[str] | None, progress: Progress) -> Survey:
    """Look at all of ``scope``. Raises AccountError."""
    names = await account.domains()
    chosen = [name for name in names if scope.prefix is not None and name.startswith(scope.prefix)]
    chosen += [name for name in scope.domains if name not in chosen]
    with progress("domains", len(chosen)) as done:
        statuses, undescribed = await account.describe({name: names.get(name, "") for name in chosen}, done)
    undescribed = {
        name: problem + ("" if name in names else nearest(name, names)) for name, problem in undescribed.items()
    }
    with progress("alarms", None) as done:
        alarms = await account.alarms(done)
    domains = [described(status) for status in statuses]
    given: dict[str, Any] = {"environment": scope.environment, "actions": actions}
    wanted = [
        one
        for domain in domains
        for one in plan.of_domain(domain, scope.rules, account=account.id, least_free=scope.least_free, **given)
    ]
    wanted += [one for stream in scope.streams for one in plan.of_stream(stream, scope.rules, **given)]
    findings = [
        finding
        for about in dict.fromkeys(one.about for one in wanted)
        for finding in plan.compare([one for one in wanted if one.about == about], alarms)
    ]
    orphans = await account.ours(filter(plan.may_be_ours, plan.orphans(alarms, [*names, *chosen], account.id)))
    return Survey(
        account, domains, undescribed, findings, alarms, [one for one in alarms if one["AlarmName"] in orphans]
    )


async def steps(found: Survey, adopt: bool) -> list[Step]:
    """What is to be done, of what was found."""
    names = {alarm["AlarmName"]: alarm for alarm in found.alarms}
    asked = [names[one.wanted.name] for one in found.findings if one.wanted.name in names]
    return plan.steps(found.findings, await found.account.ours(asked), names, adopt)


async def carry_out(found: Survey, due: Sequence[Step], tell: Callable[[str], None]) -> None:
    """Take the steps, in order; another run goes on where this one was cut off. Raises AccountError."""
    present = {alarm["AlarmName"]: alarm for alarm in found.alarms}
    for step in due:
        tell(text.done_line(step))
        name = step.finding.wanted.name
        if step.do == "leave":
            continue
        if step.do == "adopt":
            await found.account.mark(present[name])
        await found.account.put(step.finding.wanted.request(present.get(name)), new=step.do == "create")


async def removable(account: Account, what: str, scope: Scope) -> list[Alarm]:
    """Alarms that Cutwater made: ``orphans`` of domains that are no more, ``surplus`` that no rule wants, or ``all``.

    Surplus and all are of the scope's domains and streams, and surplus only of the scope's environment.
    """
    alarms = await account.alarms()
    names = await account.domains()
    if what == "orphans":
        asked = plan.orphans(alarms, names, account.id)
    else:
        domains = {name for name in names if scope.prefix is not None and name.startswith(scope.prefix)}
        inside = domains | set(scope.domains) | {stream.name for stream in scope.streams}
        asked = [alarm for alarm in alarms if plan.about(alarm) in inside]
    ours = await account.ours(filter(plan.may_be_ours, asked))
    found = [alarm for alarm in alarms if alarm["AlarmName"] in ours]
    if what != "surplus":
        return found
    there = await survey(account, scope, None, _silent)
    wanted = {finding.wanted.name for finding in there.findings}
    kept = set(there.undescribed)  # what rules ask of these is not known
    return [
        alarm
        for alarm in found
        if alarm["AlarmName"] not in wanted
        and plan.about(alarm) not in kept
        and alarm["AlarmName"].startswith(f"{scope.environment}-")
    ]


class _Silence:
    def __enter__(self) -> Callable[[int], None]:
        return lambda number: None

    def __exit__(self, *_: object) -> None:
        pass


def _silent(what: str, total: int | None) -> _Silence:
    return _Silence()


def as_json(found: Survey, due: Sequence[Step] | None = None) -> dict[str, Any]:
    """What was found in one region, and what is ``due``, as JSON."""
    abouts = [(domain.name, "domain") for domain in found.domains]
    abouts += [(name, "stream") for name in dict.fromkeys(one.wanted.about for one in found.findings)]
    described = {domain.name: domain for domain in found.domains}
    watched = []
    for name, kind in dict(reversed(abouts)).items():
        one: dict[str, Any] = {kind: name}
        if kind == "domain":
            domain = described[name]
            storage = domain.storage
            one |= {
                "engine": domain.engine,
                "version": domain.version,
                "nodes": domain.nodes,
                "node_storage_mb": storage.node,
                "warnings": list(domain.warnings().values()),
            }
        watched.append(one | {"alarms": [_alarm(finding) for finding in found.of(name)]})
    states = [finding.state for finding in found.findings]
    answer: dict[str, Any] = {
        "region": found.account.region,
        "account": found.account.id,
        "well": found.well,
        "counts": {state: states.count(state) for state in ("ok", "different", "missing")},
        "watched": watched,
        "undescribed": [{"domain": name, "error": error} for name, error in found.undescribed.items()],
        "orphans": [alarm["AlarmName"] for alarm in found.orphans],
    }
    if due is not None:
        answer["steps"] = [
            {"do": step.do, "name": step.finding.wanted.name, "changes": [each._asdict() for each in step.differences]}
            for step in due
        ]
    return answer


def _alarm(finding: Finding) -> dict[str, Any]:
    wanted, alarm = finding.wanted, finding.alarm or {}
    return {
        "name": alarm.get("AlarmName", wanted.name),
        "metric": wanted.rule.metric,
        "state": finding.state,
        "now": alarm.get("StateValue"),
        "threshold": wanted.threshold,
        "differences": [each._asdict() for each in finding.differences],
    }
