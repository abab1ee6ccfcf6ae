"""Leases in a DynamoDB table as KCL makes it, for workers on many machines."""

from __future__ import annotations

import asyncio
from typing import Any

from botocore.exceptions import ClientError

from service import StateError
from service.aws import AWSStore
from service.state.leases import Lease

_REMEDIES = {
    "AccessDeniedException": "allow what deploy/iam-policy.json lists for lease_table",
    "ResourceNotFoundException": "the table is gone; start again to make it anew",
}
_CONDITION_FAILED = "ConditionalCheckFailedException"
_MISSING = "ResourceNotFoundException"
_MAKING_SECONDS = 1.0  # between two looks whether the table is ready

Item = dict[str, dict[str, Any]]


class DynamoDBLeaseStore(AWSStore):
    """Rows of one stream in a table of their own; see ``LeaseStore``."""

    def __init__(self, name: str, stream: str, region: str) -> None:
        super().__init__("dynamodb", region, f"lease_table {name}", _REMEDIES)
        self._name = name
        self._stream = stream

    async def open(self) -> None:
        """Connect, and make the table unless it is there. Raises StateError."""
        await super().open()
        made = False
        while (state := await self._state()) != "ACTIVE":
            if state is None:
                if made:
                    raise StateError(f"lease_table {self._name}: the table was made and is gone again")
                await self._make()
                made = True
            await asyncio.sleep(_MAKING_SECONDS if state else 0)
        await self.rows()

    async def rows(self) -> list[Lease]:
        """All rows. Raises StateError if some are another stream's."""
        found: list[Lease] = []
        request: dict[str, Any] = {"TableName": self._name, "ConsistentRead": True}
        while request:
            answer = await self._call(self._client.scan, **request)
            found += [self._lease(item) for item in answer["Items"]]
            last = answer.get("LastEvaluatedKey")
            request = request | {"ExclusiveStartKey": last} if last else {}
        return found

    async def row(self, shard: str) -> Lease | None:
        """One row."""
        answer = await self._call(
            self._client.get_item, TableName=self._name, Key={"leaseKey": {"S": shard}}, ConsistentRead=True
        )
        return self._lease(answer["Item"]) if answer.get("Item") else None

    async def insert(self, row: Lease) -> bool:
        """Add a row unless the shard has one."""
        return await self._conditionally(
            self._client.put_item, Item=self._item(row), ConditionExpression="attribute_not_exists(leaseKey)"
        )

    async def replace(self, old: Lease, new: Lease) -> bool:
        """Put a row in another's place unless that has changed."""
        return await self._conditionally(self._client.put_item, Item=self._item(new), **_unchanged(old))

    async def delete(self, row: Lease) -> bool:
        """Delete a row unless it has changed."""
        key = {"leaseKey": {"S": row.shard}}
        return await self._conditionally(self._client.delete_item, Key=key, **_unchanged(row))

    async def dead(self, worker: str) -> bool:
        """Never known: the worker may be on any machine."""
        return False

    async def _state(self) -> str | None:
        try:
            answer = await self._call(self._client.describe_table, expected=(_MISSING,), TableName=self._name)
        except ClientError:
            return None
        return str(answer["Table"]["TableStatus"])

    async def _make(self) -> None:
        try:
            await self._call(
                self._client.create_table,
                expected=("ResourceInUseException", "AccessDeniedException"),
                TableName=self._name,
                KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "AccessDeniedException":
                raise StateError(
                    f"lease_table {self._name}: there is no such table, and it may not be made; make it with the key "
                    "leaseKey (a string), or allow dynamodb:CreateTable"
                ) from None

    async def _conditionally(self, call: Any, **request: Any) -> bool:
        try:
            await self._call(call, expected=(_CONDITION_FAILED,), TableName=self._name, **request)
        except ClientError:
            return False
        return True

    def _item(self, lease: Lease) -> Item:
        item: Item = {
            "leaseKey": {"S": lease.shard},
            "leaseCounter": {"N": str(lease.counter)},
            "checkpoint": {"S": lease.checkpoint},
            "checkpointSubSequenceNumber": {"N": str(lease.subsequence)},
            "ownerSwitchesSinceCheckpoint": {"N": str(lease.switches)},
            "startingHashKey": {"S": str(lease.hash_keys[0])},
            "endingHashKey": {"S": str(lease.hash_keys[1])},
            "streamName": {"S": self._stream},
        }
        if lease.owner is not None:
            item["leaseOwner"] = {"S": lease.owner}
        if lease.since is not None:
            item["startingTimestamp"] = {"N": str(lease.since)}
        if lease.snapshot is not None:
            item["snapshot"] = {"S": lease.snapshot}
        if lease.parents:
            item["parentShardId"] = {"SS": list(lease.parents)}
        if lease.children:
            item["childShardIds"] = {"SS": list(lease.children)}
        return item

    def _lease(self, item: Item) -> Lease:
        def text(name: str, default: str = "") -> str:
            return str(next(iter(item.get(name, {}).values()), default))

        if (stream := text("streamName", self._stream)) != self._stream:
            raise StateError(
                f"lease_table {self._name}: it holds the leases of stream {stream!r}; give {self._stream!r} another one"
            )
        return Lease(
            shard=text("leaseKey"),
            owner=text("leaseOwner") or None,
            counter=int(text("leaseCounter", "0")),
            checkpoint=text("checkpoint"),
            subsequence=int(text("checkpointSubSequenceNumber", "0")),
            since=int(text("startingTimestamp")) if "startingTimestamp" in item else None,
            snapshot=text("snapshot") or None,
            switches=int(text("ownerSwitchesSinceCheckpoint", "0")),
            parents=tuple(sorted(item.get("parentShardId", {}).get("SS", ()))),
            children=tuple(sorted(item.get("childShardIds", {}).get("SS", ()))),
            hash_keys=(int(text("startingHashKey", "0")), int(text("endingHashKey", str(2**128 - 1)))),
        )


def _unchanged(row: Lease) -> dict[str, Any]:
    """The condition that a row still has its owner and counter."""
    owner = "leaseOwner = :owner" if row.owner is not None else "attribute_not_exists(leaseOwner)"
    values = {":counter": {"N": str(row.counter)}}
    if row.owner is not None:
        values[":owner"] = {"S": row.owner}
    return {"ConditionExpression": f"leaseCounter = :counter AND {owner}", "ExpressionAttributeValues": values}
