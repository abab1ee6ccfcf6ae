"""Shards: list, split, merge, and how many there are to be."""

from __future__ import annotations

from simulator.stream import responses
from simulator.stream.account import Account, Request
from simulator.stream.errors import KinesisError, invalid, over_limit
from simulator.stream.responses import Answer
from simulator.stream.shards import Shard, Stream
from simulator.stream.tokens import seal, unseal_page

MOST_IN_A_PAGE = 1000


def list_shards(account: Account, request: Request) -> Answer:
    """ListShards."""
    stream, after, wanted = _listed(account, request)
    if stream.status(account.now) == "CREATING":
        raise account.not_active(stream)
    shards = [shard for shard in _filtered(stream, wanted, account.now) if shard.id > after]
    page = shards[: min(request.get("MaxResults", MOST_IN_A_PAGE), MOST_IN_A_PAGE)]
    answer: Answer = {"Shards": [responses.shard(shard) for shard in page]}
    if len(page) < len(shards):
        answer["NextToken"] = seal("shards", stream.name, stream.created, page[-1].id, wanted, account.now)
    return answer


def _listed(account: Account, request: Request) -> tuple[Stream, str, Request]:
    """Of which stream, after which shard, by which filter: as the request says, or the token of the page before."""
    token = request.get("NextToken")
    if token is None:
        stream = account.stream("ListShards", request)
        after, wanted = request.get("ExclusiveStartShardId", ""), request.get("ShardFilter", {})
        if "StreamCreationTimestamp" in request:
            account.require_creation(stream, round(1000 * request["StreamCreationTimestamp"]))
        return stream, after, wanted
    for other in ("StreamName", "StreamARN", "ExclusiveStartShardId", "StreamCreationTimestamp", "ShardFilter"):
        if other in request:
            raise invalid(f"NextToken and {other} cannot be provided together.")
    name, created, after, wanted = unseal_page(token, "shards", (str, int, str, dict), account.now)
    stream = account.stream("ListShards", {"StreamName": name})
    account.require_creation(stream, created)
    return stream, after, wanted


def _filtered(stream: Stream, wanted: Request, now: int) -> list[Shard]:
    """The shards that a ShardFilter selects, in order."""
    kind = wanted.get("Type", "FROM_TRIM_HORIZON")
    shards = list(stream.shards.values())
    horizon = max(stream.created, now - stream.retention_hours * 3_600_000)
    if kind == "AFTER_SHARD_ID":
        if wanted.get("ShardId") is None:
            raise invalid("ShardFilter of type AFTER_SHARD_ID requires ShardId.")
        return [shard for shard in shards if shard.id > wanted["ShardId"]]
    if kind in ("AT_TIMESTAMP", "FROM_TIMESTAMP"):
        if wanted.get("Timestamp") is None:
            raise invalid(f"ShardFilter of type {kind} requires Timestamp.")
        horizon = max(horizon, round(1000 * wanted["Timestamp"]))
    if kind == "AT_LATEST":
        return [shard for shard in shards if shard.closed is None]
    if kind == "FROM_TRIM_HORIZON":
        return shards
    lasting = [shard for shard in shards if shard.closed is None or shard.closed >= horizon]
    return lasting if kind == "FROM_TIMESTAMP" else [shard for shard in lasting if shard.opened <= horizon]


def split_shard(account: Account, request: Request) -> Answer:
    """SplitShard."""
    stream = _resharding(account, "SplitShard", request)
    shard = stream.shard(request["ShardToSplit"])
    account.require_shards(1)
    stream.split(shard, int(request["NewStartingHashKey"]), account.now)
    account.enter(stream, "UPDATING")
    return {}


def merge_shards(account: Account, request: Request) -> Answer:
    """MergeShards."""
    stream = _resharding(account, "MergeShards", request)
    shard, neighbour = stream.shard(request["ShardToMerge"]), stream.shard(request["AdjacentShardToMerge"])
    stream.merge(shard, neighbour, account.now)
    account.enter(stream, "UPDATING")
    return {}


def update_shard_count(account: Account, request: Request) -> Answer:
    """UpdateShardCount."""
    stream = _resharding(account, "UpdateShardCount", request)
    current, target = len(stream.open_shards), request["TargetShardCount"]
    if not current <= 2 * target <= 4 * current:
        way = "up over double" if target > current else "down below half"
        raise over_limit(
            f"UpdateShardCount cannot scale {way} your current open shard count. Current open shard count: "
            f"{current}, Target shard count: {target}"
        )
    account.require_shards(target - current)
    stream.scale(target, account.now)
    account.enter(stream, "UPDATING")
    return {
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "CurrentShardCount": current,
        "TargetShardCount": target,
    }


def _resharding(account: Account, operation: str, request: Request) -> Stream:
    """The stream, if its shards are the account's to choose."""
    stream = account.active(operation, request)
    if stream.on_demand:
        raise KinesisError(
            "ValidationException",
            f"Request is invalid. Stream {stream.name} under account {account.number} is in On-Demand mode.",
        )
    return stream
