"""``cutwater evaluate``: the detector over recordings, as the service would run it, and how well it did."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from detector.detector import Configuration
from detector.liveness import SilenceEvent
from detector.types import KINDS, Readings, Scores
from service.offline.alerts import alerts_of
from service.offline.metrics import Result, judge, labels_of, read_labels
from service.offline.report import plot
from service.offline.summary import nab_line, page, table
from service.offline.tables import Columns, History, HistoryError, Table, Window, find, read, say_once
from service.pipeline.core import Core

_BATCH = 10_000  # readings handed to the detector at once


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of all files.

    Attributes:
        results: of each sensor of each file that could be read, in the order of the files.
        taken: what the files' columns were taken for, a line for each way.
        refused: why files could not be read.
    """

    results: list[Result]
    taken: list[str]
    refused: list[str]


@dataclass(frozen=True, slots=True)
class _Job:
    path: Path
    name: str
    windows: list[Window] | None
    windows_of: dict[str, list[Window]]
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
) -> Evaluation:
    """Run the detector over recordings; write a CSV each and report.html into ``output``, print a table.

    A file that cannot be read does not stop the others.

    Args:
        paths: CSV files or folders of them.
        output: folder to write to; None writes nothing.
        labels: JSON of file name to [[start, end], ...]; otherwise a column of labels if a file has one.
        nab_files: write timestamp,anomaly_score with the alert score, as the benchmark's own programs read it.
        workers: processes; None takes one a core.
        configuration: of the detector; ``dimensions`` is taken from each file.
        columns: what the files' columns may be called.
        console: to print to.

    Raises:
        HistoryError: no file can be read, or the labels cannot.
    """
    files = find(paths)
    known = read_labels(labels)
    settings, where = configuration or Configuration(), columns or Columns()
    jobs = [_Job(path, name, labels_of(known, path), known, output, nab_files, settings, where) for path, name in files]
    console = console or Console()
    tables: dict[str, Table] = {}
    results: dict[str, list[Result]] = {}
    refused: dict[str, str] = {}
    with ProcessPoolExecutor(min(workers or len(jobs), len(jobs)) if workers else None) as pool:
        running: dict[Future[tuple[Table, list[Result]]], str] = {pool.submit(_one, job): job.name for job in jobs}
        bar = (TextColumn("Evaluating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*bar, console=console, transient=True) as progress:
            task = progress.add_task("", total=len(jobs))
            for done in as_completed(running):
                name = running[done]
                try:
                    tables[name], results[name] = done.result()
                except HistoryError as error:
                    refused[name] = str(error)
                progress.advance(task)
    names = [name for _, name in files]
    if not results:
        raise HistoryError("\n".join(refused[name] for name in names))
    ordered = [result for name in names for result in results.get(name, ())]
    console.print(table(ordered, console.width))
    if line := nab_line(ordered):
        console.print(line, highlight=False, soft_wrap=True)
    if output is not None:
        place = output / "report.html"
        place.write_text(page(ordered), encoding="utf-8")
        console.print(f"Report: {place}", highlight=False, soft_wrap=True)
    taken = say_once((name, tables[name]) for name in names if name in tables)
    return Evaluation(ordered, taken, [refused[name] for name in names if name in refused])


def run(history: Sequence[History], configuration: Configuration) -> tuple[list[Scores], list[list[SilenceEvent]]]:
    """Scores of each sensor's readings and its silences, from one core that reads all in order of time."""
    core = Core.for_readings(configuration, history[0].features)
    names = tuple(one.sensor for one in history)
    codes = np.repeat(np.arange(len(history)), [len(one.times) for one in history])
    times = np.concatenate([one.times for one in history])
    values = np.concatenate([one.values for one in history])
    order = np.argsort(times, kind="stable") if len(history) > 1 else np.arange(len(times))
    scores = Scores.empty(len(times), values.shape[1])
    silences: dict[str, list[SilenceEvent]] = {name: [] for name in names}
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        scored = core.process_readings(Readings(names, codes[rows], times[rows], values[rows]), start).scored
        scores.put(rows, scored.scores)
        for silence in scored.silences:
            silences[silence.sensor].append(silence)
    ends = np.cumsum([len(one.times) for one in history]).tolist()
    parts = [scores.take(np.arange(end - len(one.times), end)) for one, end in zip(history, ends, strict=True)]
    return parts, list(silences.values())


def _one(job: _Job) -> tuple[Table, list[Result]]:
    """In a process of its own: one file."""
    found = read(job.path, job.columns)
    histories = found.histories
    parts, silences = run(histories, job.configuration)
    if job.output is not None:
        write(job.output / job.name, histories, parts, job.nab)
    results = []
    for one, scores, quiet in zip(histories, parts, silences, strict=True):
        name = f"{job.name} {one.sensor}" if len(histories) > 1 else job.name
        usual = one.windows if job.windows is None else job.windows
        windows = job.windows_of.get(one.sensor, usual)  # labels may be of a file or of a sensor
        alerts = alerts_of(one, scores, quiet, windows or ())
        picture = plot(one, scores, quiet, alerts, windows) if job.output is not None else ""
        results.append(judge(name, one, scores, alerts, windows, picture))
    return replace(found, histories=[]), results


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
    "in_anomaly": lambda scores: scores.in_anomaly.astype(int),
    "alert": lambda scores: scores.alert.astype(int),
    "alert_score": lambda scores: scores.alert_score,
    "confidence": lambda scores: scores.confidence,
    "threshold": lambda scores: scores.threshold,
}


def _cell(value: float) -> float | str:
    return value if np.isfinite(value) else ""
