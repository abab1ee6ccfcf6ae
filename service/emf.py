"""The metrics as CloudWatch's embedded metric format: JSON lines, of which CloudWatch Logs makes metrics by itself.

One dimension, the stream, so that the number of metrics is fixed whatever shards, sensors and workers there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

NAMESPACE = "Cutwater"
SECONDS = 60  # between two lines, as alarms look once a minute
MOST_VALUES = 100  # of one metric in a line, by the format
_OTHERS = ("process_resident_memory_bytes", "process_cpu_seconds", "process_open_fds")  # not of our own, but worth it


class EmbeddedMetrics:
    """Lines that each tell what changed since the one before: counters their increase, gauges their values now.

    Gauges with labels give a value a label, of which CloudWatch makes Minimum, Maximum and Average; of histograms the
    mean of what came since is told.
    """

    def __init__(self, registry: CollectorRegistry, stream: str, worker: str, write: Callable[[str], object]) -> None:
        """``write`` takes each line, with its end."""
        self._registry = registry
        self._properties = {"stream": stream.rpartition("/")[2], "worker": worker}
        self._write = write
        self._before: dict[str, float] = {}

    def write(self, now: float | None = None) -> None:
        """Write a line; ``now`` in seconds since 1970."""
        metrics = {name: (unit, values) for name, unit, values in self._metrics() if values}
        moment = time.time() if now is None else now
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [["stream"]],
            "Metrics": [{"Name": name, "Unit": unit} for name, (unit, _) in metrics.items()],
        }
        line = {
            "_aws": {"Timestamp": round(moment * 1000), "CloudWatchMetrics": [directive]},
            **self._properties,
            **{name: values[0] if len(values) == 1 else values for name, (_, values) in metrics.items()},
        }
        self._write(orjson.dumps(line).decode() + "\n")

    def _metrics(self) -> Iterator[tuple[str, str, list[float]]]:
        for family in self._registry.collect():
            if not family.name.startswith("cutwater_") and family.name not in _OTHERS:
                continue
            name = family.name.removeprefix("cutwater_")
            match family.type:
                case "counter":
                    yield name, _unit(name), [self._since(f"{family.name}_total", family)]
                case "gauge":
                    yield name, _unit(name), _bounded([sample.value for sample in family.samples])
                case "histogram":
                    count = self._since(f"{family.name}_count", family)
                    total = self._since(f"{family.name}_sum", family)
                    yield name, _unit(name), [total / count] if count else []

    def _since(self, name: str, family: Metric) -> float:
        """How much a counter grew, over all its labels."""
        total = sum(sample.value for sample in family.samples if sample.name == name)
        increase = total - self._before.get(name, 0.0)
        self._before[name] = total
        return increase


def _unit(name: str) -> str:
    if name.endswith("seconds"):
        return "Seconds"
    return "Bytes" if name.endswith("bytes") else "Count"


def _bounded(values: list[float]) -> list[float]:
    """The values, or the least and the greatest of very many."""
    if len(values) <= MOST_VALUES:
        return values
    half = MOST_VALUES // 2
    ordered = sorted(values)
    return ordered[:half] + ordered[-half:]
