"""Messages to Amazon SNS and Amazon EventBridge."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any, Literal

import orjson
from botocore.exceptions import ClientError

from service.aws import INCOMPLETE, THROTTLES, UNREACHABLE, client
from service.pipeline.times import parse_time
from service.settings.groups.notify import NotifyTable
from service.sinks.notify.message import Message
from service.sinks.notify.targets import NotSentError

SOURCE = "cutwater"  # of events on a bus


class _AWSTarget:
    """A service of AWS, called once for each attempt."""

    def __init__(self, service: Literal["sns", "events"], table: NotifyTable, region: str) -> None:
        self._service, self._table, self._region = service, table, region
        self._stack = AsyncExitStack()
        self._client: Any = None

    async def open(self) -> None:
        """Prepare to send."""
        self._client = await self._stack.enter_async_context(client(self._service, self._region))

    async def close(self) -> None:
        """Let go of connections."""
        await self._stack.aclose()

    async def _call(self, operation: str, **request: Any) -> Any:
        try:
            return await getattr(self._client, operation)(**request)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
            refused = 400 <= status < 500 and code not in THROTTLES and code != "Throttling"
            raise NotSentError(f"{code}: {error.response['Error'].get('Message', '')}", refused=refused) from None
        except INCOMPLETE as error:
            raise NotSentError(f"{error}; set AWS credentials and region") from None
        except UNREACHABLE as error:
            raise NotSentError(f"no answer ({type(error).__name__})") from None


class SNSTarget(_AWSTarget):
    """A topic: the message as JSON, its title as subject, and attributes to filter by."""

    def __init__(self, table: NotifyTable, region: str) -> None:
        parts = table.topic.split(":")
        super().__init__("sns", table, parts[3] if len(parts) > 3 else region)

    async def send(self, message: Message) -> None:
        """Return when the topic has it. Raises NotSentError."""
        subject = message.title.encode("ascii", "replace").decode()[:100]
        more: dict[str, Any] = {}
        if self._table.topic.endswith(".fifo"):
            more = {"MessageGroupId": message.incident, "MessageDeduplicationId": message.key[:128]}
        await self._call(
            "publish",
            TopicArn=self._table.topic,
            Subject="".join(each if each.isprintable() else " " for each in subject),
            Message=orjson.dumps(message.as_json()).decode(),
            MessageAttributes={
                "key": {"DataType": "String", "StringValue": message.key},
                "stage": {"DataType": "String", "StringValue": message.stage},
                "kind": {"DataType": "String", "StringValue": message.kind or "none"},
                "severity": {"DataType": "Number", "StringValue": str(message.severity)},
            },
            **more,
        )


class EventBridgeTarget(_AWSTarget):
    """A bus: an event of the source ``cutwater`` whose detail is the message."""

    def __init__(self, table: NotifyTable, region: str) -> None:
        parts = table.bus.split(":")
        super().__init__("events", table, parts[3] if len(parts) > 3 else region)

    async def send(self, message: Message) -> None:
        """Return when the bus has it. Raises NotSentError."""
        entry = {
            "Source": SOURCE,
            "DetailType": f"Episode {message.stage}",
            "Detail": orjson.dumps(message.as_json()).decode(),
            "EventBusName": self._table.bus,
            "Time": parse_time(message.time) / 1000,
            "Resources": [],
        }
        answer = await self._call("put_events", Entries=[entry])
        if answer.get("FailedEntryCount"):
            (result,) = answer["Entries"]
            raise NotSentError(f"{result.get('ErrorCode')}: {result.get('ErrorMessage', '')}")
