"""How well the detector did: its alerts beside labelled stretches.

A labelled stretch is *seen* if a reading in it is an anomaly, and *alerted* if there is an alert in it. Recall and
delay are those of alerts, precision is the share of alerts that lie in a labelled stretch, and the others are false.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detector.types import Scores
from service.offline import nab
from service.offline.alerts import Alert
from service.offline.tables import History, HistoryError, Window
from service.pipeline.times import parse_time


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one sensor of one recording.

    Attributes:
        name: the file, and the sensor if the file has several.
        readings, days: how much there was.
        anomalies: readings that were one.
        alerts: how many there were.
        windows: labelled stretches; None if the recording has no labels.
        seen: those with an anomaly or an alert inside.
        alerted: those with an alert inside.
        false_alarms: alerts outside.
        delays: minutes from the beginning of each window that was found to its first alert.
        marks: for the score of NAB.
        plot: SVG.
        own: the alerts.
        stretches: the labelled ones.
    """

    name: str
    readings: int
    days: float
    anomalies: int
    alerts: int
    windows: int | None
    seen: int
    alerted: int
    false_alarms: int
    delays: tuple[float, ...]
    marks: nab.Marks
    plot: str
    own: tuple[Alert, ...] = ()
    stretches: tuple[Window, ...] = ()


def judge(
    name: str,
    history: History,
    scores: Scores,
    own: Sequence[Alert],
    windows: Sequence[Window] | None,
    plot: str,
) -> Result:
    """What became of a sensor's readings, and how good it was beside the labelled stretches, if there are any."""
    alerts = np.array([alert.time for alert in own], dtype=np.int64)
    unusual = history.times[scores.is_anomaly]
    delays = []
    seen = 0
    for start, end in windows or ():
        hits = (alerts >= start) & (alerts <= end)
        seen += bool(hits.any() or ((unusual >= start) & (unusual <= end)).any())
        if hits.any():
            delays.append(float(alerts[hits][0] - start) / 60_000)
    return Result(
        name=name,
        readings=len(scores),
        days=float(history.times.max() - history.times.min()) / 86_400_000,
        anomalies=int(scores.is_anomaly.sum()),
        alerts=len(alerts),
        windows=None if windows is None else len(windows),
        seen=seen,
        alerted=len(delays),
        false_alarms=0 if windows is None else sum(alert.window is None for alert in own),
        delays=tuple(delays),
        marks=nab.mark(history.times, scores.alert_score, windows or ()),
        plot=plot,
        own=tuple(own),
        stretches=tuple(windows or ()),
    )


def read_labels(path: Path | None) -> dict[str, list[Window]]:
    """Labelled stretches by file name, of JSON. Raises HistoryError."""
    if path is None:
        return {}
    try:
        windows = json.loads(path.read_text(encoding="utf-8"))
        return {name: [(parse_time(a), parse_time(b)) for a, b in spans] for name, spans in windows.items()}
    except OSError as error:
        raise HistoryError(f"{path}: {error.strerror or error}") from None
    except (ValueError, TypeError, AttributeError) as error:
        form = '{"file.csv": [["2026-01-31 12:00:00", "2026-01-31 18:00:00"]]}'
        raise HistoryError(f"{path}: must be JSON such as {form}: {error}") from None


def labels_of(known: dict[str, list[Window]], path: Path) -> list[Window] | None:
    """The labels whose name is the end of the file's path, compressed or not."""
    path = path.with_name(path.name.removesuffix(".gz"))
    for name, spans in known.items():
        if path.parts[-len(Path(name).parts) :] == Path(name).parts:
            return spans
    return None
