"""Sets of rules: which alarms there should be, as TOML. ``classic``, ``aws`` and ``cutwater`` are in ``sets/``."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from service import UserError
from service.nearest import nearest
from service.operate.alarms.domain import LEAST_FREE, Domain

SETS = ("classic", "aws")
OPERATORS = {
    ">=": "GreaterThanOrEqualToThreshold",
    ">": "GreaterThanThreshold",
    "<": "LessThanThreshold",
    "<=": "LessThanOrEqualToThreshold",
}
_DOMAINS = "AWS/ES"


class RulesError(UserError):
    """A file of rules cannot be used; the message says where and why."""

    exit_code = 2


class Share(BaseModel):
    """A threshold that depends on the domain."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(gt=0)
    of: Literal["node storage", "storage", "warm node storage", "nodes"]


def _period(value: Any) -> Any:
    if isinstance(value, int) and value not in (10, 20, 30) and value % 60:
        raise ValueError("must be 10, 20, 30 or a multiple of 60 seconds")
    return value


class Rule(BaseModel):
    """One alarm of a set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str = Field(min_length=1)
    statistic: Literal["Average", "Maximum", "Minimum", "Sum", "SampleCount"]
    operator: Literal[">=", ">", "<", "<="]
    threshold: float | Share
    period: Annotated[int, BeforeValidator(_period)] = Field(60, ge=10, le=86400)
    periods: int = Field(5, ge=1)
    name: str = Field("", max_length=100, pattern=r"^[\w.-]*$")  # in the alarm's name; "" is the metric
    namespace: Literal["AWS/ES", "AWS/Kinesis", "Cutwater"] = "AWS/ES"
    when: Literal["", "masters", "encrypted", "warm", "polled", "fan-out"] = ""
    missing: Literal["missing", "notBreaching", "breaching", "ignore"] = "missing"
    advice: str = Field("", max_length=800)

    @model_validator(mode="after")
    def _fits(self) -> Rule:
        if self.period * self.periods > 86400:  # CloudWatch looks back a day at most
            raise ValueError("period times periods is above 86400 seconds")
        if self.namespace != _DOMAINS and isinstance(self.threshold, Share):
            raise ValueError("a threshold that depends on the domain needs the namespace AWS/ES")
        return self

    @property
    def depends_on_storage(self) -> bool:
        """Whether the threshold is known only after the storage is."""
        return isinstance(self.threshold, Share) and self.threshold.of != "nodes"

    def limit(self, domain: Domain, least_free: float = LEAST_FREE) -> float:
        """The threshold for a domain; ``least_free`` MB a node where its storage is not known."""
        if not isinstance(self.threshold, Share):
            return self.threshold
        share, storage = self.threshold.share, domain.storage
        match self.threshold.of:
            case "nodes":
                return float(domain.nodes * share)
            case "node storage":
                free = storage.share(share)
                return least_free if free is None else free
            case "storage":
                free = storage.share(share, storage.nodes)
                return least_free * storage.nodes if free is None else free
            case "warm node storage":
                warm = domain.warm_storage
                return least_free if warm is None else round(warm * share, 6)


class RuleSet(NamedTuple):
    """What should be there."""

    name: str
    rules: tuple[Rule, ...]
    warnings: frozenset[str] | None  # which of a domain's warnings are told; None: all

    def of_domains(self) -> tuple[Rule, ...]:
        """The rules for domains."""
        return tuple(rule for rule in self.rules if rule.namespace == _DOMAINS)

    def of_streams(self) -> tuple[Rule, ...]:
        """The rules for Cutwater's streams; its own set if this one has none."""
        return tuple(rule for rule in self.rules if rule.namespace != _DOMAINS) or named("cutwater").rules


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: list[Rule] = Field(min_length=1)
    warnings: list[str] | None = None


def load(name: str) -> RuleSet:
    """A set by its name, or by the path of a TOML file. Raises RulesError."""
    if name in SETS:
        return named(name)
    path = Path(name)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        hint = nearest(name, SETS) or f"; there are {', '.join(SETS)}, or the path of a file"
        raise RulesError(f"rules {name!r}: {getattr(error, 'strerror', None) or error}{hint}") from None
    return _read(name, text)


def named(name: str) -> RuleSet:
    """A set that comes with Cutwater."""
    return _read(name, (files(__package__) / "sets" / f"{name}.toml").read_text("utf-8"))


def _read(name: str, text: str) -> RuleSet:
    try:
        content = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RulesError(f"rules {name!r}: {error}") from None
    except ValidationError as error:
        raise RulesError("\n".join(f"rules {name!r}: {_complaint(each)}" for each in error.errors())) from None
    seen: dict[tuple[str, str], int] = {}
    for number, rule in enumerate(content.rules, 1):
        at = seen.setdefault((rule.namespace, rule.name or rule.metric), number)
        if at != number:
            raise RulesError(f"rules {name!r}: rules {at} and {number} are for {rule.metric}; give one of them a name")
    return RuleSet(name, tuple(content.rules), None if content.warnings is None else frozenset(content.warnings))


def _complaint(error: Any) -> str:
    """One of pydantic's errors in a line."""
    where, what = list(error["loc"]), error["msg"].removeprefix("Value error, ")
    if where[:1] == ["rules"] and len(where) > 1:
        where = [f"rule {where[1] + 1}", *(str(part) for part in where[2:] if part not in ("float", "Share"))]
    field = str(error["loc"][-1])
    hint = nearest(field, Rule.model_fields) if error["type"] == "extra_forbidden" else ""
    return f"{', '.join(map(str, where))}: {what}{hint}"
