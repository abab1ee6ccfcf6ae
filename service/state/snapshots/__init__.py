"""The models of each shard as of its checkpoints: how they are written, and what may be wrong with them.

Guarantee: a name stands for the same models for ever, until it is deleted. Nothing that is damaged, of an unknown
format or of another configuration is ever taken for something else: each blob carries its format and a checksum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class SnapshotError(Exception):
    """A snapshot cannot be read: it is damaged, incomplete or of an unknown format."""


class OtherConfigurationError(Exception):
    """A snapshot is whole, but its models were made with another configuration; the message says what differs."""


@dataclass(frozen=True, slots=True)
class Written:
    """A snapshot that no lease names yet; ``size`` is what it added to the store, in bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class ModelFingerprint:
    """Who made a snapshot's models: ``detector`` identifies what scores, ``settings`` say it in words."""

    detector: str
    settings: Mapping[str, Any]
