"""The alerts of a recording beside its labelled stretches: which are true, how late, and which stretches are missed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from detector.liveness import SilenceEvent
from detector.types import KINDS, Scores
from service.offline.tables import History, Window
from service.pipeline.documents import timestamp


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert.

    Attributes:
        time: event time in ms.
        kind: its likely kind.
        severity: 0 to 100.
        score: the alert score; None for a silence.
        what: what was measured, the value to blame first.
        window: the index of the labelled stretch that it lies in; None if it lies in none.
        delay: minutes since that stretch began.
    """

    time: int
    kind: str
    severity: int
    score: float | None
    what: str
    window: int | None
    delay: float | None


def alerts_of(
    history: History, scores: Scores, silences: Sequence[SilenceEvent], windows: Sequence[Window]
) -> list[Alert]:
    """Each alert of a sensor, in order of time."""
    found = []
    severities = scores.severity
    for row in np.flatnonzero(scores.alert).tolist():
        blame = np.argsort(-scores.attribution[row], kind="stable").tolist()
        what = ", ".join(f"{history.features[k]} {history.values[row, k]:g}" for k in blame)
        time, kind = int(history.times[row]), KINDS[scores.kind[row]]
        place = _place(time, windows)
        found.append(Alert(time, kind, int(severities[row]), float(scores.alert_score[row]), what, *place))
    for one in silences:
        if one.alert:
            what = f"since {timestamp(one.since)[:19].replace('T', ' ')}"
            found.append(Alert(one.time, "silent", one.severity, None, what, *_place(one.time, windows)))
    return sorted(found, key=lambda alert: (alert.time, alert.kind))


def missed(alerts: Iterable[Alert], windows: Sequence[Window]) -> list[Window]:
    """The labelled stretches without an alert."""
    times = [alert.time for alert in alerts]
    return [(start, end) for start, end in windows if not any(start <= time <= end for time in times)]


def blamed_first(scores: Scores) -> list[int]:
    """[d] the values, those first that alerts and anomalies are due to."""
    rows = scores.alert if scores.alert.any() else scores.is_anomaly
    return [int(k) for k in np.argsort(-scores.attribution[rows].sum(axis=0), kind="stable")]


def by_kind(alerts: Iterable[Alert]) -> list[tuple[str, int, int]]:
    """(kind, alerts, true ones), the most frequent kind first."""
    counts: dict[str, list[int]] = {}
    for alert in alerts:
        count = counts.setdefault(alert.kind, [0, 0])
        count[0] += 1
        count[1] += alert.window is not None
    return sorted(((kind, n, true) for kind, (n, true) in counts.items()), key=lambda row: (-row[1], row[0]))


def by_severity(
    recordings: Sequence[tuple[Sequence[Alert], Sequence[Window]]], levels: Sequence[int]
) -> list[tuple[int, ...]]:
    """(severity, alerts, true ones, stretches with one, stretches) if only alerts of such a severity were told."""
    rows: list[tuple[int, ...]] = []
    total = sum(len(windows) for _, windows in recordings)
    for level in levels:
        told = [([alert for alert in alerts if alert.severity >= level], windows) for alerts, windows in recordings]
        count = sum(len(alerts) for alerts, _ in told)
        true = sum(alert.window is not None for alerts, _ in told for alert in alerts)
        found = total - sum(len(missed(alerts, windows)) for alerts, windows in told)
        rows.append((level, count, true, found, total))
    return rows


def _place(time: int, windows: Sequence[Window]) -> tuple[int | None, float | None]:
    """Which stretch a time lies in, and how many minutes after its beginning."""
    for number, (start, end) in enumerate(windows):
        if start <= time <= end:
            return number, (time - start) / 60_000
    return None, None
