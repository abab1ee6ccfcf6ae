"""The bytes of a snapshot: a head that names its chunks, and chunks of models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from detector import snapshot_format
from service.pipeline.models import Model
from service.state.snapshots import SnapshotError

HEAD, CHUNK = "checkpoint", "models"  # kinds of blobs


def encode_models(models: Mapping[str, Model]) -> bytes:
    """The models behind a table of them in JSON that says any name and number; labels only where there are any."""
    rows = [
        (sensor, model.first_key, model.last_key, len(model.state), *([dict(model.labels)] if model.labels else []))
        for sensor, model in models.items()
    ]
    table = json.dumps(rows).encode()
    body = b"".join([table, *(model.state for model in models.values())])
    return snapshot_format.encode(CHUNK, {"table": len(table)}, body)


def decode_models(data: bytes, name: str) -> dict[str, Model]:
    """The models of a chunk. Raises SnapshotError."""
    _, fields, body = decode(data, name, CHUNK)
    models = {}
    try:
        start = int(fields["table"])
        for sensor, first, last, size, *found in json.loads(body[:start]):
            labels = {str(name): str(text) for each in found for name, text in each.items()}
            models[str(sensor)] = Model(body[start : start + size], int(first), int(last), labels)
            start += size
    except (AttributeError, LookupError, TypeError, ValueError):
        raise SnapshotError(f"snapshot {name} is damaged: its table of models cannot be read") from None
    if start != len(body):
        raise SnapshotError(f"snapshot {name} is damaged: it holds {len(body)} bytes of models and names {start}")
    return models


def decode_head(data: bytes, name: str) -> dict[str, Any]:
    """The fields of a head. Raises SnapshotError."""
    fields = decode(data, name, HEAD).fields
    chunks = fields.get("chunks")
    if not isinstance(chunks, list) or not isinstance(fields.get("settings"), dict) or "detector" not in fields:
        raise SnapshotError(f"snapshot {name} is damaged: it does not say what it needs")
    return fields


def decode(data: bytes, name: str, kind: str) -> snapshot_format.Snapshot:
    """A blob of this kind taken apart. Raises SnapshotError."""
    try:
        found = snapshot_format.decode(data, "one")
    except ValueError as error:
        raise SnapshotError(f"snapshot {name}: {error}") from None
    if found.kind != kind:
        raise SnapshotError(f"snapshot {name} is damaged: it is one of {found.kind}, not of {kind}")
    return found
