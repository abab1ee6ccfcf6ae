"""What the API's description shows as responses."""

from __future__ import annotations

from service import __version__
from service.pipeline.documents import Document

SCORE: Document = {
    "@timestamp": "2026-11-24T04:28:44.120Z",
    "sensor": "DemoSensor",
    "anomaly_score": 3.1,
    "anomaly_grade": 0.88,
    "severity": 88,
    "confidence": 1.0,
    "threshold": 1.3,
    "is_anomaly": True,
    "in_anomaly": True,
    "alert": True,
    "alert_score": 9.2,
    "anomaly_kind": "spike",
    "episode_id": "5c1f0b9bd1c24a0e9a6f3c0c5d1e7a42",
    "episode_kind": "spike",
    "approx_anomaly_start_time": "2026-11-24T04:28:44.120Z",
    "episode_peak_score": 3.1,
    "episode_readings": 1,
    "state": "ready",
    "readings_seen": 4711,
    "feature_data_iotValue": 117.0,
    "expected_values_iotValue": 17.0,
    "expected_lower_iotValue": 11.2,
    "expected_upper_iotValue": 20.6,
    "relevant_attribution_iotValue": 3.1,
    "stream": "RawStreamData",
    "shard": "shardId-000000000000",
    "sequence_number": "49640000000000000000000000000000000000000000000000000001",
    "sub_sequence_number": 0,
    "record_ordinal": 0,
    "detector_id": "rcf-1f2e3d4c",
    "detector_version": __version__,
    "event.id": "0b9f6f0e9b2c4d5e8f7a6b5c4d3e2f1a",
    "event.kind": "alert",
    "event.module": "cutwater",
    "event.created": "2026-11-24T04:28:44.301Z",
    "schema_version": 1,
    "row": 4711,
}
_CURSOR = "time-desc_0.0_1795494524120_0b9f6f0e9b2c4d5e8f7a6b5c4d3e2f1a"
SCORES: Document = {"scores": [SCORE], "cursor": _CURSOR, "history": "complete"}
ANOMALIES: Document = {
    "anomalies": [
        {
            "episode_id": SCORE["episode_id"],
            "sensor": "DemoSensor",
            "anomaly_kind": "spike",
            "episode_kind": "level shift",
            "severity": 88,
            "approx_anomaly_start_time": "2026-11-24T04:28:44.120Z",
            "last_seen": "2026-11-24T04:29:02.300Z",
            "episode_peak_score": 3.4,
            "documents": 3,
            "alerts": [{name: value for name, value in SCORE.items() if name != "row"}],
        }
    ],
    "cursor": _CURSOR,
}

EVENTS: Document = {
    "events": [
        {
            "@timestamp": "2026-11-24T04:28:44.000Z",
            "source.ip": "198.51.100.7",
            "event.action": "ACCEPT",
            "event.id": "0b9f6f0e9b2c4d5e8f7a6b5c4d3e2f1a",
            "event.dataset": "flow-log",
            "event.created": "2026-11-24T04:28:59.301Z",
            "event.time_source": "event",
            "event.module": "cutwater",
            "stream": "flow-logs",
            "shard": "shardId-000000000000",
            "sequence_number": SCORE["sequence_number"],
            "sub_sequence_number": 0,
            "record_ordinal": 17,
            "schema_version": 1,
        }
    ],
    "cursor": _CURSOR,
}
WINDOWS: Document = {
    "windows": [
        {
            "program": "sources",
            "start": "2026-11-24T04:28:00.000Z",
            "end": "2026-11-24T04:29:00.000Z",
            "key": "198.51.100.7",
            "fields": {"source.ip": "198.51.100.7"},
            "events": 17,
            "measures": {"flows": 17, "bytes": 4711},
            "shards": 2,
        }
    ],
    "cursor": _CURSOR,
}
