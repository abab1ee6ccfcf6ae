"""A snapshot whose checksum is right may still be wrong: it is refused, or what it holds can be gone on with.

Bits are flipped in what the frame holds, and the frame is made anew, so that nothing but the check of the contents
stands between them and compiled code, which checks no bounds. A crash would end the test run.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import snapshot_format
from detector.detector import Configuration, Detector
from detector.forest.backends import restore_forest
from detector.forest.cut_forest import CutForest
from detector.forest.forest import Parameters

FORESTS = [
    Parameters(trees=3, samples=16),
    Parameters(trees=2, samples=300),
    Parameters(dimensions=2, trees=3, samples=16),
    Parameters(dimensions=3, shingle=4, trees=2, samples=40, gate=0.5),
]
DETECTORS = [
    Configuration(profile="small"),
    Configuration(profile="small", dimensions=2, trees=3, samples=16),
    Configuration(profile="small", shingle=3, trees=3, samples=16),
]
MINUTE = 60_000


def walk(n: int, dimensions: int, seed: int = 0) -> np.ndarray:
    """Values with repeats among them, so that trees have leaves of several points."""
    return np.random.default_rng(seed).integers(0, 40, (n, dimensions)).astype(float)


def flipped(body: bytes, places: list[tuple[float, int]]) -> bytes:
    """The bytes with some bits changed; a place is a part of the whole length and a bit."""
    changed = bytearray(body)
    for part, bit in places:
        changed[int(part * len(body)) % len(body)] ^= 1 << bit
    return bytes(changed)


PLACES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), min_size=1, max_size=4)
# Near the beginning are the header, counts and links; the rest is mostly points.
FRONT = st.lists(st.tuples(st.floats(0, 0.05), st.integers(0, 7)), min_size=1, max_size=2)


@pytest.mark.parametrize("parameters", FORESTS, ids=str)
@given(PLACES | FRONT)
@settings(max_examples=150, deadline=None)
def test_a_forest_with_flipped_bits_is_refused_or_goes_on(parameters, places):
    forest = CutForest(parameters)
    forest.process(walk(200, parameters.dimensions))
    kind, fields, body = snapshot_format.decode(forest.snapshot(compress=False))
    try:
        forest = restore_forest(snapshot_format.encode(kind, fields, flipped(body, places), compress=False))
    except ValueError:
        return
    values = walk(400, parameters.dimensions, seed=1)
    forest.process(values)
    forest.attribution(values[:3])
    forest.expected(values[:3])
    forest.codisp(values[:3])


@pytest.mark.parametrize("configuration", DETECTORS, ids=["line", "two values", "shingle"])
@given(PLACES | FRONT)
@settings(max_examples=100, deadline=None)
def test_a_detector_with_flipped_bits_is_refused_or_goes_on(configuration, places):
    detector = Detector(configuration, 1)
    times = MINUTE * np.arange(600, dtype=np.int64)
    detector.process(times[:300], walk(300, configuration.dimensions))
    kind, fields, body = snapshot_format.decode(detector.snapshot(compress=False))
    try:
        detector = Detector.restore(
            configuration, snapshot_format.encode(kind, fields, flipped(body, places), compress=False)
        )
    except ValueError:
        return
    detector.process(times[300:], walk(300, configuration.dimensions, seed=1))
    assert detector.silence_timeout > 0 or np.isnan(detector.silence_timeout)


@pytest.mark.parametrize("compress", [False, True])
@given(st.integers(0, 10_000), st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_a_flipped_bit_of_a_frame_is_noticed(compress, place, bit):
    detector = Detector(DETECTORS[0], 1)
    snapshot = bytearray(detector.snapshot(compress=compress))
    snapshot[place % len(snapshot)] ^= 1 << bit
    with pytest.raises(ValueError, match=r"damaged|not a detector's snapshot|version"):
        Detector.restore(DETECTORS[0], bytes(snapshot))


@pytest.mark.parametrize("configuration", DETECTORS, ids=["line", "two values", "shingle"])
@pytest.mark.parametrize("readings", [0, 1, 2, 7, 40, 500])
def test_what_is_right_is_never_refused(configuration, readings):
    detector = Detector(configuration, 1)
    detector.process(MINUTE * np.arange(readings, dtype=np.int64), walk(readings, configuration.dimensions))
    again = Detector.restore(configuration, detector.snapshot())
    assert again.snapshot() == detector.snapshot()


@pytest.mark.parametrize("extreme", [1e300, -1e300, 5e-324, 0.0, 1e200])
@pytest.mark.parametrize("configuration", DETECTORS, ids=["line", "two values", "shingle"])
def test_extreme_values_make_no_state_that_is_refused(configuration, extreme):
    values = walk(300, configuration.dimensions)
    values[::7] = extreme
    detector = Detector(configuration, 1)
    detector.process(MINUTE * np.arange(300, dtype=np.int64), values)
    Detector.restore(configuration, detector.snapshot())
