"""Snapshots of forests: the frame of ``detector.snapshot_format`` with the forest's parameters in its head."""

from __future__ import annotations

from dataclasses import asdict

from detector import snapshot_format
from detector.forest.forest import Parameters


def encode(kind: str, parameters: Parameters, body: bytes, *, compress: bool = True) -> bytes:
    """A snapshot of a forest of this kind."""
    fields = asdict(parameters)
    if parameters.time_decay == float("inf"):
        fields["time_decay"] = "inf"  # which JSON lacks
    return snapshot_format.encode(kind, {"parameters": fields}, body, compress=compress)


def decode(snapshot: bytes) -> tuple[str, Parameters, bytes]:
    """(kind, parameters, body) of a snapshot. ValueError says why it is refused."""
    kind, fields, body = snapshot_format.decode(snapshot, "the snapshot of a forest")
    parameters = fields.get("parameters")
    if not isinstance(parameters, dict):
        raise ValueError("this is not the snapshot of a forest: it names no parameters")
    if parameters.get("time_decay") == "inf":
        parameters["time_decay"] = float("inf")
    whole = {name: parameters.get(name) for name in ("dimensions", "trees", "samples", "shingle", "seed")}
    if not all(type(number) is int for number in whole.values()):
        raise ValueError(f"the snapshot's forest has parameters that are no whole numbers: {whole}")
    try:
        return kind, Parameters(**parameters), body
    except TypeError:
        raise ValueError(f"the snapshot has other parameters than a forest: {', '.join(parameters)}") from None
