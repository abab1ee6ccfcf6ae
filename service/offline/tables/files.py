"""From files and folders to text: which files are tables, and what their bytes say."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

from service import UserError

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
_MARKS = (  # the longer first: the mark of UTF-32 begins as that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_OTHERS = {
    b"PK\x03\x04": "a spreadsheet or a zip archive",
    b"\xd0\xcf\x11\xe0": "a spreadsheet",
    b"PAR1": "a Parquet file",
    b"SQLite format 3\0": "an SQLite database",
    b"%PDF": "a PDF",
    b"<!": "HTML or XML",
    b"<?": "XML",
    b"<html": "HTML",
}


class HistoryError(UserError):
    """A recording cannot be read; the message names the file, the line and what is expected."""


def find(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Files, and the names they go by: relative to the folder they were found in, always ending as a plain table does.

    Raises HistoryError if a path is not there, or if there are no tables.
    """
    files = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.name.lower().endswith(SUFFIXES) and file.is_file())
            files += [(file, str(file.relative_to(path))) for file in inside]
        elif path.exists():
            files.append((path, path.name))
        else:
            raise HistoryError(f"{path}: no such file or folder")
    if not files:
        raise HistoryError(f"{', '.join(map(str, paths))}: no files that end in {', '.join(SUFFIXES)}")
    return [(path, name.removesuffix(".gz")) for path, name in files]


def stem(path: Path) -> str:
    """The file's name without what says that it is a table: the name of its sensor if it does not say."""
    name = path.name.removesuffix(".gz")
    return name.rpartition(".")[0] or name


def text_of(path: Path) -> tuple[str, str]:
    """A file's text and its encoding: what its byte order mark says, else UTF-8, else Latin-1 as Windows writes it.

    Raises HistoryError.
    """
    try:
        data = path.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:  # what gzip finds is an OSError, too
        raise HistoryError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None) or _unmarked(data)
    if not encoding.startswith(("utf-16", "utf-32")):
        data = data.rstrip(b"\0")  # a logger lost its power while it wrote
    if kind := next((kind for mark, kind in _OTHERS.items() if data.startswith(mark)), "") or _json(data):
        raise HistoryError(f"{path}: {kind}, not a table; save it as CSV: a header, then times and values")
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError as error:
        raise HistoryError(f"{path}: not a table in {encoding}: {error}") from None


def _json(data: bytes) -> str:
    """Says so if the text is JSON, or if its first line is; a title such as [time] is none."""
    head = data[:4096].lstrip()
    if head[:1] == b"{" or (head[:1] == b"[" and head[1:].lstrip()[:1] in (b"{", b"[")):
        return "JSON"
    return ""


def _unmarked(data: bytes) -> str:
    """The encoding of text without a byte order mark."""
    head = data.rstrip(b"\0")[:4096]
    if zeros := head.count(0):
        if zeros < len(head) // 4:
            return "utf-8"  # and let it be refused there, or by what reads the cells
        return "utf-16-be" if head[::2].count(0) > head[1::2].count(0) else "utf-16-le"
    try:
        data.decode()
        return "utf-8"
    except UnicodeDecodeError:
        try:
            data.decode("cp1252")
            return "cp1252"
        except UnicodeDecodeError:
            return "latin-1"
