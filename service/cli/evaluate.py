"""``cutwater evaluate``."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from detector.rules import Rules
from service.cli import EXIT_FAILED, EXIT_OK
from service.cli.options import add_columns, add_settings, columns, load_settings, positive
from service.cli.terminal import tell
from service.offline.evaluate import evaluate

# The settings that a score or a decision depends on.
DETECTION = (
    *("engine", "profile", "trees", "samples", "shingle", "time_decay"),
    *("seed", *(rule.name for rule in dataclasses.fields(Rules)), "rules"),
)
EXAMPLE = (
    "cutwater evaluate recordings/ --output report\n"
    "  cutwater evaluate pump.csv --labels faults.json --output report --always-above 90\n"
    "  cutwater evaluate recordings/ --nab --output scores"
)


def define(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="CSV files, or folders of them")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="folder for report.html and a CSV with the scores of each file"
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="JSON",
        help="JSON file with the true faults: {file: [[start, end], …]} [the column label, if any]",
    )
    parser.add_argument(
        "--nab", action="store_true", help="write scores in the format of the Numenta Anomaly Benchmark"
    )
    parser.add_argument("--workers", type=positive, help="number of processes [one for each core]")
    add_columns(parser)
    add_settings(parser, only=DETECTION)


async def run(options: argparse.Namespace) -> int:
    """The command."""
    settings = load_settings(options)
    done = evaluate(
        options.paths,
        options.output,
        options.labels,
        options.nab,
        options.workers,
        settings.configuration(),
        columns(settings, options),
    )
    for line in done.taken:
        tell(line)
    for line in done.refused:
        tell(f"cutwater: {line}")
    return EXIT_FAILED if done.refused else EXIT_OK
