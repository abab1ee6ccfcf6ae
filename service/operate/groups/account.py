"""Rules, groups and interfaces, as EC2 tells them or a file has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from service import UserError
from service.aws import AWSStore
from service.operate.groups.usage import Rule, rules_of
from service.pipeline.enrich import TableError
from service.pipeline.enrich.security_groups import Interface, described, parse

_PAGE = 1000
_ALLOW = "allow ec2:DescribeSecurityGroupRules, ec2:DescribeSecurityGroups and ec2:DescribeNetworkInterfaces"


class Network(NamedTuple):
    """Rules, the groups' names by their ids, and the interfaces that have them."""

    rules: list[Rule]
    names: dict[str, str]
    interfaces: list[Interface]


class EC2Account(AWSStore):
    """An account's security groups in one region."""

    def __init__(self, region: str) -> None:
        super().__init__(
            "ec2", region, "EC2", {"UnauthorizedOperation": _ALLOW, "AuthFailure": "check the AWS credentials"}
        )

    async def network(self) -> Network:
        """All of it. Raises UserError."""
        rules = await self._all(self._client.describe_security_group_rules, "SecurityGroupRules")
        groups = await self._all(self._client.describe_security_groups, "SecurityGroups")
        interfaces = await self._all(self._client.describe_network_interfaces, "NetworkInterfaces")
        return Network(rules_of(rules), _names(groups), [described(each) for each in interfaces])

    async def _all(self, call: Any, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        request: dict[str, Any] = {"MaxResults": _PAGE}
        while request:
            answer = await self._call(call, **request)
            found += answer.get(name, ())
            token = answer.get("NextToken")
            request = {"MaxResults": _PAGE, "NextToken": token} if token else {}
        return found


def of_files(rules: Path, interfaces: Path | None) -> Network:
    """The same of files with EC2's answers: SecurityGroupRules, maybe SecurityGroups, and NetworkInterfaces.

    Raises UserError.
    """
    try:
        answer = orjson.loads(rules.read_bytes())
        if not isinstance(answer, dict) or not isinstance(answer.get("SecurityGroupRules"), list):
            raise UserError(
                f"{rules}: it holds no list SecurityGroupRules, as aws ec2 describe-security-group-rules answers"
            )
        found = rules_of(answer["SecurityGroupRules"])
        known = parse(interfaces.read_bytes()) if interfaces else []
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise UserError(f"{rules}: no JSON: {error}") from None
    except TableError as error:
        raise UserError(f"{rules if 'rule' in str(error) else interfaces}: {error}") from None
    return Network(found, _names(answer.get("SecurityGroups") or ()), known)


def _names(groups: Any) -> dict[str, str]:
    return {str(each["GroupId"]): str(each.get("GroupName", "")) for each in groups if isinstance(each, Mapping)}
