"""Consumers with enhanced fan-out: register, describe, list, deregister."""

from __future__ import annotations

from simulator.stream import responses
from simulator.stream.account import Account, Request
from simulator.stream.consumers import Consumer
from simulator.stream.errors import invalid
from simulator.stream.responses import Answer
from simulator.stream.shards import Stream
from simulator.stream.tokens import seal, unseal_page


def register_stream_consumer(account: Account, request: Request) -> Answer:
    """RegisterStreamConsumer."""
    stream = account.active("RegisterStreamConsumer", request)
    active = account.now + account.transition
    consumer = stream.consumers.register(request["ConsumerName"], account.now, active)
    consumer.tags |= request.get("Tags", {})
    return {"Consumer": responses.consumer(consumer, account.now)}


def describe_stream_consumer(account: Account, request: Request) -> Answer:
    """DescribeStreamConsumer."""
    stream, consumer = _named(account, "DescribeStreamConsumer", request)
    return {"ConsumerDescription": {**responses.consumer(consumer, account.now), "StreamARN": stream.arn}}


def list_stream_consumers(account: Account, request: Request) -> Answer:
    """ListStreamConsumers."""
    stream, after = account.stream("ListStreamConsumers", request), ""
    if "StreamCreationTimestamp" in request:
        account.require_creation(stream, round(1000 * request["StreamCreationTimestamp"]))
    if "NextToken" in request:
        if "StreamCreationTimestamp" in request:
            raise invalid("NextToken and StreamCreationTimestamp cannot be provided together.")
        created, after = unseal_page(request["NextToken"], "consumers", (int, str), account.now)
        if created != stream.created:
            raise invalid("Invalid NextToken.")
    consumers = stream.consumers.after(after)
    page = consumers[: request.get("MaxResults", 100)]
    answer: Answer = {"Consumers": [responses.consumer(consumer, account.now) for consumer in page]}
    if len(page) < len(consumers):
        answer["NextToken"] = seal("consumers", stream.created, page[-1].name, account.now)
    return answer


def deregister_stream_consumer(account: Account, request: Request) -> Answer:
    """DeregisterStreamConsumer."""
    stream, consumer = _named(account, "DeregisterStreamConsumer", request)
    stream.consumers.deregister(consumer, account.now + account.transition)
    return {}


def _named(account: Account, operation: str, request: Request) -> tuple[Stream, Consumer]:
    """The consumer that is meant by its ARN, or by its name and its stream's ARN, or by both."""
    arn = request.get("ConsumerARN")
    if arn is None:
        if "StreamARN" not in request or "ConsumerName" not in request:
            raise invalid("Either ConsumerARN, or StreamARN and ConsumerName should be provided.")
        stream = account.stream(operation, {"StreamARN": request["StreamARN"]})
        return stream, stream.consumers.named(request["ConsumerName"])
    stream, consumer = account.consumer(arn)
    name = request.get("ConsumerName", consumer.name)
    if request.get("StreamARN", stream.arn) != stream.arn or name != consumer.name:
        raise invalid(f"ConsumerARN {arn}, StreamARN and ConsumerName must refer to the same consumer.")
    account.inject_on_stream(operation, stream)
    return stream, consumer
