"""``cutwater evaluate``: the detector over recordings, as the service would run it, and how well it did."""

from __future__ import annotations

import csv
import html
import json
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from detector.batch import KINDS, Floats, Integers, Scores
from detector.detector import Configuration, Detector

Window = tuple[int, int]
_RESERVED = ("timestamp", "label", "is_anomaly")


class EvaluationError(Exception):
    """A recording or labels cannot be read; the message names the file, the line and what is expected."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one recording; windows are its labelled stretches (ms), None if it has no labels."""

    name: str
    readings: int
    days: float
    alerts: int
    found: int
    windows: int | None
    false_alarms: int
    delay_minutes: float | None
    plot: str


def moment(text: str) -> int:
    """Milliseconds of ISO 8601 (without an offset: UTC), or of a number of seconds since 1970."""
    try:
        seconds = float(text)
    except ValueError:
        when = datetime.fromisoformat(text)
        return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)
    return round(seconds * 1000)


def read(path: Path) -> tuple[Integers, Floats, list[Window] | None]:
    """Times [n], values [n, d] and, if there is a column ``label``, its stretches.

    The first column is the time; every other but ``label`` is a value; an empty cell is missing.
    """
    with path.open(newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        columns = [k for k in range(1, len(header)) if header[k].lower() not in _RESERVED]
        if not columns:
            raise EvaluationError(f"{path}: needs a header such as timestamp,value")
        labelled = [k for k in range(len(header)) if header[k].lower() in _RESERVED[1:]]
        times, values, flags = [], [], []
        for line, row in enumerate(rows, 2):
            try:
                times.append(moment(row[0]))
                values.append([float(row[k]) if row[k] else math.nan for k in columns])
                flags.append(bool(labelled) and row[labelled[0]].strip().lower() not in ("", "0", "false"))
            except (ValueError, IndexError) as error:
                raise EvaluationError(f"{path}, line {line}: {error}") from None
    windows: list[Window] | None = [] if labelled else None
    for when, flag, before in zip(times, flags, [False, *flags], strict=False):
        if flag and windows is not None:
            if before:
                windows[-1] = (windows[-1][0], when)
            else:
                windows.append((when, when))
    return np.array(times, dtype=np.int64), np.array(values, dtype=np.float64).reshape(-1, len(columns)), windows


def write(path: Path, source: Path, values: Floats, scores: Scores, nab: bool) -> None:
    """One row a reading; with ``nab`` only timestamp and the alert score, as ``anomaly_score``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with source.open(newline="") as file:
        stamps = [row[0] for row in csv.reader(file)][1:]
    with path.open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        if nab:
            out.writerow(("timestamp", "anomaly_score"))
            out.writerows(zip(stamps, scores.alert_score.tolist(), strict=True))
            return
        names = ["value"] if values.shape[1] == 1 else [f"value_{j}" for j in range(values.shape[1])]
        out.writerow(("timestamp", *names, "anomaly_score", "grade", "confidence", "threshold", "is_anomaly", "alert",
                      "alert_score", "kind"))  # fmt: skip
        for i, stamp in enumerate(stamps):
            out.writerow((stamp, *values[i].tolist(), float(scores.score[i]), float(scores.grade[i]),
                          float(scores.confidence[i]), float(scores.threshold[i]), int(scores.is_anomaly[i]),
                          int(scores.alert[i]), float(scores.alert_score[i]), KINDS[scores.kind[i]]))  # fmt: skip


def plot(times: Integers, values: Floats, scores: Scores, windows: Iterable[Window]) -> str:
    """An inline SVG: labelled windows shaded, values, anomalies as dots, alerts as lines, the alert score below."""
    width, height, low = 1000, 150, 190
    span = max(int(times[-1] - times[0]), 1)

    def across(t: float) -> float:
        return float((t - times[0]) / span * width)

    parts = [f'<rect x="{across(a):.1f}" width="{max(across(b) - across(a), 2):.1f}" height="{low}" class="label"/>'
             for a, b in windows]  # fmt: skip
    step = max(1, len(times) // width)
    for j in range(values.shape[1]):
        x = values[:, j]
        finite = x[np.isfinite(x)]
        bottom, top = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        size = (top - bottom) or 1.0
        points = []
        for start in range(0, len(x), step):  # each pixel's extremes, so that no spike is lost
            part = x[start : start + step]
            part = part[np.isfinite(part)]
            if len(part):
                at = across(float(times[start]))
                ends = {float(part.min()), float(part.max())}
                points += [f"{at:.1f},{height - (y - bottom) / size * (height - 10):.1f}" for y in ends]
        parts.append(f'<polyline points="{" ".join(points)}" class="value"/>')
        for i in np.flatnonzero(scores.is_anomaly & np.isfinite(x))[:2000].tolist():
            y = height - (x[i] - bottom) / size * (height - 10)
            parts.append(f'<circle cx="{across(float(times[i])):.1f}" cy="{y:.1f}" r="2"/>')
    most = float(scores.alert_score.max()) or 1.0
    for i in np.flatnonzero(scores.alert_score > 0).tolist():
        x0, tall = across(float(times[i])), 35 * scores.alert_score[i] / most
        parts.append(f'<line x1="{x0:.1f}" x2="{x0:.1f}" y1="{low}" y2="{low - tall:.1f}" class="score"/>')
        if scores.alert[i]:
            title = f"{KINDS[scores.kind[i]]} at {datetime.fromtimestamp(times[i] / 1000, UTC):%Y-%m-%d %H:%M}"
            parts.append(
                f'<line x1="{x0:.1f}" x2="{x0:.1f}" y1="0" y2="{low}" class="alert"><title>{title}</title></line>'
            )
    return f'<svg viewBox="0 0 {width} {low}" role="img">{"".join(parts)}</svg>'


def _one(job: tuple[Path, str, list[Window] | None, Path | None, bool, Configuration]) -> Result:
    path, name, windows, output, nab, configuration = job
    times, values, own = read(path)
    windows = own if windows is None else windows
    detector = Detector(replace(configuration, dimensions=values.shape[1]), configuration.seed)
    scores = detector.process(times, values)
    if output is not None:
        write(output / name, path, values, scores, nab)
    alerts = times[scores.alert]
    hit = np.zeros(len(alerts), dtype=bool)
    delays = []
    for start, end in windows or ():
        inside = (alerts >= start) & (alerts <= end)
        hit |= inside
        if inside.any():
            delays.append((int(alerts[inside][0]) - start) / 60_000)
    days = float(times[-1] - times[0]) / 86_400_000 if len(times) else 0.0
    return Result(
        name=name,
        readings=len(times),
        days=days,
        alerts=len(alerts),
        found=len(delays),
        windows=None if windows is None else len(windows),
        false_alarms=0 if windows is None else int((~hit).sum()),
        delay_minutes=float(np.median(delays)) if delays else None,
        plot=plot(times, values, scores, windows or ()) if len(times) else "",
    )


def find(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """CSV files and the names they go by: relative to the folder they were found in."""
    files = []
    for path in paths:
        if path.is_dir():
            files += [(file, str(file.relative_to(path))) for file in sorted(path.rglob("*.csv"))]
        elif path.exists():
            files.append((path, path.name))
        else:
            raise EvaluationError(f"{path}: no such file or folder")
    if not files:
        raise EvaluationError(f"{', '.join(map(str, paths))}: no .csv files")
    return files


def evaluate(
    paths: Sequence[Path],
    output: Path | None = None,
    labels: Path | None = None,
    nab: bool = False,
    workers: int | None = None,
    configuration: Configuration | None = None,
    console: Console | None = None,
) -> list[Result]:
    """Run the detector over recordings; write CSVs and report.html into ``output``, print a table.

    Args:
        paths: CSV files or folders of them.
        labels: JSON of file name to [[start, end], ...]; otherwise a column ``label`` if a file has one.
        nab: write timestamp,anomaly_score with the alert score.
        workers: processes; None takes one a core.
    """
    files = find(paths)
    windows: dict[str, Any] = json.loads(labels.read_text()) if labels else {}
    known = {name: [(moment(a[:19]), moment(b[:19])) for a, b in spans] for name, spans in windows.items()}
    settings = configuration or Configuration()
    jobs = [(path, name, _windows(known, path), output, nab, settings) for path, name in files]
    console = console or Console()
    with ProcessPoolExecutor(workers) as pool:
        results = list(track(pool.map(_one, jobs), "Evaluating", total=len(jobs), console=console))
    table = Table("file", "readings", "alerts", "found", "precision", "delay (min)", "false alarms/day")
    for r in results:
        table.add_row(*_cells(r))
    console.print(table)
    if output is not None:
        (output / "report.html").write_text(report(results))
    return results


def _windows(known: dict[str, list[Window]], path: Path) -> list[Window] | None:
    """The labels whose name is the end of the file's path."""
    for name, spans in known.items():
        if path.parts[-len(Path(name).parts) :] == Path(name).parts:
            return spans
    return None


def _cells(r: Result) -> tuple[str, ...]:
    if r.windows is None:
        return r.name, str(r.readings), str(r.alerts), "", "", "", ""
    precision = f"{1 - r.false_alarms / r.alerts:.2f}" if r.alerts else ""
    delay = "" if r.delay_minutes is None else f"{r.delay_minutes:.0f}"
    daily = f"{r.false_alarms / r.days:.3f}" if r.days else ""
    return r.name, str(r.readings), str(r.alerts), f"{r.found}/{r.windows}", precision, delay, daily


def report(results: Iterable[Result]) -> str:
    """One self-contained HTML page."""
    style = (
        "body{font:14px system-ui;margin:2em auto;max-width:1040px}svg{width:100%;background:#fafafa}"
        ".label{fill:#fdd}.value{fill:none;stroke:#357;stroke-width:.8}circle{fill:#c60}"
        ".alert{stroke:#c00;stroke-width:1;stroke-dasharray:3}.score{stroke:#555}h2{font-size:1em}"
    )
    body = []
    for r in results:
        _, readings, alerts, found, precision, delay, daily = _cells(r)
        facts = f"{readings} readings, {alerts} alerts"
        if r.windows is not None:
            facts += f"; found {found}, precision {precision or '-'}, delay {delay or '-'} min, {daily} false a day"
        body.append(f"<h2>{html.escape(r.name)}</h2><p>{facts}</p>{r.plot}")
    return f'<!doctype html><meta charset="utf-8"><title>Evaluation</title><style>{style}</style>{"".join(body)}'
