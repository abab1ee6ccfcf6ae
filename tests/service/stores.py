"""Documents to write and places to look for them, past the code under test."""

import contextlib
import json
import sqlite3

from service.pipeline.documents import IndexDocument, timestamp
from service.pipeline.records import DeadLetter, Position, Record
from service.sinks.index.opensearch import OpenSearchIndex
from service.sinks.index.sqlite import SQLiteIndex
from tests.servers import opensearch

NOON = 1_700_049_600_000  # 2023-11-15T12:00Z
FEATURES = ("temperature", "humidity")
SPECS = {spec.name: spec for spec in opensearch.SPECS}


def entry(number: int, **fields) -> IndexDocument:
    """A document as the service makes them; a minute apart, so that 1440 fill a day."""
    moment = NOON + 60_000 * number
    document = {
        "@timestamp": timestamp(moment),
        "sensor": f"sensor-{number % 7}",
        "anomaly_score": number / 10,
        "anomaly_grade": 0.5,
        "severity": number % 10 * 10 + number % 4,
        "is_anomaly": number % 2 == 0,
        "event.kind": "alert",
        "alert": number % 4 == 1,
        "anomaly_kind": "spike" if number % 3 else "level shift",
        "episode_id": f"episode-{number // 4}",
        "episode_kind": ("spike", "level shift", "drift", "stuck")[number % 4],
        "labels.site": ("north", "south")[number % 2],
        "feature_data_temperature": 20.5,
        "expected_values_temperature": float("nan"),
        "shard": f"shardId-00000000000{number % 2}",
        "sequence_number": f"{number:056d}",
    }
    return IndexDocument(f"{number:032x}", moment, document | fields)


def letter(number: int, data: bytes = b"\xff\0not JSON") -> DeadLetter:
    record = Record(Position(number), "key", NOON + number, data)
    return DeadLetter("stream", "shardId-000000000000", record, "not_json", f"reason {number}", ended=NOON)


class SQLiteStore:
    """A file, looked into with a connection of our own."""

    def __init__(self, folder):
        self.path = folder / "index.db"

    def index(self):
        return SQLiteIndex(self.path)

    def documents(self):
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            return {name: json.loads(text) for name, text in db.execute("SELECT id, document FROM document")}

    def of_sensor(self, name):
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            return [name for (name,) in db.execute("SELECT id FROM document WHERE sensor = ?", (name,))]


class ServerStore:
    """Indices of a prefix on a real server, asked with plain HTTP."""

    def __init__(self, spec, server=None):
        self.server = server or opensearch.shared(spec)
        self.prefix = opensearch.unique_prefix()

    def index(self):
        return OpenSearchIndex(self.server.url, self.prefix, FEATURES)

    def documents(self):
        return {hit["_id"]: hit["_source"] for hit in self._search({"query": {"match_all": {}}})}

    def of_sensor(self, name):
        return self.found({"term": {"sensor": name}})

    def found(self, query):
        """Ids of what matches."""
        return [hit["_id"] for hit in self._search({"query": query})]

    def count(self):
        return self.server.count(f"{self.prefix}-2*")

    def _search(self, body):
        self.server.request("POST", f"/{self.prefix}-*/_refresh")
        answer = self.server.request("POST", f"/{self.prefix}-2*/_search", {"size": 10_000} | body)
        return answer["hits"]["hits"]
