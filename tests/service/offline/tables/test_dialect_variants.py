"""The same readings are read alike, however they are written."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.offline.tables import read
from tests.service.offline.tables.dialects import dialects

START = 1_767_571_200_000  # 2026-01-05T00:00Z
NAMES = ["value", "Temp (°C), room 1", 'the "big" one', "a;b", "c|d", "druck bar", "x.y", "größe"]


@st.composite
def readings(draw):
    """Names, times and values: every value changes, and is known in two rows of three."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    count = draw(st.integers(6, 12))
    steps = draw(st.lists(st.integers(1, 300), min_size=count, max_size=count))
    times = [START + 1000 * int(second) for second in np.cumsum(steps)]
    values = []
    for row in range(count):
        lost = draw(st.integers(0, len(names) - 1)) if row % 3 == 1 else None
        numbers = [draw(st.integers(-2_000_000, 2_000_000)) / 100 + row / 4 for _ in names]
        values.append([None if column == lost else round(number, 2) for column, number in enumerate(numbers)])
    return names, times, values


@given(readings(), dialects(), st.integers(0, 99))
@settings(deadline=None, max_examples=300)
def test_every_dialect_gives_the_same_readings(written, dialect, seed):
    names, times, values = written
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pump.csv"
        path.write_bytes(dialect.write(names, times, values, seed))
        (history,) = read(path).histories
    assert (history.sensor, history.features) == ("pump", tuple(names))
    assert history.times.tolist() == times
    expected = np.array(values, dtype=float)
    assert np.array_equal(history.values, expected, equal_nan=True)
