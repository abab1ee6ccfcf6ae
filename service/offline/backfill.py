"""``cutwater backfill``: learn sensors from their history, so that they are ready at their first live reading."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from detector.detector import Configuration
from detector.fleet import DEFAULT_TEMPLATE
from detector.types import Floats, Integers, Readings
from service.offline import export
from service.offline.tables import Columns, HistoryError, Table, find, read, say_once
from service.pipeline.core import Core
from service.pipeline.documents import Document
from service.pipeline.times import parse_time
from service.sinks.index import Index
from service.sinks.query import Filter

_BATCH = 10_000  # readings learnt at once

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Past:
    """A sensor's readings: ``times`` [n] in ms, ascending, ``values`` [n, d]."""

    sensor: str
    times: Integers
    values: Floats


@dataclass(frozen=True, slots=True)
class Learnt:
    """What came of it: ``model`` is a template, ``ready`` whether it has seen enough."""

    sensor: str
    readings: int
    ready: bool
    model: bytes


def from_files(paths: Sequence[Path], columns: Columns, tell: Callable[[str], None]) -> list[Past]:
    """Readings in CSV files and folders, several files of one sensor together; says how files were read.

    Values are found by their names. Raises HistoryError.
    """
    found: dict[str, list[tuple[Integers, Floats]]] = {}
    tables: list[tuple[str, Table]] = []
    for path, name in find(paths):
        table = read(path, replace(columns, by_name=True))
        for history in table.histories:
            found.setdefault(history.sensor, []).append((history.times, history.values))
        tables.append((name, replace(table, histories=[])))
    for line in say_once(tables):
        tell(line)
    return [_past(sensor, *map(np.concatenate, zip(*parts, strict=True))) for sensor, parts in found.items()]


async def from_index(index: Index, wanted: Filter, features: Sequence[str], progress: Progress) -> list[Past]:
    """Readings in the index of a service that wrote all of them. Raises HistoryError."""
    found: dict[str, tuple[list[int], list[list[float]]]] = {}
    usual = 0
    async for page in export.documents(index, wanted):
        for document in page:
            if not document.get("silent_since"):
                times, values = found.setdefault(document["sensor"], ([], []))
                times.append(parse_time(document["@timestamp"]))
                values.append([_value(document, feature) for feature in features])
                usual += not document["is_anomaly"]
        progress(len(page))
    if not usual:
        raise HistoryError(
            "the index holds no ordinary readings; learn from files, or run the service with index = all"
        )
    return [
        _past(sensor, np.array(times[::-1], dtype=np.int64), np.array(values[::-1], dtype=np.float64))
        for sensor, (times, values) in found.items()
    ]


def learn(
    past: Sequence[Past],
    configuration: Configuration,
    others: str | None,
    progress: Progress,
    workers: int | None = None,
) -> list[Learnt]:
    """Each sensor's template; that of the sensor ``others`` also stands for all that have none. Raises HistoryError."""
    names = [one.sensor for one in past]
    if others is not None and others not in names:
        raise HistoryError(
            f"--others {others!r}: no such sensor in the history; there are {', '.join(sorted(names)[:10])}"
        )
    learnt = {}
    with ProcessPoolExecutor(workers) as pool:
        running = {pool.submit(_learn, one, configuration.without_rules()): one for one in past}
        for done in as_completed(running):
            learnt[running[done].sensor] = done.result()
            progress(len(running[done].times))
    every = [learnt[name] for name in names]
    if others is not None:
        model = learnt[others]
        every.append(Learnt(DEFAULT_TEMPLATE, model.readings, model.ready, model.model))
    return every


def _learn(past: Past, configuration: Configuration) -> Learnt:
    """In a process of its own: one sensor."""
    core = Core.for_readings(configuration, tuple(map(str, range(past.values.shape[1]))))
    for start in range(0, len(past.times), _BATCH):
        times, values = past.times[start : start + _BATCH], past.values[start : start + _BATCH]
        core.process_readings(Readings((past.sensor,), np.zeros(len(times), dtype=np.int64), times, values), start)
    count = len(past.times)
    return Learnt(past.sensor, count, count >= configuration.warmup_readings, core.template(past.sensor))


def _past(sensor: str, times: Any, values: Any) -> Past:
    order = np.argsort(times, kind="stable")
    return Past(sensor, times[order], values[order])


def _value(document: Document, feature: str) -> float:
    value = document.get(f"feature_data_{feature}")
    return float("nan") if value is None else float(value)


def summary(learnt: Iterable[Learnt]) -> str:
    """What came of it in a line or two."""
    own = [one for one in learnt if one.sensor != DEFAULT_TEMPLATE]
    readings, ready = sum(one.readings for one in own), sum(one.ready for one in own)
    return (
        f"{len(own)} sensor{'s' * (len(own) != 1)} learnt from {readings:,} readings; {ready} of them will be ready at "
        "the first live reading.\nThey count from the next start of the service on. Sensors that it has met keep what "
        "they have learnt."
    )
