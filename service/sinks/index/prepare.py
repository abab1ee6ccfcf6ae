"""What a server must know before documents come, as steps that can be shown before they are taken.

Every step looks first: what is there and ours is brought up to date, what is somebody else's stops the plan. A step
that was taken is ``present`` from then on, so a plan can be carried out any number of times.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from typing import Any, Literal, Protocol

import orjson
from opensearchpy.exceptions import RequestError

from service.pipeline.documents import SCHEMA_VERSION, Kind
from service.sinks.index import IndexSetupError
from service.sinks.index.event_fields import EventLayout
from service.sinks.index.failures import explain
from service.sinks.index.fields import DEAD_LETTER_FIELDS, FIELDS, OWNER, ObjectKind, mapping

REFRESH = "1s"  # set because an index without an interval of its own is not refreshed until somebody searches
PRIORITY = 200  # above the templates that the servers bring along

Rotation = Literal["NoRotation", "OneHour", "OneDay", "OneWeek", "OneMonth"]  # Firehose's names
State = Literal["present", "create", "update", "unavailable"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that must be so.

    Attributes:
        what: it, for people.
        state: present, to be created or updated, or unavailable on this server.
        detail: why unavailable, what changes, or what the server makes of it.
        take: makes it so; does nothing where nothing is to do.
    """

    what: str
    state: State
    detail: str = ""
    take: Callable[[], Awaitable[Any]] | None = None


class Server(Protocol):
    """Requests to the server that wait while it is away."""

    distribution: str
    serverless: bool
    objects: ObjectKind

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer; None for 404. Raises RequestError for 400 and 405, IndexSetupError for others."""
        ...

    def error(self, reason: str) -> IndexSetupError:
        """An error that names the server."""
        ...


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of everything that belongs to one prefix: documents of one kind, and the dead letters beside scores."""

    prefix: str
    features: tuple[str, ...]
    rotation: Rotation = "OneDay"
    retention_days: int = 0
    labels: tuple[str, ...] = ()
    objects: ObjectKind = "object"
    kind: Kind = "score"
    events: EventLayout = field(default_factory=EventLayout)

    @property
    def index_days(self) -> int:
        """The age at which an index is deleted: its newest documents are then at least ``retention_days`` old."""
        return self.retention_days + _LONGEST[self.rotation]

    @property
    def letters(self) -> str:
        """The index of dead letters."""
        return f"{self.prefix}-deadletter"

    def index(self, moment: str) -> str:
        """The index of documents with this event time (ISO 8601, of which the first 13 characters count)."""
        return f"{self.prefix}-{_PERIODS[self.rotation](moment)}"

    def mapping_of(self, index: str) -> dict[str, Any] | None:
        """What an index of this name must know; None if the name is none of ours."""
        if index == self.letters and self.kind == "score":
            return mapping(DEAD_LETTER_FIELDS, ())
        ours = re.fullmatch(re.escape(self.prefix) + r"-(all|\d{4}\.(w?\d\d)(\.\d\d){0,2})", index)
        return self._mapping() if ours else None

    def _mapping(self) -> dict[str, Any]:
        if self.kind == "event":
            return self.events.of_events(self.objects)
        if self.kind == "window":
            return self.events.of_windows(self.objects)
        return mapping(FIELDS, self.features, self.labels, self.objects)

    def templates(self, *, serverless: bool, lifecycle: bool) -> dict[str, dict[str, Any]]:
        """Index templates by name."""
        # A longer prefix that begins like ours has the higher priority, so that two services never collide.
        priority = PRIORITY + len(self.prefix)
        settings: dict[str, Any] = {} if serverless else {"refresh_interval": REFRESH}
        letters = {"settings": {"index": settings}, "mappings": mapping(DEAD_LETTER_FIELDS, ())}
        if lifecycle:
            settings = settings | {"lifecycle.name": self.prefix}
        documents = {
            "settings": {"index": settings},
            "mappings": self._mapping(),
            "aliases": {self.prefix: {}},
        }
        templates = {self.prefix: _template([f"{self.prefix}-*.*", f"{self.prefix}-all"], priority, documents)}
        if self.kind == "score":
            templates[self.letters] = _template([self.letters], priority, letters)
        return templates


_LONGEST: dict[Rotation, int] = {"NoRotation": 0, "OneHour": 1, "OneDay": 1, "OneWeek": 7, "OneMonth": 31}  # days
_PERIODS: dict[Rotation, Callable[[str], str]] = {
    "NoRotation": lambda moment: "all",
    "OneHour": lambda moment: moment[:13].replace("-", ".").replace("T", "."),
    "OneDay": lambda moment: moment[:10].replace("-", "."),
    "OneWeek": lambda moment: _week(moment[:10]),
    "OneMonth": lambda moment: moment[:7].replace("-", "."),
}


_RECORDS: dict[ObjectKind, str] = {
    "flat_object": "records (index_record) as flat_object",
    "flattened": "records (index_record) as flattened",
    "object": "records (index_record) are kept, but this server cannot search them",
}


async def steps(server: Server, layout: Layout, *, retention: bool = True) -> list[Step]:
    """Everything that documents need: retention (unless left out), templates, new fields on the indices of before.

    Without a look at retention it is not known whether the template should name a policy: either is right then.
    """
    layout = replace(layout, objects=server.objects)
    policy = await _retention(server, layout) if layout.retention_days and retention else None
    lifecycle = server.distribution == "elasticsearch" and policy is not None and policy.state != "unavailable"
    plan = [policy] if policy else []
    if layout.prefix in (await server.request("GET", f"/{layout.prefix}/_mapping") or {}):  # an alias gives others
        raise server.error(f"an index is called {layout.prefix!r}, which shall be an alias; set another index_prefix")
    right = [layout.templates(serverless=server.serverless, lifecycle=each) for each in (False, True)]
    for name, template in right[lifecycle].items():
        digests = {each[name]["_meta"]["digest"] for each in ([right[lifecycle]] if retention else right)}
        step = await _template_step(server, name, template, digests)
        told = layout.kind == "score" and name == layout.prefix
        plan.append(replace(step, detail=_RECORDS[server.objects]) if told else step)
    return plan + await _mapping_steps(server, layout)


async def _template_step(server: Server, name: str, template: dict[str, Any], digests: Collection[str]) -> Step:
    path, what = f"/_index_template/{name}", f"index template {name!r}"
    present = ((await server.request("GET", path)) or {}).get("index_templates")
    take = partial(_put, server, what, path, template)
    if not present:
        return Step(what, "create", take=take)
    meta = present[0]["index_template"].get("_meta") or {}
    if meta.get("owner") != OWNER:
        raise server.error(f"the {what} is not Cutwater's; set another index_prefix")
    # By digest and not by comparing: what an administrator has tuned since stays until our own content changes.
    if meta.get("digest") in digests:
        return Step(what, "present")
    return Step(what, "update", take=take)


async def _mapping_steps(server: Server, layout: Layout) -> list[Step]:
    """New fields for the indices that were made with an older template."""
    present = await server.request("GET", f"/{layout.prefix}-*/_mapping") or {}
    plan = []
    for index, body in sorted(present.items()):
        if (wanted := layout.mapping_of(index)) is None:
            continue
        if (body["mappings"].get("_meta") or {}).get("owner") != OWNER:
            raise server.error(f"index {index!r} is not Cutwater's; set another index_prefix")
        if record := (body["mappings"].get("properties") or {}).get("record"):
            wanted["properties"]["record"] = record  # a server that was renewed may know a better type: for new indices
        if missing := flat(wanted).items() - flat(body["mappings"]).items():
            what = f"fields of index {index!r}"
            names = ", ".join(sorted(name for name, _ in missing))
            plan.append(Step(what, "update", names, partial(_put, server, what, f"/{index}/_mapping", wanted)))
    return plan


async def _retention(server: Server, layout: Layout) -> Step:
    """Index state management on OpenSearch, index lifecycle management on Elasticsearch."""
    what = f"retention policy {layout.prefix!r} ({layout.retention_days} days)"
    if layout.rotation == "NoRotation":
        return Step(what, "unavailable", "only whole indices are deleted, and there is one; set index_rotation")
    ours = server.distribution == "opensearch"
    path = f"/_plugins/_ism/policies/{layout.prefix}" if ours else f"/_ilm/policy/{layout.prefix}"
    if server.serverless:
        return Step(what, "unavailable", "a serverless collection has none; set its lifecycle policy in AWS")
    try:
        if not ours:  # a server without it would take the policy's path for an index
            await server.request("GET", "/_ilm/status")
        answer = await server.request("GET", path)
    except RequestError as error:
        return Step(what, "unavailable", f"the server has no such service ({explain(error)}); indices are kept forever")
    policy = ism_policy(layout) if ours else ilm_policy(layout)
    take = partial(_put, server, what, path, policy)
    if not answer:
        return Step(what, "create", take=take)
    present = answer["policy"] if ours else answer[layout.prefix]["policy"]
    present = present.get("policy", present)  # OpenSearch nests it in some answers
    mine = policy["policy"]
    owned = str(present.get("description", "")).startswith("Cutwater") if ours else _meta(present) == OWNER
    if not owned:
        raise server.error(f"the {what} is not Cutwater's; set another index_prefix")
    if orjson.dumps(_ages(present)) == orjson.dumps(_ages(mine)):
        return Step(what, "present")
    if ours:  # OpenSearch changes a policy only for those who know its last version
        path += f"?if_seq_no={answer['_seq_no']}&if_primary_term={answer['_primary_term']}"
        take = partial(_put, server, what, path, policy)
    return Step(what, "update", take=take)


def ism_policy(layout: Layout) -> dict[str, Any]:
    """OpenSearch's policy that deletes indices of an age; new indices take it by their name."""
    age = f"{layout.index_days}d"
    return {
        "policy": {
            "description": f"Cutwater: deletes indices of {layout.prefix} after {layout.index_days} days.",
            "default_state": "kept",
            "states": [
                {
                    "name": "kept",
                    "actions": [],
                    "transitions": [{"state_name": "deleted", "conditions": {"min_index_age": age}}],
                },
                {"name": "deleted", "actions": [{"delete": {}}], "transitions": []},
            ],
            "ism_template": [{"index_patterns": [f"{layout.prefix}-*.*"], "priority": PRIORITY + len(layout.prefix)}],
        }
    }


def ilm_policy(layout: Layout) -> dict[str, Any]:
    """Elasticsearch's policy that deletes indices of an age; the index template names it."""
    delete = {"min_age": f"{layout.index_days}d", "actions": {"delete": {}}}
    return {"policy": {"_meta": {"owner": OWNER}, "phases": {"delete": delete}}}


def flat(fields: dict[str, Any], path: str = "") -> dict[str, str]:
    """The type of every field of a mapping by its dotted name."""
    found: dict[str, str] = {}
    for name, each in (fields.get("properties") or {}).items():
        if "properties" in each:
            found |= flat(each, f"{path}{name}.")
        else:
            found[path + name] = each["type"]
    return found


def _template(patterns: list[str], priority: int, content: dict[str, Any]) -> dict[str, Any]:
    template = {"index_patterns": patterns, "priority": priority, "version": SCHEMA_VERSION, "template": content}
    digest = hashlib.sha256(orjson.dumps(template, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    return template | {"_meta": {"owner": OWNER, "digest": digest}}


def _ages(policy: dict[str, Any]) -> list[str]:
    """All ages in a policy: the only thing that we ever change."""
    return re.findall(r'"min_(?:index_)?age":"(\w+)"', orjson.dumps(policy).decode())


def _meta(policy: dict[str, Any]) -> Any:
    return (policy.get("_meta") or {}).get("owner")


def _week(day: str) -> str:
    year, week, _ = date.fromisoformat(day).isocalendar()
    return f"{year:04d}.w{week:02d}"


async def _put(server: Server, what: str, path: str, body: Any) -> None:
    try:
        await server.request("PUT", path, body)
    except RequestError as error:
        raise server.error(f"{what} is refused: {explain(error)}; set another index_prefix") from None
