"""The report of ``cutwater evaluate``: one self-contained page with a table and a picture of each recording."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np

from detector.liveness import SilenceEvent
from detector.types import KINDS, Floats, Integers, Scores
from service.offline.tables import History, Window

_WIDTH, _LEFT, _RIGHT, _GAP = 1000.0, 62.0, 8.0, 16.0
_TALL, _LOW, _AXIS = 130.0, 56.0, 18.0  # heights of a panel of values, of one of scores, and of the times
_TOP = 30.0  # of the first panel; above lie its title and the flags
_MOST = 1e300  # of values, so that their differences are finite
_MOST_MARKS = 3000
_LISTED = 200  # alerts
_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000
_STEPS = (
    *(1000 * n for n in (1, 5, 15, 30)),
    *(_MINUTE * n for n in (1, 5, 15, 30)),
    *(_HOUR * n for n in (1, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 7, 14, 28, 91, 182, 364, 1820)),
)


class _Panel:
    """A part of the picture: times across, one quantity up."""

    def __init__(
        self, title: str, top: float, height: float, span: Window, values: Iterable[Floats], zero: bool
    ) -> None:
        self.title, self.top, self.height = title, top, height
        self.start, self.size = span[0], max(span[1] - span[0], 1)
        finite = np.clip(np.concatenate([part[np.isfinite(part)] for part in values]), -_MOST, _MOST)
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        low = min(low, 0.0) if zero else low
        margin = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
        self.low, self.high = low - (0.0 if zero else margin), high + margin

    def x(self, times: Integers) -> Floats:
        """Places of event times (ms)."""
        return _LEFT + (times - self.start) / self.size * (_WIDTH - _LEFT - _RIGHT)

    def y(self, values: Floats) -> Floats:
        """Places of values."""
        values = np.clip(values, self.low, self.high)
        return self.top + self.height * (1.0 - (values - self.low) / (self.high - self.low))

    def frame(self) -> str:
        """Box, title and scale."""
        parts = [
            f'<path d="M{_LEFT} {self.top}H{_WIDTH - _RIGHT}v{self.height}H{_LEFT}z" class="panel"/>',
            f'<text x="{_LEFT + 5}" y="{self.top - 4}" class="title">{html.escape(self.title)}</text>',
        ]
        for tick in _ticks(self.low, self.high, 4 if self.height > 100 else 2):
            at = float(self.y(np.array(tick)))
            parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}" class="grid"/>')
            parts.append(f'<text x="{_LEFT - 5}" y="{at + 3.5:.1f}" class="scale">{tick:g}</text>')
        return "".join(parts)

    def line(self, times: Integers, values: Floats, name: str) -> str:
        """Values as a line; of many in one place the extremes, so that no spike is lost. Gaps are left open."""
        keep = np.isfinite(values)
        times, values = times[keep], values[keep]
        if len(times) == 0:
            return ""
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
        usual = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        x = self.x(times)
        begins = np.concatenate(([True], np.diff(times) > max(20 * usual, self.size / 400)))
        if len(x) > 2 * _WIDTH:
            places = np.floor(x)
            first = np.flatnonzero((np.diff(places, prepend=-1.0) > 0) | begins)
            low, high = np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
            rising = values[first] <= values[np.append(first[1:], len(values)) - 1]
            x = np.repeat(x[first], 2)
            values = np.stack([np.where(rising, low, high), np.where(rising, high, low)], axis=1).ravel()
            begins = np.stack([begins[first], np.zeros(len(first), dtype=bool)], axis=1).ravel()
        y = self.y(values)
        path = "".join(
            f"{'M' if new else 'L'}{a:.1f} {b:.1f}" for a, b, new in zip(x.tolist(), y.tolist(), begins, strict=True)
        )
        return f'<path d="{path}" class="{name}"/>'

    def marks(self, times: Integers, values: Floats, name: str) -> str:
        """Readings as diamonds, those in the same place once."""
        keep = np.isfinite(values)
        places = np.unique(np.round(np.stack([self.x(times[keep]), self.y(values[keep])], axis=1), 0), axis=0)
        return "".join(
            f'<path d="M{x:.0f} {y - 4:.0f}l4 4l-4 4l-4-4z" class="{name}"/>' for x, y in places[:_MOST_MARKS]
        )


def plot(history: History, scores: Scores, silences: Sequence[SilenceEvent], windows: Sequence[Window]) -> str:
    """A recording as SVG: its values with labels, anomalies and alerts, the scores below, and the alerts as a list."""
    times = history.times
    span = (int(times.min()), max([int(times.max()), *(silence.time for silence in silences)]))
    top = _TOP
    panels = []
    for j, feature in enumerate(history.features):
        panels.append(_Panel(feature, top, _TALL, span, [history.values[:, j]], zero=False))
        top += _TALL + _GAP
    finite = np.where(np.isfinite(scores.threshold), scores.threshold, np.nan)
    below = _Panel("anomaly score, and threshold", top, _LOW, span, [scores.score, finite], zero=True)
    alert_panel = _Panel("alert score", top + _LOW + _GAP, _LOW, span, [scores.alert_score], zero=True)
    bottom = alert_panel.top + _LOW
    parts = [panel.frame() for panel in (*panels, below, alert_panel)]
    parts += [_stretch(below, start, end, bottom, "window") for start, end in windows]
    ends = [int(times[times > one.since].min(initial=span[1])) for one in silences]
    parts += [_stretch(below, one.since, end, bottom, "silence") for one, end in zip(silences, ends, strict=True)]
    parts += [_times_axis(below, bottom)]
    for j, panel in enumerate(panels):
        parts.append(panel.line(times, history.values[:, j], "value"))
        unusual = scores.is_anomaly
        parts.append(panel.marks(times[unusual], history.values[unusual, j], "anomaly"))
    parts.append(below.line(times, finite, "threshold"))
    parts.append(below.line(times, scores.score, "score"))
    rows = np.flatnonzero(scores.alert_score > 0)
    x, y = alert_panel.x(times[rows]), alert_panel.y(scores.alert_score[rows])
    bars = "".join(f"M{a:.1f} {bottom}V{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    parts.append(f'<path d="{bars}" class="bar"/>')
    alerts = _alerts(history, scores, silences)
    for time, kind, _ in alerts:
        at = float(below.x(np.array(time)))
        title = f"<title>{kind}, {_time(time)}</title>"
        parts.append(
            f'<path d="M{at:.1f} 10V{bottom}" class="alert">{title}</path>'
            f'<path d="M{at - 5:.1f} 3h10l-5 9z" class="flag">{title}</path>'
        )
    label = html.escape(f"{history.sensor}: {len(times)} readings, {len(alerts)} alerts")
    picture = f'<svg viewBox="0 0 {_WIDTH:g} {bottom + _AXIS:g}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    return picture + _list(alerts)


def report(
    headings: Sequence[str], rows: Sequence[tuple[Sequence[str], str]], total: Sequence[str], notes: Sequence[str]
) -> str:
    """The page: of each recording the cells of its row and its picture."""
    body = []
    sections = []
    for number, (cells, picture) in enumerate(rows):
        link = f'<a href="#r{number}">{html.escape(cells[0])}</a>'
        body.append(f"<tr><th>{link}</th>{''.join(f'<td>{cell}</td>' for cell in cells[1:])}</tr>")
        facts = ", ".join(f"{name} {cell}" for name, cell in zip(headings[1:], cells[1:], strict=True) if cell)
        sections.append(f'<section id="r{number}"><h2>{html.escape(cells[0])}</h2><p>{facts}</p>{picture}</section>')
    if len(rows) > 1:
        sums = "".join(f"<td>{cell}</td>" for cell in total[1:])
        body.append(f'<tr class="total"><th>{html.escape(total[0])}</th>{sums}</tr>')
    head = "".join(f"<th>{html.escape(name)}</th>" for name in headings)
    legend = "".join(f'<span><svg viewBox="0 0 16 12">{shape}</svg>{text}</span>' for shape, text in _LEGEND)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Cutwater: evaluation</title><style>{_STYLE}</style>"
        f"<h1>Evaluation</h1><div class=scroll><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
        f"{''.join(f'<p>{html.escape(note)}</p>' for note in notes)}"
        f"<p class=legend>{legend}</p>{''.join(sections)}</html>"
    )


def _stretch(panel: _Panel, start: int, end: int, bottom: float, name: str) -> str:
    a, b = np.clip(panel.x(np.array([start, end])), _LEFT, _WIDTH - _RIGHT).tolist()
    return f'<rect x="{a:.1f}" y="{_TOP}" width="{max(b - a, 2):.1f}" height="{bottom - _TOP:g}" class="{name}"/>'


def _alerts(history: History, scores: Scores, silences: Sequence[SilenceEvent]) -> list[tuple[int, str, str]]:
    """(event time, kind, what was measured) of each alert, in order of time."""
    found = [
        (
            int(history.times[row]),
            KINDS[scores.kind[row]],
            ", ".join(f"{name} {x:g}" for name, x in zip(history.features, history.values[row].tolist(), strict=True)),
        )
        for row in np.flatnonzero(scores.alert).tolist()
    ]
    found += [(one.time, "silent", f"since {_time(one.since)}") for one in silences if one.alert]
    return sorted(found)


def _list(alerts: Sequence[tuple[int, str, str]]) -> str:
    if not alerts:
        return ""
    rows = "".join(f"<tr><td>{_time(time)}</td><td>{kind}</td><td>{html.escape(what)}</td></tr>"
                   for time, kind, what in alerts[:_LISTED])  # fmt: skip
    more = f", the first {_LISTED} of them" if len(alerts) > _LISTED else ""
    count = "1 alert" if len(alerts) == 1 else f"{len(alerts)} alerts"
    return f'<details><summary>{count}{more}</summary><table class="alerts">{rows}</table></details>'


def _time(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _times_axis(panel: _Panel, bottom: float) -> str:
    """Ticks at round times."""
    step = next((step for step in _STEPS if panel.size / step <= 8), _STEPS[-1])
    shift = 4 * _DAY if step % (7 * _DAY) == 0 else 0  # weeks begin on Mondays
    first = -((-panel.start + shift) // step) * step + shift if shift else -(-panel.start // step) * step
    form = "%H:%M:%S" if step < _MINUTE else "%d %b %H:%M" if step < _DAY else "%d %b %Y"
    parts = []
    for time in range(first, panel.start + panel.size + 1, step):
        at = float(panel.x(np.array(time)))
        text = f"{datetime.fromtimestamp(time / 1000, UTC):{form}}"
        anchor = "start" if at < _LEFT + 40 else "end" if at > _WIDTH - 45 else "middle"
        parts.append(f'<path d="M{at:.1f} {_TOP}V{bottom}" class="grid"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 13}" text-anchor="{anchor}">{text}</text>')
    return "".join(parts)


def _ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` + 1 round numbers between low and high."""
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * n for n in (1, 2, 5, 10) if size * n >= rough)
    return [step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


_LEGEND = (
    ('<path d="M0 9L5 3L10 8L16 2" class="value"/>', "value"),
    ('<path d="M8 2l4 4l-4 4l-4-4z" class="anomaly"/>', "anomaly"),
    ('<path d="M8 0V12" class="alert"/><path d="M3 0h10l-5 8z" class="flag"/>', "alert"),
    ('<rect width="16" height="12" class="window"/>', "labelled"),
    ('<rect width="16" height="12" class="silence"/>', "silent"),
)
_STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--muted:#5d6b7a;--line:#d9e0e7;--panel:#f7f9fb;--value:#2a6db0;
--score:#5b6b7d;--hot:#c2410c;--alert:#b91c1c;--window:#f59e0b}
@media(prefers-color-scheme:dark){:root{--ink:#e4e9ef;--muted:#98a5b3;--line:#333f4c;--panel:#1a222b;--value:#6cb0f5;
--score:#a7b4c2;--hot:#fb923c;--alert:#f87171;--window:#fbbf24}body{background:#12181f}}
body{font:14px/1.45 system-ui,sans-serif;color:var(--ink);margin:2em auto;max-width:1080px;padding:0 1em}
h1{font-size:1.4em}h2{font-size:1.05em;margin:2.2em 0 .2em;overflow-wrap:anywhere}p{color:var(--muted);margin:.3em 0}
a{color:inherit}.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.2em .8em;text-align:right;white-space:nowrap}th:first-child,.alerts td{text-align:left}
thead th{color:var(--muted);font-weight:500;border-bottom:1px solid var(--line)}tbody th{font-weight:400}
.total th,.total td{border-top:1px solid var(--line);font-weight:600}summary{cursor:pointer;color:var(--muted)}
section>svg{width:100%;height:auto;display:block}svg text{font-size:11px;fill:var(--muted)}
svg .title{fill:var(--ink)}.scale{text-anchor:end}.panel{fill:var(--panel);stroke:var(--line)}
.grid{stroke:var(--line);stroke-width:.7;fill:none}.value{fill:none;stroke:var(--value);stroke-width:1}
.score{fill:none;stroke:var(--score);stroke-width:1}.threshold{fill:none;stroke:var(--hot);stroke-width:1;
stroke-dasharray:4 3}.bar{stroke:var(--score);stroke-width:1.5;fill:none}.anomaly{fill:var(--hot)}
.alert{stroke:var(--alert);stroke-width:1;fill:none}.flag{fill:var(--alert)}
.window{fill:var(--window);opacity:.22}.silence{fill:var(--alert);opacity:.15}
.legend span{margin-right:1.4em}.legend svg{width:16px;height:12px;margin-right:.4em;vertical-align:-1px}
"""
