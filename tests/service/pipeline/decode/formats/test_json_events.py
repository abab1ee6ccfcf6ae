"""JSON objects become documents as the settings say; nothing of them is lost or changed in silence."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pipeline.decode.formats.json_events import JSONEvents
from service.pipeline.decode.formats.values import fit
from tests.service.pipeline.decode.events import ARRIVAL, codes, decode, one

CLICKS = JSONEvents(
    {
        "article_id": ("long", "article_id"),
        "user_id": ("long", "user_id"),
        "event.action": ("keyword", "action"),
        "price": ("double", "shop.price"),
        "source.ip": ("ip", "ip"),
        "seen": ("boolean", "seen"),
        "since": ("date", "since"),
        "place": ("geo_point", "place"),
        "shop": ("object", "shop"),
    },
    "at",
    aliases={"ARTICLE_ID": "article_id"},
)
CLICK = {"article_id": 12345, "user_id": 777, "action": "click", "at": "2026-11-27T02:20:00Z"}


def test_a_click():
    event = one(CLICKS, CLICK)
    assert (event.time, event.time_source) == (1795746000000, "event")
    assert event.fields == {"event.kind": "event", "article_id": 12345, "user_id": 777, "event.action": "click"}


def test_what_is_not_asked_for_is_the_free_part():
    assert one(CLICKS, CLICK | {"more": {"": [1]}}).fields["record"] == {"more": {"": [1]}}


def test_numbers_as_text_and_lists():
    found = one(CLICKS, CLICK | {"user_id": "101", "article_id": [1, "2", None], "seen": "TRUE", "action": 5}).fields
    assert (found["user_id"], found["article_id"], found["seen"], found["event.action"]) == (101, [1, 2], True, "5")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user_id", "abc"),
        ("user_id", 1.5),
        ("user_id", 2**63),
        ("user_id", [1, "x"]),
        ("user_id", True),
        ("article_id", {"a": 1}),
        ("ip", "10.0.0"),
        ("seen", 1),
        ("since", "soon"),
        ("place", {"lat": 91, "lon": 0}),
    ],
)
def test_what_does_not_fit_stays_in_the_free_part(name, value):
    found = one(CLICKS, CLICK | {name: value}).fields
    assert found["record"] == {name: value}
    assert len(found["record_unfit"]) == 1


def test_a_value_inside_that_does_not_fit_stays_where_it_was():
    found = one(CLICKS, CLICK | {"shop": {"price": "dear", "n": 1}}).fields
    assert found["record_unfit"] == ["price"]
    assert found["shop"] == {"price": "dear", "n": 1}


def test_a_number_beyond_64_bits_stays_as_text():
    found = one(CLICKS, json.dumps(CLICK | {"user_id": 10**30})).fields
    assert found["record"] == {"user_id": str(10**30)}


def test_time_formats_and_no_time():
    german = JSONEvents({}, "zeit", time_formats=["%d.%m.%Y %H:%M"])
    assert one(german, {"zeit": "27.11.2026 02:20"}).time == 1795746000000
    assert one(CLICKS, {"action": "click"}).time_source == "arrival"
    event = {"id": "1", "timestamp": ARRIVAL - 7, "message": '{"action": "click"}'}
    payload = {"messageType": "DATA_MESSAGE", "owner": "0", "logGroup": "g", "logStream": "s", "logEvents": [event]}
    assert one(CLICKS, gzip.compress(json.dumps(payload).encode())).time == ARRIVAL - 7


def test_fields_that_a_filter_of_cloudwatch_logs_has_cut_out():
    names = {"article_id": "12", "action": "click", "more": "x"}
    event = {"id": "1", "timestamp": ARRIVAL, "message": "12 click x", "extractedFields": names}
    payload = {"messageType": "DATA_MESSAGE", "owner": "0", "logGroup": "g", "logStream": "s", "logEvents": [event]}
    found = one(CLICKS, payload).fields
    assert (found["article_id"], found["event.action"], found["record"]) == (12, "click", {"more": "x"})


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("a line", "not_json"),
        ("3", "not_json"),
        (CLICK | {"at": "soon"}, "bad_time"),
        (CLICK | {"at": 5}, "past_time"),
        (CLICK | {"at": "2036-01-01"}, "future_time"),
    ],
)
def test_what_is_no_event(data, code):
    assert codes(decode(CLICKS, data)) == [(None, code)]


@pytest.mark.parametrize("name", ["record", "event.id", "@timestamp", "event", "stream.name", "", "_id", "a..b", "a b"])
def test_names_that_no_field_can_have(name):
    with pytest.raises(ValueError, match=r"name it otherwise|no name of a field|cannot be a field"):
        JSONEvents({name: ("keyword", "a")})


def test_a_field_cannot_hold_another():
    with pytest.raises(ValueError, match="shop cannot be"):
        JSONEvents({"shop": ("keyword", "a"), "shop.name": ("keyword", "b")})


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["1", "1.5", "::1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*CLICK, "shop", "ip", "seen", "since", "place", "", "x"]), values, max_size=9))
def test_any_object_is_a_document_or_refused_and_no_member_is_lost(body):
    for event in decode(CLICKS, [body]).events:
        shown = json.dumps(event.fields)
        for name, value in body.items():
            if isinstance(value, str) and name != "at":
                assert json.dumps(value)[1:-1] in shown or name in ("since", "seen") or "record_omitted" in shown


@given(
    values, st.sampled_from(["keyword", "long", "integer", "double", "boolean", "date", "ip", "geo_point", "object"])
)
def test_what_fits_fits_again(value, kind):
    fitting = fit(value, kind)
    assert fitting is None or fit(fitting, kind) == fitting
