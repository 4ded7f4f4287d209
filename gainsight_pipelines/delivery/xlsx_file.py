"""Excel files. Dates and numbers have Excel's types; texts are never formulas."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError

from gainsight_pipelines.delivery.csv_file import as_text
from gainsight_pipelines.errors import PermanentError

MOST_ROWS = 1_048_575
"""Rows of a sheet, without the header."""

LONGEST_TEXT = 32_767
DIGITS = 15
"""Significant digits of an Excel number."""

FIRST_DAY = date(1900, 3, 1)
"""Excel counts a day before it that never was: 1900-02-29."""


class XlsxFile:
    """A workbook with one sheet. Excel has no time zones, so the format of times adds UTC.

    Numbers with more than 15 digits become text.

    Attributes:
        cut: texts that were too long for a cell.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.cut = 0
        path.touch()  # if the file can't be written, fail before reading any rows
        self._folder = tempfile.TemporaryDirectory()  # for the rows, instead of memory
        options = {"constant_memory": True, "tmpdir": self._folder.name}
        self._book = xlsxwriter.Workbook(str(path), options)
        self._sheet = self._book.add_worksheet()
        self._sheet.freeze_panes(1, 0)
        self._time = self._book.add_format({"num_format": 'yyyy-mm-dd hh:mm:ss "UTC"'})
        self._day = self._book.add_format({"num_format": "yyyy-mm-dd"})
        self._row = 0
        for column, name in enumerate(columns):
            self._write_text(0, column, name)

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        for row in rows:
            self._row += 1
            if self._row > MOST_ROWS:
                raise PermanentError(
                    f"A sheet of Excel has room for {MOST_ROWS:,} rows, and there are more.",
                    "Name a file that ends in .parquet or .csv, or narrow the rows with --since or --where.",
                )
            for column, value in enumerate(row):
                if value is not None:
                    self._write(self._row, column, value)

    def close(self) -> None:
        try:
            self._book.close()
        except FileCreateError as error:
            raise error.args[0] from None  # the OSError itself
        finally:
            self._folder.cleanup()

    def abandon(self) -> None:
        """Closes the temporary file, and writes no workbook."""
        self._book.fileclosed = True
        self._sheet._opt_close()  # noqa: SLF001 - closes its temporary file; closing the book would write it
        self._folder.cleanup()

    def _write(self, row: int, column: int, value: object) -> None:
        if isinstance(value, bool):
            self._sheet.write_boolean(row, column, value)
        elif isinstance(value, (int, Decimal)) and _is_exact(value):
            self._sheet.write_number(row, column, float(value))
        elif isinstance(value, datetime) and value.date() >= FIRST_DAY:
            utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            self._sheet.write_datetime(row, column, utc, self._time)
        elif isinstance(value, date) and not isinstance(value, datetime) and value >= FIRST_DAY:
            self._sheet.write_datetime(row, column, datetime(value.year, value.month, value.day), self._day)  # noqa: DTZ001 - a day
        elif isinstance(value, float):
            self._sheet.write_number(row, column, value)
        else:
            self._write_text(row, column, as_text(value))

    def _write_text(self, row: int, column: int, text: str) -> None:
        if len(text) > LONGEST_TEXT:
            self.cut += 1
        self._sheet.write_string(row, column, text[:LONGEST_TEXT])


def _is_exact(number: int | Decimal) -> bool:
    return len(Decimal(number).normalize().as_tuple().digits) <= DIGITS
