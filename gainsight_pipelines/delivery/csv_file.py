"""CSV files. Texts that a spreadsheet would run as a formula get an apostrophe."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""First characters of texts that Excel, LibreOffice or Google Sheets may run as a formula."""


class CsvFile:
    """A CSV file in UTF-8 with a header line. An empty cell is NULL or an empty text."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._stream = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._stream)
        self._writer.writerow([_cell(name) for name in columns])

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        self._writer.writerows([_cell(value) for value in row] for row in rows)

    def close(self) -> None:
        self._stream.close()

    abandon = close


def as_text(value: object) -> str:
    """A value as text: lists separated by `; `, numbers with all digits, times with their zone; NULL is empty."""
    if isinstance(value, list):
        return "; ".join("" if each is None else str(each) for each in value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    return "" if value is None else str(value)


def _cell(value: object) -> str:
    text = as_text(value)
    is_text = isinstance(value, (str, list))  # a negative number is no formula
    return f"'{text}" if is_text and text.startswith(RUN_BY_SPREADSHEETS) else text
