"""Our parsers of GetRecords' answers and of a subscription's events give what botocore's own give."""

import asyncio
import base64

import orjson
import pytest
from aiobotocore.parsers import AioJSONParser
from aiobotocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st

from service.source.response_parser import LARGE, ParserFactory

RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "SequenceNumber": st.integers(0, 2**186).map(str),
            "ApproximateArrivalTimestamp": st.floats(0, 2e9) | st.integers(0, 2 * 10**9),
            "Data": st.binary(max_size=100).map(lambda data: base64.b64encode(data).decode()),
            "PartitionKey": st.text(max_size=256),
        },
        optional={"EncryptionType": st.sampled_from(["NONE", "KMS"])},
    ),
    max_size=5,
)
ANSWERS = st.fixed_dictionaries(
    {"Records": RECORDS},
    optional={
        "NextShardIterator": st.none() | st.text(),
        "MillisBehindLatest": st.none() | st.integers(0, 2**40),
    },
)


@pytest.fixture(scope="module")
def shape():
    """Finds an operation's answer in botocore's model of Kinesis."""

    async def load():
        async with get_session().create_client(
            "kinesis", region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
        ) as client:
            return client.meta.service_model

    model = asyncio.run(load())
    return lambda operation: model.operation_model(operation).output_shape


def parsed(parser, body: bytes, shape, status: int = 200):
    response = {
        "status_code": status,
        "headers": {"x-amzn-requestid": "1", "Content-Type": "application/x-amz-json-1.1"},
        "body": body,
        "context": {"operation_name": "GetRecords"},
    }
    return asyncio.run(parser.parse(response, shape))


def both(body: bytes, shape, status: int = 200):
    """What ours and botocore's own make of an answer."""
    ours = ParserFactory().create_parser("json")
    return parsed(ours, body, shape, status), parsed(AioJSONParser(timestamp_parser=float), body, shape, status)


@given(answer=ANSWERS)
def test_answers_are_those_of_the_stock_parser(shape, answer):
    ours, stock = both(orjson.dumps(answer), shape("GetRecords"))
    assert ours == stock


def test_large_answers_too(shape):
    record = {
        "SequenceNumber": "1",
        "ApproximateArrivalTimestamp": 1.5,
        "Data": base64.b64encode(b"x" * 1000).decode(),
        "PartitionKey": "a",
    }
    body = orjson.dumps({"Records": [record] * 100, "MillisBehindLatest": 0, "NextShardIterator": "next"})
    assert len(body) > LARGE
    ours, stock = both(body, shape("GetRecords"))
    assert ours == stock
    assert len(ours["Records"]) == 100


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"Records": [{"SequenceNumber": "1", "PartitionKey": "\\ud800", "Data": ""}]}',  # half a surrogate pair
        b'{"Records": [], "NextShardIterator": "x", "ChildShards": null}',
    ],
)
def test_odd_answers_are_read_as_the_stock_parser_reads_them(shape, body):
    ours, stock = both(body, shape("GetRecords"))
    assert ours == stock


def test_errors_and_other_operations_are_left_to_the_stock_parser(shape):
    error = b'{"__type": "com.amazonaws#ExpiredIteratorException", "message": "too late"}'
    ours, stock = both(error, shape("GetRecords"), 400)
    assert ours == stock
    assert ours["Error"] == {"Code": "ExpiredIteratorException", "Message": "too late"}
    answer = orjson.dumps({"Shards": [{"ShardId": "a"}], "NextToken": "t", "Other": 1})
    ours, stock = both(answer, shape("ListShards"))
    assert ours == stock


def events(response: dict, shape):
    """What ours and botocore's own make of an event of a subscription."""
    shape = shape("SubscribeToShard").members["EventStream"]
    parsers = ParserFactory().create_parser("json"), AioJSONParser(timestamp_parser=float)
    return [asyncio.run(parser._event_stream_parser.parse(response, shape)) for parser in parsers]


@given(
    event=st.fixed_dictionaries(
        {"Records": RECORDS, "ContinuationSequenceNumber": st.text(), "MillisBehindLatest": st.integers(0, 2**40)},
        optional={"ChildShards": st.just([{"ShardId": "a", "ParentShards": ["b"]}])},
    )
)
def test_events_are_those_of_the_stock_parser(shape, event):
    headers = {":message-type": "event", ":event-type": "SubscribeToShardEvent"}
    ours, stock = events({"status_code": 200, "headers": headers, "body": orjson.dumps(event)}, shape)
    assert ours == stock
    assert ours["SubscribeToShardEvent"]["ContinuationSequenceNumber"] == event["ContinuationSequenceNumber"]


def test_an_exception_among_the_events_is_left_to_the_stock_parser(shape):
    headers = {":message-type": "exception", ":exception-type": "ResourceInUseException"}
    ours, stock = events({"status_code": 400, "headers": headers, "body": b'{"message": "taken over"}'}, shape)
    assert ours == stock
    assert ours["Error"] == {"Code": "ResourceInUseException", "Message": "taken over"}
