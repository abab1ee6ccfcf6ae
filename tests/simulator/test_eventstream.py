"""The encoding of event streams, read by botocore's own decoder."""

from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from simulator.stream.eventstream import encode, event, exception

names = st.text(min_size=1, max_size=60)
messages = st.tuples(st.dictionaries(names, st.text(max_size=300), max_size=5), st.binary(max_size=2000))


@given(st.lists(messages, max_size=4), st.integers(1, 500))
def test_messages_are_read_as_they_were_written_however_they_are_cut(written, size):
    stream = b"".join(encode(headers, payload) for headers, payload in written)
    buffer, read = EventStreamBuffer(), []
    for start in range(0, len(stream), size):
        buffer.add_data(stream[start : start + size])
        read += [(message.headers, message.payload) for message in buffer]
    assert read == written


def test_events_and_exceptions_are_told_apart():
    buffer = EventStreamBuffer()
    buffer.add_data(
        event("SubscribeToShardEvent", b"{}", "application/json")
        + exception("ResourceInUseException", b'{"message":"no"}', "application/json")
    )
    first, second = (message.to_response_dict() for message in buffer)
    assert (first["status_code"], first["headers"][":event-type"]) == (200, "SubscribeToShardEvent")
    assert (second["status_code"], second["headers"][":exception-type"]) == (400, "ResourceInUseException")
    assert second["body"] == b'{"message":"no"}'
