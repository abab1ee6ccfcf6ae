"""Short ways to decode a record."""

import json

import pytest

from service.pipeline.decode import Fields, JSONDecoder
from service.pipeline.records import Position, Record

ARRIVAL = 1_795_746_600_000  # 2026-11-27T02:30:00Z
USUAL = {"sensor": "iotName", "values": {"iotValue": "iotValue"}, "time": "iotTime", "max_future": 60_000}


def record(data, arrival=ARRIVAL) -> Record:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Record(Position(1), "key", arrival, raw)


class Result:
    """What came of one record: readings as (ordinal, sensor, time, values), refusals as (ordinal, code)."""

    def __init__(self, decoded):
        readings = decoded.readings
        names = [readings.sensors[code] for code in readings.codes]
        values = map(tuple, readings.values.tolist())
        self.readings = list(zip(decoded.ordinals, names, readings.times.tolist(), values, strict=True))
        self.values = [values[0] for *_, values in self.readings]
        self.sensors = [sensor for _, sensor, _, _ in self.readings]
        self.times = [time for _, _, time, _ in self.readings]
        self.ordinals = list(decoded.ordinals)
        self.labels = list(decoded.labels)
        self.refusals = [(refusal.ordinal, refusal.code) for refusal in decoded.refusals]
        self.reasons = [refusal.reason for refusal in decoded.refusals]
        self.data = [refusal.data for refusal in decoded.refusals]
        assert all(0 < len(reason) < 400 and "\n" not in reason for reason in self.reasons)
        assert decoded.records or decoded.refusals, "a record vanished"


@pytest.fixture
def decode():
    """Decode one record: ``decode(data, readings_field="", arrival=…, **fields)``."""

    def run(data, readings_field="", arrival=ARRIVAL, **fields) -> Result:
        decoder = JSONDecoder(Fields(**(USUAL | fields)), readings_field)
        return Result(decoder.decode([record(data, arrival)]))

    return run
