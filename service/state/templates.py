"""Models learnt from history, with which sensors begin that the service meets for the first time."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from detector.detector import Configuration, Detector
from service.pipeline.models import Model
from service.state.blobs import Blobs
from service.state.snapshots import ModelFingerprint, OtherConfigurationError, SnapshotError
from service.state.snapshots.shard import ShardSnapshots

log = logging.getLogger("cutwater.templates")


@dataclass(frozen=True, slots=True)
class Templates:
    """A set of models by sensor; ``detector.fleet.DEFAULT_TEMPLATE`` stands for all that have none of their own.

    ``digest`` names the set, "" the empty one.
    """

    models: Mapping[str, bytes] = field(default_factory=dict)
    digest: str = ""


class TemplateStore:
    """The templates of one stream, where its snapshots lie.

    Guarantee: a set is seen wholly or not at all; it stays until a newer one is complete.
    """

    def __init__(self, blobs: Blobs, stream: str, fingerprint: ModelFingerprint) -> None:
        self._blobs, self._fingerprint = blobs, fingerprint
        self._place = f"{stream}/templates"

    async def read(self, configuration: Configuration) -> Templates:
        """The newest set; an empty one, and a warning, if it was made with another configuration or is damaged."""
        name = await self._newest()
        if name is None:
            return Templates()
        try:
            models = await self._snapshots(0).read(name)
            if models:
                Detector.restore(configuration, next(iter(models.values())).state)
        except (OtherConfigurationError, SnapshotError, ValueError) as error:
            log.warning("what was learnt from history is not used: %s; run cutwater backfill again", error)
            return Templates()
        digest = hashlib.blake2b(digest_size=8)
        for sensor in sorted(models):
            digest.update(hashlib.blake2b(repr(sensor).encode() + models[sensor].state).digest())
        return Templates({sensor: model.state for sensor, model in models.items()}, digest.hexdigest())

    async def add(self, models: Mapping[str, bytes], configuration: Configuration) -> Templates:
        """A new set: the last one with these models added or in the place of those of the same sensors."""
        before = await self._newest()
        known = (await self.read(configuration)).models
        every = {sensor: Model(state) for sensor, state in sorted((dict(known) | dict(models)).items())}
        fencing_token = _fencing_token(before) + 1 if before else 1
        await self._snapshots(fencing_token).write(None, every)
        await self._snapshots(fencing_token).delete_orphans()
        return await self.read(configuration)

    def _snapshots(self, fencing_token: int) -> ShardSnapshots:
        return ShardSnapshots(self._blobs, self._place, fencing_token, self._fingerprint)

    async def _newest(self) -> str | None:
        """The head of the newest set; a head is written last, so that all of its set is there."""
        names = await self._blobs.names(self._place + "/")
        return max((name for name in names if "." not in name.rpartition("/")[2]), default=None)


def _fencing_token(name: str) -> int:
    return int(name.rpartition("/")[2].partition("-")[0])
