"""Tables that users bring as CSV: every bad line is named, with its column and what to do."""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from edgectl.errors import BadInput, Finding

_MAX_FINDINGS: Final = 20
_YEARS: Final = (2000, 2099)
_OTHER_MARKS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}
_Row = TypeVar("_Row")


class BadCell(Exception):
    """A cell cannot be used."""

    def __init__(self, column: str, *, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.column = column
        self.code = code
        self.message = message
        self.remedy = remedy


def read_table(
    path: Path,
    *,
    columns: Sequence[str],
    parse: Callable[[Mapping[str, str], int], _Row],
    holds: str,
) -> tuple[_Row, ...]:
    """Read the rows of a CSV file; raises BadInput with every line that cannot be used.

    `parse` gets the cells of one line by column, stripped, and the line's number, and may raise
    `BadCell`. `holds` says in a word what the rows are, such as `session`. Further columns are left
    alone.
    """
    rows = csv.DictReader(_text(path, holds).splitlines())
    _refuse_header(path, rows.fieldnames or (), columns)
    read: list[_Row] = []
    findings: list[Finding] = []
    try:
        for row in rows:
            try:
                _refuse_surplus(row)
                cells = {name: (row[name] or "").strip() for name in columns}
                read.append(parse(cells, rows.line_num))
            except BadCell as bad:
                findings.append(
                    Finding(
                        file=str(path),
                        line=rows.line_num,
                        path=bad.column,
                        code=bad.code,
                        message=bad.message,
                        remedy=bad.remedy,
                    )
                )
    except csv.Error as error:
        raise bad_file(
            path,
            line=rows.line_num,
            code="not_csv",
            message=f"is not CSV: {error}",
            remedy=f"name a CSV file of {holds}s",
        ) from error
    if findings:
        raise BadInput(findings[:_MAX_FINDINGS])
    if not read:
        raise bad_file(
            path,
            line=2,
            code=f"no_{holds}s",
            message=f"there is no {holds} in the file",
            remedy="name a file with at least one row below its header",
        )
    return tuple(read)


def _refuse_header(path: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    wanted = f"begin the file with the line {','.join(columns)}"
    other = next((mark for mark in _OTHER_MARKS if len(header) == 1 and mark in header[0]), None)
    if other is not None:
        raise bad_file(
            path,
            line=1,
            code="not_commas",
            message=f"its columns are separated by {_OTHER_MARKS[other]}, not by commas",
            remedy="save it with commas between columns and points in numbers",
        )
    missing = [name for name in columns if name not in header]
    if missing:
        raise bad_file(
            path,
            line=1,
            code="missing_column",
            message=f"the header lacks {', '.join(missing)}",
            remedy=wanted,
        )
    doubled = [name for name in columns if header.count(name) > 1]
    if doubled:
        raise bad_file(
            path,
            line=1,
            code="doubled_column",
            message=f"the header has {', '.join(doubled)} more than once",
            remedy="keep one of them, with the values that are meant",
        )


def _refuse_surplus(row: Mapping[str | None, object]) -> None:
    """A line with more cells than columns was broken at a comma too many."""
    surplus = row.get(None)
    if isinstance(surplus, list):
        raise BadCell(
            "",
            code="too_many_cells",
            message=f"the line has more cells than the header has columns, by {len(surplus)}",
            remedy="write numbers with a decimal point, and put texts with commas in quotes",
        )


def bad_file(path: Path, *, line: int, code: str, message: str, remedy: str) -> BadInput:
    """One finding about a whole file."""
    return BadInput(
        [Finding(file=str(path), line=line, path="", code=code, message=message, remedy=remedy)]
    )


def instant_s(column: str, text: str) -> float:
    """Seconds since 1970 of a time in ISO 8601; UTC where it names no zone."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise BadCell(
            column,
            code="bad_time",
            message=f"{text!r} is no time",
            remedy="write it in UTC as 2018-03-01T17:05:00Z",
        ) from None
    if not _YEARS[0] <= instant.year <= _YEARS[1]:
        raise BadCell(
            column,
            code="bad_time",
            message=f"{text!r} is not within the years {_YEARS[0]} to {_YEARS[1]}",
            remedy="correct the year, or remove the row",
        )
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return instant.timestamp()


def number(column: str, text: str) -> float:
    """A finite number."""
    value = _float(text)
    if math.isfinite(value):
        return value
    raise BadCell(
        column,
        code="bad_number",
        message=f"{text!r} is not a number",
        remedy="write a number with a decimal point",
    )


def positive(column: str, text: str) -> float:
    """A finite number above 0."""
    value = _float(text)
    if math.isfinite(value) and value > 0.0:
        return value
    raise BadCell(
        column,
        code="bad_number",
        message=f"{text!r} is not a number above 0",
        remedy="write a number above 0 with a decimal point",
    )


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _text(path: Path, holds: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise bad_file(
            path,
            line=0,
            code="unreadable",
            message=f"cannot be read: {error.strerror}",
            remedy=f"name a readable CSV file of {holds}s",
        ) from error
    except UnicodeDecodeError as error:
        raise bad_file(
            path,
            line=0,
            code="not_text",
            message="is not UTF-8 text",
            remedy=f"name a CSV file of {holds}s",
        ) from error
