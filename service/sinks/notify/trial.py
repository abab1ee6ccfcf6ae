"""A made-up alert, to see whether a receiver takes it."""

from __future__ import annotations

import time
import uuid

from service.pipeline.documents import Document, timestamp
from service.settings.groups.notify import NotifyTable
from service.settings.model import Settings
from service.sinks.notify.message import compose
from service.sinks.notify.targets import NotSentError, target_of


async def try_route(table: NotifyTable, settings: Settings) -> str:
    """Send an alert and its end by a route, whatever it filters; why that failed, or nothing."""
    target, episode, problem = target_of(table, settings.region), f"test-{uuid.uuid4().hex}", ""
    await target.open()
    try:
        for stage in ("begin", "end"):
            await target.send(compose(episode, [_change(episode, stage, settings)], settings.page_url))
    except NotSentError as error:
        problem = str(error)
    finally:
        await target.close()
    return problem


def _change(episode: str, stage: str, settings: Settings) -> Document:
    """A spike of a sensor that there is not."""
    now = timestamp(round(time.time() * 1000))
    value = next(iter(settings.value_fields))
    return {
        "key": f"{episode}:{stage}",
        "episode_id": episode,
        "stage": stage,
        "sensor": "cutwater-notify-test",
        "kind": "spike",
        "severity": 50,
        "@timestamp": now,
        "start": now,
        "seen": now,
        "last": now,
        "anomalies": 1,
        "values": {f"feature_data_{value}": 117.0, f"expected_values_{value}": 17.0},
        "labels": {},
        "stream": settings.stream,
        "shard": "none",
    }
