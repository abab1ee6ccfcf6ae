"""What ``cutwater evaluate`` shows: a table for the terminal, and the rows of the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from service.offline import nab
from service.offline.alerts import by_kind, by_severity
from service.offline.metrics import Result
from service.offline.report import report

HEADINGS = (
    *("recording", "readings", "anomalies", "seen", "alerts", "alerted", "recall", "precision", "delay", "false/day"),
)
_NOT_ON_TERMINALS = ("readings", "recall")


def cells(result: Result) -> tuple[str, ...]:
    """A row of the table; without labels only counts."""
    name, readings, anomalies = result.name, f"{result.readings:,}", f"{result.anomalies:,}"
    alerts = f"{result.alerts:,}"
    if result.windows is None:
        return name, readings, anomalies, "", alerts, "", "", "", "", ""
    seen, alerted = f"{result.seen}/{result.windows}", f"{result.alerted}/{result.windows}"
    recall = f"{result.alerted / result.windows:.2f}" if result.windows else "–"
    precision = f"{1 - result.false_alarms / result.alerts:.2f}" if result.alerts else "–"
    daily = f"{result.false_alarms / result.days:.3f}" if result.days else "–"
    return name, readings, anomalies, seen, alerts, alerted, recall, precision, _duration(result.delays), daily


def _duration(minutes: Sequence[float]) -> str:
    """The median in few words."""
    if not minutes:
        return "–"
    median = float(np.median(minutes))
    return (
        f"{median:.0f} min" if median < 120 else f"{median / 60:.1f} h" if median < 2880 else f"{median / 1440:.1f} d"
    )


def _total(results: Sequence[Result]) -> tuple[str, ...]:
    """The table's last row: all recordings taken as one; the delay is the median over all windows."""
    judged = [result for result in results if result.windows is not None]
    total = Result(
        name="all",
        readings=sum(result.readings for result in results),
        days=sum(result.days for result in judged),
        anomalies=sum(result.anomalies for result in results),
        alerts=sum(result.alerts for result in judged or results),
        windows=sum(result.windows or 0 for result in judged) if judged else None,
        seen=sum(result.seen for result in judged),
        alerted=sum(result.alerted for result in judged),
        false_alarms=sum(result.false_alarms for result in judged),
        delays=tuple(delay for result in judged for delay in result.delays),
        marks=results[0].marks,
        plot="",
    )
    return cells(total)


def _filled(rows: Sequence[tuple[str, ...]]) -> list[int]:
    """The columns that hold anything: without labels some do not."""
    return [k for k in range(len(HEADINGS)) if any(row[k] for row in rows)]


def page(results: Sequence[Result]) -> str:
    """The report, as HTML."""
    rows = [cells(result) for result in results]
    columns = _filled(rows)
    headings, total = ([line[k] for k in columns] for line in (HEADINGS, _total(results)))
    shown = [([row[k] for k in columns], result.plot) for row, result in zip(rows, results, strict=True)]
    note = nab_line(results)
    judged = any(row[3] for row in rows)
    return report(headings, shown, total, [note, _NOTE] if judged else [], _tables(results) if judged else ())


def _tables(results: Sequence[Result]) -> list[tuple[str, Sequence[str], Sequence[Sequence[str]]]]:
    """What alerts are worth by kind, and by the least severity that is told: title, headings and rows of each."""
    judged = [(result.own, result.stretches) for result in results if result.windows is not None]
    kinds = [
        (kind, f"{n:,}", f"{true:,}", f"{n - true:,}", f"{true / n:.2f}")
        for kind, n, true in by_kind(alert for alerts, _ in judged for alert in alerts)
    ]
    severities = sorted({alert.severity for alerts, _ in judged for alert in alerts})
    levels = severities if len(severities) <= _LEVELS else [
        severities[k * (len(severities) - 1) // (_LEVELS - 1)] for k in range(_LEVELS)
    ]  # fmt: skip
    levels_shown = [
        (
            *(f"{level}", f"{n:,}", f"{true / n:.2f}" if n else "–", f"{found / total:.2f}" if total else "–"),
            f"{2 * (true / n) * (found / total) / (true / n + found / total):.2f}" if true else "0.00",
        )
        for level, n, true, found, total in by_severity(judged, levels)
    ]
    return [
        ("Alerts by kind", ("kind", "alerts", "true", "false", "precision"), kinds),
        (
            "If only alerts from this severity on were told",
            ("severity", "alerts", "precision", "recall", "F1"),
            levels_shown,
        ),
    ]


_LEVELS = 8  # rows of the table of severities


_NOTE = (
    "Seen: labelled stretches with an anomaly. Alerted: with an alert. Recall and delay are those of alerts; precision "
    "is the share of alerts inside a labelled stretch, the others are false."
)


def nab_line(results: Iterable[Result]) -> str:
    """The scores of NAB over all labelled recordings, at the threshold that is best for each profile."""
    marks = [result.marks for result in results if result.windows is not None]
    if not any(mark.windows for mark in marks):
        return ""
    scores = [(profile.name, *nab.score(marks, profile)) for profile in nab.PROFILES]
    return "NAB: " + ", ".join(f"{name} {score:.1f} (threshold {at:.2f})" for name, score, at in scores)


def table(results: Sequence[Result], width: int) -> Table:
    """For a terminal of this width: of long names the ends."""
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    room = max(width - 69, 12)
    rows = [cells(result) for result in results]
    columns = [k for k in _filled(rows) if HEADINGS[k] not in _NOT_ON_TERMINALS]
    for k in columns:
        shown.add_column(HEADINGS[k], justify="right" if k else "left", no_wrap=True)
    for row in [*rows, *([_total(results)] if len(rows) > 1 else [])]:
        name = row[0] if len(row[0]) <= room else "…" + row[0][1 - room :]
        shown.add_row(name, *(row[k] for k in columns[1:]))
    if len(rows) > 1:
        shown.rows[-2].end_section = True
    return shown
