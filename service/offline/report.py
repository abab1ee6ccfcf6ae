"""The report of ``cutwater evaluate``: one self-contained page with a table and a picture of each recording."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np

from detector.liveness import SilenceEvent
from detector.types import Floats, Integers, Scores
from service.offline.alerts import Alert, blamed_first, missed
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

    def band(self, times: Integers, low: Floats, high: Floats) -> str:
        """What was expected: an area from the lower to the upper ends of its intervals, a pixel wide or more."""
        keep = np.isfinite(low) & np.isfinite(high)
        if not keep.any():
            return ""
        places = np.floor(self.x(times[keep]))
        first = np.flatnonzero(np.diff(places, prepend=-1.0) > 0)
        usual = float(np.median(np.diff(times[keep]))) if keep.sum() > 1 else 0.0
        begins = np.diff(times[keep][first], prepend=times[keep][0]) > max(20 * usual, self.size / 400)
        x = places[first]
        lower, upper = self.y(np.minimum.reduceat(low[keep], first)), self.y(np.maximum.reduceat(high[keep], first))
        parts = []
        for run in np.split(np.arange(len(first)), np.flatnonzero(begins)):
            if len(run) > 1:
                there = "L".join(f"{a:.0f} {b:.1f}" for a, b in zip(x[run], upper[run], strict=True))
                back = "L".join(f"{a:.0f} {b:.1f}" for a, b in zip(x[run][::-1], lower[run][::-1], strict=True))
                parts.append(f"M{there}L{back}z")
        return f'<path d="{"".join(parts)}" class="band"/>' if parts else ""

    def marks(self, times: Integers, values: Floats, name: str) -> str:
        """Readings as diamonds, those in the same place once."""
        keep = np.isfinite(values)
        places = np.unique(np.round(np.stack([self.x(times[keep]), self.y(values[keep])], axis=1), 0), axis=0)
        return "".join(
            f'<path d="M{x:.0f} {y - 4:.0f}l4 4l-4 4l-4-4z" class="{name}"/>' for x, y in places[:_MOST_MARKS]
        )


def plot(
    history: History,
    scores: Scores,
    silences: Sequence[SilenceEvent],
    alerts: Sequence[Alert],
    windows: Sequence[Window] | None,
) -> str:
    """A recording as SVG: its values, those to blame first, with what was expected of them, labels, anomalies and
    alerts, the scores below, and the alerts and missed stretches as lists.
    """
    judged, windows = windows is not None, windows or ()
    times = history.times
    span = (int(times.min()), max([int(times.max()), *(silence.time for silence in silences)]))
    top = _TOP
    panels = []
    order = blamed_first(scores)
    for j in order:
        panels.append(_Panel(history.features[j], top, _TALL, span, [history.values[:, j]], zero=False))
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
    for j, panel in zip(order, panels, strict=True):
        parts.append(panel.band(times, scores.expected_lower[:, j], scores.expected_upper[:, j]))
        parts.append(panel.line(times, history.values[:, j], "value"))
        unusual = scores.is_anomaly
        parts.append(panel.marks(times[unusual], history.values[unusual, j], "anomaly"))
    parts.append(below.line(times, finite, "threshold"))
    parts.append(below.line(times, scores.score, "score"))
    rows = np.flatnonzero(scores.alert_score > 0)
    x, y = alert_panel.x(times[rows]), alert_panel.y(scores.alert_score[rows])
    bars = "".join(f"M{a:.1f} {bottom}V{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    parts.append(f'<path d="{bars}" class="bar"/>')
    for alert in alerts:
        at = float(below.x(np.array(alert.time)))
        title = f"<title>{_truth(alert) + ' ' if judged else ''}{alert.kind}, {_time(alert.time)}</title>"
        name = "true" if judged and alert.window is not None else "false"
        parts.append(
            f'<path d="M{at:.1f} 10V{bottom}" class="alert {name}">{title}</path>'
            f'<path d="M{at - 5:.1f} 3h10l-5 9z" class="flag {name}">{title}</path>'
        )
    label = html.escape(f"{history.sensor}: {len(times)} readings, {len(alerts)} alerts")
    picture = f'<svg viewBox="0 0 {_WIDTH:g} {bottom + _AXIS:g}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    return f'<div class="scroll">{picture}</div>{_list(alerts, judged)}{_missed(missed(alerts, windows))}'


def report(
    headings: Sequence[str],
    rows: Sequence[tuple[Sequence[str], str]],
    total: Sequence[str],
    notes: Sequence[str],
    tables: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = (),
) -> str:
    """The page: of each recording the cells of its row and its picture; ``tables``: title, headings and rows."""
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
        f"<h1>Evaluation</h1><div class=scroll><table class=sortable><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
        f"{''.join(f'<p>{html.escape(note)}</p>' for note in notes)}"
        f"{''.join(_table(*each) for each in tables)}"
        f"<p class=legend>{legend}</p>{''.join(sections)}<script>{_SORT}</script></html>"
    )


def _stretch(panel: _Panel, start: int, end: int, bottom: float, name: str) -> str:
    a, b = np.clip(panel.x(np.array([start, end])), _LEFT, _WIDTH - _RIGHT).tolist()
    return f'<rect x="{a:.1f}" y="{_TOP}" width="{max(b - a, 2):.1f}" height="{bottom - _TOP:g}" class="{name}"/>'


def _truth(alert: Alert) -> str:
    return "false" if alert.window is None else "true"


def _list(alerts: Sequence[Alert], judged: bool) -> str:
    """The alerts, each with what is known of it."""
    if not alerts:
        return ""
    titles = ("time", *(("judged",) if judged else ()), "kind", "severity", "score")
    titles = (*titles, *(("delay",) if judged else ()), "values, that to blame first")
    rows = []
    for alert in alerts[:_LISTED]:
        score, delay = ("" if x is None else f"{x:.3g}" for x in (alert.score, alert.delay))
        truth = [f'<td class="{_truth(alert)}">{_truth(alert)}</td>'] if judged else []
        late = [f"<td>{delay + ' min' if delay else ''}</td>"] if judged else []
        cells = [f"<td>{_time(alert.time)}</td>", *truth, f"<td>{alert.kind}</td><td>{alert.severity}</td>"]
        cells += [f"<td>{score}</td>", *late, f"<td>{html.escape(alert.what)}</td>"]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    more = f", the first {_LISTED} of them" if len(alerts) > _LISTED else ""
    count = "1 alert" if len(alerts) == 1 else f"{len(alerts)} alerts"
    head = "".join(f"<th>{title}</th>" for title in titles)
    return (
        f'<details><summary>{count}{more}</summary><div class="scroll"><table class="alerts sortable">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _missed(windows: Sequence[Window]) -> str:
    """The labelled stretches without an alert."""
    if not windows:
        return ""
    spans = "".join(f"<li>{_time(start)} to {_time(end)}</li>" for start, end in windows[:_LISTED])
    more = f", the first {_LISTED} of them" if len(windows) > _LISTED else ""
    count = "1 stretch" if len(windows) == 1 else f"{len(windows)} stretches"
    return f"<details><summary>{count} missed{more}</summary><ul>{spans}</ul></details>"


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in headings)
    body = "".join(f"<tr><th>{row[0]}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}</tr>" for row in rows)
    return (
        f'<h2>{title}</h2><div class="scroll"><table class="sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


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
    ('<rect y="2" width="16" height="8" class="band"/>', "expected"),
    ('<path d="M8 0V12" class="alert true"/><path d="M3 0h10l-5 8z" class="flag true"/>', "true alert"),
    ('<path d="M8 0V12" class="alert false"/><path d="M3 0h10l-5 8z" class="flag false"/>', "other alert"),
    ('<rect width="16" height="12" class="window"/>', "labelled"),
    ('<rect width="16" height="12" class="silence"/>', "silent"),
)
_SORT = """
for(const t of document.querySelectorAll("table.sortable")){const b=t.tBodies[0];
t.tHead.addEventListener("click",e=>{const h=e.target.closest("th");if(!h)return;const k=h.cellIndex,
up=h.ariaSort==="descending";for(const o of h.parentNode.cells)o.ariaSort=null;h.ariaSort=up?"ascending":"descending";
const key=r=>r.cells[k].textContent.replace(/,/g,"").replace("\u2013",""),
rows=[...b.rows].filter(r=>r.className!=="total"),
n=rows.every(r=>!isNaN(parseFloat(key(r)))||!key(r))&&!rows.some(r=>/^\\d+-/.test(key(r)));
rows.sort((x,y)=>{const p=key(x),q=key(y);return (up?1:-1)*(n?(parseFloat(p)||0)-(parseFloat(q)||0):p<q?-1:p>q?1:0)});
b.prepend(...rows)})}
"""
_STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--muted:#5d6b7a;--line:#d9e0e7;--panel:#f7f9fb;--value:#2a6db0;
--score:#5b6b7d;--hot:#c2410c;--alert:#b91c1c;--good:#15803d;--window:#f59e0b}
@media(prefers-color-scheme:dark){:root{--ink:#e4e9ef;--muted:#98a5b3;--line:#333f4c;--panel:#1a222b;--value:#6cb0f5;
--score:#a7b4c2;--hot:#fb923c;--alert:#f87171;--good:#4ade80;--window:#fbbf24}body{background:#12181f}}
body{font:14px/1.45 system-ui,sans-serif;color:var(--ink);margin:2em auto;max-width:1080px;padding:0 1em}
h1{font-size:1.4em}h2{font-size:1.05em;margin:2.2em 0 .2em;overflow-wrap:anywhere}p{color:var(--muted);margin:.3em 0}
a{color:inherit}.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.2em .55em;text-align:right;white-space:nowrap}
tbody th{max-width:min(24em,45vw);overflow:hidden;text-overflow:ellipsis}th:first-child,.alerts td{text-align:left}
thead th{color:var(--muted);font-weight:500;border-bottom:1px solid var(--line)}tbody th{font-weight:400}
.total th,.total td{border-top:1px solid var(--line);font-weight:600}summary{cursor:pointer;color:var(--muted)}
section svg{width:100%;min-width:720px;height:auto;display:block}svg text{font-size:11px;fill:var(--muted)}
svg .title{fill:var(--ink)}.band{fill:var(--value);opacity:.18}
.scale{text-anchor:end}.panel{fill:var(--panel);stroke:var(--line)}
.grid{stroke:var(--line);stroke-width:.7;fill:none}.value{fill:none;stroke:var(--value);stroke-width:1}
.score{fill:none;stroke:var(--score);stroke-width:1}.threshold{fill:none;stroke:var(--hot);stroke-width:1;
stroke-dasharray:4 3}.bar{stroke:var(--score);stroke-width:1.5;fill:none}.anomaly{fill:var(--hot)}
.alert{stroke:var(--alert);stroke-width:1;fill:none}.flag{fill:var(--alert)}
.alert.true{stroke:var(--good)}.flag.true{fill:var(--good)}td.true{color:var(--good)}td.false{color:var(--alert)}
.sortable thead th{cursor:pointer}th[aria-sort=ascending]::after{content:" \\25b2"}
th[aria-sort=descending]::after{content:" \\25bc"}.alerts td,.alerts th,ul{text-align:left}
.window{fill:var(--window);opacity:.22}.silence{fill:var(--alert);opacity:.15}
.legend span{margin-right:1.4em;white-space:nowrap}
.legend svg{width:16px;height:12px;margin-right:.4em;vertical-align:-1px}
"""
