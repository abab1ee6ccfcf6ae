"""One shard against a list that is searched from end to end."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from simulator.stream.shards import Shard


@st.composite
def shards(draw):
    """A shard, and its records as (sequence number, arrival, key, data): those still kept."""
    shard = Shard(draw(st.integers(0, 10)), 1_800_000_000_000, 0, (0, 2**128 - 1), ())
    records, now = [], 1_800_000_000_000
    for number in range(draw(st.integers(0, 30))):
        now += draw(st.integers(0, 3))
        data = base64.b64encode(bytes(draw(st.integers(0, 9)))).decode()
        records.append((int(shard.append(now, str(number), data)), now, str(number), data))
    dropped = draw(st.integers(0, len(records)))
    shard.drop(dropped)
    return shard, records[dropped:], dropped


@given(shards(), st.integers(0, 40), st.integers(1, 40), st.integers(0, 100), st.integers(0, 100))
def test_read(made, start, most, most_bytes, until):
    shard, records, dropped = made
    until += 1_800_000_000_000
    expected, size = [], 0
    for sequence, arrival, key, data in records[max(start - dropped, 0) :]:
        size += len(base64.b64decode(data))
        if len(expected) == most or arrival > until or (expected and size > most_bytes):
            break
        expected.append((str(sequence), (arrival, key, data)))
    assert shard.read(start, most, most_bytes, until) == (expected, max(start, dropped) + len(expected))


@given(shards(), st.integers(-5, 100))
def test_at_time(made, time):
    shard, records, dropped = made
    time += 1_800_000_000_000
    later = [number for number, record in enumerate(records) if record[1] >= time]
    assert shard.at_time(time) == dropped + (later[0] if later else len(records))


@given(shards(), st.integers(0, 29), st.sampled_from([-1, 0, 1]))
def test_at_and_after_a_sequence_number(made, number, beside):
    shard, records, dropped = made
    sequences = [record[0] for record in records]
    sequence = (sequences[number] if number < len(sequences) else int(shard.ending_sequence)) + beside
    assert shard.at_sequence(sequence) == dropped + sum(other < sequence for other in sequences)
    assert shard.after_sequence(sequence) == dropped + sum(other <= sequence for other in sequences)


@given(shards())
def test_sequence_numbers_lie_between_those_of_the_shard(made):
    shard, records, _ = made
    numbers = [int(shard.starting_sequence), *(record[0] for record in records), int(shard.ending_sequence)]
    assert numbers == sorted(set(numbers))
    assert all(len(str(number)) == 56 for number in numbers)


@given(shards())
def test_the_size_is_that_of_what_is_kept(made):
    shard, records, _ = made
    before = shard.size
    assert shard.drop(len(records)) == before
    assert shard.size == 0
