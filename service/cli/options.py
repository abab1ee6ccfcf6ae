"""What commands have in common on the command line: settings as options, and checked numbers and times."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from service import UserError
from service.cli.parsing import SETTINGS
from service.offline.tables import Columns
from service.pipeline.times import TimeError, parse_moment
from service.settings.fields import default, placeholder
from service.settings.model import SECRETS, Settings, load
from service.settings.table import holds_secrets, sections

# Settings that several commands take
ACCESS = tuple(name for name in Settings.model_fields if name.startswith("opensearch_"))
LAYOUT = ("index_prefix", "index_rotation", "retention_days", "value_fields", "label_fields")

COLUMNS = ("sensor_field", "value_fields", "time_field", "time_format")  # where tables have columns


class UsageError(UserError):
    """Arguments that do not go together."""

    exit_code = 2


def load_settings(options: argparse.Namespace, **more: Any) -> Settings:
    """The settings as the options, the environment and the file give them. Raises SettingsError."""
    names = (*Settings.model_fields, *(f"{name}_file" for name in SECRETS))
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    return load(given | more, file=options.config)


def add_columns(parser: argparse.ArgumentParser) -> None:
    """Options that say which columns of tables are what; any text names a column."""
    group = parser.add_argument_group("columns", "of CSV files; by default they are recognised by their contents")
    group.add_argument("--sensor-field", dest="sensor_column", metavar="COLUMN", help="column of the sensor's name")
    group.add_argument("--time-field", dest="time_column", metavar="COLUMN", help="column of the event time")
    group.add_argument(
        "--value-fields",
        dest="value_columns",
        type=_titles,
        metavar="COLUMN,…",
        help='columns of the values; quote names with commas: "a, b",c',
    )
    group.add_argument(
        "--time-format",
        default=argparse.SUPPRESS,
        metavar="FORMAT",
        help="format of the event times, such as %%d.%%m.%%Y %%H:%%M",
    )


def columns(settings: Settings, options: argparse.Namespace | None = None) -> Columns:
    """What the columns of tables may be called: as the stream's fields, or as ``options`` say, which must be there."""
    asked = {
        role: getattr(options, f"{role}_column{'s' * (role == 'value')}", None) for role in ("sensor", "time", "value")
    }
    return Columns(
        asked["sensor"] or settings.sensor_field,
        asked["time"] or settings.time_field,
        asked["value"] or settings.value_fields,
        frozenset(role for role, title in asked.items() if title),
        formats=tuple(settings.time_formats),
    )


def _titles(text: str) -> dict[str, str]:
    """Names of values and of their columns: COLUMN or NAME=COLUMN, with quotes around those that hold a comma."""
    titles = [title for title in next(csv.reader([text], skipinitialspace=True), []) if title]
    if not titles:
        raise argparse.ArgumentTypeError(f"{text!r} names no column")
    pairs = [(title, title) if "=" not in title else tuple(title.split("=", 1)) for title in titles]
    return {name.strip(): column.strip() for name, column in pairs}


def add_settings(parser: argparse.ArgumentParser, only: Sequence[str] = (), without: Sequence[str] = ()) -> None:
    """Options for settings: all, or ``only`` these, ``without`` those."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings file [cutwater.toml]")
    about: str | None = "also in cutwater.toml, or as CUTWATER_<NAME> in the environment"
    for title, fields in sections(Settings):
        taken = {name: field for name, field in fields.items() if name not in without and (not only or name in only)}
        if taken:
            _add_settings(parser.add_argument_group(f"{SETTINGS}, {title[0].lower()}{title[1:]}", about), taken)
            about = None


def _add_settings(group: argparse._ArgumentGroup, fields: Mapping[str, FieldInfo]) -> None:
    for name, field in fields.items():
        if name not in SECRETS and holds_secrets(field.annotation):  # tables of them are for the file only
            continue
        text = " ".join((field.description or "").split()).replace("%", "%%")
        if name in SECRETS:  # everybody on the machine sees a command line
            group.add_argument(
                f"--{name.replace('_', '-')}-file",
                default=argparse.SUPPRESS,
                metavar="PATH",
                help=f"File that holds this secret: {text}",
            )
            continue
        usual = f" [{default(field)}]" if default(field) else ""
        group.add_argument(
            "--" + name.replace("_", "-"), default=argparse.SUPPRESS, metavar=placeholder(field), help=text + usual
        )


def moment(text: str) -> int:
    """A time in milliseconds since 1970, in UTC if it does not say."""
    try:
        return parse_moment(text)
    except TimeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def span(options: argparse.Namespace) -> tuple[int | None, int | None]:
    """``--since`` and ``--until`` in milliseconds since 1970."""
    return options.since, options.until


def give_up(parser: argparse.ArgumentParser) -> None:
    """The option that says how long a command waits for what does not answer."""
    parser.add_argument(
        "--wait",
        type=fraction,
        default=60.0,
        metavar="SECONDS",
        help="give up when a server has not answered for so long [%(default)g]",
    )


def natural(text: str) -> int:
    """0 or more."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


def port(text: str) -> int:
    """0 to 65535."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port from 0 to 65535")
    return number


def positive(text: str) -> int:
    """1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def fraction(text: str) -> float:
    """Above 0."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def share(text: str) -> float:
    """From 0 to 1."""
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return number
