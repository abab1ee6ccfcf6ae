"""A real HTTP receiver of notifications that can fail, hang and lie, and changes of episodes to tell it."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from service.pipeline.documents import timestamp

START = 1_800_000_000_000


class Receiver:
    """Listens on a port of its own while it is entered; ``answers`` says how the next requests are answered.

    Each is a status, a (status, body), or a word: "hang", or "close" (no answer). When they are used up, ``usual`` is
    the answer.
    """

    def __init__(self, *answers, usual=(200, "ok")):
        self.answers, self.usual, self.taken, self.asked = list(answers), usual, [], 0
        self._lock, self._released = threading.Lock(), threading.Event()

    def __enter__(self):
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.handle(self, body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    def handle(self, request, body):
        with self._lock:
            self.asked += 1
            answer = self.answers.pop(0) if self.answers else self.usual
        if answer == "hang":
            self._released.wait(60)
            return
        if answer == "close":
            return
        status, text = answer if isinstance(answer, tuple) else (answer, "")
        if 200 <= status < 300:
            with self._lock:
                self.taken.append((request.path, dict(request.headers), json.loads(body), body, time.time()))
        request.send_response(status)
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text.encode())

    @property
    def bodies(self):
        """What was taken."""
        with self._lock:
            return [body for _, _, body, _, _ in self.taken]

    def keys(self):
        """The keys of all episodes that were told, in their order."""
        return [episode["key"] for body in self.bodies for episode in body["episodes"]]


def change(number, stage="begin", **fields):
    """A change of an episode, one a minute."""
    moment = timestamp(START + 60_000 * number)
    episode = fields.pop("episode_id", f"{number:032x}")
    return {
        "key": f"{episode}:{stage}",
        "stage": stage,
        "episode_id": episode,
        "sensor": f"sensor-{number}",
        "kind": "spike",
        "severity": 80,
        "@timestamp": moment,
        "start": moment,
        "seen": moment,
        "last": moment,
        "anomalies": 1,
        "values": {"feature_data_v": 117.0, "expected_values_v": 17.0, "relevant_attribution_v": 3.0},
        "labels": {"site": "north"},
        "stream": "RawStreamData",
        "shard": "shardId-0",
        "sequence_number": "4711",
        "sub_sequence_number": 0,
        "event.created": moment,
    } | fields
