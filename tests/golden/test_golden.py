"""The documents of known streams are those that the code wrote before it was moved into rooms (commit 8590ca8)."""

import pytest

from tests.golden.checkout import documents
from tests.golden.digest import CHANGED, differences, digest, expected
from tests.golden.inputs import CASES, COLD_ROOM, cold_room

OTHERS = [pytest.param(name, marks=pytest.mark.recordings) if name == "recordings" else name for name in CASES]


@pytest.mark.parametrize("case", OTHERS)
def test_documents_are_what_they_were(case):
    found = list(differences(expected(case), documents(CASES[case])))
    assert not found, "python -m tests.golden --against FOLDER shows which, with a checkout of 8590ca8 in FOLDER"


def test_the_recording_is_what_its_generator_makes():
    lines = ["timestamp,value", *(f"{time:%Y-%m-%dT%H:%M:%SZ},{value}" for time, value in cold_room())]
    assert COLD_ROOM.read_text().splitlines() == lines


def test_a_digest_sees_a_changed_value_and_ignores_the_last_digits_and_new_fields():
    was = [{"sensor": "A", "anomaly_score": 1 + row / 7, "event.id": row} for row in range(100)]
    kept = digest(was)
    assert not set(kept["fields"]) & CHANGED.keys()
    rounded = [{**document, "anomaly_score": document["anomaly_score"] * (1 + 1e-12), "new": 1} for document in was]
    assert not list(differences(kept, rounded))
    was[42]["anomaly_score"] += 0.01
    assert list(differences(kept, was)) == ["anomaly_score differs in the tenths 4 of the stream"]
    assert list(differences(kept, was[:-1])) == ["99 documents, not 100"]
