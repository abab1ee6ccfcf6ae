"""Alerts of OSSEC on a few hosts, as the CloudWatch agent and a subscription filter deliver ``alerts.json``.

Each host's log stream is its instance. Sessions open and close around the clock, administrators use sudo by day, web
servers get bad requests, packages come and go. Faults: a brute force from one address over several hosts; a host that
falls silent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from simulator.events import EventRecord, Fault
from simulator.events.carriers import (
    MINUTE,
    Dice,
    LogIds,
    active,
    compact,
    control_payload,
    log_payload,
    placed,
    rhythm,
)

FAULTS = ("brute force", "silent host")
RATE = 3.0
ACCOUNT, LOG_GROUP = "123456789012", "hids-alerts-us-east-1"
ATTACKER = "203.0.113.200"


class Host(NamedTuple):
    """A host: its instance, its name, and whether it serves the web."""

    instance: str
    name: str
    address: str
    web: bool


HOSTS = tuple(
    Host(f"i-0{number:016x}", name, f"ip-10-0-1-{10 + number}", name.startswith("web"))
    for number, name in enumerate(("web-1", "web-2", "app-1", "app-2", "database", "bastion"), 1)
)


class Rule(NamedTuple):
    """A rule of OSSEC: its number, level, words and groups."""

    sidid: int
    level: int
    comment: str
    groups: tuple[str, ...]


SUDO = Rule(5402, 3, "Successful sudo to ROOT executed", ("syslog", "sudo"))
BAD_REQUEST = Rule(31101, 5, "Web server 400 error code.", ("web", "accesslog"))
SCAN = Rule(5706, 6, "SSH insecure connection attempt (scan).", ("syslog", "sshd", "recon"))
OPENED = Rule(5501, 3, "Login session opened.", ("pam", "syslog", "authentication_success"))
CLOSED = Rule(5502, 3, "Login session closed.", ("pam", "syslog"))
INSTALLED = Rule(2932, 7, "New Yum package installed.", ("syslog", "yum", "config_changed"))
DELETED = Rule(2934, 7, "Yum package deleted.", ("syslog", "yum", "config_changed"))
NO_USER = Rule(5710, 5, "Attempt to login using a non-existent user", ("syslog", "sshd", "invalid_login"))
FAILED = Rule(5716, 5, "SSHD authentication failed.", ("syslog", "sshd", "authentication_failed"))
BRUTE = Rule(
    5712, 10, "SSHD brute force trying to get access to the system.", ("syslog", "sshd", "authentication_failures")
)

# Rule, its share on a host that serves the web and on another, and whether it follows people's day.
_USUAL = (
    (OPENED, 4.0, 5.0, False),
    (CLOSED, 4.0, 5.0, False),
    (SUDO, 1.0, 1.5, True),
    (BAD_REQUEST, 4.0, 0.0, True),
    (SCAN, 0.3, 0.3, False),
    (NO_USER, 0.2, 0.2, False),
    (FAILED, 0.1, 0.1, True),
    (INSTALLED, 0.1, 0.1, True),
    (DELETED, 0.05, 0.05, True),
)
_EACH_MINUTE = 2  # alerts at least, of a host's own scheduled jobs
_ATTACKED = HOSTS[:4]
_USERS = ("root", "admin", "oracle", "test", "ubuntu", "postgres")


def plan(start: int, seconds: float) -> tuple[Fault, ...]:
    """A brute force after half of the stream, silence after four fifths."""
    return placed(start, seconds, (("brute force", 0.5, 8, ATTACKER), ("silent host", 0.8, 40, HOSTS[4].instance)))


def files() -> Mapping[str, bytes]:
    """It needs none."""
    return {}


def generate(
    start: int, rate: float, seconds: float, seed: int, faults: Sequence[Fault] | None = None
) -> Iterator[EventRecord]:
    """Records in the order of their minutes, each a payload of CloudWatch Logs; its partition key is the instance."""
    faults = plan(start, seconds) if faults is None else faults
    dice = Dice(seed)
    ids = LogIds(seed)
    offsets = dict.fromkeys(HOSTS, 4096)  # where the next alert is in its host's file
    end = start + round(seconds * 1000)
    yield EventRecord("control", control_payload(start), start)
    for minute in range(start, end, MINUTE):
        attack, silent = active(faults, "brute force", minute), active(faults, "silent host", minute)
        for host in HOSTS:
            alerts = _usual(dice, host, rate, minute)
            if attack and host in _ATTACKED:
                alerts += _attack(dice, minute, attack.about)
            if silent and silent.about == host.instance:
                continue  # the same random numbers are drawn, so that nothing else changes
            alerts.sort(key=lambda each: each[0])
            events = []
            for time, rule, more, line in alerts:
                offsets[host] += 300 + len(line)
                message = compact(_alert(host, time, rule, more, line, offsets[host])).decode()
                events.append((ids(time), time, message))
            data = log_payload(ACCOUNT, LOG_GROUP, host.instance, "to-kinesis", events)
            yield EventRecord(
                host.instance, data, alerts[-1][0], attack.kind if attack and host in _ATTACKED else None
            )  # fmt: skip


_Alert = tuple[int, Rule, dict[str, Any], str]


def _usual(dice: Dice, host: Host, rate: float, minute: int) -> list[_Alert]:
    busy = rhythm(minute, 0.6)
    weights = [(web if host.web else other) * (busy if people else 1) for _, web, other, people in _USUAL]
    scale = sum(web if host.web else other for _, web, other, _ in _USUAL)
    expected = max(0.0, rate * 60 / len(HOSTS) - _EACH_MINUTE) * sum(weights) / scale
    alerts = []
    for number in range(_EACH_MINUTE):
        time = minute + 1000 + number  # the scheduled job: a session opens and closes
        user = {"srcuser": "", "dstuser": "root"}
        what = "opened" if number == 0 else "closed"
        line = f"CRON[{2000 + minute // MINUTE % 9000}]: pam_unix(cron:session): session {what} for user root"
        alerts.append((time, (OPENED, CLOSED)[number], user, line))
    rules = [rule for rule, *_ in _USUAL]
    for rule in dice.choices(rules, weights, k=dice.poisson(expected)):
        (time,) = dice.times(1, minute)
        more, line = _details(dice, rule)
        alerts.append((time, rule, more, line))
    return alerts


def _attack(dice: Dice, minute: int, source: str) -> list[_Alert]:
    alerts: list[_Alert] = []
    for number in range(dice.randrange(40, 60)):
        user = dice.choice(_USERS)
        rule = BRUTE if number % 8 == 7 else FAILED
        port = dice.randrange(30000, 60000)
        line = f"sshd[{port}]: Failed password for {user} from {source} port {port} ssh2"
        more = {"srcip": source, "srcport": str(port), "dstuser": user}
        alerts.append((dice.times(1, minute)[0], rule, more, line))
    return alerts


def _details(dice: Dice, rule: Rule) -> tuple[dict[str, Any], str]:
    process = dice.randrange(1000, 30000)
    if rule in (OPENED, CLOSED):
        what = "opened" if rule is OPENED else "closed"
        return {"dstuser": "ec2-user"}, f"sshd[{process}]: pam_unix(sshd:session): session {what} for user ec2-user"
    if rule is SUDO:
        chosen = dice.choice(("/usr/bin/yum update", "/bin/systemctl restart nginx", "/bin/journalctl -u nginx"))
        return {"srcuser": "ec2-user", "dstuser": "root", "command": chosen}, (
            f"sudo: ec2-user : TTY=pts/0 ; PWD=/srv/app ; USER=root ; COMMAND={chosen}"
        )
    if rule is BAD_REQUEST:
        source, path = dice.public_address(), dice.choice(("/wp-login.php", "/.env", "/favicon.ico"))
        return {"srcip": source, "url": path}, f'{source} - - "GET {path} HTTP/1.1" 404 196 "-" "curl/8.5.0"'
    if rule in (INSTALLED, DELETED):
        package = dice.choice(("htop-3.3.0", "jq-1.7.1", "tcpdump-4.99.4"))
        return {}, f"yum[{process}]: {'Installed' if rule is INSTALLED else 'Erased'}: {package}"
    office = f"62.157.20.{dice.randrange(10, 40)}"  # of one of its people
    source, port = (office if rule is FAILED else dice.public_address()), dice.randrange(30000, 60000)
    user = "ec2-user" if rule is FAILED else dice.choice(_USERS)
    if rule is SCAN:
        return {"srcip": source}, f"sshd[{process}]: Did not receive identification string from {source} port {port}"
    words = "Failed password for" if rule is FAILED else "Invalid user"
    return {"srcip": source, "srcport": str(port), "dstuser": user}, (
        f"sshd[{process}]: {words} {user} from {source} port {port}"
    )


def _alert(host: Host, time: int, rule: Rule, more: Mapping[str, Any], line: str, offset: int) -> dict[str, Any]:
    """A line of ``alerts.json`` as OSSEC 2.9 writes it."""
    moment = datetime.fromtimestamp(time / 1000, UTC)
    log = "/var/log/httpd/access_log" if rule is BAD_REQUEST else "/var/log/secure"
    program = {} if rule is BAD_REQUEST else {"program_name": line.split("[")[0].split(":")[0]}
    syslog = line if rule is BAD_REQUEST else f"{moment:%b %d %H:%M:%S} {host.address} {line}"
    frequency = {"frequency": 8} if rule is BRUTE else {}
    return {
        "rule": {
            "level": rule.level,
            "comment": rule.comment,
            "sidid": rule.sidid,
            **frequency,
            "group": ",".join(rule.groups) + ",",
        },
        "id": f"{time // 1000}.{offset}",
        "TimeStamp": time,
        "decoder": "web-accesslog" if rule is BAD_REQUEST else program["program_name"].lower(),
        **{name: value for name, value in more.items() if value},
        "location": log,
        "full_log": syslog,
        "hostname": host.address,
        **program,
        "agent_name": host.name,
        "timestamp": f"{moment:%Y %b %d %H:%M:%S}",
        "logfile": log,
    }
