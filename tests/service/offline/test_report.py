"""The report is one well-formed page, whatever was recorded."""

import re
from xml.etree import ElementTree

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.liveness import SilenceEvent
from detector.types import SPIKE, Scores
from service.offline.alerts import Alert, alerts_of, by_kind, by_severity, missed
from service.offline.report import plot, report
from service.offline.tables import History

FINITE = st.floats(allow_nan=True, allow_infinity=False)


def history(times, values) -> History:
    array = np.array(values, dtype=float).reshape(len(times), -1)
    features = tuple(f"<value {k}>" for k in range(array.shape[1]))
    return History("a & b", features, list(map(str, times)), np.array(times, dtype=np.int64), array, None)


def drawn(one: History, scores: Scores, silences=(), windows=None) -> ElementTree.Element:
    """The picture, parsed; attributes of numbers must hold numbers."""
    picture = plot(one, scores, silences, alerts_of(one, scores, silences, windows or ()), windows)
    root = ElementTree.fromstring(f"<div>{picture}</div>")
    for element in root.iter():
        for name in ("d", "x", "y", "x1", "y1", "width", "height"):
            assert not re.search("nan|inf", element.get(name, "")), element.attrib
    return root


def named(root, name):
    return [element for element in root.iter() if element.get("class") == name]


@given(st.lists(st.tuples(st.integers(-(6 * 10**13), 6 * 10**13), FINITE, FINITE), min_size=1, max_size=40), st.data())
@settings(deadline=None, max_examples=100)
def test_any_recording_can_be_drawn(rows, data):
    n = len(rows)
    scores = Scores.empty(n, 2)
    scores.score[:] = data.draw(st.lists(st.floats(0, 50), min_size=n, max_size=n))
    scores.alert_score[:] = scores.score
    scores.threshold[:] = np.inf
    scores.is_anomaly[::2] = True
    scores.alert[::3] = True
    root = drawn(
        history([row[0] for row in rows], [row[1:] for row in rows]), scores, windows=[(rows[0][0], rows[0][0])]
    )
    assert len(named(root, "alert true")) + len(named(root, "alert false")) == -(-n // 3)
    assert len(named(root, "window")) == 1


def test_no_spike_is_lost_where_many_readings_share_a_place():
    values = np.zeros(50_000)
    values[31_234] = 7
    root = drawn(history(1000 * np.arange(50_000), values), Scores.empty(50_000, 1))
    (line,) = named(root, "value")
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", line.get("d"))]
    assert len(heights) < 3000
    assert min(heights) < max(heights) - 100
    assert heights.count(min(heights)) == 1


def test_a_gap_is_left_open():
    times = np.concatenate((60_000 * np.arange(100), 60_000 * np.arange(500, 600)))
    (line,) = named(drawn(history(times, np.arange(200)), Scores.empty(200, 1)), "value")
    assert line.get("d").count("M") == 2


def test_anomalies_alerts_and_silences_are_told_in_words():
    scores = Scores.empty(3, 1)
    scores.is_anomaly[1] = scores.alert[1] = True
    scores.kind[1] = SPIKE
    one = history([0, 60_000, 120_000], [1.0, 99.5, 1.0])
    root = drawn(one, scores, [SilenceEvent(0, "a & b", 120_000, 600_000, 1.0)])
    cells = [cell.text for cell in root.iter("td")]
    assert cells == [
        *("1970-01-01 00:01:00", "spike", "0", "0", "<value 0> 99.5"),
        *("1970-01-01 00:10:00", "silent", "100", None, "since 1970-01-01 00:02:00"),
    ]
    assert len(named(root, "silence")) == len(named(root, "anomaly")) == 1
    assert "2 alerts" in [summary.text for summary in root.iter("summary")]


def test_the_page_holds_all_recordings_and_needs_nothing_from_outside():
    rows = [((f"<{k}>.csv", "5", "1"), "<svg></svg>") for k in range(3)]
    page = report(("recording", "readings", "anomalies"), rows, ("all", "15", "3"), ["NAB: 50", "a < b"])
    assert page.count("<section") == 3
    assert "&lt;2&gt;.csv" in page
    assert "<2>" not in page
    assert "<p>a &lt; b</p>" in page
    assert "http" not in page


def test_true_and_false_alerts_their_delay_and_missed_stretches_are_told():
    scores = Scores.empty(100, 2)
    scores.alert[[30, 60]] = True
    scores.kind[[30, 60]] = SPIKE
    scores.grade[:] = 0.9
    scores.attribution[30] = 1, 5
    one = history(60_000 * np.arange(100), np.arange(200))
    windows = [(60_000 * 25, 60_000 * 35), (60_000 * 80, 60_000 * 90)]
    root = drawn(one, scores, windows=windows)
    assert len(named(root, "flag true")) == len(named(root, "flag false")) == 1
    rows = [[cell.text for cell in row.iter("td")] for row in root.iter("tr")][1:]
    assert [row[1:4] + row[5:6] for row in rows] == [["true", "spike", "90", "5 min"], ["false", "spike", "90", None]]
    assert rows[0][-1] == "<value 1> 61, <value 0> 60"
    assert [item.text for item in root.iter("li")] == ["1970-01-01 01:20:00 to 1970-01-01 01:30:00"]
    titles = [element.text for element in named(root, "title")]
    assert titles[:2] == ["<value 1>", "<value 0>"], "the value to blame comes first"


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 100)), max_size=30), st.integers(0, 100))
def test_counts_by_severity_are_those_of_a_loop(found, level):
    windows = [(100, 200), (500, 700)]
    alerts = [
        Alert(
            time, "spike", severity, 1.0, "", next((k for k, (a, b) in enumerate(windows) if a <= time <= b), None), 0
        )
        for time, severity in found
    ]
    told = [time for time, severity in found if severity >= level]
    true = sum(100 <= time <= 200 or 500 <= time <= 700 for time in told)
    seen = sum(any(a <= time <= b for time in told) for a, b in windows)
    assert by_severity([(alerts, windows)], [level]) == [(level, len(told), true, seen, 2)]
    assert len(missed([alert for alert in alerts if alert.severity >= level], windows)) == 2 - seen
    assert sum(true for _, _, true in by_kind(alerts)) == sum(alert.window is not None for alert in alerts)


def test_what_was_expected_is_an_area_with_gaps():
    scores = Scores.empty(200, 1)
    scores.expected_lower[:, 0], scores.expected_upper[:, 0] = 0, 100
    scores.expected_lower[:5] = np.nan
    times = np.concatenate((60_000 * np.arange(100), 60_000 * np.arange(500, 600)))
    (area,) = named(drawn(history(times, np.arange(200)), scores), "band")
    assert area.get("d").count("z") == 2
