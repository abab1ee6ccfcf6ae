"""Taxi trips of a city: one JSON object a trip, told when it ends. The input of the Flink job's example.

Pickups gather around a few places, in cells of a geohash of six characters; one trip in nine goes to one of three
airports, and takes longer the later in the day it is. Records come in the order of their dropoff with up to a minute of
delay, so an event time may lie behind that of the record before.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.events import EventRecord
from simulator.events.carriers import MINUTE, compact, iso, rhythm

RATE = 50.0
AIRPORTS = ("EWR", "JFK", "LGA")
TAXIS = 400
DELAY = 60_000  # ms
_BASE32 = "0123456789bcdefghjkmnpqrstuvwxyz"
_PLACES = np.array([[40.754, -73.984], [40.708, -74.011], [40.773, -73.966], [40.721, -73.957], [40.806, -73.953]])
_SHARE = (0.4, 0.2, 0.2, 0.12, 0.08)
_MEAN_MINUTES = {"EWR": 46.0, "JFK": 52.0, "LGA": 31.0}


def generate(start: int, rate: float, seconds: float, seed: int) -> Iterator[EventRecord]:
    """Records in the order of their arrival; see the package for the arguments."""
    random = np.random.default_rng(seed)
    end = start + round(seconds * 1000)
    waiting: list[tuple[int, EventRecord]] = []
    for minute in range(start, end, MINUTE):
        length = min(MINUTE, end - minute)
        for _ in range(int(random.poisson(rate * rhythm(minute) * length / 1000))):
            trip = _trip(minute + int(random.integers(length)), random)
            waiting.append((trip.time + int(random.integers(DELAY)), trip))
        waiting.sort(key=lambda each: each[0])
        while waiting and waiting[0][0] < minute + length:
            yield waiting.pop(0)[1]
    yield from (trip for _, trip in waiting)


def geohash(latitude: float, longitude: float, length: int = 6) -> str:
    """The cell of a place: bits of longitude and latitude in turn, five a character."""
    bounds, found = [[-180.0, 180.0], [-90.0, 90.0]], 0
    for bit in range(5 * length):
        axis = bit % 2
        value, (low, high) = (longitude, latitude)[axis], bounds[axis]
        middle = (low + high) / 2
        found = found * 2 + (value >= middle)
        bounds[axis] = [middle, high] if value >= middle else [low, middle]
    return "".join(_BASE32[found >> shift & 31] for shift in range(5 * (length - 1), -1, -5))


def _trip(dropoff: int, random: np.random.Generator) -> EventRecord:
    place = _PLACES[random.choice(len(_PLACES), p=_SHARE)]
    latitude, longitude = (place + random.normal(0, 0.006, 2)).round(5).tolist()
    airport = AIRPORTS[int(random.integers(len(AIRPORTS)))] if random.random() < 1 / 9 else None
    late = 1 + 0.3 * (dropoff % 86_400_000) / 86_400_000
    minutes = (_MEAN_MINUTES[airport] if airport else 12.0) * late * random.lognormal(0, 0.25)
    taxi = f"taxi-{int(random.integers(TAXIS))}"
    body = {
        "taxi": taxi,
        "pickup_time": iso(dropoff - round(minutes * MINUTE), milliseconds=True),
        "dropoff_time": iso(dropoff, milliseconds=True),
        "pickup_latitude": latitude,
        "pickup_longitude": longitude,
        "pickup_geohash": geohash(latitude, longitude),
        "airport": airport,
        "duration_minutes": round(minutes, 3),
    }
    return EventRecord(taxi, compact(body), dropoff)
