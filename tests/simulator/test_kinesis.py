"""The local stream's state, with a clock that tests set: what takes minutes or days, and what goes wrong on demand.

What any Kinesis must do is in test_stream_contract.py.
"""

import base64
import hashlib
import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from simulator.stream import Fault
from simulator.stream.account import Account
from simulator.stream.errors import KinesisError
from simulator.stream.kinesis import OPERATIONS, Kinesis
from simulator.stream.shards import HASH_KEYS

KNOWN = ", ".join(sorted((*OPERATIONS, "SubscribeToShard")))


FIRST = "shardId-000000000000"
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/raw"
HOUR = 3600.0


class Bench:
    """Kinesis with a clock, and shorter ways to call it."""

    def __init__(self, **parameters):
        self.now = 1_800_000_000.0
        account = Account(clock=lambda: self.now, **parameters)
        self.kinesis = Kinesis(account)
        self.faults = account.faults

    def __call__(self, operation, **request):
        return self.kinesis.call(operation, request)

    def create(self, shards=1, name="raw"):
        self("CreateStream", StreamName=name, ShardCount=shards)

    def put(self, *keys, data=b"", **more):
        entries = [{"Data": base64.b64encode(data).decode(), "PartitionKey": key, **more} for key in keys]
        return self("PutRecords", StreamName="raw", Records=entries)

    def iterator(self, shard=FIRST, kind="TRIM_HORIZON", **more):
        request = {"StreamName": "raw", "ShardId": shard, "ShardIteratorType": kind, **more}
        return self("GetShardIterator", **request)["ShardIterator"]

    def get(self, iterator=None, **more):
        return self("GetRecords", ShardIterator=iterator or self.iterator(), **more)

    def keys(self, iterator=None):
        return [record["PartitionKey"] for record in self.get(iterator)["Records"]]

    def shards(self, **more):
        return self("ListShards", StreamName="raw", **more)["Shards"]

    def status(self):
        return self("DescribeStreamSummary", StreamName="raw")["StreamDescriptionSummary"]["StreamStatus"]

    def refusal(self, operation, **request):
        """Type and message of the error."""
        with pytest.raises(KinesisError) as error:
            self(operation, **request)
        return error.value.type, str(error.value)


@pytest.fixture
def account():
    account = Bench()
    account.create()
    return account


# What passes with time


def test_an_iterator_expires_after_five_minutes(account):
    iterator = account.iterator()
    account.now += 300
    renewed = account.get(iterator)["NextShardIterator"]
    account.now += 0.001
    kind, message = account.refusal("GetRecords", ShardIterator=iterator)
    assert kind == "ExpiredIteratorException"
    assert "created at time Fri Jan 15 08:00:00 UTC 2027 while right now it is Fri Jan 15 08:05:00 UTC 2027" in message
    account.get(renewed)


def test_a_page_token_expires_after_five_minutes():
    account = Bench()
    for number in range(3):
        account.create(shards=2, name=f"stream{number}")
    shards = account("ListShards", StreamName="stream0", MaxResults=1)["NextToken"]
    streams = account("ListStreams", Limit=2)["NextToken"]
    assert account("ListStreams", NextToken=streams)["StreamNames"] == ["stream2"]
    account.now += 300.001
    assert account.refusal("ListShards", NextToken=shards)[0] == "ExpiredNextTokenException"
    assert account.refusal("ListStreams", NextToken=streams)[0] == "ExpiredNextTokenException"


def test_how_far_behind_is_the_age_of_the_oldest_unread_record(account):
    account.put("a", "b")
    account.now += 2
    account.put("c")
    account.now += 3
    iterator = account.iterator()
    behind = []
    for _ in range(3):
        answer = account.get(iterator, Limit=1)
        behind.append(answer["MillisBehindLatest"])
        iterator = answer["NextShardIterator"]
    assert behind == [5000, 3000, 0]


def test_records_are_kept_for_the_retention_period(account):
    account.put("old")
    iterator, oldest = account.iterator(), account.get()["Records"][0]["SequenceNumber"]
    account.now += 23 * HOUR
    account.put("new")
    assert account.keys() == ["old", "new"]
    account.now += 1 * HOUR + 2
    assert account.keys() == ["new"]
    assert account.keys(account.iterator(kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=oldest)) == ["new"]
    assert account.refusal("GetRecords", ShardIterator=iterator)[0] == "ExpiredIteratorException"


def test_a_longer_retention_period_keeps_them_longer_and_a_shorter_one_forgets(account):
    account("IncreaseStreamRetentionPeriod", StreamName="raw", RetentionPeriodHours=48)
    account.put("old")
    account.now += 47 * HOUR
    assert account.keys() == ["old"]
    account("DecreaseStreamRetentionPeriod", StreamName="raw", RetentionPeriodHours=24)
    assert account.keys() == []


def test_a_closed_shard_vanishes_when_all_its_records_have(account):
    account.put("old")
    account("SplitShard", StreamName="raw", ShardToSplit=FIRST, NewStartingHashKey="1000")
    iterator = account.iterator()
    assert len(account.shards()) == 3
    account.now += 24 * HOUR + 2
    assert [shard["ShardId"][-1] for shard in account.shards()] == ["1", "2"]
    assert account.refusal("GetShardIterator", StreamName="raw", ShardId=FIRST, ShardIteratorType="LATEST")[0] == (
        "ResourceNotFoundException"
    )
    assert account.refusal("GetRecords", ShardIterator=iterator)[0] == "ExpiredIteratorException"


def test_memory_is_bounded_and_the_oldest_go_first():
    account = Bench(memory=200_000)
    account.create(shards=2)
    for number in range(1000):
        account.now += 0.001
        key = HASH_KEYS - 1 if number % 3 else 0
        account.put(str(number), data=bytes(600), ExplicitHashKey=str(key))
    kept = sorted(int(key) for shard in "01" for key in account.keys(account.iterator(FIRST[:-1] + shard)))
    assert kept[-1] == 999
    assert 100 < len(kept) < 200
    assert len(kept) > 0.8 * (999 - kept[0])  # of both shards
    iterator = account.iterator(kind="AT_TIMESTAMP", Timestamp=1_800_000_000)
    assert account.keys(iterator)[0] == next(str(number) for number in kept if number % 3 == 0)


def test_a_clock_that_is_set_back_does_not_mix_up_arrivals(account):
    account.put("a")
    account.now -= 10
    account.put("b")
    arrivals = [record["ApproximateArrivalTimestamp"] for record in account.get()["Records"]]
    assert arrivals == [1_800_000_000.0] * 2


def test_shards_are_filtered_by_time(account):
    account.now += 10
    account("SplitShard", StreamName="raw", ShardToSplit=FIRST, NewStartingHashKey="1000")
    account.now += 10

    def numbers(**wanted):
        return "".join(shard["ShardId"][-1] for shard in account.shards(ShardFilter=wanted))

    start = 1_800_000_000
    assert numbers(Type="AT_TRIM_HORIZON") == "0"
    assert numbers(Type="FROM_TRIM_HORIZON") == "012"
    assert numbers(Type="AT_LATEST") == "12"
    assert numbers(Type="AFTER_SHARD_ID", ShardId="shardId-000000000001") == "2"
    assert [numbers(Type="AT_TIMESTAMP", Timestamp=start + after) for after in (5, 10, 15)] == ["0", "012", "12"]
    assert [numbers(Type="FROM_TIMESTAMP", Timestamp=start + after) for after in (-5, 5, 15)] == ["012", "012", "12"]


def test_a_page_keeps_its_filter(account):
    account("UpdateShardCount", StreamName="raw", TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    account("UpdateShardCount", StreamName="raw", TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    page = account("ListShards", StreamName="raw", MaxResults=3, ShardFilter={"Type": "AT_LATEST"})
    rest = account("ListShards", NextToken=page["NextToken"])
    assert [shard["ShardId"][-1] for shard in page["Shards"] + rest["Shards"]] == ["3", "4", "5", "6"]
    assert "NextToken" not in rest


# States


def test_changes_take_as_long_as_the_transition():
    account = Bench(transition=2.0)
    account.create(shards=2)
    assert account.status() == "CREATING"
    assert account("DescribeStream", StreamName="raw")["StreamDescription"]["Shards"] == []
    assert account.refusal("ListShards", StreamName="raw")[0] == "ResourceInUseException"
    put = {"StreamName": "raw", "Data": "", "PartitionKey": "key"}
    assert account.refusal("PutRecord", **put)[0] == "ResourceNotFoundException"
    account.now += 2
    assert account.status() == "ACTIVE"
    account("PutRecord", **put)

    merge = {"StreamName": "raw", "ShardToMerge": FIRST, "AdjacentShardToMerge": "shardId-000000000001"}
    account("MergeShards", **merge)
    assert account.status() == "UPDATING"
    assert account.refusal("MergeShards", **merge) == (
        "ResourceInUseException",
        "Stream raw under account 000000000000 not ACTIVE, instead in state UPDATING",
    )
    account("PutRecord", **put)
    account.now += 2

    account("DeleteStream", StreamName="raw")
    assert account.status() == "DELETING"
    assert account.refusal("CreateStream", StreamName="raw", ShardCount=1)[0] == "ResourceInUseException"
    account.now += 2
    assert account("ListStreams")["StreamNames"] == []
    account.create()


def test_five_streams_are_created_at_a_time():
    account = Bench(transition=2.0)
    for number in range(5):
        account.create(name=f"stream{number}")
    assert account.refusal("CreateStream", StreamName="raw", ShardCount=1)[0] == "LimitExceededException"
    account.now += 2
    account.create()


def test_the_account_has_a_limit_of_shards():
    account = Bench(shard_limit=4)
    account.create(shards=3)
    kind, message = account.refusal("CreateStream", StreamName="more", ShardCount=2)
    assert kind == "LimitExceededException"
    assert "Current shard count for the account: 3. Limit: 4. Number of additional shards" in message
    split = {"StreamName": "raw", "ShardToSplit": FIRST, "NewStartingHashKey": "1000"}
    account("SplitShard", **split)
    split["ShardToSplit"] = "shardId-000000000001"
    assert account.refusal("SplitShard", **split)[0] == "LimitExceededException"
    scale = {"StreamName": "raw", "TargetShardCount": 5, "ScalingType": "UNIFORM_SCALING"}
    assert account.refusal("UpdateShardCount", **scale)[0] == "LimitExceededException"


def test_on_demand_streams_scale_by_themselves():
    account = Bench()
    account("CreateStream", StreamName="raw", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert len(account.shards()) == 4
    split = {"StreamName": "raw", "ShardToSplit": FIRST, "NewStartingHashKey": "1000"}
    assert account.refusal("SplitShard", **split)[0] == "ValidationException"
    assert account.refusal("CreateStream", StreamName="other")[0] == "InvalidArgumentException"


def test_a_stream_may_take_larger_records():
    account = Bench()
    account("CreateStream", StreamName="raw", ShardCount=1, MaxRecordSizeInKiB=2048)
    account.put("key", data=bytes(2048 * 1024 - 3))
    assert account.refusal("PutRecord", StreamName="raw", PartitionKey="key", Data="AAAA" * 700_000)[0] == (
        "ValidationException"
    )


def test_sequence_numbers_of_a_stream_that_is_gone_mean_nothing(account):
    number = account.put("a")["Records"][0]["SequenceNumber"]
    iterator = account.iterator()
    account("DeleteStream", StreamName="raw")
    account.create()  # in the same millisecond
    at = {"StreamName": "raw", "ShardId": FIRST, "ShardIteratorType": "AT_SEQUENCE_NUMBER"}
    assert account.refusal("GetShardIterator", **at, StartingSequenceNumber=number)[0] == "InvalidArgumentException"
    put = {"StreamName": "raw", "Data": "", "PartitionKey": "a"}
    assert account.refusal("PutRecord", **put, SequenceNumberForOrdering=number)[0] == "InvalidArgumentException"
    assert account.refusal("GetRecords", ShardIterator=iterator)[0] == "ResourceNotFoundException"


def test_name_and_arn_must_agree(account):
    arn = account("DescribeStreamSummary", StreamName="raw")["StreamDescriptionSummary"]["StreamARN"]
    account("DescribeStreamSummary", StreamName="raw", StreamARN=arn)
    account.create(name="other")
    for operation, request in {
        "DescribeStreamSummary": {"StreamName": "other"},
        "ListShards": {"StreamName": "other"},
    }.items():
        assert account.refusal(operation, **request, StreamARN=arn)[0] == "InvalidArgumentException"
    elsewhere = arn.replace("us-east-1", "eu-west-1")
    assert account.refusal("DescribeStreamSummary", StreamARN=elsewhere)[0] == "ResourceNotFoundException"
    assert account.refusal("DescribeStreamSummary")[0] == "InvalidArgumentException"
    other = arn.replace("raw", "other")
    assert account.refusal("GetRecords", ShardIterator=account.iterator(), StreamARN=other)[0] == (
        "InvalidArgumentException"
    )


# Consumers


def register(account, name="me"):
    return account("RegisterStreamConsumer", StreamARN=ARN, ConsumerName=name)["Consumer"]


def test_consumers_take_as_long_as_the_transition():
    account = Bench(transition=2.0)
    account.create()
    assert account.refusal("RegisterStreamConsumer", StreamARN=ARN, ConsumerName="me")[0] == "ResourceInUseException"
    account.now += 2
    consumer = register(account)
    assert consumer == {
        "ConsumerName": "me",
        "ConsumerARN": f"{ARN}/consumer/me:1800000002",
        "ConsumerStatus": "CREATING",
        "ConsumerCreationTimestamp": 1_800_000_002.0,
    }
    subscribe = {
        "ConsumerARN": consumer["ConsumerARN"],
        "ShardId": FIRST,
        "StartingPosition": {"Type": "LATEST"},
    }
    with pytest.raises(KinesisError, match=r"me with creation timestamp 1800000002 .* is not in ACTIVE status"):
        account.kinesis.subscribe(subscribe)
    account.now += 2
    account.kinesis.subscribe(subscribe)

    identity = {"ConsumerARN": consumer["ConsumerARN"]}
    account("DeregisterStreamConsumer", **identity)
    described = account("DescribeStreamConsumer", **identity)["ConsumerDescription"]
    assert described == {**consumer, "ConsumerStatus": "DELETING", "StreamARN": ARN}
    account.now += 2
    assert account.refusal("DescribeStreamConsumer", **identity) == (
        "ResourceNotFoundException",
        "Consumer me, account 000000000000 not found.",
    )


def test_five_consumers_are_created_at_a_time():
    account = Bench(transition=2.0)
    account.create()
    account.now += 2
    for number in range(5):
        register(account, f"consumer{number}")
    more = {"StreamARN": ARN, "ConsumerName": "more"}
    assert account.refusal("RegisterStreamConsumer", **more)[0] == "LimitExceededException"
    account.now += 2
    register(account, "more")


def test_pages_of_consumers(account):
    for name in "abc":
        register(account, name)
    page = account("ListStreamConsumers", StreamARN=ARN, MaxResults=2)
    rest = {"StreamARN": ARN, "NextToken": page["NextToken"]}
    assert [consumer["ConsumerName"] for consumer in page["Consumers"]] == ["a", "b"]
    (last,) = account("ListStreamConsumers", **rest)["Consumers"]
    assert last["ConsumerName"] == "c"
    created = {"StreamCreationTimestamp": 1_800_000_000}
    assert len(account("ListStreamConsumers", StreamARN=ARN, **created)["Consumers"]) == 3
    assert account.refusal("ListStreamConsumers", **rest, **created)[0] == "InvalidArgumentException"
    wrong = {"StreamARN": ARN, "StreamCreationTimestamp": 5}
    assert account.refusal("ListStreamConsumers", **wrong)[0] == "ResourceNotFoundException"
    account.now += 300.001
    assert account.refusal("ListStreamConsumers", **rest)[0] == "ExpiredNextTokenException"


def test_all_that_names_a_consumer_must_agree(account):
    arn = register(account)["ConsumerARN"]
    account.create(name="other")
    for operation in ("DescribeStreamConsumer", "DeregisterStreamConsumer"):
        for wrong in ({"ConsumerName": "you"}, {"StreamARN": ARN.replace("raw", "other")}):
            assert account.refusal(operation, ConsumerARN=arn, **wrong)[0] == "InvalidArgumentException"
        for elsewhere in (arn.replace("us-east-1", "eu-west-1"), arn.replace("raw", "other"), arn + "0"):
            assert account.refusal(operation, ConsumerARN=elsewhere)[0] == "ResourceNotFoundException"


def test_a_subscription_that_makes_no_sense(account):
    arn = register(account)["ConsumerARN"]

    def refusal(shard=FIRST, **start):
        with pytest.raises(KinesisError) as error:
            account.kinesis.subscribe({"ConsumerARN": arn, "ShardId": shard, "StartingPosition": start})
        return error.value.type

    assert refusal("shardId-000000000009", Type="LATEST") == "ResourceNotFoundException"
    assert refusal(Type="AT_SEQUENCE_NUMBER") == "InvalidArgumentException"
    assert refusal(Type="AFTER_SEQUENCE_NUMBER", SequenceNumber="5") == "InvalidArgumentException"
    assert refusal(Type="AT_TIMESTAMP") == "InvalidArgumentException"
    assert refusal(Type="AT_TIMESTAMP", Timestamp=account.now + 1) == "InvalidArgumentException"
    assert refusal(Type="SIDEWAYS") == "ValidationException"
    assert refusal() == "ValidationException"


# Malformed requests, in AWS's words


@pytest.mark.parametrize(
    ("operation", "request_", "kind", "message"),
    [
        (
            "CreateStream",
            {"StreamName": "a b", "ShardCount": 0},
            "ValidationException",
            "2 validation errors detected: Value 'a b' at 'streamName' failed to satisfy constraint: Member must "
            "satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value '0' at 'shardCount' failed to satisfy "
            "constraint: Member must have value greater than or equal to 1",
        ),
        (
            "PutRecords",
            {"StreamName": "raw", "Records": [{"Data": ""}]},
            "ValidationException",
            "1 validation error detected: Value null at 'records.1.member.partitionKey' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            "PutRecords",
            {"StreamName": "raw", "Records": []},
            "ValidationException",
            "1 validation error detected: Value '[]' at 'records' failed to satisfy constraint: Member must have "
            "length greater than or equal to 1",
        ),
        (
            "GetShardIterator",
            {"StreamName": "raw", "ShardId": FIRST, "ShardIteratorType": "SIDEWAYS"},
            "ValidationException",
            "1 validation error detected: Value 'SIDEWAYS' at 'shardIteratorType' failed to satisfy constraint: Member "
            "must satisfy enum value set: [AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER, TRIM_HORIZON, LATEST, "
            "AT_TIMESTAMP]",
        ),
        (
            "DescribeStream",
            {"StreamName": 5},
            "SerializationException",
            "NUMBER_VALUE can not be converted to a String",
        ),
        (
            "DescribeStream",
            {"StreamName": "raw", "Limit": True},
            "SerializationException",
            "BOOLEAN_VALUE can not be converted to an Integer",
        ),
        (
            "PutRecord",
            {"StreamName": "raw", "PartitionKey": "k", "Data": "no base64"},
            "SerializationException",
            "STRING_VALUE can not be converted to a Blob: Only base64 data is allowed",
        ),
        (
            "DescribeStream",
            {"StreamName": "raw2"},
            "ResourceNotFoundException",
            "Stream raw2 under account 000000000000 not found.",
        ),
        ("GetRecords", {"ShardIterator": "AAAA"}, "InvalidArgumentException", "Invalid ShardIterator."),
        ("ListShards", {"NextToken": "AAAA"}, "InvalidArgumentException", "Invalid NextToken."),
        ("Fly", {}, "UnknownOperationException", f"the local stream has no operation 'Fly'; it has {KNOWN}"),
    ],
)
def test_refusals(account, operation, request_, kind, message):
    assert account.refusal(operation, **request_) == (kind, message)


def test_a_forged_iterator(account):
    for forged in (b"5", b"[]", b'["iterator"]', b'["iterator",1,2,3,4,5]', b'["shards","raw",1,"a",{},2]'):
        token = base64.b64encode(forged).decode()
        assert account.refusal("GetRecords", ShardIterator=token) == (
            "InvalidArgumentException",
            "Invalid ShardIterator.",
        )


def test_a_null_member_is_no_member(account):
    assert len(account.shards(NextToken=None, ShardFilter=None, MaxResults=None)) == 1


# Faults on demand


def test_throttled_entries_fail_alone(account):
    account.faults.add(Fault("throttle", operation="PutRecords", share=0.5))
    answer = account.put(*(f"key {number}" for number in range(400)))
    failed = [entry for entry in answer["Records"] if "ErrorCode" in entry]
    assert answer["FailedRecordCount"] == len(failed)
    assert 150 < len(failed) < 250
    assert failed[0] == {
        "ErrorCode": "ProvisionedThroughputExceededException",
        "ErrorMessage": f"Rate exceeded for shard {FIRST} in stream raw under account 000000000000.",
    }
    assert len(account.keys()) == 400 - len(failed)


def test_a_fault_may_concern_one_shard():
    account = Bench()
    account.create(shards=2)
    account.faults.add(Fault("throttle", shard="shardId-000000000001"))
    answer = account.put(*(f"key {number}" for number in range(20)))
    assert {entry.get("ShardId") for entry in answer["Records"]} == {FIRST, None}
    account.get()
    assert account.refusal(
        "GetShardIterator", StreamName="raw", ShardId="shardId-000000000001", ShardIteratorType="LATEST"
    )[0] == ("ProvisionedThroughputExceededException")


def test_a_fault_ends_after_so_many_hits(account):
    account.faults.add(Fault("throttle", times=3))
    assert account.put("a", "b")["FailedRecordCount"] == 2
    assert account.put("a", "b")["FailedRecordCount"] == 1
    assert account.put("a", "b")["FailedRecordCount"] == 0


def test_a_failed_call_has_done_nothing(account):
    account.faults.add(Fault("fail", times=2))
    record = {"StreamName": "raw", "Data": "", "PartitionKey": "key"}
    assert account.refusal("PutRecord", **record)[0] == "InternalFailureException"
    assert account.refusal("PutRecords", StreamName="raw", Records=[record] * 3)[0] == "InternalFailureException"
    assert account.keys() == []


def test_administration_is_throttled_by_another_name(account):
    account.faults.add(Fault("throttle", operation="ListShards"))
    assert account.refusal("ListShards", StreamName="raw")[0] == "LimitExceededException"


@pytest.mark.parametrize(
    "identity", [{"ConsumerARN": f"{ARN}/consumer/me:1800000000"}, {"StreamARN": ARN, "ConsumerName": "me"}]
)
def test_so_are_consumers_however_they_are_named(account, identity):
    register(account)
    for operation in ("DescribeStreamConsumer", "DeregisterStreamConsumer"):
        account.faults.add(Fault("throttle", operation=operation, times=1))
        assert account.refusal(operation, **identity)[0] == "LimitExceededException"
        account(operation, **identity)


def test_iterators_expire_on_demand(account):
    account.put("a")
    account.faults.add(Fault("expire", times=1))
    iterator = account.iterator()
    assert account.refusal("GetRecords", ShardIterator=iterator)[0] == "ExpiredIteratorException"
    assert account.keys(iterator) == ["a"]


def test_lag_hides_records_until_they_are_old_enough(account):
    account.faults.add(Fault("lag", seconds=5))
    account.put("a")
    account.now += 3
    account.put("b")
    answers = []
    for seconds in (1, 1, 3):  # 4, 5 and 8 after the first
        account.now += seconds
        answer = account.get()
        answers.append(([record["PartitionKey"] for record in answer["Records"]], answer["MillisBehindLatest"]))
    assert answers == [([], 4000), (["a"], 2000), (["a", "b"], 0)]


def test_faults_are_lifted(account):
    account.faults.add(Fault("fail"))
    account.faults.clear()
    account.put("a")


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ({"kind": "explode"}, "kind = 'explode': must be one of throttle, fail, expire, lag, break"),
        (
            {"kind": "break", "operation": "SubscribeToShard"},
            "'SubscribeToShard': break hits SubscribeToShardEvent",
        ),
        ({"kind": "lag", "operation": "PutRecord"}, "lag hits GetRecords and SubscribeToShardEvent, or leave it out"),
        ({"kind": "fail", "share": 2.0}, r"share = 2\.0: must lie between 0 and 1"),
        ({"kind": "lag", "seconds": -1.0}, r"seconds = -1\.0: must not be negative"),
    ],
)
def test_a_wrong_fault_is_named(fault, complaint):
    with pytest.raises(ValueError, match=complaint):
        Fault(**fault)


# Any order of puts, splits, merges and scalings


class Resharding(RuleBasedStateMachine):
    """No record is lost or doubled, and each key's records keep their order from parents to children."""

    @initialize(shards=st.integers(1, 4))
    def create(self, shards):
        self.account = Bench()
        self.account.create(shards=shards)
        self.put_so_far = []

    @rule(keys=st.lists(st.sampled_from([f"key {number}" for number in range(12)]), min_size=1, max_size=8))
    def put(self, keys):
        first = len(self.put_so_far)
        entries = [
            {"Data": base64.b64encode(str(first + i).encode()).decode(), "PartitionKey": key}
            for i, key in enumerate(keys)
        ]
        answer = self.account("PutRecords", StreamName="raw", Records=entries)
        self.put_so_far += [(key, entry["SequenceNumber"]) for key, entry in zip(keys, answer["Records"], strict=True)]

    @rule(seconds=st.floats(0, 1))
    def wait(self, seconds):
        self.account.now += seconds

    @rule(data=st.data())
    def split(self, data):
        first, last, shard = data.draw(st.sampled_from(self.open_ranges()))
        if last - first > 3:
            key = data.draw(st.integers(first + 2, last - 1))
            self.account("SplitShard", StreamName="raw", ShardToSplit=shard, NewStartingHashKey=str(key))

    @rule(data=st.data())
    def merge(self, data):
        ranges = self.open_ranges()
        if len(ranges) > 1:
            place = data.draw(st.integers(0, len(ranges) - 2))
            pair = data.draw(st.permutations([ranges[place][2], ranges[place + 1][2]]))
            self.account("MergeShards", StreamName="raw", ShardToMerge=pair[0], AdjacentShardToMerge=pair[1])

    @rule(data=st.data())
    def scale(self, data):
        count = len(self.open_ranges())
        target = data.draw(st.integers(-(-count // 2), min(2 * count, 12)) if count <= 12 else st.just(count))
        self.account("UpdateShardCount", StreamName="raw", TargetShardCount=target, ScalingType="UNIFORM_SCALING")
        sizes = [last - first for first, last, _ in self.open_ranges()]
        assert len(sizes) == target
        assert max(sizes) - min(sizes) <= 1

    def open_ranges(self):
        shards = self.account.shards(ShardFilter={"Type": "AT_LATEST"})
        keys = [(shard["HashKeyRange"], shard["ShardId"]) for shard in shards]
        return sorted((int(keys["StartingHashKey"]), int(keys["EndingHashKey"]), id_) for keys, id_ in keys)

    @invariant()
    def open_shards_share_all_hash_keys(self):
        ranges = self.open_ranges()
        assert (ranges[0][0], ranges[-1][1]) == (0, HASH_KEYS - 1)
        assert all(low[1] + 1 == high[0] for low, high in itertools.pairwise(ranges))

    @invariant()
    def reading_parents_first_gives_what_was_put(self):
        read, told = [], {}
        shards = self.account.shards()
        for shard in shards:
            parents = {shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if name in shard}
            assert all(parent < shard["ShardId"] for parent in parents)
            assert parents == told.get(shard["ShardId"], set())
            low, high = (int(shard["HashKeyRange"][name]) for name in ("StartingHashKey", "EndingHashKey"))
            iterator = self.account.iterator(shard["ShardId"])
            while iterator:
                answer = self.account.get(iterator, Limit=5)
                for record in answer["Records"]:
                    assert low <= int(hashlib.md5(record["PartitionKey"].encode()).hexdigest(), 16) <= high
                    number = int(base64.b64decode(record["Data"]))
                    assert self.put_so_far[number] == (record["PartitionKey"], record["SequenceNumber"])
                    read.append((record["PartitionKey"], number))
                iterator = answer.get("NextShardIterator")
                if iterator and not answer["MillisBehindLatest"]:
                    break
            for child in answer.get("ChildShards", []):
                told[child["ShardId"]] = set(child["ParentShards"])
        assert sorted(number for _, number in read) == list(range(len(self.put_so_far)))
        assert sorted(read, key=lambda entry: entry[0]) == sorted(read)  # by key, each key's in order

    @invariant()
    def sequence_numbers_of_a_key_grow(self):
        for _, of_key in itertools.groupby(
            sorted(enumerate(self.put_so_far), key=lambda put: put[1][0]), key=lambda put: put[1][0]
        ):
            numbers = [int(number) for _, (_, number) in of_key]
            assert numbers == sorted(set(numbers))


Resharding.TestCase.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
TestResharding = Resharding.TestCase
