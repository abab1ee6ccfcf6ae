"""Flow logs of a small network: web servers, applications, a database, a cache and a bastion, by CloudWatch Logs.

Each minute each interface reports its conversations, both directions of each, in gzip payloads of a subscription
filter. An idle interface reports NODATA; now and then a minute is skipped. Faults: a port scan, refused on hundreds of
ports; an exfiltration, in which an application sends far more than ever to one address outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

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

FAULTS = ("port scan", "exfiltration")
RATE = 20.0
ACCOUNT, REGION, NETWORK = "123456789012", "us-east-1", "vpc-0cut0water000001"
LOG_GROUP = "Flowlogs"
SCANNER, DROP = "203.0.113.77", "203.0.113.99"
OFFICE = "62.157.20.17"
CLOCK = "169.254.169.123"  # Amazon's time server
DEFAULT_FORMAT = (
    "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} "
    "${bytes} ${start} ${end} ${action} ${log-status}"
)
LOG_FORMAT = f"{DEFAULT_FORMAT} ${{tcp-flags}} ${{flow-direction}}"
TCP, UDP = 6, 17
_REQUEST, _ANSWER = 3, 19  # SYN and FIN; SYN-ACK and FIN
_LINES = 150  # in a payload
_SKIPPED = 1 / 2000  # of minutes of an interface


class Interface(NamedTuple):
    """A network interface: its name here, its id, address and security groups."""

    name: str
    id: str
    address: str
    groups: tuple[str, ...]
    public: str = ""


WEB, APP, DATA, SSH, OLD, LONELY = (
    f"sg-0{name:0>16}" for name in ("3eb", "a99", "da7a", "55", "01d", "10ne1")
)  # fmt: skip
INTERFACES = (
    Interface("web-1", "eni-0000000000000e001", "10.0.1.11", (WEB,), "54.86.10.11"),
    Interface("web-2", "eni-0000000000000e002", "10.0.1.12", (WEB,), "54.86.10.12"),
    Interface("app-1", "eni-0000000000000a001", "10.0.2.21", (APP,)),
    Interface("app-2", "eni-0000000000000a002", "10.0.2.22", (APP,)),
    Interface("database", "eni-0000000000000d001", "10.0.3.31", (DATA,)),
    Interface("cache", "eni-0000000000000c001", "10.0.3.41", (DATA,)),
    Interface("bastion", "eni-0000000000000b001", "10.0.1.5", (SSH,), "54.86.10.5"),
    Interface("idle", "eni-0000000000000f001", "10.0.9.9", (OLD,)),
)
_BY_NAME = {each.name: each for each in INTERFACES}


class _Kind(NamedTuple):
    """A kind of conversation: who begins, who answers at which port, how often, and bytes of request and answer."""

    clients: tuple[str, ...]
    servers: tuple[str, ...]
    port: int
    protocol: int
    weight: float
    sent: float
    answered: float


_KINDS = (
    _Kind(("internet",), ("web-1", "web-2"), 443, TCP, 6.0, 2_000, 40_000),
    _Kind(("internet",), ("web-1", "web-2"), 80, TCP, 1.0, 500, 900),
    _Kind(("web-1", "web-2"), ("app-1", "app-2"), 8080, TCP, 4.0, 3_000, 30_000),
    _Kind(("app-1", "app-2"), ("database",), 5432, TCP, 3.0, 4_000, 60_000),
    _Kind(("app-1", "app-2"), ("cache",), 6379, TCP, 2.0, 900, 5_000),
    _Kind(("app-1", "app-2"), ("internet",), 443, TCP, 0.7, 6_000, 20_000),
    _Kind(("office",), ("bastion",), 22, TCP, 0.2, 9_000, 15_000),
    _Kind(("app-1", "app-2", "database", "cache"), ("clock",), 123, UDP, 0.3, 76, 76),
)
_NOISE = 0.06  # of conversations: somebody knocks at a port that is closed
_KNOCKED = (23, 22, 445, 3389, 5060, 8081, 2375, 1433, 3306, 6379)


class _Flow(NamedTuple):
    """A line to be."""

    interface: Interface
    source: str
    destination: str
    source_port: int
    destination_port: int
    protocol: int
    packets: int
    size: int
    start: int
    end: int
    action: str
    flags: int
    ingress: bool
    label: str | None = None


def plan(start: int, seconds: float) -> tuple[Fault, ...]:
    """A scan after half of the stream, an exfiltration after four fifths."""
    return placed(start, seconds, (("port scan", 0.5, 4, "web-1"), ("exfiltration", 0.8, 15, "app-2")))


def files() -> Mapping[str, bytes]:
    """The network's interfaces and the rules of its security groups, as EC2 describes them."""
    interfaces = [
        {
            "NetworkInterfaceId": each.id,
            "Description": each.name,
            "VpcId": NETWORK,
            "PrivateIpAddress": each.address,
            "PrivateIpAddresses": [
                {"PrivateIpAddress": each.address, "Primary": True}
                | ({"Association": {"PublicIp": each.public}} if each.public else {})
            ],
            "Groups": [{"GroupId": group, "GroupName": _GROUP_NAMES[group]} for group in each.groups],
        }
        for each in INTERFACES
    ]
    rules = [
        {
            "SecurityGroupRuleId": f"sgr-{number:017d}",
            "GroupId": group,
            "GroupOwnerId": ACCOUNT,
            "IsEgress": egress,
            "IpProtocol": protocol,
            "FromPort": first,
            "ToPort": last,
            **({"ReferencedGroupInfo": {"GroupId": peer}} if peer.startswith("sg-") else {"CidrIpv4": peer}),
        }
        for number, (group, egress, protocol, first, last, peer) in enumerate(_RULES, 1)
    ]
    groups = [{"GroupId": each, "GroupName": name, "VpcId": NETWORK} for each, name in _GROUP_NAMES.items()]
    return {
        "interfaces.json": compact({"NetworkInterfaces": interfaces}),
        "rules.json": compact({"SecurityGroupRules": rules, "SecurityGroups": groups}),
    }


_GROUP_NAMES = {WEB: "web", APP: "app", DATA: "data", SSH: "ssh", OLD: "old", LONELY: "lonely"}
_RULES = (
    (WEB, False, "tcp", 443, 443, "0.0.0.0/0"),
    (WEB, False, "tcp", 80, 80, "0.0.0.0/0"),
    (WEB, False, "tcp", 8443, 8443, "0.0.0.0/0"),  # nobody uses it
    (APP, False, "tcp", 8080, 8080, WEB),
    (APP, False, "tcp", 22, 22, SSH),  # nobody uses it
    (DATA, False, "tcp", 5432, 5432, "10.0.0.0/8"),  # wider than its use
    (DATA, False, "tcp", 6379, 6379, APP),
    (SSH, False, "tcp", 22, 22, "62.157.0.0/16"),
    (OLD, False, "tcp", 0, 65535, "10.0.0.0/8"),
    (LONELY, False, "tcp", 3389, 3389, "0.0.0.0/0"),
    *((group, True, "-1", -1, -1, "0.0.0.0/0") for group in (WEB, APP, DATA, SSH)),
)


def generate(
    start: int,
    rate: float,
    seconds: float,
    seed: int,
    faults: Sequence[Fault] | None = None,
    log_format: str = LOG_FORMAT,
) -> Iterator[EventRecord]:
    """Records in the order of their minutes, each a payload of CloudWatch Logs; its partition key is the log stream.

    ``log_format``: which fields a line has; ``DEFAULT_FORMAT`` is that of version 2.
    """
    faults = plan(start, seconds) if faults is None else faults
    dice = Dice(seed)
    names = [part.strip("${}") for part in log_format.split()]
    ids = LogIds(seed)
    end = start + round(seconds * 1000)
    yield EventRecord("control", control_payload(start), start)
    for minute in range(start, end, MINUTE):
        flows = [*_usual(dice, rate, minute), *_faulty(dice, faults, minute)]
        for interface in INTERFACES:
            own = sorted((each for each in flows if each.interface is interface), key=lambda each: each.start)
            skipped = dice.random() < _SKIPPED
            if skipped or not own:
                line = _coverage(interface, minute, names, "SKIPDATA" if skipped else "NODATA")
                yield _payload(interface, [(ids(minute), minute, line)], minute + 59_000, None)
                continue
            for first in range(0, len(own), _LINES):
                part = own[first : first + _LINES]
                events = [(ids(each.start * 1000), each.start * 1000, _line(each, names)) for each in part]
                label = next((each.label for each in part if each.label), None)
                yield _payload(interface, events, max(each.end for each in part) * 1000, label)


def _payload(interface: Interface, events: Sequence[tuple[str, int, str]], time: int, label: str | None) -> EventRecord:
    stream = f"{interface.id}-all"
    return EventRecord(stream, log_payload(ACCOUNT, LOG_GROUP, stream, "to-kinesis", events), time, label)


def _usual(dice: Dice, rate: float, minute: int) -> Iterator[_Flow]:
    """The lines of a minute's conversations; a conversation of two of our interfaces has four lines."""
    weights = [kind.weight for kind in _KINDS]
    conversations = rate * rhythm(minute) * MINUTE / 1000 / 3
    for kind in dice.choices(_KINDS, weights, k=dice.poisson(conversations)):
        client, server = dice.choice(kind.clients), dice.choice(kind.servers)
        size = dice.lognormvariate(0, 0.5)
        yield from _conversation(dice, minute, client, server, kind, size)
    for _ in range(dice.poisson(conversations * _NOISE)):
        target = dice.choice(("web-1", "web-2", "bastion"))
        yield _refused(dice, minute, dice.public_address(), _BY_NAME[target], dice.choice(_KNOCKED))


def _conversation(
    dice: Dice,
    minute: int,
    client: str,
    server: str,
    kind: _Kind,
    size: float,
    label: str | None = None,
) -> Iterator[_Flow]:
    one, other = _end(dice, client), _end(dice, server)
    port = dice.randrange(32768, 61000) if kind.protocol == TCP else 123
    begin, finish = _span(dice, minute)
    sent, answered = max(40, round(kind.sent * size)), max(40, round(kind.answered * size))
    flags = (_REQUEST, _ANSWER) if kind.protocol == TCP else (0, 0)
    for interface in (_BY_NAME.get(client), _BY_NAME.get(server)):
        if interface is None:
            continue
        ours_is_client = interface.name == client
        yield _Flow(
            interface, one, other, port, kind.port, kind.protocol, 1 + sent // 900, sent,
            begin, finish, "ACCEPT", flags[0], not ours_is_client, label,
        )  # fmt: skip
        yield _Flow(
            interface, other, one, kind.port, port, kind.protocol, 1 + answered // 900, answered,
            begin, finish, "ACCEPT", flags[1], ours_is_client, label,
        )  # fmt: skip


def _end(dice: Dice, name: str) -> str:
    if name in _BY_NAME:
        return _BY_NAME[name].address
    return {"office": OFFICE, "clock": CLOCK, "drop": DROP}.get(name) or dice.public_address()


def _refused(dice: Dice, minute: int, source: str, target: Interface, port: int, label: str | None = None) -> _Flow:
    begin, finish = _span(dice, minute)
    own_port = dice.randrange(32768, 61000)
    return _Flow(
        target, source, target.address, own_port, port, TCP, 1, 44, begin, finish, "REJECT", 2, True, label
    )  # fmt: skip


def _faulty(dice: Dice, faults: Iterable[Fault], minute: int) -> Iterator[_Flow]:
    if scan := active(faults, "port scan", minute):
        for port in dice.sample(range(1, 10_000), 400):
            yield _refused(dice, minute, SCANNER, _BY_NAME[scan.about], port, scan.kind)
    if theft := active(faults, "exfiltration", minute):
        kind = _Kind((theft.about,), ("drop",), 443, TCP, 1, 60e6, 400e3)
        for _ in range(3):
            size = dice.uniform(0.7, 1.3)
            yield from _conversation(dice, minute, theft.about, "drop", kind, size, theft.kind)


def _span(dice: Dice, minute: int) -> tuple[int, int]:
    """First and last second of a flow, within its minute."""
    first, last = sorted((dice.randrange(60), dice.randrange(60)))
    return minute // 1000 + first, minute // 1000 + last


def _line(flow: _Flow, names: Sequence[str]) -> str:
    values = {
        "version": "5" if len(names) > 14 else "2",
        "account-id": ACCOUNT,
        "interface-id": flow.interface.id,
        "srcaddr": flow.source,
        "dstaddr": flow.destination,
        "srcport": flow.source_port,
        "dstport": flow.destination_port,
        "protocol": flow.protocol,
        "packets": flow.packets,
        "bytes": flow.size,
        "start": flow.start,
        "end": flow.end,
        "action": flow.action,
        "log-status": "OK",
        "vpc-id": NETWORK,
        "region": REGION,
        "type": "IPv4",
        "tcp-flags": flow.flags,
        "flow-direction": "ingress" if flow.ingress else "egress",
    }
    return " ".join(str(values.get(name, "-")) for name in names)


def _coverage(interface: Interface, minute: int, names: Sequence[str], status: str) -> str:
    """The line of a minute without flows: nothing came, or what came was not recorded."""
    values = {
        "version": "5" if len(names) > 14 else "2",
        "account-id": ACCOUNT,
        "interface-id": interface.id,
        "start": minute // 1000,
        "end": minute // 1000 + 59,
        "log-status": status,
    }
    return " ".join(str(values.get(name, "-")) for name in names)
