"""The local stream's HTTP face: Kinesis's JSON and CBOR protocols, and a page of faults.

``POST /`` with the header ``X-Amz-Target: Kinesis_20131202.<Operation>`` is the API. ``POST /faults`` adds a fault (a
JSON object with the fields of ``Fault``), ``GET /faults`` lists them, ``DELETE /faults`` removes all.

SubscribeToShard is answered by an event stream over HTTP/1.1 (AWS does so over HTTP/2): records are pushed when they
are put, no faster than the client takes them.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import asdict, fields
from types import TracebackType
from typing import Any

import orjson
from aiohttp import web

from simulator.stream import eventstream
from simulator.stream.account import Account
from simulator.stream.api_model import SERVICE
from simulator.stream.consumers import Subscription
from simulator.stream.errors import KinesisError
from simulator.stream.faults import Fault
from simulator.stream.kinesis import Kinesis
from simulator.stream.protocols import JSON, Protocol, protocol_of

_TARGET = "Kinesis_20131202."
_TICK = 0.1  # seconds after which a subscription sees what has come with time
_LARGEST_REQUEST = 20 * 1024 * 1024  # 10 MiB of data in base64, and room for keys


class LocalStream:
    """A server that speaks Kinesis's API, from entering the context until leaving it.

    ``async with LocalStream(streams={"RawStreamData": 2}) as local:`` and let clients use ``local.endpoint_url``. Any
    credentials will do. Records are gone when it stops.

    Args:
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        streams: streams to begin with, name and number of shards.
        clock: seconds since 1970.

    Raises:
        ValueError: a stream to begin with has a name or a number of shards that Kinesis does not allow.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        streams: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        account = Account(clock=clock)
        self.kinesis = Kinesis(account)
        self.faults = account.faults
        self._host = host
        self._port = port
        for name, shards in (streams or {}).items():
            try:
                self.kinesis.call("CreateStream", {"StreamName": name, "ShardCount": shards})
            except KinesisError as error:
                raise ValueError(f"stream {name!r}, {shards} shards: {error}") from None
        self._stopping = False
        self._waiting: set[asyncio.Event] = set()  # a subscription each, to be woken when something may have changed
        application = web.Application(client_max_size=_LARGEST_REQUEST)
        application.router.add_post("/", self._answer)
        application.router.add_get("/faults", self._list_faults)
        application.router.add_post("/faults", self._add_fault)
        application.router.add_delete("/faults", self._clear_faults)
        application.on_shutdown.append(self._stop)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)

    @property
    def endpoint_url(self) -> str:
        """Where it listens. Raises RuntimeError outside of the context."""
        if not self._runner.addresses:
            raise RuntimeError("the local stream is not running: use `async with`")
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def __aenter__(self) -> LocalStream:
        """Start listening. Raises OSError if the port is taken."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        protocol = protocol_of(request.headers.get("Content-Type", ""))
        try:
            target = request.headers.get("X-Amz-Target", "")
            operation = target.removeprefix(_TARGET)
            if operation == target:
                raise KinesisError(
                    "UnknownOperationException", f"X-Amz-Target: {target!r} does not begin with {_TARGET}"
                )
            message = protocol.read(body)
            if operation == "SubscribeToShard":
                return await self._push(request, protocol, self.kinesis.subscribe(message))
            answer = self.kinesis.call(operation, message)
            self._wake()
            shape = SERVICE.operation_model(operation).output_shape
            return _response(protocol.write(answer, shape.name if shape else None), protocol)
        except KinesisError as error:
            return _failure(error, protocol)

    async def _push(self, request: web.Request, protocol: Protocol, subscription: Subscription) -> web.StreamResponse:
        """Send a subscription's events until it is over, or its client gone."""
        kind = protocol.content_type
        response = web.StreamResponse(headers=_headers() | {"Content-Type": eventstream.CONTENT_TYPE})
        with suppress(ConnectionResetError):
            await response.prepare(request)
            await response.write(eventstream.event("initial-response", protocol.write({}, None), kind))
            try:
                async with aclosing(self._events(subscription)) as events:
                    async for event in events:
                        payload = protocol.write(event, "SubscribeToShardEvent")
                        message = eventstream.event("SubscribeToShardEvent", payload, kind)
                        if self.faults.drops(subscription.shard):
                            await response.write(message[: len(message) // 2])
                            _drop(request)
                            break
                        await response.write(message)
            except KinesisError as error:
                payload = protocol.write({"message": error.message}, None)
                await response.write(eventstream.exception(error.type, payload, kind))
        return response

    async def _events(self, subscription: Subscription) -> AsyncGenerator[dict[str, Any], None]:
        """A subscription's events, each as soon as it is due. Raises KinesisError if an error ends them."""
        changed = asyncio.Event()
        self._waiting.add(changed)
        try:
            while not subscription.over and not self._stopping:
                changed.clear()
                event = self.kinesis.next_event(subscription)
                if event is not None:
                    yield event
                    continue
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), _TICK)
        finally:
            self._waiting.discard(changed)

    def _wake(self) -> None:
        for changed in self._waiting:
            changed.set()

    async def _stop(self, application: web.Application) -> None:
        """Subscriptions end, or they would hold up the end of the server."""
        self._stopping = True
        self._wake()

    async def _list_faults(self, request: web.Request) -> web.Response:
        return _response(orjson.dumps({"faults": [asdict(fault) for fault in self.faults.active]}))

    async def _add_fault(self, request: web.Request) -> web.Response:
        try:
            given = orjson.loads(await request.read())
            unknown = set(given) - {field.name for field in fields(Fault)}
            if unknown:
                raise ValueError(
                    f"unknown field {min(unknown)!r}: a fault has {', '.join(f.name for f in fields(Fault))}"
                )
            self.faults.add(Fault(**given))
        except (ValueError, TypeError) as error:
            return _response(orjson.dumps({"error": str(error)}), status=400)
        return await self._list_faults(request)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self.faults.clear()
        return await self._list_faults(request)


def _drop(request: web.Request) -> None:
    """The connection, without a word."""
    if request.transport is not None:
        request.transport.abort()


def _failure(error: KinesisError, protocol: Protocol) -> web.Response:
    body = {"__type": error.type, "message": error.message} if error.message else {"__type": error.type}
    return _response(protocol.write(body, None), protocol, error.status)


def _response(body: bytes, protocol: Protocol = JSON, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, headers=_headers(), content_type=protocol.content_type)


def _headers() -> dict[str, str]:
    return {"x-amzn-RequestId": str(uuid.uuid4())}
