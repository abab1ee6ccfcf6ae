"""A day of a pump's temperature, its alerts, and a picture of them: ``python docs/tutorial/library.py PICTURE.svg``.

Needs the detector alone, and so numpy and numba; docs/tutorial/library.md goes through it.
"""

import sys
from pathlib import Path

import numpy as np

from detector import KINDS, Configuration, Detector, Scores

MINUTE = 60_000  # ms
WIDTH, HEIGHT, MARGIN = 900, 180, 24  # of each of the two plots


def readings() -> tuple[np.ndarray, np.ndarray]:
    """Times [n] in ms since 1970 and values [n, 1]: a wave of two hours, a spike, and an hour without the wave."""
    minutes = np.arange(24 * 60)
    values = 60 + 4 * np.sin(minutes / 120 * 2 * np.pi) + np.random.default_rng(0).normal(0, 0.4, len(minutes))
    values[900] += 12
    values[1200:1260] = 60
    return 1_767_225_600_000 + minutes * MINUTE, values.reshape(-1, 1)


def line(values: np.ndarray, top: int, colour: str) -> str:
    """A plot of values [n] as an SVG polyline."""
    across = np.linspace(MARGIN, WIDTH - MARGIN, len(values))
    low, high = values.min(), values.max()
    down = top + HEIGHT - MARGIN - (values - low) / (high - low) * (HEIGHT - 2 * MARGIN)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    return f'<polyline points="{points}" fill="none" stroke="{colour}"/>'


def picture(values: np.ndarray, scores: Scores) -> str:
    """The values above, the scores below, and a line through both at each alert."""
    parts = [line(values[:, 0], 0, "#1f6feb"), line(scores.score, HEIGHT, "#8250df")]
    for row in np.flatnonzero(scores.alert).tolist():
        x = MARGIN + row / (len(values) - 1) * (WIDTH - 2 * MARGIN)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{2 * HEIGHT}" stroke="#cf222e" opacity="0.5"/>')
        parts.append(f'<text x="{x + 4:.1f}" y="14">{KINDS[scores.kind[row]]}</text>')
    parts += [f'<text x="4" y="{top + 14}">{name}</text>' for name, top in (("temperature", 0), ("score", HEIGHT))]
    style = 'font-family="sans-serif" font-size="12" fill="#57606a"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {2 * HEIGHT}" {style}>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    times, values = readings()
    scores = Detector(Configuration(), seed=1).process(times, values)
    for row in np.flatnonzero(scores.alert).tolist():
        kind, severity = KINDS[scores.kind[row]], scores.severity[row]
        print(f"minute {row}: {values[row, 0]:.1f} °C, {kind}, severity {severity}")
    Path(sys.argv[1]).write_text(picture(values, scores))
