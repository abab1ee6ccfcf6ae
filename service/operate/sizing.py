"""What a fleet of sensors needs - memory, CPU, shards, tasks - and what that costs a month.

Everything is computed from constants that were measured once and stand here with their source, and from dated prices.
It is an estimate for the classic reading, a JSON object of a name and a number; events cost more.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from importlib.resources import files
from math import ceil
from pathlib import Path
from typing import Any

from service import UserError

# Bytes of a sensor's model: (of one value, of each more), and what a forest of several values adds. They follow from
# the layout of the state: `python -m benchmarks.sizing`.
MODEL_BYTES = {"small": (66_112, 60_000), "default": (213_664, 180_000), "best": (420_368, 350_000)}
FOREST_BYTES = 1_750_000
# Microseconds of CPU on a quiet machine. The detector's for a reading of one value: `python -m benchmarks.detector`.
# For each call of a sensor's detector, which takes all its readings of a batch, and for all but the detector: what
# `python -m benchmarks.pipeline` finds at 10 000 and 1 000 sensors. For each more value: `python -m benchmarks.sizing`.
DETECTOR_US = {"small": 10.7, "default": 14.7, "best": 23.5}
CALL_US, OTHER_US = 70.0, 6.0
MORE_VALUES_US = 30.0
BATCH_SECONDS = 1.0  # poll_seconds, the default
# Bytes, docs/explanation/guarantees.md: of the process, of what is fetched, of recent scores, of a shard's documents.
PROCESS_BYTES, FETCHED_BYTES, SCORES_BYTES, DOCUMENTS_BYTES = 250_000_000, 2**26, 40_000_000, 15_000_000
UNPACKED_BYTES = 130_000_000  # of a shard whose records unpack to much
CHECKPOINT_SECONDS = 10  # the default: models that changed within are copied
FULL = 0.6  # of a core; the rest is for catching up, checkpoints and the API. A worker scores on one core
ROOM = 0.85  # of the memory of a task
SHARD_BYTES, SHARD_RECORDS = 1_000_000, 1_000  # a second, that Kinesis takes
SHARD_FULL = 0.8
PUT_UNIT = 25_000  # bytes
HOURS = 730  # a month
MOST_TASKS = 500
# CPU units and the MiB that deploy/ecs.yaml offers with them.
SIZES = {512: (2048, 4096), 1024: (2048, 4096, 8192), 2048: (4096, 8192, 16384), 4096: (8192, 16384, 30720)}


class SizingError(UserError):
    """No number of tasks is enough, or prices cannot be read."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """What is needed.

    Attributes:
        sensors, rate, profile, values: what was asked for; ``rate``: readings a second.
        cores: busy ones, over all tasks.
        shards, tasks: of the stream, and of the service.
        task_cpu, task_memory: CPU units and MiB of a task.
        model_bytes: of a sensor.
        memory_bytes: that a task needs.
        max_sensors: the setting, with which all models are in memory.
        monthly: US dollars by what they are for.
        prices_as_of, prices_region: of which prices these are.
    """

    sensors: int
    rate: float
    profile: str
    values: int
    cores: float
    shards: int
    tasks: int
    task_cpu: int
    task_memory: int
    model_bytes: int
    memory_bytes: int
    max_sensors: int
    monthly: dict[str, float]
    prices_as_of: str
    prices_region: str

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def model_bytes(profile: str, values: int) -> int:
    """What a sensor's model takes in memory."""
    first, more = MODEL_BYTES[profile]
    return first + (more * (values - 1) + FOREST_BYTES if values > 1 else 0)


def reading_us(profile: str, values: int, sensors: int, rate: float) -> float:
    """CPU time of a reading, in microseconds: the fewer of a sensor come together, the more each costs."""
    together = max(BATCH_SECONDS * rate / sensors, 1.0)
    return OTHER_US + CALL_US / together + DETECTOR_US[profile] + MORE_VALUES_US * (values - 1)


def plan_tasks(
    sensors: int,
    rate: float,
    *,
    profile: str = "default",
    values: int = 1,
    record_bytes: int = 120,
    readings_per_record: int = 1,
    prices: Path | None = None,
) -> Sizing:
    """The cheapest tasks that keep all models in memory and are at most ``FULL``.

    Args:
        sensors: how many.
        rate: readings a second, of all of them.
        profile: the setting.
        values: of a reading.
        record_bytes: of a record on the stream.
        readings_per_record: on average.
        prices: a file like prices.toml; None for that one.

    Raises SizingError.
    """
    table = _prices(prices)
    records = rate / readings_per_record
    for_stream = max(records / SHARD_RECORDS, records * record_bytes / SHARD_BYTES) / SHARD_FULL
    cores = rate * reading_us(profile, values, sensors, rate) / 1e6
    size = model_bytes(profile, values)
    best: tuple[float, int, int, int, int, int] | None = None
    for tasks in range(max(1, ceil(cores / FULL)), MOST_TASKS + 1):
        shards = max(tasks, ceil(for_stream))  # a worker reads whole shards
        own = ceil(shards / tasks)
        share = own / shards  # of all that one task has
        models = ceil(sensors * share) * size
        copied = min(models, ceil(rate * share * CHECKPOINT_SECONDS) * size)
        memory = PROCESS_BYTES + FETCHED_BYTES + SCORES_BYTES + UNPACKED_BYTES + own * DOCUMENTS_BYTES + models + copied
        for cpu, offered in SIZES.items():
            for mib in offered:
                enough = cores * share <= FULL * min(cpu / 1024, 1.0) and memory <= ROOM * mib * 2**20
                cost = tasks * HOURS * (cpu / 1024 * table["fargate"]["vcpu"] + mib / 1024 * table["fargate"]["gb"])
                cost += shards * HOURS * table["kinesis"]["shard_hour"]
                if enough and (best is None or cost < best[0]):
                    best = cost, tasks, shards, cpu, mib, memory
    if best is None:
        raise SizingError(
            f"{sensors} sensors at {rate:g} readings a second need more than {MOST_TASKS} tasks; a smaller profile "
            "needs less"
        )
    _, tasks, shards, cpu, mib, memory = best
    put = records * ceil(record_bytes / PUT_UNIT) * 3600 * HOURS / 1e6
    monthly = {
        "tasks": tasks * HOURS * (cpu / 1024 * table["fargate"]["vcpu"] + mib / 1024 * table["fargate"]["gb"]),
        "shards": shards * HOURS * table["kinesis"]["shard_hour"],
        "records": put * table["kinesis"]["million_put_units"],
    }
    return Sizing(
        sensors=sensors,
        rate=rate,
        profile=profile,
        values=values,
        cores=round(cores, 3),
        shards=shards,
        tasks=tasks,
        task_cpu=cpu,
        task_memory=mib,
        model_bytes=size,
        memory_bytes=memory,
        max_sensors=max(ceil(1.25 * sensors / shards), 1),  # shards are never equal
        monthly={name: round(cost, 2) for name, cost in monthly.items()} | {"all": round(sum(monthly.values()), 2)},
        prices_as_of=table["as_of"],
        prices_region=table["region"],
    )


def _prices(path: Path | None) -> dict[str, Any]:
    try:
        text = (path or files("service.operate") / "prices.toml").read_text()
        table = tomllib.loads(text)
        numbers = [table[group][name] for group, name in _NUMBERS]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise SizingError(f"prices {path}: {error}; see service/operate/prices.toml for what is needed") from None
    if not all(isinstance(number, (int, float)) and number >= 0 for number in numbers):
        raise SizingError(f"prices {path}: each must be a number, 0 or more")
    return {"as_of": "", "region": ""} | table


_NUMBERS = (("fargate", "vcpu"), ("fargate", "gb"), ("kinesis", "shard_hour"), ("kinesis", "million_put_units"))
