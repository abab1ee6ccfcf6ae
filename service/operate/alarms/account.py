"""One account in one region at AWS: its domains, its alarms and their tags."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self, TypeVar

import botocore.loaders
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from service import UserError
from service.operate.alarms.plan import TAG, Alarm

T = TypeVar("T")
_AT_ONCE = 8  # calls, below what CloudWatch throttles
_DELETED_AT_ONCE = 100  # the most that DeleteAlarms takes
_PAGE = 100  # the most that DescribeAlarms gives


@functools.cache
def _descriptions() -> Any:
    """The APIs' descriptions, which take long to read, for the clients of all regions."""
    return botocore.loaders.create_loader()


def session_of(profile: str | None) -> AioSession:
    """A session with the credentials and the configuration of a profile, or the usual ones."""
    session = AioSession(profile=profile)
    session.register_component("data_loader", _descriptions())
    return session


class AccountError(UserError):
    """AWS does not do what everything else here needs."""


class Account:
    """Calls, each tried several times. Raises AccountError; what concerns one domain is returned as its problem."""

    def __init__(self, region: str, profile: str | None = None, account: str = "") -> None:
        """``account``: its number, which STS is asked for otherwise."""
        self.region = region
        self.id = account
        self._profile = profile
        self._stack = AsyncExitStack()
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def __aenter__(self) -> Self:
        session = session_of(self._profile)
        config = AioConfig(
            retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=5, max_pool_connections=_AT_ONCE
        )

        async def client(name: str) -> Any:
            made = session.create_client(name, region_name=self.region, config=config)
            return await self._stack.enter_async_context(made)

        try:
            self._opensearch, self._es = await client("opensearch"), await client("es")
            self._cloudwatch = await client("cloudwatch")
            if not self.id:
                sts = await client("sts")
                self.id = (await self._must("sts:GetCallerIdentity", sts.get_caller_identity()))["Account"]
        except BotoCoreError as error:  # of the profile or the region
            await self._stack.aclose()
            raise AccountError(f"{self.region}: {error}") from None
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def domains(self) -> dict[str, str]:
        """The engines of all domains by their names, "" if AWS does not say, in order.

        Either API knows all domains; a role may be allowed only one of them.
        """
        answers = await asyncio.gather(
            self._opensearch.list_domain_names(), self._es.list_domain_names(), return_exceptions=True
        )
        lists = [answer for answer in answers if not isinstance(answer, BaseException)]
        if not lists:
            await self._must("es:ListDomainNames", _raised(answers[0]))
        found = [each for answer in lists for each in answer.get("DomainNames") or []]
        engines = {each["DomainName"]: each.get("EngineType") or "" for each in reversed(found)}
        return dict(sorted(engines.items()))

    async def describe(
        self, engines: Mapping[str, str], done: Callable[[int], None]
    ) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """What AWS says of each domain, and why it says nothing of others, by their names."""

        async def one(name: str) -> dict[str, Any] | str:
            problem = ""
            calls = [self._opensearch.describe_domain, self._es.describe_elasticsearch_domain]
            for call in reversed(calls) if engines[name] == "Elasticsearch" else calls:
                try:
                    status: dict[str, Any] = (await call(DomainName=name))["DomainStatus"]
                    return status
                except (ClientError, BotoCoreError) as error:
                    problem = problem or _complaint(error)
            return problem

        names = list(engines)
        answers = await self._each(one, names, done)
        statuses = [answer for answer in answers if not isinstance(answer, str)]
        return statuses, {name: answer for name, answer in zip(names, answers, strict=True) if isinstance(answer, str)}

    async def alarms(self, done: Callable[[int], None] = lambda number: None) -> list[Alarm]:
        """All alarms on metrics, page by page."""
        found: list[Alarm] = []
        token: dict[str, str] = {}
        while True:
            page = await self._must(
                "cloudwatch:DescribeAlarms",
                self._cloudwatch.describe_alarms(AlarmTypes=["MetricAlarm"], MaxRecords=_PAGE, **token),
            )
            found += page.get("MetricAlarms") or []
            done(len(page.get("MetricAlarms") or []))
            if not page.get("NextToken"):
                return found
            token = {"NextToken": page["NextToken"]}

    async def ours(self, alarms: Iterable[Alarm]) -> frozenset[str]:
        """The names of those that have our tag."""
        asked = list(alarms)

        async def marked(alarm: Alarm) -> bool:
            try:
                answer = await self._cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])
            except ClientError as error:
                if error.response["Error"]["Code"] in ("ResourceNotFoundException", "ResourceNotFound"):
                    return False  # deleted meanwhile
                raise AccountError(f"cloudwatch:ListTagsForResource in {self.region}: {_complaint(error)}") from None
            except BotoCoreError as error:
                raise AccountError(f"cloudwatch:ListTagsForResource in {self.region}: {error}") from None
            return TAG in [{"Key": each["Key"], "Value": each["Value"]} for each in answer.get("Tags") or []]

        answers = await self._each(marked, asked, lambda number: None)
        return frozenset(alarm["AlarmName"] for alarm, yes in zip(asked, answers, strict=True) if yes)

    async def put(self, request: dict[str, Any], *, new: bool) -> None:
        """Make an alarm with our tag, or change one, which keeps its tags."""
        tags = {"Tags": [TAG]} if new else {}
        await self._must("cloudwatch:PutMetricAlarm", self._cloudwatch.put_metric_alarm(**request, **tags))

    async def mark(self, alarm: Alarm) -> None:
        """Put our tag on an alarm that somebody else made."""
        await self._must(
            "cloudwatch:TagResource", self._cloudwatch.tag_resource(ResourceARN=alarm["AlarmArn"], Tags=[TAG])
        )

    async def delete(self, names: Sequence[str]) -> None:
        """Delete alarms."""
        for start in range(0, len(names), _DELETED_AT_ONCE):
            some = list(names[start : start + _DELETED_AT_ONCE])
            await self._must("cloudwatch:DeleteAlarms", self._cloudwatch.delete_alarms(AlarmNames=some))

    async def _each(
        self, call: Callable[[Any], Coroutine[Any, Any, T]], things: Sequence[Any], done: Callable[[int], None]
    ) -> list[T]:
        async def one(thing: Any) -> T:
            async with self._room:
                result = await call(thing)
            done(1)
            return result

        return list(await asyncio.gather(*map(one, things)))

    async def _must(self, what: str, call: Any) -> Any:
        try:
            return await call
        except (ClientError, BotoCoreError) as error:
            raise AccountError(f"{what} in {self.region}: {_complaint(error)}") from None


async def _raised(error: Any) -> None:
    raise error


def _complaint(error: Exception) -> str:
    if isinstance(error, ClientError):
        details = error.response["Error"]
        return f"{details.get('Code')}: {details.get('Message')}"
    return str(error) or type(error).__name__
