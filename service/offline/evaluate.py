"""``cutwater evaluate``: the detector over recordings, as the service would run it, and how well it did.

A labelled stretch is *seen* if a reading in it is an anomaly, and *told* if there is an alert in it. Recall and delay
are those of alerts, precision is the share of alerts that lie in a labelled stretch, and the others are false.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from detector.detector import Configuration
from detector.fleet import Fleet
from detector.liveness import Silence
from detector.types import KINDS, Readings, Scores
from service.offline import nab
from service.offline.history import Columns, History, HistoryError, Window, find, moment, read
from service.offline.report import plot, report

_BATCH = 10_000  # readings handed to the detector at once


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one sensor of one recording.

    Attributes:
        name: the file, and the sensor if the file has several.
        readings, days: how much there was.
        anomalies: readings that were one.
        alerts: how often someone would have been told.
        windows: labelled stretches; None if the recording has no labels.
        seen: those with an anomaly or an alert inside.
        told: those with an alert inside.
        false_alarms: alerts outside.
        delays: minutes from the beginning of each window that was found to its first alert.
        marks: for the score of NAB.
        plot: SVG.
    """

    name: str
    readings: int
    days: float
    anomalies: int
    alerts: int
    windows: int | None
    seen: int
    told: int
    false_alarms: int
    delays: tuple[float, ...]
    marks: nab.Marks
    plot: str


@dataclass(frozen=True, slots=True)
class _Job:
    path: Path
    name: str
    windows: list[Window] | None
    output: Path | None
    nab: bool
    configuration: Configuration
    columns: Columns


def evaluate(
    paths: Sequence[Path],
    output: Path | None = None,
    labels: Path | None = None,
    nab_files: bool = False,
    workers: int | None = None,
    configuration: Configuration | None = None,
    columns: Columns | None = None,
    console: Console | None = None,
) -> list[Result]:
    """Run the detector over recordings; write a CSV each and report.html into ``output``, print a table.

    Args:
        paths: CSV files or folders of them.
        output: folder to write to; None writes nothing.
        labels: JSON of file name to [[start, end], ...]; otherwise a column of labels if a file has one.
        nab_files: write timestamp,anomaly_score with the alert score, as the benchmark's own programs read it.
        workers: processes; None takes one a core.
        configuration: of the detector; ``dimensions`` is taken from each file.
        columns: where files say who, when and what.
        console: to print to.

    Raises:
        HistoryError: a file cannot be read; nothing is written for it.
    """
    files = find(paths)
    known = _known(labels)
    settings, where = configuration or Configuration(), columns or Columns()
    jobs = [_Job(path, name, _windows(known, path), output, nab_files, settings, where) for path, name in files]
    console = console or Console()
    results: dict[str, list[Result]] = {}
    with ProcessPoolExecutor(min(workers or len(jobs), len(jobs)) if workers else None) as pool:
        running = {pool.submit(_one, job): job.name for job in jobs}
        bar = (TextColumn("Evaluating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*bar, console=console, transient=True) as progress:
            task = progress.add_task("", total=len(jobs))
            for done in as_completed(running):
                results[running[done]] = done.result()
                progress.advance(task)
    ordered = [result for _, name in files for result in results[name]]
    console.print(table(ordered, console.width))
    if line := _nab_line(ordered):
        console.print(line, highlight=False, soft_wrap=True)
    if output is not None:
        place = output / "report.html"
        place.write_text(_page(ordered), encoding="utf-8")
        console.print(f"Report: {place}", highlight=False, soft_wrap=True)
    return ordered


def run(history: Sequence[History], configuration: Configuration) -> tuple[list[Scores], list[list[Silence]]]:
    """Scores of each sensor's readings and its silences, from one fleet that reads all in order of time."""
    fleet = Fleet(replace(configuration, dimensions=len(history[0].features)))
    names = tuple(one.sensor for one in history)
    codes = np.repeat(np.arange(len(history)), [len(one.times) for one in history])
    times = np.concatenate([one.times for one in history])
    values = np.concatenate([one.values for one in history])
    order = np.argsort(times, kind="stable") if len(history) > 1 else np.arange(len(times))
    scores = Scores.empty(len(times), values.shape[1])
    silences: dict[str, list[Silence]] = {name: [] for name in names}
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        scores.put(rows, fleet.process(Readings(names, codes[rows], times[rows], values[rows])))
        for silence in fleet.silences:
            silences[silence.sensor].append(silence)
    ends = np.cumsum([len(one.times) for one in history]).tolist()
    parts = [scores.take(np.arange(end - len(one.times), end)) for one, end in zip(history, ends, strict=True)]
    return parts, list(silences.values())


def _one(job: _Job) -> list[Result]:
    """In a process of its own: one file."""
    histories = read(job.path, job.columns)
    parts, silences = run(histories, job.configuration)
    if job.output is not None:
        write(job.output / job.name, histories, parts, job.nab)
    several = len(histories) > 1
    return [
        _judge(f"{job.name} {one.sensor}" if several else job.name, one, scores, quiet, job)
        for one, scores, quiet in zip(histories, parts, silences, strict=True)
    ]


def _judge(name: str, history: History, scores: Scores, silences: Sequence[Silence], job: _Job) -> Result:
    windows = history.windows if job.windows is None else job.windows
    alerts = np.sort(np.append(history.times[scores.alert], [one.time for one in silences if one.alert]))
    unusual = history.times[scores.is_anomaly]
    inside = np.zeros(len(alerts), dtype=bool)
    delays = []
    seen = 0
    for start, end in windows or ():
        hits = (alerts >= start) & (alerts <= end)
        inside |= hits
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
        told=len(delays),
        false_alarms=0 if windows is None else int((~inside).sum()),
        delays=tuple(delays),
        marks=nab.mark(history.times, scores.alert_score, windows or ()),
        plot=plot(history, scores, silences, windows or ()) if job.output is not None else "",
    )


def write(path: Path, histories: Sequence[History], parts: Sequence[Scores], nab_file: bool) -> None:
    """One row a reading; for NAB only timestamp and the alert score, as ``anomaly_score``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        several = len(histories) > 1
        if nab_file:
            out.writerow(("timestamp", "anomaly_score"))
        else:
            own = (*(("sensor",) if several else ()), "timestamp", *histories[0].features)
            out.writerow((*own, *_COLUMNS, "kind"))
        for history, scores in zip(histories, parts, strict=True):
            if nab_file:
                out.writerows(zip(history.stamps, scores.alert_score.tolist(), strict=True))
                continue
            name = ([history.sensor] * len(scores),) if several else ()
            values = ([_cell(x) for x in column] for column in history.values.T.tolist())
            columns = [get(scores).tolist() for get in _COLUMNS.values()]
            kinds = [KINDS[kind] for kind in scores.kind]
            out.writerows(zip(*name, history.stamps, *values, *columns, kinds, strict=True))


_COLUMNS: dict[str, Callable[[Scores], Any]] = {
    "anomaly_score": lambda scores: scores.score,
    "grade": lambda scores: scores.grade,
    "is_anomaly": lambda scores: scores.is_anomaly.astype(int),
    "alert": lambda scores: scores.alert.astype(int),
    "alert_score": lambda scores: scores.alert_score,
    "confidence": lambda scores: scores.confidence,
    "threshold": lambda scores: scores.threshold,
}


def _cell(value: float) -> float | str:
    return value if np.isfinite(value) else ""


# Labels


def _known(labels: Path | None) -> dict[str, list[Window]]:
    """Windows by file name."""
    if labels is None:
        return {}
    try:
        windows = json.loads(labels.read_text(encoding="utf-8"))
        return {name: [(moment(a), moment(b)) for a, b in spans] for name, spans in windows.items()}
    except OSError as error:
        raise HistoryError(f"{labels}: {error.strerror or error}") from None
    except (ValueError, TypeError, AttributeError) as error:
        form = '{"file.csv": [["2026-01-31 12:00:00", "2026-01-31 18:00:00"]]}'
        raise HistoryError(f"{labels}: must be JSON such as {form}: {error}") from None


def _windows(known: dict[str, list[Window]], path: Path) -> list[Window] | None:
    """The labels whose name is the end of the file's path."""
    for name, spans in known.items():
        if path.parts[-len(Path(name).parts) :] == Path(name).parts:
            return spans
    return None


# The table


HEADINGS = (
    *("recording", "readings", "anomalies", "seen", "alerts", "told", "recall", "precision", "delay", "false/day"),
)
_NOT_ON_TERMINALS = ("readings", "recall")


def cells(result: Result) -> tuple[str, ...]:
    """A row of the table; without labels only counts."""
    name, readings, anomalies = result.name, f"{result.readings:,}", f"{result.anomalies:,}"
    alerts = f"{result.alerts:,}"
    if result.windows is None:
        return name, readings, anomalies, "", alerts, "", "", "", "", ""
    seen, told = f"{result.seen}/{result.windows}", f"{result.told}/{result.windows}"
    recall = f"{result.told / result.windows:.2f}" if result.windows else "–"
    precision = f"{1 - result.false_alarms / result.alerts:.2f}" if result.alerts else "–"
    daily = f"{result.false_alarms / result.days:.3f}" if result.days else "–"
    return name, readings, anomalies, seen, alerts, told, recall, precision, _duration(result.delays), daily


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
        told=sum(result.told for result in judged),
        false_alarms=sum(result.false_alarms for result in judged),
        delays=tuple(delay for result in judged for delay in result.delays),
        marks=results[0].marks,
        plot="",
    )
    return cells(total)


def _filled(rows: Sequence[tuple[str, ...]]) -> list[int]:
    """The columns that hold anything: without labels some do not."""
    return [k for k in range(len(HEADINGS)) if any(row[k] for row in rows)]


def _page(results: Sequence[Result]) -> str:
    rows = [cells(result) for result in results]
    columns = _filled(rows)
    headings, total = ([line[k] for k in columns] for line in (HEADINGS, _total(results)))
    shown = [([row[k] for k in columns], result.plot) for row, result in zip(rows, results, strict=True)]
    note = _nab_line(results)
    return report(headings, shown, total, [note, _NOTE] if any(row[3] for row in rows) else [])


_NOTE = (
    "Seen: labelled stretches with an anomaly. Told: with an alert. Recall and delay are those of alerts; precision is "
    "the share of alerts inside a labelled stretch, the others are false."
)


def _nab_line(results: Iterable[Result]) -> str:
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
