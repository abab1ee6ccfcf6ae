"""A server that answers ``_bulk`` as a test says, over real HTTP: what no real server can be made to do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import orjson

Answer = tuple[int, Any]  # status and body: bytes are a web page, anything else becomes JSON
Rule = Callable[[bytes], Answer | None]

INFO = {"version": {"number": "2.19.4", "distribution": "opensearch"}, "tagline": "The OpenSearch Project"}


def refused(status: int, reason: str = "no") -> Answer:
    """A request refused as a whole, in OpenSearch's words."""
    return status, {"error": {"type": "refused", "reason": reason}, "status": status}


class BulkServer:
    """Takes documents until ``rule`` says otherwise: it is given a request's body, and None means to take it.

    Attributes:
        documents: [n] what was taken, by id.
        requests: bulk requests so far.
    """

    def __init__(self, rule: Rule = lambda body: None) -> None:
        self.rule = rule
        self.documents: dict[str, Any] = {}
        self.requests = 0
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # an answer is one packet: else each waits 40 ms for the other side's acknowledgement

            def do_GET(self) -> None:
                self._send((200, INFO) if self.path.split("?")[0] == "/" else refused(404))

            def do_PUT(self) -> None:
                self._body()
                self._send((200, {"acknowledged": True}))

            def do_POST(self) -> None:
                body = self._body()
                if "_bulk" in self.path:
                    self._send(server._bulk(body))
                elif "_search" in self.path:
                    self._send((200, {"hits": {"hits": []}}))
                else:
                    self._send((200, {"acknowledged": True}))

            def _body(self) -> bytes:
                return self.rfile.read(int(self.headers.get("content-length") or 0))

            def _send(self, answer: Answer) -> None:
                status, body = answer
                page = isinstance(body, bytes)
                data = body if isinstance(body, bytes) else orjson.dumps(body)
                self.send_response(status)
                self.send_header("content-type", "text/html" if page else "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _bulk(self, body: bytes) -> Answer:
        with self._lock:
            self.requests += 1
            if (answer := self.rule(body)) is not None:
                return answer
            lines, items = [orjson.loads(line) for line in body.splitlines()], []
            while lines:
                ((verb, target),) = lines.pop(0).items()
                if verb == "delete":
                    items.append({verb: {"status": 404}})
                else:
                    known = target["_id"] in self.documents
                    self.documents.setdefault(target["_id"], lines.pop(0))
                    items.append({verb: {"status": 409 if known else 201}})
            return 200, {"errors": False, "items": items}
