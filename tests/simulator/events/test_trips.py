"""Tests of the taxi trips: the same for a seed, late by a minute at most, and with the cells that a geohash has."""

import json
from datetime import datetime
from itertools import pairwise

from simulator.events import trips

START = 1_790_000_000_000


def test_the_same_for_a_seed_and_as_many_as_the_rate_says():
    made = list(trips.generate(START, 5.0, 3600, 1))
    assert made == list(trips.generate(START, 5.0, 3600, 1))
    assert made != list(trips.generate(START, 5.0, 3600, 2))
    assert 0.5 * 5 * 3600 < len(made) < 1.5 * 5 * 3600


def test_records_are_late_by_a_minute_at_most():
    made = [each.time for each in trips.generate(START, 5.0, 1800, 1)]
    assert all(START <= time < START + 1_800_000 for time in made)
    assert max(max(made[:number]) - time for number, time in enumerate(made) if number) <= trips.DELAY
    assert any(later < earlier for earlier, later in pairwise(made))


def test_what_a_trip_says_of_itself_agrees():
    for each in trips.generate(START, 1.0, 600, 1):
        body = json.loads(each.data)
        begin, end = (datetime.fromisoformat(body[name]) for name in ("pickup_time", "dropoff_time"))
        assert abs((end - begin).total_seconds() / 60 - body["duration_minutes"]) < 0.01
        assert body["pickup_geohash"] == trips.geohash(body["pickup_latitude"], body["pickup_longitude"])


def test_geohashes_of_known_places():
    assert trips.geohash(57.64911, 10.40744, 11) == "u4pruydqqvj"
    assert trips.geohash(40.7484, -73.9857) == "dr5ru6"
