"""What is kept of documents to tell whether they are still the same: a digest for each field and tenth of a stream."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

EXPECTED = Path(__file__).parent / "expected"
PARTS = 10
DIGITS = 6  # significant; processors differ in how they round a sum of products

# Fields that may differ, and why.
CHANGED = {
    "event.id": "the place of the record in the stream is part of it, and that depends on when it was put",
    "sequence_number": "given by the stream when a record is put",
    "event.created": "the time of arrival",
    "detector_id": "a new setting changes the configuration that it stands for",
    "detector_version": "the version of the project",
    "schema_version": "counts changes of the list of fields",
    "is_anomaly": "an alert is an anomaly since 0.2.0",
    "anomaly_grade": "an alert's grade is above 0.7 since 0.2.0",
}


def digest(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Number of documents, and for each field that is to stay a digest of each tenth of its values."""
    names = sorted(set().union(*documents) - CHANGED.keys())
    size = -(-len(documents) // PARTS)
    parts = [documents[start : start + size] for start in range(0, len(documents), size)]
    return {"documents": len(documents), "fields": {name: [_of(name, part) for part in parts] for name in names}}


def _of(name: str, documents: Sequence[dict[str, Any]]) -> str:
    values = json.dumps([_rounded(document.get(name)) for document in documents])
    return hashlib.sha256(values.encode()).hexdigest()[:12]


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def expected(case: str) -> dict[str, Any]:
    """What is kept of a case."""
    kept: dict[str, Any] = json.loads((EXPECTED / f"{case}.json").read_text())
    return kept


def keep(case: str, documents: Sequence[dict[str, Any]]) -> None:
    """Write what is kept of a case anew."""
    kept = digest(documents)
    fields = ",\n".join(f"    {json.dumps(name)}: {json.dumps(parts)}" for name, parts in kept["fields"].items())
    text = f'{{\n  "documents": {kept["documents"]},\n  "fields": {{\n{fields}\n  }}\n}}\n'
    (EXPECTED / f"{case}.json").write_text(text)


def differences(kept: dict[str, Any], documents: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What is not as it was, a line for each field. Fields that came later are none."""
    found = digest(documents)
    if found["documents"] != kept["documents"]:
        yield f"{found['documents']} documents, not {kept['documents']}"
        return
    for name, parts in kept["fields"].items():
        now = found["fields"].get(name, [None] * len(parts))
        wrong = [str(part) for part, (one, other) in enumerate(zip(parts, now, strict=True)) if one != other]
        if wrong and name not in CHANGED:
            yield f"{name} differs in the tenths {', '.join(wrong)} of the stream"


def differing(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What two checkouts made differently, to the last bit; of each field the first document that shows it."""
    if len(old) != len(new):
        yield f"{len(new)} documents, not {len(old)}"
    for name in sorted(set().union(*old) - CHANGED.keys()):
        pairs = [(a, b) for a, b in zip(old, new, strict=False) if a.get(name) != b.get(name)]
        if pairs:
            one, other = pairs[0]
            yield (
                f"{name} differs in {len(pairs)} documents, first {one['sensor']} at {one['@timestamp']}: "
                f"{one.get(name)!r} became {other.get(name)!r}"
            )
