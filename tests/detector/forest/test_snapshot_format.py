"""A snapshot is taken back whole, or refused with its reason."""

from dataclasses import asdict, replace

import numpy as np
import orjson
import pytest

from detector import snapshot_format
from detector.forest.backends import restore_forest
from detector.forest.cut_forest import CutForest
from detector.forest.forest import Parameters
from detector.forest.reference import ReferenceForest
from detector.forest.snapshot_format import decode, encode

SMALL = Parameters(trees=2, samples=8)


def snapshot(parameters: Parameters = SMALL) -> bytes:
    forest = CutForest(parameters)
    forest.process(np.random.default_rng(0).normal(size=(40, parameters.dimensions)))
    return forest.snapshot()


@pytest.mark.parametrize("changes", [{}, {"time_decay": np.inf}, {"time_decay": 1e-5}, {"gate": 0.1}, {"shingle": 3}])
def test_comes_back_as_it_was(changes):
    parameters = replace(SMALL, **changes)
    whole = snapshot(parameters)
    forest = restore_forest(whole)
    assert forest.parameters == parameters
    assert forest.snapshot() == whole


def test_every_single_changed_byte_is_noticed():
    whole = snapshot()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        with pytest.raises(ValueError, match=r"damaged|not the snapshot of a forest|version \d+, this program reads"):
            restore_forest(bytes(damaged))


def test_every_loss_at_the_end_and_every_addition_is_noticed():
    whole = snapshot()
    for end in range(len(whole)):
        with pytest.raises(ValueError, match=r"damaged|not the snapshot of a forest"):
            restore_forest(whole[:end])
    with pytest.raises(ValueError, match="damaged"):
        restore_forest(whole + b"\0")


@pytest.mark.parametrize("foreign", [b"", b"\x89PNG\r\n\x1a\n" * 9, orjson.dumps({"kind": "cutwater"}), b"CUTWATER"])
def test_what_is_none_is_called_so(foreign):
    with pytest.raises(ValueError, match="not the snapshot of a forest"):
        restore_forest(foreign)


def test_an_engine_restores_only_its_own():
    other = ReferenceForest(SMALL).snapshot()
    with pytest.raises(ValueError, match="engine 'rrcf', not 'cutwater'"):
        CutForest.restore(other)
    with pytest.raises(ValueError, match="engine 'cutwater', not 'rrcf'"):
        ReferenceForest.restore(snapshot())
    with pytest.raises(ValueError, match="engine 'krcf', not 'cutwater'"):
        restore_forest(encode("krcf", SMALL, b""))


def test_a_body_of_another_size_than_its_parameters_need_is_refused():
    kind, parameters, body = decode(snapshot())
    with pytest.raises(ValueError, match=f"holds {len(body)} bytes, its parameters need"):
        restore_forest(encode(kind, replace(parameters, trees=3), body))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"trees": 0}, "trees must be from 1 to 1000, not 0"),
        ({"trees": 2.5}, "no whole numbers"),
        ({"trees": True}, "no whole numbers"),
        ({"seed": None}, "no whole numbers"),
        ({"height": 3}, "other parameters than a forest: .*height"),
        (None, "names no parameters"),
        ([], "names no parameters"),
    ],
)
def test_parameters_that_no_forest_has_are_refused(parameters, message):
    if isinstance(parameters, dict):
        parameters = asdict(SMALL) | parameters
    with pytest.raises(ValueError, match=message):
        restore_forest(snapshot_format.encode("cutwater", {"parameters": parameters}, b""))


def test_parameters_of_a_huge_forest_are_refused_before_it_is_made():
    huge = Parameters(dimensions=1024, trees=1000, samples=16_384)  # 200 GB
    with pytest.raises(ValueError, match="its parameters need"):
        restore_forest(encode("cutwater", huge, b"small"))
